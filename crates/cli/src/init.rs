//! Writes the first files: configuration, master key, .gitignore entry.
//!
//! Never: overwrites a file, prints the key.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::errors::Failure;
use crate::page::Page;

/// The first configuration: everything explained, nothing switched on.
const CONFIG: &str = include_str!("first.toml");

/// What was written and what was there.
#[derive(Debug, Serialize)]
pub struct Made {
    /// Written.
    pub written: Vec<PathBuf>,
    /// There already, and left as they were.
    pub kept: Vec<PathBuf>,
}

/// Writes what is missing beside the configuration file.
///
/// # Errors
/// When a file is there and `force` is not given, or cannot be written. Nothing is half written.
pub fn init(config: &Path, force: bool) -> Result<Made, Failure> {
    let folder = config.parent().unwrap_or(Path::new(""));
    let key = folder.join("counterpart.key");
    let there: Vec<_> = [config, &key].into_iter().filter(|p| p.exists()).collect();
    if !there.is_empty() && !force {
        let names: Vec<_> = there.iter().map(|p| p.display().to_string()).collect();
        return Err(Failure::bad_input(format!(
            "{} is there already, and nothing was written",
            names.join(" and ")
        ))
        .hint("`--force` writes only what is missing; it overwrites nothing either"));
    }
    if !folder.as_os_str().is_empty() {
        fs::create_dir_all(folder).map_err(|e| failed(folder, &e))?;
    }
    let mut made = Made { written: Vec::new(), kept: Vec::new() };
    let random: [u8; 32] = rand::random();
    for (path, content, mode) in
        [(key.as_path(), hex::encode(random) + "\n", 0o600), (config, CONFIG.to_owned(), 0o644)]
    {
        if path.exists() {
            made.kept.push(path.to_owned());
        } else {
            create(path, &content, mode)?;
            made.written.push(path.to_owned());
        }
    }
    let ignore = folder.join(".gitignore");
    if ignore_secrets(&ignore)? {
        made.written.push(ignore)
    } else {
        made.kept.push(ignore)
    }
    Ok(made)
}

/// Writes a new file; the mode is set before anything is in it.
fn create(path: &Path, content: &str, mode: u32) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path).map_err(|e| failed(path, &e))?;
    file.write_all(content.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| failed(path, &e))
}

/// Adds key and database to a .gitignore; tells whether anything was missing.
fn ignore_secrets(path: &Path) -> Result<bool, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(path, &error)),
    };
    let missing: Vec<_> = ["counterpart.key", "counterpart.db*"]
        .into_iter()
        .filter(|e| !text.lines().any(|l| l.trim() == *e))
        .collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let mut addition = if text.is_empty() || text.ends_with('\n') { String::new() } else { "\n".to_owned() };
    addition.push_str(&missing.join("\n"));
    addition.push('\n');
    let mut file = OpenOptions::new().append(true).create(true).open(path).map_err(|e| failed(path, &e))?;
    file.write_all(addition.as_bytes()).map_err(|e| failed(path, &e))?;
    Ok(true)
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::unavailable(format!("cannot write {}: {error}", path.display()))
}

/// What comes next.
pub fn page(made: &Made, config: &Path, page: &Page) -> String {
    let mut out = String::new();
    for path in &made.written {
        out.push_str(&page.text("✓ ", &format!("wrote {}", path.display())));
    }
    for path in &made.kept {
        out.push_str(&page.text("  ", &format!("left {} as it was", path.display())));
    }
    out.push_str(&page.heading("What comes next"));
    for step in [
        "keep a copy of counterpart.key in a safe place: without it nothing in the database can be read",
        &format!(
            "declare your systems in {} (`counterpart connectors` lists what can be connected)",
            config.display()
        ),
        "`counterpart check` tries every connection",
        "`counterpart apply` makes the file the active revision",
        "`counterpart serve` runs the hub",
    ] {
        out.push_str(&page.text("  - ", step));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_configuration_is_good() {
        counterpart_hub::config::Config::parse(Path::new("counterpart.toml"), CONFIG).unwrap();
    }

    /// What is commented out must be good as well, or whoever uncomments it is let down.
    #[test]
    fn its_examples_are_good() {
        let uncommented: String = CONFIG
            .lines()
            .filter_map(|line| match line.strip_prefix("#") {
                Some(rest) if rest.starts_with(' ') || rest.is_empty() => None,
                Some(rest) => Some(format!("{rest}\n")),
                None => Some(format!("{line}\n")),
            })
            .collect();
        let config =
            counterpart_hub::config::Config::parse(Path::new("counterpart.toml"), &uncommented).unwrap();
        assert_eq!((config.connections.len(), config.flows.len(), config.notices.len()), (2, 3, 1));
    }
}
