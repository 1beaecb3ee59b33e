//! E-mail to a list when deliveries of a flow are confirmed: new orders, fulfilments; gathered and templated.
//!
//! Never: holds up a delivery; tells of one twice in the normal course (after a crash between sending and noting it,
//! it may: mail has no idempotency).

use std::sync::Arc;
use std::time::Duration;

use counterpart_connect::notice::{Mailer, Security, Smtp};
use counterpart_model::delivery::{Delivery, DeliveryState};
use counterpart_model::ids::FlowName;
use counterpart_model::record::Record;
use counterpart_store::{DeliveryFilter, StoreError};
use jiff::Timestamp;
use minijinja::Environment;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::active::Active;
use crate::config::{NoticeConfig, SecretRef, SmtpConfig};
use crate::error::HubError;
use crate::secrets;
use crate::shared::Shared;

const SUBJECT: &str = "{{ entries|length }} {{ kind }}{{ 's' if entries|length != 1 }} in {{ target }}";

const TEXT: &str = "\
{% for e in entries %}{{ e.kind }} {{ e.label }}{% if e.number %} is {{ e.number }} in {{ e.target }}{% else %} arrived in {{ e.target }}{% endif %}
{%- if e.total %}, {{ e.total }}{% endif %}
{%- if e.tracking %}, tracking {{ e.tracking }}{% endif %}, {{ e.at }}
{% endfor %}
-- \n\
Counterpart, flow {{ flow }}. Addresses and templates: [notices.{{ name }}] of the configuration.
";

/// Checks the templates of a notice, so that a bad one is refused before it is live.
///
/// # Errors
/// What is wrong, with its place.
pub fn check(name: &FlowName, notice: &NoticeConfig) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    for (part, text) in [("subject", &notice.subject), ("text", &notice.text)] {
        if let Some(text) = text
            && let Err(error) = Environment::new().template_from_str(text)
        {
            problems.push(format!("notices.{name}.{part}: {error}"));
        }
    }
    for address in &notice.to {
        if !counterpart_connect::notice::is_address(address) {
            problems.push(format!("notices.{name}.to: one of the addresses is no e-mail address"));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Starts a task for every notice.
pub fn start(
    shared: &Arc<Shared>,
    active: &Arc<Active>,
    stop: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) {
    for name in active.config.notices.keys() {
        let (shared, active, name, mut stop) = (shared.clone(), active.clone(), name.clone(), stop.clone());
        tasks.spawn(async move {
            while !*stop.borrow() {
                let Some(notice) = active.config.notices.get(&name) else { return };
                match tell(&shared, &active, &name, notice).await {
                    Ok(_) => {}
                    Err(error) => tracing::error!(notice = %name, %error, "notice {name} could not be sent; trying again"),
                }
                shared.pause(&mut stop, Duration::from_secs(notice.batch_s.max(1))).await;
            }
        });
    }
}

/// Sends what was confirmed since the last message, if anything. Gives the number of entries told of.
async fn tell(
    shared: &Shared,
    active: &Active,
    name: &FlowName,
    notice: &NoticeConfig,
) -> Result<usize, HubError> {
    let job = format!("notice:{name}");
    let known = shared.store.job_get(&job).await?;
    let Some(since) = known.and_then(|j| j.value["since"].as_str().and_then(|s| s.parse::<Timestamp>().ok()))
    else {
        // The first time: what was confirmed before the notice existed is not news.
        shared.store.job_put(&job, json!({ "since": shared.now() }), None).await?;
        return Ok(0);
    };
    let filter = DeliveryFilter {
        flow: Some(notice.flow.clone()),
        state: Some(DeliveryState::Delivered),
        finished_since: Some(since),
        limit: 500,
        ..DeliveryFilter::default()
    };
    let mut found = shared.store.list_deliveries(filter).await?;
    found.retain(|d| d.finished_at.is_some_and(|at| at > since));
    let Some(until) = found.iter().filter_map(|d| d.finished_at).max() else { return Ok(0) };
    found.sort_by_key(|d| d.finished_at);
    let smtp = active.config.hub.smtp.as_ref().ok_or_else(|| HubError::BadInput("no [hub.smtp]".into()))?;
    let mut entries = Vec::new();
    for delivery in &found {
        if let Some(record) = shared.store.record(delivery.spec.record).await? {
            entries.push(entry(shared, delivery, &record).await?);
        }
    }
    let (subject, text) = render(name, notice, &entries)?;
    let mailer = mailer(shared, smtp).await?;
    mailer.send(&notice.to, &subject, &text).await.map_err(|e| HubError::Unavailable(e.to_string()))?;
    shared.store.job_put(&job, json!({ "since": until }), None).await?;
    Ok(entries.len())
}

/// What a template sees of one delivery: names and amounts, no person.
async fn entry(shared: &Shared, delivery: &Delivery, record: &Record) -> Result<Value, StoreError> {
    let target = &delivery.spec.lane.connection;
    let counterparts = shared.store.counterparts_of(record.id).await?;
    let number = counterparts.iter().find(|c| c.connection == *target).and_then(|c| c.number.clone());
    let total = &record.payload["totals"]["total"]["shop"];
    let total =
        total["amount"].as_str().map(|a| format!("{a} {}", total["currency"].as_str().unwrap_or_default()));
    let order = match crate::apply::root_of(&record.payload, record.kind) {
        Some(id) => shared.store.record(id).await?.and_then(|r| r.label),
        None => None,
    };
    let at = delivery.finished_at.map(|t| t.strftime("%F %H:%M UTC").to_string());
    Ok(json!({
        "kind": record.kind,
        "label": record.label.clone().or(order).unwrap_or_else(|| record.id.to_string()),
        "number": number,
        "target": target,
        "total": total,
        "tracking": record.payload["tracking"][0]["number"],
        "at": at,
    }))
}

fn render(name: &FlowName, notice: &NoticeConfig, entries: &[Value]) -> Result<(String, String), HubError> {
    let first = entries.first().cloned().unwrap_or_default();
    let context = minijinja::Value::from(minijinja::value::Serde(json!({
        "entries": entries,
        "kind": first["kind"],
        "target": first["target"],
        "flow": notice.flow,
        "name": name,
    })));
    let make = |part: &str, text: &str| {
        Environment::new()
            .render_str(text, &context)
            .map_err(|e| HubError::BadInput(format!("notices.{name}.{part}: {e}")))
    };
    let subject = make("subject", notice.subject.as_deref().unwrap_or(SUBJECT))?;
    let text = make("text", notice.text.as_deref().unwrap_or(TEXT))?;
    Ok((subject.trim().replace(['\r', '\n'], " "), text))
}

async fn mailer(shared: &Shared, smtp: &SmtpConfig) -> Result<Mailer, HubError> {
    let password = match &smtp.password {
        None => None,
        Some(SecretRef::Stored { stored }) => shared.store.secret_get(stored).await?,
        Some(other) => Some(secrets::find(other, shared.base(), |_| None)?),
    };
    let security = match smtp.security.as_str() {
        "tls" => Security::Tls,
        "none" => Security::None,
        _ => Security::StartTls,
    };
    Mailer::new(Smtp {
        host: smtp.host.clone(),
        port: smtp.port,
        security,
        from: smtp.from.clone(),
        user: smtp.user.clone(),
        password,
    })
    .map_err(|e| HubError::BadInput(format!("hub.smtp: {e}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn notice(text: Option<&str>) -> NoticeConfig {
        NoticeConfig {
            flow: FlowName::new("orders").unwrap(),
            to: vec!["ops@example.com".into()],
            batch_s: 60,
            subject: None,
            text: text.map(Into::into),
        }
    }

    #[test]
    fn one_message_tells_of_all() {
        let entries = [
            json!({"kind": "order", "label": "1001", "number": "SO17", "target": "erp", "total": "66.20 EUR", "at": "2026-11-25 08:00 UTC"}),
            json!({"kind": "order", "label": "1002", "number": null, "target": "erp", "at": "2026-11-25 08:01 UTC"}),
        ];
        let (subject, text) = render(&FlowName::new("new-orders").unwrap(), &notice(None), &entries).unwrap();
        assert_eq!(subject, "2 orders in erp");
        assert!(text.contains("order 1001 is SO17 in erp, 66.20 EUR, 2026-11-25 08:00 UTC"), "{text}");
        assert!(text.contains("order 1002 arrived in erp, 2026-11-25 08:01 UTC"), "{text}");
    }

    #[test]
    fn a_bad_template_is_refused() {
        let problems = check(&FlowName::new("n").unwrap(), &notice(Some("{% for %}"))).unwrap_err();
        assert!(problems[0].starts_with("notices.n.text: "), "{problems:?}");
    }
}
