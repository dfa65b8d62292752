//! The minimum upload rate, as in Apache's `mod_reqtimeout`, so that slow clients do not occupy memory.

use std::time::Duration;

use axum::body::Body;
use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::Server;

/// Length of a period.
const PERIOD: Duration = Duration::from_secs(1);

/// Number of consecutive slow periods after which the upload ends.
const MAX_SLOW_PERIODS: u32 = 5;

/// The upload was too slow.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the upload was slower than {rate} bytes per second")]
pub(super) struct TooSlow {
    /// Minimum rate in bytes per second.
    pub(super) rate: u64,
}

struct UploadRate {
    until: Instant,
    /// Received in this period.
    bytes: u64,
    /// Number of consecutive slow periods.
    slow: u32,
}

/// Ends the body with an error if it is slower than `--min-upload-rate` in each of five consecutive seconds. While more than
/// half of `--memory-limit` is in use, one second without data suffices.
pub(super) fn paced(server: &Server, body: Body) -> Body {
    let rate = server.timeouts.min_upload_rate;
    if rate == 0 {
        return body;
    }
    let metrics = std::sync::Arc::clone(&server.metrics);
    let state = (body.into_data_stream(), None::<UploadRate>);
    let chunks = stream::unfold(Some(state), move |state| {
        let metrics = std::sync::Arc::clone(&metrics);
        async move {
            let (mut chunks, pace) = state?;
            // The time before the server starts to read is not counted.
            let mut pace = pace.unwrap_or_else(|| UploadRate {
                until: Instant::now() + PERIOD,
                bytes: 0,
                slow: 0,
            });
            loop {
                if let Ok(chunk) = timeout_at(pace.until, chunks.next()).await {
                    let chunk = chunk?.map_err(Into::into);
                    pace.bytes +=
                        chunk.as_ref().map_or(0, |chunk: &bytes::Bytes| chunk.len() as u64);
                    return Some((chunk, Some((chunks, Some(pace)))));
                }
                pace.slow = if pace.bytes < rate { pace.slow + 1 } else { 0 };
                let scarce = metrics.admitted_bytes.get() > metrics.admission_limit_bytes.get() / 2;
                if pace.slow >= MAX_SLOW_PERIODS || scarce && pace.bytes == 0 {
                    let error: Box<dyn std::error::Error + Send + Sync> =
                        Box::new(TooSlow { rate });
                    return Some((Err(error), None));
                }
                (pace.until, pace.bytes) = (Instant::now() + PERIOD, 0);
            }
        }
    });
    Body::from_stream(chunks)
}
