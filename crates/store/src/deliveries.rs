//! Reads deliveries and their attempts.
//!
//! Never: moves one (see `commit.rs`).

use counterpart_model::delivery::{Attempt, Delivery, DeliveryState, Lane, NewDelivery};
use counterpart_model::ids::{ConnectionName, RecordId, RowId};
use rusqlite::{Connection, Row, params};
use serde_json::Value;

use crate::crypto::{Keys, place};
use crate::error::StoreError;
use crate::rows::{Columns, Conditions, Named, blob, collect, first, freshness, limit, micros};
use crate::store::Store;
use crate::types::{DeliveryFilter, Of};

const DELIVERY: &str = "id, flow, connection, root, record, kind, version, action, freshness, next_at, payload, \
                        origin_at, reason, state, failures, progress, intent, created_at, finished_at, message";

impl Store {
    /// A delivery.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn delivery(&self, id: RowId) -> Result<Option<Delivery>, StoreError> {
        self.read(move |db, keys| {
            first(db, &format!("SELECT {DELIVERY} FROM delivery WHERE id = ?1"), [id], |row| {
                delivery(keys, row)
            })
        })
        .await
    }

    /// Whether orders are still on their way to a connection, or wait for a person.
    ///
    /// # Errors
    /// When that cannot be read.
    pub async fn orders_under_way(&self, connection: &ConnectionName) -> Result<bool, StoreError> {
        let connection = connection.to_string();
        self.read(move |db, _| {
            let sql = "SELECT EXISTS (SELECT 1 FROM delivery \
                       WHERE connection = ?1 AND kind = 'order' AND finished_at IS NULL)";
            first(db, sql, [connection], |row| Ok(row.get::<_, bool>(0)?))
        })
        .await
        .map(|found| found.unwrap_or(false))
    }

    /// Every delivery of a record, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn deliveries_of(&self, record: RecordId) -> Result<Vec<Delivery>, StoreError> {
        self.read(move |db, keys| {
            collect(
                db,
                &format!("SELECT {DELIVERY} FROM delivery WHERE record = ?1 ORDER BY id"),
                [blob(record)],
                |row| delivery(keys, row),
            )
        })
        .await
    }

    /// Deliveries of a lane or of a record that have not ended, in order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn open_deliveries(&self, of: impl Into<Of> + Send) -> Result<Vec<Delivery>, StoreError> {
        let of = of.into();
        self.read(move |db, keys| match of {
            Of::Lane(lane) => open_of_lane(db, keys, &lane),
            Of::Record(record) => collect(
                db,
                &format!(
                    "SELECT {DELIVERY} FROM delivery WHERE record = ?1 AND finished_at IS NULL ORDER BY id"
                ),
                [blob(record)],
                |row| delivery(keys, row),
            ),
        })
        .await
    }

    /// Deliveries that pass a filter, newest first; with `finished_since` in the order in which they ended, so that a
    /// limit gives the next page of what is new.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list_deliveries(&self, filter: DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
        self.read(move |db, keys| {
            let flow = filter.flow.as_ref().map(|name| name.as_str());
            let connection = filter.connection.as_ref().map(|name| name.as_str());
            let (since, finished) = (filter.since.map(micros), filter.finished_since.map(micros));
            let most = limit(filter.limit, 50);
            let (index, order) = match finished {
                Some(_) => ("INDEXED BY delivery_finished", "finished_at, id"),
                None => ("", "id DESC"),
            };
            // The index of flows runs through the states first: one state after the other comes off it in order.
            let states: Vec<_> = match filter.state {
                None if flow.is_some() && finished.is_none() => {
                    DeliveryState::ALL.iter().copied().map(Some).collect()
                }
                state => vec![state],
            };
            let mut all = Vec::new();
            for state in &states {
                let state = state.map(Named::name);
                let mut conditions = Conditions::default();
                conditions.add_some("finished_at >= ?", &finished);
                conditions.add_some("flow = ?", &flow);
                conditions.add_some("state = ?", &state);
                conditions.add_some("connection = ?", &connection);
                conditions.add_some("created_at >= ?", &since);
                let sql = format!(
                    "SELECT {DELIVERY} FROM delivery {index} WHERE {} ORDER BY {order} LIMIT ?",
                    conditions.sql()
                );
                all.extend(collect(db, &sql, conditions.and(&most).as_slice(), |row| delivery(keys, row))?);
            }
            if states.len() > 1 {
                all.sort_by_key(|delivery| std::cmp::Reverse(delivery.id));
                all.truncate(usize::try_from(most).unwrap_or(usize::MAX));
            }
            Ok(all)
        })
        .await
    }

    /// Attempts of a delivery, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn attempts_of(&self, delivery: RowId) -> Result<Vec<Attempt>, StoreError> {
        self.read(move |db, keys| {
            collect(
                db,
                "SELECT delivery, step, at, millis, failure, status, message, request, response
                 FROM attempt WHERE delivery = ?1 ORDER BY id",
                [delivery],
                |row| attempt(keys, row),
            )
        })
        .await
    }

    /// Records whose counterparts a blocked delivery waits for.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn waits_for(&self, delivery: RowId) -> Result<Vec<RecordId>, StoreError> {
        self.read(move |db, _| {
            collect(
                db,
                "SELECT record FROM delivery_wait WHERE delivery = ?1 ORDER BY record",
                [delivery],
                |row| row.record("record"),
            )
        })
        .await
    }

    /// Blocked deliveries that wait for a counterpart of this record, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn waiting_for(&self, record: RecordId) -> Result<Vec<RowId>, StoreError> {
        self.read(move |db, _| {
            collect(
                db,
                "SELECT delivery FROM delivery_wait WHERE record = ?1 ORDER BY delivery",
                params![blob(record)],
                |row| row.at("delivery"),
            )
        })
        .await
    }
}

/// Open deliveries of a lane, in order.
pub(crate) fn open_of_lane(db: &Connection, keys: &Keys, lane: &Lane) -> Result<Vec<Delivery>, StoreError> {
    collect(
        db,
        &format!(
            "SELECT {DELIVERY} FROM delivery WHERE connection = ?1 AND root = ?2 AND finished_at IS NULL ORDER BY id"
        ),
        params![lane.connection.as_str(), blob(lane.root)],
        |row| delivery(keys, row),
    )
}

pub(crate) fn payload_place(of: &NewDelivery) -> String {
    let NewDelivery { flow, lane, record, version, action, .. } = of;
    place("delivery.payload", &[flow, &lane.connection, record, version, &action.as_str()])
}

/// Place of an attempt's `request` or `response`.
pub(crate) fn attempt_place(column: &str, of: &Attempt) -> String {
    place(&format!("attempt.{column}"), &[&of.delivery, &of.step, &micros(of.at)])
}

fn delivery(keys: &Keys, row: &Row<'_>) -> Result<Delivery, StoreError> {
    let id: RowId = row.at("id")?;
    let mut spec = NewDelivery {
        flow: row.flow("flow")?,
        lane: Lane { connection: row.connection("connection")?, root: row.record("root")? },
        record: row.record("record")?,
        kind: row.kind("kind")?,
        version: row.number("version")?,
        action: row.named("action")?,
        freshness: freshness(row.at("freshness")?)?,
        next_at: row.time("next_at")?,
        payload: None,
        origin_at: row.time("origin_at")?,
        reason: row.at("reason")?,
    };
    if let Some(sealed) = row.at::<Option<Vec<u8>>>("payload")? {
        spec.payload = Some(keys.open_json(&payload_place(&spec), &sealed)?);
    }
    let progress = match row.at::<Option<Vec<u8>>>("progress")? {
        Some(sealed) => keys.open_json(&place("delivery.progress", &[&id]), &sealed)?,
        None => Value::Null,
    };
    Ok(Delivery {
        id,
        spec,
        state: row.named("state")?,
        failures: row.at("failures")?,
        progress,
        intent: row.json_opt("intent")?,
        created_at: row.time("created_at")?,
        finished_at: row.time_opt("finished_at")?,
        message: row.at("message")?,
    })
}

fn attempt(keys: &Keys, row: &Row<'_>) -> Result<Attempt, StoreError> {
    let mut attempt = Attempt {
        delivery: row.at("delivery")?,
        step: row.at("step")?,
        at: row.time("at")?,
        millis: row.number("millis")?,
        failure: None,
        status: row.at("status")?,
        message: row.at("message")?,
        request: None,
        response: None,
    };
    if row.at::<Option<String>>("failure")?.is_some() {
        attempt.failure = Some(row.named("failure")?);
    }
    let open = |column: &str, of: &Attempt| -> Result<Option<Value>, StoreError> {
        let sealed = row.at::<Option<Vec<u8>>>(column)?;
        sealed.map(|sealed| keys.open_json(&attempt_place(column, of), &sealed)).transpose()
    };
    attempt.request = open("request", &attempt)?;
    attempt.response = open("response", &attempt)?;
    Ok(attempt)
}
