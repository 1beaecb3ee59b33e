//! How everything stands, on one page.
//!
//! Never: says "fine" while something waits or does not add up.

use std::fmt::Write;

use counterpart_hub::views::Status;
use jiff::SignedDuration;

use crate::page::{Page, counts, length, plural};

/// The page.
pub fn page(s: &Status, page: &Page) -> String {
    let mut out = String::new();
    let revision = match s.revision {
        Some(revision) => format!("revision {revision} is active"),
        None => "nothing is applied yet: fill in the configuration, then run `counterpart apply`".into(),
    };
    let _ = writeln!(out, "{}", page.bold(&format!("Counterpart {}", s.version)));
    out.push_str(&page.text("", &format!("{}{}.", revision[..1].to_uppercase(), &revision[1..])));

    out.push_str(&page.heading("Connections"));
    if s.connections.is_empty() {
        out.push_str(&page.text("  ", "None yet."));
    } else {
        out.push_str(&page.table(&["Name", "State", "Last read", "Remark"], &connections(s, page)));
    }

    out.push_str(&page.heading("Flows"));
    if s.flows.is_empty() {
        out.push_str(&page.text("  ", "None yet."));
    } else {
        out.push_str(&page.table(&["Name", "State", "Carries", "Median", "Deliveries"], &flows(s, page)));
    }

    out.push_str(&page.heading("Counts"));
    for (name, of) in [("Arrivals", &s.inbox), ("Changes", &s.changes), ("Deliveries", &s.deliveries)] {
        out.push_str(&page.text(&format!("  {name:12}"), &counts(of)));
    }

    out.push('\n');
    match s.reviews_open {
        0 => out.push_str(&page.text("✓ ", "Nothing waits for a person.")),
        n => {
            let text = plural(n, "thing waits for a person", "things wait for a person");
            out.push_str(&page.text("! ", &format!("{text}: `counterpart review list`.")));
        }
    }
    match s.unaccounted {
        0 => out.push_str(
            &page.text("✓ ", "The counts add up: everything is finished, under way or waits visibly."),
        ),
        n => {
            let text = plural(n, "entry is", "entries are");
            out.push_str(
                &page.text("! ", &format!("The counts do not add up: {text} neither finished nor waiting.")),
            );
        }
    }
    out
}

fn connections(s: &Status, page: &Page) -> Vec<Vec<String>> {
    let row = |c: &counterpart_hub::views::ConnectionStatus| {
        let read = c.polled.values().max().map(|at| page.ago(*at)).unwrap_or_else(|| "not yet".into());
        let mut remark = c.message.clone().unwrap_or_default();
        if let Some(since) = c.since.filter(|_| c.state != "ok") {
            let _ = write!(remark, "{}since {}", if remark.is_empty() { "" } else { ", " }, page.ago(since));
        }
        vec![format!("{} ({})", c.name, c.connector), page.state(&c.state), read, remark]
    };
    s.connections.iter().map(row).collect()
}

fn flows(s: &Status, page: &Page) -> Vec<Vec<String>> {
    let row = |f: &counterpart_hub::views::FlowStatus| {
        let millis = |n: u64| length(SignedDuration::from_millis(i64::try_from(n).unwrap_or(i64::MAX)));
        let latency = f.latency_ms.map_or_else(|| "-".into(), |l| millis(l.p50));
        let carries = format!("{}: {} → {}", f.kind, f.from.join(", "), f.to);
        vec![f.name.clone(), page.state(&f.state), carries, latency, counts(&f.deliveries)]
    };
    s.flows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use counterpart_hub::views::*;

    use super::*;

    fn map(list: &[(&str, u64)]) -> BTreeMap<String, u64> {
        list.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect()
    }

    fn status() -> Status {
        let now = "2026-11-25T08:10:00Z".parse().unwrap();
        let flow = |name: &str, kind: &str, from: &str, to: &str, state: &str| FlowStatus {
            name: name.into(),
            kind: kind.into(),
            from: vec![from.into()],
            to: to.into(),
            state: state.into(),
            deliveries: map(&[("delivered", 120), ("in_review", 1)]),
            latency_ms: Some(Latency { p50: 1_900, p95: 3_400, p99: 9_000 }),
        };
        Status {
            version: "0.1.0".into(),
            revision: Some(3),
            at: now,
            connections: vec![
                ConnectionStatus {
                    name: "shop".into(),
                    connector: "a-shop".into(),
                    state: "ok".into(),
                    message: None,
                    since: None,
                    polled: BTreeMap::from([("orders".into(), "2026-11-25T08:09:30Z".parse().unwrap())]),
                },
                ConnectionStatus {
                    name: "erp".into(),
                    connector: "an-erp".into(),
                    state: "down".into(),
                    message: Some("connection refused; tried again in 30 s".into()),
                    since: Some("2026-11-25T08:05:00Z".parse().unwrap()),
                    polled: BTreeMap::new(),
                },
            ],
            flows: vec![
                flow("orders", "order", "shop", "erp", "live"),
                FlowStatus {
                    latency_ms: None,
                    deliveries: map(&[]),
                    ..flow("stock", "stock", "erp", "shop", "shadow")
                },
            ],
            inbox: map(&[("done", 140), ("pending", 1)]),
            changes: map(&[("applied", 130), ("duplicate", 11)]),
            deliveries: map(&[("delivered", 120), ("in_review", 1), ("ready", 2)]),
            reviews_open: 1,
            unaccounted: 0,
        }
    }

    fn shown(s: &Status, width: u16) -> String {
        page(s, &Page { width, colour: false, now: s.at })
    }

    #[test]
    fn a_running_one() {
        insta::assert_snapshot!(shown(&status(), 80));
    }

    #[test]
    fn a_running_one_60() {
        let text = shown(&status(), 60);
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_new_one() {
        let empty = Status {
            revision: None,
            connections: Vec::new(),
            flows: Vec::new(),
            inbox: map(&[]),
            changes: map(&[]),
            deliveries: map(&[]),
            reviews_open: 0,
            ..status()
        };
        insta::assert_snapshot!(shown(&empty, 80));
    }
}
