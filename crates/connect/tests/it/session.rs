//! Sessions: one log-in at a time, one more when it has expired, none in a row when it is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use counterpart_connect::catalog::Connector;
use counterpart_connect::connection::Purpose;
use counterpart_model::delivery::FailureClass;
use serde_json::json;

use crate::server::{Server, TestClock, connect, connect_at, connector, head, ok, status};

fn rpc() -> Arc<Connector> {
    let rest = r#"
jsonrpc = ""
[settings.user]
default = "hub"
help = "x"
[secrets.password]
help = "x"
[auth]
scheme = "session"
login = '{"method": "login", "params": [.settings.user, .secrets.password]}'
token = '.body.token'
prefix = "Session "
[[errors]]
at = ".error[0]"
equals = "LoginException"
class = "unauthorised"
message = ".error[1]"
[fetch.thing]
types = ["thing"]
request = '{"method": "read", "params": [.ids]}'
items = ".body"
id = ".id"
read = '{"changes": []}'
"#;
    connector(&head("json-rpc", rest), &[])
}

/// A server whose `n`-th log-in gives token `n`; tokens below `valid` have expired.
async fn server(valid: u32) -> Server {
    let logins = AtomicU32::new(0);
    Server::start(move |request| {
        let body = request.json();
        if body["method"] == "login" {
            assert_eq!(body["params"], json!(["hub", "s3cret-password"]));
            let token = format!("t{}", logins.fetch_add(1, Ordering::SeqCst));
            return ok(json!({ "id": 1, "result": { "token": token } }));
        }
        let number =
            request.headers["authorization"].strip_prefix("Session t").unwrap().parse::<u32>().unwrap();
        if number < valid {
            return status(401, json!({}));
        }
        ok(json!({ "id": 1, "result": [{ "id": 7 }] }))
    })
    .await
}

fn logins(server: &Server) -> usize {
    server.seen().iter().filter(|r| r.json()["method"] == "login").count()
}

#[tokio::test]
async fn one_login_serves_requests_that_come_together() {
    let server = server(0).await;
    let connection = connect(&rpc(), &server);
    let ids = ["7".to_owned()];
    let (a, b, c) = tokio::join!(
        connection.fetch("thing", &ids, Purpose::Delivery),
        connection.fetch("thing", &ids, Purpose::Delivery),
        connection.fetch("thing", &ids, Purpose::Delivery)
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(logins(&server), 1);
}

#[tokio::test]
async fn an_expired_session_is_renewed_once() {
    let server = server(1).await;
    let connection = connect(&rpc(), &server);
    assert_eq!(connection.fetch("thing", &["7".into()], Purpose::Delivery).await.unwrap().items.len(), 1);
    assert_eq!(logins(&server), 2);
}

#[tokio::test]
async fn a_session_that_never_holds_is_unauthorised() {
    let server = server(u32::MAX).await;
    let connection = connect(&rpc(), &server);
    let error = connection.fetch("thing", &["7".into()], Purpose::Delivery).await.unwrap_err();
    assert_eq!(error.class, FailureClass::Unauthorised);
    assert_eq!(logins(&server), 2);
}

#[tokio::test]
async fn a_refused_login_is_unauthorised_and_not_repeated_at_once() {
    let server =
        Server::start(|_| ok(json!({ "error": ["LoginException", "no s3cret-password"], "result": null })))
            .await;
    let clock = TestClock::at("2026-11-25T10:00:00Z");
    let connection = connect_at(&rpc(), &server, clock.clone());
    let ids = ["7".to_owned()];
    for _ in 0..3 {
        let error = connection.fetch("thing", &ids, Purpose::Delivery).await.unwrap_err();
        assert_eq!((error.class, error.sent), (FailureClass::Unauthorised, false));
        assert!(!error.message.contains("s3cret"), "{}", error.message);
    }
    assert_eq!(logins(&server), 1);
    clock.pass(60);
    assert!(connection.fetch("thing", &ids, Purpose::Delivery).await.is_err());
    assert_eq!(logins(&server), 2);
}

/// OAuth 2 with client credentials: another address, a form, a token that says how long it holds.
#[tokio::test]
async fn a_token_comes_from_another_address_and_is_renewed_before_it_ends() {
    let tokens = Server::start({
        let given = AtomicU32::new(0);
        move |request| {
            assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/common/token"));
            assert_eq!(request.body, "client_secret=s3cret-client&grant_type=client_credentials");
            assert!(!request.headers.contains_key("x-tenant"), "the connection's own headers stay there");
            let n = given.fetch_add(1, Ordering::SeqCst);
            ok(json!({ "access_token": format!("t{n}"), "expires_in": 3600 }))
        }
    })
    .await;
    let api = Server::start(|request| {
        assert!(request.headers["authorization"].starts_with("Bearer t"));
        ok(json!({ "items": [{ "id": 7 }] }))
    })
    .await;
    let rest = r#"
headers = { x-tenant = "acme" }
[settings.login_url]
default = "LOGIN"
help = "x"
[secrets.client]
help = "x"
[auth]
scheme = "session"
url = "{login_url}"
login = '{"method": "POST", "path": "/common/token", "form": {"grant_type": "client_credentials", "client_secret": .secrets.client}}'
token = '.body.access_token'
lifetime = 'to_int!(.body.expires_in) - 300'
prefix = "Bearer "
[fetch.thing]
types = ["thing"]
request = '{"method": "GET", "path": "/things"}'
items = ".body.items"
id = ".id"
read = '{"changes": []}'
"#;
    let rest = rest.replace("LOGIN", &format!("http://127.0.0.1:{}", tokens.port));
    let clock = TestClock::at("2026-11-25T12:00:00Z");
    let connection = connect_at(&connector(&head("rest", &rest), &[]), &api, clock.clone());
    let fetch = async || connection.fetch("thing", &["7".into()], Purpose::Delivery).await.unwrap();
    for (seconds, logins) in [(0, 1), (3299, 1), (1, 2)] {
        clock.pass(seconds);
        fetch().await;
        assert_eq!(tokens.seen().len(), logins, "after {seconds} s more");
    }
    assert_eq!(api.seen().last().unwrap().headers["authorization"], "Bearer t1");
}
