//! Returns freed memory to the system when the server is idle.

use std::sync::Arc;
use std::time::Duration;

use super::queue::Memory;
use super::run::{resident, trim_heap};

/// How long nothing must be in flight before the heap is trimmed.
const IDLE: Duration = Duration::from_secs(2);

/// Growth of resident memory, in bytes, after which the heap is trimmed even if no image was admitted:
/// rejected requests and connections use memory too.
const GROWTH: u64 = 8 << 20;

/// Returns freed memory to the system whenever the server is idle, if it has admitted images since the last time or the
/// process has grown; never ends.
pub async fn trim_when_idle(memory: Arc<Memory>) {
    let mut trimmed_at = memory.taken();
    let mut kept = resident();
    loop {
        let before = memory.taken();
        tokio::time::sleep(IDLE).await;
        let after = memory.taken();
        let idle = before == after && memory.held() == 0;
        let grown = kept.zip(resident()).is_some_and(|(kept, now)| now > kept + GROWTH);
        if idle && (after != trimmed_at || grown) {
            trimmed_at = after;
            // Trimming locks all arenas of the heap.
            let _ = tokio::task::spawn_blocking(trim_heap).await;
            kept = resident();
        }
    }
}
