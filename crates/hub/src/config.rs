//! What a user declares: connections, flows, ownership, stock rules, notices. Read from one TOML file, kept in the
//! database as revisions.
//!
//! Never: reads a secret's value (see [`crate::secrets`]), talks to a system.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use counterpart_model::delivery::Freshness;
use counterpart_model::ids::{ConnectionName, ExternalId, FlowName};
use counterpart_model::kind::Kind;
use jiff::Timestamp;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This process: database, address, key. Read from the file at every start, not from a revision.
    #[serde(default)]
    pub hub: HubConfig,
    /// Systems, by name.
    #[serde(default)]
    pub connections: BTreeMap<ConnectionName, ConnectionConfig>,
    /// Which changes go where, by name.
    #[serde(default)]
    pub flows: BTreeMap<FlowName, FlowConfig>,
    /// Whose word counts: kind, then top-level field of the canonical payload (`*` for every other field).
    #[serde(default)]
    pub ownership: BTreeMap<Kind, BTreeMap<String, OwnerConfig>>,
    /// How what can be sold is reckoned.
    #[serde(default)]
    pub stock: Option<StockConfig>,
    /// E-mail notices, by name.
    #[serde(default)]
    pub notices: BTreeMap<FlowName, NoticeConfig>,
}

/// Settings of the process.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HubConfig {
    /// SQLite file, relative to the configuration file.
    pub database: PathBuf,
    /// Address to listen on. Anything but loopback must be asked for here.
    pub listen: String,
    /// Address under which others reach the hub, such as `https://hub.example.com`: told to systems whose webhooks the
    /// hub registers by itself, and part of what some of them sign.
    #[schemars(with = "Option<String>")]
    pub public_url: Option<url::Url>,
    /// Where the master key is: 64 hex digits.
    pub key: SecretRef,
    /// Bearer tokens of the API. None: the API answers 401 to everyone.
    pub api_tokens: Vec<SecretRef>,
    /// Folder of connector overlays and own connectors, relative to the configuration file.
    pub connectors: Option<PathBuf>,
    /// Mail server for notices.
    pub smtp: Option<SmtpConfig>,
    /// How long a stop waits for running requests, in seconds.
    pub shutdown_grace_s: u64,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            database: "counterpart.db".into(),
            listen: "127.0.0.1:7070".into(),
            public_url: None,
            key: SecretRef::File { file: "counterpart.key".into() },
            api_tokens: Vec::new(),
            connectors: None,
            smtp: None,
            shutdown_grace_s: 20,
        }
    }
}

/// Where a secret is kept; never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Secret")]
#[serde(untagged, deny_unknown_fields)]
pub enum SecretRef {
    /// An environment variable.
    Env {
        /// Its name.
        env: String,
    },
    /// A file; trailing white space is cut off.
    File {
        /// Path, relative to the configuration file.
        file: PathBuf,
    },
    /// A secret put into the database with `counterpart secret set`.
    Stored {
        /// Its name there.
        stored: String,
    },
}

/// A mail server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// Host name.
    pub host: String,
    /// Port: 465 (TLS), 587 (STARTTLS), or what a local relay uses.
    pub port: u16,
    /// `tls`, `starttls` or `none` (loopback only).
    #[serde(default = "starttls")]
    pub security: String,
    /// Sender address.
    pub from: String,
    /// User name, when the server asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// Password, when the server asks for one.
    #[serde(default)]
    pub password: Option<SecretRef>,
}

fn starttls() -> String {
    "starttls".into()
}

/// One system.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionConfig {
    /// Name of the connector.
    pub connector: String,
    /// Base address of the system.
    #[schemars(with = "String", extend("x-type" = "address"))]
    pub url: url::Url,
    /// Permits loopback and private addresses, and plain HTTP.
    #[serde(default)]
    pub allow_private: bool,
    /// The connector's settings.
    #[serde(default)]
    pub settings: serde_json::Map<String, Value>,
    /// The connector's secrets.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretRef>,
    /// Reference maps: name, then code to value.
    #[serde(default)]
    pub maps: BTreeMap<String, BTreeMap<String, String>>,
    /// Overrides of polling intervals by stream or watch name, in seconds.
    #[serde(default)]
    pub every_s: BTreeMap<String, u64>,
    /// Overrides of the connector's time-out of one request, in seconds.
    #[serde(default)]
    pub timeout_s: Option<u64>,
    /// For a target: the one remote party that stands for every guest, instead of a party for each.
    #[serde(default)]
    pub guests_share: Option<ExternalId>,
    /// For a store: held back from what it is shown, in stock units.
    #[serde(default)]
    #[schemars(with = "String", extend("x-type" = "decimal text"))]
    pub stock_buffer: Decimal,
    /// Canonical location that the store's orders are taken from and its stock is published for.
    #[serde(default)]
    pub location: String,
    /// Nothing is sent to or read from it.
    #[serde(default)]
    pub paused: bool,
}

/// A rule that carries changes of one kind to one connection.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowConfig {
    /// Kind of record.
    pub kind: Kind,
    /// Connections whose changes it carries.
    pub from: Vec<ConnectionName>,
    /// Where they go.
    pub to: ConnectionName,
    /// `off`, `shadow` or `live`.
    pub state: FlowState,
    /// Records that began before this moment are not delivered.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("x-type" = "instant (RFC 3339)"))]
    pub cut_over: Option<Timestamp>,
    /// When not empty, only records with one of these labels are delivered.
    #[serde(default)]
    pub allow: Vec<String>,
    /// VRL that must be true: `.` is the record's payload.
    #[serde(default)]
    pub filter: Option<String>,
    /// File with the flow's own mapping (VRL), between read and write mapping, relative to the configuration file.
    #[serde(default)]
    pub mapping: Option<PathBuf>,
    /// How soon it must arrive.
    #[serde(default = "transactional")]
    pub freshness: Freshness,
    /// Orders are delivered while still draft or pending.
    #[serde(default)]
    pub include_unconfirmed: bool,
    /// Difference of totals that is put down to rounding, in the currency's major unit.
    #[serde(default)]
    #[schemars(with = "String", extend("x-type" = "decimal text"))]
    pub tolerance: Decimal,
}

fn transactional() -> Freshness {
    Freshness::Transactional
}

/// Whether a flow acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "State")]
#[serde(rename_all = "snake_case")]
pub enum FlowState {
    /// Does nothing.
    Off,
    /// Does everything but the write, and shows the difference that the write would make.
    Shadow,
    /// Writes.
    Live,
}

impl FlowState {
    /// Name in the configuration and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Shadow => "shadow",
            Self::Live => "live",
        }
    }
}

/// Who owns a field, and what happens to the edit of one who does not.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Owner")]
#[serde(untagged)]
pub enum OwnerConfig {
    /// The owning connection; another's edit is reverted.
    Name(ConnectionName),
    /// The owning connection and a policy.
    Full {
        /// The owner.
        owner: ConnectionName,
        /// `revert`, `review` or `accept`.
        others: OthersPolicy,
    },
}

/// What happens to an edit by a connection that does not own the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Others")]
#[serde(rename_all = "snake_case")]
pub enum OthersPolicy {
    /// Overwritten with the owner's value.
    Revert,
    /// Put before a person.
    Review,
    /// Taken.
    Accept,
}

/// How what can be sold is reckoned.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StockConfig {
    /// The connection whose figures count.
    pub owner: ConnectionName,
    /// Held back everywhere, in stock units.
    #[serde(default)]
    #[schemars(with = "String", extend("x-type" = "decimal text"))]
    pub safety: Decimal,
}

/// An e-mail notice.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoticeConfig {
    /// The flow whose deliveries are told of.
    pub flow: FlowName,
    /// Who is told.
    pub to: Vec<String>,
    /// Gathers what happened within this many seconds into one message.
    #[serde(default = "minute")]
    pub batch_s: u64,
    /// Template of the subject (minijinja).
    #[serde(default)]
    pub subject: Option<String>,
    /// Template of the text (minijinja).
    #[serde(default)]
    pub text: Option<String>,
}

fn minute() -> u64 {
    60
}

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}; `counterpart init` writes a first one")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path}:{line}:{column}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// It contradicts itself; every contradiction is listed.
    #[error("{}", .0.join("\n"))]
    Invalid(Vec<String>),
}

impl Config {
    /// JSON Schema of the file, with the docs above as descriptions: the configuration reference is made from it.
    pub fn schema() -> Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// With file, line and column for syntax and unknown keys; with a list for contradictions.
    pub fn load(path: &Path) -> Result<(Self, String), ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Ok((Self::parse(path, &text)?, text))
    }

    /// Parses and checks a text; `path` is for messages only.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let (line, column) = position(text, error.span().map_or(0, |span| span.start));
            let message = error.message().lines().collect::<Vec<_>>().join(" ");
            ConfigError::Parse { path: path.to_owned(), line, column, message }
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        let mut known = |name: &ConnectionName, place: String| {
            if !self.connections.contains_key(name) {
                problems.push(format!(
                    "{place}: there is no connection `{name}`; declared are: {}",
                    list(self.connections.keys())
                ));
            }
        };
        for (name, flow) in &self.flows {
            known(&flow.to, format!("flows.{name}.to"));
            for from in &flow.from {
                known(from, format!("flows.{name}.from"));
            }
        }
        for (kind, fields) in &self.ownership {
            for (field, owner) in fields {
                known(owner.owner(), format!("ownership.{kind}.{field}"));
            }
        }
        if let Some(stock) = &self.stock {
            known(&stock.owner, "stock.owner".into());
        }
        for (name, flow) in &self.flows {
            if flow.from.is_empty() {
                problems.push(format!("flows.{name}.from: name at least one connection"));
            }
            if flow.from.contains(&flow.to) {
                problems.push(format!("flows.{name}: `{}` is both source and target", flow.to));
            }
            if flow.tolerance.is_sign_negative() {
                problems.push(format!("flows.{name}.tolerance: must not be negative"));
            }
            if flow.kind == Kind::Stock && self.stock.is_none() {
                problems.push(format!(
                    "flows.{name}: a stock flow needs a [stock] section that names the owner of the figures"
                ));
            }
        }
        for (name, notice) in &self.notices {
            if !self.flows.contains_key(&notice.flow) {
                problems.push(format!(
                    "notices.{name}.flow: there is no flow `{}`; declared are: {}",
                    notice.flow,
                    list(self.flows.keys())
                ));
            }
            if self.hub.smtp.is_none() {
                problems.push(format!("notices.{name}: set [hub.smtp] so that mail can be sent"));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(problems)) }
    }
}

impl OwnerConfig {
    /// The owning connection.
    pub fn owner(&self) -> &ConnectionName {
        match self {
            Self::Name(owner) | Self::Full { owner, .. } => owner,
        }
    }

    /// What happens to others' edits.
    pub fn others(&self) -> OthersPolicy {
        match self {
            Self::Name(_) => OthersPolicy::Revert,
            Self::Full { others, .. } => *others,
        }
    }
}

fn list<T: std::fmt::Display>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<_> = names.map(|n| n.to_string()).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Line and column, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const GOOD: &str = r#"
[connections.shop]
connector = "a"
url = "http://127.0.0.1:1"
[connections.erp]
connector = "b"
url = "http://127.0.0.1:2"
[flows.orders]
kind = "order"
from = ["shop"]
to = "erp"
state = "live"
"#;

    fn refuse(text: &str, expect: &str) {
        let error = Config::parse(Path::new("c.toml"), text).unwrap_err().to_string();
        assert!(error.contains(expect), "expected `{expect}` in `{error}`");
    }

    #[test]
    fn a_good_file_is_taken() {
        let config = Config::parse(Path::new("c.toml"), GOOD).unwrap();
        assert_eq!(config.flows.len(), 1);
        assert_eq!(config.hub.listen, "127.0.0.1:7070");
    }

    #[test]
    fn a_bad_file_says_where() {
        refuse(&GOOD.replace("state = \"live\"", "state = \"on\""), "c.toml:12:9");
        refuse(&GOOD.replace("state =", "stat ="), "unknown field `stat`");
        refuse(
            &GOOD.replace("to = \"erp\"", "to = \"crm\""),
            "flows.orders.to: there is no connection `crm`",
        );
        refuse(&GOOD.replace("from = [\"shop\"]", "from = [\"erp\"]"), "both source and target");
        refuse(&GOOD.replace("[flows.orders]", "[flows.Orders]"), "not a valid name");
        refuse(&GOOD.replace("\"order\"", "\"orders\""), "unknown variant `orders`");
        refuse(&GOOD.replace("\"order\"", "\"stock\""), "needs a [stock] section");
    }
}
