//! Check, plan, connectors, kinds, and what a mapping made of a sample.

use std::collections::BTreeMap;
use std::fmt::Write;

use counterpart_hub::views::{CheckView, ConnectorView, MappingReport, PlanView, ProblemView};

use crate::output::lists;
use crate::page::{Page, plural};

/// What `check` found.
pub fn check(lines: &[CheckView], page: &Page) -> String {
    let row = |c: &CheckView| {
        let help = c.help.as_ref().map(|h| format!(" → {h}")).unwrap_or_default();
        vec![c.connection.clone(), c.name.clone(), page.state(&c.state), format!("{}{help}", c.message)]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    let mut out = page.table(&["Connection", "Checked", "State", "Found"], &rows);
    out.push('\n');
    let count = |state: &str| lines.iter().filter(|c| c.state == state).count() as u64;
    let text = match (count("failed"), count("warning")) {
        (0, 0) => "✓ Everything is as it should be.".to_owned(),
        (0, n) => format!("… Nothing failed; {} to look at.", plural(n, "warning", "warnings")),
        (n, _) => format!("! {} failed.", plural(n, "check", "checks")),
    };
    out.push_str(&page.text("", &text));
    out
}

/// What the file would change.
pub fn plan(p: &PlanView, page: &Page) -> String {
    let mut out = String::new();
    let count = plural(p.items.len() as u64, "change", "changes");
    let text = match (p.items.is_empty(), p.base) {
        (true, None) => "Nothing is declared yet, and no revision is active.".to_owned(),
        (true, Some(base)) => format!("Nothing to change: the file says what revision {base} says."),
        (false, None) => format!("{count}; this is the first revision:"),
        (false, Some(base)) => format!("{count}, starting from revision {base}:"),
    };
    out.push_str(&page.text("", &text));
    for item in &p.items {
        let mark = match item.change.as_str() {
            "add" => "+",
            "remove" => "-",
            _ => "~",
        };
        out.push_str(&page.text(&format!("  {mark} "), &item.what));
        for f in &item.fields {
            let text = format!("{}: {} → {}", f.path, lists::value(&f.from), lists::value(&f.to));
            out.push_str(&page.text("      ", &text));
        }
    }
    if !p.problems.is_empty() {
        out.push_str(&page.heading("To be put right before it can be applied"));
        for problem in &p.problems {
            out.push_str(&page.text("  ! ", problem));
        }
    }
    out
}

/// What a mapping made of a sample.
pub fn mapping(report: &MappingReport, page: &Page) -> String {
    let mut out = String::new();
    if let Some(output) = &report.output {
        let _ = writeln!(out, "{output:#}");
    }
    for p in &report.problems {
        out.push_str(&problem(p, page));
    }
    let text = match (report.ok, report.problems.len() as u64) {
        (true, 0) => "✓ The mapping runs and what comes out is in order.".to_owned(),
        (true, n) => format!("✓ The mapping runs; {}.", plural(n, "remark", "remarks")),
        (false, n) => format!("! {}.", plural(n, "problem", "problems")),
    };
    out.push_str(&page.text("", &text));
    out
}

fn problem(p: &ProblemView, page: &Page) -> String {
    let place = match (p.file.is_empty(), p.line) {
        (true, _) => String::new(),
        (false, 0) => format!("{}: ", p.file),
        (false, line) => format!("{}:{line}:{}: ", p.file, p.column),
    };
    let mut out = page.text("! ", &format!("{place}{}", p.message));
    let more = [("at", &p.path), ("expected", &p.expected), ("help", &p.help)];
    for (name, text) in more.iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
        out.push_str(&page.text(&format!("    {name}: "), text));
    }
    out
}

/// Connectors there are.
pub fn connectors(all: &[ConnectorView], page: &Page) -> String {
    if all.is_empty() {
        return page.text("", "There are no connectors.");
    }
    let row = |c: &ConnectorView| {
        vec![c.name.clone(), c.version.clone(), c.operations.len().to_string(), c.title.clone()]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    let mut out = page.table(&["Name", "Version", "#Operations", "Title"], &rows);
    out.push('\n');
    out.push_str(&page.text("", "`counterpart connectors NAME` tells what one needs and can do."));
    out
}

/// Everything about one connector.
pub fn connector(c: &ConnectorView, page: &Page) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", page.bold(&format!("{} ({}) {}", c.title, c.name, c.version)));
    let helps = |title: &str, map: &BTreeMap<String, String>, out: &mut String| {
        if map.is_empty() {
            return;
        }
        out.push_str(&page.heading(title));
        let rows: Vec<_> = map.iter().map(|(name, help)| vec![name.clone(), help.clone()]).collect();
        out.push_str(&page.table(&["Name", "What it is"], &rows));
    };
    helps("Settings", &c.settings, &mut out);
    helps("Secrets", &c.secrets, &mut out);
    helps("Reference maps", &c.maps, &mut out);
    for (title, list) in [("Operations", &c.operations), ("Streams", &c.streams)] {
        if !list.is_empty() {
            out.push_str(&page.heading(title));
            out.push_str(&page.text("  ", &list.join(", ")));
        }
    }
    let _ = write!(out, "\n{}", page.text("", &format!("Content {}.", c.hash)));
    out
}

#[cfg(test)]
mod tests {
    use counterpart_hub::views::{DiffView, PlanItemView};
    use serde_json::{Value, json};

    use super::*;

    const PAPER: Page = Page { width: 80, colour: false, now: jiff::Timestamp::UNIX_EPOCH };

    #[test]
    fn a_check_with_a_failure() {
        let line = |connection: &str, state: &str, message: &str, help: Option<&str>| CheckView {
            connection: connection.into(),
            name: "credentials".into(),
            state: state.into(),
            message: message.into(),
            help: help.map(Into::into),
        };
        let lines = [
            line("shop", "ok", "answers as api version 3", None),
            line(
                "erp",
                "failed",
                "401 Unauthorized",
                Some("make a new token under Settings > API, then `counterpart secret set`"),
            ),
        ];
        insta::assert_snapshot!(check(&lines, &PAPER));
    }

    #[test]
    fn a_plan_with_everything() {
        let item = |change: &str, what: &str, fields: Vec<DiffView>| PlanItemView {
            change: change.into(),
            what: what.into(),
            fields,
        };
        let view = PlanView {
            base: Some(3),
            items: vec![
                item("add", "connections.crm", Vec::new()),
                item(
                    "change",
                    "flows.orders",
                    vec![
                        DiffView { path: "state".into(), from: json!("shadow"), to: json!("live") },
                        DiffView {
                            path: "cut_over".into(),
                            from: Value::Null,
                            to: json!("2026-12-01T00:00:00Z"),
                        },
                    ],
                ),
                item("remove", "file maps/old.vrl", Vec::new()),
            ],
            problems: vec!["maps/order.vrl:3:7: unknown function `upcas`".into()],
        };
        insta::assert_snapshot!(plan(&view, &PAPER));
        let nothing = PlanView { base: Some(3), items: Vec::new(), problems: Vec::new() };
        assert_eq!(plan(&nothing, &PAPER), "Nothing to change: the file says what revision 3 says.\n");
    }

    #[test]
    fn a_mapping_that_failed() {
        let report = MappingReport {
            ok: false,
            output: None,
            problems: vec![ProblemView {
                file: "shop/order.read.vrl".into(),
                line: 12,
                column: 5,
                path: Some("changes[0].payload.lines[2].ordered".into()),
                message: "a quantity must be a decimal string".into(),
                expected: Some("\"2\"".into()),
                help: Some("wrap it in `decimal()`".into()),
            }],
        };
        insta::assert_snapshot!(mapping(&report, &PAPER));
    }
}
