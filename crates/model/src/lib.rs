//! Canonical records, money, ids, versions, states and their legal transitions.
//!
//! Every other crate sees this one; it sees none. Never: I/O, async, a clock of its own, a vendor's name.

pub mod change;
pub mod check;
pub mod clock;
pub mod currency;
pub mod delivery;
pub mod effect;
pub mod engagement;
pub mod finance;
pub mod fulfilment;
pub mod ids;
pub mod item;
pub mod kind;
pub mod lifecycle;
pub mod money;
pub mod order;
pub mod party;
pub mod personal;
pub mod price;
pub mod procurement;
pub mod quantity;
pub mod record;
pub mod redact;
pub mod refs;
pub mod returns;
mod rules;
pub mod schema;
pub mod shape;
pub mod stock;
pub mod time;
pub mod upcast;
