//! JSON Schema of every kind and the reference page, both made from the docs on the types.
//!
//! Never: a second description of a field; what a field means is said where it is declared.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::kind::Kind;
use crate::shape::{Payload, by_kind};
use crate::upcast::SCHEMA_VERSION;

/// JSON Schema (2020-12) of a kind's whole payload.
pub fn schema(kind: Kind) -> Value {
    by_kind!(kind, schema_of())
}

fn schema_of<T: Payload>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if !T::REQUIRED.is_empty() {
        schema["required"] = json!(T::REQUIRED);
    }
    // The reader takes a required field as optional, so that one type reads changes too; a whole record has it.
    for name in T::REQUIRED {
        if let Some(field) = schema.pointer_mut(&format!("/properties/{name}")) {
            not_null(field);
        }
    }
    schema["title"] = json!(T::KIND.as_str());
    schema
}

/// Takes the permission to be null away.
fn not_null(field: &mut Value) {
    let is_null = |value: &Value| *value == json!("null") || *value == json!({"type": "null"});
    if let Some(types) = field.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|t| !is_null(t));
        if let [only] = types.as_slice() {
            field["type"] = only.clone();
        }
    }
    if let Some(either) = field.get_mut("anyOf").and_then(Value::as_array_mut) {
        either.retain(|t| !is_null(t));
        if let [only] = either.as_slice()
            && let (Some(only), Some(field)) = (only.as_object().cloned(), field.as_object_mut())
        {
            field.remove("anyOf");
            field.extend(only);
        }
    }
}

/// The reference of all kinds and their fields, in Markdown.
pub fn reference_page() -> String {
    let mut page = format!(
        "# Canonical records\n\n\
         The fields of every kind of record, schema version {SCHEMA_VERSION}. Money and quantities are decimal strings. \
         In a change, an absent field says nothing and null clears it; a top-level field that is given is given whole. \
         A field marked with * must be there in a whole record.\n\n## Kinds\n"
    );
    let mut parts = BTreeMap::new();
    for kind in Kind::ALL {
        let schema = schema(*kind);
        section(&mut page, kind.as_str(), &schema);
        let definitions = schema.get("$defs").and_then(Value::as_object).into_iter().flatten();
        parts.extend(definitions.map(|(name, part)| (name.clone(), part.clone())));
    }
    page.push_str("\n## Parts\n");
    for (name, part) in &parts {
        section(&mut page, name, part);
    }
    page
}

/// A heading, what the thing is, and its fields or values.
fn section(page: &mut String, name: &str, schema: &Value) {
    let text = one_line(schema);
    let _ = write!(page, "\n### {name}\n\n{text}\n");
    if let Some(fields) = schema.get("properties").and_then(Value::as_object) {
        let _ = write!(page, "\n| field | type | meaning |\n|---|---|---|\n");
        let required = schema.get("required").and_then(Value::as_array);
        for (field, of) in fields {
            let star = if required.is_some_and(|r| r.contains(&json!(field))) { "*" } else { "" };
            let _ = writeln!(page, "| `{field}`{star} | {} | {} |", type_text(of), one_line(of));
        }
    }
    let values = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let values: Vec<&Value> = values.filter(|value| value.get("const").is_some()).collect();
    if !values.is_empty() {
        let _ = write!(page, "\n| value | meaning |\n|---|---|\n");
        for value in values {
            let name = value.get("const").and_then(Value::as_str).unwrap_or_default();
            let _ = writeln!(page, "| `{name}` | {} |", one_line(value));
        }
    }
}

/// A schema's description on one line of a table.
fn one_line(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A field's type in words, with a link to the part that it is.
fn type_text(schema: &Value) -> String {
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    if let Some(name) = text("$ref").and_then(|r| r.strip_prefix("#/$defs/")) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(name) = text("x-type") {
        return name.to_owned();
    }
    if let Some(either) = schema.get("anyOf").and_then(Value::as_array) {
        let types: Vec<String> =
            either.iter().filter(|t| **t != json!({"type": "null"})).map(type_text).collect();
        return types.join(" or ");
    }
    if text("format") == Some("date-time") {
        return "instant".to_owned();
    }
    let types = match schema.get("type") {
        Some(Value::Array(types)) => types.clone(),
        Some(one) => vec![one.clone()],
        None => return "any".to_owned(),
    };
    let name = types.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("null");
    match (name, schema.get("items")) {
        ("array", Some(items)) => format!("list of {}", type_text(items)),
        ("string", _) => "text".to_owned(),
        ("boolean", _) => "true or false".to_owned(),
        (other, _) => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn undocumented(place: &str, schema: &Value, found: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            if one_line(field).is_empty() {
                found.push(format!("{place}.{name}"));
            }
        }
        for value in schema["oneOf"].as_array().into_iter().flatten() {
            if one_line(value).is_empty() {
                found.push(format!("{place}: {value}"));
            }
        }
    }

    #[test]
    fn every_field_and_value_says_what_it_means() {
        let mut found = Vec::new();
        for kind in Kind::ALL {
            let schema = schema(*kind);
            undocumented(kind.as_str(), &schema, &mut found);
            for (name, part) in schema["$defs"].as_object().into_iter().flatten() {
                undocumented(name, part, &mut found);
            }
        }
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn the_reference_page_names_every_kind_and_links_its_parts() {
        let page = reference_page();
        for kind in Kind::ALL {
            assert!(page.contains(&format!("\n### {kind}\n")), "{kind}");
        }
        for line in [
            "| `ordered`* | decimal | How many were ordered, in `unit`, cancelled ones included. |",
            "| `lines`* | list of [OrderLine](#orderline) | ",
            "| `shipping` | Carriage. |",
            "| `per_stock_unit`* | exact ratio | ",
            "| `placed_at` | instant | ",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(page.to_lowercase().contains(&format!("\n### {link}\n")), "dead link {link}");
        }
    }
}
