//! A small blocking HTTP client, and waiting with a deadline.
//!
//! Never: retries by itself; [`until`] does, where a test says so.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use reqwest::Method;
use serde_json::Value;
use tokio::runtime::Runtime;

/// The client.
pub struct Http {
    runtime: Runtime,
    client: reqwest::Client,
}

/// What came back.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub text: String,
}

impl Answer {
    /// First header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text)
            .with_context(|| format!("HTTP {}: not JSON: {:.300}", self.status, self.text))
    }
}

impl Http {
    /// A client with a time-out of one minute.
    pub fn new() -> Result<Self> {
        // Nothing here speaks TLS, but the client is built with it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = reqwest::Client::builder()
            .no_proxy()
            // A kept connection may be closed by the other side just as it is used again.
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(60))
            .build()?;
        Ok(Self { runtime, client })
    }

    /// Sends one request; an HTTP error is an answer like any other.
    pub fn send(&self, method: Method, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Answer> {
        let mut request = self.client.request(method, url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.runtime.block_on(async {
            let response = request.send().await.with_context(|| url.to_owned())?;
            let status = response.status().as_u16();
            let headers = response
                .headers()
                .iter()
                .map(|(name, value)| {
                    (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                })
                .collect();
            let text = response.text().await.with_context(|| url.to_owned())?;
            Ok(Answer { status, headers, text })
        })
    }

    /// Gets a page.
    pub fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        self.send(Method::GET, url, headers, Vec::new())
    }

    /// Posts JSON.
    pub fn post(&self, url: &str, headers: &[(&str, &str)], body: &Value) -> Result<Answer> {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send(Method::POST, url, &all, serde_json::to_vec(body)?)
    }
}

/// Looks until it succeeds; at the deadline, fails with what it was waiting for and the last reason.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(100);
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() >= deadline => {
                return Err(anyhow!("waited {} s for {what}: {error:#}", limit.as_secs()));
            }
            Err(_) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}
