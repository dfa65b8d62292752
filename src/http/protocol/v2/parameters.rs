//! The supported parameters of a request, an input or an output. Others are ignored, as the protocol
//! requires.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::http::problem::Problem;

/// The supported parameters of all objects.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct V2Parameters {
    /// Of a request: its time limit in microseconds; 0 for the server's limit.
    pub(super) timeout: Option<u64>,
    /// Of an output: number of classes to return instead of scores.
    pub(super) classification: Option<u64>,
    /// Of an input: number of its bytes after the JSON.
    pub(super) binary_data_size: Option<usize>,
    /// Of an output: whether it is sent after the JSON.
    pub(super) binary_data: Option<bool>,
    /// Of a request: the default of `binary_data` for its outputs.
    pub(super) binary_data_output: Option<bool>,
    /// Of an input or output: that its data are in shared memory.
    pub(super) shared_memory_region: Option<IgnoredAny>,
}

impl V2Parameters {
    /// The request's own time limit.
    pub(super) fn time_limit(&self) -> Option<Duration> {
        self.timeout.filter(|micros| *micros > 0).map(Duration::from_micros)
    }

    /// Rejects data in shared memory; `what` is the input or output.
    pub(super) fn refuse_shared_memory(&self, what: &str) -> Result<(), Problem> {
        match self.shared_memory_region {
            None => Ok(()),
            Some(_) => Err(Problem::invalid_parameter(format!(
                "{what} names a region of shared memory, which is not served; send the data in the \
                 request"
            ))),
        }
    }
}
