//! What a decision wants written, as plain data.
//!
//! The engine decides and returns effects; the store writes a list of them in one transaction; the simulation applies
//! the same list to a model store. Nothing else changes records, counterparts, deliveries or reviews.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::change::{Change, ChangeOutcome};
use crate::delivery::{Attempt, DeliveryState, Intent, Lane, NewDelivery, NewReview, ReviewSubject};
use crate::ids::{ConnectionName, RecordId, RowId};
use crate::record::{Counterpart, Record};

/// One write. A list of them is atomic.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Writes a record version. Fails the whole list with a conflict when the stored version is not `expected`
    /// (`None`: the record must not exist).
    PutRecord {
        /// The new version.
        record: Record,
        /// Version it replaces.
        expected: Option<u64>,
        /// Deterministic keys under which it can be found again, blind-indexed: `("email", "ada@example.com")`.
        keys: Vec<(String, String)>,
        /// Where the version came from, for the timeline.
        cause: String,
    },
    /// Inserts or replaces a counterpart (same connection, external id, role and record) and wakes deliveries that
    /// wait for its record there. Fails with a conflict when the external id is `Primary` for another record.
    PutCounterpart(Box<Counterpart>),
    /// Records a change and how it ended.
    EndChange {
        /// The inbox entry it was read from.
        inbox: Option<RowId>,
        /// The change.
        change: Box<Change>,
        /// How it ended.
        outcome: ChangeOutcome,
    },
    /// The inbox entry is dealt with: its changes are recorded, or it waits in review.
    EndInbox {
        /// Row.
        inbox: RowId,
        /// `done`, `duplicate`, `filtered: <rule>` or `in_review`.
        outcome: String,
    },
    /// Writes a delivery. Open deliveries named in `supersedes` end as superseded by it.
    AddDelivery {
        /// The delivery.
        delivery: Box<NewDelivery>,
        /// Rows that it replaces.
        supersedes: Vec<RowId>,
    },
    /// Fails the whole list unless the lane is still leased with this token.
    RequireLease {
        /// The lane.
        lane: Lane,
        /// Fencing token given with the lease.
        token: i64,
    },
    /// Gives the lane back.
    ReleaseLane {
        /// The lane.
        lane: Lane,
        /// Fencing token.
        token: i64,
    },
    /// Records that a step's request is about to be sent.
    SetIntent {
        /// The delivery.
        delivery: RowId,
        /// What is about to happen; `None` once its outcome is recorded.
        intent: Option<Intent>,
    },
    /// Moves a delivery.
    SetDelivery {
        /// The delivery.
        delivery: RowId,
        /// Its new state.
        state: DeliveryState,
        /// When it is due next (ready, unknown).
        next_at: Option<Timestamp>,
        /// New count of failures.
        failures: u32,
        /// Results of finished steps.
        progress: Value,
        /// Words for a person.
        message: Option<String>,
        /// Records whose counterparts in the target connection it waits for (blocked).
        waits_for: Vec<RecordId>,
    },
    /// Appends an attempt.
    AddAttempt(Box<Attempt>),
    /// Opens a review item, unless one is open for the same subject and reason (then its message is refreshed).
    OpenReview(Box<NewReview>),
    /// Closes what is open for a subject.
    CloseReviews {
        /// The subject.
        subject: ReviewSubject,
        /// `retried`, `edited`, `discarded`, `resolved`.
        how: String,
        /// Who.
        by: String,
    },
    /// Replaces an order's reservations.
    PutReservations {
        /// The order.
        order: RecordId,
        /// All of them; an empty list ends them.
        rows: Vec<Reservation>,
    },
}

/// Quantity of one item that an accepted order holds until an ERP figure includes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reservation {
    /// The order.
    pub order: RecordId,
    /// The order's line.
    pub line: String,
    /// The item.
    pub item: RecordId,
    /// Canonical location code; empty for the connection's default location.
    pub location: String,
    /// The store that accepted the order.
    pub store: ConnectionName,
    /// Ordered less cancelled: what the ERP has to commit, in the item's stock unit.
    pub quantity: Decimal,
    /// What the store itself still holds for it: ordered less cancelled less fulfilled as far as we have seen there.
    pub open_in_store: Decimal,
    /// When the order was confirmed in the ERP. Figures whose read began later already include it.
    pub confirmed_at: Option<Timestamp>,
}
