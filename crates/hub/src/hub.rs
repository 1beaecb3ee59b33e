//! The hub as its callers see it: one handle for the command line and the HTTP API.
//!
//! Never: routes, SQL, a vendor's name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use counterpart_connect::WebhookError;
use counterpart_model::change::{Arrival, Channel};
use counterpart_model::clock::Clock;
use counterpart_model::ids::ConnectionName;
use counterpart_model::kind::Kind;
use counterpart_model::redact::Redacted;
use counterpart_store::{MasterKey, Store};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::active::{Active, stored_names};
use crate::config::{Config, SecretRef};
use crate::error::{HubError, IntakeError};
use crate::limits::Load;
use crate::plan::Bundle;
use crate::shared::Shared;
use crate::views::*;
use crate::{admin, answers, explain, notices, poller, process, replay, review, secrets, stock, worker};

/// One handle on everything: the database, the active revision, the clock. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

/// What a mapping is tried on.
#[derive(Debug, Clone)]
pub enum Sample {
    /// A captured one, by row.
    Captured(i64),
    /// Bytes from a file.
    Given(Vec<u8>),
}

impl Hub {
    /// Opens the database that a configuration file names. Starts nothing; does not need an applied revision.
    ///
    /// # Errors
    /// When the file, the key or the database is not as it should be.
    pub async fn open(config_path: &Path, clock: Arc<dyn Clock>) -> Result<Self, HubError> {
        let (config, _) = Config::load(config_path)?;
        let base = config_path.parent().unwrap_or(Path::new("."));
        let key = secrets::master_key(&config.hub.key, base)?;
        let store =
            Store::open(&base.join(&config.hub.database), MasterKey::new(*key.reveal()), clock.clone())?;
        let shared = Arc::new(Shared::new(config_path.to_owned(), config, store, clock, rand::random()));
        let hub = Self { shared };
        // A revision that cannot run must not keep anyone from looking at it.
        if let Err(error) = hub.load().await
            && !matches!(error, HubError::NothingApplied)
        {
            tracing::warn!("the active revision cannot run: {error}");
        }
        Ok(hub)
    }

    /// Makes the newest revision the running one.
    async fn load(&self) -> Result<Arc<Active>, HubError> {
        let revision = self.shared.store.active_revision().await?.ok_or(HubError::NothingApplied)?;
        let bundle: Bundle = serde_json::from_value(revision.bundle)
            .map_err(|e| HubError::Unavailable(format!("revision {} cannot be read: {e}", revision.id)))?;
        let active = admin::build(&self.shared, Some(revision.id), &bundle).await?;
        let active = Arc::new(active);
        self.shared.set_active(active.clone());
        Ok(active)
    }

    /// Runs pollers, workers and notices of the active revision until `stop` turns true; then lets what is running
    /// finish. A newer revision, applied meanwhile by anyone, takes over without a restart.
    ///
    /// # Errors
    /// When nothing is applied or the revision cannot run.
    pub async fn run(&self, stop: watch::Receiver<bool>) -> Result<(), HubError> {
        let mut active = match self.shared.active() {
            Ok(active) if active.revision == self.shared.store.active_revision_id().await? => active,
            _ => self.load().await?,
        };
        // One process works on a database: whatever is still leased was left by one that died.
        let _only = self.lock()?;
        self.shared.store.break_leases().await?;
        for name in active.links.keys() {
            process::keep_health(&self.shared, name).await?;
        }
        stock::refresh_all(&self.shared, &active).await?;
        let mut core = JoinSet::new();
        core.spawn(process::run(self.shared.clone(), stop.clone()));
        core.spawn(worker::run(self.shared.clone(), stop.clone()));
        let mut stopping = stop.clone();
        while !*stopping.borrow() {
            let (retire, retired) = watch::channel(false);
            let mut tasks = JoinSet::new();
            poller::start(&self.shared, &active, &retired, &mut tasks);
            notices::start(&self.shared, &active, &retired, &mut tasks);
            let newer = self.newer_revision(&active, &mut stopping).await;
            let _ = retire.send(true);
            while tasks.join_next().await.is_some() {}
            if let Some(newer) = newer {
                tracing::info!(revision = newer.revision, "a newer revision runs now");
                active = newer;
            }
        }
        while core.join_next().await.is_some() {}
        Ok(())
    }

    /// Held while this process works on the database; the system gives it back when the process dies.
    fn lock(&self) -> Result<std::fs::File, HubError> {
        let mut path = self.shared.base().join(&self.shared.config.hub.database).into_os_string();
        path.push(".lock");
        let path = std::path::PathBuf::from(path);
        let file = std::fs::File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|e| HubError::Unavailable(format!("cannot open {}: {e}", path.display())))?;
        file.try_lock().map_err(|_| {
            HubError::Unavailable(format!(
                "another hub works on this database (it holds {}): stop it first, or name another database",
                path.display()
            ))
        })?;
        Ok(file)
    }

    /// Waits for a revision newer than the running one that can run; `None` when it is time to stop.
    async fn newer_revision(&self, active: &Active, stop: &mut watch::Receiver<bool>) -> Option<Arc<Active>> {
        let mut refused = active.revision;
        loop {
            self.shared.pause(stop, Duration::from_secs(2)).await;
            if *stop.borrow() {
                return None;
            }
            let newest = match self.shared.store.active_revision_id().await {
                Ok(newest) => newest,
                Err(error) => {
                    tracing::error!(%error, "the database does not answer");
                    continue;
                }
            };
            if newest == refused {
                continue;
            }
            match self.load().await {
                Ok(newer) => return Some(newer),
                Err(error) => {
                    tracing::error!(revision = newest, %error, "the newest revision cannot run; the one before goes on");
                    refused = newest;
                }
            }
        }
    }

    /// The configuration file as read at the start.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Values of the API's bearer tokens.
    ///
    /// # Errors
    /// When a secret is missing.
    pub async fn api_tokens(&self) -> Result<Vec<Redacted<String>>, HubError> {
        let mut tokens = Vec::new();
        for reference in &self.shared.config.hub.api_tokens {
            tokens.push(match reference {
                SecretRef::Stored { stored } => {
                    let found = self.shared.store.secret_get(stored).await?;
                    found.ok_or_else(|| secrets::SecretError::Stored(stored.clone()))?
                }
                other => secrets::find(other, self.shared.base(), |_| None)?,
            });
        }
        Ok(tokens)
    }

    /// Whether the active revision runs and the database answers.
    ///
    /// # Errors
    /// What is not ready.
    pub async fn ready(&self) -> Result<(), HubError> {
        self.shared.active()?;
        self.shared.store.active_revision_id().await?;
        Ok(())
    }

    /// Takes a webhook: verified, durable, then `Ok`. Never does more.
    ///
    /// # Errors
    /// See [`IntakeError`].
    pub async fn accept_webhook(
        &self,
        connection: &str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Result<Intake, IntakeError> {
        let name = ConnectionName::new(connection).map_err(|_| IntakeError::UnknownConnection)?;
        let active = self.shared.active().map_err(|e| IntakeError::Unavailable(e.to_string()))?;
        let link = active.links.get(&name).ok_or(IntakeError::UnknownConnection)?;
        let count = |outcome: &'static str| {
            metrics::counter!("counterpart_webhooks_total", "connection" => name.to_string(), "outcome" => outcome)
                .increment(1);
        };
        let verified = link.connection.verify_webhook(&headers, &body).map_err(|error| {
            count("refused");
            match error {
                WebhookError::NoWebhooks => IntakeError::UnknownConnection,
                WebhookError::BadSignature | WebhookError::TooOld => {
                    IntakeError::BadSignature(error.to_string())
                }
                other => IntakeError::Unreadable(other.to_string()),
            }
        })?;
        let arrival = Arrival {
            connection: name.clone(),
            channel: Channel::Webhook,
            topic: verified.topic,
            event_id: verified.event_id,
            received_at: self.shared.now(),
            body,
        };
        let accepted =
            self.shared.store.accept(arrival).await.map_err(|e| IntakeError::Unavailable(e.to_string()))?;
        count(if accepted.repeated { "repeated" } else { "accepted" });
        Ok(Intake { repeated: accepted.repeated })
    }

    /// What to answer, as plain text, when a system tries the address for its webhooks; `None` when it does not.
    pub fn handshake(&self, connection: &str, query: &[(String, String)]) -> Option<String> {
        let name = ConnectionName::new(connection).ok()?;
        self.shared.active().ok()?.links.get(&name)?.connection.handshake(query)
    }

    /// Tries every connection of the file (not of the active revision).
    ///
    /// # Errors
    /// When the file cannot be run at all.
    pub async fn check(&self) -> Result<Vec<CheckView>, HubError> {
        admin::check(&self.shared).await
    }

    /// What the file would change in the active revision.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn plan(&self) -> Result<PlanView, HubError> {
        admin::plan(&self.shared).await
    }

    /// Plans a load against the limits of the file's connections.
    ///
    /// # Errors
    /// When the file cannot be run.
    pub async fn plan_limits(&self, load: &Load) -> Result<LimitsView, HubError> {
        admin::plan_limits(&self.shared, load).await
    }

    /// Makes the file the active revision; `base` is the plan's base.
    ///
    /// # Errors
    /// Refused with every problem; conflict when the base is no longer active.
    pub async fn apply(&self, base: Option<i64>, note: &str) -> Result<i64, HubError> {
        admin::apply(&self.shared, base, note).await
    }

    /// The active revision.
    ///
    /// # Errors
    /// When nothing is applied.
    pub async fn export(&self) -> Result<Bundle, HubError> {
        let revision = self.shared.store.active_revision().await?.ok_or(HubError::NothingApplied)?;
        serde_json::from_value(revision.bundle)
            .map_err(|e| HubError::Unavailable(format!("revision {} cannot be read: {e}", revision.id)))
    }

    /// How everything stands.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn status(&self) -> Result<Status, HubError> {
        answers::status(&self.shared).await
    }

    /// Everything about a record: `what` is a record id, a label, a number or a remote id. Several when that is shared.
    ///
    /// # Errors
    /// Not found.
    pub async fn explain(&self, kind: Kind, what: &str, payload: bool) -> Result<Vec<Explanation>, HubError> {
        let active = self.shared.active().ok();
        explain::explain(&self.shared, active.as_deref(), kind, what, payload).await
    }

    /// Records of a kind, newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn records(
        &self,
        kind: Kind,
        label: Option<&str>,
        limit: usize,
    ) -> Result<Vec<RecordView>, HubError> {
        answers::records(&self.shared, kind, label, limit).await
    }

    /// Deliveries, newest first.
    ///
    /// # Errors
    /// For an unknown flow or state.
    pub async fn deliveries(&self, query: DeliveryQuery) -> Result<Vec<DeliveryView>, HubError> {
        answers::deliveries(&self.shared, query).await
    }

    /// Review items, newest first.
    ///
    /// # Errors
    /// For an unknown reason.
    pub async fn reviews(&self, query: ReviewQuery) -> Result<Vec<ReviewView>, HubError> {
        answers::reviews(&self.shared, query).await
    }

    /// One review item with its particulars.
    ///
    /// # Errors
    /// Not found.
    pub async fn review(&self, id: i64) -> Result<ReviewView, HubError> {
        answers::review(&self.shared, id).await
    }

    /// Tries what waits again.
    ///
    /// # Errors
    /// Not found, or closed already.
    pub async fn retry(&self, id: i64, by: &str) -> Result<(), HubError> {
        review::retry(&self.shared, id, by).await
    }

    /// Changes the record by a merge patch (RFC 7396), then tries again.
    ///
    /// # Errors
    /// Not found, closed already, or a result that breaks the canonical shape.
    pub async fn edit(&self, id: i64, patch: Value, by: &str) -> Result<(), HubError> {
        review::edit(&self.shared, id, &patch, by).await
    }

    /// Throws away what waits; who did it stays on record.
    ///
    /// # Errors
    /// Not found, or closed already.
    pub async fn discard(&self, id: i64, by: &str) -> Result<(), HubError> {
        review::discard(&self.shared, id, by).await
    }

    /// Delivers again what changed since a moment; with `dry_run` only the difference is told.
    ///
    /// # Errors
    /// For an unknown flow.
    pub async fn replay(
        &self,
        flow: &str,
        since: Timestamp,
        dry_run: bool,
        by: &str,
    ) -> Result<ReplayReport, HubError> {
        let active = self.shared.active()?;
        replay::replay(&self.shared, &active, flow, since, dry_run, by).await
    }

    /// Captured samples, newest first.
    ///
    /// # Errors
    /// For an unknown connection.
    pub async fn samples(&self, connection: &str, topic: Option<&str>) -> Result<Vec<SampleView>, HubError> {
        answers::samples(&self.shared, connection, topic).await
    }

    /// Runs a connection's read mapping of a topic (overlays of the file included) on a sample.
    ///
    /// # Errors
    /// For an unknown connection or sample.
    pub async fn try_mapping(
        &self,
        connection: &str,
        topic: &str,
        sample: Sample,
    ) -> Result<MappingReport, HubError> {
        admin::try_mapping(&self.shared, connection, topic, sample).await
    }

    /// Keeps a secret in the database, encrypted.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn secret_set(&self, name: &str, value: Redacted<String>) -> Result<(), HubError> {
        Ok(self.shared.store.secret_put(name, value).await?)
    }

    /// Names of the secrets kept.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn secret_list(&self) -> Result<Vec<String>, HubError> {
        Ok(self.shared.store.secret_list().await?.into_iter().map(|s| s.name).collect())
    }

    /// Connectors there are, overlays of the file included.
    ///
    /// # Errors
    /// When an overlay does not compile.
    pub fn connectors(&self) -> Result<Vec<ConnectorView>, HubError> {
        admin::connectors(&self.shared)
    }
}

/// Values of the database's secrets that a configuration refers to.
pub(crate) async fn stored_secrets(
    shared: &Shared,
    config: &Config,
) -> Result<BTreeMap<String, Redacted<String>>, HubError> {
    let names: BTreeSet<String> = stored_names(config);
    let mut found = BTreeMap::new();
    for name in names {
        if let Some(value) = shared.store.secret_get(&name).await? {
            found.insert(name, value);
        }
    }
    Ok(found)
}

/// An hour, for the latency that the status shows.
pub(crate) const LATENCY_WINDOW: SignedDuration = SignedDuration::from_hours(1);
