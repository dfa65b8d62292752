//! Expected calibration error.

/// Number of bins.
const BINS: usize = 15;

#[derive(Clone, Copy, Default)]
struct Bin {
    images: f64,
    correct: f64,
    confidence: f64,
}

/// The expected calibration error, 0 to 1: the mean, over images, of the difference between accuracy and mean
/// confidence of the image's bin.
///
/// Confidence is the largest probability. There are 15 bins of equal width, which include their upper end
/// (Guo et al. 2017, section 2, equation 3). `images` are probabilities, f32 `[classes]`, with the true
/// class.
#[must_use]
pub fn ece(images: &[(Vec<f32>, usize)]) -> f64 {
    let mut bins = [Bin::default(); BINS];
    for (probabilities, truth) in images {
        let (answer, confidence) = best(probabilities);
        let bin = &mut bins[bin_of(confidence)];
        bin.images += 1.0;
        bin.correct += f64::from(u8::from(answer == *truth));
        bin.confidence += confidence;
    }
    let gaps: f64 = bins.iter().map(|bin| (bin.correct - bin.confidence).abs()).sum();
    gaps / bins.iter().map(|bin| bin.images).sum::<f64>().max(1.0)
}

/// The most probable class (the first one of equal ones) and its probability.
fn best(probabilities: &[f32]) -> (usize, f64) {
    let ranked = probabilities.iter().enumerate().rev();
    let best = ranked.max_by(|(_, a), (_, b)| a.total_cmp(b));
    best.map_or((0, 0.0), |(class, probability)| (class, f64::from(*probability)))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "0 to 15"
)]
fn bin_of(confidence: f64) -> usize {
    let upper = (confidence * BINS as f64).ceil() as usize;
    upper.clamp(1, BINS) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_equals_a_sum_computed_by_hand() {
        // Bin of 0.75: two images, one right: |1 - 1.5|. Bin of 0.9: one, right: |1 - 0.9|.
        let images = [(vec![0.75, 0.25], 0), (vec![0.75, 0.25], 1), (vec![0.1, 0.9], 1)];
        assert!((ece(&images) - (0.5 + 0.1) / 3.0).abs() < 1e-7);
        assert!(ece(&[(vec![1.0, 0.0], 0)]).abs() < 1e-12);
        assert!((ece(&[(vec![1.0, 0.0], 1)]) - 1.0).abs() < 1e-12);
        assert!(ece(&[]).abs() < 1e-12);
    }

    #[test]
    fn a_bin_includes_its_upper_end() {
        for (confidence, bin) in [(0.0, 0), (1.0 / 15.0, 0), (0.067, 1), (0.2, 2), (1.0, 14)] {
            assert_eq!(bin_of(confidence), bin, "{confidence}");
        }
    }
}
