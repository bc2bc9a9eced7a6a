//! Named numeric conversions, so that no other crate needs a bare `as`.

/// `2^exponent`: exact for `-1074 ..= 1023`, 0 below and infinity above.
///
/// ```
/// use fixedwise_fixed::convert::exp2;
/// assert_eq!(exp2(-7), 0.0078125);
/// assert_eq!(exp2(-1074), f64::from_bits(1));
/// ```
#[inline]
pub fn exp2(exponent: i32) -> f64 {
    match exponent {
        // Normal numbers: the biased exponent alone.
        -1022..=1023 => f64::from_bits(u64::from(exponent.abs_diff(-1023)) << 52),
        // Subnormal numbers: one bit of the mantissa.
        -1074..=-1023 => f64::from_bits(1 << exponent.abs_diff(-1074)),
        1024.. => f64::INFINITY,
        _ => 0.0,
    }
}

/// `x` as `f64`, rounded to nearest where it has more than 53 bits.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "the rounding is the point")]
#[inline]
pub fn i64_to_f64(x: i64) -> f64 {
    x as f64
}

/// `x` as `f64`, rounded to nearest where it has more than 53 bits.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "the rounding is the point")]
pub fn i128_to_f64(x: i128) -> f64 {
    x as f64
}

/// A count as `f64`, rounded to nearest where it has more than 53 bits.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "the rounding is the point")]
#[inline]
pub fn count_to_f64(x: usize) -> f64 {
    x as f64
}

/// A count as `f64`, rounded to nearest where it has more than 53 bits.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "the rounding is the point")]
#[inline]
pub fn u64_to_f64(x: u64) -> f64 {
    x as f64
}

/// A count as `u64`.
#[expect(clippy::as_conversions, reason = "no platform has a wider `usize`")]
#[inline]
pub fn count_to_u64(x: usize) -> u64 {
    x as u64
}

/// A count as `i64`, the largest where it is beyond that.
#[inline]
pub fn count_to_i64(x: usize) -> i64 {
    i64::try_from(x).unwrap_or(i64::MAX)
}

/// The nearest `f32`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::as_conversions,
    reason = "the rounding is the point"
)]
#[inline]
pub fn f64_to_f32(x: f64) -> f32 {
    x as f32
}

/// `x` without its fraction, saturating; NaN becomes 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::as_conversions,
    reason = "`as` from float saturates"
)]
#[inline]
pub fn f64_to_i64(x: f64) -> i64 {
    x as i64
}

/// `x` without its fraction, saturating at 0 and `usize::MAX`; NaN becomes 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::as_conversions,
    reason = "`as` from float saturates"
)]
#[inline]
pub fn f64_to_count(x: f64) -> usize {
    x as usize
}

/// `x` without its fraction, saturating; NaN becomes 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::as_conversions,
    reason = "`as` from float saturates"
)]
#[inline]
pub fn f32_to_i16(x: f32) -> i16 {
    x as i16
}

/// The last bit of a sum with this is worth one.
const ONES: f32 = 12_582_912.0;

/// `x` rounded to the nearest integer, halves to the even one, for `|x|` up to 2^22: two additions, which
/// compilers vectorize on every CPU.
#[inline]
pub fn round_ties_even_within(x: f32) -> f32 {
    (x + ONES) - ONES
}

/// `x` rounded to the nearest integer, halves away from zero, for `|x|` up to 2^22.
#[inline]
pub fn round_within(x: f32) -> f32 {
    let even = round_ties_even_within(x);
    let rest = x - even;
    let up = if rest >= 0.5 && x > 0.0 { 1.0 } else { 0.0 };
    let down = if rest <= -0.5 && x < 0.0 { 1.0 } else { 0.0 };
    even + (up - down)
}

/// `x` clamped into `i32`.
#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "clamped before")]
#[inline]
pub fn saturating_i32(x: i64) -> i32 {
    x.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// `x` clamped into `i16`.
#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "clamped before")]
#[inline]
pub fn saturating_i16(x: i64) -> i16 {
    x.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16
}

/// `x` clamped into `i8`.
#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "clamped before")]
#[inline]
pub fn saturating_i8(x: i64) -> i8 {
    x.clamp(i64::from(i8::MIN), i64::from(i8::MAX)) as i8
}

/// `x` clamped into `u8`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::as_conversions,
    reason = "clamped before"
)]
#[inline]
pub fn saturating_u8(x: i64) -> u8 {
    x.clamp(0, i64::from(u8::MAX)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp2_doubles_from_the_smallest_subnormal_to_infinity() {
        assert_eq!(exp2(0).to_bits(), 1.0_f64.to_bits());
        assert_eq!(exp2(-1075).to_bits(), 0);
        assert_eq!(exp2(i32::MIN).to_bits(), 0);
        assert_eq!(exp2(-1074).to_bits(), 1);
        for exponent in -1074..=1023 {
            let doubled = exp2(exponent) * 2.0;
            assert_eq!(exp2(exponent + 1).to_bits(), doubled.to_bits(), "exponent {exponent}");
        }
        assert_eq!(exp2(i32::MAX).to_bits(), f64::INFINITY.to_bits());
    }

    #[test]
    fn narrow_integers_saturate() {
        for (x, in_i8, in_u8) in
            [(i64::MIN, -128, 0), (-129, -128, 0), (-1, -1, 0), (127, 127, 127), (256, 127, 255)]
        {
            assert_eq!(saturating_i8(x), in_i8, "{x}");
            assert_eq!(saturating_u8(x), in_u8, "{x}");
        }
        assert_eq!((saturating_i16(-40_000), saturating_i16(40_000)), (i16::MIN, i16::MAX));
        assert_eq!((saturating_i32(i64::MIN), saturating_i32(i64::MAX)), (i32::MIN, i32::MAX));
        assert_eq!((saturating_i16(-7), saturating_i32(-7)), (-7, -7));
    }

    #[test]
    fn quick_rounding_is_rounding() {
        let check = |x: f32| {
            let integer = |rounded: f32| f64_to_i64(f64::from(rounded));
            assert_eq!(integer(round_within(x)), integer(x.round()), "{x}");
            assert_eq!(integer(round_ties_even_within(x)), integer(x.round_ties_even()), "{x}");
        };
        for sixteenths in i16::MIN..=i16::MAX {
            check(f32::from(sixteenths) / 16.0);
        }
        let step = 65_521;
        for bits in (0..4_194_304.0_f32.to_bits()).step_by(step) {
            let x = f32::from_bits(bits);
            [x, -x].into_iter().for_each(check);
        }
        for half in 0..=4_194_303_u32 {
            let x = f64_to_f32(f64::from(half) + 0.5);
            [x, -x].into_iter().for_each(check);
        }
        assert!(round_within(f32::NAN).is_nan());
    }

    #[test]
    fn floats_without_an_integer_saturate() {
        assert_eq!([f32_to_i16(-1.9), f32_to_i16(4e9), f32_to_i16(f32::NAN)], [-1, i16::MAX, 0]);
        assert_eq!(f64_to_i64(f64::NAN), 0);
        assert_eq!(f64_to_i64(f64::NEG_INFINITY), i64::MIN);
        assert_eq!(f64_to_i64(-1.9), -1);
        assert_eq!(f64_to_count(-1.9), 0);
        assert_eq!(f64_to_count(f64::INFINITY), usize::MAX);
    }
}
