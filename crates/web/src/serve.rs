//! Listens, answers, and stops in good order.
//!
//! Never: runs the hub's own work (pollers, workers); whoever calls starts that beside it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How often old samples of histograms are dropped.
const UPKEEP: Duration = Duration::from_secs(5);

/// Upper bounds of histogram buckets, in seconds: from a health probe to a slow ERP.
const BUCKETS: &[f64] = &[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Not an address.
    #[error("`{0}` is not an address to listen on: write it as 127.0.0.1:7070, under [hub] as `listen`")]
    BadAddress(String),
    /// Someone else listens there.
    #[error(
        "port {port} of {host} is in use: stop what listens there (perhaps another Counterpart), or set another \
         `listen` under [hub]"
    )]
    InUse {
        /// The address.
        host: String,
        /// The port.
        port: u16,
    },
    /// Not allowed, no such interface, ...
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// While serving.
    #[error("the HTTP server stopped: {0}")]
    Serve(io::Error),
    /// A second recorder in one process.
    #[error("metrics cannot be recorded: {0}")]
    Metrics(String),
}

/// Makes the process record metrics, for `/metrics`. Once in a process.
///
/// # Errors
/// When something records already.
pub fn install_metrics() -> Result<PrometheusHandle, ServeError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| ServeError::Metrics(error.to_string()))
}

/// Takes an address to listen on, and tells the one got (port 0 asks for any).
///
/// # Errors
/// When it is no address, is in use or is not allowed.
pub async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), ServeError> {
    // A host name such as `localhost` is as good as a number.
    let mut found =
        tokio::net::lookup_host(address).await.map_err(|_| ServeError::BadAddress(address.to_owned()))?;
    let wanted = found.next().ok_or_else(|| ServeError::BadAddress(address.to_owned()))?;
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::InUse { host: wanted.ip().to_string(), port: wanted.port() },
        _ => ServeError::Listen { address: address.to_owned(), source },
    };
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let got = listener.local_addr().map_err(failed)?;
    Ok((listener, got))
}

/// Answers until `stop` turns true (or its sender is gone), then takes nothing new and lets what runs finish, for at
/// most `grace`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    metrics: PrometheusHandle,
    stop: watch::Receiver<bool>,
    grace: Duration,
) -> Result<(), ServeError> {
    let upkeep = tokio::spawn(async move {
        let mut every = tokio::time::interval(UPKEEP);
        loop {
            every.tick().await;
            metrics.run_upkeep();
        }
    });
    let server = axum::serve(listener, router).with_graceful_shutdown(stopped(stop.clone()));
    let result = tokio::select! {
        result = server => result.map_err(ServeError::Serve),
        () = async { stopped(stop).await; tokio::time::sleep(grace).await } => {
            tracing::warn!("requests were still running after {} s; they are cut off", grace.as_secs());
            Ok(())
        }
    };
    upkeep.abort();
    result
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is as good a reason to stop.
    let _ = stop.wait_for(|stop| *stop).await;
}
