//! The profile of Business Central over HTTP: what it does and, above all, what it refuses.

#![allow(clippy::unwrap_used)]

#[path = "business-central/erp.rs"]
mod erp;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use counterpart_sandbox::faults::Rates;
use serde_json::{Value, json};

use erp::*;

#[tokio::test(flavor = "multi_thread")]
async fn who_may_come_in() {
    let mut erp = Erp::start(1.0).await;
    let told = erp.login_with("contoso", "wrong", "client_credentials").await;
    assert_eq!((told.status, told.body["error"].as_str().unwrap()), (401, "invalid_client"));
    let told = erp.login_with("contoso", "s3cret", "password").await;
    assert_eq!((told.status, told.body["error"].as_str().unwrap()), (400, "unsupported_grant_type"));
    assert_eq!(erp.login_with("fabrikam", "s3cret", "client_credentials").await.status, 400);

    let good = std::mem::replace(&mut erp.token, "nonsense".into());
    assert_eq!(erp.get("/items").await.code(), "Authentication_InvalidCredentials");
    erp.token = good;
    assert_eq!(erp.get("/items").await.status, 200);
    erp.act("revoke_tokens", &json!({}));
    assert_eq!(erp.get("/items").await.status, 401);
    erp.log_in().await;
    assert_eq!(erp.get("/items").await.status, 200);

    // A token lasts for 3,599 seconds of the system's own time.
    let hasty = Erp::start(2000.0).await;
    let since = Instant::now();
    while hasty.get("/items?$top=1").await.status == 200 {
        assert!(since.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(since.elapsed() > Duration::from_secs(1), "{:?}", since.elapsed());

    let url = erp.sandbox.url();
    let other = format!("{url}/v2.0/contoso/sandbox/api/v2.0/companies");
    assert_eq!(erp.ask("GET", &other, &[], None).await.status, 404);
    let older = format!("{url}/v2.0/contoso/production/api/v1.0/companies");
    assert_eq!(erp.ask("GET", &older, &[], None).await.code(), "BadRequest_ResourceNotFound");
    let nobody = "/companies(00000000-0000-4000-8000-000000000000)/items";
    assert_eq!(erp.ask("GET", nobody, &[], None).await.code(), "Internal_CompanyNotFound");
    assert_eq!(erp.get("/widgets").await.code(), "BadRequest_ResourceNotFound");
    erp.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_from_its_head_to_its_invoices() {
    let erp = Erp::start(1.0).await;
    let order = erp.order("#1001", false).await;
    let id = order["id"].as_str().unwrap();
    // 59.43 - 1.23 = 58.20, and 21 % of it.
    assert_eq!(order["totalAmountExcludingTax"], json!(58.2));
    assert_eq!(order["totalTaxAmount"], json!(12.22));
    assert_eq!(order["status"], "Draft");
    let found =
        erp.get("/salesOrders?$filter=externalDocumentNumber eq '%231001'&$expand=salesOrderLines").await;
    assert_eq!(found.body["value"][0]["salesOrderLines"][0]["discountAmount"], json!(1.23));

    let line = order["salesOrderLines"][0]["id"].as_str().unwrap();
    let before = erp.get(&format!("/items({})", erp.item("A-1"))).await.body;
    erp.act("ship_order", &json!({"id": id, "lines": [{"id": line, "quantity": "3"}], "tracking": "T1"}));
    let after = erp.get(&format!("/items({})", erp.item("A-1"))).await.body;
    assert_eq!((before["inventory"].as_i64(), after["inventory"].as_i64()), (Some(105), Some(102)));
    assert_eq!(before["lastModifiedDateTime"], after["lastModifiedDateTime"], "stock is not the item's own");
    assert_eq!(before["@odata.etag"], after["@odata.etag"]);
    let entries =
        erp.get("/itemLedgerEntries?$orderby=entryNumber&$select=entryNumber,itemNumber,quantity").await;
    let numbers: Vec<i64> = entries.body["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["entryNumber"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(entries.body["value"][3]["quantity"], json!(-3));

    let now = erp.get(&format!("/salesOrders({id})")).await.body;
    assert_eq!(now["status"], "Open");
    assert_ne!(now["lastModifiedDateTime"], order["lastModifiedDateTime"]);
    let kept = erp.at("DELETE", &format!("/salesOrders({id})"), &[("if-match", "*")], None).await;
    assert_eq!((kept.status, kept.code()), (400, "Application_FieldValidationException"));
    let path = format!("/salesOrders({id})/salesOrderLines({line})");
    let kept = erp.at("PATCH", &path, &[("if-match", "*")], Some(json!({"quantity": 9}))).await;
    assert_eq!(kept.code(), "Application_FieldValidationException", "it is released");

    erp.act("invoice_order", &json!({"id": id}));
    erp.act("ship_order", &json!({"id": id, "tracking": "T2"}));
    erp.act("invoice_order", &json!({"id": id}));
    assert_eq!(erp.get(&format!("/salesOrders({id})")).await.status, 404, "a finished order is gone");
    let invoices = erp.get("/salesInvoices?$expand=salesInvoiceLines,customer").await.body;
    let totals: f64 = invoices["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["totalAmountIncludingTax"].as_f64().unwrap())
        .sum();
    assert!((totals - 70.42).abs() < 0.005, "{totals}");
    assert_eq!(invoices["value"][0]["orderNumber"], order["number"]);
    assert_eq!(invoices["value"][0]["salesInvoiceLines"][0]["sequence"], 10000);
    assert_eq!(invoices["value"][0]["customer"]["displayName"], "Web customer");
    let shipments = erp
        .get(&format!(
            "/salesShipments?$filter=orderNumber eq '{}'&$expand=salesShipmentLines",
            order["number"].as_str().unwrap()
        ))
        .await;
    assert_eq!(shipments.body["value"].as_array().unwrap().len(), 2);
    assert!(shipments.body["value"][0].get("packageTrackingNumber").is_none());

    let memo = erp.act("credit_invoice", &json!({"id": invoices["value"][0]["id"], "restock": true}));
    let report = erp.act("report", &json!({}));
    assert_eq!(report["credit_memos"][0]["total"].as_str(), memo["total"].as_str());
    assert_eq!(report["orders"].as_array().unwrap().len(), 1);
    assert_eq!(report["orders"][0]["state"], "finished");
    assert_eq!(report["orders"][0]["total"], "70.42");
    assert_eq!(report["writes"], 2);
    erp.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_says_which_version_they_saw() {
    let erp = Erp::start(1.0).await;
    let order = erp.order("#1", true).await;
    let path = format!("/salesOrders({})", order["id"].as_str().unwrap());
    let etag = order["@odata.etag"].as_str().unwrap();
    let body = || Some(json!({"shipToCity": "Graz"}));
    let told = erp.at("PATCH", &path, &[], body()).await;
    assert_eq!((told.status, told.code()), (400, "BadRequest_InvalidToken"));
    assert_eq!(erp.at("DELETE", &path, &[], None).await.code(), "BadRequest_InvalidToken");
    erp.act("edit_order", &json!({"id": order["id"]}));
    let told = erp.at("PATCH", &path, &[("if-match", etag)], body()).await;
    assert_eq!((told.status, told.code()), (409, "Request_EntityChanged"));
    assert_eq!(erp.at("PATCH", &path, &[("if-match", "*")], body()).await.status, 200);
    // A line that changes changes its order.
    let head = erp.get(&path).await.body["@odata.etag"].clone();
    let line = format!("{path}/salesOrderLines({})", order["salesOrderLines"][0]["id"].as_str().unwrap());
    assert_eq!(erp.at("PATCH", &line, &[("if-match", "*")], Some(json!({"quantity": 2}))).await.status, 200);
    assert_ne!(erp.get(&path).await.body["@odata.etag"], head);
    assert_eq!(erp.at("DELETE", &path, &[("if-match", "*")], None).await.status, 204);
    assert_eq!(erp.get(&path).await.status, 404);
    erp.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_refused() {
    let erp = Erp::start(1.0).await;
    for (path, code) in [
        ("/items?$filter=colour eq 'red'", "BadRequest"),
        ("/items?$select=colour", "BadRequest"),
        ("/items?$expand=colours", "BadRequest"),
        ("/items?$apply=x", "BadRequest"),
        ("/salesOrders?$expand=salesOrderLines($select=colour)", "BadRequest"),
        ("/items?$filter=number eq 'A-1' or displayName eq 'B'", "BadRequest_MethodNotImplemented"),
        ("/items?$filter=id eq 'A-1'", "BadRequest"),
        ("/items?$filter=number eq 12", "BadRequest"),
        ("/items?$filter=number eq 'A-1-which-is-too-long-to-be-one'", "Application_FilterErrorException"),
        ("/items(A-1)", "BadRequest_NotFound"),
        ("/salesOrderLines", "Application_DialogException"),
    ] {
        let told = erp.get(path).await;
        assert!(told.status >= 400, "{path}");
        assert_eq!(told.code(), code, "{path}: {}", told.body);
    }
    let guest = &erp.seed["guest_customer"];
    for (body, code) in [
        (json!({}), "Application_DialogException"),
        (json!({"customerId": guest, "colour": "red"}), "BadRequest"),
        (json!({"customerId": guest, "billToName": "x"}), "BadRequest_InvalidOperation"),
        (json!({"customerId": guest, "totalTaxAmount": 1}), "BadRequest_InvalidOperation"),
        (
            json!({"customerId": guest, "externalDocumentNumber": "x".repeat(36)}),
            "Application_StringExceededLength",
        ),
        (json!({"customerId": guest, "currencyCode": "QQQ"}), "Application_DialogException"),
        (json!({"customerId": guest, "shipToCountry": "XX"}), "Internal_InvalidTableRelation"),
        (json!({"customerId": guest, "phoneNumber": "call me"}), "Application_FieldValidationException"),
        (json!({"customerId": guest, "orderDate": "02.03.2026"}), "BadRequest"),
        (json!({"customerId": guest, "pricesIncludeTax": "true"}), "BadRequest"),
        (json!({"customerId": COMPANY}), "Application_DialogException"),
    ] {
        let told = erp.at("POST", "/salesOrders", &[], Some(body.clone())).await;
        assert_eq!((told.status, told.code()), (400, code), "{body}: {}", told.body);
    }
    assert_eq!(erp.act("report", &json!({}))["orders"], json!([]), "nothing of a refused one stays");

    let order = erp.order("#1", false).await;
    let path = format!("/salesOrders({})/salesOrderLines", order["id"].as_str().unwrap());
    let item = erp.item("B-2");
    let (shipping, closed) = (erp.account("6910").await, erp.account("2310").await);
    for (body, code) in [
        (json!({"itemId": item, "quantity": "2"}), "BadRequest"),
        (json!({"itemId": item, "accountId": shipping}), "Application_DialogException"),
        (json!({"itemId": item, "quantity": 1, "sequence": 10000}), "Internal_EntityWithSameKeyExists"),
        (json!({"itemId": item, "quantity": 1, "taxCode": "NONE"}), "Internal_InvalidTableRelation"),
        (json!({"itemId": item, "quantity": 1, "unitOfMeasureCode": "BOX"}), "Internal_InvalidTableRelation"),
        (json!({"itemId": item, "discountAmount": 1}), "Application_FieldValidationException"),
        (json!({"accountId": closed, "quantity": 1}), "Application_FieldValidationException"),
        (json!({"itemId": item, "netAmount": 1}), "BadRequest_InvalidOperation"),
    ] {
        let told = erp.at("POST", &path, &[], Some(body.clone())).await;
        assert_eq!((told.status, told.code()), (400, code), "{body}: {}", told.body);
    }
    let line = format!("{path}({})", order["salesOrderLines"][0]["id"].as_str().unwrap());
    let told = erp.at("PATCH", &line, &[("if-match", "*")], Some(json!({"discountAmount": -1}))).await;
    assert_eq!(told.code(), "Application_DialogException");
    let told = erp.at("POST", "/salesShipments", &[], Some(json!({}))).await;
    assert_eq!((told.status, told.code()), (405, "BadRequest_MethodNotAllowed"));
    let person = json!({"displayName": "Ada", "number": "C1"});
    assert_eq!(erp.at("POST", "/customers", &[], Some(person.clone())).await.status, 201);
    assert_eq!(
        erp.at("POST", "/customers", &[], Some(person)).await.code(),
        "Internal_EntityWithSameKeyExists"
    );
    erp.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_are_reckoned_there() {
    let erp = Erp::start(1.0).await;
    let guest = &erp.seed["guest_customer"];
    let line = |quantity: f64, price: f64| json!({"itemId": erp.item("A-1"), "quantity": quantity, "unitPrice": price});
    // Tax is rounded for a rate together: each of these by itself would come to 0.02.
    let lines = json!([line(1.0, 0.07), line(1.0, 0.07), line(1.0, 0.07)]);
    let body = json!({"customerId": guest, "salesOrderLines": lines});
    let made = erp.at("POST", "/salesOrders", &[], Some(body)).await.body;
    assert_eq!(
        (&made["totalAmountExcludingTax"], &made["totalTaxAmount"]),
        (&json!(0.21), &json!(0.04)),
        "{made}"
    );
    assert_eq!(made["salesOrderLines"][0]["totalTaxAmount"], json!(0.01));
    // Half a cent goes up, and prices with tax stay what they are.
    let body = json!({"customerId": guest, "pricesIncludeTax": true, "salesOrderLines": [line(1.5, 0.33)]});
    let made = erp.at("POST", "/salesOrders", &[], Some(body)).await.body;
    assert_eq!(made["totalAmountIncludingTax"], json!(0.5));
    assert_eq!(made["totalAmountExcludingTax"], json!(0.41));
    // A currency without cents.
    let id = made["id"].as_str().unwrap();
    let yen = erp
        .at(
            "PATCH",
            &format!("/salesOrders({id})"),
            &[("if-match", "*")],
            Some(json!({"currencyCode": "JPY"})),
        )
        .await;
    assert_eq!(yen.body["totalAmountIncludingTax"], json!(0));
    // The price and the tax of an item that none are stated for, and those of another unit.
    let body = json!({"customerId": guest, "salesOrderLines": [{"itemId": erp.item("B-2"), "quantity": 2, "unitOfMeasureCode": "CARTON"}]});
    let made = erp.at("POST", "/salesOrders", &[], Some(body)).await.body;
    assert_eq!(made["totalAmountExcludingTax"], json!(240));
    assert_eq!(made["salesOrderLines"][0]["taxCode"], "VAT21");
    // A quantity keeps the share of a discount, not its amount.
    let order = erp.order("#1", false).await;
    let path = format!("/salesOrderLines({})", order["salesOrderLines"][0]["id"].as_str().unwrap());
    let told = erp.at("PATCH", &path, &[("if-match", "*")], Some(json!({"quantity": 14}))).await;
    assert_eq!(told.body["discountAmount"], json!(2.46));
    erp.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_kept_as_a_whole_or_in_parts() {
    let erp = Erp::start(1.0).await;
    let order = erp.order("#1", true).await;
    let head = format!("companies({COMPANY})/salesOrders({})", order["id"].as_str().unwrap());
    let line = |id: &str, price: Value| json!({"id": id, "method": "POST", "url": format!("{head}/salesOrderLines"), "headers": {"Content-Type": "application/json"}, "body": {"itemId": erp.item("B-2"), "quantity": 1, "unitPrice": price}});
    let lines = async || {
        erp.get(&format!("/salesOrders({})?$expand=salesOrderLines", order["id"].as_str().unwrap()))
            .await
            .body["salesOrderLines"]
            .as_array()
            .unwrap()
            .len()
    };
    let statuses = |all: &[Value]| all.iter().map(|r| r["status"].as_i64().unwrap()).collect::<Vec<_>>();

    let told =
        erp.batch(json!([line("1", json!(1)), line("2", json!("x")), line("3", json!(1))]), true).await;
    assert_eq!(statuses(&told), [201, 400], "it stops at the first failure");
    assert_eq!(lines().await, 1, "and nothing of it stays");
    let told =
        erp.batch(json!([line("1", json!(1)), line("2", json!("x")), line("3", json!(1))]), false).await;
    assert_eq!(statuses(&told), [201, 400]);
    assert_eq!(lines().await, 2);
    // An older version of the head keeps all of it out.
    let stale = json!({"id": "head", "method": "PATCH", "url": head, "headers": {"If-Match": order["@odata.etag"]}, "body": {"pricesIncludeTax": true}});
    let told = erp.batch(json!([stale, line("1", json!(1))]), true).await;
    assert_eq!(statuses(&told), [409]);
    let mut after = line("2", json!(1));
    after["dependsOn"] = json!(["1"]);
    let body = json!({"requests": [line("1", json!("x")), after]});
    let told = erp.ask("POST", "/$batch", &[("prefer", "odata.continue-on-error")], Some(body)).await;
    assert_eq!(statuses(told.body["responses"].as_array().unwrap()), [400, 424]);
    let read = json!([{"method": "GET", "url": format!("companies({COMPANY})/items?$filter=number%20eq%20'A-1'&$select=number")}]);
    let told = erp.batch(read, false).await;
    assert_eq!(
        (told[0]["id"].clone(), told[0]["body"]["value"][0]["number"].as_str()),
        (Value::Null, Some("A-1"))
    );
    let many = json!({"requests": vec![line("1", json!(1)); 101]});
    assert_eq!(erp.ask("POST", "/$batch", &[], Some(many)).await.status, 400);
    let twice = json!({"requests": [line("1", json!(1)), line("1", json!(1))]});
    assert_eq!(erp.ask("POST", "/$batch", &[], Some(twice)).await.status, 400);
    erp.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    let erp = Erp::start(1.0).await;
    for n in 0..5 {
        erp.at(
            "POST",
            "/customers",
            &[],
            Some(json!({"displayName": format!("Person {n}"), "type": "Person"})),
        )
        .await;
    }
    let mut next = Some("/customers?$orderby=number&$select=number".to_owned());
    let mut numbers = Vec::new();
    let mut pages = 0;
    while let Some(path) = next {
        let headers = [("prefer", "odata.maxpagesize=2")];
        let told = if path.starts_with("http") {
            erp.ask("GET", &path, &headers, None).await
        } else {
            erp.at("GET", &path, &headers, None).await
        };
        for row in told.body["value"].as_array().unwrap() {
            assert!(row["@odata.etag"].as_str().unwrap().starts_with("W/\""));
            numbers.push(row["number"].as_str().unwrap().to_owned());
        }
        next = told.body["@odata.nextLink"].as_str().map(str::to_owned);
        pages += 1;
    }
    assert_eq!((pages, numbers.len()), (3, 6));
    let told = erp.get("/customers?$top=1&$count=true").await.body;
    assert_eq!((told["@odata.count"].as_i64(), told.get("@odata.nextLink")), (Some(6), None));
    erp.sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_speak_the_vendors_language() {
    let erp = Erp::start(1.0).await;
    erp.sandbox.faults().set(Rates { throttled: 1.0, ..Rates::default() });
    let told = erp.get("/items").await;
    assert_eq!((told.status, told.code()), (429, "Application_TooManyRequests"));
    assert_eq!(told.retry_after.as_deref(), Some("1"));
    erp.sandbox.faults().set(Rates { failed: 1.0, ..Rates::default() });
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..30 {
        seen.insert(erp.get("/items").await.status);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [500, 503, 504]);
    erp.sandbox.faults().set(Rates { inside: 1.0, ..Rates::default() });
    let told = erp.batch(json!([{"id": "1", "method": "GET", "url": "companies"}]), true).await;
    assert_eq!(told[0]["status"], 503);
    erp.sandbox.faults().set(Rates::default());
    erp.sound();
}

/// Somebody who is notified: answers the handshake (or not) and everything else with a status, and keeps what came.
struct Listener {
    url: String,
    status: Arc<Mutex<u16>>,
    echo: Arc<Mutex<bool>>,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Listener {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let this = Self {
            url,
            status: Arc::new(Mutex::new(200)),
            echo: Arc::new(Mutex::new(true)),
            seen: Arc::default(),
        };
        let (status, echo, seen) = (Arc::clone(&this.status), Arc::clone(&this.echo), Arc::clone(&this.seen));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut text = String::new();
                let mut buffer = [0; 4096];
                loop {
                    let n = stream.read(&mut buffer).unwrap();
                    text.push_str(&String::from_utf8_lossy(&buffer[..n]));
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let length = head
                            .lines()
                            .find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                        if body.len() >= length.unwrap_or(0) {
                            break;
                        }
                    }
                    if n == 0 {
                        break;
                    }
                }
                let token = text.lines().next().unwrap().split_once("validationToken=");
                let token = token.map(|(_, rest)| rest.split(' ').next().unwrap().to_owned());
                let (code, body) = match token {
                    Some(token) => (200, if *echo.lock().unwrap() { token } else { "no".into() }),
                    None => {
                        let body = text.split_once("\r\n\r\n").unwrap().1;
                        seen.lock().unwrap().push(serde_json::from_str(body).unwrap());
                        (*status.lock().unwrap(), String::new())
                    }
                };
                let answer = format!(
                    "HTTP/1.1 {code} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        this
    }

    async fn wait_for(&self, count: usize) -> Vec<Value> {
        let since = Instant::now();
        loop {
            let seen = self.seen.lock().unwrap().clone();
            if seen.len() >= count {
                return seen;
            }
            assert!(since.elapsed() < Duration::from_secs(20), "{seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_gathered_and_told() {
    let erp = Erp::start(60.0).await;
    let hook = Listener::start();
    let wanted = |set: &str| json!({"notificationUrl": hook.url, "resource": format!("/api/v2.0/companies({COMPANY})/{set}"), "clientState": "secret"});
    *hook.echo.lock().unwrap() = false;
    assert_eq!(
        erp.ask("POST", "/subscriptions", &[], Some(wanted("items"))).await.status,
        400,
        "no handshake"
    );
    *hook.echo.lock().unwrap() = true;
    let made = erp.ask("POST", "/subscriptions", &[], Some(wanted("items"))).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let told = erp.ask("POST", "/subscriptions", &[], Some(wanted("items"))).await;
    assert_eq!(told.code(), "Internal_EntityWithSameKeyExists");
    assert_eq!(
        erp.ask("POST", "/subscriptions", &[], Some(wanted("salesShipments"))).await.status,
        400,
        "not supported"
    );
    assert_eq!(erp.ask("POST", "/subscriptions", &[], Some(wanted("customers"))).await.status, 201);
    let moment = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let life =
        moment(&made.body["expirationDateTime"]).duration_since(moment(&made.body["lastModifiedDateTime"]));
    assert_eq!(life.as_secs(), 3 * 86400);

    // Two changes of one item and a customer, in one message; stock is no change of the item.
    erp.act("set_price", &json!({"sku": "A-1", "price": "9"}));
    erp.act("set_price", &json!({"sku": "A-1", "price": "9.5"}));
    erp.act("adjust_stock", &json!({"sku": "B-2", "location": "MAIN", "by": "-1"}));
    erp.at("POST", "/customers", &[], Some(json!({"displayName": "Ada"}))).await;
    let seen = hook.wait_for(1).await;
    let rows = seen[0]["value"].as_array().unwrap();
    let mut told: Vec<_> = rows
        .iter()
        .map(|r| (r["changeType"].as_str().unwrap(), r["clientState"].as_str().unwrap()))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [("created", "secret"), ("updated", "secret")]);
    let item = format!("api/v2.0/companies({COMPANY})/items({})", erp.item("A-1"));
    assert!(rows.iter().any(|r| r["resource"] == item.as_str()), "{rows:?}");

    // An error of the other side is tried again, another answer costs the subscriptions it was for.
    *hook.status.lock().unwrap() = 503;
    erp.act("set_price", &json!({"sku": "A-1", "price": "10"}));
    let seen = hook.wait_for(3).await;
    assert_eq!(seen[1], seen[2]);
    *hook.status.lock().unwrap() = 404;
    erp.act("set_price", &json!({"sku": "A-1", "price": "11"}));
    let since = Instant::now();
    loop {
        let left = erp.ask("GET", "/subscriptions", &[], None).await.body;
        if left["value"].as_array().unwrap().len() == 1 {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(20), "{left}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What is left is renewed with a handshake, and can be ended.
    let left = erp.ask("GET", "/subscriptions", &[], None).await.body["value"][0].clone();
    let path = format!("/subscriptions('{}')", left["subscriptionId"].as_str().unwrap());
    assert_eq!(
        erp.ask("PATCH", &path, &[], Some(wanted("customers"))).await.code(),
        "BadRequest_InvalidToken"
    );
    assert_eq!(erp.ask("PATCH", &path, &[("if-match", "*")], Some(wanted("customers"))).await.status, 200);
    assert_eq!(erp.ask("DELETE", &path, &[("if-match", "*")], None).await.status, 204);
    assert_eq!(erp.ask("GET", "/subscriptions", &[], None).await.body["value"], json!([]));
    erp.sound();
}
