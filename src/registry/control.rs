//! Loads, replaces and unloads models while the server runs.
//!
//! A new version is opened, verified and warmed up before it is installed; requests that have the old one
//! finish on it. If that fails, the old one goes on serving. Changes are made one after the other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::retire::retire;
use super::{NoModel, Registry, Served, Version};

/// Opens a model; the error is a message for operators.
pub type Open = Arc<dyn Fn() -> Result<Served, String> + Send + Sync>;

/// Where a version of a model comes from.
#[derive(Clone)]
pub struct Source {
    /// The name that requests use.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// A value that differs when the files or settings of the model have changed.
    pub fingerprint: u64,
    /// When it is loaded.
    pub load: LoadWhen,
    /// Opens it, verifies it and warms it up.
    pub open: Open,
}

/// When a model is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadWhen {
    /// When the server starts, or when the model is added.
    Now,
    /// When the first request names it; it may be unloaded when `--model-memory-limit` needs its memory.
    OnDemand,
    /// When it is asked for over the admin address.
    Explicit,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, fingerprint, load, .. } = self;
        write!(f, "{name} {version} ({load:?}, {fingerprint:x})")
    }
}

/// The models that there should be.
pub type Sources = Box<dyn Fn() -> Result<Vec<Source>, String> + Send + Sync>;

/// Changes the models of a registry.
pub struct Control {
    registry: Arc<Registry>,
    sources: Sources,
    /// Held while models are changed.
    known: Mutex<Known>,
    memory_limit: Option<u64>,
    demands: Arc<tokio::sync::Mutex<()>>,
}

/// The sources that were seen last.
type Known = BTreeMap<(String, Version), Source>;

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// Why a model was not loaded or unloaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// No source has this name.
    #[error("there is no model {0:?} to load; the models are {1}")]
    Unknown(String, String),
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

impl Control {
    /// Control of the models of `registry`, which should be those of `sources`, with at most `memory_limit` bytes
    /// of weights in on-demand models.
    #[must_use]
    pub fn new(registry: Arc<Registry>, sources: Sources, memory_limit: Option<u64>) -> Self {
        Self { registry, sources, known: Mutex::default(), memory_limit, demands: Arc::default() }
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
        for key in gone {
            known.remove(&key);
            let (name, version) = key;
            tracing::info!(model = name, %version, "unloading: the model was removed");
            self.registry.remove(&name, &version).map(retire);
        }
        for (key, source) in wanted {
            let before = known.insert(key, source.clone());
            let changed = before.is_none_or(|before| before.fingerprint != source.fingerprint);
            let loaded = self.is_loaded(&source);
            match source.load {
                LoadWhen::Now if changed => drop(self.replace(&source)),
                LoadWhen::OnDemand | LoadWhen::Explicit if changed && loaded => {
                    drop(self.replace(&source));
                }
                LoadWhen::OnDemand if !loaded => self.registry.list_unloaded(&source, ON_DEMAND),
                LoadWhen::Explicit if !loaded => self.registry.list_unloaded(&source, EXPLICIT),
                LoadWhen::Now | LoadWhen::OnDemand | LoadWhen::Explicit => {}
            }
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
        let names: Vec<_> = wanted.keys().map(|(name, _)| format!("{name:?}")).collect();
        let sources: Vec<_> = wanted.into_iter().filter(|((model, _), _)| model == name).collect();
        if sources.is_empty() {
            return Err(ControlError::Unknown(name.to_owned(), names.join(", ")));
        }
        for (key, source) in sources {
            known.insert(key, source.clone());
            self.replace(&source)?;
        }
        Ok(())
    }

    /// Unloads every version of the model `name`: from now on requests for it are answered 503.
    ///
    /// # Errors
    ///
    /// [`ControlError::Unknown`].
    pub fn unload(&self, name: &str) -> Result<(), ControlError> {
        let _known = self.lock();
        if !self.registry.knows(name) {
            let names: Vec<_> = self.registry.list().into_iter().map(|it| it.name).collect();
            return Err(ControlError::Unknown(name.to_owned(), names.join(", ")));
        }
        for version in self.registry.versions(name) {
            let version = Version::new(&version);
            tracing::info!(model = name, %version, "unloading: requested");
            self.registry
                .unload(name, &version, "it was unloaded; load it again over the admin address")
                .map(retire);
        }
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
        let known = self.lock();
        // Another request may have loaded it meanwhile.
        if let Ok(served) = self.registry.find(Some(name), version) {
            return Ok(served);
        }
        let source = known.values().rev().find(|source| {
            source.load == LoadWhen::OnDemand
                && source.name == name
                && version.is_none_or(|version| *version == source.version)
        });
        if let Some(source) = source {
            let _ = self.replace(source);
        }
        self.registry.find(Some(name), version)
    }

    fn wanted(&self) -> Result<Known, ControlError> {
        let sources = (self.sources)().map_err(ControlError::Sources)?;
        let keyed = sources
            .into_iter()
            .map(|source| ((source.name.clone(), source.version.clone()), source));
        Ok(keyed.collect())
    }

    fn is_loaded(&self, source: &Source) -> bool {
        self.registry.find(Some(&source.name), Some(&source.version)).is_ok()
    }

    /// Opens `source`, and lets it answer from now on.
    fn replace(&self, source: &Source) -> Result<(), ControlError> {
        let Source { name, version, .. } = source;
        self.registry.loading(name, version);
        tracing::info!(model = name, %version, "loading");
        match (source.open)() {
            Ok(served) => {
                let (digest, bytes) = (served.digest().to_owned(), served.weight_bytes);
                self.make_room(source, bytes);
                let replaced = self.registry.install(served);
                tracing::info!(model = name, %version, digest, "serving");
                replaced.map(retire);
                Ok(())
            }
            Err(reason) => {
                let serving = self.is_loaded(source);
                tracing::error!(model = name, %version, reason, "cannot be loaded{}", if serving { ": the loaded one goes on serving" } else { "" });
                self.registry.failed(name, version, reason.clone());
                Err(ControlError::Failed { name: name.clone(), reason })
            }
        }
    }

    /// Unloads on-demand models, the one unused longest first, until `bytes` more fit under the limit.
    fn make_room(&self, source: &Source, bytes: u64) {
        let Some(limit) = self.memory_limit else { return };
        let mut loaded: Vec<_> = self.registry.serving();
        loaded.retain(|model| {
            (model.name(), &model.version) != (source.name.as_str(), &source.version)
        });
        loaded.sort_by_key(|model| model.used.time());
        let mut sum: u64 = loaded.iter().map(|model| model.weight_bytes).sum();
        for model in loaded {
            if sum.saturating_add(bytes) <= limit {
                return;
            }
            if model.load != LoadWhen::OnDemand {
                continue;
            }
            sum -= model.weight_bytes;
            let (name, version) = (model.name(), &model.version);
            tracing::info!(model = name, %version, limit, "unloading: --model-memory-limit is reached");
            self.registry.unload(name, version, ON_DEMAND).map(retire);
        }
    }

    /// A change that panicked left whole sources behind.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ON_DEMAND: &str = "it is loaded when a request needs it";
const EXPLICIT: &str = "it was not loaded yet; load it over the admin address";
