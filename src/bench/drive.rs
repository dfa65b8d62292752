//! A run: sends requests according to the load, and records every response.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::load::arrivals;
use super::{Load, Measured, Outcome, Target, Window};

/// An answer: when its request was due after the start, how long it took from then, what it was.
type Answer = (Duration, Duration, Outcome);

/// Puts `load` on `target`, and shows `each` what is counted while it runs.
///
/// Everything that was sent is waited for, so the last answers can come after the window.
pub async fn drive(
    target: Target,
    load: Load,
    window: Window,
    mut each: impl FnMut(&Measured),
) -> Measured {
    let (tell, mut answers) = mpsc::unbounded_channel();
    let target = Arc::new(target);
    let started = Instant::now();
    let sending = match load {
        Load::Closed { concurrency } => {
            tokio::spawn(closed(target, concurrency, (started, window), tell))
        }
        Load::Open { rate, seed } => {
            tokio::spawn(open(target, (rate, seed), (started, window), tell))
        }
    };
    let mut measured = Measured::new(window);
    while let Some((due, latency, outcome)) = answers.recv().await {
        measured.add(due, latency, outcome);
        each(&measured);
    }
    let _ = sending.await;
    measured
}

async fn closed(
    target: Arc<Target>,
    concurrency: usize,
    (started, window): (Instant, Window),
    tell: mpsc::UnboundedSender<Answer>,
) {
    let number = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..concurrency {
        let (target, number, tell) = (Arc::clone(&target), Arc::clone(&number), tell.clone());
        clients.spawn(async move {
            loop {
                let due = started.elapsed();
                if due >= window.total() {
                    return;
                }
                let turn = number.fetch_add(1, Ordering::Relaxed);
                let outcome = target.send(turn, window.timeout).await;
                let refused = matches!(&outcome, Outcome::Bad(kind) if kind == "connection");
                let _ = tell.send((due, started.elapsed().saturating_sub(due), outcome));
                if refused {
                    // Nobody listens: asking again at once would only burn the cores.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        });
    }
    drop(tell);
    clients.join_all().await;
}

async fn open(
    target: Arc<Target>,
    (rate, seed): (f64, u64),
    (started, window): (Instant, Window),
    tell: mpsc::UnboundedSender<Answer>,
) {
    let (ring, mut bell) = mpsc::unbounded_channel();
    // A thread's sleep is exact to a tenth of a millisecond, the runtime's timer to one.
    let clock = std::thread::spawn(move || {
        for due in arrivals(rate, seed).take_while(|due| *due < window.total()) {
            std::thread::sleep(due.saturating_sub(started.elapsed()));
            if ring.send(due).is_err() {
                return;
            }
        }
    });
    let mut sent = JoinSet::new();
    let mut number = 0;
    while let Some(due) = bell.recv().await {
        let (target, tell, turn) = (Arc::clone(&target), tell.clone(), number);
        number += 1;
        sent.spawn(async move {
            let outcome = target.send(turn, window.timeout).await;
            let _ = tell.send((due, started.elapsed().saturating_sub(due), outcome));
        });
        while sent.try_join_next().is_some() {} // forget those that are done
    }
    drop(tell);
    sent.join_all().await;
    let _ = clock.join();
}
