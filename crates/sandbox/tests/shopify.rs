//! The profile of Shopify: what it does, and what it refuses.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use counterpart_sandbox::clock::FastClock;
use counterpart_sandbox::faults::Rates;
use counterpart_sandbox::profile::Profile;
use counterpart_sandbox::{Refusal, Sandbox, Setup};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PATH: &str = "/admin/api/2026-04/graphql.json";

struct Shop {
    sandbox: Sandbox,
    http: reqwest::Client,
    seed: Value,
}

impl Shop {
    async fn start() -> Self {
        Self::at_rate(1.0).await
    }

    async fn at_rate(rate: f64) -> Self {
        // That it is there already is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../connectors/shopify/emulator");
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            files.insert(name, std::fs::read_to_string(entry.path()).unwrap());
        }
        let setup = Setup {
            profile: Profile::read(&files).unwrap(),
            clock: FastClock::new("2026-05-04T08:00:00Z".parse().unwrap(), rate),
            seed: 1,
            settings: json!({"client_id": "app", "client_secret": "hush", "access_token": "shpat_lasting"}),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let sandbox = Sandbox::start(setup).await.unwrap();
        let seed = sandbox
            .act(
                "seed",
                &json!({
                    "currency": "EUR", "taxes_included": true,
                    "locations": [{"code": "MAIN", "name": "Main"}, {"code": "SHOP", "name": "Shop"}],
                    "items": [
                        {"sku": "TEA", "title": "Tea", "price": "7.90", "barcode": null},
                        {"sku": "POT", "title": "Pot", "price": "49.90", "barcode": "4001"},
                        {"sku": "CARD", "title": "Gift card", "price": "25", "gift_card": true},
                    ],
                    "companies": [{"name": "Acme", "tax_id": "DE123", "contact": {"email": "bo@acme.example", "first_name": "Bo", "last_name": "Ek"}}],
                }),
            )
            .unwrap();
        Self { sandbox, http: reqwest::Client::new(), seed }
    }

    async fn send(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let request =
            self.http.post(format!("{}{path}", self.sandbox.url())).header("x-shopify-access-token", token);
        let answer =
            request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A request that is let in; the whole answer.
    async fn ask(&self, query: &str, variables: Value) -> Value {
        let (status, body) =
            self.send(PATH, "shpat_lasting", &json!({"query": query, "variables": variables})).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    async fn order(&self, id: &Value) -> Value {
        self.ask(ORDER, json!({"id": id})).await["data"]["order"].clone()
    }

    fn act(&self, action: &str, with: &Value) -> Value {
        self.sandbox.act(action, with).unwrap()
    }

    fn refusal(&self, action: &str, with: &Value) -> u16 {
        match self.sandbox.act(action, with) {
            Err(Refusal::Refused { status, .. }) => status,
            other => panic!("{action} is not refused: {other:?}"),
        }
    }

    fn location(&self) -> String {
        format!("gid://shopify/Location/{}", self.seed["locations"]["MAIN"].as_str().unwrap())
    }

    async fn level(&self) -> Value {
        let query = r#"query($id: ID!, $at: ID!) { productVariant(id: $id) { inventoryItem { id inventoryLevel(locationId: $at) { id quantities(names: ["available", "committed", "on_hand"]) { name quantity } } } } }"#;
        let body = self.ask(query, json!({"id": self.seed["items"]["TEA"], "at": self.location()})).await;
        body["data"]["productVariant"]["inventoryItem"].clone()
    }

    /// Available, committed, on hand.
    async fn stock(&self) -> Vec<i64> {
        let level = self.level().await;
        let all = level["inventoryLevel"]["quantities"].as_array().unwrap().clone();
        all.iter().map(|q| q["quantity"].as_i64().unwrap()).collect()
    }

    fn healthy(&self) {
        assert_eq!(self.sandbox.broken(), Vec::<String>::new());
    }
}

const ORDER: &str = "query($id: ID!) { order(id: $id) {
    name displayFinancialStatus displayFulfillmentStatus closed cancelledAt edited tags
    totalPriceSet { shopMoney { amount } presentmentMoney { amount currencyCode } }
    totalDiscountsSet { shopMoney { amount } presentmentMoney { amount } }
    totalTaxSet { shopMoney { amount } }
    currentTotalPriceSet { shopMoney { amount } presentmentMoney { amount } }
    totalOutstandingSet { shopMoney { amount } }
    totalRefundedSet { presentmentMoney { amount } }
    lineItems(first: 9) { nodes { id sku quantity currentQuantity unfulfilledQuantity taxLines { ratePercentage rate } discountAllocations { allocatedAmountSet { shopMoney { amount } presentmentMoney { amount } } discountApplication { __typename ... on DiscountCodeApplication { code } } } } }
    transactions { id kind status gateway amountSet { shopMoney { amount } presentmentMoney { amount } } }
    refunds { id note totalRefundedSet { shopMoney { amount } } refundLineItems(first: 9) { nodes { quantity restockType subtotalSet { shopMoney { amount } } } } orderAdjustments(first: 3) { nodes { reason amountSet { shopMoney { amount } } } } }
    fulfillmentOrders(first: 9) { nodes { id status supportedActions { action } lineItems(first: 9) { nodes { id remainingQuantity lineItem { sku } } } } }
    fulfillments { id status displayStatus trackingInfo { number } }
} }";

const SET: &str = "mutation($input: InventorySetQuantitiesInput!, $key: String!) { inventorySetQuantities(input: $input) @idempotent(key: $key) { inventoryAdjustmentGroup { id changes { name delta } } userErrors { code field message } } }";
const REFUND: &str = "mutation($input: RefundInput!, $key: String!) { refundCreate(input: $input) @idempotent(key: $key) { refund { id totalRefundedSet { presentmentMoney { amount } } } userErrors { field message } } }";
const SHIP: &str = "mutation($parcel: FulfillmentInput!) { fulfillmentCreate(fulfillment: $parcel) { fulfillment { id name status } userErrors { field message } } }";

fn order() -> Value {
    json!({
        "buyer": {"email": "Ann@example.com", "first_name": "Ann", "last_name": "Lee", "phone": "+49301234567", "account": true},
        "company": null,
        "address": {"name": "Ann Lee", "address1": "Weg 1", "city": "Berlin", "zip": "10115", "country": "DE"},
        "presentment": null,
        "lines": [
            {"sku": "TEA", "quantity": 3, "unit_price": "7.90", "discount": "2.37", "taxes": [{"title": "VAT", "rate": "7", "amount": "1.40"}]},
            {"sku": "POT", "quantity": 1, "unit_price": "49.90", "discount": "4.99", "taxes": [{"title": "VAT", "rate": "19", "amount": "7.17"}]},
        ],
        "discount": {"code": "TEN", "amount": "7.36"},
        "shipping": {"title": "Parcel", "code": "PARCEL", "amount": "4.90", "taxes": [{"title": "VAT", "rate": "19", "amount": "0.78"}]},
        "taxes_included": true, "gift_card": "0", "gateway": "card", "paid": true, "location": "MAIN",
    })
}

fn with(changes: &[(&str, Value)]) -> Value {
    let mut order = order();
    for (key, value) in changes {
        order[*key] = value.clone();
    }
    order
}

fn amounts(parts: &[Value], side: &str) -> f64 {
    let amount = |p: &Value| {
        p["discountAllocations"][0]["allocatedAmountSet"][side]["amount"].as_str()?.parse::<f64>().ok()
    };
    parts.iter().filter_map(amount).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_without_a_token_that_holds() {
    let shop = Shop::start().await;
    let query = json!({"query": "{ shop { currencyCode taxesIncluded } }"});
    let (status, body) = shop.send(PATH, "shpat_wrong", &query).await;
    assert_eq!(status, 401);
    assert!(body["errors"].as_str().unwrap().contains("Invalid API key or access token"));
    let login = |secret: &str| json!({"grant_type": "client_credentials", "client_id": "app", "client_secret": secret});
    assert_eq!(shop.send("/admin/oauth/access_token", "", &login("wrong")).await.0, 400);
    let (status, given) = shop.send("/admin/oauth/access_token", "", &login("hush")).await;
    assert_eq!((status, given["expires_in"].as_i64()), (200, Some(86399)));
    let token = given["access_token"].as_str().unwrap();
    let (status, body) = shop.send(PATH, token, &query).await;
    assert_eq!((status, &body["data"]["shop"]["currencyCode"]), (200, &json!("EUR")));
    assert_eq!(body["extensions"]["cost"]["throttleStatus"]["restoreRate"], 1000);
    shop.act("revoke_tokens", &json!({}));
    assert_eq!(shop.send(PATH, token, &query).await.0, 401);
    // Another version of the API is not there.
    assert_eq!(shop.send("/admin/api/2019-04/graphql.json", "shpat_lasting", &query).await.0, 404);
    shop.healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_schema_does_not_have_is_refused() {
    let shop = Shop::start().await;
    let unknown = shop.ask("{ shop { turnover } }", json!({})).await;
    assert!(unknown["errors"][0]["message"].is_string() && unknown.get("data").is_none());
    let input = json!({"parcel": {"lineItemsByFulfillmentOrder": [], "carrier": "x"}});
    assert!(shop.ask(SHIP, input).await["errors"][0]["message"].as_str().unwrap().contains("carrier"));
    let no_size = shop.ask("{ orders { nodes { id } } }", json!({})).await;
    assert_eq!(no_size["errors"][0]["extensions"]["code"], "BAD_REQUEST");
    let wrong_kind =
        shop.ask("query($id: ID!) { order(id: $id) { id } }", json!({"id": "gid://shopify/Product/1"})).await;
    assert_eq!(wrong_kind["errors"][0]["extensions"]["code"], "RESOURCE_NOT_FOUND");
    let costly = shop
        .ask("{ orders(first: 250) { nodes { lineItems(first: 50) { nodes { id } } } } }", json!({}))
        .await;
    assert_eq!(costly["errors"][0]["extensions"]["code"], "MAX_COST_EXCEEDED");
    shop.healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_adds_up_in_both_currencies() {
    let shop = Shop::start().await;
    let asked =
        with(&[("presentment", json!({"currency": "JPY", "rate": "163.41"})), ("gift_card", json!("5"))]);
    let placed = shop.act("place_order", &asked);
    assert_eq!((placed["number"].as_str(), placed["total"].as_str()), (Some("#1001"), Some("71.14")));
    let order = shop.order(&placed["id"]).await;
    assert_eq!(order["totalPriceSet"]["shopMoney"]["amount"], "71.14");
    // Yen have no decimals, and a decimal is written with one all the same.
    let yen = order["totalPriceSet"]["presentmentMoney"]["amount"].as_str().unwrap();
    assert!(yen.ends_with(".0"), "{yen}");
    let lines = order["lineItems"]["nodes"].as_array().unwrap();
    assert!((amounts(lines, "shopMoney") - 7.36).abs() < 1e-9);
    let off: f64 =
        order["totalDiscountsSet"]["presentmentMoney"]["amount"].as_str().unwrap().parse().unwrap();
    assert!((amounts(lines, "presentmentMoney") - off).abs() < 1e-9);
    assert_eq!(lines[0]["taxLines"][0]["ratePercentage"], 7.0);
    assert_eq!(lines[0]["discountAllocations"][0]["discountApplication"]["code"], "TEN");
    let payments = order["transactions"].as_array().unwrap();
    assert_eq!(
        (payments[0]["gateway"].as_str(), payments[1]["gateway"].as_str()),
        (Some("gift_card"), Some("card"))
    );
    assert_eq!(payments[1]["amountSet"]["shopMoney"]["amount"], "66.14");
    assert_eq!(order["displayFinancialStatus"], "PAID");
    // Taxes on top.
    let net = shop.act("place_order", &with(&[("taxes_included", json!(false))]));
    assert_eq!(net["total"], "80.49");
    // What does not add up is no order.
    assert_eq!(shop.refusal("place_order", &with(&[("discount", json!({"code": "X", "amount": "9"}))])), 422);
    shop.healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_hold_stock_until_they_are_shipped_or_cancelled() {
    let shop = Shop::start().await;
    let item = shop.level().await["id"].clone();
    let set = |quantity: i64, from: Value| json!({"name": "on_hand", "reason": "correction", "quantities": [{"inventoryItemId": item, "locationId": shop.location(), "quantity": quantity, "changeFromQuantity": from}]});
    let done = shop.ask(SET, json!({"input": set(10, json!(0)), "key": "a"})).await;
    assert_eq!(done["data"]["inventorySetQuantities"]["userErrors"], json!([]));
    let again = shop.ask(SET, json!({"input": set(10, json!(0)), "key": "a"})).await;
    assert_eq!(again["data"], done["data"], "the first answer");
    let errors = async |variables: Value| {
        shop.ask(SET, variables).await["data"]["inventorySetQuantities"]["userErrors"][0]["code"].clone()
    };
    assert_eq!(
        errors(json!({"input": set(11, json!(0)), "key": "a"})).await,
        "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"
    );
    assert_eq!(errors(json!({"input": set(11, json!(0)), "key": "b"})).await, "CHANGE_FROM_QUANTITY_STALE");
    assert_eq!(errors(json!({"input": set(-1, json!(10)), "key": "c"})).await, "INVALID_QUANTITY_NEGATIVE");
    let mut silent = set(11, Value::Null);
    silent["quantities"][0].as_object_mut().unwrap().remove("changeFromQuantity");
    assert_eq!(errors(json!({"input": silent, "key": "d"})).await, "COMPARE_QUANTITY_REQUIRED");
    let bare = SET.replace(" @idempotent(key: $key)", "").replace(", $key: String!", "");
    let refused = shop.ask(&bare, json!({"input": set(11, json!(10))})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_REQUEST");

    let placed = shop.act("place_order", &order());
    assert_eq!(shop.stock().await, [7, 3, 10]);
    shop.act("cancel_order", &json!({"id": placed["id"]}));
    assert_eq!(shop.stock().await, [10, 0, 10]);
    let cancelled = shop.order(&placed["id"]).await;
    assert_eq!(cancelled["displayFinancialStatus"], "REFUNDED");
    assert_eq!(cancelled["currentTotalPriceSet"]["shopMoney"]["amount"], "0.0");
    assert_eq!(shop.refusal("cancel_order", &json!({"id": placed["id"]})), 422);

    let placed = shop.act("place_order", &order());
    let open = shop.order(&placed["id"]).await["fulfillmentOrders"]["nodes"][0].clone();
    let parcel = |lines: Value, number: &str| json!({"parcel": {"lineItemsByFulfillmentOrder": [{"fulfillmentOrderId": open["id"], "fulfillmentOrderLineItems": lines}], "trackingInfo": {"numbers": [number], "company": "DHL"}}});
    let pieces = |n: i64| json!([{"id": open["lineItems"]["nodes"][0]["id"], "quantity": n}]);
    let too_many = shop.ask(SHIP, parcel(pieces(4), "T0")).await;
    assert!(too_many["data"]["fulfillmentCreate"]["userErrors"][0]["message"].is_string());
    let part = shop.ask(SHIP, parcel(pieces(2), "T1")).await;
    assert_eq!(
        part["data"]["fulfillmentCreate"]["fulfillment"]["name"],
        format!("{}-F1", placed["number"].as_str().unwrap())
    );
    assert_eq!(shop.stock().await, [7, 1, 8]);
    assert_eq!(shop.order(&placed["id"]).await["displayFulfillmentStatus"], "PARTIALLY_FULFILLED");
    assert_eq!(shop.refusal("cancel_order", &json!({"id": placed["id"]})), 422);
    let rest = shop.ask(SHIP, parcel(Value::Null, "T2")).await;
    let id = rest["data"]["fulfillmentCreate"]["fulfillment"]["id"].clone();
    let shipped = shop.order(&placed["id"]).await;
    assert_eq!(
        (&shipped["displayFulfillmentStatus"], &shipped["closed"]),
        (&json!("FULFILLED"), &json!(true))
    );
    assert_eq!(shop.stock().await, [7, 0, 7]);
    let closed = shop.ask(SHIP, parcel(Value::Null, "T3")).await;
    assert!(
        closed["data"]["fulfillmentCreate"]["userErrors"][0]["message"].as_str().unwrap().contains("closed")
    );
    let event = "mutation($event: FulfillmentEventInput!) { fulfillmentEventCreate(fulfillmentEvent: $event) { fulfillmentEvent { status } userErrors { message } } }";
    shop.ask(event, json!({"event": {"fulfillmentId": id, "status": "DELIVERED"}})).await;
    assert_eq!(shop.order(&placed["id"]).await["fulfillments"][1]["displayStatus"], "DELIVERED");
    let back =
        "mutation($id: ID!) { fulfillmentCancel(id: $id) { fulfillment { status } userErrors { message } } }";
    let cancelled = shop.ask(back, json!({"id": id})).await;
    assert_eq!(cancelled["data"]["fulfillmentCancel"]["fulfillment"]["status"], "CANCELLED");
    assert_eq!(shop.stock().await, [7, 1, 8]);
    shop.healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_takes_pieces_off_and_gives_no_money_back() {
    let shop = Shop::start().await;
    let placed = shop.act("place_order", &with(&[("discount", Value::Null)]));
    let edit = |quantity: i64, tax: &str| json!({"id": placed["id"], "sku": "TEA", "quantity": quantity, "taxes": [{"title": "VAT", "rate": "7", "amount": tax}]});
    shop.act("edit_order", &edit(2, "0.93"));
    let order = shop.order(&placed["id"]).await;
    let tea = &order["lineItems"]["nodes"][0];
    assert_eq!(
        (&tea["quantity"], &tea["currentQuantity"], &tea["unfulfilledQuantity"]),
        (&json!(3), &json!(2), &json!(2))
    );
    assert_eq!(order["totalPriceSet"]["shopMoney"]["amount"], "71.14");
    assert_eq!(order["currentTotalPriceSet"]["shopMoney"]["amount"], "64.03");
    assert_eq!(order["refunds"][0]["totalRefundedSet"]["shopMoney"]["amount"], "0.0");
    assert_eq!(order["refunds"][0]["refundLineItems"]["nodes"][0]["restockType"], "CANCEL");
    assert_eq!(order["totalOutstandingSet"]["shopMoney"]["amount"], "-7.11");
    assert_eq!(shop.act("report", &json!({}))["orders"][0]["total"], "64.03");
    shop.act("edit_order", &edit(4, "1.90"));
    let order = shop.order(&placed["id"]).await;
    assert_eq!(order["lineItems"]["nodes"][0]["quantity"], 5);
    assert_eq!(order["displayFinancialStatus"], "PARTIALLY_PAID");
    shop.healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn money_goes_back_once_and_in_the_buyers_currency() {
    let shop = Shop::start().await;
    let placed =
        shop.act("place_order", &with(&[("presentment", json!({"currency": "JPY", "rate": "163.41"}))]));
    let order = shop.order(&placed["id"]).await;
    let payment = &order["transactions"][0];
    let input = |amount: &str, currency: &str| {
        json!({
            "orderId": placed["id"], "currency": currency, "note": "broken (R-1)",
            "transactions": [{"orderId": placed["id"], "parentId": payment["id"], "gateway": "card", "kind": "REFUND", "amount": amount}],
            "refundLineItems": [{"lineItemId": order["lineItems"]["nodes"][0]["id"], "quantity": 1, "restockType": "CANCEL", "locationId": shop.location()}],
        })
    };
    let refused = async |input: Value, key: &str| {
        let body = shop.ask(REFUND, json!({"input": input, "key": key})).await;
        assert!(body["data"]["refundCreate"]["refund"].is_null(), "{body}");
        body["data"]["refundCreate"]["userErrors"][0]["field"].clone()
    };
    assert_eq!(refused(input("100", "EUR"), "1").await, json!(["currency"]));
    assert_eq!(refused(input("99999", "JPY"), "2").await, json!(["transactions", "0", "amount"]));
    assert_eq!(refused(input("10.5", "JPY"), "3").await, json!(["transactions", "0", "amount"]));
    let bare = REFUND.replace(" @idempotent(key: $key)", "").replace(", $key: String!", "");
    let no_key = shop.ask(&bare, json!({"input": input("100", "JPY")})).await;
    assert_eq!(no_key["errors"][0]["extensions"]["code"], "BAD_REQUEST");
    let done = shop.ask(REFUND, json!({"input": input("1100", "JPY"), "key": "k"})).await;
    assert_eq!(
        done["data"]["refundCreate"]["refund"]["totalRefundedSet"]["presentmentMoney"]["amount"],
        "1100.0"
    );
    let again = shop.ask(REFUND, json!({"input": input("1100", "JPY"), "key": "k"})).await;
    assert_eq!(again["data"], done["data"]);
    assert!(refused(input("1200", "JPY"), "k").await.is_null());
    let order = shop.order(&placed["id"]).await;
    assert_eq!(order["refunds"].as_array().unwrap().len(), 1);
    assert_eq!(order["displayFinancialStatus"], "PARTIALLY_REFUNDED");
    assert_eq!(order["totalRefundedSet"]["presentmentMoney"]["amount"], "1100.0");
    // What the pieces are worth and what was given differ, and that is said.
    assert_eq!(order["refunds"][0]["orderAdjustments"]["nodes"][0]["reason"], "REFUND_DISCREPANCY");
    let pot = json!({"id": placed["id"], "lines": [{"sku": "POT", "quantity": 1, "amount": "44.91", "tax": "7.17"}], "shipping": "4.90", "restock": true});
    assert_eq!(shop.act("refund_order", &pot)["amount"], "49.81");
    assert_eq!(shop.act("report", &json!({}))["orders"][0]["refunds"].as_array().unwrap().len(), 2);
    shop.healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn authorised_and_awaited_money_is_taken_or_let_go() {
    let shop = Shop::start().await;
    let authorised = shop.act("place_order", &with(&[("paid", json!(false))]));
    assert_eq!(shop.order(&authorised["id"]).await["displayFinancialStatus"], "AUTHORIZED");
    shop.act("pay_order", &json!({"id": authorised["id"]}));
    let order = shop.order(&authorised["id"]).await;
    assert_eq!(
        (&order["displayFinancialStatus"], &order["transactions"][1]["kind"]),
        (&json!("PAID"), &json!("CAPTURE"))
    );
    let awaited =
        shop.act("place_order", &with(&[("paid", json!(false)), ("gateway", json!("bank_deposit"))]));
    assert_eq!(shop.order(&awaited["id"]).await["displayFinancialStatus"], "PENDING");
    shop.act("cancel_order", &json!({"id": awaited["id"]}));
    assert_eq!(shop.order(&awaited["id"]).await["displayFinancialStatus"], "VOIDED");
    let card = with(&[
        ("lines", json!([{"sku": "CARD", "quantity": 1, "unit_price": "25", "discount": "0", "taxes": []}])),
        ("discount", Value::Null),
        ("shipping", Value::Null),
    ]);
    let card = shop.act("place_order", &card);
    assert_eq!(
        shop.order(&card["id"]).await["displayFulfillmentStatus"],
        "FULFILLED",
        "sent by mail when it is paid"
    );
    shop.healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_behind_and_its_pages_hold_still() {
    let shop = Shop::start().await;
    for _ in 0..5 {
        shop.act("place_order", &order());
    }
    let list = "query($after: String, $query: String) { orders(first: 2, after: $after, query: $query, sortKey: UPDATED_AT) { pageInfo { hasNextPage endCursor } nodes { name } } }";
    let since = json!("updated_at:>='2026-05-04T00:00:00Z'");
    let found = shop.ask(list, json!({"query": since})).await;
    assert_eq!(found["data"]["orders"]["nodes"], json!([]), "the index has not seen them yet");
    tokio::time::sleep(Duration::from_millis(3300)).await;
    let (mut after, mut names) = (Value::Null, Vec::new());
    loop {
        let page = shop.ask(list, json!({"query": since, "after": after})).await["data"]["orders"].clone();
        names
            .extend(page["nodes"].as_array().unwrap().iter().map(|n| n["name"].as_str().unwrap().to_owned()));
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(names, ["#1001", "#1002", "#1003", "#1004", "#1005"]);
    shop.healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn companies_prices_tags_and_notes() {
    let shop = Shop::start().await;
    let company = shop.ask("query($id: ID!) { company(id: $id) { name locations(first: 5) { nodes { taxSettings { taxRegistrationId } } } contacts(first: 5) { nodes { isMainContact customer { state } } } } }", json!({"id": shop.seed["companies"]["Acme"]})).await;
    assert_eq!(
        company["data"]["company"]["locations"]["nodes"][0]["taxSettings"]["taxRegistrationId"],
        "DE123"
    );
    let placed = shop.act("place_order", &with(&[("company", json!("Acme"))]));
    let bought = shop.ask("query($id: ID!) { order(id: $id) { purchasingEntity { ... on PurchasingCompany { company { name } } } } }", json!({"id": placed["id"]})).await;
    assert_eq!(bought["data"]["order"]["purchasingEntity"]["company"]["name"], "Acme");
    let variant = shop.seed["items"]["TEA"].clone();
    let product = shop
        .ask("query($id: ID!) { productVariant(id: $id) { product { id } } }", json!({"id": variant}))
        .await["data"]["productVariant"]["product"]["id"]
        .clone();
    let price = "mutation($product: ID!, $variants: [ProductVariantsBulkInput!]!) { productVariantsBulkUpdate(productId: $product, variants: $variants) { productVariants { price compareAtPrice } userErrors { code } } }";
    let set = |price: &str| json!({"product": product, "variants": [{"id": variant, "price": price, "compareAtPrice": "9"}]});
    let done = shop.ask(price, set("8.5")).await;
    assert_eq!(
        done["data"]["productVariantsBulkUpdate"]["productVariants"][0],
        json!({"price": "8.50", "compareAtPrice": "9.00"})
    );
    let negative = shop.ask(price, set("-1")).await;
    assert_eq!(
        negative["data"]["productVariantsBulkUpdate"]["userErrors"][0]["code"],
        "NEGATIVE_PRICE_VALUE"
    );
    let tags = "mutation($id: ID!, $tags: [String!]!) { tagsAdd(id: $id, tags: $tags) { node { id } userErrors { message } } }";
    shop.ask(tags, json!({"id": placed["id"], "tags": ["not done"]})).await;
    assert_eq!(shop.act("report", &json!({}))["orders"][0]["tags"], json!(["not done"]));
    let note = "mutation($fields: [MetafieldsSetInput!]!) { metafieldsSet(metafields: $fields) { metafields { id } userErrors { code } } }";
    let field = |kind: Value| json!({"fields": [{"ownerId": placed["id"], "namespace": "counterpart", "key": "not_done", "type": kind, "value": "why"}]});
    assert_eq!(
        shop.ask(note, field(Value::Null)).await["data"]["metafieldsSet"]["userErrors"][0]["code"],
        "BLANK"
    );
    assert_eq!(
        shop.ask(note, field(json!("multi_line_text_field"))).await["data"]["metafieldsSet"]["userErrors"],
        json!([])
    );
    assert_eq!(shop.act("report", &json!({}))["writes"], 3);
    shop.healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_speak_the_vendors_dialect() {
    let shop = Shop::start().await;
    shop.sandbox.faults().set(Rates { throttled: 1.0, ..Rates::default() });
    let slow = shop.ask("{ shop { name } }", json!({})).await;
    assert_eq!(slow["errors"][0]["extensions"]["code"], "THROTTLED");
    assert!(slow["extensions"]["cost"]["actualQueryCost"].is_null());
    shop.sandbox.faults().set(Rates { inside: 1.0, ..Rates::default() });
    let inside = shop.ask("{ shop { name } }", json!({})).await;
    assert_eq!(inside["errors"][0]["extensions"]["code"], "INTERNAL_SERVER_ERROR");
    shop.sandbox.faults().set(Rates { failed: 1.0, ..Rates::default() });
    assert_eq!(shop.send(PATH, "shpat_lasting", &json!({"query": "{ shop { name } }"})).await.0, 503);
    shop.healthy();
}

/// Takes one request and answers it.
async fn one_delivery(listener: &TcpListener, status: u16) -> (BTreeMap<String, String>, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut read = Vec::new();
    let mut part = [0; 65536];
    loop {
        let n = stream.read(&mut part).await.unwrap();
        read.extend_from_slice(&part[..n]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let headers: BTreeMap<String, String> = head
            .lines()
            .skip(1)
            .filter_map(|l| l.split_once(": "))
            .map(|(k, v)| (k.to_lowercase(), v.to_owned()))
            .collect();
        if body.len() >= headers["content-length"].parse::<usize>().unwrap() {
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            return (headers, body.to_owned());
        }
    }
}

const SUBSCRIBE: &str = "mutation($topic: WebhookSubscriptionTopic!, $to: WebhookSubscriptionInput!) { webhookSubscriptionCreate(topic: $topic, webhookSubscription: $to) { webhookSubscription { id } userErrors { field message } } }";

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_signed_and_keep_their_ids_when_tried_again() {
    let shop = Shop::at_rate(500.0).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/webhooks/shop", listener.local_addr().unwrap());
    let to = |uri: &str| json!({"topic": "ORDERS_CREATE", "to": {"uri": uri, "format": "JSON"}});
    let plain = shop.ask(SUBSCRIBE, to("http://example.com/x")).await;
    assert!(plain["data"]["webhookSubscriptionCreate"]["webhookSubscription"].is_null());
    let made = shop.ask(SUBSCRIBE, to(&uri)).await;
    assert!(made["data"]["webhookSubscriptionCreate"]["webhookSubscription"]["id"].is_string());
    let twice = shop.ask(SUBSCRIBE, to(&uri)).await;
    assert!(
        twice["data"]["webhookSubscriptionCreate"]["userErrors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("taken")
    );
    shop.act("place_order", &order());
    let (first, body) = one_delivery(&listener, 500).await;
    let (second, again) = one_delivery(&listener, 200).await;
    assert_eq!(body, again);
    let mut mac = Hmac::<Sha256>::new_from_slice(b"hush").unwrap();
    mac.update(body.as_bytes());
    assert_eq!(first["x-shopify-hmac-sha256"], BASE64.encode(mac.finalize().into_bytes()));
    assert_eq!(first["x-shopify-topic"], "orders/create");
    assert_eq!(first["x-shopify-shop-domain"], "example.myshopify.com");
    assert_eq!(first["x-shopify-api-version"], "2026-04");
    for header in ["x-shopify-event-id", "x-shopify-webhook-id", "x-shopify-triggered-at"] {
        assert_eq!(first[header], second[header], "{header}");
    }
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["total_price"], &body["financial_status"]), (&json!("71.14"), &json!("paid")));
    assert!(body["admin_graphql_api_id"].as_str().unwrap().starts_with("gid://shopify/Order/"));
    shop.healthy();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_nobody_answers_is_deleted() {
    let shop = Shop::at_rate(10_000.0).await;
    // Nobody listens there.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let to = json!({"topic": "ORDERS_CREATE", "to": {"uri": format!("http://{closed}/x")}});
    shop.ask(SUBSCRIBE, to).await;
    shop.act("place_order", &order());
    let list = "{ webhookSubscriptions(first: 10) { nodes { id topic uri } } }";
    let mut left = 1;
    for _ in 0..100 {
        let body = shop.ask(list, json!({})).await;
        left = body["data"]["webhookSubscriptions"]["nodes"].as_array().unwrap().len();
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(left, 0, "four hours without an answer");
    shop.healthy();
}
