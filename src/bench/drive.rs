//! A run: sends requests according to the load, and records every response.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::load::arrivals;
use super::{Load, LoadResults, Outcome, RunTimes, Target};

/// The response to a request, or its failure.
struct TimedOutcome {
    /// When the request was due, after the start of the run.
    due: Duration,
    /// How long it took from then.
    latency: Duration,
    outcome: Outcome,
}

/// One run of the load generator.
struct Run {
    target: Arc<Target>,
    started: Instant,
    times: RunTimes,
    outcomes: mpsc::UnboundedSender<TimedOutcome>,
}

/// Puts `load` on `target`, and calls `each` with the results so far after every response.
///
/// Waits for the responses to all requests, so the last ones can arrive after the window.
pub async fn drive(
    target: Target,
    load: Load,
    times: RunTimes,
    mut each: impl FnMut(&LoadResults),
) -> LoadResults {
    let (outcomes, mut received) = mpsc::unbounded_channel();
    let run = Run { target: Arc::new(target), started: Instant::now(), times, outcomes };
    let sending = match load {
        Load::Closed { concurrency } => tokio::spawn(run.closed(concurrency)),
        Load::Open { rate, seed } => tokio::spawn(run.open(rate, seed)),
    };
    let mut measured = LoadResults::new(times);
    while let Some(TimedOutcome { due, latency, outcome }) = received.recv().await {
        measured.add(due, latency, outcome);
        each(&measured);
    }
    let _ = sending.await;
    measured
}

impl Run {
    /// Sends the photo at `number`, whose request was due at `due`, and records the outcome. Returns
    /// whether the connection failed.
    async fn send(&self, number: usize, due: Duration) -> bool {
        let Self { target, started, times, outcomes } = self;
        let outcome = target.send(number, times.timeout).await;
        let is_refused = matches!(&outcome, Outcome::Bad(kind) if kind == "connection");
        let latency = started.elapsed().saturating_sub(due);
        let _ = outcomes.send(TimedOutcome { due, latency, outcome });
        is_refused
    }

    /// Each of `concurrency` clients sends its next request after the response to the last.
    async fn closed(self, concurrency: usize) {
        let run = Arc::new(self);
        let next = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..concurrency {
            let (run, next) = (Arc::clone(&run), Arc::clone(&next));
            clients.spawn(async move {
                loop {
                    let due = run.started.elapsed();
                    if due >= run.times.total() {
                        return;
                    }
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let is_refused = run.send(number, due).await;
                    if is_refused {
                        // No server listens: an immediate retry would only use the CPU.
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            });
        }
        drop(run);
        clients.join_all().await;
    }

    /// Sends requests at the arrival times of a Poisson process with `rate` arrivals per second.
    async fn open(self, rate: f64, seed: u64) {
        let run = Arc::new(self);
        let (tick, mut ticks) = mpsc::unbounded_channel();
        let (started, total) = (run.started, run.times.total());
        // A thread's sleep is exact to a tenth of a millisecond, the runtime's timer to one.
        let clock = std::thread::spawn(move || {
            for due in arrivals(rate, seed).take_while(|due| *due < total) {
                std::thread::sleep(due.saturating_sub(started.elapsed()));
                if tick.send(due).is_err() {
                    return;
                }
            }
        });
        let mut sent = JoinSet::new();
        let mut number = 0;
        while let Some(due) = ticks.recv().await {
            let (run, turn) = (Arc::clone(&run), number);
            number += 1;
            sent.spawn(async move { run.send(turn, due).await });
            while sent.try_join_next().is_some() {} // drop the results of finished requests
        }
        drop(run);
        sent.join_all().await;
        let _ = clock.join();
    }
}
