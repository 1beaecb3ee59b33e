//! Two systems to keep in step: a shop that takes orders, and an ERP that ships them and owns the stock. The ERP's search
//! lags.
//!
//! Never: knows of the hub; forgets what it was asked to do.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{Ms, stamp};

/// How a system's modification time moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    Exact,
    /// Whole ten seconds: two changes within them look the same.
    Coarse,
    /// There is none.
    None,
}

impl Clock {
    fn at(self, ms: Ms) -> Value {
        match self {
            Self::Exact => json!(stamp(ms).to_string()),
            Self::Coarse => json!(stamp(ms / 10_000 * 10_000).to_string()),
            Self::None => Value::Null,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Line {
    pub id: String,
    pub item: usize,
    pub quantity: i64,
    pub cents: i64,
    pub fulfilled: i64,
}

#[derive(Debug, Clone)]
pub struct ShopOrder {
    pub state: &'static str,
    pub paid: bool,
    pub note: String,
    pub lines: Vec<Line>,
    pub placed: Ms,
    pub updated: Ms,
    pub shipments: Vec<(String, Vec<(String, i64)>)>,
    pub refused: bool,
}

pub struct Shop {
    pub clock: Clock,
    pub orders: BTreeMap<usize, ShopOrder>,
    /// On hand by item, as published.
    pub on_hand: Vec<i64>,
    pub writes: usize,
}

impl Shop {
    pub fn open(&self, item: usize) -> i64 {
        let confirmed = self.orders.values().filter(|o| o.state == "confirmed");
        confirmed.flat_map(|o| &o.lines).filter(|l| l.item == item).map(|l| l.quantity - l.fulfilled).sum()
    }

    pub fn sellable(&self, item: usize) -> i64 {
        self.on_hand[item] - self.open(item)
    }

    /// What an order's page says, in the shape that a read mapping gives.
    pub fn read(&self, id: usize) -> Value {
        let order = &self.orders[&id];
        let money = |cents: i64| json!({"shop": {"amount": format!("{}.{:02}", cents / 100, cents % 100), "currency": "EUR"}});
        let lines: Vec<Value> = order
            .lines
            .iter()
            .map(|l| {
                json!({
                    "id": l.id,
                    "item": {"external": {"type": "item", "id": l.item.to_string()}},
                    "ordered": l.quantity.to_string(),
                    "fulfilled": l.fulfilled.to_string(),
                    "unit_price": money(l.cents),
                    "total": money(l.cents * l.quantity),
                })
            })
            .collect();
        let total = order.lines.iter().map(|l| l.cents * l.quantity).sum();
        let shipped = order.lines.iter().all(|l| l.fulfilled == l.quantity);
        let mut changes = vec![json!({
            "kind": "order", "type": "order", "id": id.to_string(), "label": (1000 + id).to_string(),
            "at": self.clock.at(order.updated),
            "settled": order.state == "cancelled" || (shipped && order.state == "confirmed"),
            "payload": {
                "number": (1000 + id).to_string(),
                "currency": "EUR",
                "tax_included": true,
                "placed_at": stamp(order.placed).to_string(),
                "note": order.note,
                "lifecycle": {
                    "commercial": order.state,
                    "payment": if order.paid { "paid" } else { "unpaid" },
                    "fulfilment": if shipped { "fulfilled" } else { "unfulfilled" },
                },
                "lines": lines,
                "totals": {"tax": money(0), "total": money(total)},
            },
        })];
        changes.extend(
            order
                .shipments
                .iter()
                .map(|(tracking, lines)| shipment("order", &id.to_string(), tracking, lines)),
        );
        json!({ "changes": changes })
    }

    pub fn find_shipment(&self, order: usize, tracking: &str) -> bool {
        self.orders[&order].shipments.iter().any(|(t, _)| t == tracking)
    }

    /// Not idempotent: the same twice is two shipments.
    pub fn ship(&mut self, order: usize, tracking: &str, lines: Vec<(String, i64)>, now: Ms) {
        self.writes += 1;
        let Some(order) = self.orders.get_mut(&order) else { return };
        if order.state == "confirmed" {
            for (id, quantity) in &lines {
                for line in order.lines.iter_mut().filter(|l| l.id == *id) {
                    line.fulfilled = (line.fulfilled + quantity).min(line.quantity);
                    self.on_hand[line.item] -= quantity;
                }
            }
        }
        order.shipments.push((tracking.to_owned(), lines));
        order.updated = now;
    }
}

fn shipment(of: &str, id: &str, tracking: &str, lines: &[(String, i64)]) -> Value {
    let lines: Vec<Value> =
        lines.iter().map(|(line, q)| json!({"order_line": line, "quantity": q.to_string()})).collect();
    json!({
        "kind": "shipment", "type": "shipment", "id": tracking, "label": tracking, "at": null, "settled": true,
        "payload": {
            "order": {"external": {"type": of, "id": id}},
            "status": "shipped",
            "tracking": [{"number": tracking}],
            "lines": lines,
        },
    })
}

#[derive(Debug, Clone)]
pub struct Sale {
    /// Our reference, kept by the ERP.
    pub key: String,
    /// Line id, item, quantity, cents.
    pub lines: Vec<(String, usize, i64, i64)>,
    pub note: String,
    pub cancelled: bool,
    pub shipped: Option<String>,
    /// When search finds it.
    pub visible: Ms,
    pub updated: Ms,
}

/// What the ERP's figures were made of from a moment on.
pub struct Figures {
    pub at: Ms,
    pub on_hand: Vec<i64>,
    pub committed: Vec<i64>,
    /// By our reference and item: what on hand and committed include of a sale.
    pub included: BTreeMap<(String, usize), i64>,
}

pub struct Erp {
    pub clock: Clock,
    pub sales: BTreeMap<usize, Sale>,
    pub on_hand: Vec<i64>,
    pub writes: usize,
    pub history: Vec<Figures>,
}

impl Erp {
    /// Search by our reference: a sale is found some time after it was made.
    pub fn find(&self, key: &str, now: Ms) -> Option<usize> {
        self.sales.iter().find(|(_, sale)| sale.key == key && sale.visible <= now).map(|(id, _)| *id)
    }

    pub fn create(&mut self, sale: Sale, now: Ms) -> usize {
        let id = self.sales.len() + 1;
        self.sales.insert(id, sale);
        self.wrote(now);
        id
    }

    pub fn total(&self, sale: usize) -> i64 {
        self.sales[&sale].lines.iter().map(|(_, _, quantity, cents)| quantity * cents).sum()
    }

    /// False when it is shipped: then nothing changes.
    pub fn change(&mut self, id: usize, now: Ms, change: impl FnOnce(&mut Sale)) -> bool {
        let Some(sale) = self.sales.get_mut(&id).filter(|sale| sale.shipped.is_none()) else { return false };
        change(sale);
        sale.updated = now;
        self.wrote(now);
        true
    }

    fn wrote(&mut self, now: Ms) {
        self.writes += 1;
        self.note_figures(now);
    }

    pub fn committed(&self, item: usize) -> i64 {
        let open = self.sales.values().filter(|sale| !sale.cancelled && sale.shipped.is_none());
        open.flat_map(|sale| &sale.lines)
            .filter(|(_, of, ..)| *of == item)
            .map(|(_, _, quantity, _)| quantity)
            .sum()
    }

    pub fn note_figures(&mut self, now: Ms) {
        let mut included = BTreeMap::new();
        for sale in self.sales.values().filter(|sale| !sale.cancelled) {
            for (_, item, quantity, _) in &sale.lines {
                *included.entry((sale.key.clone(), *item)).or_insert(0) += quantity;
            }
        }
        let committed = (0..self.on_hand.len()).map(|item| self.committed(item)).collect();
        self.history.push(Figures { at: now, on_hand: self.on_hand.clone(), committed, included });
    }

    pub fn ship(&mut self, id: usize, tracking: String, now: Ms) {
        let Some(sale) = self.sales.get_mut(&id).filter(|s| !s.cancelled && s.shipped.is_none()) else {
            return;
        };
        sale.shipped = Some(tracking);
        sale.updated = now;
        for (_, item, quantity, _) in &sale.lines {
            self.on_hand[*item] -= quantity;
        }
        self.note_figures(now);
    }

    pub fn read_sale(&self, id: usize) -> Value {
        let sale = &self.sales[&id];
        json!({"changes": [{
            "kind": "order", "type": "sale", "id": id.to_string(), "label": format!("SO{id}"),
            "at": self.clock.at(sale.updated), "settled": sale.cancelled || sale.shipped.is_some(),
            "payload": {
                "lifecycle": {
                    "commercial": if sale.cancelled { "cancelled" } else { "confirmed" },
                    "fulfilment": if sale.shipped.is_some() { "fulfilled" } else { "unfulfilled" },
                },
                "extra": {"counterpart_record": sale.key, "sale": format!("SO{id}")},
            },
        }]})
    }

    pub fn read_shipment(&self, id: usize) -> Option<Value> {
        let sale = &self.sales[&id];
        let tracking = sale.shipped.as_ref()?;
        let lines: Vec<_> =
            sale.lines.iter().map(|(line, _, quantity, _)| (line.clone(), *quantity)).collect();
        Some(json!({"changes": [shipment("sale", &id.to_string(), tracking, &lines)]}))
    }

    pub fn read_stock(&self, item: usize) -> Value {
        json!({"changes": [{
            "kind": "stock", "type": "stock", "id": item.to_string(), "label": null, "at": null, "settled": true,
            "payload": {
                "item": {"external": {"type": "item", "id": item.to_string()}},
                "basis": "on_hand",
                "on_hand": self.on_hand[item].to_string(),
                "committed": self.committed(item).to_string(),
            },
        }]})
    }
}
