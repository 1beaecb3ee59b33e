//! The part of a manifest that says how a system is talked to: authorisation, limits, errors, checks, webhooks.
//!
//! Never: says what is read or written.

use counterpart_model::delivery::FailureClass;
use serde::{Deserialize, Serialize};

use super::Code;

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
    /// Where log-in requests go, settings in braces, when that is another address than the connection's.
    #[serde(default)]
    pub url: Option<String>,
    /// A session is renewed after this many seconds.
    #[serde(default)]
    pub lifetime_s: Option<u64>,
    /// Program on the log-in's answer: the same, where the answer says it.
    #[serde(default)]
    pub lifetime: Option<Code>,
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
    /// How much of it comes back each second, where it fills up bit by bit.
    pub restore_per_s: Option<Location>,
    /// What the request costs, where not all cost the same.
    pub cost: Option<Location>,
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
    /// How the system tries the address.
    #[serde(default)]
    pub handshake: Option<Handshake>,
    /// How the hub registers its address at the system.
    #[serde(default)]
    pub subscriptions: Option<Subscriptions>,
}

/// How a system makes sure that an address takes its webhooks: it calls with a query parameter and wants its value back
/// as plain text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handshake {
    /// Name of the query parameter.
    pub query: String,
}

/// Webhooks that the hub registers by itself at the system.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscriptions {
    /// What is to be told of: a topic, or the address of a collection.
    pub topics: Vec<String>,
    /// Program: the request that lists what is registered.
    pub list: Code,
    /// Program on its answer: `[{id, topic, url, expires_at?}]`.
    pub items: Code,
    /// Program on `{topic, url, secret}`: the request that registers one.
    pub create: Code,
    /// Program on `{item, url, secret}`: the request that makes one last longer. Without it, it is deleted and made anew.
    #[serde(default)]
    pub renew: Option<Code>,
    /// Program on `{item}`: the request that deletes one.
    pub delete: Code,
    /// What ends within so many seconds is renewed.
    #[serde(default = "day")]
    pub renew_before_s: u64,
}

fn day() -> u64 {
    86400
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
    /// What is signed: `{body}`, `{timestamp}`, `{method}` and `{url}` (the address that was called, as the sender
    /// knows it) are filled in.
    #[serde(default = "body")]
    pub signed: String,
    /// Where the time of sending is: Unix seconds, Unix milliseconds or RFC 3339.
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
