//! The metric families of all models, with the labels `model` and `version`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec};

use super::declare::{BATCH_SIZES, Declare, SECONDS};

/// The labels of the metrics of a model.
const LABELS: [&str; 2] = ["model", "version"];
/// Values of the label for priority classes.
pub(super) const PRIORITIES: [&str; 2] = ["interactive", "batch"];

/// Name and version of a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ModelLabels {
    pub(super) name: String,
    pub(super) version: String,
}

/// The metric families of all models.
#[derive(Debug)]
pub(super) struct ModelFamilies {
    pub(super) counters: Counters,
    pub(super) gauges: Gauges,
    pub(super) histograms: Histograms,
    pub(super) rejected: IntCounterVec,
    pub(super) info: GaugeVec,
    /// Number of pipelines that use the series of each model.
    in_use: Mutex<HashMap<ModelLabels, usize>>,
    removals: Removals,
}

#[derive(Debug)]
pub(super) struct Counters {
    pub(super) images: IntCounterVec,
    pub(super) abandoned: IntCounterVec,
    pub(super) failed_batches: IntCounterVec,
    pub(super) decoder_panics: IntCounterVec,
    pub(super) not_finite: IntCounterVec,
    pub(super) worker_replacements: IntCounterVec,
}

#[derive(Debug)]
pub(super) struct Gauges {
    pub(super) stuck_workers: IntGaugeVec,
    pub(super) queue_depth: IntGaugeVec,
    pub(super) images_in_flight: IntGaugeVec,
    pub(super) images_in_flight_limit: IntGaugeVec,
    pub(super) predicted_wait_seconds: GaugeVec,
    pub(super) load_seconds: GaugeVec,
    pub(super) warm_up_seconds: GaugeVec,
}

#[derive(Debug)]
pub(super) struct Histograms {
    pub(super) decode_wait_seconds: HistogramVec,
    pub(super) decode_seconds: HistogramVec,
    pub(super) preprocess_seconds: HistogramVec,
    pub(super) queue_wait_seconds: HistogramVec,
    pub(super) inference_seconds: HistogramVec,
    pub(super) batch_size: HistogramVec,
}

impl ModelFamilies {
    #[rustfmt::skip] // one metric a line
    pub(super) fn declare(declare: &Declare) -> Self {
        let families = DeclareOfModels { declare, removals: RefCell::default() };
        let counters = Counters {
            images: families.counters("images_total", "Images classified"),
            abandoned: families.counters("abandoned_total", "Images whose client disconnected before they were run"),
            failed_batches: families.counters("failed_batches_total", "Batches whose run failed"),
            decoder_panics: families.counters("decoder_panics_total", "Images whose decoder panicked; they are answered as damaged"),
            not_finite: families.counters("not_finite_total", "Images whose scores were not finite"),
            worker_replacements: families.counters("worker_replacements_total", "Stuck workers that were replaced"),
        };
        let gauges = Gauges {
            stuck_workers: families.int_gauges("stuck_workers", "Workers busy with one batch for longer than --stuck-after"),
            queue_depth: families.int_gauges("queue_depth", "Images waiting for a worker"),
            images_in_flight: families.int_gauges("images_in_flight", "Images admitted and not yet answered"),
            images_in_flight_limit: families.int_gauges("images_in_flight_limit", "The limit of images_in_flight (--queue-capacity)"),
            predicted_wait_seconds: families.gauges("predicted_wait_seconds", "Predicted wait: time until the images in flight are answered (docs/overload.md)"),
            load_seconds: families.gauges("model_load_seconds", "Time to build the graph and its sessions"),
            warm_up_seconds: families.gauges("warm_up_seconds", "Time of the warm-up runs before the model serves"),
        };
        let histograms = Histograms {
            decode_wait_seconds: families.histograms("decode_wait_seconds", "Time one upload waits for a decoder thread; nothing is measured where workers decode, as by default on a CPU", SECONDS),
            decode_seconds: families.histograms("decode_seconds", "Time to decode one upload", SECONDS),
            preprocess_seconds: families.histograms("preprocess_seconds", "Time to resize and crop one image", SECONDS),
            queue_wait_seconds: families.removable(declare.histograms("queue_wait_seconds", "Time one image waits in the queue", &["model", "version", "priority"], SECONDS)),
            inference_seconds: families.histograms("inference_seconds", "Time of one batch in ONNX Runtime", SECONDS),
            batch_size: families.histograms("batch_size", "Images per batch", BATCH_SIZES),
        };
        let rejected = families.removable(declare.counters("rejected_total", "Images, uploads and requests rejected for lack of capacity, by reason", &["model", "version", "reason"]));
        let info = families.removable(declare.gauges("model_info", "The model, device and versions, as labels; always 1", &["model", "version", "architecture", "device", "onnxruntime", "resnetd"]));
        let removals = Removals(families.removals.into_inner());
        Self { counters, gauges, histograms, rejected, info, in_use: Mutex::default(), removals }
    }

    /// Counts a new pipeline of `model`.
    pub(super) fn add(&self, model: &ModelLabels) {
        *self.lock().entry(model.clone()).or_default() += 1;
    }

    /// Counts a pipeline that has ended, and removes the series of `model` with its last pipeline.
    pub(super) fn forget(&self, model: &ModelLabels) {
        let mut in_use = self.lock();
        if let Some(pipelines) = in_use.get_mut(model) {
            *pipelines -= 1;
            if *pipelines > 0 {
                return;
            }
        }
        in_use.remove(model);
        for remove_series in &self.removals.0 {
            remove_series(model);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ModelLabels, usize>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Declares families of all models, each with the removal of one model's series.
struct DeclareOfModels<'a> {
    declare: &'a Declare,
    removals: RefCell<Vec<RemoveSeries>>,
}

/// Removes the series of a model from one family.
type RemoveSeries = Box<dyn Fn(&ModelLabels) + Send + Sync>;

impl DeclareOfModels<'_> {
    fn counters(&self, name: &str, help: &str) -> IntCounterVec {
        self.removable(self.declare.counters(name, help, &LABELS))
    }

    fn int_gauges(&self, name: &str, help: &str) -> IntGaugeVec {
        self.removable(self.declare.int_gauges(name, help, &LABELS))
    }

    fn gauges(&self, name: &str, help: &str) -> GaugeVec {
        self.removable(self.declare.gauges(name, help, &LABELS))
    }

    fn histograms(&self, name: &str, help: &str, buckets: &[f64]) -> HistogramVec {
        self.removable(self.declare.histograms(name, help, &LABELS, buckets))
    }

    /// `family`, whose series are removed with their model.
    fn removable<B: MetricVecBuilder + 'static>(&self, family: MetricVec<B>) -> MetricVec<B> {
        let shared = family.clone();
        self.removals.borrow_mut().push(Box::new(move |model| remove(&shared, model)));
        family
    }
}

/// The removal of one model's series from every family.
struct Removals(Vec<RemoveSeries>);

impl fmt::Debug for Removals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Removals").field(&self.0.len()).finish()
    }
}

/// Removes every series of `model` from `family`.
pub(super) fn remove<B: MetricVecBuilder>(family: &MetricVec<B>, model: &ModelLabels) {
    let mut series = Vec::new();
    for metric in family.collect().iter().flat_map(prometheus::proto::MetricFamily::get_metric) {
        let labels: HashMap<String, String> = metric
            .get_label()
            .iter()
            .map(|pair| (pair.name().to_owned(), pair.value().to_owned()))
            .collect();
        if labels.get("model") == Some(&model.name) && labels.get("version") == Some(&model.version)
        {
            series.push(labels);
        }
    }
    for labels in series {
        let labels: HashMap<&str, &str> =
            labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let _ = family.remove(&labels);
    }
}
