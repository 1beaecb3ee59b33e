//! GraphQL requests against a published schema: each document is valid, and its variables fit their types.
//!
//! Never: knows the form of a scalar that the schema only names, such as a date.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, anyhow};
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::validation::{DiagnosticList, Valid};
use apollo_compiler::{ExecutableDocument, Schema};
use counterpart_connect::requests::Request;
use serde_json::Value;

use super::notes::{Directive, Notes};
use super::{Contract, file, introspection};

/// A schema and what is known besides.
pub struct Graphql {
    schema: Valid<Schema>,
    path: String,
    directives: Vec<Directive>,
    /// The connector's own documents, by file, whether a request was made with them or not.
    files: BTreeMap<String, String>,
    /// Documents are few and requests many.
    seen: RefCell<HashMap<String, Rc<Document>>>,
}

type Document = Result<Valid<ExecutableDocument>, Vec<String>>;

impl Graphql {
    /// Reads the schema. `files` are the connector's.
    pub fn read(notes: &Notes, folder: &Path, files: &BTreeMap<String, String>) -> Result<Self> {
        let name = notes.files.first().context("`files` must name the answer to an introspection query")?;
        let text = introspection::schema(&file::read(folder, name)?)?;
        let schema = Schema::parse_and_validate(text, name.as_str())
            .map_err(|e| anyhow!("{}", told(&e.errors).join("; ")))?;
        let documents = files.iter().filter(|(path, _)| path.ends_with(".graphql"));
        Ok(Self {
            schema,
            path: notes.path.clone().context("`path` must say where requests go")?,
            directives: notes.directives.clone(),
            files: documents.map(|(path, text)| (path.clone(), text.clone())).collect(),
            seen: RefCell::default(),
        })
    }

    fn document(&self, text: &str) -> Rc<Document> {
        let parse = || {
            let parsed = ExecutableDocument::parse_and_validate(&self.schema, text, "document");
            Rc::new(parsed.map_err(|invalid| told(&invalid.errors)))
        };
        Rc::clone(self.seen.borrow_mut().entry(text.to_owned()).or_insert_with(parse))
    }

    fn variables(&self, document: &ExecutableDocument, body: &Value) -> Vec<String> {
        let Ok(operation) = document.operations.get(None) else {
            return vec!["the document must hold exactly one operation".into()];
        };
        let mut wrong = Vec::new();
        let given = match body.get("variables") {
            None | Some(Value::Null) => Value::Object(serde_json::Map::new()),
            Some(given) => given.clone(),
        };
        for name in given.as_object().into_iter().flat_map(|given| given.keys()) {
            if !operation.variables.iter().any(|known| known.name == name.as_str()) {
                wrong.push(format!("the operation has no variable `{name}`"));
            }
        }
        let given = serde_json_bytes::Value::from(given);
        match given.as_object() {
            None => wrong.push("`variables` must be an object".into()),
            Some(given) => {
                if let Err(error) = coerce_variable_values(&self.schema, operation, given) {
                    wrong.push(format!("variables: {}", error.message()));
                }
            }
        }
        for field in operation.root_fields(document) {
            let needed =
                self.directives.iter().filter(|d| d.fields.iter().any(|name| field.name == name.as_str()));
            for directive in needed.filter(|d| !field.directives.has(&d.name)) {
                wrong.push(format!("`{}` needs the directive @{}", field.name, directive.name));
            }
        }
        wrong
    }
}

impl Contract for Graphql {
    fn check(&self, request: &Request) -> Vec<String> {
        if request.method != "POST" || request.path != self.path {
            return vec![format!("requests are POST {}", self.path)];
        }
        let Some(text) = request.body["query"].as_str() else { return vec!["a query is missing".into()] };
        match self.document(text).as_ref() {
            Err(wrong) => wrong.clone(),
            Ok(document) => self.variables(document, &request.body),
        }
    }

    fn at_last(&self) -> Vec<String> {
        let wrong = |(file, text): (&String, &String)| match self.document(text).as_ref() {
            Ok(_) => Vec::new(),
            Err(wrong) => wrong.iter().map(|message| format!("{file}: {message}")).collect(),
        };
        self.files.iter().flat_map(wrong).collect()
    }
}

/// `line 3, column 5: ...`
fn told(errors: &DiagnosticList) -> Vec<String> {
    let one = |diagnostic: apollo_compiler::diagnostic::Diagnostic<'_, _>| {
        let place = diagnostic.line_column_range();
        let place = place.map(|r| format!("line {}, column {}: ", r.start.line, r.start.column));
        format!("{}{}", place.unwrap_or_default(), diagnostic.error)
    };
    errors.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::super::tests::{folder, request};
    use super::*;

    /// As a server would answer; made by hand.
    fn answer() -> Value {
        let named = |kind: &str, name: &str| json!({"kind": kind, "name": name});
        let must = |of: Value| json!({"kind": "NON_NULL", "ofType": of});
        let string = || named("SCALAR", "String");
        let arg = |name: &str, of: Value| json!({"name": name, "type": of, "defaultValue": null});
        let field = |name: &str, args: Value, of: Value| json!({"name": name, "args": args, "type": of});
        let order = json!({"kind": "OBJECT", "name": "Order", "interfaces": [], "fields": [
            field("id", json!([]), must(named("SCALAR", "ID"))), field("state", json!([]), named("ENUM", "State")),
        ]});
        json!({"data": {"__schema": {
        "queryType": {"name": "Query"}, "mutationType": {"name": "Mutation"}, "subscriptionType": null,
        "directives": [{"name": "once", "locations": ["FIELD"], "args": [arg("key", must(string()))]},
            {"name": "skip", "locations": ["FIELD"], "args": []}],
        "types": [named("SCALAR", "String"), named("SCALAR", "ID"), named("SCALAR", "Day"), order,
            {"kind": "OBJECT", "name": "__Type", "fields": []},
            {"kind": "ENUM", "name": "State", "enumValues": [{"name": "OPEN"}, {"name": "SHUT"}]},
            {"kind": "UNION", "name": "Thing", "possibleTypes": [named("OBJECT", "Order")]},
            {"kind": "INPUT_OBJECT", "name": "OrderInput", "inputFields": [
                arg("number", must(string())), arg("day", named("SCALAR", "Day")),
                {"name": "state", "type": named("ENUM", "State"), "defaultValue": "OPEN"}]},
            {"kind": "OBJECT", "name": "Query", "interfaces": [], "fields": [
                field("order", json!([arg("id", must(named("SCALAR", "ID")))]), named("OBJECT", "Order"))]},
            {"kind": "OBJECT", "name": "Mutation", "interfaces": [], "fields": [
                field("make", json!([arg("input", must(named("INPUT_OBJECT", "OrderInput")))]), named("OBJECT", "Order"))]},
        ]}}})
    }

    fn contract(files: &[(&str, &str)]) -> Graphql {
        let folder = folder("a.json", &answer().to_string());
        let notes = "kind = \"graphql\"\nfiles = [\"a.json\"]\npath = \"/g\"\n\
            [[directives]]\nname = \"once\"\nfields = [\"make\"]";
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Graphql::read(&toml::from_str(notes).unwrap(), folder.path(), &files).unwrap()
    }

    const MAKE: &str = r#"mutation($in: OrderInput!) { make(input: $in) @once(key: "1") { id } }"#;

    #[test]
    fn what_the_schema_has_is_fine() {
        let contract = contract(&[("a.graphql", "{ order(id: 1) { id } }")]);
        for body in [
            json!({"query": "query($id: ID!) { order(id: $id) { id state } }", "variables": {"id": "7"}}),
            json!({"query": MAKE, "variables": {"in": {"number": "1", "day": "2026-01-01", "state": "SHUT"}}}),
        ] {
            assert_eq!(contract.check(&request("POST", "/g", &[], body)), Vec::<String>::new());
        }
        assert_eq!(contract.at_last(), Vec::<String>::new());
    }

    #[test]
    fn what_it_has_not_is_told() {
        let contract = contract(&[("b.graphql", "{ order(id: 1) { id nothing } }")]);
        let make = |variables: Value| json!({"query": MAKE, "variables": variables});
        for (body, expect) in [
            (
                json!({"query": "{ order(id: 1) { total } }"}),
                "line 1, column 18: type `Order` does not have a field `total`",
            ),
            (json!({"query": "{ order { id } }"}), "id"),
            (
                json!({"query": "query($id: String!) { order(id: $id) { id } }", "variables": {"id": "1"}}),
                "$id",
            ),
            (make(json!({})), "missing value for non-null variable 'in'"),
            (make(json!({"in": {}})), "OrderInput.number"),
            (make(json!({"in": {"number": null}})), "null value"),
            (make(json!({"in": {"number": "1", "total": 1}})), "key total not in type OrderInput"),
            (make(json!({"in": {"number": "1", "state": "LOST"}})), "LOST"),
            (make(json!({"in": {"number": "1"}, "more": 1})), "no variable `more`"),
            (
                json!({"query": "mutation { make(input: {number: \"1\"}) { id } }"}),
                "`make` needs the directive @once",
            ),
            (json!({"query": "query a { __typename } query b { __typename }"}), "exactly one operation"),
        ] {
            let found = contract.check(&request("POST", "/g", &[], body)).join("\n");
            assert!(found.contains(expect), "expected `{expect}` in {found}");
        }
        assert!(!contract.check(&request("POST", "/old/g", &[], make(json!({})))).is_empty());
        // A document that no sample sends is looked at as well.
        assert!(
            contract.at_last()[0].starts_with("b.graphql: line 1, column 21:"),
            "{:?}",
            contract.at_last()
        );
    }
}
