//! Webhooks that the hub registers by itself, and the systems that try the address first.

use std::sync::{Arc, Mutex};

use counterpart_connect::Connection;
use serde_json::{Value, json};

use crate::server::{Server, TestClock, connect_at, connector, head, ok, status};

const REST: &str = r#"
[secrets.webhook]
help = "x"
[webhooks]
topic = { body = ".topic" }
hints = '[]'
[webhooks.signature]
scheme = "token"
header = "x-token"
secret = "webhook"
[webhooks.handshake]
query = "validationToken"
[webhooks.subscriptions]
topics = ["orders", "customers"]
list = '{"method": "GET", "path": "/subscriptions"}'
items = '.body.value'
create = '{"method": "POST", "path": "/subscriptions", "body": {"topic": .topic, "url": .url, "state": .secret}}'
delete = '{"method": "DELETE", "path": "/subscriptions/" + string!(.item.id)}'
renew_before_s = 3600
"#;
const RENEW: &str = "renew = '{\"method\": \"PATCH\", \"path\": \"/subscriptions/\" + string!(.item.id)}'\n";
const OURS: &str = "https://hub.example.com/webhooks/shop";

/// A system that keeps subscriptions, each for two days from `now`.
async fn system(there: Value) -> (Server, Arc<Mutex<Value>>) {
    let kept = Arc::new(Mutex::new(there));
    let list = kept.clone();
    let server = Server::start(move |request| {
        let mut list = list.lock().unwrap();
        let rows = list.as_array_mut().unwrap();
        let id = request.path.strip_prefix("/subscriptions/").unwrap_or_default().to_owned();
        match request.method.as_str() {
            "GET" => return ok(json!({ "value": *rows })),
            "POST" => {
                let body = request.json();
                assert_eq!(body["state"], "s3cret-webhook");
                let id = format!("new-{}", rows.len());
                rows.push(json!({"id": id, "topic": body["topic"], "url": body["url"], "expires_at": "2026-11-27T00:00:00Z"}));
            }
            "PATCH" => rows.iter_mut().filter(|r| r["id"] == id.as_str()).for_each(|r| r["expires_at"] = json!("2026-11-27T00:00:00Z")),
            "DELETE" => rows.retain(|r| r["id"] != id.as_str()),
            _ => return status(405, json!({})),
        }
        ok(json!({}))
    })
    .await;
    (server, kept)
}

fn connection(server: &Server, more: &str) -> Connection {
    connect_at(
        &connector(&head("rest", &format!("{REST}{more}")), &[]),
        server,
        TestClock::at("2026-11-25T00:00:00Z"),
    )
}

fn row(id: &str, topic: &str, url: &str, end: &str) -> Value {
    json!({ "id": id, "topic": topic, "url": url, "expires_at": end })
}

#[tokio::test]
async fn each_topic_is_registered_once_and_others_are_left_alone() {
    let there = json!([
        row("a", "orders", OURS, "2026-11-27T00:00:00Z"),
        row("b", "orders", &format!("{OURS}/"), "2026-11-27T00:00:00Z"),
        row("c", "prices", OURS, "2026-11-27T00:00:00Z"),
        row("d", "customers", "https://other.example.com/x", "2026-11-25T00:00:01Z"),
    ]);
    let (server, kept) = system(there).await;
    let connection = connection(&server, RENEW);
    assert!(connection.subscribes());
    let done = connection.subscribe().await.unwrap();
    assert_eq!((done.made, done.renewed), (vec!["customers".to_owned()], vec![]));
    assert_eq!(done.removed, ["orders", "prices"]);
    let ids: Vec<String> = kept
        .lock()
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["a", "d", "new-2"]);
    assert_eq!(connection.subscribe().await.unwrap(), Default::default(), "nothing is left to do");
}

#[tokio::test]
async fn what_runs_out_is_renewed_or_made_anew() {
    let soon = || {
        json!([
            row("a", "orders", OURS, "2026-11-25T00:30:00Z"),
            row("b", "customers", OURS, "2026-11-26T00:00:00Z")
        ])
    };
    let (server, kept) = system(soon()).await;
    let done = connection(&server, RENEW).subscribe().await.unwrap();
    assert_eq!((done.made, done.renewed), (vec![], vec!["orders".to_owned()]));
    assert_eq!(kept.lock().unwrap()[0]["expires_at"], "2026-11-27T00:00:00Z");

    let (server, kept) = system(soon()).await;
    let done = connection(&server, "").subscribe().await.unwrap();
    assert_eq!((done.made, done.renewed), (vec!["orders".to_owned()], vec![]));
    assert_eq!(kept.lock().unwrap().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_handshake_gets_its_word_back_and_nothing_else_does() {
    let (server, _) = system(json!([])).await;
    let connection = connection(&server, "");
    let answer = |name: &str, value: &str| connection.handshake(&[(name.to_owned(), value.to_owned())]);
    assert_eq!(answer("validationToken", "a b-1"), Some("a b-1".into()));
    assert_eq!(answer("other", "a"), None);
    assert_eq!(answer("validationToken", "<\u{7}>"), None);
    assert_eq!(answer("validationToken", &"x".repeat(2000)), None);
}

#[tokio::test]
async fn one_that_is_refused_keeps_no_other_from_being_registered() {
    let server = Server::start(|request| match request.method.as_str() {
        "GET" => ok(json!({ "value": [row("a", "prices", OURS, "2026-11-27T00:00:00Z")] })),
        "POST" if request.json()["topic"] == "customers" => ok(json!({})),
        _ => status(403, json!({})),
    })
    .await;
    let error = connection(&server, "").subscribe().await.unwrap_err();
    assert!(error.message.starts_with("prices: "), "{}", error.message);
    let posts = server.seen().iter().filter(|r| r.method == "POST").count();
    assert_eq!(posts, 2, "both topics were tried");
}
