//! Configuration revisions, secrets, samples, jobs and reservations: what is small and looked up by name.
//!
//! Never: decides which revision is good.

use counterpart_model::effect::Reservation;
use counterpart_model::ids::{ConnectionName, RecordId, RowId};
use counterpart_model::redact::Redacted;
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::crypto::{Keys, place};
use crate::error::{Conflict, StoreError};
use crate::rows::{Columns, blob, collect, execute, first, micros};
use crate::store::Store;
use crate::types::{Job, Revision, SecretEntry, StoredSample};

/// Samples kept of each connection and topic.
const SAMPLES: i64 = 5;

/// Age of the newest sample, in microseconds, at which another one is wanted.
const SAMPLE_EVERY: i64 = 3600 * 1_000_000;

impl Store {
    /// Makes a bundle the active revision, provided that `base` is active now (`None`: that there is none).
    ///
    /// # Errors
    /// Conflict when another revision is active.
    pub async fn put_revision(
        &self,
        base: Option<i64>,
        bundle: Value,
        note: &str,
    ) -> Result<i64, StoreError> {
        let sealed = self.keys().seal_json(&bundle_place(base), &bundle)?;
        let (now, note) = (micros(self.now()), note.to_owned());
        self.write(
            |_| true,
            move |db| {
                let found =
                    first(db, "SELECT max(id) AS id FROM config_revision", [], |row| row.at("id"))?.flatten();
                if found != base {
                    return Err(Conflict::Revision { expected: base, found }.into());
                }
                execute(
                    db,
                    "INSERT INTO config_revision (base, bundle, note, at) VALUES (?1, ?2, ?3, ?4)",
                    params![base, sealed, note, now],
                )?;
                Ok(db.last_insert_rowid())
            },
        )
        .await
    }

    /// The active revision; `None` before the first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn active_revision(&self) -> Result<Option<Revision>, StoreError> {
        self.read(|db, keys| {
            let sql = "SELECT id, base, bundle, note, at FROM config_revision ORDER BY id DESC LIMIT 1";
            first(db, sql, [], |row| revision(keys, row))
        })
        .await
    }

    /// The active revision's number, without reading what it holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn active_revision_id(&self) -> Result<Option<i64>, StoreError> {
        self.read(|db, _| {
            Ok(first(db, "SELECT max(id) AS id FROM config_revision", [], |row| row.at("id"))?.flatten())
        })
        .await
    }

    /// Every revision, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list_revisions(&self) -> Result<Vec<Revision>, StoreError> {
        self.read(|db, keys| {
            let sql = "SELECT id, base, bundle, note, at FROM config_revision ORDER BY id DESC";
            collect(db, sql, [], |row| revision(keys, row))
        })
        .await
    }

    /// Keeps a secret, in place of an older one of the same name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn secret_put(&self, name: &str, value: Redacted<String>) -> Result<(), StoreError> {
        let sealed = self.keys().seal(&secret_place(name), value.reveal().as_bytes())?;
        let (now, name) = (micros(self.now()), name.to_owned());
        self.write(
            |()| true,
            move |db| {
                execute(
                    db,
                    "INSERT INTO secret VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
                    params![name, sealed, now],
                )?;
                Ok(())
            },
        )
        .await
    }

    /// A secret's value.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn secret_get(&self, name: &str) -> Result<Option<Redacted<String>>, StoreError> {
        let name = name.to_owned();
        self.read(move |db, keys| {
            let sealed = first(db, "SELECT value FROM secret WHERE name = ?1", [&name], |row| {
                row.at::<Vec<u8>>("value")
            })?;
            let Some(sealed) = sealed else { return Ok(None) };
            let plain = String::from_utf8(keys.open(&secret_place(&name), &sealed)?);
            plain
                .map(|value| Some(Redacted::new(value)))
                .map_err(|_| StoreError::corrupt("a secret is not text"))
        })
        .await
    }

    /// Removes a secret; false when there was none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn secret_delete(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(|_| true, move |db| Ok(execute(db, "DELETE FROM secret WHERE name = ?1", [&name])? > 0))
            .await
    }

    /// Names of the secrets kept, in order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn secret_list(&self) -> Result<Vec<SecretEntry>, StoreError> {
        self.read(|db, _| {
            collect(db, "SELECT name, updated_at FROM secret ORDER BY name", [], |row| {
                Ok(SecretEntry { name: row.at("name")?, updated_at: row.time("updated_at")? })
            })
        })
        .await
    }

    /// Keeps an arrival's body to try mappings on; the newest five of a topic stay.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn sample_put(
        &self,
        connection: &ConnectionName,
        topic: &str,
        body: &[u8],
    ) -> Result<RowId, StoreError> {
        let now = micros(self.now());
        let (connection, topic) = (connection.as_str().to_owned(), topic.to_owned());
        let sealed = self.keys().seal(&sample_place(&connection, &topic, now), body)?;
        self.write(|_| false, move |db| {
            execute(
                db,
                "INSERT INTO sample (connection, topic, at, body) VALUES (?1, ?2, ?3, ?4)",
                params![connection, topic, now, sealed],
            )?;
            let id = db.last_insert_rowid();
            execute(
                db,
                "DELETE FROM sample WHERE connection = ?1 AND topic = ?2 AND id <= (
                     SELECT id FROM sample WHERE connection = ?1 AND topic = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
                params![connection, topic, SAMPLES],
            )?;
            Ok(id)
        })
        .await
    }

    /// Whether another sample of a topic would be of use: there are fewer than five, or the newest is an hour old.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn sample_wanted(
        &self,
        connection: &ConnectionName,
        topic: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (connection, topic) = (connection.clone(), topic.to_owned());
        self.read(move |db, _| {
            let sql =
                "SELECT count(*) AS n, max(at) AS newest FROM sample WHERE connection = ?1 AND topic = ?2";
            let (count, newest) = first(db, sql, params![connection.as_str(), topic], |row| {
                Ok((row.at::<i64>("n")?, row.at::<Option<i64>>("newest")?))
            })?
            .unwrap_or((0, None));
            Ok(count < SAMPLES || newest.is_none_or(|newest| micros(now) - newest >= SAMPLE_EVERY))
        })
        .await
    }

    /// Samples of a connection, of one topic or of all, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn samples(
        &self,
        connection: &ConnectionName,
        topic: Option<&str>,
    ) -> Result<Vec<StoredSample>, StoreError> {
        let (connection, topic) = (connection.clone(), topic.map(str::to_owned));
        self.read(move |db, keys| {
            collect(
                db,
                "SELECT id, connection, topic, at, body FROM sample
                 WHERE connection = ?1 AND (?2 IS NULL OR topic = ?2) ORDER BY id DESC",
                params![connection.as_str(), topic],
                |row| sample(keys, row),
            )
        })
        .await
    }

    /// One sample.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn sample(&self, id: RowId) -> Result<Option<StoredSample>, StoreError> {
        self.read(move |db, keys| {
            let sql = "SELECT id, connection, topic, at, body FROM sample WHERE id = ?1";
            first(db, sql, [id], |row| sample(keys, row))
        })
        .await
    }

    /// What a scheduled job keeps between runs; `None` before the first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn job_get(&self, name: &str) -> Result<Option<Job>, StoreError> {
        let name = name.to_owned();
        self.read(move |db, keys| {
            first(db, "SELECT value, next_at, updated_at FROM job WHERE name = ?1", [&name], |row| {
                Ok(Job {
                    value: keys.open_json(&job_place(&name), &row.at::<Vec<u8>>("value")?)?,
                    next_at: row.time_opt("next_at")?,
                    updated_at: row.time("updated_at")?,
                })
            })
        })
        .await
    }

    /// Writes what a job keeps and when it is due next.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn job_put(
        &self,
        name: &str,
        value: Value,
        next_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let sealed = self.keys().seal_json(&job_place(name), &value)?;
        let (now, name) = (micros(self.now()), name.to_owned());
        self.write(
            |()| false,
            move |db| {
                execute(
                    db,
                    "INSERT INTO job VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET
                     value = excluded.value, next_at = excluded.next_at, updated_at = excluded.updated_at",
                    params![name, sealed, next_at.map(micros), now],
                )?;
                Ok(())
            },
        )
        .await
    }

    /// What an order holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn reservations_of(&self, order: RecordId) -> Result<Vec<Reservation>, StoreError> {
        self.read(move |db, _| reservations(db, "order_id = ?1", Some(order))).await
    }

    /// What all orders hold of an item.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn reservations_for_item(&self, item: RecordId) -> Result<Vec<Reservation>, StoreError> {
        self.read(move |db, _| reservations(db, "item = ?1", Some(item))).await
    }

    /// Everything that any order holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn reservations(&self) -> Result<Vec<Reservation>, StoreError> {
        self.read(move |db, _| reservations(db, "?1 IS NULL", None)).await
    }
}

fn bundle_place(base: Option<i64>) -> String {
    place("config_revision.bundle", &[&base.unwrap_or(0)])
}

fn secret_place(name: &str) -> String {
    place("secret.value", &[&name])
}

fn job_place(name: &str) -> String {
    place("job.value", &[&name])
}

fn sample_place(connection: &str, topic: &str, at: i64) -> String {
    place("sample.body", &[&connection, &topic, &at])
}

fn revision(keys: &Keys, row: &Row<'_>) -> Result<Revision, StoreError> {
    let base = row.at("base")?;
    Ok(Revision {
        id: row.at("id")?,
        base,
        bundle: keys.open_json(&bundle_place(base), &row.at::<Vec<u8>>("bundle")?)?,
        note: row.at("note")?,
        at: row.time("at")?,
    })
}

fn sample(keys: &Keys, row: &Row<'_>) -> Result<StoredSample, StoreError> {
    let (topic, at): (String, i64) = (row.at("topic")?, row.at("at")?);
    let place = sample_place(&row.at::<String>("connection")?, &topic, at);
    Ok(StoredSample {
        id: row.at("id")?,
        connection: row.connection("connection")?,
        at: row.time("at")?,
        body: Redacted::new(keys.open(&place, &row.at::<Vec<u8>>("body")?)?),
        topic,
    })
}

fn reservations(db: &Connection, which: &str, id: Option<RecordId>) -> Result<Vec<Reservation>, StoreError> {
    let sql = format!(
        "SELECT order_id, line, item, location, store, quantity, open_in_store, confirmed_at FROM reservation
         WHERE {which} ORDER BY order_id, line, item, location"
    );
    collect(db, &sql, [id.map(blob)], |row| {
        let quantity = |column: &str| -> Result<Decimal, StoreError> {
            let text: String = row.at(column)?;
            text.parse().map_err(|_| StoreError::corrupt("a reserved quantity is no number"))
        };
        Ok(Reservation {
            order: row.record("order_id")?,
            line: row.at("line")?,
            item: row.record("item")?,
            location: row.at("location")?,
            store: row.connection("store")?,
            quantity: quantity("quantity")?,
            open_in_store: quantity("open_in_store")?,
            confirmed_at: row.time_opt("confirmed_at")?,
        })
    })
}
