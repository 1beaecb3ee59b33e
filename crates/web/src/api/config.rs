//! The active revision, what the file would change in it, and the change.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use counterpart_hub::views::PlanView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::extract::InBody;
use crate::problem::Problem;
use crate::routes::App;

/// A revision as declared. Holds where secrets are kept, never a secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct Declared {
    /// The configuration (TOML).
    config: String,
    /// Files that it names, by path relative to it.
    files: BTreeMap<String, String>,
}

/// The active revision.
#[utoipa::path(
    get, path = "/api/v1/config", tag = "config", security(("token" = [])),
    responses(
        (status = 200, description = "The active revision", body = Declared),
        (status = 401, body = Problem),
        (status = 409, description = "Nothing is applied yet", body = Problem),
    ),
)]
pub async fn active(State(app): State<App>) -> Result<Json<Declared>, Problem> {
    let bundle = app.hub.export().await?;
    Ok(Json(Declared { config: bundle.config, files: bundle.files }))
}

/// What the configuration file would change in the active revision.
#[utoipa::path(
    get, path = "/api/v1/config/plan", tag = "config", security(("token" = [])),
    responses(
        (status = 200, description = "The plan", body = PlanView),
        (status = 401, body = Problem),
        (status = 422, description = "The file cannot be read", body = Problem),
    ),
)]
pub async fn plan(State(app): State<App>) -> Result<Json<PlanView>, Problem> {
    Ok(Json(app.hub.plan().await?))
}

/// What to apply.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    /// The plan's base: refused when another revision is active by now. Null for the first.
    base: Option<i64>,
    /// Why, for whoever looks at the revisions later.
    #[serde(default)]
    note: String,
}

/// The revision made.
#[derive(Debug, Serialize, ToSchema)]
pub struct Applied {
    /// Its number.
    revision: i64,
}

/// Makes the configuration file the active revision.
#[utoipa::path(
    post, path = "/api/v1/config/apply", tag = "config", security(("token" = [])), request_body = Apply,
    responses(
        (status = 200, description = "It is active", body = Applied),
        (status = 401, body = Problem),
        (status = 409, description = "Another revision is active by now", body = Problem),
        (status = 422, description = "What must be put right first", body = Problem),
    ),
)]
pub async fn apply(State(app): State<App>, InBody(ask): InBody<Apply>) -> Result<Json<Applied>, Problem> {
    Ok(Json(Applied { revision: app.hub.apply(ask.base, &ask.note).await? }))
}
