//! The sandbox's time: a clock that runs faster than the wall's, shared by the emulated systems and the hub.
//!
//! Never: sleeps. Whoever waits asks how long a span of this time takes in real time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use counterpart_model::clock::Clock;
use jiff::{SignedDuration, Timestamp};

/// Time that began at a moment of the wall's clock and runs at a multiple of it. Written as text (`from/as/rate`) it gives
/// another process the same time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FastClock {
    real: Timestamp,
    shown: Timestamp,
    rate: f64,
}

impl FastClock {
    /// Starts now, showing `shown`; `rate` seconds go by in each real one.
    pub fn new(shown: Timestamp, rate: f64) -> Self {
        Self { real: Timestamp::now(), shown, rate: rate.clamp(1.0, 10_000.0) }
    }

    /// How many seconds go by in each real one.
    pub fn rate(&self) -> f64 {
        self.rate
    }
}

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        let passed = Timestamp::now().duration_since(self.real).as_secs_f64() * self.rate;
        let passed = SignedDuration::try_from_secs_f64(passed).unwrap_or(SignedDuration::ZERO);
        self.shown.checked_add(passed).unwrap_or(self.shown)
    }

    fn real(&self, span: Duration) -> Duration {
        span.div_f64(self.rate)
    }
}

impl fmt::Display for FastClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.real, self.shown, self.rate)
    }
}

impl FromStr for FastClock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no clock: expected two moments and a rate, separated by slashes");
        let mut parts = text.splitn(3, '/');
        let mut moment = || parts.next().and_then(|p| p.parse::<Timestamp>().ok()).ok_or_else(wrong);
        let (real, shown) = (moment()?, moment()?);
        let rate: f64 = parts.next().and_then(|p| p.parse().ok()).ok_or_else(wrong)?;
        if !rate.is_finite() || rate < 1.0 {
            return Err(wrong());
        }
        Ok(Self { real, shown, rate })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn another_process_sees_the_same_time() {
        let clock = FastClock::new("2026-01-05T08:00:00Z".parse().unwrap(), 60.0);
        let other: FastClock = clock.to_string().parse().unwrap();
        assert_eq!(clock, other);
        assert_eq!(clock.real(Duration::from_secs(30)), Duration::from_millis(500));
    }

    #[test]
    fn what_is_no_clock_is_refused() {
        for text in [
            "",
            "now",
            "2026-01-05T08:00:00Z/2026-01-05T08:00:00Z",
            "2026-01-05T08:00:00Z/2026-01-05T08:00:00Z/0",
        ] {
            assert!(text.parse::<FastClock>().is_err(), "{text}");
        }
    }
}
