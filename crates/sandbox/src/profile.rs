//! A profile: what of a vendor's system is emulated. A small manifest, a program in Rhai for its behaviour, and for GraphQL
//! its schema.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A profile, read and checked.
pub struct Profile {
    /// Its manifest.
    pub manifest: Manifest,
    pub(crate) program: String,
    pub(crate) schema: Option<String>,
    routes: Vec<Matcher>,
}

/// `profile.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name of the system for people.
    pub title: String,
    /// Pages that it was made from.
    pub docs: Vec<String>,
    /// Programs in this order, as one.
    pub programs: Vec<String>,
    /// GraphQL schema, in these files.
    #[serde(default)]
    pub schema: Vec<String>,
    /// How far its search index is behind, in milliseconds.
    #[serde(default)]
    pub search_lag_ms: i64,
    /// What is asked, and which function answers. The first that fits.
    pub routes: Vec<Route>,
    /// What may be used.
    #[serde(default)]
    pub limits: BTreeMap<String, Limit>,
    /// How it calls others.
    #[serde(default)]
    pub webhooks: Webhooks,
    /// What queries cost.
    #[serde(default)]
    pub cost: Option<Cost>,
}

/// A route.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Method.
    pub method: String,
    /// Path with `{names}`.
    pub path: String,
    /// Function of the program; `graphql` runs the schema.
    pub run: String,
    /// Which limits a request counts against.
    #[serde(default)]
    pub limits: Vec<String>,
    /// Answered without asking the program's `guard` whether the caller may.
    #[serde(default)]
    pub open: bool,
}

/// What may be used.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Requests (or points of a GraphQL bucket) at most.
    pub size: f64,
    /// A window of so many seconds...
    #[serde(default)]
    pub per_s: Option<f64>,
    /// ...or a bucket that fills up again at so many a second.
    #[serde(default)]
    pub refill_per_s: Option<f64>,
}

/// How it calls others.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// When a call that failed is tried again, in seconds after each try.
    #[serde(default)]
    pub retry_s: Vec<u64>,
    /// Which answers are worth another try: how their status begins, such as `429` or `5`. None named: whatever is no success.
    /// A call that is not answered at all always is.
    #[serde(default)]
    pub retry_on: Vec<String>,
    /// How long an answer is waited for, in seconds.
    #[serde(default = "five")]
    pub timeout_s: u64,
}

fn five() -> u64 {
    5
}

impl Default for Webhooks {
    fn default() -> Self {
        Self { retry_s: Vec::new(), retry_on: Vec::new(), timeout_s: five() }
    }
}

/// What a GraphQL query costs: reckoned before it runs, from how much it might bring.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// An object.
    pub object: f64,
    /// A mutation.
    pub mutation: f64,
    /// Most for one query.
    pub max: f64,
    /// Limit it is taken from.
    pub limit: String,
}

struct Matcher {
    route: Route,
    pattern: Regex,
}

/// What is wrong with a profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A file that is named is not there.
    #[error("the profile has no file `{0}`")]
    Missing(String),
    /// The manifest.
    #[error("profile.toml: {0}")]
    Manifest(String),
    /// The program.
    #[error("the profile's program: {0}")]
    Program(String),
    /// The schema.
    #[error("the profile's schema: {0}")]
    Schema(String),
}

impl Profile {
    /// Reads a profile from its files, by name within the folder.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(files: &BTreeMap<String, String>) -> Result<Self, ProfileError> {
        let file = |name: &str| files.get(name).ok_or_else(|| ProfileError::Missing(name.to_owned()));
        let manifest = toml::Deserializer::parse(file("profile.toml")?)
            .map_err(|e| ProfileError::Manifest(e.to_string()))
            .and_then(|d| {
                serde_path_to_error::deserialize::<_, Manifest>(d)
                    .map_err(|e| ProfileError::Manifest(e.to_string()))
            })?;
        let programs: Vec<&str> =
            manifest.programs.iter().map(|name| file(name).map(String::as_str)).collect::<Result<_, _>>()?;
        let schema: Vec<&str> =
            manifest.schema.iter().map(|name| file(name).map(String::as_str)).collect::<Result<_, _>>()?;
        let schema = (!schema.is_empty()).then(|| schema.join("\n"));
        let routes = manifest.routes.iter().map(Matcher::new).collect::<Result<_, _>>()?;
        for limit in
            manifest.routes.iter().flat_map(|r| &r.limits).chain(manifest.cost.iter().map(|c| &c.limit))
        {
            if !manifest.limits.contains_key(limit) {
                return Err(ProfileError::Manifest(format!("no limit is called `{limit}`")));
            }
        }
        Ok(Self { program: programs.join("\n"), manifest, schema, routes })
    }

    /// The route that fits, and what its path names.
    pub(crate) fn route(&self, method: &str, path: &str) -> Option<(&Route, Map<String, Value>)> {
        self.routes.iter().filter(|m| m.route.method == method).find_map(|matcher| {
            let found = matcher.pattern.captures(path)?;
            let names = matcher.pattern.capture_names().flatten();
            let params = names.map(|n| (n.to_owned(), Value::String(found[n].to_owned()))).collect();
            Some((&matcher.route, params))
        })
    }
}

impl Matcher {
    fn new(route: &Route) -> Result<Self, ProfileError> {
        let mut pattern = String::from("^");
        let mut rest = route.path.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err(ProfileError::Manifest(format!("`{}` has no closing brace", route.path)));
            };
            pattern.push_str(&regex::escape(before));
            pattern.push_str(&format!("'?(?<{name}>[^/()']+)'?"));
            rest = after;
        }
        pattern.push_str(&regex::escape(rest));
        pattern.push_str("/?$");
        let pattern = Regex::new(&pattern).map_err(|e| ProfileError::Manifest(e.to_string()))?;
        Ok(Self { route: route.clone(), pattern })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keys_of_a_path_are_found() {
        let route = Route {
            method: "GET".into(),
            path: "/companies({company})/orders({id})".into(),
            run: "x".into(),
            limits: Vec::new(),
            open: false,
        };
        let matcher = Matcher::new(&route).unwrap();
        let found = matcher.pattern.captures("/companies(12-ab)/orders('A 1')").unwrap();
        assert_eq!((&found["company"], &found["id"]), ("12-ab", "A 1"));
        assert!(matcher.pattern.captures("/companies(1)/orders(2)/lines").is_none());
    }

    #[test]
    fn a_limit_that_nobody_declares_is_refused() {
        let text =
            "title='X'\ndocs=[]\nprograms=[]\n[[routes]]\nmethod='GET'\npath='/'\nrun='x'\nlimits=['none']\n";
        let files = BTreeMap::from([("profile.toml".to_owned(), text.to_owned())]);
        assert!(matches!(Profile::read(&files), Err(ProfileError::Manifest(m)) if m.contains("`none`")));
    }
}
