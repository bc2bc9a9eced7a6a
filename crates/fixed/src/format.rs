//! What a stored integer means.

use crate::convert::exp2;
use crate::requantize::{Rounding, shift_round};
use core::fmt;

/// Widest stored integer, in bits (biases; weights and activations have at most 16).
pub const MAX_BITS: u8 = 32;

/// Which integers a format may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Range {
    /// `0 ..= 2^bits - 1`.
    Unsigned,
    /// `-(2^(bits-1) - 1) ..= 2^(bits-1) - 1`, symmetric; one bit is the constant zero.
    #[default]
    Narrow,
    /// `-2^(bits-1) ..= 2^(bits-1) - 1`.
    Full,
    /// -1 and +1, without zero: one bit of a weight.
    Bipolar,
}

impl Range {
    /// What plans and exports call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Narrow => "narrow",
            Self::Full => "full",
            Self::Bipolar => "bipolar",
        }
    }
}

/// A fixed-point format: `value = stored * 2^-frac`, `stored` an integer of `bits` bits.
///
/// The fields are public and unchecked; [`Format::checked`] is the gate for a width that comes from
/// outside. The methods below expect `1 ..= 32` bits.
///
/// ```
/// use fixedwise_fixed::Format;
/// let format = Format::signed(8, 6);
/// assert_eq!((format.min(), format.max(), format.resolution()), (-127, 127, 1.0 / 64.0));
/// assert_eq!(format.quantize(0.3), 19); // 0.3 * 2^6 = 19.2
/// assert_eq!(format.dequantize(19), 0.296875);
/// assert_eq!(format.quantize(-5.0), -127);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Format {
    /// Width in bits, the sign included; `1 ..= 32`.
    pub bits: u8,
    /// Fractional offset F, the position of the binary point; may be negative or exceed `bits`.
    pub frac: i8,
    /// The integers it holds.
    pub range: Range,
}

/// A width that no format has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// The width asked for.
    pub bits: u8,
    /// The widest that is allowed.
    pub max_bits: u8,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a width of {} bits is outside 1 to {}", self.bits, self.max_bits)
    }
}

impl core::error::Error for FormatError {}

impl Format {
    /// A signed, symmetric format.
    pub const fn signed(bits: u8, frac: i8) -> Self {
        Self { bits, frac, range: Range::Narrow }
    }

    /// A signed format that also holds `-2^(bits-1)`.
    pub const fn full(bits: u8, frac: i8) -> Self {
        Self { bits, frac, range: Range::Full }
    }

    /// A format without sign.
    pub const fn unsigned(bits: u8, frac: i8) -> Self {
        Self { bits, frac, range: Range::Unsigned }
    }

    /// One bit: -1 or +1.
    pub const fn bipolar(frac: i8) -> Self {
        Self { bits: 1, frac, range: Range::Bipolar }
    }

    /// This format, if its width is in `1 ..= max_bits`, and 1 where it is bipolar.
    ///
    /// # Errors
    /// [`FormatError`] with the width and the limit.
    ///
    /// ```
    /// use fixedwise_fixed::Format;
    /// assert!(Format::signed(16, 3).checked(16).is_ok());
    /// assert!(Format::signed(17, 3).checked(16).is_err());
    /// assert!(Format::signed(0, 3).checked(16).is_err());
    /// assert!(Format { bits: 2, ..Format::bipolar(3) }.checked(16).is_err());
    /// ```
    pub const fn checked(self, max_bits: u8) -> Result<Self, FormatError> {
        let max_bits = if self.is_bipolar() { 1 } else { max_bits };
        if self.bits >= 1 && self.bits <= max_bits && max_bits <= MAX_BITS {
            Ok(self)
        } else {
            Err(FormatError { bits: self.bits, max_bits })
        }
    }

    /// Whether negative integers belong to it.
    pub const fn is_signed(self) -> bool {
        !matches!(self.range, Range::Unsigned)
    }

    /// Whether its integers are -1 and +1.
    pub const fn is_bipolar(self) -> bool {
        matches!(self.range, Range::Bipolar)
    }

    /// Whether an integer belongs to it.
    pub const fn holds(self, stored: i64) -> bool {
        let is_inside = self.min() <= stored && stored <= self.max();
        is_inside && (stored != 0 || !self.is_bipolar())
    }

    /// Smallest stored integer.
    pub const fn min(self) -> i64 {
        match self.range {
            Range::Unsigned => 0,
            Range::Bipolar => -1,
            Range::Narrow => -self.max(),
            Range::Full => -(1 << (self.bits - 1)),
        }
    }

    /// Largest stored integer.
    pub const fn max(self) -> i64 {
        match self.range {
            Range::Unsigned => (1 << self.bits) - 1,
            Range::Bipolar => 1,
            Range::Narrow | Range::Full => (1 << (self.bits - 1)) - 1,
        }
    }

    /// Largest magnitude of a stored integer.
    pub const fn max_magnitude(self) -> i64 {
        let (low, high) = (-self.min(), self.max());
        if low > high { low } else { high }
    }

    /// `stored`, clamped into this format; a bipolar one has its sign, that of 0 is +1.
    pub fn saturate(self, stored: i64) -> i64 {
        match (self.range, stored) {
            (Range::Bipolar, 0) => 1,
            _ => stored.clamp(self.min(), self.max()),
        }
    }

    /// `clamp(round(x * 2^frac), min, max)`, ties to even; infinities saturate and NaN becomes 0. A bipolar format
    /// has the sign of `x`: -1 below 0, else +1.
    ///
    /// Exact: `x * 2^frac` only moves the exponent, and where that leaves the range of `f64` the
    /// result is 0 or saturated either way.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::as_conversions,
        reason = "`as` from float saturates and maps NaN to 0; the clamp follows"
    )]
    pub fn quantize(self, x: f64) -> i64 {
        if self.is_bipolar() {
            return if x < 0.0 { -1 } else { 1 };
        }
        self.saturate(round_ties_even(x * exp2(i32::from(self.frac))) as i64)
    }

    /// `clamp(shift_round(acc, acc_frac - frac), min, max)`: an integer at the scale
    /// `2^-acc_frac`, brought to this format.
    ///
    /// ```
    /// use fixedwise_fixed::{Format, Rounding};
    /// // 1000 * 2^-9 = 1.953..., in steps of 1/16: 31.25 of them.
    /// assert_eq!(Format::unsigned(8, 4).requantize(1000, 9, Rounding::TiesUp), 31);
    /// assert_eq!(Format::unsigned(4, 4).requantize(1000, 9, Rounding::TiesUp), 15);
    /// ```
    pub fn requantize(self, acc: i64, acc_frac: i32, rounding: Rounding) -> i64 {
        let shift = acc_frac.saturating_sub(i32::from(self.frac));
        self.saturate(shift_round(acc, shift, rounding))
    }

    /// The real value of `stored`: `stored * 2^-frac`, exact below `2^53`.
    pub fn dequantize(self, stored: i64) -> f64 {
        crate::convert::i64_to_f64(stored) * exp2(-i32::from(self.frac))
    }

    /// `x` rounded to the nearest value of this format (quantize, then dequantize).
    pub fn round(self, x: f64) -> f64 {
        self.dequantize(self.quantize(x))
    }

    /// Distance between neighboring values, `2^-frac`.
    pub fn resolution(self) -> f64 {
        exp2(-i32::from(self.frac))
    }

    /// Bits left of the binary point, the sign included: `bits - frac`; may be negative. In two's complement +1 has
    /// two bits.
    pub fn integer_bits(self) -> i32 {
        i32::from(self.twos_complement_bits()) - i32::from(self.frac)
    }

    /// The bits that its integers have in two's complement: one more than stored where they are -1 and +1.
    pub const fn twos_complement_bits(self) -> u8 {
        if self.is_bipolar() { 2 } else { self.bits }
    }
}

/// Nearest integer, ties to even; exact, and available without `std`.
pub(crate) fn round_ties_even(x: f64) -> f64 {
    /// From 2^52 on every `f64` is an integer.
    const INTEGERS: f64 = 4_503_599_627_370_496.0;
    let magnitude = if x < 0.0 { -x } else { x };
    if magnitude < INTEGERS {
        // Adding and taking away 2^52 leaves the nearest integer, ties to even.
        let rounded = (magnitude + INTEGERS) - INTEGERS;
        if x < 0.0 { -rounded } else { rounded }
    } else {
        x
    }
}

impl fmt::Display for Format {
    /// Width, fractional offset and the type's name in HLS: `BW=8 F=6 ap_fixed<8,2>`.
    ///
    /// The alternate form adds the C type's kind and the Q name, counted as ARM does with the sign
    /// among the integer bits: `BW=8 F=6 ap_fixed<8,2> s8 Q2.6`, `BW=8 F=8 ap_ufixed<8,0> u8 UQ0.8`. Types are those
    /// of two's complement: `BW=1 F=3 ap_fixed<2,-1> s2 Q-1.3` of a bipolar format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bits, frac, .. } = self;
        let (held, integer_bits) = (self.twos_complement_bits(), self.integer_bits());
        let (hls, c, q) = if self.is_signed() { ("", "s", "Q") } else { ("u", "u", "UQ") };
        write!(f, "BW={bits} F={frac} ap_{hls}fixed<{held},{integer_bits}>")?;
        if f.alternate() {
            write!(f, " {c}{held} {q}{integer_bits}.{frac}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::convert::i64_to_f64;
    use proptest::prelude::*;
    use std::format;

    const RANGES: [Range; 3] = [Range::Unsigned, Range::Narrow, Range::Full];

    /// Every format of at most 8 bits, with every binary point.
    fn small_formats() -> impl Iterator<Item = Format> {
        RANGES.into_iter().flat_map(|range| {
            (1..=8).flat_map(move |bits| {
                (i8::MIN..=i8::MAX).map(move |frac| Format { bits, frac, range })
            })
        })
    }

    /// The smallest and largest integer, written out.
    fn limits(format: Format) -> (i64, i64) {
        let half = 2_i64.pow(u32::from(format.bits) - 1);
        match format.range {
            Range::Unsigned => (0, 2 * half - 1),
            Range::Narrow => (1 - half, half - 1),
            Range::Full => (-half, half - 1),
            Range::Bipolar => (-1, 1),
        }
    }

    /// `quantize` in integers: `x` is taken apart into `mantissa * 2^exponent`, and the quotient
    /// and remainder of a division decide. Finite `x` only.
    fn quantize_by_division(format: Format, x: f64) -> i64 {
        let (low, high) = limits(format);
        let bits = x.to_bits();
        let (biased, fraction) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
        let magnitude = if biased == 0 { fraction } else { fraction | (1 << 52) };
        let exponent = i32::try_from(biased.max(1)).unwrap() - 1075;
        let mantissa = i128::from(magnitude) * if bits >> 63 == 1 { -1 } else { 1 };
        let exponent = exponent + i32::from(format.frac);
        let nearest = if exponent >= 0 {
            // 53 bits and 60 more exceed every format.
            mantissa << exponent.min(60)
        } else {
            let divisor = 1_i128 << (-exponent).min(100);
            let (floor, rest) = (mantissa.div_euclid(divisor), mantissa.rem_euclid(divisor));
            match (2 * rest).cmp(&divisor) {
                core::cmp::Ordering::Less => floor,
                core::cmp::Ordering::Greater => floor + 1,
                core::cmp::Ordering::Equal => floor + floor.rem_euclid(2),
            }
        };
        i64::try_from(nearest.clamp(i128::from(low), i128::from(high))).unwrap()
    }

    #[test]
    fn limits_are_as_written_out() {
        for range in RANGES {
            for bits in 1..=MAX_BITS {
                let format = Format { bits, frac: 0, range };
                assert_eq!((format.min(), format.max()), limits(format), "{format}");
                let (low, high) = limits(format);
                assert_eq!(format.max_magnitude(), high.max(-low), "{format}");
                assert_eq!(format.is_signed(), range != Range::Unsigned);
                // As many integers as the width has room for; narrow leaves one out.
                let count = 1_i64 << bits;
                assert_eq!(high - low + 1, count - i64::from(range == Range::Narrow), "{format}");
            }
        }
    }

    #[test]
    fn one_narrow_bit_is_the_constant_zero() {
        for frac in i8::MIN..=i8::MAX {
            let format = Format::signed(1, frac);
            for x in [f64::NEG_INFINITY, -1e30, -1.0, 0.0, 1e-30, 0.5, 7.0, f64::INFINITY] {
                assert_eq!(format.quantize(x), 0);
            }
            assert_eq!((format.min(), format.max(), format.max_magnitude()), (0, 0, 0));
        }
    }

    #[test]
    fn one_bipolar_bit_is_the_sign() {
        for frac in [-5, 0, 7] {
            let format = Format::bipolar(frac);
            let step = format.resolution();
            for x in [f64::NEG_INFINITY, -9.0, -1e-30, 0.0, -0.0, 1e-30, 0.4, 9.0, f64::INFINITY] {
                let expected = if x < 0.0 { -1 } else { 1 };
                assert_eq!(format.quantize(x), expected, "{x}");
                assert_eq!(
                    format.round(x).to_bits(),
                    (i64_to_f64(expected) * step).to_bits(),
                    "{x}"
                );
            }
            assert_eq!([-7, -1, 0, 1, 7].map(|q| format.saturate(q)), [-1, -1, 1, 1, 1]);
            let held: std::vec::Vec<i64> = (-3..=3).filter(|&q| format.holds(q)).collect();
            assert_eq!(held, [-1, 1]);
            assert_eq!((format.min(), format.max(), format.max_magnitude()), (-1, 1, 1));
            assert!(format.is_signed() && format.checked(16).is_ok());
            assert!(Format { bits: 2, ..format }.checked(16).is_err());
        }
        assert!(Format::full(1, 0).holds(0) && !Format::full(1, 0).holds(1));
    }

    #[test]
    fn every_small_format_gives_back_each_of_its_values() {
        for format in small_formats() {
            for stored in format.min()..=format.max() {
                let value = format.dequantize(stored);
                assert_eq!(format.quantize(value), stored, "{format}, {stored}");
                assert_eq!(format.round(value).to_bits(), value.to_bits(), "{format}, {stored}");
            }
        }
    }

    #[test]
    fn every_small_format_breaks_every_tie_to_even() {
        for format in small_formats() {
            let (low, high) = limits(format);
            let half = format.resolution() / 2.0;
            for below in low - 2..=high + 2 {
                // The middle between `below` and `below + 1`, exactly.
                let tie = i64_to_f64(2 * below + 1) * half;
                let even = below + (below & 1);
                assert_eq!(format.quantize(tie), even.clamp(low, high), "{format}, tie {tie}");
                let (less, more) =
                    (format.quantize(tie.next_down()), format.quantize(tie.next_up()));
                assert_eq!(less, below.clamp(low, high), "{format}, below tie {tie}");
                assert_eq!(more, (below + 1).clamp(low, high), "{format}, above tie {tie}");
            }
        }
    }

    #[test]
    fn every_small_format_equals_the_division_on_a_grid_of_eighths() {
        for format in small_formats() {
            let (low, high) = limits(format);
            let eighth = format.resolution() / 8.0;
            for step in 8 * (low - 2)..=8 * (high + 2) {
                let x = i64_to_f64(step) * eighth;
                let expected = quantize_by_division(format, x);
                assert_eq!(format.quantize(x), expected, "{format}, {x}");
            }
        }
    }

    #[test]
    fn every_small_format_saturates_extremes() {
        for format in small_formats() {
            assert_eq!(format.quantize(f64::INFINITY), format.max(), "{format}");
            assert_eq!(format.quantize(f64::NEG_INFINITY), format.min(), "{format}");
            assert_eq!(format.quantize(f64::MAX), format.max(), "{format}");
            assert_eq!(format.quantize(f64::MIN), format.min(), "{format}");
            assert_eq!(format.quantize(f64::NAN), 0, "{format}");
            assert_eq!(format.quantize(f64::MIN_POSITIVE), 0, "{format}");
            assert_eq!(format.quantize(-f64::from_bits(1)), 0, "{format}");
            assert_eq!(format.saturate(i64::MAX), format.max(), "{format}");
            assert_eq!(format.saturate(i64::MIN), format.min(), "{format}");
        }
    }

    #[test]
    fn rounding_without_std_equals_the_standard_library() {
        let mut cases = std::vec![0.0, -0.0, 0.5, 1.5, 2.5, f64::INFINITY, f64::MAX];
        for exponent in -3..60 {
            let power = exp2(exponent);
            cases.extend([power, power.next_up(), power.next_down()]);
            cases.extend([power + 0.5, (power + 0.5).next_up(), (power + 0.5).next_down()]);
        }
        for x in cases {
            for x in [x, -x] {
                // The sign of a zero is of no use to an integer.
                let (ours, theirs) = (round_ties_even(x) + 0.0, x.round_ties_even() + 0.0);
                assert_eq!(ours.to_bits(), theirs.to_bits(), "{x}");
            }
        }
        assert!(round_ties_even(f64::NAN).is_nan());
    }

    #[test]
    fn widths_outside_the_limit_are_refused() {
        for max_bits in [8, 16, 32] {
            for bits in 0..=u8::MAX {
                let checked = Format::signed(bits, 0).checked(max_bits);
                assert_eq!(checked.is_ok(), (1..=max_bits).contains(&bits), "{bits} of {max_bits}");
            }
        }
        let error = Format::unsigned(17, 0).checked(16).unwrap_err();
        assert_eq!(format!("{error}"), "a width of 17 bits is outside 1 to 16");
    }

    #[test]
    fn formats_print_width_offset_and_type() {
        for (format, short, long) in [
            (Format::signed(8, 6), "BW=8 F=6 ap_fixed<8,2>", " s8 Q2.6"),
            (Format::unsigned(8, 8), "BW=8 F=8 ap_ufixed<8,0>", " u8 UQ0.8"),
            (Format::signed(4, 9), "BW=4 F=9 ap_fixed<4,-5>", " s4 Q-5.9"),
            (Format::full(6, -2), "BW=6 F=-2 ap_fixed<6,8>", " s6 Q8.-2"),
            (Format::bipolar(3), "BW=1 F=3 ap_fixed<2,-1>", " s2 Q-1.3"),
        ] {
            assert_eq!(format!("{format}"), short);
            assert_eq!(format!("{format:#}"), format!("{short}{long}"));
        }
    }

    fn any_format() -> impl Strategy<Value = Format> {
        (1..=MAX_BITS, any::<i8>(), 0..RANGES.len()).prop_map(|(bits, frac, range)| Format {
            bits,
            frac,
            range: RANGES[range],
        })
    }

    /// A value within twice the reach of a format, or any float at all.
    fn format_and_value() -> impl Strategy<Value = (Format, f64)> {
        (any_format(), -2.0..=2.0_f64, any::<f64>(), any::<bool>()).prop_map(
            |(format, unit, anything, near)| {
                let reach = format.dequantize(format.max_magnitude());
                (format, if near { unit * reach } else { anything })
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_format_equals_the_division((format, x) in format_and_value()) {
            prop_assume!(x.is_finite());
            prop_assert_eq!(format.quantize(x), quantize_by_division(format, x));
        }

        #[test]
        fn any_format_gives_back_its_values(format in any_format(), stored: i64) {
            let stored = format.saturate(stored);
            prop_assert_eq!(format.quantize(format.dequantize(stored)), stored);
        }

        #[test]
        fn quantizing_keeps_the_order((format, a) in format_and_value(), unit in -2.0..=2.0_f64) {
            prop_assume!(!a.is_nan());
            let b = unit * format.dequantize(format.max_magnitude());
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(format.quantize(low) <= format.quantize(high));
        }

        #[test]
        fn inside_the_range_the_error_is_at_most_half_a_step(
            format in any_format(), unit in -1.0..=1.0_f64,
        ) {
            let x = unit * format.dequantize(format.max_magnitude());
            prop_assume!(x >= format.dequantize(format.min()));
            prop_assume!(x <= format.dequantize(format.max()));
            prop_assert!((format.round(x) - x).abs() <= format.resolution() / 2.0);
        }

        #[test]
        fn requantizing_ties_to_even_equals_quantizing_the_value(
            format in any_format(), acc: i32, frac in -40..=40_i32,
        ) {
            let value = f64::from(acc) * exp2(-frac);
            let requantized = format.requantize(i64::from(acc), frac, Rounding::TiesEven);
            prop_assert_eq!(requantized, format.quantize(value));
        }
    }
}
