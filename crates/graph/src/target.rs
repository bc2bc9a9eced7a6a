//! What a device can store and compute: the rules that a plan must obey there.

use crate::{
    emit::c::{
        cpu::Cpu,
        options::{COptions, CodeStyle, Core, WeightStorage},
    },
    error::LowerError,
};
use fixedwise_fixed::{Format, Range, Rounding};
use std::ops::RangeInclusive;

/// Widths at which integers are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Widths {
    /// Each at exactly its format's.
    Any,
    /// These alone, in rising order; a format takes the smallest that holds it.
    Listed(Vec<u8>),
}

impl Widths {
    /// The bits that an integer of `bits` bits takes; `None` where no width holds it.
    pub fn stored(&self, bits: u8) -> Option<u8> {
        match self {
            Self::Any => Some(bits),
            Self::Listed(widths) => widths.iter().copied().find(|&width| width >= bits),
        }
    }

    /// The widest format it holds; no more than `most`.
    pub fn widest(&self, most: u8) -> u8 {
        match self {
            Self::Any => most,
            Self::Listed(widths) => widths.last().map_or(most, |&widest| widest.min(most)),
        }
    }

    /// The widths that are worth having, the widest first, for formats of at most `most` bits: any
    /// other is stored in as many bits as the next of them.
    pub fn levels(&self, most: u8) -> Vec<u8> {
        match self {
            Self::Any => (1..=most).rev().collect(),
            Self::Listed(widths) => {
                let mut levels: Vec<u8> = widths.iter().map(|&width| width.min(most)).collect();
                levels.reverse();
                levels.dedup();
                levels
            }
        }
    }
}

/// What runs the network there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The C that fixedwise prints, for a core. Biases are stored at the scale of the accumulator.
    C(Core),
    /// Hardware made for the network, by high-level synthesis: every tensor at its own width.
    Hls,
}

/// Which kernels printed C has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KernelChoice {
    /// The fastest.
    #[default]
    Fast,
    /// The smallest.
    Small,
    /// The fastest, and the smallest where only these fit the flash or the RAM.
    Fitting,
    /// The same, and the smallest also where the code of the fastest takes more than all constants.
    Balanced,
}

/// What a multiplication costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MultiplicationCost {
    /// The bits of the one operand times those of the other.
    #[default]
    Bits,
    /// The same at every width.
    Each,
}

/// What has a binary point of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Granularity {
    /// Each tensor.
    #[default]
    Tensor,
    /// Also each output channel of a layer's weights: the shift of its sums is its own.
    Channel,
}

/// What a device can store and compute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it is called in results and messages.
    pub name: String,
    /// Of stored weights.
    pub weight_bits: Widths,
    /// Of stored activations.
    pub activation_bits: Widths,
    /// Of stored biases.
    pub bias_bits: Widths,
    /// Of signed sums.
    pub accumulator_bits: u8,
    /// Right shifts from a sum to an output; negative ones are left shifts.
    pub shift: RangeInclusive<i32>,
    /// How a requantization may round; a search takes the first.
    pub rounding: Vec<Rounding>,
    /// [`Range::Narrow`], [`Range::Full`] or both: what signed formats may be; a search takes the
    /// first.
    pub signed_range: Vec<Range>,
    /// What may have a binary point of its own.
    pub granularity: Granularity,
    /// What runs the network.
    pub code: Code,
    /// The processor, for the bytes of code; unknown where any will do.
    pub cpu: Option<Cpu>,
    /// Which kernels C has.
    pub kernels: KernelChoice,
    /// What a multiplication costs.
    pub multiplication: MultiplicationCost,
    /// Bytes of memory for constants and code there are.
    pub flash_bytes: Option<u64>,
    /// Bytes of working memory there are.
    pub ram_bytes: Option<u64>,
}

impl Target {
    /// Widest weights and signed activations.
    pub const MAX_BITS: u8 = 16;
    /// Widest biases.
    pub const MAX_BIAS_BITS: u8 = 32;
    /// Shifts that the executor knows.
    pub const MAX_SHIFT: RangeInclusive<i32> = -40..=56;
    /// Shifts that the printed C knows.
    pub const MAX_C_SHIFT: RangeInclusive<i32> = -30..=30;

    /// How the C for this target is printed; `None` where it runs none.
    pub fn c_options(&self, name: impl Into<String>) -> Option<COptions> {
        let Code::C(core) = self.code else { return None };
        let weights = match &self.weight_bits {
            Widths::Any => WeightStorage::Exact,
            Widths::Listed(widths) => WeightStorage::Widths(widths.clone()),
        };
        // No C type has 4 bits: two share a byte.
        let packs_activations = self.activation_bits.stored(4) == Some(4);
        let style =
            if self.kernels == KernelChoice::Small { CodeStyle::Small } else { CodeStyle::Fast };
        let cpu = self.code_cpu();
        Some(COptions { core, style, cpu, weights, packs_activations, ..COptions::new(name) })
    }

    /// The processor whose code is counted.
    pub fn code_cpu(&self) -> Cpu {
        self.cpu.unwrap_or(Cpu::CortexM3)
    }

    /// Whether it is a microcontroller: flash is what there is least of.
    pub const fn is_microcontroller(&self) -> bool {
        matches!(self.code, Code::C(_)) && self.cpu.is_some()
    }

    /// Refuses a rounding that this target does not have.
    ///
    /// # Errors
    /// [`LowerError::Rounding`].
    pub(crate) fn check_rounding(&self, rounding: Rounding) -> Result<(), LowerError> {
        if self.rounding.contains(&rounding) {
            Ok(())
        } else {
            Err(LowerError::Rounding { rounding: rounding_name(rounding) })
        }
    }

    /// Refuses a format of a node's weights, bias or activation that this target has no form of.
    ///
    /// # Errors
    /// [`LowerError::Width`] or [`LowerError::SignedRange`].
    pub(crate) fn check_format(
        &self,
        node: &str,
        kind: &'static str,
        format: Format,
    ) -> Result<(), LowerError> {
        let (widths, most) = match kind {
            "weights" => (&self.weight_bits, Self::MAX_BITS),
            "bias" => (&self.bias_bits, Self::MAX_BIAS_BITS),
            _ => (&self.activation_bits, Self::MAX_BITS),
        };
        let max_bits = widths.widest(most);
        if format.bits > max_bits {
            let node = node.to_owned();
            return Err(LowerError::Width { node, kind, bits: format.bits, max_bits, hint: "" });
        }
        // One bit of weights is stored in two bits or more by what has no single ones.
        let is_of_range = format.is_bipolar() || self.signed_range.contains(&format.range);
        if format.is_signed() && !is_of_range {
            let range = if format.range == Range::Full { "full" } else { "narrow" };
            return Err(LowerError::SignedRange { node: node.to_owned(), kind, range });
        }
        Ok(())
    }

    /// Says of an error which of this target's rules it is, where it is one.
    pub(crate) fn refusal(&self, error: LowerError) -> LowerError {
        let rule = match &error {
            LowerError::Accumulator { .. } => "accumulator_bits",
            LowerError::Shift { .. } => "shift",
            LowerError::Rounding { .. } => "rounding",
            LowerError::Granularity { .. } => "granularity",
            LowerError::SignedRange { .. } => "signed_range",
            LowerError::Width { kind: "weights", .. } => "weight_bits",
            LowerError::Width { kind: "bias", .. } | LowerError::Bias { .. } => "bias_bits",
            LowerError::Width { .. } => "activation_bits",
            _ => return error,
        };
        LowerError::Refused { target: self.name.clone(), rule, cause: Box::new(error) }
    }
}

impl Default for Target {
    /// Any 32-bit processor with a C compiler.
    fn default() -> Self {
        Self {
            name: "generic".to_owned(),
            weight_bits: Widths::Listed(vec![1, 2, 3, 4, 5, 6, 7, 8, 16]),
            activation_bits: Widths::Listed(vec![8, 16]),
            bias_bits: Widths::Listed(vec![8, 16, 32]),
            accumulator_bits: 32,
            shift: Self::MAX_C_SHIFT,
            rounding: vec![Rounding::TiesUp, Rounding::TiesEven, Rounding::Floor],
            signed_range: vec![Range::Narrow, Range::Full],
            granularity: Granularity::Tensor,
            code: Code::C(Core::Portable),
            cpu: None,
            kernels: KernelChoice::Fast,
            multiplication: MultiplicationCost::Each,
            flash_bytes: None,
            ram_bytes: None,
        }
    }
}

const fn rounding_name(rounding: Rounding) -> &'static str {
    match rounding {
        Rounding::TiesUp => "ties-up",
        Rounding::TiesEven => "ties-even",
        Rounding::Floor => "floor",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_takes_the_smallest_width_that_holds_it() {
        let listed = Widths::Listed(vec![1, 2, 4, 8, 16]);
        let stored = [1, 2, 3, 5, 8, 9, 16].map(|bits| listed.stored(bits));
        assert_eq!(stored, [1, 2, 4, 8, 8, 16, 16].map(Some));
        assert_eq!((listed.stored(17), Widths::Any.stored(5)), (None, Some(5)));
    }

    #[test]
    fn levels_are_the_widths_that_cost_less() {
        let listed = Widths::Listed(vec![4, 8, 16]);
        assert_eq!(listed.levels(16), [16, 8, 4]);
        // Without a sign 16 bits hold 15.
        assert_eq!(listed.levels(15), [15, 8, 4]);
        assert_eq!(Widths::Listed(vec![8, 16]).levels(8), [8]);
        assert_eq!(Widths::Any.levels(3), [3, 2, 1]);
        assert_eq!((listed.widest(15), Widths::Any.widest(32)), (15, 32));
    }
}
