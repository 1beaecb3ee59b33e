//! One minimal whole payload of each kind: it passes the check and its own JSON Schema, and nothing that it requires can
//! be left out.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use counterpart_model::check::{check, check_partial};
use counterpart_model::kind::Kind;
use counterpart_model::refs::{PLACES, visit_refs};
use counterpart_model::schema::schema;
use serde_json::{Value, json};

fn eur(amount: &str) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

fn to(kind: &str, id: &str) -> Value {
    json!({"external": {"type": kind, "id": id}})
}

fn sku() -> Value {
    json!({"key": {"name": "sku", "value": "MOUSE-1"}})
}

fn minimal(kind: Kind) -> Value {
    let shop = |amount: &str| json!({"shop": eur(amount)});
    match kind {
        Kind::Person | Kind::Company | Kind::Product | Kind::Item | Kind::Supplier => json!({}),
        Kind::Price => json!({"item": sku(), "currency": "EUR", "amount": eur("9.90")}),
        Kind::Stock => json!({"item": sku(), "basis": "on_hand", "on_hand": "55"}),
        Kind::Order => json!({
            "currency": "EUR", "lifecycle": {"commercial": "confirmed"}, "tax_included": true,
            "lines": [{
                "id": "1", "item": sku(), "ordered": "2", "unit_price": shop("5.00"), "total": shop("10.00"),
            }],
            "totals": {"tax": shop("1.60"), "total": shop("10.00")},
        }),
        Kind::FulfilmentOrder => json!({
            "order": to("Order", "1"), "status": "open", "lines": [{"order_line": "1", "quantity": "2"}],
        }),
        Kind::Shipment => json!({
            "order": to("Order", "1"), "status": "shipped", "lines": [{"order_line": "1", "quantity": "2"}],
        }),
        Kind::Invoice | Kind::CreditMemo => {
            json!({"currency": "EUR", "total": eur("10.00"), "status": "posted"})
        }
        Kind::Payment => json!({"event": "capture", "amount": eur("10.00")}),
        Kind::Refund => json!({"order": to("Order", "1"), "amount": eur("10.00")}),
        Kind::Return => json!({
            "order": to("Order", "1"), "status": "requested", "lines": [{"order_line": "1", "quantity": "1"}],
        }),
        Kind::Payout => json!({"currency": "EUR", "amount": eur("9.70")}),
        Kind::PurchaseOrder => json!({
            "supplier": to("party", "7"), "currency": "EUR", "status": "ordered",
            "lines": [{"id": "1", "item": sku(), "ordered": "10"}],
        }),
        Kind::Receipt => json!({"lines": [{"item": sku(), "quantity": "10"}]}),
        Kind::Cart => json!({"currency": "EUR", "lines": [{"item": sku(), "quantity": "1"}]}),
        Kind::Ticket => json!({"status": "new"}),
        Kind::Activity => json!({"kind": "call", "at": "2026-03-01T09:30:00Z"}),
    }
}

#[test]
fn every_minimal_payload_passes_the_check_and_its_schema() {
    for kind in Kind::ALL {
        let payload = minimal(*kind);
        check(*kind, &payload).unwrap_or_else(|problems| panic!("{kind}: {problems:?}"));
        check_partial(*kind, &payload).unwrap_or_else(|problems| panic!("{kind}: {problems:?}"));
        let validator = jsonschema::validator_for(&schema(*kind)).unwrap();
        if let Err(error) = validator.validate(&payload) {
            panic!("{kind}: {error}");
        }
    }
}

#[test]
fn nothing_required_may_be_missing_or_null_in_a_whole_payload_and_all_of_it_in_a_change() {
    for kind in Kind::ALL {
        let payload = minimal(*kind);
        let schema = schema(*kind);
        let validator = jsonschema::validator_for(&schema).unwrap();
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let mut without = payload.clone();
            without.as_object_mut().unwrap().remove(name);
            let mut null = payload.clone();
            null[name] = Value::Null;
            for broken in [without, null] {
                let problems = check(*kind, &broken).unwrap_err();
                assert!(
                    problems.iter().any(|p| p.path == name && p.message == "is missing"),
                    "{kind} {name}"
                );
                check_partial(*kind, &broken).unwrap();
                assert!(!validator.is_valid(&broken), "{kind}.{name} is required in the schema");
            }
        }
    }
}

#[test]
fn what_is_unknown_is_refused_by_check_and_schema_and_extra_takes_it() {
    for kind in Kind::ALL {
        let mut payload = minimal(*kind);
        payload["x_colour"] = json!("red");
        let problems = check(*kind, &payload).unwrap_err();
        assert_eq!(problems[0].path, "x_colour", "{kind}");
        assert!(problems[0].message.contains("`extra`"), "{}", problems[0]);
        assert!(!jsonschema::validator_for(&schema(*kind)).unwrap().is_valid(&payload), "{kind}");
        let mut payload = minimal(*kind);
        payload["extra"] = json!({"x_colour": {"any": ["thing", 1]}});
        check(*kind, &payload).unwrap();
    }
}

/// Every place of a reference in a schema, found by walking it.
fn places(root: &Value, node: &Value, place: &str, found: &mut BTreeSet<String>) {
    if let Some(name) = node["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
        if name == "Ref" {
            found.insert(place.to_owned());
        } else {
            places(root, &root["$defs"][name], place, found);
        }
        return;
    }
    for either in node["anyOf"].as_array().into_iter().flatten() {
        places(root, either, place, found);
    }
    if node["items"].is_object() {
        places(root, &node["items"], &format!("{place}[]"), found);
    }
    for (name, field) in node["properties"].as_object().into_iter().flatten() {
        let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        places(root, field, &place, found);
    }
}

#[test]
fn the_table_of_references_is_complete() {
    for kind in Kind::ALL {
        let schema = schema(*kind);
        let mut found = BTreeSet::new();
        places(&schema, &schema, "", &mut found);
        let table: BTreeSet<String> =
            PLACES.iter().filter(|(of, _, _)| of == kind).map(|(_, place, _)| (*place).to_owned()).collect();
        assert_eq!(found, table, "{kind}");
    }
}

#[test]
fn references_are_visited_with_path_and_kind_and_can_be_filled_in() {
    let mut order = minimal(Kind::Order);
    order["customer"] = json!({"external": {"type": "Customer", "id": "5"}});
    order["company"] = Value::Null;
    order["routing"] = json!({"children": [to("Order", "2"), to("Order", "3")]});
    let mut seen = Vec::new();
    visit_refs(Kind::Order, &mut order, &mut |path, kind, value| {
        seen.push((path.to_owned(), kind));
        value.as_object_mut().unwrap().remove("external");
        value["record"] = json!("0198b2c4-5d6e-7f80-9a1b-2c3d4e5f6071");
        value["remote"] = Value::Null;
    });
    let expected = [
        ("customer", Kind::Person),
        ("lines[0].item", Kind::Item),
        ("routing.children[0]", Kind::Order),
        ("routing.children[1]", Kind::Order),
    ];
    assert_eq!(seen, expected.map(|(path, kind)| (path.to_owned(), kind)));
    check(Kind::Order, &order).unwrap();
}
