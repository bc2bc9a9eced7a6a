//! A strip of a convolution: all output channels, two at a time, of some neighboring pixels. Two
//! weights of each channel are unpacked once and multiplied with all pixels.

use super::{
    Arithmetic, Fetch,
    asm::{Assembly, Stores},
    pack::{Four, Unpack, group, pack, points},
};
use crate::emit::c::source::Source;

/// Fours that are written out one after another at most; more are a loop.
const UNROLLED: usize = 8;
/// The same for all rows of a small kernel.
const UNROLLED_ROWS: usize = 2 * UNROLLED;

/// What a strip is made for.
#[derive(Clone, Debug)]
pub(super) struct Strip<'a> {
    pub(super) arithmetic: &'a Arithmetic,
    /// Output channels, and those of a pixel: more where blocks of them are computed one after the other.
    pub(super) channels: usize,
    pub(super) pixel_channels: usize,
    /// Rows of the kernel.
    pub(super) rows: usize,
    /// Pairs of values of one row of the kernel.
    pub(super) pairs: usize,
    /// `int16_t` from the first pixel to each other, as the ring has them.
    pub(super) offsets: Vec<usize>,
    /// Whether each pixel has a pointer to its own biases.
    pub(super) has_classes: bool,
}

/// The registers of a pixel's two sums.
fn sums(pixel: usize) -> Vec<String> {
    [0, 1].map(|channel| format!("r{}", 2 + 2 * pixel + channel)).to_vec()
}

impl Strip<'_> {
    /// The largest offset in bytes that its loads reach.
    pub(super) const REACH: usize = 4095;

    /// Whether all rows are written out: then their weights follow each other without a gap.
    fn is_unrolled(&self) -> bool {
        self.pairs <= UNROLLED && self.rows * self.pairs <= UNROLLED_ROWS
    }

    fn pixels(&self) -> usize {
        self.offsets.len()
    }

    /// Puts the function into the file; gives its name without prefix.
    pub(super) fn emit(&self, source: &mut Source) -> String {
        let Arithmetic { bits, unpack, .. } = *self.arithmetic;
        let offsets: Vec<String> = self.offsets.iter().skip(1).map(usize::to_string).collect();
        let name = format!(
            "strip{}_w{bits}{}_{}x{}_at{}_{}{}{}{}",
            self.pixels(),
            if unpack == Unpack::Lanes { "l" } else { "" },
            self.rows,
            self.pairs,
            offsets.join("_"),
            self.channels,
            if self.channels == self.pixel_channels {
                String::new()
            } else {
                format!("of{}", self.pixel_channels)
            },
            self.arithmetic.name(),
            if self.has_classes { "_classes" } else { "" },
        );
        source.once("dsp", include_str!("dsp.c"));
        source.once("dsp_plain", include_str!("plain.c"));
        source.once("strip_plain", include_str!("strip_plain.c"));
        let plain = format!(
            "    static const $P_strip_plan plan = {{{}, {{0, {}}}, {}, {}, {}, {}, {}, {},\n        {}}};\n    \
             $P_strip_plain(rows, weights, bias, y, &plan);",
            self.pixels(),
            [offsets, vec!["0".to_owned(); 4 - self.pixels()]].concat()[..3].join(", "),
            self.rows,
            self.pairs,
            self.channels,
            self.pixel_channels,
            u8::from(self.has_classes),
            u8::from(self.is_unrolled()),
            self.arithmetic.plan(true),
        );
        let parameters = [
            "const int16_t *const *rows",
            "const uint32_t *weights",
            "const void *bias",
            "void *y",
        ];
        let loops = self.pairs / self.loop_fours();
        let turns = [("1", self.channels.div_ceil(2)), ("2", self.rows), ("3", loops)];
        self.assembly().function(source, &name, &parameters, &plain, &turns);
        name
    }

    fn assembly(&self) -> Assembly {
        let mut asm = Assembly::default();
        // [sp]: rows, row in work, biases, output, its end, end of a loop, offset of the biases.
        asm.all(
            "push {r4-r11, lr}; sub sp, #28; str r0, [sp]; str r2, [sp, #8]; str r3, [sp, #12]",
        );
        asm.add("r12", "r3", self.arithmetic.y_bytes(self.channels.next_multiple_of(2)));
        asm.push("str r12, [sp, #16]");
        if self.has_classes {
            asm.all("movs r12, #0; str r12, [sp, #24]");
        }
        if let Some(mask) = self.mask() {
            asm.constant("lr", mask);
        }
        asm.push("1:");
        self.biases(&mut asm, !self.is_unrolled());
        if self.is_unrolled() {
            let mut is_first = !self.has_classes;
            for row in 0..self.rows {
                asm.push("ldr r10, [sp]");
                asm.push(format!("ldr r0, [r10, #{}]", 4 * row));
                for pair in row * self.pairs..(row + 1) * self.pairs {
                    self.four(&mut asm, pair, pair + 1 == self.rows * self.pairs, is_first);
                    is_first = false;
                }
            }
        } else {
            asm.all("ldr r10, [sp]; ldr r0, [r10]");
            if self.rows > 1 {
                asm.all("2:; str r10, [sp, #4]");
            }
            self.row(&mut asm);
            if self.rows > 1 {
                // A null pointer follows the last row.
                asm.all("ldr r10, [sp, #4]; ldr r0, [r10, #4]!; cmp r0, #0; bne 2b");
            }
        }
        self.finish(&mut asm);
        asm
    }

    fn mask(&self) -> Option<i64> {
        let bits = self.arithmetic.bits;
        match self.arithmetic.unpack {
            Unpack::Lanes => Some((0xffff_i64 << (16 - bits) & 0xffff) * 0x0001_0001),
            Unpack::Bytes if bits < 8 => Some((0xff_i64 << (8 - bits) & 0xff) * 0x0101_0101),
            _ => None,
        }
    }

    /// Loads the biases; into all pixels' sums where `copies`.
    fn biases(&self, asm: &mut Assembly, copies: bool) {
        if self.has_classes {
            asm.all("ldr r11, [sp, #8]; ldr r12, [sp, #24]");
            for pixel in 0..self.pixels() {
                asm.push(format!("ldr r10, [r11, #{}]", 4 * pixel));
                asm.push("add r10, r12");
                asm.push(format!("ldmia r10, {{{}}}", sums(pixel).join(", ")));
            }
            asm.all("add r12, #8; str r12, [sp, #24]");
            return;
        }
        asm.all("ldr r10, [sp, #8]; ldmia r10!, {r2, r3}; str r10, [sp, #8]");
        for pixel in (1..self.pixels()).filter(|_| copies) {
            for (from, to) in sums(0).iter().zip(sums(pixel)) {
                asm.push(format!("mov {to}, {from}"));
            }
        }
    }

    /// One row of the kernel from `r0` on.
    fn row(&self, asm: &mut Assembly) {
        let group = group(self.arithmetic.bits);
        let count = self.loop_fours();
        let loops = self.pairs / count;
        let fours = |asm: &mut Assembly, count: usize, at_end: bool| {
            // Groups are whole within a loop; what is left may end inside one.
            let whole = count / group;
            asm.repeat(whole, |asm| {
                (0..group).for_each(|i| self.four(asm, i, false, false));
            });
            for i in whole * group..count {
                self.four(asm, i, at_end && i + 1 == count, false);
            }
        };
        if loops > 1 {
            if self.mask().is_some() {
                asm.add("r10", "r0", loops * count * 4);
                asm.push("str r10, [sp, #20]");
            } else {
                asm.constant("lr", i64::try_from(loops).unwrap_or(0));
            }
            asm.push("3:");
            fours(asm, count, false);
            if self.mask().is_some() {
                asm.all("ldr r10, [sp, #20]; cmp r0, r10; bne 3b");
            } else {
                asm.all("subs lr, lr, #1; bne 3b");
            }
            fours(asm, self.pairs - loops * count, true);
        } else {
            fours(asm, self.pairs, true);
        }
    }

    /// Fours of one turn of the loop over a row: whole groups of weights, the row if it can be
    /// divided.
    fn loop_fours(&self) -> usize {
        let group = group(self.arithmetic.bits);
        let mut counts = (1..=UNROLLED.max(group)).rev().filter(|n| n % group == 0);
        let divides = |n: &usize| *n >= UNROLLED / 2 && self.pairs.is_multiple_of(*n);
        counts.clone().find(divides).or_else(|| counts.next()).unwrap_or(group)
    }

    /// Unpacks the next two weights of both channels, and multiplies them with the next two values
    /// of each pixel. With `is_first` only the first pixel's sums hold the biases.
    fn four(&self, asm: &mut Assembly, index: usize, is_end: bool, is_first: bool) {
        let Arithmetic { bits, unpack, .. } = *self.arithmetic;
        let index = index % group(bits);
        let is_last = is_end || index + 1 == group(bits);
        let shifted = |by: usize| if by == 0 { String::new() } else { format!(", lsl #{by}") };
        let bits = usize::from(bits);
        asm.line();
        match unpack {
            Unpack::Wide => asm.push("ldmia r1!, {r11, r12}"),
            Unpack::Bytes => {
                let (to, temporary, mask) = ("r12", "r10", Some("lr"));
                let fetch = Fetch { to, temporary, mask, index, is_last, stride: 1, first: 0 };
                self.arithmetic.fetch(asm, &fetch);
                asm.all("sxtb16 r11, r12; sxtb16 r12, r12, ror #8");
            }
            Unpack::Lanes => {
                asm.push(if is_last { "ldr r12, [r1], #4" } else { "ldr r12, [r1]" });
                asm.push(format!("and r11, lr, r12{}", shifted(2 * index * bits)));
                asm.push(format!("and r12, lr, r12{}", shifted((2 * index + 1) * bits)));
                ["r11", "r12"].iter().for_each(|register| self.arithmetic.signs(asm, register));
            }
        }
        // The first pixel moves the pointer, and while the others take its biases it is the last.
        let order: Vec<usize> = if is_first {
            (0..self.pixels()).rev().collect()
        } else {
            (0..self.pixels()).collect()
        };
        for pixel in order {
            asm.line();
            let offset = 2 * self.offsets[pixel];
            match (pixel, is_first) {
                (0, _) => asm.push("ldr r10, [r0], #4"),
                (_, true) => asm.push(format!("ldr r10, [r0, #{offset}]")),
                (_, false) => asm.push(format!("ldr r10, [r0, #{}]", offset - 4)),
            }
            let from = if is_first { sums(0) } else { sums(pixel) };
            for ((sum, from), weights) in sums(pixel).iter().zip(from).zip(["r11", "r12"]) {
                asm.push(format!("smlad {sum}, {weights}, r10, {from}"));
            }
        }
    }

    /// Writes the outputs and goes on to the next two channels.
    fn finish(&self, asm: &mut Assembly) {
        let step = self.arithmetic.y_bytes(2);
        asm.line();
        asm.push("ldr r0, [sp, #12]");
        let last_is_one = self.channels % 2 == 1;
        if last_is_one {
            asm.all("ldr r10, [sp, #16]; sub r10, r10, r0");
            asm.push(format!("subs r10, #{step}"));
        }
        let sums: Vec<Vec<String>> = (0..self.pixels()).map(sums).collect();
        let of = |channel: usize| sums.iter().map(|sums| sums[channel].clone()).collect();
        self.arithmetic.align(asm, &[0, 1].map(of));
        let pixel_bytes = self.arithmetic.y_bytes(self.pixel_channels);
        Stores { arithmetic: self.arithmetic, sums: &sums, pixel_bytes, y: "r0", last_is_one }
            .push(asm);
        asm.push(format!("add r0, #{step}"));
        asm.all("str r0, [sp, #12]; ldr r10, [sp, #16]; cmp r0, r10; bne 1b");
        asm.all("add sp, #28; pop {r4-r11, pc}");
    }

    /// Packs the weights: `[two channels][kernel row][pair][channel]`, each row in whole words if rows are a loop;
    /// `weight(channel, row, k)` with `k` in the order in which the ring has a row's values. Some channels'
    /// may be `coarser`.
    pub(super) fn weights(
        &self,
        coarser: &[u8],
        weight: impl Fn(usize, usize, usize) -> i16,
    ) -> Vec<u32> {
        let mut words = Vec::new();
        for channel in (0..self.channels).step_by(2) {
            let four = |at: usize| -> Four {
                let (row, pair) = (at / self.pairs, at % self.pairs);
                [channel, channel + 1].map(|o| [0, 1].map(|lane| weight(o, row, 2 * pair + lane)))
            };
            let fours: Vec<Four> = (0..self.rows * self.pairs).map(four).collect();
            let together = if self.is_unrolled() { fours.len() } else { self.pairs };
            for fours in fours.chunks(together) {
                words.extend(pack(self.arithmetic.unpack, self.arithmetic.bits, fours));
            }
            words.extend(points(coarser, channel));
        }
        words
    }
}
