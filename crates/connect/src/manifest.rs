//! The manifest of a connector, `connector.toml`, as types; MANIFEST.md describes every key.
//!
//! Never: compiles a program, reads a file, knows what a system is called.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use counterpart_model::delivery::{FailureClass, Freshness};
use counterpart_model::kind::Kind;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// What is known of one kind of system.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name, driver, versions.
    pub connector: Head,
    /// What a connection sets, by name.
    #[serde(default)]
    pub settings: BTreeMap<String, SettingSpec>,
    /// Secrets a connection holds, by name.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSpec>,
    /// Look-up tables a connection fills, by name.
    #[serde(default)]
    pub reference_maps: BTreeMap<String, ReferenceMap>,
    /// How requests are authorised.
    #[serde(default)]
    pub auth: Auth,
    /// What the system allows.
    #[serde(default)]
    pub limits: Limits,
    /// What its errors mean; the first rule that applies decides.
    #[serde(default)]
    pub errors: Vec<ErrorRule>,
    /// The cheapest request that proves address and credentials.
    pub health: Health,
    /// Further checks of a connection.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// What it pushes.
    #[serde(default)]
    pub webhooks: Option<Webhooks>,
    /// Reading by id, by name.
    #[serde(default)]
    pub fetch: BTreeMap<String, Fetch>,
    /// Polling, by name.
    #[serde(default)]
    pub streams: BTreeMap<String, Stream>,
    /// Re-reading of what is not settled, by name.
    #[serde(default)]
    pub watch: BTreeMap<String, Watch>,
    /// Writing, by `kind.action`.
    #[serde(default)]
    pub operations: BTreeMap<OperationName, Operation>,
}

/// Name, driver, versions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The folder's name.
    pub name: String,
    /// As people call the system.
    pub title: String,
    /// How it is spoken to.
    pub driver: Driver,
    /// Path that every GraphQL or JSON-RPC request goes to; `{setting}` stands for a setting's value.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The `jsonrpc` member of JSON-RPC requests; empty leaves it out, as version 1.0 wants.
    #[serde(default = "two")]
    pub jsonrpc: String,
    /// What such a system usually is.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Version of the folder.
    #[serde(default = "one")]
    pub version: String,
    /// Version of the vendor's API it was made against.
    pub api_version: String,
    /// Day on which the vendor ends that version.
    #[serde(default)]
    pub sunset: Option<Date>,
    /// Address of the vendor's documentation.
    #[serde(default)]
    pub docs: Option<String>,
    /// Time-out of one request, in seconds.
    #[serde(default = "thirty")]
    pub timeout_s: u64,
    /// Largest answer that is read, in bytes.
    #[serde(default = "sixteen_megabytes")]
    pub max_answer_bytes: usize,
    /// Headers of every request; `{setting}` as in `endpoint`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

fn two() -> String {
    "2.0".into()
}

fn one() -> String {
    "1".into()
}
fn thirty() -> u64 {
    30
}
fn sixteen_megabytes() -> usize {
    16 << 20
}

/// How a system is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// JSON over HTTP.
    Rest,
    /// GraphQL over HTTP POST.
    Graphql,
    /// JSON-RPC over HTTP POST.
    JsonRpc,
}

/// A program: the text of one, or the name of a file that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// VRL, or a file name ending in `.vrl`.
    pub text: String,
    /// Byte offset of the value in the manifest, for messages.
    pub offset: usize,
}

impl Code {
    /// The file's name, when it is one.
    pub fn file(&self) -> Option<&str> {
        let named = self.text.ends_with(".vrl") && !self.text.contains(char::is_whitespace);
        named.then_some(self.text.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<String>::deserialize(deserializer)?;
        let offset = spanned.span().start;
        Ok(Self { text: spanned.into_inner(), offset })
    }
}

/// A setting of a connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingSpec {
    /// Its type.
    #[serde(default, rename = "type")]
    pub kind: SettingType,
    /// What it does and where to find its value.
    pub help: String,
    /// Taken when it is not set.
    #[serde(default)]
    pub default: Option<Value>,
    /// It must be set.
    #[serde(default)]
    pub required: bool,
    /// The texts allowed.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// Regular expression that a text must match.
    #[serde(default)]
    pub pattern: Option<String>,
}

/// Type of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingType {
    /// Text.
    #[default]
    Text,
    /// A whole number.
    Integer,
    /// True or false.
    Bool,
}

/// A secret of a connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSpec {
    /// Where to make it and which permissions it needs.
    pub help: String,
    /// It must be set.
    #[serde(default = "yes")]
    pub required: bool,
}

fn yes() -> bool {
    true
}

/// A look-up table of a connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceMap {
    /// What is mapped to what.
    pub help: String,
    /// The check says when it is empty.
    #[serde(default)]
    pub required: bool,
}

/// How requests are authorised. Which keys belong to which scheme is checked when the folder is loaded.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The scheme.
    pub scheme: AuthScheme,
    /// Name of the header.
    #[serde(default)]
    pub header: Option<String>,
    /// Put before the header's value.
    #[serde(default)]
    pub prefix: String,
    /// Name of the secret.
    #[serde(default)]
    pub secret: Option<String>,
    /// Name of the setting or secret that holds the user name.
    #[serde(default)]
    pub user: Option<String>,
    /// Program: the log-in request.
    #[serde(default)]
    pub login: Option<Code>,
    /// Program: the header's value from the log-in's answer.
    #[serde(default)]
    pub token: Option<Code>,
    /// A session is renewed after this many seconds.
    #[serde(default)]
    pub lifetime_s: Option<u64>,
}

/// Known ways of authorising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthScheme {
    /// None at all.
    #[default]
    None,
    /// A secret in a header of its own.
    Header,
    /// `Authorization: Bearer <secret>`.
    Bearer,
    /// HTTP Basic.
    Basic,
    /// A log-in gives a token that holds for a while.
    Session,
}

/// What the system allows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests at a time.
    pub concurrency: usize,
    /// Requests in a window; all of them hold.
    pub rates: Vec<Rate>,
    /// Share of concurrency and rates that polling leaves to transactional work, 0 to 1.
    pub reserve: f64,
    /// Where answers say what is left.
    pub read: LimitReadings,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrency: 4, rates: Vec::new(), reserve: 0.2, read: LimitReadings::default() }
    }
}

/// So many requests in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Requests allowed.
    pub requests: u32,
    /// Length of the window in seconds.
    pub per_s: u32,
}

/// Where answers say what is left of a budget.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitReadings {
    /// What is left.
    pub remaining: Option<Location>,
    /// What there is in all.
    pub limit: Option<Location>,
    /// Seconds until it is whole again.
    pub reset_s: Option<Location>,
}

/// A place in a message: a header or a path into its raw JSON body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// Name of a header.
    #[serde(default)]
    pub header: Option<String>,
    /// Path into the body.
    #[serde(default)]
    pub body: Option<String>,
}

/// What one kind of error means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRule {
    /// HTTP statuses; empty: any.
    #[serde(default)]
    pub status: Vec<u16>,
    /// Only for reading or writing requests.
    #[serde(default)]
    pub on: Option<RequestKind>,
    /// Path into the raw body, with `*` for any key or index.
    #[serde(default)]
    pub at: Option<String>,
    /// A value other than null is there.
    #[serde(default)]
    pub exists: Option<bool>,
    /// The value as text.
    #[serde(default)]
    pub equals: Option<String>,
    /// Any of these.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// Beginning of the value: of a code, never of a message.
    #[serde(default)]
    pub prefix: Option<String>,
    /// What it means.
    pub class: ErrorClass,
    /// Path to the text for people.
    #[serde(default)]
    pub message: Option<String>,
    /// Path to the name of the field at fault.
    #[serde(default)]
    pub field: Option<String>,
    /// Where the seconds to wait are.
    #[serde(default)]
    pub retry_after: Option<Location>,
}

/// Whether a request changes anything there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// It changes nothing, so that it can be repeated.
    Read,
    /// It may change something.
    Write,
}

/// A failure class, or what only the runtime needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// May go away; nothing was done.
    Transient,
    /// Slow down; nothing was done.
    Throttled,
    /// Credentials refused.
    Unauthorised,
    /// Understood and refused.
    Rejected,
    /// May have been done.
    Unknown,
    /// The session is over: log in again and repeat.
    Expired,
    /// No error.
    Ok,
}

impl ErrorClass {
    /// The failure class delivery knows; `None` for [`ErrorClass::Ok`].
    pub fn failure(self) -> Option<FailureClass> {
        Some(match self {
            Self::Transient => FailureClass::Transient,
            Self::Throttled => FailureClass::Throttled,
            Self::Unauthorised | Self::Expired => FailureClass::Unauthorised,
            Self::Rejected => FailureClass::Rejected,
            Self::Unknown => FailureClass::Unknown,
            Self::Ok => return None,
        })
    }
}

/// The cheapest request that proves address and credentials.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Program: the request.
    pub request: Code,
    /// Program on the answer.
    #[serde(default)]
    pub expect: Option<Code>,
}

/// A further check of a connection.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What is checked.
    pub name: String,
    /// Program: the request; without one only settings and maps are looked at.
    #[serde(default)]
    pub request: Option<Code>,
    /// Program: true, false, or a text that says what is wrong.
    pub expect: Code,
    /// How bad it is.
    #[serde(default)]
    pub level: CheckLevel,
    /// What to do.
    #[serde(default)]
    pub help: Option<String>,
}

/// How bad a check that fails is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckLevel {
    /// Something will not work.
    #[default]
    Failed,
    /// Something may not be as wished.
    Warning,
}

/// What a system pushes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Where the topic is.
    pub topic: Location,
    /// Where the event's id is; without it a hash of the body is taken.
    #[serde(default)]
    pub event_id: Option<Location>,
    /// Where the event's time is.
    #[serde(default)]
    pub occurred_at: Option<Location>,
    /// Program: what is to be read because of it.
    pub hints: Code,
    /// How its origin is proved.
    pub signature: Signature,
}

/// How a webhook's origin is proved.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The scheme.
    pub scheme: SignatureScheme,
    /// Header with the signature or token.
    #[serde(default)]
    pub header: Option<String>,
    /// For `token`: where in the body it is, when it is in no header.
    #[serde(default)]
    pub token: Option<Location>,
    /// How the digest is written.
    #[serde(default)]
    pub encoding: DigestEncoding,
    /// Before the digest.
    #[serde(default)]
    pub prefix: String,
    /// Name of the secret.
    pub secret: String,
    /// What is signed: `{body}` and `{timestamp}` are filled in.
    #[serde(default = "body")]
    pub signed: String,
    /// Where the time of sending is: Unix seconds or RFC 3339.
    #[serde(default)]
    pub timestamp: Option<Location>,
    /// Older ones are refused, in seconds.
    #[serde(default)]
    pub max_age_s: Option<u64>,
}

fn body() -> String {
    "{body}".into()
}

/// Known ways of proving a webhook's origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureScheme {
    /// HMAC with SHA-256.
    HmacSha256,
    /// A shared secret, sent as it is.
    Token,
}

/// How a digest is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DigestEncoding {
    /// Hexadecimal, either case.
    #[default]
    Hex,
    /// Base64, standard alphabet with padding.
    Base64,
}

/// Reading by id.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// Remote types whose ids it takes.
    pub types: Vec<String>,
    /// Program: the request for a list of ids.
    pub request: Code,
    /// Further reads.
    #[serde(default)]
    pub then: Vec<Then>,
    /// Program: the items in the answer.
    pub items: Code,
    /// Program: an item's id.
    pub id: Code,
    /// Program: the read mapping.
    pub read: Code,
    /// Ids in one request.
    #[serde(default = "fifty")]
    pub max_ids: usize,
}

fn fifty() -> usize {
    50
}

/// A further read of a fetch.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Then {
    /// Its answer is kept as `.steps.NAME`.
    pub name: String,
    /// Program: the request.
    pub request: Code,
}

/// Polling.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Kinds of record it yields.
    pub kinds: Vec<Kind>,
    /// Program: the request for one page.
    pub request: Code,
    /// Program: the items in the answer.
    pub items: Code,
    /// Program: an item's id.
    pub id: Code,
    /// Program: an item's position in time or sequence, or `@read_began`; without it every round reads everything.
    #[serde(default)]
    pub mark: Option<Code>,
    /// A round begins this much before the highest mark, in seconds (integer marks: in their unit).
    #[serde(default)]
    pub look_back_s: u64,
    /// How it pages.
    pub page: Paging,
    /// Program on the answer: the next page's cursor.
    #[serde(default)]
    pub next: Option<Code>,
    /// Program on the answer: there is another page.
    #[serde(default)]
    pub more: Option<Code>,
    /// Program: the read mapping of an item.
    #[serde(default)]
    pub read: Option<Code>,
    /// Name of the fetch by which each item is read instead.
    #[serde(default)]
    pub fetch: Option<String>,
    /// Seconds between rounds.
    pub interval_s: u64,
    /// Seconds between rounds that read everything.
    #[serde(default)]
    pub full_interval_s: Option<u64>,
    /// How soon what it yields must arrive.
    #[serde(default = "aggregate")]
    pub freshness: Freshness,
}

fn aggregate() -> Freshness {
    Freshness::Aggregate
}

/// How a stream pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// The style.
    pub style: PageStyle,
    /// Items on a page.
    #[serde(default = "hundred")]
    pub limit: u64,
}

fn hundred() -> u64 {
    100
}

/// Known styles of paging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageStyle {
    /// Skip and take.
    Offset,
    /// Page numbers from 1.
    Page,
    /// Each answer names the next page.
    Cursor,
    /// All in one.
    None,
}

/// Re-reading of counterparts that are not settled.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// Their remote types.
    pub types: Vec<String>,
    /// The fetch that reads them.
    pub fetch: String,
    /// Seconds between rounds.
    pub interval_s: u64,
    /// How soon what it yields must arrive.
    #[serde(default = "aggregate")]
    pub freshness: Freshness,
}

/// How one kind is written with one action.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Paths of Refs that must have a counterpart first.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Steps in order; none for a batch.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Many records in one request, instead of steps.
    #[serde(default)]
    pub batch: Option<Batch>,
    /// Program: what came of it.
    pub result: Code,
}

/// One request of an operation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its result is kept as `.steps.NAME`.
    pub name: String,
    /// It may change something there.
    #[serde(default)]
    pub writes: bool,
    /// Program: the request.
    pub request: Code,
    /// Program on the answer: what is kept.
    #[serde(default)]
    pub response: Option<Code>,
    /// Program: there is nothing left to write.
    #[serde(default)]
    pub done_when: Option<Code>,
    /// Program: not needed for this record.
    #[serde(default)]
    pub skip_when: Option<Code>,
    /// What makes a repetition harmless.
    #[serde(default)]
    pub idempotent: Option<Idempotent>,
    /// Time-out of this request, in seconds.
    #[serde(default)]
    pub timeout_s: Option<u64>,
}

/// Many records in one request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Records in one request.
    pub max: usize,
    /// What makes a repetition harmless.
    pub idempotent: Idempotent,
    /// Program: the request.
    pub request: Code,
    /// Program on the answer: the outcome of each row.
    pub rows: Code,
}

/// What makes the repetition of a write harmless, or finds out whether it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotent {
    /// The system knows the key sent with it.
    Key,
    /// Doing it twice is the same as doing it once.
    Upsert,
    /// Reading tells at once whether it was done.
    StrongLookup,
    /// Reading tells after so many seconds whether it was done.
    LaggedLookup(u64),
    /// Nothing: an unknown outcome goes to a person.
    None,
}

impl Idempotent {
    /// How long to wait before reading tells the truth; `None` when reading tells nothing.
    pub fn lag(self) -> Option<Duration> {
        match self {
            Self::Key | Self::Upsert | Self::StrongLookup => Some(Duration::ZERO),
            Self::LaggedLookup(seconds) => Some(Duration::from_secs(seconds)),
            Self::None => None,
        }
    }
}

impl fmt::Display for Idempotent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("key"),
            Self::Upsert => f.write_str("upsert"),
            Self::StrongLookup => f.write_str("strong-lookup"),
            Self::LaggedLookup(seconds) => write!(f, "lagged-lookup({seconds})"),
            Self::None => f.write_str("none"),
        }
    }
}

impl FromStr for Idempotent {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let lag = text.strip_prefix("lagged-lookup(").and_then(|rest| rest.strip_suffix(')'));
        match (text, lag.map(str::parse)) {
            ("key", _) => Ok(Self::Key),
            ("upsert", _) => Ok(Self::Upsert),
            ("strong-lookup", _) => Ok(Self::StrongLookup),
            ("none", _) => Ok(Self::None),
            (_, Some(Ok(seconds))) => Ok(Self::LaggedLookup(seconds)),
            _ => {
                Err(format!("`{text}`: expected key, upsert, strong-lookup, lagged-lookup(seconds) or none"))
            }
        }
    }
}

impl Serialize for Idempotent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Idempotent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Kind and action, written `order.upsert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationName {
    /// Kind of record.
    pub kind: Kind,
    /// Position of the action in [`ACTIONS`]; see [`OperationName::action`].
    action: usize,
}

use counterpart_model::delivery::Action;

/// Every action an operation can be for.
pub const ACTIONS: [Action; 5] =
    [Action::Upsert, Action::Amend, Action::Cancel, Action::Refuse, Action::Delete];

impl OperationName {
    /// Of a kind and an action.
    pub fn new(kind: Kind, action: Action) -> Self {
        let action = ACTIONS.iter().position(|a| *a == action).unwrap_or_default();
        Self { kind, action }
    }

    /// The action.
    pub fn action(self) -> Action {
        ACTIONS[self.action]
    }
}

impl fmt::Display for OperationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind, self.action().as_str())
    }
}

impl FromStr for OperationName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}`: expected a record kind, a dot and an action, such as order.upsert");
        let (kind, action) = text.split_once('.').ok_or_else(wrong)?;
        let kind = kind.parse().map_err(|_| wrong())?;
        let action = ACTIONS.iter().find(|a| a.as_str() == action).ok_or_else(wrong)?;
        Ok(Self::new(kind, *action))
    }
}

impl<'de> Deserialize<'de> for OperationName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
