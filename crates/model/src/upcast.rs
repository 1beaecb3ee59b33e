//! Brings payloads written under an older schema version up to the present one.
//!
//! Never: brings one down; a payload of a newer build is left as it is.

use serde_json::{Map, Value};

use crate::kind::Kind;

/// The version of the canonical shapes that this build writes.
pub const SCHEMA_VERSION: u32 = 1;

/// One step: the version it starts from, the kind, and what it changes.
type Step = (u32, Kind, fn(&mut Map<String, Value>));

/// Every change of a shape since version 1. A step is added whenever a field is renamed, moved or takes another form;
/// a new optional field needs none.
const STEPS: &[Step] = &[];

/// A payload in the shape of [`SCHEMA_VERSION`]. One without `schema_version` is of version 1, and stays without while
/// that is the present version.
pub fn upcast(kind: Kind, payload: Value) -> Value {
    through(STEPS, SCHEMA_VERSION, kind, payload)
}

fn through(steps: &[Step], present: u32, kind: Kind, mut payload: Value) -> Value {
    let Some(fields) = payload.as_object_mut() else { return payload };
    let stated = fields.get("schema_version").and_then(Value::as_u64).and_then(|v| u32::try_from(v).ok());
    let from = stated.unwrap_or(1);
    if from >= present {
        return payload;
    }
    for version in from..present {
        for (_, _, change) in steps.iter().filter(|(at, of, _)| *at == version && *of == kind) {
            change(fields);
        }
    }
    fields.insert("schema_version".into(), present.into());
    payload
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STEPS: &[Step] = &[
        (1, Kind::Item, |fields| {
            if let Some(code) = fields.remove("ean") {
                fields.insert("barcode".into(), code);
            }
        }),
        (2, Kind::Item, |fields| {
            fields.insert("seen".into(), json!(true));
        }),
    ];

    #[test]
    fn steps_run_in_order_from_the_stated_version() {
        let check = |kind, from: Value, expect: Value| assert_eq!(through(STEPS, 3, kind, from), expect);
        check(Kind::Item, json!({"ean": "4"}), json!({"barcode": "4", "seen": true, "schema_version": 3}));
        check(
            Kind::Item,
            json!({"ean": "4", "schema_version": 2}),
            json!({"ean": "4", "seen": true, "schema_version": 3}),
        );
        check(Kind::Item, json!({"schema_version": 4}), json!({"schema_version": 4}));
        check(Kind::Price, json!({"ean": "4"}), json!({"ean": "4", "schema_version": 3}));
        check(Kind::Item, Value::Null, Value::Null);
    }

    #[test]
    fn the_present_version_is_left_as_it_is() {
        assert_eq!(upcast(Kind::Item, json!({"sku": "A"})), json!({"sku": "A"}));
    }
}
