//! Every address that the hub answers, in one list; the router and the OpenAPI document are made from it.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::{Router, middleware, routing};
use counterpart_hub::hub::Hub;
use counterpart_model::redact::Redacted;
use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::api::{config, connections, records, reviews};
use crate::extract::BODY_LIMIT;
use crate::guard::{self, RequestIds};
use crate::problem::Problem;
use crate::public;

/// What the router needs.
#[derive(Debug)]
pub struct Web {
    /// Bearer tokens of the API. None: it answers 401 to everyone.
    pub tokens: Vec<Redacted<String>>,
    /// Where `/metrics` comes from; see [`crate::install_metrics`].
    pub metrics: PrometheusHandle,
    /// When the process started; request ids begin with it.
    pub started: Timestamp,
}

/// What handlers share.
#[derive(Clone)]
pub struct App {
    pub(crate) hub: Hub,
    pub(crate) tokens: Arc<[Redacted<String>]>,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) ids: Arc<RequestIds>,
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone who reaches the address; webhooks are checked by their signature.
    Open,
    /// Who brings a bearer token.
    Token,
}

/// One route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `get` or `post`.
    pub method: &'static str,
    /// Pattern of the path.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
}

macro_rules! routes {
    ($($method:ident $path:literal $access:ident => $($handler:ident)::+;)*) => {
        /// Every route.
        pub const ROUTES: &[Route] =
            &[$(Route { method: stringify!($method), path: $path, access: Access::$access }),*];

        fn routes(app: &App) -> Router<App> {
            let (mut open, mut token) = (Router::new(), Router::new());
            $({
                let router = match Access::$access { Access::Open => &mut open, Access::Token => &mut token };
                *router = std::mem::take(router).route($path, routing::$method($($handler)::+));
            })*
            // Kept apart until the end: only the second gets the check of the token.
            open.merge(token.route_layer(middleware::from_fn_with_state(app.clone(), guard::token)))
        }

        #[derive(OpenApi)]
        #[openapi(
            info(title = "Counterpart", description = "Keeps stores, ERP and CRM telling the same story."),
            paths($($($handler)::+),*),
            components(schemas(Problem)),
        )]
        struct Document;
    };
}

routes! {
    post "/webhooks/{connection}" Open => public::webhook;
    get "/healthz" Open => public::health;
    get "/readyz" Open => public::ready;
    get "/metrics" Open => public::metrics;
    get "/openapi.json" Open => public::openapi;

    get "/api/v1/status" Token => records::status;
    get "/api/v1/records/{kind}" Token => records::list;
    get "/api/v1/explain/{kind}/{what}" Token => records::explain;
    get "/api/v1/deliveries" Token => records::deliveries;
    get "/api/v1/reviews" Token => reviews::list;
    get "/api/v1/reviews/{id}" Token => reviews::show;
    post "/api/v1/reviews/{id}/retry" Token => reviews::retry;
    post "/api/v1/reviews/{id}/edit" Token => reviews::edit;
    post "/api/v1/reviews/{id}/discard" Token => reviews::discard;
    post "/api/v1/replay" Token => reviews::replay;
    get "/api/v1/config" Token => config::active;
    get "/api/v1/config/plan" Token => config::plan;
    post "/api/v1/config/apply" Token => config::apply;
    get "/api/v1/connectors" Token => connections::connectors;
    get "/api/v1/samples/{connection}" Token => connections::samples;
}

/// Everything that is served at one address.
pub fn router(hub: Hub, web: Web) -> Router {
    let Web { tokens, metrics, started } = web;
    let app = App { hub, tokens: tokens.into(), metrics, ids: Arc::new(RequestIds::new(started)) };
    routes(&app)
        .fallback(|| async {
            Problem::new("not-found", "nothing is at this address").hint("see /openapi.json")
        })
        .method_not_allowed_fallback(|| async {
            Problem::new("method-not-allowed", "this address does not take that method")
                .hint("see /openapi.json")
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(app.clone(), guard::observe))
        .with_state(app)
}

/// The OpenAPI document of [`ROUTES`].
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            for parameter in operation.parameters.iter_mut().flatten() {
                let RefOr::T(parameter) = parameter else { continue };
                let in_path = path.contains(&format!("{{{}}}", parameter.name));
                // The hub's query types do not know that they are used as a query.
                if !in_path && parameter.parameter_in == ParameterIn::Path {
                    parameter.parameter_in = ParameterIn::Query;
                }
            }
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    item.get.iter_mut().chain(item.post.iter_mut())
}
