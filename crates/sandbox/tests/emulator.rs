//! The emulator over a made-up profile: what holds for every profile.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use counterpart_sandbox::clock::FastClock;
use counterpart_sandbox::faults::Rates;
use counterpart_sandbox::profile::Profile;
use counterpart_sandbox::{Refusal, Sandbox, Setup};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const MANIFEST: &str = r#"
title = "Made up"
docs = []
programs = ["things.rhai"]
schema = ["schema.graphql"]
search_lag_ms = 60000

[[routes]]
method = "GET"
path = "/things/{id}"
run = "thing"
[[routes]]
method = "POST"
path = "/things"
run = "add"
limits = ["adds"]
[[routes]]
method = "POST"
path = "/graphql"
run = "graphql"
open = true
[limits.adds]
size = 5
per_s = 3600
[limits.points]
size = 50
refill_per_s = 0.001
[webhooks]
retry_s = [1, 1]
[cost]
object = 1
mutation = 10
max = 40
limit = "points"
"#;

const PROGRAM: &str = r#"
fn guard(req) {
    if req.headers.authorization != "Bearer yes" { refuse(401, #{error: "who are you?"}); }
    "somebody"
}
fn thing(req) {
    let found = get("things", req.params.id);
    if found == () { refuse(404, #{error: "none"}); }
    reply(200, found)
}
fn add(req) {
    let id = "" + next("things");
    put("things", id, #{id: id, name: req.body.name, by: req.caller});
    if req.body.name == "bad" { refuse(422, #{error: "no"}); }
    if setting("hook") != () { send(setting("hook"), "sign", #{id: id}, #{}); }
    reply(201, #{id: id})
}
fn sign(hook) { #{"x-signature": hmac_sha256_base64("secret", hook.body), "x-try": "" + hook.tries} }
fn throttled(req) { reply(429, #{error: req.limit.name}, #{"retry-after": "" + req.limit.wait_s}) }
fn too_costly(about) { reply(200, #{errors: [#{message: "too costly"}]}) }
fn too_fast(about) { reply(200, #{errors: [#{message: "THROTTLED"}]}) }
fn query_things(args, caller) { connection(select("things", #{sort: ["id"]}), args) }
fn Thing_upper(thing, args) { let n = thing.name; n.make_upper(); n }
fn mutation_rename(args, caller) {
    let found = get("things", args.id);
    if found == () { graphql_error("NOT_FOUND", "none"); return (); }
    found.name = args.name;
    if args.contains("@once") { found.key = args["@once"].key; }
    put("things", args.id, found);
    found
}
fn act_count(ask) { #{n: count("things", #{}), seen: count("things", #{indexed: true})} }
fn act_fail(ask) { no_such_function() }
"#;

const SCHEMA: &str = r#"
directive @once(key: String!) on FIELD
type Query { things(first: Int, after: String): Things! }
type Mutation { rename(id: ID!, name: String!): Thing }
type Things { nodes: [Thing!]! pageInfo: Page! }
type Page { hasNextPage: Boolean! endCursor: String }
type Thing { id: ID! name: String! upper: String! key: String }
"#;

async fn start(settings: Value) -> Sandbox {
    let files = [("profile.toml", MANIFEST), ("things.rhai", PROGRAM), ("schema.graphql", SCHEMA)];
    let files: BTreeMap<String, String> =
        files.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let setup = Setup {
        profile: Profile::read(&files).unwrap(),
        clock: FastClock::new(jiff::Timestamp::now(), 100.0),
        seed: 1,
        settings,
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    };
    let _ = rustls_ready();
    Sandbox::start(setup).await.unwrap()
}

/// The client in here speaks plain HTTP only, but wants to know its cryptography.
fn rustls_ready() -> bool {
    rustls::crypto::ring::default_provider().install_default().is_ok()
}

fn client() -> reqwest::Client {
    reqwest::Client::new()
}

async fn add(sandbox: &Sandbox, name: &str) -> Result<reqwest::Response, reqwest::Error> {
    let body = json!({"name": name}).to_string();
    client()
        .post(format!("{}/things", sandbox.url()))
        .header("authorization", "Bearer yes")
        .body(body)
        .send()
        .await
}

async fn graphql(sandbox: &Sandbox, query: &str, variables: Value) -> Value {
    let body = json!({"query": query, "variables": variables}).to_string();
    let answer = client().post(format!("{}/graphql", sandbox.url())).body(body).send().await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

fn counted(sandbox: &Sandbox) -> Value {
    sandbox.act("count", &json!({})).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_known_and_a_refusal_changes_nothing() {
    let sandbox = start(json!({})).await;
    let url = format!("{}/things/1", sandbox.url());
    assert_eq!(client().get(&url).send().await.unwrap().status(), 401);
    assert_eq!(add(&sandbox, "bad").await.unwrap().status(), 422);
    assert_eq!(counted(&sandbox)["n"], 0);
    assert_eq!(add(&sandbox, "a").await.unwrap().status(), 201);
    // The search index has not seen it yet.
    assert_eq!(counted(&sandbox), json!({"n": 1, "seen": 0}));
    // Numbers are drawn once: the refused one took the first.
    let found = client().get(format!("{}/things/2", sandbox.url())).header("authorization", "Bearer yes");
    let found: Value = serde_json::from_str(&found.send().await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(found, json!({"id": "2", "name": "a", "by": "somebody"}));
    assert!(sandbox.broken().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold() {
    let sandbox = start(json!({})).await;
    for _ in 0..5 {
        assert_eq!(add(&sandbox, "a").await.unwrap().status(), 201);
    }
    let refused = add(&sandbox, "a").await.unwrap();
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_of_work_that_was_done() {
    let sandbox = start(json!({})).await;
    sandbox.faults().set(Rates { lost: 1.0, ..Rates::default() });
    assert!(add(&sandbox, "a").await.is_err());
    assert_eq!(counted(&sandbox)["n"], 1);
    sandbox.faults().set(Rates { broken: 1.0, ..Rates::default() });
    assert!(add(&sandbox, "b").await.is_err());
    assert_eq!(counted(&sandbox)["n"], 1);
    assert_eq!(sandbox.faults().counts()["lost"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn graphql_is_held_against_the_schema_and_priced() {
    let sandbox = start(json!({})).await;
    for name in ["a", "b", "c"] {
        add(&sandbox, name).await.unwrap();
    }
    let query =
        "query($n: Int) { things(first: $n) { nodes { id upper } pageInfo { hasNextPage endCursor } } }";
    let first = graphql(&sandbox, query, json!({"n": 2})).await;
    assert_eq!(
        first["data"]["things"]["nodes"],
        json!([{"id": "1", "upper": "A"}, {"id": "2", "upper": "B"}])
    );
    assert_eq!(first["data"]["things"]["pageInfo"]["hasNextPage"], true);
    let rest = "query($n: Int, $at: String) { things(first: $n, after: $at) { nodes { id } } }";
    let at = &first["data"]["things"]["pageInfo"]["endCursor"];
    let rest = graphql(&sandbox, rest, json!({"n": 2, "at": at})).await;
    assert_eq!(rest["data"]["things"]["nodes"], json!([{"id": "3"}]));
    let unknown = graphql(&sandbox, "{ things { nodes { colour } } }", json!({})).await;
    assert!(unknown["errors"].to_string().contains("colour"), "{unknown}");
    let renamed = "mutation($key: String!) { rename(id: \"1\", name: \"z\") @once(key: $key) { name key } }";
    let renamed = graphql(&sandbox, renamed, json!({"key": "k"})).await;
    assert_eq!(renamed["data"]["rename"], json!({"name": "z", "key": "k"}));
    let missing = graphql(&sandbox, "mutation { rename(id: \"9\", name: \"z\") { name } }", json!({})).await;
    assert_eq!(missing["errors"][0]["extensions"]["code"], "NOT_FOUND");
    assert_eq!(graphql(&sandbox, query, json!({"n": 100})).await["errors"][0]["message"], "too costly");
    // What a query did not cost is given back; what it did is not.
    let cost = graphql(&sandbox, query, json!({"n": 20})).await["extensions"]["cost"].clone();
    assert!(cost["actualQueryCost"].as_f64() < cost["requestedQueryCost"].as_f64(), "{cost}");
    let mut last = json!(null);
    for _ in 0..20 {
        last = graphql(&sandbox, query, json!({"n": 20})).await;
    }
    assert_eq!(last["errors"][0]["message"], "THROTTLED");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_signed_and_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = format!("http://{}/hook", listener.local_addr().unwrap());
    let sandbox = start(json!({"hook": hook})).await;
    add(&sandbox, "a").await.unwrap();
    let mut seen = Vec::new();
    for status in ["500 No", "200 OK"] {
        let (mut stream, _) =
            tokio::time::timeout(Duration::from_secs(10), listener.accept()).await.unwrap().unwrap();
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while !text.contains("{\"id\":\"1\"}") {
            let n = stream.read(&mut buffer).await.unwrap();
            text.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        seen.push(text);
    }
    // Of {"id":"1"} under "secret", by OpenSSL.
    assert!(seen[0].contains("x-signature: YUYUKizgFZ6EwHZ4geTsgLw5faYlJufRn3B5XreUYMA="), "{}", seen[0]);
    assert!(seen[0].contains("x-try: 1") && seen[1].contains("x-try: 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_profile_is_told_as_one() {
    let sandbox = start(json!({})).await;
    assert!(
        matches!(sandbox.act("fail", &json!({})), Err(Refusal::Broken(text)) if text.contains("no_such_function"))
    );
    assert_eq!(sandbox.broken().len(), 1);
}
