//! From a sum to the integers that are stored.

use fixedwise_fixed::{Format, Multiplier, Rounding, shift_round};
use fixedwise_kernels::{Element, Epilogue};

/// The most fractional bits that a shift after a product has: what lies below moves no output.
pub(crate) const PRODUCT_SHIFT: i32 = 48;

/// Significant bits of a factor, so that its error moves no value of that format by more than a quarter of a
/// step.
pub(crate) fn factor_bits(output: Format) -> u8 {
    output.bits + 2
}

/// The stored element of an activation's format.
pub(crate) fn element(format: Format) -> Element {
    match (format.is_signed(), format.bits) {
        (false, ..=8) => Element::U8,
        (true, ..=8) => Element::I8,
        _ => Element::I16,
    }
}

/// From an accumulator to an output: one rounding shift, one saturation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requantization {
    /// Right shift; a negative one multiplies.
    pub shift: i32,
    /// Of what the shift drops.
    pub rounding: Rounding,
    /// Lower bound of the output, activation included.
    pub min: i64,
    /// Upper bound of the output, activation included.
    pub max: i64,
    /// Slope below zero.
    pub leaky: Option<Multiplier>,
    /// Of the output.
    pub format: Format,
}

impl Requantization {
    /// The specification of what follows every sum.
    #[inline]
    pub fn apply(&self, acc: i64) -> i64 {
        let shifted = match self.leaky {
            Some(slope) if acc < 0 => slope.apply(acc, self.shift, self.rounding),
            _ => shift_round(acc, self.shift, self.rounding),
        };
        shifted.clamp(self.min, self.max)
    }

    /// The same for sums whose binary point lies so many bits further right.
    #[must_use]
    pub fn coarser(&self, bits: u8) -> Self {
        Self { shift: self.shift - i32::from(bits), ..self.clone() }
    }

    /// What the rounding adds at most before it shifts.
    pub fn half(&self) -> u64 {
        if self.rounding == Rounding::Floor || self.shift <= 0 {
            return 0;
        }
        1_u64.checked_shl(self.shift.unsigned_abs() - 1).unwrap_or(u64::MAX)
    }

    /// The kernels' form of it.
    pub(crate) fn epilogue(&self) -> Epilogue {
        Epilogue {
            shift: self.shift,
            rounding: self.rounding,
            min: self.min,
            max: self.max,
            leaky: self.leaky.map(|slope| (slope.mantissa, slope.frac)),
            output: element(self.format),
        }
    }
}
