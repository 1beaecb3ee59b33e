//! Every folder under `connectors/`, and what the conformance check finds in one that is not complete.

use counterpart_connect::catalog::Catalog;
use counterpart_connect::conformance::check_folder;

use crate::server::{connector, head};

#[test]
fn conformance_of_every_connector() {
    let catalog = Catalog::load(&Default::default()).unwrap();
    let problems: Vec<String> = catalog.iter().flat_map(check_folder).map(|p| p.to_string()).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

const REST: &str = r#"
[settings.unit]
default = "each"
help = "The unit of everything."
[fetch.item]
types = ["Item"]
request = '{"path": "/items"}'
items = ".body"
id = ".id"
read = '''{"changes": [{"kind": "item", "type": "Item", "id": to_string!(.id), "payload": {"sku": .sku, "unit": %settings.unit}}]}'''
[operations."item.upsert"]
result = '{"external": {"type": "Item", "id": .steps.set}}'
[[operations."item.upsert".steps]]
name = "set"
writes = true
idempotent = "strong-lookup"
done_when = ".steps.set != null"
request = '{"method": "PUT", "path": "/items", "body": .record}'
"#;

const README: &str = "# Acme\n\n1\n2\n3\n4\n5\n6\n7\n8\n9\n";
const READ: &str = r#"{"topic": "fetch:item", "about": "x", "body": {"id": 1, "sku": "A"},
 "expect": [{"kind": "item", "type": "Item", "id": "1", "payload": {"sku": "A", "unit": "each"}}]}"#;
const STEP: &str = r#"{"operation": "item.upsert", "step": "set", "context": {"record": {"sku": "A"}},
 "expect": {"method": "PUT", "path": "/items", "body": {"sku": "A"}}}"#;
const RESULT: &str = r#"{"operation": "item.upsert", "context": {"steps": {"set": "7"}},
 "expect": {"external": {"type": "Item", "id": "7"}}}"#;

fn problems(manifest: &str, files: &[(&str, &str)]) -> Vec<String> {
    check_folder(&connector(manifest, files)).iter().map(ToString::to_string).collect()
}

#[test]
fn a_complete_folder_passes() {
    let all = [
        ("README.md", README),
        ("samples/read.json", READ),
        ("samples/step.json", STEP),
        ("samples/result.json", RESULT),
    ];
    assert_eq!(problems(&head("rest", REST), &all), Vec::<String>::new());
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    let check = |manifest: String, files: &[(&str, &str)], expect: &str| {
        let found = problems(&manifest, files);
        assert!(found.iter().any(|p| p.contains(expect)), "expected `{expect}` in {found:?}");
    };
    let good = head("rest", REST);
    check(good.clone(), &[], "README.md");
    check(good.clone(), &[], "no sample is of topic `fetch:item`");
    check(good.replace("The unit of everything.", ""), &[], "settings.unit: has no help");
    check(good.replace("done_when = \".steps.set != null\"", ""), &[], "needs `done_when`");
    let with = |text: &str| [("samples/a.json", text.to_owned())];
    for (text, expect) in [
        (READ.replace("\"each\"", "\"box\""), "payload.unit: expected \"box\", got \"each\""),
        (READ.replace("\"sku\": \"A\"}", "\"sku\": {}}"), "sku"),
        (READ.replace("\"about\"", "\"abuot\""), "is no sample"),
        (STEP.replace("PUT", "POST"), ".method: expected \"POST\", got \"PUT\""),
        (STEP.replace("\"step\": \"set\"", "\"step\": \"none\""), "has no step `none`"),
        (RESULT.replace("\"id\": \"7\"", "\"id\": \"8\""), ".external.id"),
    ] {
        let files = with(&text);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        check(good.clone(), &files, expect);
    }
    let query =
        good.replace("{\"path\": \"/items\"}", "{\"path\": \"/items\", \"body\": \"orders.graphql\"}");
    check(query, &[], "there is no file `orders.graphql`");
}
