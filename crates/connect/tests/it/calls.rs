//! What a call's failure means: errors inside 200, time-outs, resets, throttling, addresses that must not be spoken to.

use std::sync::Arc;

use counterpart_connect::catalog::Connector;
use counterpart_connect::connection::{Connection, Failure, StepDone, StepOutcome};
use counterpart_model::delivery::{Action, FailureClass};
use counterpart_model::kind::Kind;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::server::{Reply, Server, TestClock, connect, connector, head, ok, spec, status};

/// A GraphQL system with one operation: a step that reads and one that writes.
fn graphql() -> Arc<Connector> {
    let rest = r#"
max_answer_bytes = 2000
[secrets.key]
help = "x"
[auth]
scheme = "header"
header = "x-key"
secret = "key"
[[errors]]
at = ".errors[*].extensions.code"
equals = "FORBIDDEN"
class = "unauthorised"
[[errors]]
at = ".data.*.errorCode"
class = "rejected"
message = ".data.*.message"
field = ".data.*.errorCode"
[operations."item.upsert"]
result = '{"external": {"type": "Item", "id": "1"}}'
[[operations."item.upsert".steps]]
name = "find"
request = '{"query": "query { a }", "variables": {"sku": .record.sku}}'
[[operations."item.upsert".steps]]
name = "set"
writes = true
idempotent = "upsert"
request = '{"query": "mutation { a }"}'
"#;
    connector(&head("graphql", rest), &[])
}

async fn step(connection: &Connection, name: &str) -> StepOutcome {
    connection.run_step(Kind::Item, Action::Upsert, name, &json!({ "record": { "sku": "A" } })).await
}

async fn fail(connection: &Connection, name: &str) -> Failure {
    step(connection, name).await.result.unwrap_err()
}

/// What becomes of a reading and of a writing step when the server does this.
async fn both(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Failure, Failure) {
    let server = Server::start(move |_| reply()).await;
    let connection = connect(&graphql(), &server);
    (fail(&connection, "find").await, fail(&connection, "set").await)
}

#[tokio::test]
async fn a_request_carries_its_credentials_and_its_answer_is_unwrapped() {
    let server = Server::start(|_| ok(json!({ "data": { "a": { "price": 12 } } }))).await;
    let outcome = step(&connect(&graphql(), &server), "find").await;
    assert_eq!(outcome.result, Ok(StepDone::Response(json!({ "a": { "price": 12 } }))));
    assert_eq!(outcome.status, Some(200));
    let seen = &server.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/api"));
    assert_eq!(seen.headers["x-key"], "s3cret-key");
    assert_eq!(seen.json()["variables"], json!({ "sku": "A" }));
    assert!(!outcome.request.unwrap().to_string().contains("s3cret"));
}

#[tokio::test]
async fn an_error_inside_200_is_an_error() {
    use FailureClass::{Rejected, Unauthorised};
    for (answer, class, message, field) in [
        (json!({ "errors": [{ "message": "no such field" }] }), Rejected, "HTTP 200: no such field", None),
        (
            json!({ "errors": [{ "message": "a" }, { "message": "b", "extensions": { "code": "FORBIDDEN" } }] }),
            Unauthorised,
            "HTTP 200: a",
            None,
        ),
        (
            json!({ "data": { "set": { "errorCode": "STOCK", "message": "not so many" } } }),
            Rejected,
            "not so many",
            Some("STOCK"),
        ),
    ] {
        let body = answer.clone();
        let (_, written) = both(move || ok(body.clone())).await;
        assert_eq!((written.class, written.message.as_str()), (class, message), "{answer}");
        assert_eq!(written.field.as_deref(), field);
    }
}

#[tokio::test]
async fn no_answer_after_sending_leaves_a_write_open() {
    for (what, reply) in
        [("silence", 0), ("close", 1), ("cut", 2), ("no json", 3), ("too large", 4), ("502", 5)]
    {
        let (read, written) = both(move || match reply {
            0 => Reply::Silence,
            1 => Reply::Close,
            2 => Reply::Cut,
            3 => Reply::Answer(200, Vec::new(), b"<html>Welcome</html>".to_vec()),
            4 => ok(json!({ "data": "x".repeat(3000) })),
            _ => Reply::Answer(502, Vec::new(), b"<html>Bad gateway</html>".to_vec()),
        })
        .await;
        assert_eq!(
            (written.class, written.sent),
            (FailureClass::Unknown, true),
            "{what}: {}",
            written.message
        );
        assert_eq!(read.class, FailureClass::Transient, "{what}: what only reads can be read again");
    }
}

#[tokio::test]
async fn no_connection_means_that_nothing_was_sent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let spec = spec(&graphql(), &format!("http://127.0.0.1:{port}"));
    let connection = Connection::new(spec, TestClock::at("2026-11-25T10:00:00Z")).ok().unwrap();
    let failure = fail(&connection, "set").await;
    assert_eq!((failure.class, failure.sent), (FailureClass::Transient, false));
}

#[tokio::test]
async fn a_busy_system_is_left_alone_for_as_long_as_it_says() {
    let (_, written) = both(|| Reply::Answer(429, vec![("retry-after", "7".into())], b"{}".to_vec())).await;
    assert_eq!(written.class, FailureClass::Throttled);
    assert_eq!(written.retry_after, Some(SignedDuration::from_secs(7)));
    let (_, written) = both(|| status(503, json!({}))).await;
    assert_eq!((written.class, written.retry_after), (FailureClass::Transient, None));
}

#[tokio::test]
async fn an_error_repeats_no_secret_and_names_nobody() {
    let text = "bad key s3cret-key for ada@example.com";
    let (read, _) = both(move || status(400, json!({ "message": text }))).await;
    assert_eq!(read.class, FailureClass::Rejected);
    assert_eq!(read.message, "HTTP 400: bad key [redacted] for [redacted]");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::start(|_| ok(json!({ "data": {} }))).await;
    let location = format!("http://127.0.0.1:{}/api", other.port);
    let (read, _) = both(move || Reply::Answer(307, vec![("location", location.clone())], Vec::new())).await;
    assert_eq!(read.class, FailureClass::Rejected);
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn private_addresses_are_not_spoken_to() {
    let server = Server::start(|_| ok(json!({}))).await;
    let clock = TestClock::at("2026-11-25T10:00:00Z");
    let make = |url: String| {
        let spec = counterpart_connect::connection::Spec { allow_private: false, ..spec(&graphql(), &url) };
        Connection::new(spec, clock.clone())
    };
    for url in ["http://shop.example.com", "https://127.0.0.1", "https://[::1]", "https://169.254.169.254"] {
        let problems = make(url.to_owned()).err().unwrap();
        assert_eq!(problems[0].path, "url", "{url}");
    }
    // A name is checked where it is resolved.
    let connection = make(format!("https://localhost:{}", server.port)).ok().unwrap();
    let failure = fail(&connection, "set").await;
    assert_eq!((failure.class, failure.sent), (FailureClass::Transient, false));
    assert!(failure.message.contains("allow_private"), "{}", failure.message);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn numbers_stay_exact_on_their_way_in() {
    let body = br#"{"data":{"total":12.50,"big":9007199254740993,"n":3}}"#;
    let server = Server::start(|_| Reply::Answer(200, Vec::new(), body.to_vec())).await;
    let outcome = step(&connect(&graphql(), &server), "find").await;
    let expect: Value = json!({ "total": "12.50", "big": "9007199254740993", "n": 3 });
    assert_eq!(outcome.result, Ok(StepDone::Response(expect)));
}
