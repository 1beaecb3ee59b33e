//! The configuration reference: every section and key of the file, from its JSON Schema.
//!
//! Never: knows a key by name.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::markdown::{code, one_line, table};

/// The page.
pub fn page(schema: &Value) -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         Every section and key of `counterpart.toml`; unknown ones are refused. `counterpart init` writes a first file with \
         examples. A key marked with * must be there. Paths are relative to the file. `[hub]` is read at every start; \
         everything else takes effect with `counterpart apply`.\n\n## Sections\n",
    );
    let mut reference = Reference { schema, values: BTreeMap::new() };
    for (name, field) in fields(schema) {
        reference.section(name, field, &mut page);
    }
    page.push_str("\n## Values\n");
    // Describing one may find another.
    let mut done = Vec::new();
    while let Some((name, value)) = reference.values.clone().into_iter().find(|(n, _)| !done.contains(n)) {
        let mut text = String::new();
        reference.value(&name, &value, &mut text);
        reference.values.insert(name.clone(), Value::String(text));
        done.push(name);
    }
    for text in reference.values.values().filter_map(Value::as_str) {
        page.push_str(text);
    }
    page
}

/// What a key's value is, once references and the permission to be absent are taken away.
enum Shape<'a> {
    /// A section of its own, with its keys.
    Section(&'a Value),
    /// Sections or values by a name that the user chooses.
    Named(&'a Value),
    /// A list.
    List(&'a Value),
    /// One of the shared values, described at the end.
    Shared(&'a str, &'a Value),
    /// Text, number, truth value.
    Plain(&'a Value),
}

struct Reference<'a> {
    schema: &'a Value,
    /// Shared values in use: schema, then text.
    values: BTreeMap<String, Value>,
}

impl<'a> Reference<'a> {
    fn shape(&self, field: &'a Value) -> Shape<'a> {
        if let Some(either) = field.get("anyOf").and_then(Value::as_array)
            && let [only] = either.iter().filter(|one| !is_null(one)).collect::<Vec<_>>().as_slice()
        {
            return self.shape(only);
        }
        if let Some(name) = field.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/")) {
            let target = &self.schema["$defs"][name];
            let of_keys = target.get("properties").is_some();
            // A named text, such as the name of a connection, is a text.
            let plain = target["type"] == json!("string") && target.get("enum").is_none();
            return match (of_keys, plain) {
                (true, _) => Shape::Section(target),
                (_, true) => Shape::Plain(target),
                _ => Shape::Shared(name, target),
            };
        }
        if let Some(items) = field.get("items") {
            return Shape::List(items);
        }
        let of = field.get("additionalProperties").or_else(|| field.get("patternProperties")?.as_object()?.values().next());
        match of {
            Some(of) if of.is_object() => Shape::Named(of),
            _ => Shape::Plain(field),
        }
    }

    /// A section with its table, then the sections inside it.
    fn section(&mut self, path: &str, field: &'a Value, page: &mut String) {
        match self.shape(field) {
            Shape::Section(of) => {
                self.heading(path, &[field, of], page);
                let mut rows = Vec::new();
                let mut inner = Vec::new();
                let required = of.get("required").and_then(Value::as_array);
                for (name, key) in fields(of) {
                    let star = required.is_some_and(|all| all.contains(&json!(name)));
                    let name_shown = if star { format!("`{name}` *") } else { code(name) };
                    if let Shape::Section(_) = self.shape(key) {
                        inner.push((format!("{path}.{name}"), key));
                    }
                    rows.push(vec![name_shown, self.kind(path, name, key), default(key), described(key)]);
                }
                page.push_str(&table(&["key", "type", "default", "meaning"], &rows));
                for (path, key) in inner {
                    self.section(&path, key, page);
                }
            }
            Shape::Named(of) => match self.shape(of) {
                Shape::Section(inner) => {
                    let path = format!("{path}.NAME");
                    let named = with_description(inner, &described(field));
                    // Its own words are about one; those of the field say what all of them are.
                    let _ = named;
                    self.named_section(&path, field, of, page);
                }
                Shape::Named(value) => {
                    let path = format!("{path}.KIND");
                    self.heading(&path, &[field], page);
                    let kind = self.kind(&path, "FIELD", value);
                    let rows = [vec!["`FIELD`".to_owned(), kind, String::new(), self.meaning(value)]];
                    page.push_str(&table(&["key", "type", "default", "meaning"], &rows));
                }
                _ => {}
            },
            _ => {}
        }
    }
}
