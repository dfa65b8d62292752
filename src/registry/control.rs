//! Loads, replaces and unloads models while the server runs.
//!
//! A new version is opened, verified and warmed up before it is installed; requests that have the old one
//! finish on it. If that fails, the old one goes on serving. Changes are made one after the other.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::retire::retire;
use super::{LoadWhen, ModelSources, NoModel, Policy, Registry, Served, Source, Version};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::{LoadResult, UnloadReason};

/// Changes the models of a registry.
pub struct Control {
    registry: Arc<Registry>,
    origins: ModelSources,
    /// Models that were added by a path.
    added: Mutex<BTreeMap<String, Source>>,
    /// Held while models are changed.
    known: Mutex<Known>,
    memory_limit: Option<u64>,
    metrics: Arc<Metrics>,
    demands: Arc<tokio::sync::Mutex<()>>,
}

/// The name and version in a [`Source`].
#[derive(Debug, Clone, PartialEq, Eq)]
struct SourceKey {
    name: String,
    version: Version,
}

/// By name, then by version.
impl Ord for SourceKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name).then_with(|| self.version.cmp(&other.version))
    }
}

impl PartialOrd for SourceKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl SourceKey {
    fn of(source: &Source) -> Self {
        Self { name: source.name.clone(), version: source.version.clone() }
    }
}

/// The sources that were seen last.
type Known = BTreeMap<SourceKey, Seen>;

/// A source, and the name in the registry.
struct Seen {
    source: Source,
    name: String,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// Why a model was not loaded or unloaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// No source has this name.
    #[error("there is no model {name:?}; the models are {models}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        models: String,
    },
    /// It could not be loaded; the version that served before goes on.
    #[error("the model {name:?} could not be loaded: {reason}")]
    Failed {
        /// The model's name.
        name: String,
        /// Why.
        reason: String,
    },
    /// The configuration or the model repository cannot be read.
    #[error("the models cannot be listed: {0}")]
    Sources(String),
}

/// Whether the weights of all loaded models are within the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightLimit {
    /// They are, or there is no limit.
    Met,
    /// They would be `bytes`, and `limit` is allowed.
    Exceeded {
        /// Bytes of all weights.
        bytes: u64,
        /// `--model-memory-limit`.
        limit: u64,
    },
}

impl Control {
    /// Control of the models of `registry`, which should be those of `origins`, with at most `memory_limit` bytes
    /// of weights in on-demand models. Counts loads in `metrics`.
    #[must_use]
    pub fn new(
        registry: Arc<Registry>,
        origins: ModelSources,
        memory_limit: Option<u64>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (added, known, demands) = (Mutex::default(), Mutex::default(), Arc::default());
        Self { registry, origins, added, known, memory_limit, metrics, demands }
    }

    /// Installs a model that was opened from `source` already.
    pub fn adopt(&self, source: Source, served: Served) {
        let (key, name) = (SourceKey::of(&source), served.name().to_owned());
        if source.policy != Policy::default() {
            self.registry.set_policy(served.name(), source.policy.clone());
        }
        self.lock().insert(key, Seen { source, name });
        self.metrics.model_load(served.name(), LoadResult::Loaded);
        let _ = self.registry.install(served);
    }

    /// Loads what is new or has changed, and unloads what is gone. Blocks until that is done.
    ///
    /// # Errors
    ///
    /// [`ControlError::Sources`] if the models cannot be listed; then nothing changes. A model that cannot
    /// be loaded is not an error here: the registry has its reason.
    pub fn refresh(&self) -> Result<(), ControlError> {
        let mut known = self.lock();
        let wanted = self.wanted()?;
        let gone: Vec<_> = known.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        // New versions first: a model that is replaced by a higher version is never without one.
        for (key, source) in wanted {
            let before = known.get(&key);
            let changed = before.is_none_or(|seen| seen.source.fingerprint != source.fingerprint);
            let name = before.map_or_else(|| source.name.clone(), |seen| seen.name.clone());
            let policy = before.map(|seen| seen.source.policy.clone()).unwrap_or_default();
            if policy != source.policy {
                self.registry.set_policy(&name, source.policy.clone());
            }
            let is_loaded = self.is_loaded(&name, &source.version);
            let is_new = before.is_none();
            known.insert(key.clone(), Seen { source: source.clone(), name });
            match source.load {
                LoadWhen::OnDemand if !is_loaded => self.registry.list_unloaded(&source, ON_DEMAND),
                LoadWhen::Explicit if !is_loaded => self.registry.list_unloaded(&source, EXPLICIT),
                LoadWhen::Now | LoadWhen::OnDemand | LoadWhen::Explicit if changed => {
                    if self.replace(&mut known, &key).is_ok() && is_new {
                        self.registry.unpin(&key.name);
                    }
                }
                LoadWhen::Now | LoadWhen::OnDemand | LoadWhen::Explicit => {}
            }
        }
        for key in gone {
            let Some(Seen { source, name }) = known.remove(&key) else { continue };
            let has_other = known.values().any(|seen| seen.name == name);
            if has_other && !self.has_other_serving(&name, &source.version) {
                // Its successor could not be loaded: keep answering, and look at it again later.
                known.insert(key, Seen { source, name });
                continue;
            }
            tracing::info!(model = name, version = %source.version, "unloading: it was removed");
            let removed = self.registry.remove(&name, &source.version);
            if removed.is_some() {
                self.metrics.model_unload(&name, UnloadReason::Removed);
            }
            retire(removed);
        }
        Ok(())
    }

    /// Loads every version of the model `name`, again if it is loaded. Blocks until that is done.
    ///
    /// # Errors
    ///
    /// [`ControlError`], also if one of its versions fails.
    pub fn load(&self, name: &str) -> Result<(), ControlError> {
        let mut known = self.lock();
        let wanted = self.wanted()?;
        let mut keys = Vec::new();
        for (key, source) in wanted {
            let served =
                known.get(&key).map_or_else(|| source.name.clone(), |seen| seen.name.clone());
            if served == name {
                known.insert(key.clone(), Seen { source, name: served });
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Err(self.unknown(name));
        }
        // Each is tried, also after one that fails.
        let loaded: Vec<_> = keys.iter().map(|key| self.replace(&mut known, key)).collect();
        loaded.into_iter().collect()
    }

    /// Loads the model at `path` as the model `name`, which stays until it is unloaded. It is not kept if the limit
    /// is exceeded even without the on-demand models. Blocks until that is done.
    ///
    /// # Errors
    ///
    /// [`ControlError`].
    pub fn add(&self, name: &str, path: &str) -> Result<WeightLimit, ControlError> {
        let failed = |reason| ControlError::Failed { name: name.to_owned(), reason };
        let source = (self.origins.at)(name, path).map_err(failed)?;
        self.lock_added().insert(name.to_owned(), source);
        let loaded = self.load(name).map(|()| self.weight_limit());
        if loaded != Ok(WeightLimit::Met) {
            self.drop_added(name);
        }
        loaded
    }

    fn weight_limit(&self) -> WeightLimit {
        let bytes = self.registry.serving().iter().map(|model| model.weight_bytes).sum();
        match self.memory_limit {
            Some(limit) if bytes > limit => WeightLimit::Exceeded { bytes, limit },
            Some(_) | None => WeightLimit::Met,
        }
    }

    /// Forgets a model that was added.
    fn drop_added(&self, name: &str) {
        let removed = self.lock_added().remove(name);
        if let Some(source) = removed {
            self.lock().remove(&SourceKey::of(&source));
            retire(self.registry.remove(name, &source.version));
        }
    }

    /// Unloads every version of the model `name`: from now on requests for it are answered 503.
    ///
    /// # Errors
    ///
    /// [`ControlError::Unknown`].
    pub fn unload(&self, name: &str) -> Result<(), ControlError> {
        let known = self.lock();
        if !self.registry.knows(name) {
            return Err(self.unknown(name));
        }
        for version in self.registry.versions(name) {
            tracing::info!(model = name, %version, "unloading: requested");
            let reason = "it was unloaded; load it again over the admin address";
            let unloaded = self.registry.unload(name, &version, reason);
            if unloaded.is_some() {
                self.metrics.model_unload(name, UnloadReason::Requested);
            }
            retire(unloaded);
        }
        drop(known);
        self.drop_added(name);
        Ok(())
    }

    /// Loads the version that a request needs, if it is loaded on demand. It is loaded to the end even if the
    /// request is gone.
    ///
    /// # Errors
    ///
    /// [`NoModel`] if it is not loaded afterwards.
    pub async fn demand(
        self: Arc<Self>,
        name: String,
        version: Option<Version>,
    ) -> Result<Arc<Served>, NoModel> {
        let turn = Arc::clone(&self.demands).lock_owned().await;
        let lost = NoModel::OnDemand { name: name.clone() };
        let load = move || {
            let _turn = turn; // others wait for it without a thread each
            self.load_for_a_request(&name, version.as_ref())
        };
        tokio::task::spawn_blocking(load).await.unwrap_or(Err(lost))
    }

    fn load_for_a_request(
        &self,
        name: &str,
        version: Option<&Version>,
    ) -> Result<Arc<Served>, NoModel> {
        let mut known = self.lock();
        // Another request may have loaded it meanwhile.
        if let Ok(served) = self.registry.find(Some(name), version) {
            return Ok(served);
        }
        let wanted = known.iter().rev().find(|(_, Seen { source, .. })| {
            source.load == LoadWhen::OnDemand
                && source.name == name
                && version.is_none_or(|version| *version == source.version)
        });
        if let Some(key) = wanted.map(|(key, _)| key.clone()) {
            let _ = self.replace(&mut known, &key);
        }
        self.registry.find(Some(name), version)
    }

    fn wanted(&self) -> Result<BTreeMap<SourceKey, Source>, ControlError> {
        let listed = (self.origins.listed)().map_err(ControlError::Sources)?;
        let added = self.lock_added().clone();
        let sources = added.into_values().chain(listed);
        Ok(sources.map(|source| (SourceKey::of(&source), source)).collect())
    }

    fn unknown(&self, name: &str) -> ControlError {
        ControlError::Unknown { name: name.to_owned(), models: self.registry.names().join(", ") }
    }

    fn is_loaded(&self, name: &str, version: &Version) -> bool {
        self.registry.serving_versions(name).contains(version)
    }

    fn has_other_serving(&self, name: &str, version: &Version) -> bool {
        self.registry.serving_versions(name).iter().any(|other| other != version)
    }

    /// Opens the source at `key`, and lets it answer from now on.
    fn replace(&self, known: &mut Known, key: &SourceKey) -> Result<(), ControlError> {
        let Some(Seen { source, name }) = known.get_mut(key) else {
            return Err(self.unknown(&key.name));
        };
        let version = &source.version;
        self.registry.loading(name, version);
        tracing::info!(model = *name, %version, "loading");
        match (source.open)() {
            Ok(served) => {
                if served.name() != *name {
                    let _ = self.registry.remove(name, version);
                    served.name().clone_into(name);
                }
                self.make_room(&served);
                let digest = served.digest().to_owned();
                let replaced = self.registry.install(served);
                tracing::info!(model = *name, %version, digest, "serving");
                self.metrics.model_load(name, LoadResult::Loaded);
                retire(replaced);
                Ok(())
            }
            Err(reason) => {
                if self.is_loaded(name, version) {
                    tracing::error!(model = *name, %version, reason, "cannot be loaded: the version that is loaded goes on serving");
                } else {
                    tracing::error!(model = *name, %version, reason, "cannot be loaded");
                }
                self.metrics.model_load(name, LoadResult::Failed);
                self.registry.failed(name, version, reason.clone());
                // The next look tries again only if the files have changed.
                Err(ControlError::Failed { name: name.clone(), reason })
            }
        }
    }

    /// Unloads on-demand models, the one unused longest first, until `new` fits under the limit.
    fn make_room(&self, new: &Served) {
        let Some(limit) = self.memory_limit else { return };
        let mut loaded: Vec<_> = self.registry.serving();
        loaded.retain(|model| (model.name(), &model.version) != (new.name(), &new.version));
        loaded.sort_by_key(|model| model.used.time());
        let mut sum: u64 = loaded.iter().map(|model| model.weight_bytes).sum();
        for model in loaded {
            if sum.saturating_add(new.weight_bytes) <= limit {
                return;
            }
            if model.load != LoadWhen::OnDemand {
                continue;
            }
            sum -= model.weight_bytes;
            let (name, version) = (model.name(), &model.version);
            tracing::info!(model = name, %version, limit, "unloading: --model-memory-limit is reached");
            self.metrics.model_unload(name, UnloadReason::MemoryLimit);
            retire(self.registry.unload(name, version, ON_DEMAND));
        }
    }

    fn lock_added(&self) -> MutexGuard<'_, BTreeMap<String, Source>> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A change that panicked left whole sources behind.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ON_DEMAND: &str = "it is loaded when a request needs it";
const EXPLICIT: &str = "it was not loaded yet; load it over the admin address";
