//! How everything stands, and everything about one record.

use axum::Json;
use axum::extract::State;
use counterpart_hub::views::{DeliveryQuery, DeliveryView, Explanation, RecordView, Status};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::extract::{InPath, InQuery};
use crate::problem::Problem;
use crate::routes::App;

/// Most rows in one answer.
const MOST: usize = 1000;

/// How the hub, its connections and its flows stand, and whether the counts add up.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "records", security(("token" = [])),
    responses((status = 200, description = "How everything stands", body = Status), (status = 401, body = Problem)),
)]
pub async fn status(State(app): State<App>) -> Result<Json<Status>, Problem> {
    Ok(Json(app.hub.status().await?))
}

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RecordQuery {
    /// Only records that people call this.
    label: Option<String>,
    /// At most so many, newest first (default 50, at most 1000).
    limit: Option<usize>,
}

/// Records of a kind with their payloads, newest first.
#[utoipa::path(
    get, path = "/api/v1/records/{kind}", tag = "records", security(("token" = [])),
    params(("kind" = String, Path, description = "Kind of record, such as `order`"), RecordQuery),
    responses(
        (status = 200, description = "Records", body = [RecordView]),
        (status = 401, body = Problem),
        (status = 404, description = "No such kind", body = Problem),
    ),
)]
pub async fn list(
    State(app): State<App>,
    InPath(name): InPath<String>,
    InQuery(query): InQuery<RecordQuery>,
) -> Result<Json<Vec<RecordView>>, Problem> {
    let limit = query.limit.unwrap_or(50).min(MOST);
    Ok(Json(app.hub.records(name.parse()?, query.label.as_deref(), limit).await?))
}

/// What to tell.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// With the canonical payload, which may hold personal data.
    #[serde(default)]
    payload: bool,
}

/// Everything about a record: where it is, what happened, what waits and why, what happens next.
///
/// Several when more than one record goes by that name.
#[utoipa::path(
    get, path = "/api/v1/explain/{kind}/{what}", tag = "records", security(("token" = [])),
    params(
        ("kind" = String, Path, description = "Kind of record, such as `order`"),
        ("what" = String, Path, description = "Record id, label, number or remote id"),
        ExplainQuery,
    ),
    responses(
        (status = 200, description = "Explanations", body = [Explanation]),
        (status = 401, body = Problem),
        (status = 404, description = "No such kind or record", body = Problem),
    ),
)]
pub async fn explain(
    State(app): State<App>,
    InPath((name, what)): InPath<(String, String)>,
    InQuery(query): InQuery<ExplainQuery>,
) -> Result<Json<Vec<Explanation>>, Problem> {
    Ok(Json(app.hub.explain(name.parse()?, &what, query.payload).await?))
}

/// Deliveries, newest first.
#[utoipa::path(
    get, path = "/api/v1/deliveries", tag = "records", security(("token" = [])), params(DeliveryQuery),
    responses(
        (status = 200, description = "Deliveries", body = [DeliveryView]),
        (status = 400, description = "An unknown flow, state or parameter", body = Problem),
        (status = 401, body = Problem),
    ),
)]
pub async fn deliveries(
    State(app): State<App>,
    InQuery(mut query): InQuery<DeliveryQuery>,
) -> Result<Json<Vec<DeliveryView>>, Problem> {
    query.limit = query.limit.map(|limit| limit.min(MOST));
    Ok(Json(app.hub.deliveries(query).await?))
}
