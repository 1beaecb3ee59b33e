//! The connector runtime: what speaks outward. It reads folders of data ([`catalog`]) and runs them over a configured
//! system ([`connection`]).
//!
//! Never: knows a vendor's name, writes to our database, decides what is to be delivered.

mod auth;
mod budget;
pub mod catalog;
mod checking;
mod classify;
pub mod conformance;
pub mod connection;
mod driver;
pub mod error;
mod guard;
mod http;
pub mod manifest;
pub mod notice;
mod path;
pub mod places;
mod polling;
pub mod programs;
mod reading;
pub mod requests;
mod settings;
mod subscriptions;
mod template;
pub mod webhook;
mod writing;

pub use connection::Connection;
pub use error::ReadError;
pub use settings::SpecProblem;
pub use webhook::WebhookError;
