//! The ERP: making its database, running it, and what a clerk does in it and an auditor reads there.
//!
//! Never: looks at the hub.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::http::{Http, until};
use super::install::{Installed, assets};
use super::process::{Service, Stop, run_to_end};

/// Name of its database.
pub const DATABASE: &str = "tryton";
/// Product codes that are no goods.
pub const SERVICES: &[&str] = &["SHIP-FEE", "DISCOUNT", "ROUNDING"];
/// The party that every guest shares.
pub const GUEST: &str = "Web customer";

/// Fills an empty database: modules, company, books, products, stock, the hub's user.
pub fn fill(
    folder: &Path,
    installed: &Installed,
    database_port: u16,
    port: u16,
    secrets: &Path,
    logs: &Path,
) -> Result<()> {
    let conf = configure(folder, database_port, port)?;
    let log = logs.join("erp-fill.log");
    let admin = |args: &[&str]| {
        let mut command = Command::new(installed.venv.join("bin/trytond-admin"));
        command.arg("-c").arg(&conf).args(["-d", DATABASE]).args(args);
        command.env("TRYTONPASSFILE", secrets.join("erp-admin"));
        run_to_end("trytond-admin", &mut command, &log)
    };
    admin(&["--all", "--email", "admin@example.com"])?;
    let requirements = fs::read_to_string(assets().join("tryton/requirements.txt"))?;
    let modules = requirements.lines().filter_map(|line| line.strip_prefix("trytond_")?.split("==").next());
    let mut args = vec!["--activate-dependencies", "-u"];
    args.extend(modules);
    admin(&args)?;
    let mut setup = Command::new(installed.venv.join("bin/python"));
    setup
        .arg(assets().join("tryton/setup.py"))
        .env("TRYTOND_CONFIG", &conf)
        .env("ERP_DB", DATABASE)
        .env("PRODUCTS_CSV", assets().join("vendure/products.csv"))
        .env("ERP_PASSWORD_FILE", secrets.join("erp-hub"))
        .env("ERP_KEY_FILE", secrets.join("erp-key"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    run_to_end("the ERP's setup.py", &mut setup, &log)
}

/// Writes the configuration file.
fn configure(folder: &Path, database_port: u16, port: u16) -> Result<std::path::PathBuf> {
    fs::create_dir_all(folder)?;
    let conf = folder.join("trytond.conf");
    let text = fs::read_to_string(assets().join("tryton/trytond.conf.in"))?
        .replace("@PG_PORT@", &database_port.to_string())
        .replace("@ERP_PORT@", &port.to_string());
    fs::write(&conf, text)?;
    Ok(conf)
}

/// The server, not started yet.
pub fn server(
    folder: &Path,
    installed: &Installed,
    database_port: u16,
    port: u16,
    logs: &Path,
) -> Result<Service> {
    let conf = configure(folder, database_port, port)?;
    let program = installed.venv.join("bin/trytond");
    Ok(Service::new("erp", Stop::Term, logs, move || {
        let mut command = Command::new(&program);
        command.arg("-c").arg(&conf).args(["-d", DATABASE]);
        command
    }))
}

/// A session in the ERP as its administrator.
pub struct Erp {
    http: Rc<Http>,
    url: String,
    password: String,
    session: RefCell<String>,
    ids: RefCell<BTreeMap<String, i64>>,
}

/// A sale, as the ERP states it.
#[derive(Debug, Clone)]
pub struct Sale {
    /// Row.
    pub id: i64,
    /// Our order's code.
    pub reference: String,
    /// `draft`, `quotation`, `confirmed`, `processing`, `done`, `cancelled`.
    pub state: String,
    /// Party's row and name.
    pub party: (i64, String),
    /// Name and postal code of the address it is shipped to.
    pub ship_to: (String, String),
    /// Without tax.
    pub untaxed: Decimal,
    /// Tax.
    pub tax: Decimal,
    /// With tax.
    pub total: Decimal,
    /// Lines.
    pub lines: Vec<SaleLine>,
    /// Shipments' rows.
    pub shipments: Vec<i64>,
    /// Invoices' rows.
    pub invoices: Vec<i64>,
}

/// A line of a sale.
#[derive(Debug, Clone)]
pub struct SaleLine {
    /// Product code.
    pub code: String,
    /// In units.
    pub quantity: Decimal,
    /// Without tax.
    pub amount: Decimal,
}

impl Sale {
    /// Quantities of goods by code.
    pub fn goods(&self) -> BTreeMap<String, Decimal> {
        let mut goods = BTreeMap::new();
        for line in self.lines.iter().filter(|line| !SERVICES.contains(&line.code.as_str())) {
            *goods.entry(line.code.clone()).or_default() += line.quantity;
        }
        goods
    }

    /// What is charged under a code, without tax.
    pub fn amount_of(&self, code: &str) -> Decimal {
        self.lines.iter().filter(|line| line.code == code).map(|line| line.amount).sum()
    }
}

impl Erp {
    /// The ERP on a port; [`Erp::log_in`] comes next.
    pub fn new(http: Rc<Http>, port: u16, secrets: &Path) -> Result<Self> {
        let password = fs::read_to_string(secrets.join("erp-admin"))?.trim().to_owned();
        let url = format!("http://127.0.0.1:{port}/{DATABASE}/rpc/");
        Ok(Self { http, url, password, session: RefCell::default(), ids: RefCell::default() })
    }

    /// Waits for the server and opens a session.
    pub fn log_in(&self, limit: Duration) -> Result<()> {
        let request = json!({"id": 0, "method": "common.db.login", "params": ["admin", {"password": self.password}, "en"]});
        let result = until("the ERP to answer", limit, || {
            let answer = self.http.post(&self.url, &[], &request)?.json()?;
            let result = &answer["result"];
            ensure!(result.is_array(), "login: {answer}");
            Ok(result.clone())
        })?;
        let text = format!("admin:{}:{}", result[0], text(&result[1]));
        *self.session.borrow_mut() =
            format!("Session {}", base64::engine::general_purpose::STANDARD.encode(text));
        Ok(())
    }

    /// Calls a method; a warning is answered as a clerk answers it, with yes.
    pub fn call(&self, method: &str, params: Value, context: Value) -> Result<Value> {
        let mut whole = json!({"company": 1, "employee": 1});
        merge(&mut whole, context);
        let mut params = params.as_array().cloned().unwrap_or_default();
        params.push(whole.clone());
        let request = json!({"id": 1, "method": method, "params": params});
        for _ in 0..5 {
            let session = self.session.borrow().clone();
            let answer = self.http.post(&self.url, &[("authorization", &session)], &request)?;
            let body = answer.json().with_context(|| method.to_owned())?;
            let error = &body["error"];
            if error.is_null() {
                return Ok(body["result"].clone());
            }
            if error[0] != "UserWarning" {
                bail!("{method}: {:.600}", error.to_string());
            }
            let skip = json!({"id": 2, "method": "model.res.user.warning.skip", "params": [error[1][0], false, whole]});
            self.http.post(&self.url, &[("authorization", &session)], &skip)?;
        }
        bail!("{method}: warned again and again")
    }

    /// Reads rows that match a domain.
    pub fn search(&self, model: &str, domain: Value, fields: &[&str]) -> Result<Vec<Value>> {
        let found = self.call(
            &format!("model.{model}.search_read"),
            json!([domain, 0, null, [["id", "ASC"]], fields]),
            json!({}),
        )?;
        found.as_array().cloned().with_context(|| format!("{model}: not a list: {found}"))
    }

    /// How many rows match.
    pub fn count(&self, model: &str, domain: Value) -> Result<u64> {
        let count = self.call(&format!("model.{model}.search_count"), json!([domain]), json!({}))?;
        count.as_u64().with_context(|| format!("{model}: not a count: {count}"))
    }

    /// Does something to one row.
    pub fn act(&self, model: &str, action: &str, id: i64) -> Result<()> {
        self.call(&format!("model.{model}.{action}"), json!([[id]]), json!({})).map(|_| ())
    }

    fn create(&self, model: &str, values: Value) -> Result<i64> {
        let made = self.call(&format!("model.{model}.create"), json!([[values]]), json!({}))?;
        made[0].as_i64().with_context(|| format!("{model}: nothing made: {made}"))
    }

    fn write(&self, model: &str, id: i64, values: Value) -> Result<()> {
        self.call(&format!("model.{model}.write"), json!([[id], values]), json!({})).map(|_| ())
    }

    /// Row of the only one that matches, remembered.
    fn id_of(&self, model: &str, field: &str, value: &str) -> Result<i64> {
        let name = format!("{model} {field} {value}");
        if let Some(id) = self.ids.borrow().get(&name) {
            return Ok(*id);
        }
        let found = self.search(model, json!([[field, "=", value]]), &["id"])?;
        ensure!(found.len() == 1, "{} of {name}, not one", found.len());
        let id = found[0]["id"].as_i64().context("a row without id")?;
        self.ids.borrow_mut().insert(name, id);
        Ok(id)
    }

    /// Product of a code.
    pub fn product(&self, code: &str) -> Result<i64> {
        self.id_of("product.product", "code", code)
    }

    /// The party that guests share.
    pub fn guest(&self) -> Result<i64> {
        self.id_of("party.party", "name", GUEST)
    }

    fn location(&self, code: &str) -> Result<i64> {
        self.id_of("stock.location", "code", code)
    }

    /// Every sale with one of these references, or every sale there is.
    pub fn sales(&self, references: Option<&[String]>) -> Result<Vec<Sale>> {
        let domain = references.map_or(json!([]), |list| json!([["reference", "in", list]]));
        let fields = [
            "reference",
            "state",
            "party.name",
            "shipment_address.postal_code",
            "shipment_address.party_name",
            "untaxed_amount",
            "tax_amount",
            "total_amount",
            "shipments",
            "invoices",
        ];
        let rows = self.search("sale.sale", domain, &fields)?;
        let ids: Vec<_> = rows.iter().map(|row| row["id"].clone()).collect();
        let line_fields = ["sale", "product.code", "quantity", "amount"];
        let lines =
            self.search("sale.line", json!([["sale", "in", ids], ["type", "=", "line"]]), &line_fields)?;
        rows.iter().map(|row| sale(row, &lines)).collect()
    }

    /// The only sale with that reference.
    pub fn sale(&self, reference: &str) -> Result<Sale> {
        let mut found = self.sales(Some(&[reference.to_owned()]))?;
        ensure!(found.len() == 1, "{} sales with the reference {reference}, not one", found.len());
        found.pop().context("one sale")
    }

    /// What can still be promised of a product in the warehouse: in stock less what sales have taken.
    pub fn available(&self, code: &str) -> Result<Decimal> {
        self.quantity(code, "forecast_quantity", "WH")
    }

    /// What lies on the shelves.
    pub fn on_hand(&self, code: &str) -> Result<Decimal> {
        self.quantity(code, "quantity", "STO")
    }

    fn quantity(&self, code: &str, field: &str, location: &str) -> Result<Decimal> {
        let context = json!({
            "locations": [self.location(location)?], "with_childs": true, "stock_date_end": null, "forecast": true,
        });
        let read =
            self.call("model.product.product.read", json!([[self.product(code)?], [field]]), context)?;
        number(&read[0][field])
    }

    /// Keys a sale in by hand and takes it to `processing`; gives its row.
    pub fn enter_sale(&self, reference: &str, lines: &[(&str, u32, Decimal)]) -> Result<i64> {
        let party = self.guest()?;
        let address = self.search("party.address", json!([["party", "=", party]]), &["id"])?;
        let address = address.first().context("the guest has no address")?["id"].clone();
        let tax = self.search("account.tax", json!([]), &["id"])?[0]["id"].clone();
        let mut entered = Vec::new();
        for (code, quantity, price) in lines {
            entered.push(json!({
                "type": "line", "product": self.product(code)?, "quantity": quantity,
                "unit": self.id_of("product.uom", "name", "Unit")?, "unit_price": decimal(*price),
                "taxes": [["add", [tax]]],
            }));
        }
        let id = self.create(
            "sale.sale",
            json!({
                "party": party, "company": 1, "currency": self.id_of("currency.currency", "code", "EUR")?,
                "invoice_address": address, "shipment_address": address, "warehouse": self.location("WH")?,
                "payment_term": self.id_of("account.invoice.payment_term", "name", "Prepaid")?,
                "invoice_method": "order", "shipment_method": "order", "reference": reference,
                "lines": [["create", entered]],
            }),
        )?;
        self.act("sale.sale", "quote", id)?;
        self.act("sale.sale", "confirm", id)?;
        Ok(id)
    }

    /// Assigns, picks, packs and ships the open shipment of a sale, whole or only these quantities of these codes.
    pub fn ship(&self, sale: i64, only: Option<&[(&str, u32)]>, tracking: &str) -> Result<i64> {
        let open =
            json!([["moves.origin.sale", "=", sale, "sale.line"], ["state", "in", ["waiting", "draft"]]]);
        let found = self.search("stock.shipment.out", open, &["inventory_moves"])?;
        let shipment = found.first().with_context(|| format!("sale {sale} has no open shipment"))?;
        let id = shipment["id"].as_i64().context("a shipment without id")?;
        if let Some(only) = only {
            let moves = self.search(
                "stock.move",
                json!([["id", "in", shipment["inventory_moves"]]]),
                &["product.code"],
            )?;
            for row in moves {
                let code = &row["product."]["code"];
                let quantity =
                    only.iter().find(|(only, _)| code == only).map_or(0, |(_, quantity)| *quantity);
                self.write(
                    "stock.move",
                    row["id"].as_i64().unwrap_or_default(),
                    json!({"quantity": quantity}),
                )?;
            }
        }
        let assigned = self.call("model.stock.shipment.out.assign_try", json!([[id]]), json!({}))?;
        ensure!(assigned != json!(false), "shipment {id} could not be assigned");
        self.act("stock.shipment.out", "pick", id)?;
        self.act("stock.shipment.out", "pack", id)?;
        self.write("stock.shipment.out", id, json!({"shipping_reference": tracking}))?;
        self.act("stock.shipment.out", "do", id)?;
        Ok(id)
    }

    /// Counts a product: from now on so many lie on the shelves.
    pub fn take_inventory(&self, code: &str, quantity: Decimal) -> Result<()> {
        let line = json!({"product": self.product(code)?, "quantity": float(quantity)?});
        let id = self.create(
            "stock.inventory",
            json!({"location": self.location("STO")?, "company": 1, "lines": [["create", [line]]]}),
        )?;
        self.act("stock.inventory", "confirm", id)
    }

    /// Sets a product's list price.
    pub fn set_price(&self, code: &str, price: Decimal) -> Result<()> {
        let product = self.search("product.product", json!([["code", "=", code]]), &["template"])?;
        let template = product.first().and_then(|row| row["template"].as_i64()).context("no such product")?;
        self.write("product.template", template, json!({"list_price": decimal(price)}))
    }

    /// Fails unless nothing of the sale will be shipped or invoiced any more.
    pub fn called_off(&self, sale: &Sale) -> Result<()> {
        if sale.state == "cancelled" {
            return Ok(());
        }
        let moves = self.search(
            "stock.move",
            json!([["origin.sale", "=", sale.id, "sale.line"]]),
            &["state", "quantity"],
        )?;
        let to_ship = moves.iter().filter(|row| {
            row["state"] != "cancelled" && number(&row["quantity"]).is_ok_and(|q| !q.is_zero())
        });
        let to_ship = to_ship.count();
        ensure!(to_ship == 0, "sale {}: {} with {to_ship} moves not cancelled", sale.reference, sale.state);
        let lines = self.search(
            "account.invoice.line",
            json!([["origin.sale", "=", sale.id, "sale.line"]]),
            &["invoice.state", "amount"],
        )?;
        let live = lines.iter().filter(|row| row["invoice."]["state"] != "cancelled");
        let open: Decimal = live.map(|row| number(&row["amount"])).sum::<Result<Decimal>>()?;
        ensure!(open.is_zero(), "sale {}: {} with {open} still invoiced", sale.reference, sale.state);
        Ok(())
    }

    /// Whether a party has this e-mail address.
    pub fn party_has_email(&self, party: i64, email: &str) -> Result<bool> {
        let domain = json!([["party", "=", party], ["type", "=", "email"], ["value", "=", email]]);
        Ok(self.count("party.contact_mechanism", domain)? > 0)
    }
}

fn sale(row: &Value, lines: &[Value]) -> Result<Sale> {
    let id = row["id"].as_i64().context("a sale without id")?;
    let address = &row["shipment_address."];
    let lines = lines.iter().filter(|line| line["sale"] == row["id"]).map(|line| {
        Ok(SaleLine {
            code: text(&line["product."]["code"]),
            quantity: number(&line["quantity"])?,
            amount: number(&line["amount"])?,
        })
    });
    Ok(Sale {
        id,
        reference: text(&row["reference"]),
        state: text(&row["state"]),
        party: (row["party."]["id"].as_i64().unwrap_or_default(), text(&row["party."]["name"])),
        ship_to: (text(&address["party_name"]), text(&address["postal_code"])),
        untaxed: number(&row["untaxed_amount"])?,
        tax: number(&row["tax_amount"])?,
        total: number(&row["total_amount"])?,
        lines: lines.collect::<Result<_>>()?,
        shipments: ids(&row["shipments"]),
        invoices: ids(&row["invoices"]),
    })
}

fn ids(value: &Value) -> Vec<i64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A Tryton number: a decimal object, or a float for quantities.
fn number(value: &Value) -> Result<Decimal> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        other => other["decimal"].as_str().with_context(|| format!("not a number: {other}"))?.to_owned(),
    };
    let number = text.parse::<Decimal>().map_err(|error| anyhow!("`{text}`: {error}"))?;
    Ok(number.normalize())
}

fn decimal(value: Decimal) -> Value {
    json!({"__class__": "Decimal", "decimal": value.to_string()})
}

fn float(value: Decimal) -> Result<Value> {
    Ok(serde_json::from_str(&value.to_string())?)
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
