//! From a file to a revision: what would change, then the change.
//!
//! A revision is the declared text together with every file it names (mappings, connector overlays), so that what runs
//! is in the database and not on somebody's disk.
//!
//! Never: touches a connection's system.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Config, ConfigError};

/// What a revision holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The declared text.
    pub config: String,
    /// Files it names, by path relative to it.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// One difference between the active revision and what is declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanItem {
    /// `add`, `change` or `remove`.
    pub what: &'static str,
    /// Such as `flows.orders` or `file maps/order.vrl`.
    pub place: String,
    /// For a change: each field, before and after.
    pub fields: Vec<FieldChange>,
}

/// One field of a changed item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// Path inside the item.
    pub path: String,
    /// Before; `None` when it was not there.
    pub before: Option<String>,
    /// After; `None` when it is gone.
    pub after: Option<String>,
}

/// Where files named by a configuration go in a bundle.
const CONNECTOR_FOLDER: &str = "connectors/";

impl Bundle {
    /// Reads a configuration file and everything it names.
    ///
    /// # Errors
    /// As [`Config::load`], and for a named file that cannot be read.
    pub fn load(path: &Path) -> Result<(Self, Config), ConfigError> {
        let (config, text) = Config::load(path)?;
        let base = path.parent().unwrap_or(Path::new("."));
        let mut files = BTreeMap::new();
        for mapping in config.flows.values().filter_map(|f| f.mapping.as_ref()) {
            let full = base.join(mapping);
            let text = read(&full)?;
            files.insert(mapping.to_string_lossy().into_owned(), text);
        }
        if let Some(folder) = &config.hub.connectors {
            collect(&base.join(folder), CONNECTOR_FOLDER, &mut files)?;
        }
        Ok((Self { config: text, files }, config))
    }

    /// Connector overlay files, by path below the overlay folder: `erp/order.write.vrl`.
    pub fn overlays(&self) -> BTreeMap<String, String> {
        self.files
            .iter()
            .filter_map(|(path, text)| Some((path.strip_prefix(CONNECTOR_FOLDER)?.to_owned(), text.clone())))
            .collect()
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

fn collect(folder: &Path, prefix: &str, into: &mut BTreeMap<String, String>) -> Result<(), ConfigError> {
    let error = |source| ConfigError::Read { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let entry = entry.map_err(error)?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(error)?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), into)?;
        } else {
            into.insert(name, read(&entry.path())?);
        }
    }
    Ok(())
}

/// What would change: `before` is the active revision, if there is one.
///
/// The `[hub]` section is left out: it belongs to the process and is read at every start.
///
/// # Errors
/// When the active revision no longer parses, which only an older program's revision can do.
pub fn plan(before: Option<&Bundle>, after: &Bundle) -> Result<Vec<PlanItem>, ConfigError> {
    let old = before.map_or_else(|| Ok(BTreeMap::new()), items)?;
    let new = items(after)?;
    let mut plan = Vec::new();
    for (place, value) in &new {
        match old.get(place) {
            None => plan.push(PlanItem { what: "add", place: place.clone(), fields: Vec::new() }),
            Some(was) if was != value => {
                let mut fields = Vec::new();
                compare("", was, value, &mut fields);
                plan.push(PlanItem { what: "change", place: place.clone(), fields });
            }
            Some(_) => {}
        }
    }
    for place in old.keys().filter(|place| !new.contains_key(*place)) {
        plan.push(PlanItem { what: "remove", place: place.clone(), fields: Vec::new() });
    }
    Ok(plan)
}

/// Every declared thing by its place.
fn items(bundle: &Bundle) -> Result<BTreeMap<String, Value>, ConfigError> {
    let config = Config::parse(Path::new("revision"), &bundle.config)?;
    let mut items = BTreeMap::new();
    // Config is plain data with string keys: turning it into JSON cannot fail.
    let value = serde_json::to_value(&config).unwrap_or_default();
    for (section, content) in value.as_object().into_iter().flatten() {
        match (section.as_str(), content) {
            ("hub", _) | (_, Value::Null) => {}
            ("connections" | "flows" | "notices" | "ownership", Value::Object(map)) => {
                for (name, item) in map {
                    items.insert(format!("{section}.{name}"), item.clone());
                }
            }
            _ => {
                items.insert(section.clone(), content.clone());
            }
        }
    }
    for (path, text) in &bundle.files {
        items.insert(format!("file {path}"), Value::String(text.clone()));
    }
    Ok(items)
}

fn compare(path: &str, before: &Value, after: &Value, into: &mut Vec<FieldChange>) {
    if let (Value::Object(old), Value::Object(new)) = (before, after) {
        let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for key in keys {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let null = Value::Null;
            compare(&path, old.get(key).unwrap_or(&null), new.get(key).unwrap_or(&null), into);
        }
    } else if before != after {
        into.push(FieldChange { path: path.to_owned(), before: shown(before), after: shown(after) });
    }
}

/// A value in one line; a file's text is told by its size only.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.contains('\n') => Some(format!("{} lines", text.lines().count())),
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bundle(state: &str, files: &[(&str, &str)]) -> Bundle {
        let config = format!(
            "[connections.shop]\nconnector=\"a\"\nurl=\"http://127.0.0.1:1\"\n[connections.erp]\nconnector=\"b\"\n\
             url=\"http://127.0.0.1:2\"\n[flows.orders]\nkind=\"order\"\nfrom=[\"shop\"]\nto=\"erp\"\nstate=\"{state}\"\n"
        );
        let files = files.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Bundle { config, files }
    }

    #[test]
    fn the_first_plan_adds_everything() {
        let places: Vec<_> = plan(None, &bundle("live", &[])).unwrap().into_iter().map(|i| i.place).collect();
        assert_eq!(places, ["connections.erp", "connections.shop", "flows.orders"]);
    }

    #[test]
    fn a_change_names_the_field_and_both_values() {
        let plan = plan(Some(&bundle("shadow", &[("m.vrl", "x")])), &bundle("live", &[])).unwrap();
        assert_eq!(plan.len(), 2);
        assert_eq!(plan[0].place, "flows.orders");
        assert_eq!(plan[0].fields[0].path, "state");
        assert_eq!(plan[0].fields[0].before.as_deref(), Some("shadow"));
        assert_eq!(plan[0].fields[0].after.as_deref(), Some("live"));
        assert_eq!((plan[1].what, plan[1].place.as_str()), ("remove", "file m.vrl"));
    }

    #[test]
    fn the_same_again_changes_nothing() {
        assert!(plan(Some(&bundle("live", &[])), &bundle("live", &[])).unwrap().is_empty());
    }
}
