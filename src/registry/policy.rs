//! Selects the model that answers a request without a version: a canary for a fraction of the requests, or a
//! cheaper model during overload.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::{
    Canary, CanaryTrial, NoModel, Registry, RequestOutcome, RoutingPolicy, Served, Verdict,
    Version, WhenBusy,
};

/// Whether a cheaper model may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// Yes, if the model's policy names one.
    Allowed,
    /// No; the requested model must answer.
    Off,
}

/// The parts of a request that determine which model answers.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The model; `None` for the default one.
    pub name: Option<&'a str>,
    /// The version; `None` for the one that the policy selects.
    pub version: Option<&'a Version>,
    /// The request's id: the same id is always answered by the same version. `None` for requests that
    /// describe a model, which never get the canary.
    pub request_id: Option<&'a str>,
    /// Whether a cheaper model may answer.
    pub fallback: Fallback,
}

/// The model that answers.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The model that answers.
    pub model: Arc<Served>,
    /// The name of the requested model, if another one answers because of overload.
    pub instead_of: Option<Arc<str>>,
    /// The trial that counts this request, if there is one.
    pub trial: Option<Arc<CanaryTrial>>,
}

impl Choice {
    /// This model, without a policy.
    #[must_use]
    pub fn of(model: Arc<Served>) -> Self {
        Self { model, instead_of: None, trial: None }
    }
}

impl Registry {
    /// The version that answers a request.
    ///
    /// # Errors
    ///
    /// [`NoModel`] if there is none.
    pub fn choose(&self, wanted: Wanted<'_>) -> Result<Choice, NoModel> {
        let Wanted { name, version, request_id, fallback } = wanted;
        let found = self.find(name, version);
        let name = match (&found, name) {
            (_, Some(name)) => name.to_owned(),
            (Ok(model), None) => model.name().to_owned(),
            (Err(error), None) => return Err(error.clone()),
        };
        let policy = if version.is_none() { self.policy(&name) } else { None };
        let Some(policy) = policy else { return found.map(Choice::of) };
        let version = match &policy.canary {
            Some(canary) if request_id.is_some_and(|id| place_of(id) < canary.share) => {
                Some(canary.version.clone())
            }
            Some(_) | None => self.stable(&name, &policy),
        };
        let asked = match version {
            Some(version) => match self.find(Some(&name), Some(&version)) {
                Err(on_demand @ NoModel::OnDemand { .. }) => return Err(on_demand),
                // If the version does not serve, the highest one that does answers.
                asked => asked.or(found)?,
            },
            None => found?,
        };
        if fallback == Fallback::Allowed
            && let Some(WhenBusy { model, after }) = &policy.when_busy
            && asked.pipeline.predicted_wait() > *after
            && let Ok(cheaper) = self.find(Some(model), None)
            && cheaper.pipeline.predicted_wait() < asked.pipeline.predicted_wait()
        {
            return Ok(Choice { instead_of: Some(name.into()), ..Choice::of(cheaper) });
        }
        let trial = self.trial(&name).filter(|trial| trial.is_running());
        Ok(Choice { trial, ..Choice::of(asked) })
    }

    /// Counts the result of a request, and ends the trial of a canary if that decides it.
    pub fn answered(self: &Arc<Self>, choice: &Choice, outcome: RequestOutcome) {
        let Some(trial) = &choice.trial else { return };
        trial.count(&choice.model.version, outcome);
        let name = choice.model.name();
        // A request may have begun before its model's files were replaced, and with them the trial.
        if !self.trial(name).is_some_and(|current| Arc::ptr_eq(&current, trial)) {
            return;
        }
        let policy = self.policy(name).unwrap_or_default();
        // Without another version a rollback is impossible, so the trial continues.
        if self.stable(name, &policy).is_none() {
            return;
        }
        if let Some((verdict, reason)) = trial.verdict() {
            self.conclude(name, trial, verdict, &reason);
        }
    }

    /// Ends the trial of a canary: its version or the other one answers all requests from now on.
    ///
    /// # Errors
    ///
    /// A message for the operator, if the model has no canary.
    pub fn end_canary(self: &Arc<Self>, name: &str, verdict: Verdict) -> Result<Version, String> {
        let none = || format!("the model {name:?} has no canary");
        let trial = self.trial(name).filter(|trial| trial.is_running()).ok_or_else(none)?;
        let policy = self.policy(name).unwrap_or_default();
        if verdict == Verdict::RollBack && self.stable(name, &policy).is_none() {
            let canary = &trial.canary().version;
            return Err(format!("the model {name:?} has no other version than {canary}"));
        }
        let reason = trial.figures("requested over the admin address");
        self.conclude(name, &trial, verdict, &reason).ok_or_else(none)
    }

    /// Ends the trial and returns the version that answers from now on; `None` if it had already ended.
    fn conclude(
        self: &Arc<Self>,
        name: &str,
        trial: &CanaryTrial,
        verdict: Verdict,
        reason: &str,
    ) -> Option<Version> {
        let policy = self.policy(name).unwrap_or_default();
        let answers = match verdict {
            Verdict::Promote => trial.canary().version.clone(),
            Verdict::RollBack => self.stable(name, &policy)?,
        };
        if !trial.end(verdict, reason) {
            return None;
        }
        match verdict {
            Verdict::Promote => {
                tracing::info!(model = name, version = %answers, reason, "the canary was promoted");
            }
            Verdict::RollBack => {
                tracing::warn!(model = name, version = %answers, reason, "the canary was rolled back");
            }
        }
        let policy =
            RoutingPolicy { canary: None, pinned: Some(answers.clone()), ..(*policy).clone() };
        self.set_policy(name, policy);
        Some(answers)
    }

    /// Lets the highest version of the model `name` answer again, unless a canary is on trial: a new version
    /// takes precedence over the result of an earlier trial.
    pub(super) fn unpin(self: &Arc<Self>, name: &str) {
        let policy = self.policy(name).unwrap_or_default();
        if policy.pinned.is_some() && policy.canary.is_none() {
            self.set_policy(name, RoutingPolicy { pinned: None, ..(*policy).clone() });
        }
    }

    /// The version that answers the requests that the canary does not: the pinned one, or the highest other
    /// one.
    fn stable(&self, name: &str, policy: &RoutingPolicy) -> Option<Version> {
        let highest = |canary: &Canary| {
            let available = self.available_versions(name).into_iter().rev();
            available.into_iter().find(|version| *version != canary.version)
        };
        policy.pinned.clone().or_else(|| policy.canary.as_ref().and_then(highest))
    }
}

/// Maps each id to a number from 0 to 1, evenly distributed.
fn place_of(request_id: &str) -> f64 {
    let mut hasher = DefaultHasher::new();
    request_id.hash(&mut hasher);
    let high = u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX);
    f64::from(high) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distributed_evenly_and_deterministically() {
        let ids: Vec<_> = (0..10_000).map(|id| format!("request-{id}")).collect();
        let low = ids.iter().filter(|id| place_of(id) < 0.05).count();
        assert!((400..600).contains(&low), "{low}");
        assert!(ids.iter().all(|id| (place_of(id) - place_of(id)).abs() < f64::EPSILON));
    }
}
