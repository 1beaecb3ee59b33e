//! Listening and stopping, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use counterpart_web::{ServeError, listen, serve};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

#[tokio::test]
async fn a_port_in_use_is_named() {
    let (_held, address) = listen("127.0.0.1:0").await.unwrap();
    let error = listen(&address.to_string()).await.unwrap_err();
    assert!(matches!(error, ServeError::InUse { port, .. } if port == address.port()));
    assert!(error.to_string().contains(&format!("port {} of 127.0.0.1 is in use", address.port())));
}

#[tokio::test]
async fn an_address_must_be_one() {
    assert!(matches!(listen("7070").await.unwrap_err(), ServeError::BadAddress(_)));
}

/// A request that runs when the stop comes is answered; nothing new is taken afterwards.
#[tokio::test]
async fn a_stop_lets_running_requests_finish() {
    let (begun, go_on) = (std::sync::Arc::new(Notify::new()), std::sync::Arc::new(Notify::new()));
    let (b, g) = (begun.clone(), go_on.clone());
    let slow = move || {
        let (b, g) = (b.clone(), g.clone());
        async move {
            b.notify_one();
            g.notified().await;
            "done"
        }
    };
    let (listener, address) = listen("127.0.0.1:0").await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let router = Router::new().route("/slow", get(slow));
    let server = tokio::spawn(serve(listener, router, metrics, stopped, Duration::from_secs(60)));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    begun.notified().await;
    stop.send(true).unwrap();
    go_on.notify_one();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    server.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

/// What does not finish within the grace is cut off.
#[tokio::test]
async fn a_stop_has_a_grace() {
    let begun = std::sync::Arc::new(Notify::new());
    let b = begun.clone();
    let never = move || {
        b.notify_one();
        std::future::pending::<&'static str>()
    };
    let (listener, address) = listen("127.0.0.1:0").await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let router = Router::new().route("/never", get(never));
    let server = tokio::spawn(serve(listener, router, metrics, stopped, Duration::from_millis(10)));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    begun.notified().await;
    stop.send(true).unwrap();
    server.await.unwrap().unwrap();
}
