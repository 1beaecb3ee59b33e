//! The delivery decisions: may it run, may a step be sent, what does an attempt's outcome mean.
//!
//! Never: reads a clock; takes an unknown outcome for a failure or for a success.

use std::fmt;

use counterpart_model::delivery::{
    Action, Delivery, DeliveryState, FailureClass, Intent, Lane, NewDelivery, NewReview, ReviewReason,
    ReviewSubject,
};
use counterpart_model::effect::Effect;
use counterpart_model::ids::ExternalId;
use counterpart_model::kind::{DeliveryStyle, Kind};
use counterpart_model::record::{Counterpart, Record, Role, SourceVersion};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::apply::deep_overlay;
use crate::merge::same;
use crate::orders::{OrderDecision, order_action};
use crate::rules::{Flow, FlowState};

/// Waits after the first, second, ... failure; then a person.
pub const RETRIES: [SignedDuration; 4] = [
    SignedDuration::from_secs(30),
    SignedDuration::from_secs(120),
    SignedDuration::from_secs(480),
    SignedDuration::from_secs(1800),
];

/// Wait after being told to slow down without being told for how long.
const THROTTLED: SignedDuration = SignedDuration::from_secs(5);

/// Wait after refused credentials; the connection is paused anyway.
const UNAUTHORISED: SignedDuration = SignedDuration::from_secs(60);

/// What becomes of a delivery that was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// It runs.
    Run {
        /// As what; an order's action is decided anew from how things are now.
        action: Action,
    },
    /// Everything but the writes is done.
    Shadow {
        /// As what.
        action: Action,
    },
    /// Nothing is left to do, and why. What an order holds of stock is part of the owner's figures then, as far as the
    /// counterpart's `written` covers it (see [`crate::stock::confirmed`]).
    Supersede(String),
    /// A rule says no; which.
    Filter(String),
}

/// Decides whether a claimed delivery runs. `counterpart` is the record's in the delivery's target.
pub fn prepare(
    delivery: &Delivery,
    record: &Record,
    counterpart: Option<&Counterpart>,
    flow: &Flow,
) -> Prepared {
    if let Some(rule) = flow.holds_back(record) {
        return Prepared::Filter(rule);
    }
    let run = |action| match flow.state {
        FlowState::Shadow => Prepared::Shadow { action },
        _ => Prepared::Run { action },
    };
    let asked = delivery.spec.action;
    if asked == Action::Refuse {
        return run(asked);
    }
    match record.kind.style() {
        // A try that may have made it there is found out first; what the order has become since then is the next
        // delivery's part.
        DeliveryStyle::Order if delivery.intent.is_some() && counterpart.is_none() => run(Action::Upsert),
        DeliveryStyle::Order => match order_action(record, counterpart, &[delivery], flow) {
            // It agrees with what was confirmed, but a try that was not confirmed may have changed it since.
            OrderDecision::Nothing(_) if delivery.intent.is_some() => run(settled_by(record)),
            OrderDecision::Nothing(why) => Prepared::Supersede(why),
            OrderDecision::Deliver(action) => run(action),
        },
        DeliveryStyle::Event => {
            let written = counterpart.and_then(|c| c.written.as_ref());
            match (&delivery.spec.payload, written) {
                (Some(payload), Some(written)) if same(payload, written) => {
                    Prepared::Supersede("there already".into())
                }
                _ => run(asked),
            }
        }
        DeliveryStyle::State => run(asked),
    }
}

/// The operation that makes a thing agree with its order, whatever an earlier try has made of it.
fn settled_by(record: &Record) -> Action {
    let cancelled = record.payload["lifecycle"]["commercial"] == "cancelled";
    if cancelled { Action::Cancel } else { Action::Amend }
}

/// How a writing step is safe to repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotency {
    /// The target keeps the key of a request and does it once.
    Key,
    /// Writing the same twice is the same.
    Upsert,
    /// What was written is found at once.
    StrongLookup,
    /// What was written is found after so many seconds: search lags.
    LaggedLookup(u64),
    /// There is no way to tell.
    None,
}

/// A step, as far as deciding needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepSpec {
    /// Name.
    pub name: String,
    /// It changes something there.
    pub writes: bool,
    /// How it is safe to repeat.
    pub idempotency: Idempotency,
    /// Time-out of its request, in seconds.
    pub timeout_s: u64,
}

/// Whether the steps may run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepPlan {
    /// They may.
    Go,
    /// What an earlier try did can be seen from then on.
    VerifyAt(Timestamp),
    /// What an earlier try did cannot be found out.
    Review(ReviewReason),
}

/// Decides from the intent that an earlier try left behind. An intent stays until the delivery is confirmed or the next
/// writing step's intent takes its place; it is taken back only when its request is known to have done nothing.
pub fn next_step(steps: &[StepSpec], delivery: &Delivery, now: Timestamp) -> StepPlan {
    let Some(intent) = &delivery.intent else { return StepPlan::Go };
    let Some(last) = steps.iter().position(|step| step.name == intent.step) else {
        return StepPlan::Review(ReviewReason::UnknownOutcome);
    };
    // Steps before it were done by the same try; what they made must be seen as well, or they are done once more.
    let mut wait = None;
    for step in steps[..=last].iter().filter(|step| step.writes) {
        // A request may be on its way until its time-out; only then does a look-up that finds nothing mean nothing.
        let seconds = match step.idempotency {
            Idempotency::Key | Idempotency::Upsert => continue,
            Idempotency::StrongLookup => step.timeout_s,
            Idempotency::LaggedLookup(lag) => step.timeout_s.saturating_add(lag),
            Idempotency::None => return StepPlan::Review(ReviewReason::UnknownOutcome),
        };
        wait = wait.max(Some(seconds));
    }
    let Some(wait) = wait else { return StepPlan::Go };
    let wait = SignedDuration::from_secs(i64::try_from(wait).unwrap_or(i64::MAX));
    let visible = intent.sent_at.checked_add(wait).unwrap_or(Timestamp::MAX);
    // A clock set back must not make it wait for longer than it would have from now.
    let latest = now.checked_add(wait).unwrap_or(Timestamp::MAX);
    if visible <= now { StepPlan::Go } else { StepPlan::VerifyAt(visible.min(latest)) }
}

/// What a failure of a step means. A request that was sent to make something may have made it, whatever came back: a
/// gateway that gives up waiting answers 502 or 504 as well.
pub fn class_of(step: &StepSpec, class: FailureClass, sent: bool) -> FailureClass {
    let repeatable = matches!(step.idempotency, Idempotency::Key | Idempotency::Upsert);
    match class {
        FailureClass::Unknown if !step.writes => FailureClass::Transient,
        FailureClass::Transient if step.writes && sent && !repeatable => FailureClass::Unknown,
        class => class,
    }
}

/// What becomes of the intent of a step that failed; `None` when it stays as it is written.
///
/// It stays where the step may have done its work all the same, even where repeating it is harmless: what stands there is
/// not known then. Otherwise `before` takes its place again: the intent that an earlier step or an earlier run had left,
/// whose outcome is as little known as before.
pub fn intent_after(
    delivery: &Delivery,
    before: Option<&Intent>,
    step: &StepSpec,
    class: FailureClass,
    sent: bool,
) -> Option<Effect> {
    let may_be_done = sent && matches!(class, FailureClass::Transient | FailureClass::Unknown);
    let back = step.writes && !may_be_done;
    back.then(|| Effect::SetIntent { delivery: delivery.id, intent: before.cloned() })
}

/// How a try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What kind of failure.
    pub class: FailureClass,
    /// Words for a person.
    pub message: String,
    /// How long the target asked to be left alone.
    pub retry_after: Option<SignedDuration>,
    /// The field at fault.
    pub field: Option<String>,
    /// The target was reached. Where it was not, the connection is down and the delivery is not to blame.
    pub reached: bool,
}

/// What a failed try means for its delivery. `jitter` is a random number from 0 up to 1.
pub fn settle(delivery: &Delivery, failed: &Failed, jitter: f64, now: Timestamp) -> Vec<Effect> {
    let counted = delivery.failures.saturating_add(1);
    let scheduled = usize::try_from(delivery.failures).ok().and_then(|n| RETRIES.get(n)).copied();
    let at = |wait: SignedDuration| now.checked_add(wait).unwrap_or(Timestamp::MAX);
    let wait_or = |default: SignedDuration| failed.retry_after.unwrap_or_else(|| spread(default, jitter));
    match failed.class {
        FailureClass::Throttled => {
            vec![set(delivery, DeliveryState::Ready, Some(at(wait_or(THROTTLED))), delivery.failures, failed)]
        }
        FailureClass::Unauthorised => {
            vec![set(
                delivery,
                DeliveryState::Ready,
                Some(at(wait_or(UNAUTHORISED))),
                delivery.failures,
                failed,
            )]
        }
        FailureClass::Transient if !failed.reached => {
            vec![set(
                delivery,
                DeliveryState::Ready,
                Some(at(wait_or(RETRIES[0]))),
                delivery.failures,
                failed,
            )]
        }
        FailureClass::Transient => match scheduled {
            Some(wait) => vec![set(delivery, DeliveryState::Ready, Some(at(wait_or(wait))), counted, failed)],
            None => review(delivery, ReviewReason::RetriesExhausted, counted, failed),
        },
        FailureClass::Unknown => match scheduled {
            // The first look comes soon: whether it may be trusted yet is for the intent to say.
            Some(_) if delivery.failures == 0 => {
                vec![set(
                    delivery,
                    DeliveryState::Unknown,
                    Some(at(SignedDuration::from_secs(1))),
                    counted,
                    failed,
                )]
            }
            Some(wait) => {
                vec![set(delivery, DeliveryState::Unknown, Some(at(wait_or(wait))), counted, failed)]
            }
            None => review(delivery, ReviewReason::UnknownOutcome, counted, failed),
        },
        FailureClass::Rejected => review(delivery, ReviewReason::Rejected, counted, failed),
    }
}

/// Within a fifth around the wait, so that a thousand retries do not come at once.
fn spread(wait: SignedDuration, jitter: f64) -> SignedDuration {
    let factor = 0.8 + 0.4 * jitter.clamp(0.0, 1.0);
    SignedDuration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(wait)
}

fn set(
    delivery: &Delivery,
    state: DeliveryState,
    next_at: Option<Timestamp>,
    failures: u32,
    failed: &Failed,
) -> Effect {
    Effect::SetDelivery {
        delivery: delivery.id,
        state,
        next_at,
        failures,
        progress: delivery.progress.clone(),
        message: Some(failed.message.clone()),
        waits_for: Vec::new(),
    }
}

fn review(delivery: &Delivery, reason: ReviewReason, failures: u32, failed: &Failed) -> Vec<Effect> {
    let spec = &delivery.spec;
    let todo = match reason {
        ReviewReason::RetriesExhausted => {
            "it failed again and again; put right what is in its way, then retry"
        }
        ReviewReason::UnknownOutcome => {
            "whether it was done could not be found out; look there, then retry or discard"
        }
        _ => "put right what it objects to, then retry",
    };
    let item = NewReview {
        subject: ReviewSubject::Delivery(delivery.id),
        reason,
        message: format!("{}: {}; {todo}", spec.lane.connection, failed.message),
        detail: json!({ "flow": spec.flow, "field": failed.field, "version": spec.version }),
        connection: Some(spec.lane.connection.clone()),
        record: Some(spec.record),
    };
    vec![set(delivery, DeliveryState::InReview, None, failures, failed), Effect::OpenReview(Box::new(item))]
}

/// What the target's answer said of the thing there.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirmed {
    /// Its identity.
    pub external: ExternalId,
    /// The part it plays.
    pub role: Role,
    /// Its human number.
    pub number: Option<String>,
    /// Ids of parts inside it.
    pub links: Value,
    /// How it is there now, in canonical form; where the answer does not say, as it was written.
    pub observed: Option<Value>,
    /// No further change is expected there.
    pub settled: bool,
}

/// The delivery is confirmed: counterpart and state in one transaction. `payload` is what was written.
///
/// Where an earlier try was found to have done it and the order has changed since, what stands there is the order as it
/// was: nothing is claimed to be written then, and another delivery amends or cancels it.
pub fn confirm(
    delivery: &Delivery,
    record: &Record,
    payload: &Value,
    old: Option<&Counterpart>,
    new: Confirmed,
    now: Timestamp,
) -> Vec<Effect> {
    conclude(delivery, record, payload, old, new, found_older(delivery, record), now)
}

/// As [`confirm`], when every writing step found its work done: nothing was written in this run.
pub fn confirm_found(
    delivery: &Delivery,
    record: &Record,
    payload: &Value,
    old: Option<&Counterpart>,
    new: Confirmed,
    now: Timestamp,
) -> Vec<Effect> {
    let older = record.kind == Kind::Order && record.version != delivery.spec.version;
    conclude(delivery, record, payload, old, new, older, now)
}

fn conclude(
    delivery: &Delivery,
    record: &Record,
    payload: &Value,
    old: Option<&Counterpart>,
    new: Confirmed,
    older: bool,
    now: Timestamp,
) -> Vec<Effect> {
    let old = old.filter(|c| c.external == new.external);
    let mut links = old.map_or_else(|| json!({}), |c| c.links.clone());
    deep_overlay(&mut links, &new.links);
    let spec = &delivery.spec;
    let older = older && spec.action != Action::Refuse;
    let (observed, written, written_version) = if spec.action == Action::Refuse {
        // A word to the source about what it asked for: the thing there is as it was.
        let old = old.cloned();
        old.map_or((None, None, None), |c| (c.observed, c.written, c.written_version))
    } else if older {
        (old.and_then(|c| c.observed.clone()), Some(json!({})), Some(spec.version))
    } else {
        (Some(payload.clone()), Some(payload.clone()), Some(record.version))
    };
    // Reads that began before this moment may have seen how it was before; an equal fingerprint says nothing any more.
    let known = old.and_then(|c| c.observed_version.as_ref());
    let seen = SourceVersion {
        at: known.and_then(|v| v.at),
        sequence: known.and_then(|v| v.sequence),
        read_began: now,
        fingerprint: String::new(),
    };
    // Neither goes back, so that a store can tell that two writers met.
    let written_version = written_version.max(old.and_then(|c| c.written_version));
    let read_began = known.map_or(now, |v| v.read_began.max(now));
    let seen = SourceVersion { read_began, ..seen };
    let counterpart = Counterpart {
        record: record.id,
        kind: record.kind,
        connection: delivery.spec.lane.connection.clone(),
        external: new.external,
        role: new.role,
        number: new.number.or_else(|| old.and_then(|c| c.number.clone())),
        links,
        observed: new.observed.or(observed),
        observed_version: Some(seen),
        written,
        written_version,
        settled: new.settled,
        updated_at: now,
    };
    let mut effects = vec![
        Effect::PutCounterpart(Box::new(counterpart)),
        Effect::SetDelivery {
            delivery: delivery.id,
            state: DeliveryState::Delivered,
            next_at: None,
            failures: delivery.failures,
            progress: Value::Null,
            message: None,
            waits_for: Vec::new(),
        },
    ];
    if older {
        // What changed meanwhile need not have asked for a delivery of its own; one too many finds nothing to do.
        let again = NewDelivery {
            version: record.version,
            action: Action::Amend,
            next_at: now,
            reason: Some("an earlier try had made it; now it is brought up to date".into()),
            ..spec.clone()
        };
        effects.push(Effect::AddDelivery { delivery: Box::new(again), supersedes: Vec::new() });
    }
    effects
}

/// Whether what stands in the target may be the order as it was before: made by an earlier try whose outcome was not
/// known, while the order changed. Its totals are not comparable then, and the next delivery brings it up to date.
pub fn found_older(delivery: &Delivery, record: &Record) -> bool {
    record.kind == Kind::Order && delivery.intent.is_some() && record.version != delivery.spec.version
}

/// Takes back a delivery's intent without its outcome being known (a refusal, or a person's decision): nothing is claimed
/// to be written in the target from then on, so that the next state is compared with nothing and written.
pub fn unsettled(delivery: &Delivery, counterparts: &[Counterpart], now: Timestamp) -> Vec<Effect> {
    let mut effects = vec![Effect::SetIntent { delivery: delivery.id, intent: None }];
    if delivery.intent.is_some() {
        let target = &delivery.spec.lane.connection;
        let there = counterparts.iter().filter(|c| c.connection == *target && c.written.is_some());
        let unsure = |c: &Counterpart| Counterpart { written: Some(json!({})), updated_at: now, ..c.clone() };
        effects.extend(there.map(|c| Effect::PutCounterpart(Box::new(unsure(c)))));
    }
    effects
}

/// The target understood and will not do it (a cancellation of what is shipped): a person is told, and so are the
/// systems that asked.
pub fn refuse(
    delivery: &Delivery,
    record: &Record,
    counterparts: &[Counterpart],
    flow: &Flow,
    reason: &str,
    now: Timestamp,
) -> Vec<Effect> {
    let target = &delivery.spec.lane.connection;
    let what = match delivery.spec.action {
        Action::Cancel => "the cancellation",
        Action::Amend => "the change",
        _ => "it",
    };
    let message = format!("{target} refuses {what}: {reason}");
    let failed = Failed {
        class: FailureClass::Rejected,
        message: message.clone(),
        retry_after: None,
        field: None,
        reached: true,
    };
    let mut effects = review(delivery, ReviewReason::Refused, delivery.failures, &failed);
    effects.extend(unsettled(delivery, counterparts, now));
    if record.kind == Kind::Order {
        for asked in counterparts.iter().filter(|c| {
            c.connection != *target && c.role == Role::Primary && flow.from.contains(&c.connection)
        }) {
            let spec = NewDelivery {
                flow: flow.name.clone(),
                lane: Lane { connection: asked.connection.clone(), root: record.id },
                record: record.id,
                kind: record.kind,
                version: record.version,
                action: Action::Refuse,
                freshness: flow.freshness,
                next_at: now,
                payload: None,
                origin_at: now,
                reason: Some(message.clone()),
            };
            effects.push(Effect::AddDelivery { delivery: Box::new(spec), supersedes: Vec::new() });
        }
    }
    effects
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.class.as_str())
    }
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
