//! The connectors' reference: what each folder declares.

use std::fmt::Write;

use anyhow::Result;
use counterpart_connect::catalog::{Catalog, Connector};
use counterpart_connect::manifest::{Manifest, SettingSpec, SettingType};
use serde_json::Value;

use super::markdown::{code, codes, seconds, table};
use crate::root;

/// The page.
pub fn page() -> Result<String> {
    // The folder itself on top of what was compiled in, so that a new file counts at once.
    let catalog = Catalog::load_folder(Some(&root().join("connectors")))?;
    let mut page = String::from(
        "# Connectors\n\n\
         What each connector takes and does. A connection names it and sets these under `[connections.NAME]`: \
         `settings`, `secrets` and `maps` (see [configuration](configuration.md)). What is marked with * must be set; \
         `counterpart check` says what is missing. A system that sends webhooks sends them to `/webhooks/NAME`, with the \
         connection's name. `counterpart connectors` lists what is installed, your own included.\n",
    );
    let rows: Vec<Vec<String>> = catalog
        .iter()
        .map(|c| {
            let m = &c.manifest;
            let link = format!("[{}](#{})", m.connector.title, anchor(c));
            let hooks = if m.webhooks.is_some() { "yes" } else { "no" };
            vec![
                link,
                code(&c.name),
                m.connector.roles.join(", "),
                m.connector.api_version.clone(),
                hooks.into(),
            ]
        })
        .collect();
    page.push_str(&table(&["connector", "name", "usually", "API version", "webhooks"], &rows));
    for connector in catalog.iter() {
        section(connector, &mut page);
    }
    Ok(page)
}

fn heading(connector: &Connector) -> String {
    format!("{} ({})", connector.manifest.connector.title, connector.name)
}

/// What a heading is linked by: lower case, dashes for spaces, letters, digits and dashes only.
fn anchor(connector: &Connector) -> String {
    heading(connector)
        .to_lowercase()
        .replace(' ', "-")
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
        .collect()
}

fn section(connector: &Connector, page: &mut String) {
    let m = &connector.manifest;
    let head = &m.connector;
    let _ = write!(page, "\n## {}\n\nMade against API version {}", heading(connector), head.api_version);
    if let Some(day) = head.sunset {
        let _ = write!(page, ", which ends on {day}");
    }
    page.push('.');
    if connector.files.contains_key("README.md") {
        let _ = write!(
            page,
            " [Set-up, permissions, limits and traps](../../connectors/{}/README.md).",
            connector.name
        );
    }
    if let Some(docs) = &head.docs {
        let _ = write!(page, " [The vendor's documentation]({docs}).");
    }
    page.push('\n');
    let settings: Vec<_> = m.settings.iter().map(|(name, spec)| setting(name, spec)).collect();
    titled("Settings", table(&["setting", "type", "default", "meaning"], &settings), page);
    let secrets: Vec<_> =
        m.secrets.iter().map(|(name, s)| vec![named(name, s.required), s.help.clone()]).collect();
    titled("Secrets", table(&["secret", "meaning"], &secrets), page);
    let maps: Vec<_> = m
        .reference_maps
        .iter()
        .map(|(name, map)| vec![named(name, map.required), map.help.clone()])
        .collect();
    titled("Maps", table(&["map", "what to what"], &maps), page);
    titled("Reads", table(&["stream", "kinds", "how often"], &reads(m)), page);
    titled("Writes", table(&["kind", "operations"], &writes(m)), page);
}

fn titled(title: &str, table: String, page: &mut String) {
    if !table.is_empty() {
        let _ = write!(page, "\n### {title}\n{table}");
    }
}

/// A name, with a star when it must be set.
fn named(name: &str, required: bool) -> String {
    if required { format!("`{name}` *") } else { code(name) }
}

fn setting(name: &str, spec: &SettingSpec) -> Vec<String> {
    let kind = match spec.kind {
        SettingType::Text if !spec.one_of.is_empty() => one_of(&spec.one_of),
        SettingType::Text => "text".into(),
        SettingType::Integer => "whole number".into(),
        SettingType::Bool => "true or false".into(),
    };
    let default = match &spec.default {
        None => String::new(),
        Some(Value::String(text)) if text.is_empty() => "empty".into(),
        Some(Value::String(text)) => code(text),
        Some(other) => code(&other.to_string()),
    };
    vec![named(name, spec.required), kind, default, spec.help.clone()]
}

fn one_of(texts: &[String]) -> String {
    let shown: Vec<String> =
        texts.iter().map(|text| if text.is_empty() { "empty".into() } else { code(text) }).collect();
    shown.join(", ")
}

/// Streams, watched types and webhooks: every way in which changes are noticed.
fn reads(m: &Manifest) -> Vec<Vec<String>> {
    let mut rows: Vec<_> = m
        .streams
        .iter()
        .map(|(name, stream)| {
            let kinds: Vec<&str> = stream.kinds.iter().map(|kind| kind.as_str()).collect();
            let full = stream.full_interval_s.map(|s| format!(", all of it every {}", seconds(s)));
            let often = format!("every {}{}", seconds(stream.interval_s), full.unwrap_or_default());
            vec![code(name), codes(&kinds), often]
        })
        .collect();
    rows.extend(m.watch.iter().map(|(name, watch)| {
        let what = format!("{} not yet settled", codes(&watch.types));
        vec![code(name), what, format!("every {}", seconds(watch.interval_s))]
    }));
    rows
}

fn writes(m: &Manifest) -> Vec<Vec<String>> {
    let mut rows: Vec<(&str, Vec<&str>)> = Vec::new();
    for name in m.operations.keys() {
        let (kind, action) = (name.kind.as_str(), name.action().as_str());
        match rows.iter_mut().find(|(of, _)| *of == kind) {
            Some((_, actions)) => actions.push(action),
            None => rows.push((kind, vec![action])),
        }
    }
    rows.into_iter().map(|(kind, actions)| vec![code(kind), codes(&actions)]).collect()
}
