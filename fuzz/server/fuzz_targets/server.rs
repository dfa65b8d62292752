//! The server's routes in this process, with an engine that returns the same scores for every image.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::{BodyExt, Collected};
use resnetd::http::{
    self, Access, AccessPlan, AllowedHosts, Page, ServerPhase, Shared, Timeouts, VertexRoutes,
};
use resnetd::model::{self, Model};
use resnetd::pipeline::decode::Limits;
use resnetd::pipeline::explain::Capabilities;
use resnetd::pipeline::preprocess::JpegScaling;
use resnetd::pipeline::queue::{BatchPlan, Memory};
use resnetd::pipeline::run::{Batch, Engine, Outputs, RunError};
use resnetd::pipeline::{Decoding, Output, Pipeline, PipelinePlan, Resources};
use resnetd::registry::{Description, LastUse, LoadWhen, Registry, Served, Version, Versions};
use resnetd::telemetry::Metrics;
use resnetd::telemetry::logs::DroppedLines;
use tokio::runtime::Runtime;
use tower::ServiceExt;

const TIMEOUTS: Timeouts =
    Timeouts { request: Duration::from_secs(4), body: Duration::from_secs(4), min_upload_rate: 0 };

/// A server that answers without a connection.
pub struct Server {
    runtime: Mutex<Runtime>,
    routes: Router,
    metrics: Arc<Metrics>,
}

impl Server {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime");
        let inside = runtime.enter();
        let metrics = Arc::new(Metrics::new());
        let routes = http::router(server(Arc::clone(&metrics)));
        drop(inside);
        Self { runtime: Mutex::new(runtime), routes, metrics }
    }

    /// Sends a request, reads the response and checks it: no status 500, less than 4 MiB, and no memory counted
    /// afterwards. A panic in a decoder or handler ends the process before that.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) {
        let request = headers
            .iter()
            .fold(Request::post(path).header("host", "localhost"), |request, (name, value)| {
                request.header(*name, *value)
            })
            .body(Body::from(body))
            .expect("a request");
        let runtime = self.runtime.lock().expect("one thread");
        let (status, length) = runtime.block_on(async {
            let response = self.routes.clone().oneshot(request).await.expect("routes never fail");
            let status = response.status();
            let body = response.into_body().collect().await.map(Collected::to_bytes);
            (status, body.expect("an answer has an end").len())
        });
        assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(length < 4 << 20, "an answer of {length} bytes");
        self.assert_that_memory_is_returned();
    }

    /// The answer to a request with several images can come before a worker has dropped the last of them.
    fn assert_that_memory_is_returned(&self) {
        let started = Instant::now();
        while self.metrics.admitted_bytes.get() != 0 {
            assert!(started.elapsed() < Duration::from_secs(5), "memory is still counted");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn server(metrics: Arc<Metrics>) -> Arc<http::Server> {
    let model = Model::open(model::DEFAULT, None).expect("the embedded model");
    let plan = PipelinePlan {
        limits: Limits { max_bytes: 1 << 20, max_pixels: 250_000, ..Limits::default() },
        jpeg_scaling: JpegScaling::On,
        queue_capacity: 512,
        batch: BatchPlan { max_batch: 4, max_wait: Duration::ZERO, backlog: 1 },
        decoding: Decoding::Inline,
        stuck_after: Duration::from_secs(60),
    };
    let (card, golden_photos) = Description::public_card(&model);
    let description = Description {
        card,
        demonstration: false,
        golden_photos,
        digests: model.digests(),
        device: "cpu".to_owned(),
        device_because: "fuzzing",
        precision_because: "the model's own precision",
        sessions: 1,
        threads: 1,
        max_batch: 4,
        decoders: 0,
        jpeg_scaling: plan.jpeg_scaling,
        versions: Versions::with("none"),
    };
    let engine: Engine = Box::new(|batch| Ok::<_, RunError>(first_class(batch)));
    let memory = Memory::new(64 << 20, Arc::clone(&metrics));
    let resources = Resources {
        memory: Arc::clone(&memory),
        cores: None,
        metrics: metrics.of_model(&model.card.name, "1"),
    };
    let max_bytes = plan.limits.max_bytes;
    let pipeline = Pipeline::start(model.card, plan, vec![engine], resources);
    let pipeline = pipeline.expect("threads").with_capabilities(Capabilities::nothing());
    let served = Served {
        version: Version::only(),
        pipeline,
        description,
        weight_bytes: 0,
        load: LoadWhen::Now,
        used: LastUse::default(),
    };
    Arc::new(http::Server {
        registry: Registry::of_one(served),
        control: None,
        memory,
        metrics,
        phase: Arc::new(ServerPhase::default()),
        shared: Arc::new(Shared::new(2, DroppedLines::default())),
        timeouts: TIMEOUTS,
        page: Page::On,
        urls: None,
        vertex: VertexRoutes::default(),
        hosts: AllowedHosts::any(),
        access: Arc::new(Access::new(AccessPlan::default())),
        traces: None,
        max_bytes,
    })
}

fn first_class(batch: &Batch) -> Outputs {
    let scores = [1.0_f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0].repeat(batch.len());
    let tensors = vec![(Output::Logits, scores.clone()), (Output::Probabilities, scores)];
    Outputs::new(batch.len(), tensors)
}
