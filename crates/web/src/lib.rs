//! HTTP: webhooks in, the REST API with its OpenAPI document, health and metrics.
//!
//! Never: decides anything (that is the hub's), writes SQL, logs a body, a header or a path with somebody's name in it.
//!
//! [`routes`] is the place to start: every address in one list. [`guard`] is what every request goes through.

pub mod guard;
pub mod problem;
pub mod routes;
pub mod serve;

mod api;
mod extract;
mod public;

pub use routes::{Web, router};
pub use serve::{ServeError, install_metrics, listen, serve};
