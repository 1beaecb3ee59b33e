//! Sends one HTTP request and takes the whole answer, within a time and a size.
//!
//! Never: follows a redirect, speaks to a forbidden address, puts a header's value into an error.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use url::Url;

use crate::guard::{self, GuardedResolver};

/// A client for one connection.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    base: Url,
    max_answer: usize,
}

/// A request as it goes out.
#[derive(Debug, Clone, Default)]
pub struct Plain {
    /// `GET`, `POST`, ...
    pub method: String,
    /// Put after the connection's address.
    pub path: String,
    /// Query parameters, in order.
    pub query: Vec<(String, String)>,
    /// Headers; secrets may be among them.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Option<Vec<u8>>,
}

/// An answer as it came in.
#[derive(Debug, Clone)]
pub struct Raw {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: Vec<u8>,
}

/// No answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nothing went out.
    NotSent(String),
    /// It may have been received and done.
    Unclear(String),
    /// It cannot be sent as it is.
    BadRequest(String),
}

impl Http {
    /// A client for an address.
    ///
    /// # Errors
    /// When the address must not be spoken to.
    pub fn new(base: &Url, allow_private: bool, max_answer: usize) -> Result<Self, String> {
        guard::check_url(base, allow_private).map_err(|e| e.to_string())?;
        if base.query().is_some() || base.fragment().is_some() {
            return Err("the address must not hold `?` or `#`".into());
        }
        // Another part of the program may have installed a provider already: then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .dns_resolver(std::sync::Arc::new(GuardedResolver { allow_private }))
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would be the only address that the guard sees.
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            // Shorter than what servers commonly allow, so that a request seldom meets a connection that is being
            // closed, which leaves open whether it was received.
            .pool_idle_timeout(Duration::from_secs(4))
            .user_agent(concat!("counterpart/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| format!("no HTTP client can be made: {e}"))?;
        Ok(Self { client, base: base.clone(), max_answer })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn send(&self, plain: &Plain, timeout: Duration) -> Result<Raw, NoAnswer> {
        let bad = |what: String| NoAnswer::BadRequest(what);
        let method = Method::from_bytes(plain.method.as_bytes())
            .map_err(|_| bad(format!("`{}` is no HTTP method", plain.method)))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &plain.headers {
            let value = HeaderValue::from_str(value)
                .map_err(|_| bad(format!("the header `{name}` has a value that no header may have")))?;
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| bad(format!("`{name}` is no header name")))?;
            headers.append(name, value);
        }
        let mut request = self.client.request(method, self.url(plain)?).headers(headers).timeout(timeout);
        if let Some(body) = &plain.body {
            request = request.body(body.clone());
        }
        let mut response = request.send().await.map_err(|error| no_answer(&error))?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > self.max_answer => {
                    let limit = self.max_answer;
                    return Err(NoAnswer::Unclear(format!("the answer is larger than {limit} bytes")));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(no_answer(&error)),
            }
        }
        Ok(Raw { status, headers, body })
    }

    /// The path stands below the connection's address and cannot lead out of it.
    fn url(&self, plain: &Plain) -> Result<Url, NoAnswer> {
        let bad = |why: &str| NoAnswer::BadRequest(format!("the path of the request {why}"));
        if !plain.path.is_empty() && !plain.path.starts_with('/') {
            return Err(bad("must begin with `/`"));
        }
        let (path, _) = plain.path.split_once('?').unwrap_or((&plain.path, ""));
        // As the URL standard reads it: encoded dots are dots, a backslash is a slash.
        let dots = path.to_ascii_lowercase().replace("%2e", ".");
        if dots.split(['/', '\\']).any(|part| part == ".." || part == ".") {
            return Err(bad("must not hold `.` or `..`"));
        }
        if plain.path.contains('#') {
            return Err(bad("must not hold `#`"));
        }
        let text = format!("{}{}", self.base.as_str().trim_end_matches('/'), plain.path);
        let mut url = Url::parse(&text).map_err(|_| bad("makes no valid address"))?;
        if url.scheme() != self.base.scheme()
            || url.host() != self.base.host()
            || url.port() != self.base.port()
        {
            return Err(bad("leads to another host"));
        }
        if !plain.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&plain.query);
        }
        Ok(url)
    }
}

/// A failed connection is known not to have delivered anything; all else is unclear.
fn no_answer(error: &reqwest::Error) -> NoAnswer {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    // The innermost cause says what happened; the outer ones repeat the address, which may hold a query.
    let why = cause.to_string();
    if error.is_connect() {
        NoAnswer::NotSent(format!("no connection: {why}"))
    } else if error.is_timeout() {
        NoAnswer::Unclear("no answer in time".into())
    } else if error.is_builder() || error.is_redirect() {
        NoAnswer::BadRequest(why)
    } else {
        NoAnswer::Unclear(format!("the connection broke: {why}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_path_stays_below_the_address() {
        let http = Http::new(&Url::parse("https://shop.example.com/base/").unwrap(), false, 10).unwrap();
        let url =
            |path: &str| http.url(&Plain { path: path.into(), ..Plain::default() }).map(|u| u.to_string());
        assert_eq!(url("/orders/7?a=1").unwrap(), "https://shop.example.com/base/orders/7?a=1");
        assert_eq!(url("").unwrap(), "https://shop.example.com/base");
        assert_eq!(url("/a..b/..c?x=..").unwrap(), "https://shop.example.com/base/a..b/..c?x=..");
        for bad in [
            "orders",
            "@evil.example/",
            "/../x",
            "/a/..",
            "/%2e%2E/x",
            "/a\\..\\x",
            "/x#y",
            ".evil.example/",
            "/.",
        ] {
            assert!(matches!(url(bad), Err(NoAnswer::BadRequest(_))), "{bad}");
        }
    }

    #[test]
    fn an_address_is_only_an_address() {
        for bad in
            ["https://shop.example.com/?x=1", "https://shop.example.com/#a", "http://shop.example.com/"]
        {
            assert!(Http::new(&Url::parse(bad).unwrap(), false, 10).is_err(), "{bad}");
        }
    }
}
