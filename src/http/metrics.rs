//! `GET /metrics`: Prometheus' text format.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::{App, health};

/// Metrics for Prometheus
///
/// In the Prometheus text format. `resnetd_predicted_wait_seconds` is meant for autoscaling.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    operation_id = "metrics",
    responses((status = 200, description = "Every metric", body = String, content_type = "text/plain",
               example = "resnetd_images_total 1")),
)]
pub(super) async fn show(State(app): State<App>) -> impl IntoResponse {
    // Both depend on time, not on an event, so they are updated at each scrape.
    app.metrics.predicted_wait_seconds.set(app.pipeline.predicted_wait().as_secs_f64());
    let dropped = i64::try_from(app.shared.dropped_lines.count()).unwrap_or(i64::MAX);
    app.metrics.dropped_log_lines.set(dropped);
    app.metrics.ready.set(i64::from(health::why_not(&app).is_none()));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.encode())
}
