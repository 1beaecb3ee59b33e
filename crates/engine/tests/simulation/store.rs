//! A model of the store: the same effects, with the same conflicts, on maps in memory.
//!
//! Never: decides; writes part of a list.

use std::collections::{BTreeMap, BTreeSet};

use counterpart_model::change::{Change, ChangeOutcome};
use counterpart_model::delivery::{Delivery, DeliveryState, Lane, NewDelivery, NewReview, ReviewSubject};
use counterpart_model::effect::{Effect, Reservation};
use counterpart_model::ids::{ConnectionName, ExternalId, RecordId, RowId};
use counterpart_model::kind::Kind;
use counterpart_model::record::{Counterpart, Record, Role};
use jiff::Timestamp;
use serde_json::Value;

use crate::Broken;

/// Somebody else was first.
#[derive(Debug)]
pub struct Conflict(pub String);

/// An arrival: a hint (`body` null) or what was read.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub connection: ConnectionName,
    pub topic: &'static str,
    pub key: String,
    pub event: String,
    pub read_began: Timestamp,
    pub read_back: bool,
    pub body: Value,
}

/// An inbox row.
#[derive(Debug, Clone)]
pub struct Entry {
    pub arrival: Arrival,
    pub tries: usize,
    pub next_at: Timestamp,
    pub outcome: Option<String>,
}

/// Everything durable.
#[derive(Default)]
pub struct Store {
    pub broken: Broken,
    pub records: BTreeMap<RecordId, Record>,
    pub counterparts: BTreeMap<(ConnectionName, ExternalId, RecordId), Counterpart>,
    pub deliveries: BTreeMap<RowId, Delivery>,
    pub inbox: BTreeMap<RowId, Entry>,
    pub changes: Vec<(Change, ChangeOutcome)>,
    pub reviews: Vec<(NewReview, bool)>,
    pub reservations: BTreeMap<RecordId, Vec<Reservation>>,
    /// Inbox rows that are not dealt with.
    pub pending: BTreeSet<RowId>,
    /// Deliveries that have not ended.
    pub open: BTreeSet<RowId>,
    keys: BTreeMap<(Kind, String, String), BTreeSet<RecordId>>,
    lanes: BTreeMap<Lane, (i64, Timestamp)>,
    last_seen: BTreeMap<(ConnectionName, &'static str, String), String>,
    events: BTreeSet<(ConnectionName, &'static str, String)>,
    next: i64,
}

impl Store {
    pub fn new(broken: Broken) -> Self {
        Self { broken, ..Self::default() }
    }

    /// Takes an arrival in, once. What was read is taken when it differs from what was read last, or when `forced`.
    pub fn accept(&mut self, arrival: Arrival, forced: bool) -> Option<RowId> {
        if !arrival.body.is_null() {
            let place = (arrival.connection.clone(), arrival.topic, arrival.key.clone());
            let text = arrival.body.to_string();
            if self.last_seen.insert(place, text.clone()).is_some_and(|last| last == text) && !forced {
                return None;
            }
        }
        if !self.events.insert((arrival.connection.clone(), arrival.topic, arrival.event.clone())) {
            return None;
        }
        let next_at = arrival.read_began;
        let id = self.sequence();
        self.pending.insert(id);
        self.inbox.insert(id, Entry { arrival, tries: 0, next_at, outcome: None });
        Some(id)
    }

    fn sequence(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    pub fn at(&self, connection: &ConnectionName, external: &ExternalId, kind: Kind) -> Option<&Counterpart> {
        let from = (connection.clone(), external.clone(), RecordId::from_parts(0, [0; 10]));
        let found = self.counterparts.range(from..);
        found
            .take_while(|((c, e, _), _)| c == connection && e == external)
            .map(|(_, c)| c)
            .find(|c| c.kind == kind)
    }

    pub fn by_key(&self, kind: Kind, name: &str, value: &str) -> Option<RecordId> {
        self.keys.get(&(kind, name.into(), value.into())).and_then(|found| found.first().copied())
    }

    pub fn counterparts_of(&self, record: RecordId) -> Vec<Counterpart> {
        self.counterparts.values().filter(|c| c.record == record).cloned().collect()
    }

    pub fn open_of(&self, record: RecordId) -> Vec<Delivery> {
        self.open.iter().map(|id| &self.deliveries[id]).filter(|d| d.spec.record == record).cloned().collect()
    }

    pub fn reservations_of_item(&self, item: RecordId) -> Vec<Reservation> {
        self.reservations.values().flatten().filter(|row| row.item == item).cloned().collect()
    }

    /// The lane's first delivery that is due and not held back by an earlier one of its record.
    pub fn head(&self, lane: &Lane, now: Timestamp) -> Option<Delivery> {
        self.first_free(lane).filter(|d| d.spec.next_at <= now).cloned()
    }

    fn first_free(&self, lane: &Lane) -> Option<&Delivery> {
        let mut held = BTreeSet::new();
        for delivery in self.open.iter().map(|id| &self.deliveries[id]).filter(|d| d.spec.lane == *lane) {
            if matches!(delivery.state, DeliveryState::Blocked | DeliveryState::InReview) {
                held.insert(delivery.spec.record);
            } else if !held.contains(&delivery.spec.record) {
                return Some(delivery);
            }
        }
        None
    }

    /// Leases every lane that has something due.
    pub fn lease(&mut self, now: Timestamp, until: Timestamp) -> Vec<(Lane, i64)> {
        let lanes: BTreeSet<Lane> =
            self.open.iter().map(|id| self.deliveries[id].spec.lane.clone()).collect();
        let mut leased = Vec::new();
        for lane in lanes {
            let free = self.lanes.get(&lane).is_none_or(|(token, held)| *token == 0 || *held <= now);
            if free && self.head(&lane, now).is_some() {
                let token = self.sequence();
                self.lanes.insert(lane.clone(), (token, until));
                leased.push((lane, token));
            }
        }
        leased
    }

    /// Writes a list, all of it or nothing.
    pub fn commit(&mut self, effects: Vec<Effect>, now: Timestamp) -> Result<(), Conflict> {
        for effect in &effects {
            self.check(effect)?;
        }
        for effect in effects {
            self.write(effect, now);
        }
        Ok(())
    }

    fn check(&self, effect: &Effect) -> Result<(), Conflict> {
        let conflict = |what: String| Err(Conflict(what));
        match effect {
            Effect::PutRecord { record, expected, .. } if self.broken != Broken::Cas => {
                let found = self.records.get(&record.id).map(|r| r.version);
                if found != *expected {
                    return conflict(format!("record {} is at {found:?}", record.id));
                }
            }
            Effect::PutCounterpart(c) if c.role == Role::Primary => {
                let stored = self.counterparts.get(&(c.connection.clone(), c.external.clone(), c.record));
                if let Some(stored) = stored.filter(|_| self.broken != Broken::Cas) {
                    let read = |c: &Counterpart| c.observed_version.as_ref().map(|v| v.read_began);
                    if read(c) < read(stored) || c.written_version < stored.written_version {
                        return conflict(format!("{} has moved on", c.external));
                    }
                }
                for other in self.counterparts.values().filter(|o| o.connection == c.connection) {
                    if other.external == c.external && other.kind == c.kind && other.record != c.record {
                        return conflict(format!("primary elsewhere: {}", c.external));
                    }
                    let same_type = other.external.remote_type == c.external.remote_type;
                    if other.record == c.record && same_type && other.external != c.external {
                        return conflict(format!("second primary: {} and {}", c.external, other.external));
                    }
                }
            }
            Effect::PutReservations { order, rows } => {
                let stored = self.reservations.get(order).into_iter().flatten();
                for old in stored.filter(|old| old.confirmed_at.is_some()) {
                    let new = rows.iter().find(|row| row.line == old.line);
                    if new.is_some_and(|row| row.confirmed_at.is_none() && row.quantity <= old.quantity) {
                        return conflict("a reservation was confirmed meanwhile".into());
                    }
                }
            }
            Effect::RequireLease { lane, token }
                if self.broken != Broken::Lease
                    && self.lanes.get(lane).is_none_or(|(held, _)| held != token) =>
            {
                return conflict("the lease is lost".into());
            }
            Effect::SetIntent { delivery, intent: Some(_) } if self.deliveries[delivery].state.is_final() => {
                return conflict("the delivery has ended".into());
            }
            Effect::SetDelivery { delivery, state, .. } => {
                let found = self.deliveries[delivery].state;
                if found.is_final() && found != *state && *state != DeliveryState::Delivered {
                    return conflict("the delivery has ended".into());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn write(&mut self, effect: Effect, now: Timestamp) {
        match effect {
            Effect::PutRecord { record, keys, .. } => {
                for (name, value) in keys {
                    self.keys.entry((record.kind, name, value)).or_default().insert(record.id);
                }
                self.records.insert(record.id, record);
            }
            Effect::PutCounterpart(c) => {
                self.counterparts.insert((c.connection.clone(), c.external.clone(), c.record), *c);
            }
            Effect::EndChange { change, outcome, .. } => self.changes.push((*change, outcome)),
            Effect::EndInbox { inbox, outcome } => {
                if let Some(entry) = self.inbox.get_mut(&inbox) {
                    entry.outcome = Some(outcome);
                    self.pending.remove(&inbox);
                }
            }
            Effect::AddDelivery { delivery, supersedes } => self.add(*delivery, &supersedes, now),
            Effect::ReleaseLane { lane, token } => {
                if let Some(held) = self.lanes.get_mut(&lane).filter(|(held, _)| *held == token) {
                    held.0 = 0;
                }
            }
            Effect::SetIntent { delivery, intent } => {
                if let Some(d) = self.deliveries.get_mut(&delivery) {
                    d.intent = intent;
                }
            }
            Effect::SetDelivery { delivery, state, next_at, failures, progress, message, .. } => {
                let Some(d) = self.deliveries.get_mut(&delivery) else { return };
                (d.state, d.failures, d.progress, d.message) = (state, failures, progress, message);
                d.spec.next_at = next_at.unwrap_or(now);
                if state.is_final() {
                    (d.finished_at, d.intent) = (Some(now), None);
                    self.open.remove(&delivery);
                    self.close(&ReviewSubject::Delivery(delivery));
                }
            }
            Effect::OpenReview(review) => {
                let same = |(r, open): &(NewReview, bool)| {
                    *open && r.subject == review.subject && r.reason == review.reason
                };
                if !self.reviews.iter().any(same) {
                    self.reviews.push((*review, true));
                }
            }
            Effect::CloseReviews { subject, .. } => self.close(&subject),
            Effect::PutReservations { order, rows } => drop(self.reservations.insert(order, rows)),
            Effect::AddAttempt(_) | Effect::RequireLease { .. } => {}
        }
    }

    fn add(&mut self, spec: NewDelivery, supersedes: &[RowId], now: Timestamp) {
        let id = self.sequence();
        for old in supersedes {
            // One whose request may be on its way stays: what it did must be learned first.
            let Some(d) = self.deliveries.get_mut(old) else { continue };
            if !d.state.is_final() && d.intent.is_none() {
                (d.state, d.finished_at) = (DeliveryState::Superseded, Some(now));
                self.open.remove(old);
                self.close(&ReviewSubject::Delivery(*old));
            }
        }
        let delivery = Delivery {
            id,
            spec,
            state: DeliveryState::Ready,
            failures: 0,
            progress: Value::Null,
            intent: None,
            created_at: now,
            finished_at: None,
            message: None,
        };
        self.open.insert(id);
        self.deliveries.insert(id, delivery);
    }

    /// When the next inbox row or lane that is free (or whose lease runs out) is due.
    pub fn next_due(&self, busy: &BTreeSet<RowId>) -> Option<Timestamp> {
        let inbox = self.pending.iter().filter(|id| !busy.contains(*id)).map(|id| self.inbox[id].next_at);
        let lanes: BTreeSet<&Lane> = self.open.iter().map(|id| &self.deliveries[id].spec.lane).collect();
        let deliveries = lanes.into_iter().filter_map(|lane| {
            let lease = self.lanes.get(lane).filter(|(token, _)| *token != 0).map(|(_, until)| *until);
            let due = self.first_free(lane)?.spec.next_at;
            Some(lease.map_or(due, |until| until.max(due)))
        });
        inbox.chain(deliveries).min()
    }

    fn close(&mut self, subject: &ReviewSubject) {
        self.reviews.iter_mut().filter(|(r, _)| r.subject == *subject).for_each(|(_, open)| *open = false);
    }
}
