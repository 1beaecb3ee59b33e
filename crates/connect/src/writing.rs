//! Runs the steps of an operation, one at a time, each with what came before as its context.
//!
//! Never: repeats a writing request by itself; decides what a failure means for the delivery.

use std::time::{Duration, Instant};

use counterpart_mapping::program::RunError;
use counterpart_model::delivery::{Action, FailureClass};
use counterpart_model::ids::ExternalId;
use counterpart_model::kind::Kind;
use counterpart_model::record::Role;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::budget::Purpose;
use crate::connection::{
    CallError, Connection, Failure, OperationInfo, OperationResult, StepDone, StepInfo, StepOutcome,
    missing_reference,
};
use crate::error::ReadError;
use crate::manifest::{Idempotent, Operation, OperationName, RequestKind, Step};

impl Connection {
    /// What an operation consists of; `None` when the connector has none for that kind and action.
    pub fn operation(&self, kind: Kind, action: Action) -> Option<OperationInfo> {
        let operation = self.find(kind, action)?;
        let steps = operation
            .steps
            .iter()
            .map(|step| StepInfo {
                name: step.name.clone(),
                writes: step.writes,
                idempotency: step.idempotent.unwrap_or(Idempotent::None),
                timeout: self.timeout(step),
            })
            .collect();
        let batch = operation.batch.as_ref().map(|b| b.max.max(1));
        Some(OperationInfo { needs: operation.needs.clone(), steps, batch })
    }

    fn find(&self, kind: Kind, action: Action) -> Option<&Operation> {
        self.inner.connector.manifest.operations.get(&OperationName::new(kind, action))
    }

    fn timeout(&self, step: &Step) -> Duration {
        step.timeout_s.map_or(self.inner.timeout, Duration::from_secs)
    }

    fn step(&self, kind: Kind, action: Action, name: &str) -> Result<&Step, ReadError> {
        let step = self.find(kind, action).and_then(|o| o.steps.iter().find(|s| s.name == name));
        step.ok_or_else(|| ReadError::NoSuch(format!("step `{name}` of {kind}.{}", action.as_str())))
    }

    /// What the step wants is there already, by what was read.
    ///
    /// # Errors
    /// When the program fails.
    pub fn step_done(
        &self,
        kind: Kind,
        action: Action,
        step: &str,
        context: &Value,
    ) -> Result<bool, ReadError> {
        let step = self.step(kind, action, step)?;
        self.says_yes(step.done_when.as_ref(), context)
    }

    fn says_yes(&self, code: Option<&crate::manifest::Code>, context: &Value) -> Result<bool, ReadError> {
        let Some(code) = code else { return Ok(false) };
        let meta = self.inner.meta(self.inner.clock.now(), None);
        Ok(self.inner.run(code, context, &meta)? == Value::Bool(true))
    }

    /// The request that a step would send, as data; `None` when it would send none.
    ///
    /// # Errors
    /// When the mapping fails on it or says that it cannot be sent.
    pub fn render(
        &self,
        kind: Kind,
        action: Action,
        step: &str,
        context: &Value,
    ) -> Result<Option<Value>, ReadError> {
        let step = self.step(kind, action, step)?;
        if self.says_yes(step.skip_when.as_ref(), context)? {
            return Ok(None);
        }
        let meta = self.inner.meta(self.inner.clock.now(), None);
        let request = self.inner.run(&step.request, context, &meta)?;
        Ok((!request.is_null()).then_some(request))
    }

    /// Runs one step: request, answer, what is kept of it.
    pub async fn run_step(&self, kind: Kind, action: Action, step: &str, context: &Value) -> StepOutcome {
        let began = Instant::now();
        let mut outcome =
            StepOutcome { request: None, status: None, millis: 0, result: Ok(StepDone::Skipped) };
        let rendered = match self.render(kind, action, step, context) {
            Ok(None) => return outcome,
            Ok(Some(request)) => request,
            Err(error) => {
                outcome.result = Err(unrendered(&error));
                return outcome;
            }
        };
        if let Some(refusal) = refusal(&rendered) {
            outcome.result = Err(refusal);
            return outcome;
        }
        outcome.request = Some(rendered.clone());
        let step = match self.step(kind, action, step) {
            Ok(step) => step,
            Err(error) => {
                outcome.result = Err(unrendered(&error));
                return outcome;
            }
        };
        let direction = if step.writes { RequestKind::Write } else { RequestKind::Read };
        let called = self.inner.call(&rendered, direction, Purpose::Delivery, self.timeout(step)).await;
        outcome.millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match called {
            Err((error, field)) => {
                outcome.status = error.status;
                outcome.result = Err(Failure { field, ..error.into() });
            }
            Ok(answer) => {
                outcome.status = Some(answer.status);
                let kept = match &step.response {
                    None => Ok(answer.body.clone()),
                    Some(code) => {
                        let meta = self.inner.meta(self.inner.clock.now(), None);
                        self.inner.run(code, &answer.input(context), &meta)
                    }
                };
                outcome.result = match kept {
                    Ok(kept) => Ok(StepDone::Response(kept)),
                    // It was done: only what came back cannot be read.
                    Err(error) => Err(after_the_fact(&error, step.writes)),
                };
            }
        }
        outcome
    }

    /// What the operation came to, from the context with all its steps.
    ///
    /// # Errors
    /// When the program fails or gives what is no result.
    pub fn result(&self, kind: Kind, action: Action, context: &Value) -> Result<OperationResult, ReadError> {
        let operation = self.find(kind, action);
        let name = format!("{kind}.{}", action.as_str());
        let operation = operation.ok_or_else(|| ReadError::NoSuch(format!("operation {name}")))?;
        let meta = self.inner.meta(self.inner.clock.now(), None);
        let value = self.inner.run(&operation.result, context, &meta)?;
        let invalid = |path: &str, message: String, expected: &str| ReadError::Invalid {
            file: operation.result.file().unwrap_or(&name).to_owned(),
            problems: vec![counterpart_model::check::Problem {
                path: path.into(),
                message,
                expected: expected.into(),
            }],
        };
        let raw = serde_json::from_value::<RawResult>(value).map_err(|error| {
            let keys = "{external, number, links, observed, settled, role, totals, refused}";
            invalid("result", error.to_string(), keys)
        })?;
        // `to_string` of nothing is an empty text, and that is nobody's identity.
        if raw.external.as_ref().is_some_and(|e| e.id.is_empty() || e.remote_type.is_empty()) {
            return Err(invalid(
                "result.external",
                "has an empty type or id".into(),
                "both, or no `external`",
            ));
        }
        Ok(OperationResult {
            external: raw.external,
            number: raw.number,
            links: raw.links.unwrap_or_else(|| json!({})),
            observed: raw.observed,
            settled: raw.settled.unwrap_or_default(),
            role: raw.role,
            totals: raw.totals,
            refused: raw.refused.map(|r| r.reason),
        })
    }

    /// Runs a batch: one request for many rows, one outcome for each row.
    ///
    /// A row that the answer does not mention is unknown; a call that fails is the failure of every row.
    pub async fn run_batch(
        &self,
        kind: Kind,
        action: Action,
        contexts: &[Value],
    ) -> Vec<Result<Value, Box<Failure>>> {
        let all =
            |failure: Failure| contexts.iter().map(|_| Err(Box::new(failure.clone()))).collect::<Vec<_>>();
        let Some(batch) = self.find(kind, action).and_then(|o| o.batch.as_ref()) else {
            return all(unrendered(&ReadError::NoSuch(format!("batch of {kind}.{}", action.as_str()))));
        };
        let meta = self.inner.meta(self.inner.clock.now(), None);
        let rows = json!({ "rows": contexts });
        let request = match self.inner.run(&batch.request, &rows, &meta) {
            Ok(request) => request,
            Err(error) => return all(unrendered(&error.into())),
        };
        if let Some(failure) = refusal(&request) {
            return all(failure);
        }
        let called =
            self.inner.call(&request, RequestKind::Write, Purpose::Delivery, self.inner.timeout).await;
        let answer = match called {
            Ok(answer) => answer,
            Err((error, field)) => return all(Failure { field, ..error.into() }),
        };
        let outcomes = match self.inner.run(&batch.rows, &answer.input(&rows), &meta) {
            Ok(outcomes) => outcomes.as_array().cloned().unwrap_or_default(),
            Err(error) => return all(after_the_fact(&error, true)),
        };
        (0..contexts.len()).map(|index| row_outcome(outcomes.get(index))).collect()
    }
}

fn row_outcome(row: Option<&Value>) -> Result<Value, Box<Failure>> {
    let failure = |class, message: String| Failure {
        class,
        message,
        field: None,
        retry_after: None,
        sent: true,
        missing_reference: None,
    };
    let Some(row) = row else {
        let message = "the answer says nothing about this row".to_owned();
        return Err(Box::new(failure(FailureClass::Unknown, message)));
    };
    if let Some(error) = row.get("error").filter(|e| !e.is_null()) {
        let class = match error["class"].as_str() {
            Some("transient") => FailureClass::Transient,
            Some("throttled") => FailureClass::Throttled,
            Some("unauthorised") => FailureClass::Unauthorised,
            Some("unknown") => FailureClass::Unknown,
            _ => FailureClass::Rejected,
        };
        let message = error["message"].as_str().or_else(|| error["code"].as_str()).unwrap_or("refused");
        let field = error["field"].as_str().map(str::to_owned);
        return Err(Box::new(Failure { field, ..failure(class, message.to_owned()) }));
    }
    Ok(row.get("ok").cloned().unwrap_or_default())
}

/// What a program may give in place of a request.
fn refusal(request: &Value) -> Option<Failure> {
    let stop = |message: String, field: Option<String>, missing_reference| Failure {
        class: FailureClass::Rejected,
        message,
        field,
        retry_after: None,
        sent: false,
        missing_reference,
    };
    if let Some(reject) = request.get("reject") {
        let message = reject["message"].as_str().unwrap_or("the mapping refuses it").to_owned();
        return Some(stop(message, reject["field"].as_str().map(str::to_owned), None));
    }
    let missing = request.get("missing_reference")?;
    let text = |name: &str| missing[name].as_str().unwrap_or_default().to_owned();
    let (map, code) = (text("map"), text("code"));
    let message = format!("the reference map `{map}` has no entry for `{code}`");
    Some(stop(message, None, Some((map, code))))
}

fn unrendered(error: &ReadError) -> Failure {
    let missing_reference = match error {
        ReadError::MissingReference { map, code } => Some((map.clone(), code.clone())),
        _ => None,
    };
    Failure {
        class: FailureClass::Rejected,
        message: error.to_string(),
        field: None,
        retry_after: None,
        sent: false,
        missing_reference,
    }
}

fn after_the_fact(error: &RunError, writes: bool) -> Failure {
    Failure {
        class: if writes { FailureClass::Unknown } else { FailureClass::Rejected },
        message: format!("the answer cannot be read: {error}"),
        field: None,
        retry_after: None,
        sent: true,
        missing_reference: missing_reference(error),
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self {
            class: error.class,
            message: error.message,
            field: None,
            retry_after: error.retry_after,
            sent: error.sent,
            missing_reference: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawResult {
    external: Option<ExternalId>,
    number: Option<String>,
    links: Option<Value>,
    observed: Option<Value>,
    settled: Option<bool>,
    role: Option<Role>,
    totals: Option<Value>,
    refused: Option<RawRefusal>,
}

#[derive(Deserialize)]
struct RawRefusal {
    reason: String,
}
