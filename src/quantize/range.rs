//! The range of a value's elements, and the 256 steps that cover it.

/// From the least element to the largest; 0 lies inside, because padding is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    low: f32,
    high: f32,
}

/// uint8 `q` stands for `(q − zero_point) · scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// The size of one step, positive.
    pub scale: f32,
    /// What stands for 0.
    pub zero_point: u8,
}

impl Range {
    /// The range that holds `low`, `high` and 0.
    #[must_use]
    pub fn new(low: f32, high: f32) -> Self {
        Self { low: low.min(0.0), high: high.max(0.0) }
    }

    /// Its least element, at most 0.
    #[must_use]
    pub fn low(self) -> f32 {
        self.low
    }

    /// Its largest element, at least 0.
    #[must_use]
    pub fn high(self) -> f32 {
        self.high
    }

    /// The range without what a rectifier removes.
    #[must_use]
    pub fn rectified(self) -> Self {
        Self { low: 0.0, ..self }
    }

    /// 256 steps from one end to the other, one of them exactly 0.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded and within 0 to 255"
    )]
    pub fn steps(self) -> Steps {
        let scale = (self.high - self.low) / 255.0;
        if !scale.is_normal() {
            return Steps { scale: 1.0, zero_point: 0 }; // nothing but zeros
        }
        Steps { scale, zero_point: (-self.low / scale).round().clamp(0.0, 255.0) as u8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_always_exactly_a_step() {
        for (low, high, zero_point) in
            [(-1.0, 3.0, 64), (0.5, 2.0, 0), (-2.0, -1.0, 255), (0.0, 0.0, 0)]
        {
            assert_eq!(Range::new(low, high).steps().zero_point, zero_point, "{low} to {high}");
        }
        assert!((Range::new(-1.0, 4.1).steps().scale - 0.02).abs() < 1e-6);
    }
}
