//! What a connection may use: requests at a time, requests within windows, and what answers say is left.
//!
//! Never: lets polling take the share that is reserved for deliveries.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use counterpart_model::clock::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::classify::read;
use crate::driver::Answer;
use crate::manifest::Limits;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A delivery or a read-back for one.
    Delivery,
    /// Polling, watching, reconciling.
    Polling,
}

/// A delivery does not wait longer than this for its turn: it gives its lane back instead.
const PATIENCE: Duration = Duration::from_secs(3);

/// A wait that cannot be reckoned.
const LONGEST: Duration = Duration::from_secs(3600);

/// By how much the dearest request is forgotten with each answer.
const FADING: f64 = 0.99;

/// One connection's budget.
pub struct Budget {
    at_a_time: Arc<Semaphore>,
    /// Polling passes through this smaller gate first, so that it never holds all of the above.
    polling: Arc<Semaphore>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// Leave to have one request under way; given back when dropped.
pub struct Permit {
    _polling: Option<OwnedSemaphorePermit>,
    _request: Option<OwnedSemaphorePermit>,
}

#[derive(Default)]
struct State {
    sent: VecDeque<Instant>,
    told: Option<Told>,
    /// What the dearest request of late cost: less than that is as good as nothing for polling.
    dearest: f64,
}

/// What an answer said of the budget.
#[derive(Clone, Copy)]
struct Told {
    remaining: f64,
    limit: f64,
    at: Instant,
    /// What comes back of it in each second of the wall's clock; otherwise it is whole again at `until`.
    restore: Option<f64>,
    until: Instant,
}

impl Told {
    /// How long until there is so much; nothing when there is.
    fn wait(&self, much: f64, now: Instant) -> Option<Duration> {
        let Some(restore) = self.restore else {
            return (self.until > now && self.remaining <= much).then(|| self.until.duration_since(now));
        };
        let level = self.remaining + restore * now.saturating_duration_since(self.at).as_secs_f64();
        let lacking = much.min(self.limit) - level;
        (lacking > 0.0).then(|| Duration::try_from_secs_f64(lacking / restore).unwrap_or(LONGEST))
    }
}

/// What answers have said of the budget, for the status page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Left.
    pub remaining: f64,
    /// Of how many.
    pub limit: f64,
}

impl Budget {
    /// A full budget. Of the clock only its pace is used: the spans of windows are measured by one that never jumps.
    pub fn new(limits: &Limits, clock: Arc<dyn Clock>) -> Self {
        let all = limits.concurrency.max(1);
        // At least one for polling, and at least one for deliveries where there is more than one.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let share =
            ((all as f64 * (1.0 - limits.reserve.clamp(0.0, 0.9))).floor() as usize).clamp(1, all.max(2) - 1);
        Self {
            at_a_time: Arc::new(Semaphore::new(all)),
            polling: Arc::new(Semaphore::new(share)),
            limits: limits.clone(),
            clock,
            state: Mutex::default(),
        }
    }

    /// Waits until a request may be sent, and counts it. The permit is kept until the answer is there.
    ///
    /// # Errors
    /// For a delivery that would have to wait for long: how long.
    pub async fn take(&self, purpose: Purpose) -> Result<Permit, Duration> {
        loop {
            // Nothing is held while waiting for the window, so that others can pass.
            while let Some(wait) = self.must_wait(purpose, false) {
                if purpose == Purpose::Delivery && wait > self.clock.real(PATIENCE) {
                    return Err(wait);
                }
                tokio::time::sleep(wait).await;
            }
            let polling = match purpose {
                Purpose::Polling => self.polling.clone().acquire_owned().await.ok(),
                Purpose::Delivery => None,
            };
            let request = self.at_a_time.clone().acquire_owned().await.ok();
            if self.must_wait(purpose, true).is_none() {
                return Ok(Permit { _polling: polling, _request: request });
            }
        }
    }

    /// A real span as the clock has it.
    pub fn shown(&self, real: Duration) -> Duration {
        real.div_f64(self.clock.real(Duration::from_secs(1)).as_secs_f64())
    }

    /// How long to wait; when not at all and `count`, the request is counted.
    fn must_wait(&self, purpose: Purpose, count: bool) -> Option<Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let wait = self.wait(&mut state, purpose, now);
        if wait.is_none() && count && !self.limits.rates.is_empty() {
            state.sent.push_back(now);
        }
        wait
    }

    fn wait(&self, state: &mut State, purpose: Purpose, now: Instant) -> Option<Duration> {
        let share = match purpose {
            Purpose::Delivery => 1.0,
            Purpose::Polling => 1.0 - self.limits.reserve.clamp(0.0, 0.9),
        };
        let longest = self.limits.rates.iter().map(|r| r.per_s).max().unwrap_or(0);
        let horizon = self.clock.real(Duration::from_secs(longest.into()));
        while state.sent.front().is_some_and(|at| now.duration_since(*at) > horizon) {
            state.sent.pop_front();
        }
        let mut wait: Option<Duration> = None;
        for rate in &self.limits.rates {
            let window = self.clock.real(Duration::from_secs(rate.per_s.into()));
            // Whole requests; a share never rounds down to nothing.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let allowed = ((f64::from(rate.requests) * share).floor() as usize).max(1);
            let inside: Vec<&Instant> =
                state.sent.iter().filter(|at| now.duration_since(**at) < window).collect();
            if inside.len() >= allowed {
                let oldest = inside[inside.len() - allowed];
                let left = window.saturating_sub(now.duration_since(*oldest));
                wait = Some(wait.map_or(left, |w| w.max(left)).max(Duration::from_millis(5)));
            }
        }
        if let Some(told) = state.told {
            let reserved = if purpose == Purpose::Polling {
                (told.limit * self.limits.reserve).max(state.dearest)
            } else {
                0.0
            };
            if let Some(left) = told.wait(reserved, now) {
                wait = Some(wait.map_or(left, |w| w.max(left)).max(Duration::from_millis(5)));
            }
        }
        wait
    }

    /// Takes note of what an answer says. Gives how long to wait until what it asked for would be there, where that can be
    /// reckoned: of use when it was refused for want of it.
    pub fn learn(&self, answer: &Answer) -> Option<Duration> {
        let places = &self.limits.read;
        let number = |place: &Option<crate::manifest::Location>| {
            place.as_ref().and_then(|p| read(p, answer)).and_then(|t| t.trim().parse::<f64>().ok())
        };
        let (remaining, limit) = (number(&places.remaining)?, number(&places.limit)?);
        let reset = number(&places.reset_s).unwrap_or(1.0).clamp(0.0, 86_400.0);
        let second = self.clock.real(Duration::from_secs(1)).as_secs_f64();
        let restore = number(&places.restore_per_s).filter(|r| *r > 0.0).map(|r| r / second);
        let at = Instant::now();
        let told =
            Told { remaining, limit, at, restore, until: at + Duration::from_secs_f64(reset * second) };
        let cost = number(&places.cost);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.told = Some(told);
        state.dearest = cost.unwrap_or(0.0).max(state.dearest * FADING).min(limit * 0.9);
        told.restore.and(cost).and_then(|cost| told.wait(cost, at))
    }

    /// What answers have said last.
    pub fn reading(&self) -> Option<Reading> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.told.map(|told| Reading { remaining: told.remaining, limit: told.limit })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::manifest::Rate;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    /// So much of 100, whole again in 5 s.
    fn told(remaining: f64, restore: Option<f64>, at: Instant) -> Told {
        Told { remaining, limit: 100.0, at, restore, until: at + Duration::from_secs(5) }
    }

    #[test]
    fn polling_waits_until_there_is_enough_for_the_dearest_request() {
        let budget = budget(&Limits { reserve: 0.2, ..Limits::default() });
        let now = Instant::now();
        let mut state = State { told: Some(told(30.0, Some(10.0), now)), ..State::default() };
        assert_eq!(budget.wait(&mut state, Purpose::Polling, now), None);
        state.dearest = 80.0;
        assert_eq!(budget.wait(&mut state, Purpose::Polling, now), Some(Duration::from_secs(5)));
        assert_eq!(budget.wait(&mut state, Purpose::Delivery, now), None);
        assert_eq!(budget.wait(&mut state, Purpose::Polling, now + Duration::from_secs(5)), None);
    }

    fn budget(limits: &Limits) -> Budget {
        Budget::new(limits, Arc::new(Still))
    }

    #[test]
    fn polling_leaves_a_share_to_deliveries() {
        let limits =
            Limits { rates: vec![Rate { requests: 10, per_s: 1 }], reserve: 0.2, ..Limits::default() };
        let budget = budget(&limits);
        let mut state = State::default();
        let now = Instant::now();
        for _ in 0..8 {
            assert!(budget.wait(&mut state, Purpose::Polling, now).is_none());
            state.sent.push_back(now);
        }
        assert!(budget.wait(&mut state, Purpose::Polling, now).is_some(), "8 of 10 is all that polling gets");
        assert!(budget.wait(&mut state, Purpose::Delivery, now).is_none());
        let later = now + Duration::from_millis(1001);
        assert!(budget.wait(&mut state, Purpose::Polling, later).is_none());
    }

    #[test]
    fn what_an_answer_says_counts() {
        let budget = budget(&Limits::default());
        let now = Instant::now();
        let mut state = State { told: Some(told(10.0, None, now)), ..State::default() };
        assert_eq!(budget.wait(&mut state, Purpose::Polling, now), Some(Duration::from_secs(5)));
        assert_eq!(budget.wait(&mut state, Purpose::Delivery, now), None);
        assert_eq!(budget.wait(&mut state, Purpose::Polling, now + Duration::from_secs(6)), None);
    }

    #[tokio::test]
    async fn polling_never_holds_every_request() {
        let budget = budget(&Limits { concurrency: 2, reserve: 0.0, ..Limits::default() });
        let polling = budget.take(Purpose::Polling).await;
        assert!(polling.is_ok());
        assert_eq!(budget.polling.available_permits(), 0, "one of two is all that polling gets");
        let delivery = budget.take(Purpose::Delivery).await;
        assert!(delivery.is_ok());
        drop((polling, delivery));
        assert_eq!((budget.polling.available_permits(), budget.at_a_time.available_permits()), (1, 2));
    }

    #[tokio::test]
    async fn a_delivery_does_not_wait_for_long() {
        let budget = budget(&Limits { rates: vec![Rate { requests: 1, per_s: 60 }], ..Limits::default() });
        assert!(budget.take(Purpose::Delivery).await.is_ok());
        let wait = budget.take(Purpose::Delivery).await.err();
        assert!(wait.is_some_and(|w| w > Duration::from_secs(50)), "{wait:?}");
        assert_eq!(budget.at_a_time.available_permits(), 4, "no permit leaks");
    }
}
