//! What a caller is told when something goes wrong: an RFC 9457 problem document, for everything, axum's own
//! refusals included.
//!
//! Policy: the detail says what was wrong, the hint what to do. A cause inside the hub is logged where it happens and
//! never sent. Never: holds a secret or a personal datum.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use counterpart_hub::error::{HubError, IntakeError};
use counterpart_model::kind::{Kind, UnknownKind};
use serde::Serialize;
use utoipa::ToSchema;

/// Media type of problem documents.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is, as a URN that does not change: `urn:counterpart:problem:not-found`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What was wrong this time.
    pub detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Each thing that is wrong, when there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// The request, as in the log and in the header `X-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// Every kind of problem: name, status, title.
pub const KINDS: &[(&str, StatusCode, &str)] = &[
    ("bad-request", StatusCode::BAD_REQUEST, "The request makes no sense"),
    ("unauthorised", StatusCode::UNAUTHORIZED, "Not allowed without a good credential"),
    ("not-found", StatusCode::NOT_FOUND, "Nothing is there"),
    ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "The address does not take this method"),
    ("conflict", StatusCode::CONFLICT, "Someone else changed it meanwhile"),
    ("too-large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
    ("media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not JSON"),
    ("refused", StatusCode::UNPROCESSABLE_ENTITY, "What was asked for cannot be done"),
    ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here"),
    ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "Not available right now"),
    ("time-out", StatusCode::GATEWAY_TIMEOUT, "It took too long"),
];

impl Problem {
    /// A problem of one of [`KINDS`]; an unknown name is an internal one.
    pub fn new(name: &str, detail: impl Into<String>) -> Self {
        let fallback = ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here");
        let (name, status, title) = KINDS.iter().find(|k| k.0 == name).copied().unwrap_or(fallback);
        Self {
            kind: format!("urn:counterpart:problem:{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            hint: None,
            problems: Vec::new(),
            instance: None,
        }
    }

    /// The problem that a bare status stands for.
    pub fn of_status(status: StatusCode) -> Self {
        let name = match KINDS.iter().find(|k| k.1 == status) {
            Some(kind) => kind.0,
            None if status.is_client_error() => "bad-request",
            None => "internal",
        };
        let reason = status.canonical_reason().unwrap_or("the request was not carried out");
        Self { status: status.as_u16(), ..Self::new(name, reason) }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        // The guard puts the request's id in before it is sent.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<HubError> for Problem {
    fn from(error: HubError) -> Self {
        let text = error.to_string();
        match error {
            HubError::Config(_) => Self::new("refused", text).hint("put the configuration file right"),
            HubError::Secret(_) => Self::new("refused", text),
            HubError::NotFound(_) => Self::new("not-found", text),
            HubError::BadInput(_) => Self::new("bad-request", text),
            HubError::Refused(problems) => {
                let detail = match problems.len() {
                    1 => "one problem must be put right first".to_owned(),
                    n => format!("{n} problems must be put right first"),
                };
                Self { problems, ..Self::new("refused", detail) }
            }
            HubError::Conflict(_) => {
                Self::new("conflict", text).hint("read the present state, then try again")
            }
            HubError::NothingApplied => Self::new("conflict", text),
            HubError::Unavailable(_) => Self::new("unavailable", text).hint("try again in a few seconds"),
        }
    }
}

impl From<UnknownKind> for Problem {
    fn from(error: UnknownKind) -> Self {
        let names: Vec<_> = Kind::ALL.iter().map(|k| k.as_str()).collect();
        Self::new("not-found", format!("`{}` is not a record kind", error.0))
            .hint(format!("the kinds are: {}", names.join(", ")))
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        let text = error.to_string();
        match error {
            IntakeError::UnknownConnection => {
                Self::new("not-found", text).hint("the address ends in the name of a connection")
            }
            IntakeError::BadSignature(_) => {
                Self::new("unauthorised", text).hint("compare the webhook's secret on both sides")
            }
            IntakeError::Unreadable(_) => Self::new("bad-request", text),
            IntakeError::Unavailable(_) => Self::new("unavailable", text).hint("send it again"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(problem: Problem, status: u16, kind: &str) {
        assert_eq!((problem.status, problem.kind), (status, format!("urn:counterpart:problem:{kind}")));
    }

    #[test]
    fn every_error_of_the_hub_has_its_status() {
        check(HubError::NotFound("x".into()).into(), 404, "not-found");
        check(HubError::BadInput("x".into()).into(), 400, "bad-request");
        check(HubError::Refused(vec!["x".into()]).into(), 422, "refused");
        check(HubError::Conflict("x".into()).into(), 409, "conflict");
        check(HubError::NothingApplied.into(), 409, "conflict");
        check(HubError::Unavailable("x".into()).into(), 503, "unavailable");
        check(IntakeError::UnknownConnection.into(), 404, "not-found");
        check(IntakeError::BadSignature("x".into()).into(), 401, "unauthorised");
        check(IntakeError::Unreadable("x".into()).into(), 400, "bad-request");
        check(IntakeError::Unavailable("x".into()).into(), 503, "unavailable");
    }

    #[test]
    fn a_bare_status_becomes_a_problem_of_that_status() {
        check(Problem::of_status(StatusCode::NOT_FOUND), 404, "not-found");
        check(Problem::of_status(StatusCode::IM_A_TEAPOT), 418, "bad-request");
        check(Problem::of_status(StatusCode::BAD_GATEWAY), 502, "internal");
    }

    #[test]
    fn refused_lists_every_problem() {
        let problem = Problem::from(HubError::Refused(vec!["a".into(), "b".into()]));
        insta::assert_json_snapshot!(problem, @r#"
        {
          "type": "urn:counterpart:problem:refused",
          "title": "What was asked for cannot be done",
          "status": 422,
          "detail": "2 problems must be put right first",
          "problems": [
            "a",
            "b"
          ]
        }
        "#);
    }
}
