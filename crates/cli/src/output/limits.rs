//! The page of `plan limits`.

use counterpart_hub::views::{ConnectionLimitsView, LimitsView};

use crate::page::Page;

/// The whole page.
pub fn page(view: &LimitsView, page: &Page) -> String {
    let mut out = page.text(
        "",
        &format!(
            "{} orders a day, {} a second at the peak.",
            number(view.orders_per_day),
            number(view.peak_per_s)
        ),
    );
    if view.connections.is_empty() {
        out.push_str(&page.text("", "No connection is declared yet."));
    }
    for connection in &view.connections {
        out.push_str(&one(connection, page));
    }
    out.push_str(&page.heading("Reckoned with"));
    for assumption in &view.assumptions {
        out.push_str(&page.text("  - ", assumption));
    }
    out
}

fn one(c: &ConnectionLimitsView, page: &Page) -> String {
    let mut out = page.heading(&format!("{} ({})", c.connection, c.connector));
    out.push_str(&page.text(
        "  ",
        &format!(
            "{} requests a day, {} of them polling; {} for each order, {} in full batches.",
            number(c.requests_per_day),
            number(c.polling_per_day),
            number(c.requests_per_order),
            number(c.requests_per_order_batched)
        ),
    ));
    if !c.calls.is_empty() {
        let rows: Vec<Vec<String>> = c
            .calls
            .iter()
            .map(|call| vec![number(call.per_order), number(call.per_order_batched), call.what.clone()])
            .collect();
        out.push_str(&page.table(&["#Each order", "#Batched", "Requests"], &rows));
    }
    let rows: Vec<Vec<String>> = c
        .limits
        .iter()
        .map(|l| {
            let mark = if l.peak_share > 1.0 { "! " } else { "✓ " };
            let most = l.most_orders_per_s.map_or_else(String::new, number);
            vec![
                percent(l.mean_share),
                percent(l.peak_share),
                percent(l.peak_share_batched),
                most,
                format!("{mark}{}", l.limit),
            ]
        })
        .collect();
    out.push_str(&page.table(&["#Mean", "#Peak", "#Batched", "#Full at orders/s", "Limit"], &rows));
    for advice in &c.advice {
        out.push_str(&page.text("  ! ", advice));
    }
    out
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// As many digits as say something.
fn number(n: f64) -> String {
    let text = if n >= 100.0 { format!("{n:.0}") } else { format!("{n:.2}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (n, text) in [(10_000.0, "10000"), (3.0, "3"), (0.25, "0.25"), (99.999, "100"), (0.004, "0")] {
            assert_eq!(number(n), text);
        }
    }
}
