//! Holds a payload against the canonical shape of its kind and the rules of money and quantity.
//!
//! Never: repairs or recomputes anything; puts a value of a payload into a message, codes and amounts apart.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kind::Kind;
use crate::shape::{Payload, by_kind};

/// How many problems are reported at most: a person reads the first ones.
const MOST_PROBLEMS: usize = 100;

/// One thing that is wrong with a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where: `lines[0].item`; empty for the payload as a whole.
    pub path: String,
    /// What is wrong, in words for a person; no personal datum.
    pub message: String,
    /// What should stand there.
    pub expected: String,
}

impl Problem {
    pub(crate) fn new(
        path: impl Into<String>,
        message: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), message: message.into(), expected: expected.into() }
    }

    fn missing(path: impl Into<String>) -> Self {
        Self::new(path, "is missing", "a value")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "payload" } else { &self.path };
        write!(f, "{path}: {}", self.message)?;
        if self.expected.is_empty() { Ok(()) } else { write!(f, ", expected {}", self.expected) }
    }
}

/// Checks a whole payload: shape, required fields, then the kind's rules.
///
/// # Errors
/// Every problem found, a hundred at most; the rules are looked at once the shape is right.
pub fn check(kind: Kind, payload: &Value) -> Result<(), Vec<Problem>> {
    by_kind!(kind, check_whole(payload))
}

/// Checks the shape of what is given and requires nothing: for a change before it is merged.
///
/// A top-level field that is given must be whole; null clears it.
///
/// # Errors
/// One problem for each field, or entry of a list, that is at fault.
pub fn check_partial(kind: Kind, payload: &Value) -> Result<(), Vec<Problem>> {
    by_kind!(kind, check_shape(payload))
}

/// Reads a payload as its typed shape, requiring nothing.
///
/// # Errors
/// As [`check_partial`].
pub fn read<T: Payload>(payload: &Value) -> Result<T, Vec<Problem>> {
    let Some(fields) = payload.as_object() else {
        return Err(vec![Problem::new("", format!("is {}", type_of(payload)), "an object")]);
    };
    deserialize(payload).map_err(|first| {
        // The shape's reader stops at the first problem; a person wants all of them.
        let mut found: Vec<Problem> =
            fields.iter().flat_map(|(name, value)| field_problems::<T>(name, value)).collect();
        if found.is_empty() {
            found.push(first);
        }
        found.truncate(MOST_PROBLEMS);
        found
    })
}

fn check_whole<T: Payload>(payload: &Value) -> Result<(), Vec<Problem>> {
    let typed = read::<T>(payload);
    let absent = |name: &&&str| payload.get(**name).is_none_or(Value::is_null);
    let mut found: Vec<Problem> = match payload.is_object() {
        true => T::REQUIRED.iter().filter(absent).map(|name| Problem::missing(*name)).collect(),
        false => Vec::new(),
    };
    match typed {
        Ok(typed) => typed.rules(&mut found),
        Err(problems) => found.extend(problems),
    }
    found.truncate(MOST_PROBLEMS);
    if found.is_empty() { Ok(()) } else { Err(found) }
}

fn check_shape<T: Payload>(payload: &Value) -> Result<(), Vec<Problem>> {
    read::<T>(payload).map(|_| ())
}

/// The problems of one top-level field; of a list, the first problem of each entry.
fn field_problems<T: Payload>(name: &str, value: &Value) -> Vec<Problem> {
    let alone =
        |value: Value| deserialize::<T>(&Value::Object(Map::from_iter([(name.to_owned(), value)]))).err();
    let Some(problem) = alone(value.clone()) else { return Vec::new() };
    let Some(entries) = value.as_array() else { return vec![problem] };
    let first = format!("{name}[0]");
    let each = entries.iter().enumerate().filter_map(|(index, entry)| {
        let mut problem = alone(Value::Array(vec![entry.clone()]))?;
        if let Some(rest) = problem.path.strip_prefix(&first) {
            problem.path = format!("{name}[{index}]{rest}");
        }
        Some(problem)
    });
    let found: Vec<Problem> = each.take(MOST_PROBLEMS).collect();
    if found.is_empty() { vec![problem] } else { found }
}

fn deserialize<T: Payload>(payload: &Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(payload)
        .map_err(|error| translate(&error.path().to_string(), &error.inner().to_string()))
}

/// Puts the reader's message into our words and takes out the value it quotes, which may be personal. This words a
/// message; nothing is decided by it.
fn translate(path: &str, text: &str) -> Problem {
    let path = if path == "." { "" } else { path };
    let (what, expected) = text.split_once(", expected ").unwrap_or((text, ""));
    let quoted = what.split('`').nth(1).unwrap_or_default();
    let expected = plain(expected);
    if what.starts_with("missing field") {
        Problem::missing(joined(path, quoted))
    } else if what.starts_with("unknown field") {
        let message = "is no field of the canonical shape; custom fields belong in `extra`";
        Problem::new(joined(path, quoted), message, expected)
    } else if what.starts_with("unknown variant") {
        let value: String = quoted.chars().take(40).collect();
        Problem::new(path, format!("`{value}` is not a value of this field"), expected)
    } else if let Some(what) =
        what.strip_prefix("invalid type: ").or_else(|| what.strip_prefix("invalid value: "))
    {
        let what = what.split(['"', '`']).next().unwrap_or_default().trim_end();
        Problem::new(path, format!("is {what}"), expected)
    } else {
        Problem::new(path, what, expected)
    }
}

/// The reader's names of types in plain words.
fn plain(expected: &str) -> String {
    const WORDS: &[(&str, &str)] =
        &[("a sequence", "a list"), ("a map", "an object"), ("a boolean", "true or false")];
    if let Some(name) = expected.strip_prefix("struct ") {
        return format!("an object ({name})");
    }
    WORDS.iter().find(|(theirs, _)| *theirs == expected).map_or(expected, |(_, ours)| ours).to_owned()
}

/// A path with a name at its end, once.
fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else if path == name || path.ends_with(&format!(".{name}")) {
        path.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
