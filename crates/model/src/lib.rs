//! Canonical records, money, ids, versions, states and their legal transitions.
//!
//! Every other crate sees this one; it sees none. Never: I/O, async, a clock of its own, a vendor's name.

pub mod change;
pub mod clock;
pub mod delivery;
pub mod effect;
pub mod ids;
pub mod kind;
pub mod record;
pub mod redact;
