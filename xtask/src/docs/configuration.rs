//! The configuration reference: every section and key of the file, from its JSON Schema.
//!
//! Never: knows a key by name.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

use super::markdown::{code, one_line, table};

/// The page.
pub fn page(schema: &Value) -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         Every section and key of `counterpart.toml`; any other is refused. `counterpart init` writes a first file with \
         examples. A key marked with * must be there. Paths are relative to the file. `[hub]` is read at every start; \
         everything else takes effect with `counterpart apply`.\n\n\
         Capitals stand for what you choose: NAME is a name of your own, KIND a [kind](#kind), FIELD one of its \
         [fields](model.md).\n\n## Sections\n",
    );
    let mut reference = Reference { definitions: &schema["$defs"], shared: BTreeSet::new() };
    for (name, field) in members(schema, "properties") {
        reference.section(name, field, &mut page);
    }
    page.push_str("\n## Values\n");
    let mut written = BTreeSet::new();
    // Describing one may name another.
    while let Some(name) = reference.shared.difference(&written).next().cloned() {
        reference.value(&name, &mut page);
        written.insert(name);
    }
    page
}

struct Reference<'a> {
    definitions: &'a Value,
    /// Names of the values that are described at the end, because more than one key takes them or they need a table.
    shared: BTreeSet<String>,
}

/// What the value of a key is.
enum Shape<'a> {
    /// A section with keys of its own.
    Keys(&'a Value),
    /// A section with keys that the user names, and what each of them is.
    Named(&'a Value),
    /// A list, and what is in it.
    List(&'a Value),
    /// A value that is described at the end, by this name.
    Shared(&'a str),
    /// Text, number, truth value, or anything.
    Plain(&'a Value),
}

impl<'a> Reference<'a> {
    fn shape(&self, field: &'a Value) -> Shape<'a> {
        // What may be left out is declared as one thing or null.
        let either: Vec<&Value> =
            field["anyOf"].as_array().into_iter().flatten().filter(|one| one["type"] != "null").collect();
        if let [only] = either.as_slice() {
            return self.shape(only);
        }
        if let Some(name) = definition_name(field) {
            let target = &self.definitions[name];
            return match (target.get("properties"), target.get("type"), target.get("enum")) {
                (Some(_), ..) => Shape::Keys(target),
                // A name of a connection or flow is a text.
                (None, Some(_), None) => Shape::Plain(target),
                _ => Shape::Shared(name),
            };
        }
        if let Some(items) = field.get("items") {
            return Shape::List(items);
        }
        let by_pattern = field["patternProperties"].as_object().and_then(|all| all.values().next());
        match by_pattern.or(field.get("additionalProperties")).filter(|of| of.is_object()) {
            Some(of) => Shape::Named(of),
            None => Shape::Plain(field),
        }
    }

    /// A section of the file and the sections inside it.
    fn section(&mut self, path: &str, field: &'a Value, page: &mut String) {
        let of = match self.shape(field) {
            Shape::Keys(keys) => return self.keys(path, &meaning(field, keys), keys, page),
            Shape::Named(of) => of,
            _ => return,
        };
        match self.shape(of) {
            Shape::Keys(keys) => self.keys(&format!("{path}.NAME"), &meaning(field, keys), keys, page),
            Shape::Named(value) => {
                heading(&format!("{path}.KIND"), &described(field), page);
                let text = match self.shape(value) {
                    Shape::Shared(name) => described(&self.definitions[name]),
                    _ => described(value),
                };
                let row = vec![code("FIELD"), self.kind("", value), String::new(), text];
                page.push_str(&table(HEAD, &[row]));
            }
            _ => {}
        }
    }

    fn keys(&mut self, path: &str, text: &str, of: &'a Value, page: &mut String) {
        heading(path, text, page);
        let mut rows = Vec::new();
        let mut inner = Vec::new();
        for (name, key) in members(of, "properties") {
            let shown = if is_required(of, name) { format!("`{name}` *") } else { code(name) };
            let below = format!("{path}.{name}");
            let text = match self.shape(key) {
                Shape::Keys(keys) => {
                    inner.push((below.clone(), key));
                    meaning(key, keys)
                }
                _ => described(key),
            };
            rows.push(vec![shown, self.kind(&below, key), default(key), text]);
        }
        page.push_str(&table(HEAD, &rows));
        for (path, key) in inner {
            self.section(&path, key, page);
        }
    }

    /// A type in words; `path` is where its keys are, if it has any.
    fn kind(&mut self, path: &str, field: &'a Value) -> String {
        if let Some(name) = field["x-type"].as_str() {
            return name.to_owned();
        }
        match self.shape(field) {
            Shape::Keys(_) => format!("[section](#{})", anchor(path)),
            Shape::Named(of) => format!("table of {}", plural(&self.kind(path, of))),
            Shape::List(of) => format!("list of {}", plural(&self.kind(path, of))),
            Shape::Shared(name) => {
                self.shared.insert(name.to_owned());
                format!("[{}](#{})", spaced(name), name.to_lowercase())
            }
            Shape::Plain(plain) => plain_kind(plain).to_owned(),
        }
    }

    /// A value that is described at the end: which there are, or which forms it can take.
    fn value(&mut self, name: &str, page: &mut String) {
        let definitions = self.definitions;
        let of = &definitions[name];
        let _ = write!(page, "\n### {}\n\n{}\n", spaced(name), described(of));
        let constants: Vec<Vec<String>> = items(of, "oneOf")
            .filter_map(|one| Some(vec![code(one["const"].as_str()?), described(one)]))
            .collect();
        page.push_str(&table(&["value", "meaning"], &constants));
        let forms: Vec<Vec<String>> =
            items(of, "anyOf").map(|one| vec![form(one), self.form_meaning(one)]).collect();
        page.push_str(&table(&["form", "meaning"], &forms));
    }

    /// What a form means, and each of its keys.
    fn form_meaning(&mut self, of: &'a Value) -> String {
        let mut text = described(of);
        for (name, key) in members(of, "properties") {
            let _ = write!(text, " {}: {}", code(name), described(key));
            if let Shape::Shared(_) = self.shape(key) {
                let _ = write!(text, " See {}.", self.kind("", key));
            }
        }
        text
    }
}

/// One form of a value, as it is written in the file.
fn form(of: &Value) -> String {
    let keys: Vec<String> = members(of, "properties").map(|(name, _)| format!("{name} = \"...\"")).collect();
    if keys.is_empty() { code("\"...\"") } else { code(&format!("{{ {} }}", keys.join(", "))) }
}

/// As it is said of several.
fn plural(kind: &str) -> String {
    match kind.strip_prefix("table") {
        Some(rest) => format!("tables{rest}"),
        None if kind == "whole number" => "whole numbers".into(),
        None => kind.to_owned(),
    }
}

const HEAD: &[&str] = &["key", "type", "default", "meaning"];

fn heading(path: &str, text: &str, page: &mut String) {
    let _ = write!(page, "\n### [{path}]\n\n{text}\n");
}

/// What a heading is linked by.
fn anchor(path: &str) -> String {
    path.to_lowercase().replace('.', "")
}

/// `FlowState` as `Flow state`.
fn spaced(name: &str) -> String {
    let mut out = String::new();
    for (at, c) in name.char_indices() {
        if at > 0 && c.is_uppercase() {
            out.push(' ');
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}

fn definition_name(field: &Value) -> Option<&str> {
    field["$ref"].as_str()?.strip_prefix("#/$defs/")
}

fn members<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    of[key].as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn items<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of[key].as_array().into_iter().flatten()
}

fn is_required(of: &Value, name: &str) -> bool {
    items(of, "required").any(|one| one == name)
}

fn described(of: &Value) -> String {
    one_line(of["description"].as_str().unwrap_or_default())
}

/// What is said where the key is declared; failing that, what is said of its type.
fn meaning(field: &Value, of: &Value) -> String {
    let text = described(field);
    if text.is_empty() { described(of) } else { text }
}

/// What is taken when the key is not there; nothing when that says nothing.
fn default(key: &Value) -> String {
    match &key["default"] {
        Value::Null => String::new(),
        Value::String(text) if text.is_empty() => String::new(),
        Value::Array(all) if all.is_empty() => String::new(),
        Value::Object(all) if all.is_empty() => String::new(),
        Value::Object(all) => {
            let members: Vec<String> = all.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            code(&format!("{{ {} }}", members.join(", ")))
        }
        other => code(&other.to_string()),
    }
}

fn plain_kind(of: &Value) -> &'static str {
    let is = |name: &str| of["type"] == name || items(of, "type").any(|one| *one == json!(name));
    match () {
        () if is("string") => "text",
        () if is("integer") => "whole number",
        () if is("number") => "number",
        () if is("boolean") => "true or false",
        () if is("object") => "table",
        () => "any",
    }
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn the_real_schema_becomes_a_page() {
        let page = page(&counterpart_hub::config::Config::schema());
        for line in [
            "\n### [hub]\n",
            "\n### [hub.smtp]\n",
            "\n### [connections.NAME]\n",
            "\n### [ownership.KIND]\n",
            "| `connector` * | text |  | Name of the connector. |",
            "| `paused` | true or false | `false` |",
            "| `smtp` | [section](#hubsmtp) |",
            "| `state` * | [State](#state) |",
            "| `shadow` | Does everything but the write",
            "| `{ env = \"...\" }` | An environment variable. `env`: Its name. |",
            "| table of tables of text |",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            let there = page
                .lines()
                .filter_map(|line| line.strip_prefix("### "))
                .any(|heading| heading.to_lowercase().replace(['[', ']', '.'], "").replace(' ', "") == link);
            assert!(there, "dead link {link}");
        }
    }
}
