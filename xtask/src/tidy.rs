//! Rules that the compiler does not check, each with its reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{root, say};

/// Which of our crates each of our crates may use. Arrows point down only; see ARCHITECTURE.md.
const WALLS: &[(&str, &[&str])] = &[
    ("counterpart-model", &[]),
    ("counterpart-mapping", &["counterpart-model"]),
    ("counterpart-identity", &["counterpart-model"]),
    ("counterpart-store", &["counterpart-model"]),
    ("counterpart-engine", &["counterpart-model"]),
    ("counterpart-connect", &["counterpart-model", "counterpart-mapping"]),
    (
        "counterpart-hub",
        &[
            "counterpart-model",
            "counterpart-mapping",
            "counterpart-identity",
            "counterpart-store",
            "counterpart-connect",
            "counterpart-engine",
        ],
    ),
    ("counterpart-web", &["counterpart-model", "counterpart-mapping", "counterpart-hub"]),
    ("counterpart-sandbox", &["counterpart-model"]),
];

/// Crates that only one of ours may use: what speaks outward, what speaks SQL, what runs mappings.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("rusqlite", &["counterpart-store"]),
    ("vrl", &["counterpart-mapping"]),
    ("reqwest", &["counterpart-connect", "xtask"]),
    ("lettre", &["counterpart-connect"]),
    ("axum", &["counterpart-web"]),
    ("counterpart-sandbox", &["counterpart"]),
    ("anyhow", &["counterpart", "xtask"]),
];

/// Files over 600 lines; each is a candidate for two rooms. The list may only shrink.
const LONG_FILES: &[&str] = &[];

/// Licences that may be linked into the binary.
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MPL-2.0",
    "MPL-2.0+",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Zlib",
    "0BSD",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "Unlicense",
    "MIT-0",
];

/// Packages that give a file in place of a name, read by a person: which licence it is.
const LICENCE_READ: &[(&str, &str)] = &[("jsonpath-rust", "MIT")];

/// Runs every rule and lists every breach.
pub fn run() -> Result<()> {
    let mut breaches = Vec::new();
    let metadata = metadata()?;
    walls(&metadata, &mut breaches);
    licences(&metadata, &mut breaches);
    files(&mut breaches)?;
    if breaches.is_empty() {
        say("tidy: no breach");
        return Ok(());
    }
    bail!("{} breaches of the house rules:\n{}", breaches.len(), breaches.join("\n"));
}

fn metadata() -> Result<Value> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn walls(metadata: &Value, breaches: &mut Vec<String>) {
    let walls: BTreeMap<_, _> = WALLS.iter().copied().collect();
    for package in array(metadata, "packages").filter(|p| p["source"].is_null()) {
        let name = package["name"].as_str().unwrap_or_default();
        for dependency in array(package, "dependencies").filter(|d| d["kind"].is_null()) {
            let used = dependency["name"].as_str().unwrap_or_default();
            if let Some(allowed) = walls.get(name)
                && used.starts_with("counterpart")
                && !allowed.contains(&used)
            {
                breaches.push(format!("{name} uses {used}: that wall is closed (arrows point down only)"));
            }
            if let Some((_, homes)) = ONLY_IN.iter().find(|(only, _)| *only == used)
                && !homes.contains(&name)
            {
                breaches.push(format!("{name} uses {used}: only {} may", homes.join(", ")));
            }
        }
    }
}

fn licences(metadata: &Value, breaches: &mut Vec<String>) {
    for package in array(metadata, "packages").filter(|p| !p["source"].is_null()) {
        let name = package["name"].as_str().unwrap_or_default();
        let read = LICENCE_READ.iter().find(|(package, _)| *package == name).map(|(_, licence)| *licence);
        let stated = package["license"].as_str().or(read).unwrap_or_default();
        if !allowed(stated) {
            breaches.push(format!("{name}: licence `{stated}` is not on the list of allowed ones"));
        }
    }
}

/// A stated licence is fine when each part that must hold is on the list; of alternatives one is enough.
fn allowed(stated: &str) -> bool {
    stated
        .replace(['(', ')'], "")
        .replace('/', " OR ")
        .split(" AND ")
        .all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

fn files(breaches: &mut Vec<String>) -> Result<()> {
    let root = root();
    let mut all = Vec::new();
    for folder in ["crates", "xtask", "connectors", "docs", "bench"] {
        collect(&root.join(folder), &mut all)?;
    }
    let vendors = vendors(&root)?;
    for path in all {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let shown = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let rust = shown.ends_with(".rs");
        let lines = text.lines().count();
        if rust && lines > 600 && !LONG_FILES.contains(&shown.as_str()) {
            breaches.push(format!("{shown}: {lines} lines; split it into two rooms (limit 600)"));
        }
        if rust && lines > 20 && !text.contains("//! ") && !shown.contains("/tests/") {
            breaches.push(format!("{shown}: says nowhere what it is for (`//! ...` at the top)"));
        }
        if rust && shown.starts_with("crates/") && shown.contains("/src/") {
            vendor_names(&shown, &text, &vendors, breaches);
            sql(&shown, &text, breaches);
        }
    }
    Ok(())
}

/// Names of the connectors: what Rust outside tests must not say.
fn vendors(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("connectors"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

fn vendor_names(shown: &str, text: &str, vendors: &[String], breaches: &mut Vec<String>) {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    if shown.ends_with("tests.rs") {
        return;
    }
    for (number, line) in code.lines().enumerate() {
        let lower = line.to_lowercase();
        for vendor in vendors.iter().filter(|v| lower.contains(v.as_str())) {
            breaches.push(format!("{shown}:{}: names the vendor `{vendor}`", number + 1));
        }
    }
}

fn sql(shown: &str, text: &str, breaches: &mut Vec<String>) {
    if shown.starts_with("crates/store/") {
        return;
    }
    for (number, line) in text.lines().enumerate() {
        if ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM "].iter().any(|word| line.contains(word)) {
            breaches.push(format!("{shown}:{}: SQL outside the store", number + 1));
        }
    }
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if name != "target" && name != "node_modules" {
                collect(&entry.path(), into)?;
            }
        } else {
            into.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn licences_are_read_as_written() {
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "GPL-3.0 OR MIT",
        ] {
            assert!(allowed(good), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", ""] {
            assert!(!allowed(bad), "{bad}");
        }
    }
}
