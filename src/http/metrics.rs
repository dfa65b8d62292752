//! `GET /metrics`: the text formats of Prometheus and of OpenMetrics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::{Server, accept, health};
use crate::telemetry::openmetrics;

/// The supported media types, the default first.
const OFFERS: &[&str] = &["text/plain", "application/openmetrics-text"];

/// Metrics for Prometheus
///
/// In the Prometheus text format, or in that of OpenMetrics if `Accept` prefers it: then latencies have the
/// traces of recent requests as exemplars. `resnetd_predicted_wait_seconds` is meant for autoscaling.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    operation_id = "metrics",
    responses((status = 200, description = "All metrics", content(
        (String = "text/plain", example = "resnetd_images_total{model=\"cifar10-resnet56\",version=\"1\"} 1"),
        (String = "application/openmetrics-text", example = "# EOF")))),
)]
pub(super) async fn show(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    // These depend on time, so they are updated at each scrape.
    for model in server.registry.serving() {
        let wait = model.pipeline.predicted_wait().as_secs_f64();
        model.pipeline.metrics().predicted_wait_seconds.set(wait);
    }
    server.metrics.dropped_log_lines.inc_by(server.shared.dropped_lines.take());
    server.metrics.ready.set(i64::from(health::why_not(&server).is_none()));
    let (kind, text) = if accept::best(&headers, OFFERS) == OFFERS[1] {
        (openmetrics::CONTENT_TYPE, server.metrics.encode_openmetrics())
    } else {
        ("text/plain; version=0.0.4; charset=utf-8", server.metrics.encode())
    };
    let mut response = ([(header::CONTENT_TYPE, kind)], text).into_response();
    accept::vary(&mut response);
    response
}
