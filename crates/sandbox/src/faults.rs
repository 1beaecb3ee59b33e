//! What goes wrong, on purpose and repeatably: throttling, errors, connections that break before or after the work was done,
//! messages that are repeated, late, in another order or lost, and times when a system is down.
//!
//! Never: decides what an error looks like; that is the profile's, in its vendor's dialect.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::lock;

/// How often things go wrong; each is a share of 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Throttled though nothing was used up.
    pub throttled: f64,
    /// An error of the server before anything was done.
    pub failed: f64,
    /// The connection breaks before anything was done.
    pub broken: f64,
    /// The work is done and the answer lost.
    pub lost: f64,
    /// The work is not done, and the answer says so inside a success.
    pub inside: f64,
    /// Webhooks sent twice.
    pub repeated: f64,
    /// Webhooks that come later than others that were sent after them, up to `latest`.
    pub late: f64,
    /// Webhooks that never come.
    pub dropped: f64,
    /// How late they are at most.
    pub latest: Duration,
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Fine,
    Throttled,
    Failed,
    Broken,
    Lost,
    Inside,
}

/// What goes wrong in one system.
pub struct Faults(Mutex<State>);

struct State {
    rates: Rates,
    down: Vec<(Timestamp, Timestamp)>,
    random: StdRng,
    counts: std::collections::BTreeMap<&'static str, u64>,
}

impl Faults {
    /// None to begin with.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(State {
            rates: Rates::default(),
            down: Vec::new(),
            random: StdRng::seed_from_u64(seed ^ 0x5eed_fa17),
            counts: std::collections::BTreeMap::new(),
        }))
    }

    /// From now on things go wrong this often.
    pub fn set(&self, rates: Rates) {
        lock(&self.0).rates = rates;
    }

    /// The system answers nobody between the two moments.
    pub fn down(&self, from: Timestamp, until: Timestamp) {
        lock(&self.0).down.push((from, until));
    }

    /// Whether it is down.
    pub fn is_down(&self, now: Timestamp) -> bool {
        lock(&self.0).down.iter().any(|(from, until)| (*from..*until).contains(&now))
    }

    /// How often each thing went wrong.
    pub fn counts(&self) -> std::collections::BTreeMap<&'static str, u64> {
        lock(&self.0).counts.clone()
    }

    pub(crate) fn fate(&self) -> Fate {
        let mut state = lock(&self.0);
        let rates = state.rates;
        let mut at = state.random.random::<f64>();
        let fates = [
            (rates.throttled, Fate::Throttled, "throttled"),
            (rates.failed, Fate::Failed, "failed"),
            (rates.broken, Fate::Broken, "broken"),
            (rates.lost, Fate::Lost, "lost"),
            (rates.inside, Fate::Inside, "inside"),
        ];
        for (rate, fate, name) in fates {
            if at < rate {
                *state.counts.entry(name).or_default() += 1;
                return fate;
            }
            at -= rate;
        }
        Fate::Fine
    }

    /// After how long a webhook is sent, for each time it is.
    pub(crate) fn deliveries(&self) -> Vec<Duration> {
        let mut state = lock(&self.0);
        let rates = state.rates;
        if state.random.random_bool(rates.dropped.clamp(0.0, 1.0)) {
            *state.counts.entry("webhooks dropped").or_default() += 1;
            return Vec::new();
        }
        let times = if state.random.random_bool(rates.repeated.clamp(0.0, 1.0)) { 2 } else { 1 };
        if times == 2 {
            *state.counts.entry("webhooks repeated").or_default() += 1;
        }
        let mut all = Vec::new();
        for _ in 0..times {
            if state.random.random_bool(rates.late.clamp(0.0, 1.0)) {
                *state.counts.entry("webhooks late").or_default() += 1;
                // Most are a little late, few are very late.
                let share = state.random.random::<f64>().powi(6);
                all.push(rates.latest.mul_f64(share));
            } else {
                all.push(Duration::ZERO);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_same_seed_goes_wrong_in_the_same_way() {
        let rates = Rates { throttled: 0.1, lost: 0.2, ..Rates::default() };
        let run = || {
            let faults = Faults::new(7);
            faults.set(rates);
            (0..1000).map(|_| faults.fate()).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        let lost = run().iter().filter(|f| **f == Fate::Lost).count();
        assert!((150..250).contains(&lost), "{lost} of 1000");
    }
}
