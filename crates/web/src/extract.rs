//! What handlers take out of a request: as axum's own, but a refusal is a problem document.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Largest body taken, in bytes, webhooks included.
pub const BODY_LIMIT: usize = 2 * 1024 * 1024;

/// Parts of the path.
pub struct InPath<T>(pub T);

/// The query string; an unknown key is refused when the type says so.
pub struct InQuery<T>(pub T);

/// The body as JSON.
pub struct InBody<T>(pub T);

/// The body as it came.
pub struct Raw(pub Bytes);

/// Who acts: the header `X-Actor`, or `api`.
pub struct Actor(pub String);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::new("bad-request", error.body_text())),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for InQuery<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::new("bad-request", error.body_text())
                .hint("the query parameters of each address are in /openapi.json")),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for InBody<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(error) => Err(refused_body(error.status(), error.body_text())),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Bytes::from_request(request, state).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(error) => Err(refused_body(error.status(), error.body_text())),
        }
    }
}

fn refused_body(status: StatusCode, detail: String) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new("too-large", format!("a body may have at most {} MiB", BODY_LIMIT >> 20))
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::new("media-type", detail).hint("send the header `Content-Type: application/json`")
        }
        _ => Problem::new("bad-request", detail),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("x-actor") else { return Ok(Self("api".into())) };
        match value.to_str().map(str::trim) {
            Ok(name) if !name.is_empty() && name.len() <= 100 => Ok(Self(name.to_owned())),
            _ => Err(Problem::new(
                "bad-request",
                "the header `X-Actor` must be 1 to 100 printable ASCII characters",
            )),
        }
    }
}
