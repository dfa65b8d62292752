//! Vertex AI: KServe's v1 bodies on paths that the platform sets.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get, post};
use utoipa_axum::router::OpenApiRouter;

use super::images::ImageRequest;
use super::instances;
use crate::http::problem::Problem;
use crate::http::vertex_routes::VertexRoutes;
use crate::http::{App, Server, health, query};

pub(super) fn routes(paths: &VertexRoutes) -> OpenApiRouter<Arc<Server>> {
    let mut routes = OpenApiRouter::new();
    if let Some(path) = &paths.predict {
        routes = routes.route(path, post(predict));
    }
    if let Some(path) = &paths.health {
        routes = routes.route(path, get(health::ping));
    }
    routes
}

async fn predict(app: App, typed: query::Typed, request: Request) -> Result<Response, Problem> {
    instances::answer(&app, ImageRequest::of(&app, typed, request).await?).await
}
