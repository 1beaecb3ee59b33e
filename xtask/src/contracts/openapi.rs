//! REST requests against OpenAPI 3.0: there is such a path with such a method, its parameters and body are as declared.
//!
//! Never: looks at authorisation; takes a parameter or a property that the contract does not name.

use std::path::Path;

use anyhow::{Context, Result, bail};
use counterpart_connect::requests::Request;
use regex::Regex;
use serde_json::Value;

use super::notes::Notes;
use super::schema::Schemas;
use super::{Contract, file};

/// Documents whose paths belong together.
pub struct OpenApi {
    documents: Vec<Document>,
}

/// One document.
pub struct Document {
    /// As it was read.
    pub whole: Value,
    schemas: Schemas,
    templates: Vec<Template>,
}

struct Template {
    text: String,
    segments: Vec<Regex>,
    /// Names of its parameters, in order.
    names: Vec<String>,
    /// How many segments are words, and how many characters: the more, the better it fits.
    weight: (usize, usize),
}

/// The operation that a request is for.
pub struct Operation<'a> {
    /// Where it is declared.
    pub document: &'a Document,
    /// Its path, with parameters in braces.
    pub template: &'a str,
    /// All of the path's methods.
    pub item: &'a Value,
    /// That of the request's method.
    pub declared: &'a Value,
    /// The path's parameters as they were sent.
    pub sent: Vec<(&'a str, String)>,
}

impl OpenApi {
    /// Reads the documents.
    pub fn read(notes: &Notes, folder: &Path) -> Result<Self> {
        if notes.files.is_empty() {
            bail!("`files` must name at least one document");
        }
        let documents = notes
            .files
            .iter()
            .map(|name| Document::new(file::read(folder, name)?).with_context(|| name.clone()));
        Ok(Self { documents: documents.collect::<Result<_>>()? })
    }

    /// Of documents that were read already.
    pub fn of(documents: Vec<Value>) -> Result<Self> {
        Ok(Self { documents: documents.into_iter().map(Document::new).collect::<Result<_>>()? })
    }

    /// The operation of a method and a path: of several paths that fit, the one with the most words.
    pub fn find(&self, method: &str, path: &str) -> Result<Operation<'_>, String> {
        let method = method.to_lowercase();
        let mut fitting: Vec<(&Document, &Template, Vec<String>)> = Vec::new();
        for document in &self.documents {
            let fits = |t: &'_ Template| t.fits(path);
            fitting.extend(document.templates.iter().filter_map(|t| fits(t).map(|sent| (document, t, sent))));
        }
        let best = fitting.iter().map(|(_, t, _)| t.weight).max().ok_or("the contract has no such path")?;
        let mut methods = Vec::new();
        for (document, template, sent) in fitting.into_iter().filter(|(_, t, _)| t.weight == best) {
            let item = &document.whole["paths"][&template.text];
            if let Some(declared) = item.get(&method) {
                let names = template.names.iter().map(String::as_str);
                let sent = names.zip(sent).collect();
                return Ok(Operation { document, template: &template.text, item, declared, sent });
            }
            methods.extend(item.as_object().into_iter().flatten().map(|(name, _)| name.as_str()));
        }
        methods.retain(|name| *name != "parameters");
        Err(format!(
            "the contract has no {} here, only {}",
            method.to_uppercase(),
            methods.join(", ").to_uppercase()
        ))
    }
}

impl Document {
    fn new(whole: Value) -> Result<Self> {
        let paths = whole["paths"].as_object().context("the document has no `paths`")?;
        let templates = paths.keys().map(|text| Template::new(text)).collect::<Result<_>>()?;
        Ok(Self { schemas: Schemas::new(&whole), templates, whole })
    }

    /// What is wrong with a value of a schema of this document.
    pub fn fits(&self, schema: &Value, value: &Value) -> Vec<String> {
        self.schemas.check(schema, value).unwrap_or_else(|error| vec![error.to_string()])
    }

    /// The thing itself, where there is only a reference to it.
    pub fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let pointer = value["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
        pointer.and_then(|pointer| self.whole.pointer(pointer)).unwrap_or(value)
    }
}

impl Template {
    fn new(text: &str) -> Result<Self> {
        let parameter = Regex::new(r"\{([^}]*)\}")?;
        let (mut segments, mut weight) = (Vec::new(), (0, 0));
        for segment in text.split('/') {
            let words: Vec<&str> = parameter.split(segment).collect();
            weight.0 += usize::from(words.len() == 1);
            weight.1 += words.iter().map(|word| word.len()).sum::<usize>();
            let words: Vec<String> = words.iter().map(|word| regex::escape(word)).collect();
            segments.push(Regex::new(&format!("^{}$", words.join("(.+?)")))?);
        }
        let names = parameter.captures_iter(text).map(|found| found[1].to_owned()).collect();
        Ok(Self { text: text.to_owned(), segments, names, weight })
    }

    /// What stands for its parameters in a path, `None` when the path is another one.
    fn fits(&self, path: &str) -> Option<Vec<String>> {
        let given: Vec<&str> = path.split('/').collect();
        if given.len() != self.segments.len() {
            return None;
        }
        let mut sent = Vec::new();
        for (segment, text) in self.segments.iter().zip(given) {
            let found = segment.captures(text)?;
            sent.extend(found.iter().skip(1).flatten().map(|part| plain(part.as_str())));
        }
        Some(sent)
    }
}

impl Operation<'_> {
    /// Parameters in `path`, `query` or `header`: the operation's own and its path's.
    fn parameters(&self, place: &str) -> Vec<&Value> {
        let lists = [&self.declared["parameters"], &self.item["parameters"]];
        let all = lists.into_iter().filter_map(Value::as_array).flatten().map(|p| self.document.resolved(p));
        all.filter(|p| p["in"] == place).collect()
    }

    /// What is wrong with the path's parameters.
    pub fn check_path(&self) -> Vec<String> {
        let declared = self.parameters("path");
        let mut wrong = Vec::new();
        for (name, text) in &self.sent {
            if let Some(parameter) = declared.iter().find(|p| p["name"] == *name) {
                wrong.extend(
                    self.check_value(parameter, text).into_iter().map(|m| format!("path, {name}: {m}")),
                );
            }
        }
        wrong
    }

    /// What is wrong with headers: one that is required is missing. Those of HTTP itself are not declared.
    pub fn check_headers(&self, headers: &[(String, String)]) -> Vec<String> {
        let needed = self.parameters("header").into_iter().filter(|p| p["required"] == true);
        let names = needed.filter_map(|p| p["name"].as_str());
        let of_http = ["authorization", "accept", "content-type"];
        let sent = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        let missing = names.filter(|name| !of_http.contains(&name.to_lowercase().as_str()) && !sent(name));
        missing.map(|name| format!("the header {name} is missing")).collect()
    }

    /// What is wrong with query parameters.
    pub fn check_query(&self, query: &[(String, String)]) -> Vec<String> {
        let declared = self.parameters("query");
        let mut wrong = Vec::new();
        for (number, (name, text)) in query.iter().enumerate() {
            let Some(parameter) = declared.iter().find(|p| p["name"] == *name) else {
                wrong.push(format!("query, {name}: the contract has no such parameter"));
                continue;
            };
            let schema = self.document.resolved(&parameter["schema"]);
            let many = schema["type"] == "array";
            if !many && query[..number].iter().any(|(other, _)| other == name) {
                wrong.push(format!("query, {name}: is there more than once"));
            }
            let told = self.check_value(parameter, text);
            wrong.extend(told.into_iter().map(|message| format!("query, {name}: {message}")));
        }
        for parameter in declared.iter().filter(|p| p["required"] == true) {
            let name = parameter["name"].as_str().unwrap_or_default();
            if !query.iter().any(|(other, _)| other == name) {
                wrong.push(format!("query, {name}: is missing"));
            }
        }
        wrong
    }

    /// A parameter's text, as the type that it is declared with; of a list each entry.
    fn check_value(&self, parameter: &Value, text: &str) -> Vec<String> {
        let mut schema = self.document.resolved(&parameter["schema"]);
        let mut texts = vec![text];
        if schema["type"] == "array" {
            if parameter["explode"] == false {
                texts = text.split(',').collect();
            }
            schema = self.document.resolved(&schema["items"]);
        }
        let typed = |text: &str| match schema["type"].as_str() {
            Some("integer" | "number" | "boolean") => {
                serde_json::from_str(text).unwrap_or_else(|_| text.into())
            }
            _ => Value::from(text),
        };
        texts.into_iter().flat_map(|text| self.document.fits(schema, &typed(text))).collect()
    }

    /// What is wrong with the body.
    pub fn check_body(&self, body: &Value) -> Vec<String> {
        let declared = self.document.resolved(&self.declared["requestBody"]);
        if declared.is_null() {
            return if body.is_null() { Vec::new() } else { vec!["the contract knows no body here".into()] };
        }
        if body.is_null() {
            return if declared["required"] == true {
                vec!["the body is missing".into()]
            } else {
                Vec::new()
            };
        }
        let content = &declared["content"];
        if body.is_string() {
            let form = content.get("application/x-www-form-urlencoded").is_some();
            return if form { Vec::new() } else { vec!["the body is no JSON".into()] };
        }
        match content.get("application/json") {
            None => vec!["the contract takes no JSON here".into()],
            Some(json) => {
                self.document.fits(&json["schema"], body).into_iter().map(|m| format!("body: {m}")).collect()
            }
        }
    }
}

impl Contract for OpenApi {
    fn check(&self, request: &Request) -> Vec<String> {
        let operation = match self.find(&request.method, &request.path) {
            Ok(operation) => operation,
            Err(message) => return vec![message],
        };
        let mut wrong = operation.check_path();
        wrong.extend(operation.check_query(&request.query));
        wrong.extend(operation.check_headers(&request.headers));
        wrong.extend(operation.check_body(&request.body));
        wrong
    }
}

/// A part of a path as it was before it was encoded.
fn plain(text: &str) -> String {
    // A plus is a plus in a path.
    let pairs = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(pairs.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::super::tests::{folder, request};
    use super::*;

    fn contract() -> OpenApi {
        let document = json!({"paths": {
            "/orders/{kind}": {"get": {"parameters": [{"name": "kind", "in": "path", "schema": {"type": "string"}}]}},
            "/orders/batch": {"post": {"requestBody": {"required": true, "content": {"application/json": {"schema":
                {"$ref": "#/components/schemas/Batch"}}}}}},
            "/orders/{id}/lines": {
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "integer"}}],
                "get": {"parameters": [{"$ref": "#/components/parameters/limit"},
                    {"name": "fields", "in": "query", "schema": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}},
                    {"name": "If-Match", "in": "header", "required": true, "schema": {"type": "string"}}]},
            },
        }, "components": {
            "parameters": {"limit": {"name": "limit", "in": "query", "required": true, "schema": {"type": "integer"}}},
            "schemas": {"Batch": {"type": "object", "required": ["ids"], "properties": {
                "ids": {"type": "array", "items": {"type": "string"}}}}},
        }});
        let folder = folder("a.json", &document.to_string());
        OpenApi::read(&toml::from_str("kind = \"openapi\"\nfiles = [\"a.json\"]").unwrap(), folder.path())
            .unwrap()
    }

    fn lines(path: &str, query: &[(&str, &str)]) -> Request {
        Request { headers: vec![("if-match".into(), "*".into())], ..request("GET", path, query, Value::Null) }
    }

    #[test]
    fn what_is_declared_is_fine() {
        let contract = contract();
        for good in [
            request("GET", "/orders/open%2Fnew", &[], Value::Null),
            request("POST", "/orders/batch", &[], json!({"ids": ["1"]})),
            lines("/orders/7/lines", &[("limit", "5"), ("fields", "a"), ("fields", "b")]),
        ] {
            assert_eq!(contract.check(&good), Vec::<String>::new(), "{good:?}");
        }
    }

    #[test]
    fn what_is_not_is_told() {
        let contract = contract();
        for (bad, expect) in [
            (request("GET", "/order/1", &[], Value::Null), "no such path"),
            (request("GET", "/orders", &[], Value::Null), "no such path"),
            // The path of words comes before the one with a parameter.
            (request("GET", "/orders/batch", &[], Value::Null), "no GET here, only POST"),
            (request("POST", "/orders/batch", &[], Value::Null), "the body is missing"),
            (
                request("POST", "/orders/batch", &[], json!({"ids": [1]})),
                "body: /ids/0: 1 is not of type \"string\"",
            ),
            (request("POST", "/orders/batch", &[], json!({"ids": [], "x": 1})), "'x' was unexpected"),
            (request("POST", "/orders/batch", &[], json!("a=b")), "no JSON"),
            (request("GET", "/orders/open", &[], json!({})), "knows no body"),
            (
                request("GET", "/orders/open", &[("a", "1")], Value::Null),
                "query, a: the contract has no such parameter",
            ),
            (lines("/orders/x/lines", &[("limit", "5")]), "path, id: \"x\" is not of type \"integer\""),
            (lines("/orders/7/lines", &[]), "query, limit: is missing"),
            (lines("/orders/7/lines", &[("limit", "all")]), "query, limit: \"all\" is not"),
            (lines("/orders/7/lines", &[("limit", "1"), ("limit", "2")]), "more than once"),
            (
                lines("/orders/7/lines", &[("limit", "1"), ("fields", "c")]),
                "query, fields: \"c\" is not one of",
            ),
            (request("GET", "/orders/7/lines", &[("limit", "1")], Value::Null), "header If-Match is missing"),
        ] {
            let found = contract.check(&bad).join("; ");
            assert!(found.contains(expect), "expected `{expect}` in {found} of {bad:?}");
        }
    }
}
