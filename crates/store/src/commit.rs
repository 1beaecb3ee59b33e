//! Writes a list of effects in one transaction.
//!
//! Never: writes part of a list; decides what the list should be.

use std::collections::BTreeSet;

use counterpart_model::delivery::{DeliveryState, NewDelivery, NewReview, ReviewSubject};
use counterpart_model::effect::{Effect, Reservation};
use counterpart_model::ids::{RecordId, RowId};
use counterpart_model::record::{Counterpart, Record, Role};
use rusqlite::{Connection, params};
use serde_json::Value;
use uuid::Uuid;

use crate::crypto::{Keys, place};
use crate::error::{Conflict, StoreError};
use crate::rows::{
    Columns, Named, blob, collect, execute, first, json_text, micros, signed, subject_text, urgency,
};
use crate::store::Store;
use crate::types::Committed;
use crate::{accounts, deliveries, intake, lanes, records, reviews};

impl Store {
    /// Writes a list of effects, all of them or none.
    ///
    /// Beyond what each effect says of itself:
    /// - A delivery named in `supersedes` is left open when its intent is set: a request may have been sent, and what
    ///   became of it must be learned first. One that has ended is left as it is.
    /// - `SetDelivery` on a delivery that has ended is a conflict, except that `Delivered` replaces another end: it is
    ///   what happened. An end clears the intent. Without `next_at` a delivery is due at once.
    /// - A delivery blocked on a record whose counterpart was put after its lane was leased is ready at once, so that
    ///   no wake-up is lost.
    /// - Review items of a delivery that ends, and that the list does not close otherwise, are closed as `resolved`.
    /// - The keys of `PutRecord` replace those of the version before.
    /// - A change recorded as in review is replaced when the same inbox entry gives it again.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when someone else was first.
    pub async fn commit(&self, effects: Vec<Effect>) -> Result<Committed, StoreError> {
        if effects.is_empty() {
            return Ok(Committed::default());
        }
        let keys = self.keys();
        let sealed =
            effects.into_iter().map(|effect| Sealed::new(keys, effect)).collect::<Result<Vec<_>, _>>()?;
        let clock = self.clock();
        // The time is taken when the list's turn comes: what is written later is never older, so a reader that asks
        // what ended since a moment misses nothing.
        self.write(|_| true, move |db| apply(db, &sealed, micros(clock.now()))).await
    }
}

/// An effect with its sealed columns, made on the caller's thread, so that the writer only writes.
struct Sealed {
    effect: Effect,
    first: Option<Vec<u8>>,
    second: Option<Vec<u8>>,
    hashes: Vec<[u8; 16]>,
}

impl Sealed {
    fn new(keys: &Keys, effect: Effect) -> Result<Self, StoreError> {
        let seal = |place: String, value: &Value| keys.seal_json(&place, value).map(Some);
        let seal_opt = |place: String, value: &Option<Value>| match value {
            Some(value) => seal(place, value),
            None => Ok(None),
        };
        let unless_null =
            |place: String, value: &Value| if value.is_null() { Ok(None) } else { seal(place, value) };
        let (mut first, mut second, mut hashes) = (None, None, Vec::new());
        match &effect {
            Effect::PutRecord { record, keys: named, .. } => {
                first = seal(records::payload_place(record.id, record.version), &record.payload)?;
                hashes = named.iter().map(|(name, value)| keys.blind(record.kind, name, value)).collect();
            }
            Effect::PutCounterpart(counterpart) => {
                first = seal_opt(records::sealed_place("observed", counterpart), &counterpart.observed)?;
                second = seal_opt(records::sealed_place("written", counterpart), &counterpart.written)?;
            }
            Effect::EndChange { change, .. } => {
                first = unless_null(accounts::payload_place(change), &change.payload)?
            }
            Effect::AddDelivery { delivery, .. } => {
                first = seal_opt(deliveries::payload_place(delivery), &delivery.payload)?;
            }
            Effect::SetDelivery { delivery, progress, .. } => {
                first = unless_null(place("delivery.progress", &[delivery]), progress)?;
            }
            Effect::AddAttempt(attempt) => {
                first = seal_opt(deliveries::attempt_place("request", attempt), &attempt.request)?;
                second = seal_opt(deliveries::attempt_place("response", attempt), &attempt.response)?;
            }
            Effect::OpenReview(review) => {
                first = seal(reviews::detail_place(&review.subject, review.reason), &review.detail)?;
            }
            _ => {}
        }
        Ok(Self { effect, first, second, hashes })
    }
}

/// What a list leaves to be done at its end.
#[derive(Default)]
struct After {
    lanes: BTreeSet<(String, [u8; 16])>,
    ended: BTreeSet<RowId>,
}

fn apply(db: &Connection, list: &[Sealed], now: i64) -> Result<Committed, StoreError> {
    let mut after = After::default();
    let mut committed = Committed::default();
    for sealed in list {
        one(db, sealed, now, &mut after, &mut committed)?;
    }
    for delivery in after.ended {
        reviews::close(db, &ReviewSubject::Delivery(delivery), "resolved", "counterpart", now)?;
    }
    for (connection, root) in after.lanes {
        lanes::refresh(db, &connection, root)?;
    }
    Ok(committed)
}

fn one(
    db: &Connection,
    sealed: &Sealed,
    now: i64,
    after: &mut After,
    committed: &mut Committed,
) -> Result<(), StoreError> {
    match &sealed.effect {
        Effect::PutRecord { record, expected, cause, .. } => put_record(db, sealed, record, *expected, cause),
        Effect::PutCounterpart(counterpart) => put_counterpart(db, sealed, counterpart, now, after),
        Effect::EndChange { inbox, change, outcome } => {
            accounts::insert_change(db, *inbox, change, outcome, sealed.first.as_deref(), now)
        }
        Effect::EndInbox { inbox, outcome } => intake::end(db, *inbox, outcome, now),
        Effect::AddDelivery { delivery, supersedes } => {
            committed.deliveries.push(add_delivery(db, sealed, delivery, supersedes, now, after)?);
            Ok(())
        }
        Effect::RequireLease { lane, token } => lanes::require(db, lane, *token),
        Effect::ReleaseLane { lane, token } => {
            after.lanes.insert((lane.connection.as_str().to_owned(), blob(lane.root)));
            lanes::release(db, lane, *token)
        }
        Effect::SetIntent { delivery, intent } => {
            let found = Place::of(db, *delivery)?;
            if found.state.is_final() && intent.is_some() {
                return Err(found.ended(*delivery));
            }
            let intent = intent.as_ref().map(json_text).transpose()?;
            execute(db, "UPDATE delivery SET intent = ?2 WHERE id = ?1", params![delivery, intent])?;
            Ok(())
        }
        Effect::SetDelivery { .. } => set_delivery(db, sealed, now, after),
        Effect::AddAttempt(attempt) => {
            let failure = attempt.failure.map(Named::name);
            execute(
                db,
                "INSERT INTO attempt (delivery, step, at, millis, failure, status, message, request, response)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    attempt.delivery,
                    attempt.step,
                    micros(attempt.at),
                    signed(attempt.millis),
                    failure,
                    attempt.status,
                    attempt.message,
                    sealed.first,
                    sealed.second
                ],
            )?;
            Ok(())
        }
        Effect::OpenReview(review) => open_review(db, sealed, review, now),
        Effect::CloseReviews { subject, how, by } => reviews::close(db, subject, how, by, now),
        Effect::PutReservations { order, rows } => put_reservations(db, *order, rows),
    }
}

fn put_record(
    db: &Connection,
    sealed: &Sealed,
    record: &Record,
    expected: Option<u64>,
    cause: &str,
) -> Result<(), StoreError> {
    let id = blob(record.id);
    let values = params![
        id,
        record.kind.as_str(),
        signed(record.version),
        record.label,
        sealed.first,
        micros(record.created_at),
        micros(record.updated_at),
        expected.map(signed)
    ];
    let touched = match expected {
        None => execute(
            db,
            "INSERT INTO record (id, kind, version, label, payload, created_at, updated_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE ?8 IS NULL ON CONFLICT DO NOTHING",
            values,
        )?,
        Some(_) => execute(
            db,
            "UPDATE record SET kind = ?2, version = ?3, label = ?4, payload = ?5, created_at = ?6, updated_at = ?7
             WHERE id = ?1 AND version = ?8",
            values,
        )?,
    };
    if touched == 0 {
        let found = first(db, "SELECT version FROM record WHERE id = ?1", [id], |row| row.number("version"))?;
        return Err(Conflict::RecordVersion { record: record.id, expected, found }.into());
    }
    execute(
        db,
        "INSERT INTO record_version VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET at = excluded.at, cause = excluded.cause",
        params![id, signed(record.version), micros(record.updated_at), cause],
    )?;
    if expected.is_some() {
        execute(db, "DELETE FROM record_key WHERE record = ?1", [id])?;
    }
    for hash in &sealed.hashes {
        execute(db, "INSERT INTO record_key VALUES (?1, ?2) ON CONFLICT DO NOTHING", params![hash, id])?;
    }
    Ok(())
}

fn put_counterpart(
    db: &Connection,
    sealed: &Sealed,
    counterpart: &Counterpart,
    now: i64,
    after: &mut After,
) -> Result<(), StoreError> {
    let id = blob(counterpart.record);
    if counterpart.role == Role::Primary {
        refuse_second_primary(db, counterpart)?;
    }
    let external = &counterpart.external;
    execute(
        db,
        "INSERT INTO counterpart (record, kind, connection, scope, remote_type, remote_id, role, number, links,
             observed, observed_version, written, written_version, settled, updated_at, watched_at, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
         ON CONFLICT (remote_id, remote_type, connection, scope, role, record) DO UPDATE SET
             kind = excluded.kind, number = excluded.number, links = excluded.links, observed = excluded.observed,
             observed_version = excluded.observed_version, written = excluded.written,
             written_version = excluded.written_version, settled = excluded.settled,
             updated_at = excluded.updated_at, watched_at = excluded.watched_at, revision = excluded.revision",
        params![
            id,
            counterpart.kind.as_str(),
            counterpart.connection.as_str(),
            external.scope,
            external.remote_type,
            external.id,
            counterpart.role.name(),
            counterpart.number,
            json_text(&counterpart.links)?,
            sealed.first,
            counterpart.observed_version.as_ref().map(json_text).transpose()?,
            sealed.second,
            counterpart.written_version.map(signed),
            counterpart.settled,
            micros(counterpart.updated_at),
            now,
            lanes::next_in_sequence(db)?
        ],
    )?;
    let waiting = collect(
        db,
        "SELECT delivery FROM delivery_wait WHERE record = ?1 AND connection = ?2",
        params![id, counterpart.connection.as_str()],
        |row| row.at::<RowId>("delivery"),
    )?;
    for delivery in waiting {
        wake(db, delivery, now, after)?;
    }
    Ok(())
}

fn refuse_second_primary(db: &Connection, counterpart: &Counterpart) -> Result<(), StoreError> {
    let external = &counterpart.external;
    let owner = first(
        db,
        "SELECT record FROM counterpart
         WHERE remote_id = ?1 AND remote_type = ?2 AND connection = ?3 AND scope = ?4 AND role = 'primary'",
        params![external.id, external.remote_type, counterpart.connection.as_str(), external.scope],
        |row| row.record("record"),
    )?;
    if let Some(record) = owner
        && record != counterpart.record
    {
        let (connection, external) = (counterpart.connection.clone(), external.clone());
        return Err(Conflict::PrimaryElsewhere { connection, external, record }.into());
    }
    let other = first(
        db,
        "SELECT remote_id FROM counterpart
         WHERE record = ?1 AND connection = ?2 AND scope = ?3 AND remote_type = ?4 AND role = 'primary'
             AND remote_id <> ?5",
        params![
            blob(counterpart.record),
            counterpart.connection.as_str(),
            external.scope,
            external.remote_type,
            external.id
        ],
        |row| row.at::<String>("remote_id"),
    )?;
    if let Some(id) = other {
        let mut external = external.clone();
        external.id = id;
        let (connection, record) = (counterpart.connection.clone(), counterpart.record);
        return Err(Conflict::SecondPrimary { connection, external, record }.into());
    }
    Ok(())
}

/// Makes a blocked delivery ready at once.
fn wake(db: &Connection, delivery: RowId, now: i64, after: &mut After) -> Result<(), StoreError> {
    execute(db, "DELETE FROM delivery_wait WHERE delivery = ?1", [delivery])?;
    execute(
        db,
        "UPDATE delivery SET state = 'ready', next_at = ?2 WHERE id = ?1 AND state = 'blocked'",
        params![delivery, now],
    )?;
    after.lanes.insert(Place::of(db, delivery)?.lane());
    Ok(())
}

fn add_delivery(
    db: &Connection,
    sealed: &Sealed,
    delivery: &NewDelivery,
    supersedes: &[RowId],
    now: i64,
    after: &mut After,
) -> Result<RowId, StoreError> {
    let root = blob(delivery.lane.root);
    execute(
        db,
        "INSERT INTO delivery (flow, connection, root, record, kind, version, action, freshness, next_at, payload,
             origin_at, reason, state, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 'ready', ?13)",
        params![
            delivery.flow.as_str(),
            delivery.lane.connection.as_str(),
            root,
            blob(delivery.record),
            delivery.kind.as_str(),
            signed(delivery.version),
            delivery.action.name(),
            urgency(delivery.freshness),
            micros(delivery.next_at),
            sealed.first,
            micros(delivery.origin_at),
            delivery.reason,
            now
        ],
    )?;
    let id = db.last_insert_rowid();
    after.lanes.insert((delivery.lane.connection.as_str().to_owned(), root));
    for old in supersedes {
        let touched = execute(
            db,
            "UPDATE delivery SET state = 'superseded', finished_at = ?2, superseded_by = ?3, message = ?4
             WHERE id = ?1 AND finished_at IS NULL AND intent IS NULL",
            params![old, now, id, format!("superseded by delivery {id}")],
        )?;
        if touched > 0 {
            execute(db, "DELETE FROM delivery_wait WHERE delivery = ?1", [old])?;
            after.ended.insert(*old);
            after.lanes.insert(Place::of(db, *old)?.lane());
        }
    }
    Ok(id)
}

fn set_delivery(db: &Connection, sealed: &Sealed, now: i64, after: &mut After) -> Result<(), StoreError> {
    let Effect::SetDelivery { delivery, state, next_at, failures, message, waits_for, .. } = &sealed.effect
    else {
        return Ok(());
    };
    let found = Place::of(db, *delivery)?;
    if found.state.is_final() && *state != found.state && *state != DeliveryState::Delivered {
        return Err(found.ended(*delivery));
    }
    let finished = state.is_final().then_some(now);
    execute(
        db,
        "UPDATE delivery SET state = ?2, next_at = ?3, failures = ?4, progress = ?5, message = ?6, finished_at = ?7,
             intent = CASE WHEN ?7 IS NULL THEN intent END
         WHERE id = ?1",
        params![delivery, state.name(), next_at.map_or(now, micros), failures, sealed.first, message, finished],
    )?;
    execute(db, "DELETE FROM delivery_wait WHERE delivery = ?1", [delivery])?;
    if state.is_final() {
        after.ended.insert(*delivery);
    }
    let (connection, root) = found.lane();
    if *state == DeliveryState::Blocked {
        let leased_at = lanes::token(db, &connection, root)?;
        let mut came_meanwhile = false;
        for record in waits_for {
            execute(
                db,
                "INSERT INTO delivery_wait VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![blob(*record), connection, delivery],
            )?;
            // Tokens and revisions come from one sequence: a higher revision was put after the lane was leased, so the
            // worker may not have seen it.
            came_meanwhile |= first(
                db,
                "SELECT 1 AS found FROM counterpart WHERE record = ?1 AND connection = ?2 AND revision > ?3 LIMIT 1",
                params![blob(*record), connection, leased_at],
                |row| row.at::<i64>("found"),
            )?
            .is_some();
        }
        if came_meanwhile {
            wake(db, *delivery, now, after)?;
        }
    }
    after.lanes.insert((connection, root));
    Ok(())
}

fn open_review(db: &Connection, sealed: &Sealed, review: &NewReview, now: i64) -> Result<(), StoreError> {
    let record = match review.subject {
        _ if review.record.is_some() => review.record,
        ReviewSubject::Record(record) => Some(record),
        ReviewSubject::Delivery(delivery) => Some(Place::of(db, delivery)?.record),
        ReviewSubject::Inbox(_) => None,
    };
    execute(
        db,
        "INSERT INTO review (subject, reason, message, detail, connection, record, opened_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (subject, reason) WHERE closed_at IS NULL DO UPDATE SET
             message = excluded.message, detail = excluded.detail,
             connection = coalesce(excluded.connection, connection), record = coalesce(excluded.record, record)",
        params![
            subject_text(&review.subject),
            review.reason.name(),
            review.message,
            sealed.first,
            review.connection.as_ref().map(|name| name.as_str()),
            record.map(blob),
            now
        ],
    )?;
    Ok(())
}

fn put_reservations(db: &Connection, order: RecordId, rows: &[Reservation]) -> Result<(), StoreError> {
    execute(db, "DELETE FROM reservation WHERE order_id = ?1", [blob(order)])?;
    for row in rows {
        execute(
            db,
            "INSERT INTO reservation VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                blob(order),
                row.line,
                blob(row.item),
                row.location,
                row.store.as_str(),
                row.quantity.to_string(),
                row.open_in_store.to_string(),
                row.confirmed_at.map(micros)
            ],
        )?;
    }
    Ok(())
}

/// Where a delivery stands, as far as writing needs it.
struct Place {
    connection: String,
    root: [u8; 16],
    record: RecordId,
    state: DeliveryState,
}

impl Place {
    fn of(db: &Connection, delivery: RowId) -> Result<Self, StoreError> {
        first(db, "SELECT connection, root, record, state FROM delivery WHERE id = ?1", [delivery], |row| {
            Ok(Self {
                connection: row.at("connection")?,
                root: row.at("root")?,
                record: RecordId(Uuid::from_bytes(row.at("record")?)),
                state: row.named("state")?,
            })
        })?
        .ok_or_else(|| StoreError::not_found(format!("delivery {delivery}")))
    }

    fn lane(&self) -> (String, [u8; 16]) {
        (self.connection.clone(), self.root)
    }

    fn ended(&self, delivery: RowId) -> StoreError {
        Conflict::DeliveryEnded { delivery, state: self.state.name().to_owned() }.into()
    }
}
