//! Opens the sessions of a model and warms them up.

use std::mem;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use super::convolution;
use super::session::builder;
use super::shared::SharedModel;
use super::{
    Batch, Engine, InputShape, Library, LoadPriority, RunError, Session, SessionError, SessionPlan,
};
use crate::device::Device;
use crate::kernels::{ConvolutionKernel, Geometry};
use crate::pipeline::Output;

/// Number and settings of a model's sessions.
#[derive(Debug, Clone, Copy)]
pub struct SessionsPlan {
    /// Device on which they run.
    pub device: Device,
    /// Number of sessions, at least 1.
    pub sessions: usize,
    /// Threads of each run.
    pub threads: usize,
    /// Whether a GPU replays runs from CUDA graphs.
    pub cuda_graphs: bool,
    /// Whether a CPU uses this program's kernels for int8 convolutions.
    pub int8_kernels: bool,
    /// Size of the network's input.
    pub input: InputShape,
    /// The maximum batch size.
    pub max_batch: usize,
}

/// Sessions that are warmed up.
pub struct WarmSessions {
    /// One for each worker.
    pub engines: Vec<Engine>,
    /// Device on which they run.
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
    /// ONNX Runtime cannot load the model.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The first run failed.
    #[error("the model loads but does not run: {0}")]
    Run(#[from] RunError),
}

/// Checks whether sessions can be opened on `device`, without loading a model.
///
/// # Errors
///
/// [`SessionError::Device`] if this build of ONNX Runtime does not support the device.
pub fn check_device(library: &Library, device: Device) -> Result<(), SessionError> {
    builder(library, SessionPlan { device, ..SessionPlan::on_cpu(1) }).map(drop)
}

/// Opens `plan.sessions` sessions of the model in `bytes` and warms them up, at this priority. Sessions of
/// several threads are opened at normal priority, because their threads inherit it.
///
/// # Errors
///
/// [`StartError`], also if the device is not available: no other device is used instead.
pub fn open_sessions(
    library: &Library,
    bytes: &[u8],
    plan: SessionsPlan,
    priority: LoadPriority<'_>,
) -> Result<WarmSessions, StartError> {
    let started = Instant::now();
    let open = || open(library, bytes, plan);
    let sessions = if plan.threads > 1 { open() } else { priority.build(open) }?;
    let load = started.elapsed();
    let started = Instant::now();
    let engines = in_parallel(sessions, |mut session| {
        priority.run(|| session.warm_up(plan.input, plan.max_batch))?;
        // CUDA graphs belong to the thread that captured them; on another thread they must be captured again.
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
    let may_replace = plan.int8_kernels && convolution::may_replace(bytes);
    match plan.device {
        Device::Cpu if plan.sessions > 1 || may_replace => {
            let is_faster_here =
                |geometry: &Geometry| may_replace && ConvolutionKernel::is_fast(geometry);
            let shared = SharedModel::optimize(library, bytes, is_faster_here)?;
            // Sequentially, because each reads the whole model, and the memory that one frees is reused by
            // the next.
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

/// Applies `work` to all items in parallel: the first on this thread, so that it reuses memory freed here,
/// the others on one thread each.
fn in_parallel<T: Send, R: Send, E: Send>(
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
