//! The worker threads, and a watchdog that replaces stuck ones.
//!
//! Decoding stops at the deadline, and a batch takes about as long as the one before it. A worker that is
//! busy for much longer is stuck in a library. Its thread cannot be stopped, but another one can replace it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Engine;
use super::worker::{Worker, WorkerPlan};
use super::worker_state::WorkerState;

/// Opens another engine of the same model, or returns the reason why it cannot.
pub type SpareEngine = Box<dyn Fn() -> Result<Engine, String> + Send + Sync>;

/// Engines of the workers.
pub struct Engines {
    /// One for each worker.
    pub ready: Vec<Engine>,
    /// Replaces the engine of a stuck worker.
    pub spare: Option<SpareEngine>,
}

impl From<Vec<Engine>> for Engines {
    fn from(ready: Vec<Engine>) -> Self {
        Self { ready, spare: None }
    }
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engines").field("ready", &self.ready.len()).finish_non_exhaustive()
    }
}

/// The running worker threads.
#[derive(Debug)]
pub struct Workers {
    supervisor: Arc<Supervisor>,
    watchdog: JoinHandle<()>,
}

impl Workers {
    /// Starts one thread for each engine, and a watchdog.
    ///
    /// # Errors
    ///
    /// If the system cannot create a thread.
    pub fn start(plan: &WorkerPlan, engines: impl Into<Engines>) -> std::io::Result<Self> {
        let Engines { ready, spare } = engines.into();
        let supervisor = Arc::new(Supervisor {
            plan: plan.clone(),
            spare: spare.map(Spare),
            running: Mutex::default(),
        });
        for engine in ready {
            supervisor.start_worker(engine)?;
        }
        let watched = Arc::clone(&supervisor);
        let watchdog =
            thread::Builder::new().name("watchdog".to_owned()).spawn(move || watched.watch())?;
        Ok(Self { supervisor, watchdog })
    }

    /// Waits until every worker that is not stuck has ended, after the queue was closed.
    pub fn join(self) {
        // The watchdog removes stuck workers meanwhile, so their threads cannot be joined one after the other.
        while !self.supervisor.have_ended() {
            thread::sleep(JOIN_PERIOD);
        }
        self.watchdog.thread().unpark();
        let _ = self.watchdog.join();
    }
}

/// Interval of checks whether all workers have ended.
const JOIN_PERIOD: Duration = Duration::from_millis(2);

#[derive(Debug)]
struct Supervisor {
    plan: WorkerPlan,
    spare: Option<Spare>,
    running: Mutex<Vec<RunningWorker>>,
}

struct Spare(SpareEngine);

impl std::fmt::Debug for Spare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Spare")
    }
}

#[derive(Debug)]
struct RunningWorker {
    thread: JoinHandle<()>,
    state: Arc<WorkerState>,
}

impl Supervisor {
    /// Starts a worker.
    fn start_worker(&self, engine: Engine) -> std::io::Result<()> {
        let state = Arc::new(WorkerState::default());
        let mut running = self.lock();
        let mut worker = Worker::new(self.plan.clone(), engine, Arc::clone(&state));
        let thread = thread::Builder::new()
            .name(format!("worker-{}", running.len()))
            .spawn(move || worker.work())?;
        running.push(RunningWorker { thread, state });
        Ok(())
    }

    /// Whether the queue is closed and every worker has ended, except stuck ones that were given up.
    fn have_ended(&self) -> bool {
        self.plan.queue.is_closed() && self.lock().iter().all(|worker| worker.thread.is_finished())
    }

    /// Monitors the workers until they have ended.
    fn watch(&self) {
        let limit = self.plan.stuck_after;
        let pause = (limit / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let mut reported = 0;
        while !self.have_ended() {
            thread::park_timeout(pause);
            let stuck = self.stuck();
            self.plan.health.note_stuck(stuck.len());
            self.plan.metrics.stuck_workers.set(i64::try_from(stuck.len()).unwrap_or(i64::MAX));
            if stuck.len() > reported {
                tracing::error!(workers = stuck.len(), ?limit, "workers are stuck");
            }
            reported = stuck.len();
            for state in stuck {
                self.replace(&state);
            }
        }
    }

    fn stuck(&self) -> Vec<Arc<WorkerState>> {
        let running = self.lock();
        let stuck = running.iter().filter(|worker| worker.state.is_stuck(self.plan.stuck_after));
        stuck.map(|worker| Arc::clone(&worker.state)).collect()
    }

    /// Replaces a stuck worker by a new one; after the queue was closed, only takes back what it holds.
    fn replace(&self, state: &Arc<WorkerState>) {
        if self.plan.queue.is_closed() {
            self.give_up(state);
            return;
        }
        let Some(Spare(open)) = &self.spare else { return };
        let engine = match open() {
            Ok(engine) => engine,
            Err(error) => {
                tracing::error!(error, "cannot replace a stuck worker; retrying");
                return;
            }
        };
        // The worker may have finished while the engine was opened.
        if !self.give_up(state) {
            return;
        }
        match self.start_worker(engine) {
            Ok(()) => {
                self.plan.metrics.worker_replacements.inc();
                tracing::warn!("replaced a stuck worker");
            }
            Err(error) => tracing::error!(%error, "cannot start a worker thread"),
        }
    }

    /// Removes a worker and takes back its permits, if it is still stuck.
    fn give_up(&self, state: &Arc<WorkerState>) -> bool {
        if !state.replace(self.plan.stuck_after) {
            return false;
        }
        if let Some(cores) = &self.plan.cores {
            cores.release_stuck();
        }
        self.lock().retain(|worker| !Arc::ptr_eq(&worker.state, state));
        true
    }

    fn lock(&self) -> MutexGuard<'_, Vec<RunningWorker>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
