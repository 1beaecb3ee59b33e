//! Every request that a connector's samples and programs come to, as it would go out: what is held against a vendor's
//! contract.
//!
//! Never: sends anything; puts credentials on a request; judges what it made.

use std::collections::{BTreeMap, BTreeSet};

use counterpart_mapping::json::make_lossless;
use counterpart_mapping::program::Expect;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::catalog::Connector;
use crate::conformance::{self, NOW, Sample};
use crate::driver;
use crate::http::Plain;
use crate::manifest::{Code, Fetch, Operation, OperationName, SettingType, Step, Stream};
use crate::places;
use crate::reading::id_of;
use crate::template;

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// The connector.
    pub connector: String,
    /// What it comes from: a sample's file, or a place in the manifest with what its program was given.
    pub from: String,
    /// `GET`, `POST`, ...
    pub method: String,
    /// Path below the connection's address, without the query.
    pub path: String,
    /// Query parameters, in order.
    pub query: Vec<(String, String)>,
    /// Headers, without credentials.
    pub headers: Vec<(String, String)>,
    /// JSON, or the text of a form; null when there is none.
    pub body: Value,
}

/// A program that gave no request although it was to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// As in [`Request::from`].
    pub from: String,
    /// Why.
    pub message: String,
}

/// What a connector comes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Requests {
    /// The requests; one that several samples make is there for each of them.
    pub made: Vec<Request>,
    /// What went wrong.
    pub broken: Vec<Broken>,
    /// Places of programs that make requests of which no sample or made-up input made one.
    pub unasked: Vec<String>,
}

/// Makes every request that can be made without a system: those of samples; those of programs that need no data, with
/// every choice that a setting offers; those of operations' steps and of fetches, with what samples know.
pub fn requests(connector: &Connector) -> Requests {
    let samples: Vec<(&String, Sample)> = conformance::samples(connector)
        .filter_map(|(path, sample)| sample.ok().map(|sample| (path, sample)))
        .collect();
    let mut maker = Maker { connector, samples: &samples, done: Requests::default(), asked: BTreeSet::new() };
    maker.of_samples();
    for (named, meta) in choices(connector, &samples) {
        maker.without_data(&named, &meta);
    }
    maker.of_operations();
    let mut told = BTreeSet::new();
    for place in places::programs(&connector.manifest) {
        let asks = matches!(place.expect, Expect::Request);
        if asks && !maker.asked.contains(&place.code.text) && told.insert(&place.code.text) {
            maker.done.unasked.push(place.at);
        }
    }
    maker.done
}

/// What programs without data see: first the usual settings, then each other choice of one of them.
fn choices(connector: &Connector, samples: &[(&String, Sample)]) -> Vec<(String, Value)> {
    let manifest = &connector.manifest;
    let mut usual = Map::new();
    let mut maps: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for (name, spec) in manifest.settings.iter().filter(|(_, spec)| spec.default.is_none()) {
        let known = samples.iter().find_map(|(_, sample)| sample.settings.get(name)).cloned();
        let made_up = || match spec.kind {
            SettingType::Text => json!(spec.one_of.first().map_or("1", String::as_str)),
            SettingType::Integer => json!(1),
            SettingType::Bool => json!(false),
        };
        if let Some(value) = known.or_else(|| spec.required.then(made_up)) {
            usual.insert(name.clone(), value);
        }
    }
    for (name, entries) in samples.iter().flat_map(|(_, sample)| &sample.maps) {
        let all = maps.entry(name).or_default();
        all.extend(entries.iter().map(|(code, value)| (code.as_str(), value.as_str())));
    }
    let meta =
        |settings: &Map<String, Value>| conformance::meta(manifest, settings.clone(), json!(maps), NOW, None);
    let mut found = vec![(String::new(), meta(&usual))];
    for (name, spec) in &manifest.settings {
        let now = usual.get(name).or(spec.default.as_ref());
        let others: Vec<Value> = match spec.kind {
            SettingType::Bool => vec![json!(now != Some(&json!(true)))],
            _ => spec.one_of.iter().map(|choice| json!(choice)).filter(|c| Some(c) != now).collect(),
        };
        for other in others {
            let mut settings = usual.clone();
            let named = format!("{name} = {other}");
            settings.insert(name.clone(), other);
            found.push((named, meta(&settings)));
        }
    }
    found
}

struct Maker<'a> {
    connector: &'a Connector,
    samples: &'a [(&'a String, Sample)],
    done: Requests,
    /// Texts of programs that made a request.
    asked: BTreeSet<String>,
}

/// What a program gave in place of a request.
enum Given {
    Request(Value),
    /// Nothing, or a refusal.
    Nothing,
    Failed(String),
}

impl<'a> Maker<'a> {
    fn run(&self, code: &Code, input: &Value, meta: &Value) -> Given {
        let mut input = input.clone();
        make_lossless(&mut input);
        match self.connector.programs.run(code, &input, meta) {
            Err(error) => Given::Failed(error.to_string()),
            Ok(value) if value.get("reject").is_some() || value.get("missing_reference").is_some() => {
                Given::Nothing
            }
            Ok(Value::Null) => Given::Nothing,
            Ok(value) => Given::Request(value),
        }
    }

    fn says_yes(&self, code: Option<&Code>, input: &Value, meta: &Value) -> bool {
        let Some(code) = code else { return false };
        let mut input = input.clone();
        make_lossless(&mut input);
        // Where the program cannot tell, what it decides on is not in the sample.
        self.connector.programs.run(code, &input, meta).map_or(true, |value| value == json!(true))
    }

    /// Keeps a request, unless the same was made of the same program before.
    fn keep(&mut self, from: &str, code: &Code, meta: &Value, request: &Value, elsewhere: bool) {
        let head = &self.connector.manifest.connector;
        let settings = &meta["settings"];
        let endpoint = template::fill(head.endpoint.as_deref().unwrap_or_default(), settings);
        self.asked.insert(code.text.clone());
        match driver::request(head.driver, &endpoint, &head.jsonrpc, &self.connector.files, request) {
            Err(message) => self.done.broken.push(Broken { from: from.to_owned(), message }),
            Ok(mut plain) => {
                if !elsewhere {
                    let headers = head.headers.iter();
                    plain.headers.extend(headers.map(|(n, v)| (n.clone(), template::fill(v, settings))));
                }
                let made = as_it_goes_out(&self.connector.name, from, plain);
                let place = |from: &str| from.split(" (").next().unwrap_or_default().to_owned();
                let same = |old: &Request| {
                    place(&old.from) == place(from)
                        && Request { from: old.from.clone(), ..made.clone() } == *old
                };
                if !self.done.made.iter().any(same) {
                    self.done.made.push(made);
                }
            }
        }
    }

    fn of_samples(&mut self) {
        let manifest = &self.connector.manifest;
        for (path, sample) in self.samples {
            // What is wrong with a sample is for the conformance check to say.
            let Ok(Some(code)) = sample.request(manifest) else { continue };
            let meta = sample.meta(manifest);
            if let Given::Request(request) = self.run(code, &sample.context, &meta) {
                self.keep(path, code, &meta, &request, false);
            }
        }
    }

    /// Runs a program on input that is made up, which must give a request or nothing.
    fn ask(&mut self, at: &str, with: &[&str], code: &Code, input: &Value, meta: &Value) {
        let from = given(at, with);
        match self.run(code, input, meta) {
            Given::Request(request) => self.keep(&from, code, meta, &request, at == "auth.login"),
            Given::Nothing => {}
            Given::Failed(message) => self.done.broken.push(Broken { from, message }),
        }
    }

    fn without_data(&mut self, named: &str, meta: &Value) {
        let manifest = &self.connector.manifest;
        if let Some(login) = &manifest.auth.login {
            self.log_in(named, login, meta);
        }
        self.ask("health.request", &[named], &manifest.health.request, &json!({}), meta);
        for check in &manifest.checks {
            if let Some(code) = &check.request {
                self.ask(&format!("checks.{}.request", check.name), &[named], code, &json!({}), meta);
            }
        }
        if let Some(all) = manifest.webhooks.as_ref().and_then(|hooks| hooks.subscriptions.as_ref()) {
            let at = |key: &str| format!("webhooks.subscriptions.{key}");
            let url = "https://hub.example.com/webhooks/sample";
            self.ask(&at("list"), &[named], &all.list, &json!({}), meta);
            for topic in &all.topics {
                let secret = "a secret of thirty-two characters";
                let item = json!({"id": "1", "topic": topic, "url": url, "expires_at": NOW, "version": "1"});
                let input = json!({"topic": topic, "item": item, "url": url, "secret": secret});
                self.ask(&at("create"), &[topic, named], &all.create, &input, meta);
                self.ask(&at("delete"), &[topic, named], &all.delete, &input, meta);
                if let Some(renew) = &all.renew {
                    self.ask(&at("renew"), &[topic, named], renew, &input, meta);
                }
            }
        }
        for (name, fetch) in &manifest.fetch {
            self.fetch(name, named, fetch, meta);
        }
        for (name, stream) in &manifest.streams {
            self.stream(name, named, stream, meta);
        }
    }

    /// Once with every secret, once without each that need not be there.
    fn log_in(&mut self, named: &str, login: &Code, meta: &Value) {
        let secrets = &self.connector.manifest.secrets;
        let optional = secrets.iter().filter(|(_, spec)| !spec.required).map(|(name, _)| name.as_str());
        for without in std::iter::once("").chain(optional) {
            let held = secrets.keys().filter(|name| *name != without);
            let held: BTreeMap<&String, String> = held.map(|name| (name, format!("secret-{name}"))).collect();
            let input = json!({"settings": meta["settings"], "secrets": held});
            let said = if without.is_empty() { String::new() } else { format!("without {without}") };
            self.ask("auth.login", &[&said, named], login, &input, meta);
        }
    }

    fn fetch(&mut self, name: &str, named: &str, fetch: &Fetch, meta: &Value) {
        let topic = format!("fetch:{name}");
        let mut ids = BTreeSet::new();
        for (_, sample) in self.samples {
            if sample.topic.as_ref() == Some(&topic)
                && sample.step.is_none()
                && let Given::Request(id) = self.run(&fetch.id, &sample.body, meta)
            {
                ids.extend(id_of(&id));
            }
            for hint in sample.expect.as_array().into_iter().flatten() {
                if hint["fetch"] == *name {
                    ids.extend(id_of(&hint["id"]));
                }
            }
        }
        if ids.is_empty() {
            ids.insert("1".to_owned());
        }
        let ids: Vec<String> = ids.into_iter().take(fetch.max_ids.max(1)).collect();
        self.ask(&format!("fetch.{name}.request"), &[named], &fetch.request, &json!({"ids": ids}), meta);
        for then in &fetch.then {
            // As when nothing came; what needs more than that has a sample of its own.
            let input = json!({"ids": ids, "body": {}, "steps": {}});
            let at = format!("fetch.{name}.then.{}.request", then.name);
            if let Given::Request(request) = self.run(&then.request, &input, meta) {
                self.keep(&given(&at, &[named]), &then.request, meta, &request, false);
            }
        }
    }

    /// The first page and the next one, of everything and since a moment.
    fn stream(&mut self, name: &str, named: &str, stream: &Stream, meta: &Value) {
        let at = format!("streams.{name}.request");
        let limit = stream.page.limit;
        for page in [1, 2] {
            let input = |since: Value| {
                let cursor = if page == 1 { Value::Null } else { json!("100") };
                json!({"since": since, "cursor": cursor, "page": page, "offset": (page - 1) * limit, "limit": limit})
            };
            let nth = format!("page {page}");
            self.ask(&at, &[&nth, named], &stream.request, &input(Value::Null), meta);
            // A mark is a moment for most, a number for some.
            let moment = input(json!(NOW));
            let since = match self.run(&stream.request, &moment, meta) {
                Given::Failed(_) => input(json!(1)),
                _ => moment,
            };
            self.ask(&at, &[&nth, "since", named], &stream.request, &since, meta);
        }
    }

    fn of_operations(&mut self) {
        let manifest = &self.connector.manifest;
        for (name, operation) in &manifest.operations {
            for step in &operation.steps {
                self.step(*name, operation, step);
            }
            if let Some(batch) = &operation.batch {
                let own = self.samples_of(*name);
                let rows: Vec<&Value> = own.iter().map(|(_, sample)| &sample.context).collect();
                let Some((path, sample)) = own.first() else { continue };
                let at = given(&format!("operations.{name}.batch.request"), &[path]);
                let meta = sample.meta(manifest);
                if let Given::Request(request) = self.run(&batch.request, &json!({"rows": rows}), &meta) {
                    self.keep(&at, &batch.request, &meta, &request, false);
                }
            }
        }
    }

    /// A step that no sample is of, with what samples of other steps of the operation know.
    fn step(&mut self, name: OperationName, operation: &Operation, step: &Step) {
        let own = self.samples_of(name);
        if own.iter().any(|(_, sample)| sample.step.as_ref() == Some(&step.name)) {
            return;
        }
        let at = format!("operations.{name}.{}.request", step.name);
        for (path, sample) in own {
            let meta = sample.meta(&self.connector.manifest);
            let mut context = sample.context.clone();
            // What comes from the step itself or a later one was not there yet.
            let before = operation.steps.iter().take_while(|s| s.name != step.name);
            let before: BTreeSet<&str> = before.map(|s| s.name.as_str()).collect();
            if let Some(steps) = context.get_mut("steps").and_then(Value::as_object_mut) {
                steps.retain(|name, _| before.contains(name.as_str()));
            }
            let needless = |code: &Option<Code>| self.says_yes(code.as_ref(), &context, &meta);
            if needless(&step.skip_when) || needless(&step.done_when) {
                continue;
            }
            if let Given::Request(request) = self.run(&step.request, &context, &meta) {
                self.keep(&given(&at, &[path]), &step.request, &meta, &request, false);
            }
        }
    }

    fn samples_of(&self, name: OperationName) -> Vec<(&'a str, &'a Sample)> {
        let name = name.to_string();
        let own = self.samples.iter().filter(|(_, s)| s.operation.as_ref() == Some(&name));
        own.map(|(path, sample)| (path.as_str(), sample)).collect()
    }
}

/// `streams.orders.request (page 1, since)`.
fn given(at: &str, with: &[&str]) -> String {
    let with: Vec<&str> = with.iter().copied().filter(|part| !part.is_empty()).collect();
    if with.is_empty() { at.to_owned() } else { format!("{at} ({})", with.join(", ")) }
}

fn as_it_goes_out(connector: &str, from: &str, plain: Plain) -> Request {
    let (path, inside) = plain.path.split_once('?').unwrap_or((&plain.path, ""));
    let mut query: Vec<(String, String)> =
        url::form_urlencoded::parse(inside.as_bytes()).into_owned().collect();
    query.extend(plain.query);
    let body = plain.body.map_or(Value::Null, |bytes| {
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        serde_json::from_slice(&bytes).unwrap_or_else(|_| text())
    });
    Request {
        connector: connector.to_owned(),
        from: from.to_owned(),
        method: plain.method,
        path: path.to_owned(),
        query,
        headers: plain.headers,
        body,
    }
}
