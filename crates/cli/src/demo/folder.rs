//! The demo's folder: configuration, secrets, database, log; and which connectors play which part.
//!
//! Never: leaves anything behind that was not asked for; never: writes into a folder that another demo uses.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use counterpart_sandbox::traffic::Systems;
use serde::Deserialize;
use serde_json::Value;

use crate::errors::Failure;

/// Which connectors take part, and how each side is told of the other.
#[derive(Debug, Deserialize)]
pub struct Scenario {
    system: std::collections::BTreeMap<String, System>,
}

/// One system of the demo.
#[derive(Debug, Deserialize)]
pub struct System {
    /// Its connector.
    pub connector: String,
    /// What the emulator is started with.
    pub emulator: Value,
    /// Secrets of the connection, as files.
    #[serde(default)]
    secrets: std::collections::BTreeMap<String, String>,
}

impl Scenario {
    /// The one that is built in.
    ///
    /// # Errors
    /// When it is wrong, which a test would have told.
    pub fn load() -> Result<Self, Failure> {
        toml::from_str(include_str!("scenario.toml"))
            .map_err(|e| Failure::unexpected(format!("scenario.toml: {e}")))
    }

    /// The system of a role.
    ///
    /// # Errors
    /// When there is none.
    pub fn system(&self, role: &str) -> Result<&System, Failure> {
        self.system
            .get(role)
            .ok_or_else(|| Failure::unexpected(format!("scenario.toml has no system `{role}`")))
    }
}

/// The folder of one run.
pub struct Folder {
    path: PathBuf,
    keep: bool,
    /// Held while the demo runs.
    _lock: File,
}

impl Folder {
    /// Makes it anew; what an earlier run left is removed.
    ///
    /// # Errors
    /// When it cannot be written, is not a demo's, or another demo uses it.
    pub fn make(asked: Option<&Path>, keep: bool) -> Result<Self, Failure> {
        let path = asked.map_or_else(|| std::env::temp_dir().join("counterpart-demo"), Path::to_owned);
        let failed = |e: std::io::Error| {
            Failure::unavailable(format!("cannot write in {}: {e}", path.display()))
                .hint("name a folder that you may write in with --folder")
        };
        fs::create_dir_all(&path).map_err(failed)?;
        let marker = path.join("demo.lock");
        let ours = marker.exists() || fs::read_dir(&path).map_err(failed)?.next().is_none();
        if !ours {
            return Err(Failure::bad_input(format!("{} holds something else than a demo", path.display()))
                .hint("name an empty folder with --folder"));
        }
        let lock = File::options().create(true).truncate(false).write(true).open(&marker).map_err(failed)?;
        if lock.try_lock().is_err() {
            return Err(Failure::unavailable(format!("another demo runs in {}", path.display()))
                .hint("stop it first, or name another folder with --folder"));
        }
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?.path();
            if entry != marker {
                if entry.is_dir() { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) }
                    .map_err(failed)?;
            }
        }
        Ok(Self { path, keep: keep || asked.is_some(), _lock: lock })
    }

    /// Where the configuration is.
    pub fn config(&self) -> PathBuf {
        self.path.join("counterpart.toml")
    }

    /// Where the hub's log goes.
    pub fn log(&self) -> PathBuf {
        self.path.join("hub.log")
    }

    /// Writes configuration and secrets. Ids that the systems gave are filled in.
    ///
    /// # Errors
    /// When it cannot be written, or a system did not give an id that is needed.
    pub fn configure(
        &self,
        scenario: &Scenario,
        systems: &Systems,
        seeded: &(Value, Value, Value),
        port: u16,
    ) -> Result<(), Failure> {
        let failed =
            |e: std::io::Error| Failure::unavailable(format!("cannot write in {}: {e}", self.path.display()));
        let secrets = self.path.join("secrets");
        fs::create_dir_all(&secrets).map_err(failed)?;
        fs::write(secrets.join("key"), hex::encode(rand::random::<[u8; 32]>())).map_err(failed)?;
        fs::write(secrets.join("token"), hex::encode(rand::random::<[u8; 16]>())).map_err(failed)?;
        let mut text = include_str!("counterpart.toml").replace("@PORT@", &port.to_string());
        let all = [
            ("store", &systems.store, &seeded.0),
            ("erp", &systems.erp, &seeded.1),
            ("crm", &systems.crm, &seeded.2),
        ];
        for (role, sandbox, given) in all {
            text = text.replace(&format!("@{role}.url@"), &sandbox.url());
            text = text.replace(&format!("@{role}.connector@"), &scenario.system(role)?.connector);
            for (name, secret) in &scenario.system(role)?.secrets {
                fs::write(secrets.join(format!("{role}-{name}")), secret).map_err(failed)?;
            }
            text = fill(&text, role, given);
        }
        if let Some((_, rest)) = text.split_once('@').filter(|(_, rest)| rest.contains('@')) {
            let name = rest.split('@').next().unwrap_or_default();
            return Err(Failure::unexpected(format!("no emulated system gave `{name}`")));
        }
        fs::write(self.config(), text).map_err(failed)
    }
}

/// Replaces `@role.a.b@` by the text at that path.
fn fill(text: &str, path: &str, value: &Value) -> String {
    match value {
        Value::Object(all) => {
            all.iter().fold(text.to_owned(), |t, (k, v)| fill(&t, &format!("{path}.{k}"), v))
        }
        Value::String(found) => text.replace(&format!("@{path}@"), found),
        _ => text.to_owned(),
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed now is removed by the next demo.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
