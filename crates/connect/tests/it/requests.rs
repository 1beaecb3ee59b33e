//! The requests that a folder's samples and programs come to.

use counterpart_connect::requests::{Request, Requests, requests};
use serde_json::json;

use crate::server::{connector, head};

const REST: &str = r#"
[settings.company]
required = true
help = "x"
[settings.kind]
default = "all"
one_of = ["all", "open"]
help = "x"
[settings.deep]
type = "bool"
default = false
help = "x"
[secrets.key]
help = "x"
[secrets.token]
required = false
help = "x"
[auth]
scheme = "session"
login = '{"method": "POST", "path": "/login", "form": {"token": .secrets.token || "none"}}'
token = ".body.token"
[[checks]]
name = "deep"
request = 'if %settings.deep == true { {"path": "/deep"} } else { null }'
expect = "true"
[webhooks]
topic = { header = "x-topic" }
hints = '[{"fetch": "item", "id": to_string!(.id)}]'
[webhooks.signature]
scheme = "token"
header = "x-key"
secret = "key"
[webhooks.subscriptions]
topics = ["items"]
list = '{"path": "/hooks"}'
items = ".body"
create = '{"method": "POST", "path": "/hooks", "body": {"topic": .topic, "url": .url}}'
delete = '{"method": "DELETE", "path": "/hooks/" + string!(.item.id)}'
[fetch.item]
types = ["Item"]
request = '{"path": "/items", "query": {"ids": .ids}}'
then = [{ name = "more", request = 'if .body.more == true { {"path": "/items/more?page=2"} } else { null }' }]
items = ".body"
id = ".id"
read = '{"changes": []}'
[streams.items]
kinds = ["item"]
request = '{"path": "/" + string!(%settings.company) + "/items", "query": {"kind": %settings.kind, "since": .since, "after": .cursor}}'
items = ".body"
id = ".id"
mark = ".at"
page = { style = "cursor", limit = 10 }
next = ".body.next"
read = '{"changes": []}'
interval_s = 60
[operations."item.upsert"]
result = '{"external": {"type": "Item", "id": .steps.set}}'
[[operations."item.upsert".steps]]
name = "found"
request = '{"path": "/items", "query": {"sku": .record.sku}}'
[[operations."item.upsert".steps]]
name = "set"
writes = true
idempotent = "upsert"
request = '{"method": "PUT", "path": "/items", "body": {"sku": .record.sku, "price": "1.50"}, "numbers": ["price"]}'
[[operations."item.upsert".steps]]
name = "never"
skip_when = "true"
request = '{"path": "/never"}'
"#;

const STEP: &str = r#"{"operation": "item.upsert", "step": "set", "settings": {"company": "7"},
    "context": {"record": {"sku": "A"}}, "expect": {}}"#;
const MORE: &str =
    r#"{"topic": "fetch:item", "step": "more", "context": {"body": {"more": true}}, "expect": {}}"#;
const HOOK: &str = r#"{"topic": "webhook:items", "body": {}, "expect": [{"fetch": "item", "id": "42"}]}"#;

fn made(samples: &[(&str, &str)]) -> Requests {
    requests(&connector(&head("rest", REST), samples))
}

fn line(request: &Request) -> String {
    let query: Vec<String> = request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{}: {} {} {}", request.from, request.method, request.path, query.join("&"))
}

#[test]
fn everything_that_can_be_asked_without_a_system_is_asked() {
    let all = made(&[("samples/set.json", STEP), ("samples/more.json", MORE), ("samples/hook.json", HOOK)]);
    let lines: Vec<String> = all.made.iter().map(line).collect();
    for expect in [
        "samples/set.json: PUT /items ",
        "samples/more.json: GET /items/more page=2",
        "auth.login: POST /login ",
        "auth.login (without token): POST /login ",
        "health.request: GET /health ",
        "checks.deep.request (deep = true): GET /deep ",
        "webhooks.subscriptions.list: GET /hooks ",
        "webhooks.subscriptions.create (items): POST /hooks ",
        "webhooks.subscriptions.delete (items): DELETE /hooks/1 ",
        // The id is one that a hint names, the company one that a sample knows.
        "fetch.item.request: GET /items ids=42",
        "streams.items.request (page 1): GET /7/items kind=all",
        "streams.items.request (page 2, since): GET /7/items after=100&kind=all&since=2026-01-01T00:00:00Z",
        "streams.items.request (page 1, kind = \"open\"): GET /7/items kind=open",
        // A step without a sample, with what another step's sample knows.
        "operations.item.upsert.found.request (samples/set.json): GET /items sku=A",
    ] {
        assert!(lines.iter().any(|line| line == expect), "expected `{expect}` in\n{}", lines.join("\n"));
    }
    assert_eq!(all.made[1].body, json!({"sku": "A", "price": 1.5}));
    assert!(all.made.iter().all(|request| !json!(request.headers).to_string().contains("secret-")));
    // The same request of the same program is there once, whatever else was tried.
    assert_eq!(lines.iter().filter(|line| line.starts_with("health.request")).count(), 1);
    assert_eq!(all.unasked, ["operations.item.upsert.never.request"]);
    assert_eq!(all.broken, []);
}

#[test]
fn what_no_sample_knows_stays_unasked_and_what_fails_is_told() {
    let none = made(&[]);
    assert!(none.unasked.contains(&"fetch.item.then.more.request".to_owned()), "{:?}", none.unasked);
    assert!(none.unasked.contains(&"operations.item.upsert.set.request".to_owned()), "{:?}", none.unasked);
    let bad = REST.replace("\"/\" + string!(%settings.company) + \"/items\"", "string!(.nothing)");
    let told = requests(&connector(&head("rest", &bad), &[])).broken;
    assert!(told.iter().any(|b| b.from == "streams.items.request (page 1)"), "{told:?}");
}
