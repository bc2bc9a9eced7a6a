//! Convolutions and dense layers for cores with the DSP extension (Cortex-M4, M7, M33): dual 16-bit
//! multiply-accumulate in assembly, and the same in plain C for other machines.

mod asm;
mod blocks;
mod coded;
mod dense;
mod depthwise;
mod pack;
mod slide;
mod strip;

use super::{layer::ConvLayer, printed::Printed};
use crate::emit::c::source::{Source, Storage};
use asm::Assembly;
use fixedwise_kernels::Element;
use pack::{Field, Unpack, words};

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

/// How a four of packed weights is brought into a register.
#[derive(Clone, Copy)]
struct Fetch<'a> {
    to: &'a str,
    /// It is overwritten.
    temporary: &'a str,
    /// A register that has the top bits of every byte set, as many as weights have, where there is one.
    mask: Option<&'a str>,
    /// The place of the four in its group.
    index: usize,
    /// Whether none of this group follows.
    is_last: bool,
    /// Words from one of the stream to the next, and before the first one.
    stride: usize,
    first: usize,
}

impl Arithmetic {
    /// The same for weights that are divided by a power of two, in full sums.
    fn divided(mut self, power: u32) -> Option<Self> {
        self.scale = self.scale.checked_sub(power)?;
        self.shift = self.shift.checked_sub(power)?;
        Some(self)
    }

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
        if !layer.is_plain() || !matches!(bits, 1..=8 | 16) {
            return None;
        }
        let shift = u32::try_from(to.shift).ok()?;
        let sum_bits = u32::from(layer.accumulator_bits) + u32::from(layer.coarsest());
        // The bit after a sign is set: together they are -1 or +1 in two bits.
        let small = u32::from(bits.max(2));
        let choice = |unpack: Unpack| match unpack {
            Unpack::Wide => (bits == 16).then_some((unpack, 0)),
            Unpack::Bytes => (bits <= 8).then(|| (unpack, 8 - small)),
            Unpack::Lanes => {
                (may_use_lanes && matches!(bits, 1 | 2 | 4)).then(|| (unpack, 16 - small))
            }
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

    /// Brings the weights of a four to the top of the bytes of `to`, zeros below: those of the four at an index of its
    /// group. Where it is the last one that is fetched there, `r1` goes on to the next group.
    fn fetch(&self, asm: &mut Assembly, fetch: &Fetch) {
        let Fetch { to, temporary, mask, index, is_last, stride, first } = *fetch;
        let bits = u32::from(self.bits);
        let Field { word, above, rest } = Field::new(self.bits, index, 8);
        let bytes = |word: usize| 4 * (word * stride + first);
        let goes_on = 4 * stride * words(self.bits, index + 1);
        let every_byte = |bits: u32| format!("#{:#x}", bits * 0x0101_0101);
        let steps = is_last && rest == 0 && bytes(word) == 0 && stride == 1;
        asm.push(match bytes(word) {
            0 if steps => format!("ldr {to}, [r1], #{goes_on}"),
            0 => format!("ldr {to}, [r1]"),
            at => format!("ldr {to}, [r1, #{at}]"),
        });
        if rest > 0 {
            asm.push(format!("ldr {temporary}, [r1, #{}]", bytes(word + 1)));
            asm.push(format!("and {to}, {to}, {}", every_byte(0xff >> above)));
            asm.push(format!(
                "and {temporary}, {temporary}, {}",
                every_byte(0xff << (8 - rest) & 0xff)
            ));
            asm.push(format!("orr {to}, {temporary}, {to}, lsl #{}", 8 - bits));
        } else if bits < 8 {
            let top = every_byte(0xff << (8 - bits) & 0xff);
            match (mask, above) {
                (Some(mask), 0) => asm.push(format!("and {to}, {mask}, {to}")),
                (Some(mask), _) => asm.push(format!("and {to}, {mask}, {to}, lsl #{above}")),
                (None, 0) => asm.push(format!("and {to}, {to}, {top}")),
                (None, _) => {
                    asm.push(format!("lsl {to}, {to}, #{above}"));
                    asm.push(format!("and {to}, {to}, {top}"));
                }
            }
            self.signs(asm, to);
        }
        if is_last && !steps {
            asm.push(format!("adds r1, #{goes_on}"));
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
