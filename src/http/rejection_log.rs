//! Logs rejections: there may be thousands per second under overload, so one line per second, reason and model
//! has their number.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::problem::Kind;

/// Interval of the lines.
const PERIOD: Duration = Duration::from_secs(1);

/// Rejections since the last line.
#[derive(Debug, Clone, Default)]
pub(super) struct RejectionLog(Arc<Mutex<HashMap<Rejection, u64>>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Rejection {
    reason: &'static str,
    /// `None` if the request was rejected before its model was known.
    model: Option<String>,
}

impl RejectionLog {
    /// Counts a rejection of a request of `model`. The first one after a line schedules the next line.
    pub(super) fn count(&self, reason: &'static str, model: Option<&str>) {
        let rejection = Rejection { reason, model: model.map(str::to_owned) };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = counts.is_empty();
        *counts.entry(rejection).or_default() += 1;
        drop(counts);
        if first && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let log = self.clone();
            runtime.spawn(async move {
                tokio::time::sleep(PERIOD).await;
                log.report();
            });
        }
    }

    /// Writes the lines.
    pub(super) fn report(&self) {
        let counts = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for (Rejection { reason, model }, count) in counts {
            // A client above its own limit is not a warning for the operator.
            if Kind::named(reason).is_some_and(Kind::is_of_client) {
                tracing::info!(reason, model, count, "requests rejected in the last second");
            } else {
                tracing::warn!(reason, model, count, "requests rejected in the last second");
            }
        }
    }
}
