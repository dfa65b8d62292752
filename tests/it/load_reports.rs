//! Load reports (ORCA) for load balancers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http_body_util::BodyExt;
use prost::Message;

use crate::support::{Answer, TestServer, data};

/// The expected fields of `xds.data.orca.v3.OrcaLoadReport`.
#[derive(Clone, PartialEq, Message)]
struct OrcaLoadReport {
    #[prost(double, tag = "6")]
    rps_fractional: f64,
    #[prost(btree_map = "string, double", tag = "8")]
    named_metrics: std::collections::BTreeMap<String, f64>,
    #[prost(double, tag = "9")]
    application_utilization: f64,
}

async fn classify(server: &TestServer, format: &str) -> Answer {
    let request = server.client.post(server.at("/classify"));
    let request = request.header("endpoint-load-metrics-format", format);
    Answer::of(request.body(data("cifar10-cat.png")).send().await.unwrap()).await
}

#[tokio::test]
async fn a_report_is_sent_if_it_is_requested() {
    let server = TestServer::start();
    let without = server.classify(data("cifar10-cat.png")).await;
    assert!(!without.headers.contains_key("endpoint-load-metrics"), "{without:?}");
    let unknown = classify(&server, "xml").await;
    assert!(unknown.status == 200 && !unknown.headers.contains_key("endpoint-load-metrics"));

    let text = classify(&server, "text").await.header("endpoint-load-metrics").to_owned();
    for expected in ["TEXT application_utilization=0.", "named_metrics.predicted_wait_seconds="] {
        assert!(text.contains(expected), "{text}");
    }
    let json = classify(&server, "JSON").await.header("endpoint-load-metrics").to_owned();
    let json: serde_json::Value =
        serde_json::from_str(json.strip_prefix("JSON ").unwrap()).unwrap();
    assert!(json["rps_fractional"].as_f64().unwrap() > 0.0, "{json}");
    assert!(json["application_utilization"].as_f64().unwrap() > 0.0, "{json}");
    assert_eq!(json["named_metrics"]["images_in_flight"], 0.0, "{json}");

    let no_model = server.client.get(server.at("/livez"));
    let no_model = no_model.header("endpoint-load-metrics-format", "text").send().await.unwrap();
    assert!(!no_model.headers().contains_key("endpoint-load-metrics"));
}

#[tokio::test]
async fn over_grpc_the_report_is_in_the_trailers() {
    let server = TestServer::start();
    server.classify(data("cifar10-cat.png")).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let empty: &[u8] = &[0; 5];
    for (method, in_trailers) in [("ModelReady", true), ("ModelInfer", false)] {
        let request = client.post(server.at(&format!("/inference.GRPCInferenceService/{method}")));
        let request = request.header("content-type", "application/grpc").header("te", "trailers");
        let request = request.header("endpoint-load-metrics-format", "bin");
        let response: hyper::Response<reqwest::Body> =
            request.body(empty).send().await.unwrap().into();
        let (head, body) = response.into_parts();
        let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
        // A request without images is an error, whose trailers are its headers.
        let place = if in_trailers { &trailers } else { &head.headers };
        let report = place.get("endpoint-load-metrics-bin").unwrap_or_else(|| {
            panic!("{method}: {:?} {trailers:?}", head.headers);
        });
        assert!(place.contains_key("grpc-status"), "{method}");
        let bytes = STANDARD_NO_PAD.decode(report).unwrap();
        let report = OrcaLoadReport::decode(&*bytes).unwrap();
        assert!(report.rps_fractional > 0.0, "{report:?}");
        assert!(report.named_metrics.contains_key("predicted_wait_seconds"), "{report:?}");
    }
}
