//! Answers requests: the limits, what goes wrong, whether the caller may, then the route's function.
//!
//! Never: knows what a route means.

use std::collections::BTreeMap;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::faults::Fate;
use crate::host::Reply;
use crate::profile::Route;
use crate::value::{to_json, to_script};
use crate::{Refusal, System, graphql, lock};

/// Largest request taken.
const LARGEST: usize = 16 << 20;

/// Why a connection is cut without an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// Serves until dropped.
pub async fn serve(listener: TcpListener, system: Arc<System>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let system = Arc::clone(&system);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&system), request));
            // A cut connection is an error here, and meant to be one.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(system: Arc<System>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    if system.faults.is_down(system.host.now()) {
        return Err(Cut);
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LARGEST).collect().await else { return Ok(respond(plain(413))) };
    let body = body.to_bytes();
    let told = tokio::task::block_in_place(|| system.respond(&parts, &body));
    told.map(respond).ok_or(Cut)
}

fn respond(reply: Reply) -> Response<Full<Bytes>> {
    let body = match &reply.body {
        Value::Null => Bytes::new(),
        // Text that is no JSON, such as a page of HTML or a token of a handshake.
        Value::String(text) => Bytes::from(text.clone()),
        body => Bytes::from(body.to_string()),
    };
    let kind = if matches!(reply.body, Value::String(_)) { "text/html" } else { "application/json" };
    let mut builder = Response::builder().status(reply.status).header("content-type", kind);
    for (name, value) in &reply.headers {
        builder = builder.header(name, value);
    }
    let broken = |_| Response::new(Full::from(Bytes::from_static(b"a header of the profile is none")));
    builder.body(Full::from(body)).unwrap_or_else(broken)
}

fn plain(status: u16) -> Reply {
    Reply { status, body: Value::Null, headers: Vec::new() }
}

impl System {
    /// One request, answered; nothing when the connection breaks.
    fn respond(&self, parts: &hyper::http::request::Parts, body: &Bytes) -> Option<Reply> {
        let (route, request) = self.read(parts, body);
        let (label, reply) = match route {
            None => {
                (format!("{} {} (no such route)", parts.method, parts.uri.path()), self.nowhere(&request))
            }
            Some(route) => {
                let reply = self.at(&route, request)?;
                (format!("{} {} {}", route.method, route.path, reply.status), reply)
            }
        };
        *lock(&self.seen).entry(label).or_default() += 1;
        Some(reply)
    }

    fn nowhere(&self, request: &Value) -> Reply {
        self.ask("not_found", vec![request.clone()]).unwrap_or_else(|| plain(404))
    }

    fn at(&self, route: &Route, mut request: Value) -> Option<Reply> {
        if !route.open && self.has("guard") {
            match self.turn("guard", vec![to_script(&request)]) {
                Ok(caller) => request["caller"] = to_json(&caller),
                Err(refusal) => return Some(refused(refusal)),
            }
        }
        let fate = if route.open { Fate::Fine } else { self.faults.fate() };
        let now = self.host.now();
        for name in &route.limits {
            let taken = lock(&self.limits).take(name, 1.0, now);
            if let Err(standing) = taken {
                return Some(self.throttled(name, standing, request));
            }
        }
        match fate {
            Fate::Throttled => {
                let name = route.limits.first().map_or("", String::as_str).to_owned();
                let standing = crate::limits::Standing { size: 1.0, left: 0.0, wait_s: 1.0 };
                return Some(self.throttled(&name, standing, request));
            }
            Fate::Failed => {
                let failed = self.ask("failed", vec![request]);
                return Some(failed.unwrap_or_else(|| plain(503)));
            }
            Fate::Broken => return None,
            Fate::Inside => {
                if let Some(reply) = self.ask("failed_inside", vec![request.clone()]) {
                    return Some(reply);
                }
            }
            Fate::Fine | Fate::Lost => {}
        }
        let reply = if route.run == "graphql" {
            graphql::answer(self, &request)
        } else {
            match self.turn(&route.run, vec![to_script(&request)]) {
                Ok(value) => Reply::from_script(&value).unwrap_or_else(|| {
                    lock(&self.broken).push(format!("{} gives no reply", route.run));
                    plain(500)
                }),
                Err(refusal) => refused(refusal),
            }
        };
        if fate == Fate::Lost {
            return None;
        }
        Some(self.finish(route, request, reply))
    }

    /// Lets the program add what every answer has, such as headers that tell the limits.
    fn finish(&self, route: &Route, mut request: Value, reply: Reply) -> Reply {
        if !self.has("finish") {
            return reply;
        }
        let now = self.host.now();
        let mut limits = lock(&self.limits);
        let told = route.limits.iter().filter_map(|name| {
            let standing = limits.standing(name, now)?;
            Some((name.clone(), json!({"size": whole(standing.size), "left": whole(standing.left)})))
        });
        request["limits"] = Value::Object(told.collect());
        drop(limits);
        let done = self.turn("finish", vec![to_script(&request), reply.to_script()]);
        done.ok().as_ref().and_then(Reply::from_script).unwrap_or(reply)
    }

    fn throttled(&self, limit: &str, standing: crate::limits::Standing, mut request: Value) -> Reply {
        request["limit"] = json!({
            "name": limit,
            "size": whole(standing.size),
            "left": whole(standing.left.max(0.0)),
            "wait_s": whole(standing.wait_s.ceil()),
        });
        self.ask("throttled", vec![request]).unwrap_or_else(|| plain(429))
    }

    /// Asks a function of the program that gives a reply; none where there is no such function, or it has nothing to say.
    fn ask(&self, function: &str, with: Vec<Value>) -> Option<Reply> {
        if !self.has(function) {
            return None;
        }
        match self.turn(function, with.iter().map(to_script).collect()) {
            Ok(value) => Reply::from_script(&value),
            Err(refusal) => Some(refused(refusal)),
        }
    }

    /// The route that fits, and the request as the program sees it.
    fn read(&self, parts: &hyper::http::request::Parts, body: &Bytes) -> (Option<Route>, Value) {
        let path = url_decoded(parts.uri.path());
        let (route, params) = match self.profile.route(parts.method.as_str(), &path) {
            Some((route, params)) => (Some(route.clone()), params),
            None => (None, Map::new()),
        };
        // A name that comes several times has a list of values.
        let pairs = |text: &str| -> Map<String, Value> {
            let mut all = Map::new();
            for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
                let value = Value::String(value.into_owned());
                match all.get_mut(name.as_ref()) {
                    None => drop(all.insert(name.into_owned(), value)),
                    Some(Value::Array(list)) => list.push(value),
                    Some(first) => *first = json!([first.take(), value]),
                }
            }
            all
        };
        let headers: BTreeMap<&str, &str> =
            parts.headers.iter().filter_map(|(k, v)| Some((k.as_str(), v.to_str().ok()?))).collect();
        let raw = String::from_utf8_lossy(body);
        let form =
            headers.get("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
        let read =
            if form { Value::Object(pairs(&raw)) } else { serde_json::from_str(&raw).unwrap_or(Value::Null) };
        let request = json!({
            "method": parts.method.as_str(),
            "path": path,
            "params": params,
            "query": pairs(parts.uri.query().unwrap_or_default()),
            "headers": headers,
            "body": read,
            "text": raw,
        });
        (route, request)
    }
}

/// A number of requests or seconds as programs want it: whole.
#[allow(clippy::cast_possible_truncation, reason = "limits are far below")]
fn whole(number: f64) -> i64 {
    number.floor() as i64
}

fn refused(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Refused { status, body, headers } => Reply { status, body, headers },
        Refusal::Broken(_) => plain(500),
    }
}

fn url_decoded(path: &str) -> String {
    let text = path.replace('+', "%2B");
    let decoded = url::form_urlencoded::parse(text.as_bytes()).next().map(|(k, _)| k.into_owned());
    // A path with an equals sign or an ampersand is taken as it is.
    if path.contains(['=', '&']) { path.to_owned() } else { decoded.unwrap_or_default() }
}
