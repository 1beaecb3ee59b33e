//! The async shell around the decisions: intake, workers, pollers, reconciliation.
//!
//! Never: SQL, routes, a vendor's name, a decision that the engine could make.

pub mod config;
pub mod plan;
pub mod secrets;
