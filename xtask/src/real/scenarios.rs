//! What must be true between a shop, a hub and an ERP that really run. Each scenario can run alone and in any order;
//! each is judged by what the shop and the ERP say.

mod faults;
mod goods;
mod orders;
mod setup;
mod webhooks;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use rust_decimal::Decimal;

use super::Options;
use super::erp::{Erp, Sale};
use super::http::until;
use super::lab::Lab;
use super::shop::Order;

/// One scenario.
pub struct Scenario {
    /// Name, for `--only`.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// Shows it, or says what was different.
    pub run: fn(&mut Lab, Options) -> Result<()>,
}

const fn scenario(
    name: &'static str,
    about: &'static str,
    run: fn(&mut Lab, Options) -> Result<()>,
) -> Scenario {
    Scenario { name, about, run }
}

/// Every scenario, in the order in which they run.
pub const ALL: &[Scenario] = &[
    scenario("orders", "orders reach the ERP with the same lines, tax, total and buyer", orders::arrive),
    scenario(
        "guests",
        "guests share one party in the ERP and stay distinct persons in the hub",
        orders::guests,
    ),
    scenario("stock", "the shop can sell what the ERP has left, and nothing is counted twice", goods::stock),
    scenario(
        "shipments",
        "shipments in the ERP, partial ones too, are fulfilments with tracking in the shop",
        goods::shipments,
    ),
    scenario("prices", "a price changed in the ERP is the shop's price", goods::prices),
    scenario(
        "cancellations",
        "an order cancelled in the shop is called off in the ERP",
        orders::cancellations,
    ),
    scenario(
        "refused-cancellation",
        "a cancellation that comes too late is noted on the shop's order",
        orders::refused_cancellation,
    ),
    scenario(
        "hub-down",
        "orders placed while the hub is down arrive afterwards, once each",
        faults::hub_down,
    ),
    scenario("late-payment", "a payment that no webhook and no date tells of is found", faults::late_payment),
    scenario(
        "lost-answers",
        "the ERP does the work and its answer is lost: still one sale",
        faults::lost_answers,
    ),
    scenario(
        "erp-down",
        "orders placed while the ERP is down arrive afterwards, once each",
        faults::erp_down,
    ),
    scenario("adopt", "an order that a clerk keyed in by hand is adopted, not made again", orders::adopt),
    scenario(
        "webhooks",
        "the webhook address refuses what it must and takes a repeat without effect",
        webhooks::endpoint,
    ),
    scenario(
        "kill",
        "the hub is killed again and again under load: every order once, to the cent",
        faults::kill,
    ),
    scenario("shadow", "a flow in shadow shows what it would do and writes nothing", orders::shadow),
];

/// Scenarios that need no hub: they try the lab itself.
pub const WITHOUT_HUB: &[Scenario] = &[
    scenario("shoppers", "orders can be placed, settled, cancelled and read back", setup::shoppers),
    scenario("clerk", "sales can be entered, shipped in parts, counted, priced and read back", setup::clerk),
    scenario("agreement", "shop and ERP begin with the same goods, prices and stock", setup::agreement),
    scenario("hints", "the shop's webhooks are signed and tell of an order", setup::hints),
    scenario("doors", "the doors pass, refuse and lose what they are told to", setup::doors),
];

/// How long an order may take to arrive when nothing is wrong; the aim is five seconds, the limit leaves room for a busy
/// machine.
const ARRIVES: Duration = Duration::from_secs(60);
/// How long anything may take after a failure: longer than the first two pauses between tries.
const RECOVERS: Duration = Duration::from_secs(300);

/// Every SKU of the shop.
const SKUS: &[&str] = &[
    "MOUSE-1",
    "CABLE-1",
    "LAPTOP-14",
    "STICKER-1",
    "HEAD-1",
    "TIE-1",
    "LAMP-1",
    "MONITOR-27",
    "MUG-RARE",
    "TEE-S",
    "TEE-M",
    "TEE-L",
];

/// Waits until every order is one sale that is being processed, and holds each pair against each other.
fn arrived(lab: &Lab, codes: &[String], limit: Duration) -> Result<Vec<(Order, Sale)>> {
    let sales = until("the orders to be processed in the ERP", limit, || {
        let sales = by_reference(lab.erp.sales(Some(codes))?)?;
        let missing = codes.iter().filter(|code| !sales.contains_key(*code)).count();
        ensure!(missing == 0, "{missing} of {} orders have no sale", codes.len());
        for sale in sales.values() {
            ensure!(
                ["processing", "done"].contains(&sale.state.as_str()),
                "{}: {}",
                sale.reference,
                sale.state
            );
        }
        Ok(sales)
    })?;
    let mut pairs = Vec::new();
    for code in codes {
        let (order, Some(sale)) = (lab.shop.order(code)?, sales.get(code)) else { bail!("{code}: no sale") };
        agree(&order, sale, &lab.erp)?;
        pairs.push((order, sale.clone()));
    }
    Ok(pairs)
}

/// Sales by reference; two with the same are an error at once.
fn by_reference(sales: Vec<Sale>) -> Result<BTreeMap<String, Sale>> {
    let mut by_reference = BTreeMap::new();
    for sale in sales {
        let (code, id) = (sale.reference.clone(), sale.id);
        if let Some(other) = by_reference.insert(code.clone(), sale) {
            bail!("DOUBLE: order {code} is sale {} and sale {id}", other.id);
        }
    }
    Ok(by_reference)
}

/// An order and its sale tell the same story, to the cent.
fn agree(order: &Order, sale: &Sale, erp: &Erp) -> Result<()> {
    let code = &order.code;
    ensure!(
        order.goods() == sale.goods(),
        "{code}: goods {:?}, in the ERP {:?}",
        order.goods(),
        sale.goods()
    );
    let amounts = [
        ("total with tax", order.total_with_tax, sale.total),
        ("total without tax", order.total, sale.untaxed),
        ("tax", order.total_with_tax - order.total, sale.tax),
        ("lines and total", sale.lines.iter().map(|line| line.amount).sum(), sale.untaxed),
        ("shipping", order.shipping, sale.amount_of("SHIP-FEE")),
    ];
    for (what, shop, ours) in amounts {
        ensure!(shop == ours, "{code}: {what} {shop}, in the ERP {ours}");
    }
    let rounding = sale.amount_of("ROUNDING");
    ensure!(rounding.abs() <= Decimal::new(5, 2), "{code}: {rounding} were put down to rounding");
    ensure!(
        order.ship_to.1 == sale.ship_to.1,
        "{code}: shipped to postal code {}, in the ERP {}",
        order.ship_to.1,
        sale.ship_to.1
    );
    if order.registered {
        ensure!(sale.party.0 != erp.guest()?, "{code}: a customer with an account became the guest party");
        ensure!(
            erp.party_has_email(sale.party.0, &order.email)?,
            "{code}: the party lacks the buyer's address"
        );
    } else {
        ensure!(sale.party.0 == erp.guest()?, "{code}: a guest became the party {}", sale.party.1);
    }
    Ok(())
}

/// Waits until the shop can sell exactly what the ERP has left of each SKU.
fn stock_agrees(lab: &Lab, skus: &[&str], limit: Duration) -> Result<()> {
    until("the shop's stock to be the ERP's", limit, || {
        for sku in skus {
            let (shop, erp) = (lab.shop.variant(sku)?, lab.erp.available(sku)?);
            ensure!(
                shop.saleable() == erp,
                "{sku}: the shop can sell {} ({} - {} allocated), the ERP has {erp}",
                shop.saleable(),
                shop.on_hand,
                shop.allocated
            );
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sale(id: i64, reference: &str) -> Sale {
        let none = Decimal::ZERO;
        Sale {
            id,
            reference: reference.into(),
            state: "processing".into(),
            party: (1, String::new()),
            ship_to: <_>::default(),
            untaxed: none,
            tax: none,
            total: none,
            lines: Vec::new(),
            shipments: Vec::new(),
            invoices: Vec::new(),
        }
    }

    #[test]
    fn a_double_is_an_error() {
        assert_eq!(by_reference(vec![sale(1, "A"), sale(2, "B")]).unwrap().len(), 2);
        let error = by_reference(vec![sale(1, "A"), sale(2, "B"), sale(3, "A")]).unwrap_err();
        assert_eq!(error.to_string(), "DOUBLE: order A is sale 1 and sale 3");
    }

    #[test]
    fn names_are_unique() {
        for table in [ALL, WITHOUT_HUB] {
            let names: std::collections::BTreeSet<_> = table.iter().map(|scenario| scenario.name).collect();
            assert_eq!(names.len(), table.len());
        }
    }
}
