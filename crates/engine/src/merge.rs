//! Three-way merge, field by field: what a system said before, what the record says, what the system says now.
//!
//! Never: takes silence for a change; lets an order's line vanish.

use counterpart_model::ids::ConnectionName;
use counterpart_model::kind::Kind;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use crate::rules::{Others, Rules};

/// What is merged.
pub struct Merge<'a> {
    /// Rules of ownership.
    pub rules: &'a Rules,
    /// Kind of record.
    pub kind: Kind,
    /// Who speaks.
    pub source: &'a ConnectionName,
    /// The record's payload, when there is one.
    pub record: Option<&'a Value>,
    /// What that system was last seen to say.
    pub base: Option<&'a Value>,
    /// What it says now; may be partial.
    pub change: &'a Value,
    /// Fields that no edit may touch until a person has looked.
    pub frozen: &'a [String],
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Merged {
    /// The new payload.
    pub payload: Value,
    /// Fields that it changes.
    pub changed: Vec<String>,
    /// Fields edited by one who does not own them: the record keeps its value, and the editor is to get it back.
    pub reverted: Vec<String>,
    /// Edits that a person decides.
    pub conflicts: Vec<String>,
}

/// Merges.
pub fn merge(input: &Merge<'_>) -> Merged {
    let mut payload = input.record.and_then(Value::as_object).cloned().unwrap_or_default();
    let mut merged = Merged::default();
    for (field, said) in input.change.as_object().into_iter().flatten() {
        let ours = payload.get(field).filter(|v| !v.is_null());
        let unchanged = input.base.and_then(|base| base.get(field)).is_some_and(|before| same(before, said));
        // The first word of a system that was told of an order by us, or finds it there, is no edit: what it says may be
        // older than what the record says.
        let first_word = input.base.is_none() && input.kind == Kind::Order;
        if (unchanged || first_word) && ours.is_some() {
            continue;
        }
        let said = match (field.as_str(), ours) {
            ("lines" | "charges", Some(ours)) if input.kind == Kind::Order => keep_lines(ours, said),
            ("lifecycle", Some(Value::Object(ours))) => {
                axes(ours, input.base.and_then(|base| base.get("lifecycle")), said)
            }
            ("extra", ours) if said.is_object() => {
                let extra = overlay(ours.and_then(Value::as_object), said);
                if ours.is_none() && extra.is_empty() {
                    continue;
                }
                Value::Object(extra)
            }
            _ => said.clone(),
        };
        if ours.map_or(said.is_null(), |ours| same(ours, &said)) {
            continue;
        }
        match verdict(input, field, ours.is_some()) {
            Verdict::Take => {
                merged.changed.push(field.clone());
                if said.is_null() {
                    drop(payload.remove(field))
                } else {
                    drop(payload.insert(field.clone(), said))
                }
            }
            Verdict::Revert => merged.reverted.push(field.clone()),
            Verdict::Review => merged.conflicts.push(field.clone()),
        }
    }
    merged.payload = Value::Object(payload);
    merged
}

enum Verdict {
    Take,
    Revert,
    Review,
}

fn verdict(input: &Merge<'_>, field: &str, has_value: bool) -> Verdict {
    if input.frozen.iter().any(|frozen| frozen == field) {
        return Verdict::Review;
    }
    match input.rules.owner(input.kind, field) {
        // Where nobody has spoken yet, the first word stands until the owner speaks.
        Some(owner) if owner.connection != *input.source && has_value => match owner.others {
            Others::Revert => Verdict::Revert,
            Others::Review => Verdict::Review,
            Others::Accept => Verdict::Take,
        },
        _ => Verdict::Take,
    }
}

/// Fields whose text is no number, however much it looks like one.
const CODES: &[&str] = &[
    "sku",
    "number",
    "barcode",
    "code",
    "id",
    "key",
    "label",
    "lot",
    "name",
    "phone",
    "postal_code",
    "serial",
    "title",
    "value",
];

/// Where a read mapping puts the id under which a target keeps our record, inside `extra`.
pub const OWN_ID: &str = "counterpart_record";

/// Equal after normalisation: absent is null, `10.0` is `10`, order of keys does not matter.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let null = &Value::Null;
            a.iter().all(|(key, value)| {
                let other = b.get(key).unwrap_or(null);
                if CODES.contains(&key.as_str()) { value == other } else { same(value, other) }
            }) && b.iter().all(|(key, value)| a.contains_key(key) || value.is_null())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::String(a), Value::String(b)) => a == b || same_decimal(a, b),
        _ => a == b,
    }
}

/// Only texts of which one has a decimal point: `10` and `010` may be SKUs.
fn same_decimal(a: &str, b: &str) -> bool {
    let plain =
        |text: &str| text == "0" || text.starts_with("0.") || !text.trim_start_matches('-').starts_with('0');
    if !(a.contains('.') || b.contains('.')) || !plain(a) || !plain(b) {
        return false;
    }
    match (a.parse::<Decimal>(), b.parse::<Decimal>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// Lines by id: new ones are added, known ones take what is said, missing ones stay as cancelled.
fn keep_lines(ours: &Value, said: &Value) -> Value {
    let (Some(ours), Some(said)) = (ours.as_array(), said.as_array()) else { return said.clone() };
    let mut lines: Vec<Value> = said.clone();
    for line in ours {
        if !said.iter().any(|other| other["id"] == line["id"]) {
            lines.push(vanished(line));
        }
    }
    // The order of lines is ours: a system that sorts them anew has not edited the order.
    let place = |line: &Value| ours.iter().position(|o| o["id"] == line["id"]).unwrap_or(ours.len());
    lines.sort_by_key(place);
    Value::Array(lines)
}

fn vanished(line: &Value) -> Value {
    let mut line = line.clone();
    let number = |line: &Value, name: &str| {
        line[name].as_str().and_then(|t| t.parse::<Decimal>().ok()).unwrap_or_default()
    };
    if line.get("ordered").is_none() {
        // A charge: nothing of it is left.
        zero_amounts(&mut line["amount"]);
    } else {
        let left = (number(&line, "ordered") - number(&line, "fulfilled")).max(Decimal::ZERO);
        line["cancelled"] = json!(left.normalize().to_string());
        zero_amounts(&mut line["total"]);
    }
    for list in ["discounts", "tax_lines"] {
        if let Some(entries) = line.get_mut(list) {
            *entries = json!([]);
        }
    }
    line
}

fn zero_amounts(amount: &mut Value) {
    for side in ["shop", "presentment"] {
        if let Some(money) = amount.get_mut(side).filter(|m| m.is_object()) {
            money["amount"] = json!("0");
        }
    }
}

/// Custom fields of several systems live side by side. The id that a target keeps for us is no field of the record.
fn overlay(ours: Option<&Map<String, Value>>, said: &Value) -> Map<String, Value> {
    let mut all = ours.cloned().unwrap_or_default();
    let said = said.as_object().into_iter().flatten();
    all.extend(said.filter(|(key, _)| *key != OWN_ID).map(|(key, value)| (key.clone(), value.clone())));
    all
}

/// Where an order stands, axis by axis: a system that speaks of shipping has not said anything about payment.
fn axes(ours: &Map<String, Value>, base: Option<&Value>, said: &Value) -> Value {
    let Some(said) = said.as_object() else { return said.clone() };
    let mut all = ours.clone();
    for (axis, value) in said {
        let before = base.and_then(|base| base.get(axis));
        if before.is_none_or(|before| !same(before, value)) {
            all.insert(axis.clone(), value.clone());
        }
    }
    Value::Object(all)
}

/// Fields that two systems have set to and fro: at least `times` turns, each by another system than the one before and
/// to another value. `changes` are oldest first.
pub fn flipping(changes: &[(ConnectionName, Value)], times: usize) -> Vec<String> {
    let mut last: std::collections::BTreeMap<&str, (&ConnectionName, &Value, usize)> = Default::default();
    for (connection, payload) in changes {
        for (field, value) in payload.as_object().into_iter().flatten() {
            match last.get_mut(field.as_str()) {
                None => drop(last.insert(field, (connection, value, 0))),
                Some((by, before, turns)) => {
                    if *by != connection && !same(before, value) {
                        *turns += 1;
                    }
                    (*by, *before) = (connection, value);
                }
            }
        }
    }
    last.into_iter().filter(|(_, (_, _, turns))| *turns >= times).map(|(field, _)| field.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::Owner;
    use std::collections::BTreeMap;

    fn name(text: &str) -> ConnectionName {
        ConnectionName::new(text).unwrap()
    }

    fn rules(others: Others) -> Rules {
        let owner = Owner { connection: name("erp"), others };
        let fields = BTreeMap::from([("amount".to_owned(), owner)]);
        Rules { ownership: BTreeMap::from([(Kind::Price, fields)]), ..Rules::default() }
    }

    struct Case {
        what: &'static str,
        record: Value,
        base: Option<Value>,
        change: Value,
        expect: Value,
        changed: &'static [&'static str],
        reverted: &'static [&'static str],
        conflicts: &'static [&'static str],
    }

    #[test]
    fn the_table_of_merges() {
        let cases = [
            Case {
                what: "silence is no change",
                record: json!({"amount": "1", "list": "a"}),
                base: None,
                change: json!({"list": "a"}),
                expect: json!({"amount": "1", "list": "a"}),
                changed: &[],
                reverted: &[],
                conflicts: &[],
            },
            Case {
                what: "null clears",
                record: json!({"list": "a"}),
                base: Some(json!({"list": "a"})),
                change: json!({"list": null}),
                expect: json!({}),
                changed: &["list"],
                reverted: &[],
                conflicts: &[],
            },
            Case {
                what: "what it said before is no edit, though the record has moved on",
                record: json!({"list": "b"}),
                base: Some(json!({"list": "a"})),
                change: json!({"list": "a"}),
                expect: json!({"list": "b"}),
                changed: &[],
                reverted: &[],
                conflicts: &[],
            },
            Case {
                what: "an edit by one who does not own the field",
                record: json!({"amount": "1"}),
                base: Some(json!({"amount": "1"})),
                change: json!({"amount": "2"}),
                expect: json!({"amount": "1"}),
                changed: &[],
                reverted: &["amount"],
                conflicts: &[],
            },
            Case {
                what: "the first word stands",
                record: json!({}),
                base: None,
                change: json!({"amount": "2"}),
                expect: json!({"amount": "2"}),
                changed: &["amount"],
                reverted: &[],
                conflicts: &[],
            },
            Case {
                what: "equal numbers are equal",
                record: json!({"amount": {"amount": "10.00"}}),
                base: None,
                change: json!({"amount": {"amount": "10.0"}}),
                expect: json!({"amount": {"amount": "10.00"}}),
                changed: &[],
                reverted: &[],
                conflicts: &[],
            },
        ];
        for case in cases {
            let merged = merge(&Merge {
                rules: &rules(Others::Revert),
                kind: Kind::Price,
                source: &name("shop"),
                record: Some(&case.record),
                base: case.base.as_ref(),
                change: &case.change,
                frozen: &[],
            });
            assert_eq!(merged.payload, case.expect, "{}", case.what);
            assert_eq!(merged.changed, case.changed, "{}", case.what);
            assert_eq!(merged.reverted, case.reverted, "{}", case.what);
            assert_eq!(merged.conflicts, case.conflicts, "{}", case.what);
        }
    }

    #[test]
    fn ownership_may_send_an_edit_to_a_person_or_take_it() {
        for (others, changed, conflicts) in [(Others::Review, 0, 1), (Others::Accept, 1, 0)] {
            let merged = merge(&Merge {
                rules: &rules(others),
                kind: Kind::Price,
                source: &name("shop"),
                record: Some(&json!({"amount": "1"})),
                base: None,
                change: &json!({"amount": "2"}),
                frozen: &[],
            });
            assert_eq!((merged.changed.len(), merged.conflicts.len()), (changed, conflicts));
        }
    }

    #[test]
    fn a_line_never_vanishes() {
        let line = |id: &str, ordered: &str, total: &str| json!({"id": id, "ordered": ordered, "fulfilled": "1", "total": {"shop": {"amount": total, "currency": "EUR"}}});
        let record = json!({"lines": [line("1", "3", "30"), line("2", "2", "20")]});
        let change = json!({"lines": [line("2", "2", "20")]});
        let merged = merge(&Merge {
            rules: &Rules::default(),
            kind: Kind::Order,
            source: &name("shop"),
            record: Some(&record),
            base: Some(&record),
            change: &change,
            frozen: &[],
        });
        let lines = merged.payload["lines"].as_array().unwrap().clone();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["cancelled"], "2", "what was fulfilled stays");
        assert_eq!(lines[0]["total"]["shop"]["amount"], "0");
        assert_eq!(lines[1], line("2", "2", "20"));
    }

    #[test]
    fn codes_are_not_numbers() {
        assert!(!same(&json!("010"), &json!("10")));
        assert!(!same(&json!("10"), &json!("010.0")));
        assert!(same(&json!("10"), &json!("10.00")));
        assert!(same(&json!({"a": null}), &json!({})));
        assert!(!same(&json!({"sku": "1.10"}), &json!({"sku": "1.1"})));
    }

    #[test]
    fn axes_of_a_lifecycle_are_merged_one_by_one() {
        let life = |payment: &str, fulfilment: &str| json!({"lifecycle": {"payment": payment, "fulfilment": fulfilment}});
        let merged = merge(&Merge {
            rules: &Rules::default(),
            kind: Kind::Order,
            source: &name("erp"),
            record: Some(&life("paid", "unfulfilled")),
            base: Some(&life("unpaid", "unfulfilled")),
            change: &life("unpaid", "fulfilled"),
            frozen: &[],
        });
        assert_eq!(merged.payload, life("paid", "fulfilled"));
    }

    #[test]
    fn the_id_that_a_target_keeps_for_us_is_no_field() {
        let merged = merge(&Merge {
            rules: &Rules::default(),
            kind: Kind::Order,
            source: &name("erp"),
            record: Some(&json!({})),
            base: Some(&json!({})),
            change: &json!({"extra": {OWN_ID: "x"}}),
            frozen: &[],
        });
        assert_eq!((merged.payload, merged.changed.len()), (json!({}), 0));
    }

    #[test]
    fn to_and_fro_is_seen() {
        let say = |who: &str, value: &str| (name(who), json!({"title": value}));
        let calm = [say("a", "x"), say("a", "y"), say("b", "y"), say("a", "z")];
        assert!(flipping(&calm, 3).is_empty());
        let war = [say("a", "x"), say("b", "y"), say("a", "x"), say("b", "y")];
        assert_eq!(flipping(&war, 3), ["title"]);
    }
}
