//! Folds batch norms into the convolutions before them.

/// A batch norm after training: four vectors `[channels]`, float32.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// Scale γ.
    pub weight: Vec<f32>,
    /// Shift β.
    pub bias: Vec<f32>,
    /// Mean μ of the training set.
    pub running_mean: Vec<f32>,
    /// Variance σ² of the training set, not negative.
    pub running_var: Vec<f32>,
    /// ε, added to the variance to avoid a division by zero.
    pub epsilon: f64,
}

/// Folds a batch norm into the convolution before it.
///
/// `weight` is `[out, in / groups, kh, kw]`, `bias` `[out]`, float32, zeros where the convolution has
/// none. Computed in float64, rounded once: `w' = w · s`, `b' = β + (b − μ) · s` with
/// `s = γ / √(σ² + ε)` (Ioffe and Szegedy 2015, "Batch normalization", Algorithm 2).
pub fn fold(weight: &mut [f32], bias: &mut [f32], norm: &BatchNorm) {
    let per_channel = weight.len() / bias.len();
    for (channel, weights) in weight.chunks_exact_mut(per_channel).enumerate() {
        let scale = f64::from(norm.weight[channel])
            / (f64::from(norm.running_var[channel]) + norm.epsilon).sqrt();
        for weight in weights {
            *weight = rounded(f64::from(*weight) * scale);
        }
        let centred = f64::from(bias[channel]) - f64::from(norm.running_mean[channel]);
        bias[channel] = rounded(f64::from(norm.bias[channel]) + centred * scale);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to float32 is the purpose")]
fn rounded(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For a 1×1 convolution from two channels to two, on one pixel.
    #[test]
    fn a_folded_convolution_computes_what_the_two_layers_did() {
        let weight = [0.5_f32, -2.0, 3.0, 0.25];
        let norm = BatchNorm {
            weight: vec![1.5, -0.7],
            bias: vec![0.1, 4.0],
            running_mean: vec![-3.0, 0.2],
            running_var: vec![2.0, 0.0],
            epsilon: 1e-5,
        };
        let pixel = [0.3_f32, 0.9];
        let mut bias = [0.0_f32, -0.8];

        let unfolded: Vec<f64> = (0..2)
            .map(|c| {
                let sum: f64 =
                    (0..2).map(|i| f64::from(weight[2 * c + i]) * f64::from(pixel[i])).sum();
                let deviation = (f64::from(norm.running_var[c]) + 1e-5).sqrt();
                let centred = sum + f64::from(bias[c]) - f64::from(norm.running_mean[c]);
                centred / deviation * f64::from(norm.weight[c]) + f64::from(norm.bias[c])
            })
            .collect();

        let mut folded = weight;
        fold(&mut folded, &mut bias, &norm);
        for (c, expected) in unfolded.into_iter().enumerate() {
            let sum: f64 = (0..2).map(|i| f64::from(folded[2 * c + i]) * f64::from(pixel[i])).sum();
            let found = sum + f64::from(bias[c]);
            assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} is not {expected}");
        }
    }

    #[test]
    fn an_identity_norm_leaves_the_weights_unchanged() {
        let norm = BatchNorm {
            weight: vec![1.0],
            bias: vec![0.0],
            running_mean: vec![0.0],
            running_var: vec![0.999_99], // plus ε is 1
            epsilon: 1e-5,
        };
        let mut weight = [0.1_f32, -7.5, 0.0];
        let mut bias = [0.0];
        fold(&mut weight, &mut bias, &norm);
        assert_eq!(weight.map(f32::to_bits), [0.1, -7.5, 0.0].map(f32::to_bits));
        assert_eq!(bias[0].to_bits(), 0);
    }
}
