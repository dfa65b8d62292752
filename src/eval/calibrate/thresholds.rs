//! Thresholds for prediction sets: split conformal prediction.

use crate::model::CoverageThreshold;

/// The coverages of a card, as far as the number of images permits.
pub const COVERAGES: [f64; 20] = [
    0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97,
    0.98, 0.985, 0.99, 0.995,
];

/// The thresholds for [`COVERAGES`]: a class is in the set if its probability reaches the threshold.
///
/// An image's score is the probability of its true class. The rank of a new image of the same distribution
/// among these `n` scores is uniformly distributed. So its score is at least the `k`-th largest with a
/// probability of `k / (n + 1)`, for `k = ⌈(n + 1) · coverage⌉` (Sadinle, Lei and Wasserman 2019; the count
/// as in Angelopoulos and Bates 2021, "A Gentle Introduction to Conformal Prediction", section 1). Coverages
/// for which `k` exceeds `n` are omitted.
#[must_use]
pub fn thresholds(images: &[(Vec<f32>, usize)]) -> Vec<(f64, f32)> {
    let mut scores: Vec<f32> =
        images.iter().map(|(probabilities, truth)| probabilities[*truth]).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    COVERAGES
        .into_iter()
        .filter_map(|coverage| Some((coverage, *scores.get(rank(coverage, scores.len()) - 1)?)))
        .collect()
}

/// `⌈(n + 1) · coverage⌉`, at least 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "counts of images are far below 2^53"
)]
fn rank(coverage: f64, images: usize) -> usize {
    let exact = (images + 1) as f64 * coverage;
    // 0.55 as f64 is slightly larger than 0.55; this error must not increase the rank.
    ((exact - 1e-9).ceil() as usize).max(1)
}

/// Measures the prediction sets, as `pipeline::prediction_sets` computes them, on `images`.
#[must_use]
pub(super) fn measure(
    coverage: f64,
    threshold: f32,
    images: &[(Vec<f32>, usize)],
) -> CoverageThreshold {
    let (mut held, mut classes) = (0, 0);
    for (probabilities, truth) in images {
        let best = probabilities.iter().copied().fold(0.0, f32::max);
        let reached = threshold.min(best);
        classes += probabilities.iter().filter(|probability| **probability >= reached).count();
        held += usize::from(probabilities[*truth] >= reached);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let share = |count: usize| (count as f64 / images.len().max(1) as f64 * 1e4).round() / 1e4;
    CoverageThreshold { coverage, threshold, found: share(held), mean_size: share(classes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_includes_the_correction_for_a_finite_sample() {
        for (coverage, images, expected) in
            [(0.9, 9, 9), (0.9, 10, 10), (0.9, 99, 90), (0.55, 99, 55), (0.995, 199, 199)]
        {
            assert_eq!(rank(coverage, images), expected, "{coverage} of {images}");
        }
        assert!(rank(0.995, 198) > 198, "not to be promised");
    }

    #[test]
    fn coverages_that_need_more_images_are_omitted() {
        let images: Vec<_> = (1_u8..=19).map(|p| (vec![f32::from(p) / 20.0], 0)).collect();
        let found = thresholds(&images);
        assert_eq!(found.last(), Some(&(0.95, 0.05)));
        assert_eq!(found.first(), Some(&(0.5, 0.5)));
        assert!(found.is_sorted_by(|a, b| a.0 < b.0 && a.1 >= b.1));
        assert_eq!(thresholds(&[]), []);
    }
}
