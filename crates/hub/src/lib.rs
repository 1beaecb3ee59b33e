//! The thin async shell around the pure decisions: intake, processing, workers, pollers, and the answers people ask for.
//!
//! Never: SQL, routes, a vendor's name.

pub mod active;
mod admin;
mod answers;
pub mod apply;
pub mod config;
pub mod crash;
pub mod deliver;
pub mod error;
pub mod explain;
mod hints;
pub mod hub;
pub mod limits;
pub mod notices;
mod outcome;
pub mod plan;
mod poller;
pub mod process;
mod render;
mod replay;
mod resolve;
mod review;
pub mod secrets;
pub mod shared;
mod stock;
pub mod views;
mod worker;
