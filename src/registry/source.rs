//! Sources from which the server's models are opened.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{LoadWhen, RoutingPolicy, Served, Version};
use crate::telemetry::LoadFailure;

/// Opens a model.
pub type Open = Arc<dyn Fn() -> Result<Served, OpenError> + Send + Sync>;

/// Why a model could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct OpenError {
    /// The class of the error, for metrics.
    pub failure: LoadFailure,
    /// The message for operators.
    pub reason: String,
}

/// The source of one version of a model.
#[derive(Clone)]
pub struct Source {
    /// The name in requests. If the model's card determines it, the path or id of the model until it is
    /// loaded.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// A hash that changes when the model's files or settings change.
    pub fingerprint: u64,
    /// When it is loaded.
    pub load: LoadWhen,
    /// The distribution of requests for its name; the default has no rules.
    pub policy: RoutingPolicy,
    /// Opens, verifies and warms up the model.
    pub open: Open,
}

impl Source {
    /// Opens the model. A panic is an error, so that the other models are still refreshed.
    pub(super) fn open_without_panic(&self) -> Result<Served, OpenError> {
        catch_unwind(AssertUnwindSafe(|| (self.open)())).unwrap_or_else(|_| {
            let reason = "loading it panicked; the message is on standard error".to_owned();
            Err(OpenError { failure: LoadFailure::Internal, reason })
        })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, fingerprint, load, .. } = self;
        write!(f, "{name} {version} ({load:?}, {fingerprint:x})")
    }
}

/// Lists the configured models.
pub type Sources = Box<dyn Fn() -> Result<Vec<Source>, String> + Send + Sync>;

/// Creates the source of a model from its name and the path of its file or folder.
pub type SourceAt = Box<dyn Fn(&str, &str) -> Result<Source, String> + Send + Sync>;

/// Lists and creates sources.
pub struct ModelSources {
    /// Lists the current models of the configuration and the model repository.
    pub listed: Sources,
    /// Creates the source of an additional model, for SageMaker's API.
    pub at: SourceAt,
}

impl fmt::Debug for ModelSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelSources").finish_non_exhaustive()
    }
}
