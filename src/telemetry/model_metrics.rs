//! The metrics of one model, each with the labels `model` and `version`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec,
};

use super::Reason;
use super::declare::{BATCH_SIZES, Declare, SECONDS};
use super::gauge_part::GaugePart;

/// The labels of all metrics in this file.
const LABELS: [&str; 2] = ["model", "version"];
/// Values of the label for priority classes.
const PRIORITIES: [&str; 2] = ["interactive", "batch"];

/// The metrics of a pipeline. Pipelines of the same model and version share series, whose export ends when
/// the last of these pipelines is dropped.
#[derive(Debug)]
pub struct ModelMetrics {
    /// Classified images.
    pub images: IntCounter,
    /// Images whose client disconnected before they were run.
    pub abandoned: IntCounter,
    /// Batches whose run failed.
    pub failed_batches: IntCounter,
    /// Images whose decoder panicked.
    pub decoder_panics: IntCounter,
    /// Images with infinite or NaN scores.
    pub not_finite: IntCounter,
    /// Workers that are busy with one batch for longer than the limit.
    pub stuck_workers: GaugePart,
    /// Stuck workers that were replaced.
    pub worker_replacements: IntCounter,
    /// Images in the queue.
    pub queue_depth: GaugePart,
    /// Admitted images that are not yet answered.
    pub images_in_flight: GaugePart,
    /// Predicted wait of a request that arrives now, in seconds; for autoscaling.
    pub predicted_wait_seconds: Gauge,
    /// Time that an upload waits for a decoder thread, with `--decoders`.
    pub decode_wait_seconds: Histogram,
    /// Time to decode an upload, including failures.
    pub decode_seconds: Histogram,
    /// Time to resize and crop an image.
    pub preprocess_seconds: Histogram,
    /// Time that an image waits in the queue, by priority class.
    queue_wait_seconds: [Histogram; 2],
    /// Time of a batch in ONNX Runtime.
    pub inference_seconds: Histogram,
    /// Images per batch.
    pub batch_size: Histogram,
    /// Time to build the graph and its sessions.
    pub load_seconds: Gauge,
    /// Time of the warm-up runs.
    pub warm_up_seconds: Gauge,
    model: ModelVersion,
    families: Arc<ModelFamilies>,
}

/// Name and version of a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ModelVersion {
    name: String,
    version: String,
}

/// Labels of the metric `resnetd_model_info`.
#[derive(Debug, Clone, Copy)]
pub struct ModelInfo<'a> {
    /// Row of the architecture table.
    pub architecture: &'a str,
    /// Device in use: `cpu` or `cuda:N`.
    pub device: &'a str,
    /// Version of ONNX Runtime.
    pub onnxruntime: &'a str,
}

impl ModelMetrics {
    /// Metrics that are not exported, for commands and tests.
    #[must_use]
    pub fn unexported() -> Arc<Self> {
        super::Metrics::new().of_model("none", "1")
    }

    /// Counts a rejected image.
    pub fn rejected(&self, reason: Reason) {
        self.rejected_for(reason).inc();
    }

    /// Number of images that were rejected for `reason`.
    #[must_use]
    pub fn rejected_count(&self, reason: Reason) -> u64 {
        self.rejected_for(reason).get()
    }

    /// Queue times of the priority class with this name; of `interactive` if the name is unknown.
    #[must_use]
    pub fn queue_wait(&self, priority: &str) -> &Histogram {
        let [interactive, batch] = &self.queue_wait_seconds;
        if priority == PRIORITIES[1] { batch } else { interactive }
    }

    /// Queue times of both priority classes.
    #[must_use]
    pub fn queue_waits(&self) -> &[Histogram; 2] {
        &self.queue_wait_seconds
    }

    /// Exports the labels of `resnetd_model_info`.
    pub fn runs_on(&self, info: ModelInfo<'_>) {
        let ModelInfo { architecture, device, onnxruntime } = info;
        let ModelVersion { name, version } = &self.model;
        let resnetd = env!("CARGO_PKG_VERSION");
        let labels = [name, version, architecture, device, onnxruntime, resnetd];
        // Removes the old series, which may have another architecture or device.
        remove(&self.families.info, &self.model);
        self.families.info.with_label_values(&labels).set(1.0);
    }

    fn rejected_for(&self, reason: Reason) -> IntCounter {
        let ModelVersion { name, version } = &self.model;
        self.families.rejected.with_label_values(&[name, version, reason.slug()])
    }
}

impl Drop for ModelMetrics {
    fn drop(&mut self) {
        self.families.forget(&self.model);
    }
}

/// The metric families of all models.
#[derive(Debug)]
pub(super) struct ModelFamilies {
    counters: Counters,
    gauges: Gauges,
    histograms: Histograms,
    rejected: IntCounterVec,
    info: GaugeVec,
    /// Number of pipelines that use the series of each model.
    in_use: Mutex<HashMap<ModelVersion, usize>>,
}

#[derive(Debug)]
struct Counters {
    images: IntCounterVec,
    abandoned: IntCounterVec,
    failed_batches: IntCounterVec,
    decoder_panics: IntCounterVec,
    not_finite: IntCounterVec,
    worker_replacements: IntCounterVec,
}

#[derive(Debug)]
struct Gauges {
    stuck_workers: IntGaugeVec,
    queue_depth: IntGaugeVec,
    images_in_flight: IntGaugeVec,
    predicted_wait_seconds: GaugeVec,
    load_seconds: GaugeVec,
    warm_up_seconds: GaugeVec,
}

#[derive(Debug)]
struct Histograms {
    decode_wait_seconds: HistogramVec,
    decode_seconds: HistogramVec,
    preprocess_seconds: HistogramVec,
    queue_wait_seconds: HistogramVec,
    inference_seconds: HistogramVec,
    batch_size: HistogramVec,
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

    /// The metrics of a pipeline, for one version of a model.
    pub(super) fn of_model(self: &Arc<Self>, name: &str, version: &str) -> Arc<ModelMetrics> {
        let model = ModelVersion { name: name.to_owned(), version: version.to_owned() };
        let mut in_use = self.lock();
        let metrics = Arc::new(self.make(model.clone()));
        for reason in Reason::ALL {
            let _ = metrics.rejected_for(reason); // exported as 0 before the first rejection
        }
        *in_use.entry(model).or_default() += 1;
        metrics
    }

    pub(super) fn rejected_without_model(&self, reason: Reason) {
        self.rejected.with_label_values(&["", "", reason.slug()]).inc();
    }

    fn make(self: &Arc<Self>, model: ModelVersion) -> ModelMetrics {
        let Self { counters, gauges, histograms, .. } = &**self;
        let labels = [model.name.as_str(), model.version.as_str()];
        ModelMetrics {
            images: counters.images.with_label_values(&labels),
            abandoned: counters.abandoned.with_label_values(&labels),
            failed_batches: counters.failed_batches.with_label_values(&labels),
            decoder_panics: counters.decoder_panics.with_label_values(&labels),
            not_finite: counters.not_finite.with_label_values(&labels),
            worker_replacements: counters.worker_replacements.with_label_values(&labels),
            stuck_workers: GaugePart::of(gauges.stuck_workers.with_label_values(&labels)),
            queue_depth: GaugePart::of(gauges.queue_depth.with_label_values(&labels)),
            images_in_flight: GaugePart::of(gauges.images_in_flight.with_label_values(&labels)),
            predicted_wait_seconds: gauges.predicted_wait_seconds.with_label_values(&labels),
            load_seconds: gauges.load_seconds.with_label_values(&labels),
            warm_up_seconds: gauges.warm_up_seconds.with_label_values(&labels),
            decode_wait_seconds: histograms.decode_wait_seconds.with_label_values(&labels),
            decode_seconds: histograms.decode_seconds.with_label_values(&labels),
            preprocess_seconds: histograms.preprocess_seconds.with_label_values(&labels),
            queue_wait_seconds: PRIORITIES.map(|priority| {
                histograms.queue_wait_seconds.with_label_values(&[labels[0], labels[1], priority])
            }),
            inference_seconds: histograms.inference_seconds.with_label_values(&labels),
            batch_size: histograms.batch_size.with_label_values(&labels),
            model,
            families: Arc::clone(self),
        }
    }

    /// Removes the series of a model when its last pipeline is dropped.
    fn forget(&self, model: &ModelVersion) {
        let mut in_use = self.lock();
        if let Some(pipelines) = in_use.get_mut(model) {
            *pipelines -= 1;
            if *pipelines > 0 {
                return;
            }
        }
        in_use.remove(model);
        let Self { counters, gauges, histograms, rejected, info, .. } = self;
        let Counters {
            images,
            abandoned,
            failed_batches,
            decoder_panics,
            not_finite,
            worker_replacements,
        } = counters;
        for family in [
            images,
            abandoned,
            failed_batches,
            decoder_panics,
            not_finite,
            worker_replacements,
            rejected,
        ] {
            remove(family, model);
        }
        let Gauges {
            stuck_workers,
            queue_depth,
            images_in_flight,
            predicted_wait_seconds,
            load_seconds,
            warm_up_seconds,
        } = gauges;
        for family in [stuck_workers, queue_depth, images_in_flight] {
            remove(family, model);
        }
        for family in [predicted_wait_seconds, load_seconds, warm_up_seconds, info] {
            remove(family, model);
        }
        let Histograms {
            decode_wait_seconds,
            decode_seconds,
            preprocess_seconds,
            queue_wait_seconds,
            inference_seconds,
            batch_size,
        } = histograms;
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

    fn lock(&self) -> MutexGuard<'_, HashMap<ModelVersion, usize>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes every series of `model` from `family`.
fn remove<B: MetricVecBuilder>(family: &MetricVec<B>, model: &ModelVersion) {
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

#[cfg(test)]
mod tests {
    use crate::telemetry::{Metrics, ModelInfo, Reason};

    #[test]
    fn a_models_series_are_removed_with_its_last_pipeline() {
        let metrics = Metrics::new();
        let first = metrics.of_model("pets", "1");
        let again = metrics.of_model("pets", "1");
        let second = metrics.of_model("pets", "2");
        first.images.inc();
        again.images.inc();
        second.rejected(Reason::Deadline);
        drop(first);
        let text = metrics.encode();
        assert!(text.contains("resnetd_images_total{model=\"pets\",version=\"1\"} 2"), "{text}");
        drop(again);
        let text = metrics.encode();
        assert!(!text.contains("version=\"1\""), "{text}");
        let line = "resnetd_rejected_total{model=\"pets\",reason=\"deadline\",version=\"2\"} 1";
        assert!(text.contains(line), "{text}");
        let third = metrics.of_model("pets", "1");
        assert_eq!(third.images.get(), 0);
    }

    #[test]
    fn during_a_reload_gauges_are_the_sum_of_both_pipelines() {
        let metrics = Metrics::new();
        let exported = |name: &str| {
            let series = format!("resnetd_{name}{{model=\"pets\",version=\"1\"}} ");
            let text = metrics.encode();
            text.lines().find_map(|line| line.strip_prefix(&*series).map(str::to_owned))
        };
        let old = metrics.of_model("pets", "1");
        old.queue_depth.set(5);
        let new = metrics.of_model("pets", "1");
        new.queue_depth.set(2);
        assert_eq!(exported("queue_depth").as_deref(), Some("7"), "the queues of both are added");
        assert_eq!((old.queue_depth.get(), new.queue_depth.get()), (5, 2));
        old.queue_depth.set(0);
        assert_eq!(exported("queue_depth").as_deref(), Some("2"));
        old.images_in_flight.set(3);
        drop(old);
        assert_eq!(
            exported("images_in_flight").as_deref(),
            Some("0"),
            "its contribution is removed"
        );
        assert_eq!(exported("queue_depth").as_deref(), Some("2"));
        drop(new);
        assert_eq!(exported("queue_depth"), None);
    }

    #[test]
    fn a_reload_on_another_device_leaves_one_model_info_series() {
        let metrics = Metrics::new();
        let kept = metrics.of_model("pets", "1");
        for device in ["cuda:0", "cpu"] {
            kept.runs_on(ModelInfo { architecture: "resnet20", device, onnxruntime: "1.31" });
        }
        let text = metrics.encode();
        let series = text.lines().filter(|line| line.starts_with("resnetd_model_info{"));
        let devices: Vec<_> = series.map(|line| line.contains("device=\"cpu\"")).collect();
        assert_eq!(devices, [true], "{text}");
    }
}
