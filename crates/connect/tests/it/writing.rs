//! Steps, what a program gives in place of a request, results, batches.

use counterpart_connect::Connection;
use counterpart_connect::connection::StepDone;
use counterpart_connect::manifest::Idempotent;
use counterpart_model::delivery::{Action, FailureClass};
use counterpart_model::kind::Kind;
use counterpart_model::record::Role;
use serde_json::{Value, json};

use crate::server::{Server, connect, connector, head, ok, status};

const REST: &str = r#"
[reference_maps.taxes]
help = "x"
[operations."order.upsert"]
needs = ["customer", "lines[].item"]
result = '''
{"external": {"type": "Sale", "id": to_string!(.steps.create.id)}, "number": "S1", "settled": true, "role": "part", "refused": .steps.refused}
'''
[[operations."order.upsert".steps]]
name = "find"
request = '{"path": "/orders", "query": {"ref": .label}}'
response = ".body.found"
[[operations."order.upsert".steps]]
name = "create"
writes = true
idempotent = "lagged-lookup(30)"
done_when = "length(array(.steps.find) ?? []) > 0"
skip_when = '.record.guest == true'
timeout_s = 9
request = '''
if .record.bad == true { {"reject": {"message": "not for us", "field": "lines[0].sku"}} }
else if .record.tax == true { {"missing_reference": {"map": "taxes", "code": "VAT"}} }
else if .record.nothing == true { null }
else { {"method": "POST", "path": "/orders", "headers": {"idempotency-key": .key}, "body": .record} }
'''
response = '{"id": to_int!(.body.id)}'
[operations."stock.upsert"]
needs = ["item"]
result = '{"external": {"type": "Stock", "id": to_string!(.steps.batch.id)}}'
[operations."stock.upsert".batch]
max = 10
idempotent = "upsert"
request = '{"method": "PUT", "path": "/stock", "body": map_values(array!(.rows)) -> |r| { r.record }}'
rows = ".body.rows"
"#;

async fn server(answer: Value) -> (Server, Connection) {
    let server = Server::start(move |_| ok(answer.clone())).await;
    let connection = connect(&connector(&head("rest", REST), &[]), &server);
    (server, connection)
}

fn context(record: Value) -> Value {
    json!({ "record": record, "label": "#1", "action": "upsert", "counterpart": null, "steps": {}, "key": "k1" })
}

async fn create(connection: &Connection, record: Value) -> counterpart_connect::connection::StepOutcome {
    connection.run_step(Kind::Order, Action::Upsert, "create", &context(record)).await
}

#[tokio::test]
async fn an_operation_says_what_it_consists_of() {
    let (_server, connection) = server(json!({})).await;
    let info = connection.operation(Kind::Order, Action::Upsert).unwrap();
    assert_eq!(info.needs, ["customer", "lines[].item"]);
    assert_eq!((info.steps[0].writes, info.steps[1].writes, info.batch), (false, true, None));
    assert_eq!(info.steps[1].idempotency, Idempotent::LaggedLookup(30));
    assert_eq!(info.steps[1].timeout.as_secs(), 9);
    assert_eq!(connection.operation(Kind::Stock, Action::Upsert).unwrap().batch, Some(10));
    assert!(connection.operation(Kind::Order, Action::Delete).is_none());
}

#[tokio::test]
async fn a_step_is_rendered_sent_and_its_answer_kept() {
    let (server, connection) = server(json!({ "id": "17", "found": [] })).await;
    let outcome = create(&connection, json!({ "n": "1.50" })).await;
    assert_eq!(outcome.result, Ok(StepDone::Response(json!({ "id": 17 }))));
    let seen = &server.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/orders"));
    assert_eq!((seen.headers["idempotency-key"].as_str(), seen.body.as_str()), ("k1", r#"{"n":"1.50"}"#));
    let rendered = connection.render(Kind::Order, Action::Upsert, "create", &context(json!({}))).unwrap();
    assert_eq!(rendered.unwrap()["path"], "/orders");

    let find = connection.run_step(Kind::Order, Action::Upsert, "find", &context(json!({}))).await;
    assert_eq!(find.result, Ok(StepDone::Response(json!([]))));
    let with = |found: Value| json!({ "record": {}, "steps": { "find": found } });
    let done =
        |context: &Value| connection.step_done(Kind::Order, Action::Upsert, "create", context).unwrap();
    assert!(!done(&with(json!([]))) && done(&with(json!([{ "id": 1 }]))) && !done(&json!({})));
}

#[tokio::test]
async fn nothing_is_sent_when_the_program_says_so() {
    let (server, connection) = server(json!({})).await;
    for record in [json!({ "guest": true }), json!({ "nothing": true })] {
        assert_eq!(create(&connection, record).await.result, Ok(StepDone::Skipped));
    }
    let rejected = create(&connection, json!({ "bad": true })).await.result.unwrap_err();
    assert_eq!((rejected.class, rejected.sent), (FailureClass::Rejected, false));
    assert_eq!((rejected.message.as_str(), rejected.field.as_deref()), ("not for us", Some("lines[0].sku")));
    let missing = create(&connection, json!({ "tax": true })).await.result.unwrap_err();
    assert_eq!(missing.missing_reference, Some(("taxes".into(), "VAT".into())));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_leaves_a_write_open() {
    let (_server, connection) = server(json!({ "id": "no number" })).await;
    let failure = create(&connection, json!({})).await.result.unwrap_err();
    assert_eq!((failure.class, failure.sent), (FailureClass::Unknown, true));
    assert!(!failure.message.contains("no number"), "{}", failure.message);
}

#[tokio::test]
#[allow(clippy::result_large_err)]
async fn a_result_is_typed() {
    let (_server, connection) = server(json!({})).await;
    let result = |steps: Value| connection.result(Kind::Order, Action::Upsert, &json!({ "steps": steps }));
    let good = result(json!({ "create": { "id": 5 } })).unwrap();
    assert_eq!(good.external.unwrap().id, "5");
    assert_eq!((good.number.as_deref(), good.settled, good.role), (Some("S1"), true, Some(Role::Part)));
    let refused = result(json!({ "create": { "id": 5 }, "refused": { "reason": "shipped" } })).unwrap();
    assert_eq!(refused.refused.as_deref(), Some("shipped"));
    assert!(result(json!({ "create": { "id": null } })).is_err(), "an empty id is none");
    let wrong = result(json!({ "create": { "id": {} } }));
    assert!(wrong.is_err(), "an id that is no text");
}

#[tokio::test]
async fn a_batch_has_an_outcome_for_each_row() {
    let answer = json!({ "rows": [{ "ok": { "id": 1 } }, { "error": { "message": "no", "field": "sku" } }] });
    let (server, connection) = server(answer).await;
    let rows: Vec<Value> = (0..3).map(|n| context(json!({ "n": n }))).collect();
    let outcomes = connection.run_batch(Kind::Stock, Action::Upsert, &rows).await;
    assert_eq!(outcomes[0], Ok(json!({ "id": 1 })));
    let refused = outcomes[1].as_ref().unwrap_err();
    assert_eq!((refused.class, refused.field.as_deref()), (FailureClass::Rejected, Some("sku")));
    assert_eq!(outcomes[2].as_ref().unwrap_err().class, FailureClass::Unknown, "not mentioned");
    assert_eq!(server.seen()[0].body, r#"[{"n":0},{"n":1},{"n":2}]"#);

    let server = Server::start(|_| status(401, json!({}))).await;
    let connection = connect(&connector(&head("rest", REST), &[]), &server);
    let outcomes = connection.run_batch(Kind::Stock, Action::Upsert, &rows).await;
    assert!(outcomes.iter().all(|o| o.as_ref().unwrap_err().class == FailureClass::Unauthorised));
}
