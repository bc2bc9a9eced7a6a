//! What a stored integer means.

use crate::convert::exp2;
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
}

/// A fixed-point format: `value = stored * 2^-frac`, `stored` an integer of `bits` bits.
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

    /// A format without sign.
    pub const fn unsigned(bits: u8, frac: i8) -> Self {
        Self { bits, frac, range: Range::Unsigned }
    }

    /// This format, if its width is in `1 ..= max_bits`.
    ///
    /// # Errors
    /// [`FormatError`] with the width and the limit.
    pub const fn checked(self, max_bits: u8) -> Result<Self, FormatError> {
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

    /// Smallest stored integer.
    pub const fn min(self) -> i64 {
        match self.range {
            Range::Unsigned => 0,
            Range::Narrow => -self.max(),
            Range::Full => -(1 << (self.bits - 1)),
        }
    }

    /// Largest stored integer.
    pub const fn max(self) -> i64 {
        match self.range {
            Range::Unsigned => (1 << self.bits) - 1,
            Range::Narrow | Range::Full => (1 << (self.bits - 1)) - 1,
        }
    }

    /// Largest magnitude of a stored integer.
    pub const fn max_magnitude(self) -> i64 {
        let (low, high) = (-self.min(), self.max());
        if low > high { low } else { high }
    }

    /// `stored`, clamped into this format.
    pub fn saturate(self, stored: i64) -> i64 {
        stored.clamp(self.min(), self.max())
    }

    /// Nearest stored integer for `x`: ties to even, then saturation. NaN becomes 0 clamped.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::as_conversions,
        reason = "`as` from float saturates and maps NaN to 0; the clamp follows"
    )]
    pub fn quantize(self, x: f64) -> i64 {
        self.saturate(round_ties_even(x * exp2(i32::from(self.frac))) as i64)
    }

    /// The real value of `stored`.
    pub fn dequantize(self, stored: i64) -> f64 {
        crate::convert::i64_to_f64(stored) * exp2(-i32::from(self.frac))
    }

    /// `x` rounded to the nearest value of this format (quantize, then dequantize).
    pub fn round(self, x: f64) -> f64 {
        self.dequantize(self.quantize(x))
    }

    /// Distance between neighboring values.
    pub fn resolution(self) -> f64 {
        exp2(-i32::from(self.frac))
    }
}

/// Nearest integer, ties to even; exact, and available without `std`.
fn round_ties_even(x: f64) -> f64 {
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
    /// `BW=8 F=6 ap_fixed<8,2>`: width, fractional offset and the type's name in HLS.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_signed() { "" } else { "u" };
        let integer_bits = i32::from(self.bits) - i32::from(self.frac);
        write!(f, "BW={} F={} ap_{sign}fixed<{},{integer_bits}>", self.bits, self.frac, self.bits)
    }
}
