//! The trial of a canary: counts the answers of both versions, and decides when it ends.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use utoipa::ToSchema;

use super::{AutoPromotion, Canary, Shadow, Verdict, Version};
use crate::pipeline::Observer;

/// A canary and its counts.
#[derive(Debug)]
pub struct CanaryTrial {
    canary: Canary,
    /// Compares the canary with the other version, if agreement is a condition.
    comparison: Option<Arc<Shadow>>,
    state: Mutex<TrialCounts>,
}

#[derive(Debug, Default)]
struct TrialCounts {
    canary: RequestCounts,
    stable: RequestCounts,
    end: Option<TrialEnd>,
}

/// Requests that one version answered.
#[derive(Debug, Default, Clone, Copy)]
struct RequestCounts {
    requests: u64,
    failed: u64,
}

impl RequestCounts {
    fn count(&mut self, outcome: RequestOutcome) {
        self.requests += 1;
        self.failed += u64::from(outcome == RequestOutcome::Failed);
    }

    fn error_rate(self) -> f64 {
        share(self.failed, self.requests)
    }
}

/// The end of a trial.
#[derive(Debug, Clone)]
struct TrialEnd {
    verdict: Verdict,
    reason: String,
}

/// The result of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOutcome {
    /// It was answered successfully.
    Answered,
    /// It was answered with an internal error. Rejections and client errors are not counted.
    Failed,
}

/// The canary of a model, as in `/v1/models/{name}`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CanaryReport {
    /// The version on trial.
    version: String,
    /// The fraction of requests that it answers during the trial.
    share: f64,
    /// State of the trial.
    state: TrialState,
    /// Why the trial ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// Requests answered by the canary, and those of them with an internal error.
    requests: u64,
    failed: u64,
    /// The same for the other version.
    stable_requests: u64,
    stable_failed: u64,
    /// Images of the other version that the canary also classified, if agreement is a condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    compared: Option<u64>,
    /// Fraction of these images for which both versions have the same most probable class, and its 95 %
    /// confidence interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    agreement: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    agreement_interval: Option<[f64; 2]>,
    /// The conditions under which the trial ends automatically.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    auto: Option<AutoPromotion>,
}

/// State of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum TrialState {
    Running,
    Promoted,
    RolledBack,
}

impl CanaryTrial {
    pub(super) fn new(canary: Canary, comparison: Option<Arc<Shadow>>) -> Self {
        Self { canary, comparison, state: Mutex::default() }
    }

    pub(super) fn canary(&self) -> &Canary {
        &self.canary
    }

    /// The observer for images answered by `version`, while the trial runs.
    pub(super) fn observer(&self, version: &Version) -> Option<Arc<dyn Observer>> {
        let compares = *version != self.canary.version && self.is_running();
        let comparison = self.comparison.clone().filter(|_| compares)?;
        Some(comparison)
    }

    pub(super) fn is_running(&self) -> bool {
        self.lock().end.is_none()
    }

    /// Counts a request that was answered by `version`.
    pub(super) fn count(&self, version: &Version, outcome: RequestOutcome) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        if *version == self.canary.version {
            state.canary.count(outcome);
        } else {
            state.stable.count(outcome);
        }
    }

    /// Evaluates the conditions: the verdict and its reason, once it is certain.
    pub(super) fn verdict(&self) -> Option<(Verdict, String)> {
        let auto = self.canary.auto?;
        let TrialCounts { canary, stable, .. } = *self.lock();
        let compared = auto.min_agreement.zip(self.comparison.as_ref());
        let compared = compared.map(|(least, shadow)| (least, shadow.agreed()));

        // A limit that cannot be kept any more ends the trial at once.
        let limit = stable.error_rate() + auto.max_error_increase;
        let enough = canary.requests >= auto.requests;
        if over(canary.failed, limit, canary.requests.max(auto.requests)) {
            return Some((Verdict::RollBack, self.figures("too many errors")));
        }
        let mut compared_enough = true;
        if let Some((least, (images, agreed))) = compared {
            compared_enough = images >= auto.requests;
            if over(images - agreed, 1.0 - least, images.max(auto.requests)) {
                return Some((Verdict::RollBack, self.figures("too little agreement")));
            }
        }
        (enough && compared_enough)
            .then(|| (Verdict::Promote, self.figures("the conditions are met")))
    }

    /// Ends the trial. Returns false if it has already ended.
    pub(super) fn end(&self, verdict: Verdict, reason: &str) -> bool {
        let mut state = self.lock();
        let is_first = state.end.is_none();
        state.end.get_or_insert(TrialEnd { verdict, reason: reason.to_owned() });
        is_first
    }

    /// The text `because`, followed by the counts.
    pub(super) fn figures(&self, because: &str) -> String {
        let TrialCounts { canary, stable, .. } = *self.lock();
        let mut text = format!(
            "{because}: {} of {} requests failed, and {} of {} of the other version",
            canary.failed, canary.requests, stable.failed, stable.requests,
        );
        if let Some((images, agreed)) = self.comparison.as_ref().map(|shadow| shadow.agreed()) {
            let _ = write!(text, "; both agree on {agreed} of {images} images");
        }
        text
    }

    /// The report for clients.
    #[must_use]
    pub fn report(&self) -> CanaryReport {
        let state = self.lock();
        let Canary { version, share: portion, auto } = &self.canary;
        let compared = self.comparison.as_ref().map(|shadow| shadow.agreed());
        let (canary, stable) = (state.canary, state.stable);
        CanaryReport {
            version: version.to_string(),
            share: *portion,
            state: match state.end.as_ref().map(|end| end.verdict) {
                None => TrialState::Running,
                Some(Verdict::Promote) => TrialState::Promoted,
                Some(Verdict::RollBack) => TrialState::RolledBack,
            },
            reason: state.end.as_ref().map(|end| end.reason.clone()),
            requests: canary.requests,
            failed: canary.failed,
            stable_requests: stable.requests,
            stable_failed: stable.failed,
            compared: compared.map(|(images, _)| images),
            agreement: compared.map(|(images, agreed)| share(agreed, images)),
            agreement_interval: compared
                .map(|(images, agreed)| super::shadow::wilson(agreed, images)),
            auto: *auto,
        }
    }

    /// Each update is complete before the lock is released, so the counts are valid even if it is poisoned.
    fn lock(&self) -> MutexGuard<'_, TrialCounts> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `count` divided by `all`; 0 if `all` is 0.
#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
fn share(count: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { count as f64 / all as f64 }
}

/// Whether `count` divided by `all` exceeds `limit`, with a tolerance for rounding.
fn over(count: u64, limit: f64, all: u64) -> bool {
    share(count, all) > limit + 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(max_error_increase: f64) -> CanaryTrial {
        let auto = AutoPromotion { requests: 100, min_agreement: None, max_error_increase };
        CanaryTrial::new(Canary { version: Version::new("2"), share: 0.1, auto: Some(auto) }, None)
    }

    fn count(trial: &CanaryTrial, version: &str, requests: u64, failed: u64) {
        for number in 0..requests {
            let outcome =
                if number < failed { RequestOutcome::Failed } else { RequestOutcome::Answered };
            trial.count(&Version::new(version), outcome);
        }
    }

    fn verdict(trial: &CanaryTrial) -> Option<Verdict> {
        trial.verdict().map(|(verdict, _)| verdict)
    }

    #[test]
    fn a_canary_without_more_errors_is_promoted_after_the_required_requests() {
        let trial = trial(0.01);
        count(&trial, "1", 1000, 20);
        count(&trial, "2", 99, 3);
        assert_eq!(verdict(&trial), None);
        count(&trial, "2", 1, 0);
        let (verdict, reason) = trial.verdict().unwrap();
        assert_eq!(verdict, Verdict::Promote);
        let figures = "3 of 100 requests failed, and 20 of 1000 of the other version";
        assert!(reason.contains(figures), "{reason}");
    }

    #[test]
    fn a_canary_with_too_many_errors_is_rolled_back_at_once() {
        let trial = trial(0.01);
        count(&trial, "1", 1000, 20);
        count(&trial, "2", 3, 3);
        assert_eq!(verdict(&trial), None, "it may have 3 of 100");
        count(&trial, "2", 1, 1);
        assert_eq!(verdict(&trial), Some(Verdict::RollBack));
    }

    #[test]
    fn only_an_operator_ends_a_trial_without_conditions_and_each_ends_once() {
        let canary = Canary { version: Version::new("2"), share: 0.1, auto: None };
        let trial = CanaryTrial::new(canary, None);
        count(&trial, "2", 1000, 1000);
        assert_eq!(verdict(&trial), None);
        assert!(trial.end(Verdict::Promote, "requested"));
        assert!(!trial.end(Verdict::RollBack, "too late"));
        count(&trial, "2", 1, 0);
        let report = serde_json::to_value(trial.report()).unwrap();
        assert_eq!([&report["state"], &report["reason"]], ["promoted", "requested"]);
        assert_eq!(report["requests"], 1000, "nothing is counted after the end");
    }
}
