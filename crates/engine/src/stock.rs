//! What can be sold: a figure, less what it does not include yet, less what is held back.
//!
//! Never: subtracts a thing twice; gives more than is known to be sellable.

use counterpart_model::effect::Reservation;
use counterpart_model::ids::{ConnectionName, RecordId};
use counterpart_model::lifecycle::{Lifecycle, reserves_stock};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;

/// What the reckoning is made of.
pub struct StockInput<'a> {
    /// A stock record's payload, with the owner's figures.
    pub figure: &'a Value,
    /// When the read of those figures began.
    pub taken_at: Timestamp,
    /// What orders hold of that item at that location.
    pub reservations: &'a [Reservation],
    /// Held back everywhere.
    pub safety: Decimal,
    /// Held back from this store.
    pub buffer: Decimal,
    /// The store it is reckoned for.
    pub store: &'a ConnectionName,
}

/// What can be sold, and how that came about.
#[derive(Debug, Clone, PartialEq)]
pub struct AtsResult {
    /// Available to sell; never below zero.
    pub sellable: Decimal,
    /// What the store's own open orders hold there, by what we have seen.
    pub own_open: Decimal,
    /// The terms of the sum, in order, with their signs.
    pub terms: Vec<(String, Decimal)>,
}

/// Reckons what can be sold; `None` when the figure has no number for its basis.
///
/// An order is held back until a figure was taken after the order was confirmed where the figure comes from: from then
/// on the figure includes it.
pub fn available_to_sell(input: &StockInput<'_>) -> Option<AtsResult> {
    let number = |name: &str| input.figure[name].as_str().and_then(|t| t.parse::<Decimal>().ok());
    let mut terms = Vec::new();
    match input.figure["basis"].as_str()? {
        "on_hand" => {
            terms.push(("on hand".into(), number("on_hand")?));
            for (name, label) in
                [("committed", "committed"), ("reserved", "reserved"), ("damaged", "damaged")]
            {
                if let Some(quantity) = number(name) {
                    terms.push((label.to_owned(), -quantity));
                }
            }
        }
        "available" => terms.push(("available (on hand less committed)".into(), number("available")?)),
        "sellable" => terms.push(("sellable, as stated".into(), number("available")?)),
        _ => return None,
    }
    let included = |row: &&Reservation| row.confirmed_at.is_some_and(|at| at < input.taken_at);
    let waiting: Decimal =
        input.reservations.iter().filter(|row| !included(row)).map(|row| row.quantity).sum();
    terms.push(("orders not in the figure yet".into(), -waiting));
    terms.push(("safety stock".into(), -input.safety));
    terms.push(("channel buffer".into(), -input.buffer));
    let sum: Decimal = terms.iter().map(|(_, quantity)| *quantity).sum();
    let own = input.reservations.iter().filter(|row| row.store == *input.store);
    Some(AtsResult {
        sellable: sum.max(Decimal::ZERO).normalize(),
        own_open: own.map(|row| row.open_in_store).sum::<Decimal>().normalize(),
        terms,
    })
}

/// Kits that can be built: by the scarcest component. `components` are (what is sellable of it, how many a kit takes).
pub fn kits(components: &[(Decimal, Decimal)]) -> Decimal {
    components
        .iter()
        .filter(|(_, takes)| *takes > Decimal::ZERO)
        .map(|(sellable, takes)| (sellable / takes).floor())
        .min()
        .unwrap_or_default()
        .max(Decimal::ZERO)
}

/// What an order holds, line by line. Lines that were confirmed keep that as long as their quantity does not grow; those
/// that have left the store since hold nothing any more, and `written`, what the owner of stock was told of the order,
/// keeps them from being held again.
pub fn reservations(
    order: RecordId,
    payload: &Value,
    store: &ConnectionName,
    location: &str,
    existing: &[Reservation],
    written: Option<&Value>,
) -> Vec<Reservation> {
    let holds = Lifecycle::of(payload).is_some_and(|lifecycle| reserves_stock(&lifecycle));
    if !holds {
        return Vec::new();
    }
    let lines = payload["lines"].as_array().cloned().unwrap_or_default();
    lines.iter().filter_map(|line| reservation(order, line, store, location, existing, written)).collect()
}

/// What an order holds once it was written to the owner of stock as `written`: rows whose quantity that covers are part
/// of every figure that is taken from now on. The order may have grown since it was rendered; what has grown is not.
pub fn confirmed(rows: &[Reservation], written: &Value, now: Timestamp) -> Vec<Reservation> {
    let mark = |row: &Reservation| Reservation {
        confirmed_at: row.confirmed_at.or_else(|| covers(written, &row.line, row.quantity).then_some(now)),
        ..row.clone()
    };
    rows.iter().map(mark).collect()
}

/// Whether an order as it was written has that much of a line.
fn covers(written: &Value, line: &str, quantity: Decimal) -> bool {
    let lines = written["lines"].as_array().into_iter().flatten();
    lines.filter(|l| l["id"] == line).map(wanted).max().unwrap_or_default() >= quantity
}

fn number(line: &Value, name: &str) -> Decimal {
    line[name].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Ordered less cancelled.
fn wanted(line: &Value) -> Decimal {
    number(line, "ordered") - number(line, "cancelled")
}

fn reservation(
    order: RecordId,
    line: &Value,
    store: &ConnectionName,
    location: &str,
    existing: &[Reservation],
    written: Option<&Value>,
) -> Option<Reservation> {
    let item = line["item"]["record"].as_str()?.parse().ok()?;
    let id = line["id"].as_str()?.to_owned();
    let quantity = wanted(line);
    let open_in_store = (quantity - number(line, "fulfilled")).max(Decimal::ZERO);
    let before = existing.iter().find(|row| row.line == id && row.item == item);
    let confirmed_at = before.filter(|row| quantity <= row.quantity).and_then(|row| row.confirmed_at);
    let included = match before {
        Some(_) => confirmed_at.is_some(),
        None => written.is_some_and(|written| covers(written, &id, quantity)),
    };
    let over = quantity <= Decimal::ZERO || (open_in_store.is_zero() && included);
    (!over).then(|| Reservation {
        order,
        line: id,
        item,
        location: location.to_owned(),
        store: before.map_or_else(|| store.clone(), |row| row.store.clone()),
        quantity,
        open_in_store,
        confirmed_at,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fixtures::{at, name};
    use serde_json::json;

    fn row(store: &str, quantity: i64, open: i64, confirmed: Option<i64>) -> Reservation {
        Reservation {
            order: RecordId::from_parts(1, [1; 10]),
            line: "1".into(),
            item: RecordId::from_parts(1, [2; 10]),
            location: String::new(),
            store: name(store),
            quantity: quantity.into(),
            open_in_store: open.into(),
            confirmed_at: confirmed.map(at),
        }
    }

    fn sellable(figure: Value, rows: &[Reservation], buffer: i64) -> (Decimal, Decimal) {
        let input = StockInput {
            figure: &figure,
            taken_at: at(100),
            reservations: rows,
            safety: Decimal::ZERO,
            buffer: buffer.into(),
            store: &name("shop"),
        };
        let result = available_to_sell(&input).unwrap();
        (result.sellable, result.own_open)
    }

    #[test]
    fn two_orders_in_flight_are_counted_once_before_and_after_they_are_imported() {
        // On hand 10, committed 3, buffer 1, two orders of one piece in flight: 4 everywhere.
        let before = [row("shop", 1, 1, None), row("shop", 1, 1, None)];
        let figure = |committed: &str| json!({"basis": "on_hand", "on_hand": "10", "committed": committed});
        assert_eq!(sellable(figure("3"), &before, 1).0, Decimal::from(4));
        let after = [row("shop", 1, 1, Some(50)), row("shop", 1, 1, Some(60))];
        assert_eq!(sellable(figure("5"), &after, 1).0, Decimal::from(4));
    }

    #[test]
    fn an_order_is_held_until_a_figure_was_taken_after_its_confirmation() {
        let figure = json!({"basis": "available", "available": "7"});
        assert_eq!(sellable(figure.clone(), &[row("shop", 2, 2, Some(100))], 0).0, Decimal::from(5));
        assert_eq!(sellable(figure.clone(), &[row("shop", 2, 2, Some(99))], 0), (7.into(), 2.into()));
        assert_eq!(sellable(figure, &[row("other", 2, 2, None)], 0), (5.into(), 0.into()));
    }

    #[test]
    fn never_below_zero_and_nothing_twice() {
        assert_eq!(
            sellable(json!({"basis": "on_hand", "on_hand": "1", "committed": "4"}), &[], 0).0,
            Decimal::ZERO
        );
        let both = json!({"basis": "available", "on_hand": "9", "committed": "4", "available": "5"});
        assert_eq!(sellable(both, &[], 0).0, Decimal::from(5));
    }

    #[test]
    fn a_kit_is_as_many_as_its_scarcest_component() {
        assert_eq!(kits(&[(10.into(), 2.into()), (9.into(), 3.into())]), Decimal::from(3));
        assert_eq!(kits(&[]), Decimal::ZERO);
    }

    #[test]
    fn a_draft_holds_nothing_and_a_grown_line_is_held_anew() {
        let item = RecordId::from_parts(1, [2; 10]);
        let payload = |commercial: &str, ordered: &str| {
            json!({
                "lifecycle": {"commercial": commercial, "payment": "paid", "fulfilment": "unfulfilled"},
                "lines": [{"id": "1", "item": {"record": item}, "ordered": ordered, "cancelled": "0", "fulfilled": "1"}],
            })
        };
        let order = RecordId::from_parts(1, [1; 10]);
        let make = |payload: &Value, existing: &[Reservation]| {
            reservations(order, payload, &name("shop"), "", existing, None)
        };
        assert!(make(&payload("draft", "2"), &[]).is_empty());
        let rows = make(&payload("confirmed", "2"), &[]);
        assert_eq!((rows[0].quantity, rows[0].open_in_store), (2.into(), 1.into()));
        let confirmed = [Reservation { confirmed_at: Some(at(5)), ..rows[0].clone() }];
        assert_eq!(make(&payload("confirmed", "2"), &confirmed)[0].confirmed_at, Some(at(5)));
        assert_eq!(make(&payload("confirmed", "3"), &confirmed)[0].confirmed_at, None);
        assert!(make(&payload("cancelled", "2"), &confirmed).is_empty());
        for (written, covered) in [("1", false), ("2", true), ("3", true)] {
            let rows = super::confirmed(&rows, &payload("confirmed", written), at(9));
            assert_eq!(rows[0].confirmed_at.is_some(), covered, "written with {written}");
        }
        assert_eq!(super::confirmed(&rows, &json!({}), at(9)), rows);
    }

    #[test]
    fn what_left_the_store_and_is_known_to_the_owner_is_not_held_again() {
        let order = |ordered: &str, fulfilled: &str| {
            json!({
                "lifecycle": {"commercial": "confirmed", "payment": "paid", "fulfilment": "fulfilled"},
                "lines": [{"id": "1", "item": {"record": RecordId::from_parts(1, [2; 10])},
                           "ordered": ordered, "cancelled": "0", "fulfilled": fulfilled}],
            })
        };
        let make = |payload: &Value, existing: &[Reservation], written: Option<&Value>| {
            reservations(RecordId::from_parts(1, [1; 10]), payload, &name("shop"), "", existing, written)
        };
        let written = order("2", "0");
        let rows = super::confirmed(&make(&written, &[], None), &written, at(5));
        assert!(make(&order("2", "2"), &rows, Some(&written)).is_empty(), "it has left the store");
        // Any later word of the order comes when the rows are gone.
        assert!(make(&order("2", "2"), &[], Some(&written)).is_empty(), "held again");
        // Shipped from elsewhere before the owner heard of it, or grown since: the owner's figure lacks it.
        assert_eq!(make(&order("2", "2"), &[], None).len(), 1);
        assert_eq!(make(&order("3", "3"), &[], Some(&written)).len(), 1);
    }
}
