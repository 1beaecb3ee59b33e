//! GraphQL: a document is held against the profile's schema, priced, then run over the program's functions and documents.
//!
//! A field of the root is the function `query_NAME` or `mutation_NAME`; a field of an object is `TYPE_NAME` where the program
//! has that, otherwise the object's own key. Never: lets through what the schema does not have.

use apollo_compiler::ast::Value as Written;
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::resolvers::{Execution, FieldError, ObjectValue, ResolveInfo, ResolvedValue};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema as Parsed};
use serde_json::{Map, Value, json};

use crate::host::Reply;
use crate::profile::ProfileError;
use crate::value::{to_json, to_script};
use crate::{Refusal, System, lock};

/// A profile's schema.
pub struct Schema(Valid<Parsed>);

impl Schema {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong in it.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        Parsed::parse_and_validate(text, "schema.graphql")
            .map(Self)
            .map_err(|e| ProfileError::Schema(e.to_string()))
    }
}

/// Answers one request.
pub fn answer(system: &System, request: &Value) -> Reply {
    let fine = |body: Value| Reply { status: 200, body, headers: Vec::new() };
    let failed = |message: String| fine(json!({"errors": [{"message": message}]}));
    let Some(schema) = &system.schema else { return failed("there is no schema".to_owned()) };
    let Some(query) = request["body"]["query"].as_str() else {
        return Reply { status: 400, body: json!({"errors": "a query is missing"}), headers: Vec::new() };
    };
    let document = match ExecutableDocument::parse_and_validate(&schema.0, query, "request.graphql") {
        Ok(document) => document,
        Err(invalid) => {
            let errors: Vec<Value> =
                invalid.errors.iter().map(|e| json!({"message": e.error.to_string()})).collect();
            return fine(json!({"errors": errors}));
        }
    };
    let Ok(operation) = document.operations.get(None) else {
        return failed("exactly one operation is expected".to_owned());
    };
    let none = Map::new();
    let variables = request["body"]["variables"].as_object().unwrap_or(&none);
    let (cost, throttled) = price(system, &document, operation, variables);
    if let Some(reply) = throttled {
        return reply;
    }
    let is_mutation = operation.is_mutation();
    lock(&system.host.errors).clear();
    let run = || -> Result<Value, Refusal> {
        let root = Node {
            system,
            kind: operation.object_type().to_string(),
            root: Some(if is_mutation { "mutation" } else { "query" }),
            value: json!({"caller": request["caller"]}),
            variables,
            refused: &std::cell::RefCell::new(None),
        };
        let given = serde_json_bytes::Value::from(Value::Object(variables.clone()));
        let given = given.as_object().cloned().unwrap_or_default();
        let done = Execution::new(&schema.0, &document).raw_variable_values(&given).execute_sync(&root);
        if let Some(refusal) = root.refused.borrow_mut().take() {
            return Err(refusal);
        }
        let done = match done {
            Ok(done) => done,
            Err(error) => return Ok(json!({"errors": [{"message": error.message().to_string()}]})),
        };
        let mut errors: Vec<Value> = done.errors.iter().map(|e| json!({"message": e.message})).collect();
        errors.extend(lock(&system.host.errors).drain(..));
        let mut body = json!({"data": serde_json::to_value(&done.data).unwrap_or(Value::Null)});
        if !errors.is_empty() {
            body["errors"] = Value::Array(errors);
        }
        Ok(body)
    };
    match system.in_turn(run) {
        Ok(mut body) => {
            if !cost.is_null() {
                body["extensions"] = json!({"cost": settle(system, cost, &body["data"])});
            }
            fine(body)
        }
        Err(Refusal::Refused { status, body, headers }) => Reply { status, body, headers },
        Err(Refusal::Broken(_)) => Reply { status: 500, body: Value::Null, headers: Vec::new() },
    }
}

/// One object on the way.
struct Node<'s> {
    system: &'s System,
    kind: String,
    /// What functions of the root begin with; none for other objects.
    root: Option<&'static str>,
    value: Value,
    variables: &'s Map<String, Value>,
    /// A refusal of the whole request, thrown by one of its fields.
    refused: &'s std::cell::RefCell<Option<Refusal>>,
}

impl ObjectValue for Node<'_> {
    fn type_name(&self) -> &str {
        &self.kind
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Result<ResolvedValue<'a>, FieldError> {
        let name = info.field_name();
        let function = match self.root {
            Some(prefix) => format!("{prefix}_{name}"),
            None => format!("{}_{name}", self.kind),
        };
        let value = if self.system.has(&function) {
            let arguments = to_script(&arguments(info, self.variables));
            let with = if self.root.is_some() {
                vec![arguments, to_script(&self.value["caller"])]
            } else {
                vec![to_script(&self.value), arguments]
            };
            match self.system.call(&function, with) {
                Ok(value) => to_json(&value),
                Err(refusal) => {
                    let message = refusal.to_string();
                    *self.refused.borrow_mut() = Some(refusal);
                    return Err(FieldError { message });
                }
            }
        } else if self.root.is_some() {
            return Err(FieldError { message: format!("the emulator has no function {function}") });
        } else {
            self.value.get(name).cloned().unwrap_or(Value::Null)
        };
        let ty = &info.field_definition().ty;
        Ok(self.shown(value, ty.inner_named_type().as_str()))
    }
}

impl<'s> Node<'s> {
    fn shown<'a>(&'a self, value: Value, kind: &str) -> ResolvedValue<'a>
    where
        's: 'a,
    {
        match value {
            Value::Null => ResolvedValue::null(),
            Value::Array(all) => {
                let shown: Vec<_> = all.into_iter().map(|v| self.shown(v, kind)).collect();
                ResolvedValue::list(shown)
            }
            Value::Object(_) if is_composite(self.system, kind) => {
                let kind = value["__typename"].as_str().unwrap_or(kind).to_owned();
                ResolvedValue::object(Node {
                    system: self.system,
                    kind,
                    root: None,
                    value,
                    variables: self.variables,
                    refused: self.refused,
                })
            }
            // A whole number is a Float where one is declared.
            Value::Number(n) if kind == "Float" => {
                ResolvedValue::leaf(serde_json_bytes::Value::from(json!(n.as_f64())))
            }
            leaf => ResolvedValue::leaf(serde_json_bytes::Value::from(leaf)),
        }
    }
}

fn is_composite(system: &System, kind: &str) -> bool {
    system
        .schema
        .as_ref()
        .and_then(|s| s.0.types.get(kind))
        .is_some_and(|t| t.is_object() || t.is_interface() || t.is_union())
}

/// A field's arguments, with directives that are not GraphQL's own as `@name`.
fn arguments(info: &ResolveInfo<'_>, variables: &Map<String, Value>) -> Value {
    let mut all = serde_json::to_value(info.arguments()).unwrap_or_else(|_| json!({}));
    for directive in info.field_selections().iter().flat_map(|f| f.directives.iter()) {
        if !["include", "skip"].contains(&directive.name.as_str()) {
            let given: Map<String, Value> = directive
                .arguments
                .iter()
                .map(|a| (a.name.to_string(), plain(&a.value, variables)))
                .collect();
            all[format!("@{}", directive.name)] = Value::Object(given);
        }
    }
    all
}

/// A directive's argument as JSON.
fn plain(value: &Written, variables: &Map<String, Value>) -> Value {
    match value {
        Written::Variable(name) => variables.get(name.as_str()).cloned().unwrap_or(Value::Null),
        Written::String(text) => json!(text),
        Written::Boolean(yes) => json!(yes),
        Written::Enum(name) => json!(name.as_str()),
        Written::List(all) => all.iter().map(|v| plain(v, variables)).collect(),
        Written::Null => Value::Null,
        number => serde_json::from_str(&number.to_string()).unwrap_or(Value::Null),
    }
}

/// What a document costs, taken from its limit; or the answer that there is not enough left.
fn price(
    system: &System,
    document: &ExecutableDocument,
    operation: &Operation,
    variables: &Map<String, Value>,
) -> (Value, Option<Reply>) {
    let Some(cost) = &system.profile.manifest.cost else { return (Value::Null, None) };
    let prices = Prices { document, variables, object: cost.object };
    let base = if operation.is_mutation() { cost.mutation } else { 0.0 };
    let much = (base + prices.of(&operation.selection_set)).ceil();
    let told = |name: &str, standing: crate::limits::Standing| {
        json!({
            "requestedQueryCost": much,
            "throttleStatus": {
                "maximumAvailable": standing.size,
                "currentlyAvailable": standing.left.floor(),
                "restoreRate": lock(&system.limits).refill(name),
            },
        })
    };
    let ask = |function: &str, about: Value| -> Reply {
        let reply = system.call(function, vec![to_script(&about)]);
        let refused = |status, body, headers| Reply { status, body, headers };
        match reply {
            Ok(value) => Reply::from_script(&value).unwrap_or_else(|| refused(500, Value::Null, Vec::new())),
            Err(_) => refused(500, Value::Null, Vec::new()),
        }
    };
    if much > cost.max {
        return (Value::Null, Some(ask("too_costly", json!({"cost": much, "max": cost.max}))));
    }
    let taken = lock(&system.limits).take(&cost.limit, much, system.host.now());
    match taken {
        Ok(standing) => (told(&cost.limit, standing), None),
        Err(standing) => (Value::Null, Some(ask("too_fast", told(&cost.limit, standing)))),
    }
}

/// Gives back what the query turned out not to cost: objects that it might have brought and did not.
fn settle(system: &System, mut cost: Value, data: &Value) -> Value {
    let (Some(price), Some(asked)) = (&system.profile.manifest.cost, cost["requestedQueryCost"].as_f64())
    else {
        return cost;
    };
    let actual = (objects(data) * price.object).min(asked);
    lock(&system.limits).give_back(&price.limit, asked - actual);
    cost["actualQueryCost"] = json!(actual);
    if let Some(left) = cost["throttleStatus"]["currentlyAvailable"].as_f64() {
        cost["throttleStatus"]["currentlyAvailable"] = json!(left + asked - actual);
    }
    cost
}

fn objects(value: &Value) -> f64 {
    match value {
        Value::Object(all) => 1.0 + all.values().map(objects).sum::<f64>(),
        Value::Array(all) => all.iter().map(objects).sum(),
        _ => 0.0,
    }
}

/// Reckons what selections might bring.
struct Prices<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Map<String, Value>,
    object: f64,
}

impl Prices<'_> {
    fn of(&self, set: &SelectionSet) -> f64 {
        set.selections
            .iter()
            .map(|selection| match selection {
                Selection::Field(field) => self.field(field),
                Selection::InlineFragment(part) => self.of(&part.selection_set),
                Selection::FragmentSpread(spread) => self
                    .document
                    .fragments
                    .get(&spread.fragment_name)
                    .map_or(0.0, |f| self.of(&f.selection_set)),
            })
            .sum()
    }

    fn field(&self, field: &Field) -> f64 {
        if field.selection_set.selections.is_empty() {
            return 0.0;
        }
        let inner = self.of(&field.selection_set);
        let name = field.name.as_str();
        // Those of a connection stand for its page and cost nothing themselves.
        if ["nodes", "edges", "node", "pageInfo", "userErrors"].contains(&name) {
            return if name == "userErrors" {
                0.0
            } else {
                inner + if name == "nodes" || name == "node" { self.object } else { 0.0 }
            };
        }
        match self.number(field, "first").or_else(|| self.number(field, "last")) {
            Some(size) => size * inner.max(self.object),
            None => self.object + inner,
        }
    }

    fn number(&self, field: &Field, name: &str) -> Option<f64> {
        let value = &field.arguments.iter().find(|a| a.name == name)?.value;
        if let Some(variable) = value.as_variable() {
            return self.variables.get(variable.as_str())?.as_f64();
        }
        value.to_f64()
    }
}
