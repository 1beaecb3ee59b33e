//! The lab by itself, without a hub.

use std::collections::BTreeMap;
use std::net::TcpListener;

use anyhow::{Result, ensure};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::webhooks::sign;
use super::{ARRIVES, Options, SKUS, stock_agrees};
use crate::real::gate::{Mode, take_one};
use crate::real::http::Http;
use crate::real::lab::Lab;

/// Places orders of every sort, settles and cancels one, and reads them back.
pub fn shoppers(lab: &mut Lab, _: Options) -> Result<()> {
    let codes = lab.shop.place(&["--count", "4"])?;
    ensure!(codes.len() == 4, "{} orders", codes.len());
    for code in &codes {
        let order = lab.shop.order(code)?;
        ensure!(order.state == "PaymentSettled", "{code}: {}", order.state);
        let lines: Decimal = order.lines.iter().map(|line| line.amount).sum();
        ensure!(lines + order.shipping == order.total, "{code}: lines {lines}, total {}", order.total);
        ensure!(!order.email.is_empty() && !order.ship_to.1.is_empty(), "{code}: no address");
    }
    let discounted = lab.shop.place_one(&[
        "--lines",
        "CABLE-1=3,TIE-1=7",
        "--coupon",
        "FIVEOFF",
        "--customer",
        "guest",
    ])?;
    ensure!(discounted.total == Decimal::new(2997 + 231 - 500 + 500, 2), "{}", discounted.total);
    ensure!(!discounted.registered, "a guest has an account");
    let free =
        lab.shop.place_one(&["--lines", "MOUSE-1", "--coupon", "SHIPFREE", "--customer", "registered"])?;
    ensure!(free.shipping.is_zero() && free.registered, "{free:?}");

    let late = lab.shop.place_one(&["--method", "dummy-later", "--lines", "LAMP-1=2"])?;
    ensure!(late.state == "PaymentAuthorized", "{}", late.state);
    let before = lab.shop.updated_at(&late)?;
    lab.shop.settle(&late)?;
    ensure!(lab.shop.order(&late.code)?.state == "PaymentSettled", "not settled");
    ensure!(lab.shop.updated_at(&late)? == before, "the order's date moved: the trap is gone");
    ensure!(lab.shop.variant("LAMP-1")?.allocated >= Decimal::TWO, "nothing allocated");
    lab.shop.cancel(&late)?;
    ensure!(lab.shop.order(&late.code)?.state == "Cancelled", "not cancelled");
    ensure!(lab.shop.orders()?.len() >= 7, "orders are missing from the list");
    Ok(())
}

/// Does everything that scenarios have the clerk do.
pub fn clerk(lab: &mut Lab, _: Options) -> Result<()> {
    let erp = &lab.erp;
    let before = erp.available("HEAD-1")?;
    erp.enter_sale("BY-HAND-1", &[("HEAD-1", 3, Decimal::new(14995, 2)), ("TIE-1", 2, Decimal::new(33, 2))])?;
    let sale = erp.sale("BY-HAND-1")?;
    ensure!(sale.state == "processing" && sale.total == Decimal::new(54061, 2), "{sale:?}");
    ensure!(sale.invoices.len() == 1 && sale.shipments.len() == 1, "{sale:?}");
    let three = Decimal::from(3);
    ensure!(erp.available("HEAD-1")? == before - three, "a sale takes nothing from what is available");
    let shelf = erp.on_hand("HEAD-1")?;
    erp.ship(sale.id, Some(&[("HEAD-1", 2)]), "TRACK-1")?;
    ensure!(erp.on_hand("HEAD-1")? == shelf - Decimal::TWO, "the shipment took nothing off the shelf");
    ensure!(erp.available("HEAD-1")? == before - three, "a shipment changed what is available");
    ensure!(erp.called_off(&erp.sale("BY-HAND-1")?).is_err(), "a sale under way counts as called off");
    erp.ship(sale.id, None, "TRACK-2")?;
    let shipped = erp.search(
        "stock.shipment.out",
        json!([["shipping_reference", "in", ["TRACK-1", "TRACK-2"]]]),
        &["state", "outgoing_moves"],
    )?;
    ensure!(shipped.len() == 2 && shipped.iter().all(|row| row["state"] == "done"), "{shipped:?}");
    erp.take_inventory("HEAD-1", Decimal::from(321))?;
    ensure!(erp.available("HEAD-1")? == Decimal::from(321), "counted {}", erp.available("HEAD-1")?);
    erp.set_price("LAMP-1", Decimal::new(8140, 2))?;
    let price = erp.search("product.product", json!([["code", "=", "LAMP-1"]]), &["list_price_used"])?;
    ensure!(price[0]["list_price_used"]["decimal"] == "81.40", "{price:?}");
    let goods: BTreeMap<_, _> = erp.sale("BY-HAND-1")?.goods();
    ensure!(goods.len() == 2, "{goods:?}");
    Ok(())
}

/// Holds both systems' goods against each other.
pub fn agreement(lab: &mut Lab, _: Options) -> Result<()> {
    // What the scenarios before did to one side alone is put right first.
    for sku in SKUS {
        let (shop, erp) = (lab.shop.variant(sku)?.saleable(), lab.erp.available(sku)?);
        if shop != erp {
            lab.erp.take_inventory(sku, lab.erp.on_hand(sku)? + shop - erp)?;
        }
    }
    stock_agrees(lab, SKUS, ARRIVES)
}

/// Tries each thing that a door can do.
pub fn doors(lab: &mut Lab, _: Options) -> Result<()> {
    let http = Http::new()?;
    let url = format!("http://127.0.0.1:{}/rpc/", lab.erp_door.port);
    let ask = || http.post(&url, &[], &json!({"id": 0, "method": "common.server.version", "params": []}));
    ensure!(ask()?.json()?["result"] == "8.0", "the open door does not pass");
    lab.erp_door.set(Mode::Refuse(vec!["server.version"]));
    ensure!(ask()?.status == 503, "the door does not refuse");
    lab.erp_door.set(Mode::Refuse(vec!["something else"]));
    ensure!(ask()?.status == 200, "the door refuses too much");
    let passed = lab.erp_door.passed();
    lab.erp_door.set(Mode::LoseAnswers("server.version", 1));
    ensure!(ask().is_err(), "the answer was not lost");
    ensure!(lab.erp_door.passed() == passed + 1, "the request was lost, not its answer");
    ensure!(ask()?.status == 200, "more answers were lost than asked for");
    lab.erp_door.set(Mode::Shut);
    ensure!(ask().is_err(), "the shut door passes");
    ensure!(lab.erp_door.stopped() == 3, "{} stopped", lab.erp_door.stopped());
    Ok(())
}

/// Stands in for the hub and takes what the shop tells of an order.
pub fn hints(lab: &mut Lab, _: Options) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", lab.hub_port))?;
    let order = lab.shop.place_one(&["--lines", "STICKER-1=1"])?;
    let mut paid = false;
    // Four changes of state, a payment, a placed order and the stock; the one that tells of the payment is among them.
    for _ in 0..12 {
        let (head, body) = take_one(&listener)?;
        let signature = format!("x-signature: {}", sign(&lab.webhook_secret, &body)?);
        ensure!(head.starts_with("POST /webhooks/shop "), "{head}");
        ensure!(head.to_lowercase().contains(&signature), "not signed: {head}");
        let hint: Value = serde_json::from_slice(&body)?;
        ensure!(hint["id"].is_string() && hint["entity_id"].is_string(), "{hint}");
        paid |= hint["topic"] == "order.placed" && hint["order_id"] == order.id.as_str();
        if paid {
            break;
        }
    }
    ensure!(paid, "no webhook tells that the order was placed");
    Ok(())
}
