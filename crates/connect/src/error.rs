//! Why something cannot be read or rendered.
//!
//! Never: holds a datum that is not a code.

use counterpart_mapping::program::{RunError, RunErrorKind};
use counterpart_model::check::Problem;
use serde_json::{Value, json};

/// Why a body cannot be made into what it should be.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The manifest has nothing of that name.
    #[error("the connector has no {0}")]
    NoSuch(String),
    /// Not JSON.
    #[error("it is no JSON: {0}")]
    Unreadable(String),
    /// A reference map has no entry.
    #[error(
        "the reference map `{map}` has no entry for `{code}`: add it under [connections.<name>.maps.{map}], apply, then retry"
    )]
    MissingReference {
        /// Map.
        map: String,
        /// Code.
        code: String,
    },
    /// The mapping said that the datum is not acceptable.
    #[error("{0}")]
    Rejected(RunError),
    /// The mapping failed on it.
    #[error("the mapping fails on it: {0}")]
    Mapping(RunError),
    /// What came out is not what it should be.
    #[error("{file} gave what breaks the canonical shape: {}", first(.problems))]
    Invalid {
        /// The mapping's file.
        file: String,
        /// Everything that is wrong.
        problems: Vec<Problem>,
    },
}

fn first(problems: &[Problem]) -> String {
    let more = if problems.len() > 1 { format!(" (and {} more)", problems.len() - 1) } else { String::new() };
    problems
        .first()
        .map(|p| format!("{}: {}, expected {}{more}", p.path, p.message, p.expected))
        .unwrap_or_default()
}

impl From<RunError> for ReadError {
    fn from(error: RunError) -> Self {
        match &error.kind {
            RunErrorKind::MissingReference { map, code } => {
                Self::MissingReference { map: map.to_string(), code: code.to_string() }
            }
            RunErrorKind::Rejected => Self::Rejected(error),
            _ => Self::Mapping(error),
        }
    }
}

impl ReadError {
    /// Particulars for a review item.
    pub fn problems(&self) -> Value {
        match self {
            Self::Mapping(error) | Self::Rejected(error) => json!([{
                "file": error.file, "line": error.line, "column": error.column, "path": error.path,
                "message": error.message, "help": error.help,
            }]),
            Self::Invalid { problems, .. } => json!(problems),
            other => json!([{ "message": other.to_string() }]),
        }
    }
}
