//! From an exact sum to a stored integer.

use crate::Element;
use fixedwise_fixed::{Rounding, saturate, shift_round};

/// How a sum, its bias added, becomes an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epilogue {
    /// Bits to drop; negative appends bits.
    pub shift: i32,
    /// What is done with the dropped bits.
    pub rounding: Rounding,
    /// The smallest output.
    pub min: i64,
    /// The largest output.
    pub max: i64,
    /// `(alpha, frac)`: a negative sum is first multiplied by `alpha * 2^-frac`.
    pub leaky: Option<(i64, i32)>,
    /// The type of the output; it holds `min ..= max`.
    pub output: Element,
}

impl Epilogue {
    /// The same for a sum whose binary point lies so many bits further right.
    #[inline]
    #[must_use]
    pub fn coarser(self, bits: u8) -> Self {
        Epilogue { shift: self.shift.saturating_sub(i32::from(bits)), ..self }
    }

    /// The output for `sum`, which includes the bias.
    ///
    /// `clamp(shift_round(sum, shift), min, max)`; of a negative sum with a leaky slope
    /// `clamp(shift_round(sum * alpha, shift + frac), min, max)`.
    #[inline]
    pub fn apply(&self, sum: i64) -> i64 {
        let shifted = match self.leaky {
            Some((alpha, frac)) if sum < 0 => shift_round(
                sum.saturating_mul(alpha),
                self.shift.saturating_add(frac),
                self.rounding,
            ),
            _ => shift_round(sum, self.shift, self.rounding),
        };
        saturate(shifted, self.min, self.max)
    }

    pub(crate) fn check(&self) {
        assert!(self.min <= self.max, "the smallest output is above the largest");
        assert!(
            self.output.min() <= self.min && self.max <= self.output.max(),
            "the output element does not hold the output range"
        );
    }
}
