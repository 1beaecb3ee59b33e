//! Paths into JSON, as manifests write them: `.data.*.errorCode`, `."party.".name`, `.error[0]`.
//!
//! Never: runs a program; changes what it looks at.

use std::str::FromStr;

use serde_json::Value;

/// A path into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Key(String),
    Index(usize),
    Any,
}

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no path; expected something like .data.orders[0].id, with * for any key or index")]
pub struct NotAPath(String);

impl Path {
    /// The first value that the path leads to, in document order. Null counts as absent.
    pub fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        first(&self.0, value).filter(|found| !found.is_null())
    }

    /// Every value that the path leads to, in document order; null counts as absent.
    pub fn find_all<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let mut found = Vec::new();
        every(&self.0, value, &mut found);
        found
    }

    /// As [`Path::find`], as text: a string as it is, a number or boolean as JSON writes it.
    pub fn find_text(&self, value: &Value) -> Option<String> {
        self.find(value).and_then(text_of)
    }

    /// There is a `*` in it.
    pub fn has_any(&self) -> bool {
        self.0.contains(&Part::Any)
    }

    /// The last key, when the path ends in one.
    pub fn last_key(&self) -> Option<&str> {
        match self.0.last() {
            Some(Part::Key(key)) => Some(key),
            _ => None,
        }
    }
}

/// A scalar as text; `None` for null, objects and arrays.
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn first<'a>(parts: &[Part], value: &'a Value) -> Option<&'a Value> {
    let Some((part, rest)) = parts.split_first() else { return Some(value) };
    match (part, value) {
        (Part::Key(key), Value::Object(map)) => first(rest, map.get(key)?),
        (Part::Index(index), Value::Array(list)) => first(rest, list.get(*index)?),
        (Part::Any, Value::Object(map)) => {
            map.values().find_map(|inner| first(rest, inner).filter(|v| !v.is_null()))
        }
        (Part::Any, Value::Array(list)) => {
            list.iter().find_map(|inner| first(rest, inner).filter(|v| !v.is_null()))
        }
        _ => None,
    }
}

fn every<'a>(parts: &[Part], value: &'a Value, found: &mut Vec<&'a Value>) {
    let Some((part, rest)) = parts.split_first() else {
        if !value.is_null() {
            found.push(value);
        }
        return;
    };
    match (part, value) {
        (Part::Key(key), Value::Object(map)) => map.get(key).into_iter().for_each(|v| every(rest, v, found)),
        (Part::Index(index), Value::Array(list)) => {
            list.get(*index).into_iter().for_each(|v| every(rest, v, found));
        }
        (Part::Any, Value::Object(map)) => map.values().for_each(|v| every(rest, v, found)),
        (Part::Any, Value::Array(list)) => list.iter().for_each(|v| every(rest, v, found)),
        _ => {}
    }
}

impl FromStr for Path {
    type Err = NotAPath;
    fn from_str(text: &str) -> Result<Self, NotAPath> {
        let wrong = || NotAPath(text.to_owned());
        if text == "." {
            return Ok(Self(Vec::new()));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let (inside, after) = after.split_once(']').ok_or_else(wrong)?;
                let part = match inside {
                    "*" => Part::Any,
                    _ => Part::Index(inside.parse().map_err(|_| wrong())?),
                };
                parts.push(part);
                rest = after;
                continue;
            }
            // A path may begin with an index of the root: `.[0]`.
            let after = rest.strip_prefix('.').ok_or_else(wrong)?;
            if parts.is_empty() && after.starts_with('[') {
                rest = after;
            } else if let Some(after) = after.strip_prefix('"') {
                let (key, after) = after.split_once('"').ok_or_else(wrong)?;
                parts.push(Part::Key(key.to_owned()));
                rest = after;
            } else {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let (key, after) = after.split_at(end);
                let plain = !key.is_empty()
                    && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'@');
                match key {
                    "*" => parts.push(Part::Any),
                    _ if plain => parts.push(Part::Key(key.to_owned())),
                    _ => return Err(wrong()),
                }
                rest = after;
            }
        }
        if parts.is_empty() { Err(wrong()) } else { Ok(Self(parts)) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_the_first_value() {
        let value = json!({
            "data": { "a": { "id": 1 }, "b": { "errorCode": "X", "ok": true } },
            "list": [{ "c": null }, { "c": 2.5 }], "party.": { "name": "n" }, "error": ["UserError", ["msg", "", null]],
        });
        let check = |path: &str, expect: Option<&str>| {
            assert_eq!(path.parse::<Path>().unwrap().find_text(&value).as_deref(), expect, "{path}");
        };
        check(".data.*.errorCode", Some("X"));
        check(".data.b.ok", Some("true"));
        check(".list[*].c", Some("2.5"));
        check(".list[0].c", None);
        check(".list[9].c", None);
        check(".\"party.\".name", Some("n"));
        check(".error[0]", Some("UserError"));
        check(".error[1][0]", Some("msg"));
        check(".error", None);
        let all = |path: &str| path.parse::<Path>().unwrap().find_all(&value).len();
        assert_eq!((all(".list[*].c"), all(".data.*.*"), all(".none.*")), (1, 3, 0));
        let list = json!([7]);
        assert_eq!(".[0]".parse::<Path>().unwrap().find_text(&list).as_deref(), Some("7"));
        assert_eq!(".".parse::<Path>().unwrap().find(&list), Some(&list));
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "a", ".a b", ".a[x]", ".a[", ".a..b", ".status == 200", ".a ?? 1", "%a", ".\"a"] {
            assert!(bad.parse::<Path>().is_err(), "{bad}");
        }
    }
}
