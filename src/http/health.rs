//! `/livez` and `/readyz`: is the process alive, and is traffic welcome.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::App;
use super::problem::Problem;

/// Where in its life the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Warm and serving.
    Serving,
    /// Told to stop: still serving what comes, but asking for no more.
    Draining,
}

/// The phase, shared.
#[derive(Debug, Default)]
pub struct Readiness {
    draining: watch::Sender<bool>,
}

impl Readiness {
    /// Where in its life the server is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        if *self.draining.borrow() { Phase::Draining } else { Phase::Serving }
    }

    /// From now on the server drains.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Waits until the server drains.
    pub async fn drained(&self) {
        // The sender lives as long as this does, so there is no other end to wait for.
        let _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }
}

/// Never touches the model: a busy server is alive.
pub(super) async fn livez() -> Json<Value> {
    Json(json!({ "live": true }))
}

pub(super) async fn readyz(State(app): State<App>) -> Response {
    match why_not(&app) {
        None => Json(json!({ "ready": true, "device": app.description.device })).into_response(),
        Some(why) => Problem::not_ready(why).into_response(),
    }
}

/// What keeps the server from being ready.
pub(super) fn why_not(app: &App) -> Option<&'static str> {
    match app.readiness.phase() {
        Phase::Draining => Some("the server is shutting down"),
        Phase::Serving if !app.pipeline.is_healthy() => Some("the last batches failed"),
        Phase::Serving => None,
    }
}
