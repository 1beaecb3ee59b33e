//! Answers that are read from the database as they stand.
//!
//! Never: changes anything.

use std::collections::BTreeMap;

use counterpart_model::delivery::DeliveryState;
use counterpart_model::ids::{ConnectionName, FlowName};
use counterpart_model::kind::Kind;
use counterpart_store::{DeliveryFilter, ReviewFilter};

use crate::error::HubError;
use crate::explain::{delivery_view, review_view};
use crate::hub::LATENCY_WINDOW;
use crate::poller;
use crate::process::health_job;
use crate::shared::Shared;
use crate::views::*;

/// Most entries in one answer.
const MOST: usize = 1000;

/// How everything stands.
///
/// # Errors
/// When the database is away.
pub async fn status(shared: &Shared) -> Result<Status, HubError> {
    let store = &shared.store;
    let now = shared.now();
    let accounts = store.accounts().await?;
    let latency = store.latency(now - LATENCY_WINDOW).await?;
    let mut connections = Vec::new();
    let mut flows = Vec::new();
    let active = shared.active().ok();
    if let Some(active) = &active {
        for (name, link) in &active.links {
            // Kept by the process that serves, which may be another one than this.
            let kept = shared.store.job_get(&health_job(name)).await?;
            let health = kept
                .and_then(|job| serde_json::from_value(job.value).ok())
                .unwrap_or_else(|| shared.health.view(name));
            connections.push(ConnectionStatus {
                name: name.to_string(),
                connector: link.config.connector.clone(),
                state: if link.config.paused { "paused".into() } else { health.state },
                message: health.message,
                since: health.since,
                polled: poller::polled(shared, name).await?,
            });
        }
        for (name, flow) in &active.config.flows {
            flows.push(FlowStatus {
                name: name.to_string(),
                kind: flow.kind.to_string(),
                from: flow.from.iter().map(ToString::to_string).collect(),
                to: flow.to.to_string(),
                state: flow.state.as_str().into(),
                deliveries: accounts.flows.get(name.as_str()).cloned().unwrap_or_default(),
                latency_ms: latency.get(name).map(|l| Latency { p50: l.p50, p95: l.p95, p99: l.p99 }),
            });
        }
    }
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").into(),
        revision: active.and_then(|a| a.revision),
        at: now,
        connections,
        flows,
        inbox: accounts.inbox,
        changes: accounts.changes,
        deliveries: accounts.deliveries,
        reviews_open: accounts.reviews_open,
        unaccounted: store.unaccounted().await?.len() as u64,
    })
}

/// Records of a kind, newest first.
///
/// # Errors
/// When the database is away.
pub async fn records(
    shared: &Shared,
    kind: Kind,
    label: Option<&str>,
    limit: usize,
) -> Result<Vec<RecordView>, HubError> {
    let records = shared.store.list_records(kind, label, limit.clamp(1, MOST)).await?;
    Ok(records
        .into_iter()
        .map(|r| RecordView {
            id: r.id.to_string(),
            kind: r.kind.to_string(),
            label: r.label,
            version: r.version,
            updated_at: r.updated_at,
            payload: r.payload,
        })
        .collect())
}

/// Deliveries with their attempts, newest first.
///
/// # Errors
/// For an unknown state or a name that is none.
pub async fn deliveries(shared: &Shared, query: DeliveryQuery) -> Result<Vec<DeliveryView>, HubError> {
    let state = query.state.map(|text| state(&text)).transpose()?;
    let filter = DeliveryFilter {
        flow: query.flow.map(name::<FlowName>).transpose()?,
        state,
        connection: query.connection.map(name::<ConnectionName>).transpose()?,
        since: query.since,
        finished_since: None,
        limit: query.limit.unwrap_or(50).clamp(1, MOST),
    };
    let mut views = Vec::new();
    for delivery in shared.store.list_deliveries(filter).await? {
        let attempts = shared.store.attempts_of(delivery.id).await?;
        views.push(delivery_view(&delivery, attempts));
    }
    Ok(views)
}

fn name<T: std::str::FromStr<Err = counterpart_model::ids::IdError>>(text: String) -> Result<T, HubError> {
    text.parse().map_err(|e: counterpart_model::ids::IdError| HubError::BadInput(e.to_string()))
}

fn state(text: &str) -> Result<DeliveryState, HubError> {
    serde_json::from_value(text.into()).map_err(|_| {
        HubError::BadInput(format!(
            "`{text}` is no delivery state: use ready, blocked, unknown, in_review, delivered, superseded, shadowed, filtered or discarded"
        ))
    })
}

/// Review items, newest first.
///
/// # Errors
/// For a name that is none.
pub async fn reviews(shared: &Shared, query: ReviewQuery) -> Result<Vec<ReviewView>, HubError> {
    let filter = ReviewFilter {
        all: query.all,
        reason: query.reason,
        connection: query.connection.map(name::<ConnectionName>).transpose()?,
        limit: query.limit.unwrap_or(50).clamp(1, MOST),
    };
    let reviews = shared.store.reviews(filter).await?;
    let ids = reviews.iter().filter_map(|r| r.item.record).collect();
    let about: BTreeMap<_, _> = shared.store.records(ids).await?.into_iter().map(|r| (r.id, r)).collect();
    Ok(reviews.iter().map(|r| review_view(r, r.item.record.and_then(|id| about.get(&id)), false)).collect())
}

/// One review item with its particulars.
///
/// # Errors
/// Not found.
pub async fn review(shared: &Shared, id: i64) -> Result<ReviewView, HubError> {
    let review = shared.store.review(id).await?.ok_or_else(|| {
        HubError::NotFound(format!(
            "there is no review item {id}; `counterpart review list` shows what waits"
        ))
    })?;
    let about = match review.item.record {
        Some(id) => shared.store.record(id).await?,
        None => None,
    };
    Ok(review_view(&review, about.as_ref(), true))
}

/// Captured samples, newest first.
///
/// # Errors
/// For a name that is none.
pub async fn samples(
    shared: &Shared,
    connection: &str,
    topic: Option<&str>,
) -> Result<Vec<SampleView>, HubError> {
    let connection = name::<ConnectionName>(connection.to_owned())?;
    let samples = shared.store.samples(&connection, topic).await?;
    Ok(samples
        .into_iter()
        .map(|s| SampleView { id: s.id, connection: s.connection.to_string(), topic: s.topic, at: s.at })
        .collect())
}
