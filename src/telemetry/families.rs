//! The metric families of all models, with the labels `model` and `version`.

use std::collections::HashMap;
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
pub(super) struct ModelVersion {
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
    in_use: Mutex<HashMap<ModelVersion, usize>>,
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
        let counters = Counters {
            images: declare.counters("images_total", "Images classified", &LABELS),
            abandoned: declare.counters("abandoned_total", "Images whose client disconnected before they were run", &LABELS),
            failed_batches: declare.counters("failed_batches_total", "Batches whose run failed", &LABELS),
            decoder_panics: declare.counters("decoder_panics_total", "Images whose decoder panicked; they are answered as damaged", &LABELS),
            not_finite: declare.counters("not_finite_total", "Images whose scores were not finite", &LABELS),
            worker_replacements: declare.counters("worker_replacements_total", "Stuck workers that were replaced", &LABELS),
        };
        let gauges = Gauges {
            stuck_workers: declare.int_gauges("stuck_workers", "Workers busy with one batch for longer than --stuck-after", &LABELS),
            queue_depth: declare.int_gauges("queue_depth", "Images waiting for a worker", &LABELS),
            images_in_flight: declare.int_gauges("images_in_flight", "Images admitted and not yet answered", &LABELS),
            images_in_flight_limit: declare.int_gauges("images_in_flight_limit", "The limit of images_in_flight (--queue-capacity)", &LABELS),
            predicted_wait_seconds: declare.gauges("predicted_wait_seconds", "Predicted time until an image that arrives now is answered", &LABELS),
            load_seconds: declare.gauges("model_load_seconds", "Time to build the graph and its sessions", &LABELS),
            warm_up_seconds: declare.gauges("warm_up_seconds", "Time of the warm-up runs before the model serves", &LABELS),
        };
        let histograms = Histograms {
            decode_wait_seconds: declare.histograms("decode_wait_seconds", "Time one upload waits for a decoder thread; nothing is measured where workers decode, as by default on a CPU", &LABELS, SECONDS),
            decode_seconds: declare.histograms("decode_seconds", "Time to decode one upload", &LABELS, SECONDS),
            preprocess_seconds: declare.histograms("preprocess_seconds", "Time to resize and crop one image", &LABELS, SECONDS),
            queue_wait_seconds: declare.histograms("queue_wait_seconds", "Time one image waits in the queue", &["model", "version", "priority"], SECONDS),
            inference_seconds: declare.histograms("inference_seconds", "Time of one batch in ONNX Runtime", &LABELS, SECONDS),
            batch_size: declare.histograms("batch_size", "Images per batch", &LABELS, BATCH_SIZES),
        };
        Self {
            counters, gauges, histograms,
            rejected: declare.counters("rejected_total", "Images rejected, by reason", &["model", "version", "reason"]),
            info: declare.gauges("model_info", "The model, device and versions, as labels; always 1", &["model", "version", "architecture", "device", "onnxruntime", "resnetd"]),
            in_use: Mutex::default(),
        }
    }

    /// Counts a new pipeline of `model`.
    pub(super) fn add(&self, model: &ModelVersion) {
        *self.lock().entry(model.clone()).or_default() += 1;
    }

    /// Counts a pipeline that has ended, and removes the series of `model` with its last pipeline.
    pub(super) fn forget(&self, model: &ModelVersion) {
        let mut in_use = self.lock();
        if let Some(pipelines) = in_use.get_mut(model) {
            *pipelines -= 1;
            if *pipelines > 0 {
                return;
            }
        }
        in_use.remove(model);
        let Self { counters, gauges, histograms, rejected, info, in_use: _ } = self;
        counters.remove(model);
        gauges.remove(model);
        histograms.remove(model);
        remove(rejected, model);
        remove(info, model);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ModelVersion, usize>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    fn remove(&self, model: &ModelVersion) {
        let Self {
            images,
            abandoned,
            failed_batches,
            decoder_panics,
            not_finite,
            worker_replacements,
        } = self;
        for family in
            [images, abandoned, failed_batches, decoder_panics, not_finite, worker_replacements]
        {
            remove(family, model);
        }
    }
}

impl Gauges {
    fn remove(&self, model: &ModelVersion) {
        let Self {
            stuck_workers,
            queue_depth,
            images_in_flight,
            images_in_flight_limit,
            predicted_wait_seconds,
            load_seconds,
            warm_up_seconds,
        } = self;
        for family in [stuck_workers, queue_depth, images_in_flight, images_in_flight_limit] {
            remove(family, model);
        }
        for family in [predicted_wait_seconds, load_seconds, warm_up_seconds] {
            remove(family, model);
        }
    }
}

impl Histograms {
    fn remove(&self, model: &ModelVersion) {
        let Self {
            decode_wait_seconds,
            decode_seconds,
            preprocess_seconds,
            queue_wait_seconds,
            inference_seconds,
            batch_size,
        } = self;
        for family in [
            decode_wait_seconds,
            decode_seconds,
            preprocess_seconds,
            queue_wait_seconds,
            inference_seconds,
            batch_size,
        ] {
            remove(family, model);
        }
    }
}

/// Removes every series of `model` from `family`.
pub(super) fn remove<B: MetricVecBuilder>(family: &MetricVec<B>, model: &ModelVersion) {
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
