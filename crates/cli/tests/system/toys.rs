//! A store and an ERP in memory, behind HTTP, with the faults that tests ask for.
//!
//! Never: ask each other anything; whatever passes between them went through the hub.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::http::{Reply, Request, listen};

/// Locks, whatever another test thread has come to.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `12.34` as cents.
pub fn cents(text: &str) -> i64 {
    let (whole, rest) = text.split_once('.').unwrap_or((text, "00"));
    assert_eq!(rest.len(), 2, "two decimals in `{text}`");
    whole.parse::<i64>().unwrap() * 100 + rest.parse::<i64>().unwrap()
}

fn euros(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// The toy store: orders by number; an order's id is its number with a 7 before it.
pub struct Shop {
    pub address: SocketAddr,
    orders: Arc<Mutex<BTreeMap<String, Value>>>,
}

impl Shop {
    pub fn open() -> Self {
        let orders: Arc<Mutex<BTreeMap<String, Value>>> = Arc::default();
        let kept = orders.clone();
        let address = listen(move |request| match (&*request.method, &*request.path) {
            ("GET", "/orders") => Reply::Json(200, json!({ "orders": asked_for(&lock(&kept), request) })),
            ("GET", "/health") => Reply::Json(200, json!({})),
            _ => Reply::Json(404, json!({})),
        });
        Self { address, orders }
    }

    /// A buyer orders; nobody is told yet. Gives the order's total.
    pub fn place(&self, number: u32) -> String {
        // Every order has another total, so that no mix-up goes unseen.
        let price = 1_000 + i64::from(number % 1_000) * 7;
        let (line, shipping) = (price * 2, 490);
        let tax = |gross: i64| (gross * 19 + 59) / 119;
        let total = euros(line + shipping);
        let order = json!({
            "id": format!("7{number}"),
            "number": number.to_string(),
            "placed_at": "2026-11-20T10:00:00Z",
            "currency": "EUR",
            "lines": [{
                "id": format!("7{number}-1"), "sku": "MUG", "title": "Mug", "quantity": 2,
                "price": euros(price), "tax": euros(tax(line)), "total": euros(line),
            }],
            "shipping": euros(shipping),
            "shipping_tax": euros(tax(shipping)),
            "tax": euros(tax(line) + tax(shipping)),
            "total": total,
        });
        lock(&self.orders).insert(number.to_string(), order);
        total
    }

    /// The total of an order.
    pub fn total(&self, number: u32) -> String {
        lock(&self.orders)[&number.to_string()]["total"].as_str().unwrap().to_owned()
    }
}

fn asked_for(orders: &BTreeMap<String, Value>, request: &Request) -> Vec<Value> {
    let ids: BTreeSet<&str> = request.query.iter().filter(|(n, _)| n == "id").map(|(_, v)| &**v).collect();
    orders.values().filter(|o| ids.contains(o["id"].as_str().unwrap())).cloned().collect()
}

/// What the toy ERP does wrong.
#[derive(Default)]
struct Faults {
    refuses: BTreeSet<String>,
    answers_to_lose: usize,
    answers_lost: usize,
}

/// The toy ERP. It does not mind a reference that it has already: whoever asks twice gets two sales.
pub struct Erp {
    pub address: SocketAddr,
    sales: Arc<Mutex<Vec<Value>>>,
    faults: Arc<Mutex<Faults>>,
}

impl Erp {
    pub fn open() -> Self {
        let (sales, faults): (Arc<Mutex<Vec<Value>>>, Arc<Mutex<Faults>>) = Default::default();
        let (kept, wrong) = (sales.clone(), faults.clone());
        let address = listen(move |request| match (&*request.method, &*request.path) {
            ("GET", "/sales") => {
                let reference = request.query.iter().find(|(n, _)| n == "reference").map(|(_, v)| &**v);
                let found: Vec<Value> =
                    lock(&kept).iter().filter(|s| s["reference"].as_str() == reference).cloned().collect();
                Reply::Json(200, json!({ "sales": found }))
            }
            ("POST", "/sales") => sell(&mut lock(&kept), &mut lock(&wrong), &request.body),
            ("GET", "/health") => Reply::Json(200, json!({})),
            _ => Reply::Json(404, json!({})),
        });
        Self { address, sales, faults }
    }

    /// Answers 400 for these orders from now on.
    pub fn refuse(&self, numbers: &[u32]) {
        lock(&self.faults).refuses = numbers.iter().map(u32::to_string).collect();
    }

    /// Makes the next sale, then closes the connection without an answer.
    pub fn lose_an_answer(&self) {
        lock(&self.faults).answers_to_lose += 1;
    }

    pub fn answers_lost(&self) -> usize {
        lock(&self.faults).answers_lost
    }

    /// Sales of an order.
    pub fn sales_of(&self, number: u32) -> Vec<Value> {
        let number = number.to_string();
        lock(&self.sales).iter().filter(|s| s["reference"] == *number).cloned().collect()
    }

    /// References of all sales, in the order in which they were made.
    pub fn references(&self) -> Vec<String> {
        lock(&self.sales).iter().map(|s| s["reference"].as_str().unwrap().to_owned()).collect()
    }
}

fn sell(sales: &mut Vec<Value>, faults: &mut Faults, body: &Value) -> Reply {
    let reference = body["reference"].as_str().unwrap_or_default();
    if faults.refuses.contains(reference) {
        let message = format!("reference {reference} is not to my liking");
        return Reply::Json(400, json!({ "message": message, "field": "reference" }));
    }
    let id = sales.len() + 1;
    let mut lines = body["lines"].as_array().cloned().unwrap_or_default();
    let mut total = 0;
    for (index, line) in lines.iter_mut().enumerate() {
        line["id"] = json!(format!("{id}-{}", index + 1));
        total += cents(line["amount"].as_str().unwrap_or("0.00"));
    }
    let sale = json!({
        "id": id, "number": format!("SO{id}"), "reference": reference, "lines": lines,
        "total": euros(total), "tax": body["tax"],
    });
    sales.push(sale.clone());
    if faults.answers_to_lose > 0 {
        faults.answers_to_lose -= 1;
        faults.answers_lost += 1;
        return Reply::Silence;
    }
    Reply::Json(201, sale)
}
