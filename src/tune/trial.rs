//! Measures a pipeline under load, without HTTP.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;

use super::Goal;
use crate::pipeline::queue::{Deadline, RequestContext};
use crate::pipeline::{ClassifyError, Pipeline};

/// The result of one measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Trial {
    /// Images per second; 0 if not even one client was answered in time.
    pub images_per_second: f64,
    /// The 99th percentile of latency, in milliseconds.
    pub p99_ms: f64,
    /// Number of concurrent clients, each of which waits for its answer.
    pub clients: usize,
}

/// Time limit of a request, which ends a run that is stuck.
const REQUEST_LIMIT: Duration = Duration::from_secs(600);

/// Measures `pipeline` for `duration`. For [`Goal::Throughput`], with as many clients as keep it busy; for [`Goal::Latency`],
/// with 1, 2, 4 and more clients, as long as the 99th percentile is within the limit.
///
/// # Errors
///
/// If a photo cannot be classified.
pub async fn trial(
    pipeline: &Pipeline,
    photos: &[Bytes],
    goal: Goal,
    duration: Duration,
) -> Result<Trial, ClassifyError> {
    let busy = pipeline.at_once();
    match goal {
        Goal::Throughput => with_clients(pipeline, photos, busy, duration).await,
        Goal::Latency(limit) => {
            let mut best = with_clients(pipeline, photos, 1, duration).await?;
            if best.p99_ms > limit.as_secs_f64() * 1e3 {
                return Ok(Trial { images_per_second: 0.0, ..best });
            }
            let more = std::iter::successors(Some(2), |clients| Some(clients * 2));
            for clients in more.take_while(|clients| *clients <= busy) {
                let found = with_clients(pipeline, photos, clients, duration).await?;
                if found.p99_ms > limit.as_secs_f64() * 1e3 {
                    break;
                }
                if found.images_per_second > best.images_per_second {
                    best = found;
                }
            }
            Ok(best)
        }
    }
}

/// Runs clients that send again as soon as they are answered, for `duration` or until there are twice as many answers
/// as clients, whichever is longer. The first answers, as many as clients, do not count, because all clients start at
/// the same time.
async fn with_clients(
    pipeline: &Pipeline,
    photos: &[Bytes],
    clients: usize,
    duration: Duration,
) -> Result<Trial, ClassifyError> {
    let (number, started) = (AtomicUsize::new(0), Instant::now());
    let answered = AtomicUsize::new(0);
    let caller = async || {
        let mut times = Vec::new();
        while started.elapsed() < duration || answered.load(Ordering::Relaxed) < 2 * clients {
            let (asked, request) = (Instant::now(), number.fetch_add(1, Ordering::Relaxed));
            let context = RequestContext::local(Deadline::after(REQUEST_LIMIT));
            pipeline.classify(photos[request % photos.len()].clone(), &context).await?;
            times.push(TimedAnswer { latency: asked.elapsed(), at: started.elapsed() });
            answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok::<_, ClassifyError>(times)
    };
    let callers = (0..clients).map(|_| caller());
    let answers = futures_util::future::try_join_all(callers).await?;
    Ok(found(answers.into_iter().flatten().collect(), clients))
}

/// An answer: its latency, and its time.
struct TimedAnswer {
    latency: Duration,
    at: Duration,
}

#[expect(clippy::cast_precision_loss, reason = "counts of answers are far below 2^53")]
fn found(mut answers: Vec<TimedAnswer>, clients: usize) -> Trial {
    answers.sort_by_key(|answer| answer.at);
    let counted = answers.split_off(clients.min(answers.len().saturating_sub(1)));
    let begin = answers.last().map_or(Duration::ZERO, |answer| answer.at);
    let end = counted.last().map_or(Duration::ZERO, |answer| answer.at);
    let seconds = end.saturating_sub(begin).as_secs_f64().max(1e-9);
    let mut latencies: Vec<Duration> = counted.iter().map(|answer| answer.latency).collect();
    latencies.sort();
    let p99 = latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default();
    let p99_ms = p99.as_secs_f64() * 1e3;
    Trial { images_per_second: counted.len() as f64 / seconds, p99_ms, clients }
}
