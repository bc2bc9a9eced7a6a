//! Proof that a sum of products fits its accumulator.

/// Bits a signed two's complement integer needs to hold every value of magnitude up to `bound`.
///
/// `floor(log2(bound)) + 2`, and 1 for zero.
///
/// ```
/// use fixedwise_fixed::bits_for;
/// assert_eq!((bits_for(0), bits_for(127), bits_for(128)), (1, 8, 9));
/// ```
pub const fn bits_for(bound: u64) -> u8 {
    let digits = 64 - bound.leading_zeros();
    #[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "at most 65")]
    let bits = (digits + 1) as u8;
    bits
}

/// Worst case of one output channel's sum, `sum|w| * max|x| + |b|`, built from actual integers.
///
/// It also bounds every partial sum, in any order of summation. Saturates at `u64::MAX` instead of
/// overflowing, so that a bound beyond 64 bits still fits no accumulator.
///
/// ```
/// use fixedwise_fixed::AccumulatorBound;
/// // Weights 3, -5, 7 times inputs of at most 255, bias 100, and half of a shift by 6.
/// let bound = AccumulatorBound::new([3, -5, 7], 255, 100).plus(1 << 5);
/// assert_eq!(bound.magnitude(), (3 + 5 + 7) * 255 + 100 + 32);
/// assert_eq!(bound.bits(), 13);
/// assert!(bound.fits(16) && !bound.fits(12));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AccumulatorBound(u64);

impl AccumulatorBound {
    /// The bound of `weights` (stored integers) times inputs of magnitude up to
    /// `max_input_magnitude`, plus `bias`.
    pub fn new(
        weights: impl IntoIterator<Item = i64>,
        max_input_magnitude: u64,
        bias: i64,
    ) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_for_is_the_smallest_width_that_holds_both_signs() {
        for bound in 0..=70_000_u64 {
            let width = (1..=64_u32).find(|width| (1_u64 << (width - 1)) > bound);
            assert_eq!(Some(u32::from(bits_for(bound))), width, "bound {bound}");
        }
        assert_eq!(bits_for(2_147_483_647), 32);
        assert_eq!(bits_for(2_147_483_648), 33);
        assert_eq!(bits_for(u64::MAX >> 1), 64);
        assert_eq!(bits_for(u64::MAX), 65);
    }

    #[test]
    fn an_unbounded_sum_fits_nothing() {
        let bound = AccumulatorBound::new([i64::MIN, i64::MIN, i64::MIN], u64::MAX, i64::MIN);
        assert_eq!(bound.magnitude(), u64::MAX);
        assert!(!bound.plus(1).fits(64));
        assert_eq!(AccumulatorBound::default().max(bound), bound);
    }

    #[test]
    fn no_weights_leave_the_bias() {
        assert_eq!(AccumulatorBound::new([], 255, -9).magnitude(), 9);
        assert_eq!(AccumulatorBound::new([0, 0], 255, 0).bits(), 1);
    }

    proptest! {
        #[test]
        fn no_partial_sum_exceeds_the_bound(
            terms in prop::collection::vec((-32_767..=32_767_i64, -32_767..=32_767_i64), 0..64),
            bias in -2_147_483_648..=2_147_483_647_i64,
        ) {
            let max_input = terms.iter().map(|(_, x)| x.unsigned_abs()).max().unwrap_or(0);
            let bound = AccumulatorBound::new(terms.iter().map(|(w, _)| *w), max_input, bias);
            let mut acc = bias;
            for (w, x) in &terms {
                prop_assert!(acc.unsigned_abs() <= bound.magnitude());
                acc += w * x;
            }
            prop_assert!(acc.unsigned_abs() <= bound.magnitude());
            prop_assert!(bits_for(acc.unsigned_abs()) <= bound.bits());
        }

        #[test]
        fn the_extreme_signed_input_reaches_the_bound(
            weights in prop::collection::vec(-127..=127_i64, 1..64),
            max_input in 0..=127_i64,
            bias in -100_000..=100_000_i64,
        ) {
            // Every input at its largest magnitude, with the sign that adds up with the bias.
            let sign = if bias < 0 { -1 } else { 1 };
            let acc: i64 = weights.iter().map(|w| w * w.signum() * sign * max_input).sum::<i64>() + bias;
            let bound = AccumulatorBound::new(weights, max_input.unsigned_abs(), bias);
            prop_assert_eq!(acc.unsigned_abs(), bound.magnitude());
        }
    }
}
