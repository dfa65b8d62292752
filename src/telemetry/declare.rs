//! Creates and registers metrics.

use std::cell::RefCell;

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use super::advice::advice;

/// 0.1 ms to 60 s: from the inference of a tiny network to a request that waits until its deadline.
pub(super) const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];
pub(super) const BATCH_SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// A metric, for the documentation.
#[derive(Debug, Clone)]
pub struct MetricDescription {
    /// Its name, without `resnetd_`.
    pub name: String,
    /// Counter, gauge or histogram.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// What it counts or measures.
    pub help: String,
    /// What a rising value means and what to do.
    pub advice: Option<&'static str>,
}

/// Creates metrics with the prefix `resnetd_` and registers them.
#[derive(Default)]
pub(super) struct Declare {
    pub(super) registry: Registry,
    pub(super) described: RefCell<Vec<MetricDescription>>,
}

impl Declare {
    fn register<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        kind: &'static str,
        made: prometheus::Result<C>,
    ) -> C {
        let metric = made.expect("metric names, labels and buckets are valid constants");
        self.registry.register(Box::new(metric.clone())).expect("every metric has its own name");
        for desc in metric.desc() {
            let name = desc.fq_name.trim_start_matches("resnetd_").to_owned();
            let advice = advice(&name);
            let (labels, help) = (desc.variable_labels.clone(), desc.help.clone());
            self.described.borrow_mut().push(MetricDescription {
                name,
                kind,
                labels,
                help,
                advice,
            });
        }
        metric
    }

    fn opts(name: &str, help: &str) -> Opts {
        Opts::new(format!("resnetd_{name}"), help)
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register("counter", IntCounter::with_opts(Self::opts(name, help)))
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register("counter", IntCounterVec::new(Self::opts(name, help), labels))
    }

    pub(super) fn int_gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register("gauge", IntGauge::with_opts(Self::opts(name, help)))
    }

    pub(super) fn int_gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register("gauge", IntGaugeVec::new(Self::opts(name, help), labels))
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.register("gauge", GaugeVec::new(Self::opts(name, help), labels))
    }

    pub(super) fn histogram(&self, name: &str, help: &str) -> Histogram {
        let opts = HistogramOpts::from(Self::opts(name, help)).buckets(SECONDS.to_vec());
        self.register("histogram", Histogram::with_opts(opts))
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> HistogramVec {
        let opts = HistogramOpts::from(Self::opts(name, help)).buckets(buckets.to_vec());
        self.register("histogram", HistogramVec::new(opts, labels))
    }
}
