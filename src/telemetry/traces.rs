//! Spans of requests, sent to an OpenTelemetry collector over OTLP.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use clap::ValueEnum;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks,
    SpanProcessor,
};
use tokio::runtime::Handle;

/// Protocol of the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OtlpProtocol {
    /// gRPC; the usual port is 4317.
    Grpc,
    /// Protobuf over HTTP; the usual port is 4318.
    #[value(name = "http/protobuf")]
    HttpProtobuf,
}

/// The collector and the sampling of requests.
#[derive(Debug, Clone, PartialEq)]
pub struct TracePlan {
    /// The collector's URL.
    pub endpoint: String,
    /// The collector's protocol.
    pub protocol: OtlpProtocol,
    /// Time limit for sending a batch.
    pub timeout: Duration,
    /// Name of this service in traces.
    pub service: String,
    /// Fraction of requests that are traced, among those without a trace context.
    pub sample: f64,
}

/// The exporter could not be created.
#[derive(Debug, thiserror::Error)]
#[error("--otlp-endpoint {endpoint}: {source}")]
pub struct NoTraces {
    endpoint: String,
    source: ExporterBuildError,
}

/// Sends spans in batches, on a separate thread. If the collector is too slow, spans are dropped.
pub struct Traces {
    processor: BatchSpanProcessor,
    ids: RandomIdGenerator,
    sample: f64,
    scope: InstrumentationScope,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("sample", &self.sample).finish_non_exhaustive()
    }
}

impl Traces {
    /// Starts sending to the collector of `plan`. Must be called in a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`NoTraces`] if the endpoint is not a URL.
    pub fn start(plan: &TracePlan) -> Result<Self, NoTraces> {
        let TracePlan { endpoint, timeout, .. } = plan;
        let exporter = match plan.protocol {
            OtlpProtocol::Grpc => {
                let builder = SpanExporter::builder().with_tonic();
                builder.with_endpoint(endpoint).with_timeout(*timeout).build()
            }
            OtlpProtocol::HttpProtobuf => SpanExporter::builder()
                .with_http()
                .with_http_client(Sender::new(*timeout))
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(with_path(endpoint))
                .with_timeout(*timeout)
                .build(),
        };
        let exporter =
            exporter.map_err(|source| NoTraces { endpoint: endpoint.clone(), source })?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        // Includes OTEL_RESOURCE_ATTRIBUTES.
        processor
            .set_resource(&Resource::builder().with_service_name(plan.service.clone()).build());
        let scope =
            InstrumentationScope::builder("resnetd").with_version(env!("CARGO_PKG_VERSION"));
        Ok(Self {
            processor,
            ids: RandomIdGenerator::default(),
            sample: plan.sample,
            scope: scope.build(),
        })
    }

    /// Creates the context of a child span of `parent`, or of the root of a new trace. The flags of `parent`
    /// decide whether it is recorded.
    #[must_use]
    pub fn begin(&self, parent: &SpanContext) -> SpanContext {
        let span = self.ids.new_span_id();
        if parent.is_valid() {
            let (flags, state) = (parent.trace_flags(), parent.trace_state().clone());
            return SpanContext::new(parent.trace_id(), span, flags, false, state);
        }
        let sampled = fastrand::f64() < self.sample;
        let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        SpanContext::new(self.ids.new_trace_id(), span, flags, false, TraceState::default())
    }

    /// The context of a recorded root span.
    pub(super) fn root(&self) -> SpanContext {
        let (trace, span) = (self.ids.new_trace_id(), self.ids.new_span_id());
        SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::default())
    }

    /// A span without a parent, an id or attributes.
    #[must_use]
    pub fn span(&self, name: Cow<'static, str>, start: SystemTime, end: SystemTime) -> SpanData {
        SpanData {
            span_context: SpanContext::NONE,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name,
            start_time: start,
            end_time: end,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// An id for a span that no other span refers to.
    #[must_use]
    pub fn span_id(&self) -> SpanId {
        self.ids.new_span_id()
    }

    /// Queues an ended span.
    pub fn send(&self, span: SpanData) {
        self.processor.on_end(span);
    }

    /// Sends the queued spans, for at most five seconds. Blocks.
    pub fn finish(&self) {
        if let Err(error) = self.processor.shutdown() {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// The collector's URL for traces.
fn with_path(endpoint: &str) -> String {
    const PATH: &str = "/v1/traces";
    let bare = endpoint.trim_end_matches('/');
    if bare.ends_with(PATH) { bare.to_owned() } else { format!("{bare}{PATH}") }
}

/// Sends requests on the runtime, because the batch thread has none.
#[derive(Debug)]
struct Sender {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
    timeout: Duration,
}

impl Sender {
    fn new(timeout: Duration) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .expect("ring knows TLS 1.2 and 1.3")
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, runtime: Handle::current(), timeout }
    }
}

#[tonic::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, timeout) = (self.client.clone(), self.timeout);
        let sending = async move {
            let (parts, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(parts, body))
        };
        // The timer needs the runtime, too.
        self.runtime.spawn(async move { tokio::time::timeout(timeout, sending).await }).await??
    }
}
