//! The real binary between a toy store and a toy ERP: processes that are killed, answers that are lost, orders that are
//! refused. Whatever happens, every order that was acknowledged becomes one sale with the same total, or waits visibly.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "system/desk.rs"]
mod desk;
#[path = "system/http.rs"]
mod http;
#[path = "system/toys.rs"]
mod toys;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use desk::{Desk, Hub, flow, post, sign, until};
use serde_json::Value;
use toys::{Erp, Shop, lock};

/// The order is one sale, with the order's total.
fn one_sale(shop: &Shop, erp: &Erp, number: u32, when: &str) {
    let sales = erp.sales_of(number);
    assert_eq!(sales.len(), 1, "{when}: sales of order {number}: {sales:?}");
    assert_eq!(sales[0]["total"], shop.total(number), "{when}");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn an_order_becomes_a_sale_with_the_same_total() {
    let (shop, erp) = (Shop::open(), Erp::open());
    let desk = Desk::plain(&shop, &erp);
    let hub = desk.serve();
    shop.place(1001);
    hub.told(1001);
    hub.delivery(1001, "orders", "delivered");
    one_sale(&shop, &erp, 1001, "delivered");

    let explained = desk.ask(&["explain", "order", "1001"]);
    let counterparts = explained[0]["counterparts"].as_array().unwrap();
    let seen: BTreeSet<_> =
        counterparts.iter().map(|c| (text(&c["connection"]), text(&c["external"]))).collect();
    assert_eq!(seen, BTreeSet::from([("shop", "Order/71001"), ("erp", "Sale/1")]), "{explained:#}");
    hub.quiet();
    assert_eq!(desk.ask(&["status"])["unaccounted"], 0);
}

/// Dies at every point that is written down, and is started again.
#[cfg(all(unix, debug_assertions))]
#[test]
fn a_crash_at_any_point_neither_loses_nor_doubles_a_sale() {
    use std::os::unix::process::ExitStatusExt;

    let (shop, erp) = (Shop::open(), Erp::open());
    let desk = Desk::plain(&shop, &erp);
    for (number, point) in (2001..).zip(counterpart_hub::crash::POINTS.iter().copied()) {
        shop.place(number);
        let mut dying = desk.serve_with(&[("COUNTERPART_CRASH_AT", point)]);
        // It may die before the answer is out.
        if let Ok(answer) = dying.tell(number) {
            assert_eq!(answer.status, 200, "{point}");
        }
        let status = until(&format!("the hub dies at {point}"), || dying.ended());
        assert_eq!(status.signal(), Some(6), "{point}: it ended otherwise: {status}");

        let hub = desk.serve();
        hub.delivery(number, "orders", "delivered");
        one_sale(&shop, &erp, number, point);
        let status = hub.quiet();
        assert_eq!(status["reviews_open"], 0, "{point}: {status}");
    }
}

#[test]
fn an_answer_lost_after_the_work_was_done_makes_no_second_sale() {
    let (shop, erp) = (Shop::open(), Erp::open());
    let desk = Desk::plain(&shop, &erp);
    let hub = desk.serve();
    shop.place(1001);
    erp.lose_an_answer();
    hub.told(1001);
    let delivery = hub.delivery(1001, "orders", "delivered");
    assert_eq!(erp.answers_lost(), 1);
    assert_eq!(delivery["attempts"][0]["result"], "unknown", "{delivery:#}");
    hub.quiet();
    one_sale(&shop, &erp, 1001, "after the look-up");
}

/// Numbers that look random and are the same every time (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    /// Orders of one round, and how many senders tell of them at the same time.
    const ORDERS: u32 = 60;
    const SENDERS: usize = 3;
    let (shop, erp) = (Arc::new(Shop::open()), Erp::open());
    let desk = Desk::plain(&shop, &erp);
    let mut dice = Dice(20_261_125);
    let acknowledged: Arc<Mutex<Vec<u32>>> = Arc::default();
    for round in 0..2 {
        let mut hub = desk.serve();
        let (address, before) = (hub.address, lock(&acknowledged).len());
        let next = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                let (shop, next, acknowledged) = (shop.clone(), next.clone(), acknowledged.clone());
                std::thread::spawn(move || {
                    loop {
                        let index = u32::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
                        if index >= ORDERS {
                            break;
                        }
                        let number = 3001 + round * 1000 + index;
                        shop.place(number);
                        match Hub::tell_at(address, number) {
                            Ok(answer) if answer.status == 200 => lock(&acknowledged).push(number),
                            Ok(answer) => panic!("neither taken nor dead: {answer:?}"),
                            // Killed: not acknowledged, so nothing was promised.
                            Err(_) => break,
                        }
                    }
                })
            })
            .collect();
        let enough = usize::try_from(5 + dice.below(u64::from(ORDERS) - 15)).unwrap();
        until("some are acknowledged", || (lock(&acknowledged).len() >= before + enough).then_some(()));
        std::thread::sleep(Duration::from_micros(dice.below(3_000)));
        hub.kill();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    }
    let acknowledged = lock(&acknowledged).clone();
    assert!(acknowledged.len() >= 10, "the test did nothing: {}", acknowledged.len());

    let hub = desk.serve();
    until("every acknowledged order is in the ERP", || {
        acknowledged.iter().all(|number| !erp.sales_of(*number).is_empty()).then_some(())
    });
    let status = hub.quiet();
    assert_eq!(status["reviews_open"], 0, "{status}");
    for number in acknowledged {
        one_sale(&shop, &erp, number, "after the kills");
    }
    let mut all = erp.references();
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count, "an order that was not acknowledged is there twice");
}

#[test]
fn a_refused_order_waits_for_a_person_and_holds_nobody_up() {
    let (shop, erp) = (Shop::open(), Erp::open());
    let desk = Desk::plain(&shop, &erp);
    let hub = desk.serve();
    erp.refuse(&[1002, 1003]);
    for number in 1001..=1004 {
        shop.place(number);
        hub.told(number);
    }
    for number in [1001, 1004] {
        hub.delivery(number, "orders", "delivered");
    }
    for number in [1002, 1003] {
        hub.delivery(number, "orders", "in_review");
    }
    let reviews = desk.ask(&["review", "list"]);
    let review_of = |number: u32| -> Value {
        let about = format!("order {number}");
        let found = reviews.as_array().unwrap().iter().find(|r| r["about"] == about);
        found.unwrap_or_else(|| panic!("no review of {about}: {reviews:#}")).clone()
    };
    assert_eq!(reviews.as_array().unwrap().len(), 2, "{reviews:#}");
    let (mended, given_up) = (review_of(1002), review_of(1003));
    assert_eq!(mended["reason"], "rejected");
    let message = mended["message"].as_str().unwrap();
    assert!(message.contains("reference 1002 is not to my liking"), "{message}");

    erp.refuse(&[1003]);
    desk.run(&["review", "retry", &mended["id"].to_string()], 0);
    hub.delivery(1002, "orders", "delivered");
    desk.run(&["review", "discard", &given_up["id"].to_string()], 0);
    hub.delivery(1003, "orders", "discarded");
    let status = hub.quiet();
    assert_eq!(status["reviews_open"], 0, "{status}");
    for number in [1001, 1002, 1004] {
        one_sale(&shop, &erp, number, "in the end");
    }
    assert!(erp.sales_of(1003).is_empty());
    // A second settlement of the same item is refused, not done.
    desk.run(&["review", "retry", &given_up["id"].to_string()], 4);
}

#[test]
fn bad_input_is_told_so_and_has_no_effect() {
    let (shop, erp) = (Shop::open(), Erp::open());
    let desk = Desk::plain(&shop, &erp);
    let hub = desk.serve();
    shop.place(1001);
    let to = |connection: &str, signature: &str, body: &[u8]| {
        post(hub.address, connection, signature, body, body.len()).unwrap().status
    };
    let body = br#"{"id": "event-1", "topic": "order", "order": "71001"}"#;
    assert_eq!(to("shop", &sign(b"another body"), body), 401);
    assert_eq!(to("shop", "not hex", body), 401);
    assert_eq!(to("nobody", &sign(body), body), 404);
    assert_eq!(to("erp", &sign(body), body), 404, "its connector takes no webhooks");
    let not_text = b"{\"id\": \"event-2\", \"topic\": \"order\", \"order\": \"\xff\xfe\"}";
    assert_eq!(to("shop", &sign(not_text), not_text), 400);
    assert_eq!(to("shop", &sign(b"{\"id\":"), b"{\"id\":"), 400);
    // Three megabytes are announced; the answer comes when more than two have arrived.
    let large = vec![b' '; 2 * 1024 * 1024 + 1];
    assert_eq!(post(hub.address, "shop", &sign(&large), &large, 3_000_000).unwrap().status, 413);
    assert_eq!(hub.status()["inbox"]["pending"].as_u64().unwrap_or(0), 0);

    // An address that is tried gets its word back, and only by the parameter that the connector names.
    let tried = |address: &str| post(hub.address, address, "", b"", 0).unwrap();
    let answer = tried("shop?challenge=4711");
    assert_eq!((answer.status, answer.body), (200, Value::from(4711)));
    assert_eq!(tried("shop?other=4711").status, 401);

    let first = hub.tell(1001).unwrap();
    assert_eq!((first.status, &first.body["repeated"]), (200, &Value::Bool(false)));
    hub.delivery(1001, "orders", "delivered");
    let before = hub.quiet();
    let second = hub.tell(1001).unwrap();
    assert_eq!((second.status, &second.body["repeated"]), (200, &Value::Bool(true)));
    let after = hub.quiet();
    for counts in ["inbox", "changes", "deliveries"] {
        assert_eq!(before[counts], after[counts], "a repeated webhook left something in {counts}");
    }
    one_sale(&shop, &erp, 1001, "told twice");

    desk.write_listening("second.toml", hub.address);
    let refused = desk.run(&["serve", "--config", "second.toml"], 5);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("is in use") && said.contains("hint: "), "{said}");
    // On another port, but with the same database.
    let refused = desk.run(&["serve"], 5);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("another hub works on this database"), "{said}");
    assert_eq!(hub.status()["unaccounted"], 0);
}

#[test]
fn a_phased_start_writes_what_it_may_and_says_why_not_the_rest() {
    let shop = Shop::open();
    let (shadow, allowed, later) = (Erp::open(), Erp::open(), Erp::open());
    let flows = [
        flow("watched", "shadow", "state = \"shadow\""),
        flow("some", "allowed", "state = \"live\"\nallow = [\"1001\"]"),
        flow("future", "later", "state = \"live\"\ncut_over = \"2026-11-21T00:00:00Z\""),
    ];
    let erps = [("shadow", &shadow), ("allowed", &allowed), ("later", &later)];
    let desk = Desk::new(&shop, &erps, &flows.concat());
    let hub = desk.serve();
    for number in [1001, 1002] {
        shop.place(number);
        hub.told(number);
    }
    let watched = hub.delivery(1001, "watched", "shadowed");
    hub.delivery(1002, "watched", "shadowed");
    hub.delivery(1001, "some", "delivered");
    let status = hub.quiet();
    assert_eq!(status["reviews_open"], 0, "{status}");
    one_sale(&shop, &allowed, 1001, "on the list");
    assert_eq!(allowed.references(), ["1001"]);
    assert!(shadow.references().is_empty() && later.references().is_empty());

    let difference = watched["difference"].as_array().unwrap();
    let total = difference.iter().find(|d| d["path"].as_str().unwrap().starts_with("totals"));
    let total = total.unwrap_or_else(|| panic!("no totals in {difference:#?}"));
    assert!(total["to"].to_string().contains(&shop.total(1001)), "{total}");

    let explained = desk.ask(&["explain", "order", "1002"]);
    let rules = explained[0]["changes"][0]["filtered"].to_string();
    assert!(rules.contains("flow some has an allow-list that does not name it"), "{rules}");
    assert!(rules.contains("flow future begins at its cut-over 2026-11-21T00:00:00Z"), "{rules}");
}

#[test]
fn a_load_is_planned_against_the_limits() {
    let (shop, erp) = (Shop::open(), Erp::open());
    let desk = Desk::new(&shop, &[("erp", &erp)], &flow("orders", "erp", "state = \"live\""));
    let manifest = include_str!("system/toyerp/connector.toml");
    let limited = format!("{manifest}\n[limits]\nrates = [{{ requests = 10, per_s = 1 }}]\n");
    desk.write("connectors/toyerp/connector.toml", &limited);
    let plan = |peak: &str, code: i32| {
        let asked = ["plan", "limits", "--orders-per-day", "10000", "--peak", peak, "--json"];
        let output = desk.run(&asked, code);
        let view: Value = serde_json::from_slice(&output.stdout).unwrap();
        view["connections"].as_array().unwrap().iter().find(|c| c["connection"] == "erp").unwrap().clone()
    };
    // Two requests for each order, ten a second allowed.
    let fits = plan("4", 0);
    assert_eq!(fits["requests_per_order"], 2.0);
    assert_eq!(fits["limits"][0]["peak_share"], 0.8);
    assert_eq!(fits["limits"][0]["most_orders_per_s"], 5.0);
    assert!(fits["advice"].as_array().unwrap().is_empty());
    let exceeds = plan("6", 4);
    assert_eq!(exceeds["limits"][0]["peak_share"], 1.2);
    let advice = exceeds["advice"].to_string();
    assert!(advice.contains("`10 requests in 1 s` is reached first, at 5.0 orders a second"), "{advice}");
    for bad in ["0", "-1", "many", "inf"] {
        desk.run(&["plan", "limits", "--orders-per-day", bad], 2);
    }
}
