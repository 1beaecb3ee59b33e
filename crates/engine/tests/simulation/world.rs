//! The world around the hub: time, dice, a network that loses and repeats, people who order, edit and ship.
//!
//! Never: calms down before everything that people do is done; touches the store but to play the person at the reviews.

use std::collections::{BTreeMap, BTreeSet};

use counterpart_engine::deliver::unsettled;
use counterpart_engine::rules::Rules;
use counterpart_model::delivery::{DeliveryState, FailureClass, ReviewReason, ReviewSubject};
use counterpart_model::effect::Effect;
use counterpart_model::ids::{RecordId, RowId};
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::hub::Task;
use crate::store::Store;
use crate::systems::{Clock, Erp, Line, Sale, Shop, ShopOrder};
use crate::worker::Work;
use crate::{Broken, HOUR, MINUTE, Ms, name, stamp};

/// When people stop acting, and when the network is sound again.
const ACTS_END: Ms = 15 * MINUTE;
const FAULTS_END: Ms = 25 * MINUTE;

/// A history that takes more goes round in circles; most take a few hundred.
const MOST_EVENTS: u64 = 20_000;

/// Something that happens.
pub enum Event {
    Act(Act),
    Hint { order: usize, event: String },
    Poll,
    Wake,
    Read { entry: RowId, began: Ms, epoch: u64 },
    Task(u64),
    Work(u64),
    Execute { work: u64, number: u64, call: Call },
    Answer { work: u64, number: u64, reply: Reply },
    Crash,
    Person,
}

/// What people do.
#[derive(Debug)]
pub enum Act {
    Place { draft: bool },
    Edit { order: usize, what: u8 },
    Ship,
    Restock,
}

/// A request to a system.
pub enum Call {
    Find { key: String },
    Create { key: String, lines: Vec<(String, usize, i64, i64)>, note: String },
    Get { sale: usize },
    Update { sale: usize, lines: Vec<(String, usize, i64, i64)>, note: String },
    Cancel { sale: usize },
    Refuse { order: usize },
    FindShipment { order: usize, tracking: String },
    Ship { order: usize, tracking: String, lines: Vec<(String, i64)> },
    Allocated { item: usize },
    SetStock { item: usize, on_hand: i64 },
}

/// Its answer, as the hub sees it.
pub enum Reply {
    Value(Value),
    Failed { class: FailureClass, sent: bool },
}

impl Reply {
    pub fn timeout() -> Self {
        Self::Failed { class: FailureClass::Unknown, sent: true }
    }
}

pub struct World {
    pub now: Ms,
    pub rng: StdRng,
    pub store: Store,
    pub rules: Rules,
    pub shop: Shop,
    pub erp: Erp,
    /// Records of the items, by their number in both systems.
    pub items: Vec<RecordId>,
    pub cursor: Ms,
    // What a crash takes away:
    pub epoch: u64,
    pub tasks: BTreeMap<u64, Task>,
    pub works: BTreeMap<u64, Work>,
    pub busy: BTreeSet<RowId>,
    /// What was seen to be wrong on the way.
    pub faults: std::cell::RefCell<Vec<String>>,
    queue: BTreeMap<(Ms, u64), Event>,
    next: u64,
    wake: Ms,
    fault_rate: f64,
    loud: bool,
    events: u64,
}

impl World {
    pub fn new(seed: u64, broken: Broken) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let clock = |rng: &mut StdRng| {
            *[Clock::Exact, Clock::Coarse, Clock::None].choose(rng).unwrap_or(&Clock::Exact)
        };
        let count = rng.random_range(1..4);
        let on_hand: Vec<i64> = (0..count).map(|_| rng.random_range(20..80)).collect();
        let shop =
            Shop { clock: clock(&mut rng), orders: BTreeMap::new(), on_hand: on_hand.clone(), writes: 0 };
        let erp =
            Erp { clock: clock(&mut rng), sales: BTreeMap::new(), on_hand, writes: 0, history: Vec::new() };
        let fault_rate = *[0.0, 0.05, 0.15, 0.3].choose(&mut rng).unwrap_or(&0.0);
        let mut world = Self {
            now: 0,
            rng,
            store: Store::new(broken),
            rules: crate::rules(),
            shop,
            erp,
            items: Vec::new(),
            cursor: 0,
            epoch: 0,
            tasks: BTreeMap::new(),
            works: BTreeMap::new(),
            busy: BTreeSet::new(),
            faults: Default::default(),
            queue: BTreeMap::new(),
            next: 0,
            wake: Ms::MAX,
            fault_rate,
            events: 0,
            loud: std::env::var_os("COUNTERPART_SIM_TRACE").is_some(),
        };
        world.erp.note_figures(0);
        for _ in 0..count {
            let item = world.record_id();
            world.items.push(item);
        }
        crate::link_items(&mut world.store, &world.items);
        world.plan();
        world
    }

    fn plan(&mut self) {
        for number in 0..self.rng.random_range(1..5) {
            let at = self.rng.random_range(0..ACTS_END / 2);
            let draft = self.rng.random_bool(0.15);
            self.queue_at(at, Event::Act(Act::Place { draft }));
            for _ in 0..self.rng.random_range(0..5) {
                // Often right after, when the order is on its way.
                let soon = self.rng.random_bool(0.6);
                let end = if soon { 20_000 } else { ACTS_END - at };
                let (wait, what) = (self.rng.random_range(1..end), self.rng.random_range(0..7));
                self.queue_at(at + wait, Event::Act(Act::Edit { order: number, what }));
            }
        }
        for _ in 0..self.rng.random_range(0..4) {
            let at = self.rng.random_range(0..ACTS_END);
            self.queue_at(at, Event::Act(Act::Ship));
        }
        for _ in 0..self.rng.random_range(0..3) {
            let at = self.rng.random_range(0..ACTS_END);
            self.queue_at(at, Event::Act(Act::Restock));
        }
        for _ in 0..self.rng.random_range(0..3) {
            let at = self.rng.random_range(0..ACTS_END);
            self.queue_at(at, Event::Crash);
        }
        self.queue_at(1, Event::Poll);
        for hour in 3..8 {
            self.queue_at(hour * HOUR, Event::Person);
        }
    }

    /// Lets time pass up to a moment.
    pub fn run(&mut self, until: Ms) {
        loop {
            self.inbox_round();
            self.lease_round();
            // A worker or a task moves on its own; what waits for time wakes the hub.
            if let Some(due) = self.store.next_due(&self.busy) {
                let due = (due.as_millisecond() - stamp(0).as_millisecond()).max(self.now + 1);
                if due < self.wake {
                    self.wake = due;
                    self.queue_at(due, Event::Wake);
                }
            }
            let Some(((at, _), event)) = self.queue.pop_first() else { return };
            if at > until {
                self.queue_at(at, event);
                self.now = until;
                return;
            }
            self.now = at;
            self.events += 1;
            if self.events > MOST_EVENTS {
                return self.fault("it never comes to rest".into());
            }
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Act(act) => self.act(act),
            Event::Hint { order, event } => self.hint(name("shop"), "order", order.to_string(), event),
            Event::Poll => {
                self.poll();
                let every = if self.now < FAULTS_END { MINUTE } else { HOUR };
                self.later(every, Event::Poll);
            }
            Event::Wake => self.wake = Ms::MAX,
            Event::Read { entry, began, epoch } if epoch == self.epoch => self.read(entry, began),
            Event::Read { .. } => {}
            Event::Task(id) => self.task(id),
            Event::Work(id) => self.work(id),
            Event::Execute { work, number, call } => self.execute(work, number, call),
            Event::Answer { work, number, reply } => self.answer(work, number, reply),
            Event::Crash => self.crash(),
            Event::Person => self.person(),
        }
    }

    /// The system does what it is asked, or not; the answer comes, or not.
    fn execute(&mut self, work: u64, number: u64, call: Call) {
        let back = self.rng.random_range(10..2_000);
        let fault = if self.fails() { self.rng.random_range(0..6) } else { 9 };
        let reply = match fault {
            0 => return,
            1 => Reply::Failed { class: FailureClass::Throttled, sent: true },
            2 => Reply::Failed { class: FailureClass::Transient, sent: true },
            3 => Reply::Failed { class: FailureClass::Transient, sent: false },
            // Done, and yet the answer is lost, or a gateway gives up waiting for it.
            4 => return drop(self.perform(call)),
            5 => {
                self.perform(call);
                Reply::Failed { class: FailureClass::Transient, sent: true }
            }
            _ => Reply::Value(self.perform(call)),
        };
        self.later(back, Event::Answer { work, number, reply });
    }

    fn perform(&mut self, call: Call) -> Value {
        let now = self.now;
        let refused = json!({"refused": "it is shipped"});
        let sale = |w: &Self, id: usize| {
            let (total, cancelled) = (w.erp.total(id), w.erp.sales[&id].cancelled);
            json!({"id": id, "cancelled": cancelled, "total": format!("{}.{:02}", total / 100, total % 100)})
        };
        match call {
            Call::Find { key } => self.erp.find(&key, now).map_or(Value::Null, |id| sale(self, id)),
            Call::Create { key, lines, note } => {
                let visible = now + self.rng.random_range(0..30_000);
                let new = Sale { key, lines, note, cancelled: false, shipped: None, visible, updated: now };
                let id = self.erp.create(new, now);
                sale(self, id)
            }
            Call::Get { sale: id } => sale(self, id),
            Call::Update { sale: id, lines, note } => {
                let done = self
                    .erp
                    .change(id, now, |sale| (sale.lines, sale.note, sale.cancelled) = (lines, note, false));
                if done { sale(self, id) } else { refused }
            }
            Call::Cancel { sale: id } => {
                if self.erp.change(id, now, |sale| sale.cancelled = true) {
                    json!({})
                } else {
                    refused
                }
            }
            Call::Refuse { order } => {
                self.shop.writes += 1;
                if let Some(order) = self.shop.orders.get_mut(&order) {
                    order.refused = true;
                }
                json!({})
            }
            Call::FindShipment { order, tracking } => json!(self.shop.find_shipment(order, &tracking)),
            Call::Ship { order, tracking, lines } => {
                self.shop.ship(order, &tracking, lines, now);
                self.announce(order);
                json!({})
            }
            Call::Allocated { item } => json!({"open": self.shop.open(item)}),
            Call::SetStock { item, on_hand } => {
                self.shop.writes += 1;
                self.shop.on_hand[item] = on_hand;
                self.trace(|| format!("shop: item {item} on hand {on_hand}, open {}", self.shop.open(item)));
                json!({})
            }
        }
    }

    fn act(&mut self, act: Act) {
        let now = self.now;
        self.trace(|| format!("people: {act:?}"));
        match act {
            Act::Place { draft } => {
                let id = self.shop.orders.len();
                let lines =
                    (0..self.rng.random_range(1..3)).map(|n| self.line(&format!("{id}-{n}"))).collect();
                let order = ShopOrder {
                    state: if draft { "draft" } else { "confirmed" },
                    paid: false,
                    note: String::new(),
                    lines,
                    placed: now,
                    updated: now,
                    shipments: Vec::new(),
                    refused: false,
                };
                self.shop.orders.insert(id, order);
                self.announce(id);
            }
            Act::Edit { order: id, what } => {
                let new = self.line(&format!("{id}-x{now}"));
                let Some(order) = self.shop.orders.get_mut(&id) else { return };
                if order.state == "cancelled" || !order.shipments.is_empty() {
                    return;
                }
                match what {
                    0 => order.lines[0].quantity += 1,
                    1 if order.lines[0].quantity > 1 => order.lines[0].quantity -= 1,
                    2 => order.lines.push(new),
                    3 if order.lines.len() > 1 => drop(order.lines.remove(0)),
                    4 => order.note.push('!'),
                    5 => order.state = "cancelled",
                    _ => (order.paid, order.state) = (true, "confirmed"),
                }
                order.updated = now;
                self.announce(id);
            }
            Act::Ship => {
                let open = self.erp.sales.iter().filter(|(_, s)| !s.cancelled && s.shipped.is_none());
                let open: Vec<usize> = open.map(|(id, _)| *id).collect();
                if let Some(id) = open.choose(&mut self.rng) {
                    self.erp.ship(*id, format!("T{id}"), now);
                }
            }
            Act::Restock => {
                let item = self.rng.random_range(0..self.items.len());
                self.erp.on_hand[item] += self.rng.random_range(1..20);
                self.erp.note_figures(now);
            }
        }
    }

    fn line(&mut self, id: &str) -> Line {
        Line {
            id: id.to_owned(),
            item: self.rng.random_range(0..self.items.len()),
            quantity: self.rng.random_range(1..4),
            cents: self.rng.random_range(100..5_000),
            fulfilled: 0,
        }
    }

    /// The shop's webhook: late, twice, or never.
    fn announce(&mut self, order: usize) {
        let event = format!("{order} {}", self.id());
        if self.fails() {
            return;
        }
        let copies = if self.fails() { 2 } else { 1 };
        for _ in 0..copies {
            let wait = if self.fails() { 120_000 } else { 1_500 };
            let wait = self.rng.random_range(5..wait);
            self.later(wait, Event::Hint { order, event: event.clone() });
        }
    }

    fn crash(&mut self) {
        self.trace(|| "the hub crashes".into());
        self.epoch += 1;
        self.tasks.clear();
        self.works.clear();
        self.busy.clear();
    }

    pub fn maybe_crash(&mut self, likely: f64) {
        if self.faulty() && self.fault_rate > 0.0 && self.rng.random_bool(likely) {
            self.crash();
        }
    }

    /// Somebody deals with what waits: a refusal is taken note of, all else is tried again.
    fn person(&mut self) {
        let open: Vec<_> =
            self.store.reviews.iter().filter(|(_, open)| *open).map(|(r, _)| r.clone()).collect();
        for review in open {
            let ReviewSubject::Delivery(delivery) = review.subject else { continue };
            let refused = review.reason == ReviewReason::Refused;
            let state = if refused { DeliveryState::Discarded } else { DeliveryState::Ready };
            let progress = Value::Null;
            let waits = &self.store.deliveries[&delivery];
            let there = self.store.counterparts_of(waits.spec.record);
            let mut effects = unsettled(waits, &there, stamp(self.now));
            effects.extend([
                Effect::CloseReviews { subject: review.subject, how: "retried".into(), by: "person".into() },
                Effect::SetDelivery {
                    delivery,
                    state,
                    next_at: None,
                    failures: 0,
                    progress,
                    message: None,
                    waits_for: Vec::new(),
                },
            ]);
            self.commit(effects);
        }
    }

    /// The reckoning, held against the ERP's books at the moment that the figures are of: what was published is no more
    /// than what was there, less what the hub knew to be ordered and the books did not include.
    pub fn holds_against_the_books(&self, figure: &Value, taken_at: Timestamp, available: i64) {
        let number =
            |field: &str| figure[field].as_str().and_then(|t| t.parse::<i64>().ok()).unwrap_or_default();
        let Some(item) = self.items.iter().position(|i| Some(*i) == crate::hub::item_of(figure)) else {
            return;
        };
        let began = taken_at.as_millisecond() - stamp(0).as_millisecond();
        let first = self.erp.history.iter().rposition(|f| f.at <= began).unwrap_or(0);
        let orders: Vec<(String, i64)> = self
            .store
            .records
            .values()
            .filter(|r| r.payload["lifecycle"]["commercial"] == "confirmed")
            .map(|r| {
                let lines = self.wanted(&r.payload);
                (r.id.to_string(), lines.iter().filter(|l| l.1 == item).map(|l| l.2).sum())
            })
            .collect();
        let most = self.erp.history[first..]
            .iter()
            .filter(|f| f.on_hand[item] == number("on_hand") && f.committed[item] == number("committed"))
            .map(|f| {
                let missing = |(key, wanted): &(String, i64)| {
                    (wanted - f.included.get(&(key.clone(), item)).copied().unwrap_or(0)).max(0)
                };
                f.on_hand[item] - f.committed[item] - orders.iter().map(missing).sum::<i64>()
            })
            .max();
        match most {
            Some(most) if available <= most.max(0) => {}
            Some(most) => {
                self.fault(format!("published {available} of item {item}, known to be sellable: {most}"))
            }
            None => self.fault(format!("a figure of item {item} that never was")),
        }
    }

    pub fn fault(&self, what: String) {
        self.faults.borrow_mut().push(format!("{}: {what}", self.now));
    }

    /// The network is not sound yet.
    pub fn faulty(&self) -> bool {
        self.now < FAULTS_END
    }

    /// Whether a request fails.
    pub fn fails(&mut self) -> bool {
        self.faulty() && self.rng.random_bool(self.fault_rate)
    }

    pub fn commit(&mut self, effects: Vec<Effect>) {
        if let Err(conflict) = self.store.commit(effects, stamp(self.now)) {
            self.trace(|| format!("conflict: {}", conflict.0));
        }
    }

    pub fn later(&mut self, wait: Ms, event: Event) {
        self.queue_at(self.now + wait, event);
    }

    fn queue_at(&mut self, at: Ms, event: Event) {
        let id = self.id();
        self.queue.insert((at, id), event);
    }

    pub fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn record_id(&mut self) -> RecordId {
        let millis = u64::try_from(stamp(self.now).as_millisecond()).unwrap_or_default();
        RecordId::from_parts(millis, self.rng.random())
    }

    pub fn trace(&self, what: impl FnOnce() -> String) {
        if self.loud {
            let text = what();
            eprintln!("{:>9} {text}", self.now);
        }
    }
}
