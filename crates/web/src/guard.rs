//! What every request goes through: an id, a log line, a time-out, headers, and for the API a bearer token.
//!
//! Never: logs a body, a header, or an address with values in it (the route's pattern is logged instead).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use counterpart_model::redact::Redacted;
use jiff::Timestamp;
use subtle::{Choice, ConstantTimeEq};
use tracing::Instrument;

use crate::problem::Problem;
use crate::routes::App;

/// How long a request may take, its body's arrival included.
pub const TIME_OUT: Duration = Duration::from_secs(30);

/// The header that names a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives out request ids that do not repeat over restarts: start of the process, then a count.
#[derive(Debug)]
pub struct RequestIds {
    start: i64,
    count: AtomicU64,
}

impl RequestIds {
    /// Ids of a process that started then.
    pub fn new(started: Timestamp) -> Self {
        Self { start: started.as_millisecond(), count: AtomicU64::new(0) }
    }

    fn next(&self) -> String {
        format!("{:x}-{}", self.start, self.count.fetch_add(1, Ordering::Relaxed))
    }
}

/// The outermost layer: id, span, time-out, log line, metrics, headers, and problem documents for every refusal.
pub async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = app.ids.next();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", request_id = %id, %method, route);
    let begun = Instant::now();
    let answer = tokio::time::timeout(TIME_OUT, next.run(request)).instrument(span.clone()).await;
    let mut response = answer.unwrap_or_else(|_| {
        Problem::new("time-out", format!("not answered within {} s", TIME_OUT.as_secs())).into_response()
    });
    response = as_problem(response, &id);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    span.in_scope(|| report(method.as_str(), &route, response.status(), begun.elapsed()));
    response
}

/// Makes sure that a refusal is a problem document that names the request.
fn as_problem(mut response: Response, id: &str) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let known = response.extensions_mut().remove::<Problem>();
    let mut problem = known.unwrap_or_else(|| Problem::of_status(status));
    problem.instance = Some(format!("urn:counterpart:request:{id}"));
    let mut with_id = problem.into_response();
    if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
        with_id.headers_mut().insert(header::ALLOW, allow);
    }
    with_id
}

fn report(method: &str, route: &str, status: StatusCode, took: Duration) {
    let code = status.as_u16();
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", code.to_string())];
    metrics::counter!("counterpart_http_requests_total", &labels).increment(1);
    metrics::histogram!("counterpart_http_seconds", "route" => route.to_owned()).record(took.as_secs_f64());
    let probe = matches!(route, "/healthz" | "/readyz" | "/metrics");
    match (status.is_server_error(), probe) {
        (_, true) => tracing::debug!(status = code, millis, "{method} {route}: {code}"),
        (true, _) => tracing::error!(status = code, millis, "{method} {route}: {code}"),
        (false, _) => tracing::info!(status = code, millis, "{method} {route}: {code}"),
    }
}

/// Lets a request to the API through when it brings one of the tokens.
pub async fn token(State(app): State<App>, request: Request, next: Next) -> Response {
    if app.tokens.is_empty() {
        return Problem::new("unauthorised", "no API token is configured, so the API answers nobody")
            .hint("name one under [hub]: `api_tokens = [{ env = \"COUNTERPART_TOKEN\" }]`, and start again")
            .into_response();
    }
    let given = request.headers().get(header::AUTHORIZATION).and_then(|v| bearer(v.as_bytes()));
    match given {
        Some(given) if is_one_of(&app.tokens, given) => next.run(request).await,
        Some(_) => {
            Problem::new("unauthorised", "the bearer token is not one of those configured").into_response()
        }
        None => Problem::new("unauthorised", "the API needs a bearer token")
            .hint("send the header `Authorization: Bearer <token>`")
            .into_response(),
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Compares with every token, however early one fits, so that the time taken tells nothing but lengths.
fn is_one_of(tokens: &[Redacted<String>], given: &[u8]) -> bool {
    let one = tokens.iter().fold(Choice::from(0), |found, token| {
        // An empty token would let everyone in: it fits nothing.
        let same = token.reveal().as_bytes().ct_eq(given);
        found | (same & Choice::from(u8::from(!token.reveal().is_empty())))
    });
    one.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_whole_or_not_at_all() {
        let tokens = [
            Redacted::new("alpha".to_owned()),
            Redacted::new("beta".to_owned()),
            Redacted::new(String::new()),
        ];
        for (given, expect) in
            [("alpha", true), ("beta", true), ("alph", false), ("alphab", false), ("", false)]
        {
            assert_eq!(is_one_of(&tokens, given.as_bytes()), expect, "{given}");
        }
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        assert_eq!(bearer(b"Bearer abc"), Some(b"abc".as_slice()));
        assert_eq!(bearer(b"bearer  abc "), Some(b"abc".as_slice()));
        assert_eq!(bearer(b"Basic abc"), None);
        assert_eq!(bearer(b"Bear"), None);
    }

    #[test]
    fn request_ids_differ() {
        let ids = RequestIds::new(Timestamp::UNIX_EPOCH);
        assert_eq!((ids.next(), ids.next()), ("0-0".to_owned(), "0-1".to_owned()));
    }
}
