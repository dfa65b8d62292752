//! The models that the server serves: name → versions → [`Served`].
//!
//! A request looks its model up once and keeps it until it is answered, so an answer is of one
//! version, and a version that is replaced ends when its last request is answered.

mod control; // loads, replaces and unloads versions
mod description; // what GET /v1/models/{name} answers
mod entry; // the state of one version
mod policy; // which version answers
pub mod repository; // folders with models
mod retire; // the end of a version
mod source; // where models come from
mod served; // one version that is ready
mod shadow; // comparisons on live images
mod trial; // when a canary is promoted or rolled back

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::pipeline::Observer;

pub use control::{Control, ControlError, WeightLimit};
pub use description::{Description, Versions};
pub use entry::{Entry, State};
pub use policy::{
    AutoPromotion, Canary, Choice, Fallback, Policy, ShadowPlan, Verdict, Wanted, WhenBusy,
};
pub use served::{LastUse, Served, Version};
pub use shadow::{Disagreement, Shadow, ShadowReport};
pub use source::{LoadWhen, ModelSources, Open, Source, SourceAt, Sources};
pub use trial::{CanaryReport, CanaryTrial, RequestOutcome};

/// Models by name, and which of them answers requests that name none.
#[derive(Debug, Default)]
pub struct Registry {
    models: RwLock<Models>,
}

#[derive(Debug, Default)]
struct Models {
    default: Option<String>,
    /// Models that must be ready for the server to be ready, besides the default one.
    required: BTreeSet<String>,
    policies: BTreeMap<String, Arc<Policy>>,
    shadows: BTreeMap<String, Arc<Shadow>>,
    trials: BTreeMap<String, Arc<CanaryTrial>>,
    by_name: BTreeMap<String, BTreeMap<Version, Entry>>,
}

/// Why no model can answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoModel {
    /// The request names none, and the server has no default model.
    #[error("the request names no model, and this server has no default model; name one of {} in the path, as in /v1/models/{{name}}/classify", listed(.served))]
    NoDefault {
        /// The models that there are.
        served: Vec<String>,
    },
    /// There is none of this name.
    #[error("there is no model {name:?}; this server serves {}", listed(.served))]
    Unknown {
        /// The name in the request.
        name: String,
        /// The models that there are.
        served: Vec<String>,
    },
    /// The model has no such version.
    #[error("the model {name:?} has no version {version:?}; its versions are {}", listed(.versions))]
    UnknownVersion {
        /// The model's name.
        name: String,
        /// The version in the request.
        version: String,
        /// The versions that there are.
        versions: Vec<String>,
    },
    /// It is loaded by the first request that needs it.
    #[error("the model {name:?} is not loaded")]
    OnDemand {
        /// The model's name.
        name: String,
    },
    /// It is known, but does not serve now.
    #[error("the model {name:?} is not ready: {reason}")]
    NotReady {
        /// The model's name.
        name: String,
        /// Why not.
        reason: String,
    },
}

fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    if names.is_empty() {
        return "no model".to_owned();
    }
    let mut quoted: Vec<_> = names.iter().take(MOST).map(|name| format!("{name:?}")).collect();
    if names.len() > MOST {
        quoted.push(format!("and {} more", names.len() - MOST));
    }
    quoted.join(", ")
}

/// One version of a model in a list of all.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The model's name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Its state.
    pub state: State,
    /// It, if it serves.
    pub serving: Option<Arc<Served>>,
}

impl Registry {
    /// A registry of one model, which is the default.
    #[must_use]
    pub fn of_one(served: Served) -> Arc<Self> {
        let registry = Arc::new(Self::default());
        registry.set_default(Some(served.name().to_owned()));
        let _ = registry.install(served);
        registry
    }

    /// The version that answers a request: of the model `name`, or else of the default model; this
    /// `version`, or else the highest one that serves.
    ///
    /// # Errors
    ///
    /// [`NoModel`] if there is none.
    pub fn find(
        &self,
        name: Option<&str>,
        version: Option<&Version>,
    ) -> Result<Arc<Served>, NoModel> {
        let models = self.read();
        let name = match (name, &models.default) {
            (Some(name), _) => name,
            (None, Some(default)) => default,
            (None, None) => return Err(NoModel::NoDefault { served: models.names() }),
        };
        let Some(versions) = models.by_name.get(name) else { return Err(models.unknown(name)) };
        let entry = match version {
            Some(version) => versions.get(version).ok_or_else(|| NoModel::UnknownVersion {
                name: name.to_owned(),
                version: version.to_string(),
                versions: versions.keys().map(ToString::to_string).collect(),
            })?,
            None => versions
                .values()
                .rev()
                .find(|entry| entry.serving().is_some())
                .or_else(|| versions.values().next_back())
                .ok_or_else(|| models.unknown(name))?,
        };
        if let Some(served) = entry.serving() {
            return Ok(Arc::clone(served));
        }
        let name = name.to_owned();
        if entry.waits_for_a_request() {
            return Err(NoModel::OnDemand { name });
        }
        Err(NoModel::NotReady { name, reason: entry.state().reason().to_owned() })
    }

    /// Whether there is a model `name`, ready or not.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.read().by_name.contains_key(name)
    }

    /// The name of the model that answers requests that name none.
    #[must_use]
    pub fn default_name(&self) -> Option<String> {
        self.read().default.clone()
    }

    /// Sets the model that answers requests that name none.
    pub fn set_default(&self, name: Option<String>) {
        self.write().default = name;
    }

    /// Sets the models that must be ready for the server to be ready, besides the default one.
    pub fn set_required(&self, names: BTreeSet<String>) {
        self.write().required = names;
    }

    /// The default model and those that are required, each with the version that answers or the
    /// reason why none does. Models that their first request loads are left out, and canaries, which may fail.
    #[must_use]
    pub fn required(&self) -> Vec<Result<Arc<Served>, NoModel>> {
        let models = self.read();
        let names: BTreeSet<String> =
            models.required.iter().chain(&models.default).cloned().collect();
        drop(models);
        let wanted = |name| Wanted {
            name: Some(name),
            version: None,
            request_id: None,
            fallback: Fallback::Off,
        };
        let found = names.iter().map(|name| self.choose(wanted(name)).map(|choice| choice.model));
        found.filter(|found| !matches!(found, Err(NoModel::OnDemand { .. }))).collect()
    }

    /// How requests for the model `name` are handed out, if not to its highest version.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<Arc<Policy>> {
        self.read().policies.get(name).cloned()
    }

    /// Sets how requests for the model `name` are handed out. Must be called in a tokio runtime if the
    /// policy has a shadow.
    pub fn set_policy(self: &Arc<Self>, name: &str, policy: Policy) {
        let before = self.policy(name).unwrap_or_default();
        if before.shadow != policy.shadow {
            match policy.shadow.as_ref().map(|plan| Shadow::start(self, plan)) {
                Some(shadow) => self.write().shadows.insert(name.to_owned(), shadow),
                None => self.write().shadows.remove(name),
            };
        }
        if let Some(canary) = policy.canary.as_ref().filter(|_| before.canary != policy.canary) {
            self.start_trial(name, canary);
        } else if policy.canary.is_none() && policy.pinned.is_none() {
            self.write().trials.remove(name);
        }
        self.write().policies.insert(name.to_owned(), Arc::new(policy));
        for model in self.serving().iter().filter(|model| model.name() == name) {
            self.observe(model);
        }
    }

    fn start_trial(self: &Arc<Self>, name: &str, canary: &Canary) {
        let compares = canary.auto.is_some_and(|auto| auto.min_agreement.is_some());
        let version = Some(canary.version.clone());
        let plan = ShadowPlan { model: name.to_owned(), version, share: 1.0 };
        let comparison = compares.then(|| Shadow::start(self, &plan));
        let trial = Arc::new(CanaryTrial::new(canary.clone(), comparison));
        self.write().trials.insert(name.to_owned(), trial);
    }

    /// Has the comparisons of its model learn of the images that `served` answers.
    fn observe(&self, served: &Served) {
        let shadow = self.shadow(served.name()).map(|shadow| shadow as Arc<dyn Observer>);
        let trial = self.trial(served.name()).and_then(|trial| trial.observer(&served.version));
        served.pipeline.observe(shadow::all(shadow.into_iter().chain(trial).collect()));
    }

    /// The trial of the last canary of the model `name`, also if it has ended.
    #[must_use]
    pub fn trial(&self, name: &str) -> Option<Arc<CanaryTrial>> {
        self.read().trials.get(name).cloned()
    }

    /// The comparison of the model `name` with another one, if there is one.
    #[must_use]
    pub fn shadow(&self, name: &str) -> Option<Arc<Shadow>> {
        self.read().shadows.get(name).cloned()
    }

    /// Every version of every model, by name and version.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let models = self.read();
        let all = models.by_name.iter().flat_map(|(name, versions)| {
            versions.iter().map(|(version, entry)| Listed {
                name: name.clone(),
                version: version.clone(),
                state: entry.state(),
                serving: entry.serving().cloned(),
            })
        });
        all.collect()
    }

    /// The names of all models, ready or not.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.read().names()
    }

    /// The versions of the model `name`, ready or not, the highest last.
    #[must_use]
    pub fn versions(&self, name: &str) -> Vec<Version> {
        let models = self.read();
        models.by_name.get(name).into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    /// The versions of the model `name` that serve, the highest last.
    #[must_use]
    pub fn serving_versions(&self, name: &str) -> Vec<Version> {
        let models = self.read();
        let versions = models.by_name.get(name).into_iter().flatten();
        let serving = versions.filter(|(_, entry)| entry.serving().is_some());
        serving.map(|(version, _)| version.clone()).collect()
    }

    /// Every version that serves.
    #[must_use]
    pub fn serving(&self) -> Vec<Arc<Served>> {
        self.list().into_iter().filter_map(|listed| listed.serving).collect()
    }

    /// Lists a version that is not loaded yet.
    pub fn list_unloaded(&self, source: &Source, reason: &str) {
        self.update(&source.name, &source.version, |entry| entry.list(source.load, reason));
    }

    /// Notes that a version is being loaded; one that serves goes on.
    pub fn loading(&self, name: &str, version: &Version) {
        self.update(name, version, Entry::load);
    }

    /// Notes that a version could not be loaded; one that serves goes on.
    pub fn failed(&self, name: &str, version: &Version, reason: String) {
        self.update(name, version, |entry| entry.fail(reason));
    }

    /// From now on `served` answers for its name and version. Returns what it replaces.
    #[must_use]
    pub fn install(self: &Arc<Self>, served: Served) -> Option<Arc<Served>> {
        let served = Arc::new(served);
        let (name, version) = (served.name(), &served.version);
        // What was counted was of other files.
        if let Some(trial) = self.trial(name).filter(|trial| trial.is_running()) {
            self.start_trial(name, trial.canary());
        }
        let mut replaced = None;
        self.update(name, version, |entry| replaced = entry.serve(Arc::clone(&served)));
        for model in self.serving().iter().filter(|model| model.name() == name) {
            self.observe(model);
        }
        replaced
    }

    /// Removes a version from service, but not from the list. Returns it if it served.
    #[must_use]
    pub fn unload(&self, name: &str, version: &Version, reason: &str) -> Option<Arc<Served>> {
        let mut removed = None;
        self.update(name, version, |entry| removed = entry.unload(reason));
        removed
    }

    /// Removes a version from the list. Returns it if it served.
    #[must_use]
    pub fn remove(&self, name: &str, version: &Version) -> Option<Arc<Served>> {
        let mut models = self.write();
        let versions = models.by_name.get_mut(name)?;
        let removed = versions.remove(version);
        if versions.is_empty() {
            models.by_name.remove(name);
        }
        removed.and_then(|entry| entry.serving().cloned())
    }

    fn update(&self, name: &str, version: &Version, change: impl FnOnce(&mut Entry)) {
        let mut models = self.write();
        let versions = models.by_name.entry(name.to_owned()).or_default();
        change(versions.entry(version.clone()).or_default());
    }

    /// Each update is one step, so a poisoned lock still guards a valid list.
    fn read(&self) -> RwLockReadGuard<'_, Models> {
        self.models.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Models> {
        self.models.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Models {
    fn unknown(&self, name: &str) -> NoModel {
        NoModel::Unknown { name: name.to_owned(), served: self.names() }
    }

    fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }
}
