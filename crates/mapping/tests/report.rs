//! Trying a mapping on a sample: everything that is wrong, each with its path.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use counterpart_mapping::program::{Expect, Source, compile};
use counterpart_mapping::report::try_mapping;
use counterpart_model::kind::Kind;
use serde_json::json;

fn told(text: &str, sample: &str, kind: Option<Kind>) -> String {
    let program = compile(Source { file: "item.read.vrl", text }, Expect::Changes).unwrap();
    let report = try_mapping(&program, sample.as_bytes(), &json!({ "maps": {} }), kind);
    assert_eq!(report.ok, report.problems.is_empty());
    report.problems.iter().map(|problem| format!("{problem}\n")).collect()
}

const ITEM: &str = r#"{"changes": [{"kind": "item", "type": "Variant", "id": .id, "payload": {"sku": .sku, "title": .title}}]}"#;

#[test]
fn a_good_sample_has_no_problems() {
    assert_eq!(told(ITEM, r#"{"id": 1, "sku": "MOUSE-1", "title": "Mouse"}"#, Some(Kind::Item)), "");
}

#[test]
fn problems_are_told_with_their_place() {
    let check = |sample: &str, kind, expect: &str| assert_eq!(told(ITEM, sample, kind), expect);
    check(
        "{\"id\": 1,\n ]",
        None,
        "item.read.vrl: the sample is no JSON: line 2, column 2: expected a key in double quotes\n",
    );
    check("{}", None, "item.read.vrl: changes[0].id: is null, expected a text\n");
    check(
        r#"{"id": 1, "sku": "MOUSE-1", "title": "Mouse"}"#,
        Some(Kind::Order),
        "item.read.vrl: changes: no change of kind `order` came out, expected one at least\n",
    );
    let lookup = r#"x = map_code!("units", .unit)
{"changes": [{"kind": "item", "type": "Variant", "id": x, "payload": {}}]}"#;
    assert_eq!(
        told(lookup, r#"{"unit": "pcs"}"#, None),
        "item.read.vrl:1:5: the reference map `units` has no entry for `pcs`; add `pcs` to the connection's map `units`\n"
    );
}

#[test]
fn a_payload_of_the_wrong_shape_is_told_with_the_path_of_the_datum() {
    let text = told(ITEM, r#"{"id": 1, "sku": {"a": "Ada"}, "title": "Mouse"}"#, Some(Kind::Item));
    assert!(text.starts_with("item.read.vrl: changes[0].payload.sku: "), "{text}");
    assert!(!text.contains("Ada"), "{text}");
}
