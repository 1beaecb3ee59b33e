//! Schemas of OpenAPI 3.0 as schemas of JSON Schema, made stricter: what a schema does not name may not be sent.
//!
//! Never: looks at answers; fetches what a reference names elsewhere.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::{Result, anyhow};
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

/// The schemas of one document.
pub struct Schemas {
    /// `components` of the document, made over.
    components: Value,
    seen: RefCell<HashMap<String, Rc<Validator>>>,
}

/// Words of OpenAPI that say nothing about validity, or say it in another way.
const DROPPED: &[&str] = &[
    "nullable",
    "example",
    "examples",
    "description",
    "title",
    "default",
    "discriminator",
    "xml",
    "externalDocs",
    "deprecated",
    "readOnly",
    "writeOnly",
];

impl Schemas {
    /// Those under `components.schemas` of a document.
    pub fn new(document: &Value) -> Self {
        let all = document.pointer("/components/schemas").and_then(Value::as_object);
        let made = |closed: bool| -> Map<String, Value> {
            all.into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), made_over(schema, closed)))
                .collect()
        };
        let components = json!({"schemas": made(true), "open": made(false)});
        Self { components, seen: RefCell::default() }
    }

    /// What is wrong with a value, each with where.
    pub fn check(&self, schema: &Value, value: &Value) -> Result<Vec<String>> {
        let validator = self.validator(schema)?;
        let told = |error: jsonschema::ValidationError<'_>| {
            let mut message = error.to_string();
            if message.chars().count() > 200 {
                message = message.chars().take(200).chain("...".chars()).collect();
            }
            match error.instance_path.as_str() {
                "" => message,
                place => format!("{place}: {message}"),
            }
        };
        Ok(validator.iter_errors(value).map(told).collect())
    }

    fn validator(&self, schema: &Value) -> Result<Rc<Validator>> {
        let key = schema.to_string();
        if let Some(known) = self.seen.borrow().get(&key) {
            return Ok(Rc::clone(known));
        }
        let mut whole = made_over(schema, true);
        if let Some(fields) = whole.as_object_mut() {
            fields.insert("components".into(), self.components.clone());
        }
        let built = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .build(&whole)
            .map_err(|error| anyhow!("a schema of the contract cannot be used: {error}"))?;
        let built = Rc::new(built);
        self.seen.borrow_mut().insert(key, Rc::clone(&built));
        Ok(built)
    }
}

/// `closed`: names that are not there are refused. What is only a part of a whole (`allOf`) stays open.
fn made_over(schema: &Value, closed: bool) -> Value {
    let Some(fields) = schema.as_object() else { return schema.clone() };
    let nullable = fields.get("nullable") == Some(&json!(true));
    if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
        let reference = if closed { reference.to_owned() } else { reference.replace("/schemas/", "/open/") };
        let plain = json!({"$ref": reference});
        return if nullable { json!({"anyOf": [plain, {"type": "null"}]}) } else { plain };
    }
    let mut out = Map::new();
    let whole = fields.contains_key("allOf") || (fields.contains_key("properties") && has_choice(fields));
    for (word, value) in fields.iter().filter(|(word, _)| !DROPPED.contains(&word.as_str())) {
        let value = match (word.as_str(), value) {
            ("properties", Value::Object(all)) => {
                all.iter().map(|(name, of)| (name.clone(), property(of))).collect::<Map<_, _>>().into()
            }
            ("items" | "additionalProperties" | "not", Value::Object(_)) => made_over(value, true),
            ("allOf" | "anyOf" | "oneOf", Value::Array(parts)) => {
                parts.iter().map(|part| made_over(part, closed && !whole)).collect()
            }
            ("exclusiveMinimum" | "exclusiveMaximum", Value::Bool(_)) => continue,
            ("type", Value::String(_)) if nullable => json!([value, "null"]),
            ("enum", Value::Array(values)) if nullable => {
                values.iter().cloned().chain([Value::Null]).collect()
            }
            _ => value.clone(),
        };
        out.insert(word.clone(), value);
    }
    if closed && whole {
        out.insert("unevaluatedProperties".into(), json!(false));
    } else if closed && fields.contains_key("properties") && !fields.contains_key("additionalProperties") {
        out.insert("additionalProperties".into(), json!(false));
    }
    Value::Object(out)
}

/// What is only read may not be sent.
fn property(schema: &Value) -> Value {
    if schema["readOnly"] == true { json!(false) } else { made_over(schema, true) }
}

fn has_choice(fields: &Map<String, Value>) -> bool {
    fields.contains_key("anyOf") || fields.contains_key("oneOf")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_schema_does_not_name_is_refused() {
        let schemas = Schemas::new(&json!({"components": {"schemas": {
            "Line": {"type": "object", "required": ["sku"], "properties": {
                "sku": {"type": "string", "maxLength": 3}, "id": {"type": "string", "readOnly": true},
                "price": {"type": "number", "nullable": true}}},
            "Named": {"type": "object", "properties": {"name": {"type": "string"}}},
            "Order": {"allOf": [{"$ref": "#/components/schemas/Named"},
                {"type": "object", "properties": {
                    "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}},
                    "first": {"$ref": "#/components/schemas/Line", "nullable": true},
                    "extra": {"type": "object", "additionalProperties": {"type": "string"}}}}]},
        }}}));
        let check = |value: Value| {
            schemas.check(&json!({"$ref": "#/components/schemas/Order"}), &value).unwrap().join("; ")
        };
        let line = json!({"sku": "A", "price": null});
        assert_eq!(check(json!({"name": "x", "lines": [line], "first": null, "extra": {"a": "b"}})), "");
        for (value, expect) in [
            (json!({"nmae": "x"}), "nmae"),
            (
                json!({"lines": [{"sku": "A", "sku2": 1}]}),
                "/lines/0: Additional properties are not allowed ('sku2'",
            ),
            (json!({"lines": [{}]}), "/lines/0: \"sku\" is a required property"),
            (json!({"lines": [{"sku": null}]}), "/lines/0/sku: null is not of type \"string\""),
            (json!({"lines": [{"sku": "ABCD"}]}), "longer than 3"),
            (json!({"lines": [{"sku": "A", "id": "1"}]}), "/lines/0/id"),
            (json!({"extra": {"a": 1}}), "/extra/a: 1 is not of type \"string\""),
            (json!({"first": {"sku": 1}}), "/first"),
        ] {
            let found = check(value);
            assert!(found.contains(expect), "expected `{expect}` in {found}");
        }
    }
}
