//! Why the store refused or failed, with what to do about it.
//!
//! A message never holds a payload, a secret or a personal datum.

use std::path::PathBuf;

use counterpart_model::delivery::Lane;
use counterpart_model::ids::{ConnectionName, ExternalId, RecordId, RowId};

/// Why a call to the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Someone else was first. Read again and decide again.
    #[error("{what}")]
    Conflict {
        /// Over what.
        what: Conflict,
    },
    /// There is no such row.
    #[error("there is no {what}")]
    NotFound {
        /// What was looked for, such as `delivery 12`.
        what: String,
    },
    /// The file is something else.
    #[error("{path} is not a Counterpart database: {why}; name another file, or move this one away")]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        why: &'static str,
    },
    /// A newer program wrote it.
    #[error(
        "the database has schema version {found}, this program knows {known}: run the newer program, or restore a \
         backup made before the upgrade"
    )]
    NewerVersion {
        /// In the file.
        found: i64,
        /// The newest this program can make.
        known: i64,
    },
    /// A migration in the file is not the one this program ships.
    #[error(
        "schema version {version} of the database was made by another build: use the program that made it, or restore \
         a backup"
    )]
    ChangedMigration {
        /// Which.
        version: i64,
    },
    /// The master key does not unwrap the data key.
    #[error(
        "the master key is not the one this database was made with: check `hub.key` in the configuration file"
    )]
    WrongKey,
    /// It cannot be written.
    #[error("the database cannot be written: check the owner and the mode of the file and of its folder")]
    ReadOnly,
    /// No room.
    #[error("no room left for the database: nothing was written; free space on its disk, then try again")]
    Full,
    /// Another process holds the write lock.
    #[error("another process has been writing to the database for too long: nothing was written; try again")]
    Locked,
    /// What is stored cannot be understood.
    #[error("the database is damaged ({what}): restore a backup")]
    Corrupt {
        /// Where.
        what: String,
    },
    /// A file operation failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store was closed, or its writer died.
    #[error("the store is closed")]
    Closed,
    /// Anything else SQLite says.
    #[error("the database answered with an error: {0}")]
    Sqlite(#[source] rusqlite::Error),
}

/// What a conflict is about. The first five go away when the caller reads again; the last two come back until the
/// caller decides otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The record has another version than expected.
    #[error("record {record} is at version {}, not {}", shown(.found), shown(.expected))]
    RecordVersion {
        /// The record.
        record: RecordId,
        /// Version that the caller expected; `None`: none.
        expected: Option<u64>,
        /// Version that is stored.
        found: Option<u64>,
    },
    /// The lease was taken over or given back.
    #[error("the lease on {}/{} is no longer held", .lane.connection, .lane.root)]
    Lease {
        /// The lane.
        lane: Lane,
    },
    /// The delivery has reached a final state.
    #[error("delivery {delivery} has already ended as {state}")]
    DeliveryEnded {
        /// The delivery.
        delivery: RowId,
        /// How it ended.
        state: String,
    },
    /// The inbox entry was dealt with.
    #[error("inbox entry {inbox} has already ended as {state}")]
    InboxEnded {
        /// The entry.
        inbox: RowId,
        /// How it ended.
        state: String,
    },
    /// Another configuration revision is active.
    #[error("the active revision is {}, not {}: make the plan again", shown(.found), shown(.expected))]
    Revision {
        /// Revision that the caller started from.
        expected: Option<i64>,
        /// The active one.
        found: Option<i64>,
    },
    /// The external id is already the primary counterpart of another record.
    #[error("{external} in {connection} already belongs to record {record}")]
    PrimaryElsewhere {
        /// Which system.
        connection: ConnectionName,
        /// The thing there.
        external: ExternalId,
        /// Whose it is.
        record: RecordId,
    },
    /// The record already has another primary counterpart of that connection, scope and type.
    #[error("record {record} already has the primary counterpart {external} in {connection}")]
    SecondPrimary {
        /// Which system.
        connection: ConnectionName,
        /// The primary counterpart it has.
        external: ExternalId,
        /// The record.
        record: RecordId,
    },
}

fn shown<T: std::fmt::Display>(version: &Option<T>) -> String {
    version.as_ref().map_or_else(|| "none".to_owned(), T::to_string)
}

impl From<Conflict> for StoreError {
    fn from(what: Conflict) -> Self {
        Self::Conflict { what }
    }
}

impl StoreError {
    /// Whether the call failed because someone else was first.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            Some(ErrorCode::DatabaseCorrupt) => Self::corrupt("SQLite finds its structure broken"),
            _ => Self::Sqlite(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rusqlite::{Connection, OpenFlags};

    use super::*;

    #[test]
    fn a_read_only_file_is_told_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let reader = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let error = StoreError::from(reader.execute_batch("INSERT INTO t VALUES (1)").unwrap_err());
        assert!(matches!(error, StoreError::ReadOnly), "{error:?}");
        assert!(error.to_string().contains("check the owner and the mode"));
    }
}
