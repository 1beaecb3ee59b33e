//! What waits for a person, and what a replay does.

use std::fmt::Write;

use counterpart_hub::views::{ReplayReport, ReviewView};

use crate::output::lists;
use crate::page::{Page, capital, meaning, moment, plural, words};

/// The list.
pub fn list(reviews: &[ReviewView], all: bool, page: &Page) -> String {
    if reviews.is_empty() {
        let text = if all { "Nothing has ever waited for a person." } else { "Nothing waits for a person." };
        return page.text("", text);
    }
    let row = |r: &ReviewView| {
        let about = r.about.clone().unwrap_or_else(|| r.subject.clone());
        let mut message = r.message.clone();
        if let Some(at) = r.closed_at {
            let by = r.closed_by.as_deref().unwrap_or("unknown");
            message = format!(
                "({} by {by} {}) {message}",
                r.closed_as.as_deref().unwrap_or("closed"),
                page.ago(at)
            );
        }
        vec![r.id.to_string(), about, words(&r.reason), page.ago(r.opened_at), message]
    };
    let rows: Vec<_> = reviews.iter().map(row).collect();
    let mut out =
        page.table(&["No.", "About", "Reason", "Waits since", "What is wrong and what to do"], &rows);
    out.push('\n');
    out.push_str(
        &page.text(
            "",
            "`counterpart review show NO` tells the particulars; retry, edit or discard settles it.",
        ),
    );
    out
}

/// One item with its particulars.
pub fn show(r: &ReviewView, page: &Page) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", page.bold(&format!("Review {}: {}", r.id, words(&r.reason))));
    out.push_str(&page.text("", &r.message));
    out.push('\n');
    let record = r.record.as_ref().map(|id| format!(" (record {id})")).unwrap_or_default();
    let about = r.about.clone().unwrap_or_else(|| r.subject.clone());
    let lines = [
        ("About", Some(format!("{about}{record}"))),
        ("What waits", Some(r.subject.clone())),
        ("Connection", r.connection.clone()),
        ("Opened", Some(format!("{} UTC, {}", moment(r.opened_at), page.ago(r.opened_at)))),
        (
            "Closed",
            r.closed_at.map(|at| {
                let how = r.closed_as.as_deref().unwrap_or("closed");
                format!("{} UTC, {how} by {}", moment(at), r.closed_by.as_deref().unwrap_or("unknown"))
            }),
        ),
    ];
    for (name, text) in lines.iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
        out.push_str(&page.text(&format!("  {name:12}"), text));
    }
    match &r.detail {
        Some(detail) if !detail.is_null() && detail.as_object().is_none_or(|o| !o.is_empty()) => {
            out.push_str(&page.heading("Particulars"));
            let _ = writeln!(out, "{detail:#}");
        }
        _ => {}
    }
    if r.closed_at.is_none() {
        out.push_str(&page.heading("What you can do"));
        let id = r.id;
        for (what, why) in [
            ("retry", "try again, once what is wrong has been put right".to_owned()),
            ("edit", "change the record by a JSON merge patch, then try again".to_owned()),
            ("discard", "give it up; that you did stays on record".to_owned()),
        ] {
            let patch = if what == "edit" { " --patch FILE" } else { "" };
            out.push_str(&page.text("  - ", &format!("counterpart review {what} {id}{patch}: {why}")));
        }
    }
    out
}

/// Items that were settled.
pub fn settled(reviews: &[ReviewView], how: &str, page: &Page) -> String {
    let line = |r: &ReviewView| {
        let about = r.about.clone().unwrap_or_else(|| r.subject.clone());
        page.text("✓ ", &format!("Review {} ({about}) is {how}.", r.id))
    };
    reviews.iter().map(line).collect()
}

/// What a replay did or would do.
pub fn replay(r: &ReplayReport, page: &Page) -> String {
    let mut out = String::new();
    let examined = plural(r.examined, "record", "records");
    let made = plural(r.deliveries, "delivery", "deliveries");
    let text = match (r.examined, r.dry_run) {
        (0, _) => format!("Nothing along flow {} changed since then.", r.flow),
        (_, true) => format!(
            "{examined} examined along flow {}; a replay would make {made}. Nothing was done.",
            r.flow
        ),
        (_, false) => format!("{examined} examined along flow {}; {made} made.", r.flow),
    };
    out.push_str(&page.text("", &text));
    for d in &r.differences {
        out.push_str(&page.heading(&format!("{}: {}", capital(&d.about), meaning(&d.action))));
        if d.fields.is_empty() {
            out.push_str(&page.text("  ", "Nothing differs from what was last written there."));
        } else {
            out.push_str(&lists::differences(&d.fields, page));
        }
    }
    if !r.problems.is_empty() {
        out.push_str(&page.heading("Could not be rendered"));
        for problem in &r.problems {
            out.push_str(&page.text("  ! ", problem));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use counterpart_hub::views::{DiffView, ReplayDifference};
    use serde_json::json;

    use super::*;

    fn paper(width: u16) -> Page {
        Page { width, colour: false, now: "2026-11-25T08:10:00Z".parse().unwrap() }
    }

    fn review() -> ReviewView {
        ReviewView {
            id: 7,
            reason: "rejected".into(),
            message:
                "erp refused it: the postal code is missing. Put it right in the shop, or edit the record"
                    .into(),
            subject: "delivery 5".into(),
            connection: Some("erp".into()),
            record: Some("0198b2c4-5d6e-7f80-9a1b-2c3d4e5f6071".into()),
            about: Some("order 1001".into()),
            opened_at: "2026-11-25T08:03:17Z".parse().unwrap(),
            closed_at: None,
            closed_as: None,
            closed_by: None,
            detail: Some(json!({"field": "ship_to.address.postal_code"})),
        }
    }

    #[test]
    fn nothing_waits() {
        assert_eq!(list(&[], false, &paper(80)), "Nothing waits for a person.\n");
    }

    #[test]
    fn listed_and_shown() {
        let closed = ReviewView {
            id: 6,
            closed_at: Some("2026-11-25T08:05:00Z".parse().unwrap()),
            closed_as: Some("retried".into()),
            closed_by: Some("mona".into()),
            ..review()
        };
        let all = [review(), closed];
        let text = format!(
            "{}\n{}\n{}",
            list(&all, true, &paper(80)),
            list(&all, true, &paper(60)),
            show(&all[0], &paper(80))
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_replay() {
        let report = ReplayReport {
            flow: "orders".into(),
            dry_run: true,
            examined: 3,
            deliveries: 1,
            differences: vec![ReplayDifference {
                about: "order 1001".into(),
                record: "0198b2c4-5d6e-7f80-9a1b-2c3d4e5f6071".into(),
                action: "amend".into(),
                fields: vec![DiffView { path: "note".into(), from: json!("call"), to: json!("call first") }],
            }],
            problems: vec!["order 1002: payment method `x` has no entry".into()],
        };
        insta::assert_snapshot!(replay(&report, &paper(80)));
    }
}
