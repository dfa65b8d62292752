//! Cancellation of decoding: decoders check it between parts of their work.

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::time::Duration;

use super::error::StoppedRead;
use super::{DecodeError, Stop};

/// Determines whether a decode should stop. Decoders call [`Watch::check`] at least every few milliseconds
/// (after some rows, a strip or a scan), and [`Watch::check_time`] before work that cannot be stopped.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    ask: &'a dyn Fn(Duration) -> Option<Stop>,
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl<'a> Watch<'a> {
    /// A decode that stops when `ask` returns a reason. Its argument is the predicted time of the work that follows,
    /// as computed by [`Header::decode_time`](super::Header::decode_time); zero between slices.
    #[must_use]
    pub fn new(ask: &'a dyn Fn(Duration) -> Option<Stop>) -> Self {
        Self { ask }
    }

    /// A decode that runs to its end: for the command line and for tests.
    #[must_use]
    pub fn never() -> Watch<'static> {
        Watch { ask: &|_| None }
    }

    /// Returns an error if the decode should stop now.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Stopped`].
    pub fn check(self) -> Result<(), DecodeError> {
        self.check_time(Duration::ZERO)
    }

    /// Returns an error if the decode should stop before work with the predicted time `predicted`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Stopped`].
    pub fn check_time(self, predicted: Duration) -> Result<(), DecodeError> {
        (self.ask)(predicted).map_or(Ok(()), |stop| Err(DecodeError::Stopped { stop }))
    }

    /// `reader`, which fails once the decode should stop: for decoders that cannot be interrupted in another way.
    pub(super) fn reader<R>(self, reader: R) -> WatchedReader<'a, R> {
        WatchedReader { reader, watch: self, reads: 0 }
    }
}

/// A reader that checks its [`Watch`] regularly.
#[derive(Debug)]
pub(super) struct WatchedReader<'a, R> {
    reader: R,
    watch: Watch<'a>,
    reads: u32,
}

/// Reads between two checks: decoders read single bytes, and reading the clock takes time.
const READS_BETWEEN_CHECKS: u32 = 64;

impl<R> WatchedReader<'_, R> {
    fn check(&mut self) -> io::Result<()> {
        self.reads = self.reads.wrapping_add(1);
        if self.reads % READS_BETWEEN_CHECKS != 1 {
            return Ok(());
        }
        (self.watch.ask)(Duration::ZERO)
            .map_or(Ok(()), |stop| Err(io::Error::other(StoppedRead(stop))))
    }
}

impl<R: Read> Read for WatchedReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.reader.read(buffer)
    }
}

impl<R: BufRead> BufRead for WatchedReader<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.check()?;
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
    }
}

impl<R: Seek> Seek for WatchedReader<'_, R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.reader.seek(position)
    }
}
