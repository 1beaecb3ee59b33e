//! What is installed once and kept: the shop's packages, the ERP's packages, and databases filled with both.
//!
//! Everything kept is named by a hash of what went into it, and marked when complete, so that a changed version, list
//! or script makes a new one and an interrupted installation is begun again.
//!
//! Never: touches a run's own databases; asks for a system package.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::postgres::{self, Cluster};
use super::process::{self, run_to_end};
use super::{erp, ports, shop};
use crate::{root, say};

/// Kept things that no run used for so long are removed.
const UNUSED_AFTER: Duration = Duration::from_secs(14 * 24 * 3600);

/// Everything that a run starts from.
pub struct Installed {
    /// Node modules of the shop.
    pub node_modules: PathBuf,
    /// The ERP's Python environment.
    pub venv: PathBuf,
    /// A stopped cluster with both databases filled, and the keys that were made in them.
    pub base: PathBuf,
}

impl Installed {
    /// The filled cluster.
    pub fn cluster(&self) -> PathBuf {
        self.base.join("pg")
    }

    /// Secrets made with the databases: `shop-admin`, `shop-hub`, `erp-admin`, `erp-hub`.
    pub fn secrets(&self) -> PathBuf {
        self.base.join("secrets")
    }
}

/// The folder that everything is kept in.
pub fn folder() -> Result<PathBuf> {
    let folder = match (std::env::var_os("COUNTERPART_REAL_DIR"), std::env::var_os("HOME")) {
        (Some(folder), _) if !folder.is_empty() => PathBuf::from(folder),
        (_, Some(home)) => Path::new(&home).join(".cache/counterpart/real"),
        _ => bail!("set COUNTERPART_REAL_DIR: there is no HOME to keep installations in"),
    };
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder.canonicalize()?)
}

/// Where this repository keeps what makes the systems.
pub fn assets() -> PathBuf {
    root().join("xtask/real")
}

/// Installs what is missing; waits when another run is at it.
pub fn ready(folder: &Path) -> Result<Installed> {
    let lock = File::create(folder.join("lock"))?;
    lock.lock().context("cannot lock the folder of installations")?;
    let logs = folder.join("logs");
    fs::create_dir_all(&logs)?;
    let assets = assets();

    let shop_hash =
        hash(&[&assets.join("vendure/package.json"), &assets.join("vendure/package-lock.json")], &[])?;
    let shop = kept(folder, "shop", &shop_hash, |target| {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(assets.join("vendure").join(file), target.join(file))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(target);
        run_to_end("npm ci", &mut npm, &logs.join("npm.log")).context("is Node 20 or newer installed?")
    })?;

    let python = python()?;
    let erp_hash = hash(&[&assets.join("tryton/requirements.txt")], &[&version(&python)?])?;
    let erp = kept(folder, "erp", &erp_hash, |target| {
        let log = logs.join("pip.log");
        let mut venv = Command::new(&python);
        venv.args(["-m", "venv"]).arg(target.join("venv"));
        run_to_end("python -m venv", &mut venv, &log).context("is python3-venv installed?")?;
        let mut pip = Command::new(target.join("venv/bin/pip"));
        pip.args(["install", "--quiet", "--no-cache-dir", "--no-deps", "-r"]);
        pip.arg(assets.join("tryton/requirements.txt"));
        run_to_end("pip install", &mut pip, &log)
    })?;

    let mut inputs: Vec<PathBuf> = Vec::new();
    for file in ["populate.js", "config.js", "webhook-plugin.js", "products.csv"] {
        inputs.push(assets.join("vendure").join(file));
    }
    inputs.push(assets.join("tryton/setup.py"));
    inputs.push(assets.join("tryton/trytond.conf.in"));
    let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
    let server = postgres::version()?;
    // The ERP's books are opened for this year and the next.
    let base_hash = hash(&inputs, &[&shop_hash, &erp_hash, &server, &year()])?;
    let mut installed =
        Installed { node_modules: shop.join("node_modules"), venv: erp.join("venv"), base: PathBuf::new() };
    installed.base = kept(folder, "base", &base_hash, |target| fill(&installed, target, &logs))?;
    Ok(installed)
}

/// Fills both databases in a cluster of its own, and keeps the stopped cluster.
fn fill(installed: &Installed, target: &Path, logs: &Path) -> Result<()> {
    let secrets = target.join("secrets");
    fs::create_dir_all(&secrets)?;
    private(&secrets)?;
    for name in ["erp-admin", "erp-hub", "shop-admin", "shop-hub"] {
        fs::write(secrets.join(name), super::random_hex(16))?;
    }
    let work = temporary("fill")?;
    let mut ports = ports::pick(3)?;
    let port = ports.take();
    let cluster_folder = work.join("pg");
    postgres::create(&cluster_folder, logs)?;
    let mut cluster = Cluster::start(&cluster_folder, port, logs)?;
    cluster.create_database(erp::DATABASE)?;
    cluster.create_database(shop::DATABASE)?;
    let shop_folder = work.join("shop");
    shop::lay_out(&shop_folder, installed)?;
    shop::fill(&shop_folder, port, ports.take(), &secrets, logs)?;
    erp::fill(&work.join("erp"), installed, port, ports.take(), &secrets, logs)?;
    cluster.stop();
    copy(&cluster_folder, &target.join("pg"))?;
    fs::remove_dir_all(&work)?;
    Ok(())
}

/// A new folder outside anyone's home, as the database server may run as another user; removed at the end of the run.
pub fn temporary(what: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!(
        "counterpart-{what}-{}-{}",
        std::process::id(),
        super::random_hex(4)
    ));
    fs::create_dir_all(&folder)?;
    process::remove_at_end(folder.clone());
    Ok(folder)
}

/// Copies a folder with its owners and modes.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    if !status.success() {
        bail!("cannot copy {} to {}", from.display(), to.display());
    }
    Ok(())
}

/// The kept folder of that name and hash, made by `make` when it is not there yet.
fn kept(folder: &Path, name: &str, hash: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let target = folder.join(format!("{name}-{hash}"));
    let mark = target.join("complete");
    if !mark.exists() {
        say(format!("real: preparing {}", target.display()));
        let _ = fs::remove_dir_all(&target);
        fs::create_dir_all(&target)?;
        make(&target)?;
    }
    fs::write(&mark, "")?;
    remove_unused(folder, name, &target)?;
    Ok(target)
}

fn remove_unused(folder: &Path, name: &str, current: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        let ours = entry.file_name().to_string_lossy().starts_with(&format!("{name}-"));
        let mark = fs::metadata(path.join("complete")).and_then(|m| m.modified());
        let old = mark.is_ok_and(|t| SystemTime::now().duration_since(t).is_ok_and(|age| age > UNUSED_AFTER));
        if ours && old && path != current {
            let _ = fs::remove_dir_all(path);
        }
    }
    Ok(())
}

fn hash(files: &[&Path], texts: &[&str]) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(fs::read(file).with_context(|| file.display().to_string())?);
        hash.update([0]);
    }
    for text in texts {
        hash.update(text);
        hash.update([0]);
    }
    Ok(hex::encode(&hash.finalize()[..6]))
}

/// A Python that the ERP runs on.
fn python() -> Result<String> {
    for name in ["python3", "python3.13", "python3.12", "python3.11", "python3.10"] {
        if version(name).is_ok_and(|v| v.starts_with("Python 3.") && minor(&v) >= 10) {
            return Ok(name.into());
        }
    }
    bail!("no Python 3.10 or newer found; the ERP needs one, with its venv module")
}

fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|part| part.parse().ok()).unwrap_or_default()
}

fn version(program: &str) -> Result<String> {
    let output = Command::new(program).arg("--version").output().with_context(|| program.to_owned())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn year() -> String {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    // Good enough to make a new base around New Year; the books are open for two years.
    (1970 + seconds / 31_556_952).to_string()
}

/// Closes a folder to everyone else.
pub fn private(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?)
}
