//! Goods: stock, prices and shipments, which the ERP owns and the shop must show.

use anyhow::{Result, ensure};
use rust_decimal::Decimal;

use super::{ARRIVES, Options, RECOVERS, arrived, stock_agrees};
use crate::real::gate::Mode;
use crate::real::http::until;
use crate::real::lab::Lab;

/// What the ERP does for an order, as it is written in the hub's requests.
const MAKES_A_SALE: &str = "sale.sale.create";

/// A count, a sale on the telephone, a sale in the shop; then an order that the ERP does not know yet.
pub fn stock(lab: &mut Lab, _: Options) -> Result<()> {
    let sku = "HEAD-1";
    lab.erp.take_inventory(sku, Decimal::from(321))?;
    stock_agrees(lab, &[sku], ARRIVES)?;
    lab.erp.enter_sale("BY-PHONE-1", &[(sku, 7, Decimal::new(14995, 2))])?;
    stock_agrees(lab, &[sku], ARRIVES)?;
    let order = lab.shop.place_one(&["--lines", "HEAD-1=5"])?;
    arrived(lab, &[order.code], ARRIVES)?;
    stock_agrees(lab, &[sku], ARRIVES)?;

    // The ERP answers, but takes no orders: this one is in flight, and the shop holds its goods already.
    lab.erp_door.set(Mode::Refuse(vec![MAKES_A_SALE]));
    let refused = lab.erp_door.stopped();
    let in_flight = lab.shop.place_one(&["--lines", "HEAD-1=4"])?;
    until("the hub to try and be refused", ARRIVES, || {
        ensure!(lab.erp_door.stopped() > refused, "no try");
        Ok(())
    })?;
    lab.erp.take_inventory(sku, Decimal::from(200))?;
    let promised = lab.erp.available(sku)? - Decimal::from(4);
    until("the shop to count the order in flight once", RECOVERS, || {
        let variant = lab.shop.variant(sku)?;
        ensure!(
            variant.saleable() == promised,
            "the shop can sell {} ({} - {} allocated), not {promised}",
            variant.saleable(),
            variant.on_hand,
            variant.allocated
        );
        Ok(())
    })?;
    lab.erp_door.set(Mode::Open);
    // While it arrives, the shop must never offer more than there is.
    let mut most = Decimal::MIN;
    until("the order in flight to arrive", RECOVERS, || {
        most = most.max(lab.shop.variant(sku)?.saleable());
        lab.erp.sale(&in_flight.code)
    })?;
    until("the figures to be one again", ARRIVES, || {
        let variant = lab.shop.variant(sku)?;
        most = most.max(variant.saleable());
        ensure!(variant.saleable() == lab.erp.available(sku)?, "{variant:?}");
        Ok(())
    })?;
    ensure!(most <= promised, "the shop offered {most} while only {promised} could be sold");
    arrived(lab, &[in_flight.code], ARRIVES)?;
    Ok(())
}

/// Part of an order, then the rest.
pub fn shipments(lab: &mut Lab, options: Options) -> Result<()> {
    let order = lab.shop.place_one(&["--lines", "MOUSE-1=3,LAMP-1=1"])?;
    let pairs = arrived(lab, std::slice::from_ref(&order.code), ARRIVES)?;
    let (first, second) = (format!("PART-{}", options.seed), format!("REST-{}", options.seed));
    lab.erp.ship(pairs[0].1.id, Some(&[("MOUSE-1", 2)]), &first)?;
    fulfilled(lab, &order.code, &[(&first, &[("MOUSE-1", 2)])], "PartiallyShipped")?;
    lab.erp.ship(pairs[0].1.id, None, &second)?;
    let rest: &[(&str, u32)] = &[("LAMP-1", 1), ("MOUSE-1", 1)];
    fulfilled(lab, &order.code, &[(&first, &[("MOUSE-1", 2)]), (&second, rest)], "Shipped")?;
    stock_agrees(lab, &["MOUSE-1", "LAMP-1"], ARRIVES)
}

/// Waits until the shop's order has exactly these fulfilments.
fn fulfilled(lab: &Lab, code: &str, expected: &[(&str, &[(&str, u32)])], state: &str) -> Result<()> {
    until("the fulfilment in the shop", ARRIVES, || {
        let order = lab.shop.order(code)?;
        let sent = &order.fulfilments;
        ensure!(sent.len() == expected.len(), "{} fulfilments: {sent:?}", sent.len());
        for (tracking, goods) in expected {
            let found = sent.iter().find(|fulfilment| fulfilment.tracking == *tracking);
            let goods =
                goods.iter().map(|(sku, quantity)| ((*sku).to_owned(), Decimal::from(*quantity))).collect();
            ensure!(found.is_some_and(|f| f.goods == goods && f.state == "Shipped"), "{tracking}: {sent:?}");
        }
        ensure!(order.state == state, "the order is {}, not {state}", order.state);
        Ok(())
    })
}

/// A new price, and an order at that price.
pub fn prices(lab: &mut Lab, options: Options) -> Result<()> {
    let price = Decimal::new(8000 + i64::try_from(options.seed % 1000)?, 2).normalize();
    lab.erp.set_price("LAMP-1", price)?;
    until("the shop's price to be the ERP's", ARRIVES, || {
        let shop = lab.shop.variant("LAMP-1")?.price;
        ensure!(shop == price, "{shop}, not {price}");
        Ok(())
    })?;
    let order = lab.shop.place_one(&["--lines", "LAMP-1=2"])?;
    ensure!(order.total - order.shipping == price * Decimal::TWO, "sold at another price: {}", order.total);
    arrived(lab, &[order.code], ARRIVES)?;
    Ok(())
}
