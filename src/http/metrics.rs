//! `GET /metrics`: Prometheus' text format.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::{Server, health};

/// Metrics for Prometheus
///
/// In the Prometheus text format. `resnetd_predicted_wait_seconds` is meant for autoscaling.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    operation_id = "metrics",
    responses((status = 200, description = "Every metric", body = String, content_type = "text/plain",
               example = "resnetd_images_total{model=\"cifar10-resnet56\",version=\"1\"} 1")),
)]
pub(super) async fn show(State(server): State<Arc<Server>>) -> impl IntoResponse {
    // Both depend on time, not on an event, so they are updated at each scrape.
    for model in server.registry.serving() {
        let wait = model.pipeline.predicted_wait().as_secs_f64();
        model.pipeline.metrics().predicted_wait_seconds.set(wait);
    }
    server.metrics.dropped_log_lines.inc_by(server.shared.dropped_lines.take());
    server.metrics.ready.set(i64::from(health::why_not(&server).is_none()));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], server.metrics.encode())
}
