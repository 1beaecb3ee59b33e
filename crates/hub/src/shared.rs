//! What every part of the running hub holds: database, clock, dice, active revision, health of the connections.
//!
//! Never: decides; does I/O of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use counterpart_engine::breaker::Breaker;
use counterpart_model::clock::Clock;
use counterpart_model::delivery::FailureClass;
use counterpart_model::ids::{ConnectionName, RecordId};
use counterpart_store::Store;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use crate::active::Active;
use crate::config::Config;
use crate::error::HubError;

/// How long a connection whose credentials were refused is left alone before one call tries again.
const UNAUTHORISED_PAUSE: SignedDuration = SignedDuration::from_secs(60);

/// However fast the clock runs, nothing is looked at more often than this.
const SHORTEST: Duration = Duration::from_millis(20);

/// Shared by all tasks.
pub struct Shared {
    /// The configuration file.
    pub path: PathBuf,
    /// As read at the start.
    pub config: Config,
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The revision that runs.
    pub active: RwLock<Option<Arc<Active>>>,
    /// How connections are.
    pub health: Health,
    /// Wakes the processor and the workers.
    pub wake: Notify,
    dice: Mutex<StdRng>,
}

impl Shared {
    /// Puts the parts together.
    pub fn new(path: PathBuf, config: Config, store: Store, clock: Arc<dyn Clock>, seed: [u8; 32]) -> Self {
        Self {
            path,
            config,
            store,
            clock,
            active: RwLock::new(None),
            health: Health::default(),
            wake: Notify::new(),
            dice: Mutex::new(StdRng::from_seed(seed)),
        }
    }

    /// The folder that relative paths of the configuration start from.
    pub fn base(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sleeps for a span of the clock.
    pub async fn sleep(&self, span: Duration) {
        tokio::time::sleep(self.clock.real(span).max(SHORTEST.min(span))).await;
    }

    /// Sleeps for a span of the clock, or until told to stop.
    pub async fn pause(&self, stop: &mut watch::Receiver<bool>, span: Duration) {
        if *stop.borrow() {
            return;
        }
        tokio::select! {
            () = self.sleep(span) => {}
            _ = stop.changed() => {}
        }
    }

    /// The revision that runs.
    ///
    /// # Errors
    /// When none does.
    pub fn active(&self) -> Result<Arc<Active>, HubError> {
        let active = self.active.read().unwrap_or_else(PoisonError::into_inner);
        active.clone().ok_or(HubError::NothingApplied)
    }

    /// Makes a revision the running one.
    pub fn set_active(&self, active: Arc<Active>) {
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = Some(active);
    }

    /// A new record id.
    pub fn record_id(&self) -> RecordId {
        let millis = u64::try_from(self.now().as_millisecond()).unwrap_or(0);
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        RecordId::from_parts(millis, dice.random())
    }

    /// A number from 0 up to 1, for jitter.
    pub fn jitter(&self) -> f64 {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).random()
    }
}

/// How the connections are: what pauses them and since when.
#[derive(Default)]
pub struct Health {
    states: Mutex<BTreeMap<ConnectionName, State>>,
}

#[derive(Default)]
struct State {
    breaker: Breaker,
    unauthorised: Option<(Timestamp, Timestamp, String)>,
    throttled_until: Option<Timestamp>,
    down_since: Option<Timestamp>,
    message: Option<String>,
    /// What is read and was refused, by name: the connection is up, and yet something does not come.
    refused: BTreeMap<String, String>,
}

impl State {
    fn told_to_wait(&self, now: Timestamp) -> bool {
        let unauthorised = self.unauthorised.as_ref().is_some_and(|(_, until, _)| *until > now);
        unauthorised || self.throttled_until.is_some_and(|until| until > now)
    }
}

/// How a connection is, for a person. Kept in the database too, so that another process can tell.
#[derive(Serialize, Deserialize)]
pub struct HealthView {
    /// `ok`, `unauthorised` or `down`.
    pub state: String,
    /// Words.
    pub message: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
}

impl Health {
    /// Whether a call may be made now. With an open breaker one probe is let through when its time has come.
    pub fn may_call(&self, connection: &ConnectionName, now: Timestamp) -> bool {
        self.with(connection, |state| !state.told_to_wait(now) && state.breaker.may_try(now))
    }

    /// Whether work that has begun may go on: nobody asked us to stop. A lane that was leased as the probe of an open
    /// breaker may.
    pub fn may_go_on(&self, connection: &ConnectionName, now: Timestamp) -> bool {
        self.with(connection, |state| !state.told_to_wait(now))
    }

    /// As [`Health::may_call`], without using up the probe of an open breaker.
    pub fn looks_callable(&self, connection: &ConnectionName, now: Timestamp) -> bool {
        self.with(connection, |state| !state.told_to_wait(now) && !state.breaker.is_open())
    }

    /// A call succeeded. True when that is news.
    pub fn succeeded(&self, connection: &ConnectionName) -> bool {
        self.with(connection, |state| {
            let news = state.unauthorised.is_some() || state.down_since.is_some();
            state.breaker.succeeded();
            state.unauthorised = None;
            state.down_since = None;
            state.message = None;
            news
        })
    }

    /// A call failed. True when this is news: the moment for one alert.
    pub fn failed(
        &self,
        connection: &ConnectionName,
        class: FailureClass,
        message: &str,
        retry_after: Option<SignedDuration>,
        now: Timestamp,
    ) -> bool {
        self.with(connection, |state| match class {
            FailureClass::Unauthorised => {
                let since = state.unauthorised.as_ref().map(|(since, ..)| *since);
                state.unauthorised =
                    Some((since.unwrap_or(now), now + UNAUTHORISED_PAUSE, message.to_owned()));
                since.is_none()
            }
            FailureClass::Throttled => {
                let wait = retry_after.unwrap_or(SignedDuration::from_secs(5));
                state.throttled_until = Some(now + wait);
                false
            }
            FailureClass::Transient | FailureClass::Unknown => {
                let news = state.breaker.failed(now);
                state.message = Some(message.to_owned());
                if news {
                    state.down_since = Some(now);
                }
                news
            }
            FailureClass::Rejected => {
                // It answered: it is up.
                state.breaker.succeeded();
                state.down_since = None;
                false
            }
        })
    }

    /// Reading something was refused, or went well. True when that is news.
    pub fn reading(&self, connection: &ConnectionName, what: &str, refused: Option<&str>) -> bool {
        self.with(connection, |state| match refused {
            Some(message) => {
                state.refused.insert(what.to_owned(), message.to_owned()).as_deref() != Some(message)
            }
            None => state.refused.remove(what).is_some(),
        })
    }

    /// How a connection is.
    pub fn view(&self, connection: &ConnectionName) -> HealthView {
        self.with(connection, |state| {
            if let Some((since, _, message)) = &state.unauthorised {
                let message = Some(format!("credentials refused: {message}"));
                HealthView { state: "unauthorised".into(), message, since: Some(*since) }
            } else if let Some(since) = state.down_since {
                HealthView { state: "down".into(), message: state.message.clone(), since: Some(since) }
            } else {
                let refused = state.refused.iter().next();
                let message = refused.map(|(what, message)| format!("{what} cannot be read: {message}"));
                HealthView { state: "ok".into(), message, since: None }
            }
        })
    }

    fn with<T>(&self, connection: &ConnectionName, act: impl FnOnce(&mut State) -> T) -> T {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        act(states.entry(connection.clone()).or_default())
    }
}
