//! Orders: that they arrive as they are, are called off, adopted, and only shown in shadow.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use rust_decimal::Decimal;
use serde_json::json;

use super::{ARRIVES, Options, RECOVERS, arrived, stock_agrees};
use crate::real::http::until;
use crate::real::lab::Lab;
use crate::say;

/// Orders of every sort: chance baskets, each kind of discount, amounts that round.
pub fn arrive(lab: &mut Lab, options: Options) -> Result<()> {
    let seed = options.seed.to_string();
    let mut codes = lab.shop.place(&["--count", "8", "--seed", &seed])?;
    let special: &[&[&str]] = &[
        &["--customer", "guest", "--lines", "MOUSE-1=2,CABLE-1=3", "--coupon", "TENOFF"],
        &["--customer", "registered", "--lines", "MOUSE-1=2,CABLE-1=3", "--coupon", "FIVEOFF"],
        &["--customer", "guest", "--lines", "STICKER-1=7,TIE-1=11", "--coupon", "SHIPFREE"],
        &["--customer", "registered", "--lines", "TIE-1=1"],
        &["--customer", "guest", "--lines", "TEE-S=2,TEE-M=1,TEE-L=3", "--country", "FR"],
    ];
    for args in special {
        codes.extend(lab.shop.place(args)?);
    }
    arrived(lab, &codes, ARRIVES)?;

    let one = lab.shop.place_one(&["--lines", "CABLE-1=1"])?;
    let paid = Instant::now();
    until("one order to arrive", ARRIVES, || lab.erp.sale(&one.code))?;
    say(format!("one order by itself was a sale {:.1} s after it was paid", paid.elapsed().as_secs_f32()));
    Ok(())
}

/// Two guests with different addresses; one party, two persons.
pub fn guests(lab: &mut Lab, _: Options) -> Result<()> {
    let codes = lab.shop.place(&["--count", "2", "--customer", "guest"])?;
    let pairs = arrived(lab, &codes, ARRIVES)?;
    ensure!(pairs.iter().all(|(_, sale)| sale.party == pairs[0].1.party), "guests became different parties");
    let mut persons = Vec::new();
    for code in &codes {
        let order = lab.hub()?.explain_with_payload(code)?;
        let person = order["payload"]["customer"]["record"].as_str().map(str::to_owned);
        persons.push(person.with_context(|| format!("{code}: no person in the hub"))?);
    }
    ensure!(persons[0] != persons[1], "two guests became one person");
    Ok(())
}

/// One called off after it had arrived, one before the hub knew of it.
pub fn cancellations(lab: &mut Lab, _: Options) -> Result<()> {
    let order = lab.shop.place_one(&["--lines", "LAPTOP-14=1,HEAD-1=2"])?;
    arrived(lab, std::slice::from_ref(&order.code), ARRIVES)?;
    lab.shop.cancel(&order)?;
    until("the sale to be called off", ARRIVES, || lab.erp.called_off(&lab.erp.sale(&order.code)?))?;
    stock_agrees(lab, &["LAPTOP-14", "HEAD-1"], ARRIVES)?;

    lab.hub()?.stop();
    let early = lab.shop.place_one(&["--lines", "HEAD-1=3"])?;
    lab.shop.cancel(&early)?;
    lab.hub()?.start()?;
    until("the hub to have dealt with the cancelled order", ARRIVES, || {
        let hub = lab.hub()?;
        hub.explain(&early.code)?;
        hub.settled()
    })?;
    for sale in lab.erp.sales(Some(std::slice::from_ref(&early.code)))? {
        lab.erp.called_off(&sale)?;
    }
    stock_agrees(lab, &["HEAD-1"], ARRIVES)
}

/// The goods left while the hub was away; then the shop cancels.
pub fn refused_cancellation(lab: &mut Lab, _: Options) -> Result<()> {
    let order = lab.shop.place_one(&["--lines", "TEE-M=2"])?;
    let pairs = arrived(lab, std::slice::from_ref(&order.code), ARRIVES)?;
    lab.hub()?.stop();
    lab.erp.ship(pairs[0].1.id, None, "TOO-LATE-1")?;
    lab.shop.cancel(&order)?;
    lab.hub()?.start()?;
    until("a note on the shop's order", RECOVERS, || {
        let notes = lab.shop.order(&order.code)?.notes;
        ensure!(!notes.is_empty(), "no note");
        Ok(())
    })?;
    until("a review item about the order", ARRIVES, || {
        ensure!(!lab.hub()?.reviews_about(&order.code)?.is_empty(), "no review item");
        Ok(())
    })?;
    let sale = lab.erp.sale(&order.code)?;
    ensure!(lab.erp.called_off(&sale).is_err(), "the shipped sale was called off all the same");
    Ok(())
}

/// A clerk was faster than the hub.
pub fn adopt(lab: &mut Lab, _: Options) -> Result<()> {
    lab.hub()?.stop();
    let order = lab.shop.place_one(&["--customer", "guest", "--lines", "MOUSE-1=2"])?;
    let lines = [("MOUSE-1", 2, Decimal::new(2550, 2)), ("SHIP-FEE", 1, Decimal::new(5, 0))];
    let by_hand = lab.erp.enter_sale(&order.code, &lines)?;
    lab.hub()?.start()?;
    until("the hub to know the sale", ARRIVES, || {
        let explained = lab.hub()?.explain(&order.code)?;
        let text = explained["counterparts"].to_string();
        ensure!(text.contains(&format!("sale.sale/{by_hand}\"")), "{text:.300}");
        Ok(())
    })?;
    let sale = lab.erp.sale(&order.code)?;
    ensure!(sale.id == by_hand, "the sale is another one");
    ensure!(sale.total == order.total_with_tax, "{}, in the ERP {}", order.total_with_tax, sale.total);
    Ok(())
}

/// Nothing is made, changed or removed in the ERP, and the difference is shown.
pub fn shadow(lab: &mut Lab, _: Options) -> Result<()> {
    lab.restart_with_orders("shadow")?;
    let result = in_shadow(lab);
    lab.restart_with_orders("live")?;
    result
}

fn in_shadow(lab: &mut Lab) -> Result<()> {
    let before = fingerprint(lab)?;
    let order = lab.shop.place_one(&["--customer", "registered", "--lines", "CABLE-1=1"])?;
    until("the shadow to be shown", ARRIVES, || {
        let explained = lab.hub()?.explain(&order.code)?;
        let deliveries = explained["deliveries"].as_array().cloned().unwrap_or_default();
        let shown = deliveries.iter().find(|d| d["state"] == "shadowed");
        match shown {
            Some(delivery) if delivery["difference"].as_array().is_some_and(|list| !list.is_empty()) => {
                Ok(())
            }
            Some(_) => bail!("the shadow shows no difference"),
            None => bail!("no delivery in shadow: {:.300}", explained["deliveries"].to_string()),
        }
    })?;
    let after = fingerprint(lab)?;
    ensure!(before == after, "something was written: {before:?}, then {after:?}");
    // It must not stay for ever as an order that the ERP is yet to get.
    lab.shop.cancel(&order)
}

/// Counts and newest dates of everything that an order could touch.
fn fingerprint(lab: &Lab) -> Result<Vec<String>> {
    [
        "sale.sale",
        "sale.line",
        "party.party",
        "party.address",
        "party.contact_mechanism",
        "stock.shipment.out",
    ]
    .iter()
    .map(|model| {
        let newest = lab.erp.search(model, json!([]), &["write_date"])?;
        let newest = newest.iter().map(|row| row["write_date"].to_string()).max().unwrap_or_default();
        Ok(format!("{model}: {} {newest}", lab.erp.count(model, json!([]))?))
    })
    .collect()
}
