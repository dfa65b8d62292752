//! Returns freed memory to the system when the pipeline is idle.

use std::sync::Arc;
use std::time::Duration;

use super::Pipeline;
use super::run::trim_heap;

/// How long nothing must be in flight.
const IDLE: Duration = Duration::from_secs(2);

/// Returns freed memory to the system each time `pipeline` becomes idle after it has worked; never ends.
pub async fn trim_when_idle(pipeline: Arc<Pipeline>) {
    let mut trimmed_at = pipeline.admission.admitted();
    loop {
        let before = pipeline.admission.admitted();
        tokio::time::sleep(IDLE).await;
        let after = pipeline.admission.admitted();
        let idle = before == after && pipeline.admission.held() == (0, 0);
        if idle && after != trimmed_at {
            trimmed_at = after;
            // It takes the locks of all the heap's arenas.
            let _ = tokio::task::spawn_blocking(trim_heap).await;
        }
    }
}
