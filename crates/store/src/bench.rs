//! The machine's own limit, to hold the store's figures against.
//!
//! Never: part of the store's work.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use crate::error::StoreError;

/// What a baseline run took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Baseline {
    /// Rows inserted.
    pub rows: u64,
    /// Time passed.
    pub wall: Duration,
    /// Time on the processor by this thread; `None` where the system doesn't tell (it is read from Linux' `/proc`).
    pub cpu: Option<Duration>,
}

/// Inserts `rows` rows of `bytes` bytes under a unique key into a bare SQLite file that must not exist yet, `group` of
/// them to a commit, with the log and the durability that the store uses: no sealing, no queue, no threads.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn raw_group_commit(path: &Path, rows: u64, bytes: usize, group: u64) -> Result<Baseline, StoreError> {
    if path.exists() {
        let source = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(StoreError::Io { path: path.to_owned(), source });
    }
    let db = Connection::open(path)?;
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;
         CREATE TABLE event (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, body BLOB NOT NULL);",
    )?;
    // Not all zeroes: a file system that compresses would flatter the machine.
    let body: Vec<u8> = (0..bytes).map(|at| (at.wrapping_mul(0x9e37) >> 3) as u8).collect();
    let (began, cpu_began) = (Instant::now(), thread_cpu());
    let mut done = 0;
    while done < rows {
        db.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert = db.prepare_cached("INSERT INTO event (key, body) VALUES (?1, ?2)")?;
        for _ in 0..group.clamp(1, rows - done) {
            insert.execute(params![format!("event-{done}"), body])?;
            done += 1;
        }
        db.execute_batch("COMMIT")?;
    }
    let cpu = thread_cpu().zip(cpu_began).map(|(now, then)| now.saturating_sub(then));
    Ok(Baseline { rows, wall: began.elapsed(), cpu })
}

/// Time that the calling thread has spent on the processor.
fn thread_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
