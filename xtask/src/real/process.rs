//! Child processes that never outlive the run: each is a process group of its own, stopped when its [`Service`] is
//! dropped and when the chore is interrupted.
//!
//! Never: kills by name; every signal goes to a process that this run started.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::say;

/// How a process is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM: most programs.
    Term,
    /// SIGINT: PostgreSQL's fast shutdown.
    Int,
}

impl Stop {
    fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
        }
    }
}

/// What runs now, by process id, and what to remove at the end.
struct Running {
    processes: BTreeMap<u32, Stop>,
    folders: Vec<PathBuf>,
}

static RUNNING: Mutex<Running> = Mutex::new(Running { processes: BTreeMap::new(), folders: Vec::new() });

fn running() -> MutexGuard<'static, Running> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program that runs in the background.
pub struct Service {
    name: &'static str,
    make: Box<dyn Fn() -> Command>,
    stop: Stop,
    log: PathBuf,
    child: Option<Child>,
}

impl Service {
    /// Names a program without starting it; `make` gives its command line at every start.
    pub fn new(name: &'static str, stop: Stop, logs: &Path, make: impl Fn() -> Command + 'static) -> Self {
        Self { name, make: Box::new(make), stop, log: logs.join(format!("{name}.log")), child: None }
    }

    /// Starts it, unless it runs; its output is added to its log.
    pub fn start(&mut self) -> Result<()> {
        if self.child.is_none() {
            let mut command = (self.make)();
            log_to(&mut command, &self.log)?;
            self.child = Some(spawn(&mut command, self.stop).with_context(|| self.name)?);
        }
        Ok(())
    }

    /// Asks it to stop, waits ten seconds, then kills it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            end(&mut child, self.stop);
        }
    }

    /// SIGKILL, as a power cut would do it.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { bail!("{} is not running", self.name) };
        child.kill()?;
        child.wait()?;
        running().processes.remove(&child.id());
        Ok(())
    }

    /// Fails, with the end of its log, when it has died by itself.
    pub fn alive(&mut self) -> Result<()> {
        let Some(child) = self.child.as_mut() else { bail!("{} is not running", self.name) };
        if let Some(status) = child.try_wait()? {
            running().processes.remove(&child.id());
            self.child = None;
            bail!("{} ended with {status}; the end of its log:\n{}", self.name, self.log_tail(30));
        }
        Ok(())
    }

    /// Most memory it held since its start, in MiB; 0 when it does not run.
    pub fn peak_rss_mib(&self) -> u64 {
        let Some(child) = &self.child else { return 0 };
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.unwrap_or_default().div_ceil(1024)
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a program to its end; when it fails, so does this, with the end of its log.
pub fn run_to_end(what: &str, command: &mut Command, log: &Path) -> Result<()> {
    log_to(command, log)?;
    let mut child = spawn(command, Stop::Term).with_context(|| what.to_owned())?;
    let status = child.wait()?;
    running().processes.remove(&child.id());
    if !status.success() {
        bail!("{what} ended with {status}; the end of {}:\n{}", log.display(), tail(log, 40));
    }
    Ok(())
}

/// Runs a program beside the run; its standard output is taken, the rest goes to a log.
pub fn run_beside(what: &str, command: &mut Command, log: &Path) -> Result<Child> {
    log_to(command, log)?;
    command.stdout(Stdio::piped());
    spawn(command, Stop::Term).with_context(|| what.to_owned())
}

/// Waits for a program of [`run_beside`] and gives its standard output.
pub fn output_of(what: &str, child: Child, log: &Path) -> Result<Vec<u8>> {
    let id = child.id();
    let output = child.wait_with_output()?;
    running().processes.remove(&id);
    if !output.status.success() {
        bail!("{what} ended with {}; the end of {}:\n{}", output.status, log.display(), tail(log, 20));
    }
    Ok(output.stdout)
}

/// Removes a folder at the end of the run, however it ends.
pub fn remove_at_end(folder: PathBuf) {
    running().folders.push(folder);
}

/// Stops everything and removes what is to be removed.
pub fn end_all() {
    let mut running = running();
    for (&id, &stop) in &running.processes {
        signal_group(id, stop.name());
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline && running.processes.keys().any(|id| group_lives(*id)) {
        std::thread::sleep(Duration::from_millis(50));
    }
    for id in running.processes.keys().filter(|id| group_lives(**id)) {
        signal_group(*id, "KILL");
    }
    running.processes.clear();
    for folder in running.folders.drain(..) {
        let _ = fs::remove_dir_all(folder);
    }
}

/// Ends the run in good order on Ctrl-C and on a polite kill.
pub fn end_all_when_interrupted() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        let interrupted = runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let mut term = signal(SignalKind::terminate())?;
            let mut hang_up = signal(SignalKind::hangup())?;
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
                _ = hang_up.recv() => {}
            }
            std::io::Result::Ok(())
        });
        if interrupted.is_ok() {
            say("interrupted; stopping everything");
            end_all();
            std::process::exit(130);
        }
    });
    Ok(())
}

fn spawn(command: &mut Command, stop: Stop) -> Result<Child> {
    let child = command
        .process_group(0)
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
    running().processes.insert(child.id(), stop);
    Ok(child)
}

fn end(child: &mut Child, stop: Stop) {
    let id = child.id();
    signal_group(id, stop.name());
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        std::thread::sleep(Duration::from_millis(20));
    }
    if matches!(child.try_wait(), Ok(None)) {
        signal_group(id, "KILL");
        let _ = child.wait();
    }
    running().processes.remove(&id);
}

fn signal_group(id: u32, signal: &str) {
    let _ = Command::new("kill").args(["-s", signal, "--", &format!("-{id}")]).stderr(Stdio::null()).status();
}

/// Whether a process of the group still runs; one that ended and was not waited for does not count.
fn group_lives(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
}

fn log_to(command: &mut Command, log: &Path) -> Result<()> {
    let file: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write {}", log.display()))?;
    command.stdout(file.try_clone()?).stderr(file);
    Ok(())
}

fn tail(log: &Path, lines: usize) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
