//! The named values of a request, an input or an output that mean something here. Others are passed
//! over, as the protocol has it.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::http::problem::Problem;

/// Those that are known, wherever they may stand.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Parameters {
    /// Of a request: its time limit in microseconds; 0 is none of its own.
    pub(super) timeout: Option<u64>,
    /// Of an output: answer so many classes instead of scores.
    pub(super) classification: Option<u64>,
    /// Of an input: its bytes behind the JSON.
    pub(super) binary_data_size: Option<usize>,
    /// Of an output: whether it is answered behind the JSON.
    pub(super) binary_data: Option<bool>,
    /// Of a request: the same for outputs that do not say it.
    pub(super) binary_data_output: Option<bool>,
    /// Of an input or output: that its data are in memory which both sides can reach.
    pub(super) shared_memory_region: Option<IgnoredAny>,
}

impl Parameters {
    /// The request's own time limit.
    pub(super) fn time_limit(&self) -> Option<Duration> {
        self.timeout.filter(|micros| *micros > 0).map(Duration::from_micros)
    }

    /// That `what` does not lie in shared memory.
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
