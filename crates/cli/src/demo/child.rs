//! The hub as a child process: started, killed, started again.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use counterpart_sandbox::clock::FastClock;

use crate::errors::Failure;

/// The hub's process.
pub struct Hub {
    child: Child,
    /// Most memory that any of its lives held, in KiB.
    peak_kib: u64,
    /// How often it was killed.
    pub kills: u32,
}

/// How long it may take to be ready.
const READY: Duration = Duration::from_secs(60);

impl Hub {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it ends, or does not listen in time.
    pub async fn start(config: &Path, log: &Path, clock: FastClock, port: u16) -> Result<Self, Failure> {
        let child = spawn(config, log, clock)?;
        let mut hub = Self { child, peak_kib: 0, kills: 0 };
        hub.ready(log, port).await?;
        Ok(hub)
    }

    /// `kill -9`, and another one in its place.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn kill(
        &mut self,
        config: &Path,
        log: &Path,
        clock: FastClock,
        port: u16,
    ) -> Result<(), Failure> {
        self.note_memory();
        // It may have ended by itself, which `ready` would have told before.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.kills += 1;
        self.child = spawn(config, log, clock)?;
        self.ready(log, port).await
    }

    /// Most memory held, in MiB.
    pub fn peak_mib(&mut self) -> u64 {
        self.note_memory();
        self.peak_kib / 1024
    }

    /// Fails when it ended by itself.
    ///
    /// # Errors
    /// Then.
    pub fn alive(&mut self, log: &Path) -> Result<(), Failure> {
        self.note_memory();
        match self.child.try_wait() {
            Ok(Some(status)) => Err(Failure::unexpected(format!("the hub ended by itself ({status})"))
                .hint(format!("its log is {}", log.display()))),
            _ => Ok(()),
        }
    }

    async fn ready(&mut self, log: &Path, port: u16) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            self.alive(log)?;
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(());
            }
            if began.elapsed() > READY {
                return Err(Failure::unavailable("the hub does not listen after a minute".to_owned())
                    .hint(format!("its log is {}", log.display())));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn note_memory(&mut self) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0);
        self.peak_kib = self.peak_kib.max(kib);
    }
}

fn spawn(config: &Path, log: &Path, clock: FastClock) -> Result<Child, Failure> {
    let failed = |e: std::io::Error| Failure::unexpected(format!("cannot start the hub: {e}"));
    let log = File::options().create(true).append(true).open(log).map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command
        .arg("--config")
        .arg(config)
        .arg("--no-color")
        .arg("demo-hub")
        .arg("--clock")
        .arg(clock.to_string());
    // Held as long as the demo lives, however it ends: the hub ends with it.
    command.stdin(Stdio::piped()).stdout(log.try_clone().map_err(failed)?).stderr(log);
    // A signal from the terminal is for the demo, which stops the hub itself.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().map_err(failed)
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
