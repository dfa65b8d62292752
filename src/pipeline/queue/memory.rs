//! Memory for uploads, decoded images, large headers and unsent responses: one limit for the whole process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Rejected;
use crate::telemetry::Metrics;

/// Reserved bytes, and their limit.
#[derive(Debug)]
pub struct Memory {
    limit: u64,
    held: AtomicU64,
    /// Number of times that memory was reserved or a reservation grew.
    taken: AtomicU64,
    metrics: Arc<Metrics>,
}

/// Retry time if it is unknown how long the memory will be in use.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Memory {
    /// A limit of `limit` bytes, none of them reserved.
    #[must_use]
    pub fn new(limit: u64, metrics: Arc<Metrics>) -> Arc<Self> {
        metrics.admission_limit_bytes.set(i64::try_from(limit).unwrap_or(i64::MAX));
        Arc::new(Self { limit, held: AtomicU64::new(0), taken: AtomicU64::new(0), metrics })
    }

    /// Reserves `bytes`, before they are used.
    ///
    /// # Errors
    ///
    /// [`Rejected::Memory`] if the limit would be exceeded.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Rejected> {
        self.take(bytes)?;
        Ok(self.reservation(bytes))
    }

    /// Counts `bytes` that are already in use, such as a response to be sent. They may exceed the limit; then
    /// nothing is admitted until memory is released.
    #[must_use]
    pub fn charge(self: &Arc<Self>, bytes: u64) -> Reservation {
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        self.update_metrics(before.saturating_add(bytes));
        self.reservation(bytes)
    }

    /// Reserved bytes.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Number of times that memory was reserved or a reservation grew, to detect activity.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    fn reservation(self: &Arc<Self>, bytes: u64) -> Reservation {
        Reservation { memory: Arc::clone(self), bytes: AtomicU64::new(bytes) }
    }

    fn take(&self, bytes: u64) -> Result<(), Rejected> {
        let fits = |held: u64| held.checked_add(bytes).filter(|&held| held <= self.limit);
        match self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(before) => {
                self.taken.fetch_add(1, Ordering::Relaxed);
                self.update_metrics(before + bytes);
                Ok(())
            }
            // A reservation of zero bytes succeeds even if the limit is exceeded.
            Err(_) if bytes == 0 => Ok(()),
            Err(_) => {
                Err(Rejected::Memory { wanted: bytes, limit: self.limit, retry_after: RETRY_AFTER })
            }
        }
    }

    fn give_back(&self, bytes: u64) {
        let before = self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.update_metrics(before.saturating_sub(bytes));
    }

    fn update_metrics(&self, held: u64) {
        self.metrics.admitted_bytes.set(i64::try_from(held).unwrap_or(i64::MAX));
    }
}

/// Reserved memory, released when dropped.
#[derive(Debug)]
pub struct Reservation {
    memory: Arc<Memory>,
    bytes: AtomicU64,
}

impl Reservation {
    /// Reserves `bytes` more, before they are used.
    ///
    /// # Errors
    ///
    /// [`Rejected::Memory`] if the limit would be exceeded; the existing reservation is kept.
    pub fn grow(&self, bytes: u64) -> Result<(), Rejected> {
        self.memory.take(bytes)?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Releases all but `bytes`, after larger buffers were freed.
    pub fn shrink_to(&self, bytes: u64) {
        let held = self.bytes.fetch_min(bytes, Ordering::Relaxed);
        self.memory.give_back(held.saturating_sub(bytes));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.give_back(*self.bytes.get_mut());
    }
}
