//! What is answered without a token: webhooks, health, metrics, the OpenAPI document.
//!
//! Never: tells anything about a record.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use counterpart_hub::views::Intake;
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::{InPath, InQuery, Raw};
use crate::problem::Problem;
use crate::routes::{App, document};

/// Takes a webhook of a connection.
///
/// The signature is checked over the body as it came. The answer 200 means that it is durable; nothing else is done
/// before it. Some systems try the address first, with a query parameter whose value they want back as plain text.
#[utoipa::path(
    post, path = "/webhooks/{connection}", tag = "webhooks",
    params(("connection" = String, Path, description = "Name of the connection")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "As the sender sends it"),
    responses(
        (status = 200, description = "It is durable", body = Intake),
        (status = 400, description = "It cannot be read", body = Problem),
        (status = 401, description = "The signature is missing, wrong or too old", body = Problem),
        (status = 404, description = "No connection of that name takes webhooks", body = Problem),
        (status = 413, description = "It is larger than 2 MiB", body = Problem),
        (status = 503, description = "It could not be made durable; send it again", body = Problem),
    ),
)]
pub async fn webhook(
    State(app): State<App>,
    InPath(connection): InPath<String>,
    headers: HeaderMap,
    InQuery(query): InQuery<Vec<(String, String)>>,
    Raw(body): Raw,
) -> Result<Response, Problem> {
    if let Some(answer) = app.hub.handshake(&connection, &query) {
        return Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], answer).into_response());
    }
    let headers = headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    Ok(Json(app.hub.accept_webhook(&connection, headers, body.into()).await?).into_response())
}

/// Whether it lives, or is ready.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`; anything else is a problem document.
    status: &'static str,
}

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "It lives", body = Health)))]
pub async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether the active revision runs and the database answers.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses(
        (status = 200, description = "It is ready", body = Health),
        (status = 503, description = "What is not ready", body = Problem),
    ),
)]
pub async fn ready(State(app): State<App>) -> Result<Json<Health>, Problem> {
    // Whatever is not ready, a prober wants 503.
    app.hub.ready().await.map_err(|error| Problem::new("unavailable", error.to_string()))?;
    Ok(Json(Health { status: "ok" }))
}

/// Metrics in Prometheus' text format. Names and counts only.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "Metrics", body = String, content_type = "text/plain")),
)]
pub async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render())
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "health",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")),
)]
pub async fn openapi() -> impl IntoResponse {
    Json(document())
}
