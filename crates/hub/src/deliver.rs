//! One delivery: rendered, its steps run, its outcome recorded.
//!
//! Crash points, in order: before the intent is written (nothing was sent); after it and before the request (nothing
//! was sent, but we cannot know); after the request and before its outcome is written (it may have been done); after
//! the last step and before the confirmation (it was done). From the second on, the next start reads first and writes
//! only what is not there; see ARCHITECTURE.md.
//!
//! Never: sends a writing request whose intent is not on disk.

use std::sync::Arc;

use counterpart_connect::connection::{OperationInfo, StepDone, StepInfo, StepOutcome};
use counterpart_connect::manifest::Idempotent;
use counterpart_engine::deliver::{Failed, Idempotency, Prepared, StepPlan, StepSpec, next_step, prepare};
use counterpart_engine::rules::Flow;
use counterpart_model::delivery::{Action, Delivery, DeliveryState, FailureClass, Intent, ReviewReason};
use counterpart_model::effect::Effect;
use counterpart_model::kind::Kind;
use counterpart_model::record::{Counterpart, Record, Role};
use counterpart_store::StoreError;
use serde_json::{Map, Value, json};

use crate::active::{Active, Link};
use crate::outcome;
use crate::process::note_success;
use crate::render::{self, Rendered, Unrenderable};
use crate::shared::Shared;

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
        return outcome::finish(job, DeliveryState::Filtered, "its record is gone", Value::Null).await;
    };
    let Some(flow) = job.active.flow(&spec.flow).cloned().or_else(|| reverting_flow(job, &record)) else {
        return outcome::finish(job, DeliveryState::Filtered, "its flow is no longer declared", Value::Null)
            .await;
    };
    let counterparts = job.shared.store.counterparts_of(record.id).await?;
    let mine = counterparts.iter().find(|c| c.connection == job.link.name && c.role != Role::Alias).cloned();
    if record.kind == Kind::Person
        && mine.is_none()
        && let Some(shares) = render::share(job.shared, job.link, record.id).await?
    {
        let rule = format!("guests share {} in {}", shares.external, job.link.name);
        let effects = vec![Effect::PutCounterpart(Box::new(shares))];
        return outcome::finish_with(job, DeliveryState::Filtered, &rule, Value::Null, effects).await;
    }
    let (action, shadow) = match prepare(&job.delivery, &record, mine.as_ref(), &flow) {
        Prepared::Run { action } => (action, false),
        Prepared::Shadow { action } => (action, true),
        Prepared::Supersede(why) => return outcome::nothing_left(job, &record, mine.as_ref(), &why).await,
        Prepared::Filter(rule) => {
            return outcome::finish(job, DeliveryState::Filtered, &rule, Value::Null).await;
        }
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
        return outcome::settle_with(job, &failed, Vec::new()).await;
    };
    let rendered =
        match render::render(job.shared, job.active, job.link, &job.delivery, &record, &operation.needs)
            .await?
        {
            Ok(rendered) => rendered,
            Err(Unrenderable::Nothing(why)) => {
                return outcome::finish(job, DeliveryState::Superseded, &why, Value::Null).await;
            }
            Err(Unrenderable::Mapping(message)) => {
                return outcome::review(job, ReviewReason::MappingFailed, &message, Vec::new()).await;
            }
            Err(Unrenderable::Reference(message)) => {
                return outcome::review(job, ReviewReason::Ambiguous, &message, Vec::new()).await;
            }
        };
    if !rendered.blocked.is_empty() {
        if !shadow {
            return outcome::block(job, &record, rendered).await;
        }
        let waits = outcome::awaited(job, &rendered.blocked).await?;
        let run = Run { job, record, flow, action, shadow, payload: rendered.payload, mine, wrote: false };
        return outcome::shadowed(
            &run,
            &format!("it would first wait for {waits} to exist in {}", job.link.name),
        )
        .await;
    }
    let payload = rendered.payload.clone();
    let mut run = Run { job, record, flow, action, shadow, payload, mine, wrote: false };
    steps(&mut run, &operation, rendered).await
}

/// A delivery that reverts a foreign edit goes along a flow by name; when that flow was renamed meanwhile, any flow of
/// the kind to the same target will do.
fn reverting_flow(job: &Job<'_>, record: &Record) -> Option<Flow> {
    job.active.rules.flows.iter().find(|f| f.kind == record.kind && f.to == job.link.name).cloned()
}

/// A delivery that runs: what it is about, and what it has come to so far.
pub struct Run<'a> {
    /// The delivery.
    pub job: &'a Job<'a>,
    /// Its record, as it is now.
    pub record: Record,
    /// The flow it goes along.
    pub flow: Flow,
    /// What it does there.
    pub action: Action,
    /// Nothing is written.
    pub shadow: bool,
    /// What is delivered, in canonical form.
    pub payload: Value,
    /// The record's counterpart there.
    pub mine: Option<Counterpart>,
    /// Something was written in this run; otherwise everything was found done.
    pub wrote: bool,
}

async fn steps(run: &mut Run<'_>, operation: &OperationInfo, rendered: Rendered) -> Result<Next, StoreError> {
    let job = run.job;
    let specs: Vec<StepSpec> = operation.steps.iter().map(spec_of).collect();
    match next_step(&specs, &job.delivery, job.shared.now()) {
        StepPlan::Go => {}
        StepPlan::VerifyAt(at) => {
            let message = "an answer is missing: what was done is read when it must be visible";
            return outcome::put_state(job, DeliveryState::Unknown, Some(at), message, Vec::new()).await;
        }
        StepPlan::Review(reason) => {
            let message = format!(
                "it may or may not have been done in {}, and there is no way to find out by machine: look there, then retry or discard",
                job.link.name
            );
            return outcome::review(job, reason, &message, Vec::new()).await;
        }
    }
    let connection = &job.link.connection;
    let (kind, action) = (run.record.kind, run.action);
    let mut context = rendered.context;
    context["action"] = json!(action);
    let mut done = Map::new();
    // What is not known yet about an earlier request; the newest writing step's takes its place.
    let mut intent = job.delivery.intent.clone();
    if !rendered.effects.is_empty() && !run.shadow {
        outcome::commit(job, rendered.effects).await?;
    }
    for (step, spec) in operation.steps.iter().zip(&specs) {
        context["steps"] = Value::Object(done.clone());
        let before = intent.clone();
        if step.writes {
            match wants_to_write(job, kind, action, step, &context) {
                Ok(true) if run.shadow => {
                    let would = format!("step `{}` would have written it", step.name);
                    return outcome::shadowed(run, &would).await;
                }
                Ok(true) => {}
                Ok(false) => {
                    done.insert(step.name.clone(), Value::Null);
                    continue;
                }
                Err(error) => return outcome::mapping_failed(job, &error).await,
            }
            let sent_at = job.shared.now();
            let key = render::idempotency_key(&job.delivery);
            intent = Some(Intent { step: step.name.clone(), sent_at, key });
            let effect = Effect::SetIntent { delivery: job.delivery.id, intent: intent.clone() };
            outcome::commit(job, vec![effect]).await?;
            crate::crash::point("intent-written");
        }
        let began = job.shared.now();
        let result = connection.run_step(kind, action, &step.name, &context).await;
        if step.writes {
            crash_after(&result);
        }
        match &result.result {
            Ok(StepDone::Skipped) => drop(done.insert(step.name.clone(), Value::Null)),
            Ok(StepDone::Response(response)) => {
                note_success(job.shared, job.link).await?;
                done.insert(step.name.clone(), response.clone());
                if step.writes {
                    // The intent stays until the confirmation: a crash now must not make the next run trust a search
                    // that lags.
                    run.wrote = true;
                    let attempt = outcome::attempt(job, &step.name, began, &result, None, "done".into());
                    outcome::commit(job, vec![Effect::AddAttempt(Box::new(attempt))]).await?;
                    crate::crash::point("step-recorded");
                }
            }
            Err(failure) => {
                return outcome::failed(job, spec, before.as_ref(), began, &result, failure).await;
            }
        }
    }
    context["steps"] = Value::Object(done);
    match connection.result(kind, action, &context) {
        Ok(result) => outcome::conclude(run, result).await,
        Err(error) => outcome::mapping_failed(job, &error).await,
    }
}

/// Whether a writing step has something to write: it is not done, by what was read, and its mapping gives a request.
fn wants_to_write(
    job: &Job<'_>,
    kind: Kind,
    action: Action,
    step: &StepInfo,
    context: &Value,
) -> Result<bool, Box<counterpart_connect::ReadError>> {
    let connection = &job.link.connection;
    Ok(!connection.step_done(kind, action, &step.name, context)?
        && connection.render(kind, action, &step.name, context)?.is_some())
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
