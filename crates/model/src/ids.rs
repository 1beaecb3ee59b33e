//! Identifiers as types, so that no bare `String` stands for one.
//!
//! Never: generates time or randomness of its own; ids that need either are made by the caller.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Identity of a golden record: a UUID version 7, so that ids sort by the time of creation.
///
/// It is never the human number of an order or the id a vendor gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RecordId(pub Uuid);

impl RecordId {
    /// Builds an id from a Unix time in milliseconds and ten bytes of randomness that the caller supplies.
    pub fn from_parts(unix_millis: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_millis, &random).into_uuid())
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RecordId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::parse_str(text).map(Self).map_err(|_| IdError::NotARecordId(text.to_owned()))
    }
}

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a UUID.
    #[error("`{0}` is not a record id: expected a UUID such as 0198b2c4-5d6e-7f80-9a1b-2c3d4e5f6071")]
    NotARecordId(String),
    /// A name that breaks the rule for names of connections, flows and the like.
    #[error(
        "`{0}` is not a valid name: use 1 to 40 lower-case letters, digits, `-` or `_`, starting with a letter"
    )]
    NotAName(String),
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $type(String);

        impl $type {
            /// Checks the rule for names: 1 to 40 lower-case letters, digits, `-` or `_`, a letter first.
            ///
            /// # Errors
            /// [`IdError::NotAName`] when the rule is broken.
            pub fn new(name: impl Into<String>) -> Result<Self, IdError> {
                let name = name.into();
                let mut bytes = name.bytes();
                let starts = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
                let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
                if starts && rest && name.len() <= 40 { Ok(Self(name)) } else { Err(IdError::NotAName(name)) }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// Name of a connection: one configured instance of a connector, such as `shop-eu`.
    ConnectionName
);
name!(
    /// Name of a flow: the rule that carries changes of one kind to one connection.
    FlowName
);

/// Identity of a thing inside one connection: where it lives there, what it is called there, its id there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalId {
    /// Partition inside the connection, such as an ERP company or a site; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The remote system's own name for the type, such as `sale.sale` or `Order`.
    #[serde(rename = "type")]
    pub remote_type: String,
    /// The remote id as text, as the remote system writes it.
    pub id: String,
}

impl fmt::Display for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.scope.is_empty() {
            write!(f, "{}/", self.scope)?;
        }
        write!(f, "{}/{}", self.remote_type, self.id)
    }
}

/// Row identity of a stored thing (inbox entry, change, delivery, attempt, review item): grows with time.
pub type RowId = i64;
