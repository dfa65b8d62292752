//! The purpose of a request, from its path: probes and pages are treated differently from the API.

use axum::extract::Request;
use axum::http::Method;

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A health probe.
    Probe,
    /// A scrape of `/metrics`.
    Scrape,
    /// A web page or one of its files, which contain no data about models or clients.
    Page,
    /// All other requests, including paths without a route.
    Api,
}

/// The paths of health probes, which are polled every few seconds.
#[rustfmt::skip] // in rows
const PROBES: [&str; 10] = [
    "/livez", "/readyz",
    "/ping", "/health",
    "/v2/health/live", "/v2/health/ready",
    "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch",
    "/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady",
];

/// The paths of web pages, and of the document that `/docs` uses.
const PAGES: [&str; 3] = ["/", "/docs", "/openapi.json"];
/// The folders of their files.
const FOLDERS: [&str; 2] = ["/page/", "/docs/"];

impl Purpose {
    /// The purpose of `request`. `health` is an additional path of health probes.
    pub(super) fn of(request: &Request, health: Option<&str>) -> Self {
        let path = request.uri().path();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if PROBES.contains(&path) || health == Some(path) {
            Self::Probe
        } else if path == "/metrics" {
            Self::Scrape
        } else if reads && (PAGES.contains(&path) || FOLDERS.iter().any(|it| path.starts_with(it)))
        {
            Self::Page
        } else {
            Self::Api
        }
    }
}
