//! What every connector's folder must be: complete, and true to its own samples.
//!
//! Never: talks to a system.

use std::collections::BTreeMap;
use std::sync::Arc;

use counterpart_mapping::changes::read_changes;
use counterpart_mapping::diagnostic::Diagnostic;
use counterpart_model::check::check_partial;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::catalog::Connector;
use crate::manifest::Idempotent;
use crate::reading::read_program;

/// A sample: what came, and what must be made of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// `fetch:NAME`, `stream:NAME` or `webhook:TOPIC`.
    pub topic: String,
    /// Where it is from, and what it shows.
    #[serde(default)]
    pub about: String,
    /// As it came.
    pub body: Value,
    /// Settings that the mapping sees; defaults are filled in.
    #[serde(default)]
    pub settings: serde_json::Map<String, Value>,
    /// Reference maps that the mapping sees.
    #[serde(default)]
    pub maps: BTreeMap<String, BTreeMap<String, String>>,
    /// The changes, or the hints of a webhook, expected.
    pub expect: Value,
}

/// Everything that a folder lacks or gets wrong; its programs compile already, or it would not have been loaded.
pub fn check_folder(connector: &Arc<Connector>) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut say = |file: &str, message: String| {
        problems.push(Diagnostic::new(format!("{}/{file}", connector.name), message))
    };
    let manifest = &connector.manifest;
    if connector.files.get("README.md").is_none_or(|text| text.lines().count() < 10) {
        say(
            "README.md",
            "is missing or says next to nothing: what it covers, how the other side is set up, limits, traps"
                .into(),
        );
    }
    for (name, operation) in &manifest.operations {
        for step in operation.steps.iter().filter(|s| s.writes) {
            let found_again =
                matches!(step.idempotent, Some(Idempotent::StrongLookup | Idempotent::LaggedLookup(_)));
            if found_again && step.done_when.is_none() {
                say(
                    "connector.toml",
                    format!(
                        "operations.{name}: step `{}` is found again by reading, so it needs `done_when`",
                        step.name
                    ),
                );
            }
        }
    }
    let samples: Vec<_> = connector
        .files
        .iter()
        .filter(|(path, _)| path.starts_with("samples/") && path.ends_with(".json"))
        .collect();
    if samples.is_empty() {
        say(
            "samples",
            "there is none: put payloads as the vendor documents them, with what they must become".into(),
        );
    }
    let mut read = std::collections::BTreeSet::new();
    for (path, text) in samples {
        match serde_json::from_str::<Sample>(text) {
            Err(error) => say(path, format!("is no sample: {error}")),
            Ok(sample) => {
                if let Err(message) = try_sample(connector, &sample) {
                    say(path, message);
                }
                read.insert(sample.topic);
            }
        }
    }
    let fetches = manifest.fetch.keys().map(|name| format!("fetch:{name}"));
    let streams =
        manifest.streams.iter().filter(|(_, s)| s.read.is_some()).map(|(name, _)| format!("stream:{name}"));
    for topic in fetches.chain(streams).filter(|topic| !read.contains(topic)) {
        say("samples", format!("no sample is of topic `{topic}`"));
    }
    problems
}

fn try_sample(connector: &Connector, sample: &Sample) -> Result<(), String> {
    let manifest = &connector.manifest;
    let mut settings = sample.settings.clone();
    for (name, spec) in &manifest.settings {
        if let (false, Some(default)) = (settings.contains_key(name), &spec.default) {
            settings.insert(name.clone(), default.clone());
        }
    }
    let mut maps = json!(sample.maps);
    for name in manifest.reference_maps.keys() {
        maps.as_object_mut().map(|m| m.entry(name.clone()).or_insert_with(|| json!({})));
    }
    let meta = json!({
        "settings": settings, "maps": maps, "connection": "sample", "now": "2026-01-01T00:00:00Z", "topic": sample.topic,
    });
    // Bodies pass the lossless reader in real life.
    let mut body = sample.body.clone();
    counterpart_mapping::json::make_lossless(&mut body);
    if sample.topic.starts_with("webhook:") {
        let hooks = manifest.webhooks.as_ref().ok_or("the connector has no webhooks")?;
        let found = connector.programs.run(&hooks.hints, &body, &meta).map_err(|e| e.to_string())?;
        return compare(&sample.expect, &found);
    }
    let code = read_program(manifest, &sample.topic).map_err(|e| e.to_string())?;
    let output = connector.programs.run(code, &body, &meta).map_err(|e| e.to_string())?;
    let first = |problems: Vec<counterpart_model::check::Problem>| {
        problems
            .first()
            .map(|p| format!("{}: {}, expected {}", p.path, p.message, p.expected))
            .unwrap_or_default()
    };
    for change in read_changes(&output).map_err(first)?.iter().filter(|change| !change.deleted) {
        check_partial(change.kind, &change.payload).map_err(first)?;
    }
    compare(&sample.expect, &output["changes"])
}

/// Equal, or the first path at which they differ.
fn compare(expect: &Value, found: &Value) -> Result<(), String> {
    match difference("", expect, found) {
        None => Ok(()),
        Some(text) => Err(text),
    }
}

fn difference(path: &str, expect: &Value, found: &Value) -> Option<String> {
    match (expect, found) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let null = &Value::Null;
            keys.into_iter().find_map(|key| {
                difference(&format!("{path}.{key}"), a.get(key).unwrap_or(null), b.get(key).unwrap_or(null))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(n, (a, b))| difference(&format!("{path}[{n}]"), a, b))
        }
        (a, b) if a == b => None,
        (a, b) => Some(format!("{path}: expected {a}, got {b}")),
    }
}
