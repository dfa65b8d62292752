//! `GET /metrics`: Prometheus' text format.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::{App, health};

pub(super) async fn show(State(app): State<App>) -> impl IntoResponse {
    // Both depend on time, not on an event, so they are read when somebody looks.
    app.metrics.predicted_wait_seconds.set(app.pipeline.predicted_wait().as_secs_f64());
    app.metrics.ready.set(i64::from(health::why_not(&app).is_none()));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.encode())
}
