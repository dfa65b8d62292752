//! Loads, replaces and unloads models while the server runs.
//!
//! A new version is opened, verified and warmed up before it is installed; requests that already use the old
//! version finish with it. If that fails, the old version continues to serve. Changes are made one at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::known::{KnownSource, KnownSources, SourceKey, is_on_demand};
use super::retire::retire;
use super::{
    ControlError, LoadWhen, ModelSources, NoModel, OpenError, Registry, RoutingPolicy, Served,
    Source, Version, WeightLimit,
};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::{LoadResult, UnloadReason};

/// Changes the models of a registry.
pub struct Control {
    registry: Arc<Registry>,
    origins: ModelSources,
    /// Models that were added with a path.
    added: Mutex<BTreeMap<String, Source>>,
    /// The sources of the last refresh. Locked while models are changed.
    known: Mutex<KnownSources>,
    memory_limit: Option<u64>,
    metrics: Arc<Metrics>,
    demands: Arc<tokio::sync::Mutex<()>>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl Control {
    /// Control of the models of `registry`, which are listed by `origins`. Above `memory_limit` bytes of
    /// weights of all loaded models, on-demand models are unloaded. Loads are counted in `metrics`.
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

    /// Installs a model that was already opened from `source`.
    pub fn adopt(&self, source: Source, served: Served) {
        let (key, name) = (SourceKey::of(&source), served.name().to_owned());
        if source.policy != RoutingPolicy::default() {
            self.registry.set_policy(served.name(), source.policy.clone());
        }
        self.lock().insert(key, KnownSource { source, name });
        self.metrics.model_load(served.name(), LoadResult::Loaded);
        let _ = self.registry.install(served);
    }

    /// Loads new and changed models, and unloads removed ones. Blocks until that is done.
    ///
    /// # Errors
    ///
    /// [`ControlError::Sources`] if the models cannot be listed; then nothing changes. A model that fails to
    /// load is not an error here: the registry records the reason.
    pub fn refresh(&self) -> Result<(), ControlError> {
        let mut known = self.lock();
        let wanted = self.wanted()?;
        let gone: Vec<_> = known.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        // New versions first, so that a model that is replaced by a higher version always has one that
        // serves.
        for (key, source) in wanted {
            let before = known.get(&key);
            let changed = before
                .is_none_or(|known_source| known_source.source.fingerprint != source.fingerprint);
            let name = before
                .map_or_else(|| source.name.clone(), |known_source| known_source.name.clone());
            self.apply_policy(before, &source, &name);
            let is_loaded = self.is_loaded(&name, &source.version);
            let is_new = before.is_none();
            known.insert(key.clone(), KnownSource { source: source.clone(), name });
            match source.load {
                LoadWhen::OnDemand => self.registry.list_by_need(&source, ON_DEMAND),
                LoadWhen::Explicit => self.registry.list_by_need(&source, EXPLICIT),
                LoadWhen::Now => {}
            }
            let must_load = changed && (source.load == LoadWhen::Now || is_loaded);
            if must_load
                && self.replace(&mut known, &key).is_ok()
                && is_new
                && let Some(KnownSource { name, .. }) = known.get(&key)
            {
                self.registry.unpin(name);
            }
        }
        for key in gone {
            let Some(KnownSource { source, name }) = known.remove(&key) else { continue };
            let has_other = known.values().any(|known_source| known_source.name == name);
            if has_other && !self.has_other_serving(&name, &source.version) {
                // The new version could not be loaded: keep this one, and decide again at the next refresh.
                known.insert(key, KnownSource { source, name });
                continue;
            }
            let version = &source.version;
            let reason = self.reason_to_unload(&name, version);
            match reason {
                UnloadReason::Superseded => {
                    tracing::info!(model = name, %version, "unloading: a higher version serves");
                }
                UnloadReason::Removed | UnloadReason::Requested | UnloadReason::MemoryLimit => {
                    tracing::info!(model = name, %version, "unloading: it was removed");
                }
            }
            let removed = self.registry.remove(&name, version);
            if removed.is_some() {
                self.metrics.model_unload(&name, reason);
            }
            retire(&self.registry, removed);
            if !has_other {
                self.registry.set_policy(&name, RoutingPolicy::default());
            }
        }
        Ok(())
    }

    /// Sets the policy of `source` for the model `name`, if it differs from that of the source `before`. (An operator's
    /// verdict on a canary changes the registry's policy, and must stay.)
    fn apply_policy(&self, before: Option<&KnownSource>, source: &Source, name: &str) {
        let before = before.map(|known| known.source.policy.clone()).unwrap_or_default();
        if before != source.policy {
            self.registry.set_policy(name, source.policy.clone());
        }
    }

    /// Loads or reloads every version of the model `name`. Blocks until that is done.
    ///
    /// # Errors
    ///
    /// [`ControlError`] if any version fails.
    pub fn load(&self, name: &str) -> Result<(), ControlError> {
        let mut known = self.lock();
        let wanted = self.wanted()?;
        let mut keys = Vec::new();
        for (key, source) in wanted {
            let served = known
                .get(&key)
                .map_or_else(|| source.name.clone(), |known_source| known_source.name.clone());
            if served == name {
                self.apply_policy(known.get(&key), &source, name);
                known.insert(key.clone(), KnownSource { source, name: served });
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Err(self.unknown(name));
        }
        // All versions are tried, even after a failure.
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
        let previous = self.lock_added().insert(name.to_owned(), source);
        let loaded = self.load(name).map(|()| self.weight_limit());
        match (&loaded, previous) {
            (Ok(WeightLimit::Met), _) => {}
            (Err(_), Some(previous)) => {
                // Another request has added this name meanwhile, and its model still serves.
                self.lock_added().insert(name.to_owned(), previous);
            }
            (Ok(WeightLimit::Exceeded { .. }) | Err(_), _) => self.drop_added(name),
        }
        if let Ok(WeightLimit::Exceeded { .. }) = loaded {
            self.metrics.model_unload(name, UnloadReason::MemoryLimit);
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
            let removed = self.registry.remove(name, &source.version);
            retire(&self.registry, removed);
        }
    }

    /// Unloads every version of the model `name`. Requests for it then get 503, or load it again if it is loaded on demand. A
    /// model that was added is removed.
    ///
    /// # Errors
    ///
    /// [`ControlError::Unknown`] if there is no such model.
    pub fn unload(&self, name: &str) -> Result<(), ControlError> {
        let known = self.lock();
        if !self.registry.knows(name) {
            return Err(self.unknown(name));
        }
        for version in self.registry.versions(name) {
            tracing::info!(model = name, %version, "unloading: requested");
            let reason =
                if is_on_demand(&known, name, &version) { UNLOADED_ON_DEMAND } else { UNLOADED };
            let unloaded = self.registry.unload(name, &version, reason);
            if unloaded.is_some() {
                self.metrics.model_unload(name, UnloadReason::Requested);
            }
            retire(&self.registry, unloaded);
        }
        drop(known);
        self.drop_added(name);
        Ok(())
    }

    /// Loads the version that a request needs, if it is an on-demand model. Loading continues even if the
    /// client disconnects.
    ///
    /// # Errors
    ///
    /// [`NoModel`] if it could not be loaded.
    pub async fn demand(
        self: Arc<Self>,
        name: String,
        version: Option<Version>,
    ) -> Result<Arc<Served>, NoModel> {
        let guard = Arc::clone(&self.demands).lock_owned().await;
        let lost = NoModel::OnDemand { name: name.clone(), version: version.clone() };
        let load = move || {
            let _guard = guard; // other requests wait for it asynchronously
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
        let wanted = known.iter().rev().find(|(_, KnownSource { source, .. })| {
            source.load == LoadWhen::OnDemand
                && source.name == name
                && version.is_none_or(|version| *version == source.version)
        });
        if let Some(key) = wanted.map(|(key, _)| key.clone())
            && let Err(ControlError::Failed { name, reason }) = self.replace(&mut known, &key)
        {
            return Err(NoModel::Unavailable { name, reason });
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

    /// Why a version that is not listed any more is unloaded.
    fn reason_to_unload(&self, name: &str, version: &Version) -> UnloadReason {
        let serving = self.registry.serving_versions(name);
        let is_superseded = serving.iter().any(|other| other > version);
        if is_superseded { UnloadReason::Superseded } else { UnloadReason::Removed }
    }

    /// Opens the source at `key` and installs it.
    fn replace(&self, known: &mut KnownSources, key: &SourceKey) -> Result<(), ControlError> {
        let Some(KnownSource { source, name }) = known.get_mut(key) else {
            return Err(self.unknown(&key.name));
        };
        let version = &source.version;
        self.registry.loading(name, version);
        tracing::info!(model = *name, %version, "loading");
        match source.open_without_panic() {
            Ok(served) => {
                if served.name() != *name {
                    retire(&self.registry, self.registry.remove(name, version));
                    // Until now the policy was that of a model without a name of its own.
                    self.registry.set_policy(name, RoutingPolicy::default());
                    self.registry.set_policy(served.name(), source.policy.clone());
                    served.name().clone_into(name);
                }
                self.make_room(&served);
                let digest = served.digest().to_owned();
                let replaced = self.registry.install(served);
                tracing::info!(model = *name, %version, digest, "serving");
                self.metrics.model_load(name, LoadResult::Loaded);
                retire(&self.registry, replaced);
                Ok(())
            }
            Err(OpenError { failure, reason }) => {
                if self.is_loaded(name, version) {
                    tracing::error!(model = *name, %version, reason = failure.slug(), error = reason, "cannot be loaded; the loaded version continues to serve");
                } else {
                    tracing::error!(model = *name, %version, reason = failure.slug(), error = reason, "cannot be loaded");
                }
                self.metrics.model_load(name, LoadResult::Failed(failure));
                self.registry.failed(name, version, reason.clone());
                // The next refresh retries only if the files have changed.
                Err(ControlError::Failed { name: name.clone(), reason })
            }
        }
    }

    /// Unloads on-demand models, the least recently used first, until `new` fits under the limit.
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
            retire(&self.registry, self.registry.unload(name, version, EVICTED));
        }
    }

    fn lock_added(&self) -> MutexGuard<'_, BTreeMap<String, Source>> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic during a change leaves no source half changed, so a poisoned lock is ignored.
    fn lock(&self) -> MutexGuard<'_, KnownSources> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ON_DEMAND: &str = "the next request for it loads it";
const UNLOADED: &str =
    "it was unloaded over the admin address, and answers again after it is loaded there";
const UNLOADED_ON_DEMAND: &str =
    "it was unloaded over the admin address; the next request for it loads it";
const EVICTED: &str =
    "it was unloaded to make room for other models; the next request for it loads it";
const EXPLICIT: &str =
    "it was not loaded yet, and answers after it is loaded over the admin address";
