//! The part of a manifest that says what is read and written: fetches, streams, watches, operations.
//!
//! Never: says how a request gets there.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use counterpart_model::delivery::{Action, Freshness};
use counterpart_model::kind::Kind;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Code;

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
    /// Program, with `fetch`: what changes whenever the item does. What is named again in the same version is not read
    /// again.
    #[serde(default)]
    pub version: Option<Code>,
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
    /// For `order.amend`: the system shows how an order stands, so its payments, shipments and returns are written too.
    #[serde(default)]
    pub follows: bool,
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
