//! Admission control of one model: counts images in flight, and rejects requests before work is done for
//! them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::in_flight::{ClientLoad, ImageLoad, InFlight};
use super::memory::{Memory, Reservation};
use super::{
    ClientKey, Lane, Origin, Priority, QueueLoad, Rates, Rejected, RequestContext,
    ServiceTimeEstimate,
};
use crate::telemetry::ModelMetrics;

/// Images in flight of one model, and their limit.
#[derive(Debug)]
pub struct Admission {
    /// Maximum number of images that are being decoded, queued or running.
    capacity: usize,
    in_flight: Mutex<InFlight>,
    memory: Arc<Memory>,
    estimate: Arc<ServiceTimeEstimate>,
    metrics: Arc<ModelMetrics>,
}

impl Admission {
    /// Admission control with at most `capacity` images in flight.
    #[must_use]
    pub fn new(
        capacity: usize,
        memory: Arc<Memory>,
        estimate: Arc<ServiceTimeEstimate>,
        metrics: Arc<ModelMetrics>,
    ) -> Arc<Self> {
        Arc::new(Self { capacity, in_flight: Mutex::default(), memory, estimate, metrics })
    }

    /// Reserves `bytes` for the upload of a new request from `origin`, before it is read.
    ///
    /// # Errors
    ///
    /// [`Rejected`] if the memory limit would be exceeded, or if the queue is full and no image of this client may displace
    /// another one, so that reading the upload would be wasted.
    pub fn receive(&self, origin: &Origin, bytes: u64) -> Result<Reservation, Rejected> {
        let in_flight = self.lock();
        if in_flight.images >= self.capacity
            && !in_flight.may_displace(origin.client, origin.priority)
        {
            return Err(self.queue_full(&in_flight));
        }
        drop(in_flight);
        self.reserve(bytes)
    }

    /// Reserves `bytes` before they are used.
    ///
    /// # Errors
    ///
    /// [`Rejected::Memory`] if the limit would be exceeded.
    pub fn reserve(&self, bytes: u64) -> Result<Reservation, Rejected> {
        self.memory.reserve(bytes).map_err(|full| full.retry_after_at_least(self.retry_after()))
    }

    /// Admits one image, without memory (see [`Permit::grow`]); `decode` is the decode time predicted from
    /// its header.
    ///
    /// # Errors
    ///
    /// [`Rejected`] if the queue is full, the client has its maximum number of images in flight, or the answer would probably
    /// miss the deadline.
    pub fn enter(
        self: &Arc<Self>,
        context: &RequestContext,
        decode: Duration,
    ) -> Result<Permit, Rejected> {
        let rates = self.estimate.rates();
        let lane = rates.lane(decode);
        let service_time = rates.time_for(QueueLoad::one(decode));
        let Origin { client, priority, .. } = context.origin;
        let share = ImageLoad { client, priority, lane, decode, service_time };
        let deadline = context.deadline;
        let alone = with_margin(rates.alone(decode));
        if alone > deadline.limit {
            return Err(Rejected::LimitTooShort { alone, limit: deadline.limit });
        }
        let mut in_flight = self.lock();
        let predicted = with_margin(self.wait_of(&in_flight, share, rates));
        let left = deadline.left(Instant::now());
        if predicted > left {
            let retry_after = predicted.saturating_sub(deadline.limit);
            return Err(Rejected::TooLate { predicted, left, retry_after });
        }
        let own = in_flight.images_of(share.client);
        if own >= context.origin.max_images {
            let retry_after = predicted;
            return Err(Rejected::ClientLimit { images: own, retry_after });
        }
        if in_flight.images >= self.capacity {
            return Err(self.queue_full(&in_flight));
        }
        in_flight.enter(share);
        self.update_metrics(&in_flight);
        drop(in_flight);
        let reservation = self.memory.charge(0);
        Ok(Permit { admission: Arc::clone(self), share, reservation })
    }

    /// Predicted time until one more image is answered, with fair queueing. Queued before it are its client's
    /// other images, and of each other client at most as much work as its own client has with this image. All interactive
    /// images are queued before batch images.
    fn wait_of(&self, in_flight: &InFlight, share: ImageLoad, rates: Rates) -> Duration {
        let stages = self.estimate.stages();
        let time = |load: ClientLoad| {
            let own = load.of(share.lane);
            // A single worker serves both lanes.
            if stages.workers() > 1 {
                rates.time_for(own)
            } else {
                rates.time_for(load.quick) + rates.time_for(load.slow)
            }
        };
        let own = in_flight.clients.get(&share.key()).copied().map_or(Duration::ZERO, time);
        let with_this = own + share.service_time;
        let others = in_flight.clients.iter().filter(|(key, _)| **key != share.key());
        let ahead: Duration = others
            .map(|((_, priority), load)| match (*priority, share.priority) {
                (Priority::Interactive, Priority::Batch) => time(*load),
                (Priority::Batch, Priority::Interactive) => Duration::ZERO,
                _ => time(*load).min(with_this),
            })
            .sum();
        let alone = rates.alone(share.decode);
        (ahead + own).mul_f64(self.slowdown(in_flight, share.lane)) + alone
    }

    /// The factor by which work takes longer because its lane cannot use all workers: slow images never, quick ones
    /// not while slow images are in flight.
    fn slowdown(&self, in_flight: &InFlight, lane: Lane) -> f64 {
        let workers = self.estimate.stages().workers();
        let slow = slow_workers(workers);
        let slow_in_flight = in_flight.clients.values().any(|client| client.slow.images > 0);
        match lane {
            Lane::Slow => f64::from(workers) / f64::from(slow),
            Lane::Quick if slow_in_flight && workers > slow => {
                f64::from(workers) / f64::from(workers - slow)
            }
            Lane::Quick => 1.0,
        }
    }

    /// The predicted time for all work in flight, which a new image behind all of it would wait.
    #[must_use]
    pub fn predicted_wait(&self) -> Duration {
        self.time_for_all(&self.lock())
    }

    /// Slow images take longer than their share of the work, because they cannot use all workers.
    fn time_for_all(&self, in_flight: &InFlight) -> Duration {
        let rates = self.estimate.rates();
        let slow = rates.time_for(in_flight.slow_load());
        rates.time_for(in_flight.load()).max(slow.mul_f64(self.slowdown(in_flight, Lane::Slow)))
    }

    /// Fraction of the workers' time in which they were busy, over the last seconds.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.estimate.utilization()
    }

    /// Images in flight now.
    #[must_use]
    pub fn images(&self) -> usize {
        self.lock().images
    }

    /// Images of `client` in flight now.
    #[must_use]
    pub fn images_of(&self, client: ClientKey) -> usize {
        self.lock().images_of(client)
    }

    /// When to retry: half of the predicted wait, after which about half of the images in flight are done.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.predicted_wait() / 2
    }

    fn queue_full(&self, in_flight: &InFlight) -> Rejected {
        let retry_after = self.time_for_all(in_flight) / 2;
        Rejected::QueueFull { images: in_flight.images, retry_after }
    }

    fn leave(&self, share: ImageLoad) {
        let mut in_flight = self.lock();
        in_flight.leave(share);
        self.update_metrics(&in_flight);
    }

    /// Each update is complete before the lock is released, so the counts are valid even if it is poisoned.
    fn lock(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update_metrics(&self, in_flight: &InFlight) {
        self.metrics.images_in_flight.set(i64::try_from(in_flight.images).unwrap_or(i64::MAX));
    }
}

/// The maximum number of `workers` that may process images of [`Lane::Slow`] at the same time, at least one.
pub(super) fn slow_workers(workers: u32) -> u32 {
    (workers / 2).max(1)
}

/// Permission for one image to be in flight, with its memory; both are released when it is dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    share: ImageLoad,
    reservation: Reservation,
}

impl Permit {
    /// The image's contribution to its client's load.
    pub(super) fn share(&self) -> ImageLoad {
        self.share
    }

    /// Reserves `bytes` more, before they are used.
    ///
    /// # Errors
    ///
    /// [`Rejected::Memory`] if the limit would be exceeded; the existing reservation is kept.
    pub fn grow(&self, bytes: u64) -> Result<(), Rejected> {
        let grown = self.reservation.grow(bytes);
        grown.map_err(|full| full.retry_after_at_least(self.admission.retry_after()))
    }

    /// Releases all but `bytes`, after larger buffers were freed.
    pub fn shrink_to(&self, bytes: u64) {
        self.reservation.shrink_to(bytes);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.leave(self.share);
    }
}

/// A predicted time that most images keep. The prediction is a mean: about half of the images take longer, and running
/// an image that misses its deadline is wasted work.
fn with_margin(predicted: Duration) -> Duration {
    predicted + predicted / 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::queue::{ClientKeys, Deadline, Stages};
    use crate::telemetry::Metrics;
    use crate::telemetry::Reason;

    fn admission(
        images: usize,
        bytes: u64,
        workers: u32,
    ) -> (Arc<Admission>, Arc<ServiceTimeEstimate>) {
        let estimate = Arc::new(ServiceTimeEstimate::new(Stages::Shared { workers }));
        let memory = Memory::new(bytes, Arc::new(Metrics::new()));
        let metrics = ModelMetrics::unexported();
        (Admission::new(images, memory, Arc::clone(&estimate), metrics), estimate)
    }

    fn of(client: ClientKey, limit: Duration) -> RequestContext {
        let origin = Origin { client, ..Origin::local() };
        RequestContext { origin, deadline: Deadline::after(limit) }
    }

    const QUICK: Duration = Duration::from_millis(1);

    #[test]
    fn nothing_is_admitted_above_the_limits_and_everything_is_released() {
        let (admission, _) = admission(2, 100, 1);
        let soon = RequestContext::local(Deadline::after(Duration::from_secs(1)));
        let first = admission.enter(&soon, QUICK).unwrap();
        first.grow(60).unwrap();
        assert_eq!(admission.reserve(41).unwrap_err().reason(), Reason::MemoryLimit);
        first.shrink_to(10);
        let body = admission.reserve(80).unwrap();
        let second = admission.enter(&soon, QUICK).unwrap();
        second.grow(10).unwrap();
        assert_eq!(second.grow(1).unwrap_err().reason(), Reason::MemoryLimit);
        assert_eq!(admission.enter(&soon, QUICK).unwrap_err().reason(), Reason::QueueFull);
        assert_eq!(admission.receive(&soon.origin, 0).unwrap_err().reason(), Reason::QueueFull);
        let other = Origin { client: ClientKeys::starting_at(7).assign(), ..Origin::local() };
        drop(admission.receive(&other, 0).expect("a client with fewer images may displace one"));
        drop(admission.reserve(0).unwrap());
        assert_eq!((admission.images(), admission.memory.held()), (2, 100));
        let answer = admission.memory.charge(50);
        assert_eq!(
            admission.memory.held(),
            150,
            "memory that is already in use is counted beyond the limit"
        );
        drop((first, body, second, answer));
        assert_eq!((admission.images(), admission.memory.held()), (0, 0));
    }

    #[test]
    fn a_deadline_that_cannot_be_met_is_rejected_with_a_retry_time() {
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
    fn an_image_slower_than_its_limit_is_rejected_whatever_the_number_of_workers() {
        let limit = Duration::from_secs(1);
        for workers in [1, 2, 8] {
            let (admission, _) = admission(100, 100, workers);
            let context = RequestContext::local(Deadline::after(limit));
            let rejected = admission.enter(&context, Duration::from_secs(2)).unwrap_err();
            let alone = Duration::from_millis(2500);
            assert_eq!(rejected, Rejected::LimitTooShort { alone, limit }, "{workers} workers");
        }
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
            .expect("only one image of the other client is queued before it");
    }

    #[test]
    fn batch_images_do_not_lengthen_the_wait_of_interactive_ones_and_wait_for_them() {
        let (admission, estimate) = admission(1000, 100, 1);
        estimate.ran(1, Duration::from_millis(100));
        let keys = ClientKeys::starting_at(1);
        let enter = |priority, limit: u64| {
            let mut context = of(keys.assign(), Duration::from_millis(limit));
            context.origin.priority = priority;
            admission.enter(&context, Duration::ZERO)
        };
        let batch: Vec<_> =
            std::iter::from_fn(|| enter(Priority::Batch, 3000).ok()).take(1000).collect();
        assert!(batch.len() < 30, "{} batch images of 100 ms fit into 3 s", batch.len());
        let interactive: Vec<_> = (0..10)
            .map(|_| enter(Priority::Interactive, 3000).expect("queued before all batch images"))
            .collect();
        let rejected = enter(Priority::Batch, 1200).unwrap_err();
        assert_eq!(rejected.reason(), Reason::Deadline, "interactive images are queued before it");
        drop((batch, interactive));
    }

    #[test]
    fn slow_images_wait_for_each_other_and_quick_images_do_not_wait_for_them() {
        let (admission, estimate) = admission(1000, 100, 2);
        estimate.ran(1, Duration::from_millis(5));
        let keys = ClientKeys::starting_at(1);
        let limit = Duration::from_secs(10);
        let slow: Vec<_> = (0..40)
            .filter_map(|_| admission.enter(&of(keys.assign(), limit), Duration::from_secs(2)).ok())
            .collect();
        assert!((2..6).contains(&slow.len()), "{} of two seconds fit into ten", slow.len());
        let alone = Duration::from_secs(2) * u32::try_from(slow.len()).unwrap();
        assert!(admission.predicted_wait() >= alone, "only one worker takes slow images");
        admission
            .enter(&of(keys.assign(), Duration::from_millis(200)), QUICK)
            .expect("one worker is reserved for quick images");
    }
}
