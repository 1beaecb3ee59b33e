//! The hub as its callers see it: one handle for the command line and the HTTP API.
//!
//! Never: routes, SQL, a vendor's name.

use std::path::Path;
use std::sync::Arc;

use counterpart_model::clock::Clock;
use counterpart_model::kind::Kind;
use counterpart_model::redact::Redacted;
use jiff::Timestamp;
use serde_json::Value;

use crate::config::Config;
use crate::error::{HubError, IntakeError};
use crate::plan::Bundle;
use crate::views::*;

/// One handle on everything: the database, the active revision, the clock. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Config>,
}

fn todo<T>() -> Result<T, HubError> {
    Err(HubError::Unavailable("not built yet".into()))
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
    pub async fn open(config_path: &Path, _clock: Arc<dyn Clock>) -> Result<Self, HubError> {
        let (config, _) = Config::load(config_path)?;
        Ok(Self { inner: Arc::new(config) })
    }
    /// Runs pollers, workers and notices of the active revision until `stop` turns true; then lets what is running finish.
    ///
    /// # Errors
    /// When nothing is applied or the revision cannot run.
    pub async fn run(&self, _stop: tokio::sync::watch::Receiver<bool>) -> Result<(), HubError> {
        todo()
    }
    /// The configuration file as read at the start.
    pub fn config(&self) -> &Config {
        &self.inner
    }
    /// Values of the API's bearer tokens.
    ///
    /// # Errors
    /// When a secret is missing.
    pub async fn api_tokens(&self) -> Result<Vec<Redacted<String>>, HubError> {
        todo()
    }
    /// Whether the active revision runs and the database answers.
    ///
    /// # Errors
    /// What is not ready.
    pub async fn ready(&self) -> Result<(), HubError> {
        todo()
    }
    /// Takes a webhook: verified, durable, then `Ok`. Never does more.
    ///
    /// # Errors
    /// See [`IntakeError`].
    pub async fn accept_webhook(
        &self,
        _connection: &str,
        _headers: Vec<(String, String)>,
        _body: Vec<u8>,
    ) -> Result<Intake, IntakeError> {
        Err(IntakeError::UnknownConnection)
    }
    /// Tries every connection of the file (not of the active revision).
    ///
    /// # Errors
    /// When the file cannot be run at all.
    pub async fn check(&self) -> Result<Vec<CheckView>, HubError> {
        todo()
    }
    /// What the file would change in the active revision.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn plan(&self) -> Result<PlanView, HubError> {
        todo()
    }
    /// Makes the file the active revision; `base` is the plan's base.
    ///
    /// # Errors
    /// Refused with every problem; conflict when the base is no longer active.
    pub async fn apply(&self, _base: Option<i64>, _note: &str) -> Result<i64, HubError> {
        todo()
    }
    /// The active revision.
    ///
    /// # Errors
    /// When nothing is applied.
    pub async fn export(&self) -> Result<Bundle, HubError> {
        todo()
    }
    /// How everything stands.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn status(&self) -> Result<Status, HubError> {
        todo()
    }
    /// Everything about a record: `what` is a record id, a label, a number or a remote id. Several when that is shared.
    ///
    /// # Errors
    /// Not found.
    pub async fn explain(&self, _kind: Kind, _what: &str, _payload: bool) -> Result<Vec<Explanation>, HubError> {
        todo()
    }
    /// Records of a kind, newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn records(&self, _kind: Kind, _label: Option<&str>, _limit: usize) -> Result<Vec<RecordView>, HubError> {
        todo()
    }
    /// Deliveries, newest first.
    ///
    /// # Errors
    /// For an unknown flow or state.
    pub async fn deliveries(&self, _query: DeliveryQuery) -> Result<Vec<DeliveryView>, HubError> {
        todo()
    }
    /// Review items, newest first.
    ///
    /// # Errors
    /// For an unknown reason.
    pub async fn reviews(&self, _query: ReviewQuery) -> Result<Vec<ReviewView>, HubError> {
        todo()
    }
    /// One review item with its particulars.
    ///
    /// # Errors
    /// Not found.
    pub async fn review(&self, _id: i64) -> Result<ReviewView, HubError> {
        todo()
    }
    /// Tries what waits again.
    ///
    /// # Errors
    /// Not found, or closed already.
    pub async fn retry(&self, _id: i64, _by: &str) -> Result<(), HubError> {
        todo()
    }
    /// Changes the record by a merge patch (RFC 7396), then tries again.
    ///
    /// # Errors
    /// Not found, closed already, or a result that breaks the canonical shape.
    pub async fn edit(&self, _id: i64, _patch: Value, _by: &str) -> Result<(), HubError> {
        todo()
    }
    /// Throws away what waits; who did it stays on record.
    ///
    /// # Errors
    /// Not found, or closed already.
    pub async fn discard(&self, _id: i64, _by: &str) -> Result<(), HubError> {
        todo()
    }
    /// Delivers again what changed since a moment; with `dry_run` only the difference is told.
    ///
    /// # Errors
    /// For an unknown flow.
    pub async fn replay(&self, _flow: &str, _since: Timestamp, _dry_run: bool, _by: &str) -> Result<ReplayReport, HubError> {
        todo()
    }
    /// Captured samples, newest first.
    ///
    /// # Errors
    /// For an unknown connection.
    pub async fn samples(&self, _connection: &str, _topic: Option<&str>) -> Result<Vec<SampleView>, HubError> {
        todo()
    }
    /// Runs a connection's read mapping of a topic (overlays of the file included) on a sample.
    ///
    /// # Errors
    /// For an unknown connection or sample.
    pub async fn try_mapping(&self, _connection: &str, _topic: &str, _sample: Sample) -> Result<MappingReport, HubError> {
        todo()
    }
    /// Keeps a secret in the database, encrypted.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn secret_set(&self, _name: &str, _value: Redacted<String>) -> Result<(), HubError> {
        todo()
    }
    /// Names of the secrets kept.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn secret_list(&self) -> Result<Vec<String>, HubError> {
        todo()
    }
    /// Connectors there are.
    ///
    /// # Errors
    /// When an overlay does not compile.
    pub fn connectors(&self) -> Result<Vec<ConnectorView>, HubError> {
        todo()
    }
}
