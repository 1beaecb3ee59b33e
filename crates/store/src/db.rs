//! Opens the file and brings its schema up to date.
//!
//! Never: touches a file that is not a Counterpart database; goes back a version; scans a table.

use std::path::Path;
use std::time::Duration;

use counterpart_model::clock::Clock;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::crypto::{Keys, MasterKey};
use crate::error::StoreError;
use crate::rows::micros;

/// Marks the file as ours ("Cprt" in ASCII).
const APPLICATION_ID: i32 = 0x4370_7274;

/// How long a call waits for another process's write lock.
const BUSY: Duration = Duration::from_secs(10);

/// A step from one schema version to the next. A published one is never edited: its checksum is in the databases.
struct Migration {
    version: i64,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, sql: include_str!("../migrations/0001_start.sql") }];

impl Migration {
    fn checksum(&self) -> String {
        hex::encode(Sha256::digest(self.sql.as_bytes()))
    }
}

/// Opens the writer's connection, migrates, and unwraps the keys.
pub(crate) fn open(
    path: &Path,
    master: &MasterKey,
    clock: &dyn Clock,
) -> Result<(Connection, Keys), StoreError> {
    create_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    recognise(&connection, path)?;
    if connection.is_readonly("main")? {
        return Err(StoreError::ReadOnly);
    }
    settings(&connection)?;
    migrate(&mut connection, master, clock, MIGRATIONS)?;
    let keys = Keys::unwrap(master, &wrapped_keys(&connection)?)?;
    Ok((connection, keys))
}

/// Opens a connection that cannot write.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.execute_batch("PRAGMA cache_size = -2000; PRAGMA temp_store = MEMORY;")?;
    Ok(connection)
}

/// Makes the file readable by its owner alone before SQLite fills it; SQLite gives the log the same mode.
fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(StoreError::Io { path: path.to_owned(), source }),
    }
}

/// Refuses files of other programs before anything in them is changed.
fn recognise(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let not_ours = |why| StoreError::NotADatabase { path: path.to_owned(), why };
    let id: i32 = match connection.query_row("PRAGMA application_id", [], |row| row.get(0)) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            return Err(not_ours("it is not a SQLite file"));
        }
        other => other?,
    };
    let empty: bool =
        connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
    if id == APPLICATION_ID || (id == 0 && empty) {
        Ok(())
    } else {
        Err(not_ours("it is a SQLite file of another program"))
    }
}

fn settings(connection: &Connection) -> Result<(), StoreError> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        // Network file systems without shared memory; without the log, readers and the writer would lock each other out.
        return Err(StoreError::corrupt("its file system cannot hold a write-ahead log; use a local disk"));
    }
    connection.set_prepared_statement_cache_capacity(256);
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -8000;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    Ok(())
}

fn migrate(
    connection: &mut Connection,
    master: &MasterKey,
    clock: &dyn Clock,
    known: &[Migration],
) -> Result<(), StoreError> {
    if up_to_date(connection, known)? {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Another process may have migrated while this one waited for the lock.
    if !up_to_date(&transaction, known)? {
        let now = micros(clock.now());
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.execute_batch(
            "CREATE TABLE IF NOT EXISTS migration (
                version INTEGER PRIMARY KEY, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL
             ) STRICT;",
        )?;
        let found = version(&transaction)?;
        for migration in known.iter().filter(|m| m.version > found) {
            transaction.execute_batch(migration.sql)?;
            transaction.execute(
                "INSERT INTO migration VALUES (?1, ?2, ?3)",
                params![migration.version, migration.checksum(), now],
            )?;
        }
        if wrapped_keys(&transaction)?.is_empty() {
            let (_, wrapped) = Keys::generate(master)?;
            transaction.execute("INSERT INTO data_key VALUES (1, ?1, ?2)", params![wrapped, now])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Whether nothing is left to migrate. Fails when the database is newer or was made by another build.
fn up_to_date(connection: &Connection, known: &[Migration]) -> Result<bool, StoreError> {
    let exists: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migration')",
        [],
        |row| row.get(0),
    )?;
    if !exists {
        return Ok(false);
    }
    let newest = known.last().map_or(0, |m| m.version);
    let found = version(connection)?;
    if found > newest {
        return Err(StoreError::NewerVersion { found, known: newest });
    }
    for migration in known.iter().filter(|m| m.version <= found) {
        let checksum: Option<String> = connection
            .query_row("SELECT checksum FROM migration WHERE version = ?1", [migration.version], |row| {
                row.get(0)
            })
            .optional()?;
        if checksum != Some(migration.checksum()) {
            return Err(StoreError::ChangedMigration { version: migration.version });
        }
    }
    Ok(found == newest)
}

fn version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("SELECT coalesce(max(version), 0) FROM migration", [], |row| row.get(0))?)
}

fn wrapped_keys(connection: &Connection) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
    let mut statement = connection.prepare("SELECT generation, wrapped FROM data_key ORDER BY generation")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> jiff::Timestamp {
            jiff::Timestamp::UNIX_EPOCH
        }
    }

    #[test]
    fn a_migration_is_applied_once_and_later_ones_follow() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let key = MasterKey::new([1; 32]);
        let (mut connection, _) = open(&path, &key, &Fixed).unwrap();
        connection.execute("INSERT INTO secret VALUES ('kept', x'00', 0)", []).unwrap();

        let first = || Migration { version: 1, sql: MIGRATIONS[0].sql };
        let second = Migration { version: 2, sql: "ALTER TABLE secret ADD COLUMN note TEXT;" };
        let known = [first(), second];
        migrate(&mut connection, &key, &Fixed, &known).unwrap();
        migrate(&mut connection, &key, &Fixed, &known).unwrap();
        let note: Option<String> = connection
            .query_row("SELECT note FROM secret WHERE name = 'kept'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(note, None);

        let error = migrate(&mut connection, &key, &Fixed, &[first()]).unwrap_err();
        assert!(matches!(error, StoreError::NewerVersion { found: 2, known: 1 }), "{error:?}");
        let changed = [first(), Migration { version: 2, sql: "SELECT 1;" }];
        let error = migrate(&mut connection, &key, &Fixed, &changed).unwrap_err();
        assert!(matches!(error, StoreError::ChangedMigration { version: 2 }), "{error:?}");
    }

    #[test]
    fn a_migration_that_fails_leaves_the_version_before() {
        let folder = tempfile::tempdir().unwrap();
        let key = MasterKey::new([1; 32]);
        let (mut connection, _) = open(&folder.path().join("a.db"), &key, &Fixed).unwrap();
        let broken = Migration { version: 2, sql: "CREATE TABLE half (a); INSERT INTO nowhere VALUES (1);" };
        let known = [Migration { version: 1, sql: MIGRATIONS[0].sql }, broken];
        assert!(migrate(&mut connection, &key, &Fixed, &known).is_err());
        assert_eq!(version(&connection).unwrap(), 1);
        let half: bool = connection
            .query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'half')", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert!(!half);
    }
}
