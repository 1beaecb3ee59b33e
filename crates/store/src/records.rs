//! Reads records and counterparts; keeps track of which counterparts were looked at.
//!
//! Never: writes a record (see `commit.rs`).

use counterpart_model::ids::{ConnectionName, ExternalId, RecordId};
use counterpart_model::kind::Kind;
use counterpart_model::record::{Counterpart, Record};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use serde_json::Value;

use crate::crypto::{Keys, place};
use crate::error::StoreError;
use crate::rows::{Columns, Named, blob, collect, execute, first, limit, micros};
use crate::store::Store;
use crate::types::TimelineEntry;

const RECORD: &str = "id, kind, version, label, payload, created_at, updated_at";
const COUNTERPART: &str = "record, kind, connection, scope, remote_type, remote_id, role, number, links, observed, \
                           observed_version, written, written_version, settled, updated_at";

impl Store {
    /// A record.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn record(&self, id: RecordId) -> Result<Option<Record>, StoreError> {
        self.read(move |db, keys| record_of(db, keys, id)).await
    }

    /// Records in the order asked for; those that don't exist are left out.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn records(&self, ids: Vec<RecordId>) -> Result<Vec<Record>, StoreError> {
        self.read(move |db, keys| {
            ids.into_iter().filter_map(|id| record_of(db, keys, id).transpose()).collect()
        })
        .await
    }

    /// Records of a kind, the newest changed first; with a label only those that have it.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list_records(
        &self,
        kind: Kind,
        label: Option<&str>,
        most: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let label = label.map(str::to_owned);
        self.read(move |db, keys| {
            let most = limit(most, 50);
            let make = |row: &Row<'_>| record(keys, row);
            match label {
                Some(label) => collect(
                    db,
                    &format!(
                        "SELECT {RECORD} FROM record WHERE kind = ?1 AND label = ?2 ORDER BY updated_at DESC LIMIT ?3"
                    ),
                    params![kind.as_str(), label, most],
                    make,
                ),
                None => collect(
                    db,
                    &format!("SELECT {RECORD} FROM record WHERE kind = ?1 ORDER BY updated_at DESC LIMIT ?2"),
                    params![kind.as_str(), most],
                    make,
                ),
            }
        })
        .await
    }

    /// Records that carry a deterministic key, oldest first. The value is compared by its keyed hash: give it
    /// normalised as it was written.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn find_by_key(
        &self,
        kind: Kind,
        name: &str,
        value: &str,
    ) -> Result<Vec<RecordId>, StoreError> {
        let hash = self.keys().blind(kind, name, value);
        self.read(move |db, _| {
            collect(db, "SELECT record FROM record_key WHERE hash = ?1 ORDER BY record", [hash], |row| {
                row.record("record")
            })
        })
        .await
    }

    /// Records with a label, the newest changed first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn find_by_label(&self, kind: Kind, label: &str) -> Result<Vec<Record>, StoreError> {
        self.list_records(kind, Some(label), 1000).await
    }

    /// Every version of a record with its cause, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn timeline(&self, id: RecordId) -> Result<Vec<TimelineEntry>, StoreError> {
        self.read(move |db, _| {
            collect(
                db,
                "SELECT version, at, cause FROM record_version WHERE record = ?1 ORDER BY version",
                [blob(id)],
                |row| {
                    let (version, at) = (row.number("version")?, row.time("at")?);
                    Ok(TimelineEntry { version, at, cause: row.at("cause")? })
                },
            )
        })
        .await
    }

    /// Counterparts at an external id: more than one where it is shared.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn counterpart_at(
        &self,
        connection: &ConnectionName,
        external: &ExternalId,
    ) -> Result<Vec<Counterpart>, StoreError> {
        let (connection, external) = (connection.clone(), external.clone());
        self.read(move |db, keys| {
            collect(
                db,
                &format!(
                    "SELECT {COUNTERPART} FROM counterpart
                     WHERE remote_id = ?1 AND remote_type = ?2 AND connection = ?3 AND scope = ?4 ORDER BY id"
                ),
                params![external.id, external.remote_type, connection.as_str(), external.scope],
                |row| counterpart(keys, row),
            )
        })
        .await
    }

    /// A record's counterparts in every connection, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn counterparts_of(&self, id: RecordId) -> Result<Vec<Counterpart>, StoreError> {
        self.counterparts_of_many(vec![id], None).await
    }

    /// Counterparts of many records, in one connection or in all.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn counterparts_of_many(
        &self,
        ids: Vec<RecordId>,
        connection: Option<ConnectionName>,
    ) -> Result<Vec<Counterpart>, StoreError> {
        self.read(move |db, keys| {
            let connection = connection.as_ref().map(|name| name.as_str());
            let sql = format!(
                "SELECT {COUNTERPART} FROM counterpart
                 WHERE record = ?1 AND (?2 IS NULL OR connection = ?2) ORDER BY id"
            );
            let mut all = Vec::new();
            for id in ids {
                all.extend(collect(db, &sql, params![blob(id), connection], |row| counterpart(keys, row))?);
            }
            Ok(all)
        })
        .await
    }

    /// Counterparts whose remote id or human number there is this text, in any connection.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn find_counterparts(&self, text: &str) -> Result<Vec<Counterpart>, StoreError> {
        let text = text.to_owned();
        self.read(move |db, keys| {
            collect(
                db,
                &format!(
                    "SELECT {COUNTERPART} FROM counterpart WHERE id IN (
                         SELECT id FROM counterpart WHERE remote_id = ?1 UNION
                         SELECT id FROM counterpart WHERE number = ?1 AND number IS NOT NULL
                     ) ORDER BY id LIMIT 100"
                ),
                [text],
                |row| counterpart(keys, row),
            )
        })
        .await
    }

    /// Counterparts that are not settled and were last looked at before `due_before`, longest not looked at first.
    /// Without remote types, of every type. A look is a `PutCounterpart` or [`Store::mark_watched`].
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn watch_due(
        &self,
        connection: &ConnectionName,
        remote_types: &[String],
        due_before: Timestamp,
        most: usize,
    ) -> Result<Vec<Counterpart>, StoreError> {
        let (connection, types, before) = (connection.clone(), remote_types.to_vec(), micros(due_before));
        self.read(move |db, keys| {
            let types = if types.is_empty() { watched_types(db, &connection)? } else { types };
            let mut due = Vec::new();
            for remote_type in types {
                // Each type's longest not looked at come off the index in order; the merge of them is small.
                due.extend(collect(
                    db,
                    &format!(
                        "SELECT {COUNTERPART}, watched_at FROM counterpart
                         WHERE connection = ?1 AND remote_type = ?2 AND settled = 0 AND watched_at < ?3
                         ORDER BY watched_at, id LIMIT ?4"
                    ),
                    params![connection.as_str(), remote_type, before, limit(most, 100)],
                    |row| Ok((row.at::<i64>("watched_at")?, counterpart(keys, row)?)),
                )?);
            }
            due.sort_by_key(|(watched_at, _)| *watched_at);
            due.truncate(if most == 0 { 100 } else { most });
            Ok(due.into_iter().map(|(_, counterpart)| counterpart).collect())
        })
        .await
    }

    /// Notes that things were looked at, changed or not.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn mark_watched(
        &self,
        connection: &ConnectionName,
        ids: Vec<ExternalId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let connection = connection.clone();
        self.write(
            |()| false,
            move |db| {
                for external in &ids {
                    execute(
                        db,
                        "UPDATE counterpart SET watched_at = ?5
                     WHERE remote_id = ?1 AND remote_type = ?2 AND connection = ?3 AND scope = ?4",
                        params![
                            external.id,
                            external.remote_type,
                            connection.as_str(),
                            external.scope,
                            micros(now)
                        ],
                    )?;
                }
                Ok(())
            },
        )
        .await
    }
}

pub(crate) fn payload_place(record: RecordId, version: u64) -> String {
    place("record.payload", &[&record, &version])
}

/// Place of a counterpart's `observed` or `written`.
pub(crate) fn sealed_place(column: &str, of: &Counterpart) -> String {
    let ExternalId { scope, remote_type, id } = &of.external;
    let role = of.role.name();
    place(&format!("counterpart.{column}"), &[&of.record, &of.connection, scope, remote_type, id, &role])
}

fn watched_types(db: &Connection, connection: &ConnectionName) -> Result<Vec<String>, StoreError> {
    let mut types = Vec::new();
    let mut last = String::new();
    while let Some(next) = first(
        db,
        "SELECT remote_type FROM counterpart
         WHERE connection = ?1 AND remote_type > ?2 AND settled = 0 ORDER BY remote_type LIMIT 1",
        params![connection.as_str(), last],
        |row| row.at::<String>("remote_type"),
    )? {
        types.push(next.clone());
        last = next;
    }
    Ok(types)
}

fn record_of(db: &Connection, keys: &Keys, id: RecordId) -> Result<Option<Record>, StoreError> {
    first(db, &format!("SELECT {RECORD} FROM record WHERE id = ?1"), [blob(id)], |row| record(keys, row))
}

fn record(keys: &Keys, row: &Row<'_>) -> Result<Record, StoreError> {
    let (id, version) = (row.record("id")?, row.number("version")?);
    Ok(Record {
        id,
        kind: row.kind("kind")?,
        version,
        label: row.at("label")?,
        payload: keys.open_json(&payload_place(id, version), &row.at::<Vec<u8>>("payload")?)?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

fn counterpart(keys: &Keys, row: &Row<'_>) -> Result<Counterpart, StoreError> {
    let mut counterpart = Counterpart {
        record: row.record("record")?,
        kind: row.kind("kind")?,
        connection: row.connection("connection")?,
        external: ExternalId {
            scope: row.at("scope")?,
            remote_type: row.at("remote_type")?,
            id: row.at("remote_id")?,
        },
        role: row.named("role")?,
        number: row.at("number")?,
        links: row.json("links")?,
        observed: None,
        observed_version: row.json_opt("observed_version")?,
        written: None,
        written_version: row
            .at::<Option<i64>>("written_version")?
            .and_then(|version| version.try_into().ok()),
        settled: row.at("settled")?,
        updated_at: row.time("updated_at")?,
    };
    let open = |column: &str, of: &Counterpart| -> Result<Option<Value>, StoreError> {
        let sealed = row.at::<Option<Vec<u8>>>(column)?;
        sealed.map(|sealed| keys.open_json(&sealed_place(column, of), &sealed)).transpose()
    };
    counterpart.observed = open("observed", &counterpart)?;
    counterpart.written = open("written", &counterpart)?;
    Ok(counterpart)
}
