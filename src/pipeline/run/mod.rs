//! Runs batches with ONNX Runtime. The only module that uses `ort`.

mod batch; // the input tensor, filled image by image
mod library; // finds and loads ONNX Runtime
mod outputs; // the values that a run fetched
mod error; // errors of a run
mod batch_sizing; // splits batches into allowed sizes
mod session_plan; // how a session runs
mod bound; // memory bound to a session, for GPUs
mod session; // ONNX bytes → Session; a batch → outputs
mod probe; // sessions with any output, for commands that measure
mod convolution; // the kernels for int8 convolutions, as an operator
mod shared; // one copy of the weights for all sessions
mod sessions; // opens and warms up the sessions
mod heap; // configures glibc's heap, and returns freed memory to the system
mod cores; // shares the cores among models
mod load_priority; // the priority of loading a model while others serve
mod health; // failed batches and stuck workers
mod worker_state; // whether a worker is idle, busy or replaced
mod workers; // the worker threads and their watchdog
mod worker; // a thread that takes, prepares, runs and answers batches

pub use batch::{Batch, InputShape};
pub use cores::{CorePermit, CoreShare, Cores};
pub use error::RunError;
pub use health::Health;
pub use heap::{bound_heap, resident, trim_heap};
pub use library::{Library, LibraryError};
pub use load_priority::LoadPriority;
pub use outputs::Outputs;
pub use probe::{Probe, ProbeRuntime};
pub use session::{Session, SessionError};
pub use session_plan::SessionPlan;
pub use sessions::{SessionsPlan, StartError, WarmSessions, check_device, open_sessions};
pub use worker::{Engine, WorkerPlan};
pub use workers::{Engines, SpareEngine, Workers};
