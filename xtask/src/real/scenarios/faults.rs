//! What goes wrong: the hub is down or killed, the ERP is down, answers and webhooks are lost.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rand::RngExt;
use rust_decimal::Decimal;

use super::{ARRIVES, Options, RECOVERS, SKUS, arrived, by_reference, stock_agrees};
use crate::real::gate::Mode;
use crate::real::generator;
use crate::real::http::until;
use crate::real::lab::Lab;
use crate::say;

/// The shop's webhooks find nobody, and are not sent again.
pub fn hub_down(lab: &mut Lab, options: Options) -> Result<()> {
    lab.hub()?.stop();
    lab.webhooks.set(Mode::Shut);
    let codes = lab.shop.place(&["--count", "8", "--seed", &options.seed.to_string()])?;
    // The shop tries three times, the last after 1.25 s.
    let told = lab.webhooks.stopped();
    until("the shop to give up", ARRIVES, || {
        let now = lab.webhooks.stopped();
        sleep(Duration::from_secs(3));
        ensure!(lab.webhooks.stopped() == now && now > 0, "{told} so far");
        Ok(())
    })?;
    lab.webhooks.set(Mode::Open);
    lab.hub()?.start()?;
    arrived(lab, &codes, RECOVERS)?;
    Ok(())
}

/// Authorised first, settled when the order's row no longer moves; no webhook says so.
pub fn late_payment(lab: &mut Lab, _: Options) -> Result<()> {
    lab.webhooks.set(Mode::Shut);
    let order = lab.shop.place_one(&["--method", "dummy-later", "--lines", "TEE-L=1"])?;
    until("the hub to know the order", RECOVERS, || lab.hub()?.explain(&order.code))?;
    let before = lab.shop.updated_at(&order)?;
    lab.shop.settle(&order)?;
    ensure!(lab.shop.updated_at(&order)? == before, "the order's date moved: the trap is gone");
    until("the hub to see that it is paid", RECOVERS, || {
        let payload = lab.hub()?.explain_with_payload(&order.code)?["payload"].take();
        let payment = &payload["lifecycle"]["payment"];
        ensure!(payment == "paid", "payment: {payment}");
        Ok(())
    })?;
    arrived(lab, &[order.code], RECOVERS)?;
    Ok(())
}

/// The sale is made, confirmed and so on, but the hub is not told.
pub fn lost_answers(lab: &mut Lab, _: Options) -> Result<()> {
    for step in ["sale.sale.create", "sale.sale.quote", "sale.sale.confirm"] {
        let before = lab.erp_door.stopped();
        lab.erp_door.set(Mode::LoseAnswers(step, 1));
        let order = lab.shop.place_one(&["--lines", "TEE-S=1"])?;
        arrived(lab, &[order.code], RECOVERS)?;
        if step == "sale.sale.create" {
            ensure!(
                lab.erp_door.stopped() == before + 1,
                "no answer to {step} was lost: this showed nothing"
            );
        }
        lab.erp_door.set(Mode::Open);
    }
    Ok(())
}

/// No connection to the ERP; orders wait, and the hub stays up.
pub fn erp_down(lab: &mut Lab, options: Options) -> Result<()> {
    lab.erp_door.set(Mode::Shut);
    let codes = lab.shop.place(&["--count", "4", "--seed", &options.seed.to_string()])?;
    until("the hub to know the last order", ARRIVES, || lab.hub()?.explain(&codes[codes.len() - 1]))?;
    lab.erp_door.set(Mode::Open);
    arrived(lab, &codes, RECOVERS)?;
    Ok(())
}

/// Shoppers buy all the time; the hub dies at random moments, with whatever it has in hand.
pub fn kill(lab: &mut Lab, options: Options) -> Result<()> {
    let Options { orders, kills, seed } = options;
    let mut random = generator(seed);
    let began = Instant::now();
    let shoppers = lab.shop.send_shoppers(&[
        "--count",
        &orders.to_string(),
        "--seed",
        &seed.to_string(),
        "--concurrency",
        "2",
    ])?;
    for number in 1..=kills {
        sleep(Duration::from_millis(random.random_range(500..9_000)));
        lab.hub()?.kill()?;
        let sales = lab.erp.sales(None)?.len();
        say(format!("kill {number} at {:.1} s, {sales} sales in the ERP", began.elapsed().as_secs_f32()));
        lab.hub()?.start()?;
    }
    let codes = shoppers.codes()?;
    ensure!(codes.len() == usize::try_from(orders)?, "{} orders were placed", codes.len());
    let limit = RECOVERS + Duration::from_secs(u64::from(orders) * 3);
    let pairs = arrived(lab, &codes, limit)?;
    let (shop, erp): (Decimal, Decimal) = pairs
        .iter()
        .fold(Default::default(), |(s, e), (order, sale)| (s + order.total_with_tax, e + sale.total));
    ensure!(shop == erp, "the shop sold for {shop}, the ERP has {erp}");
    say(format!("{} orders, {shop} EUR on both sides, {:.0} s", pairs.len(), began.elapsed().as_secs_f32()));

    // Everything that was ever ordered, not only these: one sale each.
    by_reference(lab.erp.sales(None)?)?;
    stock_agrees(lab, SKUS, RECOVERS)?;
    until("the hub to have nothing left to do", RECOVERS, || lab.hub()?.settled())?;
    let peak = lab.hub()?.peak_mib();
    say(format!("the hub held at most {peak} MiB"));
    if peak == 0 {
        bail!("the hub's memory could not be read");
    }
    Ok(())
}
