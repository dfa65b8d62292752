//! Reports that the server is ready, in the log and on standard output.

use std::fmt::Write;
use std::net::SocketAddr;

use super::output;
use crate::http::Server;
use crate::registry::{Description, Served};

/// Reports every model that serves.
pub(super) fn ready(server: &Server, address: SocketAddr) {
    let serving = server.registry.serving();
    let resnetd = env!("CARGO_PKG_VERSION");
    let mut banner = format!("resnetd {resnetd} is ready on http://{address}");
    for served in &serving {
        log(served, address);
        banner.push_str(&lines(served));
    }
    if serving.is_empty() {
        tracing::info!(%address, "ready, without a model");
        banner.push_str("\n  model   none is loaded yet");
    }
    let path = match (server.registry.default_name(), serving.first()) {
        (None, Some(first)) => format!("/v1/models/{}/classify", first.name()),
        (Some(_), _) | (None, None) => "/classify".to_owned(),
    };
    let _ = write!(banner, "\n  try     curl --data-binary @photo.jpg http://{address}{path}");
    // On a thread of its own, because nobody may be reading standard output.
    std::thread::spawn(move || output::line(banner));
}

fn log(served: &Served, address: SocketAddr) {
    let Description { card, device, sessions, threads, max_batch, .. } = &served.description;
    let (model, version, digest) = (served.name(), &served.version, served.digest());
    let precision = card.precision.to_string();
    tracing::info!(%address, model, %version, digest, precision, device, sessions, threads, max_batch, "ready");
}

fn lines(served: &Served) -> String {
    let Description { card, device, device_because, precision_because, sessions, threads, .. } =
        &served.description;
    format!(
        "\n  model   {} ({}, {} classes), {}: {precision_because}\n  \
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
