//! Writes the answer to a GraphQL introspection query as a schema in GraphQL's own language.
//!
//! Never: keeps descriptions or deprecations; nothing is held against them.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::Value;

/// Types and directives that every schema has.
const BUILT_IN: &[&str] =
    &["Int", "Float", "String", "Boolean", "ID", "skip", "include", "deprecated", "specifiedBy", "oneOf"];

/// The schema of an answer, whether `data` is around it or not.
pub fn schema(answer: &Value) -> Result<String> {
    let schema = answer.pointer("/data/__schema").or_else(|| answer.get("__schema"));
    let schema = schema.context("the file holds no answer to an introspection query")?;
    let mut out = String::from("schema {");
    for (kind, key) in
        [("query", "queryType"), ("mutation", "mutationType"), ("subscription", "subscriptionType")]
    {
        if let Some(name) = schema[key]["name"].as_str() {
            write!(out, " {kind}: {name}")?;
        }
    }
    out.push_str(" }\n");
    for directive in list(schema, "directives").filter(|d| !built_in(d)) {
        let places: Vec<&str> = list(directive, "locations").filter_map(Value::as_str).collect();
        let repeatable = if directive["isRepeatable"] == true { " repeatable" } else { "" };
        let name = text(directive, "name");
        writeln!(
            out,
            "directive @{name}{}{repeatable} on {}",
            inputs(directive, "args", "(", ")"),
            places.join(" | ")
        )?;
    }
    for of in list(schema, "types").filter(|t| !built_in(t) && !text(t, "name").starts_with("__")) {
        let name = text(of, "name");
        match text(of, "kind") {
            "SCALAR" => writeln!(out, "scalar {name}")?,
            "ENUM" => {
                let values: Vec<&str> = list(of, "enumValues").map(|v| text(v, "name")).collect();
                writeln!(out, "enum {name} {{ {} }}", values.join(" "))?;
            }
            "UNION" => {
                let parts: Vec<&str> = list(of, "possibleTypes").map(|t| text(t, "name")).collect();
                writeln!(out, "union {name} = {}", parts.join(" | "))?;
            }
            "INPUT_OBJECT" => {
                let one_of = if of["isOneOf"] == true { " @oneOf" } else { "" };
                writeln!(out, "input {name}{one_of} {}", inputs(of, "inputFields", "{ ", " }"))?;
            }
            kind => {
                let word = if kind == "INTERFACE" { "interface" } else { "type" };
                let parents: Vec<&str> = list(of, "interfaces").map(|t| text(t, "name")).collect();
                let parents = if parents.is_empty() {
                    String::new()
                } else {
                    format!(" implements {}", parents.join(" & "))
                };
                writeln!(out, "{word} {name}{parents} {{")?;
                for field in list(of, "fields") {
                    let args = inputs(field, "args", "(", ")");
                    writeln!(out, "  {}{args}: {}", text(field, "name"), reference(&field["type"]))?;
                }
                out.push_str("}\n");
            }
        }
    }
    Ok(out)
}

fn built_in(thing: &Value) -> bool {
    BUILT_IN.contains(&text(thing, "name"))
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Arguments or input fields between brackets, nothing when there are none.
fn inputs(of: &Value, key: &str, open: &str, close: &str) -> String {
    let one = |input: &Value| {
        let default = input["defaultValue"].as_str().map(|value| format!(" = {value}")).unwrap_or_default();
        format!("{}: {}{default}", text(input, "name"), reference(&input["type"]))
    };
    let all: Vec<String> = list(of, key).map(one).collect();
    if all.is_empty() { String::new() } else { format!("{open}{}{close}", all.join(", ")) }
}

fn reference(of: &Value) -> String {
    match text(of, "kind") {
        "NON_NULL" => format!("{}!", reference(&of["ofType"])),
        "LIST" => format!("[{}]", reference(&of["ofType"])),
        _ => text(of, "name").to_owned(),
    }
}
