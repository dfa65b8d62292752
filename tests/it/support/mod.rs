//! Test servers, images, and engines.

pub(crate) mod engines;
pub(crate) mod process;
pub(crate) mod seeded;
pub(crate) mod wire;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use resnetd::device::Device;
use resnetd::fetch::{FetchPlan, Fetcher, UrlPolicy};
use resnetd::http::{
    self, Access, AccessPlan, AllowedHosts, Certificates, ConnectionTimes, Drain, ListenPlan,
    Listener, Page, Server, ServerPhase, Shared, Timeouts, VertexRoutes,
};
use resnetd::model::{self, Model};
use resnetd::pipeline::decode::Limits;
use resnetd::pipeline::explain::Capabilities;
use resnetd::pipeline::preprocess::JpegScaling;
use resnetd::pipeline::queue::{BatchPlan, Memory};
use resnetd::pipeline::run::{
    Engine, InputShape, Library, LoadPriority, SessionsPlan, open_sessions,
};
use resnetd::pipeline::{Decoding, Pipeline, PipelinePlan, Resources};
use resnetd::registry::{Description, LastUse, LoadWhen, Registry, Served, Version, Versions};
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

/// Writes a file that a test reads.
pub(crate) fn write(
    path: impl AsRef<std::path::Path>,
    bytes: impl AsRef<[u8]>,
) -> std::io::Result<()> {
    std::io::Write::write_all(&mut std::fs::File::create(path)?, bytes.as_ref())
}

/// Runs the program with these arguments in the root of the repository, without environment variables for it.
pub(crate) fn resnetd(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

/// The same as a command that is not started yet.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_resnetd"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["RESNETD_", "HF_", "AIP_"].iter().any(|ours| text.starts_with(ours)) {
            program.env_remove(&name);
        }
    }
    program.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    program
}

/// The standard output of a command.
pub(crate) fn stdout_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The standard error of a command that failed.
pub(crate) fn stderr_of(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
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

/// The parts of a test server; the default is like the real one, with short time limits.
pub(crate) struct Options {
    pub(crate) model: Model,
    pub(crate) engines: Option<Vec<Engine>>,
    pub(crate) plan: PipelinePlan,
    pub(crate) memory_limit: u64,
    pub(crate) timeouts: Timeouts,
    pub(crate) connections: ListenPlan,
    pub(crate) drain: Drain,
    pub(crate) page: Page,
    pub(crate) urls: Option<(UrlPolicy, FetchPlan)>,
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
                queue_capacity: 256,
                batch: BatchPlan { max_batch: 4, max_wait: Duration::ZERO, backlog: 1 },
                decoding: Decoding::Inline,
                stuck_after: Duration::from_secs(60),
            },
            memory_limit: 1 << 30,
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
    pub(crate) server: Arc<Server>,
    pub(crate) model: Arc<Served>,
    pub(crate) client: reqwest::Client,
    stop: oneshot::Sender<()>,
    running: JoinHandle<bool>,
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
            memory_limit,
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
        let metrics = Arc::new(Metrics::new());
        let memory = Memory::new(memory_limit, Arc::clone(&metrics));
        let max_bytes = plan.limits.max_bytes;
        let resources = Resources {
            memory: Arc::clone(&memory),
            cores: None,
            metrics: metrics.of_model(&model.card.name, Version::only().as_str()),
        };
        let registry = Registry::of_one(serving(model, engines, plan, resources));
        let server = Arc::new(Server {
            registry,
            control: None,
            memory,
            metrics,
            phase: Arc::new(ServerPhase::default()),
            shared: Arc::new(Shared::new(2, DroppedLines::default())),
            timeouts,
            page,
            urls: urls.map(|(policy, plan)| Arc::new(Fetcher::new(policy, plan))),
            vertex,
            hosts,
            access: Arc::new(Access::new(access)),
            traces: traces.map(|plan| Arc::new(Traces::start(&plan).unwrap())),
            max_bytes,
        });
        Self::run(server, connections, drain, tls)
    }

    fn run(
        server: Arc<Server>,
        connections: ListenPlan,
        drain: Drain,
        tls: Option<Arc<Certificates>>,
    ) -> Self {
        let model = server.registry.find(None, None).unwrap();
        let keys = Arc::clone(&server.access);
        tokio::spawn(async move { keys.keep_current().await });
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(address, connections).unwrap();
        let url = format!("http://{}", listener.address().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = http::router(Arc::clone(&server));
        let phase = Arc::clone(&server.phase);
        let told = async move {
            let _ = stopped.await;
            phase.drain();
        };
        let aborted = Arc::clone(&model);
        let give_up = move || aborted.pipeline.abort();
        let mut listening = listener.listen(Arc::clone(&server.metrics)).unwrap();
        if let Some(certificates) = tls {
            tokio::spawn(Arc::clone(&certificates).keep_current());
            listening = listening.over_tls(certificates);
        }
        let running = tokio::spawn(listening.serve(routes, told, drain, give_up));
        Self { url, server, model, client: reqwest::Client::new(), stop, running }
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

    /// Stops as on SIGTERM; returns true if every request was answered and every job run.
    pub(crate) async fn stop(self) -> bool {
        self.stop.send(()).unwrap();
        let answered = self.running.await.unwrap();
        answered && self.model.pipeline.finish(Duration::from_secs(60)).await
    }
}

/// An answer with its complete body.
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

/// `model` with these engines, or with real ones.
pub(crate) fn serving(
    model: Model,
    engines: Option<Vec<Engine>>,
    plan: PipelinePlan,
    resources: Resources,
) -> Served {
    let capabilities = match &engines {
        None => Capabilities::of(model.onnx.clone(), model.card.labels.len()),
        Some(_) => Capabilities::nothing(),
    };
    let engines = engines.unwrap_or_else(|| real_engines(&model, plan.batch.max_batch));
    let description = description(&model, &plan, engines.len());
    let pipeline = Pipeline::start(model.card, plan, engines, resources).unwrap();
    Served {
        version: Version::only(),
        pipeline: pipeline.with_capabilities(capabilities),
        description,
        weight_bytes: 0,
        load: LoadWhen::Now,
        used: LastUse::default(),
    }
}

/// Two sessions of `model` on the CPU.
pub(crate) fn description(model: &Model, plan: &PipelinePlan, sessions: usize) -> Description {
    let (card, golden_photos) = Description::public_card(model);
    Description {
        card,
        demonstration: false,
        golden_photos,
        digests: model.digests(),
        device: Device::Cpu.to_string(),
        device_because: "as asked",
        precision_because: "the model's own precision",
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
        int8_kernels: true,
        max_batch,
        input: InputShape::of(&model.card.preprocess),
    };
    open_sessions(library(), &model.onnx, plan, LoadPriority::Alone).unwrap().engines
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

/// `GET` of any server.
pub(crate) async fn get(url: &str) -> Answer {
    Answer::of(reqwest::Client::new().get(url).send().await.unwrap()).await
}

/// `POST` to any server.
pub(crate) async fn post(url: &str, body: Vec<u8>) -> Answer {
    Answer::of(reqwest::Client::new().post(url).body(body).send().await.unwrap()).await
}

/// The name, version and digest of the model that answered.
pub(crate) fn answered_by(answer: &Answer) -> [String; 3] {
    ["x-model-name", "x-model-version", "x-model-digest"].map(|name| answer.header(name).to_owned())
}

/// Polls until `done`, for at most a minute.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, done: impl Fn() -> F) {
    for _ in 0..600 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never happened: {what}");
}

/// Writes an embedded model as `folder/model.onnx`.
pub(crate) fn export(model: &str, folder: &std::path::Path) {
    std::fs::create_dir_all(folder).unwrap();
    let out = folder.join("model.onnx");
    let output = resnetd(&["export", "--model", model, "--output", out.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An address of this machine that nothing uses.
pub(crate) fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
