//! Between JSON values and VRL's: conversion both ways, and the view of input and metadata that a program runs on.
//!
//! Never: lets a floating-point number in or out.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use vrl::compiler::{SecretTarget, Target};
use vrl::path::{OwnedSegment, OwnedTargetPath, OwnedValuePath, PathPrefix};
use vrl::value::{KeyString, ObjectMap, Value};

use crate::json;

/// How many values an input may hold, every entry and field counted: some twenty times an order of 10,000 lines.
pub(crate) const MAX_VALUES: usize = 10_000_000;

/// More values than a program is run on.
#[derive(Debug)]
pub(crate) struct TooMuch;

/// A JSON value as VRL's; numbers that are no safe integers become decimal strings.
pub(crate) fn from_json(value: &Json, left: &mut usize) -> Result<Value, TooMuch> {
    *left = left.checked_sub(1).ok_or(TooMuch)?;
    Ok(match value {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Boolean(*flag),
        Json::String(text) => Value::from(text.as_str()),
        Json::Number(number) => match number.as_i64().filter(|n| json::is_safe(*n)) {
            Some(number) => Value::Integer(number),
            None => {
                let token = number.to_string();
                Value::from(json::decimal_text(&token).unwrap_or(token))
            }
        },
        Json::Array(entries) => {
            let entries: Result<Vec<_>, _> = entries.iter().map(|entry| from_json(entry, left)).collect();
            Value::Array(entries?)
        }
        Json::Object(fields) => {
            let mut out = ObjectMap::new();
            for (key, field) in fields {
                out.insert(KeyString::from(key.as_str()), from_json(field, left)?);
            }
            Value::Object(out)
        }
    })
}

/// Which part of a value a program reads, so that the rest need not be converted: payloads are large, programs small.
#[derive(Debug, Default)]
pub(crate) struct Need {
    all: bool,
    fields: BTreeMap<String, Need>,
}

impl Need {
    /// The value at a path is read.
    pub(crate) fn add(&mut self, path: &OwnedValuePath) {
        let mut need = self;
        for segment in &path.segments {
            match segment {
                OwnedSegment::Field(key) => need = need.fields.entry(key.to_string()).or_default(),
                // Which entry it is depends on how many there are.
                OwnedSegment::Index(_) => break,
            }
        }
        need.all = true;
    }

    fn convert(&self, value: &Json, left: &mut usize) -> Result<Value, TooMuch> {
        let Some(source) = value.as_object().filter(|_| !self.all) else { return from_json(value, left) };
        let mut out = ObjectMap::new();
        for (key, need) in &self.fields {
            if let Some(field) = source.get(key) {
                out.insert(KeyString::from(key.as_str()), need.convert(field, left)?);
            }
        }
        Ok(Value::Object(out))
    }
}

/// A VRL value as JSON.
///
/// `Err` holds the path of a value that JSON cannot hold exactly, and what it is.
pub(crate) fn into_json(value: Value) -> Result<Json, (String, &'static str)> {
    let below = |(path, what): (String, _), step: String| {
        let joint = if path.is_empty() || path.starts_with('[') { "" } else { "." };
        (format!("{step}{joint}{path}"), what)
    };
    Ok(match value {
        Value::Null => Json::Null,
        Value::Boolean(flag) => Json::Bool(flag),
        Value::Integer(number) if json::is_safe(number) => Json::from(number),
        Value::Integer(number) => Json::from(number.to_string()),
        Value::String(text) => Json::String(text.to_string()),
        Value::Bytes(bytes) => match String::from_utf8(bytes.into()) {
            Ok(text) => Json::String(text),
            Err(error) => Json::String(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        },
        Value::Float(_) => return Err((String::new(), "a floating-point number")),
        Value::Regex(_) => return Err((String::new(), "a regular expression")),
        Value::Timestamp(_) => Json::String(value.to_string_lossy().into_owned()),
        Value::Array(entries) => {
            let entries = entries.into_iter().enumerate();
            let entries: Result<_, _> = entries
                .map(|(at, entry)| into_json(entry).map_err(|e| below(e, format!("[{at}]"))))
                .collect();
            Json::Array(entries?)
        }
        Value::Object(fields) => {
            let mut out = serde_json::Map::with_capacity(fields.len());
            for (key, field) in fields {
                let field = into_json(field).map_err(|e| below(e, key.to_string()))?;
                out.insert(key.into(), field);
            }
            Json::Object(out)
        }
    })
}

/// The value at a path of a JSON value; null and absent are told apart.
pub(crate) fn at<'a>(value: &'a Json, path: &OwnedValuePath) -> Option<&'a Json> {
    path.segments.iter().try_fold(value, |value, segment| match segment {
        OwnedSegment::Field(key) => value.as_object()?.get(key.as_str()),
        OwnedSegment::Index(index) => {
            let entries = value.as_array()?;
            let from_end = index.unsigned_abs();
            let index = if *index < 0 { entries.len().checked_sub(from_end)? } else { from_end };
            entries.get(index)
        }
    })
}

/// What a program runs on: as much of the input, which it may change for itself, and of the metadata as it reads.
///
/// Metadata may hold reference maps of thousands of entries, so look-ups by code go to the JSON value itself, through
/// [`SecretTarget::get_secret`], the one way that VRL has from a function to its host. No program can reach that: there
/// is no such function among those allowed.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    input: Value,
    metadata: Value,
    source: &'a Json,
}

/// Prefix of the key that stands for an entry of a reference map: prefix, map, NUL, code.
pub(crate) const MAP_KEY: &str = "map\0";

impl<'a> Scope<'a> {
    /// Prepares a run.
    pub(crate) fn new(input: (&Json, &Need), metadata: (&'a Json, &Need)) -> Result<Self, TooMuch> {
        let mut left = MAX_VALUES;
        Ok(Self {
            input: input.1.convert(input.0, &mut left)?,
            metadata: metadata.1.convert(metadata.0, &mut left)?,
            source: metadata.0,
        })
    }
}

impl Target for Scope<'_> {
    fn target_insert(&mut self, path: &OwnedTargetPath, value: Value) -> Result<(), String> {
        match path.prefix {
            PathPrefix::Event => {
                self.input.insert(&path.path, value);
                Ok(())
            }
            PathPrefix::Metadata => Err("metadata is read-only".into()),
        }
    }

    fn target_get(&self, path: &OwnedTargetPath) -> Result<Option<&Value>, String> {
        Ok(match path.prefix {
            PathPrefix::Event => self.input.get(&path.path),
            PathPrefix::Metadata => self.metadata.get(&path.path),
        })
    }

    fn target_get_mut(&mut self, path: &OwnedTargetPath) -> Result<Option<&mut Value>, String> {
        match path.prefix {
            PathPrefix::Event => Ok(self.input.get_mut(&path.path)),
            PathPrefix::Metadata => Err("metadata is read-only".into()),
        }
    }

    fn target_remove(&mut self, path: &OwnedTargetPath, compact: bool) -> Result<Option<Value>, String> {
        match path.prefix {
            PathPrefix::Event => Ok(self.input.remove(&path.path, compact)),
            PathPrefix::Metadata => Err("metadata is read-only".into()),
        }
    }
}

impl SecretTarget for Scope<'_> {
    fn get_secret(&self, key: &str) -> Option<&str> {
        let (map, code) = key.strip_prefix(MAP_KEY)?.split_once('\0')?;
        self.source.get("maps")?.get(map)?.get(code)?.as_str()
    }

    fn insert_secret(&mut self, _: &str, _: &str) {}

    fn remove_secret(&mut self, _: &str) {}
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn json_goes_in_and_comes_out_the_same_and_floats_do_not() {
        let value = json!({ "a": [1, "2.50", null, true], "b": { "c": "ü" } });
        assert_eq!(into_json(from_json(&value, &mut 100).unwrap()).unwrap(), value);
        let lossy = from_json(&json!([1.5, u64::MAX]), &mut 100).unwrap();
        assert_eq!(into_json(lossy).unwrap(), json!(["1.5", "18446744073709551615"]));
        let float = vrl::value::Value::from_f64_or_zero(0.5);
        let nested = Value::Object([("a".into(), Value::Array(vec![Value::Null, float]))].into());
        assert_eq!(into_json(nested).unwrap_err(), ("a[1]".to_owned(), "a floating-point number"));
        assert!(from_json(&value, &mut 7).is_err());
    }

    #[test]
    fn only_what_is_read_is_converted() {
        let value = json!({ "a": { "b": 1, "c": 2 }, "d": [{ "e": 3, "f": 4 }], "g": 5 });
        let check = |paths: &[&str], expect: Json| {
            let mut need = Need::default();
            for path in paths {
                need.add(&vrl::path::parse_value_path(path).unwrap());
            }
            assert_eq!(into_json(need.convert(&value, &mut 100).unwrap()).unwrap(), expect, "{paths:?}");
        };
        check(&[], json!({}));
        check(&[".a.b", ".absent"], json!({ "a": { "b": 1 } }));
        check(&[".a.b", ".a"], json!({ "a": { "b": 1, "c": 2 } }));
        check(&[".d[0].e"], json!({ "d": [{ "e": 3, "f": 4 }] }));
        check(&[".g.h"], json!({ "g": 5 }));
        check(&["."], value.clone());
    }
}
