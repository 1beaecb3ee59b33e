//! The profile of HubSpot behaves as its contract says, and refuses what the vendor refuses.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use counterpart_sandbox::clock::FastClock;
use counterpart_sandbox::faults::Rates;
use counterpart_sandbox::profile::Profile;
use counterpart_sandbox::{Sandbox, Setup};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const OBJECTS: &str = "/crm/objects/2026-03";

struct Crm {
    sandbox: Sandbox,
    client: reqwest::Client,
    token: String,
}

struct Answer {
    status: u16,
    body: Value,
    headers: BTreeMap<String, String>,
}

impl Crm {
    /// One whose clock runs so many times as fast as the wall's.
    async fn start(rate: f64, more: Value) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../connectors/hubspot/emulator");
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            files.insert(name, std::fs::read_to_string(entry.path()).unwrap());
        }
        let mut settings = json!({
            "access_token": "private", "client_id": "client", "client_secret": "secret", "refresh_token": "refresh",
        });
        for (name, value) in more.as_object().unwrap() {
            settings[name] = value.clone();
        }
        let setup = Setup {
            profile: Profile::read(&files).unwrap(),
            clock: FastClock::new("2026-11-25T08:00:00Z".parse().unwrap(), rate),
            seed: 1,
            settings,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let sandbox = Sandbox::start(setup).await.unwrap();
        sandbox.act("seed", &json!({})).unwrap();
        Self { sandbox, client: reqwest::Client::new(), token: "private".to_owned() }
    }

    async fn sent(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let headers =
            answer.headers().iter().map(|(k, v)| (k.to_string(), v.to_str().unwrap().to_owned())).collect();
        let text = answer.text().await.unwrap();
        Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)), headers }
    }

    async fn get(&self, path: &str) -> Answer {
        let url = format!("{}{path}", self.sandbox.url());
        self.sent(self.client.get(url).bearer_auth(&self.token)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        let url = format!("{}{path}", self.sandbox.url());
        self.sent(self.client.post(url).bearer_auth(&self.token).json(&body)).await
    }

    async fn patch(&self, path: &str, properties: Value) -> Answer {
        let url = format!("{}{path}", self.sandbox.url());
        let body = json!({"properties": properties});
        self.sent(self.client.patch(url).bearer_auth(&self.token).json(&body)).await
    }

    async fn delete(&self, path: &str) -> Answer {
        let url = format!("{}{path}", self.sandbox.url());
        self.sent(self.client.delete(url).bearer_auth(&self.token)).await
    }

    async fn new_token(&self, refresh: &str, secret: &str) -> Answer {
        let url = format!("{}/oauth/2026-03/token", self.sandbox.url());
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "client"),
            ("client_secret", secret),
            ("refresh_token", refresh),
        ];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request =
            self.client.post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
        self.sent(request).await
    }

    async fn make(&self, kind: &str, properties: Value) -> String {
        let made = self
            .post(&format!("{OBJECTS}/{kind}"), json!({"properties": properties, "associations": []}))
            .await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["id"].as_str().unwrap().to_owned()
    }

    async fn upsert(&self, kind: &str, by: &str, rows: &[(&str, Value)]) -> Answer {
        let inputs: Vec<Value> =
            rows.iter().map(|(id, p)| json!({"id": id, "idProperty": by, "properties": p})).collect();
        self.post(&format!("{OBJECTS}/{kind}/batch/upsert"), json!({"inputs": inputs})).await
    }

    async fn associate(&self, from: (&str, &str), to: (&str, &str)) -> Answer {
        let path = format!("/crm/associations/2026-03/{}/{}/batch/associate/default", from.0, to.0);
        self.post(&path, json!({"inputs": [{"from": {"id": from.1}, "to": {"id": to.1}}]})).await
    }

    fn act(&self, action: &str, with: Value) -> Value {
        self.sandbox.act(action, &with).unwrap()
    }

    fn sound(&self) {
        assert_eq!(self.sandbox.broken(), Vec::<String>::new());
    }
}

fn code(answer: &Answer) -> &str {
    answer.body["errors"][0]["code"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_held_against_the_properties() {
    let crm = Crm::start(100.0, json!({})).await;
    let write = async |properties: Value| {
        crm.post(&format!("{OBJECTS}/contacts"), json!({"properties": properties, "associations": []})).await
    };
    for (properties, wanted) in [
        (json!({"email": "a@example.com", "nobody_made_this": "x"}), "PROPERTY_DOESNT_EXIST"),
        (json!({"email": "a@example.com", "hs_object_id": "1"}), "READ_ONLY_VALUE"),
        (json!({"email": "a@example.com", "createdate": "1"}), "READ_ONLY_VALUE"),
        (json!({"email": "a@example.com", "lastmodifieddate": "1"}), "READ_ONLY_VALUE"),
        (json!({"email": "a@example.com", "lifecyclestage": "hero"}), "INVALID_OPTION"),
        (json!({"email": "nowhere"}), "INVALID_EMAIL"),
    ] {
        let refused = write(properties).await;
        assert_eq!((refused.status, code(&refused)), (400, wanted), "{}", refused.body);
        assert_eq!(refused.body["category"], "VALIDATION_ERROR");
    }
    assert_eq!(write(json!({"email": 7})).await.status, 400);
    assert_eq!(write(json!({"phone": "+49 30 1"})).await.status, 400);
    let whole =
        crm.post(&format!("{OBJECTS}/contacts"), json!({"properties": {"email": "a@example.com"}})).await;
    assert_eq!(whole.status, 400, "associations must be there");
    let odd = json!({"properties": {"email": "a@example.com"}, "associations": [], "more": 1});
    assert_eq!(crm.post(&format!("{OBJECTS}/contacts"), odd).await.status, 400);

    let id = crm.make("contacts", json!({"email": "Ada@Example.com", "firstname": "Ada"})).await;
    let taken = write(json!({"email": "ada@example.com"})).await;
    assert_eq!(taken.status, 409);
    assert_eq!(taken.body["message"], format!("Contact already exists. Existing ID: {id}"));
    let order = crm
        .make("orders", json!({"hs_order_name": "1", "hs_total_price": "12.50", "hs_currency_code": "EUR"}))
        .await;
    let path = format!("{OBJECTS}/orders/{order}");
    for properties in
        [json!({"hs_pipeline_stage": "none"}), json!({"hs_currency_code": "XYZ"}), json!({"hs_tax": "much"})]
    {
        assert_eq!(crm.patch(&path, properties).await.status, 400);
    }
    assert_eq!(
        crm.get(&format!("{path}?properties=hs_total_price")).await.body["properties"]["hs_total_price"],
        "12.50"
    );
    assert_eq!(
        crm.post(&format!("{OBJECTS}/deals"), json!({"properties": {"dealname": "x"}, "associations": []}))
            .await
            .status,
        400
    );
    crm.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_found_by_its_id_or_a_unique_property() {
    let crm = Crm::start(100.0, json!({})).await;
    let id = crm
        .make("contacts", json!({"email": "ada@example.com", "firstname": "Ada", "counterpart_id": "k1"}))
        .await;
    for path in [
        format!("{id}?properties=email&properties=city&properties=unheard_of"),
        "ada%40example%2Ecom?idProperty=email&properties=email,city".to_owned(),
        "k1?idProperty=counterpart_id&properties=email&properties=city".to_owned(),
    ] {
        let read = crm.get(&format!("{OBJECTS}/contacts/{path}")).await;
        assert_eq!(read.status, 200, "{path}");
        assert_eq!(read.body["id"], id);
        assert_eq!(read.body["properties"]["email"], "ada@example.com");
        assert_eq!(read.body["properties"]["city"], Value::Null);
        let names: Vec<&String> = read.body["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["city", "createdate", "email", "hs_object_id", "lastmodifieddate"]);
    }
    assert_eq!(crm.get(&format!("{OBJECTS}/contacts/Ada?idProperty=firstname")).await.status, 400);
    assert_eq!(crm.get(&format!("{OBJECTS}/contacts/Ada")).await.status, 404);
    assert_eq!(crm.get(&format!("{OBJECTS}/contacts/1")).await.status, 404);
    assert_eq!(crm.get(&format!("{OBJECTS}/widgets/1")).await.status, 400);
    assert_eq!(crm.get("/crm/objects/2031-01/contacts").await.status, 404);
    // What was archived is read only where it is asked for, and frees what was unique.
    assert_eq!(crm.delete(&format!("{OBJECTS}/contacts/{id}")).await.status, 204);
    assert_eq!(crm.delete(&format!("{OBJECTS}/contacts/{id}")).await.status, 204);
    assert_eq!(crm.get(&format!("{OBJECTS}/contacts/{id}")).await.status, 404);
    assert_eq!(crm.get(&format!("{OBJECTS}/contacts/{id}?archived=true")).await.body["archived"], true);
    crm.make("contacts", json!({"email": "ada@example.com"})).await;
    crm.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_on_after_a_cursor() {
    let crm = Crm::start(1000.0, json!({})).await;
    for i in 0..7 {
        crm.make("companies", json!({"name": format!("Company {i}")})).await;
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = crm.get(&format!("{OBJECTS}/companies?limit=3&after={after}&properties=name")).await;
        assert_eq!(page.status, 200);
        seen.extend(page.body["results"].as_array().unwrap().iter().map(|c| c["properties"]["name"].clone()));
        match page.body["paging"]["next"]["after"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 7);
    assert_eq!(seen[6], "Company 6");
    assert_eq!(crm.get(&format!("{OBJECTS}/companies?limit=101")).await.status, 400);
    assert_eq!(crm.get(&format!("{OBJECTS}/companies?size=1")).await.status, 400);
    crm.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_whole_or_told_row_by_row() {
    let crm = Crm::start(1000.0, json!({})).await;
    let first = crm.upsert("products", "counterpart_id", &[("p1", json!({"name": "One"}))]).await;
    assert_eq!((first.status, &first.body["results"][0]["new"]), (200, &json!(true)));
    let again = crm.upsert("products", "counterpart_id", &[("p1", json!({"hs_sku": "S"}))]).await;
    assert_eq!((again.status, &again.body["results"][0]["new"]), (200, &json!(false)));
    assert_eq!(again.body["results"][0]["id"], first.body["results"][0]["id"]);
    // Without trace ids one bad row is the end of all.
    let rows = [("p2", json!({"name": "Two"})), ("p3", json!({"name": "Three", "price": "dear"}))];
    assert_eq!(crm.upsert("products", "counterpart_id", &rows).await.status, 400);
    assert_eq!(crm.get(&format!("{OBJECTS}/products/p2?idProperty=counterpart_id")).await.status, 404);
    let traced: Vec<Value> = rows
        .iter()
        .map(|(id, p)| json!({"id": id, "idProperty": "counterpart_id", "objectWriteTraceId": format!("t-{id}"), "properties": p}))
        .collect();
    let told = crm.post(&format!("{OBJECTS}/products/batch/upsert"), json!({"inputs": traced})).await;
    assert_eq!((told.status, &told.body["numErrors"]), (207, &json!(1)));
    assert_eq!(told.body["results"][0]["objectWriteTraceId"], "t-p2");
    assert_eq!(told.body["errors"][0]["context"]["objectWriteTraceId"], json!(["t-p3"]));
    // Each id once, at most a hundred, by a property whose values are unique.
    let twice = [("p4", json!({"name": "Four"})), ("p4", json!({"name": "Five"}))];
    assert_eq!(crm.upsert("products", "counterpart_id", &twice).await.status, 400);
    let names: Vec<String> = (0..101).map(|i| format!("q{i}")).collect();
    let many: Vec<(&str, Value)> = names.iter().map(|n| (n.as_str(), json!({"name": n}))).collect();
    assert_eq!(crm.upsert("products", "counterpart_id", &many).await.status, 400);
    assert_eq!(crm.upsert("products", "counterpart_id", &many[..100]).await.status, 200);
    assert_eq!(crm.upsert("products", "name", &[("One", json!({}))]).await.status, 400);
    // Reading a batch names what is not there; a value that another holds names that other.
    let one = first.body["results"][0]["id"].as_str().unwrap();
    let ask =
        json!({"inputs": [{"id": one}, {"id": "1"}], "properties": ["name"], "propertiesWithHistory": []});
    let read = crm.post(&format!("{OBJECTS}/products/batch/read"), ask).await;
    assert_eq!((read.status, &read.body["errors"][0]["context"]["ids"]), (207, &json!(["1"])));
    let clash = crm.patch(&format!("{OBJECTS}/products/{one}"), json!({"counterpart_id": "p2"})).await;
    assert_eq!((clash.status, code(&clash)), (400, "CONFLICTING_UNIQUE_VALUE"));
    let other = crm.get(&format!("{OBJECTS}/products/p2?idProperty=counterpart_id")).await;
    assert!(clash.body["message"].as_str().unwrap().contains(other.body["id"].as_str().unwrap()));
    let gone = crm.post(&format!("{OBJECTS}/products/batch/archive"), json!({"inputs": [{"id": one}]})).await;
    assert_eq!(gone.status, 204);
    let created = json!({"inputs": [{"properties": {"name": "C"}, "associations": []}]});
    assert_eq!(crm.post(&format!("{OBJECTS}/products/batch/create"), created).await.status, 201);
    let changed = json!({"inputs": [{"id": other.body["id"], "properties": {"name": "Changed"}}]});
    let changed = crm.post(&format!("{OBJECTS}/products/batch/update"), changed).await;
    assert_eq!((changed.status, &changed.body["results"][0]["properties"]["name"]), (200, &json!("Changed")));
    crm.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn associations_go_both_ways_and_move_no_date() {
    let crm = Crm::start(100.0, json!({})).await;
    let order = crm.make("orders", json!({"hs_order_name": "1001"})).await;
    let contact = crm.make("contacts", json!({"email": "ada@example.com"})).await;
    let company = crm.make("companies", json!({"name": "Engines"})).await;
    let line = crm
        .make("line_items", json!({"name": "x", "quantity": "3", "price": "10.00", "discount": "0.50"}))
        .await;
    let before = crm.get(&format!("{OBJECTS}/contacts/{contact}")).await.body["updatedAt"].clone();
    for (from, to) in [
        (("orders", order.as_str()), ("contacts", contact.as_str())),
        (("line_items", line.as_str()), ("orders", order.as_str())),
        (("contacts", contact.as_str()), ("companies", company.as_str())),
        (("contacts", contact.as_str()), ("companies", company.as_str())),
    ] {
        assert_eq!(crm.associate(from, to).await.status, 200);
    }
    let note = json!({
        "properties": {"hs_timestamp": "2026-11-25T08:00:00Z", "hs_note_body": "Shipped"},
        "associations": [{"to": {"id": order}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 765}]}],
    });
    assert_eq!(crm.post(&format!("{OBJECTS}/notes"), note).await.status, 201);
    let read = crm
        .get(&format!(
            "{OBJECTS}/orders/{order}?associations=contacts&associations=line_items&associations=notes"
        ))
        .await;
    let linked = &read.body["associations"];
    assert_eq!(linked["contacts"]["results"][0], json!({"id": contact, "type": "order_to_contact"}));
    assert_eq!(linked["line items"]["results"][0]["id"], line);
    assert_eq!(linked["notes"]["results"].as_array().unwrap().len(), 1);
    let read = crm.get(&format!("{OBJECTS}/contacts/{contact}?properties=associatedcompanyid")).await;
    assert_eq!(
        (&read.body["updatedAt"], &read.body["properties"]["associatedcompanyid"]),
        (&before, &json!(company))
    );
    let read = crm
        .post("/crm/associations/2026-03/contacts/companies/batch/read", json!({"inputs": [{"id": contact}]}))
        .await;
    let types: Vec<&Value> = read.body["results"][0]["to"][0]["associationTypes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["typeId"])
        .collect();
    assert_eq!(types, [279, 1]);
    assert_eq!(
        crm.get(&format!("{OBJECTS}/line_items/{line}?properties=amount")).await.body["properties"]["amount"],
        "28.50"
    );
    assert_eq!(crm.associate(("orders", &order), ("contacts", "1")).await.status, 404);
    assert_eq!(crm.associate(("products", "1"), ("contacts", &contact)).await.status, 400);
    let gone = json!({"inputs": [{"from": {"id": order}, "to": [{"id": contact}]}]});
    assert_eq!(crm.post("/crm/v4/associations/orders/contacts/batch/archive", gone).await.status, 204);
    let read = crm.get(&format!("{OBJECTS}/contacts/{contact}?associations=orders")).await;
    assert_eq!(read.body["associations"], json!({}));
    crm.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_search_lags_and_has_its_own_limit() {
    let crm = Crm::start(1.0, json!({})).await;
    crm.make("contacts", json!({"email": "ada@example.com", "firstname": "Ada"})).await;
    let ask = |after: &str, limit: u32| {
        json!({
            "filterGroups": [{"filters": [{"propertyName": "lastmodifieddate", "operator": "GTE", "value": "1795000000000"}]}],
            "sorts": ["lastmodifieddate"], "properties": ["email"], "limit": limit, "after": after,
        })
    };
    let path = format!("{OBJECTS}/contacts/search");
    assert_eq!(crm.post(&path, ask("0", 200)).await.body["total"], 0);
    assert_eq!(crm.post(&path, ask("0", 201)).await.status, 400);
    assert_eq!(crm.post(&path, ask("9900", 200)).await.status, 400);
    assert_eq!(crm.post(&path, json!({"filterGroups": []})).await.status, 400);
    tokio::time::sleep(Duration::from_millis(5200)).await;
    let found = crm.post(&path, ask("0", 200)).await;
    assert_eq!(
        (found.status, &found.body["results"][0]["properties"]["email"]),
        (200, &json!("ada@example.com"))
    );
    assert!(!found.headers.contains_key("x-hubspot-ratelimit-max"));
    let mut last = 200;
    for _ in 0..6 {
        let answer = crm.post(&path, ask("0", 1)).await;
        last = answer.status;
        if last == 429 {
            assert_eq!(answer.body["policyName"], "SECONDLY");
            break;
        }
    }
    assert_eq!(last, 429);
    let told = crm.get(&format!("{OBJECTS}/contacts")).await;
    assert_eq!(told.headers["x-hubspot-ratelimit-max"], "100");
    assert_eq!(told.headers["x-hubspot-ratelimit-interval-milliseconds"], "10000");
    assert!(told.headers.contains_key("x-hubspot-ratelimit-daily-remaining"));
    let mut refused = None;
    for _ in 0..110 {
        let answer = crm.get(&format!("{OBJECTS}/contacts?limit=1")).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    assert_eq!(refused.unwrap().body["policyName"], "TEN_SECONDLY_ROLLING");
    crm.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_contacts_become_a_third() {
    let crm = Crm::start(100.0, json!({})).await;
    let ada = crm
        .make("contacts", json!({"email": "ada@example.com", "firstname": "Ada", "counterpart_id": "k1"}))
        .await;
    let bob = crm
        .make("contacts", json!({"email": "bob@example.com", "city": "Berlin", "counterpart_id": "k2"}))
        .await;
    let order = crm.make("orders", json!({"hs_order_name": "1"})).await;
    crm.associate(("orders", &order), ("contacts", &bob)).await;
    let third = crm.act("merge_contacts", json!({"primary": "ada@example.com", "other": "bob@example.com"}));
    for old in [&ada, &bob] {
        let path = format!(
            "{OBJECTS}/contacts/{old}?properties=hs_merged_object_ids,hs_additional_emails,city,counterpart_id&associations=orders"
        );
        let read = crm.get(&path).await;
        assert_eq!(read.body["id"], third["id"]);
        assert_eq!(read.body["properties"]["hs_merged_object_ids"], format!("{ada};{bob}"));
        assert_eq!(read.body["properties"]["hs_additional_emails"], "bob@example.com");
        assert_eq!(read.body["properties"]["city"], "Berlin");
        assert_eq!(read.body["properties"]["counterpart_id"], "k1");
        assert_eq!(read.body["associations"]["orders"]["results"][0]["id"], order);
    }
    assert_eq!(crm.get(&format!("{OBJECTS}/contacts/k2?idProperty=counterpart_id")).await.status, 404);
    let taken = crm
        .post(
            &format!("{OBJECTS}/contacts"),
            json!({"properties": {"email": "bob@example.com"}, "associations": []}),
        )
        .await;
    assert_eq!(taken.status, 409);
    let report = crm.act("report", json!({}));
    assert_eq!(report["contacts"].as_array().unwrap().len(), 1);
    assert_eq!(report["orders"][0]["contacts"][0], third["id"]);
    crm.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_end_and_are_renewed() {
    let mut crm = Crm::start(1000.0, json!({"rotate_refresh_tokens": true})).await;
    assert_eq!(crm.new_token("refresh", "wrong").await.body["status"], "BAD_CLIENT_SECRET");
    let got = crm.new_token("refresh", "secret").await;
    assert_eq!((got.status, &got.body["expires_in"]), (200, &json!(1800)));
    let used = crm.new_token("refresh", "secret").await;
    assert_eq!((used.status, &used.body["status"]), (400, &json!("BAD_REFRESH_TOKEN")));
    crm.token = got.body["access_token"].as_str().unwrap().to_owned();
    let read = crm.get(&format!("{OBJECTS}/contacts")).await;
    assert_eq!(read.status, 200);
    assert!(!read.headers.contains_key("x-hubspot-ratelimit-daily"));
    tokio::time::sleep(Duration::from_millis(1900)).await;
    let ended = crm.get(&format!("{OBJECTS}/contacts")).await;
    assert_eq!((ended.status, &ended.body["category"]), (401, &json!("EXPIRED_AUTHENTICATION")));
    let got = crm.new_token(got.body["refresh_token"].as_str().unwrap(), "secret").await;
    crm.token = got.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(crm.get(&format!("{OBJECTS}/contacts")).await.status, 200);
    crm.act("revoke_tokens", json!({"refresh": true, "access_token": "another"}));
    assert_eq!(crm.get(&format!("{OBJECTS}/contacts")).await.status, 401);
    assert_eq!(crm.new_token(got.body["refresh_token"].as_str().unwrap(), "secret").await.status, 400);
    crm.token = "private".to_owned();
    assert_eq!(crm.get(&format!("{OBJECTS}/contacts")).await.status, 401);
    crm.token = "another".to_owned();
    assert_eq!(crm.get(&format!("{OBJECTS}/contacts")).await.status, 200);
    crm.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_named() {
    let crm = Crm::start(100.0, json!({"scopes": ["crm.objects.contacts.read"]})).await;
    assert_eq!(crm.get(&format!("{OBJECTS}/contacts")).await.status, 200);
    let refused = crm
        .post(
            &format!("{OBJECTS}/contacts"),
            json!({"properties": {"email": "a@example.com"}, "associations": []}),
        )
        .await;
    assert_eq!((refused.status, &refused.body["category"]), (403, &json!("MISSING_SCOPES")));
    let named = &refused.body["errors"][0]["context"]["requiredGranularScopes"][0];
    assert_eq!(named, "crm.objects.contacts.write");
    crm.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_are_made_before_they_are_used() {
    let crm = Crm::start(100.0, json!({})).await;
    let make = async |property: Value| crm.post("/crm/properties/2026-03/tickets", property).await;
    let property = json!({"name": "shop_id", "label": "Shop id", "groupName": "ticketinformation", "type": "string", "fieldType": "text", "hasUniqueValue": true});
    assert_eq!(make(property.clone()).await.status, 201);
    assert_eq!(make(property.clone()).await.status, 409);
    assert_eq!(make(json!({"name": "x"})).await.status, 400);
    let mut odd = property;
    odd["name"] = json!("shop_odd");
    odd["fieldType"] = json!("number");
    assert_eq!(make(odd).await.status, 400);
    let listed = crm.get("/crm/properties/2026-03/tickets").await;
    assert!(
        listed.body["results"]
            .as_array()
            .unwrap()
            .iter()
            .any(|p| p["name"] == "shop_id" && p["hasUniqueValue"] == true)
    );
    let made = crm
        .upsert("tickets", "shop_id", &[("t1", json!({"subject": "Where is it", "hs_pipeline_stage": "1"}))])
        .await;
    assert_eq!(made.status, 200, "{}", made.body);
    crm.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_told_in_the_vendors_way() {
    let crm = Crm::start(1000.0, json!({})).await;
    crm.sandbox.faults().set(Rates { failed: 1.0, ..Rates::default() });
    for _ in 0..20 {
        let answer = crm.get(&format!("{OBJECTS}/contacts")).await;
        assert!([477, 500, 502, 503, 504].contains(&answer.status), "{}", answer.status);
        assert_eq!(answer.status == 477, answer.headers.contains_key("retry-after"));
    }
    crm.sandbox.faults().set(Rates { inside: 1.0, ..Rates::default() });
    let row = json!({"id": "p1", "idProperty": "counterpart_id", "objectWriteTraceId": "t1", "properties": {"name": "One"}});
    let told = crm.post(&format!("{OBJECTS}/products/batch/upsert"), json!({"inputs": [row]})).await;
    assert_eq!(
        (told.status, &told.body["errors"][0]["context"]["objectWriteTraceId"][0]),
        (207, &json!("t1"))
    );
    assert_eq!(crm.act("report", json!({}))["products"], json!([]));
    crm.sound();
}

/// Takes messages: the first is refused, all others are taken.
async fn taker(
    listener: TcpListener,
    told: tokio::sync::mpsc::UnboundedSender<(BTreeMap<String, String>, String)>,
) {
    let mut first = true;
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut raw = Vec::new();
        let (headers, body) = loop {
            let mut part = [0; 4096];
            let many = stream.read(&mut part).await.unwrap();
            raw.extend_from_slice(&part[..many]);
            let text = String::from_utf8_lossy(&raw).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let headers: BTreeMap<String, String> = head
                .lines()
                .filter_map(|l| l.split_once(": "))
                .map(|(k, v)| (k.to_lowercase(), v.to_owned()))
                .collect();
            if body.len() >= headers["content-length"].parse::<usize>().unwrap() {
                break (headers, body.to_owned());
            }
        };
        let status = if first { "500 Internal Server Error" } else { "200 OK" };
        first = false;
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = told.send((headers, body));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_gathered_signed_and_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks/crm", listener.local_addr().unwrap());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let task = tokio::spawn(taker(listener, tell));
    let crm = Crm::start(500.0, json!({"webhook_url": url})).await;
    crm.make("contacts", json!({"email": "ada@example.com", "firstname": "Ada"})).await;
    for attempt in 0..2 {
        let (headers, body) =
            tokio::time::timeout(Duration::from_secs(10), told.recv()).await.unwrap().unwrap();
        let stamp = &headers["x-hubspot-request-timestamp"];
        let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
        mac.update(format!("POST{url}{body}{stamp}").as_bytes());
        assert_eq!(headers["x-hubspot-signature-v3"], BASE64.encode(mac.finalize().into_bytes()));
        let events: Value = serde_json::from_str(&body).unwrap();
        let kinds: Vec<&str> =
            events.as_array().unwrap().iter().map(|e| e["subscriptionType"].as_str().unwrap()).collect();
        assert_eq!(kinds[0], "contact.creation");
        assert!(kinds.contains(&"contact.propertyChange"));
        let ours = |e: &Value| e["attemptNumber"] == attempt && e["changeSource"] == "INTEGRATION";
        assert!(events.as_array().unwrap().iter().all(ours));
    }
    crm.act("edit_contact", json!({"email": "ada@example.com", "first_name": "Adele"}));
    let (_, body) = tokio::time::timeout(Duration::from_secs(10), told.recv()).await.unwrap().unwrap();
    let events: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(events[0]["propertyName"], "firstname");
    assert_eq!(events[0]["propertyValue"], "Adele");
    assert_eq!(events[0]["changeSource"], "CRM_UI");
    task.abort();
    crm.sound();
}
