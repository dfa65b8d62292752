//! Classification of one image: bytes → header → admission → queue → decode → preprocess → run → top-k. With dedicated
//! decoders, images are decoded and preprocessed before the queue.
//!
//! Independent of HTTP: the server, the commands and the tests use it in the same way.

pub mod decode; // bytes → upright RGB image
pub mod preprocess; // image → exactly the network's input
pub mod prepare; // both, with timings
pub mod queue; // admission control and fair queueing
pub mod run; // batches through ONNX Runtime
pub mod golden; // checks a card's golden photos at every load
pub mod topk; // scores → predictions
pub mod temperature; // temperature scaling
pub mod classes; // looks up classes by name
pub mod prediction_sets; // conformal prediction sets
pub mod rollup; // probabilities of wider classes
pub mod postprocess; // adds prediction sets and roll-ups to an answer
pub mod idle; // returns freed memory when idle
pub mod explain; // class activation maps

mod classify; // the steps for one image
mod lifecycle; // start and end
mod facts; // size and times of one image
mod classification; // the answer for one image
mod admit; // admission of images and uploads
mod decoders; // decoding on other threads than the workers
mod embed; // bytes → embedding
mod infer; // bytes or preprocessed pixels → all scores
mod preview; // bytes → the network's input
mod png; // PNG encoding
mod plan; // configuration and resources of a pipeline
mod output; // the outputs of a graph
mod not_offered; // outputs that a model does not have

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

pub use classification::{Classification, ClassifyError};
pub use embed::{Embedding, Normalize};
pub use facts::{ImageFacts, Timings};
pub use infer::{InferOutputs, Inferred, InputImage};
pub use not_offered::NotOffered;
pub use output::Output;
pub use plan::{Decoding, Observer, PipelinePlan, Resources};
pub use preview::{PreprocessSteps, Preview};

use crate::model::ModelCard;
use crate::telemetry::ModelMetrics;
use classes::ClassIndex;
use decoders::Decoders;
use explain::Capabilities;
use queue::{Admission, Queue};
use rollup::{NoTaxonomy, Taxonomy};
use run::{CoreShare, Health, Workers};

/// One model, ready to classify. [`Pipeline::finish`] ends its threads.
#[derive(Debug)]
pub struct Pipeline {
    card: Arc<ModelCard>,
    capabilities: Capabilities,
    classes: ClassIndex,
    taxonomy: Result<Taxonomy, NoTaxonomy>,
    plan: PipelinePlan,
    admission: Arc<Admission>,
    decoders: Decoders,
    /// Number of images that one caller should have in flight.
    at_once: usize,
    queue: Queue,
    health: Arc<Health>,
    /// Access to the cores; `None` without a limit.
    cores: Option<Arc<CoreShare>>,
    metrics: Arc<ModelMetrics>,
    workers: Mutex<Option<Workers>>,
    observer: RwLock<Option<Arc<dyn Observer>>>,
}

impl Pipeline {
    /// The model's card.
    #[must_use]
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// What the model supports besides classification.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The model's classes by name.
    #[must_use]
    pub fn classes(&self) -> &ClassIndex {
        &self.classes
    }

    /// The model's wider classes.
    ///
    /// # Errors
    ///
    /// [`NoTaxonomy`] if the model has none, with the reason.
    pub fn taxonomy(&self) -> Result<&Taxonomy, NoTaxonomy> {
        self.taxonomy.as_ref().map_err(Clone::clone)
    }

    /// The model's metrics.
    #[must_use]
    pub fn metrics(&self) -> &Arc<ModelMetrics> {
        &self.metrics
    }

    /// Sets the observer that is notified of classified images.
    pub fn observe(&self, observer: Option<Arc<dyn Observer>>) {
        *self.observer.write().unwrap_or_else(PoisonError::into_inner) = observer;
    }

    /// Number of images that are being decoded, queued or running.
    #[must_use]
    pub fn images_in_flight(&self) -> usize {
        self.admission.images()
    }

    /// The number of images that one caller should have in flight: enough to keep all decoders and
    /// workers busy, and at most the capacity of the queue.
    #[must_use]
    pub fn at_once(&self) -> usize {
        self.at_once
    }

    /// The configuration of this pipeline.
    #[must_use]
    pub fn plan(&self) -> &PipelinePlan {
        &self.plan
    }

    /// The predicted time until all images in flight are answered.
    #[must_use]
    pub fn predicted_wait(&self) -> Duration {
        self.admission.predicted_wait()
    }

    /// Fraction of the workers' time in which they were busy, over the last seconds; 0 to about 1.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.admission.utilization()
    }

    /// Why the pipeline is not ready: failed batches or a stuck worker. `None` if it is ready.
    #[must_use]
    pub fn why_not_ready(&self) -> Option<&'static str> {
        self.health.why_not()
    }
}
