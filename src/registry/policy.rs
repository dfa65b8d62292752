//! Which model answers a request that names no version: a share for a canary, and a cheaper model
//! instead of one that is overloaded.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::{NoModel, Registry, Served, Version};

/// How requests for one model are handed out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// A new version that answers a share of the requests.
    pub canary: Option<Canary>,
    /// The version that answers, instead of the highest one: the old one after a rollback.
    pub pinned: Option<Version>,
    /// The model that answers when this one is overloaded.
    pub when_busy: Option<WhenBusy>,
    /// The model that runs on the same images, for comparison.
    pub shadow: Option<ShadowPlan>,
}

/// A new version on trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    /// Which version.
    pub version: Version,
    /// The share of requests that it answers, from 0 to 1.
    pub share: f64,
}

/// A cheaper model for times of overload (brown-out).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhenBusy {
    /// The model's name.
    pub model: String,
    /// It answers when the predicted wait is longer than this.
    pub after: Duration,
}

/// A comparison with another model on live images.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowPlan {
    /// The other model's name.
    pub model: String,
    /// The share of answered images that it runs on, from 0 to 1.
    pub share: f64,
}

/// Whether a cheaper model may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// It may, if the policy of the model names one.
    Allowed,
    /// The request must be answered by the model that it names.
    Off,
}

/// What a request says that decides which model answers.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The model; `None` for the default one.
    pub name: Option<&'a str>,
    /// The version; `None` for what the policy says.
    pub version: Option<&'a Version>,
    /// The request's id: the same id is always answered by the same version.
    pub request_id: &'a str,
    /// Whether a cheaper model may answer.
    pub fallback: Fallback,
}

/// The model that answers.
#[derive(Debug, Clone)]
pub struct Choice {
    /// It.
    pub model: Arc<Served>,
    /// The model that was asked for, if another one answers because that one is overloaded.
    pub instead_of: Option<Arc<str>>,
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
        let Some(policy) = policy else { return Ok(Choice { model: found?, instead_of: None }) };
        let version = match &policy.canary {
            Some(canary) if place_of(request_id) < canary.share => Some(canary.version.clone()),
            Some(_) | None => self.stable(&name, &policy),
        };
        let asked = match version {
            // A version that is not there is answered by the highest one.
            Some(version) => self.find(Some(&name), Some(&version)).or(found)?,
            None => found?,
        };
        if fallback == Fallback::Allowed
            && let Some(WhenBusy { model, after }) = &policy.when_busy
            && asked.pipeline.predicted_wait() > *after
            && let Ok(cheaper) = self.find(Some(model), None)
            && cheaper.pipeline.predicted_wait() < asked.pipeline.predicted_wait()
        {
            return Ok(Choice { model: cheaper, instead_of: Some(name.into()) });
        }
        Ok(Choice { model: asked, instead_of: None })
    }

    /// Ends the trial of a canary: from now on its version answers every request, or the other one does.
    ///
    /// # Errors
    ///
    /// A message for the operator, if the model has no canary.
    pub fn end_canary(self: &Arc<Self>, name: &str, verdict: Verdict) -> Result<Version, String> {
        let policy = self.policy(name).unwrap_or_default();
        let Some(canary) = &policy.canary else {
            return Err(format!("the model {name:?} has no canary"));
        };
        let answers = match verdict {
            Verdict::Promote => canary.version.clone(),
            Verdict::RollBack => self.stable(name, &policy).ok_or_else(|| {
                format!("the model {name:?} has no other version than {}", canary.version)
            })?,
        };
        tracing::info!(model = name, version = %answers, ?verdict, "the trial of the canary ends");
        let policy = Policy { canary: None, pinned: Some(answers.clone()), ..(*policy).clone() };
        self.set_policy(name, policy);
        Ok(answers)
    }

    /// The version that answers what the canary does not: the pinned one, or the highest other one.
    fn stable(&self, name: &str, policy: &Policy) -> Option<Version> {
        let highest = |canary: &Canary| {
            let serving = self.serving_versions(name).into_iter().rev();
            serving.into_iter().find(|version| *version != canary.version)
        };
        policy.pinned.clone().or_else(|| policy.canary.as_ref().and_then(highest))
    }
}

/// How the trial of a canary ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It answers every request.
    Promote,
    /// It answers none.
    RollBack,
}

/// A number from 0 to 1 for each id, evenly distributed.
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
    fn ids_are_distributed_evenly_and_stay_in_their_place() {
        let ids: Vec<_> = (0..10_000).map(|id| format!("request-{id}")).collect();
        let low = ids.iter().filter(|id| place_of(id) < 0.05).count();
        assert!((400..600).contains(&low), "{low}");
        assert!(ids.iter().all(|id| (place_of(id) - place_of(id)).abs() < f64::EPSILON));
    }
}
