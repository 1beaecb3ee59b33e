//! What is sold, and orders of it as a store's checkout states them: every amount to the minor unit, tax included.

use rand::RngExt;
use rand::rngs::StdRng;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use super::buyers::Buyer;

/// Something that is sold.
#[derive(Debug, Clone)]
pub struct Item {
    pub sku: &'static str,
    pub title: &'static str,
    /// Tax included.
    pub price: Decimal,
    /// Percent.
    pub tax: i64,
    pub stock: i64,
}

/// All that is sold.
pub struct Shelf {
    items: Vec<Item>,
}

/// The one tax rate that carriage has, in percent.
const CARRIAGE_TAX: i64 = 19;

impl Shelf {
    /// The same goods every time.
    pub fn new() -> Self {
        let item =
            |sku, title, cents, tax, stock| Item { sku, title, price: Decimal::new(cents, 2), tax, stock };
        Self {
            items: vec![
                item("TEA-GREEN-100", "Green tea, 100 g", 790, 7, 900),
                item("TEA-BLACK-100", "Black tea, 100 g", 690, 7, 900),
                item("TEA-FRUIT-250", "Fruit tea, 250 g", 1190, 7, 700),
                item("POT-CLAY-1L", "Clay pot, 1 l", 4990, 19, 300),
                item("POT-GLASS-07", "Glass pot, 0.7 l", 3495, 19, 300),
                item("CUP-BLUE", "Cup, blue", 1250, 19, 800),
                item("CUP-WHITE", "Cup, white", 1199, 19, 800),
                item("KETTLE-17", "Kettle, 1.7 l", 8900, 19, 150),
                item("FILTER-80", "Filters, 80 pieces", 325, 19, 1500),
                item("HONEY-500", "Honey, 500 g", 949, 7, 600),
                item("BOOK-TEA", "Book of tea", 2400, 7, 200),
                item("TRAY-OAK", "Tray, oak", 5999, 19, 120),
            ],
        }
    }

    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// What a store is filled with.
    pub fn for_store(&self) -> Value {
        let items: Vec<Value> = self
            .items
            .iter()
            .map(|i| json!({"sku": i.sku, "title": i.title, "price": i.price.to_string(), "barcode": null}))
            .collect();
        json!({
            "currency": "EUR", "taxes_included": true, "items": items, "companies": [],
            "locations": [{"code": "MAIN", "name": "Main warehouse"}],
        })
    }

    /// What an ERP is filled with.
    pub fn for_erp(&self) -> Value {
        let item = |i: &Item| {
            json!({
                "sku": i.sku, "title": i.title, "price": i.price.to_string(), "tax": format!("VAT{}", i.tax),
                "stock": {"MAIN": i.stock.to_string()}, "unit": "PCS", "factor": "1",
            })
        };
        json!({
            "currency": "EUR", "guest": true, "prices_include_tax": true, "items": self.items.iter().map(item).collect::<Vec<_>>(),
            "locations": [{"code": "MAIN", "name": "Main warehouse"}],
            "tax_groups": [{"code": "VAT19", "rate": "19"}, {"code": "VAT7", "rate": "7"}],
        })
    }

    /// An order of somebody.
    pub fn order(&self, random: &mut StdRng, buyer: &Buyer) -> Value {
        let count = [1, 1, 1, 2, 2, 3, 4][random.random_range(0..7)];
        let mut chosen: Vec<(&Item, i64)> = Vec::new();
        while chosen.len() < count {
            let item = &self.items[random.random_range(0..self.items.len())];
            if !chosen.iter().any(|(i, _)| i.sku == item.sku) {
                chosen.push((item, [1, 1, 1, 2, 3, 12][random.random_range(0..6)]));
            }
        }
        let gross: Vec<Decimal> = chosen.iter().map(|(item, n)| item.price * Decimal::from(*n)).collect();
        let discount = if random.random_bool(0.25) { Some(Decimal::from(10)) } else { None };
        let shares = match discount {
            Some(percent) => {
                let all: Decimal = gross.iter().sum();
                spread(cents(all * percent / Decimal::ONE_HUNDRED), &gross)
            }
            None => vec![Decimal::ZERO; gross.len()],
        };
        let lines: Vec<Value> = chosen
            .iter()
            .zip(gross.iter().zip(&shares))
            .map(|((item, n), (gross, share))| {
                json!({
                    "sku": item.sku, "quantity": n, "unit_price": item.price.to_string(), "discount": share.to_string(),
                    "taxes": [tax(*gross - *share, item.tax)],
                })
            })
            .collect();
        let amount = if gross.iter().sum::<Decimal>() > Decimal::from(60) {
            Decimal::ZERO
        } else {
            Decimal::new(490, 2)
        };
        let taxes = if amount.is_zero() { json!([]) } else { json!([tax(amount, CARRIAGE_TAX)]) };
        let presentment = match random.random_range(0..10) {
            0 => json!({"currency": "USD", "rate": "1.0837"}),
            1 => json!({"currency": "JPY", "rate": "163.41"}),
            _ => Value::Null,
        };
        let paid: Decimal = gross.iter().sum::<Decimal>() - shares.iter().sum::<Decimal>() + amount;
        let gift_card = if random.random_bool(0.06) { Decimal::from(5).min(paid) } else { Decimal::ZERO };
        json!({
            "buyer": buyer.told(),
            "company": null,
            "address": buyer.address(random.random_range(1..200)),
            "presentment": presentment,
            "lines": lines,
            "discount": discount.map(|_| json!({"code": "TEN", "amount": shares.iter().sum::<Decimal>().to_string()})),
            "shipping": {"title": "Parcel", "code": "PARCEL", "amount": amount.to_string(), "taxes": taxes},
            "taxes_included": true,
            "gift_card": gift_card.to_string(),
            "gateway": "card",
            "paid": true,
            "location": "MAIN",
        })
    }
}

/// A line of an order, as far as what becomes of it later matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub sku: String,
    /// Pieces.
    pub quantity: i64,
    /// Its share of the order's discount, in all.
    pub discount: Decimal,
    unit_price: Decimal,
    rate: i64,
}

impl Line {
    /// What it costs, tax included.
    pub fn amount(&self) -> Decimal {
        self.unit_price * Decimal::from(self.quantity) - self.discount
    }

    /// The tax in it.
    pub fn tax(&self) -> Value {
        tax(self.amount(), self.rate)
    }

    /// The same with another number of pieces.
    pub fn with(&self, quantity: i64) -> Self {
        Self { quantity, ..self.clone() }
    }
}

/// The lines of an order.
pub fn lines(order: &Value) -> Vec<Line> {
    let number = |v: &Value| v.as_str().and_then(|t| t.parse().ok()).unwrap_or_default();
    let lines = order["lines"].as_array().into_iter().flatten();
    lines
        .map(|l| Line {
            sku: l["sku"].as_str().unwrap_or_default().to_owned(),
            quantity: l["quantity"].as_i64().unwrap_or(0),
            discount: number(&l["discount"]),
            unit_price: number(&l["unit_price"]),
            rate: l["taxes"][0]["rate"].as_str().and_then(|t| t.parse().ok()).unwrap_or(0),
        })
        .collect()
}

fn cents(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

/// The tax that an amount includes.
fn tax(amount: Decimal, rate: i64) -> Value {
    let (rate, hundred) = (Decimal::from(rate), Decimal::ONE_HUNDRED);
    json!({"title": "VAT", "rate": rate.to_string(), "amount": cents(amount * rate / (hundred + rate)).to_string()})
}

/// Spreads an amount by weight so that the parts add up to it: what rounding leaves goes to the last ones, a cent each.
pub fn spread(amount: Decimal, weights: &[Decimal]) -> Vec<Decimal> {
    let all: Decimal = weights.iter().sum();
    if all.is_zero() {
        return vec![Decimal::ZERO; weights.len()];
    }
    let down = |x: Decimal| x.round_dp_with_strategy(2, RoundingStrategy::ToZero);
    let mut parts: Vec<Decimal> = weights.iter().map(|w| down(amount * *w / all)).collect();
    let mut left = amount - parts.iter().sum::<Decimal>();
    for part in parts.iter_mut().rev() {
        if left.is_zero() {
            break;
        }
        *part += Decimal::new(1, 2);
        left -= Decimal::new(1, 2);
    }
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rand::SeedableRng;

    use super::super::buyers::Buyers;
    use super::*;

    #[test]
    fn ten_off_a_hundred_over_three_lines() {
        let thirds = spread(Decimal::from(10), &[Decimal::ONE; 3]);
        assert_eq!(thirds.iter().map(ToString::to_string).collect::<Vec<_>>(), ["3.33", "3.33", "3.34"]);
    }

    #[test]
    fn the_same_seed_orders_the_same() {
        let run = || {
            let (mut random, mut buyers, shelf) = (StdRng::seed_from_u64(3), Buyers::default(), Shelf::new());
            (0..50)
                .map(|_| {
                    let buyer = buyers.next(&mut random);
                    shelf.order(&mut random, &buyer)
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
    }
}
