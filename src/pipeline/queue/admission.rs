//! The one door: it counts images and bytes, and refuses before work is done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Deadline, Pace};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Reason;

/// The most that may be inside at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceiling {
    /// Images decoding, queued or running.
    pub images: usize,
    /// Bytes of uploads, decoded images and network inputs.
    pub bytes: u64,
}

/// An image or upload that is turned away although nothing is wrong with it. Come back later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// As many images are inside as may be.
    #[error("the queue is full ({images} images are waiting); come back in {retry_after:.0?}")]
    QueueFull {
        /// Images inside.
        images: usize,
        /// When to try again.
        retry_after: Duration,
    },
    /// The bytes would not fit under the ceiling now.
    #[error(
        "{wanted} more bytes would exceed the server's memory limit of {limit} bytes now; \
         come back in {retry_after:.0?}"
    )]
    Memory {
        /// Bytes asked for.
        wanted: u64,
        /// The ceiling.
        limit: u64,
        /// When to try again.
        retry_after: Duration,
    },
    /// The answer might come after the deadline.
    #[error(
        "the answer may take {predicted:.0?}, longer than the {left:.0?} that are left of the \
         request's time limit"
    )]
    TooLate {
        /// How long the answer may take.
        predicted: Duration,
        /// How long the caller would still wait.
        left: Duration,
        /// When to try again.
        retry_after: Duration,
    },
    /// The server is shutting down.
    #[error("the server is shutting down; try another one")]
    Draining,
}

impl Rejected {
    /// The word for metrics and clients.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::QueueFull { .. } => Reason::QueueFull,
            Self::Memory { .. } => Reason::MemoryLimit,
            Self::TooLate { .. } => Reason::Deadline,
            Self::Draining => Reason::Draining,
        }
    }

    /// When to try again, never less than a second (the header's unit).
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::QueueFull { retry_after, .. }
            | Self::Memory { retry_after, .. }
            | Self::TooLate { retry_after, .. } => (*retry_after).max(Duration::from_secs(1)),
            Self::Draining => Duration::from_secs(1),
        }
    }
}

/// What is inside, against the ceiling.
#[derive(Debug)]
pub struct Admission {
    ceiling: Ceiling,
    held: Mutex<Held>,
    pace: Arc<Pace>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Held {
    images: usize,
    bytes: u64,
}

impl Admission {
    /// Nothing inside yet.
    #[must_use]
    pub fn new(ceiling: Ceiling, pace: Arc<Pace>, metrics: Arc<Metrics>) -> Arc<Self> {
        metrics.admission_limit_bytes.set(i64::try_from(ceiling.bytes).unwrap_or(i64::MAX));
        Arc::new(Self { ceiling, held: Mutex::default(), pace, metrics })
    }

    /// Sets `bytes` aside for the upload of a new request, which is about to be read.
    ///
    /// # Errors
    ///
    /// [`Rejected`] where they do not fit now, or where no image could be let in: then reading it would
    /// be work for nothing.
    pub fn receive(self: &Arc<Self>, bytes: u64) -> Result<Permit, Rejected> {
        self.check(&self.lock(), 1, bytes)?;
        self.permit(0, bytes)
    }

    /// Sets `bytes` aside for what is about to be made or fetched.
    ///
    /// # Errors
    ///
    /// [`Rejected::Memory`] where they do not fit now.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Permit, Rejected> {
        self.permit(0, bytes)
    }

    /// Lets one image in, which holds no bytes yet: see [`Permit::grow`].
    ///
    /// A prediction is a mean: about half of the images take longer, and one that is let in and then late has
    /// cost a run for nothing. So it has to fit with a quarter to spare.
    ///
    /// # Errors
    ///
    /// [`Rejected`] where the queue is full, or the answer might come after `deadline`.
    pub fn enter(self: &Arc<Self>, deadline: Deadline) -> Result<Permit, Rejected> {
        let predicted = self.predicted_wait();
        let predicted = predicted + predicted / 4;
        let left = deadline.left(Instant::now());
        if predicted > left {
            let retry_after = predicted.saturating_sub(deadline.limit);
            return Err(Rejected::TooLate { predicted, left, retry_after });
        }
        self.permit(1, 0)
    }

    /// How long an image arriving now would wait for its answer.
    #[must_use]
    pub fn predicted_wait(&self) -> Duration {
        self.pace.wait_behind(self.lock().images)
    }

    /// Images and bytes inside now.
    #[must_use]
    pub fn held(&self) -> (usize, u64) {
        let held = self.lock();
        (held.images, held.bytes)
    }

    fn permit(self: &Arc<Self>, images: usize, bytes: u64) -> Result<Permit, Rejected> {
        self.take(images, bytes)?;
        Ok(Permit { admission: Arc::clone(self), images, bytes: AtomicU64::new(bytes) })
    }

    fn take(&self, images: usize, bytes: u64) -> Result<(), Rejected> {
        let mut held = self.lock();
        self.check(&held, images, bytes)?;
        held.images += images;
        held.bytes += bytes;
        self.show(&held);
        Ok(())
    }

    /// Whether so much more fits.
    fn check(&self, held: &Held, images: usize, bytes: u64) -> Result<(), Rejected> {
        // Half of what is inside will be gone in half the time: room enough to try again.
        let retry_after = || self.pace.wait_behind(held.images.div_ceil(2));
        if held.images + images > self.ceiling.images {
            return Err(Rejected::QueueFull { images: held.images, retry_after: retry_after() });
        }
        if bytes > self.ceiling.bytes.saturating_sub(held.bytes) {
            let limit = self.ceiling.bytes;
            return Err(Rejected::Memory { wanted: bytes, limit, retry_after: retry_after() });
        }
        Ok(())
    }

    fn give_back(&self, images: usize, bytes: u64) {
        let mut held = self.lock();
        held.images -= images;
        held.bytes -= bytes;
        self.show(&held);
    }

    /// The counts are updated in one step each, so a poisoned lock still guards true ones.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, held: &Held) {
        self.metrics.images_in_flight.set(i64::try_from(held.images).unwrap_or(i64::MAX));
        self.metrics.admitted_bytes.set(i64::try_from(held.bytes).unwrap_or(i64::MAX));
    }
}

/// The right to be inside, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    images: usize,
    bytes: AtomicU64,
}

impl Permit {
    /// Takes `bytes` more, before they are used.
    ///
    /// # Errors
    ///
    /// [`Rejected::Memory`] where they do not fit now; what is held stays held.
    pub fn grow(&self, bytes: u64) -> Result<(), Rejected> {
        self.admission.take(0, bytes)?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Gives back all bytes but `bytes`, once the larger buffers are gone.
    pub fn shrink_to(&self, bytes: u64) {
        let held = self.bytes.fetch_min(bytes, Ordering::Relaxed);
        self.admission.give_back(0, held.saturating_sub(bytes));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.give_back(self.images, *self.bytes.get_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(images: usize, bytes: u64) -> (Arc<Admission>, Arc<Pace>) {
        let pace = Arc::new(Pace::new(1, 1));
        let metrics = Arc::new(Metrics::new());
        (Admission::new(Ceiling { images, bytes }, Arc::clone(&pace), metrics), pace)
    }

    #[test]
    fn nothing_gets_in_above_the_ceiling_and_everything_is_given_back() {
        let (door, _) = admission(2, 100);
        let soon = Deadline::after(Duration::from_secs(1));
        let first = door.enter(soon).unwrap();
        first.grow(60).unwrap();
        assert_eq!(door.reserve(41).unwrap_err().reason(), Reason::MemoryLimit);
        first.shrink_to(10);
        let body = door.reserve(80).unwrap();
        let second = door.enter(soon).unwrap();
        second.grow(10).unwrap();
        assert_eq!(second.grow(1).unwrap_err().reason(), Reason::MemoryLimit);
        assert_eq!(door.enter(soon).unwrap_err().reason(), Reason::QueueFull);
        assert_eq!(door.receive(0).unwrap_err().reason(), Reason::QueueFull);
        drop(door.reserve(0).unwrap());
        assert_eq!(door.held(), (2, 100));
        drop((first, body, second));
        assert_eq!(door.held(), (0, 0));
    }

    #[test]
    fn a_deadline_that_cannot_be_met_is_refused_at_the_door_with_a_time_to_return() {
        let (door, pace) = admission(100, 100);
        pace.ran(1, Duration::from_secs(2));
        let deadline = Deadline::after(Duration::from_secs(6));
        let inside: Vec<_> = (0..3).map(|_| door.enter(deadline).unwrap()).collect();
        let refused = door.enter(deadline).unwrap_err();
        assert_eq!(refused.reason(), Reason::Deadline);
        assert_eq!(refused.retry_after(), Duration::from_millis(1500));
        drop(inside);
        door.enter(deadline).unwrap();
    }
}
