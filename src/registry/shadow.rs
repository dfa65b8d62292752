//! Compares a model with another one on live images, after they were answered and only while cores are idle.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::{Registry, Served, ShadowPlan, Version};
use crate::pipeline::queue::{Deadline, RequestContext, Scores};
use crate::pipeline::{Classification, Observer};

/// Maximum number of images waiting for comparison; others are skipped.
const WAITING: usize = 8;
/// Deadline for an image in the other model.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum number of class pairs in a report.
const PAIRS: usize = 20;

/// A running comparison.
#[derive(Debug)]
pub struct Shadow {
    /// The other model's name.
    pub model: String,
    version: Option<Version>,
    share: f64,
    registry: Weak<Registry>,
    images: mpsc::Sender<AnsweredImage>,
    counts: Mutex<ShadowCounts>,
}

/// An answered image, with its result.
struct AnsweredImage {
    bytes: Bytes,
    class: usize,
    probability: f32,
    inference: Duration,
}

#[derive(Debug, Default)]
struct ShadowCounts {
    observed: u64,
    skipped: u64,
    compared: u64,
    failed: u64,
    agreed: u64,
    shift: f64,
    squared_shift: f64,
    own_time: Duration,
    other_time: Duration,
    pairs: BTreeMap<(usize, usize), u64>,
}

/// The results of a comparison.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShadowReport {
    /// The model that answers requests.
    pub model: String,
    /// The model with which it is compared.
    pub shadow: String,
    /// Images that both models classified.
    pub compared: u64,
    /// Images that were to be compared and were not: no core was idle, too many waited, or the other model was not ready.
    pub skipped: u64,
    /// Images that only the first model could classify.
    pub failed: u64,
    /// Fraction of images for which both models have the same most probable class.
    pub agreement: f64,
    /// The 95 % confidence interval of the agreement (Wilson's score interval).
    pub agreement_interval: [f64; 2],
    /// Mean difference of the probability of the first model's class: the shadow's minus the model's.
    pub probability_shift: f64,
    /// The 95 % confidence interval of that mean (normal approximation).
    pub probability_shift_interval: [f64; 2],
    /// Mean inference time of the model, in seconds.
    pub inference_seconds: f64,
    /// Mean inference time of the shadow, in seconds.
    pub shadow_inference_seconds: f64,
    /// The most frequent disagreements.
    pub disagreements: Vec<Disagreement>,
}

/// A pair of classes on which the models disagree.
#[derive(Debug, Serialize, ToSchema)]
pub struct Disagreement {
    /// The model's class.
    pub model: String,
    /// The shadow's class, by the labels of the model.
    pub shadow: String,
    /// Number of images.
    pub images: u64,
}

impl Shadow {
    /// Starts comparing answered images with another model of `registry`. Must be called in a tokio runtime.
    #[must_use]
    pub fn start(registry: &Arc<Registry>, plan: &ShadowPlan) -> Arc<Self> {
        let (images, mut waiting) = mpsc::channel(WAITING);
        let shadow = Arc::new(Self {
            model: plan.model.clone(),
            version: plan.version.clone(),
            share: plan.share,
            registry: Arc::downgrade(registry),
            images,
            counts: Mutex::default(),
        });
        let weak = Arc::downgrade(&shadow);
        tokio::spawn(async move {
            while let Some(answered) = waiting.recv().await {
                let Some(shadow) = weak.upgrade() else { return };
                shadow.compare(answered).await;
            }
        });
        shadow
    }

    async fn compare(&self, answered: AnsweredImage) {
        let (name, version) = (Some(&*self.model), self.version.as_ref());
        let other = self.registry.upgrade().and_then(|all| all.find(name, version).ok());
        let Some(other) = other.filter(|_| self.is_idle()) else {
            self.lock().skipped += 1;
            return;
        };
        let context = RequestContext::local(Deadline::after(PATIENCE));
        let AnsweredImage { bytes, class, probability, inference } = answered;
        match other.pipeline.classify(bytes, &context).await {
            Ok(Classification { scores, timings, .. }) if class < scores.probabilities.len() => {
                let other_class = scores.best_of(&[]);
                let shift = f64::from(scores.probabilities[class]) - f64::from(probability);
                let mut counts = self.lock();
                counts.compared += 1;
                counts.agreed += u64::from(other_class == class);
                counts.shift += shift;
                counts.squared_shift += shift * shift;
                counts.own_time += inference;
                counts.other_time += timings.inference;
                if other_class != class {
                    *counts.pairs.entry((class, other_class)).or_default() += 1;
                }
            }
            Ok(_) | Err(_) => self.lock().failed += 1,
        }
    }

    /// Whether a core is idle.
    fn is_idle(&self) -> bool {
        let Some(registry) = self.registry.upgrade() else { return false };
        let images: usize =
            registry.serving().iter().map(|model| model.pipeline.images_in_flight()).sum();
        images < std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// The number of compared images, and of those with the same most probable class.
    pub(super) fn agreed(&self) -> (u64, u64) {
        let counts = self.lock();
        (counts.compared, counts.agreed)
    }

    /// The results so far, for the model that answers.
    #[must_use]
    pub fn report(&self, of: &Served) -> ShadowReport {
        let counts = self.lock();
        let (images, agreed) = (to_f64(counts.compared), to_f64(counts.agreed));
        let mean = |sum: f64| if images > 0.0 { sum / images } else { 0.0 };
        let shift = mean(counts.shift);
        let variance = (mean(counts.squared_shift) - shift * shift).max(0.0);
        let half = if images > 0.0 { 1.96 * (variance / images).sqrt() } else { 0.0 };
        let label =
            |class: usize| of.pipeline.card().labels.get(class).cloned().unwrap_or_default();
        let mut pairs: Vec<_> =
            counts.pairs.iter().map(|(pair, images)| (*pair, *images)).collect();
        pairs.sort_by_key(|(_, images)| std::cmp::Reverse(*images));
        let disagreements = pairs.into_iter().take(PAIRS).map(|((own, other), images)| {
            Disagreement { model: label(own), shadow: label(other), images }
        });
        ShadowReport {
            model: of.name().to_owned(),
            shadow: self.model.clone(),
            compared: counts.compared,
            skipped: counts.skipped,
            failed: counts.failed,
            agreement: mean(agreed),
            agreement_interval: wilson(counts.agreed, counts.compared),
            probability_shift: shift,
            probability_shift_interval: [shift - half, shift + half],
            inference_seconds: mean(counts.own_time.as_secs_f64()),
            shadow_inference_seconds: mean(counts.other_time.as_secs_f64()),
            disagreements: disagreements.collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, ShadowCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Shadow {
    fn answered(&self, bytes: &Bytes, scores: &Scores, inference: Duration) {
        let mut counts = self.lock();
        counts.observed += 1;
        // Evenly distributed: an image is taken when `share` times the number of images passes an integer.
        let (before, now) =
            (to_f64(counts.observed - 1) * self.share, to_f64(counts.observed) * self.share);
        if now.floor() <= before.floor() {
            return;
        }
        let class = scores.best_of(&[]);
        let probability = scores.probabilities.get(class).copied().unwrap_or_default();
        let answered = AnsweredImage { bytes: bytes.clone(), class, probability, inference };
        if self.images.try_send(answered).is_err() {
            counts.skipped += 1;
        }
    }
}

/// Combines several observers into one.
pub(super) fn combine(mut observers: Vec<Arc<dyn Observer>>) -> Option<Arc<dyn Observer>> {
    if observers.len() > 1 { Some(Arc::new(ObserverList(observers))) } else { observers.pop() }
}

#[derive(Debug)]
struct ObserverList(Vec<Arc<dyn Observer>>);

impl Observer for ObserverList {
    fn answered(&self, bytes: &Bytes, scores: &Scores, inference: Duration) {
        let Self(observers) = self;
        for observer in observers {
            observer.answered(bytes, scores, inference);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of images are far below 2^53")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

/// Wilson's score interval at 95 % for `successes` of `trials`.
pub(super) fn wilson(successes: u64, trials: u64) -> [f64; 2] {
    const Z: f64 = 1.96;
    if trials == 0 {
        return [0.0, 1.0];
    }
    let (successes, trials) = (to_f64(successes), to_f64(trials));
    let share = successes / trials;
    let center = share + Z * Z / (2.0 * trials);
    let half = Z * (share * (1.0 - share) / trials + Z * Z / (4.0 * trials * trials)).sqrt();
    let scale = 1.0 + Z * Z / trials;
    [((center - half) / scale).max(0.0), ((center + half) / scale).min(1.0)]
}

#[cfg(test)]
mod tests {
    use super::wilson;

    #[test]
    fn the_interval_is_wilsons_score_interval() {
        // 45 of 50, from published tables.
        let [low, high] = wilson(45, 50);
        assert!((low - 0.7864).abs() < 5e-4 && (high - 0.9565).abs() < 5e-4, "{low} {high}");
        let [low, high] = wilson(0, 0);
        assert!(low.abs() < 1e-12 && (high - 1.0).abs() < 1e-12);
    }
}
