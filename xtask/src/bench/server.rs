//! The server that is measured: the release build of the binary, in a folder of its own, with a connector made for it.
//!
//! Never: leaves the process or the folder behind.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{root, say};

/// Secret that webhooks are signed with.
pub const SECRET: &str = "a secret of thirty-two characters";

/// Address that webhooks are sent to.
pub const PATH: &str = "/webhooks/bench";

/// Takes signed webhooks and makes nothing of them.
const CONNECTOR: &str = r#"[connector]
name = "bench"
title = "Bench"
driver = "rest"
api_version = "1"

[secrets.webhook_secret]
help = "What webhooks are signed with."

[health]
request = '{ "method": "GET", "path": "/" }'

[webhooks]
topic = { body = ".topic" }
event_id = { body = ".event" }
hints = '[{ "ignore": "a bench needs nothing read" }]'

[webhooks.signature]
scheme = "hmac-sha256"
header = "x-signature"
secret = "webhook_secret"
"#;

/// Builds the binary with further arguments to `cargo build`, and says where it is.
pub fn build(arguments: &[&str]) -> Result<PathBuf> {
    say(format!("cargo build -p counterpart {}", arguments.join(" ")));
    let output = Command::new("cargo")
        .args([
            "build",
            "--locked",
            "--quiet",
            "-p",
            "counterpart",
            "--message-format=json-render-diagnostics",
        ])
        .args(arguments)
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "`counterpart` does not build");
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "counterpart")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo does not say where it put `counterpart`")
}

/// A running server.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    program: PathBuf,
    folder: TempDir,
    child: Child,
}

impl Server {
    /// Makes a folder with key, configuration and connector, applies the configuration and serves. Unless `work` is
    /// given, the connection is paused: webhooks are taken and nothing is made of them.
    pub fn start(program: &Path, work: bool) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("counterpart-bench-").tempdir()?;
        let here = |name: &str| folder.path().join(name);
        ask(program, folder.path(), &["init"])?;
        fs::create_dir_all(here("connectors/bench"))?;
        fs::write(here("connectors/bench/connector.toml"), CONNECTOR)?;
        fs::write(here("secret"), SECRET)?;
        let config = format!(
            r#"[hub]
database = "counterpart.db"
listen = "127.0.0.1:0"
key = {{ file = "counterpart.key" }}
connectors = "connectors"

[connections.bench]
connector = "bench"
url = "http://127.0.0.1:9"
allow_private = true
secrets = {{ webhook_secret = {{ file = "secret" }} }}
paused = {}
"#,
            !work
        );
        fs::write(here("counterpart.toml"), config)?;
        ask(program, folder.path(), &["apply", "--yes"])?;
        let mut child = command(program, folder.path())
            .arg("serve")
            .stdout(Stdio::null())
            .stderr(File::create(here("log"))?)
            .spawn()
            .context("cannot start the server")?;
        match listening(&mut child, &here("log")) {
            Ok(address) => Ok(Self { address, program: program.to_owned(), folder, child }),
            Err(error) => {
                // It may have ended by itself, which is as good.
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// The folder that everything is in; gone with the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Time that it has spent on processors so far.
    pub fn cpu(&self) -> Result<Duration> {
        cpu_time(self.child.id())
    }

    /// Most memory that it has had resident so far, in MiB.
    pub fn peak_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmHWM in /proc")?;
        Ok(kib.parse::<f64>()? / 1024.0)
    }

    /// SIGKILL: it gets no chance to finish anything.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// How many arrivals the database holds, asked of the binary after the server's end.
    pub fn in_inbox(&self) -> Result<u64> {
        let status = ask(&self.program, self.folder.path(), &["--json", "status"])?;
        let status: Value =
            serde_json::from_str(&status).context("the answer of `counterpart --json status`")?;
        let inbox = status["inbox"].as_object().context("the status counts no inbox")?;
        Ok(inbox.values().filter_map(Value::as_u64).sum())
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Most often it has been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary in a folder, with nothing of the caller's settings.
fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_remove("COUNTERPART_CONFIG").env_remove("COUNTERPART_LOG");
    command
}

/// Runs a command of the binary and gives its answer.
fn ask(program: &Path, folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = command(program, folder).args(arguments).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!(
            "`counterpart {}` failed:\n{}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Waits for the line that says where the server listens.
fn listening(child: &mut Child, log: &Path) -> Result<SocketAddr> {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let text = fs::read_to_string(log).unwrap_or_default();
        // Only a whole line: the rest of one may be on its way.
        let line = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        if let Some(address) = line.filter_map(|line| line.split_once("listening on http://")).next() {
            return Ok(address.1.trim().parse()?);
        }
        let ended = child.try_wait()?.is_some();
        ensure!(!ended && Instant::now() < until, "the server did not start; its log:\n{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Time that a process has spent on processors, in user mode and in the kernel, all threads together; in steps of 10 ms,
/// as Linux counts it in /proc.
pub fn cpu_time(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("this needs Linux' /proc")?;
    ticks(&stat).map(|ticks| Duration::from_millis(ticks * 10)).context("/proc holds no times")
}

/// Fields 14 and 15, counted after the name in brackets, which may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11).map(|field| field.parse::<u64>().ok());
    Some(fields.next()?? + fields.next()??)
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn a_process_may_be_called_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 17 0 0 20 0 9 0 12345 1000 200";
        assert_eq!(ticks(stat), Some(267));
        assert_eq!(ticks("7"), None);
    }
}
