//! Log lines, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::args::{Global, LogForm};

/// Starts logging; what runs for long says more by itself than a question does.
pub fn start(global: &Global, serving: bool) {
    let level = match (global.verbose, serving) {
        (0, false) => "error",
        (0, true) => "info",
        (1, _) => {
            "info,counterpart=debug,counterpart_hub=debug,counterpart_web=debug,counterpart_connect=debug,counterpart_store=debug"
        }
        _ => "trace",
    };
    let filter = match std::env::var("COUNTERPART_LOG") {
        Ok(given) => EnvFilter::try_new(given).unwrap_or_else(|_| EnvFilter::new(level)),
        Err(_) => EnvFilter::new(level),
    };
    let plain = global.no_color
        || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
        || !std::io::stderr().is_terminal();
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(!plain);
    // Only a second start in one process can fail, and there is none.
    let _ = match global.log {
        LogForm::Text => lines.with_target(false).try_init(),
        LogForm::Json => lines.json().flatten_event(true).try_init(),
    };
}
