//! Plans a load against the limits that connectors declare: how many requests an order costs at each connection, what
//! polling takes, which limit is reached first, and at how many orders.
//!
//! It reckons with assumptions that it states, never with measurements: a first answer before anything is connected.
//!
//! Never: calls a system; promises what a vendor's own, undeclared limits would allow.

use counterpart_connect::connection::StreamInfo;
use counterpart_model::delivery::Action;
use counterpart_model::kind::Kind;

use crate::active::{Active, Link};
use crate::views::{CallsView, ConnectionLimitsView, LimitView, LimitsView};

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// How long an order is watched until nothing more is expected of it, in days.
const OPEN_DAYS: f64 = 2.0;

/// How long a request takes when nothing else is known, in seconds.
const REQUEST_S: f64 = 0.3;

/// How often an order is read back where webhooks tell of it: placed, paid, shipped.
const READ_BACKS: f64 = 3.0;

/// A load to plan for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Orders of a day.
    pub orders_per_day: f64,
    /// Orders of the busiest second.
    pub peak_per_s: f64,
    /// Lines of an order.
    pub lines: f64,
}

/// How many things of a kind come with one order.
fn per_order(kind: Kind, load: &Load) -> f64 {
    match kind {
        Kind::Order | Kind::Person | Kind::Shipment | Kind::Invoice | Kind::Payment => 1.0,
        Kind::Stock => load.lines,
        Kind::Company => 0.1,
        Kind::Refund | Kind::Return | Kind::CreditMemo => 0.05,
        _ => 0.0,
    }
}

/// Plans.
pub fn plan(active: &Active, load: &Load) -> LimitsView {
    LimitsView {
        orders_per_day: load.orders_per_day,
        peak_per_s: load.peak_per_s,
        lines: load.lines,
        assumptions: assumptions(load),
        connections: active.links.values().map(|link| connection(active, link, load)).collect(),
    }
}

fn assumptions(load: &Load) -> Vec<String> {
    vec![
        format!(
            "each order has {} lines, one customer, one shipment, one invoice and one payment",
            load.lines
        ),
        "one order in ten is of a company; one in twenty is refunded, returned or credited".into(),
        "every step of an operation is one request, although steps that find everything done send none"
            .into(),
        format!("an order is open for {OPEN_DAYS} days; a request takes {REQUEST_S} s"),
        "polling finds less than a page at a time".into(),
    ]
}

fn connection(active: &Active, link: &Link, load: &Load) -> ConnectionLimitsView {
    let mut calls = deliveries(active, link, load);
    calls.extend(read_backs(active, link));
    let polling_per_day = polling(link, load);
    let plain: f64 = calls.iter().map(|c| c.per_order).sum();
    let batched: f64 = calls.iter().map(|c| c.per_order_batched).sum();
    let limits = link.connection.limits();
    let mut rows: Vec<LimitView> = limits
        .rates
        .iter()
        .map(|rate| {
            let (window, allowed) = (f64::from(rate.per_s), f64::from(rate.requests));
            // A peak lasts seconds or minutes: a window of hours sees the day's mean.
            let orders = |per_s: f64| if window <= 600.0 { per_s } else { load.orders_per_day / DAY };
            let polled = polling_per_day / DAY * window;
            let used = |per_order: f64, orders_per_s: f64| per_order * orders_per_s * window + polled;
            // Polling gives way: what deliveries may use is the whole limit less what polling took before.
            let left = (allowed - polled.min(allowed * (1.0 - limits.reserve))).max(0.0);
            let most = |per_order: f64| if per_order > 0.0 { Some(left / window / per_order) } else { None };
            LimitView {
                limit: format!("{} requests in {} s", rate.requests, rate.per_s),
                mean_share: used(plain, load.orders_per_day / DAY) / allowed,
                peak_share: used(plain, orders(load.peak_per_s)) / allowed,
                peak_share_batched: used(batched, orders(load.peak_per_s)) / allowed,
                most_orders_per_s: most(plain),
                most_orders_per_s_batched: most(batched),
            }
        })
        .collect();
    let at_a_time = limits.concurrency.max(1);
    let concurrent = at_a_time as f64;
    let busy = |per_order: f64, orders_per_s: f64| {
        (per_order * orders_per_s + polling_per_day / DAY) * REQUEST_S / concurrent
    };
    let most = |per_order: f64| (per_order > 0.0).then(|| concurrent / REQUEST_S / per_order);
    rows.push(LimitView {
        limit: format!("{at_a_time} requests at a time"),
        mean_share: busy(plain, load.orders_per_day / DAY),
        peak_share: busy(plain, load.peak_per_s),
        peak_share_batched: busy(batched, load.peak_per_s),
        most_orders_per_s: most(plain),
        most_orders_per_s_batched: most(batched),
    });
    let advice = advice(link, load, &calls, &rows, polling_per_day);
    ConnectionLimitsView {
        connection: link.name.to_string(),
        connector: link.config.connector.clone(),
        requests_per_order: plain,
        requests_per_order_batched: batched,
        requests_per_day: plain * load.orders_per_day + polling_per_day,
        polling_per_day,
        calls,
        limits: rows,
        advice,
    }
}

/// Requests that deliveries to the connection cost, by flow.
fn deliveries(active: &Active, link: &Link, load: &Load) -> Vec<CallsView> {
    let flows = active.rules.flows.iter().filter(|flow| flow.to == link.name);
    flows
        .filter_map(|flow| {
            let operation = link.connection.operation(flow.kind, Action::Upsert)?;
            let things = per_order(flow.kind, load);
            let steps: Vec<&str> = operation.steps.iter().map(|s| s.name.as_str()).collect();
            let each = steps.len() as f64;
            let batched = operation.batch.map_or(each, |rows| 1.0 / rows as f64);
            Some(CallsView {
                what: format!("flow {}: {}", flow.name, steps.join(", ")),
                per_order: each * things,
                per_order_batched: batched * things,
                batch: operation.batch,
            })
        })
        .collect()
}

/// Requests by which the connection is read because of an order.
fn read_backs(active: &Active, link: &Link) -> Vec<CallsView> {
    let mut found = Vec::new();
    let mut read = |kind: Kind, times: f64, why: &str| {
        let Some((requests, ids)) = link.connection.fetch_cost(kind) else { return };
        let (each, together) = (requests as f64, requests as f64 / ids.max(1) as f64);
        found.push(CallsView {
            what: format!("{why}: {requests} for up to {ids} at once"),
            per_order: each * times,
            per_order_batched: together * times,
            batch: Some(ids),
        });
    };
    let sells = active.rules.flows.iter().any(|f| f.kind == Kind::Order && f.from.contains(&link.name));
    if sells && link.connection.takes_webhooks() {
        read(Kind::Order, READ_BACKS, "reading orders back");
    }
    let owns_stock = active.rules.stock_owner.as_ref() == Some(&link.name);
    if owns_stock {
        read(Kind::Stock, 1.0, "reading stock after each order");
    }
    found
}

fn polling(link: &Link, load: &Load) -> f64 {
    let every = |name: &str, declared: std::time::Duration| {
        let seconds = link.config.every_s.get(name).copied().unwrap_or(declared.as_secs());
        seconds.max(1) as f64
    };
    let streams: f64 =
        link.connection.streams().iter().map(|s: &StreamInfo| DAY / every(&s.name, s.interval)).sum();
    let watches: f64 = link
        .connection
        .watches()
        .iter()
        .map(|w| {
            let page = link.connection.page_of(&w.fetch).clamp(1, crate::poller::WATCHED) as f64;
            let open = (load.orders_per_day * OPEN_DAYS / page).ceil();
            // A watch that cannot come round in its interval goes on without a pause, one request after the other.
            (DAY / every(&w.name, w.interval) * open).min(DAY / REQUEST_S)
        })
        .sum();
    streams + watches
}

fn advice(
    link: &Link,
    load: &Load,
    calls: &[CallsView],
    rows: &[LimitView],
    polling_per_day: f64,
) -> Vec<String> {
    let mut out = Vec::new();
    let first = rows.iter().max_by(|a, b| a.peak_share.total_cmp(&b.peak_share));
    let Some(first) = first.filter(|row| row.peak_share > 1.0) else { return out };
    let at =
        |most: Option<f64>| most.map_or_else(|| "no order".into(), |n| format!("{n:.1} orders a second"));
    out.push(format!(
        "`{}` is reached first, at {}; what comes faster waits and is delivered later, oldest first",
        first.limit,
        at(first.most_orders_per_s)
    ));
    if let Some(most) = first.most_orders_per_s
        && most > 0.0
        && load.orders_per_day < most * DAY
    {
        out.push(format!(
            "the day's orders fit all the same: a peak of {} orders a second that lasts a minute is worked off in {:.0} min",
            load.peak_per_s,
            (load.peak_per_s * 60.0 / most / 60.0).ceil()
        ));
    }
    if let Some(dear) = calls.iter().max_by(|a, b| a.per_order.total_cmp(&b.per_order)) {
        let batch = dear.batch.map_or_else(
            || "its connector cannot batch it".to_owned(),
            |rows| format!("its connector takes up to {rows} at once"),
        );
        out.push(format!(
            "most of it is {} ({:.1} requests for each order); {batch}",
            dear.what, dear.per_order
        ));
    }
    if polling_per_day > 0.2 * load.orders_per_day * calls.iter().map(|c| c.per_order).sum::<f64>() {
        out.push(format!(
            "polling takes {polling_per_day:.0} requests a day: longer intervals (`connections.{}.every_s`) give them back, \
             the more so where webhooks tell",
            link.name
        ));
    }
    out
}
