//! Load on a server, or none: what it answers, how fast, and how far that is from the machine's limit.

mod load; // who sends when
mod client; // one request over HTTP
mod drive; // all requests of a run
mod limit; // the same work without server and queue
mod measured; // what came back, counted
mod plot; // the latencies as a picture

pub use client::Target;
pub use drive::drive;
pub use limit::limit;
pub use load::{Load, Window};
pub use measured::{Measured, Outcome, Summary};
pub use plot::svg;
