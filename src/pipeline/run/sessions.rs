//! Opens the sessions on the available device, and warms each up.

use std::mem;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use super::convolution;
use super::session::builder;
use super::shared::SharedModel;
use super::{
    Batch, Engine, InputShape, Library, Pace, RunError, Session, SessionError, SessionPlan,
};
use crate::device::Device;
use crate::pipeline::Output;

/// How many sessions of a model, on what, and how large.
#[derive(Debug, Clone, Copy)]
pub struct SessionsPlan {
    /// Where they run.
    pub device: Device,
    /// How many sessions, at least 1.
    pub sessions: usize,
    /// Threads inside each run.
    pub threads: usize,
    /// Whether a GPU replays runs from CUDA graphs.
    pub cuda_graphs: bool,
    /// The network's input.
    pub input: InputShape,
    /// The largest batch that will come.
    pub max_batch: usize,
}

/// Sessions that have run.
pub struct WarmSessions {
    /// One for each worker.
    pub engines: Vec<Engine>,
    /// Where they run.
    pub device: Device,
    /// Time to load all sessions.
    pub load: Duration,
    /// Time of all warm-up runs.
    pub warm_up: Duration,
}

impl std::fmt::Debug for WarmSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WarmSessions")
            .field("engines", &self.engines.len())
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

/// Why the sessions could not be opened and warmed up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It does not load.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// It loads, and fails at once.
    #[error("the model loads but does not run: {0}")]
    Run(#[from] RunError),
}

/// Whether sessions can be opened on `device` at all; quick, for nothing is loaded.
///
/// # Errors
///
/// [`SessionError::Device`], where this build of ONNX Runtime does not know the device.
pub fn check_device(library: &Library, device: Device) -> Result<(), SessionError> {
    builder(library, SessionPlan { device, ..SessionPlan::on_cpu(1) }).map(drop)
}

/// Opens `plan.sessions` sessions of the model in `bytes`, and warms them up, at this pace.
///
/// # Errors
///
/// [`StartError`], also if the device is not available: another one is never used instead.
pub fn open_sessions(
    library: &Library,
    bytes: &[u8],
    plan: SessionsPlan,
    pace: Pace<'_>,
) -> Result<WarmSessions, StartError> {
    let started = Instant::now();
    let open = || open(library, bytes, plan);
    // Threads inside a session keep the priority of the thread that opens it.
    let sessions = if plan.threads > 1 { open() } else { pace.build(open) }?;
    let load = started.elapsed();
    let started = Instant::now();
    let engines = side_by_side(sessions, |mut session| {
        pace.run(|| session.warm_up(plan.input, plan.max_batch))?;
        // CUDA graphs are the thread's that captured them: where it is another one now, it captures its own.
        let mut home = thread::current().id();
        Ok::<_, RunError>(Box::new(move |batch: &Batch| {
            let here = thread::current().id();
            if plan.cuda_graphs && mem::replace(&mut home, here) != here {
                session.warm_up(plan.input, plan.max_batch)?;
            }
            session.run(batch)
        }) as Engine)
    })?;
    Ok(WarmSessions { engines, device: plan.device, load, warm_up: started.elapsed() })
}

fn open(library: &Library, bytes: &[u8], plan: SessionsPlan) -> Result<Vec<Session>, SessionError> {
    let wanted = [Output::Logits, Output::Probabilities];
    match plan.device {
        Device::Cpu if plan.sessions > 1 || convolution::may_replace(bytes) => {
            let shared = SharedModel::optimize(library, bytes)?;
            // One after the other: each reads the whole model, and memory that was freed serves the next.
            (0..plan.sessions).map(|_| shared.open(library, plan.threads, &wanted)).collect()
        }
        device @ (Device::Cpu | Device::Cuda(_)) => {
            let SessionsPlan { threads, cuda_graphs, .. } = plan;
            let session_plan = SessionPlan { device, threads, cuda_graphs };
            (0..plan.sessions)
                .map(|_| Session::open(library, bytes, session_plan, &wanted))
                .collect()
        }
    }
}

/// What `work` makes of each item, all at the same time: the first on this thread, whose freed memory it
/// may use, and each of the others on one of its own.
fn side_by_side<T: Send, R: Send, E: Send>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let work = &work;
    let mut items = items.into_iter();
    let Some(first) = items.next() else { return Ok(Vec::new()) };
    thread::scope(|scope| {
        let others: Vec<_> = items.map(|item| scope.spawn(move || work(item))).collect();
        let first = work(first);
        let others = others
            .into_iter()
            .map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        std::iter::once(first).chain(others).collect()
    })
}
