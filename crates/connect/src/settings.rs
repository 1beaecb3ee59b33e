//! Holds a connection's settings, secrets and reference maps against what its connector declares.
//!
//! Never: puts a secret or a setting's value into a message.

use std::collections::BTreeMap;

use counterpart_model::redact::Redacted;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::manifest::{Manifest, SettingSpec, SettingType};

/// One thing that is wrong with a connection's declaration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpecProblem {
    /// Where: `settings.company`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Checks one value.
///
/// # Errors
/// What is wrong with it, without the value.
pub fn check(spec: &SettingSpec, value: &Value) -> Result<(), String> {
    match (spec.kind, value) {
        (SettingType::Integer, value) if value.is_i64() || value.is_u64() => Ok(()),
        (SettingType::Bool, Value::Bool(_)) => Ok(()),
        (SettingType::Text, Value::String(text)) => {
            if !spec.one_of.is_empty() && !spec.one_of.contains(text) {
                return Err(format!("must be one of {}", spec.one_of.join(", ")));
            }
            match spec.pattern.as_ref().map(|p| (p, regex::Regex::new(p))) {
                Some((pattern, Ok(regex))) if !regex.is_match(text) => Err(format!("must match `{pattern}`")),
                _ => Ok(()),
            }
        }
        (SettingType::Integer, _) => Err("must be a whole number".into()),
        (SettingType::Bool, _) => Err("must be true or false".into()),
        (SettingType::Text, _) => Err("must be a text".into()),
    }
}

/// Settings with defaults filled in, and every problem found.
pub fn resolve(
    manifest: &Manifest,
    settings: &Map<String, Value>,
    secrets: &BTreeMap<String, Redacted<String>>,
    maps: &BTreeMap<String, BTreeMap<String, String>>,
) -> (Map<String, Value>, Vec<SpecProblem>) {
    let mut filled = Map::new();
    let mut problems = Vec::new();
    let mut say = |path: String, message: String, help: Option<&str>| {
        problems.push(SpecProblem { path, message, help: help.map(str::to_owned) });
    };
    for (name, spec) in &manifest.settings {
        let path = || format!("settings.{name}");
        match settings.get(name).or(spec.default.as_ref()) {
            Some(value) => {
                if let Err(message) = check(spec, value) {
                    say(path(), message, Some(&spec.help));
                }
                filled.insert(name.clone(), value.clone());
            }
            None if spec.required => say(path(), "is missing".into(), Some(&spec.help)),
            None => {}
        }
    }
    for (name, spec) in &manifest.secrets {
        let set = secrets.get(name).is_some_and(|value| !value.reveal().is_empty());
        if spec.required && !set {
            say(format!("secrets.{name}"), "is missing or empty".into(), Some(&spec.help));
        }
        // A line break would end the header it is put into.
        if secrets.get(name).is_some_and(|value| value.reveal().contains(['\r', '\n'])) {
            say(format!("secrets.{name}"), "holds a line break".into(), Some(&spec.help));
        }
    }
    let unknown = |section: &str, name: &String, known: Vec<&String>| {
        let known: Vec<_> = known.into_iter().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        (format!("{section}.{name}"), format!("the connector knows no such name; it knows: {known}"))
    };
    for name in settings.keys().filter(|n| !manifest.settings.contains_key(*n)) {
        let (path, message) = unknown("settings", name, manifest.settings.keys().collect());
        say(path, message, None);
    }
    for name in secrets.keys().filter(|n| !manifest.secrets.contains_key(*n)) {
        let (path, message) = unknown("secrets", name, manifest.secrets.keys().collect());
        say(path, message, None);
    }
    for name in maps.keys().filter(|n| !manifest.reference_maps.contains_key(*n)) {
        let (path, message) = unknown("maps", name, manifest.reference_maps.keys().collect());
        say(path, message, None);
    }
    (filled, problems)
}
