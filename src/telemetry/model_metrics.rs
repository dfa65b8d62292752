//! The metrics of one pipeline, each with the labels `model` and `version`.

use std::sync::Arc;

use prometheus::{Gauge, Histogram, IntCounter};

use super::Reason;
use super::families::{ModelFamilies, ModelLabels, PRIORITIES, remove};
use super::gauge_part::GaugePart;

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
    /// The limit of `images_in_flight`.
    pub images_in_flight_limit: GaugePart,
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
    model: ModelLabels,
    families: Arc<ModelFamilies>,
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
    /// The metrics of a pipeline of one version of a model, as series of `families`.
    pub(super) fn new(families: &Arc<ModelFamilies>, name: &str, version: &str) -> Arc<Self> {
        let model = ModelLabels { name: name.to_owned(), version: version.to_owned() };
        families.add(&model);
        let metrics = Arc::new(Self::of(families, model));
        for reason in Reason::ALL {
            let _ = metrics.rejected_for(reason); // exported as 0 before the first rejection
        }
        metrics
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
        let ModelLabels { name, version } = &self.model;
        let resnetd = env!("CARGO_PKG_VERSION");
        let labels = [name, version, architecture, device, onnxruntime, resnetd];
        // Removes the old series, which may have another architecture or device.
        remove(&self.families.info, &self.model);
        self.families.info.with_label_values(&labels).set(1.0);
    }

    fn of(families: &Arc<ModelFamilies>, model: ModelLabels) -> Self {
        let ModelFamilies { counters, gauges, histograms, .. } = &**families;
        let labels = [model.name.as_str(), model.version.as_str()];
        Self {
            images: counters.images.with_label_values(&labels),
            abandoned: counters.abandoned.with_label_values(&labels),
            failed_batches: counters.failed_batches.with_label_values(&labels),
            decoder_panics: counters.decoder_panics.with_label_values(&labels),
            not_finite: counters.not_finite.with_label_values(&labels),
            worker_replacements: counters.worker_replacements.with_label_values(&labels),
            stuck_workers: GaugePart::of(gauges.stuck_workers.with_label_values(&labels)),
            queue_depth: GaugePart::of(gauges.queue_depth.with_label_values(&labels)),
            images_in_flight: GaugePart::of(gauges.images_in_flight.with_label_values(&labels)),
            images_in_flight_limit: GaugePart::of(
                gauges.images_in_flight_limit.with_label_values(&labels),
            ),
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
            families: Arc::clone(families),
        }
    }

    fn rejected_for(&self, reason: Reason) -> IntCounter {
        let ModelLabels { name, version } = &self.model;
        self.families.rejected.with_label_values(&[name, version, reason.slug()])
    }
}

impl Drop for ModelMetrics {
    fn drop(&mut self) {
        self.families.forget(&self.model);
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
