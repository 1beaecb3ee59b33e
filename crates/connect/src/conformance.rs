//! What every connector's folder must be: complete, and true to its own samples.
//!
//! Never: talks to a system.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use counterpart_mapping::changes::read_changes;
use counterpart_mapping::diagnostic::Diagnostic;
use counterpart_mapping::json::make_lossless;
use counterpart_model::check::{Problem, check_partial};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::catalog::{Connector, MANIFEST};
use crate::manifest::{Code, Idempotent, Manifest, Operation, OperationName};
use crate::reading::read_program;

/// A sample: what came, and what must be made of it. It has either a `topic` or an `operation`.
///
/// With a `step` it is of the request that is made then: of an operation's step, or of a further read of `fetch:NAME`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// `fetch:NAME`, `stream:NAME` or `webhook:TOPIC`.
    #[serde(default)]
    pub topic: Option<String>,
    /// `order.upsert`: the sample is of that operation's result, or of one of its steps.
    #[serde(default)]
    pub operation: Option<String>,
    /// The step, or further read, whose request is expected.
    #[serde(default)]
    pub step: Option<String>,
    /// Where it is from, and what it shows.
    #[serde(default)]
    pub about: String,
    /// As it came; for an operation absent.
    #[serde(default)]
    pub body: Value,
    /// What the programs of an operation or of a further read see.
    #[serde(default)]
    pub context: Value,
    /// Settings that the program sees; defaults are filled in.
    #[serde(default)]
    pub settings: serde_json::Map<String, Value>,
    /// Reference maps that the program sees.
    #[serde(default)]
    pub maps: BTreeMap<String, BTreeMap<String, String>>,
    /// What the program takes for the present time.
    #[serde(default)]
    pub now: Option<jiff::Timestamp>,
    /// The changes, hints, request or result expected.
    pub expect: Value,
}

impl Sample {
    /// The program of the request that it is of; `None` when it is of something else.
    pub(crate) fn request<'a>(&self, manifest: &'a Manifest) -> Result<Option<&'a Code>, String> {
        let Some(step) = &self.step else { return Ok(None) };
        match (&self.topic, &self.operation) {
            (Some(topic), None) => {
                let fetch = topic.strip_prefix("fetch:").and_then(|name| manifest.fetch.get(name));
                let then = fetch.and_then(|f| f.then.iter().find(|t| t.name == *step));
                then.map(|t| Some(&t.request)).ok_or_else(|| format!("{topic} has no further read `{step}`"))
            }
            (None, Some(name)) => {
                let found = operation(manifest, name)?.steps.iter().find(|s| s.name == *step);
                found.map(|s| Some(&s.request)).ok_or_else(|| format!("{name} has no step `{step}`"))
            }
            _ => Ok(None),
        }
    }

    /// What its programs see as `%`.
    pub(crate) fn meta(&self, manifest: &Manifest) -> Value {
        let now = self.now.map_or_else(|| NOW.to_owned(), |at| at.to_string());
        meta(manifest, self.settings.clone(), json!(self.maps), &now, self.topic.as_deref())
    }
}

/// What programs take for the present time where a sample does not say it.
pub(crate) const NOW: &str = "2026-01-01T00:00:00Z";

/// What programs see as `%`: defaults are filled into the settings, maps that are not given are empty.
pub(crate) fn meta(
    manifest: &Manifest,
    mut settings: serde_json::Map<String, Value>,
    mut maps: Value,
    now: &str,
    topic: Option<&str>,
) -> Value {
    for (name, spec) in &manifest.settings {
        if let (false, Some(default)) = (settings.contains_key(name), &spec.default) {
            settings.insert(name.clone(), default.clone());
        }
    }
    for name in manifest.reference_maps.keys() {
        maps.as_object_mut().map(|m| m.entry(name.clone()).or_insert_with(|| json!({})));
    }
    json!({"settings": settings, "maps": maps, "connection": "sample", "now": now, "topic": topic})
}

/// The files under `samples/`, each with what it holds or why it is no sample.
pub(crate) fn samples(connector: &Connector) -> impl Iterator<Item = (&String, serde_json::Result<Sample>)> {
    let files =
        connector.files.iter().filter(|(path, _)| path.starts_with("samples/") && path.ends_with(".json"));
    files.map(|(path, text)| (path, serde_json::from_str(text)))
}

/// Everything that a folder lacks or gets wrong; its programs compile already, or it would not have been loaded.
pub fn check_folder(connector: &Arc<Connector>) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut say = |file: &str, message: String| {
        problems.push(Diagnostic::new(format!("{}/{file}", connector.name), message));
    };
    if connector.files.get("README.md").is_none_or(|text| text.lines().count() < 10) {
        say(
            "README.md",
            "is missing or says next to nothing: what it covers, how the other side is set up, limits, traps"
                .into(),
        );
    }
    for message in manifest_gaps(connector) {
        say(MANIFEST, message);
    }
    for (file, name) in missing_documents(connector) {
        say(&file, format!("there is no file `{name}` in the folder"));
    }
    let mut covered = BTreeSet::new();
    for (path, sample) in samples(connector) {
        match sample {
            Err(error) => say(path, format!("is no sample: {error}")),
            Ok(sample) => {
                if let Err(message) = try_sample(connector, &sample) {
                    say(path, message);
                }
                covered.extend(sample.topic.filter(|_| sample.step.is_none()));
            }
        }
    }
    let manifest = &connector.manifest;
    let fetches = manifest.fetch.keys().map(|name| format!("fetch:{name}"));
    let streams =
        manifest.streams.iter().filter(|(_, s)| s.read.is_some()).map(|(n, _)| format!("stream:{n}"));
    // One sample is enough for topics that share a mapping.
    let mapped: BTreeSet<&str> = covered
        .iter()
        .filter_map(|t| read_program(manifest, t).ok())
        .map(|code| code.text.as_str())
        .collect();
    for topic in fetches.chain(streams) {
        if read_program(manifest, &topic).is_ok_and(|code| !mapped.contains(code.text.as_str())) {
            say("samples", format!("no sample is of topic `{topic}`"));
        }
    }
    problems
}

/// What a manifest may leave out by its types but must not.
fn manifest_gaps(connector: &Connector) -> Vec<String> {
    let manifest = &connector.manifest;
    let mut gaps = Vec::new();
    let settings = manifest.settings.iter().map(|(name, s)| (format!("settings.{name}"), &s.help));
    let secrets = manifest.secrets.iter().map(|(name, s)| (format!("secrets.{name}"), &s.help));
    let maps = manifest.reference_maps.iter().map(|(name, m)| (format!("reference_maps.{name}"), &m.help));
    for (place, _) in settings.chain(secrets).chain(maps).filter(|(_, help)| help.trim().is_empty()) {
        gaps.push(format!("{place}: has no help; say what it does and where to find it"));
    }
    for (name, operation) in &manifest.operations {
        for step in operation.steps.iter().filter(|s| s.writes && s.done_when.is_none()) {
            // Without `done_when` a step is sent again whenever a delivery starts anew.
            if !matches!(step.idempotent, Some(Idempotent::Key | Idempotent::Upsert)) {
                gaps.push(format!(
                    "operations.{name}: step `{}` is not harmless when repeated, so it needs `done_when`",
                    step.name
                ));
            }
        }
    }
    gaps
}

/// Names of `.graphql` documents in programs that are not in the folder, with the file that names them.
fn missing_documents(connector: &Connector) -> Vec<(String, String)> {
    let mut missing = Vec::new();
    let programs = connector.files.iter().filter(|(path, _)| path.ends_with(".vrl") || *path == MANIFEST);
    for (file, text) in programs {
        for quoted in text.split('"').filter(|part| part.ends_with(".graphql")) {
            if !quoted.contains(char::is_whitespace) && !connector.files.contains_key(quoted) {
                missing.push((file.clone(), quoted.to_owned()));
            }
        }
    }
    missing
}

fn try_sample(connector: &Connector, sample: &Sample) -> Result<(), String> {
    let manifest = &connector.manifest;
    let meta = sample.meta(manifest);
    let run = |code: &Code, input: &Value| {
        // Bodies pass the lossless reader in real life.
        let mut input = input.clone();
        make_lossless(&mut input);
        connector.programs.run(code, &input, &meta).map_err(|e| e.to_string())
    };
    if let Some(code) = sample.request(manifest)? {
        return compare(&sample.expect, &run(code, &sample.context)?);
    }
    match (&sample.topic, &sample.operation) {
        (Some(topic), None) if topic.starts_with("webhook:") => {
            let hooks = manifest.webhooks.as_ref().ok_or("the connector has no webhooks")?;
            compare(&sample.expect, &run(&hooks.hints, &sample.body)?)
        }
        (Some(topic), None) => {
            let code = read_program(manifest, topic).map_err(|e| e.to_string())?;
            let output = run(code, &sample.body)?;
            for change in read_changes(&output).map_err(first)?.iter().filter(|change| !change.deleted) {
                check_partial(change.kind, &change.payload).map_err(first)?;
            }
            compare(&sample.expect, &output["changes"])
        }
        (None, Some(name)) => {
            let code = &operation(manifest, name)?.result;
            compare(&sample.expect, &run(code, &sample.context)?)
        }
        _ => Err("give either `topic` or `operation`".into()),
    }
}

pub(crate) fn operation<'a>(manifest: &'a Manifest, name: &str) -> Result<&'a Operation, String> {
    let key: OperationName = name.parse()?;
    manifest.operations.get(&key).ok_or_else(|| format!("there is no operation `{name}`"))
}

fn first(problems: Vec<Problem>) -> String {
    problems.first().map(ToString::to_string).unwrap_or_default()
}

/// Equal, or the first path at which they differ. Null and absent are two things.
fn compare(expect: &Value, found: &Value) -> Result<(), String> {
    let mut expect = expect.clone();
    make_lossless(&mut expect);
    match difference("", Some(&expect), Some(found)) {
        None => Ok(()),
        Some(text) => Err(text),
    }
}

fn difference(path: &str, expect: Option<&Value>, found: Option<&Value>) -> Option<String> {
    match (expect, found) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| difference(&format!("{path}.{key}"), a.get(key), b.get(key)))
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(n, (a, b))| difference(&format!("{path}[{n}]"), Some(a), Some(b))),
        (a, b) if a == b => None,
        (a, b) => {
            let shown =
                |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            Some(format!("{path}: expected {}, got {}", shown(a), shown(b)))
        }
    }
}
