//! Estimates service times from measurements, for the predicted wait and `Retry-After`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::telemetry::DecayingRate;

/// Who decodes, as far as capacity goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stages {
    /// The workers decode what they run: one stage.
    Shared {
        /// How many workers.
        workers: u32,
    },
    /// Decoders and workers are different threads: the slower stage limits throughput.
    Pipelined {
        /// How many decoders.
        decoders: u32,
        /// How many workers.
        workers: u32,
    },
}

impl Stages {
    /// Threads that run batches.
    #[must_use]
    pub fn workers(self) -> u32 {
        match self {
            Self::Shared { workers } | Self::Pipelined { workers, .. } => workers.max(1),
        }
    }
}

/// Images that wait or run: how many, and the decode time that their headers announce.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueLoad {
    /// Images.
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

    /// Takes `other` out, which was added before.
    pub fn remove(&mut self, other: Self) {
        self.images = self.images.saturating_sub(other.images);
        self.decode = self.decode.saturating_sub(other.decode);
    }
}

/// Moving averages of what one image costs.
///
/// Decoding is predicted from the header, and corrected by the ratio of measured to announced decode time.
/// So one costly picture says nothing of the next one. Both averages lose half of their weight in a
/// second without a sample: an estimate that was wrong heals by itself, even where it let nothing in.
#[derive(Debug)]
pub struct ServiceTimeEstimate {
    stages: Stages,
    averages: Mutex<Averages>,
    /// Seconds for which workers were busy.
    busy: DecayingRate,
}

#[derive(Debug, Default)]
struct Averages {
    /// Resizing and running, seconds per image.
    run: Average,
    /// Seconds measured per second announced, for decoding.
    decode_ratio: Average,
    /// Seconds from taking a batch to its end per second of work, where other models use the cores, too.
    contention: Average,
}

/// Announced decode times are of another machine; beyond this they are not corrected.
const RATIOS: std::ops::RangeInclusive<f64> = 0.25..=8.0;

/// A model that waits longer for the cores is not predicted to wait even longer.
const MOST_CONTENTION: f64 = 100.0;

/// Old samples lose half of their weight in this time, or in that of a few images where those take longer.
const HALF_LIFE: Duration = Duration::from_secs(1);

impl ServiceTimeEstimate {
    /// Nothing measured yet: a run costs nothing, and a decode what its header announces.
    #[must_use]
    pub fn new(stages: Stages) -> Self {
        Self { stages, averages: Mutex::default(), busy: DecayingRate::default() }
    }

    /// How the work is divided among threads.
    #[must_use]
    pub fn stages(&self) -> Stages {
        self.stages
    }

    /// One image whose header announced `announced` was decoded in `measured`.
    pub fn decoded(&self, announced: Duration, measured: Duration) {
        // Short decodes say more of the clock and the caches than of the machine.
        if announced >= Duration::from_micros(100) {
            let ratio = measured.as_secs_f64() / announced.as_secs_f64();
            let ratio = ratio.clamp(*RATIOS.start(), *RATIOS.end());
            self.lock().decode_ratio.add(ratio, HALF_LIFE);
        }
    }

    /// `images` images were resized and run in `elapsed`, which is without their decoding.
    pub fn ran(&self, images: usize, elapsed: Duration) {
        let each = elapsed / u32::try_from(images).unwrap_or(u32::MAX).max(1);
        self.lock().run.add(each.as_secs_f64(), HALF_LIFE.max(each * 4));
    }

    /// A batch waited for `waited` until other models gave it a core, and then took `busy`.
    pub fn worked(&self, waited: Duration, busy: Duration) {
        self.busy.add(busy.as_secs_f64());
        if busy >= Duration::from_micros(100) {
            let ratio = (waited + busy).as_secs_f64() / busy.as_secs_f64();
            self.lock().contention.add(ratio.min(MOST_CONTENTION), HALF_LIFE.max(busy * 4));
        }
    }

    /// The share of the workers' time in which they were busy, over the last seconds.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.busy.per_second() / f64::from(self.stages.workers())
    }

    /// The averages as they are now.
    #[must_use]
    pub fn rates(&self) -> Rates {
        let averages = self.lock();
        let now = Instant::now();
        // A ratio fades to 1, not to 0.
        let faded = |(ratio, weight): (f64, f64)| ratio * weight + (1.0 - weight);
        Rates {
            stages: self.stages,
            decode_ratio: averages.decode_ratio.at(now).map_or(1.0, faded),
            run: averages.run.at(now).map_or(0.0, |(run, weight)| run * weight),
            contention: averages.contention.at(now).map_or(1.0, faded),
        }
    }

    /// Each update is one step, so a poisoned lock still guards true values.
    fn lock(&self) -> MutexGuard<'_, Averages> {
        self.averages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What images cost, at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    stages: Stages,
    decode_ratio: f64,
    run: f64,
    contention: f64,
}

/// Which workers may take an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Any.
    Quick,
    /// Only some at a time, because decoding it takes so long that others would wait for it.
    Slow,
}

/// A shorter decode is never slow.
const SLOW: f64 = 0.1;

/// Seconds as a duration; what is no time at all is none.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}

impl Rates {
    /// How long all threads together need for `load`.
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

    /// The decode time on this machine for the predicted time `predicted`.
    #[must_use]
    pub fn decoding(&self, predicted: Duration) -> Duration {
        predicted.mul_f64(self.decode_ratio)
    }

    /// How long one image of this model takes where this model does nothing else.
    #[must_use]
    pub fn alone(&self, decode: Duration) -> Duration {
        let (decode, run) = self.parts(QueueLoad::one(decode));
        seconds((decode + run) * self.contention)
    }

    /// Images that one worker runs in `time`, without decoding; at least one, and one if nothing was measured lately.
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

    /// The lane of an image: slow ones take much longer to decode than any image takes to run.
    #[must_use]
    pub fn lane(&self, decode: Duration) -> Lane {
        let (decode, run) = self.parts(QueueLoad::one(decode));
        if decode > SLOW.max(2.0 * run) { Lane::Slow } else { Lane::Quick }
    }

    /// Seconds of decoding and of running.
    #[expect(clippy::cast_precision_loss, reason = "counts of images are far below 2^53")]
    fn parts(&self, QueueLoad { images, decode }: QueueLoad) -> (f64, f64) {
        (decode.as_secs_f64() * self.decode_ratio, self.run * images as f64)
    }
}

/// An exponential moving average that knows its age.
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

/// The share of the average that one sample replaces.
const SAMPLE: f64 = 1.0 / 8.0;

impl Average {
    fn add(&mut self, sample: f64, half_life: Duration) {
        let now = Instant::now();
        let value = match self.at(now) {
            None => sample,
            // An old average gives way to the sample as far as it has faded.
            Some((old, weight)) => {
                let kept = (1.0 - SAMPLE) * weight;
                old * kept + sample * (1.0 - kept)
            }
        };
        self.sampled = Some(Sampled { value, at: now, half_life });
    }

    /// The average, and how much of its weight is left, 0 to 1.
    fn at(&self, now: Instant) -> Option<(f64, f64)> {
        let Sampled { value, at, half_life } = self.sampled?;
        let half_lives = now.saturating_duration_since(at).as_secs_f64() / half_life.as_secs_f64();
        // Full weight for one half-life: between two runs of a slow model nothing is forgotten.
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
    fn a_turn_has_at_least_one_image_and_as_many_as_run_in_it() {
        let estimate = ServiceTimeEstimate::new(Stages::Shared { workers: 2 });
        let images = || estimate.rates().images_within(Duration::from_millis(30));
        assert_eq!(images(), 1, "nothing was measured");
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
    fn expensive_images_do_not_change_the_prediction_for_cheap_ones() {
        let estimate = shared(1);
        estimate.ran(1, Duration::from_millis(5));
        for _ in 0..100 {
            estimate.decoded(Duration::from_secs(2), Duration::from_secs(2));
        }
        close(estimate.rates().time_for(QueueLoad::one(Duration::from_millis(1))), 6.0);
    }

    #[test]
    fn an_estimate_that_was_wrong_fades_without_a_sample() {
        let mut average = Average::default();
        average.add(100.0, HALF_LIFE);
        let (_, weight) = average.at(Instant::now()).unwrap();
        assert!(weight > 0.99);
        let later = Instant::now() + 11 * HALF_LIFE;
        let (value, weight) = average.at(later).unwrap();
        assert!(value * weight < 0.2, "{value} {weight}");
    }

    #[test]
    fn a_slow_machine_is_learned_from_its_decodes() {
        let estimate = shared(1);
        for _ in 0..50 {
            estimate.decoded(Duration::from_millis(10), Duration::from_millis(30));
        }
        close(estimate.rates().time_for(QueueLoad::one(Duration::from_millis(10))), 30.0);
    }
}
