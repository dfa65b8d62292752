//! Loads models for the server: from a model's options to its running pipeline.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use super::classify_load_error::{CheckFailed, failure_of};
use super::error_chain;
use super::load::{self, Loaded, load_with};
use crate::config::{Concurrency, Config, ModelArgs, ModelSpec};
use crate::device::Device;
use crate::model::{Digests, Model, ModelCard, is_embedded};
use crate::pipeline::explain::Capabilities;
use crate::pipeline::queue::Memory;
use crate::pipeline::run::{
    CoreShare, Cores, Engines, Library, LoadPriority, SpareEngine, WarmSessions,
};
use crate::pipeline::{Decoding, Pipeline, Resources};
use crate::registry::{
    Description, LastUse, LoadWhen, Open, OpenError, RoutingPolicy, Served, Source, Versions,
};
use crate::telemetry::{LoadFailure, Metrics, ModelInfo};

/// Loads the models of a process.
#[derive(Debug)]
pub(super) struct Loader {
    pub(super) library: Library,
    pub(super) config: Config,
    pub(super) cores: Arc<Cores>,
    pub(super) memory: Arc<Memory>,
    pub(super) metrics: Arc<Metrics>,
    /// Sources that existed as files or folders when they were loaded.
    pub(super) known_paths: Mutex<BTreeSet<String>>,
}

impl Loader {
    /// Opens the model of `spec`, warms up its sessions, checks its golden photos and starts its workers.
    pub(super) fn load(&self, spec: &ModelSpec) -> Result<Served> {
        let ModelSpec { args, concurrency, .. } = spec;
        self.check_path(&args.model)?;
        let share = self.cores.share(concurrency.threads, spec.weight);
        let priority = match spec.load {
            _ if share.is_alone() => LoadPriority::Alone,
            LoadWhen::OnDemand => LoadPriority::AsBatch(&share),
            LoadWhen::Now | LoadWhen::Explicit => LoadPriority::Background,
        };
        // Loading mostly uses one core, so the digests are computed in parallel.
        let (loaded, digests) =
            load_with(&self.library, args, *concurrency, priority, Model::digests)?;
        check_digest(spec, &digests)?;
        self.start(spec, loaded, digests, share)
    }

    /// Rejects a path that existed before but does not exist now, instead of looking for it on the hub.
    fn check_path(&self, source: &str) -> Result<()> {
        let mut known_paths = self.known_paths.lock().unwrap_or_else(PoisonError::into_inner);
        if Path::new(source).exists() {
            known_paths.insert(source.to_owned());
            return Ok(());
        }
        if known_paths.contains(source) {
            let message = format!(
                "{source} does not exist any more, so the model cannot be loaded again; restore it"
            );
            return Err(CheckFailed::new(LoadFailure::Unreadable, message).into());
        }
        Ok(())
    }

    /// Starts the workers of a loaded model.
    fn start(
        &self,
        spec: &ModelSpec,
        loaded: Loaded,
        digests: Digests,
        cores: CoreShare,
    ) -> Result<Served> {
        let ModelSpec { args, concurrency, version, .. } = spec;
        let Loaded { mut model, why, device_why, library, warm } = loaded;
        let demonstration = is_embedded(&model.card.name);
        if let Some(name) = &spec.name {
            model.card = ModelCard { name: name.clone(), ..model.card.as_ref().clone() }.into();
        }
        let WarmSessions { engines, device, load, warm_up } = warm;
        let metrics = self.metrics.of_model(&model.card.name, version.as_str());
        metrics.load_seconds.set(load.as_secs_f64());
        metrics.warm_up_seconds.set(warm_up.as_secs_f64());
        metrics.runs_on(ModelInfo {
            architecture: &model.card.architecture,
            device: &device.to_string(),
            onnxruntime: &library.version,
        });
        let (card, golden_photos) = Description::public_card(&model);
        let description = Description {
            demonstration,
            card,
            golden_photos,
            digests,
            device: device.to_string(),
            device_because: device_why,
            precision_because: why,
            sessions: concurrency.sessions(device),
            threads: concurrency.threads,
            max_batch: concurrency.max_batch(device),
            decoders: match concurrency.decoding(device) {
                Decoding::Inline => 0,
                Decoding::Dedicated { threads } => threads,
            },
            jpeg_scaling: self.config.jpeg_scaling,
            versions: Versions::with(&library.version),
        };
        let weight_bytes = model.onnx.len() as u64;
        let capabilities = Capabilities::of(model.onnx, model.card.labels.len());
        let graph = description.digests.graph.clone();
        let spare = spare(args.clone(), *concurrency, device, library, graph);
        let resources = Resources {
            memory: Arc::clone(&self.memory),
            cores: (device == Device::Cpu).then_some(cores),
            metrics,
        };
        let engines = Engines { ready: engines, spare: Some(spare) };
        let plan = self.config.pipeline(*concurrency, device);
        let pipeline = Pipeline::start(model.card, plan, engines, resources)
            .map_err(|error| CheckFailed::new(LoadFailure::Internal, error.to_string()))?
            .with_capabilities(capabilities);
        let (version, load, used) = (version.clone(), spec.load, LastUse::default());
        Ok(Served { version, pipeline, description, weight_bytes, load, used })
    }
}

/// Compares the graph's digest with that in the configuration.
fn check_digest(spec: &ModelSpec, digests: &Digests) -> Result<()> {
    let (Some(expected), found) = (&spec.digest, &digests.graph) else { return Ok(()) };
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let message = format!(
        "the graph has the digest {found}, but the configuration has {expected}\n\
         hint: if the new model is correct, write its digest into the configuration file"
    );
    Err(CheckFailed::new(LoadFailure::Digest, message).into())
}

/// The source of `spec`. Its fingerprint combines the settings with `fingerprint`, that of the files.
pub(super) fn source(loader: &Arc<Loader>, spec: ModelSpec, fingerprint: u64) -> Source {
    let mut hasher = DefaultHasher::new();
    let policy = spec.policy.clone();
    // A changed policy does not require reloading.
    let spec = ModelSpec { policy: RoutingPolicy::default(), ..spec };
    (fingerprint, format!("{spec:?}")).hash(&mut hasher);
    let name = spec.name.clone().unwrap_or_else(|| spec.args.model.clone());
    let (version, load) = (spec.version.clone(), spec.load);
    let loader = Arc::clone(loader);
    let open: Open = Arc::new(move || {
        loader
            .load(&spec)
            .map_err(|error| OpenError { failure: failure_of(&error), reason: error_chain(&error) })
    });
    Source { name, version, fingerprint: hasher.finish(), load, policy, open }
}

/// Loads the model again when a stuck worker is replaced. That is rare, and a spare copy would occupy memory
/// all the time. The graph must have this digest still.
fn spare(
    args: ModelArgs,
    concurrency: Concurrency,
    device: Device,
    library: Library,
    digest: String,
) -> SpareEngine {
    Box::new(move || {
        load::one_engine(&args, concurrency, device, &library, &digest)
            .map_err(|error| format!("{error:#}"))
    })
}
