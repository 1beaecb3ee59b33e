//! The whole router over a hub in a temporary folder: who is let in, what a refusal looks like, what the document says.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::{Router, http};
use counterpart_hub::hub::Hub;
use counterpart_model::clock::Clock;
use counterpart_model::redact::Redacted;
use counterpart_web::routes::{Access, ROUTES, Web, document, router};
use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tower::ServiceExt;

const TOKEN: &str = "a-token-for-tests";

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        "2026-11-25T08:00:00Z".parse().unwrap()
    }
}

struct World {
    router: Router,
    _folder: tempfile::TempDir,
}

async fn hub(folder: &Path) -> Hub {
    let config = folder.join("counterpart.toml");
    std::fs::write(&config, "[hub]\n").unwrap();
    std::fs::write(folder.join("counterpart.key"), "07".repeat(32)).unwrap();
    Hub::open(&config, Arc::new(Fixed)).await.unwrap()
}

async fn world_with(tokens: &[&str]) -> World {
    let folder = tempfile::tempdir().unwrap();
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let tokens = tokens.iter().map(|t| Redacted::new((*t).to_owned())).collect();
    let web = Web { tokens, metrics, started: Fixed.now() };
    World { router: router(hub(folder.path()).await, web), _folder: folder }
}

async fn world() -> World {
    world_with(&[TOKEN]).await
}

impl World {
    async fn send(
        &self,
        request: http::request::Builder,
        body: impl Into<Body>,
    ) -> (StatusCode, HeaderMap, Value) {
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        (parts.status, parts.headers, body)
    }

    /// Sends with the token and asserts a refusal of the given kind.
    async fn refuses(
        &self,
        request: http::request::Builder,
        body: impl Into<Body>,
        status: u16,
        kind: &str,
    ) -> Value {
        let request = request.header("Authorization", format!("Bearer {TOKEN}"));
        let (got, headers, body) = self.send(request, body).await;
        check_problem(got, &headers, &body, status, kind);
        body
    }
}

fn check_problem(got: StatusCode, headers: &HeaderMap, body: &Value, status: u16, kind: &str) {
    assert_eq!(
        (got.as_u16(), body["type"].as_str()),
        (status, Some(&*format!("urn:counterpart:problem:{kind}"))),
        "{body}"
    );
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(body["status"], status);
    let id = headers["x-request-id"].to_str().unwrap();
    assert_eq!(body["instance"], format!("urn:counterpart:request:{id}"));
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["cache-control"], "no-store");
}

fn get(path: &str) -> http::request::Builder {
    Request::get(path)
}

fn post_json(path: &str) -> http::request::Builder {
    Request::post(path).header("Content-Type", "application/json")
}

/// A path that the pattern matches.
fn example(pattern: &str) -> String {
    let filled = [("{connection}", "shop"), ("{kind}", "order"), ("{what}", "1001"), ("{id}", "1")];
    filled.iter().fold(pattern.to_owned(), |path, (name, value)| path.replace(name, value))
}

#[test]
fn the_document_lists_exactly_the_routes() {
    let document = serde_json::to_value(document()).unwrap();
    let mut documented = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            documented.push((method.clone(), path.clone(), operation.get("security").is_some()));
        }
    }
    let mut routes: Vec<_> =
        ROUTES.iter().map(|r| (r.method.to_owned(), r.path.to_owned(), r.access == Access::Token)).collect();
    documented.sort();
    routes.sort();
    assert_eq!(documented, routes);
}

#[test]
fn the_document_is_whole() {
    let document = serde_json::to_value(document()).unwrap();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} is missing");
    }
    for route in ROUTES {
        let operation = &document["paths"][route.path][route.method];
        assert!(operation["summary"].is_string(), "{} has no summary", route.path);
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            let in_path = route.path.contains(&format!("{{{name}}}"));
            assert_eq!(in_path, parameter["in"] == "path", "{} {parameter}", route.path);
            assert!(parameter["description"].is_string(), "{} {name}", route.path);
        }
    }
}

#[tokio::test]
async fn the_api_answers_nobody_without_a_token() {
    let world = world().await;
    for route in ROUTES.iter().filter(|r| r.access == Access::Token) {
        for header in
            [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic a-token-for-tests"), Some(TOKEN)]
        {
            let mut request =
                Request::builder().method(route.method.to_uppercase().as_str()).uri(example(route.path));
            if let Some(header) = header {
                request = request.header("Authorization", header);
            }
            let (status, headers, body) = world.send(request, Body::empty()).await;
            check_problem(status, &headers, &body, 401, "unauthorised");
            assert_eq!(headers["www-authenticate"], "Bearer");
            assert!(!body.to_string().contains(TOKEN));
        }
    }
}

#[tokio::test]
async fn without_configured_tokens_the_hint_says_how_to_set_one() {
    let world = world_with(&[]).await;
    let body = world.refuses(get("/api/v1/status"), Body::empty(), 401, "unauthorised").await;
    assert!(body["hint"].as_str().unwrap().contains("api_tokens"), "{body}");
}

#[tokio::test]
async fn addresses_and_methods_that_are_not_there() {
    let world = world().await;
    world.refuses(get("/nothing"), Body::empty(), 404, "not-found").await;
    world.refuses(get("/api/v1/nothing"), Body::empty(), 404, "not-found").await;
    let request = Request::delete("/healthz");
    let (status, headers, body) = world.send(request, Body::empty()).await;
    check_problem(status, &headers, &body, 405, "method-not-allowed");
    assert_eq!(headers["allow"], "GET,HEAD");
    world.refuses(get("/webhooks/shop"), Body::empty(), 405, "method-not-allowed").await;
}

#[tokio::test]
async fn bad_input_is_told_apart() {
    let world = world().await;
    let body = world.refuses(get("/api/v1/deliveries?flw=orders"), Body::empty(), 400, "bad-request").await;
    assert!(body["detail"].as_str().unwrap().contains("unknown field `flw`"), "{body}");
    world.refuses(get("/api/v1/deliveries?limit=many"), Body::empty(), 400, "bad-request").await;
    world.refuses(get("/api/v1/deliveries?since=yesterday"), Body::empty(), 400, "bad-request").await;
    world.refuses(get("/api/v1/reviews/seven"), Body::empty(), 400, "bad-request").await;
    let body = world.refuses(get("/api/v1/records/orders"), Body::empty(), 404, "not-found").await;
    assert!(body["hint"].as_str().unwrap().contains("purchase_order"), "{body}");
    world.refuses(post_json("/api/v1/replay"), "{\"flow\":", 400, "bad-request").await;
    let body = world.refuses(post_json("/api/v1/replay"), "{\"flow\":\"orders\"}", 400, "bad-request").await;
    assert!(body["detail"].as_str().unwrap().contains("missing field `since`"), "{body}");
    world.refuses(post_json("/api/v1/reviews/1/edit"), "[1]", 400, "bad-request").await;
    let replay = json!({"flow": "orders", "since": "2026-11-25T00:00:00Z", "dry_run": true}).to_string();
    world.refuses(Request::post("/api/v1/replay"), replay.clone(), 415, "media-type").await;
    world
        .refuses(post_json("/api/v1/replay").header("X-Actor", "x".repeat(101)), replay, 400, "bad-request")
        .await;
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let world = world().await;
    let big = vec![b' '; 2 * 1024 * 1024 + 1];
    world.refuses(Request::post("/webhooks/shop"), big.clone(), 413, "too-large").await;
    world.refuses(post_json("/api/v1/replay"), big, 413, "too-large").await;
}

/// A sender must not be told that a webhook is lost when nothing runs yet.
#[tokio::test]
async fn before_anything_is_applied_a_webhook_is_to_be_sent_again() {
    let world = world().await;
    let (status, headers, body) = world.send(Request::post("/webhooks/shop"), "{}").await;
    check_problem(status, &headers, &body, 503, "unavailable");
    assert_eq!(headers["retry-after"], "5");
}

#[tokio::test]
async fn an_applied_hub_answers() {
    let folder = tempfile::tempdir().unwrap();
    let revision = hub(folder.path()).await.apply(None, "first").await.unwrap();
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let web = Web { tokens: vec![Redacted::new(TOKEN.to_owned())], metrics, started: Fixed.now() };
    // Opened again, it loads what is applied.
    let world = World { router: router(hub(folder.path()).await, web), _folder: folder };
    world.refuses(Request::post("/webhooks/nobody"), "{}", 404, "not-found").await;
    let (status, _, body) = world.send(get("/readyz"), Body::empty()).await;
    assert_eq!((status.as_u16(), body), (200, json!({"status": "ok"})));
    for (path, expect) in [
        ("/api/v1/reviews", json!([])),
        ("/api/v1/reviews?all=true&limit=5", json!([])),
        ("/api/v1/deliveries?state=in_review", json!([])),
        ("/api/v1/records/order?label=1001", json!([])),
        ("/api/v1/config", json!({"config": "[hub]\n", "files": {}})),
        ("/api/v1/config/plan", json!({"base": revision, "items": [], "problems": []})),
    ] {
        let request = get(path).header("Authorization", format!("Bearer {TOKEN}"));
        let (status, _, body) = world.send(request, Body::empty()).await;
        assert_eq!((status.as_u16(), body), (200, expect), "{path}");
    }
    let request = get("/api/v1/status").header("Authorization", format!("Bearer {TOKEN}"));
    let (_, _, body) = world.send(request, Body::empty()).await;
    assert_eq!((&body["revision"], &body["unaccounted"]), (&json!(revision), &json!(0)));
    world.refuses(get("/api/v1/deliveries?state=lost"), Body::empty(), 400, "bad-request").await;
    world.refuses(get("/api/v1/explain/order/1001"), Body::empty(), 404, "not-found").await;
    world.refuses(get("/api/v1/reviews/7"), Body::empty(), 404, "not-found").await;
    world.refuses(Request::post("/api/v1/reviews/7/retry"), Body::empty(), 404, "not-found").await;
    world.refuses(post_json("/api/v1/config/apply"), "{\"base\":null}", 409, "conflict").await;
}

#[tokio::test]
async fn it_lives_before_it_is_ready() {
    let world = world().await;
    let (status, headers, body) = world.send(get("/healthz"), Body::empty()).await;
    assert_eq!((status.as_u16(), body), (200, json!({"status": "ok"})));
    assert_eq!(headers["cache-control"], "no-store");
    // Nothing is applied, so nothing runs.
    let (status, headers, body) = world.send(get("/readyz"), Body::empty()).await;
    check_problem(status, &headers, &body, 503, "unavailable");
    let (status, headers, _) = world.send(get("/metrics"), Body::empty()).await;
    assert_eq!(
        (status.as_u16(), &headers["content-type"]),
        (200, &"text/plain; version=0.0.4; charset=utf-8".parse().unwrap())
    );
    let (status, _, body) = world.send(get("/openapi.json"), Body::empty()).await;
    assert_eq!((status.as_u16(), body["openapi"].as_str()), (200, Some("3.1.0")));
}
