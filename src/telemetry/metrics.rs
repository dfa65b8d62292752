//! The metrics of the process, declared once with their types, so that call sites do not spell metric names.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::TraceId;
use prometheus::{
    Encoder, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry, TextEncoder,
};

use super::declare::{Declare, MetricDescription, SECONDS};
use super::exemplars::Exemplars;
use super::families::ModelFamilies;
use super::model_metrics::ModelMetrics;
use super::openmetrics::{self, Exemplar};
use super::{LoadFailure, Reason};

/// The metrics of a server, in their own registry.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    described: Vec<MetricDescription>,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    request_exemplars: Exemplars,
    requests_of_clients: IntCounterVec,
    models: Arc<ModelFamilies>,
    model_loads: IntCounterVec,
    model_unloads: IntCounterVec,
    models_not_ready: IntCounterVec,
    /// HTTP requests that are being answered.
    pub requests_in_flight: IntGauge,
    /// Reserved bytes of uploads, pixels, large headers and unsent responses.
    pub admitted_bytes: IntGauge,
    /// The limit of `admitted_bytes`.
    pub admission_limit_bytes: IntGauge,
    /// Time to fetch one image from a URL, including failures.
    pub fetch_seconds: Histogram,
    /// TLS handshakes that failed.
    pub tls_handshake_failures: IntCounter,
    /// Connections that were rejected because `--max-connections` was reached.
    pub rejected_connections: IntCounter,
    /// Idle connections that were closed for new ones because `--max-connections` was reached.
    pub evicted_connections: IntCounter,
    /// Log lines that were dropped because standard error was read too slowly.
    pub dropped_log_lines: IntCounter,
    /// 1 while the server is ready, else 0.
    pub ready: IntGauge,
}

/// Result of an attempt to load a model; the labels `result` and `reason` of `model_loads_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadResult {
    /// The model serves.
    Loaded,
    /// It could not be opened or failed a check; the previous version continues to serve.
    Failed(LoadFailure),
}

impl LoadResult {
    fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Loaded).chain(LoadFailure::ALL.map(Self::Failed))
    }

    /// The values of `result` and `reason`.
    fn labels(self) -> [&'static str; 2] {
        match self {
            Self::Loaded => ["loaded", ""],
            Self::Failed(failure) => ["failed", failure.slug()],
        }
    }
}

/// Why a model was unloaded; the label of `model_unloads_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnloadReason {
    /// Its files or its table in the configuration file were removed.
    Removed,
    /// A higher version serves, and this one is not listed any more.
    Superseded,
    /// Requested over the admin address.
    Requested,
    /// Its memory was needed for another model.
    MemoryLimit,
}

impl UnloadReason {
    fn slug(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Superseded => "superseded",
            Self::Requested => "requested",
            Self::MemoryLimit => "memory-limit",
        }
    }
}

/// An answered request.
#[derive(Debug, Clone, Copy)]
pub struct AnsweredRequest<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The pattern of its route, never the path of the request.
    pub route: &'a str,
    /// The status of its answer.
    pub status: u16,
    /// Its trace, if that is recorded.
    pub trace: Option<TraceId>,
}

/// The histogram with exemplars.
const REQUEST_SECONDS: &str = "resnetd_http_request_duration_seconds";

/// Methods that are used as labels; all others are counted as `other`.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];

impl Metrics {
    /// New metrics with the value 0.
    ///
    /// # Panics
    ///
    /// Never: names and buckets are constants, and a duplicate name would fail all tests.
    #[must_use]
    #[rustfmt::skip] // one metric a line
    pub fn new() -> Self {
        let declare = Declare::default();
        let metrics = Self {
            requests: declare.counters("http_requests_total", "HTTP requests", &["method", "route", "status"]),
            request_seconds: declare.histograms("http_request_duration_seconds", "Time from a request's headers to its answer, with its upload, except for probes, scrapes and pages", &["method", "route", "status"], SECONDS),
            request_exemplars: Exemplars::of(SECONDS),
            requests_of_clients: declare.counters("client_requests_total", "HTTP requests with an API key, by its client", &["client", "status"]),
            requests_in_flight: declare.int_gauge("http_requests_in_flight", "HTTP requests being answered"),
            admitted_bytes: declare.int_gauge("admitted_bytes", "Bytes of uploads, decoded images, large headers and unsent responses"),
            admission_limit_bytes: declare.int_gauge("admission_limit_bytes", "The limit of admitted_bytes (--memory-limit)"),
            fetch_seconds: declare.histogram("fetch_seconds", "Time to fetch one image by URL"),
            tls_handshake_failures: declare.counter("tls_handshake_failures_total", "TLS handshakes that failed or took too long"),
            rejected_connections: declare.counter("connections_rejected_total", "Connections rejected because --max-connections was reached; they are answered 503, and over TLS closed"),
            evicted_connections: declare.counter("connections_evicted_total", "Idle connections closed to make room for new ones because --max-connections was reached"),
            dropped_log_lines: declare.counter("log_lines_dropped_total", "Log lines dropped because standard error was read too slowly"),
            ready: declare.int_gauge("ready", "1 while the server is ready, else 0"),
            models: Arc::new(ModelFamilies::declare(&declare)),
            model_loads: declare.counters("model_loads_total", "Attempts to load a model, by result; failed ones by reason", &["model", "result", "reason"]),
            model_unloads: declare.counters("model_unloads_total", "Models unloaded while the server runs, by reason; replaced ones are not counted", &["model", "reason"]),
            models_not_ready: declare.counters("model_not_ready_total", "Requests answered 503 not-ready because their model is not loaded", &["model"]),
            registry: declare.registry,
            described: declare.described.into_inner(),
        };
        #[cfg(target_os = "linux")]
        metrics
            .registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("the process collector is registered once");
        metrics
    }

    /// Counts an answered request, and its latency if given.
    pub fn request(&self, answered: AnsweredRequest<'_>, latency: Option<Duration>) {
        let AnsweredRequest { method, route, status, trace } = answered;
        let method = METHODS.iter().find(|known| **known == method).map_or("other", |known| known);
        self.requests.with_label_values(&[method, route, &status.to_string()]).inc();
        let class = match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        if let Some(latency) = latency {
            let labels = [method, route, class];
            let value = latency.as_secs_f64();
            self.request_seconds.with_label_values(&labels).observe(value);
            if let Some(trace) = trace {
                let exemplar = Exemplar { trace, value, at: SystemTime::now() };
                self.request_exemplars.set(&labels, exemplar);
            }
        }
    }

    /// Counts an answered request of the client `name`, identified by its API key.
    pub fn request_of(&self, name: &str, status: u16) {
        self.requests_of_clients.with_label_values(&[name, &status.to_string()]).inc();
    }

    /// All metrics, in the order of declaration.
    #[must_use]
    pub fn described(&self) -> &[MetricDescription] {
        &self.described
    }

    /// The metrics of a version of a model.
    #[must_use]
    pub fn of_model(&self, name: &str, version: &str) -> Arc<ModelMetrics> {
        ModelMetrics::new(&self.models, name, version)
    }

    /// Counts an attempt to load the model `name`.
    pub fn model_load(&self, name: &str, result: LoadResult) {
        let counter = |result: LoadResult| {
            let [word, reason] = result.labels();
            self.model_loads.with_label_values(&[name, word, reason])
        };
        LoadResult::all().for_each(|result| drop(counter(result))); // visible as 0
        counter(result).inc();
    }

    /// Counts an unloaded version of the model `name`.
    pub fn model_unload(&self, name: &str, reason: UnloadReason) {
        self.model_unloads.with_label_values(&[name, reason.slug()]).inc();
    }

    /// Counts a request for the model `name`, which exists and is not loaded.
    pub fn model_not_ready(&self, name: &str) {
        self.models_not_ready.with_label_values(&[name]).inc();
    }

    /// Counts an upload that was rejected before its model was looked up.
    pub fn rejected(&self, reason: Reason) {
        self.models.rejected.with_label_values(&["", "", reason.slug()]).inc();
    }

    /// All metrics in Prometheus' text format 0.0.4.
    ///
    /// # Panics
    ///
    /// Never: writing to memory does not fail, and the encoder writes UTF-8.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("writing to memory does not fail");
        String::from_utf8(text).expect("the text format is UTF-8")
    }

    /// All metrics in the OpenMetrics text format, with the traces of recent requests as exemplars.
    #[must_use]
    pub fn encode_openmetrics(&self) -> String {
        openmetrics::encode(&self.registry.gather(), |name, labels, bucket| {
            let exemplars = (name == REQUEST_SECONDS).then_some(&self.request_exemplars)?;
            exemplars.get(labels, bucket)
        })
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl ModelMetrics {
    /// Metrics that are not exported, for commands and tests.
    #[must_use]
    pub fn unexported() -> Arc<Self> {
        Metrics::new().of_model("none", "1")
    }
}
