//! Numeric conversions of stored elements.

/// How many bytes one deflated byte can become at most.
pub(crate) const DEFLATE_MAX_RATIO: usize = 1032;

/// The nearest `f32`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::as_conversions,
    reason = "the rounding is the point"
)]
pub(crate) fn f64_to_f32(x: f64) -> f32 {
    x as f32
}

/// A count as `u64`.
#[expect(clippy::as_conversions, reason = "no platform has a wider `usize`")]
pub(crate) fn count_to_u64(x: usize) -> u64 {
    x as u64
}

/// The value of an IEEE 754 half-precision number; exact.
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10 & 0x1f);
    let mantissa = u32::from(bits & 0x3ff);
    match exponent {
        0 => {
            // Zero or subnormal: a multiple of 2^-24, which `f32` holds as a normal number.
            let magnitude = f32::from(bits & 0x3ff) * f32::from_bits(0x3380_0000);
            f32::from_bits(sign | magnitude.to_bits())
        }
        0x1f => f32::from_bits(sign | 0x7f80_0000 | mantissa << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | mantissa << 13),
    }
}

/// The value of a bfloat16 number; exact.
pub(crate) fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_exact() {
        for (bits, expected) in [
            (0x0000, 0.0_f32),
            (0x8000, -0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(f16_to_f32(bits).to_bits(), expected.to_bits(), "{bits:#06x}");
        }
        assert!(f16_to_f32(0x7e00).is_nan());
    }

    #[test]
    fn half_precision_grows_with_its_bits() {
        for bits in 0..0x7c00_u16 {
            let (x, next) = (f16_to_f32(bits), f16_to_f32(bits + 1));
            assert!(x < next, "{bits:#06x}: {x} {next}");
            assert_eq!((-x).to_bits(), f16_to_f32(bits | 0x8000).to_bits());
        }
    }

    #[test]
    fn bfloat16_is_the_upper_half() {
        for (bits, expected) in [(0x3f80, 1.0_f32), (0xc040, -3.0), (0x0000, 0.0)] {
            assert_eq!(bf16_to_f32(bits).to_bits(), expected.to_bits(), "{bits:#06x}");
        }
    }
}
