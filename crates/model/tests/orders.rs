//! Orders held against the rules: what is taken, and what is refused with its path.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use counterpart_model::check::{check, check_partial};
use counterpart_model::kind::Kind;
use serde_json::{Value, json};

fn amount(text: &str, currency: &str) -> Value {
    json!({"shop": {"amount": text, "currency": currency}})
}

/// 100.00 EUR with 19 % included over three lines, 10.00 off.
fn discounted() -> Value {
    let eur = |text: &str| amount(text, "EUR");
    let line = |id: &str, price: &str, off: &str| {
        json!({
            "id": id, "item": {"key": {"name": "sku", "value": format!("SKU-{id}")}}, "title": "Thing",
            "ordered": "1", "unit_price": eur(price),
            "discounts": [{"title": "Ten off", "amount": eur(off)}],
            "tax_lines": [{"code": "DE19", "rate": "19", "base": eur("25.21"), "amount": eur("4.79")}],
            "total": eur("30.00"),
        })
    };
    json!({
        "number": "1001", "currency": "EUR", "tax_included": true, "lifecycle": {"commercial": "confirmed"},
        "lines": [line("a", "33.33", "3.33"), line("b", "33.33", "3.33"), line("c", "33.34", "3.34")],
        "totals": {"discount": eur("10.00"), "tax": eur("14.37"), "total": eur("90.00")},
    })
}

/// One line in one currency, tax on top.
fn simple(currency: &str, price: &str, quantity: &str, total: &str, tax: &str, gross: &str) -> Value {
    json!({
        "currency": currency, "tax_included": false, "lifecycle": {"commercial": "confirmed", "payment": "paid"},
        "lines": [{
            "id": "1", "item": {"key": {"name": "sku", "value": "A"}}, "ordered": quantity,
            "unit_price": amount(price, currency), "total": amount(total, currency),
            "tax_lines": [{"code": "T", "amount": amount(tax, currency)}],
        }],
        "totals": {"tax": amount(tax, currency), "total": amount(gross, currency)},
    })
}

fn taken(order: &Value) {
    check(Kind::Order, order).unwrap_or_else(|problems| panic!("{problems:#?}"));
}

/// The order is refused with exactly one problem, at this path, whose words contain this.
fn refused(order: &Value, path: &str, words: &str) {
    let problems = check(Kind::Order, order).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert_eq!(problems[0].path, path, "{}", problems[0]);
    assert!(problems[0].to_string().contains(words), "expected `{words}` in `{}`", problems[0]);
}

/// The order with one value replaced, given as a JSON pointer.
fn with(mut order: Value, pointer: &str, value: Value) -> Value {
    match order.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            order.pointer_mut(parent).unwrap()[name] = value;
        }
    }
    order
}

#[test]
fn allocations_that_add_up_are_taken_as_stated() {
    taken(&discounted());
}

#[test]
fn one_cent_off_is_refused() {
    let total = with(discounted(), "/totals/total/shop/amount", json!("89.99"));
    refused(&total, "totals.total.shop", "is 89.99 EUR, expected 90.00 EUR: the sum of lines 90.00 EUR");
    let tax = with(discounted(), "/totals/tax/shop/amount", json!("14.38"));
    refused(&tax, "totals.tax.shop", "is 14.38 EUR, expected 14.37 EUR: the sum of 3 tax lines");
}

#[test]
fn a_line_that_is_no_product_of_its_parts_is_refused_when_the_price_cannot_explain_it() {
    let order = with(discounted(), "/lines/0/total/shop/amount", json!("33.33"));
    let order = with(order, "/totals/total/shop/amount", json!("93.33"));
    refused(
        &order,
        "lines[0].total.shop",
        "is 33.33 EUR, expected 30.00 EUR: 1 times 33.33 EUR less discounts",
    );
    // A thousand at a price rounded to cents may differ by up to half a cent each.
    taken(&simple("EUR", "0.33", "1000", "333.33", "0.00", "333.33"));
    // A finer price may not.
    let order = simple("EUR", "0.3300", "1000", "333.33", "0.00", "333.33");
    taken(&order);
    let order = simple("EUR", "0.3301", "1000", "333.33", "0.00", "333.33");
    refused(&order, "lines[0].total.shop", "330.10 EUR");
}

#[test]
fn finer_tax_lines_agree_to_the_minor_unit() {
    let fine = |tax: &str| {
        let mut order = discounted();
        for index in 0..3 {
            order["lines"][index]["tax_lines"][0]["amount"] = amount(tax, "EUR");
        }
        order
    };
    taken(&fine("4.789915"));
    refused(&fine("4.7833"), "totals.tax.shop", "expected 14.3499 EUR");
}

#[test]
fn currencies_without_minor_units_and_with_three_places() {
    taken(&simple("JPY", "1250", "3", "3750", "375", "4125"));
    refused(&simple("JPY", "1250", "3", "3750", "375", "4126"), "totals.total.shop", "4125 JPY");
    taken(&simple("KWD", "1.250", "3", "3.750", "0.188", "3.938"));
    refused(&simple("KWD", "1.250", "3", "3.750", "0.188", "3.939"), "totals.total.shop", "3.938 KWD");
}

#[test]
fn an_unknown_currency_is_named() {
    refused(&with(discounted(), "/currency", json!("EUX")), "currency", "unknown currency `EUX`");
    let order = with(discounted(), "/lines/1/unit_price/shop/currency", json!("eur"));
    refused(&order, "lines[1].unit_price.shop.currency", "unknown currency `eur`");
}

#[test]
fn mixed_currencies_are_refused() {
    let order = with(discounted(), "/lines/1/total/shop/currency", json!("USD"));
    refused(&order, "lines[1].total.shop.currency", "is USD, expected EUR");
}

#[test]
fn quantities_that_cannot_be() {
    let set = |field: &str, value: Value| with(discounted(), &format!("/lines/0/{field}"), value);
    refused(&set("ordered", json!("-1")), "lines[0].ordered", "negative quantity -1, expected zero or more");
    refused(&set("ordered", json!(1)), "lines[0].ordered", "a decimal written as a string");
    refused(&set("ordered", json!("1,5")), "lines[0].ordered", "not a decimal");
    refused(&set("cancelled", json!("2")), "lines[0].cancelled", "at most the 1 ordered");
    refused(&set("returned", json!("1.5")), "lines[0].returned", "at most the 1 ordered");
    let both = with(set("cancelled", json!("1")), "/lines/0/fulfilled", json!("0.5"));
    refused(&both, "lines[0].fulfilled", "with what is cancelled makes 1.5, expected at most the 1 ordered");
}

#[test]
fn a_line_without_an_item_and_a_doubled_line_are_refused() {
    let mut order = discounted();
    order["lines"][0].as_object_mut().unwrap().remove("item");
    order["lines"][2]["item"] = json!({});
    let problems = check(Kind::Order, &order).unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["lines[0].item", "lines[2].item"], "{problems:#?}");
    assert_eq!(problems[0].to_string(), "lines[0].item: is missing, expected a value");
    refused(&with(discounted(), "/lines/2/id", json!("a")), "lines[2].id", "is there a second time");
}

#[test]
fn both_sides_are_held_to_the_identity() {
    fn presented(order: &mut Value) {
        match order {
            Value::Object(fields) => {
                if let Some(shop) = fields.get("shop").cloned() {
                    fields.insert("presentment".into(), json!({"amount": shop["amount"], "currency": "USD"}));
                } else {
                    fields.values_mut().for_each(presented);
                }
            }
            Value::Array(entries) => entries.iter_mut().for_each(presented),
            _ => {}
        }
    }
    let mut order = discounted();
    presented(&mut order);
    order["presentment_currency"] = json!("USD");
    taken(&order);
    let off = with(order.clone(), "/totals/total/presentment/amount", json!("89.00"));
    refused(&off, "totals.total.presentment", "is 89.00 USD, expected 90.00 USD");
    let mixed = with(order.clone(), "/lines/0/total/presentment/currency", json!("GBP"));
    refused(&mixed, "lines[0].total.presentment.currency", "is GBP, expected USD");
    let half = with(order, "/lines/0/total/presentment", Value::Null);
    refused(&half, "lines[0].total.presentment", "is missing");
}

#[test]
fn rounding_is_one_small_explicit_charge() {
    let round = |amounts: &[&str], total: &str| {
        let charges: Vec<Value> = amounts
            .iter()
            .enumerate()
            .map(|(i, a)| json!({"id": i.to_string(), "kind": "rounding", "amount": amount(a, "CHF")}))
            .collect();
        with(simple("CHF", "9.97", "1", "9.97", "0.00", total), "/charges", json!(charges))
    };
    taken(&round(&["-0.02"], "9.95"));
    refused(&round(&["0.53"], "10.50"), "charges[0].amount.shop.amount", "at most 0.05 CHF either way");
    refused(&round(&["-0.01", "-0.01"], "9.95"), "charges[1].kind", "one rounding at most");
}

#[test]
fn shipping_with_its_own_tax_counts_in_both_sums() {
    let order = with(
        discounted(),
        "/charges",
        json!([{
            "id": "s", "kind": "shipping", "code": "dhl", "amount": amount("4.90", "EUR"),
            "tax_lines": [{"code": "DE19", "amount": amount("0.78", "EUR"), "collected_by": "marketplace"}],
        }]),
    );
    let order = with(order, "/totals/total/shop/amount", json!("94.90"));
    taken(&with(order, "/totals/tax/shop/amount", json!("15.15")));
}

#[test]
fn an_unknown_state_and_personal_values_are_told_apart() {
    let order = with(discounted(), "/lifecycle/commercial", json!("awaiting"));
    refused(
        &order,
        "lifecycle.commercial",
        "`awaiting` is not a value of this field, expected one of `draft`",
    );
    let order = with(discounted(), "/bill_to", json!("Ada Lovelace, 1 St"));
    refused(&order, "bill_to", "is string, expected an object (Contact)");
    let shown = format!("{:?}", check(Kind::Order, &order));
    assert!(!shown.contains("Ada"), "{shown}");
}

#[test]
fn a_change_gives_whole_fields_only() {
    check_partial(Kind::Order, &json!({"note": null, "lifecycle": {"commercial": "closed"}})).unwrap();
    let problems =
        check_partial(Kind::Order, &json!({"totals": {"tax": amount("1", "EUR")}, "number": 5})).unwrap_err();
    let mut paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["number", "totals.total"], "{problems:#?}");
    assert_eq!(
        check_partial(Kind::Order, &json!([])).unwrap_err()[0].to_string(),
        "payload: is a list, expected an object"
    );
}

#[test]
fn amounts_beyond_what_is_exact_are_refused_without_a_panic() {
    let huge = "79228162514264337593543950335";
    let order = simple("EUR", huge, "9999999999", "1.00", "0.00", "1.00");
    refused(&order, "lines[0].total.shop", "cannot be held against its parts");
    let order = with(discounted(), "/lines/0/ordered", json!("1".repeat(40)));
    refused(&order, "lines[0].ordered", "too many digits");
}

#[test]
fn ten_thousand_lines_are_checked_quickly() {
    let line = |id: usize| {
        json!({
            "id": id.to_string(), "item": {"key": {"name": "sku", "value": format!("SKU-{id}")}}, "ordered": "3",
            "unit_price": amount("3.33", "EUR"), "total": amount("9.99", "EUR"),
            "tax_lines": [{"code": "DE19", "rate": "19", "amount": amount("1.60", "EUR")}],
        })
    };
    let mut order = discounted();
    order["lines"] = (0..10_000).map(line).collect();
    order["totals"]["total"] = amount("99900.00", "EUR");
    order["totals"]["tax"] = amount("16000.00", "EUR");
    let began = Instant::now();
    taken(&order);
    // Quadratic work would take minutes; a debug build on a busy machine needs well under a second.
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    order["lines"][9_999]["id"] = json!("0");
    refused(&order, "lines[9999].id", "is there a second time");
}
