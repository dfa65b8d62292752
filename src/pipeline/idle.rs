//! Returns freed memory to the system when the pipeline is idle.

use std::sync::Arc;
use std::time::Duration;

use super::Pipeline;
use super::run::{resident, trim_heap};

/// How long nothing must be in flight.
const IDLE: Duration = Duration::from_secs(2);

/// Growth of resident memory, in bytes, after which the heap is trimmed even if no image was admitted: rejected
/// requests and connections use memory, too.
const GROWTH: u64 = 8 << 20;

/// Returns freed memory to the system each time `pipeline` becomes idle after it has worked, or after the process
/// has grown; never ends.
pub async fn trim_when_idle(pipeline: Arc<Pipeline>) {
    let mut trimmed_at = pipeline.admission.admitted();
    let mut kept = resident();
    loop {
        let before = pipeline.admission.admitted();
        tokio::time::sleep(IDLE).await;
        let after = pipeline.admission.admitted();
        let idle = before == after && pipeline.admission.held() == (0, 0);
        let grown = kept.zip(resident()).is_some_and(|(kept, now)| now > kept + GROWTH);
        if idle && (after != trimmed_at || grown) {
            trimmed_at = after;
            // It takes the locks of all the heap's arenas.
            let _ = tokio::task::spawn_blocking(trim_heap).await;
            kept = resident();
        }
    }
}
