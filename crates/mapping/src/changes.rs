//! A read mapping's output as typed changes.
//!
//! Never: checks a payload's shape; [`counterpart_model::check`] does. Repeats a value in a problem.

use counterpart_model::check::Problem;
use counterpart_model::ids::ExternalId;
use counterpart_model::kind::Kind;
use counterpart_model::record::Role;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// Keys that a change may have.
pub(crate) const CHANGE_KEYS: &[&str] = &[
    "kind", "type", "id", "scope", "role", "label", "at", "sequence", "deleted", "settled", "links",
    "payload",
];

/// Keys that every change must have.
pub(crate) const REQUIRED_KEYS: &[&str] = &["kind", "type", "id"];

/// One change as a read mapping gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadChange {
    /// What it is about.
    pub kind: Kind,
    /// Its identity in the connection.
    pub external: ExternalId,
    /// The part that thing plays for its record; `primary` unless stated.
    pub role: Role,
    /// What people call it, never a personal datum.
    pub label: Option<String>,
    /// The remote system's modification time, when it has one that moves.
    pub at: Option<Timestamp>,
    /// The remote system's own revision, when it has one.
    pub sequence: Option<u64>,
    /// The thing was deleted there.
    pub deleted: bool,
    /// No further change is expected there.
    pub settled: bool,
    /// Ids of parts inside it; an object, empty unless stated.
    pub links: Value,
    /// The canonical payload, an object; null when deleted.
    pub payload: Value,
}

/// Parses what a read mapping gave.
///
/// # Errors
/// Every problem with its path, such as `changes[0].kind`.
pub fn read_changes(output: &Value) -> Result<Vec<ReadChange>, Vec<Problem>> {
    let fault = |path: &str, message: &str, expected: &str| {
        vec![Problem { path: path.into(), message: message.into(), expected: expected.into() }]
    };
    let Some(fields) = output.as_object() else {
        return Err(fault("", &format!("is {}", type_name(output)), "an object {\"changes\": [...]}"));
    };
    let entries = match fields.get("changes") {
        Some(Value::Array(entries)) => entries,
        Some(other) => {
            return Err(fault("changes", &format!("is {}", type_name(other)), "an array of changes"));
        }
        None => return Err(fault("changes", "is missing", "an array of changes, which may be empty")),
    };
    let mut changes = Vec::with_capacity(entries.len());
    let mut problems = Vec::new();
    for key in fields.keys().filter(|key| *key != "changes") {
        problems.extend(fault(&place(key), "nothing reads this key", "`changes` alone"));
    }
    for (index, entry) in entries.iter().enumerate() {
        let mut parser = Parser { path: format!("changes[{index}]"), problems: &mut problems };
        changes.extend(parser.change(entry));
    }
    if problems.is_empty() { Ok(changes) } else { Err(problems) }
}

struct Parser<'a> {
    path: String,
    problems: &'a mut Vec<Problem>,
}

impl Parser<'_> {
    fn problem(&mut self, key: &str, message: impl Into<String>, expected: &str) {
        let path = if key.is_empty() { self.path.clone() } else { format!("{}.{key}", self.path) };
        self.problems.push(Problem { path, message: message.into(), expected: expected.into() });
    }

    fn change(&mut self, entry: &Value) -> Option<ReadChange> {
        let Some(fields) = entry.as_object() else {
            self.problem("", format!("is {}", type_name(entry)), "an object with kind, type, id and payload");
            return None;
        };
        let before = self.problems.len();
        for key in fields.keys().filter(|key| !CHANGE_KEYS.contains(&key.as_str())) {
            self.problem(
                &place(key),
                "nothing reads this key",
                &format!("one of {}", CHANGE_KEYS.join(", ")),
            );
        }
        let kind = self.kind(fields);
        let remote_type = self.text(fields, "type", true);
        let id = self.text(fields, "id", true);
        let scope = self.text(fields, "scope", false).unwrap_or_default();
        let role = self.role(fields);
        let label = self.text(fields, "label", false);
        let at = self.at(fields);
        let sequence = self.sequence(fields);
        let deleted = self.flag(fields, "deleted");
        let settled = self.flag(fields, "settled");
        let links = self.object(fields, "links").unwrap_or_else(|| Value::Object(Map::new()));
        let payload = if deleted { Some(Value::Null) } else { self.object(fields, "payload") };
        if payload.is_none() && self.problems.len() == before {
            self.problem("payload", "is missing", "an object, or `deleted: true`");
        }
        if self.problems.len() > before {
            return None;
        }
        let external = ExternalId { scope, remote_type: remote_type?, id: id? };
        Some(ReadChange {
            kind: kind?,
            external,
            role,
            label,
            at,
            sequence,
            deleted,
            settled,
            links,
            payload: payload?,
        })
    }

    fn kind(&mut self, fields: &Map<String, Value>) -> Option<Kind> {
        let text = self.text(fields, "kind", true)?;
        let kind = Kind::ALL.iter().copied().find(|kind| kind.as_str() == text);
        if kind.is_none() {
            let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
            self.problem("kind", "is no kind of record", &format!("one of {}", names.join(", ")));
        }
        kind
    }

    fn role(&mut self, fields: &Map<String, Value>) -> Role {
        match self.text(fields, "role", false).as_deref() {
            None | Some("primary") => Role::Primary,
            Some("part") => Role::Part,
            Some("shared") => Role::Shared,
            Some("alias") => Role::Alias,
            Some(_) => {
                self.problem("role", "is no role", "primary, part, shared or alias");
                Role::Primary
            }
        }
    }

    /// A text, or an integer as text: ids are numbers in many systems.
    fn text(&mut self, fields: &Map<String, Value>, key: &str, required: bool) -> Option<String> {
        let text = match fields.get(key) {
            None | Some(Value::Null) if !required => return None,
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) if number.is_i64() => number.to_string(),
            None => {
                self.problem(key, "is missing", "a text");
                return None;
            }
            Some(other) => {
                self.problem(key, format!("is {}", type_name(other)), "a text");
                return None;
            }
        };
        if required && text.is_empty() {
            self.problem(key, "is empty", "a text");
            return None;
        }
        Some(text)
    }

    fn at(&mut self, fields: &Map<String, Value>) -> Option<Timestamp> {
        let text = self.text(fields, "at", false)?;
        let at = text.parse().ok();
        if at.is_none() {
            self.problem("at", "is no instant", "RFC 3339 with an offset, such as date_to_utc gives");
        }
        at
    }

    fn sequence(&mut self, fields: &Map<String, Value>) -> Option<u64> {
        let text = self.text(fields, "sequence", false)?;
        let sequence = text.parse().ok();
        if sequence.is_none() {
            self.problem("sequence", "is no sequence", "a whole number from 0");
        }
        sequence
    }

    fn flag(&mut self, fields: &Map<String, Value>, key: &str) -> bool {
        match fields.get(key) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.problem(key, format!("is {}", type_name(other)), "true or false");
                false
            }
        }
    }

    fn object(&mut self, fields: &Map<String, Value>, key: &str) -> Option<Value> {
        match fields.get(key) {
            None | Some(Value::Null) => None,
            Some(object @ Value::Object(_)) => Some(object.clone()),
            Some(other) => {
                self.problem(key, format!("is {}", type_name(other)), "an object");
                None
            }
        }
    }
}

/// A key as part of a path; one that could be a datum is not repeated.
fn place(key: &str) -> String {
    let named = key.len() <= 40 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if named { key.to_owned() } else { "*".to_owned() }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_read_with_its_defaults() {
        let order = json!({ "kind": "order", "type": "Order", "id": 17, "payload": { "number": "1001" } });
        let gone = json!({
            "kind": "item", "type": "Variant", "id": "9", "scope": "eu", "role": "alias", "label": "MOUSE-1",
            "at": "2026-03-01T10:30:00+01:00", "sequence": 4, "deleted": true, "settled": true, "links": { "lines": {} },
            "payload": null,
        });
        let changes = read_changes(&json!({ "changes": [order, gone] })).unwrap();
        let external = |scope: &str, remote_type: &str, id: &str| ExternalId {
            scope: scope.into(),
            remote_type: remote_type.into(),
            id: id.into(),
        };
        assert_eq!(
            changes,
            [
                ReadChange {
                    kind: Kind::Order,
                    external: external("", "Order", "17"),
                    role: Role::Primary,
                    label: None,
                    at: None,
                    sequence: None,
                    deleted: false,
                    settled: false,
                    links: json!({}),
                    payload: json!({ "number": "1001" }),
                },
                ReadChange {
                    kind: Kind::Item,
                    external: external("eu", "Variant", "9"),
                    role: Role::Alias,
                    label: Some("MOUSE-1".into()),
                    at: Some("2026-03-01T09:30:00Z".parse().unwrap()),
                    sequence: Some(4),
                    deleted: true,
                    settled: true,
                    links: json!({ "lines": {} }),
                    payload: Value::Null,
                },
            ]
        );
        assert_eq!(read_changes(&json!({ "changes": [] })), Ok(Vec::new()));
    }

    #[test]
    fn every_problem_has_its_path() {
        let check = |output: Value, expect: &[&str]| {
            let problems = read_changes(&output).unwrap_err();
            let told: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
            assert_eq!(told, expect);
        };
        check(json!([]), &[": is an array"]);
        check(json!({}), &["changes: is missing"]);
        check(json!({ "changes": {} }), &["changes: is an object"]);
        check(json!({ "changes": [1] }), &["changes[0]: is a number"]);
        check(
            json!({ "changes": [{}] }),
            &["changes[0].kind: is missing", "changes[0].type: is missing", "changes[0].id: is missing"],
        );
        let good = json!({ "kind": "order", "type": "Order", "id": "1", "payload": {} });
        let with = |key: &str, value: Value| {
            let mut change = good.clone();
            change[key] = value;
            json!({ "changes": [good, change] })
        };
        check(with("kind", json!("orders")), &["changes[1].kind: is no kind of record"]);
        check(with("id", json!("")), &["changes[1].id: is empty"]);
        check(with("id", json!({})), &["changes[1].id: is an object"]);
        check(with("role", json!("owner")), &["changes[1].role: is no role"]);
        check(with("at", json!("yesterday")), &["changes[1].at: is no instant"]);
        check(with("sequence", json!(-1)), &["changes[1].sequence: is no sequence"]);
        check(with("deleted", json!("no")), &["changes[1].deleted: is a text"]);
        check(with("links", json!([])), &["changes[1].links: is an array"]);
        check(with("payload", json!(null)), &["changes[1].payload: is missing"]);
        check(with("lable", json!("x")), &["changes[1].lable: nothing reads this key"]);
        check(with("Ada Lovelace", json!("x")), &["changes[1].*: nothing reads this key"]);
    }
}
