//! What waits for a person, what a person does with it, and replay.

use axum::Json;
use axum::extract::State;
use counterpart_hub::views::{ReplayReport, ReviewQuery, ReviewView};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::extract::{Actor, InBody, InPath, InQuery};
use crate::problem::Problem;
use crate::routes::App;

/// Review items, newest first; open ones only unless `all` is true.
#[utoipa::path(
    get, path = "/api/v1/reviews", tag = "reviews", security(("token" = [])), params(ReviewQuery),
    responses(
        (status = 200, description = "Review items", body = [ReviewView]),
        (status = 400, description = "An unknown reason or parameter", body = Problem),
        (status = 401, body = Problem),
    ),
)]
pub async fn list(
    State(app): State<App>,
    InQuery(mut query): InQuery<ReviewQuery>,
) -> Result<Json<Vec<ReviewView>>, Problem> {
    query.limit = query.limit.map(|limit| limit.min(1000));
    Ok(Json(app.hub.reviews(query).await?))
}

/// One review item with its particulars.
#[utoipa::path(
    get, path = "/api/v1/reviews/{id}", tag = "reviews", security(("token" = [])),
    params(("id" = i64, Path, description = "Row of the review item")),
    responses((status = 200, body = ReviewView), (status = 401, body = Problem), (status = 404, body = Problem)),
)]
pub async fn show(State(app): State<App>, InPath(id): InPath<i64>) -> Result<Json<ReviewView>, Problem> {
    Ok(Json(app.hub.review(id).await?))
}

/// Tries again what waits. The header `X-Actor` says who asks.
#[utoipa::path(
    post, path = "/api/v1/reviews/{id}/retry", tag = "reviews", security(("token" = [])),
    params(
        ("id" = i64, Path, description = "Row of the review item"),
        ("X-Actor" = Option<String>, Header, description = "Who acts (default `api`)"),
    ),
    responses(
        (status = 200, description = "The item as it is now", body = ReviewView),
        (status = 401, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "It is closed already", body = Problem),
    ),
)]
pub async fn retry(
    State(app): State<App>,
    InPath(id): InPath<i64>,
    Actor(by): Actor,
) -> Result<Json<ReviewView>, Problem> {
    app.hub.retry(id, &by).await?;
    Ok(Json(app.hub.review(id).await?))
}

/// Changes the record by a merge patch (RFC 7396), then tries again. The header `X-Actor` says who asks.
#[utoipa::path(
    post, path = "/api/v1/reviews/{id}/edit", tag = "reviews", security(("token" = [])),
    params(
        ("id" = i64, Path, description = "Row of the review item"),
        ("X-Actor" = Option<String>, Header, description = "Who acts (default `api`)"),
    ),
    request_body(content = Object, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The item as it is now", body = ReviewView),
        (status = 400, description = "No JSON object, or the result breaks the canonical shape", body = Problem),
        (status = 401, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "It is closed already", body = Problem),
    ),
)]
pub async fn edit(
    State(app): State<App>,
    InPath(id): InPath<i64>,
    Actor(by): Actor,
    InBody(patch): InBody<Map<String, Value>>,
) -> Result<Json<ReviewView>, Problem> {
    app.hub.edit(id, Value::Object(patch), &by).await?;
    Ok(Json(app.hub.review(id).await?))
}

/// Throws away what waits; who did it stays on record. The header `X-Actor` says who asks.
#[utoipa::path(
    post, path = "/api/v1/reviews/{id}/discard", tag = "reviews", security(("token" = [])),
    params(
        ("id" = i64, Path, description = "Row of the review item"),
        ("X-Actor" = Option<String>, Header, description = "Who acts (default `api`)"),
    ),
    responses(
        (status = 200, description = "The item as it is now", body = ReviewView),
        (status = 401, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "It is closed already", body = Problem),
    ),
)]
pub async fn discard(
    State(app): State<App>,
    InPath(id): InPath<i64>,
    Actor(by): Actor,
) -> Result<Json<ReviewView>, Problem> {
    app.hub.discard(id, &by).await?;
    Ok(Json(app.hub.review(id).await?))
}

/// What to deliver again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Name of the flow.
    flow: String,
    /// Records that changed since then (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Only tells what would differ. Must be said either way.
    dry_run: bool,
}

/// Delivers again what changed since a moment; with `dry_run` only the difference is told.
#[utoipa::path(
    post, path = "/api/v1/replay", tag = "reviews", security(("token" = [])),
    params(("X-Actor" = Option<String>, Header, description = "Who acts (default `api`)")),
    request_body = Replay,
    responses(
        (status = 200, description = "What was or would be done", body = ReplayReport),
        (status = 400, body = Problem),
        (status = 401, body = Problem),
        (status = 404, description = "No such flow", body = Problem),
    ),
)]
pub async fn replay(
    State(app): State<App>,
    Actor(by): Actor,
    InBody(ask): InBody<Replay>,
) -> Result<Json<ReplayReport>, Problem> {
    Ok(Json(app.hub.replay(&ask.flow, ask.since, ask.dry_run, &by).await?))
}
