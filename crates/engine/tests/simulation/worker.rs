//! The hub's worker: leases lanes, runs the steps of deliveries, records what came of them, in the order that the real
//! one keeps: intent, request, outcome, confirmation.
//!
//! Never: sends a writing request whose intent is not in the store (unless it is broken on purpose).

use std::collections::{BTreeMap, BTreeSet};

use counterpart_engine::deliver::{
    Confirmed, Failed, Idempotency, Prepared, StepPlan, StepSpec, class_of, confirm, confirm_found,
    found_older, intent_after, next_step, prepare, refuse, settle,
};
use counterpart_engine::rules::Flow;
use counterpart_engine::stock::{StockInput, available_to_sell, confirmed};
use counterpart_engine::totals;
use counterpart_model::delivery::{
    Action, Delivery, DeliveryState, FailureClass, Intent, Lane, NewReview, ReviewReason, ReviewSubject,
};
use counterpart_model::effect::Effect;
use counterpart_model::ids::{ConnectionName, RecordId, RowId};
use counterpart_model::kind::Kind;
use counterpart_model::record::{Counterpart, Record, Role};
use rand::RngExt;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value, json};

use crate::hub::{external, item_of};
use crate::world::{Call, Event, Reply, World};
use crate::{Broken, name, stamp};

/// A lane in a worker's hands. Lost in a crash; the lease stays until it runs out.
pub struct Work {
    lane: Lane,
    token: i64,
    done: BTreeSet<RowId>,
    job: Option<Job>,
}

struct Job {
    delivery: Delivery,
    record: Record,
    mine: Option<Counterpart>,
    flow: Flow,
    action: Action,
    payload: Value,
    steps: Vec<StepSpec>,
    at: usize,
    answers: BTreeMap<String, Value>,
    /// A writing step found its work done.
    found: bool,
    /// Number of the request that is waited for.
    waits: Option<u64>,
}

fn steps(kind: Kind, action: Action) -> Vec<StepSpec> {
    let step =
        |name: &str, writes, idempotency| StepSpec { name: name.into(), writes, idempotency, timeout_s: 10 };
    let read = |name: &str| step(name, false, Idempotency::StrongLookup);
    match (kind, action) {
        (Kind::Order, Action::Upsert) => {
            vec![read("find"), step("create", true, Idempotency::LaggedLookup(30))]
        }
        (Kind::Order, Action::Amend) => vec![read("get"), step("update", true, Idempotency::Upsert)],
        (Kind::Order, Action::Cancel) => vec![read("get"), step("cancel", true, Idempotency::StrongLookup)],
        (Kind::Order, _) => vec![step("refuse", true, Idempotency::Upsert)],
        (Kind::Shipment, _) => vec![read("find"), step("ship", true, Idempotency::StrongLookup)],
        _ => vec![read("allocated"), step("set", true, Idempotency::Upsert)],
    }
}

impl World {
    pub fn lease_round(&mut self) {
        let held = if self.store.broken == Broken::Lease { 1_000 } else { 90_000 };
        let leased = self.store.lease(stamp(self.now), stamp(self.now + held));
        for (lane, token) in leased {
            let id = self.id();
            self.works.insert(id, Work { lane, token, done: BTreeSet::new(), job: None });
            self.later(2, Event::Work(id));
        }
    }

    /// One move of a worker; between moves anything may happen, the worker itself may stall for long.
    pub fn work(&mut self, id: u64) {
        let Some(mut work) = self.works.remove(&id) else { return };
        let epoch = self.epoch;
        let goes_on = match work.job.take() {
            None => self.begin(&mut work),
            Some(job) if job.waits.is_some() => {
                work.job = Some(job);
                true
            }
            Some(job) => self.step(id, &mut work, job),
        };
        if !goes_on {
            let (lane, token) = (work.lane, work.token);
            self.commit(vec![Effect::ReleaseLane { lane, token }]);
        } else if self.epoch == epoch {
            let waits = work.job.as_ref().is_some_and(|job| job.waits.is_some());
            self.works.insert(id, work);
            if !waits {
                let stalls = self.faulty() && self.rng.random_bool(0.004);
                let wait = if stalls { 200_000 } else { self.rng.random_range(1..200) };
                self.later(wait, Event::Work(id));
            }
        }
    }

    /// Claims the lane's next delivery. False when the lane is done.
    fn begin(&mut self, work: &mut Work) -> bool {
        let now = stamp(self.now);
        let Some(delivery) = self.store.head(&work.lane, now).filter(|d| work.done.insert(d.id)) else {
            return false;
        };
        let record = self.store.records[&delivery.spec.record].clone();
        let Some(flow) = self.rules.flows.iter().find(|f| f.name == delivery.spec.flow).cloned() else {
            return false;
        };
        let to = &work.lane.connection;
        let mine = self.store.counterparts_of(record.id).into_iter().find(|c| c.connection == *to);
        let action = match prepare(&delivery, &record, mine.as_ref(), &flow) {
            Prepared::Run { action } => action,
            Prepared::Supersede(why) => {
                let written = mine.and_then(|c| c.written).unwrap_or_default();
                let ours = record.kind == Kind::Order && *to == name("erp");
                let marks = if ours { self.included(record.id, &written) } else { Vec::new() };
                let goes_on = self.hold(work, marks.clone())
                    && self.set(work, &delivery, DeliveryState::Superseded, None, why);
                self.refresh(&marks);
                return goes_on;
            }
            other => unreachable!("no flow is in shadow or held back: {other:?}"),
        };
        let specs = steps(record.kind, action);
        match next_step(&specs, &delivery, now) {
            StepPlan::VerifyAt(at) if self.store.broken != Broken::LagWait => {
                self.set(work, &delivery, DeliveryState::Unknown, Some(at), "verified later".into());
                return false;
            }
            StepPlan::Review(reason) => return self.review(work, &delivery, reason, Vec::new()),
            _ => {}
        }
        self.trace(|| format!("delivery {} of {} {}: {action:?}", delivery.id, record.kind, record.id));
        let payload = delivery.spec.payload.clone().unwrap_or_else(|| record.payload.clone());
        let (answers, at, found, waits) = (BTreeMap::new(), 0, false, None);
        work.job = Some(Job {
            delivery,
            record,
            mine,
            flow,
            action,
            payload,
            steps: specs,
            at,
            answers,
            found,
            waits,
        });
        true
    }

    /// Runs a job's next step, or concludes it.
    fn step(&mut self, id: u64, work: &mut Work, mut job: Job) -> bool {
        while job.steps.get(job.at).is_some_and(|step| step.writes && is_done(&job, &step.name)) {
            job.at += 1;
            job.found = true;
        }
        let Some(step) = job.steps.get(job.at).cloned() else { return self.conclude(work, job) };
        let Some(call) = self.call(&job, &step.name) else {
            return self.set(work, &job.delivery, DeliveryState::Superseded, None, "no figure yet".into());
        };
        if step.writes && self.store.broken != Broken::Intent {
            let key = job.record.id.to_string();
            let intent = Some(Intent { step: step.name.clone(), sent_at: stamp(self.now), key });
            if !self.hold(work, vec![Effect::SetIntent { delivery: job.delivery.id, intent }]) {
                return false;
            }
            self.maybe_crash(0.01);
        }
        let number = self.id();
        job.waits = Some(number);
        work.job = Some(job);
        // The request is on its way whatever becomes of the hub.
        let travels = self.rng.random_range(20..3_000);
        self.later(travels, Event::Execute { work: id, number, call });
        self.later(10_000, Event::Answer { work: id, number, reply: Reply::timeout() });
        true
    }

    /// An answer, or its time-out.
    pub fn answer(&mut self, id: u64, number: u64, reply: Reply) {
        let Some(mut work) = self.works.remove(&id) else { return };
        let Some(mut job) = work.job.take_if(|job| job.waits == Some(number)) else {
            self.works.insert(id, work);
            return;
        };
        job.waits = None;
        let step = job.steps[job.at].clone();
        let epoch = self.epoch;
        let kept = match reply {
            Reply::Value(value) => {
                // The intent stays until the confirmation: a crash now must not make the next run trust a lagging search.
                self.maybe_crash(0.02);
                job.answers.insert(step.name, value);
                job.at += 1;
                work.job = Some(job);
                true
            }
            Reply::Failed { class, sent } => {
                self.failed(&work, &job, &step, class, sent);
                let (lane, token) = (work.lane.clone(), work.token);
                self.commit(vec![Effect::ReleaseLane { lane, token }]);
                false
            }
        };
        if kept && epoch == self.epoch {
            self.works.insert(id, work);
            self.later(3, Event::Work(id));
        }
    }

    fn failed(&mut self, work: &Work, job: &Job, step: &StepSpec, class: FailureClass, sent: bool) {
        let class = if self.store.broken == Broken::Sent { class } else { class_of(step, class, sent) };
        let trusted = self.store.broken == Broken::Sent && class == FailureClass::Transient;
        let before = job.delivery.intent.as_ref();
        let back = intent_after(&job.delivery, before, step, class, sent && !trusted);
        let mut effects: Vec<Effect> = back.into_iter().collect();
        let failed =
            Failed { class, message: "failed".into(), retry_after: None, field: None, reached: sent };
        self.trace(|| format!("delivery {} failed at {}: {class:?}", job.delivery.id, step.name));
        let jitter = self.rng.random();
        effects.extend(settle(&job.delivery, &failed, jitter, stamp(self.now)));
        self.hold(work, effects);
    }

    fn conclude(&mut self, work: &Work, job: Job) -> bool {
        let now = stamp(self.now);
        if let Some(reason) = job.answers.values().find_map(|a| a["refused"].as_str()) {
            let all = self.store.counterparts_of(job.record.id);
            let effects = refuse(&job.delivery, &job.record, &all, &job.flow, reason, now);
            return self.hold(work, effects);
        }
        let to_erp = work.lane.connection == name("erp");
        let external = match job.record.kind {
            Kind::Shipment => {
                external("shipment", job.payload["tracking"][0]["number"].as_str().unwrap_or_default())
            }
            Kind::Order if job.action == Action::Upsert => {
                let found = ["create", "find"].iter().find_map(|s| job.answers.get(*s)?["id"].as_u64());
                external("sale", &found.unwrap_or_default().to_string())
            }
            Kind::Stock => external("stock", &self.item(&job.record).unwrap_or_default().to_string()),
            _ => job.mine.as_ref().map_or_else(|| external("?", "?"), |c| c.external.clone()),
        };
        let new = Confirmed {
            external,
            role: Role::Primary,
            number: None,
            links: json!({}),
            observed: None,
            settled: false,
        };
        let confirm = if job.found { confirm_found } else { confirm };
        let mut effects = confirm(&job.delivery, &job.record, &job.payload, job.mine.as_ref(), new, now);
        let totals = job.answers.values().rev().find_map(|a| a["total"].as_str());
        let older = found_older(&job.delivery, &job.record)
            || (job.found && job.record.version != job.delivery.spec.version);
        if let Some(total) = totals.filter(|_| job.action != Action::Cancel && !older)
            && totals::compare(&job.payload, &json!({ "total": total }), Decimal::ZERO).is_err()
        {
            effects.retain(|e| matches!(e, Effect::PutCounterpart(_)));
            effects.push(Effect::SetIntent { delivery: job.delivery.id, intent: None });
            return self.review(work, &job.delivery, ReviewReason::TotalsDiffer, effects);
        }
        let mut marks = Vec::new();
        if job.record.kind == Kind::Order && to_erp {
            let written = effects.iter().find_map(|e| match e {
                Effect::PutCounterpart(c) => c.written.clone(),
                _ => None,
            });
            marks = self.included(job.record.id, &written.unwrap_or_default());
            effects.extend(marks.clone());
        }
        self.maybe_crash(0.01);
        let goes_on = self.hold(work, effects);
        self.trace(|| format!("delivery {} confirmed: {goes_on}", job.delivery.id));
        self.refresh(&marks);
        self.maybe_crash(0.01);
        goes_on
    }

    /// What an order holds of stock, now that the ERP has it as `written`.
    fn included(&self, order: RecordId, written: &Value) -> Vec<Effect> {
        let rows = self.store.reservations.get(&order).cloned().unwrap_or_default();
        let marked = confirmed(&rows, written, stamp(self.now));
        if marked == rows { Vec::new() } else { vec![Effect::PutReservations { order, rows: marked }] }
    }

    /// Asks for the figures of items whose reservations were marked.
    fn refresh(&mut self, marks: &[Effect]) {
        for effect in marks {
            let Effect::PutReservations { rows, .. } = effect else { continue };
            for row in rows {
                let index = self.items.iter().position(|i| *i == row.item).unwrap_or_default().to_string();
                let event = format!("refresh {index} {}", self.now);
                self.hint(name("erp"), "stock", index, event);
            }
        }
    }

    /// The request of a step, rendered; `None` when there is nothing to say yet.
    fn call(&self, job: &Job, step: &str) -> Option<Call> {
        let remote = || job.mine.as_ref().and_then(|c| c.external.id.parse().ok());
        let key = job.record.id.to_string();
        let note = job.payload["note"].as_str().unwrap_or_default().to_owned();
        let in_shop = |record: &Value| -> Option<usize> {
            let record = record.as_str()?.parse().ok()?;
            let all = self.store.counterparts_of(record);
            all.iter().find(|c| c.connection == name("shop"))?.external.id.parse().ok()
        };
        Some(match (job.record.kind, step) {
            (Kind::Order, "find") => Call::Find { key },
            (Kind::Order, "create") => Call::Create { key, lines: self.wanted(&job.payload), note },
            (Kind::Order, "get") => Call::Get { sale: remote()? },
            (Kind::Order, "update") => {
                Call::Update { sale: remote()?, lines: self.wanted(&job.payload), note }
            }
            (Kind::Order, "cancel") => Call::Cancel { sale: remote()? },
            (Kind::Order, _) => Call::Refuse { order: remote()? },
            (Kind::Shipment, step) => {
                let order = in_shop(&job.payload["order"]["record"])?;
                let tracking = job.payload["tracking"][0]["number"].as_str()?.to_owned();
                if step == "find" {
                    return Some(Call::FindShipment { order, tracking });
                }
                let lines = job.payload["lines"].as_array()?.iter();
                let line = |l: &Value| Some((l["order_line"].as_str()?.to_owned(), whole(&l["quantity"])));
                Call::Ship { order, tracking, lines: lines.filter_map(line).collect() }
            }
            (_, "allocated") => Call::Allocated { item: self.item(&job.record)? },
            _ => {
                let item = self.item(&job.record)?;
                let (available, own_open) = self.reckon(&job.record)?;
                // What the shop holds for orders: no more than both it and we know of.
                let held = own_open.min(job.answers["allocated"]["open"].as_i64()?);
                Call::SetStock { item, on_hand: available + held }
            }
        })
    }

    pub fn wanted(&self, payload: &Value) -> Vec<(String, usize, i64, i64)> {
        let line = |l: &Value| {
            let item = self.items.iter().position(|i| Some(*i) == item_of(l))?;
            let cents =
                l["unit_price"]["shop"]["amount"].as_str()?.parse::<Decimal>().ok()? * Decimal::from(100);
            let quantity = whole(&l["ordered"]) - whole(&l["cancelled"]);
            (quantity > 0).then(|| Some((l["id"].as_str()?.to_owned(), item, quantity, cents.to_i64()?)))?
        };
        payload["lines"].as_array().into_iter().flatten().filter_map(line).collect()
    }

    fn item(&self, record: &Record) -> Option<usize> {
        let item = item_of(&record.payload)?;
        self.items.iter().position(|i| *i == item)
    }

    /// What can be sold, held against what the ERP's books say to one who sees everything.
    fn reckon(&self, record: &Record) -> Option<(i64, i64)> {
        let item = item_of(&record.payload)?;
        let there =
            self.store.counterparts_of(record.id).into_iter().find(|c| c.connection == name("erp"))?;
        // Figure and time of reading from one row: the record may be of another moment.
        let (figure, taken_at) = (there.observed?, there.observed_version?.read_began);
        let known = self.store.reservations_of_item(item);
        let reservations = if self.store.broken == Broken::Reservations { &[] } else { known.as_slice() };
        let shop = name("shop");
        let (safety, buffer) = (Decimal::ZERO, Decimal::ZERO);
        let input = StockInput { figure: &figure, taken_at, reservations, safety, buffer, store: &shop };
        let result = available_to_sell(&input)?;
        let available = result.sellable.to_i64()?;
        self.holds_against_the_books(&figure, taken_at, available);
        Some((available, result.own_open.to_i64()?))
    }

    /// Writes effects if and only if the lane is still ours.
    fn hold(&mut self, work: &Work, mut effects: Vec<Effect>) -> bool {
        effects.insert(0, Effect::RequireLease { lane: work.lane.clone(), token: work.token });
        match self.store.commit(effects, stamp(self.now)) {
            Ok(()) => true,
            Err(conflict) => {
                self.trace(|| format!("worker conflicts on {:?}: {}", work.lane, conflict.0));
                false
            }
        }
    }

    fn set(
        &mut self,
        work: &Work,
        delivery: &Delivery,
        state: DeliveryState,
        next_at: Option<jiff::Timestamp>,
        message: String,
    ) -> bool {
        let effect = Effect::SetDelivery {
            delivery: delivery.id,
            state,
            next_at,
            failures: delivery.failures,
            progress: Value::Null,
            message: Some(message),
            waits_for: Vec::new(),
        };
        self.hold(work, vec![effect])
    }

    fn review(
        &mut self,
        work: &Work,
        delivery: &Delivery,
        reason: ReviewReason,
        mut effects: Vec<Effect>,
    ) -> bool {
        effects.push(Effect::OpenReview(Box::new(NewReview {
            subject: ReviewSubject::Delivery(delivery.id),
            reason,
            message: String::new(),
            detail: Value::Null,
            connection: None::<ConnectionName>,
            record: Some(delivery.spec.record),
        })));
        self.hold(work, effects)
            && self.set(work, delivery, DeliveryState::InReview, None, reason.as_str().into())
    }
}

/// What a step would do is there already, by what was read.
fn is_done(job: &Job, step: &str) -> bool {
    let answer = |name: &str| job.answers.get(name).unwrap_or(&Value::Null);
    match (job.record.kind, step) {
        (Kind::Order, "create") => !answer("find").is_null(),
        (Kind::Order, "cancel") => answer("get")["cancelled"] == true,
        (Kind::Shipment, "ship") => answer("find") == true,
        _ => false,
    }
}

fn whole(value: &Value) -> i64 {
    value.as_str().and_then(|text| text.parse::<Decimal>().ok()).and_then(|d| d.to_i64()).unwrap_or_default()
}
