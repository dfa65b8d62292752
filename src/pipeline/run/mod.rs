//! Batches through ONNX Runtime. The only place that names `ort`.

mod batch;
mod device;
mod library;
mod session;
mod sessions;
mod worker;

pub use batch::{Batch, InputShape};
pub use device::{BadDevice, Device, DeviceChoice};
pub use library::{Library, LibraryError};
pub use session::{Output, Outputs, RunError, Session, SessionError, SessionPlan};
pub use sessions::{SessionsPlan, StartError, WarmSessions, open_sessions};
pub use worker::{Engine, Health, WorkerPlan, Workers};
