//! What the hub tells people and programs: the answers behind the command line and the HTTP API, as plain data.
//!
//! Never: holds a secret; holds a payload unless the caller asked for one record by name.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// How the hub and everything on its way stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Status {
    /// Program version.
    pub version: String,
    /// Active configuration revision; absent before the first `apply`.
    pub revision: Option<i64>,
    /// When this was counted.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Every connection.
    pub connections: Vec<ConnectionStatus>,
    /// Every flow.
    pub flows: Vec<FlowStatus>,
    /// Arrivals by outcome: `pending`, `done`, `in_review`, ...
    pub inbox: BTreeMap<String, u64>,
    /// Changes by outcome.
    pub changes: BTreeMap<String, u64>,
    /// Deliveries by state.
    pub deliveries: BTreeMap<String, u64>,
    /// Open review items.
    pub reviews_open: u64,
    /// Arrivals, changes and deliveries that are neither finished nor waiting anywhere: must be 0.
    pub unaccounted: u64,
}

/// How one connection stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConnectionStatus {
    /// Name.
    pub name: String,
    /// Connector.
    pub connector: String,
    /// `ok`, `paused` (by configuration), `unauthorised` or `down` (the breaker is open).
    pub state: String,
    /// Words for a person, when not ok.
    pub message: Option<String>,
    /// Since when.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Last finished poll by stream.
    #[schema(value_type = BTreeMap<String, String>)]
    pub polled: BTreeMap<String, Timestamp>,
}

/// How one flow stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FlowStatus {
    /// Name.
    pub name: String,
    /// Kind of record.
    pub kind: String,
    /// Where from.
    pub from: Vec<String>,
    /// Where to.
    pub to: String,
    /// `off`, `shadow` or `live`.
    pub state: String,
    /// Deliveries by state.
    pub deliveries: BTreeMap<String, u64>,
    /// From arrival to confirmation, last hour, in milliseconds; absent when nothing was delivered.
    pub latency_ms: Option<Latency>,
}

/// Percentiles of a latency, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Latency {
    /// Half are faster.
    pub p50: u64,
    /// 95 of 100 are faster.
    pub p95: u64,
    /// 99 of 100 are faster.
    pub p99: u64,
}

/// Everything known about one record: where it came from, where it is, what waits and why, what happens next.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Explanation {
    /// Record id.
    pub record: String,
    /// Kind.
    pub kind: String,
    /// What people call it.
    pub label: Option<String>,
    /// Newest version.
    pub version: u64,
    /// One sentence: where it stands.
    pub summary: String,
    /// What will happen next, in words, soonest first.
    pub next: Vec<String>,
    /// Counterparts in each system.
    pub counterparts: Vec<CounterpartView>,
    /// Versions and their causes, oldest first.
    pub timeline: Vec<TimelineView>,
    /// Changes read about it, oldest first.
    pub changes: Vec<ChangeView>,
    /// Deliveries, oldest first.
    pub deliveries: Vec<DeliveryView>,
    /// Review items, newest first.
    pub reviews: Vec<ReviewView>,
    /// Stock that it holds back, or the reckoning of what can be sold (orders, stock and items).
    pub stock: Vec<StockTerm>,
    /// The canonical payload, when asked for.
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Value>,
}

/// A counterpart.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CounterpartView {
    /// In which connection.
    pub connection: String,
    /// Scope, type and id there.
    pub external: String,
    /// The human number there.
    pub number: Option<String>,
    /// `primary`, `part`, `shared` or `alias`.
    pub role: String,
    /// No further change is expected there.
    pub settled: bool,
    /// Record version last written there.
    pub written_version: Option<u64>,
    /// When it was last observed or written.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// A version of a record.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TimelineView {
    /// Version.
    pub version: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Where it came from.
    pub cause: String,
}

/// A change.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ChangeView {
    /// Row.
    pub id: i64,
    /// Where it was observed.
    pub connection: String,
    /// Scope, type and id there.
    pub external: String,
    /// When it was read.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How it ended.
    pub outcome: String,
    /// Rules that held deliveries back.
    pub filtered: Vec<String>,
}

/// A delivery with its attempts.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeliveryView {
    /// Row.
    pub id: i64,
    /// Flow.
    pub flow: String,
    /// Where to.
    pub connection: String,
    /// What is delivered.
    pub record: String,
    /// Its kind.
    pub kind: String,
    /// What it does there.
    pub action: String,
    /// Where it stands.
    pub state: String,
    /// Newest failure or cause of waiting.
    pub message: Option<String>,
    /// When it is due next.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// Failures that counted.
    pub failures: u32,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was finished.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// From the arrival of the change to the end, in milliseconds.
    pub latency_ms: Option<i64>,
    /// Tries, oldest first.
    pub attempts: Vec<AttemptView>,
    /// In shadow: what the write would have changed.
    pub difference: Vec<DiffView>,
}

/// One try.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AttemptView {
    /// Step.
    pub step: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How long the answer took.
    pub millis: u64,
    /// `done` or the class of failure.
    pub result: String,
    /// HTTP status.
    pub status: Option<u16>,
    /// Words for a person.
    pub message: String,
}

/// One field that differs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DiffView {
    /// Where.
    pub path: String,
    /// What is there now.
    #[schema(value_type = Object)]
    pub from: Value,
    /// What would be there.
    #[schema(value_type = Object)]
    pub to: Value,
}

/// One term of a stock reckoning.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StockTerm {
    /// For which store, or which line.
    pub of: String,
    /// What it is: `on hand`, `committed`, `orders not yet in the figure`, `safety`, `available to sell`, ...
    pub term: String,
    /// How much, with its sign.
    pub quantity: String,
}

/// A review item.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReviewView {
    /// Row.
    pub id: i64,
    /// Why it waits.
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
    /// What waits: `delivery 12`, `arrival 7`, `record <id>`.
    pub subject: String,
    /// Connection at fault or aimed at.
    pub connection: Option<String>,
    /// Record concerned.
    pub record: Option<String>,
    /// The record's kind and label, such as `order 1001`.
    pub about: Option<String>,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// When it was closed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closed_at: Option<Timestamp>,
    /// `retried`, `edited`, `discarded`, `resolved`.
    pub closed_as: Option<String>,
    /// Who closed it.
    pub closed_by: Option<String>,
    /// Particulars, when one item was asked for: the field at fault, what was expected, candidates.
    #[schema(value_type = Option<Object>)]
    pub detail: Option<Value>,
}

/// What a replay did or would do.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReplayReport {
    /// The flow.
    pub flow: String,
    /// Only looked, did nothing.
    pub dry_run: bool,
    /// Records looked at.
    pub examined: u64,
    /// Deliveries made (or that would be made).
    pub deliveries: u64,
    /// For each record that a replay changes: what differs from what was last written there.
    pub differences: Vec<ReplayDifference>,
    /// Records that could not be rendered, with the reason.
    pub problems: Vec<String>,
}

/// The difference that a replay makes for one record.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReplayDifference {
    /// Kind and label, or id.
    pub about: String,
    /// Record id.
    pub record: String,
    /// What would be done there: `upsert`, `amend`, `cancel`, `nothing`.
    pub action: String,
    /// Field by field.
    pub fields: Vec<DiffView>,
}

/// One line of `check`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CheckView {
    /// Connection, or `hub`.
    pub connection: String,
    /// What was checked.
    pub name: String,
    /// `ok`, `warning` or `failed`.
    pub state: String,
    /// What was found.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// A record, as listed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecordView {
    /// Id.
    pub id: String,
    /// Kind.
    pub kind: String,
    /// What people call it.
    pub label: Option<String>,
    /// Version.
    pub version: u64,
    /// When the newest version was written.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// The canonical payload.
    #[schema(value_type = Object)]
    pub payload: Value,
}

/// A load, planned against the limits of every connection.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LimitsView {
    /// Orders of a day.
    pub orders_per_day: f64,
    /// Orders of the busiest second.
    pub peak_per_s: f64,
    /// Lines of an order.
    pub lines: f64,
    /// What is reckoned with.
    pub assumptions: Vec<String>,
    /// Each connection.
    pub connections: Vec<ConnectionLimitsView>,
}

/// What a load asks of one connection.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConnectionLimitsView {
    /// Its name.
    pub connection: String,
    /// Name of its connector.
    pub connector: String,
    /// Requests for each order.
    pub requests_per_order: f64,
    /// The same, where everything that can be is sent or read in full batches.
    pub requests_per_order_batched: f64,
    /// Requests of a day, polling included.
    pub requests_per_day: f64,
    /// Requests of a day that polling and watching make.
    pub polling_per_day: f64,
    /// What an order's requests are.
    pub calls: Vec<CallsView>,
    /// Limits, and how much of each is used.
    pub limits: Vec<LimitView>,
    /// What to change where a limit is exceeded.
    pub advice: Vec<String>,
}

/// Requests of one sort.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CallsView {
    /// What for.
    pub what: String,
    /// For each order.
    pub per_order: f64,
    /// For each order, in full batches.
    pub per_order_batched: f64,
    /// Most things of one request.
    pub batch: Option<usize>,
}

/// How much of a limit is used; 1 is all of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LimitView {
    /// The limit in words.
    pub limit: String,
    /// On the day's mean.
    pub mean_share: f64,
    /// At the peak.
    pub peak_share: f64,
    /// At the peak, in full batches.
    pub peak_share_batched: f64,
    /// Orders a second at which it is used up.
    pub most_orders_per_s: Option<f64>,
    /// The same, in full batches.
    pub most_orders_per_s_batched: Option<f64>,
}

/// One thing that `plan` would change.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlanView {
    /// Revision that the plan starts from.
    pub base: Option<i64>,
    /// Changes, one for each thing declared.
    pub items: Vec<PlanItemView>,
    /// What must be put right before it can be applied, each with file, line and column where there is one.
    pub problems: Vec<String>,
}

/// One thing that changes.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlanItemView {
    /// `add`, `change` or `remove`.
    pub change: String,
    /// What, such as `connection shop` or `file mappings/order.vrl`.
    pub what: String,
    /// Field by field.
    pub fields: Vec<DiffView>,
}

/// A delivery query: every given field must match.
#[derive(Debug, Clone, Default, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveryQuery {
    /// Flow.
    pub flow: Option<String>,
    /// State, such as `ready` or `in_review`.
    pub state: Option<String>,
    /// Target connection.
    pub connection: Option<String>,
    /// Made since then (RFC 3339).
    #[param(value_type = Option<String>)]
    pub since: Option<Timestamp>,
    /// At most so many, newest first (default 50).
    pub limit: Option<usize>,
}

/// A review query: every given field must match.
#[derive(Debug, Clone, Default, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
pub struct ReviewQuery {
    /// Closed ones too.
    pub all: bool,
    /// Reason, such as `rejected`.
    pub reason: Option<String>,
    /// Connection.
    pub connection: Option<String>,
    /// At most so many, newest first (default 50).
    pub limit: Option<usize>,
}

/// A taken webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Intake {
    /// It had been taken before; nothing happens again.
    pub repeated: bool,
}

/// A captured arrival, kept encrypted to try mappings on.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SampleView {
    /// Row.
    pub id: i64,
    /// Connection.
    pub connection: String,
    /// Topic.
    pub topic: String,
    /// When it was captured.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// What a mapping made of a sample.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MappingReport {
    /// Nothing is wrong.
    pub ok: bool,
    /// What came out.
    #[schema(value_type = Option<Object>)]
    pub output: Option<Value>,
    /// What is wrong: `file:line:column`, the datum's path, what was expected.
    pub problems: Vec<ProblemView>,
}

/// One thing wrong with a mapping or what came out of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProblemView {
    /// File.
    pub file: String,
    /// Line, from 1; 0 when unknown.
    pub line: usize,
    /// Column, from 1; 0 when unknown.
    pub column: usize,
    /// The datum's path.
    pub path: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What was expected.
    pub expected: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

/// A connector that ships with the hub or lies in the overlay folder.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConnectorView {
    /// Name.
    pub name: String,
    /// Title.
    pub title: String,
    /// Version.
    pub version: String,
    /// Hash of everything in its folder.
    pub hash: String,
    /// Settings: name and help.
    pub settings: BTreeMap<String, String>,
    /// Secrets: name and help.
    pub secrets: BTreeMap<String, String>,
    /// Reference maps: name and help.
    pub maps: BTreeMap<String, String>,
    /// Operations, such as `order.upsert`.
    pub operations: Vec<String>,
    /// Streams.
    pub streams: Vec<String>,
}
