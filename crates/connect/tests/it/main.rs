//! The runtime against systems that run in this process and misbehave on demand.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod calls;
mod catalog;
mod checks;
mod folders;
mod polling;
mod reading;
mod requests;
mod server;
mod session;
mod subscriptions;
mod writing;
