//! Leases lanes to workers.
//!
//! The `lane` table is the queue: a row for each lane with something to do, with the time when its first free delivery
//! is due. A delivery is free when it is ready or unknown and no earlier open delivery of its own record is blocked or
//! in review; a first free delivery that is not due yet holds back the whole lane. Thus one record's writes stay in
//! order, and a record in front of a person does not stop its neighbours on the lane.
//!
//! Never: gives one lane to two workers; reuses a token.

use std::collections::BTreeSet;

use counterpart_model::delivery::Lane;
use counterpart_model::ids::{ConnectionName, RecordId};
use jiff::Timestamp;
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::deliveries;
use crate::error::{Conflict, StoreError};
use crate::rows::{Columns, FRESHNESS, blob, collect, execute, first, limit, micros, timestamp, urgency};
use crate::store::Store;
use crate::types::{LeaseRequest, Leased};

impl Store {
    /// Leases lanes whose first free delivery is due: most urgent class first, then longest due. A lease that ran out
    /// is taken over with a higher token; the worker that lost it fails at its next `RequireLease`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn lease_lanes(&self, request: LeaseRequest) -> Result<Vec<Leased>, StoreError> {
        if request.max_lanes == 0 {
            return Ok(Vec::new());
        }
        let taken = self.write(|_| false, move |db| lease(db, &request)).await?;
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        // Read after the commit and outside the writer: the lease keeps other workers away meanwhile.
        self.read(move |db, keys| {
            taken
                .into_iter()
                .map(|(lane, token)| {
                    let heads = deliveries::open_of_lane(db, keys, &lane)?;
                    Ok(Leased { lane, token, heads })
                })
                .collect()
        })
        .await
    }

    /// Keeps a lease for longer.
    ///
    /// # Errors
    /// Conflict when it was taken over.
    pub async fn renew_lease(&self, lane: &Lane, token: i64, until: Timestamp) -> Result<(), StoreError> {
        let lane = lane.clone();
        self.write(
            |()| false,
            move |db| {
                require(db, &lane, token)?;
                execute(
                    db,
                    "UPDATE lane SET until = ?3 WHERE connection = ?1 AND root = ?2",
                    params![lane.connection.as_str(), blob(lane.root), micros(until)],
                )?;
                Ok(())
            },
        )
        .await
    }

    /// Gives back every lease, and says how many there were: at the start of the only process that works lanes, so that
    /// what a killed one held need not run out first. A worker that still lives fails at its next `RequireLease`, but
    /// what it has sent is sent; so never while one may be running.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn break_leases(&self) -> Result<usize, StoreError> {
        self.write(
            |broken| *broken > 0,
            move |db| {
                let broken = execute(db, "UPDATE lane SET token = 0, until = 0 WHERE token > 0", [])?;
                execute(db, "DELETE FROM lane WHERE token = 0 AND due IS NULL", [])?;
                Ok(broken)
            },
        )
        .await
    }

    /// When the next inbox entry or lane is due (for a leased lane: when its lease runs out); in the past when one is
    /// due already. `None` when nothing waits for time to pass.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.next_due_except(now, &[]).await
    }

    /// As [`Store::next_due`], without the lanes of connections that are paused or down.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn next_due_except(
        &self,
        now: Timestamp,
        skip: &[ConnectionName],
    ) -> Result<Option<Timestamp>, StoreError> {
        let skip = skip.to_vec();
        self.read(move |db, _| {
            let mut next = first(
                db,
                "SELECT min(next_at) AS next FROM inbox WHERE state = 'pending'",
                [],
                |row| row.at::<Option<i64>>("next"),
            )?
            .flatten();
            for connection in connections(db, &skip)? {
                for urgency in FRESHNESS.map(urgency) {
                    // Leased lanes are few, so the scan past them is short.
                    let due = first(
                        db,
                        "SELECT due FROM lane WHERE connection = ?1 AND freshness = ?2 AND due IS NOT NULL AND until <= ?3
                         ORDER BY due LIMIT 1",
                        params![connection, urgency, micros(now)],
                        |row| row.at::<i64>("due"),
                    )?;
                    next = next.into_iter().chain(due).min();
                }
                let lease = first(
                    db,
                    "SELECT min(max(until, due)) AS next FROM lane INDEXED BY lane_leased
                     WHERE connection = ?1 AND token > 0 AND until > ?2 AND due IS NOT NULL",
                    params![connection, micros(now)],
                    |row| row.at::<Option<i64>>("next"),
                )?
                .flatten();
                next = next.into_iter().chain(lease).min();
            }
            next.map(timestamp).transpose()
        })
        .await
    }
}

fn lease(db: &Connection, request: &LeaseRequest) -> Result<Vec<(Lane, i64)>, StoreError> {
    let now = micros(request.now);
    let mut due = Vec::new();
    for connection in connections(db, &request.skip)? {
        let most = request.max_per_connection.get(connection.as_str()).copied().unwrap_or(usize::MAX);
        let mut left = most.min(request.max_lanes);
        for urgency in FRESHNESS.map(urgency) {
            if left == 0 {
                break;
            }
            let found = collect(
                db,
                "SELECT root, due FROM lane
                 WHERE connection = ?1 AND freshness = ?2 AND due <= ?3 AND until <= ?3 ORDER BY due LIMIT ?4",
                params![connection, urgency, now, limit(left, 0)],
                |row| Ok((urgency, row.at::<i64>("due")?, connection.clone(), row.at::<[u8; 16]>("root")?)),
            )?;
            left -= found.len();
            due.extend(found);
        }
    }
    due.sort();
    due.truncate(request.max_lanes);
    let mut taken = Vec::with_capacity(due.len());
    for (_, _, connection, root) in due {
        let token = next_in_sequence(db)?;
        execute(
            db,
            "UPDATE lane SET token = ?3, until = ?4 WHERE connection = ?1 AND root = ?2",
            params![connection, root, token, micros(request.until)],
        )?;
        let connection = ConnectionName::new(connection)
            .map_err(|_| StoreError::corrupt("a lane's connection is no name"))?;
        taken.push((Lane { connection, root: RecordId(Uuid::from_bytes(root)) }, token));
    }
    Ok(taken)
}

/// Connections that have lanes: steps over the index from name to name instead of reading every lane.
fn connections(db: &Connection, skip: &[ConnectionName]) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    let mut last = String::new();
    while let Some(name) = first(
        db,
        "SELECT connection FROM lane WHERE connection > ?1 ORDER BY connection LIMIT 1",
        [&last],
        |row| row.at::<String>("connection"),
    )? {
        if !skip.iter().any(|skipped| skipped.as_str() == name) {
            names.push(name.clone());
        }
        last = name;
    }
    Ok(names)
}

/// Reckons a lane's place in the queue anew; called for every lane that a commit touched.
pub(crate) fn refresh(db: &Connection, connection: &str, root: [u8; 16]) -> Result<(), StoreError> {
    let open = collect(
        db,
        "SELECT record, state, next_at, freshness FROM delivery
         WHERE connection = ?1 AND root = ?2 AND finished_at IS NULL ORDER BY id",
        params![connection, root],
        |row| {
            let waits = matches!(row.at::<String>("state")?.as_str(), "blocked" | "in_review");
            Ok((row.at::<[u8; 16]>("record")?, waits, row.at::<i64>("next_at")?, row.at::<i64>("freshness")?))
        },
    )?;
    let mut held = BTreeSet::new();
    let mut due = None;
    // The lane is as urgent as its most urgent free delivery: what stands before that one must go first.
    let mut urgency = i64::MAX;
    for (record, waits, next_at, freshness) in open {
        if waits {
            held.insert(record);
        } else if !held.contains(&record) {
            due = due.or(Some(next_at));
            urgency = urgency.min(freshness);
        }
    }
    if due.is_some() {
        execute(
            db,
            "INSERT INTO lane (connection, root, freshness, due) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET freshness = excluded.freshness, due = excluded.due",
            params![connection, root, urgency, due],
        )?;
    } else {
        execute(
            db,
            "UPDATE lane SET due = NULL WHERE connection = ?1 AND root = ?2",
            params![connection, root],
        )?;
        execute(
            db,
            "DELETE FROM lane WHERE connection = ?1 AND root = ?2 AND token = 0",
            params![connection, root],
        )?;
    }
    Ok(())
}

/// Fails unless the lane is held with this token. A lease that ran out but was not taken over still counts.
pub(crate) fn require(db: &Connection, lane: &Lane, token: i64) -> Result<(), StoreError> {
    let held = self::token(db, lane.connection.as_str(), blob(lane.root))?;
    if held == token && token > 0 { Ok(()) } else { Err(Conflict::Lease { lane: lane.clone() }.into()) }
}

/// Gives a lane back; nothing happens when it is no longer held with this token.
pub(crate) fn release(db: &Connection, lane: &Lane, token: i64) -> Result<(), StoreError> {
    execute(
        db,
        "UPDATE lane SET token = 0, until = 0 WHERE connection = ?1 AND root = ?2 AND token = ?3",
        params![lane.connection.as_str(), blob(lane.root), token],
    )?;
    Ok(())
}

/// The token a lane is held with; 0 when it is not.
pub(crate) fn token(db: &Connection, connection: &str, root: [u8; 16]) -> Result<i64, StoreError> {
    let token = first(
        db,
        "SELECT token FROM lane WHERE connection = ?1 AND root = ?2",
        params![connection, root],
        |row| row.at("token"),
    )?;
    Ok(token.unwrap_or(0))
}

/// The next number of the sequence that lease tokens and counterpart revisions share.
pub(crate) fn next_in_sequence(db: &Connection) -> Result<i64, StoreError> {
    first(db, "UPDATE sequence SET value = value + 1 WHERE id = 1 RETURNING value", [], |row| {
        row.at("value")
    })?
    .ok_or_else(|| StoreError::corrupt("it has no sequence"))
}
