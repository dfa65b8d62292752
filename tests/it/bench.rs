//! `resnetd bench` against correct and faulty servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use resnetd::bench::{self, Load, LoadResults, Outcome, RunTimes, Summary, Target};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::support::{TestServer, data, resnetd};

const SHORT: RunTimes = RunTimes {
    warm_up: Duration::from_millis(100),
    duration: Duration::from_millis(400),
    timeout: Duration::from_secs(20),
};

async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

async fn drive(url: &str, load: Load, times: RunTimes) -> (LoadResults, Summary) {
    let target = Target::new(url, vec![data("cat.jpg").into()]).unwrap();
    let measured = bench::drive(target, load, times, |_| {}).await;
    let summary = measured.summary();
    (measured, summary)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answered_request_is_counted_once() {
    let server = TestServer::start();
    for load in [Load::Closed { concurrency: 4 }, Load::Open { rate: 50.0, seed: 1 }] {
        let before = server.model.pipeline.metrics().images.get();
        let (measured, summary) = drive(&server.url, load, SHORT).await;
        let classified = server.model.pipeline.metrics().images.get() - before;
        assert_eq!(classified, measured.good() + measured.uncounted(), "{load:?}");
        assert!(measured.good() > 0 && summary.errors.is_empty(), "{summary:?}");
        assert!(summary.latency_ms.p50 <= summary.latency_ms.p99, "{summary:?}");
    }
    assert!(server.stop().await);
}

#[tokio::test]
async fn failures_are_counted_by_kind() {
    let turn = Arc::new(AtomicUsize::new(0));
    let answer = move || {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        async move {
            match turn % 3 {
                0 => (StatusCode::OK, "{}"),
                1 => (StatusCode::SERVICE_UNAVAILABLE, r#"{"reason": "queue-full"}"#),
                _ => (StatusCode::BAD_GATEWAY, "a proxy's page"),
            }
        }
    };
    let url = serve(Router::new().route("/classify", post(answer))).await;
    let (measured, summary) = drive(&url, Load::Closed { concurrency: 1 }, SHORT).await;
    let kinds: Vec<_> = summary.errors.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["502", "503 queue-full"]);
    assert_eq!(summary.requests, measured.good() + measured.bad());

    let (_, summary) = drive("http://127.0.0.1:9", Load::Closed { concurrency: 1 }, SHORT).await;
    assert_eq!(summary.errors.keys().collect::<Vec<_>>(), ["connection"]);
    assert!(summary.goodput_per_second.abs() < f64::EPSILON);
}

/// A server that stalls for a while, then answers all requests. In an open loop, all requests that were due
/// during the stall have waited; in a closed loop with one client, only one has.
#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_not_hidden_from_the_open_loop() {
    for (load, many) in
        [(Load::Open { rate: 100.0, seed: 3 }, true), (Load::Closed { concurrency: 1 }, false)]
    {
        let gate = Arc::new(Semaphore::new(0));
        let opening = Arc::clone(&gate);
        let answer = move || {
            let gate = Arc::clone(&gate);
            async move {
                let _through = gate.acquire().await.unwrap();
                "{}"
            }
        };
        let url = serve(Router::new().route("/classify", post(answer))).await;
        let times = RunTimes { warm_up: Duration::ZERO, ..SHORT };
        let running = tokio::spawn(async move { drive(&url, load, times).await });
        tokio::time::sleep(Duration::from_millis(300)).await; // the stall
        opening.add_permits(1000);
        let (measured, summary) = running.await.unwrap();
        assert!(summary.latency_ms.max >= 100.0, "{summary:?}");
        let waited =
            (0..=100).filter(|&q| measured.quantile(f64::from(q) / 100.0) >= 100.0).count();
        assert_eq!(waited > 30, many, "{load:?}: {waited} % waited: {summary:?}");
    }
}

#[test]
fn requests_of_the_warm_up_and_late_answers_are_not_goodput() {
    let times = RunTimes {
        warm_up: Duration::from_secs(1),
        duration: Duration::from_secs(2),
        timeout: Duration::from_secs(5),
    };
    let mut measured = LoadResults::new(times);
    let seconds = Duration::from_secs;
    measured.add(seconds(0), seconds(1), Outcome::Good);
    measured.add(seconds(1), Duration::from_millis(10), Outcome::Good);
    measured.add(seconds(2), seconds(6), Outcome::Good);
    measured.add(seconds(3), seconds(1), Outcome::Good);
    let summary = measured.summary();
    assert_eq!((measured.good(), measured.bad(), measured.uncounted()), (1, 1, 2));
    assert_eq!(summary.errors.keys().collect::<Vec<_>>(), ["timeout"]);
    assert!((summary.goodput_per_second - 0.5).abs() < 1e-9);
    assert!((summary.latency_ms.p50 - 10.0).abs() < 0.02, "{summary:?}");
}

/// Runs the command.
#[test]
fn the_limit_without_a_server_is_printed_as_json_and_plotted() {
    let folder = tempfile::tempdir().unwrap();
    let plot = folder.path().join("latency.svg");
    let output = resnetd(&[
        "bench",
        "--in-process",
        "--data",
        "tests/data/cat.jpg",
        "--duration",
        "300ms",
        "--warm-up",
        "50ms",
        "--device",
        "cpu",
        "--json",
        "--plot",
        plot.to_str().unwrap(),
    ]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!((&report["target"], &report["photos"]), (&"in process".into(), &1.into()));
    assert!(report["requests"].as_u64().unwrap() > 0);
    assert_eq!(report["errors"], serde_json::json!({}));
    let svg = std::fs::read_to_string(plot).unwrap();
    assert!(svg.starts_with("<svg xmlns=") && svg.trim_end().ends_with("</svg>"));
    for element in ["title", "style", "text", "svg"] {
        let count = |tag: &str| svg.matches(tag).count();
        assert_eq!(count(&format!("<{element}")), count(&format!("</{element}>")), "{element}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn invalid_bench_options_are_errors() {
    for (arguments, expected) in [
        (&["bench", "--data", "tests/data/cat.jpg"][..], "<URL>"),
        (&["bench", "nonsense", "--data", "tests/data/cat.jpg"], "not the URL of a server"),
        (&["bench", "http://127.0.0.1:9", "--data", "nowhere.jpg"], "cannot read nowhere.jpg"),
        (
            &["bench", "http://127.0.0.1:9", "--rate", "0", "--data", "tests/data/cat.jpg"],
            "must be more than 0",
        ),
    ] {
        let output = resnetd(arguments);
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && printed.contains(expected), "{printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_measurement_without_requests_is_an_error() {
    let url = serve(Router::new().route("/classify", post(async || "{}"))).await;
    let output = tokio::task::spawn_blocking(move || {
        let rare = ["--rate", "0.001", "--duration", "50ms", "--warm-up", "0s"];
        resnetd(&[&["bench", &url, "--data", "tests/data/cat.jpg"], &rare[..]].concat())
    });
    let output = output.await.unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("no request was due within --duration"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_or_failing_server_is_an_error() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let broken = || async { (StatusCode::BAD_GATEWAY, "a proxy's page") };
    let broken = serve(Router::new().route("/classify", post(broken))).await;
    for (url, expected) in [
        (format!("http://{closed}"), format!("cannot connect to {closed}")),
        (broken, "was answered with classes: 502".to_owned()),
    ] {
        let output = tokio::task::spawn_blocking(move || {
            let short = ["--duration", "200ms", "--warm-up", "0s"];
            resnetd(&[&["bench", &url, "--data", "tests/data/cat.jpg"], &short[..]].concat())
        });
        let output = output.await.unwrap();
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && printed.contains(&expected), "{printed}");
    }
}
