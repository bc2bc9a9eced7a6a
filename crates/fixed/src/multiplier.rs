//! Factors that are no weights: the slope of an activation, the reciprocal of a count.

use crate::{
    Rounding,
    convert::{exp2, f64_to_i64, i64_to_f64},
    format::round_ties_even,
    shift_round,
};

/// A factor `mantissa * 2^-frac`: an integer of so many significant bits as its result needs, and a shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Multiplier {
    /// The significant bits, with the sign.
    pub mantissa: i64,
    /// Fractional bits of the mantissa; negative where the factor is large.
    pub frac: i32,
}

impl Multiplier {
    /// `x` to so many significant bits, ties to even, without zeros at their end, and with `most_frac`
    /// fractional bits at most. Up to that end its relative error is at most `2^-bits`.
    ///
    /// # Panics
    /// Where `x` is not finite, or `bits` is not in `1 ..= 32`.
    ///
    /// ```
    /// use fixedwise_fixed::Multiplier;
    /// // 0.01 = 655.36 / 2^16.
    /// assert_eq!(Multiplier::nearest(0.01, 10, 48), Multiplier { mantissa: 655, frac: 16 });
    /// assert_eq!(Multiplier::nearest(-1.5, 10, 48), Multiplier { mantissa: -3, frac: 1 });
    /// assert_eq!(Multiplier::nearest(0.0, 10, 48), Multiplier { mantissa: 0, frac: 0 });
    /// ```
    pub fn nearest(x: f64, bits: u8, most_frac: i32) -> Self {
        assert!(x.is_finite(), "a factor is a finite number");
        assert!((1..=32).contains(&bits), "a mantissa has 1 to 32 bits");
        if x == 0.0 {
            return Self { mantissa: 0, frac: 0 };
        }
        let frac = (i32::from(bits) - 1).saturating_sub(exponent(x)).min(most_frac);
        // In two steps: the power of two alone may be beyond what a double holds.
        let scaled = x * exp2(frac / 2) * exp2(frac - frac / 2);
        let mantissa = f64_to_i64(round_ties_even(scaled));
        if mantissa == 0 {
            return Self { mantissa: 0, frac: 0 };
        }
        let zeros = mantissa.trailing_zeros();
        Self { mantissa: mantissa >> zeros, frac: frac - i32::try_from(zeros).unwrap_or(0) }
    }

    /// The same for several factors, with one number of fractional bits: that of the smallest of them.
    ///
    /// # Panics
    /// As [`Multiplier::nearest`], and where a factor is zero.
    pub fn common_frac(factors: impl IntoIterator<Item = f64>, bits: u8, most_frac: i32) -> i32 {
        let least = factors.into_iter().map(exponent).min().unwrap_or(0);
        (i32::from(bits) - 1).saturating_sub(least).min(most_frac)
    }

    /// Its value.
    pub fn value(self) -> f64 {
        i64_to_f64(self.mantissa) * exp2(-self.frac)
    }

    /// `shift_round(x * mantissa, shift + frac)`; a product beyond 64 bits saturates.
    #[inline]
    pub fn apply(self, x: i64, shift: i32, rounding: Rounding) -> i64 {
        shift_round(x.saturating_mul(self.mantissa), shift.saturating_add(self.frac), rounding)
    }
}

/// `e` where `2^e <= |x| < 2^(e + 1)`.
fn exponent(x: f64) -> i32 {
    let bits = x.to_bits();
    let (biased, fraction) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
    if biased == 0 {
        // Subnormal: the place of the highest bit.
        return -1074 + 63_i32.saturating_sub_unsigned(fraction.leading_zeros());
    }
    i32::try_from(biased).unwrap_or(0) - 1023
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_relative_error_is_below_one_in_two_to_the_bits() {
        for bits in [1_u8, 2, 8, 10, 18, 32] {
            for x in [1.0, 1.5, 0.1, -0.01, 1.0 / 3.0, 0.999_999_999, -7e20, 1e-30, 1e-310, 1e300] {
                let multiplier = Multiplier::nearest(x, bits, i32::MAX);
                let error = (multiplier.value() / x - 1.0).abs();
                assert!(error <= exp2(-i32::from(bits)), "{x} with {bits} bits: {multiplier:?}");
                assert!(multiplier.mantissa.unsigned_abs() < 1 << bits, "{x}: {multiplier:?}");
                assert!(multiplier.mantissa % 2 != 0, "{x}: {multiplier:?}");
            }
        }
    }

    #[test]
    fn fractional_bits_are_limited() {
        assert_eq!(Multiplier::nearest(1e-3, 10, 12), Multiplier { mantissa: 1, frac: 10 });
        assert_eq!(Multiplier::nearest(1e-9, 10, 20), Multiplier { mantissa: 0, frac: 0 });
    }

    #[test]
    fn factors_share_the_bits_of_the_smallest() {
        // 1 / 9 begins at 2^-4.
        let frac = Multiplier::common_frac([1.0 / 4.0, 1.0 / 6.0, 1.0 / 9.0], 10, 48);
        assert_eq!(frac, 13);
    }

    #[test]
    fn a_product_is_rounded_once() {
        let slope = Multiplier::nearest(0.1, 10, 48);
        assert_eq!(slope, Multiplier { mantissa: 819, frac: 13 });
        assert_eq!(slope.apply(-1000, 4, Rounding::TiesUp), -6);
        let large = Multiplier::nearest(8.0, 10, 48);
        assert_eq!(
            (large, large.apply(3, 1, Rounding::TiesUp)),
            (Multiplier { mantissa: 1, frac: -3 }, 12)
        );
    }
}
