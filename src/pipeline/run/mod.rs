//! Batches through ONNX Runtime. The only place that names `ort`.

mod batch; // the input tensor, filled slot by slot
mod device; // what was asked for, and what was had
mod library; // finds and loads ONNX Runtime
mod outputs; // what a graph answers
mod slots; // in which sizes batches run
mod bound; // and in which memory on a GPU
mod session; // ONNX bytes → Session; a batch → outputs
mod probe; // the same for any output, for commands that measure
mod shared; // one copy of the weights for all sessions
mod sessions; // as many as there are workers, warmed up
mod trim; // what the heap keeps of freed memory
mod health; // do batches succeed, is a worker stuck
mod crew; // the worker threads, and their watchdog
mod worker; // one thread each: take, prepare, run, answer

pub use batch::{Batch, InputShape};
pub use crew::{Engines, SpareEngine, Workers};
pub use device::{BadDevice, Device, DeviceChoice};
pub use health::Health;
pub use library::{Library, LibraryError};
pub use outputs::{Output, Outputs};
pub use probe::Probe;
pub use session::{RunError, Session, SessionError, SessionPlan};
pub use sessions::{SessionsPlan, StartError, WarmSessions, check_device, open_sessions};
pub use trim::{bound_heap, resident, trim_heap};
pub use worker::{Engine, WorkerPlan};
