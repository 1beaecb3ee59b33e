//! What was declared, in the engine's terms: flows, ownership, stock.
//!
//! Never: evaluates a filter (the caller does, it is a program).

use std::collections::BTreeMap;

use counterpart_model::delivery::Freshness;
use counterpart_model::ids::{ConnectionName, FlowName};
use counterpart_model::kind::Kind;
use counterpart_model::record::Record;
use jiff::Timestamp;
use rust_decimal::Decimal;

/// Everything that decisions depend on.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Flows, in the order of their names.
    pub flows: Vec<Flow>,
    /// Whose word counts: kind, then top-level field of the payload (`*` for every other field).
    pub ownership: BTreeMap<Kind, BTreeMap<String, Owner>>,
    /// The connection whose stock figures count.
    pub stock_owner: Option<ConnectionName>,
    /// Held back everywhere, in stock units.
    pub safety: Decimal,
}

/// A rule that carries changes of one kind to one connection.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Name.
    pub name: FlowName,
    /// Kind of record.
    pub kind: Kind,
    /// Connections whose changes it carries.
    pub from: Vec<ConnectionName>,
    /// Where they go.
    pub to: ConnectionName,
    /// Whether it acts.
    pub state: FlowState,
    /// Records that began before this moment are not delivered.
    pub cut_over: Option<Timestamp>,
    /// When not empty, only records with one of these labels are delivered.
    pub allow: Vec<String>,
    /// Priority.
    pub freshness: Freshness,
    /// Orders are delivered while still draft or pending.
    pub include_unconfirmed: bool,
    /// The target shows how an order stands: whatever changes is written, not amendments alone.
    pub follows: bool,
    /// Difference of totals that is put down to rounding, in the currency's major unit.
    pub tolerance: Decimal,
}

/// Whether a flow acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowState {
    /// Does nothing.
    Off,
    /// Does everything but the write.
    Shadow,
    /// Writes.
    Live,
}

impl FlowState {
    /// Deliveries are made along it, be it only to be shown.
    pub fn acts(self) -> bool {
        self != Self::Off
    }
}

/// Who owns a field, and what happens to the edit of one who does not.
#[derive(Debug, Clone)]
pub struct Owner {
    /// The owner.
    pub connection: ConnectionName,
    /// What happens to others' edits.
    pub others: Others,
}

/// What happens to an edit by a connection that does not own the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Overwritten with the owner's value.
    Revert,
    /// Put before a person.
    Review,
    /// Taken.
    Accept,
}

impl Rules {
    /// Who owns a field of a kind. Stock figures belong to the stock's owner unless said otherwise.
    pub fn owner(&self, kind: Kind, field: &str) -> Option<Owner> {
        let declared =
            self.ownership.get(&kind).and_then(|fields| fields.get(field).or_else(|| fields.get("*")));
        let of_stock = || {
            let connection = self.stock_owner.clone().filter(|_| kind == Kind::Stock)?;
            Some(Owner { connection, others: Others::Revert })
        };
        declared.cloned().or_else(of_stock)
    }
}

impl Flow {
    /// Why the flow's phased start holds a record back; `None` when it does not.
    pub fn holds_back(&self, record: &Record) -> Option<String> {
        if self.state == FlowState::Off {
            return Some(format!("flow {} is off", self.name));
        }
        if let Some(cut_over) = self.cut_over
            && began(record) < cut_over
        {
            return Some(format!("flow {} begins at its cut-over {cut_over}", self.name));
        }
        let allowed = |label: &String| self.allow.contains(label);
        if !self.allow.is_empty() && !record.label.as_ref().is_some_and(allowed) {
            return Some(format!("flow {} has an allow-list that does not name it", self.name));
        }
        None
    }
}

/// When the real thing began: an order when it was placed, anything else when we first knew of it.
fn began(record: &Record) -> Timestamp {
    let placed = record.payload.get("placed_at").and_then(|v| v.as_str()).and_then(|t| t.parse().ok());
    placed.unwrap_or(record.created_at)
}
