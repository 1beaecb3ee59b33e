//! The active revision, ready to run: connections built, programs compiled, rules in the engine's terms.
//!
//! Never: talks to a system while building; runs with a part missing. Every problem is collected and told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use counterpart_connect::catalog::Catalog;
use counterpart_connect::connection::{Connection, Spec};
use counterpart_engine::rules::{Flow, FlowState, Others, Owner, Rules};
use counterpart_mapping::program::{Expect, Program, Source, compile};
use counterpart_model::clock::Clock;
use counterpart_model::ids::{ConnectionName, FlowName};
use counterpart_model::redact::Redacted;
use serde_json::{Value, json};

use crate::config::{self, Config, ConnectionConfig, FlowConfig, OthersPolicy, SecretRef};
use crate::plan::Bundle;
use crate::secrets;

/// A revision that can run.
pub struct Active {
    /// Row of the revision; `None` while a file is only tried.
    pub revision: Option<i64>,
    /// What was declared.
    pub config: Config,
    /// The engine's view of it.
    pub rules: Rules,
    /// Every connection that is not broken, by name.
    pub links: BTreeMap<ConnectionName, Arc<Link>>,
    /// Programs of the flows.
    pub flows: BTreeMap<FlowName, FlowPrograms>,
}

/// A connection with what was declared about it.
pub struct Link {
    /// Its name.
    pub name: ConnectionName,
    /// What was declared.
    pub config: ConnectionConfig,
    /// The way to it.
    pub connection: Connection,
}

/// A flow's own programs.
#[derive(Default, Clone)]
pub struct FlowPrograms {
    /// Must be true for a record to be delivered.
    pub filter: Option<Program>,
    /// Changes the canonical payload between read and write mapping.
    pub mapping: Option<Program>,
}

impl Active {
    /// Builds everything that a bundle declares.
    ///
    /// # Errors
    /// Every problem found, each with its place and what to do.
    pub fn build(
        revision: Option<i64>,
        bundle: &Bundle,
        path: &Path,
        stored: &BTreeMap<String, Redacted<String>>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Vec<String>> {
        let config = Config::parse(path, &bundle.config).map_err(|e| vec![e.to_string()])?;
        let overlays = bundle.overlays();
        let used = config.connections.values().map(|c| c.connector.clone()).collect();
        let catalog = Catalog::load_only(&overlays, &used)
            .map_err(|e| e.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let base = path.parent().unwrap_or(Path::new("."));
        let mut problems = Vec::new();
        let known = counterpart_connect::catalog::names(&overlays);
        let mut links = BTreeMap::new();
        for name in config.connections.keys() {
            match link(name, &config, &catalog, &known, base, stored, clock) {
                Ok(link) => drop(links.insert(name.clone(), Arc::new(link))),
                Err(found) => problems.extend(found),
            }
        }
        let mut flows = BTreeMap::new();
        for (name, flow) in &config.flows {
            match programs(name, flow, bundle) {
                Ok(found) => drop(flows.insert(name.clone(), found)),
                Err(found) => problems.extend(found),
            }
            problems.extend(unsupported(name, flow, &links));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let rules = rules(&config, &links);
        Ok(Self { revision, config, rules, links, flows })
    }

    /// The connection of a name, when it is declared and not paused.
    pub fn link(&self, name: &ConnectionName) -> Option<&Arc<Link>> {
        self.links.get(name).filter(|link| !link.config.paused)
    }

    /// The flow of a name.
    pub fn flow(&self, name: &FlowName) -> Option<&Flow> {
        self.rules.flows.iter().find(|flow| flow.name == *name)
    }

    /// Evaluates a flow's filter on a payload.
    ///
    /// # Errors
    /// When the filter fails on it.
    pub fn passes(&self, flow: &Flow, payload: &Value) -> Result<bool, String> {
        let Some(filter) = self.flows.get(&flow.name).and_then(|p| p.filter.as_ref()) else {
            return Ok(true);
        };
        let out = filter.run(payload, &json!({ "flow": flow.name })).map_err(|e| e.to_string())?;
        Ok(out == Value::Bool(true))
    }
}

fn link(
    name: &ConnectionName,
    config: &Config,
    catalog: &Catalog,
    known: &[String],
    base: &Path,
    stored: &BTreeMap<String, Redacted<String>>,
    clock: &Arc<dyn Clock>,
) -> Result<Link, Vec<String>> {
    let declared = &config.connections[name];
    let connector = catalog.get(&declared.connector).ok_or_else(|| {
        vec![format!(
            "connections.{name}.connector: there is no connector `{}`; there are: {}",
            declared.connector,
            known.join(", ")
        )]
    })?;
    let mut problems = Vec::new();
    let mut found = BTreeMap::new();
    for (key, reference) in &declared.secrets {
        match secrets::find(reference, base, |n| stored.get(n).cloned()) {
            Ok(value) => drop(found.insert(key.clone(), value)),
            Err(error) => problems.push(format!("connections.{name}.secrets.{key}: {error}")),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let spec = Spec {
        name: name.clone(),
        connector,
        url: declared.url.clone(),
        allow_private: declared.allow_private,
        settings: declared.settings.clone(),
        secrets: found,
        maps: declared.maps.clone(),
        timeout: declared.timeout_s.map(Duration::from_secs),
        webhook_url: config.hub.public_url.as_ref().map(|public| webhook_url(public, name)),
    };
    match Connection::new(spec, clock.clone()) {
        Ok(connection) => Ok(Link { name: name.clone(), config: declared.clone(), connection }),
        Err(found) => Err(found
            .into_iter()
            .map(|p| {
                let help = p.help.map(|h| format!("; {h}")).unwrap_or_default();
                format!("connections.{name}.{}: {}{help}", p.path, p.message)
            })
            .collect()),
    }
}

/// Where a connection's webhooks go.
fn webhook_url(public: &url::Url, name: &ConnectionName) -> url::Url {
    let mut url = public.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["webhooks", name.as_str()]);
    }
    url
}

fn programs(name: &FlowName, flow: &FlowConfig, bundle: &Bundle) -> Result<FlowPrograms, Vec<String>> {
    let mut problems = Vec::new();
    let mut compiled = |file: &str, text: &str, expect| match compile(Source { file, text }, expect) {
        Ok(program) => Some(program),
        Err(found) => {
            problems.extend(found.iter().map(ToString::to_string));
            None
        }
    };
    let filter =
        flow.filter.as_ref().and_then(|text| compiled(&format!("flows.{name}.filter"), text, Expect::Bool));
    let mapping = flow.mapping.as_ref().and_then(|path| {
        let file = path.to_string_lossy();
        let text = bundle.files.get(file.as_ref())?;
        compiled(&file, text, Expect::Object)
    });
    if problems.is_empty() { Ok(FlowPrograms { filter, mapping }) } else { Err(problems) }
}

/// A flow to a system whose connector cannot write that kind is refused before it is live.
fn unsupported(
    name: &FlowName,
    flow: &FlowConfig,
    links: &BTreeMap<ConnectionName, Arc<Link>>,
) -> Option<String> {
    use counterpart_model::delivery::Action;
    let link = links.get(&flow.to)?;
    if link.connection.operation(flow.kind, Action::Upsert).is_some() {
        return None;
    }
    Some(format!(
        "flows.{name}: the connector `{}` has no operation `{}.upsert`; `counterpart connectors {}` lists what it can do",
        link.config.connector, flow.kind, link.config.connector
    ))
}

fn rules(config: &Config, links: &BTreeMap<ConnectionName, Arc<Link>>) -> Rules {
    let flows = config
        .flows
        .iter()
        .map(|(name, f)| Flow {
            name: name.clone(),
            kind: f.kind,
            from: f.from.clone(),
            to: f.to.clone(),
            state: match f.state {
                config::FlowState::Off => FlowState::Off,
                config::FlowState::Shadow => FlowState::Shadow,
                config::FlowState::Live => FlowState::Live,
            },
            cut_over: f.cut_over,
            allow: f.allow.clone(),
            freshness: f.freshness,
            include_unconfirmed: f.include_unconfirmed,
            follows: links.get(&f.to).is_some_and(|link| link.connection.follows_orders()),
            tolerance: f.tolerance,
        })
        .collect();
    let ownership = config
        .ownership
        .iter()
        .map(|(kind, fields)| {
            let fields = fields
                .iter()
                .map(|(field, owner)| {
                    let others = match owner.others() {
                        OthersPolicy::Revert => Others::Revert,
                        OthersPolicy::Review => Others::Review,
                        OthersPolicy::Accept => Others::Accept,
                    };
                    (field.clone(), Owner { connection: owner.owner().clone(), others })
                })
                .collect();
            (*kind, fields)
        })
        .collect();
    let stock = config.stock.as_ref();
    Rules {
        flows,
        ownership,
        stock_owner: stock.map(|s| s.owner.clone()),
        safety: stock.map(|s| s.safety).unwrap_or_default(),
    }
}

/// Names of the database's secrets that a configuration refers to.
pub fn stored_names(config: &Config) -> BTreeSet<String> {
    let of_connections = config.connections.values().flat_map(|c| c.secrets.values());
    let of_hub =
        config.hub.api_tokens.iter().chain(config.hub.smtp.iter().filter_map(|s| s.password.as_ref()));
    of_connections
        .chain(of_hub)
        .filter_map(|reference| match reference {
            SecretRef::Stored { stored } => Some(stored.clone()),
            _ => None,
        })
        .collect()
}
