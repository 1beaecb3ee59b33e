//! A connector's `contract.toml`: which published files are its contract, and what is known to differ from them.
//!
//! Never: says what a request must be; that the published files do.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notes {
    /// What kind of contract it is.
    pub kind: Kind,
    /// The files, below the folder of contracts.
    pub files: Vec<String>,
    /// GraphQL: the path that every request goes to.
    #[serde(default)]
    pub path: Option<String>,
    /// What the contract does not speak of.
    #[serde(default)]
    pub outside: Vec<Outside>,
    /// GraphQL: directives that fields need although the schema does not say so.
    #[serde(default)]
    pub directives: Vec<Directive>,
    /// OData: paths that the documentation has and the contract has not.
    #[serde(default)]
    pub paths: BTreeMap<String, PathNote>,
    /// OData: types that differ from the contract, or are not in it.
    #[serde(default)]
    pub types: BTreeMap<String, TypeNote>,
}

/// Kind of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The answer to an introspection query.
    Graphql,
    /// OpenAPI 3.0.
    Openapi,
    /// OpenAPI 3.0 of an OData service: property names are in the query too, and requests in batches.
    Odata,
}

/// Requests that are left alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    /// Their path; a segment `*` is any one.
    pub path: String,
    /// Why.
    #[serde(rename = "why")]
    _why: String,
}

impl Outside {
    /// Whether a path is meant.
    pub fn applies(&self, path: &str) -> bool {
        let (meant, given) = (self.path.split('/'), path.split('/'));
        let same = meant.clone().count() == given.clone().count();
        same && meant.zip(given).all(|(a, b)| a == "*" || a == b)
    }
}

/// A directive that the documentation demands.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directive {
    /// Its name.
    pub name: String,
    /// Fields of an operation's root that need it.
    pub fields: Vec<String>,
}

/// A path that is not in the contract.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathNote {
    /// Methods that it takes.
    pub methods: Vec<String>,
    /// The type of what is there, of [`Notes::types`] or of the contract.
    #[serde(rename = "type")]
    pub of: String,
    /// Headers that a method needs.
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<String>>,
}

/// How a type differs from the contract.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TypeNote {
    /// Properties by name, each `string`, `number`, `integer`, `boolean`, `uuid`, `date`, `date-time`, or the name of a
    /// type, with `[]` behind it for a list. One of the contract's own name takes its place.
    pub add: BTreeMap<String, String>,
    /// Properties of the contract that are there no longer.
    pub gone: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::Outside;

    #[test]
    fn a_star_is_one_segment() {
        let rule = |path: &str| Outside { path: path.into(), _why: String::new() };
        assert!(rule("/*/oauth2/token").applies("/acme/oauth2/token"));
        assert!(!rule("/*/oauth2/token").applies("/a/b/oauth2/token"));
        assert!(!rule("/token").applies("/token/x"));
    }
}
