//! The thin async shell around the pure decisions: intake, processing, workers, pollers, and the answers people ask for.
//!
//! Never: SQL, routes, a vendor's name.

pub mod config;
pub mod error;
pub mod hub;
pub mod plan;
pub mod secrets;
pub mod views;
