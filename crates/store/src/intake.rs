//! The inbox: what arrived, durable before it is acknowledged; what streams have seen; where their cursors stand.
//!
//! Never: looks into a body.

use counterpart_model::change::{Arrival, InboxEntry};
use counterpart_model::delivery::ReviewSubject;
use counterpart_model::ids::{ConnectionName, RowId};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::crypto::{Keys, place};
use crate::error::{Conflict, StoreError};
use crate::reviews;
use crate::rows::{Columns, Named, collect, execute, first, json_text, limit, micros};
use crate::store::Store;
use crate::types::{Accepted, Cursor, InboxState, Polled, PolledNames, PolledResult};

const ENTRY: &str =
    "id, connection, channel, topic, event_id, received_at, body, tries, state, outcome, next_at, message";

impl Store {
    /// Makes an arrival durable. One that has the connection, topic and event id of an earlier one is not written.
    ///
    /// # Errors
    /// When it could not be made durable; the sender should then try again.
    pub async fn accept(&self, arrival: Arrival) -> Result<Accepted, StoreError> {
        let row = SealedArrival::new(self.keys(), arrival)?;
        self.write(
            |done: &Accepted| !done.repeated,
            move |connection| {
                let id = match row.insert(connection, &row.event_id)? {
                    Some(id) => return Ok(Accepted { id, repeated: false }),
                    None => first(
                        connection,
                        "SELECT id FROM inbox WHERE connection = ?1 AND topic = ?2 AND event_id = ?3",
                        params![row.connection, row.topic, row.event_id],
                        |row| row.at("id"),
                    )?,
                };
                let id = id.ok_or_else(|| StoreError::corrupt("an arrival is neither new nor there"))?;
                Ok(Accepted { id, repeated: true })
            },
        )
        .await
    }

    /// Makes what a read found durable and moves the stream's cursor, in one transaction. Items seen before as they are
    /// leave no trace.
    ///
    /// # Errors
    /// When it could not be made durable; the cursor has then not moved.
    pub async fn accept_polled(&self, polled: Polled) -> Result<PolledResult, StoreError> {
        let keys = self.keys().clone();
        let now = micros(self.now());
        let Polled { connection, stream, read_began, items, cursor } = polled;
        let cursor = cursor.as_ref().map(json_text).transpose()?;
        let mut rows = Vec::with_capacity(items.len());
        for item in items {
            let fingerprint = keys.index_hash("seen", &[&item.fingerprint]);
            let arrival = Arrival {
                connection: connection.clone(),
                channel: item.channel,
                topic: item.topic,
                event_id: item.event_id,
                received_at: read_began,
                body: item.body,
            };
            rows.push((item.key, fingerprint, SealedArrival::new(&keys, arrival)?));
        }
        self.write(|done: &PolledResult| done.new > 0, move |db| {
            let mut result = PolledResult::default();
            for (key, fingerprint, row) in &rows {
                let seen = first(
                    db,
                    "SELECT fingerprint FROM seen WHERE connection = ?1 AND topic = ?2 AND remote_key = ?3",
                    params![row.connection, row.topic, key],
                    |row| row.at::<[u8; 16]>("fingerprint"),
                )?;
                if seen == Some(*fingerprint) || !row.insert_again(db)? {
                    result.unchanged += 1;
                } else {
                    result.new += 1;
                }
                put_seen(db, &row.connection, &row.topic, key, fingerprint, row.received_at)?;
            }
            if let Some(value) = &cursor {
                put_cursor(db, connection.as_str(), &stream, value, now)?;
            } else {
                execute(
                    db,
                    "UPDATE cursor SET updated_at = ?3 WHERE connection = ?1 AND stream = ?2",
                    params![connection.as_str(), stream, now],
                )?;
            }
            Ok(result)
        })
        .await
    }

    /// The names that were not seen before in the version that they have now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn named_anew(&self, named: &PolledNames) -> Result<Vec<(String, String)>, StoreError> {
        let PolledNames { connection, topic, names, .. } = named.clone();
        self.read(move |db, keys| {
            let mut anew = Vec::new();
            for (key, version) in names {
                let seen = first(
                    db,
                    "SELECT fingerprint FROM seen WHERE connection = ?1 AND topic = ?2 AND remote_key = ?3",
                    params![connection.as_str(), topic, key],
                    |row| row.at::<[u8; 16]>("fingerprint"),
                )?;
                if seen != Some(keys.index_hash("seen", &[&version])) {
                    anew.push((key, version));
                }
            }
            Ok(anew)
        })
        .await
    }

    /// Remembers the versions that were named, once what was named has been read and is durable, and moves the cursor
    /// of `stream`, in one transaction. An earlier read changes nothing that a later one remembered.
    ///
    /// # Errors
    /// When it cannot be written; the cursor has then not moved.
    pub async fn accept_named(
        &self,
        named: PolledNames,
        stream: &str,
        cursor: serde_json::Value,
    ) -> Result<(), StoreError> {
        let keys = self.keys().clone();
        let (now, cursor) = (micros(self.now()), json_text(&cursor)?);
        let PolledNames { connection, topic, read_began, names } = named;
        let stream = stream.to_owned();
        self.write(
            |()| false,
            move |db| {
                for (key, version) in &names {
                    let fingerprint = keys.index_hash("seen", &[version]);
                    put_seen(db, connection.as_str(), &topic, key, &fingerprint, micros(read_began))?;
                }
                put_cursor(db, connection.as_str(), &stream, &cursor, now)
            },
        )
        .await
    }

    /// Where a stream stands; `None` before its first read.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn cursor(
        &self,
        connection: &ConnectionName,
        stream: &str,
    ) -> Result<Option<Cursor>, StoreError> {
        let (connection, stream) = (connection.clone(), stream.to_owned());
        self.read(move |db, _| {
            first(
                db,
                "SELECT value, updated_at FROM cursor WHERE connection = ?1 AND stream = ?2",
                params![connection.as_str(), stream],
                |row| Ok(Cursor { value: row.json("value")?, updated_at: row.time("updated_at")? }),
            )
        })
        .await
    }

    /// Every stream's cursor of a connection, by stream name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn cursors(&self, connection: &ConnectionName) -> Result<Vec<(String, Cursor)>, StoreError> {
        let connection = connection.clone();
        self.read(move |db, _| {
            collect(
                db,
                "SELECT stream, value, updated_at FROM cursor WHERE connection = ?1 ORDER BY stream",
                [connection.as_str()],
                |row| {
                    let cursor = Cursor { value: row.json("value")?, updated_at: row.time("updated_at")? };
                    Ok((row.at("stream")?, cursor))
                },
            )
        })
        .await
    }

    /// Pending entries that are due, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn inbox_pending(&self, now: Timestamp, most: usize) -> Result<Vec<InboxEntry>, StoreError> {
        self.read(move |db, keys| {
            collect(
                db,
                &format!(
                    "SELECT {ENTRY} FROM inbox WHERE state = 'pending' AND next_at <= ?1 ORDER BY next_at, id LIMIT ?2"
                ),
                params![micros(now), limit(most, 100)],
                |row| entry(keys, row),
            )
        })
        .await
    }

    /// Puts an entry off after a transient failure and counts the try.
    ///
    /// # Errors
    /// Conflict when it has ended.
    pub async fn inbox_defer(&self, inbox: RowId, until: Timestamp, message: &str) -> Result<(), StoreError> {
        let message = message.to_owned();
        self.write(
            |()| true,
            move |db| {
                let touched = execute(
                    db,
                    "UPDATE inbox SET state = 'pending', next_at = ?2, message = ?3, tries = tries + 1,
                     outcome = NULL, ended_at = NULL
                 WHERE id = ?1 AND state IN ('pending', 'in_review')",
                    params![inbox, micros(until), message],
                )?;
                if touched == 0 { Err(ended(db, inbox)?) } else { Ok(()) }
            },
        )
        .await
    }

    /// Makes an entry pending again, whatever became of it, and closes its open review items as `retried`.
    ///
    /// # Errors
    /// When there is no such entry.
    pub async fn inbox_reopen(&self, inbox: RowId, by: &str) -> Result<(), StoreError> {
        let (now, by) = (micros(self.now()), by.to_owned());
        self.write(
            |()| true,
            move |db| {
                let touched = execute(
                db,
                "UPDATE inbox SET state = 'pending', next_at = ?2, message = NULL, tries = 0, outcome = NULL,
                     ended_at = NULL
                 WHERE id = ?1",
                params![inbox, now],
            )?;
                if touched == 0 {
                    return Err(StoreError::not_found(format!("inbox entry {inbox}")));
                }
                reviews::close(db, &ReviewSubject::Inbox(inbox), "retried", &by, now)
            },
        )
        .await
    }

    /// One entry and where it stands.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn inbox_entry(&self, inbox: RowId) -> Result<Option<(InboxEntry, InboxState)>, StoreError> {
        self.read(move |db, keys| {
            first(db, &format!("SELECT {ENTRY} FROM inbox WHERE id = ?1"), [inbox], |row| {
                let state = InboxState {
                    state: row.at("state")?,
                    outcome: row.at("outcome")?,
                    next_at: row.time_opt("next_at")?,
                    message: row.at("message")?,
                };
                Ok((entry(keys, row)?, state))
            })
        })
        .await
    }
}

/// Ends an entry; part of a commit.
pub(crate) fn end(db: &Connection, inbox: RowId, outcome: &str, now: i64) -> Result<(), StoreError> {
    let state = outcome.split(':').next().unwrap_or(outcome).trim();
    let touched = execute(
        db,
        "UPDATE inbox SET state = ?2, outcome = ?3, next_at = NULL, ended_at = ?4
         WHERE id = ?1 AND state IN ('pending', 'in_review')",
        params![inbox, state, outcome, now],
    )?;
    if touched == 0 { Err(ended(db, inbox)?) } else { Ok(()) }
}

fn ended(db: &Connection, inbox: RowId) -> Result<StoreError, StoreError> {
    let state = first(db, "SELECT state FROM inbox WHERE id = ?1", [inbox], |row| row.at("state"))?;
    Ok(match state {
        Some(state) => Conflict::InboxEnded { inbox, state }.into(),
        None => StoreError::not_found(format!("inbox entry {inbox}")),
    })
}

/// An arrival ready to be inserted: sealed on the caller's thread, so that the writer only writes.
struct SealedArrival {
    connection: String,
    channel: &'static str,
    topic: String,
    event_id: String,
    received_at: i64,
    body: Vec<u8>,
}

/// The event id is not part of a body's place: it is given a suffix when a polled item changes back.
fn body_place(connection: &str, topic: &str, received_at: i64) -> String {
    place("inbox.body", &[&connection, &topic, &received_at])
}

impl SealedArrival {
    fn new(keys: &Keys, arrival: Arrival) -> Result<Self, StoreError> {
        let received_at = micros(arrival.received_at);
        let connection = arrival.connection.as_str().to_owned();
        let body = keys.seal(&body_place(&connection, &arrival.topic, received_at), &arrival.body)?;
        let channel = arrival.channel.name();
        Ok(Self { connection, channel, topic: arrival.topic, event_id: arrival.event_id, received_at, body })
    }

    /// The new row, or `None` when the event id is taken.
    fn insert(&self, db: &Connection, event_id: &str) -> Result<Option<RowId>, StoreError> {
        first(
            db,
            "INSERT INTO inbox (connection, channel, topic, event_id, received_at, body, state, next_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?5)
             ON CONFLICT DO NOTHING RETURNING id",
            params![self.connection, self.channel, self.topic, event_id, self.received_at, self.body],
            |row| row.at("id"),
        )
    }

    /// As `insert`, but a taken event id is told apart by the time of reading. False when that is taken too.
    fn insert_again(&self, db: &Connection) -> Result<bool, StoreError> {
        if self.insert(db, &self.event_id)?.is_some() {
            return Ok(true);
        }
        Ok(self.insert(db, &format!("{}@{}", self.event_id, self.received_at))?.is_some())
    }
}

fn put_cursor(
    db: &Connection,
    connection: &str,
    stream: &str,
    value: &str,
    now: i64,
) -> Result<(), StoreError> {
    execute(
        db,
        "INSERT INTO cursor VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
        params![connection, stream, value, now],
    )?;
    Ok(())
}

fn put_seen(
    db: &Connection,
    connection: &str,
    topic: &str,
    key: &str,
    fingerprint: &[u8; 16],
    read_began: i64,
) -> Result<(), StoreError> {
    execute(
        db,
        "INSERT INTO seen VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET fingerprint = excluded.fingerprint, read_began = excluded.read_began
         WHERE excluded.read_began >= seen.read_began AND excluded.fingerprint <> seen.fingerprint",
        params![connection, topic, key, fingerprint, read_began],
    )?;
    Ok(())
}

fn entry(keys: &Keys, row: &Row<'_>) -> Result<InboxEntry, StoreError> {
    let connection: String = row.at("connection")?;
    let topic: String = row.at("topic")?;
    let received_at: i64 = row.at("received_at")?;
    let body = keys.open(&body_place(&connection, &topic, received_at), &row.at::<Vec<u8>>("body")?)?;
    let arrival = Arrival {
        connection: row.connection("connection")?,
        channel: row.named("channel")?,
        topic,
        event_id: row.at("event_id")?,
        received_at: row.time("received_at")?,
        body,
    };
    Ok(InboxEntry { id: row.at("id")?, arrival, tries: row.at("tries")? })
}
