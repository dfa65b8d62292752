//! Announces that the server is ready, in the log and on standard output.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::sync::Arc;

use serde_json::json;

use super::output;
use crate::http::Server;
use crate::registry::{Description, Served};

/// Announces every model that serves, and which one is the default.
///
/// A terminal gets a banner, other outputs one line of JSON.
pub(super) fn ready(server: &Server, url: &str) {
    let serving = server.registry.serving();
    let default = server.registry.default_name();
    for served in &serving {
        log(served, url, default.as_deref());
    }
    if serving.is_empty() {
        tracing::info!(url, "ready, without a model");
    }
    let announcement = if io::stdout().is_terminal() {
        banner(server, &serving, url)
    } else {
        let model = |served: &Arc<Served>| json!({ "name": served.name(), "version": served.version.as_str(), "digest": served.digest() });
        let models: Vec<_> = serving.iter().map(model).collect();
        json!({ "ready": true, "url": url, "default": default, "models": models }).to_string()
    };
    // On a separate thread, because standard output may not be read.
    std::thread::spawn(move || output::line(announcement));
}

fn banner(server: &Server, serving: &[Arc<Served>], url: &str) -> String {
    let resnetd = env!("CARGO_PKG_VERSION");
    let mut banner = format!("resnetd {resnetd} is ready on {url}");
    let default = server.registry.default_name();
    for served in serving {
        let is_default = serving.len() > 1 && default.as_deref() == Some(served.name());
        banner.push_str(&lines(served, if is_default { "default; " } else { "" }));
    }
    if serving.is_empty() {
        banner.push_str("\n  model   none is loaded yet");
    }
    let path = match (default, serving.first()) {
        (None, Some(first)) => format!("/v1/models/{}/classify", first.name()),
        (Some(_), _) | (None, None) => "/classify".to_owned(),
    };
    let _ = write!(banner, "\n  try     curl --data-binary @photo.jpg {url}{path}");
    banner
}

fn log(served: &Served, url: &str, default: Option<&str>) {
    let Description { card, device, sessions, threads, max_batch, .. } = &served.description;
    let (model, version, digest) = (served.name(), &served.version, served.digest());
    let (architecture, classes) = (&card.architecture, card.labels.len());
    let precision = card.precision.to_string();
    let default = default == Some(model);
    tracing::info!(
        url, model, default, %version, digest, architecture, classes, precision, device, sessions, threads, max_batch, "ready"
    );
    if !card.has_class_names() {
        tracing::warn!(
            model,
            classes,
            "the model has no class names, so answers have placeholders such as {:?}; set the names with --labels \
             FILE, one per line",
            card.labels[0]
        );
    }
}

/// Describes `served`; the text in parentheses after its name begins with `mark`.
fn lines(served: &Served, mark: &str) -> String {
    let Description { card, device, device_because, precision_because, sessions, threads, .. } =
        &served.description;
    format!(
        "\n  model   {} ({mark}{}, {} classes), {}: {precision_because}\n  \
         digest  {}\n  \
         device  {device} ({device_because}), {sessions} sessions × {threads} threads, ONNX Runtime {}",
        served.name(),
        card.architecture,
        card.labels.len(),
        card.precision,
        served.digest(),
        served.description.versions.onnxruntime,
    )
}
