//! The hub as a user has it: the built program, a configuration file, a process that may be killed.
//!
//! Never: the judge of what arrived; the scenarios ask the systems themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::http::{Answer, Http, until};
use super::install::assets;
use super::process::{Service, Stop};

/// Memory that the hub stays below, in MiB.
pub const MEMORY_LIMIT_MIB: u64 = 100;

/// Ports and ids that the configuration names.
#[derive(Debug, Clone)]
pub struct Places {
    /// Where the hub listens.
    pub hub: u16,
    /// Where the hub finds the shop.
    pub shop: u16,
    /// Where the hub finds the ERP.
    pub erp: u16,
    /// Row of the party that guests share.
    pub guest: i64,
}

/// The hub.
pub struct Hub {
    http: Rc<Http>,
    program: PathBuf,
    folder: PathBuf,
    places: Places,
    service: Service,
    peak_mib: u64,
}

impl Hub {
    /// A hub in a folder that holds `secrets/`; nothing is configured or started yet.
    pub fn new(http: Rc<Http>, program: &Path, folder: &Path, places: Places, logs: &Path) -> Self {
        let (run, config) = (program.to_owned(), folder.join("counterpart.toml"));
        let service = Service::new("hub", Stop::Term, logs, move || {
            let mut command = Command::new(&run);
            command.arg("--config").arg(&config).arg("serve");
            command.env("RUST_BACKTRACE", "1");
            command
        });
        Self { http, program: program.to_owned(), folder: folder.to_owned(), places, service, peak_mib: 0 }
    }

    /// Writes the configuration and applies it; `orders` is the state of the flow of orders.
    pub fn configure(&self, orders: &str) -> Result<()> {
        let places = &self.places;
        let text = fs::read_to_string(assets().join("counterpart.toml"))?
            .replace("@HUB_PORT@", &places.hub.to_string())
            .replace("@SHOP_PORT@", &places.shop.to_string())
            .replace("@ERP_PORT@", &places.erp.to_string())
            .replace("@GUEST@", &places.guest.to_string())
            .replace("@ORDERS@", orders);
        fs::write(self.folder.join("counterpart.toml"), text)?;
        self.command(&["apply", "--yes"]).map(|_| ())
    }

    /// Starts it and waits until it says that it is ready.
    pub fn start(&mut self) -> Result<()> {
        self.service.start()?;
        let url = self.url("/readyz");
        until("the hub to be ready", Duration::from_secs(60), || {
            self.service.alive()?;
            let answer = self.http.get(&url, &[])?;
            ensure!(answer.status == 200, "HTTP {} {:.200}", answer.status, answer.text);
            Ok(())
        })
    }

    /// Stops it in good order.
    pub fn stop(&mut self) {
        self.note_memory();
        self.service.stop();
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        self.note_memory();
        self.service.kill()
    }

    /// Fails when it has died by itself.
    pub fn alive(&mut self) -> Result<()> {
        self.note_memory();
        self.service.alive()
    }

    /// Most memory that any of its processes held, in MiB.
    pub fn peak_mib(&mut self) -> u64 {
        self.note_memory();
        self.peak_mib
    }

    fn note_memory(&mut self) {
        self.peak_mib = self.peak_mib.max(self.service.peak_rss_mib());
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.service.log_tail(lines)
    }

    /// Address of a page of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.places.hub)
    }

    /// Posts bytes to a connection's webhook address.
    pub fn webhook(&self, connection: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Answer> {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.http.send(reqwest::Method::POST, &self.url(&format!("/webhooks/{connection}")), &all, body)
    }

    /// Runs a command of the program and gives what it printed.
    pub fn command(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .arg("--config")
            .arg(self.folder.join("counterpart.toml"))
            .args(args)
            .current_dir(&self.folder)
            .output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if !output.status.success() {
            bail!("counterpart {}: {}\n{}", args.join(" "), text(&output.stderr), text(&output.stdout));
        }
        Ok(text(&output.stdout))
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        let mut all = vec!["--json"];
        all.extend_from_slice(args);
        let text = self.command(&all)?;
        serde_json::from_str(&text)
            .with_context(|| format!("counterpart {}: not JSON: {text:.300}", args.join(" ")))
    }

    /// The only entry of a list.
    fn one(&self, args: &[&str]) -> Result<Value> {
        let list = self.json(args)?;
        let found = list.as_array().map_or(0, Vec::len);
        ensure!(found == 1, "counterpart {}: {found} records", args.join(" "));
        Ok(list[0].clone())
    }

    /// How everything stands.
    pub fn status(&self) -> Result<Value> {
        self.json(&["status"])
    }

    /// Everything known about one record.
    pub fn explain(&self, what: &str) -> Result<Value> {
        self.one(&["explain", "order", what])
    }

    /// The same, with the canonical payload.
    pub fn explain_with_payload(&self, what: &str) -> Result<Value> {
        self.one(&["explain", "order", what, "--payload"])
    }

    /// Open review items that concern a record of this label.
    pub fn reviews_about(&self, label: &str) -> Result<Vec<Value>> {
        let all = self.json(&["review", "list"])?;
        let list = all.as_array().cloned().unwrap_or_default();
        Ok(list
            .into_iter()
            .filter(|item| item["about"].as_str().is_some_and(|about| about.contains(label)))
            .collect())
    }

    /// Fails unless everything that arrived is finished or waits for a person, and nothing is unaccounted for.
    pub fn settled(&self) -> Result<()> {
        let status = self.status()?;
        ensure!(status["unaccounted"] == 0, "unaccounted: {}", status["unaccounted"]);
        for (place, state) in [
            ("inbox", "pending"),
            ("deliveries", "ready"),
            ("deliveries", "blocked"),
            ("deliveries", "unknown"),
        ] {
            let count = status[place][state].as_u64().unwrap_or_default();
            ensure!(count == 0, "{place}: {count} {state}");
        }
        Ok(())
    }
}
