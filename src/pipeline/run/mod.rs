//! Runs batches with ONNX Runtime. The only module that uses `ort`.

mod batch; // the input tensor, filled image by image
mod library; // finds and loads ONNX Runtime
mod outputs; // the values that a run fetched
mod error; // errors of a run
mod batch_sizing; // splits batches into allowed sizes
mod bound; // memory bound to a session, for GPUs
mod session; // ONNX bytes → Session; a batch → outputs
mod probe; // sessions with any output, for commands that measure
mod convolution; // the kernels for int8 convolutions, as an operator
mod shared; // one copy of the weights for all sessions
mod sessions; // opens and warms up the sessions
mod trim; // returns freed memory to the system
mod cores; // shares the cores among models
mod pace; // shares the cores with models that are being loaded
mod health; // failed batches and stuck workers
mod pulse; // what a worker is doing
mod workers; // the worker threads and their watchdog
mod worker; // a thread that takes, prepares, runs and answers batches

pub use batch::{Batch, InputShape};
pub use cores::{CoreShare, Cores};
pub use error::RunError;
pub use health::Health;
pub use library::{Library, LibraryError};
pub use outputs::Outputs;
pub use pace::Pace;
pub use probe::{Probe, ProbeRuntime};
pub use session::{Session, SessionError, SessionPlan};
pub use sessions::{SessionsPlan, StartError, WarmSessions, check_device, open_sessions};
pub use trim::{bound_heap, resident, trim_heap};
pub use worker::{Engine, WorkerPlan};
pub use workers::{Engines, SpareEngine, Workers};
