//! Histograms of activations, and the quantization ranges chosen from them.

use std::fmt;
use std::str::FromStr;

use super::range::Range;

/// Number of bins over the observed range.
const BINS: usize = 2048;
/// Number of values of a uint8.
const STEPS: usize = 256;

/// How a range is chosen from the observed elements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// All elements.
    MinMax,
    /// All except this share of the elements, 0 to 1, half of it at each end.
    Percentile(f64),
    /// The range with the smallest Kullback-Leibler divergence between the elements and their quantized
    /// values (Migacz 2017, "8-bit inference with `TensorRT`").
    Entropy,
}

/// The name of an unknown method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a method; use min-max, percentile (99.99), percentile:P with P from 50 to 100, or entropy"
)]
pub struct BadMethod(String);

impl FromStr for Method {
    type Err = BadMethod;

    fn from_str(word: &str) -> Result<Self, BadMethod> {
        match word {
            "min-max" => Ok(Self::MinMax),
            "entropy" => Ok(Self::Entropy),
            "percentile" => Ok(Self::Percentile(1e-4)),
            _ => word
                .strip_prefix("percentile:")
                .and_then(|percent| percent.parse::<f64>().ok())
                .filter(|percent| (50.0..=100.0).contains(percent))
                .map(|percent| Self::Percentile(1.0 - percent / 100.0))
                .ok_or_else(|| BadMethod(word.to_owned())),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinMax => f.write_str("min-max"),
            Self::Percentile(outside) => {
                write!(f, "percentile:{}", ((1.0 - outside) * 1e6).round() / 1e4)
            }
            Self::Entropy => f.write_str("entropy"),
        }
    }
}

/// A histogram of elements with bins of equal width.
#[derive(Debug, Clone)]
pub struct Histogram {
    range: Range,
    counts: Vec<u64>,
}

impl Histogram {
    /// An empty histogram over `range`, which must contain all elements.
    #[must_use]
    pub fn new(range: Range) -> Self {
        Self { range, counts: vec![0; BINS] }
    }

    /// Counts more elements.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a bin's number is small and not negative"
    )]
    pub fn add(&mut self, values: &[f32]) {
        let width = self.range.high() - self.range.low();
        if width > 0.0 {
            let per_bin = BINS as f32 / width;
            for value in values {
                let bin = ((value - self.range.low()) * per_bin) as usize;
                self.counts[bin.min(BINS - 1)] += 1;
            }
        }
    }

    /// The range that `method` chooses.
    #[must_use]
    pub fn range(&self, method: Method) -> Range {
        match method {
            Method::MinMax => self.range,
            Method::Percentile(outside) => self.percentile(outside / 2.0),
            Method::Entropy => self.entropy(),
        }
    }

    /// The range without the share `outside` of the elements at each end.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "counts of elements are far below 2^53"
    )]
    fn percentile(&self, outside: f64) -> Range {
        let total: u64 = self.counts.iter().sum();
        let spare = (total as f64 * outside) as u64;
        let cut = |counts: &mut dyn Iterator<Item = &u64>| {
            let mut seen = 0;
            counts
                .take_while(|&&count| {
                    seen += count;
                    seen <= spare
                })
                .count()
        };
        let first = cut(&mut self.counts.iter());
        let last = cut(&mut self.counts.iter().rev());
        Range::new(self.edge(first), self.edge(BINS - last))
    }

    /// The lower edge of a bin.
    #[expect(clippy::cast_precision_loss, reason = "bins are few")]
    fn edge(&self, bin: usize) -> f32 {
        let share = bin as f32 / BINS as f32;
        self.range.low() + share * (self.range.high() - self.range.low())
    }

    /// Both ends are scaled by the same factor, so that a one-sided range stays one-sided.
    ///
    /// Zeros are ignored: they are exact in every range, and after a ReLU they would dominate the
    /// distribution.
    fn entropy(&self) -> Range {
        let mut counts = self.counts.clone();
        counts[self.zero_bin().min(BINS - 1)] = 0;
        Self { range: self.range, counts }.least_divergent()
    }

    fn least_divergent(&self) -> Range {
        let candidates = (8..=128).rev().map(|part| part * BINS / 128);
        let zero = self.zero_bin();
        let scored = candidates.map(|kept| {
            let first = zero - zero * kept / BINS;
            let last = zero + (BINS - zero) * kept / BINS;
            (self.divergence(first, last.max(first + 1)), first, last)
        });
        let best = scored.min_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or(self.range, |(_, first, last)| Range::new(self.edge(first), self.edge(last)))
    }

    /// The bin that contains 0.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a bin's number is small and not negative"
    )]
    fn zero_bin(&self) -> usize {
        let width = self.range.high() - self.range.low();
        if width > 0.0 { (-self.range.low() / width * BINS as f32) as usize } else { 0 }
    }

    /// The Kullback-Leibler divergence Σ p · ln(p / q) if the bins from `first` to `last` are quantized to
    /// 256 steps and elements outside are clipped.
    #[expect(clippy::cast_precision_loss, reason = "counts of elements are far below 2^53")]
    fn divergence(&self, first: usize, last: usize) -> f64 {
        let inside = &self.counts[first..last];
        let total: u64 = self.counts.iter().sum();
        let mut p: Vec<f64> = inside.iter().map(|&count| count as f64).collect();
        let len = p.len();
        p[0] += self.counts[..first].iter().sum::<u64>() as f64;
        p[len - 1] += self.counts[last..].iter().sum::<u64>() as f64;

        // The elements of a step are distributed evenly over its bins that are not empty.
        let within: u64 = inside.iter().sum();
        let mut divergence = 0.0;
        for step in 0..STEPS {
            let bins = step * len / STEPS..((step + 1) * len / STEPS).min(len);
            let sum: u64 = inside[bins.clone()].iter().sum();
            let filled = inside[bins.clone()].iter().filter(|&&count| count > 0).count();
            for bin in bins.filter(|&bin| p[bin] > 0.0) {
                let share = p[bin] / total as f64;
                // Elements that were clipped into an empty bin get the smallest probability.
                let stands = if inside[bin] > 0 { sum as f64 / filled as f64 } else { 0.5 };
                divergence += share * (share / (stands / within.max(1) as f64)).ln();
            }
        }
        divergence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[f32]) -> Histogram {
        let low = values.iter().copied().fold(0.0, f32::min);
        let high = values.iter().copied().fold(0.0, f32::max);
        let mut histogram = Histogram::new(Range::new(low, high));
        histogram.add(values);
        histogram
    }

    /// 100,000 elements between 0 and 1, and one at 50.
    fn one_far_out() -> Histogram {
        let thousand = (0..1000_u16).map(|i| f32::from(i) / 1000.0);
        let mut values: Vec<f32> = thousand.cycle().take(100_000).collect();
        values.push(50.0);
        histogram(&values)
    }

    #[test]
    fn only_min_max_keeps_outliers() {
        let histogram = one_far_out();
        assert!((histogram.range(Method::MinMax).high() - 50.0).abs() < 1e-3);
        assert!(histogram.range(Method::Percentile(1e-4)).high() < 1.1);
        assert!(histogram.range(Method::Entropy).high() < 25.0);
    }

    #[test]
    fn a_range_without_outliers_is_hardly_reduced() {
        let values: Vec<f32> = (-1000_i16..=3000).map(|i| f32::from(i) / 1000.0).collect();
        for method in [Method::MinMax, Method::Percentile(1e-4), Method::Entropy] {
            let range = histogram(&values).range(method);
            assert!(range.low() < -0.9 && range.high() > 2.7, "{method}: {range:?}");
        }
    }

    #[test]
    fn the_range_of_values_that_are_never_negative_begins_at_zero() {
        for method in [Method::MinMax, Method::Percentile(1e-3), Method::Entropy] {
            assert_eq!(one_far_out().range(method).steps().zero_point, 0, "{method}");
        }
    }

    #[test]
    fn the_range_of_zeros_is_empty() {
        for method in [Method::MinMax, Method::Percentile(1e-3), Method::Entropy] {
            assert_eq!(histogram(&[0.0; 9]).range(method), Range::new(0.0, 0.0), "{method}");
        }
    }

    #[test]
    fn printed_methods_can_be_parsed() {
        for word in ["min-max", "percentile:99.99", "percentile:99.5", "entropy"] {
            assert_eq!(word.parse::<Method>().unwrap().to_string(), word);
        }
        assert_eq!("percentile".parse::<Method>().unwrap().to_string(), "percentile:99.99");
        for word in ["", "minmax", "percentile:0.9", "percentile:101", "percentile:x"] {
            word.parse::<Method>().unwrap_err();
        }
    }
}
