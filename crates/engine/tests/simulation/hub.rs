//! The hub's shell, as thin as it can be: intake, processing, polls. Everything it decides is decided by the engine.
//!
//! Never: keeps anything that a crash must not lose outside the store.

use counterpart_engine::apply::{ApplyInput, Known, OWN_KEY, apply_change};
use counterpart_model::change::{Change, ChangeOutcome};
use counterpart_model::delivery::{Action, Lane, NewDelivery};
use counterpart_model::effect::{Effect, Reservation};
use counterpart_model::ids::{ConnectionName, ExternalId, RecordId, RowId};
use counterpart_model::kind::Kind;
use counterpart_model::record::{Counterpart, Role, SourceVersion};
use counterpart_model::refs::visit_refs;
use rand::RngExt;
use serde_json::{Value, json};

use crate::store::Arrival;
use crate::world::{Event, World};
use crate::{Broken, Ms, name, stamp};

/// Waits of an arrival whose order is not known yet.
const WAITS: [Ms; 6] = [2_000, 10_000, 60_000, 300_000, 600_000, 1_200_000];

/// An arrival that is being made into changes. Lost in a crash; the arrival is not.
pub struct Task {
    pub entry: RowId,
    pub changes: Vec<Value>,
    pub decided: Option<Decided>,
}

/// What one change leads to, decided from a snapshot that may be old by now.
pub struct Decided {
    effects: Vec<Effect>,
    read_back: Option<ExternalId>,
}

impl World {
    /// Takes up what is due in the inbox.
    pub fn inbox_round(&mut self) {
        let now = stamp(self.now);
        let due: Vec<RowId> = self
            .store
            .pending
            .iter()
            .filter(|id| self.store.inbox[id].next_at <= now && !self.busy.contains(id))
            .copied()
            .collect();
        for id in due {
            self.busy.insert(id);
            let entry = self.store.inbox[&id].arrival.clone();
            if entry.body.is_null() {
                let wait = self.rng.random_range(20..3_000);
                self.later(wait, Event::Read { entry: id, began: self.now + 1, epoch: self.epoch });
            } else {
                let changes = entry.body["changes"].as_array().cloned().unwrap_or_default();
                let task = self.id();
                self.tasks.insert(task, Task { entry: id, changes, decided: None });
                self.later(5, Event::Task(task));
            }
        }
    }

    /// A hint is followed: what it names is read, if the system answers.
    pub fn read(&mut self, entry: RowId, began: Ms) {
        let hint = self.store.inbox[&entry].arrival.clone();
        self.busy.remove(&entry);
        if self.fails() {
            let Some(entry) = self.store.inbox.get_mut(&entry) else { return };
            entry.next_at = stamp(self.now + 5_000);
            return;
        }
        self.take_in(&hint.connection, hint.topic, &hint.key, began, true);
        self.commit(vec![Effect::EndInbox { inbox: entry, outcome: "done".into() }]);
    }

    /// Reads a thing by id and puts it into the inbox. `forced`: even when it is what was read last.
    fn take_in(
        &mut self,
        connection: &ConnectionName,
        topic: &'static str,
        id: &str,
        began: Ms,
        forced: bool,
    ) {
        let number = id.parse().unwrap_or_default();
        let body = match topic {
            "order" => Some(self.shop.read(number)),
            "sale" => Some(self.erp.read_sale(number)),
            "shipment" => self.erp.read_shipment(number),
            _ => Some(self.erp.read_stock(number)),
        };
        let Some(body) = body else { return };
        let event = format!("{id}@{began}");
        let read_began = stamp(began);
        let (connection, key) = (connection.clone(), id.to_owned());
        self.store
            .accept(Arrival { connection, topic, key, event, read_began, read_back: forced, body }, forced);
    }

    /// Puts a request to read something again into the inbox.
    pub fn hint(&mut self, connection: ConnectionName, topic: &'static str, key: String, event: String) {
        let read_began = stamp(self.now);
        let arrival =
            Arrival { connection, topic, key, event, read_began, read_back: true, body: Value::Null };
        self.store.accept(arrival, false);
    }

    /// Polls everything that changed lately, and re-reads what is not settled.
    pub fn poll(&mut self) {
        if self.fails() {
            return;
        }
        let (now, began) = (self.now, self.now - self.rng.random_range(0..500));
        let since = self.cursor - 30_000;
        let watched = |w: &World, connection: &str, external: ExternalId| {
            w.store.at(&name(connection), &external, Kind::Order).is_some_and(|c| !c.settled)
        };
        let orders: Vec<usize> = self.shop.orders.keys().copied().collect();
        for id in orders {
            let order = &self.shop.orders[&id];
            // Placed lately is always found; changed lately only where the shop's clock moves.
            let moved = self.shop.clock != crate::systems::Clock::None && order.updated >= since;
            if order.placed >= since || moved || watched(self, "shop", external("order", &id.to_string())) {
                self.take_in(&name("shop"), "order", &id.to_string(), began, false);
            }
        }
        let sales: Vec<usize> =
            self.erp.sales.iter().filter(|(_, s)| s.visible <= now).map(|(id, _)| *id).collect();
        for id in sales {
            self.take_in(&name("erp"), "sale", &id.to_string(), began, false);
            self.take_in(&name("erp"), "shipment", &id.to_string(), began, false);
        }
        for item in 0..self.erp.on_hand.len() {
            self.take_in(&name("erp"), "stock", &item.to_string(), began, false);
        }
        self.cursor = now;
    }

    /// One step of a task: decide from a snapshot, or write what was decided.
    pub fn task(&mut self, id: u64) {
        let Some(mut task) = self.tasks.remove(&id) else { return };
        let epoch = self.epoch;
        if let Some(decided) = task.decided.take() {
            match self.store.commit(decided.effects, stamp(self.now)) {
                Ok(()) => {
                    task.changes.remove(0);
                    if let Some(external) = decided.read_back {
                        self.again(task.entry, &external);
                    }
                }
                // Decided anew from how things are now.
                Err(conflict) => self.trace(|| format!("change conflicts: {}", conflict.0)),
            }
            self.maybe_crash(0.002);
        } else if let Some(change) = task.changes.first() {
            match self.decide(task.entry, change.clone()) {
                Ok(decided) => task.decided = Some(decided),
                Err(why) => {
                    self.busy.remove(&task.entry);
                    let Some(entry) = self.store.inbox.get_mut(&task.entry) else { return };
                    entry.tries += 1;
                    match WAITS.get(entry.tries - 1) {
                        Some(wait) => entry.next_at = stamp(self.now + wait),
                        None => {
                            let outcome = format!("filtered: {why}");
                            self.commit(vec![Effect::EndInbox { inbox: task.entry, outcome }]);
                        }
                    }
                    return;
                }
            }
        } else {
            self.commit(vec![Effect::EndInbox { inbox: task.entry, outcome: "done".into() }]);
            return;
        }
        let wait = self.rng.random_range(1..400);
        if self.epoch == epoch {
            self.tasks.insert(id, task);
            self.later(wait, Event::Task(id));
        }
    }

    fn again(&mut self, entry: RowId, external: &ExternalId) {
        let connection = self.store.inbox[&entry].arrival.connection.clone();
        let topic = match external.remote_type.as_str() {
            "order" => "order",
            "sale" => "sale",
            "stock" => "stock",
            _ => return,
        };
        self.hint(connection, topic, external.id.clone(), format!("again {} {}", external.id, self.now));
    }

    fn decide(&mut self, entry: RowId, mut read: Value) -> Result<Decided, String> {
        let arrival = self.store.inbox[&entry].arrival.clone();
        let kind: Kind = read["kind"].as_str().unwrap_or_default().parse().map_err(|e| format!("{e}"))?;
        let fingerprint = read["payload"].to_string();
        self.resolve_refs(&arrival.connection, kind, &mut read["payload"])?;
        let change = Change {
            connection: arrival.connection.clone(),
            kind,
            external: external(
                read["type"].as_str().unwrap_or_default(),
                read["id"].as_str().unwrap_or_default(),
            ),
            role: Role::Primary,
            label: read["label"].as_str().map(str::to_owned),
            version: SourceVersion {
                at: read["at"].as_str().and_then(|t| t.parse().ok()),
                sequence: None,
                read_began: arrival.read_began,
                fingerprint,
            },
            deleted: false,
            settled: read["settled"] == true,
            links: json!({}),
            payload: read["payload"].clone(),
        };
        let (record, keys) = self.resolve(&change);
        let new_id = self.record_id();
        let known = record.map_or_else(Known::default, |id| self.known(id));
        let id = record.unwrap_or(new_id);
        let root = ["order", "item"].iter().find_map(|f| change.payload[f]["record"].as_str()?.parse().ok());
        let applied = apply_change(&ApplyInput {
            rules: &self.rules,
            change: &change,
            inbox: Some(entry),
            arrived_at: arrival.read_began,
            now: stamp(self.now),
            new_id,
            known: &known,
            root: root.unwrap_or(id),
            keys,
            location: "",
            read_back: arrival.read_back,
            filter: &|_, _| Ok(true),
        });
        let mut effects = applied.effects;
        let rows = effects.iter().find_map(|e| match e {
            Effect::PutReservations { rows, .. } => Some(rows.clone()),
            _ => None,
        });
        if let Some(rows) = rows {
            for item in let_go(&known.reservations, &rows) {
                effects.extend(self.republish(item));
            }
        }
        if kind == Kind::Stock && applied.outcome == ChangeOutcome::Duplicate {
            effects.extend(self.newer_figure(&known, &change));
        }
        self.trace(|| {
            format!("{} {} {}: {:?}", change.connection, change.external, change.payload, applied.outcome)
        });
        let read_back = applied.read_back.then_some(change.external);
        Ok(Decided { effects, read_back })
    }

    fn resolve_refs(
        &self,
        connection: &ConnectionName,
        kind: Kind,
        payload: &mut Value,
    ) -> Result<(), String> {
        let mut missing = None;
        visit_refs(kind, payload, &mut |path, target, value| {
            let external = external(
                value["external"]["type"].as_str().unwrap_or_default(),
                value["external"]["id"].as_str().unwrap_or_default(),
            );
            match self.store.at(connection, &external, target) {
                Some(found) => *value = json!({ "record": found.record }),
                None => missing = Some(format!("{path} is not known")),
            }
        });
        missing.map_or(Ok(()), Err)
    }

    /// Counterpart first, then keys; a record that has another counterpart of that type there is another thing.
    fn resolve(&self, change: &Change) -> (Option<RecordId>, Vec<(String, String)>) {
        let mut keys = Vec::new();
        if let Some(order) = change.payload["order"]["record"].as_str() {
            let tracking = change.payload["tracking"][0]["number"].as_str().unwrap_or_default();
            keys.push(("tracking".to_owned(), format!("{order}|{tracking}")));
        }
        if let Some(ours) = change.payload["extra"]["counterpart_record"].as_str() {
            keys.push((OWN_KEY.to_owned(), ours.to_owned()));
        }
        let there = self.store.at(&change.connection, &change.external, change.kind).map(|c| c.record);
        let by_key = || keys.iter().find_map(|(n, v)| self.store.by_key(change.kind, n, v));
        let taken = |record: &RecordId| {
            self.store.counterparts_of(*record).iter().any(|c| {
                c.connection == change.connection
                    && c.external.remote_type == change.external.remote_type
                    && c.external != change.external
            })
        };
        (there.or_else(|| by_key().filter(|record| !taken(record))), keys)
    }

    fn known(&self, record: RecordId) -> Known {
        let mut counterparts = self.store.counterparts_of(record);
        for counterpart in &mut counterparts {
            match self.store.broken {
                Broken::Echo => (counterpart.observed, counterpart.observed_version) = (None, None),
                Broken::SourceOrder => counterpart.observed_version = None,
                _ => {}
            }
        }
        Known {
            record: self.store.records.get(&record).cloned(),
            counterparts,
            open: self.store.open_of(record),
            reservations: self.store.reservations.get(&record).cloned().unwrap_or_default(),
            frozen: Vec::new(),
        }
    }

    /// The same figure taken later ends reservations that it includes.
    fn newer_figure(&self, known: &Known, change: &Change) -> Vec<Effect> {
        let old = known.counterparts.iter().find(|c| c.connection == change.connection);
        let (Some(before), Some(record)) = (old.and_then(|c| c.observed_version.as_ref()), &known.record)
        else {
            return Vec::new();
        };
        let Some(item) = item_of(&record.payload) else { return Vec::new() };
        let ends = |row: &Reservation| {
            row.confirmed_at.is_some_and(|at| at >= before.read_began && at < change.version.read_began)
        };
        if self.store.reservations_of_item(item).iter().any(ends) { self.republish(item) } else { Vec::new() }
    }

    /// Deliveries that bring the shop up to date with what is left of an item.
    fn republish(&self, item: RecordId) -> Vec<Effect> {
        let flow = self.rules.flows.iter().find(|f| f.kind == Kind::Stock);
        let stock =
            self.store.records.values().find(|r| r.kind == Kind::Stock && item_of(&r.payload) == Some(item));
        let (Some(flow), Some(record)) = (flow, stock) else { return Vec::new() };
        let delivery = NewDelivery {
            flow: flow.name.clone(),
            lane: Lane { connection: flow.to.clone(), root: item },
            record: record.id,
            kind: Kind::Stock,
            version: record.version,
            action: Action::Upsert,
            freshness: flow.freshness,
            next_at: stamp(self.now),
            payload: None,
            origin_at: stamp(self.now),
            reason: None,
        };
        let supersedes = self.store.open_of(record.id).iter().map(|d| d.id).collect();
        vec![Effect::AddDelivery { delivery: Box::new(delivery), supersedes }]
    }
}

/// Items of which the shop holds less for its own orders than before. What it was told then may have counted on what it
/// held, or on what it had let go already: either way it is told again. Of what it holds more it knows by itself.
fn let_go(before: &[Reservation], after: &[Reservation]) -> Vec<RecordId> {
    let open = |row: &Reservation| after.iter().find(|o| o.line == row.line).map(|o| o.open_in_store);
    before
        .iter()
        .filter(|row| open(row).unwrap_or_default() < row.open_in_store)
        .map(|row| row.item)
        .collect()
}

pub fn item_of(payload: &Value) -> Option<RecordId> {
    payload["item"]["record"].as_str()?.parse().ok()
}

pub fn external(remote_type: &str, id: &str) -> ExternalId {
    ExternalId { scope: String::new(), remote_type: remote_type.into(), id: id.into() }
}

/// A counterpart of something that both sides knew from the start.
pub fn linked(record: RecordId, kind: Kind, connection: &str, external: ExternalId) -> Counterpart {
    Counterpart {
        record,
        kind,
        connection: name(connection),
        external,
        role: Role::Primary,
        number: None,
        links: json!({}),
        observed: None,
        observed_version: None,
        written: None,
        written_version: None,
        settled: true,
        updated_at: stamp(0),
    }
}
