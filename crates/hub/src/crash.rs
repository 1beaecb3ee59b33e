//! Crash points, so that a test can kill the process exactly there.
//!
//! Never: does anything in a release build.

/// The points, in the order in which a delivery passes them; ARCHITECTURE.md says what each leaves behind.
pub const POINTS: &[&str] =
    &["intent-written", "answer-received", "step-recorded", "before-confirmation", "confirmed"];

/// Dies here, as by `kill -9`, when `COUNTERPART_CRASH_AT` names this point.
pub fn point(name: &str) {
    debug_assert!(POINTS.contains(&name), "a crash point that is not written down: {name}");
    #[cfg(debug_assertions)]
    if std::env::var("COUNTERPART_CRASH_AT").is_ok_and(|at| at == name) {
        // No destructor runs, nothing is flushed.
        std::process::abort();
    }
}
