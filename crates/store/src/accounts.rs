//! Changes and how they ended; the counts that must add up; how long deliveries took.
//!
//! Never: corrects what does not add up.

use std::collections::BTreeMap;

use counterpart_model::change::{Change, ChangeOutcome};
use counterpart_model::ids::{ConnectionName, ExternalId, FlowName, RecordId, RowId};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use serde_json::Value;

use crate::crypto::{Keys, place};
use crate::error::StoreError;
use crate::rows::{Columns, Conditions, Named, blob, collect, execute, first, json_text, limit, micros};
use crate::store::Store;
use crate::types::{Accounts, ChangeFilter, Latency, StoredChange, Unaccounted};

const CHANGE: &str = "id, inbox, connection, kind, scope, remote_type, remote_id, role, label, version, deleted, settled, \
                      links, payload, detail, record, at";

/// Rows listed of each sort by [`Store::unaccounted`]; the first few show the fault.
const UNACCOUNTED: usize = 100;

impl Store {
    /// Changes read about a record, oldest first: those that a counterpart of it gave, whatever became of them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn changes_of(&self, record: RecordId) -> Result<Vec<StoredChange>, StoreError> {
        self.read(move |db, keys| {
            collect(
                db,
                &format!("SELECT {CHANGE} FROM change WHERE record = ?1 ORDER BY id"),
                [blob(record)],
                |row| change(keys, row),
            )
        })
        .await
    }

    /// Changes that pass a filter, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list_changes(&self, filter: ChangeFilter) -> Result<Vec<StoredChange>, StoreError> {
        self.read(move |db, keys| {
            let names: Vec<_> = filter.connections.iter().map(|name| name.as_str()).collect();
            let names = (!names.is_empty()).then(|| json_text(&names)).transpose()?;
            let kind = filter.kind.map(|kind| kind.as_str());
            let since = filter.since.map(micros);
            let mut conditions = Conditions::default();
            conditions.add_some("kind = ?", &kind);
            conditions.add("id > ?", &filter.after);
            conditions.add_some("at >= ?", &since);
            conditions.add_some("connection IN (SELECT value FROM json_each(?))", &names);
            conditions.add_some("outcome = ?", &filter.outcome);
            let most = limit(filter.limit, -1);
            let sql = format!("SELECT {CHANGE} FROM change WHERE {} ORDER BY id LIMIT ?", conditions.sql());
            collect(db, &sql, conditions.and(&most).as_slice(), |row| change(keys, row))
        })
        .await
    }

    /// How often each top-level field of a record went back and forth lately: changes applied since a moment that gave
    /// it another value than the applied change before, from another connection.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn recent_flips(
        &self,
        record: RecordId,
        since: Timestamp,
    ) -> Result<BTreeMap<String, u32>, StoreError> {
        self.read(move |db, keys| {
            let applied = collect(
                db,
                &format!("SELECT {CHANGE} FROM change WHERE record = ?1 AND outcome = 'applied' AND at >= ?2 ORDER BY id"),
                params![blob(record), micros(since)],
                |row| change(keys, row),
            )?;
            Ok(flips(&applied))
        })
        .await
    }

    /// Counts everything by where it stands. Reads whole indexes: for a page or a command, not for every delivery.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn accounts(&self) -> Result<Accounts, StoreError> {
        self.read(|db, _| {
            let mut accounts = Accounts {
                inbox: counts(db, "SELECT state AS name, count(*) AS n FROM inbox GROUP BY state")?,
                changes: counts(db, "SELECT outcome AS name, count(*) AS n FROM change GROUP BY outcome")?,
                ..Accounts::default()
            };
            let flows = collect(
                db,
                "SELECT flow, state, count(*) AS n FROM delivery GROUP BY flow, state",
                [],
                |row| Ok((row.at::<String>("flow")?, row.at::<String>("state")?, row.number("n")?)),
            )?;
            for (flow, state, count) in flows {
                *accounts.deliveries.entry(state.clone()).or_default() += count;
                accounts.flows.entry(flow).or_default().insert(state, count);
            }
            let open = first(
                db,
                "SELECT count(*) AS n FROM review INDEXED BY review_waiting WHERE closed_at IS NULL",
                [],
                |row| row.number("n"),
            )?;
            accounts.reviews_open = open.unwrap_or(0);
            Ok(accounts)
        })
        .await
    }

    /// Everything that is in no end state and waits nowhere. Must be empty; at most 100 of each sort.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn unaccounted(&self) -> Result<Vec<Unaccounted>, StoreError> {
        self.read(|db, _| {
            let mut all = Vec::new();
            for (what, why, sql) in FAULTS {
                all.extend(collect(db, &format!("{sql} LIMIT {UNACCOUNTED}"), [], |row| {
                    Ok(Unaccounted { what: (*what).to_owned(), id: row.at("id")?, why: (*why).to_owned() })
                })?);
            }
            Ok(all)
        })
        .await
    }

    /// Percentiles, by flow, of the time from a change's arrival to its confirmation, over deliveries confirmed since.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn latency(&self, since: Timestamp) -> Result<BTreeMap<FlowName, Latency>, StoreError> {
        self.read(move |db, _| {
            let rows = collect(
                db,
                "SELECT flow, finished_at - origin_at AS took FROM delivery INDEXED BY delivery_finished
                 WHERE state = 'delivered' AND finished_at >= ?1",
                [micros(since)],
                |row| Ok((row.flow("flow")?, row.at::<i64>("took")?)),
            )?;
            let mut flows: BTreeMap<FlowName, Vec<u64>> = BTreeMap::new();
            for (flow, micros) in rows {
                // A clock that jumped back must not make a negative latency.
                flows.entry(flow).or_default().push(u64::try_from(micros / 1000).unwrap_or(0));
            }
            Ok(flows.into_iter().map(|(flow, times)| (flow, percentiles(times))).collect())
        })
        .await
    }
}

/// What is wrong, and the rows that it is wrong with.
const FAULTS: &[(&str, &str, &str)] = &[
    ("inbox", "pending, but never due", "SELECT id FROM inbox WHERE state = 'pending' AND next_at IS NULL"),
    (
        "inbox",
        "in review, but no review item is open",
        "SELECT id FROM inbox WHERE state = 'in_review' AND NOT EXISTS
             (SELECT 1 FROM review WHERE subject = 'inbox ' || inbox.id AND closed_at IS NULL)",
    ),
    (
        "change",
        "in review, but no review item is open for its inbox entry or record",
        "SELECT id FROM change WHERE outcome = 'in_review'
             AND NOT EXISTS (SELECT 1 FROM review WHERE subject = 'inbox ' || change.inbox AND closed_at IS NULL)
             AND NOT EXISTS (SELECT 1 FROM review WHERE record = change.record AND closed_at IS NULL)",
    ),
    (
        "delivery",
        "in review, but no review item is open",
        "SELECT id FROM delivery WHERE state = 'in_review' AND NOT EXISTS
             (SELECT 1 FROM review WHERE subject = 'delivery ' || delivery.id AND closed_at IS NULL)",
    ),
    (
        "delivery",
        "blocked, but waits for nothing",
        "SELECT id FROM delivery WHERE state = 'blocked' AND NOT EXISTS
             (SELECT 1 FROM delivery_wait WHERE delivery = delivery.id)",
    ),
    (
        "delivery",
        "due, but its lane is not queued",
        "SELECT id FROM delivery WHERE state IN ('ready', 'unknown') AND NOT EXISTS
             (SELECT 1 FROM lane WHERE lane.connection = delivery.connection AND lane.root = delivery.root
                  AND due IS NOT NULL)
             AND NOT EXISTS
             (SELECT 1 FROM delivery AS earlier WHERE earlier.connection = delivery.connection
                  AND earlier.root = delivery.root AND earlier.finished_at IS NULL AND earlier.id < delivery.id
                  AND earlier.record = delivery.record AND earlier.state IN ('blocked', 'in_review'))",
    ),
];

/// Records a change and how it ended; part of a commit.
pub(crate) fn insert_change(
    db: &Connection,
    inbox: Option<RowId>,
    change: &Change,
    outcome: &ChangeOutcome,
    payload: Option<&[u8]>,
    now: i64,
) -> Result<(), StoreError> {
    let ExternalId { scope, remote_type, id: remote_id } = &change.external;
    let connection = change.connection.as_str();
    if inbox.is_some() {
        execute(
            db,
            "DELETE FROM change WHERE inbox = ?1 AND outcome = 'in_review' AND kind = ?2 AND connection = ?3
                 AND scope = ?4 AND remote_type = ?5 AND remote_id = ?6",
            params![inbox, change.kind.as_str(), connection, scope, remote_type, remote_id],
        )?;
    }
    let record = match outcome {
        ChangeOutcome::Applied { record, .. } | ChangeOutcome::Unrouted { record } => Some(blob(*record)),
        // An echo or a stale one names no record, but belongs on the page of the one it is about.
        _ => first(
            db,
            "SELECT record FROM counterpart WHERE remote_id = ?1 AND remote_type = ?2 AND connection = ?3 AND scope = ?4
             ORDER BY role = 'primary' DESC LIMIT 1",
            params![remote_id, remote_type, connection, scope],
            |row| row.at("record"),
        )?,
    };
    execute(
        db,
        "INSERT INTO change (inbox, connection, kind, scope, remote_type, remote_id, role, label, version, deleted,
             settled, links, payload, outcome, detail, record, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        params![
            inbox,
            connection,
            change.kind.as_str(),
            scope,
            remote_type,
            remote_id,
            change.role.name(),
            change.label,
            json_text(&change.version)?,
            change.deleted,
            change.settled,
            json_text(&change.links)?,
            payload,
            outcome.name(),
            json_text(outcome)?,
            record,
            now
        ],
    )?;
    Ok(())
}

pub(crate) fn payload_place(of: &Change) -> String {
    let ExternalId { scope, remote_type, id } = &of.external;
    place("change.payload", &[&of.connection, &of.kind, scope, remote_type, id, &of.version.fingerprint])
}

fn change(keys: &Keys, row: &Row<'_>) -> Result<StoredChange, StoreError> {
    let mut change = Change {
        connection: row.connection("connection")?,
        kind: row.kind("kind")?,
        external: ExternalId {
            scope: row.at("scope")?,
            remote_type: row.at("remote_type")?,
            id: row.at("remote_id")?,
        },
        role: row.named("role")?,
        label: row.at("label")?,
        version: row.json("version")?,
        deleted: row.at("deleted")?,
        settled: row.at("settled")?,
        links: row.json("links")?,
        payload: Value::Null,
    };
    if let Some(sealed) = row.at::<Option<Vec<u8>>>("payload")? {
        change.payload = keys.open_json(&payload_place(&change), &sealed)?;
    }
    Ok(StoredChange {
        id: row.at("id")?,
        inbox: row.at("inbox")?,
        change,
        outcome: row.json("detail")?,
        record: row.record_opt("record")?,
        at: row.time("at")?,
    })
}

fn flips(applied: &[StoredChange]) -> BTreeMap<String, u32> {
    let mut last: BTreeMap<&str, (&ConnectionName, &Value)> = BTreeMap::new();
    let mut flips = BTreeMap::new();
    for StoredChange { change, .. } in applied {
        for (field, value) in change.payload.as_object().into_iter().flatten() {
            if let Some((connection, before)) = last.insert(field, (&change.connection, value))
                && connection != &change.connection
                && before != value
            {
                *flips.entry(field.clone()).or_insert(0) += 1;
            }
        }
    }
    flips
}

fn counts(db: &Connection, sql: &str) -> Result<BTreeMap<String, u64>, StoreError> {
    Ok(collect(db, sql, [], |row| Ok((row.at("name")?, row.number("n")?)))?.into_iter().collect())
}

/// Nearest-rank percentiles of a list that is not empty.
fn percentiles(mut times: Vec<u64>) -> Latency {
    times.sort_unstable();
    let at = |percent: usize| {
        let rank = (times.len() * percent).div_ceil(100).max(1);
        times.get(rank - 1).copied().unwrap_or(0)
    };
    Latency { count: times.len() as u64, p50: at(50), p95: at(95), p99: at(99), max: at(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let check = |times: Vec<u64>, expect: [u64; 4]| {
            let got = percentiles(times);
            assert_eq!([got.p50, got.p95, got.p99, got.max], expect);
        };
        check(vec![7], [7, 7, 7, 7]);
        check(vec![30, 10, 20], [20, 30, 30, 30]);
        check((1..=100).collect(), [50, 95, 99, 100]);
        check((1..=1000).collect(), [500, 950, 990, 1000]);
    }
}
