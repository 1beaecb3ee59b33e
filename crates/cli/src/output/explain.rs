//! The page that tells everything about one record to somebody who has never seen it.
//!
//! Never: leaves out that something waits; shows a payload that was not asked for.

use std::fmt::Write;

use counterpart_hub::views::{ChangeView, DeliveryView, Explanation, TimelineView};
use jiff::{SignedDuration, Timestamp};

use crate::page::{Page, capital, length, meaning, moment, words};

/// Most entries of "What happened": the newest ones.
const MOST: usize = 40;

/// A change and the version that it made are written together.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// One page for each record that goes by the name.
pub fn page(all: &[Explanation], page: &Page) -> String {
    let mut out = String::new();
    if all.len() > 1 {
        let text = format!("{} records go by this name; each is told below.", all.len());
        out.push_str(&page.text("", &text));
    }
    for (number, one) in all.iter().enumerate() {
        if all.len() > 1 {
            let _ = write!(out, "\n━━ {} of {}\n", number + 1, all.len());
        }
        record(one, page, &mut out);
    }
    out
}

fn record(e: &Explanation, page: &Page, out: &mut String) {
    let name = e.label.clone().unwrap_or_else(|| e.record.clone());
    let _ = writeln!(out, "{}", page.bold(&format!("{} {name}", capital(&words(&e.kind)))));
    out.push_str(&page.text("", &capital(&e.summary)));

    out.push_str(&page.heading("Where it is"));
    if e.counterparts.is_empty() {
        out.push_str(&page.text("  ", "In none of the systems yet."));
    } else {
        out.push_str(
            &page.table(&["System", "Number", "Id there", "Last seen or written"], &places(e, page)),
        );
    }

    out.push_str(&page.heading("What happened (times are UTC)"));
    out.push_str(&happened(e, page));

    let differences: Vec<Vec<String>> = e.deliveries.iter().flat_map(differences).collect();
    if !differences.is_empty() {
        out.push_str(&page.heading("What would be written, were the flow live"));
        out.push_str(&page.table(&["Flow", "Field", "Now there", "Would be"], &differences));
    }

    out.push_str(&page.heading("What waits and why"));
    let waits = waits(e, page);
    out.push_str(if waits.is_empty() { "  Nothing waits.\n" } else { &waits });

    out.push_str(&page.heading("What happens next"));
    for step in &e.next {
        out.push_str(&page.text("  - ", step));
    }
    if e.next.is_empty() {
        out.push_str(&page.text("  - ", "nothing, until one of the systems says something new"));
    }

    if !e.stock.is_empty() {
        let title = if e.kind == "order" { "Stock that it holds back" } else { "What can be sold, and why" };
        out.push_str(&page.heading(title));
        let rows: Vec<_> =
            e.stock.iter().map(|s| vec![s.of.clone(), s.quantity.clone(), s.term.clone()]).collect();
        out.push_str(&page.table(&["For", "#Quantity", "What it is"], &rows));
    }
    if let Some(payload) = &e.payload {
        out.push_str(&page.heading("Canonical payload"));
        let _ = writeln!(out, "{payload:#}");
    }
    let _ = write!(out, "\n{}", page.text("", &format!("Record {}, version {}.", e.record, e.version)));
}

fn places(e: &Explanation, page: &Page) -> Vec<Vec<String>> {
    let row = |c: &counterpart_hub::views::CounterpartView| {
        let role = if c.role == "primary" { String::new() } else { format!(" ({})", c.role) };
        let mut seen = page.ago(c.at);
        if c.written_version == Some(e.version) {
            seen.push_str(", has the newest version");
        } else if let Some(version) = c.written_version {
            let _ = write!(seen, ", has version {version} of {}", e.version);
        }
        if c.settled {
            seen.push_str(", final there");
        }
        let number = c.number.clone().unwrap_or_default();
        vec![format!("{}{role}", c.connection), number, c.external.clone(), seen]
    };
    e.counterparts.iter().map(row).collect()
}

/// One entry of what happened: when, where, what. The rank orders what bears the same time.
struct Event(Timestamp, u8, String, String);

fn happened(e: &Explanation, page: &Page) -> String {
    let mut events = Vec::new();
    for c in e.changes.iter().filter(|c| !told_as_version(c, &e.timeline)) {
        let mut text = format!("{} was read: {}", c.external, words(&c.outcome));
        if !c.filtered.is_empty() {
            let _ = write!(text, "; held back by {}", c.filtered.join(", "));
        }
        events.push(Event(c.at, 0, c.connection.clone(), text));
    }
    events.extend(e.timeline.iter().map(|t| version(t, &e.changes)));
    for d in &e.deliveries {
        delivery(d, page, &mut events);
    }
    for r in &e.reviews {
        let text = format!("review {} opened: {}", r.id, words(&r.reason));
        events.push(Event(r.opened_at, 5, "hub".into(), text));
        if let Some(at) = r.closed_at {
            let how = r.closed_as.as_deref().unwrap_or("closed");
            let by = r.closed_by.as_deref().unwrap_or("unknown");
            events.push(Event(at, 5, "hub".into(), format!("review {} {how} by {by}", r.id)));
        }
    }
    if events.is_empty() {
        return page.text("  ", "Nothing has been observed or sent yet.");
    }
    events.sort_by_key(|event| (event.0, event.1));
    let left_out = events.len().saturating_sub(MOST);
    let mut out = String::new();
    if left_out > 0 {
        out.push_str(&page.text("  ", &format!("({left_out} earlier entries are left out; --json has all)")));
    }
    let mut day = String::new();
    let rows: Vec<_> = events
        .into_iter()
        .skip(left_out)
        .map(|Event(at, _, place, text)| {
            let date = at.strftime("%F").to_string();
            let time = at.strftime("%H:%M:%S").to_string();
            let when = if date == day { format!("           {time}") } else { format!("{date} {time}") };
            day = date;
            vec![when, place, text]
        })
        .collect();
    out.push_str(&page.table(&["When", "Where", "What"], &rows));
    out
}

/// A change that made a version is told once, as that version; what it held back is told apart.
fn told_as_version(c: &ChangeView, timeline: &[TimelineView]) -> bool {
    let lead = format!("{} {}: ", c.connection, c.external);
    let same = |t: &TimelineView| t.cause.starts_with(&lead) && t.at.duration_since(c.at).abs() <= SECOND;
    c.outcome == "applied" && c.filtered.is_empty() && timeline.iter().any(same)
}

/// A version, at the place where it comes from. The cause is `shop Order/55: lifecycle, totals` for one that was read.
fn version(t: &TimelineView, changes: &[ChangeView]) -> Event {
    let number = t.version;
    for c in changes {
        let lead = format!("{} {}: ", c.connection, c.external);
        if let Some(fields) = t.cause.strip_prefix(&lead) {
            let what = match number {
                1 => "was seen for the first time".to_owned(),
                _ => format!("has changed: {fields}"),
            };
            return Event(t.at, 1, c.connection.clone(), format!("{} {what} (version {number})", c.external));
        }
    }
    Event(t.at, 1, "hub".into(), format!("version {number}: {}", t.cause))
}

fn delivery(d: &DeliveryView, page: &Page, events: &mut Vec<Event>) {
    let id = d.id;
    let made = format!("delivery {id} to {} made, flow {}: {}", d.connection, d.flow, meaning(&d.action));
    events.push(Event(d.created_at, 2, "hub".into(), made));
    for a in &d.attempts {
        let took = length(SignedDuration::from_millis(i64::try_from(a.millis).unwrap_or(i64::MAX)));
        let how = match a.status {
            Some(status) => format!("HTTP {status} after {took}"),
            None => format!("after {took}"),
        };
        let message = if a.message.is_empty() { String::new() } else { format!(": {}", a.message) };
        let text = format!("delivery {id}, {}: {} ({how}){message}", words(&a.step), meaning(&a.result));
        events.push(Event(a.at, 3, d.connection.clone(), text));
    }
    if let Some(at) = d.finished_at {
        let mut text = format!("delivery {id} {}", page.state(&d.state));
        if let Some(latency) = d.latency_ms.filter(|_| d.state == "delivered") {
            let _ =
                write!(text, ", {} after the change arrived", length(SignedDuration::from_millis(latency)));
        }
        if let Some(message) = d.message.as_deref().filter(|_| d.state != "delivered") {
            let _ = write!(text, ": {message}");
        }
        events.push(Event(at, 4, "hub".into(), text));
    }
}

fn differences(d: &DeliveryView) -> Vec<Vec<String>> {
    let row = |f: &counterpart_hub::views::DiffView| {
        vec![d.flow.clone(), f.path.clone(), super::lists::value(&f.from), super::lists::value(&f.to)]
    };
    d.difference.iter().map(row).collect()
}

fn waits(e: &Explanation, page: &Page) -> String {
    let mut out = String::new();
    for r in e.reviews.iter().filter(|r| r.closed_at.is_none()) {
        let text =
            format!("Review {} ({}), {}: {}", r.id, words(&r.reason), page.ago(r.opened_at), r.message);
        out.push_str(&page.text("  ! ", &text));
    }
    let in_review =
        |d: &DeliveryView| d.state == "in_review" && e.reviews.iter().any(|r| r.closed_at.is_none());
    for d in e.deliveries.iter().filter(|d| d.finished_at.is_none() && !in_review(d)) {
        let mut text = format!("Delivery {} to {} is {}", d.id, d.connection, words(&d.state));
        if d.failures > 0 {
            let _ =
                write!(text, " after {}", crate::page::plural(u64::from(d.failures), "failure", "failures"));
        }
        if let Some(at) = d.next_at.filter(|at| *at > page.now) {
            let _ = write!(text, ", due at {}", moment(at));
        }
        if let Some(message) = &d.message {
            let _ = write!(text, ": {message}");
        }
        out.push_str(&page.text("  … ", &text));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use counterpart_hub::views::*;
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-25T{text}Z").parse().unwrap()
    }

    fn delivery_view() -> DeliveryView {
        DeliveryView {
            id: 5,
            flow: "orders".into(),
            connection: "erp".into(),
            record: "0198b2c4-5d6e-7f80-9a1b-2c3d4e5f6071".into(),
            kind: "order".into(),
            action: "upsert".into(),
            state: "delivered".into(),
            message: None,
            next_at: None,
            failures: 1,
            created_at: at("08:03:12.110"),
            finished_at: Some(at("08:03:44.200")),
            latency_ms: Some(32_100),
            attempts: vec![
                AttemptView {
                    step: "find".into(),
                    at: at("08:03:12.300"),
                    millis: 5_004,
                    result: "transient".into(),
                    status: Some(503),
                    message: "the ERP answered 503 Service Unavailable".into(),
                },
                AttemptView {
                    step: "find".into(),
                    at: at("08:03:43.300"),
                    millis: 85,
                    result: "done".into(),
                    status: Some(200),
                    message: String::new(),
                },
                AttemptView {
                    step: "create_sale".into(),
                    at: at("08:03:43.500"),
                    millis: 420,
                    result: "done".into(),
                    status: Some(200),
                    message: String::new(),
                },
            ],
            difference: Vec::new(),
        }
    }

    fn explanation() -> Explanation {
        let place = |connection: &str, external: &str, number: &str, time: &str, written| CounterpartView {
            connection: connection.into(),
            external: external.into(),
            number: Some(number.into()),
            role: "primary".into(),
            settled: false,
            written_version: written,
            at: at(time),
        };
        Explanation {
            record: "0198b2c4-5d6e-7f80-9a1b-2c3d4e5f6071".into(),
            kind: "order".into(),
            label: Some("1001".into()),
            version: 3,
            summary:
                "confirmed, paid, unfulfilled, is in shop as 1001 and erp as S00012; nothing is under way."
                    .into(),
            next: vec!["nothing, until one of the systems says something new".into()],
            counterparts: vec![
                place("shop", "Order/55", "1001", "08:03:12.100", None),
                place("erp", "sale.sale/31", "S00012", "08:03:44.200", Some(1)),
            ],
            timeline: vec![
                TimelineView {
                    version: 1,
                    at: at("08:03:12.110"),
                    cause: "shop Order/55: first seen".into(),
                },
                TimelineView { version: 2, at: at("08:05:00"), cause: "edited by mona".into() },
                TimelineView {
                    version: 3,
                    at: at("08:06:00"),
                    cause: "shop Order/55: lifecycle, totals".into(),
                },
            ],
            changes: vec![ChangeView {
                id: 9,
                connection: "shop".into(),
                external: "Order/55".into(),
                at: at("08:03:12.100"),
                outcome: "applied".into(),
                filtered: Vec::new(),
            }],
            deliveries: vec![delivery_view()],
            reviews: Vec::new(),
            stock: vec![StockTerm {
                of: "line 1".into(),
                term: "in the ERP since 2026-11-25 08:03:44 UTC".into(),
                quantity: "2".into(),
            }],
            payload: None,
        }
    }

    fn waiting() -> Explanation {
        let mut e = explanation();
        e.summary = "confirmed, paid, unfulfilled, is in shop as 1001; 1 thing waits for a person.".into();
        e.counterparts.truncate(1);
        e.deliveries[0].state = "in_review".into();
        e.deliveries[0].finished_at = None;
        e.deliveries[0].latency_ms = None;
        e.deliveries[0].attempts.truncate(1);
        let mut blocked = delivery_view();
        blocked.id = 6;
        blocked.flow = "orders-crm".into();
        blocked.connection = "crm".into();
        blocked.state = "blocked".into();
        blocked.finished_at = None;
        blocked.attempts.clear();
        blocked.failures = 0;
        blocked.message = Some("waits for the customer to exist in crm".into());
        e.deliveries.push(blocked);
        e.reviews.push(ReviewView {
            id: 7,
            reason: "missing_reference".into(),
            message: "payment method `klarna` has no entry in the map `payment_terms` of erp: add one, apply, retry".into(),
            subject: "delivery 5".into(),
            connection: Some("erp".into()),
            record: Some(e.record.clone()),
            about: Some("order 1001".into()),
            opened_at: at("08:03:17.400"),
            closed_at: None,
            closed_as: None,
            closed_by: None,
            detail: None,
        });
        e.stock.clear();
        e.next = vec![
            "upsert to crm (flow orders-crm) goes on by itself: waits for the customer to exist in crm".into(),
            "a person decides: `counterpart review show 7`, then `review retry 7`, `review edit 7` or `review discard 7`".into(),
        ];
        e
    }

    fn shown(all: &[Explanation], width: u16) -> String {
        page(all, &Page { width, colour: false, now: at("08:10:00") })
    }

    #[test]
    fn an_order_that_arrived() {
        insta::assert_snapshot!(shown(&[explanation()], 80));
    }

    #[test]
    fn an_order_that_arrived_60() {
        let text = shown(&[explanation()], 60);
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn an_order_that_waits() {
        insta::assert_snapshot!(shown(&[waiting()], 80));
    }

    #[test]
    fn a_shadowed_one_and_a_bare_one() {
        let mut shadowed = explanation();
        shadowed.deliveries[0].state = "shadowed".into();
        shadowed.deliveries[0].difference =
            vec![DiffView { path: "lines.0.quantity".into(), from: json!(null), to: json!("2") }];
        let bare = Explanation {
            counterparts: Vec::new(),
            timeline: Vec::new(),
            changes: Vec::new(),
            deliveries: Vec::new(),
            stock: Vec::new(),
            next: Vec::new(),
            label: None,
            payload: Some(json!({"number": "1001"})),
            ..explanation()
        };
        insta::assert_snapshot!(shown(&[shadowed, bare], 80));
    }
}
