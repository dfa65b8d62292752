//! Random sequences of loads, reloads, unloads and requests, with engines whose scores identify their model.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use resnetd::model::{Model, ModelCard};
use resnetd::pipeline::queue::{Deadline, Memory, RequestContext};
use resnetd::pipeline::run::{Cores, Engine};
use resnetd::pipeline::{Pipeline, Resources};
use resnetd::registry::{
    Control, Description, Fallback, LastUse, LoadWhen, ModelSources, OpenError, Registry,
    RoutingPolicy, Served, Source, Version, Wanted,
};
use resnetd::telemetry::{LoadFailure, Metrics};
use tokio::task::JoinHandle;

use crate::support::engines::constant_logits;
use crate::support::{Options, data, description, until};

/// An operation on the models of a server.
#[derive(Debug, Clone, Copy)]
enum Op {
    /// Writes new files for a version, valid or invalid ones.
    Write(Id, Files),
    /// Removes the files of a version.
    Remove(Id),
    /// Refreshes the registry from the files.
    Refresh,
    /// Calls Triton's repository API.
    Load(u8),
    Unload(u8),
    /// Sends a request for a model, for one version or any.
    Request(u8, Option<u8>),
}

/// A model and its version.
type Id = (u8, u8);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Files {
    Good,
    Broken,
    /// Opening them panics.
    Panicking,
}

fn op() -> impl Strategy<Value = Op> {
    let id = || (0_u8..2, 1_u8..4);
    let files = prop_oneof![
        6 => Just(Files::Good),
        2 => Just(Files::Broken),
        1 => Just(Files::Panicking),
    ];
    prop_oneof![
        3 => (id(), files).prop_map(|(id, files)| Op::Write(id, files)),
        1 => id().prop_map(Op::Remove),
        3 => Just(Op::Refresh),
        1 => (0_u8..2).prop_map(Op::Load),
        1 => (0_u8..2).prop_map(Op::Unload),
        6 => (0_u8..2, proptest::option::of(1_u8..4)).prop_map(|(name, version)| Op::Request(name, version)),
    ]
}

/// The files by model and version: how often they were written, and whether they are valid.
type Folder = Arc<Mutex<BTreeMap<Id, (u16, Files)>>>;

/// The parts of a test server.
#[derive(Clone)]
struct Parts {
    metrics: Arc<Metrics>,
    memory: Arc<Memory>,
    cores: Arc<Cores>,
    /// Number of engines that were not dropped.
    engines: Arc<AtomicUsize>,
}

struct TestRegistry {
    folder: Folder,
    registry: Arc<Registry>,
    control: Arc<Control>,
    parts: Parts,
}

fn name(model: u8) -> String {
    format!("model-{model}")
}

/// Identifies the files of an answer: model, version, and how often they were written.
fn mark((model, version): Id, written: u16) -> [f32; 3] {
    [f32::from(model), f32::from(version), f32::from(written)]
}

/// Counts its instances.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Parts {
    /// An engine that takes a while, so that changes happen during runs.
    fn engine(&self, mark: [f32; 3]) -> Engine {
        let mut engine = constant_logits([&mark[..], &[0.0; 7]].concat());
        let counted = Counted::new(&self.engines);
        Box::new(move |batch| {
            let _counted = &counted;
            std::thread::sleep(Duration::from_millis(2));
            engine(batch)
        })
    }

    fn served(&self, id: Id, written: u16) -> Served {
        static MODEL: OnceLock<(Model, Description)> = OnceLock::new();
        let plan = Options::default().plan;
        let (model, description) = MODEL.get_or_init(|| {
            let model = Model::open("cifar10-resnet20", None).unwrap();
            let description = description(&model, &plan, 1);
            (model, description)
        });
        let card = ModelCard { name: name(id.0), ..model.card.as_ref().clone() };
        let version = Version::new(&id.1.to_string());
        let resources = Resources {
            memory: Arc::clone(&self.memory),
            cores: Some(self.cores.share(1, 1.0)),
            metrics: self.metrics.of_model(&card.name, version.as_str()),
        };
        let mut description = description.clone();
        description.digests.graph = format!("{:?}", mark(id, written));
        let engines = vec![self.engine(mark(id, written))];
        let pipeline = Pipeline::start(card.into(), plan, engines, resources).unwrap();
        let (load, used) = (LoadWhen::Now, LastUse::default());
        Served { version, pipeline, description, weight_bytes: 0, load, used }
    }
}

impl TestRegistry {
    fn new() -> Self {
        let metrics = Arc::new(Metrics::new());
        let parts = Parts {
            memory: Memory::new(1 << 30, Arc::clone(&metrics)),
            metrics: Arc::clone(&metrics),
            cores: Cores::new(2),
            engines: Arc::default(),
        };
        let (folder, registry) = (Folder::default(), Arc::new(Registry::default()));
        let listed = {
            let (folder, parts) = (Arc::clone(&folder), parts.clone());
            Box::new(move || -> Result<Vec<Source>, String> {
                let files = folder.lock().unwrap().clone();
                Ok(files.into_iter().map(|(id, files)| source(&parts, id, files)).collect())
            })
        };
        let at = Box::new(|_: &str, _: &str| -> Result<Source, String> { Err("none".to_owned()) });
        let origins = ModelSources { listed, at };
        let control = Arc::new(Control::new(Arc::clone(&registry), origins, None, metrics));
        Self { folder, registry, control, parts }
    }

    /// The serving versions of a model.
    fn serving(&self, model: u8) -> Vec<Version> {
        self.registry.serving_versions(&name(model))
    }

    fn has_files(&self, model: u8) -> bool {
        self.folder.lock().unwrap().keys().any(|id| id.0 == model)
    }

    fn refresh(&self) {
        let before = [0, 1].map(|model| self.serving(model));
        self.control.refresh().unwrap();
        for (model, before) in (0..).zip(before) {
            let now = self.serving(model);
            let lost = !before.is_empty() && now.is_empty();
            assert!(
                !lost || !self.has_files(model),
                "{before:?} of {model} were serving, and now none is"
            );
        }
        let files = self.folder.lock().unwrap().clone();
        for listed in self.registry.list() {
            let Some(served) = &listed.serving else { continue };
            let id = ids().find(|id| {
                (name(id.0), id.1.to_string()) == (listed.name.clone(), listed.version.to_string())
            });
            // If the last refreshed files are valid, they serve.
            if let Some((written, Files::Good)) = id.and_then(|id| files.get(&id)) {
                assert_eq!(served.digest(), format!("{:?}", mark(id.unwrap(), *written)));
            }
        }
    }

    /// Starts a request that is answered while further changes are made.
    fn request(&self, model: u8, version: Option<u8>) -> Option<JoinHandle<()>> {
        let version = version.map(|version| Version::new(&version.to_string()));
        let name = name(model);
        let wanted = Wanted {
            name: Some(&name),
            version: version.as_ref(),
            request_id: Some("any"),
            fallback: Fallback::Allowed,
        };
        let chosen = self.registry.choose(wanted);
        let serving = self.serving(model);
        let Ok(choice) = chosen else {
            assert!(version.map_or(serving.is_empty(), |version| !serving.contains(&version)));
            return None;
        };
        Some(tokio::spawn(async move {
            let context = RequestContext::local(Deadline::after(Duration::from_secs(60)));
            let pipeline = &choice.model.pipeline;
            let answer = pipeline.classify(data("cifar10-cat.png").into(), &context).await;
            let logits = answer.expect("no request is lost").scores.logits;
            assert_eq!(format!("{:?}", &logits[..3]), choice.model.digest(), "one model answers");
        }))
    }
}

fn ids() -> impl Iterator<Item = Id> {
    (0..2).flat_map(|model| (1..4).map(move |version| (model, version)))
}

fn source(parts: &Parts, id: Id, (written, files): (u16, Files)) -> Source {
    let parts = parts.clone();
    Source {
        name: name(id.0),
        version: Version::new(&id.1.to_string()),
        fingerprint: written.into(),
        load: LoadWhen::Now,
        policy: RoutingPolicy::default(),
        open: Arc::new(move || match files {
            Files::Good => Ok(parts.served(id, written)),
            Files::Broken => {
                Err(OpenError { failure: LoadFailure::Damaged, reason: "broken files".to_owned() })
            }
            Files::Panicking => panic!("these files make opening panic"),
        }),
    }
}

async fn play(ops: Vec<Op>) {
    let test = TestRegistry::new();
    let mut requests = Vec::new();
    for (number, op) in (1..).zip(ops) {
        match op {
            Op::Write(id, files) => {
                test.folder.lock().unwrap().insert(id, (number, files));
            }
            Op::Remove(id) => {
                test.folder.lock().unwrap().remove(&id);
            }
            Op::Refresh => tokio::task::block_in_place(|| test.refresh()),
            // An unknown model or an invalid version is an error, and does not affect later operations.
            Op::Load(model) => {
                let _ = tokio::task::block_in_place(|| test.control.load(&name(model)));
            }
            Op::Unload(model) => {
                if test.control.unload(&name(model)).is_ok() {
                    assert!(test.serving(model).is_empty());
                }
            }
            Op::Request(model, version) => requests.extend(test.request(model, version)),
        }
    }
    for request in requests {
        request.await.unwrap();
    }
    let served = test.registry.serving().len();
    let engines = Arc::clone(&test.parts.engines);
    until("every replaced model is dropped", || engines.load(Ordering::SeqCst) == served).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_changes_and_requests_answers_each_request_by_one_model(ops in vec(op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(play(ops));
    }
}
