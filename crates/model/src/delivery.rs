//! Deliveries, their attempts, and where they wait for a person.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{ConnectionName, FlowName, RecordId, RowId};
use crate::kind::Kind;

/// Target connection and aggregate root: what is delivered in order, by one worker at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lane {
    /// Where to.
    pub connection: ConnectionName,
    /// The order, item or customer that everything on the lane belongs to.
    pub root: RecordId,
}

/// What a delivery is to do there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Make the remote thing agree with the record, creating it where needed.
    Upsert,
    /// Change one that exists.
    Amend,
    /// Cancel one that exists.
    Cancel,
    /// Tell the source that what it asked for was refused.
    Refuse,
    /// Remove it.
    Delete,
}

impl Action {
    /// Name in manifests, database and API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Amend => "amend",
            Self::Cancel => "cancel",
            Self::Refuse => "refuse",
            Self::Delete => "delete",
        }
    }
}

/// How soon a change must arrive; also its priority within a connection's budget.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    /// Under 60 s, target under 5 s.
    Transactional,
    /// 15 to 30 minutes.
    Aggregate,
    /// Daily or weekly.
    Batch,
    /// At set times.
    OnSchedule,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Due at `next_at`.
    Ready,
    /// Waits for counterparts of other records to exist; holds no lease.
    Blocked,
    /// An attempt was sent and its outcome is not known; verified at `next_at`.
    Unknown,
    /// Waits for a person.
    InReview,
    /// Confirmed there.
    Delivered,
    /// A newer state of the same record took its place, or nothing was left to do.
    Superseded,
    /// The flow is in shadow: everything but the write was done.
    Shadowed,
    /// A rule at delivery time said no.
    Filtered,
    /// A person threw it away.
    Discarded,
}

impl DeliveryState {
    /// No further work will be done on it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Superseded | Self::Shadowed | Self::Filtered | Self::Discarded)
    }

    /// Name in database and API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
            Self::InReview => "in_review",
            Self::Delivered => "delivered",
            Self::Superseded => "superseded",
            Self::Shadowed => "shadowed",
            Self::Filtered => "filtered",
            Self::Discarded => "discarded",
        }
    }
}

/// A delivery that is to be written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewDelivery {
    /// The flow it goes along.
    pub flow: FlowName,
    /// Its lane.
    pub lane: Lane,
    /// What is delivered.
    pub record: RecordId,
    /// Its kind.
    pub kind: Kind,
    /// Record version that caused it.
    pub version: u64,
    /// What to do there.
    pub action: Action,
    /// Priority.
    pub freshness: Freshness,
    /// When it is first due.
    pub next_at: Timestamp,
    /// For kinds delivered as events: the payload as it was. `None`: rendered from the record when claimed.
    pub payload: Option<Value>,
    /// When the source's change arrived here: the start of the latency clock.
    pub origin_at: Timestamp,
    /// State to begin in: `Ready`, or `Shadowed` never (decided at claim time).
    pub reason: Option<String>,
}

/// A delivery as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Row.
    pub id: RowId,
    /// What was asked for.
    #[serde(flatten)]
    pub spec: NewDelivery,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts that counted against the retry schedule.
    pub failures: u32,
    /// Results of finished steps by step name, durable between attempts.
    pub progress: Value,
    /// The step whose request was sent and whose outcome is not recorded, with the time of sending.
    pub intent: Option<Intent>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it reached a final state.
    pub finished_at: Option<Timestamp>,
    /// Newest failure or cause of waiting, in words for a person.
    pub message: Option<String>,
}

/// Committed before anything is sent: if we crash now, this is what may have happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The step.
    pub step: String,
    /// When it was about to be sent.
    pub sent_at: Timestamp,
    /// Idempotency key sent with it, stable over retries of the delivery.
    pub key: String,
}

/// What kind of failure an attempt met; decides what happens next, never by matching text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// May go away: connection refused, 5xx, time-out before sending.
    Transient,
    /// The remote system asked us to slow down; uses up no attempt.
    Throttled,
    /// Credentials refused; the connection pauses.
    Unauthorised,
    /// The remote system understood and said no; to review at once.
    Rejected,
    /// It may or may not have been done; verified by reading.
    Unknown,
}

impl FailureClass {
    /// Name in manifests, database and API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Unauthorised => "unauthorised",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
        }
    }
}

/// One try at a step of a delivery. Request and response are redacted before they get here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The delivery.
    pub delivery: RowId,
    /// The step.
    pub step: String,
    /// When the request was sent.
    pub at: Timestamp,
    /// How long the answer took.
    pub millis: u64,
    /// `None` for success.
    pub failure: Option<FailureClass>,
    /// HTTP status, when there was one.
    pub status: Option<u16>,
    /// What happened, in words for a person; no personal datum.
    pub message: String,
    /// The request sent (method, path, body), stored encrypted.
    pub request: Option<Value>,
    /// The response, capped in size, stored encrypted.
    pub response: Option<Value>,
}

/// Why something waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewReason {
    /// The remote system refused it.
    Rejected,
    /// Retries are used up.
    RetriesExhausted,
    /// Unknown outcome of an operation that cannot be verified.
    UnknownOutcome,
    /// A mapping failed on it.
    MappingFailed,
    /// What came out of the mapping breaks the canonical shape or a rule of money or quantity.
    Invalid,
    /// Totals differ between the two sides beyond the tolerance.
    TotalsDiffer,
    /// A required counterpart is missing and no flow will make it.
    MissingCounterpart,
    /// A code has no entry in a reference map.
    MissingReference,
    /// Two candidates, or doubtful identity.
    Ambiguous,
    /// A field that two systems keep changing, or a non-owner's edit that the rules send here.
    Conflict,
    /// The target refused a cancellation or an edit.
    Refused,
    /// Records that need each other in a circle.
    Cycle,
    /// An arrival that cannot be read at all.
    Unreadable,
}

impl ReviewReason {
    /// Name in database and API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::RetriesExhausted => "retries_exhausted",
            Self::UnknownOutcome => "unknown_outcome",
            Self::MappingFailed => "mapping_failed",
            Self::Invalid => "invalid",
            Self::TotalsDiffer => "totals_differ",
            Self::MissingCounterpart => "missing_counterpart",
            Self::MissingReference => "missing_reference",
            Self::Ambiguous => "ambiguous",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Cycle => "cycle",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what", content = "id")]
pub enum ReviewSubject {
    /// A delivery.
    Delivery(RowId),
    /// An inbox entry that could not be made into changes.
    Inbox(RowId),
    /// A record with a match or conflict to settle.
    Record(RecordId),
}

/// A review item that is to be opened. One that is open for the same subject and reason is kept instead of doubled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewReview {
    /// What waits.
    pub subject: ReviewSubject,
    /// Why.
    pub reason: ReviewReason,
    /// One line for a person: what is wrong and what to do. No personal datum.
    pub message: String,
    /// Particulars: the field at fault, its path, what was expected, candidates. Stored encrypted.
    pub detail: Value,
    /// The connection at fault or aimed at.
    pub connection: Option<ConnectionName>,
    /// The record concerned, when there is one.
    pub record: Option<RecordId>,
}

/// A review item as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// Row.
    pub id: RowId,
    /// What was opened.
    #[serde(flatten)]
    pub item: NewReview,
    /// When.
    pub opened_at: Timestamp,
    /// When a person or a later success closed it.
    pub closed_at: Option<Timestamp>,
    /// How it was closed: `retried`, `edited`, `discarded`, `resolved`.
    pub closed_as: Option<String>,
    /// Who closed it.
    pub closed_by: Option<String>,
}
