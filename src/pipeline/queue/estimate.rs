//! Estimates service times from measurements, to predict waits and compute `Retry-After`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::telemetry::DecayingRate;

/// Which threads decode and run images; determines the throughput.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stages {
    /// Workers decode the images that they run: one stage.
    Shared {
        /// Number of workers.
        workers: u32,
    },
    /// Decoders and workers are different threads; the slower stage limits the throughput.
    Pipelined {
        /// Number of decoders.
        decoders: u32,
        /// Number of workers.
        workers: u32,
    },
}

impl Stages {
    /// Number of threads that run batches.
    #[must_use]
    pub fn workers(self) -> u32 {
        match self {
            Self::Shared { workers } | Self::Pipelined { workers, .. } => workers.max(1),
        }
    }
}

/// Queued or running images: their number, and the decode times predicted from their headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueLoad {
    /// Number of images.
    pub images: usize,
    /// The sum of [`Header::decode_time`](crate::pipeline::decode::Header::decode_time).
    pub decode: Duration,
}

impl QueueLoad {
    /// One image.
    #[must_use]
    pub fn one(decode: Duration) -> Self {
        Self { images: 1, decode }
    }

    /// Adds `other`.
    pub fn add(&mut self, other: Self) {
        self.images += other.images;
        self.decode += other.decode;
    }

    /// Subtracts `other`, which was added before.
    pub fn remove(&mut self, other: Self) {
        self.images = self.images.saturating_sub(other.images);
        self.decode = self.decode.saturating_sub(other.decode);
    }
}

/// Moving averages of the time that one image takes.
///
/// Decode times are predicted from headers, and corrected by the ratio of measured to predicted time. So an
/// expensive image does not change the prediction for the next one. All averages lose half of their weight
/// in each half-life (`HALF_LIFE`, longer for slow models) after the first without a sample, so that a wrong
/// estimate is corrected even if it led to all images being rejected.
#[derive(Debug)]
pub struct ServiceTimeEstimate {
    stages: Stages,
    averages: Mutex<Averages>,
    /// Seconds in which workers were busy.
    busy: DecayingRate,
}

#[derive(Debug, Default)]
struct Averages {
    /// Resizing and running, seconds per image.
    run: Average,
    /// Measured seconds of decoding per predicted second.
    decode_ratio: Average,
    /// Seconds from taking a batch to its end per second of work; above 1 if other models use the cores too.
    contention: Average,
}

/// Limits of the correction of predicted decode times, which were measured on another machine.
const RATIOS: std::ops::RangeInclusive<f64> = 0.25..=8.0;

/// Limit of the contention that predictions assume.
const MAX_CONTENTION: f64 = 100.0;

/// Samples lose half of their weight in this time, or in that of a few images if those take longer.
const HALF_LIFE: Duration = Duration::from_secs(1);

impl ServiceTimeEstimate {
    /// An estimate without samples: a run takes no time, and decoding the time predicted from the header.
    #[must_use]
    pub fn new(stages: Stages) -> Self {
        Self { stages, averages: Mutex::default(), busy: DecayingRate::default() }
    }

    /// How work is divided among threads.
    #[must_use]
    pub fn stages(&self) -> Stages {
        self.stages
    }

    /// Adds a sample: an image with the predicted decode time `announced` was decoded in `measured`.
    pub fn decoded(&self, announced: Duration, measured: Duration) {
        // The time of short decodes depends mostly on clock resolution and caches.
        if announced >= Duration::from_micros(100) {
            let ratio = measured.as_secs_f64() / announced.as_secs_f64();
            let ratio = ratio.clamp(*RATIOS.start(), *RATIOS.end());
            self.lock().decode_ratio.add(ratio, HALF_LIFE);
        }
    }

    /// Adds a sample: `images` images were resized and run in `elapsed`, without decoding.
    pub fn ran(&self, images: usize, elapsed: Duration) {
        let each = elapsed / u32::try_from(images).unwrap_or(u32::MAX).max(1);
        self.lock().run.add(each.as_secs_f64(), HALF_LIFE.max(each * 4));
    }

    /// Adds a sample: a batch waited `waited` for a core used by other models, and then took `busy`.
    pub fn worked(&self, waited: Duration, busy: Duration) {
        self.busy.add(busy.as_secs_f64());
        if busy >= Duration::from_micros(100) {
            let ratio = (waited + busy).as_secs_f64() / busy.as_secs_f64();
            self.lock().contention.add(ratio.min(MAX_CONTENTION), HALF_LIFE.max(busy * 4));
        }
    }

    /// Fraction of the workers' time in which they were busy, over the last seconds.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.busy.per_second() / f64::from(self.stages.workers())
    }

    /// The current averages.
    #[must_use]
    pub fn rates(&self) -> Rates {
        let averages = self.lock();
        let now = Instant::now();
        // Without samples, a ratio decays to 1, not to 0.
        let faded = |(ratio, weight): (f64, f64)| ratio * weight + (1.0 - weight);
        Rates {
            stages: self.stages,
            decode_ratio: averages.decode_ratio.at(now).map_or(1.0, faded),
            run: averages.run.at(now).map_or(0.0, |(run, weight)| run * weight),
            contention: averages.contention.at(now).map_or(1.0, faded),
        }
    }

    /// Each update is complete before the lock is released, so the values are valid even if it is poisoned.
    fn lock(&self) -> MutexGuard<'_, Averages> {
        self.averages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time that images take, at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    stages: Stages,
    decode_ratio: f64,
    run: f64,
    contention: f64,
}

/// Which workers may process an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Any worker.
    Quick,
    /// At most half of the workers at a time, so that other images do not wait for its long decode.
    Slow,
}

/// Minimum decode time of slow images, in seconds.
const SLOW: f64 = 0.1;

/// Seconds as a duration; zero if negative or not a number.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}

impl Rates {
    /// Time in which all workers together process `load`: the sum of its times, divided by their number.
    #[must_use]
    pub fn time_for(&self, load: QueueLoad) -> Duration {
        let (decode, run) = self.parts(load);
        let all_threads = match self.stages {
            Stages::Shared { workers } => (decode + run) / f64::from(workers.max(1)),
            Stages::Pipelined { decoders, workers } => {
                (decode / f64::from(decoders.max(1))).max(run / f64::from(workers.max(1)))
            }
        };
        seconds(all_threads * self.contention)
    }

    /// The expected decode time on this machine for the predicted time.
    #[must_use]
    pub fn decoding(&self, predicted: Duration) -> Duration {
        predicted.mul_f64(self.decode_ratio)
    }

    /// Time that one image takes if the model processes no other images.
    #[must_use]
    pub fn alone(&self, decode: Duration) -> Duration {
        let (decode, run) = self.parts(QueueLoad::one(decode));
        seconds((decode + run) * self.contention)
    }

    /// Number of images that one worker runs in `time`, without decoding; 1 if there are no recent samples.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a quotient of times, at most that of minutes and nanoseconds"
    )]
    pub fn images_within(&self, time: Duration) -> usize {
        let images = time.as_secs_f64() / self.run;
        if images.is_finite() { (images as usize).max(1) } else { 1 }
    }

    /// The lane of an image in the queue. Images that are decoded before they are queued occupy a worker only for their
    /// run.
    #[must_use]
    pub fn lane(&self, decode: Duration) -> Lane {
        match self.stages {
            Stages::Shared { .. } if self.is_slow(decode) => Lane::Slow,
            Stages::Shared { .. } | Stages::Pipelined { .. } => Lane::Quick,
        }
    }

    /// Whether an image takes much longer to decode than images take to run.
    #[must_use]
    pub fn is_slow(&self, decode: Duration) -> bool {
        let (decode, run) = self.parts(QueueLoad::one(decode));
        decode > SLOW.max(2.0 * run)
    }

    /// Seconds of decoding and of running.
    #[expect(clippy::cast_precision_loss, reason = "counts of images are far below 2^53")]
    fn parts(&self, QueueLoad { images, decode }: QueueLoad) -> (f64, f64) {
        (decode.as_secs_f64() * self.decode_ratio, self.run * images as f64)
    }
}

/// An exponential moving average whose weight decays with time.
#[derive(Debug, Default)]
struct Average {
    sampled: Option<Sampled>,
}

#[derive(Debug, Clone, Copy)]
struct Sampled {
    value: f64,
    at: Instant,
    half_life: Duration,
}

/// Weight of one sample.
const SAMPLE: f64 = 1.0 / 8.0;

impl Average {
    fn add(&mut self, sample: f64, half_life: Duration) {
        let now = Instant::now();
        let value = match self.at(now) {
            None => sample,
            // The more weight the old average has lost, the more a sample counts.
            Some((old, weight)) => {
                let kept = (1.0 - SAMPLE) * weight;
                old * kept + sample * (1.0 - kept)
            }
        };
        self.sampled = Some(Sampled { value, at: now, half_life });
    }

    /// The average and its remaining weight, 0 to 1.
    fn at(&self, now: Instant) -> Option<(f64, f64)> {
        let Sampled { value, at, half_life } = self.sampled?;
        let half_lives = now.saturating_duration_since(at).as_secs_f64() / half_life.as_secs_f64();
        // Full weight for one half-life, so that it does not decay between two runs of a slow model.
        Some((value, (-(half_lives - 1.0).max(0.0)).exp2()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(workers: u32) -> ServiceTimeEstimate {
        ServiceTimeEstimate::new(Stages::Shared { workers })
    }

    fn close(found: Duration, expected_ms: f64) {
        let found = found.as_secs_f64() * 1e3;
        assert!((found / expected_ms - 1.0).abs() < 0.05, "{found} is not about {expected_ms}");
    }

    #[test]
    fn a_batch_has_as_many_images_as_run_in_the_time_and_at_least_one() {
        let estimate = ServiceTimeEstimate::new(Stages::Shared { workers: 2 });
        let images = || estimate.rates().images_within(Duration::from_millis(30));
        assert_eq!(images(), 1, "there are no samples");
        estimate.ran(4, Duration::from_millis(48));
        assert_eq!(images(), 2, "one image takes 12 ms");
        let slow = ServiceTimeEstimate::new(Stages::Shared { workers: 2 });
        slow.ran(1, Duration::from_millis(200));
        assert_eq!(slow.rates().images_within(Duration::from_millis(30)), 1);
    }

    #[test]
    fn decoding_workers_add_both_times_and_separate_stages_take_the_maximum() {
        let load = QueueLoad { images: 10, decode: Duration::from_millis(100) };
        let estimate = shared(2);
        close(estimate.rates().time_for(load), 50.0);
        estimate.ran(4, Duration::from_millis(80));
        close(estimate.rates().time_for(load), 150.0);
        let stages = Stages::Pipelined { decoders: 1, workers: 2 };
        let pipelined = ServiceTimeEstimate::new(stages);
        pipelined.ran(4, Duration::from_millis(80));
        close(pipelined.rates().time_for(load), 100.0);
        close(
            pipelined.rates().time_for(QueueLoad { decode: Duration::from_millis(300), ..load }),
            300.0,
        );
    }

    #[test]
    fn only_images_that_a_worker_decodes_have_the_slow_lane() {
        let (quick, slow) = (Duration::from_millis(1), Duration::from_secs(1));
        let shared = shared(2).rates();
        assert_eq!((shared.lane(quick), shared.lane(slow)), (Lane::Quick, Lane::Slow));
        let stages = Stages::Pipelined { decoders: 2, workers: 2 };
        let pipelined = ServiceTimeEstimate::new(stages).rates();
        assert_eq!((pipelined.lane(quick), pipelined.lane(slow)), (Lane::Quick, Lane::Quick));
        assert!(pipelined.is_slow(slow));
    }

    #[test]
    fn expensive_images_do_not_change_the_prediction_for_cheap_ones() {
        let estimate = shared(1);
        estimate.ran(1, Duration::from_millis(5));
        for _ in 0..100 {
            estimate.decoded(Duration::from_secs(2), Duration::from_secs(2));
        }
        close(estimate.rates().time_for(QueueLoad::one(Duration::from_millis(1))), 6.0);
    }

    #[test]
    fn a_wrong_estimate_decays_without_samples() {
        let mut average = Average::default();
        average.add(100.0, HALF_LIFE);
        let (_, weight) = average.at(Instant::now()).unwrap();
        assert!(weight > 0.99);
        let later = Instant::now() + 11 * HALF_LIFE;
        let (value, weight) = average.at(later).unwrap();
        assert!(value * weight < 0.2, "{value} {weight}");
    }

    #[test]
    fn predictions_adapt_to_the_decode_times_of_a_slow_machine() {
        let estimate = shared(1);
        for _ in 0..50 {
            estimate.decoded(Duration::from_millis(10), Duration::from_millis(30));
        }
        close(estimate.rates().time_for(QueueLoad::one(Duration::from_millis(10))), 30.0);
    }
}
