//! Reading by id, hints, webhooks and read mappings.

use counterpart_connect::connection::{Hint, Purpose};
use counterpart_connect::{ReadError, WebhookError};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::server::{Server, connect, connector, head, ok};

const REST: &str = r#"
[settings.unit]
default = "each"
help = "x"
[secrets.webhook]
help = "x"
[reference_maps.codes]
help = "x"
[webhooks]
topic = { header = "x-topic" }
event_id = { body = ".id" }
occurred_at = { body = ".at" }
hints = '''if %topic == "ping" { [{"ignore": "ping"}] } else { [{"fetch": "item", "id": .item}] }'''
[webhooks.signature]
scheme = "hmac-sha256"
header = "x-signature"
secret = "webhook"
[fetch.item]
types = ["Item"]
request = '{"path": "/items", "query": {"id": .ids}}'
then = [
    { name = "extra", request = '{"path": "/extra", "query": {"n": length(array!(.body.items))}}' },
    { name = "none", request = 'null' },
]
items = '''
extra = .steps.extra.text
map_values(array!(.body.items)) -> |i| { set!(i, ["extra"], extra) }
'''
id = ".id"
max_ids = 2
read = '''
{"changes": [{"kind": "item", "type": "Item", "id": to_string!(.id), "payload": {"sku": .sku, "unit": %settings.unit}}]}
'''
"#;

#[tokio::test]
async fn ids_are_read_in_portions_and_what_is_gone_is_told() {
    let server = Server::start(|request| {
        if request.path.starts_with("/extra") {
            return ok(json!({ "text": "more" }));
        }
        let (_, query) = request.path.split_once('?').unwrap();
        let ids = query.split('&').filter_map(|pair| pair.strip_prefix("id="));
        let items: Vec<_> = ids.filter(|id| *id != "2").map(|id| json!({ "id": id, "sku": id })).collect();
        ok(json!({ "items": items }))
    })
    .await;
    let connection = connect(&connector(&head("rest", REST), &[]), &server);
    let ids: Vec<String> = ["1", "2", "3"].map(String::from).into();
    let fetched = connection.fetch("item", &ids, Purpose::Delivery).await.unwrap();
    assert_eq!(fetched.items.iter().map(|i| i.id.as_str()).collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(fetched.missing, ["2"]);
    assert_eq!(server.seen().len(), 4, "two portions, each with one further read");
    assert!(String::from_utf8_lossy(&fetched.items[0].body).contains("\"extra\":\"more\""));
    assert_eq!(connection.fetch_for("Item").as_deref(), Some("item"));

    let changes = connection.read("fetch:item", &fetched.items[0].body, fetched.read_began).unwrap();
    assert_eq!(changes[0].external.id, "1");
    assert_eq!(changes[0].payload, json!({ "sku": "1", "unit": "each" }));
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    let server = Server::start(|_| ok(json!({}))).await;
    let connection = connect(&connector(&head("rest", REST), &[]), &server);
    let read = |topic: &str, body: &str| {
        connection.read(topic, body.as_bytes(), "2026-11-25T10:00:00Z".parse().unwrap()).unwrap_err()
    };
    assert!(matches!(read("fetch:item", "{"), ReadError::Unreadable(_)));
    assert!(matches!(read("fetch:nothing", "{}"), ReadError::NoSuch(_)));
    assert!(
        matches!(read("fetch:item", "{\"id\": {}, \"sku\": 1}"), ReadError::Mapping(_)),
        "an id that is no text"
    );
    let ReadError::Invalid { problems, .. } = read("fetch:item", "{\"id\": 1, \"sku\": {}}") else {
        panic!()
    };
    assert!(problems[0].path.starts_with("changes[0].payload.sku"), "{}", problems[0].path);
}

#[tokio::test]
async fn a_webhook_is_verified_and_followed() {
    let server = Server::start(|_| ok(json!({}))).await;
    let connection = connect(&connector(&head("rest", REST), &[]), &server);
    let body = br#"{"id":"e1","item":7,"at":"2026-11-25T09:59:00Z"}"#;
    let mut mac = Hmac::<Sha256>::new_from_slice(b"s3cret-webhook").unwrap();
    mac.update(body);
    let signature = hex::encode(mac.finalize().into_bytes());
    let headers = |signature: &str| {
        vec![
            ("X-Topic".to_owned(), "item.changed".to_owned()),
            ("X-Signature".to_owned(), signature.to_owned()),
        ]
    };
    let verified = connection.verify_webhook(&headers(&signature), body).unwrap();
    assert_eq!((verified.topic.as_str(), verified.event_id.as_str()), ("item.changed", "e1"));
    assert_eq!(verified.occurred_at, Some("2026-11-25T09:59:00Z".parse().unwrap()));
    let bad = connection.verify_webhook(&headers(&signature.replace('a', "b")), body);
    assert_eq!(bad, Err(WebhookError::BadSignature));
    let hints = connection.hints("item.changed", body).unwrap();
    assert_eq!(hints, [Hint::Fetch { name: "item".into(), id: "7".into() }]);
    assert_eq!(connection.hints("ping", body).unwrap(), [Hint::Ignore { rule: "ping".into() }]);
    assert!(connection.hints("x", br#"{"id":"e2"}"#).is_err(), "a hint without an id is none");

    let without = connect(&connector(&head("rest", ""), &[]), &server);
    assert_eq!(without.verify_webhook(&headers(&signature), body), Err(WebhookError::NoWebhooks));
}
