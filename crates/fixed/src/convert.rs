//! Named numeric conversions, so that no other crate needs a bare `as`.

/// `2^exponent` as `f64`, exact for `-1022 ..= 1023`; outside, the nearest of those.
pub fn exp2(exponent: i32) -> f64 {
    let biased = u64::from(exponent.clamp(-1022, 1023).abs_diff(-1023));
    f64::from_bits(biased << 52)
}

/// `x` as `f64`, rounded to nearest where it has more than 53 bits.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "the rounding is the point")]
pub fn i64_to_f64(x: i64) -> f64 {
    x as f64
}

/// A count as `f64`, rounded to nearest where it has more than 53 bits.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "the rounding is the point")]
pub fn count_to_f64(x: usize) -> f64 {
    x as f64
}

/// A count as `f64`, rounded to nearest where it has more than 53 bits.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "the rounding is the point")]
pub fn u64_to_f64(x: u64) -> f64 {
    x as f64
}

/// A count as `u64`.
#[expect(clippy::as_conversions, reason = "no platform has a wider `usize`")]
pub fn count_to_u64(x: usize) -> u64 {
    x as u64
}

/// The nearest `f32`.
#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "the rounding is the point")]
pub fn f64_to_f32(x: f64) -> f32 {
    x as f32
}

/// `x` without its fraction, saturating; NaN becomes 0.
#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "`as` from float saturates")]
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
pub fn f64_to_count(x: f64) -> usize {
    x as usize
}

/// `x` clamped into `i32`.
#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "clamped before")]
pub fn saturating_i32(x: i64) -> i32 {
    x.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// `x` clamped into `i16`.
#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "clamped before")]
pub fn saturating_i16(x: i64) -> i16 {
    x.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16
}

/// `x` clamped into `i8`.
#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "clamped before")]
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
pub fn saturating_u8(x: i64) -> u8 {
    x.clamp(0, i64::from(u8::MAX)) as u8
}
