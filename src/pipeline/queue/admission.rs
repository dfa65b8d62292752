//! Admission control: counts images and bytes in flight, and rejects before work is done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::held::{ClientLoad, Held, Share};
use super::{ClientKey, Lane, Load, Rates, Rejected, RequestContext, ServiceTimeEstimate};
use crate::telemetry::Metrics;

/// The most that may be in flight at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceiling {
    /// Images decoding, queued or running.
    pub images: usize,
    /// Bytes of uploads, decoded images and network inputs.
    pub bytes: u64,
}

/// What is inside, against the ceiling.
#[derive(Debug)]
pub struct Admission {
    ceiling: Ceiling,
    held: Mutex<Held>,
    estimate: Arc<ServiceTimeEstimate>,
    metrics: Arc<Metrics>,
}

impl Admission {
    /// Nothing in flight yet.
    #[must_use]
    pub fn new(
        ceiling: Ceiling,
        estimate: Arc<ServiceTimeEstimate>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        metrics.admission_limit_bytes.set(i64::try_from(ceiling.bytes).unwrap_or(i64::MAX));
        Arc::new(Self { ceiling, held: Mutex::default(), estimate, metrics })
    }

    /// Reserves `bytes` for the upload of a new request of `client`, which is about to be read.
    ///
    /// # Errors
    ///
    /// [`Rejected`] where they do not fit now, or where no image of this client could be admitted: then
    /// reading the upload would be work for nothing.
    pub fn receive(self: &Arc<Self>, client: ClientKey, bytes: u64) -> Result<Permit, Rejected> {
        let mut held = self.lock();
        if held.images >= self.ceiling.images && !held.may_displace(client) {
            return Err(self.queue_full(&held));
        }
        self.take(&mut held, bytes)?;
        drop(held);
        Ok(self.permit(None, bytes))
    }

    /// Reserves `bytes` for what is about to be made or fetched.
    ///
    /// # Errors
    ///
    /// [`Rejected::Memory`] where they do not fit now.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Permit, Rejected> {
        self.take(&mut self.lock(), bytes)?;
        Ok(self.permit(None, bytes))
    }

    /// Charges `bytes` that are there already, such as an answer that waits to be sent. The ceiling may
    /// be exceeded by them: then nothing new is admitted until they are gone.
    #[must_use]
    pub fn charge(self: &Arc<Self>, bytes: u64) -> Permit {
        let mut held = self.lock();
        held.bytes += bytes;
        self.show(&held);
        drop(held);
        self.permit(None, bytes)
    }

    /// Admits one image, which holds no bytes yet (see [`Permit::grow`]) and announces that decoding it
    /// takes `decode`.
    ///
    /// A prediction is a mean: about half of the images take longer, and one that is admitted and then
    /// late has cost a run for nothing. So it has to fit with a quarter to spare.
    ///
    /// # Errors
    ///
    /// [`Rejected`] where the queue is full, or the answer might come after the deadline.
    pub fn enter(
        self: &Arc<Self>,
        context: &RequestContext,
        decode: Duration,
    ) -> Result<Permit, Rejected> {
        let rates = self.estimate.rates();
        let lane = rates.lane(decode);
        let service_time = rates.time_for(Load::one(decode));
        let share = Share { client: context.origin.client, lane, decode, service_time };
        let mut held = self.lock();
        let predicted = self.wait_of(&held, share, rates);
        let predicted = predicted + predicted / 4;
        let deadline = context.deadline;
        let left = deadline.left(Instant::now());
        if predicted > left {
            let retry_after = predicted.saturating_sub(deadline.limit);
            return Err(Rejected::TooLate { predicted, left, retry_after });
        }
        let own = held.images_of(share.client);
        if own >= context.origin.max_images {
            let retry_after = predicted;
            return Err(Rejected::ClientLimit { images: own, retry_after });
        }
        if held.images >= self.ceiling.images {
            return Err(self.queue_full(&held));
        }
        held.enter(share);
        self.show(&held);
        drop(held);
        Ok(self.permit(Some(share), 0))
    }

    /// How long one more image would take to be answered where the queue is fair: before it are its
    /// client's other images, and of each other client no more than its own client has.
    fn wait_of(&self, held: &Held, share: Share, rates: Rates) -> Duration {
        let stages = self.estimate.stages();
        let time = |load: ClientLoad| {
            let own = load.of(share.lane);
            // A single worker takes both lanes in turns.
            if stages.workers() > 1 {
                rates.time_for(own)
            } else {
                rates.time_for(load.quick) + rates.time_for(load.slow)
            }
        };
        let own = held.clients.get(&share.client).copied().map_or(Duration::ZERO, time);
        let with_this = own + share.service_time;
        let others = held.clients.iter().filter(|(client, _)| **client != share.client);
        let ahead: Duration = others.map(|(_, load)| time(*load).min(with_this)).sum();
        let alone = rates.alone(share.decode);
        (ahead + own).mul_f64(self.share_of_workers(held, share.lane)) + alone
    }

    /// How many times longer work takes because the other lane has workers of its own.
    fn share_of_workers(&self, held: &Held, lane: Lane) -> f64 {
        let workers = self.estimate.stages().workers();
        let slow = slow_workers(workers);
        let slow_in_flight = held.clients.values().any(|client| client.slow.images > 0);
        match lane {
            Lane::Slow => f64::from(workers) / f64::from(slow),
            Lane::Quick if slow_in_flight && workers > slow => {
                f64::from(workers) / f64::from(workers - slow)
            }
            Lane::Quick => 1.0,
        }
    }

    /// How long all work in flight will take: the wait of an image behind all of it.
    #[must_use]
    pub fn predicted_wait(&self) -> Duration {
        self.estimate.rates().time_for(self.lock().load())
    }

    /// Images and bytes in flight now.
    #[must_use]
    pub fn held(&self) -> (usize, u64) {
        let held = self.lock();
        (held.images, held.bytes)
    }

    /// A count that grows whenever memory is taken.
    #[must_use]
    pub fn admitted(&self) -> u64 {
        self.lock().taken
    }

    /// Images of `client` in flight now.
    #[must_use]
    pub fn images_of(&self, client: ClientKey) -> usize {
        self.lock().images_of(client)
    }

    /// When to try again: half of what is in flight will be gone in half the time.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.predicted_wait() / 2
    }

    fn permit(self: &Arc<Self>, share: Option<Share>, bytes: u64) -> Permit {
        Permit { admission: Arc::clone(self), share, bytes: AtomicU64::new(bytes) }
    }

    /// Takes `bytes` more, if they fit.
    fn take(&self, held: &mut Held, bytes: u64) -> Result<(), Rejected> {
        if bytes > self.ceiling.bytes.saturating_sub(held.bytes) {
            let limit = self.ceiling.bytes;
            let retry_after = self.estimate.rates().time_for(held.load()) / 2;
            return Err(Rejected::Memory { wanted: bytes, limit, retry_after });
        }
        held.bytes += bytes;
        held.taken += 1;
        self.show(held);
        Ok(())
    }

    fn queue_full(&self, held: &Held) -> Rejected {
        let retry_after = self.estimate.rates().time_for(held.load()) / 2;
        Rejected::QueueFull { images: held.images, retry_after }
    }

    fn give_back(&self, share: Option<Share>, bytes: u64) {
        let mut held = self.lock();
        if let Some(share) = share {
            held.leave(share);
        }
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

/// How many of `workers` may have an image of [`Lane::Slow`] at the same time, at least one.
pub(super) fn slow_workers(workers: u32) -> u32 {
    (workers / 2).max(1)
}

/// The right to be in flight, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    share: Option<Share>,
    bytes: AtomicU64,
}

impl Permit {
    /// What its image adds to its client's load; `None` for a permit of bytes alone.
    pub(super) fn share(&self) -> Option<Share> {
        self.share
    }

    /// Takes `bytes` more, before they are used.
    ///
    /// # Errors
    ///
    /// [`Rejected::Memory`] where they do not fit now; what is held stays held.
    pub fn grow(&self, bytes: u64) -> Result<(), Rejected> {
        self.admission.take(&mut self.admission.lock(), bytes)?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Gives back all bytes but `bytes`, once the larger buffers are gone.
    pub fn shrink_to(&self, bytes: u64) {
        let held = self.bytes.fetch_min(bytes, Ordering::Relaxed);
        self.admission.give_back(None, held.saturating_sub(bytes));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.give_back(self.share, *self.bytes.get_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::queue::{ClientKeys, Deadline, Origin, Stages};
    use crate::telemetry::metrics::Reason;

    fn admission(
        images: usize,
        bytes: u64,
        workers: u32,
    ) -> (Arc<Admission>, Arc<ServiceTimeEstimate>) {
        let estimate = Arc::new(ServiceTimeEstimate::new(Stages::Shared { workers }));
        let metrics = Arc::new(Metrics::new());
        (Admission::new(Ceiling { images, bytes }, Arc::clone(&estimate), metrics), estimate)
    }

    fn of(client: ClientKey, limit: Duration) -> RequestContext {
        let origin = Origin { client, ..Origin::local() };
        RequestContext { origin, deadline: Deadline::after(limit) }
    }

    const QUICK: Duration = Duration::from_millis(1);

    #[test]
    fn nothing_is_admitted_above_the_ceiling_and_everything_is_given_back() {
        let (admission, _) = admission(2, 100, 1);
        let soon = RequestContext::local(Deadline::after(Duration::from_secs(1)));
        let client = soon.origin.client;
        let first = admission.enter(&soon, QUICK).unwrap();
        first.grow(60).unwrap();
        assert_eq!(admission.reserve(41).unwrap_err().reason(), Reason::MemoryLimit);
        first.shrink_to(10);
        let body = admission.reserve(80).unwrap();
        let second = admission.enter(&soon, QUICK).unwrap();
        second.grow(10).unwrap();
        assert_eq!(second.grow(1).unwrap_err().reason(), Reason::MemoryLimit);
        assert_eq!(admission.enter(&soon, QUICK).unwrap_err().reason(), Reason::QueueFull);
        assert_eq!(admission.receive(client, 0).unwrap_err().reason(), Reason::QueueFull);
        let other = ClientKeys::starting_at(7).assign();
        drop(admission.receive(other, 0).expect("a client with fewer images may displace one"));
        drop(admission.reserve(0).unwrap());
        assert_eq!(admission.held(), (2, 100));
        let answer = admission.charge(50);
        assert_eq!(admission.held(), (2, 150), "what is there already is charged all the same");
        drop((first, body, second, answer));
        assert_eq!(admission.held(), (0, 0));
    }

    #[test]
    fn a_deadline_that_cannot_be_met_is_rejected_with_a_time_to_return() {
        let (admission, estimate) = admission(100, 100, 1);
        estimate.ran(1, Duration::from_secs(2));
        let context = RequestContext::local(Deadline::after(Duration::from_secs(8)));
        let inside: Vec<_> =
            (0..3).map(|_| admission.enter(&context, Duration::ZERO).unwrap()).collect();
        let rejected = admission.enter(&context, Duration::ZERO).unwrap_err();
        assert_eq!(rejected.reason(), Reason::Deadline);
        assert_eq!(rejected.retry_after(), Duration::from_secs(2));
        drop(inside);
        admission.enter(&context, Duration::ZERO).unwrap();
    }

    #[test]
    fn an_image_slower_than_its_deadline_is_rejected() {
        let (admission, _) = admission(100, 100, 2);
        let context = RequestContext::local(Deadline::after(Duration::from_secs(1)));
        let rejected = admission.enter(&context, Duration::from_secs(2)).unwrap_err();
        assert_eq!(rejected.reason(), Reason::Deadline);
    }

    #[test]
    fn a_client_with_many_images_does_not_lengthen_the_wait_of_one_with_none() {
        let (admission, estimate) = admission(1000, 100, 2);
        estimate.ran(1, Duration::from_millis(100));
        let keys = ClientKeys::starting_at(1);
        let (greedy, modest) = (keys.assign(), keys.assign());
        let limit = Duration::from_secs(5);
        let flood: Vec<_> = std::iter::from_fn(|| admission.enter(&of(greedy, limit), QUICK).ok())
            .take(1000)
            .collect();
        assert!((60..100).contains(&flood.len()), "{} fit into its own deadline", flood.len());
        admission
            .enter(&of(modest, Duration::from_millis(500)), QUICK)
            .expect("before it is one image of the other client, not all");
    }

    #[test]
    fn slow_pictures_wait_for_each_other_and_not_the_quick_ones_for_them() {
        let (admission, estimate) = admission(1000, 100, 2);
        estimate.ran(1, Duration::from_millis(5));
        let keys = ClientKeys::starting_at(1);
        let limit = Duration::from_secs(10);
        let slow: Vec<_> = (0..40)
            .filter_map(|_| admission.enter(&of(keys.assign(), limit), Duration::from_secs(2)).ok())
            .collect();
        assert!((2..6).contains(&slow.len()), "{} of two seconds fit into ten", slow.len());
        admission
            .enter(&of(keys.assign(), Duration::from_millis(200)), QUICK)
            .expect("a worker is left for quick pictures");
    }
}
