//! Traffic: what buyers and clerks do, from a seed. Knows the systems by their roles alone.
//!
//! Never: looks into the hub; never: asks for what a real person could not do.

mod buyers;
pub mod count;
mod orders;

use std::collections::BTreeMap;

use counterpart_model::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::clock::FastClock;
use crate::{Refusal, Sandbox};
use buyers::Buyers;
pub use orders::Line;
use orders::{Item, Shelf};

/// The three systems.
pub struct Systems {
    /// Where orders come from.
    pub store: Sandbox,
    /// Where stock and books are kept.
    pub erp: Sandbox,
    /// Where the customer relationship is kept.
    pub crm: Sandbox,
}

impl Systems {
    /// All of them.
    pub fn all(&self) -> [&Sandbox; 3] {
        [&self.store, &self.erp, &self.crm]
    }
}

/// How much happens.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Orders to place; `None`: without end.
    pub orders: Option<u64>,
    /// Seconds between two orders, on the sandbox's clock.
    pub every_s: f64,
    /// How long an order is in the ERP before it is packed.
    pub packed_after: SignedDuration,
    /// Whether people also edit in the ERP and the CRM by hand, and administrators meddle.
    pub edits: bool,
}

/// What was placed, and what became of it here.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The store's id.
    pub id: String,
    /// The number that people know.
    pub number: String,
    /// When.
    pub at: Timestamp,
    /// The buyer's e-mail address.
    pub email: String,
    /// Lines as they stand after edits.
    pub lines: Vec<Line>,
    /// The ERP shipped some of it.
    pub shipped: bool,
    /// Cancelled by its buyer.
    pub cancelled: bool,
    /// What was given back, by the store's refund id.
    pub refunds: Vec<String>,
}

/// Makes traffic, one step at a time.
pub struct Traffic {
    clock: FastClock,
    random: StdRng,
    pace: Pace,
    shelf: Shelf,
    buyers: Buyers,
    /// Everything that was placed, by number.
    pub placed: BTreeMap<String, Placed>,
    /// When the warehouse saw an order first.
    seen: BTreeMap<String, Timestamp>,
    next_order: Timestamp,
    next_shift: Timestamp,
    /// What was refused, which happens: an order that was shipped meanwhile cannot be cancelled.
    pub refused: u64,
}

/// How often the warehouse works through its open orders.
const SHIFT: SignedDuration = SignedDuration::from_mins(2);

impl Traffic {
    /// Traffic that begins now.
    pub fn new(clock: FastClock, seed: u64, pace: Pace) -> Self {
        let now = clock.now();
        Self {
            clock,
            random: StdRng::seed_from_u64(seed),
            pace,
            shelf: Shelf::new(),
            buyers: Buyers::default(),
            placed: BTreeMap::new(),
            seen: BTreeMap::new(),
            next_order: now,
            next_shift: now + SHIFT,
            refused: 0,
        }
    }

    /// Fills the systems with what is there before the first order. Gives what each said: ids for the hub's configuration.
    ///
    /// # Errors
    /// When a profile fails.
    pub fn seed(&self, systems: &Systems) -> Result<(Value, Value, Value), Refusal> {
        let store = systems.store.act("seed", &self.shelf.for_store())?;
        let erp = systems.erp.act("seed", &self.shelf.for_erp())?;
        let crm = systems.crm.act("seed", &json!({}))?;
        Ok((store, erp, crm))
    }

    /// Whether there is nothing left to do: every order is placed, and the warehouse has shipped what it can.
    pub fn is_done(&self) -> bool {
        self.pace.orders.is_some_and(|most| u64::try_from(self.placed.len()).unwrap_or(u64::MAX) >= most)
    }

    /// Does what is due by now. Call it often.
    ///
    /// # Errors
    /// When a profile fails; refusals are part of life and counted.
    pub fn step(&mut self, systems: &Systems) -> Result<(), Refusal> {
        let now = self.clock.now();
        while !self.is_done() && self.next_order <= now {
            self.place(systems, now)?;
            let share: f64 = self.random.random_range(0.2..1.8);
            let gap =
                SignedDuration::try_from_secs_f64(self.pace.every_s * share).unwrap_or(SignedDuration::ZERO);
            self.next_order = self.next_order.checked_add(gap).unwrap_or(now);
            self.afterthought(systems)?;
        }
        if self.next_shift <= now {
            self.next_shift = now + SHIFT;
            self.ship(systems)?;
            self.stock_taking(systems)?;
        }
        Ok(())
    }

    fn place(&mut self, systems: &Systems, now: Timestamp) -> Result<(), Refusal> {
        let buyer = self.buyers.next(&mut self.random);
        let order = self.shelf.order(&mut self.random, &buyer);
        let lines = orders::lines(&order);
        let done = systems.store.act("place_order", &order)?;
        let text = |key: &str| done[key].as_str().unwrap_or_default().to_owned();
        let placed = Placed {
            id: text("id"),
            number: text("number"),
            at: now,
            email: buyer.email,
            lines,
            shipped: false,
            cancelled: false,
            refunds: Vec::new(),
        };
        self.placed.insert(placed.number.clone(), placed);
        Ok(())
    }

    /// Somebody thinks again: an order is cancelled, or something is given back.
    fn afterthought(&mut self, systems: &Systems) -> Result<(), Refusal> {
        if self.random.random_bool(0.03) {
            let recent: Vec<String> = self.placed.keys().rev().take(5).cloned().collect();
            let number = &recent[self.random.random_range(0..recent.len())];
            let Some(placed) = self.placed.get_mut(number).filter(|p| !p.cancelled) else { return Ok(()) };
            let done = systems.store.act("cancel_order", &json!({"id": placed.id}));
            placed.cancelled = accepted(done, &mut self.refused)?.is_some();
        }
        if self.random.random_bool(0.03) {
            self.edit(systems)?;
        }
        if self.random.random_bool(0.03) {
            self.give_back(systems)?;
        }
        if self.pace.edits {
            self.mischief(systems)?;
        }
        if self.pace.edits && self.random.random_bool(0.02) {
            let known: Vec<&Placed> = self.placed.values().rev().take(50).collect();
            let email = &known[self.random.random_range(0..known.len())].email;
            let phone = format!("+4930{}", self.random.random_range(1_000_000..9_999_999));
            let done = systems.crm.act("edit_contact", &json!({"email": email, "phone": phone}));
            accepted(done, &mut self.refused)?;
        }
        Ok(())
    }

    /// What administrators do to those who only wanted to keep things in step.
    fn mischief(&mut self, systems: &Systems) -> Result<(), Refusal> {
        for action in ["revoke_tokens", "drop_subscriptions"] {
            let chosen = systems.all()[self.random.random_range(0..3)];
            if self.random.random_bool(0.005) && chosen.can(action) {
                accepted(chosen.act(action, &json!({})), &mut self.refused)?;
            }
        }
        if self.random.random_bool(0.01) && systems.erp.can("edit_order") {
            let open = systems.erp.act("open_orders", &json!({}))?;
            if let Some(order) = open.as_array().and_then(|all| all.first()) {
                accepted(systems.erp.act("edit_order", &json!({"id": order["id"]})), &mut self.refused)?;
            }
        }
        Ok(())
    }

    /// A buyer wants a piece less of something.
    fn edit(&mut self, systems: &Systems) -> Result<(), Refusal> {
        let recent: Vec<String> = self.placed.keys().rev().take(5).cloned().collect();
        let number = &recent[self.random.random_range(0..recent.len())];
        let Some(placed) = self.placed.get_mut(number).filter(|p| !p.cancelled && !p.shipped) else {
            return Ok(());
        };
        // A discount was spread by the sum; what an edit makes of it is the store's secret, so those orders are left alone.
        if placed.lines.iter().any(|l| !l.discount.is_zero()) {
            return Ok(());
        }
        let Some(line) = placed.lines.iter_mut().find(|l| l.quantity > 1) else { return Ok(()) };
        let less = line.with(line.quantity - 1);
        let edit =
            json!({"id": placed.id, "sku": less.sku, "quantity": less.quantity, "taxes": [less.tax()]});
        if accepted(systems.store.act("edit_order", &edit), &mut self.refused)?.is_some() {
            *line = less;
        }
        Ok(())
    }

    /// Something that was shipped is sent back and paid back.
    fn give_back(&mut self, systems: &Systems) -> Result<(), Refusal> {
        let shipped: Vec<String> = self
            .placed
            .values()
            .rev()
            .filter(|p| p.shipped && !p.cancelled && p.refunds.is_empty())
            .take(20)
            .map(|p| p.number.clone())
            .collect();
        if shipped.is_empty() {
            return Ok(());
        }
        let number = &shipped[self.random.random_range(0..shipped.len())];
        let Some(placed) = self.placed.get_mut(number) else { return Ok(()) };
        let Some(line) = placed.lines.first() else { return Ok(()) };
        let refund = json!({
            "id": placed.id, "shipping": "0", "restock": true,
            "lines": [{
                "sku": line.sku, "quantity": line.quantity, "amount": line.amount().to_string(),
                "tax": line.tax()["amount"],
            }],
        });
        if let Some(done) = accepted(systems.store.act("refund_order", &refund), &mut self.refused)? {
            placed.refunds.push(done["id"].as_str().unwrap_or_default().to_owned());
        }
        Ok(())
    }

    /// The warehouse ships what is open, some of it in parts.
    fn ship(&mut self, systems: &Systems) -> Result<(), Refusal> {
        let now = self.clock.now();
        let open = systems.erp.act("open_orders", &json!({}))?;
        for order in open.as_array().into_iter().flatten() {
            // Nobody packs what came in a moment ago.
            let id = order["id"].as_str().unwrap_or_default();
            let seen = *self.seen.entry(id.to_owned()).or_insert(now);
            if now.duration_since(seen) < self.pace.packed_after || !self.random.random_bool(0.6) {
                continue;
            }
            let mut lines = Value::Null;
            let several = order["lines"].as_array().filter(|l| l.len() > 1);
            if let Some(first) = several.and_then(|l| l.first())
                && self.random.random_bool(0.15)
            {
                lines = json!([{"id": first["id"], "quantity": first["quantity"]}]);
            }
            let tracking = format!("TRK{}", self.random.random_range(100_000_000..999_999_999));
            let ship = json!({"id": order["id"], "lines": lines, "tracking": tracking});
            if accepted(systems.erp.act("ship_order", &ship), &mut self.refused)?.is_none() {
                continue;
            }
            if let Some(placed) = order["reference"].as_str().and_then(|number| self.placed.get_mut(number)) {
                placed.shipped = true;
            }
            if self.random.random_bool(0.8) {
                let done = systems.erp.act("invoice_order", &json!({"id": order["id"]}));
                accepted(done, &mut self.refused)?;
            }
        }
        Ok(())
    }

    /// Goods arrive, and what was counted differs from the books.
    fn stock_taking(&mut self, systems: &Systems) -> Result<(), Refusal> {
        for Item { sku, .. } in self.shelf.items() {
            if self.random.random_bool(0.1) {
                let by: i64 = self.random.random_range(5..60);
                let done = systems
                    .erp
                    .act("adjust_stock", &json!({"sku": sku, "location": "MAIN", "by": by.to_string()}));
                accepted(done, &mut self.refused)?;
            }
        }
        if self.random.random_bool(0.1) {
            let item = &self.shelf.items()[self.random.random_range(0..self.shelf.items().len())];
            let price = item.price + rust_decimal::Decimal::new(self.random.random_range(-99..200), 2);
            let done = systems.erp.act("set_price", &json!({"sku": item.sku, "price": price.to_string()}));
            accepted(done, &mut self.refused)?;
        }
        Ok(())
    }
}

/// What was done; nothing when it was refused.
fn accepted(done: Result<Value, Refusal>, refused: &mut u64) -> Result<Option<Value>, Refusal> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(Refusal::Refused { .. }) => {
            *refused += 1;
            Ok(None)
        }
        Err(broken) => Err(broken),
    }
}
