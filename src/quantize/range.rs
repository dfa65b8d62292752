//! The range of a value's elements, and its quantization.

/// From the smallest to the largest element; contains 0, because padding is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    low: f32,
    high: f32,
}

/// Scale and zero point: uint8 `q` represents `(q − zero_point) · scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// The size of one step, positive.
    pub scale: f32,
    /// The uint8 that represents 0.
    pub zero_point: u8,
}

impl Range {
    /// The smallest range that contains `low`, `high` and 0.
    #[must_use]
    pub fn new(low: f32, high: f32) -> Self {
        Self { low: low.min(0.0), high: high.max(0.0) }
    }

    /// The smallest element, at most 0.
    #[must_use]
    pub fn low(self) -> f32 {
        self.low
    }

    /// The largest element, at least 0.
    #[must_use]
    pub fn high(self) -> f32 {
        self.high
    }

    /// The range after a ReLU.
    #[must_use]
    pub fn rectified(self) -> Self {
        Self { low: 0.0, ..self }
    }

    /// 255 steps from one end to the other. One of the 256 values is exactly 0.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded and within 0 to 255"
    )]
    pub fn steps(self) -> Steps {
        let scale = (self.high - self.low) / 255.0;
        if !scale.is_normal() {
            return Steps { scale: 1.0, zero_point: 0 }; // all elements are 0
        }
        Steps { scale, zero_point: (-self.low / scale).round().clamp(0.0, 255.0) as u8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_represented_exactly() {
        for (low, high, zero_point) in
            [(-1.0, 3.0, 64), (0.5, 2.0, 0), (-2.0, -1.0, 255), (0.0, 0.0, 0)]
        {
            assert_eq!(Range::new(low, high).steps().zero_point, zero_point, "{low} to {high}");
        }
        assert!((Range::new(-1.0, 4.1).steps().scale - 0.02).abs() < 1e-6);
    }
}
