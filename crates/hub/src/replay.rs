//! Delivers again what changed since a moment, after a mapping or a rule was corrected; shows first what would differ.
//!
//! Never: writes to a system itself; with a dry run, writes anything at all.

use std::collections::BTreeSet;

use counterpart_engine::deliver::{Prepared, prepare};
use counterpart_engine::diff::diff;
use counterpart_engine::rules::{Flow, FlowState};
use counterpart_model::delivery::{Action, Delivery, DeliveryState, Lane, NewDelivery, ReviewSubject};
use counterpart_model::effect::Effect;
use counterpart_model::ids::RecordId;
use counterpart_model::kind::{DeliveryStyle, Kind};
use counterpart_model::record::{Record, Role};
use counterpart_store::{ChangeFilter, ReviewFilter};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::active::Active;
use crate::apply::root_of;
use crate::error::HubError;
use crate::explain::diff_view;
use crate::render::{self, Unrenderable};
use crate::shared::Shared;
use crate::views::{ReplayDifference, ReplayReport};

/// Replays a flow.
///
/// # Errors
/// For an unknown flow, or one whose target is not declared.
pub async fn replay(
    shared: &Shared,
    active: &Active,
    flow: &str,
    since: Timestamp,
    dry_run: bool,
    by: &str,
) -> Result<ReplayReport, HubError> {
    let flow = active.rules.flows.iter().find(|f| f.name.as_str() == flow).ok_or_else(|| {
        let known: Vec<_> = active.rules.flows.iter().map(|f| f.name.to_string()).collect();
        HubError::NotFound(format!("there is no flow `{flow}`; there are: {}", known.join(", ")))
    })?;
    let mut report = ReplayReport {
        flow: flow.name.to_string(),
        dry_run,
        examined: 0,
        deliveries: 0,
        differences: Vec::new(),
        problems: Vec::new(),
    };
    unread(shared, active, flow, since, dry_run, by, &mut report).await?;
    for id in changed_since(shared, flow, since).await? {
        let Some(record) = shared.store.record(id).await? else { continue };
        report.examined += 1;
        one(shared, active, flow, &record, dry_run, by, &mut report).await?;
    }
    Ok(report)
}

async fn changed_since(
    shared: &Shared,
    flow: &Flow,
    since: Timestamp,
) -> Result<BTreeSet<RecordId>, HubError> {
    let filter = ChangeFilter {
        connections: flow.from.clone(),
        kind: Some(flow.kind),
        since: Some(since),
        ..ChangeFilter::default()
    };
    Ok(shared.store.list_changes(filter).await?.into_iter().filter_map(|c| c.record).collect())
}

/// Arrivals that no mapping could read: tried with the mapping as it is now, and taken up again when it can.
async fn unread(
    shared: &Shared,
    active: &Active,
    flow: &Flow,
    since: Timestamp,
    dry_run: bool,
    by: &str,
    report: &mut ReplayReport,
) -> Result<(), HubError> {
    for review in shared.store.reviews(ReviewFilter { limit: 10_000, ..ReviewFilter::default() }).await? {
        let ReviewSubject::Inbox(inbox) = review.item.subject else { continue };
        let Some((entry, _)) = shared.store.inbox_entry(inbox).await? else { continue };
        let arrival = &entry.arrival;
        if arrival.received_at < since || !flow.from.contains(&arrival.connection) {
            continue;
        }
        let Some(link) = active.links.get(&arrival.connection) else { continue };
        report.examined += 1;
        match link.connection.read(&arrival.topic, &arrival.body, arrival.received_at) {
            Err(error) => report.problems.push(format!("arrival {inbox} still cannot be read: {error}")),
            Ok(changes) if !changes.iter().any(|c| c.kind == flow.kind) => {}
            Ok(changes) => {
                report.deliveries += 1;
                for change in changes.into_iter().filter(|c| c.kind == flow.kind) {
                    let fields = diff(&json!({}), &change.payload).into_iter().map(diff_view).collect();
                    report.differences.push(ReplayDifference {
                        about: format!(
                            "{} {}",
                            change.kind,
                            change.label.unwrap_or(change.external.to_string())
                        ),
                        record: String::new(),
                        action: "read again".into(),
                        fields,
                    });
                }
                if !dry_run {
                    crate::review::retry(shared, review.id, by).await?;
                }
            }
        }
    }
    Ok(())
}

async fn one(
    shared: &Shared,
    active: &Active,
    flow: &Flow,
    record: &Record,
    dry_run: bool,
    by: &str,
    report: &mut ReplayReport,
) -> Result<(), HubError> {
    let Some(link) = active.links.get(&flow.to) else {
        return Err(HubError::BadInput(format!("the flow's target {} is not declared", flow.to)));
    };
    let about = format!("{} {}", record.kind, record.label.clone().unwrap_or_else(|| record.id.to_string()));
    match active.passes(flow, &record.payload) {
        Ok(true) => {}
        Ok(false) => return Ok(()),
        Err(error) => {
            report.problems.push(format!("{about}: the flow's filter fails on it: {error}"));
            return Ok(());
        }
    }
    let counterpart = shared
        .store
        .counterparts_of(record.id)
        .await?
        .into_iter()
        .find(|c| c.connection == flow.to && c.role != Role::Alias);
    let spec = spec(shared, flow, record, by);
    let candidate = Delivery {
        id: 0,
        spec: spec.clone(),
        state: DeliveryState::Ready,
        failures: 0,
        progress: Value::Null,
        intent: None,
        created_at: shared.now(),
        finished_at: None,
        message: None,
    };
    // A replay looks at what a live flow would do, so that a shadow or switched-off one can be tried.
    let live = Flow { state: FlowState::Live, ..flow.clone() };
    let action = match prepare(&candidate, record, counterpart.as_ref(), &live) {
        Prepared::Run { action } | Prepared::Shadow { action } => action,
        Prepared::Supersede(_) | Prepared::Filter(_) => return Ok(()),
    };
    let needs = link.connection.operation(record.kind, action).map(|o| o.needs).unwrap_or_default();
    let payload = match render::render(shared, active, link, &candidate, record, &needs).await? {
        Ok(rendered) => rendered.payload,
        Err(Unrenderable::Nothing(_)) => return Ok(()),
        Err(Unrenderable::Mapping(why) | Unrenderable::Reference(why)) => {
            report.problems.push(format!("{about}: {why}"));
            return Ok(());
        }
    };
    // Events are delivered once: there is nothing to repeat when they are there.
    if record.kind.style() == DeliveryStyle::Event && counterpart.is_some() {
        return Ok(());
    }
    let written = counterpart.and_then(|c| c.written).unwrap_or_else(|| json!({}));
    let fields: Vec<_> = diff(&written, &payload).into_iter().map(diff_view).collect();
    if fields.is_empty() && record.kind != Kind::Stock {
        return Ok(());
    }
    report.deliveries += 1;
    let action = action.as_str().to_owned();
    report.differences.push(ReplayDifference { about, record: record.id.to_string(), action, fields });
    if !dry_run {
        let open = shared.store.open_deliveries(record.id).await?;
        let supersedes = open.iter().filter(|d| d.spec.flow == flow.name).map(|d| d.id).collect();
        shared.store.commit(vec![Effect::AddDelivery { delivery: Box::new(spec), supersedes }]).await?;
    }
    Ok(())
}

fn spec(shared: &Shared, flow: &Flow, record: &Record, by: &str) -> NewDelivery {
    NewDelivery {
        flow: flow.name.clone(),
        lane: Lane {
            connection: flow.to.clone(),
            root: root_of(&record.payload, record.kind).unwrap_or(record.id),
        },
        record: record.id,
        kind: record.kind,
        version: record.version,
        action: Action::Upsert,
        freshness: flow.freshness,
        next_at: shared.now(),
        payload: (record.kind.style() == DeliveryStyle::Event).then(|| record.payload.clone()),
        origin_at: shared.now(),
        reason: Some(format!("replayed by {by}")),
    }
}
