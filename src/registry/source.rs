//! Where a server's models come from.

use std::fmt;
use std::sync::Arc;

use super::{Policy, Served, Version};

/// Opens a model; the error is a message for operators.
pub type Open = Arc<dyn Fn() -> Result<Served, String> + Send + Sync>;

/// Where a version of a model comes from.
#[derive(Clone)]
pub struct Source {
    /// The name that requests use. If the model's card decides it, the path or id of the model, until it is
    /// loaded.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// A value that differs when the files or settings of the model have changed.
    pub fingerprint: u64,
    /// When it is loaded.
    pub load: LoadWhen,
    /// How requests for its name are handed out; the default one says nothing of them.
    pub policy: Policy,
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

/// The source of a model by its name and the path of its file or folder.
pub type SourceAt = Box<dyn Fn(&str, &str) -> Result<Source, String> + Send + Sync>;

/// Where a server's models come from.
pub struct ModelSources {
    /// Lists them, as the configuration and the model repository are now.
    pub listed: Sources,
    /// Opens one more, for SageMaker's requests.
    pub at: SourceAt,
}

impl fmt::Debug for ModelSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelSources").finish_non_exhaustive()
    }
}
