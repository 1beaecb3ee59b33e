//! Short lists, and values in one line.

use counterpart_hub::views::{DiffView, SampleView};
use counterpart_model::kind::Kind;
use serde::Serialize;
use serde_json::Value;

use crate::page::{Page, moment};

/// A value in one line; nothing is `(none)`.
pub fn value(value: &Value) -> String {
    match value {
        Value::Null => "(none)".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Fields that differ.
pub fn differences(fields: &[DiffView], page: &Page) -> String {
    let rows: Vec<_> = fields.iter().map(|f| vec![f.path.clone(), value(&f.from), value(&f.to)]).collect();
    page.table(&["Field", "Now there", "Would be"], &rows)
}

/// Captured samples.
pub fn samples(all: &[SampleView], page: &Page) -> String {
    if all.is_empty() {
        return page.text(
            "",
            "No sample has been captured yet: samples are kept as the connection is read or sends webhooks.",
        );
    }
    let row = |s: &SampleView| vec![s.id.to_string(), s.topic.clone(), moment(s.at), page.ago(s.at)];
    let rows: Vec<_> = all.iter().map(row).collect();
    page.table(&["No.", "Topic", "Captured (UTC)", ""], &rows)
}

/// Names of secrets.
pub fn secrets(names: &[String], page: &Page) -> String {
    if names.is_empty() {
        return page
            .text("", "No secret is kept in the database. `counterpart secret set NAME` puts one there.");
    }
    names.iter().map(|name| format!("{name}\n")).collect()
}

/// A kind of record, as listed.
#[derive(Debug, Serialize)]
pub struct KindView {
    /// Name.
    pub name: &'static str,
    /// How deliveries of it relate to each other: `state`, `event` or `order`.
    pub delivered_as: &'static str,
    /// What it is.
    pub what: String,
}

/// Every kind.
pub fn kinds() -> Vec<KindView> {
    use counterpart_model::kind::DeliveryStyle;
    let view = |kind: &Kind| {
        let schema = counterpart_model::schema::schema(*kind);
        let what = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        KindView {
            name: kind.as_str(),
            delivered_as: match kind.style() {
                DeliveryStyle::State => "state",
                DeliveryStyle::Event => "event",
                DeliveryStyle::Order => "order",
            },
            what: what.lines().next().unwrap_or_default().to_owned(),
        }
    };
    Kind::ALL.iter().map(view).collect()
}

/// The list of kinds.
pub fn kinds_page(all: &[KindView], page: &Page) -> String {
    let rows: Vec<_> =
        all.iter().map(|k| vec![k.name.to_owned(), k.delivered_as.to_owned(), k.what.clone()]).collect();
    let mut out = page.table(&["Kind", "Delivered as", "What it is"], &rows);
    out.push('\n');
    out.push_str(&page.text(
        "",
        "`state`: the newest state takes the place of older ones. `event`: every one is delivered.",
    ));
    out.push_str(&page.text("", "`counterpart kinds KIND` shows the JSON Schema of its payload."));
    out
}
