//! The API under `/api/v1`: each handler asks the hub one thing and passes its answer on.
//!
//! Never: decides, filters or renames what the hub answers.

pub mod config;
pub mod connections;
pub mod records;
pub mod reviews;
