//! Rules of the other kinds, and the named examples of money and units.
#![allow(clippy::unwrap_used)]

use counterpart_model::check::check;
use counterpart_model::kind::Kind;
use counterpart_model::money::{Money, MoneyError};
use counterpart_model::quantity::{Quantity, Ratio};
use rust_decimal::Decimal;
use serde_json::{Value, json};

fn eur(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

fn money(amount: &str, currency: &str) -> Money {
    serde_json::from_value(json!({"amount": amount, "currency": currency})).unwrap()
}

fn taken(kind: Kind, payload: Value) {
    check(kind, &payload).unwrap_or_else(|problems| panic!("{problems:#?}"));
}

fn refused(kind: Kind, payload: Value, path: &str, words: &str) {
    let problems = check(kind, &payload).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert_eq!(problems[0].path, path, "{}", problems[0]);
    assert!(problems[0].to_string().contains(words), "expected `{words}` in `{}`", problems[0]);
}

#[test]
fn invoices_and_credit_memos_add_up() {
    let document = |total: &str, tax: &str| {
        json!({
            "currency": "EUR", "total": eur(total), "status": "posted", "tax_included": false, "tax": eur(tax),
            "lines": [{"total": eur("76.50")}], "taxes": [{"code": "VAT10", "amount": eur("7.65")}],
        })
    };
    for kind in [Kind::Invoice, Kind::CreditMemo] {
        taken(kind, document("84.15", "7.65"));
        refused(kind, document("94.15", "7.65"), "total", "is 94.15 EUR, expected 84.15 EUR");
        refused(kind, document("84.15", "7.66"), "tax", "expected 7.65 EUR: the sum of its taxes");
    }
}

#[test]
fn no_more_is_allocated_than_there_is_and_to_many_documents() {
    let payment = |first: &str, second: &str| {
        json!({
            "event": "capture", "amount": eur("100.00"), "allocations": [
                {"invoice": {"key": {"name": "number", "value": "1"}}, "amount": eur(first)},
                {"invoice": {"key": {"name": "number", "value": "2"}}, "amount": eur(second)},
            ],
        })
    };
    taken(Kind::Payment, payment("60.00", "40.00"));
    refused(Kind::Payment, payment("60.00", "40.01"), "allocations", "add up to 100.01 EUR");
    refused(Kind::Payment, payment("60.00", "-1.00"), "allocations[1].amount.amount", "is negative");
    refused(Kind::Payment, json!({"event": "void", "amount": eur("-1")}), "amount.amount", "is negative");
}

#[test]
fn a_payout_is_the_sum_of_its_entries() {
    let payout = |amount: &str, fee: &str| {
        json!({"currency": "EUR", "amount": eur(amount), "entries": [
            {"kind": "payment", "gross": eur("100.00"), "fee": eur(fee), "net": eur("97.10")},
            {"kind": "refund", "net": eur("-20.00")},
        ]})
    };
    taken(Kind::Payout, payout("77.10", "2.90"));
    refused(Kind::Payout, payout("77.11", "2.90"), "amount", "expected 77.10 EUR");
    refused(Kind::Payout, payout("77.10", "2.91"), "entries[0].net", "less fee 2.91 EUR");
}

#[test]
fn the_other_rules() {
    let item = json!({"key": {"name": "sku", "value": "A"}});
    let stock = |basis: &str| json!({"item": item, "basis": basis, "available": "-3"});
    taken(Kind::Stock, stock("available"));
    refused(Kind::Stock, stock("on_hand"), "on_hand", "is missing");
    let price = |amount: Value, to: &str| json!({"item": item, "currency": "EUR", "amount": amount, "valid_from": "2026-03-01", "valid_to": to});
    taken(Kind::Price, price(eur("1.2345"), "2026-03-31"));
    refused(Kind::Price, price(eur("1"), "2026-02-28"), "valid_to", "before");
    refused(
        Kind::Price,
        price(json!({"amount": "1", "currency": "USD"}), "2026-03-31"),
        "amount.currency",
        "is USD",
    );
    let kit = |components: Value| json!({"kit": {"components": components, "explodes": "hub"}});
    taken(Kind::Item, kit(json!([{"item": item, "quantity": "2"}])));
    refused(Kind::Item, kit(json!([])), "kit.components", "is empty");
    let units = json!({"units": [{"code": "carton", "per_stock_unit": "12"}, {"code": "carton", "per_stock_unit": "6"}]});
    refused(Kind::Item, units, "units[1].code", "second time");
    let zero = json!({"units": [{"code": "carton", "per_stock_unit": "0"}]});
    refused(Kind::Item, zero, "units[0].per_stock_unit", "above zero");
    let country = json!({"addresses": [{"country": "Germany"}]});
    refused(Kind::Person, country, "addresses[0].country", "not a country code");
    let line = json!({"order_line": "1", "quantity": "2", "received": "1", "restocked": "2"});
    let back = json!({"order": item, "status": "received", "lines": [line]});
    refused(Kind::Return, back, "lines[0].restocked", "at most the 1 received");
}

#[test]
fn ten_by_three_and_its_mirror_image() {
    let thirds = |amount: &str, currency: &str| {
        let shares = money(amount, currency).allocate(&[Decimal::ONE; 3]).unwrap();
        shares.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(thirds("10.00", "EUR"), ["3.33 EUR", "3.33 EUR", "3.34 EUR"]);
    assert_eq!(thirds("-10.00", "EUR"), ["-3.33 EUR", "-3.33 EUR", "-3.34 EUR"]);
    assert_eq!(thirds("100", "JPY"), ["33 JPY", "33 JPY", "34 JPY"]);
    assert_eq!(thirds("1.000", "KWD"), ["0.333 KWD", "0.333 KWD", "0.334 KWD"]);
    // An amount finer than a minor unit is split at its own places.
    assert_eq!(thirds("0.001", "EUR"), ["0.00 EUR", "0.00 EUR", "0.001 EUR"]);
    assert_eq!(money("1", "EUR").allocate(&[]), Err(MoneyError::Weights));
    assert_eq!(money("1", "EUR").allocate(&[Decimal::ZERO]), Err(MoneyError::Weights));
    assert_eq!(money("1", "EUR").allocate(&[Decimal::ONE, -Decimal::ONE]), Err(MoneyError::Weights));
}

#[test]
fn money_is_exact_or_refused() {
    assert_eq!(money("66.2", "EUR").to_string(), "66.20 EUR");
    assert_eq!(money("66.20", "EUR").to_minor(), Ok(6620));
    assert_eq!(money("500", "JPY").to_minor(), Ok(500));
    assert_eq!(money("1.5", "KWD").to_minor(), Ok(1500));
    assert!(matches!(money("66.205", "EUR").to_minor(), Err(MoneyError::NotWholeMinorUnits(_))));
    assert_eq!(money("66.205", "EUR").rounded().to_string(), "66.21 EUR");
    assert_eq!(money("-66.205", "EUR").rounded().to_string(), "-66.21 EUR");
    assert!(matches!(
        money("1", "EUR").checked_add(money("1", "USD")),
        Err(MoneyError::CurrenciesDiffer(_, _))
    ));
    let third = Decimal::from_str_exact("0.3333333333333333333333333333").unwrap();
    assert_eq!(money("1.23", "EUR").checked_mul(third), Err(MoneyError::TooLarge));
    for bad in [json!(66.2), json!("66,20"), json!("1e3"), json!(""), json!(".5"), json!("+1"), json!("1.")] {
        assert!(serde_json::from_value::<Money>(json!({"amount": bad, "currency": "EUR"})).is_err());
    }
}

#[test]
fn cartons_and_thirds() {
    let quantity = |text: &str| -> Quantity { serde_json::from_value(json!(text)).unwrap() };
    let carton: Ratio = serde_json::from_value(json!("12")).unwrap();
    assert_eq!(quantity("3").convert(carton).unwrap(), quantity("36"));
    assert_eq!(quantity("36").convert(carton.inverse()).unwrap(), quantity("3"));
    let error = quantity("10").convert(carton.inverse()).unwrap_err().to_string();
    assert_eq!(error, "10 times 1/12 is not an exact decimal: deliver it in the smaller unit");
    let third: Ratio = serde_json::from_value(json!({"num": 1, "den": 3})).unwrap();
    assert_eq!(quantity("3").convert(third).unwrap(), quantity("1"));
    assert_eq!(serde_json::to_value(third).unwrap(), json!({"num": 1, "den": 3}));
    assert_eq!(serde_json::to_value(Ratio::new(1, 8).unwrap()).unwrap(), json!("0.125"));
    for bad in [
        json!("-1"),
        json!(12),
        json!({"num": 1}),
        json!({"num": 1, "den": 0}),
        json!({"num": 1, "den": 1, "x": 1}),
    ] {
        assert!(serde_json::from_value::<Ratio>(bad.clone()).is_err(), "{bad}");
    }
}
