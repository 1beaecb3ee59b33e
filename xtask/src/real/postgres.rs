//! A PostgreSQL cluster of our own, without a socket file and without care for a power cut.
//!
//! Run by root, the server runs as `postgres` (or `nobody`), as it refuses root; its folder must then be one that this
//! user can reach.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::http::until;
use super::process::{Service, Stop, run_to_end};

/// A running cluster; it stops when dropped.
pub struct Cluster {
    service: Service,
    port: u16,
    logs: PathBuf,
}

impl Cluster {
    /// Starts the cluster in a folder.
    pub fn start(folder: &Path, port: u16, logs: &Path) -> Result<Self> {
        let postgres = program("postgres")?;
        let user = user()?;
        let data = folder.to_owned();
        let service = Service::new("postgres", Stop::Int, logs, move || {
            let mut command = Command::new(&postgres);
            command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
            for setting in
                ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=200"]
            {
                command.args(["-c", setting]);
            }
            as_user(&mut command, user);
            command
        });
        let mut cluster = Self { service, port, logs: logs.to_owned() };
        cluster.service.start()?;
        until("PostgreSQL to listen", Duration::from_secs(30), || {
            cluster.service.alive()?;
            Ok(TcpStream::connect(("127.0.0.1", port))?)
        })?;
        Ok(cluster)
    }

    /// Makes an empty database.
    pub fn create_database(&self, name: &str) -> Result<()> {
        let createdb = program("createdb")?;
        until("a database to be made", Duration::from_secs(20), || {
            let mut command = Command::new(&createdb);
            command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", name]);
            run_to_end("createdb", &mut command, &self.logs.join("createdb.log"))
        })
    }

    /// Fails when it has died by itself.
    pub fn alive(&mut self) -> Result<()> {
        self.service.alive()
    }

    /// Stops it in good order.
    pub fn stop(&mut self) {
        self.service.stop();
    }
}

/// Makes an empty cluster.
pub fn create(folder: &Path, logs: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let user = user()?;
    if let Some((uid, gid)) = user {
        chown(folder, Some(uid), Some(gid))?;
    }
    let mut initdb = Command::new(program("initdb")?);
    initdb.arg("-D").arg(folder).args(["-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-sync"]);
    initdb.args(["--locale=C.UTF-8"]);
    as_user(&mut initdb, user);
    run_to_end("initdb", &mut initdb, &logs.join("initdb.log"))
}

/// The server's version, as it says it.
pub fn version() -> Result<String> {
    let output = Command::new(program("postgres")?).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A program of the newest PostgreSQL server here.
fn program(name: &str) -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let path = entry.path().join("bin").join(name);
        if path.exists() && path.with_file_name("initdb").exists() {
            let version = entry.file_name().to_string_lossy().parse().unwrap_or_default();
            found.push((version, path));
        }
    }
    if let Some((_, path)) = found.into_iter().max() {
        return Ok(path);
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .map(|folder| folder.join(name))
        .find(|path| path.exists())
        .with_context(|| format!("`{name}` not found: install the PostgreSQL server (package postgresql)"))
}

/// Whom the server runs as: nobody else, unless we are root.
fn user() -> Result<Option<(u32, u32)>> {
    let output = Command::new("id").arg("-u").output().context("cannot run id")?;
    if String::from_utf8_lossy(&output.stdout).trim() != "0" {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    for name in ["postgres", "nobody"] {
        let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|f| f[0] == name);
        if let Some([_, _, uid, gid, ..]) = fields.as_deref() {
            return Ok(Some((uid.parse()?, gid.parse()?)));
        }
    }
    bail!("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody`")
}

fn as_user(command: &mut Command, user: Option<(u32, u32)>) {
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid).current_dir("/");
    }
}
