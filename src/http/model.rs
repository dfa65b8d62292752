//! `GET /v1/model`: what is served.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::App;
use crate::model::ModelCard;

/// What is served and on what.
#[derive(Debug, Clone, Serialize)]
pub struct Description {
    /// The card: name, architecture, labels, preprocessing, figures.
    #[serde(flatten)]
    pub card: ModelCard,
    /// Why the card's precision is the one that runs.
    pub precision_because: &'static str,
    /// The device really used: `cpu` or `cuda:N`.
    pub device: String,
    /// Sessions that run side by side.
    pub sessions: usize,
    /// Threads in each session.
    pub threads: usize,
    /// The most images in one run.
    pub max_batch: usize,
    /// Versions of what computes.
    pub versions: Versions,
}

/// Versions of what computes.
#[derive(Debug, Clone, Serialize)]
pub struct Versions {
    /// This program.
    pub resnetd: &'static str,
    /// The library it loaded.
    pub onnxruntime: String,
}

impl Versions {
    /// This program with the library of version `onnxruntime`.
    #[must_use]
    pub fn with(onnxruntime: &str) -> Self {
        Self { resnetd: env!("CARGO_PKG_VERSION"), onnxruntime: onnxruntime.to_owned() }
    }
}

pub(super) async fn show(State(app): State<App>) -> Json<Description> {
    Json(Description::clone(&app.description))
}
