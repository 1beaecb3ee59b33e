//! What goes into the store and comes out of it, beside the model's own types.
//!
//! Never: holds a key; knows a table.

use std::collections::BTreeMap;

use counterpart_model::change::{Change, ChangeOutcome, Channel};
use counterpart_model::delivery::{Delivery, DeliveryState, Lane};
use counterpart_model::ids::{ConnectionName, FlowName, RecordId, RowId};
use counterpart_model::kind::Kind;
use counterpart_model::redact::Redacted;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What became of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its inbox row, or the row of the one it repeats.
    pub id: RowId,
    /// It had arrived before; nothing was written.
    pub repeated: bool,
}

/// One finished read of a stream (or one page of it).
#[derive(Debug, Clone)]
pub struct Polled {
    /// Where it was read.
    pub connection: ConnectionName,
    /// The stream, whose cursor moves.
    pub stream: String,
    /// When the read began.
    pub read_began: Timestamp,
    /// What was read.
    pub items: Vec<PolledItem>,
    /// Where the next read goes on; `None` leaves the cursor where it is.
    pub cursor: Option<Value>,
}

/// One thing that a read found.
#[derive(Debug, Clone)]
pub struct PolledItem {
    /// Topic under which it goes into the inbox.
    pub topic: String,
    /// Its identity there: the remote id.
    pub key: String,
    /// Hash of what was seen; an equal one means that nothing changed since it was last seen.
    pub fingerprint: String,
    /// Event id for the inbox. When it was used before although the fingerprint differs from what was last seen (a
    /// thing that changed and changed back), the time of reading is appended, so that the change is not lost.
    pub event_id: String,
    /// How it was found.
    pub channel: Channel,
    /// Raw body.
    pub body: Vec<u8>,
}

/// What a read only named, for something else to read.
#[derive(Debug, Clone)]
pub struct PolledNames {
    /// Connection.
    pub connection: ConnectionName,
    /// Topic under which the versions are remembered.
    pub topic: String,
    /// When the read began.
    pub read_began: Timestamp,
    /// Remote ids with the version that each was named in.
    pub names: Vec<(String, String)>,
}

/// What became of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolledResult {
    /// Items put into the inbox.
    pub new: usize,
    /// Items seen before as they are.
    pub unchanged: usize,
}

/// Where a stream stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// What the connector made of it.
    pub value: Value,
    /// When it was last written, moved or not.
    pub updated_at: Timestamp,
}

/// Where an inbox entry stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxState {
    /// `pending`, `done`, `duplicate`, `filtered`, `in_review`, ...
    pub state: String,
    /// The whole outcome, such as `filtered: <rule>`, once there is one.
    pub outcome: Option<String>,
    /// When a pending one is due.
    pub next_at: Option<Timestamp>,
    /// Why it was last put off.
    pub message: Option<String>,
}

/// What a commit wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// Rows of the deliveries added, in the order of their effects.
    pub deliveries: Vec<RowId>,
}

/// One version of a record, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEntry {
    /// Version.
    pub version: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Where it came from.
    pub cause: String,
}

/// Which lanes a worker asks for.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// The present moment.
    pub now: Timestamp,
    /// When the leases run out unless renewed.
    pub until: Timestamp,
    /// At most so many lanes.
    pub max_lanes: usize,
    /// At most so many lanes of a connection in this call; a connection that is not named has no such limit.
    pub max_per_connection: BTreeMap<ConnectionName, usize>,
    /// Connections that are paused or down.
    pub skip: Vec<ConnectionName>,
}

/// A lane that this worker holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Leased {
    /// The lane.
    pub lane: Lane,
    /// Fencing token: later leases of any lane have higher ones.
    pub token: i64,
    /// Every open delivery of the lane in order, due or not, blocked and in-review ones too.
    pub heads: Vec<Delivery>,
}

impl Leased {
    /// Deliveries that may be worked on now, in order: from the first that nothing holds back up to the first that is
    /// not due yet.
    ///
    /// A blocked or in-review delivery holds back later ones of its own record; other records' go on.
    pub fn workable(&self, now: Timestamp) -> Vec<&Delivery> {
        let mut held = Vec::new();
        let mut free = Vec::new();
        for delivery in &self.heads {
            let record = delivery.spec.record;
            match delivery.state {
                _ if held.contains(&record) => {}
                DeliveryState::Ready | DeliveryState::Unknown if delivery.spec.next_at <= now => {
                    free.push(delivery)
                }
                DeliveryState::Ready | DeliveryState::Unknown => break,
                _ => held.push(record),
            }
        }
        free
    }
}

/// Open deliveries of what?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// A lane.
    Lane(Lane),
    /// A record, on any lane.
    Record(RecordId),
}

impl From<Lane> for Of {
    fn from(lane: Lane) -> Self {
        Self::Lane(lane)
    }
}

impl From<RecordId> for Of {
    fn from(record: RecordId) -> Self {
        Self::Record(record)
    }
}

/// Which deliveries to list: every given field must match.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Flow.
    pub flow: Option<FlowName>,
    /// State.
    pub state: Option<DeliveryState>,
    /// Target connection.
    pub connection: Option<ConnectionName>,
    /// Written at or after this moment.
    pub since: Option<Timestamp>,
    /// Reached a final state at or after this moment.
    pub finished_since: Option<Timestamp>,
    /// At most so many; 0 stands for 50.
    pub limit: usize,
}

/// Which review items to list: every given field must match.
#[derive(Debug, Clone, Default)]
pub struct ReviewFilter {
    /// Closed ones too.
    pub all: bool,
    /// Reason, such as `rejected`.
    pub reason: Option<String>,
    /// Connection at fault or aimed at.
    pub connection: Option<ConnectionName>,
    /// At most so many, newest first; 0 stands for 50.
    pub limit: usize,
}

/// Which changes to list: every given field must match.
#[derive(Debug, Clone, Default)]
pub struct ChangeFilter {
    /// One of these connections; empty for any.
    pub connections: Vec<ConnectionName>,
    /// Kind.
    pub kind: Option<Kind>,
    /// Recorded at or after this moment.
    pub since: Option<Timestamp>,
    /// Outcome by name, such as `applied`.
    pub outcome: Option<String>,
    /// Rows after this one: pages through a long list.
    pub after: RowId,
    /// At most so many, oldest first; 0 stands for no limit.
    pub limit: usize,
}

/// A change as recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredChange {
    /// Row.
    pub id: RowId,
    /// Inbox entry it was read from.
    pub inbox: Option<RowId>,
    /// The change.
    pub change: Change,
    /// How it ended.
    pub outcome: ChangeOutcome,
    /// The record it is about, when that is known.
    pub record: Option<RecordId>,
    /// When it was recorded.
    pub at: Timestamp,
}

/// The counts that must add up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Accounts {
    /// Inbox entries by state.
    pub inbox: BTreeMap<String, u64>,
    /// Changes by outcome.
    pub changes: BTreeMap<String, u64>,
    /// Deliveries by state.
    pub deliveries: BTreeMap<String, u64>,
    /// Deliveries by flow, then state.
    pub flows: BTreeMap<String, BTreeMap<String, u64>>,
    /// Open review items.
    pub reviews_open: u64,
}

/// Something that is in no end state and waits nowhere: a fault of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unaccounted {
    /// `inbox`, `change` or `delivery`.
    pub what: String,
    /// Row.
    pub id: RowId,
    /// What is wrong with it.
    pub why: String,
}

/// Percentiles of one flow's time from arrival to confirmation, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// How many were delivered.
    pub count: u64,
    /// Half are faster.
    pub p50: u64,
    /// 95 of 100 are faster.
    pub p95: u64,
    /// 99 of 100 are faster.
    pub p99: u64,
    /// The slowest.
    pub max: u64,
}

/// Durable state of a scheduled job.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// What the job keeps between runs.
    pub value: Value,
    /// When it is due next.
    pub next_at: Option<Timestamp>,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// One configuration revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// Row; the highest is the active one.
    pub id: i64,
    /// The revision it replaced.
    pub base: Option<i64>,
    /// What was declared.
    pub bundle: Value,
    /// Why, in a person's words.
    pub note: String,
    /// When it was put.
    pub at: Timestamp,
}

/// A secret's name and age, never its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretEntry {
    /// Name.
    pub name: String,
    /// When it was last put.
    pub updated_at: Timestamp,
}

/// A captured arrival to try mappings on.
#[derive(Debug, Clone)]
pub struct StoredSample {
    /// Row.
    pub id: RowId,
    /// Where from.
    pub connection: ConnectionName,
    /// Topic.
    pub topic: String,
    /// When it was captured.
    pub at: Timestamp,
    /// Raw body.
    pub body: Redacted<Vec<u8>>,
}

/// How much room the database takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// The file without its write-ahead log.
    pub file: u64,
    /// Of that, free for new rows.
    pub free: u64,
    /// The write-ahead log.
    pub log: u64,
}
