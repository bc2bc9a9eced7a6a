//! Proof that a sum of products fits its accumulator.

/// Bits a signed two's complement integer needs to hold every value of magnitude up to `bound`.
pub const fn bits_for(bound: u64) -> u8 {
    let digits = 64 - bound.leading_zeros();
    #[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "at most 65")]
    let bits = (digits + 1) as u8;
    bits
}

/// Worst case of one output channel's sum, `sum|w| * max|x| + |b|`, built from actual integers.
///
/// It also bounds every partial sum, in any order of summation. Saturates instead of overflowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AccumulatorBound(u64);

impl AccumulatorBound {
    /// The bound of `weights` (stored integers) times inputs of magnitude up to
    /// `max_input_magnitude`, plus `bias`.
    pub fn new(weights: impl IntoIterator<Item = i64>, max_input_magnitude: u64, bias: i64) -> Self {
        let sum = weights.into_iter().fold(0_u64, |sum, w| sum.saturating_add(w.unsigned_abs()));
        Self(sum.saturating_mul(max_input_magnitude).saturating_add(bias.unsigned_abs()))
    }

    /// The bound with `extra` added, such as the half a rounding shift adds.
    #[must_use]
    pub fn plus(self, extra: u64) -> Self {
        Self(self.0.saturating_add(extra))
    }

    /// The larger of two bounds.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// The largest magnitude the sum can reach.
    pub fn magnitude(self) -> u64 {
        self.0
    }

    /// Bits of the smallest signed accumulator that never overflows.
    pub fn bits(self) -> u8 {
        bits_for(self.0)
    }

    /// Whether a signed accumulator of `bits` bits never overflows.
    pub fn fits(self, bits: u8) -> bool {
        self.bits() <= bits
    }
}
