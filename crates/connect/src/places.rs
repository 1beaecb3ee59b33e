//! Every place in a manifest that names a program or a path, with what must come out of it.
//!
//! Never: reads a file or compiles anything.

use counterpart_mapping::program::Expect;

use crate::manifest::{Code, Location, Manifest};

/// A place that names a program.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// Where in the manifest: `fetch.order.read`.
    pub at: String,
    /// The program.
    pub code: &'a Code,
    /// What must come out.
    pub expect: Expect,
}

/// All of them, in the manifest's order of sections.
pub fn programs(manifest: &Manifest) -> Vec<Place<'_>> {
    let mut out: Vec<Place<'_>> = Vec::new();
    let mut put = |at: String, code, expect| out.push(Place { at, code, expect });
    let auth = &manifest.auth;
    for (key, code, expect) in [
        ("login", &auth.login, Expect::Request),
        ("token", &auth.token, Expect::Any),
        ("lifetime", &auth.lifetime, Expect::Any),
    ] {
        if let Some(code) = code {
            put(format!("auth.{key}"), code, expect);
        }
    }
    put("health.request".into(), &manifest.health.request, Expect::Request);
    if let Some(code) = &manifest.health.expect {
        put("health.expect".into(), code, Expect::Any);
    }
    for check in &manifest.checks {
        if let Some(code) = &check.request {
            put(format!("checks.{}.request", check.name), code, Expect::Request);
        }
        put(format!("checks.{}.expect", check.name), &check.expect, Expect::Any);
    }
    if let Some(webhooks) = &manifest.webhooks {
        put("webhooks.hints".into(), &webhooks.hints, Expect::Array);
        if let Some(all) = &webhooks.subscriptions {
            let parts = [
                ("list", Some(&all.list), Expect::Request),
                ("items", Some(&all.items), Expect::Array),
                ("create", Some(&all.create), Expect::Request),
                ("renew", all.renew.as_ref(), Expect::Request),
                ("delete", Some(&all.delete), Expect::Request),
            ];
            for (key, code, expect) in parts {
                if let Some(code) = code {
                    put(format!("webhooks.subscriptions.{key}"), code, expect);
                }
            }
        }
    }
    for (name, fetch) in &manifest.fetch {
        put(format!("fetch.{name}.request"), &fetch.request, Expect::Request);
        for then in &fetch.then {
            put(format!("fetch.{name}.then.{}.request", then.name), &then.request, Expect::Request);
        }
        put(format!("fetch.{name}.items"), &fetch.items, Expect::Array);
        put(format!("fetch.{name}.id"), &fetch.id, Expect::Any);
        put(format!("fetch.{name}.read"), &fetch.read, Expect::Changes);
    }
    for (name, stream) in &manifest.streams {
        put(format!("streams.{name}.request"), &stream.request, Expect::Request);
        put(format!("streams.{name}.items"), &stream.items, Expect::Array);
        put(format!("streams.{name}.id"), &stream.id, Expect::Any);
        let optional = [
            ("mark", stream.mark.as_ref().filter(|m| m.text != READ_BEGAN), Expect::Any),
            ("next", stream.next.as_ref(), Expect::Any),
            ("more", stream.more.as_ref(), Expect::Bool),
            ("read", stream.read.as_ref(), Expect::Changes),
            ("version", stream.version.as_ref(), Expect::Any),
        ];
        for (key, code, expect) in optional {
            if let Some(code) = code {
                put(format!("streams.{name}.{key}"), code, expect);
            }
        }
    }
    for (name, operation) in &manifest.operations {
        for step in &operation.steps {
            let at = format!("operations.{name}.{}", step.name);
            put(format!("{at}.request"), &step.request, Expect::Request);
            let optional = [
                ("response", &step.response, Expect::Any),
                ("done_when", &step.done_when, Expect::Bool),
                ("skip_when", &step.skip_when, Expect::Bool),
            ];
            for (key, code, expect) in optional {
                if let Some(code) = code {
                    put(format!("{at}.{key}"), code, expect);
                }
            }
        }
        if let Some(batch) = &operation.batch {
            put(format!("operations.{name}.batch.request"), &batch.request, Expect::Request);
            put(format!("operations.{name}.batch.rows"), &batch.rows, Expect::Array);
        }
        put(format!("operations.{name}.result"), &operation.result, Expect::Object);
    }
    out
}

/// A mark that is the time the round began.
pub const READ_BEGAN: &str = "@read_began";

/// Every plain path, with its place.
pub fn paths(manifest: &Manifest) -> Vec<(String, &str)> {
    let mut found: Vec<(String, &str)> = Vec::new();
    for (number, rule) in manifest.errors.iter().enumerate() {
        let fields = [("at", &rule.at), ("message", &rule.message), ("field", &rule.field)];
        for (key, text) in fields {
            if let Some(text) = text {
                found.push((format!("errors[{number}].{key}"), text));
            }
        }
    }
    for (at, place) in locations(manifest) {
        if let Some(body) = &place.body {
            found.push((at, body));
        }
    }
    found
}

/// Every header-or-body location, with its place.
pub fn locations(manifest: &Manifest) -> Vec<(String, &Location)> {
    let mut found: Vec<(String, &Location)> = Vec::new();
    for (number, rule) in manifest.errors.iter().enumerate() {
        if let Some(place) = &rule.retry_after {
            found.push((format!("errors[{number}].retry_after"), place));
        }
    }
    let read = &manifest.limits.read;
    for (key, place) in [("remaining", &read.remaining), ("limit", &read.limit), ("reset_s", &read.reset_s)] {
        if let Some(place) = place {
            found.push((format!("limits.read.{key}"), place));
        }
    }
    if let Some(hooks) = &manifest.webhooks {
        found.push(("webhooks.topic".into(), &hooks.topic));
        let signature = &hooks.signature;
        let optional = [
            ("event_id", &hooks.event_id),
            ("occurred_at", &hooks.occurred_at),
            ("signature.token", &signature.token),
            ("signature.timestamp", &signature.timestamp),
        ];
        for (key, place) in optional {
            if let Some(place) = place {
                found.push((format!("webhooks.{key}"), place));
            }
        }
    }
    found
}
