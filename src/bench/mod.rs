//! Load generator: measures a server's throughput and latency, and the machine's limit without a
//! server.

mod load; // arrival times
mod client; // one request over HTTP
mod drive; // sends all requests of a run
mod limit; // the same work without server and queue
mod results; // latencies and failures
pub mod replicas; // how many servers a load needs
mod plot; // the latencies as an SVG

pub use client::{Target, TargetError};
pub use drive::drive;
pub use limit::{LimitError, Preparation, limit};
pub use load::{Load, RunTimes};
pub use plot::svg;
pub use results::{LoadResults, Outcome, Summary};
