//! The manifest of a connector, `connector.toml`, as types; MANIFEST.md describes every key.
//!
//! Never: compiles a program, reads a file, knows what a system is called.

mod talk;
mod work;

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use self::talk::*;
pub use self::work::*;

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
