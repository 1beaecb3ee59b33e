//! The circuit breaker: a connection that is down is left alone, and one probe at a time asks whether it is back.
//!
//! Never: reads a clock.

use jiff::{SignedDuration, Timestamp};

/// Failures in a row that open it.
const OPENS_AFTER: u32 = 5;

/// How long it stays open before a probe; doubles up to the longest.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(5);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(60);

/// One connection's breaker. Closed at first.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    failures: u32,
    opened: u32,
    next_probe: Option<Timestamp>,
}

impl Breaker {
    /// Whether a call may be made. While open, a probe is let through when its time has come, and the next one only
    /// after another wait.
    pub fn may_try(&mut self, now: Timestamp) -> bool {
        match self.next_probe {
            None => true,
            Some(at) if at <= now => {
                self.next_probe = Some(now + wait(self.opened));
                true
            }
            // A clock set back must not keep it open for hours.
            Some(at) if at.duration_since(now) > LONGEST_WAIT => {
                self.next_probe = Some(now);
                false
            }
            Some(_) => false,
        }
    }

    /// Whether calls are held back.
    pub fn is_open(&self) -> bool {
        self.next_probe.is_some()
    }

    /// The other side answered.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The other side did not. True when this opened it: the moment for one alert.
    pub fn failed(&mut self, now: Timestamp) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures < OPENS_AFTER {
            return false;
        }
        let opens = self.next_probe.is_none();
        self.opened = self.opened.saturating_add(1);
        self.next_probe = Some(now + wait(self.opened));
        opens
    }
}

fn wait(opened: u32) -> SignedDuration {
    let doubled = FIRST_WAIT.checked_mul(1 << opened.saturating_sub(1).min(8)).unwrap_or(LONGEST_WAIT);
    doubled.min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn it_opens_once_and_closes_on_the_first_success() {
        let mut breaker = Breaker::default();
        for _ in 1..OPENS_AFTER {
            assert!(!breaker.failed(at(0)));
            assert!(breaker.may_try(at(0)));
        }
        assert!(breaker.failed(at(0)), "the fifth failure opens it");
        assert!(!breaker.may_try(at(1)));
        assert!(breaker.may_try(at(5)), "a probe");
        assert!(!breaker.may_try(at(6)), "one probe at a time");
        assert!(!breaker.failed(at(6)), "one alert");
        assert!(!breaker.may_try(at(10)));
        breaker.succeeded();
        assert!(breaker.may_try(at(10)));
    }

    #[test]
    fn a_clock_set_back_does_not_keep_it_open() {
        let mut breaker = Breaker::default();
        for _ in 0..OPENS_AFTER {
            breaker.failed(at(100_000));
        }
        assert!(!breaker.may_try(at(0)));
        assert!(breaker.may_try(at(0)));
    }
}
