//! Where is this thing? Everything known about a record, put together for a person.
//!
//! Never: changes anything.

use counterpart_engine::diff::FieldDiff;
use counterpart_model::change::ChangeOutcome;
use counterpart_model::delivery::{Attempt, Delivery, DeliveryState, Review, ReviewSubject};
use counterpart_model::ids::RecordId;
use counterpart_model::kind::Kind;
use counterpart_model::record::{Counterpart, Record, Role};
use counterpart_store::{StoreError, StoredChange};
use jiff::Timestamp;
use serde_json::Value;

use crate::active::Active;
use crate::error::HubError;
use crate::shared::Shared;
use crate::stock;
use crate::views::*;

/// Explains every record that goes by a name: id, label, number or remote id.
///
/// # Errors
/// Not found, with what to try.
pub async fn explain(
    shared: &Shared,
    active: Option<&Active>,
    kind: Kind,
    what: &str,
    with_payload: bool,
) -> Result<Vec<Explanation>, HubError> {
    let records = find(shared, kind, what).await?;
    if records.is_empty() {
        return Err(HubError::NotFound(format!(
            "no {kind} is known by `{what}`: give its number, its id in one of the systems, or its record id. If it is new, \
             it may not have been read yet: `counterpart status` shows when each system was last read"
        )));
    }
    let mut all = Vec::new();
    for record in records {
        all.push(one(shared, active, record, with_payload).await?);
    }
    Ok(all)
}

/// Records of a kind that go by a name.
///
/// # Errors
/// When the database is away.
pub async fn find(shared: &Shared, kind: Kind, what: &str) -> Result<Vec<Record>, StoreError> {
    let store = &shared.store;
    if let Ok(id) = what.parse::<RecordId>() {
        return Ok(store.record(id).await?.into_iter().filter(|r| r.kind == kind).collect());
    }
    let mut records = store.find_by_label(kind, what).await?;
    for counterpart in store.find_counterparts(what).await? {
        let new = !records.iter().any(|r| r.id == counterpart.record);
        if new
            && counterpart.kind == kind
            && counterpart.role != Role::Shared
            && let Some(record) = store.record(counterpart.record).await?
        {
            records.push(record);
        }
    }
    Ok(records)
}

async fn one(
    shared: &Shared,
    active: Option<&Active>,
    record: Record,
    with_payload: bool,
) -> Result<Explanation, StoreError> {
    let store = &shared.store;
    let counterparts = store.counterparts_of(record.id).await?;
    let deliveries = store.deliveries_of(record.id).await?;
    let reviews = store.reviews_of(record.id).await?;
    let mut views = Vec::new();
    for delivery in &deliveries {
        views.push(delivery_view(delivery, store.attempts_of(delivery.id).await?));
    }
    let open: Vec<&Review> = reviews.iter().filter(|r| r.closed_at.is_none()).collect();
    let mut next = next_steps(&deliveries, &open, shared.now());
    next.extend(waiting_on_us(shared, &record).await?);
    Ok(Explanation {
        record: record.id.to_string(),
        kind: record.kind.to_string(),
        label: record.label.clone(),
        version: record.version,
        summary: summary(&record, &counterparts, &deliveries, &open),
        next,
        counterparts: counterparts.iter().map(counterpart_view).collect(),
        timeline: store
            .timeline(record.id)
            .await?
            .into_iter()
            .map(|t| TimelineView { version: t.version, at: t.at, cause: t.cause })
            .collect(),
        changes: store.changes_of(record.id).await?.iter().map(change_view).collect(),
        deliveries: views,
        reviews: reviews.iter().map(|r| review_view(r, Some(&record), false)).collect(),
        stock: stock_terms(shared, active, &record).await?,
        payload: with_payload.then_some(record.payload),
    })
}

fn summary(
    record: &Record,
    counterparts: &[Counterpart],
    deliveries: &[Delivery],
    open: &[&Review],
) -> String {
    let places: Vec<String> = counterparts
        .iter()
        .map(|c| match &c.number {
            Some(number) => format!("{} as {number}", c.connection),
            None => c.connection.to_string(),
        })
        .collect();
    let there = if places.is_empty() {
        "is in no system yet".to_owned()
    } else {
        format!("is in {}", places.join(" and "))
    };
    let running =
        deliveries.iter().filter(|d| !d.state.is_final() && d.state != DeliveryState::InReview).count();
    let rest = match (open.len(), running) {
        (0, 0) => "nothing is under way".to_owned(),
        (0, n) => format!("{n} deliver{} under way", if n == 1 { "y is" } else { "ies are" }),
        (n, _) => format!("{n} thing{} for a person", if n == 1 { " waits" } else { "s wait" }),
    };
    let status = match record.kind {
        Kind::Order => lifecycle_words(&record.payload),
        _ => None,
    };
    let status = status.map(|s| format!("{s}, ")).unwrap_or_default();
    format!("{status}{there}; {rest}.")
}

fn lifecycle_words(payload: &Value) -> Option<String> {
    let axis = |name: &str| payload.get("lifecycle")?.get(name)?.as_str().map(|s| s.replace('_', " "));
    Some([axis("commercial")?, axis("payment")?, axis("fulfilment")?].join(", "))
}

fn next_steps(deliveries: &[Delivery], open: &[&Review], now: Timestamp) -> Vec<String> {
    let mut next = Vec::new();
    for d in deliveries {
        let what = format!("{} to {} (flow {})", d.spec.action.as_str(), d.spec.lane.connection, d.spec.flow);
        let due = d.spec.next_at;
        let when = if due <= now { "now".to_owned() } else { format!("at {}", due.strftime("%H:%M:%S UTC")) };
        match d.state {
            DeliveryState::Ready if d.failures > 0 => next.push(format!("{what} is tried again {when}")),
            DeliveryState::Ready => next.push(format!("{what} runs {when}")),
            DeliveryState::Unknown => next.push(format!("{what}: its outcome is read back {when}")),
            DeliveryState::Blocked => {
                next.push(format!("{what} goes on by itself: {}", d.message.clone().unwrap_or_default()));
            }
            _ => {}
        }
    }
    for review in open {
        let id = review.id;
        next.push(format!(
            "a person decides: `counterpart review show {id}`, then `review retry {id}`, `review edit {id}` or `review discard {id}`"
        ));
    }
    if next.is_empty() {
        next.push("nothing, until one of the systems says something new".into());
    }
    next
}

/// Deliveries of others that wait for this record.
async fn waiting_on_us(shared: &Shared, record: &Record) -> Result<Vec<String>, StoreError> {
    let waiting = shared.store.waiting_for(record.id).await?;
    Ok(if waiting.is_empty() {
        Vec::new()
    } else {
        vec![format!(
            "{} deliver{} for it to exist",
            waiting.len(),
            if waiting.len() == 1 { "y waits" } else { "ies wait" }
        )]
    })
}

async fn stock_terms(
    shared: &Shared,
    active: Option<&Active>,
    record: &Record,
) -> Result<Vec<StockTerm>, StoreError> {
    let mut terms = Vec::new();
    match record.kind {
        Kind::Order => {
            for row in shared.store.reservations_of(record.id).await? {
                let term = match row.confirmed_at {
                    None => "held until the ERP has the order".to_owned(),
                    Some(at) => format!("in the ERP since {}", at.strftime("%F %H:%M:%S UTC")),
                };
                terms.push(StockTerm {
                    of: format!("line {}", row.line),
                    term,
                    quantity: row.quantity.to_string(),
                });
            }
        }
        Kind::Stock => {
            let Some(active) = active else { return Ok(terms) };
            for flow in active.rules.flows.iter().filter(|f| f.kind == Kind::Stock) {
                let Some(result) = stock::reckon(shared, active, record, &flow.to).await? else { continue };
                let of = flow.to.to_string();
                for (term, quantity) in result.terms {
                    terms.push(StockTerm { of: of.clone(), term, quantity: quantity.to_string() });
                }
                let sellable = result.sellable.to_string();
                terms.push(StockTerm { of, term: "available to sell".into(), quantity: sellable });
            }
        }
        _ => {}
    }
    Ok(terms)
}

/// A counterpart, as shown.
pub fn counterpart_view(c: &Counterpart) -> CounterpartView {
    CounterpartView {
        connection: c.connection.to_string(),
        external: c.external.to_string(),
        number: c.number.clone(),
        role: match c.role {
            Role::Primary => "primary",
            Role::Part => "part",
            Role::Shared => "shared",
            Role::Alias => "alias",
        }
        .into(),
        settled: c.settled,
        written_version: c.written_version,
        at: c.updated_at,
    }
}

fn change_view(c: &StoredChange) -> ChangeView {
    let filtered = match &c.outcome {
        ChangeOutcome::Applied { filtered, .. } => filtered.clone(),
        ChangeOutcome::Filtered { rule } => vec![rule.clone()],
        _ => Vec::new(),
    };
    ChangeView {
        id: c.id,
        connection: c.change.connection.to_string(),
        external: c.change.external.to_string(),
        at: c.at,
        outcome: c.outcome.name().into(),
        filtered,
    }
}

/// A delivery, as shown.
pub fn delivery_view(d: &Delivery, attempts: Vec<Attempt>) -> DeliveryView {
    let difference: Vec<FieldDiff> =
        d.progress.get("difference").and_then(|v| serde_json::from_value(v.clone()).ok()).unwrap_or_default();
    DeliveryView {
        id: d.id,
        flow: d.spec.flow.to_string(),
        connection: d.spec.lane.connection.to_string(),
        record: d.spec.record.to_string(),
        kind: d.spec.kind.to_string(),
        action: d.spec.action.as_str().into(),
        state: d.state.as_str().into(),
        message: d.message.clone(),
        next_at: matches!(d.state, DeliveryState::Ready | DeliveryState::Unknown).then_some(d.spec.next_at),
        failures: d.failures,
        created_at: d.created_at,
        finished_at: d.finished_at,
        latency_ms: d.finished_at.map(|at| at.as_millisecond() - d.spec.origin_at.as_millisecond()),
        attempts: attempts.into_iter().map(attempt_view).collect(),
        difference: difference.into_iter().map(diff_view).collect(),
    }
}

fn attempt_view(a: Attempt) -> AttemptView {
    AttemptView {
        step: a.step,
        at: a.at,
        millis: a.millis,
        result: a.failure.map_or("done", |f| f.as_str()).into(),
        status: a.status,
        message: a.message,
    }
}

/// A differing field, as shown.
pub fn diff_view(d: FieldDiff) -> DiffView {
    DiffView { path: d.path, from: d.from, to: d.to }
}

/// A review item, as shown.
pub fn review_view(r: &Review, about: Option<&Record>, with_detail: bool) -> ReviewView {
    ReviewView {
        id: r.id,
        reason: r.item.reason.as_str().into(),
        message: r.item.message.clone(),
        subject: match r.item.subject {
            ReviewSubject::Delivery(id) => format!("delivery {id}"),
            ReviewSubject::Inbox(id) => format!("arrival {id}"),
            ReviewSubject::Record(id) => format!("record {id}"),
        },
        connection: r.item.connection.as_ref().map(ToString::to_string),
        record: r.item.record.map(|id| id.to_string()),
        about: about.map(|record| {
            format!("{} {}", record.kind, record.label.clone().unwrap_or_else(|| record.id.to_string()))
        }),
        opened_at: r.opened_at,
        closed_at: r.closed_at,
        closed_as: r.closed_as.clone(),
        closed_by: r.closed_by.clone(),
        detail: with_detail.then(|| r.item.detail.clone()),
    }
}
