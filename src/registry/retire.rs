//! Ends a version that was replaced or unloaded.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{Registry, Served};
use crate::pipeline::run::trim_heap;

/// Interval of checks whether the last request is answered.
const PERIOD: Duration = Duration::from_millis(20);

/// Waits on another thread until no request uses `served`, then frees its memory. Its requests arrived before
/// those of the version that replaces it in `registry`, so they run first.
pub(super) fn retire(registry: &Registry, served: Option<Arc<Served>>) {
    let Some(served) = served else { return };
    for successor in registry.serving().iter().filter(|other| other.name() == served.name()) {
        successor.pipeline.succeed(&served.pipeline);
    }
    let work = move || {
        let mut served = served;
        let served = loop {
            match Arc::try_unwrap(served) {
                Ok(served) => break served,
                Err(in_use) => served = in_use,
            }
            thread::sleep(PERIOD);
        };
        let (name, version) = (served.name().to_owned(), served.version.clone());
        served.pipeline.join();
        drop(served);
        trim_heap();
        tracing::info!(model = name, %version, "the old version has ended and its memory was freed");
    };
    if let Err(error) = thread::Builder::new().name("retire".to_owned()).spawn(work) {
        tracing::error!(%error, "cannot start a thread to end a model; it ends with its last request");
    }
}
