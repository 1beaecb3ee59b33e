//! Golden records and their counterparts, as they are stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{ConnectionName, ExternalId, RecordId};
use crate::kind::Kind;

/// The golden record: our canonical version of one real-world thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Identity, for ever.
    pub id: RecordId,
    /// What it is.
    pub kind: Kind,
    /// Grows by one with every change; 1 when created.
    pub version: u64,
    /// What people call it: an order's number, an item's SKU. Never a personal datum, never an identity.
    pub label: Option<String>,
    /// The canonical payload: a JSON object that passed [`crate::check::check`] for its kind.
    pub payload: Value,
    /// When the first change that made it was applied.
    pub created_at: Timestamp,
    /// When its newest version was written.
    pub updated_at: Timestamp,
}

/// What part a counterpart plays for its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The thing itself; one per record, connection, scope and type.
    Primary,
    /// One of several things that together are the record (an order split over two ERP companies).
    Part,
    /// One remote thing that stands for many records by policy (one web-customer party for all guests).
    Shared,
    /// Another id of the same thing (merged away at the vendor, or a second key).
    Alias,
}

/// A link from a record to the same thing in one connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counterpart {
    /// The record it belongs to.
    pub record: RecordId,
    /// The record's kind, repeated for look-ups.
    pub kind: Kind,
    /// Which system it is in.
    pub connection: ConnectionName,
    /// What it is there.
    pub external: ExternalId,
    /// What part it plays.
    pub role: Role,
    /// The human number there, such as an ERP's sale number.
    pub number: Option<String>,
    /// Ids of parts inside it that later writes need, such as `{"lines": {"<our line id>": "<their line id>"}}`.
    pub links: Value,
    /// The canonical payload last observed there (after our own write too): the base of the three-way merge.
    pub observed: Option<Value>,
    /// Version of what was observed.
    pub observed_version: Option<SourceVersion>,
    /// The canonical payload last written there by us.
    pub written: Option<Value>,
    /// The record version last written there.
    pub written_version: Option<u64>,
    /// No further change is expected there, so the watch set leaves it out.
    pub settled: bool,
    /// When the link was made or last changed.
    pub updated_at: Timestamp,
}

/// How new an observation is: source time or sequence, when our read began, and what was seen.
///
/// An equal or coarse source time with another fingerprint asks for a read-back; of two read-backs the one whose read
/// began later wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceVersion {
    /// The remote system's own modification time, when it has one that moves.
    pub at: Option<Timestamp>,
    /// The remote system's own sequence or revision, when it has one.
    pub sequence: Option<u64>,
    /// When our read of it began (for a webhook: when it was received).
    pub read_began: Timestamp,
    /// Keyed hash of the canonical payload, hex.
    pub fingerprint: String,
}
