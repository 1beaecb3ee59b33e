//! A running emulated ERP, and how a caller speaks to it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use counterpart_sandbox::clock::FastClock;
use counterpart_sandbox::profile::Profile;
use counterpart_sandbox::{Sandbox, Setup};
use serde_json::{Value, json};

pub const COMPANY: &str = "7dbba574-5f69-4167-a43e-fb975045de15";
pub const SCOPE: &str = "https://api.businesscentral.dynamics.com/.default";
/// Prices of an order: 7 x 8.49 less 1.23, at 21 % on top.
pub const LINE: (i64, f64, f64) = (7, 8.49, 1.23);

/// A running system with a caller who is logged in.
pub struct Erp {
    pub sandbox: Sandbox,
    pub client: reqwest::Client,
    pub token: String,
    pub seed: Value,
}

/// An answer: status, headers, body.
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<String>,
    pub body: Value,
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Erp {
    /// Time goes by `rate` times as fast as outside.
    pub async fn start(rate: f64) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../connectors/business-central/emulator");
        let files: BTreeMap<String, String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let text = std::fs::read_to_string(entry.path()).unwrap();
                (entry.file_name().to_string_lossy().into_owned(), text)
            })
            .collect();
        let sandbox = Sandbox::start(Setup {
            profile: Profile::read(&files).unwrap(),
            clock: FastClock::new("2026-03-02T08:00:00Z".parse().unwrap(), rate),
            seed: 7,
            settings: json!({
                "tenant": "contoso", "client_id": "hub", "client_secret": "s3cret", "company": COMPANY, "currency": "EUR",
            }),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        })
        .await
        .unwrap();
        let seed = sandbox
            .act(
                "seed",
                &json!({
                    "currency": "EUR",
                    "locations": [{"code": "MAIN", "name": "Main"}, {"code": "EAST", "name": "East"}],
                    "items": [
                        {"sku": "A-1", "title": "Lamp", "price": "8.49", "stock": {"MAIN": "100", "EAST": "5"}},
                        {"sku": "B-2", "title": "Bulb", "price": "10", "stock": {"MAIN": "50"}, "unit": "CARTON", "factor": "12"},
                    ],
                    "tax_groups": [{"code": "VAT21", "rate": "21"}, {"code": "VAT7", "rate": "7"}],
                    "guest": true,
                }),
            )
            .unwrap();
        let mut erp = Self { sandbox, client: reqwest::Client::new(), token: String::new(), seed };
        erp.log_in().await;
        erp
    }

    pub async fn log_in(&mut self) {
        let told = self.login_with("contoso", "s3cret", "client_credentials").await;
        assert_eq!(told.status, 200, "{}", told.body);
        assert_eq!(told.body["expires_in"], 3599);
        self.token = told.body["access_token"].as_str().unwrap().to_owned();
    }

    pub async fn login_with(&self, tenant: &str, secret: &str, grant: &str) -> Answer {
        let form = [("grant_type", grant), ("client_id", "hub"), ("client_secret", secret), ("scope", SCOPE)];
        let form = form.map(|(k, v)| format!("{k}={}", v.replace(':', "%3A").replace('/', "%2F"))).join("&");
        let request = self
            .client
            .post(format!("{}/{tenant}/oauth2/v2.0/token", self.sandbox.url()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        answer(request).await
    }

    pub fn base(&self) -> String {
        format!("{}/v2.0/contoso/production/api/v2.0", self.sandbox.url())
    }

    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let url = if path.starts_with("http") { path.to_owned() } else { self.base() + path };
        let mut request = self.client.request(method.parse().unwrap(), url).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    /// A path within the company.
    pub async fn at(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        self.ask(method, &format!("/companies({COMPANY}){path}"), headers, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.at("GET", path, &[], None).await
    }

    pub async fn batch(&self, requests: Value, whole: bool) -> Vec<Value> {
        let headers: &[_] = if whole { &[("isolation", "snapshot")] } else { &[] };
        let told = self.ask("POST", "/$batch", headers, Some(json!({"requests": requests}))).await;
        assert_eq!(told.status, 200, "{}", told.body);
        told.body["responses"].as_array().unwrap().clone()
    }

    pub fn item(&self, sku: &str) -> &str {
        self.seed["items"][sku].as_str().unwrap()
    }

    pub async fn account(&self, number: &str) -> String {
        let told = self.get(&format!("/accounts?$filter=number eq '{number}'")).await;
        told.body["value"][0]["id"].as_str().unwrap().to_owned()
    }

    /// An order with one line, its discount included.
    pub async fn order(&self, reference: &str, gross: bool) -> Value {
        let body = json!({
            "customerId": self.seed["guest_customer"],
            "externalDocumentNumber": reference,
            "pricesIncludeTax": gross,
            "salesOrderLines": [{"itemId": self.item("A-1"), "lineType": "Item", "quantity": LINE.0, "unitPrice": LINE.1}],
        });
        let made = self.at("POST", "/salesOrders", &[], Some(body)).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let id = made.body["id"].as_str().unwrap();
        let line = made.body["salesOrderLines"][0]["id"].as_str().unwrap();
        let path = format!("/salesOrders({id})/salesOrderLines({line})");
        let told =
            self.at("PATCH", &path, &[("if-match", "*")], Some(json!({"discountAmount": LINE.2}))).await;
        assert_eq!(told.status, 200, "{}", told.body);
        self.get(&format!("/salesOrders({id})?$expand=salesOrderLines")).await.body
    }

    pub fn act(&self, action: &str, with: &Value) -> Value {
        self.sandbox.act(action, with).unwrap()
    }

    /// Nothing of the profile failed.
    pub fn sound(&self) {
        assert_eq!(self.sandbox.broken(), Vec::<String>::new());
    }
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let told = request.send().await.unwrap();
    let status = told.status().as_u16();
    let retry_after = told.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
    let text = told.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, retry_after, body }
}
