//! The shop: making its database, running it, and what shoppers, its staff and an auditor do there.
//!
//! Never: looks at the hub.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::http::{Http, until};
use super::install::{Installed, assets};
use super::process::{Service, Stop, output_of, run_beside, run_to_end};

/// Name of its database.
pub const DATABASE: &str = "vendure";

/// Puts the shop's scripts beside the installed packages.
pub fn lay_out(folder: &Path, installed: &Installed) -> Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(assets().join("vendure"))? {
        let entry = entry?;
        fs::copy(entry.path(), folder.join(entry.file_name()))?;
    }
    std::os::unix::fs::symlink(&installed.node_modules, folder.join("node_modules"))?;
    Ok(())
}

/// Fills an empty database: schema, channel, products, stock, promotions, the hub's administrator.
pub fn fill(folder: &Path, database_port: u16, port: u16, secrets: &Path, logs: &Path) -> Result<()> {
    let mut populate = node(folder, "populate.js", database_port, port, secrets)?;
    populate.env("SHOP_HUB_PASSWORD", fs::read_to_string(secrets.join("shop-hub"))?.trim());
    run_to_end("the shop's populate.js", &mut populate, &logs.join("shop-fill.log"))
}

fn node(folder: &Path, script: &str, database_port: u16, port: u16, secrets: &Path) -> Result<Command> {
    let mut command = Command::new("node");
    command
        .arg(script)
        .current_dir(folder)
        .env("VENDURE_DISABLE_TELEMETRY", "true")
        .env("DB_HOST", "127.0.0.1")
        .env("DB_PORT", database_port.to_string())
        .env("DB_NAME", DATABASE)
        .env("DB_USER", "postgres")
        .env("PORT", port.to_string())
        .env("SHOP_ADMIN_PASSWORD", fs::read_to_string(secrets.join("shop-admin"))?.trim());
    Ok(command)
}

/// Where the shop tells what happened.
#[derive(Clone)]
pub struct Webhook {
    /// Port of this machine that leads to the hub.
    pub port: u16,
    /// Key of the signature.
    pub secret: String,
}

/// The server and its worker, not started yet.
pub fn services(
    folder: &Path,
    database_port: u16,
    port: u16,
    secrets: &Path,
    webhook: &Webhook,
    logs: &Path,
) -> Result<[Service; 2]> {
    let service = |name, script: &'static str| -> Result<Service> {
        let (folder, secrets, webhook) = (folder.to_owned(), secrets.to_owned(), webhook.clone());
        // Read once here, so that a missing secret is an error and not a shop that refuses everyone.
        node(&folder, script, database_port, port, &secrets)?;
        Ok(Service::new(name, Stop::Term, logs, move || {
            let mut command = node(&folder, script, database_port, port, &secrets)
                .unwrap_or_else(|_| Command::new("false"));
            command
                .env("HUB_WEBHOOK_URL", format!("http://127.0.0.1:{}/webhooks/shop", webhook.port))
                .env("HUB_WEBHOOK_SECRET", &webhook.secret);
            command
        }))
    };
    Ok([service("shop", "server.js")?, service("shop-worker", "worker.js")?])
}

/// The shop, as its superadmin sees it and as shoppers use it.
pub struct Shop {
    http: Rc<Http>,
    folder: PathBuf,
    logs: PathBuf,
    url: String,
    password: String,
    token: RefCell<String>,
}

/// An order, as the shop states it.
#[derive(Debug, Clone)]
pub struct Order {
    /// Row.
    pub id: String,
    /// What people call it.
    pub code: String,
    /// Such as `PaymentSettled`.
    pub state: String,
    /// Without tax, in the currency's major unit, as all amounts here.
    pub total: Decimal,
    /// With tax.
    pub total_with_tax: Decimal,
    /// Shipping after discounts, without tax.
    pub shipping: Decimal,
    /// Buyer's e-mail address.
    pub email: String,
    /// The buyer has an account.
    pub registered: bool,
    /// Name and postal code it is shipped to.
    pub ship_to: (String, String),
    /// Lines.
    pub lines: Vec<OrderLine>,
    /// Fulfilments.
    pub fulfilments: Vec<Fulfilment>,
    /// Notes in its history.
    pub notes: Vec<String>,
    /// Payments: row and state.
    pub payments: Vec<(String, String)>,
}

/// A line of an order.
#[derive(Debug, Clone)]
pub struct OrderLine {
    /// Row.
    pub id: String,
    /// SKU.
    pub sku: String,
    /// In units; 0 when cancelled.
    pub quantity: Decimal,
    /// After all discounts, without tax.
    pub amount: Decimal,
}

/// What was sent.
#[derive(Debug, Clone)]
pub struct Fulfilment {
    /// `Pending`, `Shipped`, `Delivered`, `Cancelled`.
    pub state: String,
    /// Tracking number.
    pub tracking: String,
    /// Quantities by SKU.
    pub goods: BTreeMap<String, Decimal>,
}

/// A variant's price and stock.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Without tax.
    pub price: Decimal,
    /// What the shop believes to have.
    pub on_hand: Decimal,
    /// What its open orders hold.
    pub allocated: Decimal,
}

impl Variant {
    /// What shoppers can buy.
    pub fn saleable(&self) -> Decimal {
        self.on_hand - self.allocated
    }
}

impl Order {
    /// Quantities by SKU.
    pub fn goods(&self) -> BTreeMap<String, Decimal> {
        let mut goods = BTreeMap::new();
        for line in &self.lines {
            *goods.entry(line.sku.clone()).or_default() += line.quantity;
        }
        goods
    }
}

const ORDER: &str = "
    id code state total totalWithTax customer { emailAddress user { id } }
    shippingAddress { fullName postalCode }
    shippingLines { discountedPrice }
    lines { id quantity proratedLinePrice productVariant { sku } }
    payments { id state }
    fulfillments { id state method trackingCode lines { orderLineId quantity } }
    history(options: { filter: { type: { eq: \"ORDER_NOTE\" } } }) { items { data } }";

impl Shop {
    /// The shop on a port; [`Shop::log_in`] comes next.
    pub fn new(http: Rc<Http>, folder: &Path, port: u16, secrets: &Path, logs: &Path) -> Result<Self> {
        Ok(Self {
            http,
            folder: folder.to_owned(),
            logs: logs.to_owned(),
            url: format!("http://127.0.0.1:{port}"),
            password: fs::read_to_string(secrets.join("shop-admin"))?.trim().to_owned(),
            token: RefCell::default(),
        })
    }

    /// Waits for the server and opens a session.
    pub fn log_in(&self, limit: Duration) -> Result<()> {
        until("the shop to answer", limit, || {
            let health = self.http.get(&format!("{}/health", self.url), &[])?;
            ensure!(health.status == 200, "HTTP {}", health.status);
            Ok(())
        })?;
        let body = json!({
            "query": "mutation($password: String!) { login(username: \"superadmin\", password: $password) { __typename } }",
            "variables": { "password": self.password },
        });
        let answer = self.http.post(&format!("{}/admin-api", self.url), &[], &body)?;
        let token = answer.header("vendure-auth-token").with_context(|| format!("login: {}", answer.text))?;
        *self.token.borrow_mut() = format!("Bearer {token}");
        Ok(())
    }

    /// Where it is and how to get in.
    pub fn describe(&self) -> String {
        format!("shop {} (superadmin / {})", self.url, self.password)
    }

    /// Asks the admin API; errors that come with HTTP 200 are errors here.
    pub fn ask(&self, query: &str, variables: Value) -> Result<Value> {
        let token = self.token.borrow().clone();
        let body = json!({"query": query, "variables": variables});
        let url = format!("{}/admin-api", self.url);
        let mut answer = self.http.post(&url, &[("authorization", &token)], &body)?.json()?;
        if !answer["errors"].is_null() {
            bail!("the shop: {:.600}", answer["errors"].to_string());
        }
        let data = answer["data"].take();
        for (name, value) in data.as_object().into_iter().flatten() {
            if !value["errorCode"].is_null() {
                bail!("the shop: {name}: {} {}", value["errorCode"], value["message"]);
            }
        }
        Ok(data)
    }

    /// The order of a code.
    pub fn order(&self, code: &str) -> Result<Order> {
        let query = format!(
            "query($code: String!) {{ orders(options: {{ filter: {{ code: {{ eq: $code }} }} }}) {{ items {{ {ORDER} }} }} }}"
        );
        let data = self.ask(&query, json!({"code": code}))?;
        order(data["orders"]["items"].get(0).with_context(|| format!("no order {code}"))?)
    }

    /// Every placed order.
    pub fn orders(&self) -> Result<Vec<Order>> {
        let query = format!(
            "query($skip: Int!) {{ orders(options: {{ take: 100, skip: $skip, filter: {{ active: {{ eq: false }} }}, sort: {{ id: ASC }} }}) {{ totalItems items {{ {ORDER} }} }} }}"
        );
        let mut all = Vec::new();
        loop {
            let data = self.ask(&query, json!({"skip": all.len()}))?;
            let page: Vec<_> =
                data["orders"]["items"].as_array().into_iter().flatten().map(order).collect::<Result<_>>()?;
            let done = page.is_empty();
            all.extend(page);
            if done {
                return Ok(all);
            }
        }
    }

    /// The only variant of a SKU.
    pub fn variant(&self, sku: &str) -> Result<Variant> {
        let query = "query($sku: String!) { productVariants(options: { filter: { sku: { eq: $sku } } }) {
            items { id price stockLevels { stockOnHand stockAllocated } } } }";
        let data = self.ask(query, json!({"sku": sku}))?;
        let items = data["productVariants"]["items"].as_array().cloned().unwrap_or_default();
        ensure!(items.len() == 1, "{} variants with the SKU {sku}, not one", items.len());
        let levels = items[0]["stockLevels"].as_array().cloned().unwrap_or_default();
        let sum = |field: &str| levels.iter().map(|level| whole(&level[field])).sum::<Result<Decimal>>();
        Ok(Variant {
            price: minor(&items[0]["price"])?,
            on_hand: sum("stockOnHand")?,
            allocated: sum("stockAllocated")?,
        })
    }

    /// Cancels a whole order.
    pub fn cancel(&self, order: &Order) -> Result<()> {
        let query = "mutation($id: ID!) { cancelOrder(input: { orderId: $id, reason: \"Changed my mind\", cancelShipping: true }) {
            ... on Order { id } ... on ErrorResult { errorCode message } } }";
        self.ask(query, json!({"id": order.id})).map(|_| ())
    }

    /// Settles the order's authorised payment.
    pub fn settle(&self, order: &Order) -> Result<()> {
        let (payment, _) = order.payments.first().with_context(|| format!("{}: no payment", order.code))?;
        let query = "mutation($id: ID!) { settlePayment(id: $id) {
            ... on Payment { id } ... on ErrorResult { errorCode message } } }";
        self.ask(query, json!({"id": payment})).map(|_| ())
    }

    /// When the order's row last moved, as the shop says it.
    pub fn updated_at(&self, order: &Order) -> Result<String> {
        let data = self.ask("query($id: ID!) { order(id: $id) { updatedAt } }", json!({"id": order.id}))?;
        Ok(text(&data["order"]["updatedAt"]))
    }

    /// Starts shoppers, as `place-orders.mjs --help` describes them.
    pub fn send_shoppers(&self, args: &[&str]) -> Result<Shoppers> {
        let mut command = Command::new("node");
        command.arg("place-orders.mjs").args(["--url", &self.url]).args(args).current_dir(&self.folder);
        let log = self.logs.join("shoppers.log");
        Ok(Shoppers { child: run_beside("place-orders.mjs", &mut command, &log)?, log })
    }

    /// Places orders and gives their codes.
    pub fn place(&self, args: &[&str]) -> Result<Vec<String>> {
        self.send_shoppers(args)?.codes()
    }

    /// Places one order and reads it back.
    pub fn place_one(&self, args: &[&str]) -> Result<Order> {
        let codes = self.place(args)?;
        self.order(codes.first().context("no order was placed")?)
    }
}

/// Shoppers under way.
pub struct Shoppers {
    child: Child,
    log: PathBuf,
}

impl Shoppers {
    /// Waits for them and gives the codes of their orders.
    pub fn codes(self) -> Result<Vec<String>> {
        let output = output_of("place-orders.mjs", self.child, &self.log)?;
        let orders: Vec<Value> = serde_json::from_slice(&output)?;
        Ok(orders.iter().map(|order| text(&order["code"])).collect())
    }
}

fn order(value: &Value) -> Result<Order> {
    let list = |name: &str| value[name].as_array().cloned().unwrap_or_default();
    let mut lines = Vec::new();
    for line in list("lines") {
        lines.push(OrderLine {
            id: text(&line["id"]),
            sku: text(&line["productVariant"]["sku"]),
            quantity: whole(&line["quantity"])?,
            amount: minor(&line["proratedLinePrice"])?,
        });
    }
    let mut fulfilments = Vec::new();
    for sent in list("fulfillments") {
        let mut goods = BTreeMap::new();
        for part in sent["lines"].as_array().into_iter().flatten() {
            let line = lines.iter().find(|line| part["orderLineId"] == line.id.as_str());
            let sku = line.map(|line| line.sku.clone()).context("a fulfilment of no line")?;
            *goods.entry(sku).or_default() += whole(&part["quantity"])?;
        }
        fulfilments.push(Fulfilment {
            state: text(&sent["state"]),
            tracking: text(&sent["trackingCode"]),
            goods,
        });
    }
    Ok(Order {
        id: text(&value["id"]),
        code: text(&value["code"]),
        state: text(&value["state"]),
        total: minor(&value["total"])?,
        total_with_tax: minor(&value["totalWithTax"])?,
        shipping: list("shippingLines")
            .iter()
            .map(|line| minor(&line["discountedPrice"]))
            .sum::<Result<_>>()?,
        email: text(&value["customer"]["emailAddress"]),
        registered: !value["customer"]["user"].is_null(),
        ship_to: (text(&value["shippingAddress"]["fullName"]), text(&value["shippingAddress"]["postalCode"])),
        lines,
        fulfilments,
        notes: value["history"]["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|item| text(&item["data"]["note"]))
            .collect(),
        payments: list("payments")
            .iter()
            .map(|payment| (text(&payment["id"]), text(&payment["state"])))
            .collect(),
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn whole(value: &Value) -> Result<Decimal> {
    value.as_i64().map(Decimal::from).with_context(|| format!("not a whole number: {value}"))
}

/// An amount of the shop: a whole number of cents.
fn minor(value: &Value) -> Result<Decimal> {
    let cents = value.as_i64().with_context(|| format!("not an amount: {value}"))?;
    Ok(Decimal::new(cents, 2).normalize())
}
