//! One configured system: everything that is asked of it or sent to it goes through here.
//!
//! Never: writes to our database; decides what is delivered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use counterpart_mapping::program::{RunError, RunErrorKind};
use counterpart_model::clock::Clock;
use counterpart_model::delivery::{Action, FailureClass};
use counterpart_model::ids::{ConnectionName, ExternalId};
use counterpart_model::kind::Kind;
use counterpart_model::record::Role;
use counterpart_model::redact::Redacted;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use url::Url;

use crate::auth::{self, LoggedIn, Session};
use crate::budget::{Budget, Reading};
use crate::catalog::Connector;
use crate::classify::{Fault, classify};
use crate::driver::{self, Answer};
use crate::http::{Http, NoAnswer};
use crate::manifest::{AuthScheme, Code, Driver, ErrorClass, Idempotent, Limits, OperationName, RequestKind};
use crate::settings::{self, SpecProblem};
use crate::template;

pub use crate::budget::Purpose;
pub use crate::checking::{CheckLine, CheckState};
pub use crate::error::ReadError;
pub use crate::polling::{Name, Page};
pub use crate::reading::{Fetched, Hint, Item};
pub use crate::subscriptions::Subscribed;
pub use crate::webhook::{Verified, WebhookError};

/// What a connection is made of.
pub struct Spec {
    /// Its name.
    pub name: ConnectionName,
    /// What is known of its kind of system.
    pub connector: Arc<Connector>,
    /// Address.
    pub url: Url,
    /// Loopback, private addresses and plain HTTP are permitted.
    pub allow_private: bool,
    /// Settings.
    pub settings: Map<String, Value>,
    /// Secrets.
    pub secrets: BTreeMap<String, Redacted<String>>,
    /// Reference maps.
    pub maps: BTreeMap<String, BTreeMap<String, String>>,
    /// Time-out of one request, instead of the connector's.
    pub timeout: Option<Duration>,
    /// Address under which the system reaches the hub with its webhooks.
    pub webhook_url: Option<Url>,
}

/// A configured system. Cheap to clone.
#[derive(Clone)]
pub struct Connection {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub name: ConnectionName,
    pub connector: Arc<Connector>,
    pub settings: Value,
    pub secrets: BTreeMap<String, Redacted<String>>,
    pub maps: Value,
    pub clock: Arc<dyn Clock>,
    pub timeout: Duration,
    pub webhook_url: Option<Url>,
    http: Http,
    /// Where log-ins go, when that is another address.
    login_http: Option<Http>,
    endpoint: String,
    session: Session,
    budget: Budget,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// What kind of failure.
    pub class: FailureClass,
    /// Words for a person; no secret, no personal datum of ours.
    pub message: String,
    /// How long the system asks to be left alone.
    pub retry_after: Option<SignedDuration>,
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// It may have been received.
    pub sent: bool,
}

impl CallError {
    /// A call that was not made.
    pub fn not_sent(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), retry_after: None, status: None, sent: false }
    }
}

/// A failure of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub class: FailureClass,
    /// Words for a person.
    pub message: String,
    /// The field at fault.
    pub field: Option<String>,
    /// How long to wait.
    pub retry_after: Option<SignedDuration>,
    /// It may have been received.
    pub sent: bool,
    /// A reference map without an entry: map and code.
    pub missing_reference: Option<(String, String)>,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepDone {
    /// Nothing was to do.
    Skipped,
    /// What is kept of the answer.
    Response(Value),
}

/// A step that was run.
#[derive(Debug, Clone)]
pub struct StepOutcome {
    /// The request as data, without credentials; `None` when none was made.
    pub request: Option<Value>,
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// How long it took.
    pub millis: u64,
    /// What became of it.
    pub result: Result<StepDone, Failure>,
}

/// What an operation consists of.
#[derive(Debug, Clone)]
pub struct OperationInfo {
    /// References that must have a counterpart first: `lines[].item`.
    pub needs: Vec<String>,
    /// Its steps, in order.
    pub steps: Vec<StepInfo>,
    /// Most rows of one batch, when it can be batched.
    pub batch: Option<usize>,
}

/// One step.
#[derive(Debug, Clone)]
pub struct StepInfo {
    /// Name.
    pub name: String,
    /// It changes something there.
    pub writes: bool,
    /// How it is safe to repeat.
    pub idempotency: Idempotent,
    /// Time-out of its request.
    pub timeout: Duration,
}

/// What an operation came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OperationResult {
    /// The thing's identity there.
    pub external: Option<ExternalId>,
    /// Its human number.
    pub number: Option<String>,
    /// Ids of parts inside it.
    pub links: Value,
    /// How it is there now, in canonical form.
    pub observed: Option<Value>,
    /// No further change is expected there.
    pub settled: bool,
    /// The part it plays.
    pub role: Option<Role>,
    /// Totals as stated there.
    pub totals: Option<Value>,
    /// It understood and will not do it: why.
    pub refused: Option<String>,
}

/// A stream to poll.
#[derive(Debug, Clone)]
pub struct StreamInfo {
    /// Name.
    pub name: String,
    /// How often.
    pub interval: Duration,
    /// How often all of it.
    pub full_interval: Option<Duration>,
    /// The fetch that reads its items, when the stream only gives ids.
    pub fetch: Option<String>,
}

/// A watch over what is not settled.
#[derive(Debug, Clone)]
pub struct WatchInfo {
    /// Name.
    pub name: String,
    /// Remote types watched.
    pub types: Vec<String>,
    /// The fetch that reads them.
    pub fetch: String,
    /// How often.
    pub interval: Duration,
}

impl Connection {
    /// Puts a connection together.
    ///
    /// # Errors
    /// Everything that is wrong with its declaration.
    pub fn new(spec: Spec, clock: Arc<dyn Clock>) -> Result<Self, Vec<SpecProblem>> {
        let manifest = &spec.connector.manifest;
        let (filled, mut problems) = settings::resolve(manifest, &spec.settings, &spec.secrets, &spec.maps);
        let settings = Value::Object(filled);
        let http = match Http::new(&spec.url, spec.allow_private, manifest.connector.max_answer_bytes) {
            Ok(http) => Some(http),
            Err(message) => {
                problems.push(SpecProblem { path: "url".into(), message, help: None });
                None
            }
        };
        let login_http = match &manifest.auth.url {
            Some(template) => {
                let text = template::fill(template, &settings);
                let made = text.parse::<Url>().map_err(|_| format!("`{text}` is no address"));
                let max = manifest.connector.max_answer_bytes;
                match made.and_then(|url| Http::new(&url, spec.allow_private, max)) {
                    Ok(http) => Some(http),
                    Err(message) => {
                        let help = Some("the address for the log-in is made of settings".into());
                        problems.push(SpecProblem { path: "settings".into(), message, help });
                        None
                    }
                }
            }
            None => None,
        };
        let hooks = manifest.webhooks.as_ref();
        let signs_url = hooks.is_some_and(|h| {
            h.signature.signed.contains("{url}") && spec.secrets.contains_key(&h.signature.secret)
        });
        if signs_url && spec.webhook_url.is_none() {
            problems.push(SpecProblem {
                path: "secrets".into(),
                message: "the system signs the address that it calls, and that is not known".into(),
                help: Some("give `public_url` in [hub]".into()),
            });
        }
        let (Some(http), true) = (http, problems.is_empty()) else { return Err(problems) };
        let mut maps = json!(spec.maps);
        for name in manifest.reference_maps.keys() {
            // A map that is not filled in is an empty one, so that look-ups say which entry is missing.
            maps.as_object_mut().map(|m| m.entry(name.clone()).or_insert_with(|| json!({})));
        }
        let endpoint = template::fill(manifest.connector.endpoint.as_deref().unwrap_or_default(), &settings);
        let budget = Budget::new(&manifest.limits, Arc::clone(&clock));
        let timeout = spec.timeout.unwrap_or(Duration::from_secs(manifest.connector.timeout_s));
        let inner = Inner {
            name: spec.name,
            settings,
            secrets: spec.secrets,
            maps,
            clock,
            timeout,
            webhook_url: spec.webhook_url,
            http,
            login_http,
            endpoint: if endpoint.is_empty() || endpoint.starts_with('/') {
                endpoint
            } else {
                format!("/{endpoint}")
            },
            session: Session::default(),
            budget,
            connector: spec.connector,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether it shows how an order stands: then payments, shipments and returns of it are changes to be written too.
    pub fn follows_orders(&self) -> bool {
        let amend = OperationName::new(Kind::Order, Action::Amend);
        self.inner.connector.manifest.operations.get(&amend).is_some_and(|o| o.follows)
    }

    /// How many requests it takes at a time.
    pub fn concurrency(&self) -> usize {
        self.inner.connector.manifest.limits.concurrency.max(1)
    }

    /// What answers have said of the budget last.
    pub fn reading(&self) -> Option<Reading> {
        self.inner.budget.reading()
    }

    /// Hash of its connector's folder.
    pub fn connector_hash(&self) -> &str {
        &self.inner.connector.hash
    }

    /// Streams to poll.
    pub fn streams(&self) -> Vec<StreamInfo> {
        let streams = self.inner.connector.manifest.streams.iter();
        streams
            .map(|(name, s)| StreamInfo {
                name: name.clone(),
                interval: Duration::from_secs(s.interval_s.max(1)),
                full_interval: s.full_interval_s.map(|s| Duration::from_secs(s.max(1))),
                fetch: s.fetch.clone(),
            })
            .collect()
    }

    /// Watches.
    pub fn watches(&self) -> Vec<WatchInfo> {
        let watches = self.inner.connector.manifest.watch.iter();
        watches
            .map(|(name, w)| WatchInfo {
                name: name.clone(),
                types: w.types.clone(),
                fetch: w.fetch.clone(),
                interval: Duration::from_secs(w.interval_s.max(1)),
            })
            .collect()
    }

    /// Its limits, as its connector declares them.
    pub fn limits(&self) -> &Limits {
        &self.inner.connector.manifest.limits
    }

    /// Whether it takes webhooks: its connector knows them and their secret is there.
    pub fn takes_webhooks(&self) -> bool {
        let hooks = self.inner.connector.manifest.webhooks.as_ref();
        hooks.is_some_and(|h| self.inner.secrets.contains_key(&h.signature.secret))
    }

    /// Most ids of one request of a fetch.
    pub fn page_of(&self, fetch: &str) -> usize {
        self.inner.connector.manifest.fetch.get(fetch).map_or(1, |f| f.max_ids)
    }

    /// How many requests a read by id of a kind takes, and for how many things at most: the fetch of that name.
    pub fn fetch_cost(&self, kind: Kind) -> Option<(usize, usize)> {
        let fetch = self.inner.connector.manifest.fetch.get(kind.as_str())?;
        Some((1 + fetch.then.len(), fetch.max_ids))
    }

    /// Name of the fetch that reads things of a remote type by id.
    pub fn fetch_for(&self, remote_type: &str) -> Option<String> {
        let fetches = &self.inner.connector.manifest.fetch;
        fetches.iter().find(|(_, f)| f.types.iter().any(|t| t == remote_type)).map(|(name, _)| name.clone())
    }
}

impl Inner {
    /// Metadata that every program sees as `%`.
    pub fn meta(&self, now: Timestamp, topic: Option<&str>) -> Value {
        json!({
            "settings": self.settings,
            "maps": self.maps,
            "connection": self.name,
            "now": now.to_string(),
            "topic": topic,
        })
    }

    /// Runs a program of the manifest.
    pub fn run(&self, code: &Code, input: &Value, meta: &Value) -> Result<Value, RunError> {
        self.connector.programs.run(code, input, meta)
    }

    /// Sends a request and gives the answer, if it is none of the failures.
    pub async fn call(
        &self,
        request: &Value,
        kind: RequestKind,
        purpose: Purpose,
        timeout: Duration,
    ) -> Result<Answer, (CallError, Option<String>)> {
        let manifest = &self.connector.manifest;
        let session = manifest.auth.scheme == AuthScheme::Session;
        let token = if session { Some(self.log_in(None).await.map_err(|e| (e, None))?) } else { None };
        let sent = match self.send(request, kind, purpose, timeout, token.as_ref()).await {
            Err((fault, status, true)) if session => {
                // One new log-in, one repetition: nothing was done with an expired session.
                let token = self.log_in(token.as_ref()).await.map_err(|e| (e, None))?;
                self.send(request, kind, purpose, timeout, Some(&token))
                    .await
                    .map_err(|(fault2, status2, _)| failed(fault2, status2.or(status), fault.message.clone()))
            }
            other => other.map_err(|(fault, status, _)| failed(fault, status, String::new())),
        };
        sent.map_err(|(mut error, field)| {
            // A reading request can be repeated, whatever became of it.
            if kind == RequestKind::Read && error.class == FailureClass::Unknown {
                error.class = FailureClass::Transient;
            }
            error.message = self.without_secrets(error.message, token.as_ref());
            (error, field)
        })
    }

    /// Some systems repeat in an error what they were sent.
    fn without_secrets(&self, message: String, token: Option<&Redacted<String>>) -> String {
        let secrets = self.secrets.values().chain(token).map(|s| s.reveal().as_str());
        secrets
            .filter(|secret| secret.len() > 3)
            .fold(message, |text, secret| text.replace(secret, "[redacted]"))
    }

    async fn log_in(&self, refused: Option<&Redacted<String>>) -> Result<Redacted<String>, CallError> {
        self.session.value(self.clock.now(), refused, || self.new_session()).await
    }

    async fn new_session(&self) -> Result<LoggedIn, CallError> {
        let auth = &self.connector.manifest.auth;
        let broken = |what: &str| {
            CallError::not_sent(
                FailureClass::Unauthorised,
                format!("the log-in {what}; see the connector's [auth]"),
            )
        };
        let (Some(login), Some(token)) = (&auth.login, &auth.token) else {
            return Err(broken("is not declared"));
        };
        let meta = self.meta(self.clock.now(), None);
        let revealed: BTreeMap<&String, &String> =
            self.secrets.iter().map(|(k, v)| (k, v.reveal())).collect();
        let input = json!({ "settings": self.settings, "secrets": revealed });
        // What a program says of its input may hold a secret: it is not passed on.
        let request = self.run(login, &input, &meta).map_err(|_| broken("program fails"))?;
        let answer = self
            .send_to(
                self.login_http.as_ref(),
                &request,
                RequestKind::Read,
                Purpose::Delivery,
                self.timeout,
                None,
            )
            .await
            .map_err(|(fault, status, _)| {
                let mut error = failed(fault, status, String::new()).0;
                error.message = self.without_secrets(format!("log-in: {}", error.message), None);
                error.class = match error.class {
                    FailureClass::Rejected => FailureClass::Unauthorised,
                    FailureClass::Unknown => FailureClass::Transient,
                    class => class,
                };
                // Whatever was asked for was not asked yet.
                CallError { sent: false, ..error }
            })?;
        let answer = answer.input(&input);
        let value = self.run(token, &answer, &meta).map_err(|_| broken("was not accepted"))?;
        let seconds = match &auth.lifetime {
            Some(code) => self.run(code, &answer, &meta).ok().and_then(|v| v.as_i64()),
            None => auth.lifetime_s.and_then(|s| i64::try_from(s).ok()),
        };
        let holds = seconds.map(|s| SignedDuration::from_secs(s.max(1)));
        match value.as_str().filter(|text| !text.is_empty()) {
            Some(text) => Ok(LoggedIn { value: Redacted::new(text.to_owned()), holds }),
            None => Err(CallError::not_sent(
                FailureClass::Unauthorised,
                "the log-in was not accepted: check login and password",
            )),
        }
    }

    async fn send(
        &self,
        request: &Value,
        kind: RequestKind,
        purpose: Purpose,
        timeout: Duration,
        token: Option<&Redacted<String>>,
    ) -> Result<Answer, (Fault, Option<u16>, bool)> {
        self.send_to(None, request, kind, purpose, timeout, token).await
    }

    /// One request, one answer. The flag says that the session has expired. `elsewhere` is another address than the
    /// connection's: nothing that belongs to the connection's requests goes there.
    async fn send_to(
        &self,
        elsewhere: Option<&Http>,
        request: &Value,
        kind: RequestKind,
        purpose: Purpose,
        timeout: Duration,
        token: Option<&Redacted<String>>,
    ) -> Result<Answer, (Fault, Option<u16>, bool)> {
        let manifest = &self.connector.manifest;
        let head = &manifest.connector;
        let wrong =
            |message: String, class| (Fault { class, message, field: None, retry_after: None }, None, false);
        let mut plain =
            driver::request(head.driver, &self.endpoint, &head.jsonrpc, &self.connector.files, request)
                .map_err(|message| wrong(message, ErrorClass::Rejected))?;
        if elsewhere.is_none() {
            for (name, value) in &head.headers {
                plain.headers.push((name.clone(), template::fill(value, &self.settings)));
            }
        }
        let credentials = auth::headers(&manifest.auth, &self.settings, &self.secrets)
            .map_err(|message| wrong(message, ErrorClass::Unauthorised))?;
        plain.headers.extend(credentials);
        if let Some(token) = token {
            plain.headers.push(auth::session_header(&manifest.auth, token));
        }
        let permit = self.budget.take(purpose).await.map_err(|wait| {
            let message = "the connection's budget is used up for now".to_owned();
            let retry_after = SignedDuration::try_from(self.budget.shown(wait)).ok();
            (Fault { class: ErrorClass::Throttled, message, field: None, retry_after }, None, false)
        })?;
        let sent = elsewhere.unwrap_or(&self.http).send(&plain, timeout).await;
        drop(permit);
        let raw = sent.map_err(|error| match error {
            NoAnswer::NotSent(message) => wrong(format!("not sent: {message}"), ErrorClass::Transient),
            NoAnswer::Unclear(message) => wrong(message, ErrorClass::Unknown),
            NoAnswer::BadRequest(message) => wrong(message, ErrorClass::Rejected),
        })?;
        let as_text = request.get("raw") == Some(&Value::Bool(true));
        let plain_rest = head.driver == Driver::Rest || request.get("path").is_some();
        let answer = driver::answer(head.driver, as_text, plain_rest, raw).map_err(|(status, message)| {
            let (fault, _, expired) = wrong(message, ErrorClass::Unknown);
            (fault, Some(status), expired)
        })?;
        let enough = self.budget.learn(&answer);
        match classify(manifest, &answer, kind) {
            Ok(()) => Ok(answer),
            Err(mut fault) => {
                if fault.class == ErrorClass::Throttled {
                    let told = enough.and_then(|wait| SignedDuration::try_from(self.budget.shown(wait)).ok());
                    fault.retry_after = fault.retry_after.or(told);
                }
                let expired = fault.class == ErrorClass::Expired;
                Err((fault, Some(answer.status), expired))
            }
        }
    }
}

fn failed(fault: Fault, status: Option<u16>, before: String) -> (CallError, Option<String>) {
    let not_sent = status.is_none() && fault.class != ErrorClass::Unknown;
    let message = if before.is_empty() || before == fault.message {
        fault.message
    } else {
        format!("{}; before that: {before}", fault.message)
    };
    let error = CallError {
        class: fault.class.failure().unwrap_or(FailureClass::Unknown),
        message,
        retry_after: fault.retry_after,
        status,
        sent: !not_sent,
    };
    (error, fault.field)
}

/// The map and code of a look-up that found nothing.
pub(crate) fn missing_reference(error: &RunError) -> Option<(String, String)> {
    match &error.kind {
        RunErrorKind::MissingReference { map, code } => Some((map.to_string(), code.to_string())),
        _ => None,
    }
}
