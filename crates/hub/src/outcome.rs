//! What a delivery came to, recorded: confirmed, refused, failed, blocked, before a person.
//!
//! Every outcome is one transaction that holds only while the lane is ours. Never: sends anything; decides what a failure
//! means (the engine does).

use counterpart_connect::connection::{CallError, Failure, OperationResult, StepDone, StepOutcome};
use counterpart_engine::deliver::{
    Confirmed, Failed, StepSpec, class_of, confirm, confirm_found, found_older, intent_after, refuse, settle,
};
use counterpart_engine::{diff, totals};
use counterpart_model::delivery::{
    Action, Attempt, DeliveryState, FailureClass, Intent, NewReview, ReviewReason, ReviewSubject,
};
use counterpart_model::effect::{Effect, Reservation};
use counterpart_model::ids::RecordId;
use counterpart_model::kind::Kind;
use counterpart_model::record::{Counterpart, Record, Role};
use counterpart_store::{Conflict, StoreError};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::apply;
use crate::deliver::{Job, Next, Run};
use crate::process::note_failure;
use crate::render::Rendered;
use crate::stock;

/// Everything was done (or had been done already): the counterpart, the delivery and what hangs on them, at once.
pub async fn conclude(run: &Run<'_>, result: OperationResult) -> Result<Next, StoreError> {
    let (job, record, mine) = (run.job, &run.record, run.mine.as_ref());
    let now = job.shared.now();
    if run.shadow {
        return finish(job, DeliveryState::Shadowed, "there already as it should be", Value::Null).await;
    }
    if let Some(refused) = &result.refused {
        let counterparts = job.shared.store.counterparts_of(record.id).await?;
        let effects = refuse(&job.delivery, record, &counterparts, &run.flow, refused, now);
        commit(job, effects).await?;
        return Ok(Next::GoOn);
    }
    let Some(external) = result.external.clone().or_else(|| mine.map(|c| c.external.clone())) else {
        if run.action == Action::Cancel {
            return finish(job, DeliveryState::Superseded, "it never was there", Value::Null).await;
        }
        let message = format!(
            "the connector of {} did not say what was made there; look there, then retry or discard",
            job.link.name
        );
        return review(job, ReviewReason::UnknownOutcome, &message, Vec::new()).await;
    };
    let confirmed = Confirmed {
        external,
        role: result.role.or(mine.map(|c| c.role)).unwrap_or(Role::Primary),
        number: result.number.clone(),
        links: result.links.clone(),
        observed: result.observed.clone(),
        settled: result.settled,
    };
    let confirm = if run.wrote { confirm } else { confirm_found };
    let mut effects = confirm(&job.delivery, record, &run.payload, mine, confirmed, now);
    if let Some(difference) = totals_differ(run, &result) {
        // The counterpart is kept, so that nothing is made twice; the delivery waits for a person.
        effects.retain(|e| matches!(e, Effect::PutCounterpart(_)));
        effects.push(Effect::SetIntent { delivery: job.delivery.id, intent: None });
        let message = format!("{} in {}: {difference}", external_name(&result), job.link.name);
        return review(job, ReviewReason::TotalsDiffer, &message, effects).await;
    }
    let written = effects.iter().find_map(|e| match e {
        Effect::PutCounterpart(counterpart) => counterpart.written.clone(),
        _ => None,
    });
    let released = included(job, record, &written.unwrap_or_default()).await?;
    effects
        .extend(released.iter().map(|rows| Effect::PutReservations { order: record.id, rows: rows.clone() }));
    if mine.is_none() {
        effects.extend(apply::closes_missing(job.shared, record.id).await?);
    }
    crate::crash::point("before-confirmation");
    match commit(job, effects).await {
        Err(StoreError::Conflict {
            what: Conflict::PrimaryElsewhere { .. } | Conflict::SecondPrimary { .. },
        }) => {
            let message = format!(
                "{} in {} belongs to another record already: look whether two records are the same thing",
                external_name(&result),
                job.link.name
            );
            return review(job, ReviewReason::Ambiguous, &message, Vec::new()).await;
        }
        other => other?,
    }
    crate::crash::point("confirmed");
    let waited = now.duration_since(job.delivery.spec.origin_at);
    metrics::histogram!("counterpart_delivery_seconds", "flow" => run.flow.name.to_string())
        .record(waited.as_secs_f64().max(0.0));
    if let Some(rows) = &released {
        stock::refresh(job.shared, job.active, rows).await?;
    }
    tracing::info!(delivery = job.delivery.id, flow = %run.flow.name, "delivery {} confirmed", job.delivery.id);
    Ok(Next::GoOn)
}

/// Totals stated there that are not the order's. What an earlier try made of an older state is not compared: the next
/// delivery brings it up to date.
fn totals_differ(run: &Run<'_>, result: &OperationResult) -> Option<totals::Difference> {
    let (delivery, record) = (&run.job.delivery, &run.record);
    let older = found_older(delivery, record) || (!run.wrote && record.version != delivery.spec.version);
    if record.kind != Kind::Order || run.action == Action::Cancel || older {
        return None;
    }
    totals::compare(&run.payload, result.totals.as_ref()?, run.flow.tolerance).err()
}

/// What an order holds of stock once the owner of stock has it as `written`, when that is news.
async fn included(
    job: &Job<'_>,
    record: &Record,
    written: &Value,
) -> Result<Option<Vec<Reservation>>, StoreError> {
    if record.kind != Kind::Order || job.active.rules.stock_owner.as_ref() != Some(&job.link.name) {
        return Ok(None);
    }
    let rows = job.shared.store.reservations_of(record.id).await?;
    let confirmed = counterpart_engine::stock::confirmed(&rows, written, job.shared.now());
    Ok((confirmed != rows).then_some(confirmed))
}

/// There is nothing left to do; what stands there counts for stock as if it had been confirmed now.
pub async fn nothing_left(
    job: &Job<'_>,
    record: &Record,
    mine: Option<&Counterpart>,
    why: &str,
) -> Result<Next, StoreError> {
    let written = mine.and_then(|c| c.written.clone()).unwrap_or_default();
    let released = included(job, record, &written).await?;
    let effects =
        released.iter().map(|rows| Effect::PutReservations { order: record.id, rows: rows.clone() });
    let next = finish_with(job, DeliveryState::Superseded, why, Value::Null, effects.collect()).await?;
    if let Some(rows) = &released {
        stock::refresh(job.shared, job.active, rows).await?;
    }
    Ok(next)
}

fn external_name(result: &OperationResult) -> String {
    result.number.clone().or_else(|| result.external.as_ref().map(ToString::to_string)).unwrap_or_default()
}

/// A step failed.
pub async fn failed(
    job: &Job<'_>,
    step: &StepSpec,
    before: Option<&Intent>,
    began: Timestamp,
    outcome: &StepOutcome,
    failure: &Failure,
) -> Result<Next, StoreError> {
    let class = class_of(step, failure.class, failure.sent);
    let made = attempt(job, &step.name, began, outcome, Some(class), failure.message.clone());
    let mut effects = vec![Effect::AddAttempt(Box::new(made))];
    effects.extend(intent_after(&job.delivery, before, step, class, failure.sent));
    let call = CallError {
        class: failure.class,
        message: failure.message.clone(),
        retry_after: failure.retry_after,
        status: outcome.status,
        sent: failure.sent,
    };
    note_failure(job.shared, job.link, &call).await?;
    if let Some((map, code)) = &failure.missing_reference {
        let message = format!(
            "{} has no entry for `{code}` in the reference map `{map}`: add it under [connections.{}.maps.{map}], apply, then retry",
            job.link.name, job.link.name
        );
        return review(job, ReviewReason::MissingReference, &message, effects).await;
    }
    let failed = Failed {
        class,
        message: failure.message.clone(),
        retry_after: failure.retry_after,
        field: failure.field.clone(),
        reached: failure.sent || outcome.status.is_some(),
    };
    settle_with(job, &failed, effects).await
}

/// What a failure means for the delivery, by the engine's table.
pub async fn settle_with(
    job: &Job<'_>,
    failed: &Failed,
    mut effects: Vec<Effect>,
) -> Result<Next, StoreError> {
    effects.extend(settle(&job.delivery, failed, job.shared.jitter(), job.shared.now()));
    commit(job, effects).await?;
    let class = failed.class;
    tracing::warn!(
        delivery = job.delivery.id,
        class = class.as_str(),
        "delivery {} failed ({})",
        job.delivery.id,
        class.as_str()
    );
    // A rejected one waits for a person and holds back its own record only.
    Ok(if class == FailureClass::Rejected { Next::GoOn } else { Next::Stop })
}

/// A mapping failed on it.
pub async fn mapping_failed(
    job: &Job<'_>,
    error: &counterpart_connect::ReadError,
) -> Result<Next, StoreError> {
    let reason = match error {
        counterpart_connect::ReadError::MissingReference { .. } => ReviewReason::MissingReference,
        _ => ReviewReason::MappingFailed,
    };
    review(job, reason, &error.to_string(), Vec::new()).await
}

/// Before a person. `effects` are written with it.
pub async fn review(
    job: &Job<'_>,
    reason: ReviewReason,
    message: &str,
    mut effects: Vec<Effect>,
) -> Result<Next, StoreError> {
    effects.push(Effect::OpenReview(Box::new(NewReview {
        subject: ReviewSubject::Delivery(job.delivery.id),
        reason,
        message: message.to_owned(),
        detail: json!({ "flow": job.delivery.spec.flow, "version": job.delivery.spec.version }),
        connection: Some(job.link.name.clone()),
        record: Some(job.delivery.spec.record),
    })));
    put_state(job, DeliveryState::InReview, None, message, effects).await?;
    tracing::warn!(
        delivery = job.delivery.id,
        reason = reason.as_str(),
        "delivery {} is in review",
        job.delivery.id
    );
    Ok(Next::GoOn)
}

/// Whether a record has come to exist there since the delivery was rendered.
async fn is_there(job: &Job<'_>, record: RecordId) -> Result<bool, StoreError> {
    let counterparts = job.shared.store.counterparts_of(record).await?;
    Ok(counterparts.iter().any(|c| c.connection == job.link.name))
}

/// Waits for counterparts of other records; a person sees each blocker once, however many deliveries wait for it.
pub async fn block(job: &Job<'_>, record: &Record, rendered: Rendered) -> Result<Next, StoreError> {
    let mut effects = rendered.effects;
    let waits: Vec<RecordId> = rendered.blocked.iter().map(|(_, id)| *id).collect();
    let blockers = job.shared.store.records(waits.clone()).await?;
    let names = names_of(&blockers);
    for blocker in blockers {
        let name = blocker.label.clone().unwrap_or_else(|| blocker.id.to_string());
        // In this order: what was on its way a moment ago may be there now.
        if on_its_way(job, blocker.id).await? || is_there(job, blocker.id).await? {
            continue;
        }
        effects.push(Effect::OpenReview(Box::new(NewReview {
            subject: ReviewSubject::Record(blocker.id),
            reason: ReviewReason::MissingCounterpart,
            message: format!(
                "{} {name} does not exist in {}: what needs it waits and goes on by itself once it is there",
                blocker.kind, job.link.name
            ),
            detail: json!({ "wanted_by": { "record": record.id, "label": record.label } }),
            connection: Some(job.link.name.clone()),
            record: Some(blocker.id),
        })));
    }
    let message = format!("waits for {names} to exist in {}", job.link.name);
    effects.push(Effect::SetDelivery {
        delivery: job.delivery.id,
        state: DeliveryState::Blocked,
        next_at: None,
        failures: job.delivery.failures,
        progress: job.delivery.progress.clone(),
        message: Some(message),
        waits_for: waits,
    });
    commit(job, effects).await?;
    Ok(Next::GoOn)
}

/// A delivery of its own will make it there: nobody needs to be told.
async fn on_its_way(job: &Job<'_>, blocker: RecordId) -> Result<bool, StoreError> {
    let open = job.shared.store.open_deliveries(blocker).await?;
    Ok(open.iter().any(|d| d.spec.lane.connection == job.link.name && d.state != DeliveryState::InReview))
}

/// Names what is waited for.
pub async fn awaited(job: &Job<'_>, blocked: &[(String, RecordId)]) -> Result<String, StoreError> {
    Ok(names_of(&job.shared.store.records(blocked.iter().map(|(_, id)| *id).collect()).await?))
}

fn names_of(records: &[Record]) -> String {
    let names = records.iter().map(|r| match &r.label {
        Some(label) => format!("{} {label}", r.kind),
        None => format!("{} {}", r.kind, r.id),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// In shadow: nothing is sent and nothing waits; the difference that a write would have made is kept, with what
/// `would` have happened.
pub async fn shadowed(run: &Run<'_>, would: &str) -> Result<Next, StoreError> {
    let there = run.mine.as_ref().and_then(|c| c.written.clone().or_else(|| c.observed.clone()));
    let difference = diff::diff(&there.unwrap_or_else(|| json!({})), &run.payload);
    let message = format!("in shadow: {would} ({} field(s) differ)", difference.len());
    finish(run.job, DeliveryState::Shadowed, &message, json!({ "difference": difference })).await
}

/// Ends the delivery.
pub async fn finish(
    job: &Job<'_>,
    state: DeliveryState,
    message: &str,
    progress: Value,
) -> Result<Next, StoreError> {
    finish_with(job, state, message, progress, Vec::new()).await
}

/// Ends the delivery; `effects` are written with it.
pub async fn finish_with(
    job: &Job<'_>,
    state: DeliveryState,
    message: &str,
    progress: Value,
    mut effects: Vec<Effect>,
) -> Result<Next, StoreError> {
    effects.push(Effect::SetDelivery {
        delivery: job.delivery.id,
        state,
        next_at: None,
        failures: job.delivery.failures,
        progress,
        message: Some(message.to_owned()),
        waits_for: Vec::new(),
    });
    commit(job, effects).await?;
    Ok(Next::GoOn)
}

/// Moves the delivery; `effects` are written with it.
pub async fn put_state(
    job: &Job<'_>,
    state: DeliveryState,
    next_at: Option<Timestamp>,
    message: &str,
    mut effects: Vec<Effect>,
) -> Result<Next, StoreError> {
    effects.push(Effect::SetDelivery {
        delivery: job.delivery.id,
        state,
        next_at,
        failures: job.delivery.failures,
        progress: job.delivery.progress.clone(),
        message: Some(message.to_owned()),
        waits_for: Vec::new(),
    });
    commit(job, effects).await?;
    Ok(Next::Stop)
}

/// Writes effects, if and only if the lane is still ours.
pub async fn commit(job: &Job<'_>, mut effects: Vec<Effect>) -> Result<(), StoreError> {
    effects.insert(0, Effect::RequireLease { lane: job.delivery.spec.lane.clone(), token: job.token });
    job.shared.store.commit(effects).await.map(drop)
}

/// One try, for the record.
pub fn attempt(
    job: &Job<'_>,
    step: &str,
    at: Timestamp,
    outcome: &StepOutcome,
    failure: Option<FailureClass>,
    message: String,
) -> Attempt {
    let response = match &outcome.result {
        Ok(StepDone::Response(response)) => Some(response.clone()),
        _ => None,
    };
    Attempt {
        delivery: job.delivery.id,
        step: step.to_owned(),
        at,
        millis: outcome.millis,
        failure,
        status: outcome.status,
        message,
        request: outcome.request.clone(),
        response,
    }
}
