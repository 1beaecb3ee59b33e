//! The decisions, pure: merge, ownership, routing, what can be sold, what a delivery does next.
//!
//! Plain data in, effects out; the store writes them, the simulation applies them to a model. Never: I/O, async, a
//! clock or randomness of its own, a vendor's name.

pub mod apply;
pub mod breaker;
pub mod deliver;
pub mod diff;
pub mod merge;
pub mod orders;
pub mod rules;
pub mod stock;
pub mod totals;

#[cfg(test)]
mod fixtures;
