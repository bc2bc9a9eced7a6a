//! A strip of a depthwise convolution: two channels at a time of some neighboring pixels, lanes
//! multiplied one by one. A value is loaded once for all pixels and taps of a row that need it.

use super::{
    Arithmetic, Fetch,
    asm::{Assembly, Stores},
    pack::{Four, Unpack, group, pack, points},
};
use crate::emit::c::source::Source;

/// Taps of a row whose weights are in registers at the same time.
const TAPS: usize = 3;
const WEIGHTS: [&str; TAPS] = ["r11", "r12", "lr"];

/// What a strip is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depthwise<'a> {
    pub(super) arithmetic: &'a Arithmetic,
    pub(super) channels: usize,
    /// Channels of a pixel in the ring: an even number.
    pub(super) ring_channels: usize,
    pub(super) kernel: [usize; 2],
    /// Columns from one output to the next.
    pub(super) stride: usize,
    pub(super) pixels: usize,
    /// Whether each pixel has a pointer to its own biases.
    pub(super) has_classes: bool,
}

/// The registers of a pixel's two sums.
fn sums(pixel: usize) -> Vec<String> {
    [0, 1].map(|channel| format!("r{}", 2 + 2 * pixel + channel)).to_vec()
}

impl Depthwise<'_> {
    /// Whether instructions reach all that a strip reads and writes, and are not too many.
    pub(super) fn is_in_reach(&self) -> bool {
        let last_column = (self.pixels - 1) * self.stride + self.kernel[1] - 1;
        let written = self.arithmetic.y_bytes(self.pixels * self.channels);
        let taps = self.kernel[0] * self.kernel[1];
        2 * last_column * self.ring_channels <= 4095 && written <= 4095 && taps <= 49
    }

    /// Row and columns of each group of taps whose weights are loaded together, in order: within a
    /// row from the last to the first, so that its first value is loaded last.
    fn groups(&self) -> Vec<(usize, std::ops::Range<usize>)> {
        let [rows, columns] = self.kernel;
        let starts: Vec<usize> = (0..columns).step_by(TAPS).collect();
        let row = |row: usize| {
            let group = move |&start: &usize| (row, start..(start + TAPS).min(columns));
            starts.iter().rev().map(group).collect::<Vec<_>>()
        };
        (0..rows).flat_map(row).collect()
    }

    /// Row and column of each tap in the order in which its weights lie.
    fn taps(&self) -> Vec<(usize, usize)> {
        let taps = |(row, columns): (usize, std::ops::Range<usize>)| columns.map(move |c| (row, c));
        self.groups().into_iter().flat_map(taps).collect()
    }

    /// Puts the function into the file; gives its name without prefix.
    pub(super) fn emit(&self, source: &mut Source) -> String {
        let name = format!(
            "depthwise{}_w{}_{}x{}_by{}_{}{}{}",
            self.pixels,
            self.arithmetic.bits,
            self.kernel[0],
            self.kernel[1],
            self.stride,
            self.channels,
            self.arithmetic.name(),
            if self.has_classes { "_classes" } else { "" },
        );
        source.once("dsp", include_str!("dsp.c"));
        source.once("dsp_plain", include_str!("plain.c"));
        source.once("depthwise_plain", include_str!("depthwise_plain.c"));
        let taps = self.taps();
        let list = |of: &dyn Fn(&(usize, usize)) -> usize| {
            taps.iter().map(|tap| of(tap).to_string()).collect::<Vec<_>>().join(", ")
        };
        let plain = format!(
            "    static const $P_depthwise_plan plan = {{{}, {}, {}, {}, {},\n        {}}};\n    \
             static const uint8_t tap_rows[] = {{{}}};\n    \
             static const uint16_t tap_offsets[] = {{{}}};\n    \
             $P_depthwise_plain(rows, weights, bias, y, &plan, tap_rows, tap_offsets);",
            self.pixels,
            self.stride * self.ring_channels,
            taps.len(),
            self.channels,
            u8::from(self.has_classes),
            self.arithmetic.plan(false),
            list(&|tap| tap.0),
            list(&|tap| tap.1 * self.ring_channels),
        );
        let parameters = [
            "const int16_t *const *rows",
            "const uint32_t *weights",
            "const void *bias",
            "void *y",
        ];
        let turns = [("1", self.channels.div_ceil(2))];
        self.assembly().function(source, &name, &parameters, &plain, &turns);
        name
    }

    fn assembly(&self) -> Assembly {
        let mut asm = Assembly::default();
        let step = self.arithmetic.y_bytes(2);
        // [sp]: one pointer a row, then biases, output, its end, offset of the biases.
        let [rows, _] = self.kernel;
        let [biases, output, end, offset] = [0, 4, 8, 12].map(|at| 4 * rows + at);
        let frame = 4 * rows + 16;
        asm.push("push {r4-r11, lr}");
        asm.push(format!("sub sp, #{frame}"));
        for row in 0..rows {
            asm.push(format!("ldr r10, [r0, #{}]", 4 * row));
            asm.push(format!("str r10, [sp, #{}]", 4 * row));
        }
        asm.push(format!("str r2, [sp, #{biases}]"));
        asm.push(format!("str r3, [sp, #{output}]"));
        asm.add("r12", "r3", self.arithmetic.y_bytes(self.channels.next_multiple_of(2)));
        asm.push(format!("str r12, [sp, #{end}]"));
        if self.has_classes {
            asm.push("movs r12, #0");
            asm.push(format!("str r12, [sp, #{offset}]"));
        }
        asm.push("1:");
        if self.has_classes {
            asm.push(format!("ldr r11, [sp, #{biases}]"));
            asm.push(format!("ldr r12, [sp, #{offset}]"));
            for pixel in 0..self.pixels {
                asm.push(format!("ldr r10, [r11, #{}]", 4 * pixel));
                asm.push("add r10, r12");
                asm.push(format!("ldmia r10, {{{}}}", sums(pixel).join(", ")));
            }
            asm.push("add r12, #8");
            asm.push(format!("str r12, [sp, #{offset}]"));
        } else {
            asm.push(format!("ldr r10, [sp, #{biases}]"));
            asm.push("ldmia r10!, {r2, r3}");
            asm.push(format!("str r10, [sp, #{biases}]"));
        }
        self.multiply(&mut asm);
        asm.line();
        asm.push(format!("ldr r0, [sp, #{output}]"));
        let last_is_one = self.channels % 2 == 1;
        if last_is_one {
            asm.push(format!("ldr r10, [sp, #{end}]"));
            asm.push("sub r10, r10, r0");
            asm.push(format!("subs r10, #{step}"));
        }
        let sums: Vec<Vec<String>> = (0..self.pixels).map(sums).collect();
        let of = |channel: usize| sums.iter().map(|sums| sums[channel].clone()).collect();
        self.arithmetic.align(&mut asm, &[0, 1].map(of));
        let pixel_bytes = self.arithmetic.y_bytes(self.channels);
        Stores { arithmetic: self.arithmetic, sums: &sums, pixel_bytes, y: "r0", last_is_one }
            .push(&mut asm);
        asm.push(format!("add r0, #{step}"));
        asm.push(format!("str r0, [sp, #{output}]"));
        asm.push(format!("ldr r10, [sp, #{end}]"));
        asm.all("cmp r0, r10; bne 1b");
        asm.push(format!("add sp, #{frame}"));
        asm.push("pop {r4-r11, pc}");
        asm
    }

    fn multiply(&self, asm: &mut Assembly) {
        // Pixels whose sums hold something; the biases lie in those of pixel 0.
        let mut begun = vec![self.has_classes; self.pixels];
        let n_taps = self.taps().len();
        let mut tap = 0;
        for (row, columns) in self.groups() {
            if columns.end == self.kernel[1] {
                asm.push(format!("ldr r0, [sp, #{}]", 4 * row));
            }
            self.unpack(asm, tap, columns.len(), n_taps);
            tap += columns.len();
            let last = (self.pixels - 1) * self.stride + columns.end - 1;
            for column in (columns.start..=last).rev() {
                let uses: Vec<(usize, usize)> = (0..self.pixels)
                    .rev()
                    .filter_map(|pixel| Some((pixel, column.checked_sub(pixel * self.stride)?)))
                    .filter(|(_, tap)| columns.contains(tap))
                    .collect();
                if uses.is_empty() {
                    continue;
                }
                asm.line();
                // The row's pointer goes on to the next two channels with its last load.
                asm.push(match 2 * column * self.ring_channels {
                    0 => "ldr r10, [r0], #4".to_owned(),
                    offset => format!("ldr r10, [r0, #{offset}]"),
                });
                for (pixel, tap) in uses {
                    let from = sums(if begun[pixel] { pixel } else { 0 });
                    begun[pixel] = true;
                    let weights = WEIGHTS[tap - columns.start];
                    for ((sum, from), lanes) in sums(pixel).iter().zip(from).zip(["bb", "tt"]) {
                        asm.push(format!("smla{lanes} {sum}, r10, {weights}, {from}"));
                    }
                }
            }
            if columns.start == 0 {
                asm.push(format!("str r0, [sp, #{}]", 4 * row));
            }
        }
    }

    /// Brings the weights of the taps `first ..` into their registers.
    fn unpack(&self, asm: &mut Assembly, first: usize, count: usize, n_taps: usize) {
        if self.arithmetic.unpack == Unpack::Wide {
            for (tap, register) in (first..first + count).zip(WEIGHTS) {
                // Taps are stored in pairs.
                let step = if tap + 1 == n_taps && n_taps % 2 == 1 { 8 } else { 4 };
                asm.push(format!("ldr {register}, [r1], #{step}"));
            }
            return;
        }
        let group = group(self.arithmetic.bits);
        let load = |asm: &mut Assembly, to: &str, tap: usize, last: usize| {
            let is_last = (last + 1).is_multiple_of(2 * group) || last + 1 == n_taps;
            let (temporary, mask, index) = ("r10", None, tap / 2 % group);
            let fetch = Fetch { to, temporary, mask, index, is_last, stride: 1, first: 0 };
            self.arithmetic.fetch(asm, &fetch);
        };
        let mut tap = first;
        while tap < first + count {
            let register = WEIGHTS[tap - first];
            if tap.is_multiple_of(2) && tap + 1 < first + count {
                let other = WEIGHTS[tap + 1 - first];
                load(asm, other, tap, tap + 1);
                asm.push(format!("sxtb16 {register}, {other}"));
                asm.push(format!("sxtb16 {other}, {other}, ror #8"));
                tap += 2;
            } else {
                load(asm, register, tap, tap);
                let rotated = if tap.is_multiple_of(2) { "" } else { ", ror #8" };
                asm.push(format!("sxtb16 {register}, {register}{rotated}"));
                tap += 1;
            }
        }
    }

    /// Packs the weights `weight(channel, row, column)`, of which some channels' may be `coarser`: `[two
    /// channels][tap][channel]`.
    pub(super) fn weights(
        &self,
        coarser: &[u8],
        weight: impl Fn(usize, usize, usize) -> i16,
    ) -> Vec<u32> {
        let taps = self.taps();
        let mut words = Vec::new();
        for channel in (0..self.channels).step_by(2) {
            let tap = |&(row, column): &(usize, usize)| {
                [channel, channel + 1].map(|channel| weight(channel, row, column))
            };
            let four = |taps: &[(usize, usize)]| -> Four {
                [tap(&taps[0]), taps.get(1).map_or([0, 0], tap)]
            };
            let fours: Vec<Four> = taps.chunks(2).map(four).collect();
            words.extend(pack(self.arithmetic.unpack, self.arithmetic.bits, &fours));
            words.extend(points(coarser, channel));
        }
        words
    }
}
