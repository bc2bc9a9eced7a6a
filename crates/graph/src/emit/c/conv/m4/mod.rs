//! Convolutions and dense layers for cores with the DSP extension (Cortex-M4, M7, M33): dual 16-bit
//! multiply-accumulate in assembly, and the same in plain C for other machines.

mod asm;
mod dense;
mod depthwise;
mod pack;
mod slide;
mod strip;

use super::{layer::ConvLayer, printed::Printed};
use crate::emit::c::source::{Source, Storage};
use asm::Assembly;
use fixedwise_kernels::Element;
use pack::Unpack;

/// Prints a convolution, a depthwise one or a dense layer. Else, or where an offset is out of an
/// instruction's reach, `None`.
pub(super) fn emit(layer: &ConvLayer, source: &mut Source) -> Option<Printed> {
    dense::emit(layer, source).or_else(|| slide::emit(layer, source))
}

/// From stored weights to outputs.
#[derive(Clone, Copy, Debug)]
struct Arithmetic {
    x: Storage,
    y: Storage,
    /// What its inputs are widened from; two to a byte they are unpacked to bytes.
    values: Element,
    /// Of a stored weight; one bit is the sign of -1 or +1.
    bits: u8,
    unpack: Unpack,
    /// Sums are this power of two times what they stand for.
    scale: u32,
    /// From such a sum to the output, to the right.
    shift: u32,
    /// Bounds of the output.
    min: i64,
    max: i64,
    /// Sums of a channel are shifted to the left at first, each channel's by its own bits; these follow
    /// the weights of the channels that are computed together, a byte each in one word.
    each: bool,
}

impl Arithmetic {
    /// `None` where a shift and a clamp are not all that sums need, or the layer's widths are not served; weights are
    /// followed by zeros where `has_zeros`.
    fn new(layer: &ConvLayer, may_use_lanes: bool, has_zeros: bool) -> Option<Self> {
        let (x, y) = (layer.x, layer.y);
        let values = match x {
            Storage::Whole(element) => element,
            Storage::Packed4 { is_signed: true } => Element::I8,
            Storage::Packed4 { is_signed: false } => Element::U8,
        };
        // Pixels begin with a byte, and two channels are whole bytes.
        let is_split = |storage: Storage, channels: usize| storage.bits() == 4 && channels % 2 == 1;
        if is_split(x, layer.input.c) || is_split(y, layer.channels) {
            return None;
        }
        let to = layer.requantization;
        // A sign is no zero.
        let bits = layer.weight_bits.max(if has_zeros { 2 } else { 1 });
        if !layer.is_plain() || !matches!(bits, 1 | 2 | 4 | 8 | 16) {
            return None;
        }
        let shift = u32::try_from(to.shift).ok()?;
        let sum_bits = u32::from(layer.accumulator_bits) + u32::from(layer.coarsest());
        // The bit after a sign is set: together they are -1 or +1 in two bits.
        let small = u32::from(bits.max(2));
        let choice = |unpack: Unpack| match unpack {
            Unpack::Wide => (bits == 16).then_some((unpack, 0)),
            Unpack::Bytes => (bits <= 8).then(|| (unpack, 8 - small)),
            Unpack::Lanes => (may_use_lanes && bits < 8).then(|| (unpack, 16 - small)),
        };
        let fits = |(_, scale): &(Unpack, u32)| sum_bits + scale <= 32 && shift + scale <= 31;
        let (unpack, scale) = [Unpack::Lanes, Unpack::Bytes, Unpack::Wide]
            .into_iter()
            .filter_map(choice)
            .find(fits)?;
        let (min, max) = (to.min, to.max);
        let (shift, each) = (shift + scale, layer.is_by_channel());
        Some(Self { x, y, values, bits, unpack, scale, shift, min, max, each })
    }

    /// Bytes of so many inputs.
    fn x_bytes(&self, n: usize) -> usize {
        n * self.x.bits() / 8
    }

    /// Bytes of so many outputs.
    fn y_bytes(&self, n: usize) -> usize {
        n * self.y.bits() / 8
    }

    /// What tells functions apart by their end: `_u8_9_0_255`.
    fn name(&self) -> String {
        let Self { y, shift, min, max, each, .. } = self;
        let short = y.short();
        let of = |bound: &i64| bound.to_string().replace('-', "m");
        let each = if *each { "_each" } else { "" };
        format!("_{short}_{shift}_{}_{}{each}", of(min), of(max))
    }

    /// The same as initializers of a plan in C, with how weights are unpacked.
    fn plan(&self, with_lanes: bool) -> String {
        let lanes = u8::from(self.unpack == Unpack::Lanes);
        let lanes = if with_lanes { format!("{lanes}, ") } else { String::new() };
        let Self { bits, y, shift, min, max, each, .. } = self;
        format!("{bits}, {lanes}{}, {shift}, {min}, {max}, {}", y.bits(), u8::from(*each))
    }

    /// Shifts the sums of channels that are computed together, where each has its own bits: these are the
    /// next word of weights. `r11` is overwritten.
    fn align(&self, asm: &mut Assembly, channels: &[Vec<String>]) {
        if !self.each {
            return;
        }
        asm.push("ldr r11, [r1], #4");
        for (channel, sums) in channels.iter().enumerate() {
            if channel > 0 {
                asm.push("lsr r11, r11, #8");
            }
            // By the lowest byte of the register.
            sums.iter().for_each(|sum| asm.push(format!("lsl {sum}, {sum}, r11")));
        }
    }

    /// Sets the bit after each sign in a register of unpacked weights.
    fn signs(&self, asm: &mut Assembly, register: &str) {
        if self.bits == 1 {
            let bit = if self.unpack == Unpack::Lanes { "0x40004000" } else { "0x40404040" };
            asm.push(format!("orr {register}, {register}, #{bit}"));
        }
    }

    /// The layer's biases as sums have them.
    fn biases(&self, layer: &ConvLayer) -> Vec<i64> {
        layer.stored_bias().iter().map(|bias| bias << self.scale).collect()
    }
}
