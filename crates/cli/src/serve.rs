//! Runs the hub and the HTTP server side by side, and stops both in good order.
//!
//! Never: does the hub's work.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use counterpart_hub::hub::Hub;
use counterpart_model::clock::Clock;
use counterpart_web::{Web, install_metrics, listen, router, serve as serve_http};
use tokio::sync::watch;

use crate::errors::{Exit, Failure};
use crate::input::say;

/// Runs until a signal, or until hub or server fail.
///
/// # Errors
/// When nothing is applied, the address cannot be listened on, or a secret is missing.
pub async fn serve(config: &Path, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    install_crypto();
    let metrics = install_metrics()?;
    let started = clock.now();
    let hub = Hub::open(config, clock).await?;
    // Told before anyone is told that it listens.
    hub.export().await?;
    let settings = &hub.config().hub;
    let grace = Duration::from_secs(settings.shutdown_grace_s);
    let tokens = hub.api_tokens().await?;
    if tokens.is_empty() {
        tracing::warn!("no API token is configured under [hub]: the API answers nobody");
    }
    let (listener, address) = listen(&settings.listen).await?;
    if !address.ip().is_loopback() {
        tracing::warn!("listening on {address}, which others can reach: put a proxy with TLS in front of it");
    }
    // Asked for before anyone is told that it runs, so that no signal is missed.
    let signals = Signals::new()?;
    let (stop, stopped) = watch::channel(false);
    let work = tokio::spawn({
        let (hub, stopped) = (hub.clone(), stopped.clone());
        async move { hub.run(stopped).await }
    });
    let router = router(hub, Web { tokens, metrics: metrics.clone(), started });
    let http = tokio::spawn(serve_http(listener, router, metrics, stopped, grace));
    say(&format!("listening on http://{address}"));
    supervise(work, http, stop, signals, grace).await
}

/// Waits for the first of: a signal, the hub's end, the server's end. Then stops what still runs.
async fn supervise(
    mut work: tokio::task::JoinHandle<Result<(), counterpart_hub::error::HubError>>,
    mut http: tokio::task::JoinHandle<Result<(), counterpart_web::ServeError>>,
    stop: watch::Sender<bool>,
    mut signals: Signals,
    grace: Duration,
) -> Result<Exit, Failure> {
    let mut result = Ok(Exit::Done);
    let (mut work_done, mut http_done) = (false, false);
    tokio::select! {
        () = signals.next() => say("stopping: what runs is finished first; once more to stop at once"),
        ended = &mut work => { work_done = true; result = end(ended, "the hub"); }
        ended = &mut http => { http_done = true; result = end(ended, "the HTTP server"); }
    }
    // Nobody listens any more when both have ended; that is fine.
    let _ = stop.send(true);
    let rest = async {
        if !http_done {
            let ended = end((&mut http).await, "the HTTP server");
            result = std::mem::replace(&mut result, Ok(Exit::Done)).and(ended);
        }
        if !work_done {
            let ended = end((&mut work).await, "the hub");
            result = std::mem::replace(&mut result, Ok(Exit::Done)).and(ended);
        }
    };
    // A delivery's own time-out may be longer than the grace: what was intended is on record, so cutting it is safe.
    tokio::select! {
        () = rest => {}
        () = tokio::time::sleep(grace + Duration::from_secs(2)) => {
            tracing::warn!("work was still running after {} s; it is taken up again at the next start", grace.as_secs());
        }
        () = signals.next() => say("stopping at once"),
    }
    result
}

fn end<E>(ended: Result<Result<(), E>, tokio::task::JoinError>, what: &str) -> Result<Exit, Failure>
where
    Failure: From<E>,
{
    match ended {
        Ok(Ok(())) => Ok(Exit::Done),
        Ok(Err(error)) => Err(error.into()),
        Err(error) if error.is_cancelled() => Ok(Exit::Done),
        Err(_) => {
            Err(Failure::unexpected(format!("{what} broke down"))
                .hint("the log says where; please report it"))
        }
    }
}

/// Makes ring the process's cryptography for TLS.
pub fn install_crypto() {
    // Fails only when one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// SIGTERM and Ctrl-C.
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |e: std::io::Error| Failure::unexpected(format!("cannot wait for signals: {e}"));
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    #[cfg(unix)]
    /// The next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    pub fn new() -> Result<Self, Failure> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    pub async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
