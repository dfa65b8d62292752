//! Spans as a collector receives them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use resnetd::telemetry::{OtlpProtocol, TracePlan};
use tower::util::ServiceExt;

use crate::support::engines::Gate;
use crate::support::{Answer, Options, TestServer, data, until};

/// Received spans.
#[derive(Debug, Clone, Default)]
struct Collector {
    received: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.received.lock().unwrap().push(request.into_inner());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Listens for both protocols, and returns its URL.
    async fn start(&self) -> String {
        let received = Arc::clone(&self.received);
        let over_http = async move |body: Bytes| {
            received.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
            ExportTraceServiceResponse::default().encode_to_vec()
        };
        let calls = TraceServiceServer::new(self.clone())
            .map_request(|request: Request<Body>| request.map(tonic::body::Body::new));
        let routes = Router::new()
            .route("/v1/traces", post(over_http))
            .route_service("/opentelemetry.proto.collector.trace.v1.TraceService/{*method}", calls);
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(socket, routes).await.unwrap() });
        url
    }

    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let resources = received.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

async fn traced(collector: &Collector, protocol: OtlpProtocol, sample: f64) -> TestServer {
    let plan = TracePlan {
        endpoint: collector.start().await,
        protocol,
        timeout: Duration::from_secs(60),
        service: "photos".to_owned(),
        sample,
    };
    TestServer::with(Options { traces: Some(plan), ..Options::default() })
}

/// Sends queued spans, and stops the server.
async fn finish(server: TestServer) {
    let traces = server.server.traces.clone().unwrap();
    assert!(server.stop().await);
    tokio::task::spawn_blocking(move || traces.finish()).await.unwrap();
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn with_parent(server: &TestServer, parent: &str, body: Vec<u8>) -> Answer {
    let request = server.client.post(server.at("/classify")).header("traceparent", parent);
    let request = request.header("tracestate", "vendor=1");
    Answer::of(request.body(body).send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_has_a_span_in_the_clients_trace_with_a_child_for_each_stage() {
    for protocol in [OtlpProtocol::HttpProtobuf, OtlpProtocol::Grpc] {
        let collector = Collector::default();
        let server = traced(&collector, protocol, 0.0).await;
        assert_eq!(with_parent(&server, PARENT, data("cat.jpg")).await.status, 200);
        server.get("/livez").await;
        finish(server).await;

        let spans = collector.spans();
        let id = hex("0af7651916cd43dd8448eb211c80319c");
        assert!(spans.iter().all(|span| span.trace_id == id), "{spans:?}");
        let own = spans.iter().find(|span| span.kind == SpanKind::Server as i32).unwrap();
        assert_eq!(
            (own.name.as_str(), &own.parent_span_id),
            ("POST /classify", &hex("b7ad6b7169203331"))
        );
        assert_eq!(own.trace_state, "vendor=1");
        for expected in ["http.request.method", "http.route", "http.response.status_code"] {
            assert!(own.attributes.iter().any(|it| it.key == expected), "{expected}: {own:?}");
        }
        let mut names: Vec<&str> = Vec::new();
        for child in spans.iter().filter(|span| span.span_id != own.span_id) {
            assert_eq!(child.parent_span_id, own.span_id);
            assert!(child.start_time_unix_nano <= child.end_time_unix_nano);
            assert!(child.end_time_unix_nano <= own.end_time_unix_nano, "{child:?} in {own:?}");
            names.push(&child.name);
        }
        names.sort_unstable();
        assert_eq!(names, ["decode", "inference", "preprocess", "queue", "upload"]);
        let resource = collector.received.lock().unwrap()[0].resource_spans[0].resource.clone();
        let service = resource.unwrap().attributes.into_iter().find(|it| it.key == "service.name");
        assert!(format!("{service:?}").contains("photos"), "{service:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsampled_trace_is_not_recorded_and_an_invalid_parent_is_ignored() {
    let collector = Collector::default();
    let server = traced(&collector, OtlpProtocol::HttpProtobuf, 1.0).await;
    let unsampled = format!("{}00", &PARENT[..PARENT.len() - 2]);
    let answer = with_parent(&server, &unsampled, data("cifar10-cat.png")).await;
    assert!(
        answer.header("traceresponse").contains("0af7651916cd43dd8448eb211c80319c"),
        "{answer:?}"
    );
    let own = with_parent(&server, "nonsense", b"no image".to_vec()).await;
    let id = own.header("traceresponse").split('-').nth(1).unwrap().to_owned();
    assert_eq!(own.json()["trace_id"], id.as_str(), "the problem names its trace");
    finish(server).await;
    let spans = collector.spans();
    assert!(!spans.is_empty() && spans.iter().all(|span| span.trace_id == hex(&id)), "{spans:?}");
    assert!(
        spans
            .iter()
            .any(|span| span.kind == SpanKind::Server as i32 && span.parent_span_id.is_empty())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_has_a_span_that_links_to_its_requests_and_they_to_it() {
    let collector = Collector::default();
    let gate = Gate::default();
    let plan = TracePlan {
        endpoint: collector.start().await,
        protocol: OtlpProtocol::HttpProtobuf,
        timeout: Duration::from_secs(60),
        service: "photos".to_owned(),
        sample: 1.0,
    };
    let engines = Some(vec![gate.engine()]);
    let server = TestServer::with(Options { traces: Some(plan), engines, ..Options::default() });
    // The first image is a batch, for which the others wait.
    let pipeline = Arc::clone(&server.model);
    let photo = || server.classify(data("cifar10-cat.png"));
    let all = async {
        until("three images are in flight", || pipeline.pipeline.images_in_flight() == 3).await;
        gate.open();
    };
    let first = async {
        until("the others are queued", || pipeline.pipeline.images_in_flight() > 0).await;
        tokio::join!(photo(), photo())
    };
    let (one, (two, three), ()) = tokio::join!(photo(), first, all);
    assert!([one, two, three].iter().all(|answer| answer.status == 200));
    finish(server).await;

    let spans = collector.spans();
    let batches: Vec<_> = spans.iter().filter(|span| span.name == "batch").collect();
    assert!(!batches.is_empty(), "{spans:?}");
    for batch in batches {
        assert!(batch.parent_span_id.is_empty() && batch.links.len() > 1, "{batch:?}");
        for link in &batch.links {
            let request = spans.iter().find(|span| span.span_id == link.span_id).unwrap();
            assert_eq!(request.kind, SpanKind::Server as i32);
            let inference = spans
                .iter()
                .find(|span| span.name == "inference" && span.parent_span_id == link.span_id);
            assert_eq!(inference.unwrap().links[0].span_id, batch.span_id);
        }
    }
}

#[tokio::test]
async fn latencies_have_the_trace_of_a_recent_request_in_openmetrics() {
    let collector = Collector::default();
    let server = traced(&collector, OtlpProtocol::HttpProtobuf, 0.0).await;
    with_parent(&server, PARENT, data("cifar10-cat.png")).await;
    let request = server.client.get(server.at("/metrics"));
    let request =
        request.header("accept", "application/openmetrics-text; version=1.0.0, */*;q=0.1");
    let metrics = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(
        metrics.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let exemplar = " # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} ";
    assert!(metrics.text.contains(exemplar) && metrics.text.ends_with("\n# EOF\n"), "{metrics:?}");
    let classic = server.get("/metrics").await;
    assert!(classic.header("content-type").starts_with("text/plain"), "{classic:?}");
    assert!(!classic.text.contains("trace_id"), "{classic:?}");
    finish(server).await;
}

#[tokio::test]
async fn without_a_collector_nothing_is_traced() {
    let server = TestServer::start();
    let answer = with_parent(&server, PARENT, data("cifar10-cat.png")).await;
    assert!(answer.status == 200 && !answer.headers.contains_key("traceresponse"), "{answer:?}");
    let problem = with_parent(&server, PARENT, b"no image".to_vec()).await;
    assert!(problem.json().get("trace_id").is_none(), "{problem:?}");
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
