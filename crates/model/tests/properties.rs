//! What holds for any input: allocations and sums add up exactly, conversions come back, lifecycles keep to the table.
#![allow(clippy::unwrap_used)]

use counterpart_model::check::{check, check_partial};
use counterpart_model::kind::Kind;
use counterpart_model::lifecycle::{self, Axis, Commercial, Fulfilment, Lifecycle, Payment, Returned};
use counterpart_model::money::{Currency, Money, parse_decimal};
use counterpart_model::quantity::{Quantity, QuantityError, Ratio};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};

fn currency() -> impl Strategy<Value = Currency> {
    prop::sample::select(vec!["EUR", "JPY", "KWD", "CLF"]).prop_map(|code| code.parse().unwrap())
}

fn json_value() -> impl Strategy<Value = Value> {
    let names = [
        "lines", "item", "id", "total", "shop", "amount", "currency", "ordered", "totals", "extra",
        "customer",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[-0-9.]{0,32}".prop_map(Value::from),
        prop::sample::select(vec!["EUR", "confirmed", "x"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(names.to_vec()), inner), 0..6)
                .prop_map(|fields| fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn shares_add_up_to_the_amount(
        currency in currency(),
        minor in -10_i128.pow(15)..10_i128.pow(15),
        weights in prop::collection::vec(0_i64..1_000_000, 1..40),
        places in 0_u32..4,
    ) {
        prop_assume!(weights.iter().any(|w| *w > 0));
        let amount = Money::from_minor(minor, currency).unwrap();
        let sum: i64 = weights.iter().sum();
        let weights: Vec<Decimal> = weights.into_iter().map(|w| Decimal::new(w, places)).collect();
        let shares = amount.allocate(&weights).unwrap();
        let total: Decimal = shares.iter().map(|share| share.amount).sum();
        prop_assert_eq!(total, amount.amount);
        for (share, weight) in shares.iter().zip(&weights) {
            // Each share is within one minor unit of its exact part, and has its sign.
            let exact = amount.amount * (*weight * Decimal::from(10_i64.pow(places))) / Decimal::from(sum);
            prop_assert!((share.amount - exact).abs() < currency.minor_unit());
            prop_assert!(share.to_minor().is_ok());
            prop_assert!(share.amount.is_zero() || share.amount.is_sign_negative() == amount.amount.is_sign_negative());
        }
    }

    #[test]
    fn minor_units_come_back(currency in currency(), minor in any::<i64>()) {
        let money = Money::from_minor(i128::from(minor), currency).unwrap();
        prop_assert_eq!(money.to_minor().unwrap(), i128::from(minor));
        let read: Money = serde_json::from_value(serde_json::to_value(money).unwrap()).unwrap();
        prop_assert_eq!(read, money);
    }

    #[test]
    fn an_order_made_of_its_parts_is_taken_and_any_other_total_refused(
        currency in currency(),
        lines in prop::collection::vec((1_i64..100, 0_i64..100_000, 0_i64..5_000), 1..20),
        shipping in 0_i64..10_000,
        included in any::<bool>(),
        off in prop_oneof![-1_000_i64..=-1, 1_i64..1_000],
    ) {
        let minor = |minor: i64| Money::from_minor(i128::from(minor), currency).unwrap();
        let amount = |value: i64| json!({"shop": minor(value)});
        let (mut sum, mut tax) = (shipping, 0);
        let mut built = Vec::new();
        for (index, (quantity, price, line_tax)) in lines.iter().enumerate() {
            sum += quantity * price;
            tax += line_tax;
            built.push(json!({
                "id": index.to_string(), "item": {"key": {"name": "sku", "value": "A"}},
                "ordered": quantity.to_string(), "unit_price": amount(*price), "total": amount(quantity * price),
                "tax_lines": [{"code": "T", "amount": amount(*line_tax)}],
            }));
        }
        let order = |total: i64, tax: i64| json!({
            "currency": currency, "tax_included": included, "lifecycle": {"commercial": "confirmed"}, "lines": built,
            "charges": [{"id": "s", "kind": "shipping", "amount": amount(shipping)}],
            "totals": {"tax": amount(tax), "total": amount(total)},
        });
        let gross = if included { sum } else { sum + tax };
        prop_assert_eq!(check(Kind::Order, &order(gross, tax)), Ok(()));
        let problems = check(Kind::Order, &order(gross + off, tax)).unwrap_err();
        prop_assert_eq!(&problems[0].path, "totals.total.shop");
        let problems = check(Kind::Order, &order(gross, tax + off)).unwrap_err();
        prop_assert!(problems.iter().any(|p| p.path == "totals.tax.shop"));
    }

    #[test]
    fn conversions_come_back_or_are_refused(mantissa in 0_i64..1_000_000_000, places in 0_u32..6, num in 1_u64..10_000, den in 1_u64..10_000) {
        let quantity = Quantity::new(Decimal::new(mantissa, places)).unwrap();
        let ratio = Ratio::new(num, den).unwrap();
        match quantity.convert(ratio) {
            Ok(there) => prop_assert_eq!(there.convert(ratio.inverse()).unwrap(), quantity),
            Err(QuantityError::Inexact { .. } | QuantityError::TooLarge) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
        let read: Ratio = serde_json::from_value(serde_json::to_value(ratio).unwrap()).unwrap();
        prop_assert_eq!(read, ratio);
    }

    #[test]
    fn whole_cartons_always_convert(cartons in 0_i64..1_000_000, size in 1_u64..100_000) {
        let carton = Ratio::new(size, 1).unwrap();
        let pieces = Quantity::new(Decimal::from(cartons)).unwrap().convert(carton).unwrap();
        prop_assert_eq!(pieces.value(), Decimal::from(cartons) * Decimal::from(size));
        prop_assert_eq!(pieces.convert(carton.inverse()).unwrap().value(), Decimal::from(cartons));
    }

    #[test]
    fn decimals_are_read_exactly_or_refused(text in "-?[0-9]{0,32}(\\.[0-9]{0,32})?") {
        if let Ok(value) = parse_decimal(&text) {
            let shown = value.to_string();
            let places = |text: &str| text.split_once('.').map_or(0, |(_, f)| f.len());
            prop_assert!(places(&shown) == places(&text), "{} read as {}", text, shown);
        }
    }

    #[test]
    fn no_input_makes_the_check_panic_and_what_passes_whole_passes_in_part(payload in json_value()) {
        for kind in Kind::ALL {
            if check(*kind, &payload).is_ok() {
                prop_assert_eq!(check_partial(*kind, &payload), Ok(()));
            }
        }
    }

    #[test]
    fn walks_along_the_table_stay_on_it(choices in prop::collection::vec(any::<usize>(), 1..30)) {
        walk(Commercial::Draft, &choices)?;
        walk(Payment::Unpaid, &choices)?;
        walk(Fulfilment::Unfulfilled, &choices)?;
        walk(Returned::None, &choices)?;
    }
}

fn walk<A: Axis>(start: A, choices: &[usize]) -> Result<(), TestCaseError> {
    let mut state = start;
    for choice in choices {
        let row = A::TRANSITIONS.iter().find(|(from, _)| *from == state);
        prop_assert!(row.is_some(), "{state:?} has a row");
        let next = row.unwrap().1;
        if next.is_empty() {
            break;
        }
        let to = next[choice % next.len()];
        prop_assert!(lifecycle::transition_allowed(state, to));
        prop_assert!(lifecycle::reachable(start, to));
        prop_assert!(to != state, "staying is no step");
        state = to;
    }
    Ok(())
}

#[test]
fn steps_outside_the_table_are_named_by_axis() {
    let confirmed = Lifecycle::new(Commercial::Confirmed);
    let draft = Lifecycle::new(Commercial::Draft);
    assert_eq!(lifecycle::illegal_steps(&draft, &confirmed), Vec::<&str>::new());
    assert_eq!(lifecycle::illegal_steps(&confirmed, &draft), ["commercial"]);
    let refunded = Lifecycle { payment: Payment::Refunded, ..confirmed.clone() };
    assert_eq!(lifecycle::illegal_steps(&confirmed, &refunded), ["payment"]);
    assert!(lifecycle::reachable(Payment::Unpaid, Payment::Refunded), "a poll may see only the end");
}

#[test]
fn only_a_confirmed_order_reserves() {
    for (state, _) in Commercial::TRANSITIONS {
        let lifecycle = Lifecycle::new(*state);
        assert_eq!(lifecycle::reserves_stock(&lifecycle), *state == Commercial::Confirmed, "{state:?}");
        let payload = json!({"lifecycle": lifecycle});
        assert_eq!(Lifecycle::of(&payload), Some(lifecycle));
    }
    assert_eq!(Lifecycle::of(&json!({"lifecycle": {"commercial": "open"}})), None);
}
