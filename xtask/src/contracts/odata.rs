//! OData requests against an OpenAPI 3.0 document, as far as the connector's notes do not amend it: paths, keys, names of
//! properties in queries and bodies, the parts of batches.
//!
//! Never: takes an amendment that no request needs; a list of differences that nobody uses would hide mistakes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use counterpart_connect::catalog::CONTRACT;
use counterpart_connect::requests::Request;
use serde_json::{Map, Value, json};

use super::notes::{Notes, TypeNote};
use super::odata_query::{Names, options};
use super::openapi::{OpenApi, Operation};
use super::{Contract, file};

/// A document with the amendments made.
pub struct OData {
    api: OpenApi,
    /// What was added, by type and property.
    added: BTreeSet<(String, String)>,
    paths: BTreeSet<String>,
    used: RefCell<BTreeSet<(String, String)>>,
    visited: RefCell<BTreeSet<String>>,
}

/// What a part of a batch may consist of.
const PART: &[&str] = &["id", "method", "url", "headers", "body", "atomicityGroup", "dependsOn"];

impl OData {
    /// Reads the document and amends it.
    pub fn read(notes: &Notes, folder: &Path) -> Result<Self> {
        let [name] = notes.files.as_slice() else { bail!("`files` must name one document") };
        let mut document = file::read(folder, name)?;
        amend(&mut document, notes)?;
        let added =
            notes.types.iter().flat_map(|(of, note)| note.add.keys().map(|name| (of.clone(), name.clone())));
        Ok(Self {
            added: added.collect(),
            paths: notes.paths.keys().cloned().collect(),
            api: OpenApi::of(vec![document])?,
            used: RefCell::default(),
            visited: RefCell::default(),
        })
    }

    fn one(&self, request: &Request) -> Vec<String> {
        let operation = match self.api.find(&request.method, &request.path) {
            Ok(operation) => operation,
            Err(message) => return vec![message],
        };
        self.visited.borrow_mut().insert(operation.template.to_owned());
        let mut wrong = operation.check_path();
        wrong.extend(operation.check_headers(&request.headers));
        let Some((of, list)) = kind(&operation) else {
            wrong.push("the contract does not say of what type this is".into());
            return wrong;
        };
        let names = Names { document: operation.document, used: &self.used };
        wrong.extend(options(&names, of, list, &request.query).into_iter().map(|m| format!("query, {m}")));
        match request.method.as_str() {
            "GET" | "DELETE" if !request.body.is_null() => wrong.push("there is a body".into()),
            "GET" | "DELETE" => {}
            _ => {
                let schema = json!({"$ref": format!("#/components/schemas/{of}")});
                let told = operation.document.fits(&schema, &request.body);
                wrong.extend(told.into_iter().map(|message| format!("body: {message}")));
                names.uses(of, &request.body);
            }
        }
        wrong
    }

    fn batch(&self, request: &Request) -> Vec<String> {
        let parts = request.body["requests"].as_array().filter(|parts| !parts.is_empty());
        let (Some(parts), "POST") = (parts, request.method.as_str()) else {
            return vec!["a batch is a POST of {\"requests\": [...]}".into()];
        };
        let (mut wrong, mut ids) = (Vec::new(), BTreeSet::new());
        for (number, part) in parts.iter().enumerate() {
            let told = match (part["id"].as_str(), part["method"].as_str(), part["url"].as_str()) {
                (Some(id), Some(method), Some(url)) => {
                    let mut told = self.part(request, part, method, url);
                    if !ids.insert(id) {
                        told.push(format!("another part has the id {id}"));
                    }
                    told
                }
                _ => vec!["`id`, `method` and `url` must be texts".into()],
            };
            let shown = format!("part {number}, {} {}", shown(&part["method"]), shown(&part["url"]));
            wrong.extend(told.into_iter().map(|message| format!("{shown}: {message}")));
        }
        wrong
    }

    fn part(&self, whole: &Request, part: &Value, method: &str, url: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let fields = part.as_object().into_iter().flat_map(Map::keys);
        wrong.extend(fields.filter(|f| !PART.contains(&f.as_str())).map(|f| format!("a part has no `{f}`")));
        let headers: Vec<(String, String)> = part["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), shown(value)))
            .collect();
        let json = headers
            .iter()
            .any(|(n, v)| n.eq_ignore_ascii_case("content-type") && v.starts_with("application/json"));
        if !part["body"].is_null() && !json {
            wrong.push("a part with a body needs the header Content-Type: application/json".into());
        }
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        wrong.extend(self.one(&Request {
            method: method.to_owned(),
            path: format!("/{}", path.trim_start_matches('/')),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers,
            body: part["body"].clone(),
            ..whole.clone()
        }));
        wrong
    }
}

impl Contract for OData {
    fn check(&self, request: &Request) -> Vec<String> {
        if request.path == "/$batch" { self.batch(request) } else { self.one(request) }
    }

    fn at_last(&self) -> Vec<String> {
        let (used, visited) = (self.used.borrow(), self.visited.borrow());
        let paths = self.paths.difference(&visited).map(|path| format!("paths.\"{path}\""));
        let names = self.added.difference(&used).map(|(of, name)| format!("types.{of}.add.{name}"));
        paths
            .chain(names)
            .map(|what| format!("{CONTRACT}: {what} is needed by no request: take it out"))
            .collect()
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The type of what is at a path, and whether it is a list.
fn kind<'a>(operation: &Operation<'a>) -> Option<(&'a str, bool)> {
    let methods = operation.item.as_object()?.values();
    let answers = methods.filter_map(|method| method["responses"].as_object()).flat_map(Map::values);
    let mut found = None;
    for schema in answers.filter_map(|answer| answer.pointer("/content/application~1json/schema")) {
        let name = |reference: &'a Value| reference.as_str()?.strip_prefix("#/components/schemas/");
        let entry = schema.pointer("/properties/value/items").unwrap_or(&schema["items"]);
        if let Some(of) = name(&entry["$ref"]) {
            return Some((of, true));
        }
        found = found.or_else(|| name(&schema["$ref"]).map(|of| (of, false)));
    }
    found
}

/// Makes of the contract what the documentation says that it is by now.
fn amend(document: &mut Value, notes: &Notes) -> Result<()> {
    for (of, note) in &notes.types {
        let whole = &mut document["components"]["schemas"][of];
        if whole.is_null() {
            *whole = json!({"type": "object", "properties": {}});
        }
        let properties =
            whole["properties"].as_object_mut().with_context(|| format!("types.{of} has no properties"))?;
        for name in &note.gone {
            ensure!(
                properties.remove(name).is_some(),
                "types.{of}.gone: the contract has no `{name}` anyway"
            );
        }
        for (name, text) in &note.add {
            let schema = property(text);
            ensure!(
                properties.get(name) != Some(&schema),
                "types.{of}.add: the contract has `{name}` already"
            );
            properties.insert(name.clone(), schema);
        }
    }
    for (of, TypeNote { add, .. }) in &notes.types {
        for (name, text) in add {
            if let Some(target) = property(text).pointer("/items/$ref").or(property(text).get("$ref")) {
                let pointer = target.as_str().unwrap_or_default().trim_start_matches('#');
                ensure!(
                    document.pointer(pointer).is_some(),
                    "types.{of}.add.{name}: there is no type `{text}`"
                );
            }
        }
    }
    for (path, note) in &notes.paths {
        let pointer = format!("/components/schemas/{}", note.of);
        ensure!(document.pointer(&pointer).is_some(), "paths.\"{path}\": there is no type `{}`", note.of);
        let one = json!({"$ref": format!("#{pointer}")});
        // A path that ends with a key is of one thing.
        let schema = if path.ends_with(')') { one } else { json!({"properties": {"value": {"items": one}}}) };
        let mut made = json!({"parameters": keys(document, path)});
        for method in &note.methods {
            let headers = note.headers.get(method).into_iter().flatten();
            let headers: Vec<Value> =
                headers.map(|name| json!({"name": name, "in": "header", "required": true})).collect();
            made[method.to_lowercase()] = json!({
                "parameters": headers, "responses": {"200": {"content": {"application/json": {"schema": schema}}}},
            });
        }
        let strange = note.headers.keys().find(|method| !note.methods.contains(method));
        ensure!(strange.is_none(), "paths.\"{path}\".headers: names a method that it does not take");
        let item = &mut document["paths"][path];
        ensure!(item.is_null(), "paths.\"{path}\": the contract has it already");
        *item = made;
    }
    Ok(())
}

/// What the contract declares elsewhere for the parameters of a path.
fn keys(document: &Value, path: &str) -> Vec<Value> {
    let items = document["paths"].as_object().into_iter().flat_map(Map::values);
    let all: Vec<&Value> = items.filter_map(|item| item["parameters"].as_array()).flatten().collect();
    let names = path.split('{').skip(1).filter_map(|part| part.split('}').next());
    let declared = names.filter_map(|name| all.iter().find(|p| p["name"] == name && p["in"] == "path"));
    declared.map(|parameter| (*parameter).clone()).collect()
}

/// The schema of a property from its word in the notes.
fn property(text: &str) -> Value {
    let (word, list) = text.strip_suffix("[]").map_or((text, false), |word| (word, true));
    let one = match word {
        "string" | "number" | "integer" | "boolean" => json!({"type": word}),
        "uuid" | "date" | "date-time" => json!({"type": "string", "format": word}),
        name => json!({"$ref": format!("#/components/schemas/{name}")}),
    };
    let mut schema = if list { json!({"type": "array", "items": one}) } else { one };
    schema["nullable"] = json!(true);
    schema
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::{folder, request};
    use super::*;

    const DOCUMENT: &str = r##"
paths:
  "/orders":
    get: {responses: {200: {content: {application/json: {schema: {properties: {value: {items: {$ref: "#/components/schemas/order"}}}}}}}}}
    post: {responses: {201: {content: {application/json: {schema: {$ref: "#/components/schemas/order"}}}}}}
  "/orders({order_id})":
    parameters:
      - {name: order_id, in: path, required: true, schema: {type: string, format: uuid}}
    patch:
      parameters: [{name: If-Match, in: header, required: true, schema: {type: string}}]
      responses: {200: {content: {application/json: {schema: {$ref: "#/components/schemas/order"}}}}}
components:
  schemas:
    order:
      type: object
      properties:
        id: {type: string, format: uuid}
        number: {type: string, nullable: true, maxLength: 5}
        total: {type: number}
        old: {type: string}
        lines: {type: array, items: {$ref: "#/components/schemas/line"}}
    line:
      type: object
      properties: {sku: {type: string}, quantity: {type: number}}
"##;

    const NOTES: &str = r#"
kind = "odata"
files = ["a.yaml"]
[types.order]
add = { made = "date-time", buyer = "buyer" }
gone = ["old"]
[types.buyer]
add = { name = "string" }
[paths."/buyers"]
methods = ["GET"]
type = "buyer"
[paths."/buyers({order_id})"]
methods = ["DELETE"]
type = "buyer"
headers = { DELETE = ["If-Match"] }
"#;

    const ID: &str = "0ea6738a-44e3-ea11-bb43-000d3a2feca1";

    fn contract(notes: &str) -> Result<OData> {
        OData::read(&toml::from_str(notes)?, folder("a.yaml", DOCUMENT).path())
    }

    fn patch(part: bool, body: Value) -> Value {
        let headers = json!({"Content-Type": "application/json", "If-Match": "*"});
        let url = format!("orders({ID})");
        json!({"id": if part { "1" } else { "2" }, "method": "PATCH", "url": url, "headers": headers, "body": body})
    }

    #[test]
    fn what_the_amended_contract_has_is_fine() {
        let contract = contract(NOTES).unwrap();
        let batch =
            json!({"requests": [patch(true, json!({"total": 1.5})), patch(false, json!({"number": null}))]});
        for good in [
            request(
                "GET",
                "/orders",
                &[("$select", "id,number"), ("$top", "5"), ("$orderby", "made desc,id")],
                Value::Null,
            ),
            request(
                "GET",
                "/orders",
                &[("$filter", "made ge 2026-01-01T00:00:00Z"), ("$expand", "buyer($select=name),lines")],
                Value::Null,
            ),
            request("GET", "/buyers", &[], Value::Null),
            Request {
                headers: vec![("If-Match".into(), "*".into())],
                ..request("DELETE", &format!("/buyers({ID})"), &[], Value::Null)
            },
            request("POST", "/orders", &[], json!({"number": "1", "lines": [{"sku": "A"}]})),
            request("POST", "/$batch", &[], batch),
        ] {
            assert_eq!(contract.check(&good), Vec::<String>::new(), "{good:?}");
        }
        assert_eq!(contract.at_last(), Vec::<String>::new());
    }

    #[test]
    fn what_it_has_not_is_told() {
        let contract = contract(NOTES).unwrap();
        let get = |name: &str, text: &str| request("GET", "/orders", &[(name, text)], Value::Null);
        let post = |body: Value| request("POST", "/orders", &[], body);
        let batch = |parts: Value| request("POST", "/$batch", &[], json!({"requests": parts}));
        let mut bare = patch(true, json!({"total": 1}));
        bare["headers"] = json!({"Content-Type": "application/json"});
        for (bad, expect) in [
            (request("GET", "/order", &[], Value::Null), "no such path"),
            (request("DELETE", "/orders", &[], Value::Null), "no DELETE here"),
            (get("$select", "id,old"), "$select: `order` has no `old`"),
            (get("$top", "all"), "$top"),
            (get("limit", "1"), "limit"),
            (request("PATCH", "/orders(7)", &[], json!({})), "path, order_id: \"7\" is not a \"uuid\""),
            (request("DELETE", &format!("/buyers({ID})"), &[], Value::Null), "header If-Match is missing"),
            // A key is what the contract says of that name elsewhere.
            (request("DELETE", "/buyers(7)", &[], Value::Null), "path, order_id"),
            (post(json!({"nmuber": "1"})), "body: Additional properties are not allowed ('nmuber'"),
            (post(json!({"number": "123456"})), "body: /number: \"123456\" is longer than 5"),
            (post(json!({"total": "1.5"})), "body: /total: \"1.5\" is not of type \"number\""),
            (post(json!({"lines": [{"old": 1}]})), "body: /lines/0"),
            (post(Value::Null), "body: null is not of type"),
            (batch(json!([])), "a batch is"),
            (
                batch(json!([patch(true, json!({"old": "x"}))])),
                "part 0, PATCH orders(0ea6738a-44e3-ea11-bb43-000d3a2feca1): body:",
            ),
            (batch(json!([patch(true, json!({})), patch(true, json!({}))])), "part 1, PATCH"),
            (batch(json!([bare])), "the header If-Match is missing"),
            (batch(json!([{"id": "1", "method": "POST", "url": "orders", "body": {}}])), "Content-Type"),
            (batch(json!([{"id": 1, "method": "POST", "url": "orders"}])), "must be texts"),
        ] {
            let found = contract.check(&bad).join("; ");
            assert!(found.contains(expect), "expected `{expect}` in {found} of {bad:?}");
        }
    }

    #[test]
    fn amendments_must_be_needed_and_true() {
        let idle = contract(NOTES).unwrap().at_last().join("\n");
        assert!(idle.contains("paths.\"/buyers\"") && idle.contains("types.order.add.made"), "{idle}");
        for (old, new, expect) in [
            ("gone = [\"old\"]", "gone = [\"odl\"]", "no `odl` anyway"),
            ("buyer = \"buyer\"", "buyer = \"byuer\"", "no type `byuer`"),
            ("\"/buyers\"", "\"/orders\"", "the contract has it already"),
            ("DELETE = [", "PATCH = [", "names a method that it does not take"),
            ("type = \"buyer\"", "type = \"byuer\"", "no type `byuer`"),
        ] {
            let error = contract(&NOTES.replace(old, new)).err().unwrap().to_string();
            assert!(error.contains(expect), "expected `{expect}` in {error}");
        }
    }
}
