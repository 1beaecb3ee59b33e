//! Counts what came of the traffic, by asking the systems themselves: what is expected is the generator's own model, what is
//! there is in their documents.
//!
//! Never: takes the hub's word, but for why something waits for a person.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Systems, Traffic};
use crate::Refusal;

/// What each system says.
pub struct Reports {
    /// The store's answer.
    pub store: Value,
    /// The ERP's.
    pub erp: Value,
    /// The CRM's.
    pub crm: Value,
}

impl Reports {
    /// Asks all of them.
    ///
    /// # Errors
    /// When a profile fails.
    pub fn ask(systems: &Systems) -> Result<Self, Refusal> {
        let ask = |sandbox: &crate::Sandbox| sandbox.act("report", &json!({}));
        Ok(Self { store: ask(&systems.store)?, erp: ask(&systems.erp)?, crm: ask(&systems.crm)? })
    }

    /// Changes that callers made, in all systems together.
    pub fn writes(&self) -> i64 {
        [&self.store, &self.erp, &self.crm].iter().map(|r| r["writes"].as_i64().unwrap_or(0)).sum()
    }
}

/// What is there, and what is wrong.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq)]
pub struct Counts {
    /// Orders placed in the store.
    pub orders_placed: usize,
    /// Orders that the ERP must have: placed and not cancelled.
    pub orders_expected_in_erp: usize,
    /// Orders of ours in the ERP.
    pub orders_in_erp: usize,
    /// Orders that the CRM must have.
    pub orders_expected_in_crm: usize,
    /// Orders of ours in the CRM.
    pub orders_in_crm: usize,
    /// Contacts of buyers in the CRM.
    pub customers_in_crm: usize,
    /// Shipments of the ERP that the store has.
    pub shipments_in_store: usize,
    /// Shipments of the ERP whose tracking number the CRM has.
    pub shipments_in_crm: usize,
    /// What was given back, in the ERP.
    pub refunds_in_erp: usize,
    /// Expected, not there, and not before a person either.
    pub lost: usize,
    /// There more than once.
    pub duplicated: usize,
    /// Orders whose totals differ.
    pub totals_mismatched: usize,
    /// Items whose sellable figure in the store is not what the ERP's figures say.
    pub stock_mismatched: usize,
    /// What is wrong, in words; the first few.
    pub problems: Vec<String>,
}

/// Most problems that are told in words.
const TOLD: usize = 20;

impl Counts {
    /// Compares. `in_review` are the numbers of orders and shipments that wait for a person.
    pub fn of(traffic: &Traffic, reports: &Reports, in_review: &BTreeSet<String>) -> Self {
        let mut counts = Self { orders_placed: traffic.placed.len(), ..Self::default() };
        let store = by(&reports.store["orders"], "number");
        let erp = by(&reports.erp["orders"], "reference");
        let crm = by(&reports.crm["orders"], "name");
        counts.orders(traffic, in_review, &store, &erp, &crm);
        counts.strangers(traffic, &erp, &crm);
        counts.shipments(&store, &crm, reports, in_review);
        counts.contacts(traffic, reports, in_review);
        counts.stock(traffic, reports, &erp);
        counts.refunds_in_erp = rows(&reports.erp["credit_memos"]).count();
        counts
    }

    fn problem(&mut self, text: String) {
        if self.problems.len() < TOLD {
            self.problems.push(text);
        }
    }

    fn orders(
        &mut self,
        traffic: &Traffic,
        in_review: &BTreeSet<String>,
        store: &By<'_>,
        erp: &By<'_>,
        crm: &By<'_>,
    ) {
        for (number, placed) in &traffic.placed {
            let Some(original) = store.get(number).and_then(|all| all.first()) else {
                self.lost += 1;
                self.problem(format!("{number} is not in the store itself"));
                continue;
            };
            let waits = in_review.contains(number);
            let in_erp = erp.get(number).map_or(&[][..], Vec::as_slice);
            let live: Vec<_> = in_erp.iter().filter(|o| o["state"] != "cancelled").collect();
            self.duplicated += in_erp.len().saturating_sub(1);
            if in_erp.len() > 1 {
                self.problem(format!("{number} is {} orders in the ERP", in_erp.len()));
            }
            // What was shipped before the buyer thought again stays an order, and the store is told so.
            let told = placed.shipped && rows(&original["tags"]).any(|t| !text(t).is_empty());
            if placed.cancelled {
                if !live.is_empty() && !waits && !told {
                    self.lost += 1;
                    self.problem(format!("{number} was cancelled, and is an order in the ERP all the same"));
                }
            } else {
                self.orders_expected_in_erp += 1;
                if live.is_empty() && !waits {
                    self.lost += 1;
                    self.problem(format!("{number} is not in the ERP"));
                }
            }
            for order in &live {
                let same = decimal(&order["total"]) == decimal(&original["total"]);
                if !placed.cancelled && !same && !waits && !told {
                    self.totals_mismatched += 1;
                    self.problem(format!(
                        "{number}: total {} in the store, {} in the ERP",
                        original["total"], order["total"]
                    ));
                }
            }
            // What was called off before the CRM heard of it need not be there.
            let in_crm = crm.get(number).map_or(&[][..], Vec::as_slice);
            self.orders_expected_in_crm += usize::from(!placed.cancelled || !in_crm.is_empty());
            self.duplicated += in_crm.len().saturating_sub(1);
            match in_crm {
                [] if !waits && !placed.cancelled => {
                    self.lost += 1;
                    self.problem(format!("{number} is not in the CRM"));
                }
                [one, ..] if !waits && decimal(&one["total"]) != decimal(&original["total"]) => {
                    self.totals_mismatched += 1;
                    self.problem(format!(
                        "{number}: total {} in the store, {} in the CRM",
                        original["total"], one["total"]
                    ));
                }
                _ => {}
            }
        }
        self.orders_in_erp = count_known(traffic, erp);
        self.orders_in_crm = count_known(traffic, crm);
    }

    /// Orders that nobody placed.
    fn strangers(&mut self, traffic: &Traffic, erp: &By<'_>, crm: &By<'_>) {
        for (system, orders) in [("ERP", erp), ("CRM", crm)] {
            for number in orders.keys().filter(|n| !traffic.placed.contains_key(*n)) {
                self.duplicated += 1;
                self.problem(format!("the {system} has an order `{number}` that nobody placed"));
            }
        }
    }

    fn shipments(&mut self, store: &By<'_>, crm: &By<'_>, reports: &Reports, in_review: &BTreeSet<String>) {
        for shipment in rows(&reports.erp["shipments"]) {
            let number = text(&shipment["reference"]);
            // An API that does not give the tracking number gives the shipment's own.
            let names = [text(&shipment["tracking"]), text(&shipment["number"])];
            let is_it = |told: &Value| names.iter().any(|name| !name.is_empty() && text(told).contains(name));
            let tracking = names[0];
            if in_review.contains(names[1]) || in_review.contains(number) {
                continue;
            }
            let in_store = store.get(number).into_iter().flatten().flat_map(|o| rows(&o["shipments"]));
            let found = in_store.filter(|s| rows(&s["tracking"]).any(is_it)).count();
            match found {
                0 => {
                    self.lost += 1;
                    self.problem(format!("{number}: the shipment {tracking} is not in the store"));
                }
                n => {
                    self.shipments_in_store += 1;
                    self.duplicated += n - 1;
                }
            }
            let told = |o: &&Value| {
                let tracked = rows(&o["shipments"]).flat_map(|s| rows(&s["tracking"])).any(is_it);
                tracked || rows(&o["notes"]).any(is_it)
            };
            if crm.get(number).into_iter().flatten().filter(|o| told(o)).count() > 0 {
                self.shipments_in_crm += 1;
            } else {
                self.lost += 1;
                self.problem(format!("{number}: the shipment {tracking} is not in the CRM"));
            }
        }
        // The other way about: pieces that the store believes shipped and the ERP does not.
        for (number, orders) in store {
            let pieces = |lines: &Value| rows(lines).map(|l| decimal(&l["quantity"])).sum::<Decimal>();
            let told: Decimal =
                orders.iter().flat_map(|o| rows(&o["shipments"])).map(|s| pieces(&s["lines"])).sum();
            let real: Decimal = rows(&reports.erp["shipments"])
                .filter(|s| text(&s["reference"]) == number)
                .map(|s| pieces(&s["lines"]))
                .sum();
            if told > real {
                self.duplicated += 1;
                self.problem(format!("{number}: {told} pieces shipped in the store, {real} in the ERP"));
            }
        }
    }

    fn contacts(&mut self, traffic: &Traffic, reports: &Reports, in_review: &BTreeSet<String>) {
        let contacts = by(&reports.crm["contacts"], "email");
        let buyers: BTreeMap<&str, &str> =
            traffic.placed.values().map(|p| (p.email.as_str(), p.number.as_str())).collect();
        for (email, number) in buyers {
            match contacts.get(email).map_or(0, Vec::len) {
                0 if in_review.contains(number) => {}
                0 => {
                    self.lost += 1;
                    self.problem(format!("the buyer of {number} is no contact in the CRM"));
                }
                n => {
                    self.customers_in_crm += 1;
                    self.duplicated += n - 1;
                }
            }
        }
    }

    fn stock(&mut self, traffic: &Traffic, reports: &Reports, erp: &By<'_>) {
        // What was ordered, is not cancelled, and never reached the ERP: nobody may sell it twice.
        let mut waiting: BTreeMap<&str, Decimal> = BTreeMap::new();
        for (number, placed) in traffic.placed.iter().filter(|(_, p)| !p.cancelled) {
            if !erp.contains_key(number) {
                for line in &placed.lines {
                    *waiting.entry(&line.sku).or_default() += Decimal::from(line.quantity);
                }
            }
        }
        let shown = by(&reports.store["stock"], "sku");
        for row in rows(&reports.erp["stock"]) {
            let sku = text(&row["sku"]);
            let held = waiting.get(sku).copied().unwrap_or_default();
            let free = decimal(&row["on_hand"]) - decimal(&row["reserved"]) - held;
            let expected = free.max(Decimal::ZERO).floor();
            let available: Decimal =
                shown.get(sku).into_iter().flatten().map(|s| decimal(&s["available"])).sum();
            if available.max(Decimal::ZERO) != expected {
                self.stock_mismatched += 1;
                self.problem(format!("{sku}: {available} available in the store, {expected} expected"));
            }
        }
    }
}

type By<'a> = BTreeMap<String, Vec<&'a Value>>;

fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A number as a text or a number.
fn decimal(value: &Value) -> Decimal {
    match value {
        Value::String(text) => text.trim().parse().unwrap_or_default(),
        Value::Number(n) => n.to_string().parse().unwrap_or_default(),
        _ => Decimal::ZERO,
    }
}

fn by<'a>(list: &'a Value, key: &str) -> By<'a> {
    let mut found = By::new();
    for row in rows(list) {
        found.entry(text(&row[key]).to_owned()).or_default().push(row);
    }
    found
}

fn count_known(traffic: &Traffic, orders: &By<'_>) -> usize {
    orders.keys().filter(|n| traffic.placed.contains_key(*n)).count()
}
