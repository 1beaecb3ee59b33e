//! Connectors there are, and samples captured from connections.

use axum::Json;
use axum::extract::State;
use counterpart_hub::views::{ConnectorView, SampleView};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::extract::{InPath, InQuery};
use crate::problem::Problem;
use crate::routes::App;

/// Connectors there are, with their settings, secrets and reference maps.
#[utoipa::path(
    get, path = "/api/v1/connectors", tag = "connections", security(("token" = [])),
    responses((status = 200, description = "Connectors", body = [ConnectorView]), (status = 401, body = Problem)),
)]
pub async fn connectors(State(app): State<App>) -> Result<Json<Vec<ConnectorView>>, Problem> {
    Ok(Json(app.hub.connectors()?))
}

/// Which samples.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SampleQuery {
    /// Only those of this topic.
    topic: Option<String>,
}

/// Captured samples of a connection, newest first; their content stays in the hub.
#[utoipa::path(
    get, path = "/api/v1/samples/{connection}", tag = "connections", security(("token" = [])),
    params(("connection" = String, Path, description = "Name of the connection"), SampleQuery),
    responses(
        (status = 200, description = "Samples", body = [SampleView]),
        (status = 401, body = Problem),
        (status = 404, description = "No such connection", body = Problem),
    ),
)]
pub async fn samples(
    State(app): State<App>,
    InPath(connection): InPath<String>,
    InQuery(query): InQuery<SampleQuery>,
) -> Result<Json<Vec<SampleView>>, Problem> {
    Ok(Json(app.hub.samples(&connection, query.topic.as_deref()).await?))
}
