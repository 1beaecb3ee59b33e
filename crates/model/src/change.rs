//! What arrived and what was made of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{ConnectionName, ExternalId, RecordId, RowId};
use crate::kind::Kind;
use crate::record::{Role, SourceVersion};

/// How an arrival reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Pushed by the remote system.
    Webhook,
    /// Read by a stream's cursor.
    Poll,
    /// Re-read because its counterpart is not settled yet.
    Watch,
    /// Read back after a hint or a write.
    ReadBack,
    /// Put in through the API or the command line.
    Api,
}

/// One thing that arrived, before anything is made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// Where from.
    pub connection: ConnectionName,
    /// How.
    pub channel: Channel,
    /// Webhook topic or stream name.
    pub topic: String,
    /// Unique within connection and topic: a repeated one has no effect.
    pub event_id: String,
    /// When it arrived (webhook) or when the read that found it began.
    pub received_at: Timestamp,
    /// Raw body.
    pub body: Vec<u8>,
}

/// An inbox entry: an arrival with its row.
#[derive(Debug, Clone, PartialEq)]
pub struct InboxEntry {
    /// Row.
    pub id: RowId,
    /// What arrived.
    pub arrival: Arrival,
    /// How often processing was tried and failed for a transient reason.
    pub tries: u32,
}

/// One observed fact from a connection, in canonical form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Where it was observed.
    pub connection: ConnectionName,
    /// What it is about.
    pub kind: Kind,
    /// Its identity there.
    pub external: ExternalId,
    /// The part that thing plays for its record.
    pub role: Role,
    /// What people call it, never a personal datum.
    pub label: Option<String>,
    /// How new it is.
    pub version: SourceVersion,
    /// The thing was deleted there; `payload` is then null.
    pub deleted: bool,
    /// No further change is expected there.
    pub settled: bool,
    /// Ids of parts inside it, kept on the counterpart.
    pub links: Value,
    /// The canonical payload.
    pub payload: Value,
}

/// How a change ended. Every change has exactly one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum ChangeOutcome {
    /// It made or changed a record; deliveries, if any, were written with it.
    Applied {
        /// The record.
        record: RecordId,
        /// The version it made.
        version: u64,
        /// How many deliveries it caused.
        deliveries: u32,
        /// Deliveries a filter, a cut-over time or an allow-list held back, with the rule that did it.
        filtered: Vec<String>,
    },
    /// It said what was already known.
    Duplicate,
    /// Something newer from the same source was already applied.
    Stale,
    /// It was our own write coming back.
    Echo,
    /// A rule said no; which one.
    Filtered {
        /// Name of the rule.
        rule: String,
    },
    /// Applied, but no flow wants this kind from this connection.
    Unrouted {
        /// The record.
        record: RecordId,
    },
    /// It waits for a person.
    InReview {
        /// The review item's reason.
        reason: String,
    },
    /// A person threw it away.
    Discarded {
        /// Who.
        by: String,
    },
    /// It belonged to an erased person.
    Erased,
}

impl ChangeOutcome {
    /// The outcome's name as counted and shown.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Applied { .. } => "applied",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Echo => "echo",
            Self::Filtered { .. } => "filtered",
            Self::Unrouted { .. } => "unrouted",
            Self::InReview { .. } => "in_review",
            Self::Discarded { .. } => "discarded",
            Self::Erased => "erased",
        }
    }
}
