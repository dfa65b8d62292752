//! Exemplars: the last traced request of each bucket of a histogram.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::proto::LabelPair;

use super::openmetrics::Exemplar;

/// Exemplars by label values (in the order of the label names) and bucket.
type BySeries = HashMap<Vec<String>, Vec<Option<Exemplar>>>;

/// The exemplars of one histogram.
#[derive(Debug)]
pub(super) struct Exemplars {
    /// Upper bounds of the buckets, except the last one, which is unbounded.
    bounds: &'static [f64],
    series: Mutex<BySeries>,
}

impl Exemplars {
    pub(super) fn of(bounds: &'static [f64]) -> Self {
        Self { bounds, series: Mutex::default() }
    }

    /// Replaces the exemplar of the bucket that contains its value.
    pub(super) fn set(&self, labels: &[&str], exemplar: Exemplar) {
        let bucket = self.bounds.partition_point(|bound| *bound < exemplar.value);
        let labels = labels.iter().map(|value| (*value).to_owned()).collect();
        let mut series = self.lock();
        let buckets = series.entry(labels).or_insert_with(|| vec![None; self.bounds.len() + 1]);
        buckets[bucket] = Some(exemplar);
    }

    /// The exemplar of a bucket.
    pub(super) fn get(&self, labels: &[LabelPair], bucket: usize) -> Option<Exemplar> {
        let labels: Vec<String> = labels.iter().map(|pair| pair.value().to_owned()).collect();
        *self.lock().get(&labels)?.get(bucket)?
    }

    fn lock(&self) -> MutexGuard<'_, BySeries> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
