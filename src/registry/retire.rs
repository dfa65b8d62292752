//! Ends a version that was replaced or unloaded.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{Registry, Served};
use crate::pipeline::run::trim_heap;

/// Interval of checks whether the last request is answered.
const PERIOD: Duration = Duration::from_millis(20);

const FREED: &str = "its last request is answered, and its memory is freed";

/// Waits on another thread until no request uses `served`, then frees its memory. Its requests arrived before
/// those of the version that replaces it in `registry`, so they run first.
pub(super) fn retire(registry: &Registry, served: Option<Arc<Served>>) {
    let Some(served) = served else { return };
    let (name, version) = (served.name().to_owned(), served.version.clone());
    let digest = served.digest().to_owned();
    let successors = registry.serving();
    let replaced_by = successors
        .iter()
        .find(|other| (other.name(), &other.version) == (&*name, &version))
        .map(|other| other.digest().to_owned());
    for successor in successors.iter().filter(|other| other.name() == name) {
        successor.pipeline.succeed(&served.pipeline);
    }
    drop(successors);
    let work = move || {
        let mut served = served;
        let served = loop {
            match Arc::try_unwrap(served) {
                Ok(served) => break served,
                Err(in_use) => served = in_use,
            }
            thread::sleep(PERIOD);
        };
        served.pipeline.join();
        drop(served);
        trim_heap();
        if let Some(replaced_by) = replaced_by {
            tracing::info!(model = name, %version, digest, replaced_by, "replaced: {FREED}");
        } else {
            tracing::info!(model = name, %version, digest, "unloaded: {FREED}");
        }
    };
    if let Err(error) = thread::Builder::new().name("retire".to_owned()).spawn(work) {
        tracing::error!(%error, "cannot start a thread to end a model; it ends with its last request");
    }
}
