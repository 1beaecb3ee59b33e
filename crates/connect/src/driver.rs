//! Turns a request as data into an HTTP request, and an HTTP answer into data: REST, GraphQL, JSON-RPC.
//!
//! Never: sends anything; knows what is asked for.

use std::collections::BTreeMap;

use counterpart_mapping::json::{read_json, write_json};
use serde_json::{Map, Value, json};

use crate::http::{Plain, Raw};
use crate::manifest::Driver;
use crate::path::text_of;

/// An answer as programs see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The whole JSON body, for classification.
    pub raw: Value,
    /// The body as the driver unwraps it.
    pub body: Value,
}

impl Answer {
    /// The shape that programs see: `{status, headers, body}` with `extra` beside it.
    pub fn input(&self, extra: &Value) -> Value {
        let mut input = extra.as_object().cloned().unwrap_or_default();
        input.insert("status".into(), json!(self.status));
        input.insert("headers".into(), json!(self.headers));
        input.insert("body".into(), self.body.clone());
        Value::Object(input)
    }
}

/// Builds the HTTP request. `files` are the connector's, for `.graphql` documents; `endpoint` is filled in already.
///
/// # Errors
/// What is wrong with the request.
pub fn request(
    driver: Driver,
    endpoint: &str,
    jsonrpc: &str,
    files: &BTreeMap<String, String>,
    request: &Value,
) -> Result<Plain, String> {
    let fields = request.as_object().ok_or("the request is no object")?;
    if driver == Driver::Rest || fields.contains_key("path") {
        return rest(fields);
    }
    let body = match driver {
        Driver::Graphql => graphql(fields, files)?,
        _ => {
            let method = fields.get("method").and_then(Value::as_str).ok_or("a request needs `method`")?;
            let params = fields.get("params").cloned().unwrap_or_else(|| json!([]));
            let mut body = json!({ "id": 1, "method": method, "params": params });
            // Some servers of version 1.0 answer in another shape when a member is there that they do not know.
            if !jsonrpc.is_empty() {
                body["jsonrpc"] = json!(jsonrpc);
            }
            body
        }
    };
    let mut plain = Plain { method: "POST".into(), path: endpoint.to_owned(), ..Plain::default() };
    plain.headers = headers(fields)?;
    let within = if driver == Driver::Graphql { "variables" } else { "params" };
    set_json(&mut plain, &body, &numbers(fields, within)?)?;
    Ok(plain)
}

/// Paths below `within` whose decimal texts become number tokens.
fn numbers(fields: &Map<String, Value>, within: &str) -> Result<Vec<String>, String> {
    let Some(paths) = fields.get("numbers") else { return Ok(Vec::new()) };
    let wrong = || "`numbers` must be a list of paths such as `lines[].price`".to_owned();
    let full = |path: &Value| {
        let path = path.as_str().ok_or_else(wrong)?;
        let dot = if within.is_empty() || path.starts_with('[') { "" } else { "." };
        Ok(format!("{within}{dot}{path}"))
    };
    paths.as_array().ok_or_else(wrong)?.iter().map(full).collect()
}

fn graphql(fields: &Map<String, Value>, files: &BTreeMap<String, String>) -> Result<Value, String> {
    let query = fields.get("query").and_then(Value::as_str).ok_or("a request needs `query`")?;
    let document = if query.ends_with(".graphql") {
        files.get(query).ok_or_else(|| format!("the folder has no file `{query}`"))?
    } else {
        query
    };
    let mut body = json!({ "query": document });
    if let Some(variables) = fields.get("variables") {
        body["variables"] = variables.clone();
    }
    Ok(body)
}

fn rest(fields: &Map<String, Value>) -> Result<Plain, String> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let mut plain = Plain {
        method: text("method").unwrap_or("GET").to_uppercase(),
        path: text("path").ok_or("a request needs `path`")?.to_owned(),
        query: pairs(fields.get("query"), "query")?,
        headers: headers(fields)?,
        body: None,
    };
    if let Some(form) = fields.get("form") {
        let encoded = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs(Some(form), "form")?)
            .finish();
        plain.headers.push(("content-type".into(), "application/x-www-form-urlencoded".into()));
        plain.body = Some(encoded.into_bytes());
    } else if let Some(body) = fields.get("body").filter(|body| !body.is_null()) {
        set_json(&mut plain, body, &numbers(fields, "")?)?;
    }
    Ok(plain)
}

fn set_json(plain: &mut Plain, body: &Value, numbers: &[String]) -> Result<(), String> {
    let bytes = if numbers.is_empty() {
        serde_json::to_vec(body).map_err(|e| e.to_string())?
    } else {
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        write_json(body, &numbers).map_err(|e| e.to_string())?
    };
    plain.body = Some(bytes);
    plain.headers.push(("content-type".into(), "application/json".into()));
    plain.headers.push(("accept".into(), "application/json".into()));
    Ok(())
}

fn headers(fields: &Map<String, Value>) -> Result<Vec<(String, String)>, String> {
    pairs(fields.get("headers"), "headers")
}

/// An object as pairs; arrays give several of the same name, null gives none.
fn pairs(value: Option<&Value>, what: &str) -> Result<Vec<(String, String)>, String> {
    let mut out = Vec::new();
    let Some(value) = value.filter(|v| !v.is_null()) else { return Ok(out) };
    let fields = value.as_object().ok_or_else(|| format!("`{what}` must be an object"))?;
    for (name, value) in fields {
        let values = match value {
            Value::Null => continue,
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            let text = text_of(value).ok_or_else(|| format!("`{what}.{name}` must be a text or number"))?;
            out.push((name.clone(), text));
        }
    }
    Ok(out)
}

/// Reads the answer. `as_text`: the request said `raw`, so no JSON is expected.
///
/// # Errors
/// When JSON is expected and this is none.
pub fn answer(driver: Driver, as_text: bool, plain_rest: bool, raw: Raw) -> Result<Answer, (u16, String)> {
    let Raw { status, headers, body } = raw;
    if as_text {
        let text = Value::String(String::from_utf8_lossy(&body).into_owned());
        return Ok(Answer { status, headers, raw: Value::Null, body: text });
    }
    let blank = body.iter().all(u8::is_ascii_whitespace);
    let value = match read_json(&body) {
        _ if blank => Value::Null,
        Ok(value) => value,
        // An error page of a proxy: the status says what it is worth.
        Err(_) if status >= 400 => Value::Null,
        Err(error) => return Err((status, format!("the answer is no JSON: {error}"))),
    };
    let inner = match driver {
        Driver::Graphql if !plain_rest => value.get("data").cloned().unwrap_or_default(),
        Driver::JsonRpc if !plain_rest => value.get("result").cloned().unwrap_or_default(),
        _ => value.clone(),
    };
    Ok(Answer { status, headers, raw: value, body: inner })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn files() -> BTreeMap<String, String> {
        BTreeMap::from([("q.graphql".to_owned(), "query { a }".to_owned())])
    }

    #[test]
    fn each_driver_builds_its_request() {
        let body = |p: &Plain| serde_json::from_slice::<Value>(p.body.as_ref().unwrap()).unwrap();
        let gql = request(
            Driver::Graphql,
            "/api",
            "2.0",
            &files(),
            &json!({"query": "q.graphql", "variables": {"x": 1}}),
        )
        .unwrap();
        assert_eq!((gql.method.as_str(), gql.path.as_str()), ("POST", "/api"));
        assert_eq!(body(&gql), json!({"query": "query { a }", "variables": {"x": 1}}));

        let rpc = request(Driver::JsonRpc, "/rpc", "2.0", &files(), &json!({"method": "a.b", "params": [1]}))
            .unwrap();
        assert_eq!(body(&rpc)["method"], "a.b");
        assert_eq!(body(&rpc), json!({"id": 1, "jsonrpc": "2.0", "method": "a.b", "params": [1]}));
        let old = request(Driver::JsonRpc, "/rpc", "", &files(), &json!({"method": "a.b"})).unwrap();
        assert_eq!(body(&old), json!({"id": 1, "method": "a.b", "params": []}));

        let get = json!({"path": "/x", "query": {"a": [1, "2"], "b": null}});
        let rest = request(Driver::Rest, "", "2.0", &files(), &get).unwrap();
        assert_eq!(rest.method, "GET");
        assert_eq!(rest.query, [("a".into(), "1".into()), ("a".into(), "2".to_owned())]);
        let form = request(
            Driver::Rest,
            "",
            "2.0",
            &files(),
            &json!({"method": "post", "path": "/x", "form": {"a": "b c"}}),
        )
        .unwrap();
        assert_eq!(form.body.unwrap(), b"a=b+c");
        // Number tokens where the target wants them, digit for digit.
        let exact = |driver, fields: Value| {
            String::from_utf8(request(driver, "/x", "", &files(), &fields).unwrap().body.unwrap()).unwrap()
        };
        let order = json!({"lines": [{"price": "12.50"}]});
        let rest = exact(Driver::Rest, json!({"path": "/x", "body": order, "numbers": ["lines[].price"]}));
        assert_eq!(rest, r#"{"lines":[{"price":12.50}]}"#);
        let rpc = exact(
            Driver::JsonRpc,
            json!({"method": "m", "params": [order], "numbers": ["[].lines[].price"]}),
        );
        assert!(rpc.contains(r#""price":12.50"#), "{rpc}");
        let gql =
            exact(Driver::Graphql, json!({"query": "q", "variables": order, "numbers": ["lines[].price"]}));
        assert!(gql.contains(r#""price":12.50"#), "{gql}");
        // A plain request works with every driver.
        assert_eq!(
            request(Driver::Graphql, "/api", "2.0", &files(), &json!({"path": "/health"})).unwrap().path,
            "/health"
        );
    }

    #[test]
    fn a_bad_request_says_what_is_missing() {
        for (driver, bad, expect) in [
            (Driver::Graphql, json!({}), "needs `query`"),
            (Driver::Graphql, json!({"query": "none.graphql"}), "no file `none.graphql`"),
            (Driver::JsonRpc, json!({}), "needs `method`"),
            (Driver::Rest, json!({}), "needs `path`"),
            (Driver::Rest, json!({"path": "/", "query": [1]}), "`query` must be an object"),
            (Driver::Rest, json!([]), "no object"),
        ] {
            let error = request(driver, "", "2.0", &files(), &bad).unwrap_err();
            assert!(error.contains(expect), "{error}");
        }
    }

    #[test]
    fn answers_are_unwrapped_and_stay_exact() {
        let raw =
            |status, body: &str| Raw { status, headers: BTreeMap::new(), body: body.as_bytes().to_vec() };
        let rpc =
            answer(Driver::JsonRpc, false, false, raw(200, r#"{"id":1,"result":{"price":25.50}}"#)).unwrap();
        assert_eq!(rpc.body["price"], "25.50");
        assert_eq!(
            answer(Driver::Graphql, false, false, raw(200, r#"{"data":{"a":1}}"#)).unwrap().body["a"],
            1
        );
        assert!(answer(Driver::Rest, false, false, raw(200, "<html>")).is_err());
        assert_eq!(answer(Driver::Rest, false, false, raw(502, "<html>")).unwrap().body, Value::Null);
        assert_eq!(answer(Driver::Rest, true, false, raw(200, "ok")).unwrap().body, "ok");
    }
}
