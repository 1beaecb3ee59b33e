//! One delivery: rendered, its steps run, its outcome recorded.
//!
//! Crash points, in order: before the intent is written (nothing was sent); after it and before the request (nothing
//! was sent, but we cannot know); after the request and before its outcome is written (it may have been done); after
//! the last step and before the confirmation (it was done). From the second on, the next start reads first and writes
//! only what is not there; see ARCHITECTURE.md.
//!
//! Never: sends a writing request whose intent is not on disk.

use std::sync::Arc;

use counterpart_connect::connection::{
    CallError, Failure, OperationInfo, OperationResult, StepDone, StepInfo, StepOutcome,
};
use counterpart_connect::manifest::Idempotent;
use counterpart_engine::deliver::{
    Confirmed, Failed, Idempotency, Prepared, StepPlan, StepSpec, confirm, next_step, prepare, refuse, settle,
};
use counterpart_engine::{diff, rules::Flow, totals};
use counterpart_model::delivery::{
    Action, Attempt, Delivery, DeliveryState, FailureClass, Intent, NewReview, ReviewReason, ReviewSubject,
};
use counterpart_model::effect::Effect;
use counterpart_model::ids::RecordId;
use counterpart_model::kind::Kind;
use counterpart_model::record::{Counterpart, Record, Role};
use counterpart_store::{Conflict, StoreError};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::active::{Active, Link};
use crate::apply;
use crate::process::note_failure;
use crate::render::{self, Rendered, Unrenderable};
use crate::shared::Shared;
use crate::stock;

/// A delivery in a worker's hands.
pub struct Job<'a> {
    /// Shared parts.
    pub shared: &'a Arc<Shared>,
    /// The revision.
    pub active: &'a Arc<Active>,
    /// Where to.
    pub link: &'a Arc<Link>,
    /// The lease's fencing token.
    pub token: i64,
    /// What.
    pub delivery: Delivery,
}

/// What the worker does with the lane.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// The next delivery may run.
    GoOn,
    /// The lane rests.
    Stop,
}

/// Runs a delivery as far as it goes now.
///
/// # Errors
/// When the database is away or the lease was lost: nothing of the last step is recorded then.
pub async fn run(job: &Job<'_>) -> Result<Next, StoreError> {
    let spec = &job.delivery.spec;
    let Some(record) = job.shared.store.record(spec.record).await? else {
        return finish(job, DeliveryState::Filtered, "its record is gone", Value::Null).await;
    };
    let Some(flow) = job.active.flow(&spec.flow).cloned().or_else(|| reverting_flow(job, &record)) else {
        return finish(job, DeliveryState::Filtered, "its flow is no longer declared", Value::Null).await;
    };
    let counterparts = job.shared.store.counterparts_of(record.id).await?;
    let mine = counterparts.iter().find(|c| c.connection == job.link.name && c.role != Role::Alias).cloned();
    if record.kind == Kind::Person
        && mine.is_none()
        && let Some(shares) = render::share(job.shared, job.link, record.id).await?
    {
        let rule = format!("guests share {} in {}", shares.external, job.link.name);
        let effects = vec![Effect::PutCounterpart(Box::new(shares))];
        return finish_with(job, DeliveryState::Filtered, &rule, Value::Null, effects).await;
    }
    let (action, shadow) = match prepare(&job.delivery, &record, mine.as_ref(), &flow) {
        Prepared::Run { action } => (action, false),
        Prepared::Shadow { action } => (action, true),
        Prepared::Supersede(why) => return finish(job, DeliveryState::Superseded, &why, Value::Null).await,
        Prepared::Filter(rule) => return finish(job, DeliveryState::Filtered, &rule, Value::Null).await,
    };
    let Some(operation) = job.link.connection.operation(record.kind, action) else {
        let message = format!(
            "{} cannot {} an {}: its connector has no operation for it; do it there by hand, then discard this",
            job.link.name,
            action.as_str(),
            record.kind
        );
        let failed =
            Failed { class: FailureClass::Rejected, message, retry_after: None, field: None, reached: true };
        return settle_with(job, &failed, Vec::new()).await;
    };
    let rendered =
        match render::render(job.shared, job.active, job.link, &job.delivery, &record, &operation.needs)
            .await?
        {
            Ok(rendered) => rendered,
            Err(Unrenderable::Nothing(why)) => {
                return finish(job, DeliveryState::Superseded, &why, Value::Null).await;
            }
            Err(Unrenderable::Mapping(message)) => {
                return review(job, ReviewReason::MappingFailed, &message, Vec::new()).await;
            }
            Err(Unrenderable::Reference(message)) => {
                return review(job, ReviewReason::Ambiguous, &message, Vec::new()).await;
            }
        };
    if !rendered.blocked.is_empty() {
        return block(job, &record, rendered).await;
    }
    steps(job, &record, &flow, action, shadow, &operation, rendered, mine).await
}

/// A delivery that reverts a foreign edit goes along a flow by name; when that flow was renamed meanwhile, any flow of
/// the kind to the same target will do.
fn reverting_flow(job: &Job<'_>, record: &Record) -> Option<Flow> {
    job.active.rules.flows.iter().find(|f| f.kind == record.kind && f.to == job.link.name).cloned()
}

#[allow(clippy::too_many_arguments)]
async fn steps(
    job: &Job<'_>,
    record: &Record,
    flow: &Flow,
    action: Action,
    shadow: bool,
    operation: &OperationInfo,
    rendered: Rendered,
    mine: Option<Counterpart>,
) -> Result<Next, StoreError> {
    let specs: Vec<StepSpec> = operation.steps.iter().map(spec_of).collect();
    match next_step(&specs, &job.delivery, job.shared.now()) {
        StepPlan::Go => {}
        StepPlan::VerifyAt(at) => {
            let message = "an answer is missing: what was done is read when it must be visible".to_owned();
            return put_state(job, DeliveryState::Unknown, Some(at), &message, Vec::new()).await;
        }
        StepPlan::Review(reason) => {
            let message = format!(
                "it may or may not have been done in {}, and there is no way to find out by machine: look there, then retry or discard",
                job.link.name
            );
            return review(job, reason, &message, Vec::new()).await;
        }
    }
    let connection = &job.link.connection;
    let mut context = rendered.context;
    context["action"] = json!(action);
    let mut done = Map::new();
    let mut pending = job.delivery.intent.is_some();
    if !rendered.effects.is_empty() && !shadow {
        commit(job, rendered.effects).await?;
    }
    for step in &operation.steps {
        context["steps"] = Value::Object(done.clone());
        if step.writes {
            match connection.step_done(record.kind, action, &step.name, &context) {
                Ok(true) => {
                    done.insert(step.name.clone(), Value::Null);
                    continue;
                }
                Ok(false) => {}
                Err(error) => return mapping_failed(job, &error).await,
            }
            if shadow {
                match connection.render(record.kind, action, &step.name, &context) {
                    Ok(None) => {
                        done.insert(step.name.clone(), Value::Null);
                        continue;
                    }
                    Ok(Some(_)) => return shadowed(job, mine.as_ref(), &rendered.payload, &step.name).await,
                    Err(error) => return mapping_failed(job, &error).await,
                }
            }
            match connection.render(record.kind, action, &step.name, &context) {
                Ok(None) => {
                    done.insert(step.name.clone(), Value::Null);
                    continue;
                }
                Ok(Some(_)) => {}
                Err(error) => return mapping_failed(job, &error).await,
            }
            let intent = Intent {
                step: step.name.clone(),
                sent_at: job.shared.now(),
                key: render::idempotency_key(&job.delivery),
            };
            commit(job, vec![Effect::SetIntent { delivery: job.delivery.id, intent: Some(intent) }]).await?;
            crate::crash::point("intent-written");
            pending = true;
        }
        let began = job.shared.now();
        let outcome = connection.run_step(record.kind, action, &step.name, &context).await;
        if step.writes {
            crash_after(&outcome);
        }
        match outcome.result {
            Ok(StepDone::Skipped) => drop(done.insert(step.name.clone(), Value::Null)),
            Ok(StepDone::Response(ref response)) => {
                job.shared.health.succeeded(&job.link.name);
                done.insert(step.name.clone(), response.clone());
                if step.writes {
                    let attempt = attempt(job, &step.name, began, &outcome, None, "done".into());
                    let effects = vec![
                        Effect::AddAttempt(Box::new(attempt)),
                        Effect::SetIntent { delivery: job.delivery.id, intent: None },
                    ];
                    commit(job, effects).await?;
                    crate::crash::point("step-recorded");
                    pending = false;
                }
            }
            Err(ref failure) => return failed(job, step, began, &outcome, failure, pending).await,
        }
    }
    context["steps"] = Value::Object(done);
    match connection.result(record.kind, action, &context) {
        Ok(result) => conclude(job, record, flow, action, shadow, rendered.payload, mine, result).await,
        Err(error) => mapping_failed(job, &error).await,
    }
}

fn crash_after(outcome: &StepOutcome) {
    if outcome.result.is_ok() {
        crate::crash::point("answer-received");
    }
}

fn spec_of(step: &StepInfo) -> StepSpec {
    StepSpec {
        name: step.name.clone(),
        writes: step.writes,
        idempotency: match step.idempotency {
            Idempotent::Key => Idempotency::Key,
            Idempotent::Upsert => Idempotency::Upsert,
            Idempotent::StrongLookup => Idempotency::StrongLookup,
            Idempotent::LaggedLookup(seconds) => Idempotency::LaggedLookup(seconds),
            Idempotent::None => Idempotency::None,
        },
        timeout_s: step.timeout.as_secs(),
    }
}

/// Everything was done (or had been done already): the counterpart, the delivery and what hangs on them, at once.
#[allow(clippy::too_many_arguments)]
async fn conclude(
    job: &Job<'_>,
    record: &Record,
    flow: &Flow,
    action: Action,
    shadow: bool,
    payload: Value,
    mine: Option<Counterpart>,
    result: OperationResult,
) -> Result<Next, StoreError> {
    let now = job.shared.now();
    if shadow {
        return finish(job, DeliveryState::Shadowed, "there already as it should be", Value::Null).await;
    }
    if let Some(refused) = &result.refused {
        let counterparts = job.shared.store.counterparts_of(record.id).await?;
        let effects = refuse(&job.delivery, record, &counterparts, flow, refused, now);
        commit(job, effects).await?;
        return Ok(Next::GoOn);
    }
    let Some(external) = result.external.clone().or_else(|| mine.as_ref().map(|c| c.external.clone())) else {
        if action == Action::Cancel {
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
        role: result.role.or(mine.as_ref().map(|c| c.role)).unwrap_or(Role::Primary),
        number: result.number.clone(),
        links: result.links.clone(),
        observed: result.observed.clone(),
        settled: result.settled,
    };
    let counterpart_effects = confirm(&job.delivery, record, &payload, mine.as_ref(), confirmed, now);
    if record.kind == Kind::Order
        && action != Action::Cancel
        && let Some(stated) = &result.totals
        && let Err(difference) = totals::compare(&record.payload, stated, flow.tolerance)
    {
        // The counterpart is kept, so that nothing is made twice; the delivery waits for a person.
        let kept =
            counterpart_effects.into_iter().filter(|e| matches!(e, Effect::PutCounterpart(_))).collect();
        let message = format!("{} in {}: {difference}", external_name(&result), job.link.name);
        return review(job, ReviewReason::TotalsDiffer, &message, kept).await;
    }
    let mut effects = counterpart_effects;
    let mut released = Vec::new();
    if record.kind == Kind::Order && job.active.rules.stock_owner.as_ref() == Some(&job.link.name) {
        let rows = job.shared.store.reservations_of(record.id).await?;
        let confirmed = counterpart_engine::stock::confirmed(&rows, &payload, now);
        if confirmed != rows {
            released = confirmed.clone();
            effects.push(Effect::PutReservations { order: record.id, rows: confirmed });
        }
    }
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
    metrics::histogram!("counterpart_delivery_seconds", "flow" => flow.name.to_string())
        .record(waited.as_secs_f64().max(0.0));
    if !released.is_empty() {
        stock::refresh(job.shared, job.active, &released).await?;
    }
    tracing::info!(delivery = job.delivery.id, flow = %flow.name, "delivery {} confirmed", job.delivery.id);
    Ok(Next::GoOn)
}

fn external_name(result: &OperationResult) -> String {
    result.number.clone().or_else(|| result.external.as_ref().map(ToString::to_string)).unwrap_or_default()
}

async fn failed(
    job: &Job<'_>,
    step: &StepInfo,
    began: Timestamp,
    outcome: &StepOutcome,
    failure: &Failure,
    pending: bool,
) -> Result<Next, StoreError> {
    let mut effects = Vec::new();
    effects.push(Effect::AddAttempt(Box::new(attempt(
        job,
        &step.name,
        began,
        outcome,
        Some(failure.class),
        failure.message.clone(),
    ))));
    note_failure(
        job.shared,
        job.link,
        &CallError {
            class: failure.class,
            message: failure.message.clone(),
            retry_after: failure.retry_after,
            status: outcome.status,
            sent: failure.sent,
        },
    );
    if let Some((map, code)) = &failure.missing_reference {
        let message = format!(
            "{} has no entry for `{code}` in the reference map `{map}`: add it under [connections.{}.maps.{map}], apply, then retry",
            job.link.name, job.link.name
        );
        return review(job, ReviewReason::MissingReference, &message, effects).await;
    }
    // A reading step that fails says nothing about a write before it: an intent stays until it is settled.
    let may_be_done = step.writes && failure.sent && failure.class == FailureClass::Unknown;
    if step.writes && pending && !may_be_done {
        effects.push(Effect::SetIntent { delivery: job.delivery.id, intent: None });
    }
    let class = if !step.writes && failure.class == FailureClass::Unknown {
        FailureClass::Transient
    } else {
        failure.class
    };
    let failed = Failed {
        class,
        message: failure.message.clone(),
        retry_after: failure.retry_after,
        field: failure.field.clone(),
        reached: failure.sent || outcome.status.is_some(),
    };
    settle_with(job, &failed, effects).await
}

async fn settle_with(job: &Job<'_>, failed: &Failed, mut effects: Vec<Effect>) -> Result<Next, StoreError> {
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

async fn mapping_failed(job: &Job<'_>, error: &counterpart_connect::ReadError) -> Result<Next, StoreError> {
    let reason = match error {
        counterpart_connect::ReadError::MissingReference { .. } => ReviewReason::MissingReference,
        _ => ReviewReason::MappingFailed,
    };
    review(job, reason, &error.to_string(), Vec::new()).await
}

/// Before a person. `effects` are written with it.
async fn review(
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

/// Waits for counterparts of other records; a person sees each blocker once, however many deliveries wait for it.
async fn block(job: &Job<'_>, record: &Record, rendered: Rendered) -> Result<Next, StoreError> {
    let mut effects = rendered.effects;
    let waits: Vec<RecordId> = rendered.blocked.iter().map(|(_, id)| *id).collect();
    let mut names = Vec::new();
    for blocker in job.shared.store.records(waits.clone()).await? {
        let name = blocker.label.clone().unwrap_or_else(|| blocker.id.to_string());
        names.push(format!("{} {name}", blocker.kind));
        if on_its_way(job, blocker.id).await? {
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
    let message = format!("waits for {} to exist in {}", names.join(", "), job.link.name);
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

async fn shadowed(
    job: &Job<'_>,
    mine: Option<&Counterpart>,
    payload: &Value,
    step: &str,
) -> Result<Next, StoreError> {
    let now_there =
        mine.and_then(|c| c.written.clone().or_else(|| c.observed.clone())).unwrap_or_else(|| json!({}));
    let difference = diff::diff(&now_there, payload);
    let message = format!("in shadow: step `{step}` would have written {} field(s)", difference.len());
    finish(job, DeliveryState::Shadowed, &message, json!({ "difference": difference })).await
}

async fn finish(
    job: &Job<'_>,
    state: DeliveryState,
    message: &str,
    progress: Value,
) -> Result<Next, StoreError> {
    finish_with(job, state, message, progress, Vec::new()).await
}

async fn finish_with(
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

async fn put_state(
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
async fn commit(job: &Job<'_>, mut effects: Vec<Effect>) -> Result<(), StoreError> {
    effects.insert(0, Effect::RequireLease { lane: job.delivery.spec.lane.clone(), token: job.token });
    job.shared.store.commit(effects).await.map(drop)
}

fn attempt(
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
