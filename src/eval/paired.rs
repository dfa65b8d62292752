//! Compares the accuracy of two models on the same images, with confidence intervals.

use serde::Serialize;

/// The quantile of the normal distribution for intervals of 95 %.
const Z: f64 = 1.96;

/// A proportion with its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The observed proportion.
    pub share: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// The results of two models on the same images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Paired {
    /// Number of images.
    pub images: usize,
    /// Number of images that the first model classified correctly.
    pub first: usize,
    /// Number of images that the second model classified correctly.
    pub second: usize,
    /// Number of images that only the first model classified correctly.
    pub only_first: usize,
    /// Number of images that only the second model classified correctly.
    pub only_second: usize,
    /// Number of images with the same answer from both models, right or wrong.
    pub agree: usize,
}

impl Paired {
    /// Adds an image of class `truth` with the models' answers; `None` if it could not be classified.
    pub fn add(&mut self, truth: usize, first: Option<usize>, second: Option<usize>) {
        let right = [first, second].map(|answer| answer == Some(truth));
        self.images += 1;
        self.first += usize::from(right[0]);
        self.second += usize::from(right[1]);
        self.only_first += usize::from(right[0] && !right[1]);
        self.only_second += usize::from(right[1] && !right[0]);
        self.agree += usize::from(first.is_some() && first == second);
    }

    /// The proportion `hits / images`, with its Wilson interval (Wilson 1927).
    #[must_use]
    pub fn share(&self, hits: usize) -> Interval {
        let (n, p) = (count(self.images.max(1)), count(hits) / count(self.images.max(1)));
        let square = Z * Z;
        let middle = (p + square / (2.0 * n)) / (1.0 + square / n);
        let half = Z / (1.0 + square / n) * (p * (1.0 - p) / n + square / (4.0 * n * n)).sqrt();
        Interval { share: p, low: middle - half, high: middle + half }
    }

    /// The accuracy of the second model minus that of the first. Because the images are the same, only those
    /// count on which the models differ (`McNemar` 1947).
    #[must_use]
    pub fn difference(&self) -> Interval {
        let n = count(self.images.max(1));
        let (gained, lost) = (count(self.only_second), count(self.only_first));
        let share = (gained - lost) / n;
        let half = Z * (gained + lost - (gained - lost).powi(2) / n).max(0.0).sqrt() / n;
        Interval { share, low: share - half, high: share + half }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of images are far below 2^53")]
fn count(images: usize) -> f64 {
    images as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_published_examples() {
        let paired = Paired { images: 100, ..Paired::default() };
        let Interval { share, low, high } = paired.share(90);
        // Wilson's interval of 90 in 100: 0.8256 to 0.9448.
        assert!((share - 0.9).abs() < 1e-9);
        assert!((low - 0.8256).abs() < 1e-4 && (high - 0.9448).abs() < 1e-4, "{low} {high}");
        assert!(paired.share(100).high <= 1.0 + 1e-9);
    }

    #[test]
    fn the_interval_of_the_difference_depends_on_images_with_different_answers_only() {
        let mut paired = Paired::default();
        for (truth, first, second) in [
            (0, Some(0), Some(0)),
            (1, Some(1), Some(2)),
            (2, None, Some(2)),
            (3, Some(0), Some(0)),
        ] {
            paired.add(truth, first, second);
        }
        assert_eq!((paired.first, paired.second, paired.agree), (2, 2, 2));
        let Interval { share, low, high } = paired.difference();
        assert!(share.abs() < 1e-12);
        assert!((high - Z * 2.0_f64.sqrt() / 4.0).abs() < 1e-9 && (low + high).abs() < 1e-9);
    }
}
