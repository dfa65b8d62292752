//! The models of the server: name → versions → [`Served`].
//!
//! A request looks its model up once and keeps it until it is answered, so each answer comes from one
//! version. A replaced version ends when its last request is answered.

mod control; // loads, replaces and unloads versions
mod description; // the description of a model for clients
mod entry; // the state of one version
mod routing; // how requests for a model are distributed
mod policy; // selects the version that answers
pub mod repository; // folders with models
mod retire; // ends a replaced version
mod source; // where models come from
mod known; // the sources of the last refresh
mod no_model; // why no model can answer
mod control_error; // why a change was not made
mod served; // a loaded version
mod shadow; // comparisons on live images
mod trial; // the trial of a canary

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::pipeline::Observer;

pub use control::Control;
pub use control_error::{ControlError, WeightLimit};
pub use description::{Description, Versions};
pub use entry::{Entry, State};
pub use no_model::NoModel;
pub use policy::{Choice, Fallback, Wanted};
pub use routing::{AutoPromotion, Canary, RoutingPolicy, ShadowPlan, Verdict, WhenBusy};
pub use served::{LastUse, LoadWhen, Served, Version};
pub use shadow::{Disagreement, Shadow, ShadowReport};
pub use source::{ModelSources, Open, OpenError, Source, SourceAt, Sources};
pub use trial::{CanaryReport, CanaryTrial, RequestOutcome};

/// Models by name, and the default model.
#[derive(Debug, Default)]
pub struct Registry {
    models: RwLock<RegisteredModels>,
}

#[derive(Debug, Default)]
struct RegisteredModels {
    default: Option<String>,
    /// Models that, like the default model, must be ready for the server to be ready.
    required: BTreeSet<String>,
    policies: BTreeMap<String, Arc<RoutingPolicy>>,
    shadows: BTreeMap<String, Arc<Shadow>>,
    trials: BTreeMap<String, Arc<CanaryTrial>>,
    by_name: BTreeMap<String, BTreeMap<Version, Entry>>,
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
    /// The loaded version, if it serves.
    pub serving: Option<Arc<Served>>,
}

impl Registry {
    /// A registry with one model, which is the default.
    #[must_use]
    pub fn of_one(served: Served) -> Arc<Self> {
        let registry = Arc::new(Self::default());
        registry.set_default(Some(served.name().to_owned()));
        let _ = registry.install(served);
        registry
    }

    /// The version that answers a request: of the model `name` or the default model; the given `version`, or
    /// the highest one that serves.
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
            (None, None) => return Err(NoModel::NoDefault { models: models.names() }),
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
            return Err(NoModel::OnDemand { name, version: version.cloned() });
        }
        Err(match entry.state() {
            State::Loading => NoModel::Loading { name },
            state @ (State::Ready { .. } | State::Unavailable { .. }) => {
                NoModel::Unavailable { name, reason: state.reason().to_owned() }
            }
        })
    }

    /// Whether a model `name` exists, ready or not.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.read().by_name.contains_key(name)
    }

    /// The name of the default model.
    #[must_use]
    pub fn default_name(&self) -> Option<String> {
        self.read().default.clone()
    }

    /// Sets the default model, which answers requests without a model name.
    pub fn set_default(&self, name: Option<String>) {
        self.write().default = name;
    }

    /// Sets the models that, like the default model, must be ready for the server to be ready.
    pub fn set_required(&self, names: BTreeSet<String>) {
        self.write().required = names;
    }

    /// The default model and the required ones, each with the version that answers or the reason why none
    /// does. An on-demand model that is not loaded is omitted, and no canary is chosen, because both may be unavailable.
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

    /// The policy of the model `name`, if it has one.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<Arc<RoutingPolicy>> {
        self.read().policies.get(name).cloned()
    }

    /// Sets the policy of the model `name`. Must be called in a tokio runtime if the policy has a shadow or a canary
    /// that is compared.
    pub fn set_policy(self: &Arc<Self>, name: &str, policy: RoutingPolicy) {
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

    /// Connects the observers of its model to `served`.
    fn observe(&self, served: &Served) {
        let shadow = self.shadow(served.name()).map(|shadow| shadow as Arc<dyn Observer>);
        let trial = self.trial(served.name()).and_then(|trial| trial.observer(&served.version));
        served.pipeline.observe(shadow::combine(shadow.into_iter().chain(trial).collect()));
    }

    /// The trial of the latest canary of the model `name`, running or ended.
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

    /// The versions of the model `name`, ready or not, in ascending order.
    #[must_use]
    pub fn versions(&self, name: &str) -> Vec<Version> {
        let models = self.read();
        models.by_name.get(name).into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    /// The versions of the model `name` that serve, or that a request loads, in ascending order.
    #[must_use]
    pub fn available_versions(&self, name: &str) -> Vec<Version> {
        let models = self.read();
        let versions = models.by_name.get(name).into_iter().flatten();
        let is_available = |entry: &Entry| entry.serving().is_some() || entry.waits_for_a_request();
        versions
            .filter(|(_, entry)| is_available(entry))
            .map(|(version, _)| version.clone())
            .collect()
    }

    /// The versions of the model `name` that serve, in ascending order.
    #[must_use]
    pub fn serving_versions(&self, name: &str) -> Vec<Version> {
        let models = self.read();
        let versions = models.by_name.get(name).into_iter().flatten();
        let serving = versions.filter(|(_, entry)| entry.serving().is_some());
        serving.map(|(version, _)| version.clone()).collect()
    }

    /// All versions that serve.
    #[must_use]
    pub fn serving(&self) -> Vec<Arc<Served>> {
        self.list().into_iter().filter_map(|listed| listed.serving).collect()
    }

    /// Lists a version that is loaded when it is needed. If it is not loaded, `reason` says why.
    pub fn list_by_need(&self, source: &Source, reason: &str) {
        self.update(&source.name, &source.version, |entry| entry.list(source.load, reason));
    }

    /// Records that a version is being loaded; a version that serves continues.
    pub fn loading(&self, name: &str, version: &Version) {
        self.update(name, version, Entry::load);
    }

    /// Records that a version could not be loaded; a version that serves continues.
    pub fn failed(&self, name: &str, version: &Version, reason: String) {
        self.update(name, version, |entry| entry.fail(reason));
    }

    /// Installs `served` under its name and version. Returns the version that it replaces. Must be called in a tokio runtime if
    /// a running canary of the model is compared.
    #[must_use]
    pub fn install(self: &Arc<Self>, served: Served) -> Option<Arc<Served>> {
        let served = Arc::new(served);
        let (name, version) = (served.name(), &served.version);
        // The counts of a running trial belong to the replaced files.
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

    /// Stops serving a version, but keeps it in the list. Returns it if it served.
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

    /// Each update is complete before the lock is released, so the list is valid even if it is poisoned.
    fn read(&self) -> RwLockReadGuard<'_, RegisteredModels> {
        self.models.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, RegisteredModels> {
        self.models.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RegisteredModels {
    fn unknown(&self, name: &str) -> NoModel {
        NoModel::Unknown { name: name.to_owned(), models: self.names() }
    }

    fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }
}
