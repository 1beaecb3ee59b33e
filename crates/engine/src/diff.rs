//! The difference between two payloads, field by field.
//!
//! Never: looks at what a field means.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldDiff {
    /// Where: `lines[0].title`; entries with an `id` are named by it: `lines[id=7].title`.
    pub path: String,
    /// Before; null when it was not there.
    pub from: Value,
    /// After; null when it is gone.
    pub to: Value,
}

/// Fields that differ, in the order of the second payload. Absent and null are the same here.
pub fn diff(from: &Value, to: &Value) -> Vec<FieldDiff> {
    let mut out = Vec::new();
    compare("", from, to, &mut out);
    out
}

fn compare(path: &str, from: &Value, to: &Value, out: &mut Vec<FieldDiff>) {
    match (from, to) {
        (Value::Object(a), Value::Object(b)) => objects(path, a, b, out),
        (Value::Array(a), Value::Array(b)) if named(a) && named(b) => lists(path, a, b, out),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{index}]"), a, b, out);
            }
        }
        (a, b) if a != b => {
            out.push(FieldDiff { path: path.to_owned(), from: a.clone(), to: b.clone() });
        }
        _ => {}
    }
}

fn objects(path: &str, a: &Map<String, Value>, b: &Map<String, Value>, out: &mut Vec<FieldDiff>) {
    let at = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    for (key, to) in b {
        compare(&at(key), a.get(key).unwrap_or(&Value::Null), to, out);
    }
    for (key, from) in a.iter().filter(|(key, _)| !b.contains_key(*key)) {
        compare(&at(key), from, &Value::Null, out);
    }
}

fn named(list: &[Value]) -> bool {
    !list.is_empty() && list.iter().all(|entry| id(entry).is_some())
}

fn id(entry: &Value) -> Option<&str> {
    entry.get("id")?.as_str()
}

fn lists(path: &str, a: &[Value], b: &[Value], out: &mut Vec<FieldDiff>) {
    let find = |list: &[Value], name: &str| list.iter().find(|e| id(e) == Some(name)).cloned();
    for to in b {
        let name = id(to).unwrap_or_default();
        compare(&format!("{path}[id={name}]"), &find(a, name).unwrap_or_default(), to, out);
    }
    for from in a {
        let name = id(from).unwrap_or_default();
        if find(b, name).is_none() {
            compare(&format!("{path}[id={name}]"), from, &Value::Null, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_told_by_path() {
        for (from, to, expect) in [
            (json!({"a": 1}), json!({"a": 1}), vec![]),
            (json!({"a": 1}), json!({"a": 2}), vec!["a"]),
            (json!({}), json!({"a": {"b": 1}}), vec!["a"]),
            (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 1}}), vec!["a.c"]),
            (json!({"a": null}), json!({}), vec![]),
            (json!({"l": [{"id": "1", "q": "1"}]}), json!({"l": [{"id": "1", "q": "2"}]}), vec!["l[id=1].q"]),
            (json!({"l": [{"id": "1"}, {"id": "2"}]}), json!({"l": [{"id": "2"}]}), vec!["l[id=1]"]),
            (json!({"l": [1, 2]}), json!({"l": [1, 3]}), vec!["l[1]"]),
            (json!({"l": [1]}), json!({"l": [1, 3]}), vec!["l"]),
        ] {
            let paths: Vec<_> = diff(&from, &to).into_iter().map(|d| d.path).collect();
            assert_eq!(paths, expect, "{from} to {to}");
        }
    }
}
