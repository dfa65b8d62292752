//! A server of one's own, pictures, and engines that do what a test needs.

pub(crate) mod engines;
pub(crate) mod seeded;
pub(crate) mod wire;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use resnetd::fetch::{FetchPlan, Fetcher, Policy};
use resnetd::http::{
    self, Access, AccessPlan, AllowedHosts, App, Certificates, ConnectionTimes, Description, Drain,
    ListenPlan, Listener, Page, Readiness, Shared, Timeouts, Versions, VertexRoutes,
};
use resnetd::model::{self, Model};
use resnetd::pipeline::decode::Limits;
use resnetd::pipeline::explain::Offers;
use resnetd::pipeline::preprocess::JpegScaling;
use resnetd::pipeline::queue::{BatchPlan, Ceiling};
use resnetd::pipeline::run::{Device, Engine, InputShape, Library, SessionsPlan, open_sessions};
use resnetd::pipeline::{Decoding, Pipeline, PipelinePlan};
use resnetd::telemetry::logs::DroppedLines;
use resnetd::telemetry::{Metrics, TracePlan, Traces};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A file of `tests/data`.
pub(crate) fn data(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes a file, in place of an older one.
pub(crate) fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    File::create(path).unwrap().write_all(bytes.as_ref()).unwrap();
}

/// The program, with these arguments, at the root of the repository; nobody's settings reach it.
pub(crate) fn resnetd(arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_resnetd"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["RESNETD_", "HF_", "AIP_"].iter().any(|ours| text.starts_with(ours)) {
            program.env_remove(&name);
        }
    }
    program.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
}

/// ONNX Runtime, which a process loads once.
pub(crate) fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| Library::load(None).unwrap())
}

/// The embedded default model.
pub(crate) fn default_model() -> Model {
    Model::open(model::DEFAULT, None).unwrap()
}

/// What a test's server is made of; the default is the product's, with short times.
pub(crate) struct Options {
    pub(crate) model: Model,
    pub(crate) engines: Option<Vec<Engine>>,
    pub(crate) plan: PipelinePlan,
    pub(crate) timeouts: Timeouts,
    pub(crate) connections: ListenPlan,
    pub(crate) drain: Drain,
    pub(crate) page: Page,
    pub(crate) urls: Option<(Policy, FetchPlan)>,
    pub(crate) vertex: VertexRoutes,
    pub(crate) hosts: AllowedHosts,
    pub(crate) access: AccessPlan,
    pub(crate) tls: Option<Arc<Certificates>>,
    pub(crate) traces: Option<TracePlan>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            model: default_model(),
            engines: None,
            plan: PipelinePlan {
                limits: Limits::default(),
                jpeg_scaling: JpegScaling::On,
                ceiling: Ceiling { images: 256, bytes: 1 << 30 },
                batch: BatchPlan { max_batch: 4, max_wait: Duration::ZERO, backlog: 1 },
                decoding: Decoding::ByWorkers,
                stuck_after: Duration::from_secs(60),
            },
            timeouts: Timeouts {
                request: Duration::from_secs(60),
                body: Duration::from_secs(60),
                min_upload_rate: 0,
            },
            connections: ListenPlan {
                times: ConnectionTimes {
                    header: Duration::from_secs(60),
                    write: Duration::from_secs(60),
                },
                max_connections: 1024,
            },
            drain: Drain { delay: Duration::ZERO, timeout: Duration::from_secs(60) },
            page: Page::On,
            urls: None,
            vertex: VertexRoutes::default(),
            hosts: AllowedHosts::any(),
            access: AccessPlan::default(),
            tls: None,
            traces: None,
        }
    }
}

/// A server on a free port of this machine.
pub(crate) struct TestServer {
    pub(crate) url: String,
    pub(crate) app: App,
    pub(crate) client: reqwest::Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<bool>,
}

impl TestServer {
    /// With the default model.
    pub(crate) fn start() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let Options {
            model,
            engines,
            plan,
            timeouts,
            connections,
            drain,
            page,
            urls,
            vertex,
            hosts,
            access,
            tls,
            traces,
        } = options;
        let offers = match &engines {
            None => Offers::of(model.onnx.clone(), model.card.labels.len()),
            Some(_) => Offers::nothing(),
        };
        let engines = engines.unwrap_or_else(|| real_engines(&model, plan.batch.max_batch));
        let metrics = Arc::new(Metrics::new());
        let description = description(&model, &plan, engines.len());
        let shared = Shared::new(&model.card.labels, 2, DroppedLines::default());
        let pipeline = Pipeline::start(model.card, plan, engines, Arc::clone(&metrics)).unwrap();
        let app = App {
            pipeline: Arc::new(pipeline.offering(offers)),
            metrics,
            readiness: Arc::new(Readiness::default()),
            shared: Arc::new(shared),
            description: Arc::new(description),
            timeouts,
            page,
            urls: urls.map(|(policy, plan)| Arc::new(Fetcher::new(policy, plan))),
            vertex,
            hosts,
            access: Arc::new(Access::new(access)),
            traces: traces.map(|plan| Arc::new(Traces::start(&plan).unwrap())),
        };
        let keys = Arc::clone(&app.access);
        tokio::spawn(async move { keys.keep_current().await });
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(address, connections).unwrap();
        let url = format!("http://{}", listener.address().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = http::router(app.clone());
        let readiness = Arc::clone(&app.readiness);
        let told = async move {
            let _ = stopped.await;
            readiness.drain();
        };
        let pipeline = Arc::clone(&app.pipeline);
        let give_up = move || pipeline.abort();
        let mut listening = listener.listen().unwrap();
        if let Some(certificates) = tls {
            tokio::spawn(Arc::clone(&certificates).keep_current());
            listening = listening.over_tls(certificates, Arc::clone(&app.metrics));
        }
        let served = tokio::spawn(listening.serve(routes, told, drain, give_up));
        Self { url, app, client: reqwest::Client::new(), stop, served }
    }

    /// `POST /classify` with these bytes.
    pub(crate) async fn classify(&self, bytes: impl Into<reqwest::Body>) -> Answer {
        self.post("/classify", bytes).await
    }

    pub(crate) async fn post(&self, path: &str, bytes: impl Into<reqwest::Body>) -> Answer {
        Answer::of(self.client.post(self.at(path)).body(bytes).send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.client.get(self.at(path)).send().await.unwrap()).await
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Stops as on SIGTERM; true where every request was answered and every job run.
    pub(crate) async fn stop(self) -> bool {
        self.stop.send(()).unwrap();
        let answered = self.served.await.unwrap();
        answered && self.app.pipeline.finish(Duration::from_secs(60)).await
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).to_str().unwrap()
    }

    pub(crate) fn reason(&self) -> String {
        self.json()["reason"].as_str().unwrap_or_default().to_owned()
    }
}

/// Two sessions of `model` on the CPU.
fn description(model: &Model, plan: &PipelinePlan, sessions: usize) -> Description {
    let (card, golden_photos) = Description::of(model);
    Description {
        card,
        demonstration: false,
        golden_photos,
        digests: model.digests(),
        device: Device::Cpu.to_string(),
        device_because: "as asked",
        precision_because: "as the model comes",
        sessions,
        threads: 1,
        max_batch: plan.batch.max_batch,
        decoders: 0,
        jpeg_scaling: plan.jpeg_scaling,
        versions: Versions::with(&library().version),
    }
}

pub(crate) fn real_engines(model: &Model, max_batch: usize) -> Vec<Engine> {
    let plan = SessionsPlan {
        device: Device::Cpu,
        sessions: 2,
        threads: 1,
        cuda_graphs: false,
        max_batch,
        input: InputShape::of(&model.card.preprocess),
    };
    open_sessions(library(), &model.onnx, plan).unwrap().engines
}

/// Waits until `done`, for at most a minute.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap_or_else(|_| panic!("never happened: {what}"));
}
