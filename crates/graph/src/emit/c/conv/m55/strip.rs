//! Four channels of one or two pixels: every vector of weights meets the inputs of both, every vector
//! of inputs the weights of all four.
//!
//! Weights of 2 and 4 bits are not separated. The byte of several channels stands for the sum of their
//! weights, each times its place, and its rounding shifts for the sums of fewer of them; from the
//! sums of products with these the channels' own follow at the end. Where that is not possible, and with
//! other widths, each lane is a stream of weights.

use super::{
    function::{executed, function},
    stream,
};
use crate::emit::c::{conv::layer::ConvLayer, source::Source};

/// Channels of a block.
pub(super) const CHANNELS: usize = 4;
/// Bytes of a vector.
pub(super) const VECTOR: usize = 16;
/// Steps that are written out, at most.
const UNROLLED: usize = 6;
/// The sums of either pixel; the instruction takes even registers.
pub(super) const SUMS: [[&str; CHANNELS]; 2] =
    [["r0", "r2", "r4", "r6"], ["r8", "r10", "r12", "lr"]];

/// What a channel's sums are shifted by, to the left; a channel that is not there like the last.
pub(super) fn shift(layer: &ConvLayer, channel: usize) -> u8 {
    let shift = layer.requantization_of(channel.min(layer.channels - 1)).shift;
    (-shift).to_le_bytes()[0]
}

/// What a function is made for.
pub(super) struct Strip {
    pub(super) bits: u8,
    /// Bytes are sums of their weights.
    pub(super) carries: bool,
    /// Rows that are walked, their bytes, and of these steps of a vector: written out, and turns.
    rows: usize,
    run: usize,
    unrolled: usize,
    pub(super) loops: usize,
    /// One row without a loop: the biases follow their block's weights.
    pub(super) flat: bool,
    /// Channels have shifts of their own: these follow their block's weights and biases.
    each: bool,
}

impl Strip {
    /// For windows that are gathered (`patch`), or that have kernel rows of `run` bytes each.
    pub(super) fn new(layer: &ConvLayer, patch: bool, run: usize) -> Self {
        let kernel = layer.window.kernel[0];
        let (rows, run) = if patch { (1, kernel * run) } else { (kernel, run) };
        let steps = run.div_ceil(VECTOR);
        let bits = layer.weight_bits.max(2);
        let is_stream = 8 % bits != 0;
        // Turns are whole vectors.
        let is_whole = |&unrolled: &usize| {
            unrolled == steps || (CHANNELS * unrolled * usize::from(bits)).is_multiple_of(8)
        };
        // The least padding, then the fewest turns; a little padding saves more turns, and bytes of streams are dear.
        let unrolled = (1..=steps.min(UNROLLED))
            .filter(is_whole)
            .min_by_key(|&unrolled| {
                let turns = if is_stream { 0 } else { 16 / unrolled };
                (steps.next_multiple_of(unrolled) + turns, UNROLLED - unrolled)
            })
            .unwrap_or(UNROLLED);
        let loops = steps.div_ceil(unrolled);
        let flat = rows == 1 && loops == 1 && !layer.has_biases_by_position();
        let each = layer.is_by_channel();
        let mut strip = Self { bits, carries: true, rows, run, unrolled, loops, flat, each };
        strip.carries = 8 % bits == 0
            && (0..layer.channels).step_by(CHANNELS).all(|block| {
                (0..layer.depth()).all(|k| {
                    let weights = block_weights(layer, block, k);
                    weights.chunks(strip.per_byte()).all(|weights| carried(bits, weights).is_some())
                })
            });
        strip
    }

    fn per_byte(&self) -> usize {
        usize::from(8 / self.bits)
    }

    pub(super) fn steps(&self) -> usize {
        self.unrolled * self.loops
    }

    /// Bytes of a row with its padding.
    pub(super) fn depth_bytes(&self) -> usize {
        self.steps() * VECTOR
    }

    /// Packs the weights: `[block][row][step][vector][lane]`.
    pub(super) fn weights(&self, layer: &ConvLayer, biases: &[i64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for block in (0..layer.channels).step_by(CHANNELS) {
            for row in 0..self.rows {
                let weights = |step: usize, lane: usize| {
                    let k = step * VECTOR + lane;
                    let at = row * self.run + k;
                    if k < self.run { block_weights(layer, block, at) } else { [0; CHANNELS] }
                };
                if !self.carries {
                    let vector = |i: usize| -> [i16; VECTOR] {
                        std::array::from_fn(|lane| weights(i / CHANNELS, lane)[i % CHANNELS])
                    };
                    let vectors: Vec<_> = (0..self.steps() * CHANNELS).map(vector).collect();
                    bytes.extend(stream::pack(self.bits, &vectors));
                    continue;
                }
                for step in 0..self.steps() {
                    for first in (0..CHANNELS).step_by(self.per_byte()) {
                        bytes.extend((0..VECTOR).map(|lane| {
                            let weights = &weights(step, lane)[first..first + self.per_byte()];
                            carried(self.bits, weights).expect("all of them are")
                        }));
                    }
                }
            }
            if self.flat {
                let of_block = &biases[block..block + CHANNELS];
                bytes.extend(of_block.iter().flat_map(|bias| bias.to_le_bytes()[..4].to_vec()));
            }
            if self.each {
                bytes.extend((block..block + CHANNELS).map(|channel| shift(layer, channel)));
            }
        }
        bytes
    }

    /// Puts the function for so many pixels into the file; gives its name without prefix.
    pub(super) fn emit(&self, pixels: usize, source: &mut Source) -> String {
        let Self { bits, unrolled, .. } = self;
        let apart = if self.carries { "" } else { "f" };
        let turns = if self.flat {
            "b"
        } else if self.loops > 1 {
            "n"
        } else {
            ""
        };
        let each = if self.each { "_each" } else { "" };
        let name = format!("pixels{pixels}_w{bits}{apart}_{unrolled}{turns}{each}");
        let plain = format!(
            "$P_pixels_plain(b, {pixels}, {bits}, {}, {unrolled}, {}, {})",
            u8::from(self.carries),
            u8::from(self.flat),
            u8::from(self.each),
        );
        // A function serves layers whose loops run differently often: it is counted where it is called.
        function(source, &name, &["$P_pixels *b"], &self.assembly(pixels), &plain, &[]);
        name
    }

    /// Instructions that a call of the function for so many pixels executes.
    pub(super) fn executed(&self, pixels: usize, channels: usize) -> usize {
        let turns = [("1", channels.div_ceil(CHANNELS)), ("2", self.rows), ("3", self.loops)];
        executed(&self.assembly(pixels), &turns)
    }

    /// Four vectors of weights, those of a step.
    fn load(&self, step: usize) -> String {
        let text = match (self.bits, self.carries) {
            (8, _) => {
                "vldrb.8 q0, [r3], #16; vldrb.8 q1, [r3], #16; vldrb.8 q2, [r3], #16; vldrb.8 \
                 q3, [r3], #16"
            }
            (4, true) => {
                "vldrb.8 q0, [r3], #16; vldrb.8 q2, [r3], #16; vrshr.s8 q1, q0, #4; vrshr.s8 \
                 q3, q2, #4"
            }
            (4, false) => {
                "vldrb.8 q0, [r3], #16; vldrb.8 q2, [r3], #16; vshr.s8 q1, q0, #4; vshr.s8 q3, \
                 q2, #4; vshl.i8 q0, q0, #4; vshl.i8 q2, q2, #4; vshr.s8 q0, q0, #4; vshr.s8 q2, \
                 q2, #4"
            }
            (2, true) => {
                "vldrb.8 q0, [r3], #16; vrshr.s8 q1, q0, #2; vrshr.s8 q2, q0, #4; vrshr.s8 q3, \
                 q0, #6"
            }
            (2, false) => {
                "vldrb.8 q0, [r3], #16; vshl.i8 q1, q0, #4; vshl.i8 q2, q0, #2; vshr.s8 q3, q0, \
                 #6; vshl.i8 q0, q0, #6; vshr.s8 q1, q1, #6; vshr.s8 q2, q2, #6; vshr.s8 q0, q0, \
                 #6"
            }
            (bits, _) => {
                let ends = step + 1 == self.steps();
                return stream::load(bits, step * CHANNELS, "r3", ends);
            }
        };
        text.to_owned()
    }

    /// Takes from the sums of carried weights those of the channels above.
    pub(super) fn separate(&self, pixels: usize) -> Vec<String> {
        let mut asm = Vec::new();
        if !self.carries || self.bits == 8 {
            return asm;
        }
        for [a, b, c, d] in &SUMS[..pixels] {
            asm.push(format!("sub {a}, {a}, {b}, lsl #{}", self.bits));
            if self.per_byte() == 4 {
                asm.push(format!("sub {b}, {b}, {c}, lsl #{}", self.bits));
            }
            asm.push(format!("sub {c}, {c}, {d}, lsl #{}", self.bits));
        }
        asm
    }

    /// Offsets in `$P_pixels`: rows 0, weights 4, biases 8 and 12, output 16, bytes of a pixel 20,
    /// channels 24, loops 28, shift 32, bounds 36 and 40.
    fn assembly(&self, pixels: usize) -> Vec<String> {
        let mut asm: Vec<String> = Vec::new();
        let mut push = |lines: &str| asm.push(lines.to_owned());
        push("push {r4-r11, lr}; vpush {d8-d15}");
        push("mov r11, r0; ldrd r0, r1, [r11, #36]; vdup.32 q6, r0; vdup.32 q7, r1");
        push("ldr r3, [r11, #4]");
        if self.flat {
            push("ldr r9, [r11, #32]; ldr r7, [r11, #16]; ldr r0, [r11]; ldrd r1, r5, [r0]");
            push("1:");
        } else {
            push("1:");
            for sum in SUMS[..pixels].iter().flatten() {
                push(&format!("mov {sum}, #0"));
            }
            push("ldr r9, [r11]; ldrd r1, r5, [r9], #8");
            push("2:");
        }
        if self.loops > 1 {
            push("ldr r7, [r11, #28]");
            push("3:");
        }
        for step in 0..self.unrolled {
            push(&self.load(step));
            for (pixel, sums) in SUMS[..pixels].iter().enumerate() {
                let (x, at) = [("q4", "r1"), ("q5", "r5")][pixel];
                push(&if self.flat {
                    format!("vldrb.8 {x}, [{at}, #{}]", step * VECTOR)
                } else {
                    format!("vldrb.8 {x}, [{at}], #16")
                });
                // The first of all need not add.
                let add = if self.flat && step == 0 { "" } else { "a" };
                for (channel, sum) in sums.iter().enumerate() {
                    push(&format!("vmladav{add}.s8 {sum}, {x}, q{channel}"));
                }
            }
        }
        if self.loops > 1 {
            push("subs r7, #1; bne 3b");
        }
        if !self.flat {
            push("ldrd r1, r5, [r9], #8; cmp r1, #0; bne 2b");
        }
        self.separate(pixels).iter().for_each(|lines| push(lines));
        let (shift, biases) = if self.flat {
            push("vldrb.8 q4, [r3], #16");
            ("r9", ["q4", "q4"])
        } else {
            push("ldr r1, [r11, #32]; ldrd r5, r7, [r11, #8]");
            push("vldrw.32 q4, [r5], #16; vldrw.32 q5, [r7], #16; strd r5, r7, [r11, #8]");
            ("r1", ["q4", "q5"])
        };
        let shift = if self.each {
            push("vldrb.s32 q2, [r3], #4");
            "q2"
        } else {
            shift
        };
        for (pixel, [a, b, c, d]) in SUMS[..pixels].iter().enumerate() {
            let (y, bias) = (["q0", "q1"][pixel], biases[pixel]);
            push(&format!("vmov {y}[2], {y}[0], {a}, {c}; vmov {y}[3], {y}[1], {b}, {d}"));
            let by = if self.each { format!("{y}, {shift}") } else { shift.to_owned() };
            push(&format!("vadd.i32 {y}, {y}, {bias}; vshl.s32 {y}, {by}"));
            push(&format!("vmax.s32 {y}, {y}, q6; vmin.s32 {y}, {y}, q7"));
        }
        let (y, next, left) = if self.flat {
            push("ldrd r0, r2, [r11, #20]; vctp.32 r2");
            ("r7", "r0", "r2")
        } else {
            push("ldrd r5, r7, [r11, #16]; ldr r9, [r11, #24]; vctp.32 r9");
            ("r5", "r7", "r9")
        };
        push(&match pixels {
            1 => format!("vpst; vstrbt.32 q0, [{y}]"),
            _ => format!("add {next}, {y}; vpstt; vstrbt.32 q0, [{y}]; vstrbt.32 q1, [{next}]"),
        });
        push(&format!("adds {y}, #4"));
        if !self.flat {
            push("str r5, [r11, #16]");
        }
        push(&format!("subs {left}, #4; str {left}, [r11, #24]; bgt 1b"));
        push("vpop {d8-d15}; pop {r4-r11, pc}");
        asm
    }
}

/// The weights of four channels; those that are not there are zeros.
fn block_weights(layer: &ConvLayer, block: usize, k: usize) -> [i16; CHANNELS] {
    std::array::from_fn(|channel| {
        let channel = block + channel;
        if channel < layer.channels { layer.weights[channel * layer.depth() + k] } else { 0 }
    })
}

/// Weights in one byte, each times its place; `None` where these or the first of them need more bits
/// than their own, as rounding shifts would then give wrong sums of the others.
fn carried(bits: u8, weights: &[i16]) -> Option<u8> {
    let (mut sum, mut place) = (0_i64, 0);
    for &weight in weights {
        sum += i64::from(weight) << place;
        place += bits;
        let half = 1_i64 << (place - 1);
        if !(-half..half).contains(&sum) {
            return None;
        }
    }
    Some(sum.to_le_bytes()[0])
}
