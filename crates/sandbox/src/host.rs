//! What a profile's program can do: its documents, the time, numbers, answers, messages to others. See `PROFILES.md` for the
//! list with examples.
//!
//! Never: reads files; speaks to the network or waits, but for the one question of a handshake.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use counterpart_model::clock::Clock;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map, NativeCallContext};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::UnboundedSender;

use crate::clock::FastClock;
use crate::profile::Profile;
use crate::value::{to_json, to_script};
use crate::world::{Condition, Selection, Test, World};
use crate::{lock, odata, webhooks};

/// What a program's functions reach.
pub struct Host {
    profile: Arc<Profile>,
    pub clock: FastClock,
    pub world: Mutex<World>,
    pub settings: Value,
    pub under_way: AtomicUsize,
    /// Errors that a GraphQL answer has beside its data.
    pub errors: Mutex<Vec<Value>>,
    pending: Mutex<Vec<Outgoing>>,
    outbox: UnboundedSender<Outgoing>,
    random: Mutex<StdRng>,
}

/// What a program wants to happen outside or later.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// A webhook: where to, which function signs it, what it says, what the program wants to know it by.
    Webhook { url: String, sign: String, body: String, about: Value },
    /// A function to be called after a while.
    Timer { after: SignedDuration, function: String, with: Value },
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
    pub headers: Vec<(String, String)>,
}

type Fallible<T> = Result<T, Box<EvalAltResult>>;

impl Reply {
    /// The reply that a program returned or threw; none when it is something else.
    pub fn from_script(value: &Dynamic) -> Option<Self> {
        let map = value.read_lock::<Map>()?;
        let status = u16::try_from(map.get("status")?.as_int().ok()?).ok()?;
        let body = map.get("body").map_or(Value::Null, to_json);
        let headers =
            map.get("headers").map(to_json).and_then(|h| h.as_object().cloned()).unwrap_or_default();
        let text = |v: Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        Some(Self { status, body, headers: headers.into_iter().map(|(k, v)| (k, text(v))).collect() })
    }

    /// The same for the program.
    pub fn to_script(&self) -> Dynamic {
        let headers: serde_json::Map<String, Value> =
            self.headers.iter().map(|(k, v)| (k.clone(), Value::String(v.clone()))).collect();
        to_script(&serde_json::json!({"status": self.status, "body": self.body, "headers": headers}))
    }
}

impl Host {
    pub fn new(
        profile: Arc<Profile>,
        clock: FastClock,
        seed: u64,
        settings: Value,
        outbox: UnboundedSender<Outgoing>,
    ) -> Self {
        Self {
            profile,
            clock,
            world: Mutex::default(),
            settings,
            under_way: AtomicUsize::new(0),
            errors: Mutex::default(),
            pending: Mutex::default(),
            outbox,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    /// Lets go what a turn wanted to send.
    pub fn flush(&self) {
        for outgoing in lock(&self.pending).drain(..) {
            // Nobody listens only while the system stops.
            let _ = self.outbox.send(outgoing);
        }
    }

    /// Drops what a turn wanted to send.
    pub fn forget(&self) {
        lock(&self.pending).clear();
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// A program's own error, which is a fault of the profile.
fn wrong<T>(text: impl Into<String>) -> Fallible<T> {
    Err(Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(text.into()), rhai::Position::NONE)))
}

fn refuse(status: i64, body: &Dynamic, headers: Map) -> Box<EvalAltResult> {
    let mut thrown = Map::new();
    thrown.insert("status".into(), status.into());
    thrown.insert("body".into(), body.clone());
    thrown.insert("headers".into(), headers.into());
    Box::new(EvalAltResult::ErrorRuntime(thrown.into(), rhai::Position::NONE))
}

/// The engine that runs a program over this host.
pub fn engine(host: &Arc<Host>) -> Engine {
    let mut engine = Engine::new();
    engine.set_max_operations(20_000_000).set_max_expr_depths(128, 64).set_max_call_levels(64);
    engine.on_print(|text| tracing::debug!("{text}"));
    documents(&mut engine, host);
    moments(&mut engine, host);
    numbers(&mut engine, host);
    answers(&mut engine, host);
    engine
}

fn documents(engine: &mut Engine, host: &Arc<Host>) {
    let h = Arc::clone(host);
    engine.register_fn("get", move |collection: &str, id: &str| -> Dynamic {
        lock(&h.world).get(collection, id).map_or(Dynamic::UNIT, to_script)
    });
    let h = Arc::clone(host);
    engine.register_fn("put", move |collection: &str, id: &str, doc: Map| {
        let now = h.now();
        lock(&h.world).put(collection, id, to_json(&doc.into()), now);
    });
    let h = Arc::clone(host);
    engine.register_fn("remove", move |collection: &str, id: &str| -> bool {
        let now = h.now();
        lock(&h.world).remove(collection, id, now)
    });
    let h = Arc::clone(host);
    engine.register_fn("version", move |collection: &str, id: &str| -> i64 {
        i64::try_from(lock(&h.world).version(collection, id)).unwrap_or(i64::MAX)
    });
    let h = Arc::clone(host);
    engine.register_fn("next", move |counter: &str| -> i64 { lock(&h.world).next(counter) });
    let h = Arc::clone(host);
    engine
        .register_fn("count_from", move |counter: &str, from: i64| lock(&h.world).count_from(counter, from));
    let h = Arc::clone(host);
    engine
        .register_fn("savepoint", move || -> i64 { i64::try_from(lock(&h.world).savepoint()).unwrap_or(0) });
    let h = Arc::clone(host);
    engine.register_fn("roll_back_to", move |savepoint: i64| {
        lock(&h.world).roll_back_to(usize::try_from(savepoint).unwrap_or(0));
    });
    let h = Arc::clone(host);
    engine.register_fn("select", move |collection: &str, wanted: Map| -> Fallible<Array> {
        let wanted = to_json(&wanted.into());
        let selection = selection(&wanted)?;
        let skip = usize::try_from(wanted["skip"].as_i64().unwrap_or(0)).unwrap_or(0);
        let top = wanted["top"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        let now = h.now();
        let world = lock(&h.world);
        let rows = world.select(collection, &selection, now);
        Ok(rows.into_iter().skip(skip).take(top).map(|(_, v)| to_script(v)).collect())
    });
    let h = Arc::clone(host);
    engine.register_fn("count", move |collection: &str, wanted: Map| -> Fallible<i64> {
        let selection = selection(&to_json(&wanted.into()))?;
        let now = h.now();
        Ok(i64::try_from(lock(&h.world).select(collection, &selection, now).len()).unwrap_or(i64::MAX))
    });
    let h = Arc::clone(host);
    engine.register_fn("first", move |collection: &str, conditions: Array| -> Fallible<Dynamic> {
        let selection = selection(&serde_json::json!({"if": to_json(&conditions.into())}))?;
        let now = h.now();
        let world = lock(&h.world);
        let found = world.select(collection, &selection, now);
        Ok(found.first().map_or(Dynamic::UNIT, |(_, v)| to_script(v)))
    });
    let h = Arc::clone(host);
    engine.register_fn(
        "odata",
        move |context: NativeCallContext<'_>,
              collection: &str,
              query: Map,
              options: Map|
              -> Fallible<Dynamic> {
            let (query, options) = (to_json(&query.into()), to_json(&options.into()));
            let read = odata::Query::read(&query, &options)
                .map_err(|said| refuse(400, &odata_error(&said), Map::new()))?;
            let scope = selection(&options)?;
            let now = h.now();
            let rows: Vec<Value> = {
                let world = lock(&h.world);
                world.select(collection, &scope, now).into_iter().map(|(_, v)| v.clone()).collect()
            };
            // The world is free again here: what is expanded may be looked up by the program.
            let mut expand = |function: &str, row: &Value| -> Fallible<Value> {
                context.call_fn::<Dynamic>(function, (to_script(row),)).map(|found| to_json(&found))
            };
            Ok(to_script(&read.run(rows, &mut expand)?))
        },
    );
}

fn odata_error(said: &str) -> Dynamic {
    to_script(&serde_json::json!({"error": {"code": "BadRequest", "message": said}}))
}

/// Reads `#{ if: [[path, test, value], ...], sort: ["path", "-path"], indexed: true }`.
fn selection(wanted: &Value) -> Fallible<Selection> {
    let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    let mut conditions = Vec::new();
    for condition in wanted["if"].as_array().into_iter().flatten() {
        let (Some(at), Some(test)) = (condition[0].as_str(), condition[1].as_str()) else {
            return wrong(format!("{condition} is no condition: expected [path, test, value]"));
        };
        let test = match test {
            "=" => Test::Is,
            "!=" => Test::Not,
            ">" => Test::Over,
            ">=" => Test::From,
            "<" => Test::Under,
            "<=" => Test::To,
            "in" => Test::In,
            "has" => Test::Has,
            "starts" => Test::Starts,
            "known" => Test::Known,
            other => return wrong(format!("`{other}` is no test")),
        };
        conditions.push(Condition { path: path(at), test, value: condition[2].clone() });
    }
    let sort = wanted["sort"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let sort = sort.map(|s| s.strip_prefix('-').map_or_else(|| (path(s), false), |down| (path(down), true)));
    Ok(Selection { conditions, sort: sort.collect(), indexed: wanted["indexed"].as_bool().unwrap_or(false) })
}

fn moments(engine: &mut Engine, host: &Arc<Host>) {
    let h = Arc::clone(host);
    engine.register_fn("now", move || format!("{:.0}", h.now()));
    let h = Arc::clone(host);
    engine.register_fn("now_ms", move || format!("{:.3}", h.now()));
    let h = Arc::clone(host);
    engine.register_fn("epoch_ms", move || h.now().as_millisecond());
    engine.register_fn("epoch_ms", |at: &str| -> Fallible<i64> {
        at.parse::<Timestamp>().map(Timestamp::as_millisecond).or_else(|e| wrong(e.to_string()))
    });
    engine.register_fn("from_epoch_ms", |ms: i64| -> Fallible<String> {
        Timestamp::from_millisecond(ms).map(|at| format!("{at:.3}")).or_else(|e| wrong(e.to_string()))
    });
    engine.register_fn("plus_s", |at: &str, seconds: i64| -> Fallible<String> {
        let at: Timestamp = at.parse().or_else(|e: jiff::Error| wrong(e.to_string()))?;
        at.checked_add(SignedDuration::from_secs(seconds))
            .map(|t| format!("{t:.3}"))
            .or_else(|e| wrong(e.to_string()))
    });
    engine.register_fn("is_moment", |text: &str| text.parse::<Timestamp>().is_ok());
    let h = Arc::clone(host);
    engine.register_fn("call_later", move |seconds: i64, function: &str, with: Dynamic| {
        let after = SignedDuration::from_secs(seconds);
        lock(&h.pending).push(Outgoing::Timer { after, function: function.to_owned(), with: to_json(&with) });
    });
}

fn numbers(engine: &mut Engine, host: &Arc<Host>) {
    engine.register_fn("dec", |value: Dynamic| -> Fallible<Decimal> {
        if let Ok(decimal) = value.as_decimal() {
            return Ok(decimal);
        }
        if let Ok(whole) = value.as_int() {
            return Ok(whole.into());
        }
        let text = value.read_lock::<ImmutableString>().map(|t| t.to_string()).unwrap_or_default();
        text.trim().parse().or_else(|_| wrong(format!("`{text}` is no number")))
    });
    engine.register_fn("is_number", |value: Dynamic| {
        value.is_int()
            || value.is_decimal()
            || value.read_lock::<ImmutableString>().is_some_and(|t| t.trim().parse::<Decimal>().is_ok())
    });
    engine.register_fn("fixed", |value: Decimal, places: i64| {
        let places = u32::try_from(places).unwrap_or(0);
        let mut rounded = value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
        rounded.rescale(places);
        rounded.to_string()
    });
    engine.register_fn("rounded", |value: Decimal, places: i64| {
        value.round_dp_with_strategy(
            u32::try_from(places).unwrap_or(0),
            RoundingStrategy::MidpointAwayFromZero,
        )
    });
    let h = Arc::clone(host);
    engine.register_fn("random", move |below: i64| lock(&h.random).random_range(0..below.max(1)));
    let h = Arc::clone(host);
    engine.register_fn("guid", move || {
        let mut bytes = [0; 16];
        lock(&h.random).fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    });
    engine.register_fn("hmac_sha256_base64", |secret: &str, text: &str| -> Fallible<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).or_else(|e| wrong(e.to_string()))?;
        mac.update(text.as_bytes());
        Ok(BASE64.encode(mac.finalize().into_bytes()))
    });
    engine.register_fn("sha256_hex", |text: &str| hex::encode(Sha256::digest(text.as_bytes())));
    engine.register_fn("base64", |text: &str| BASE64.encode(text));
    engine.register_fn("to_json_text", |value: Dynamic| to_json(&value).to_string());
    engine.register_fn("matches", |text: &str, pattern: &str| -> Fallible<bool> {
        regex::Regex::new(pattern).map(|p| p.is_match(text)).or_else(|e| wrong(e.to_string()))
    });
    engine.register_fn("captures", |text: &str, pattern: &str| -> Fallible<Array> {
        let pattern = regex::Regex::new(pattern).or_else(|e| wrong(e.to_string()))?;
        let Some(found) = pattern.captures(text) else { return Ok(Array::new()) };
        Ok(found.iter().map(|m| m.map_or(Dynamic::UNIT, |m| m.as_str().to_owned().into())).collect())
    });
}

fn answers(engine: &mut Engine, host: &Arc<Host>) {
    engine.register_fn("reply", |status: i64, body: Dynamic| -> Map {
        Map::from([
            ("status".into(), status.into()),
            ("body".into(), body),
            ("headers".into(), Map::new().into()),
        ])
    });
    engine.register_fn("reply", |status: i64, body: Dynamic, headers: Map| -> Map {
        Map::from([
            ("status".into(), status.into()),
            ("body".into(), body),
            ("headers".into(), headers.into()),
        ])
    });
    engine.register_fn("refuse", |status: i64, body: Dynamic| -> Fallible<()> {
        Err(refuse(status, &body, Map::new()))
    });
    engine.register_fn("refuse", |status: i64, body: Dynamic, headers: Map| -> Fallible<()> {
        Err(refuse(status, &body, headers))
    });
    let h = Arc::clone(host);
    engine.register_fn("graphql_error", move |code: &str, message: &str| {
        let error = serde_json::json!({"message": message, "extensions": {"code": code}});
        lock(&h.errors).push(error);
    });
    let h = Arc::clone(host);
    engine.register_fn("setting", move |name: &str| to_script(&h.settings[name]));
    let h = Arc::clone(host);
    engine.register_fn("send", move |url: &str, sign: &str, body: Dynamic, about: Dynamic| {
        lock(&h.pending).push(Outgoing::Webhook {
            url: url.to_owned(),
            sign: sign.to_owned(),
            body: to_json(&body).to_string(),
            about: to_json(&about),
        });
    });
    let h = Arc::clone(host);
    engine.register_fn(
        "dispatch",
        move |context: NativeCallContext<'_>, request: Map| -> Fallible<Dynamic> {
            dispatch(&h, &context, request)
        },
    );
    engine.register_fn("ask", |url: &str, seconds: i64| -> Map {
        let (status, text) = webhooks::ask(url, Duration::from_secs(u64::try_from(seconds).unwrap_or(1)));
        Map::from([("status".into(), i64::from(status).into()), ("text".into(), text.into())])
    });
    engine.register_fn("connection", connection);
    engine.register_fn(
        "invoke",
        |context: NativeCallContext<'_>, function: &str, with: Array| -> Fallible<Dynamic> {
            context.call_fn(function, with)
        },
    );
}

/// Answers a request that came inside another one, as batches have them: a refusal of it is its answer.
fn dispatch(host: &Host, context: &NativeCallContext<'_>, mut request: Map) -> Fallible<Dynamic> {
    let text = |name: &str| {
        request.get(name).map(to_json).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let Some((route, params)) = host.profile.route(&text("method"), &text("path")) else {
        return Ok(Reply { status: 404, body: Value::Null, headers: Vec::new() }.to_script());
    };
    request.insert("params".into(), to_script(&Value::Object(params)));
    match context.call_fn::<Dynamic>(&route.run, (request,)) {
        Ok(reply) => Ok(reply),
        Err(error) => match error.unwrap_inner() {
            EvalAltResult::ErrorRuntime(thrown, _) if Reply::from_script(thrown).is_some() => {
                Ok(thrown.clone())
            }
            _ => Err(error),
        },
    }
}

/// A page of a list as GraphQL connections have them: `nodes`, `edges`, `pageInfo`. The cursor is the position, in base64.
fn connection(all: Array, args: Map) -> Fallible<Map> {
    let number = |name: &str| args.get(name).and_then(|v| v.as_int().ok());
    let after = args.get("after").and_then(|v| v.read_lock::<ImmutableString>().map(|t| t.to_string()));
    let start = match after {
        None => 0,
        Some(cursor) => {
            let place =
                BASE64.decode(&cursor).ok().and_then(|b| String::from_utf8(b).ok()?.parse::<usize>().ok());
            match place {
                Some(place) => place + 1,
                None => return wrong(format!("`{cursor}` is no cursor")),
            }
        }
    };
    let total = all.len();
    let size = number("first").and_then(|n| usize::try_from(n).ok()).unwrap_or(total);
    let end = start.saturating_add(size).min(total);
    let cursor = |place: usize| -> Dynamic { BASE64.encode(place.to_string()).into() };
    let nodes: Array = all.into_iter().skip(start).take(size).collect();
    let edges: Array = nodes
        .iter()
        .enumerate()
        .map(|(i, node)| {
            Map::from([("cursor".into(), cursor(start + i)), ("node".into(), node.clone())]).into()
        })
        .collect();
    let some = !nodes.is_empty();
    let info = Map::from([
        ("hasNextPage".into(), (end < total).into()),
        ("hasPreviousPage".into(), (start > 0).into()),
        ("startCursor".into(), if some { cursor(start) } else { Dynamic::UNIT }),
        ("endCursor".into(), if some { cursor(end - 1) } else { Dynamic::UNIT }),
    ]);
    Ok(Map::from([
        ("nodes".into(), nodes.into()),
        ("edges".into(), edges.into()),
        ("pageInfo".into(), info.into()),
    ]))
}
