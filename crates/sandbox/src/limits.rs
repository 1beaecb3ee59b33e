//! What callers may use: windows and buckets, on the sandbox's clock.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use crate::profile::Limit;

/// All limits of one system, and how far they are used.
pub struct Limits(BTreeMap<String, Used>);

struct Used {
    limit: Limit,
    taken: VecDeque<(Timestamp, f64)>,
    level: f64,
    at: Option<Timestamp>,
}

/// How a limit stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    pub size: f64,
    pub left: f64,
    /// Seconds until what was asked for would be there.
    pub wait_s: f64,
}

impl Limits {
    /// Unused ones.
    pub fn new(limits: &BTreeMap<String, Limit>) -> Self {
        let used = |limit: &Limit| Used {
            limit: limit.clone(),
            taken: VecDeque::new(),
            level: limit.size,
            at: None,
        };
        Self(limits.iter().map(|(name, limit)| (name.clone(), used(limit))).collect())
    }

    /// Takes so much; not at all where it is more than is left.
    ///
    /// # Errors
    /// How the limit stands, when it is used up.
    pub fn take(&mut self, name: &str, much: f64, now: Timestamp) -> Result<Standing, Standing> {
        let Some(used) = self.0.get_mut(name) else {
            return Ok(Standing { size: f64::MAX, left: f64::MAX, wait_s: 0.0 });
        };
        let standing = used.standing(much, now);
        if standing.left < much {
            return Err(standing);
        }
        used.level -= much;
        if used.limit.per_s.is_some() {
            used.taken.push_back((now, much));
        }
        Ok(Standing { left: standing.left - much, ..standing })
    }

    /// Gives some of what was taken back: what a query turned out not to cost.
    pub fn give_back(&mut self, name: &str, much: f64) {
        if let Some(used) = self.0.get_mut(name) {
            used.level = (used.level + much).min(used.limit.size);
        }
    }

    /// How much comes back each second.
    pub fn refill(&self, name: &str) -> f64 {
        self.0.get(name).and_then(|used| used.limit.refill_per_s).unwrap_or(0.0)
    }

    /// How a limit stands.
    pub fn standing(&mut self, name: &str, now: Timestamp) -> Option<Standing> {
        self.0.get_mut(name).map(|used| used.standing(1.0, now))
    }
}

impl Used {
    fn standing(&mut self, much: f64, now: Timestamp) -> Standing {
        let size = self.limit.size;
        if let Some(per_s) = self.limit.per_s {
            let age = |at: Timestamp| now.duration_since(at).as_secs_f64();
            while self.taken.front().is_some_and(|(at, _)| age(*at) >= per_s) {
                self.taken.pop_front();
            }
            let left = size - self.taken.iter().map(|(_, n)| n).sum::<f64>();
            let wait_s =
                if left >= much { 0.0 } else { self.taken.front().map_or(0.0, |(at, _)| per_s - age(*at)) };
            return Standing { size, left, wait_s };
        }
        let refill = self.limit.refill_per_s.unwrap_or(f64::MAX);
        if let Some(at) = self.at {
            let passed = now.duration_since(at).as_secs_f64().max(0.0);
            self.level = (self.level + passed * refill).min(size);
        }
        self.at = Some(now);
        Standing { size, left: self.level, wait_s: ((much - self.level) / refill).max(0.0) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn limits(per_s: Option<f64>, refill_per_s: Option<f64>) -> Limits {
        Limits::new(&BTreeMap::from([("x".to_owned(), Limit { size: 2.0, per_s, refill_per_s })]))
    }

    fn second(s: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + s).unwrap()
    }

    #[test]
    fn a_window_is_free_again_when_it_has_passed() {
        let mut limits = limits(Some(10.0), None);
        assert!(limits.take("x", 1.0, second(0)).is_ok());
        assert!(limits.take("x", 1.0, second(4)).is_ok());
        assert_eq!(limits.take("x", 1.0, second(5)).unwrap_err().wait_s, 5.0);
        assert!(limits.take("x", 1.0, second(10)).is_ok());
    }

    #[test]
    fn a_bucket_fills_up_again() {
        let mut limits = limits(None, Some(0.5));
        assert!(limits.take("x", 2.0, second(0)).is_ok());
        assert_eq!(limits.take("x", 1.0, second(1)).unwrap_err().wait_s, 1.0);
        assert!(limits.take("x", 1.0, second(2)).is_ok());
    }
}
