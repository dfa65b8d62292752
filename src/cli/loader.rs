//! Loads models for the server: from the options of a model to a pipeline that answers.

use std::sync::Arc;

use anyhow::Result;

use super::load::{self, Loaded, load_meanwhile};
use crate::config::{Concurrency, Config, ModelArgs};
use crate::model::{Model, is_embedded};
use crate::pipeline::explain::Offers;
use crate::pipeline::queue::Memory;
use crate::pipeline::run::{Cores, Device, Engines, Library, SpareEngine, WarmSessions};
use crate::pipeline::{Decoding, Pipeline, Resources};
use crate::registry::{Description, LastUse, LoadWhen, Served, Version, Versions};
use crate::telemetry::{Metrics, ModelInfo};

/// Loads models that share a process.
#[derive(Debug)]
pub(super) struct Loader {
    pub(super) config: Config,
    pub(super) cores: Arc<Cores>,
    pub(super) memory: Arc<Memory>,
    pub(super) metrics: Arc<Metrics>,
}

impl Loader {
    /// Opens the model of `args`, warms its sessions up, checks its golden photos and starts its workers.
    pub(super) fn load(&self, args: &ModelArgs, version: &Version) -> Result<Served> {
        let concurrency = self.config.concurrency;
        // Loading mostly uses one core, so another computes the digests meanwhile.
        let (loaded, digests) = load_meanwhile(args, concurrency, Model::digests)?;
        let Loaded { model, why, device_why, library, warm } = loaded;
        let WarmSessions { engines, device, load, warm_up } = warm;
        let metrics = self.metrics.of_model(&model.card.name, version.as_str());
        metrics.load_seconds.set(load.as_secs_f64());
        metrics.warm_up_seconds.set(warm_up.as_secs_f64());
        metrics.runs_on(ModelInfo {
            architecture: &model.card.architecture,
            device: &device.to_string(),
            onnxruntime: &library.version,
        });
        let (card, golden_photos) = Description::of(&model);
        let description = Description {
            demonstration: is_embedded(&card.name),
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
                Decoding::ByWorkers => 0,
                Decoding::Beside(decoders) => decoders,
            },
            jpeg_scaling: self.config.jpeg_scaling,
            versions: Versions::with(&library.version),
        };
        let weight_bytes = model.onnx.len() as u64;
        let offers = Offers::of(model.onnx, model.card.labels.len());
        let spare = spare(args.clone(), concurrency, (device, library));
        let resources = Resources {
            memory: Arc::clone(&self.memory),
            cores: match device {
                Device::Cpu => Some(self.cores.share(concurrency.threads, 1.0)),
                Device::Cuda(_) => None,
            },
            metrics,
        };
        let engines = Engines { ready: engines, spare: Some(spare) };
        let plan = self.config.pipeline(device);
        let pipeline = Pipeline::start(model.card, plan, engines, resources)?.offering(offers);
        Ok(Served {
            version: version.clone(),
            pipeline,
            description,
            weight_bytes,
            load: LoadWhen::Now,
            used: LastUse::default(),
        })
    }
}

/// Loads the model again when a stuck worker has to be replaced. That is rare, and a second copy
/// would need its memory all the time.
fn spare(
    args: ModelArgs,
    concurrency: Concurrency,
    (device, library): (Device, Library),
) -> SpareEngine {
    Box::new(move || {
        load::one_engine(&args, concurrency, device, &library).map_err(|error| format!("{error:#}"))
    })
}
