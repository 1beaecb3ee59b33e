//! Reading by id, following hints, and making changes of what was read.
//!
//! Never: keeps anything; decides whether what was read is news.

use std::collections::BTreeSet;

use counterpart_mapping::changes::{ReadChange, read_changes};
use counterpart_mapping::json::read_json;
use counterpart_mapping::report::{Report, try_mapping};
use counterpart_model::check::check_partial;
use counterpart_model::delivery::FailureClass;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::budget::Purpose;
use crate::connection::{CallError, Connection};
use crate::error::ReadError;
use crate::manifest::{Code, Fetch, RequestKind};
use crate::path::text_of;

/// What a webhook asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Read this back.
    Fetch {
        /// Name of the fetch.
        name: String,
        /// Remote id.
        id: String,
    },
    /// Nothing, by this rule.
    Ignore {
        /// The rule.
        rule: String,
    },
}

/// One thing that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Remote id.
    pub id: String,
    /// As it came, one JSON object.
    pub body: Vec<u8>,
    /// Hash of it, whatever the order of its keys, hex.
    pub fingerprint: String,
}

/// What a read by id gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    /// When the read began: what it gave is at least as new.
    pub read_began: Timestamp,
    /// What came.
    pub items: Vec<Item>,
    /// Ids that were asked for and did not come.
    pub missing: Vec<String>,
}

impl Connection {
    /// What a webhook's body asks for.
    ///
    /// # Errors
    /// When it cannot be read or the connector's program fails on it.
    pub fn hints(&self, topic: &str, body: &[u8]) -> Result<Vec<Hint>, ReadError> {
        let hooks = self.inner.connector.manifest.webhooks.as_ref();
        let hooks = hooks.ok_or_else(|| ReadError::NoSuch("webhooks".into()))?;
        let input = read_json(body).map_err(|e| ReadError::Unreadable(e.to_string()))?;
        let meta = self.inner.meta(self.inner.clock.now(), Some(topic));
        let found = self.inner.run(&hooks.hints, &input, &meta)?;
        let invalid = |index: usize, message: &str| ReadError::Invalid {
            file: hooks.hints.file().unwrap_or("webhooks.hints").to_owned(),
            problems: vec![counterpart_model::check::Problem {
                path: format!("[{index}]"),
                message: message.to_owned(),
                expected: "{\"fetch\": name, \"id\": text} or {\"ignore\": rule}".into(),
            }],
        };
        let mut hints = Vec::new();
        for (index, hint) in found.as_array().into_iter().flatten().enumerate() {
            let text = |name: &str| hint.get(name).and_then(id_of);
            match (text("fetch"), text("id"), text("ignore")) {
                (Some(name), Some(id), _) if self.inner.connector.manifest.fetch.contains_key(&name) => {
                    hints.push(Hint::Fetch { name, id });
                }
                (Some(name), Some(_), _) => return Err(ReadError::NoSuch(format!("fetch `{name}`"))),
                (_, _, Some(rule)) => hints.push(Hint::Ignore { rule }),
                _ => return Err(invalid(index, "is no hint")),
            }
        }
        Ok(hints)
    }

    /// Reads things by id.
    ///
    /// # Errors
    /// When a call fails; nothing of what came before is given then.
    pub async fn fetch(&self, name: &str, ids: &[String], purpose: Purpose) -> Result<Fetched, CallError> {
        let fetch = self.inner.connector.manifest.fetch.get(name).ok_or_else(|| {
            CallError::not_sent(FailureClass::Rejected, format!("the connector has no fetch `{name}`"))
        })?;
        let read_began = self.inner.clock.now();
        let mut fetched = Fetched { read_began, items: Vec::new(), missing: Vec::new() };
        for some in ids.chunks(fetch.max_ids.max(1)) {
            self.fetch_some(name, fetch, some, purpose, &mut fetched).await?;
        }
        Ok(fetched)
    }

    async fn fetch_some(
        &self,
        name: &str,
        fetch: &Fetch,
        ids: &[String],
        purpose: Purpose,
        into: &mut Fetched,
    ) -> Result<(), CallError> {
        let meta = self.inner.meta(into.read_began, None);
        let program = |code: &Code, input: &Value| {
            self.inner.run(code, input, &meta).map_err(|error| {
                CallError::not_sent(FailureClass::Rejected, format!("fetch `{name}`: {error}"))
            })
        };
        let call = async |request: Value| {
            let timeout = self.inner.timeout;
            self.inner.call(&request, RequestKind::Read, purpose, timeout).await.map_err(|(error, _)| error)
        };
        let answer = call(program(&fetch.request, &json!({ "ids": ids }))?).await?;
        let mut steps = Map::new();
        for then in &fetch.then {
            let input = json!({ "ids": ids, "body": answer.body, "steps": steps });
            let request = program(&then.request, &input)?;
            let kept = if request.is_null() { Value::Null } else { call(request).await?.body };
            steps.insert(then.name.clone(), kept);
        }
        let input = answer.input(&json!({ "ids": ids, "steps": steps }));
        let mut came = BTreeSet::new();
        for item in program(&fetch.items, &input)?.as_array().into_iter().flatten() {
            let Some(id) = id_of(&program(&fetch.id, item)?) else { continue };
            came.insert(id.clone());
            into.items.push(self::item(id, item));
        }
        into.missing.extend(ids.iter().filter(|id| !came.contains(*id)).cloned());
        Ok(())
    }

    /// Makes changes of what was read: `topic` is `fetch:NAME` or `stream:NAME`.
    ///
    /// # Errors
    /// When it is no JSON, the mapping fails on it, or what comes out breaks the canonical shape.
    pub fn read(
        &self,
        topic: &str,
        body: &[u8],
        read_began: Timestamp,
    ) -> Result<Vec<ReadChange>, ReadError> {
        let code = self.read_program(topic)?;
        let input = read_json(body).map_err(|e| ReadError::Unreadable(e.to_string()))?;
        let output = self.inner.run(code, &input, &self.inner.meta(read_began, Some(topic)))?;
        let invalid =
            |problems| ReadError::Invalid { file: code.file().unwrap_or(topic).to_owned(), problems };
        let changes = read_changes(&output).map_err(invalid)?;
        for (index, change) in changes.iter().enumerate().filter(|(_, change)| !change.deleted) {
            if let Err(mut problems) = check_partial(change.kind, &change.payload) {
                for problem in &mut problems {
                    problem.path = format!("changes[{index}].payload.{}", problem.path);
                }
                return Err(invalid(problems));
            }
        }
        Ok(changes)
    }

    /// Tries a read mapping on a sample and says everything that is wrong.
    ///
    /// # Errors
    /// When there is no such topic.
    pub fn try_read(&self, topic: &str, body: &[u8]) -> Result<Report, ReadError> {
        let code = self.read_program(topic)?;
        let meta = self.inner.meta(self.inner.clock.now(), Some(topic));
        match self.inner.connector.programs.program(code) {
            Some(program) => Ok(try_mapping(program, body, &meta, None)),
            None => Err(ReadError::NoSuch(format!("program for `{topic}`"))),
        }
    }

    fn read_program(&self, topic: &str) -> Result<&Code, ReadError> {
        read_program(&self.inner.connector.manifest, topic)
    }
}

/// The read mapping of a topic.
///
/// # Errors
/// When there is none, with those there are.
pub(crate) fn read_program<'a>(
    manifest: &'a crate::manifest::Manifest,
    topic: &str,
) -> Result<&'a Code, ReadError> {
    let none = || {
        let fetches = manifest.fetch.keys().map(|name| format!("fetch:{name}"));
        let streams = manifest.streams.iter().filter(|(_, s)| s.read.is_some());
        let known: Vec<_> = fetches.chain(streams.map(|(name, _)| format!("stream:{name}"))).collect();
        ReadError::NoSuch(format!("topic `{topic}` that can be read; it has: {}", known.join(", ")))
    };
    let (what, name) = topic.split_once(':').ok_or_else(none)?;
    match what {
        "fetch" => manifest.fetch.get(name).map(|f| &f.read).ok_or_else(none),
        "stream" => manifest.streams.get(name).and_then(|s| s.read.as_ref()).ok_or_else(none),
        _ => Err(none()),
    }
}

/// An id as text; an empty one is none.
pub(crate) fn id_of(value: &Value) -> Option<String> {
    text_of(value).filter(|text| !text.is_empty())
}

/// One item with its fingerprint.
pub(crate) fn item(id: String, value: &Value) -> Item {
    let body = value.to_string().into_bytes();
    let mut hash = Sha256::new();
    canonical(value, &mut hash);
    Item { id, body, fingerprint: hex::encode(hash.finalize()) }
}

/// Hashes a value whatever the order of keys.
fn canonical(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<_> = fields.keys().collect();
            keys.sort();
            hash.update(b"{");
            for key in keys {
                hash.update(Value::String(key.clone()).to_string());
                hash.update(b":");
                canonical(&fields[key], hash);
                hash.update(b",");
            }
            hash.update(b"}");
        }
        Value::Array(entries) => {
            hash.update(b"[");
            for entry in entries {
                canonical(entry, hash);
                hash.update(b",");
            }
            hash.update(b"]");
        }
        scalar => hash.update(scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_is_no_news() {
        let print = |value: Value| item("1".into(), &value).fingerprint;
        assert_eq!(
            print(json!({"a": 1, "b": [1, {"x": 1, "y": 2}]})),
            print(json!({"b": [1, {"y": 2, "x": 1}], "a": 1}))
        );
        assert_ne!(print(json!({"a": [1, 2]})), print(json!({"a": [2, 1]})));
        assert_ne!(print(json!({"a": "1"})), print(json!({"a": 1})));
    }
}
