//! A row of output pixels, in assembly.

use super::super::{
    function::{IMMEDIATE, function},
    stream,
    strip::VECTOR,
};
use crate::emit::c::{conv::layer::ConvLayer, source::Source};

/// Vectors of weights in registers.
const VECTORS: usize = 4;
/// Sums in registers.
const SUMS: [&str; 8] = ["r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr"];
/// Groups that are written out, at most.
const UNROLLED: usize = 6;

/// How a row of the output is walked: in groups of pixels that have as many sums as there are registers
/// for.
pub(super) struct Row {
    /// Bits of a stored weight.
    pub(super) bits: u8,
    /// Vectors of a window.
    pub(super) steps: usize,
    /// Bytes from one window to the next, and from one output pixel to the next.
    pub(super) step: usize,
    pub(super) pixel_bytes: usize,
    /// Output pixels of a row.
    pub(super) width: usize,
    /// Of a sum, to the right.
    pub(super) shift: u8,
    /// Bounds of the output.
    pub(super) bounds: [i64; 2],
}

/// What the loop over a row does in one turn.
#[derive(Clone, Copy)]
struct Turn {
    /// Groups that are written out.
    groups: usize,
    /// Outputs of two groups are stored at once.
    is_paired: bool,
    /// Turns of the loop; the last one begins with pixels that are there already, where the row is no
    /// multiple of a turn.
    turns: usize,
}

impl Row {
    /// Whether instructions hold all its numbers.
    pub(super) fn is_possible(&self) -> bool {
        let places = (self.pixels() - 1) * self.pixel_bytes;
        matches!(self.steps, 1 | 2)
            && (matches!(self.shift, 1..=16) || self.is_on_top(self.format().0))
            && self.width >= self.pixels()
            && self.step < 128
            && UNROLLED * self.pixels() * self.step.max(self.pixel_bytes) <= IMMEDIATE
            && u16::try_from(places).is_ok()
    }

    /// Channels of a block.
    pub(super) fn channels(&self) -> usize {
        VECTORS / self.steps
    }

    /// Pixels whose sums are in registers at a time.
    fn pixels(&self) -> usize {
        SUMS.len() / self.channels()
    }

    /// Bytes of a block of channels: weights, then biases.
    pub(super) fn block_bytes(&self) -> usize {
        stream::vectors(self.bits, VECTORS) * VECTOR + 4 * self.channels()
    }

    /// The turn that needs the fewest instructions for its code.
    fn turn(&self) -> Turn {
        let pixels = self.pixels();
        let turn = |is_paired: bool| {
            move |groups: usize| Turn {
                groups,
                is_paired,
                turns: self.width.div_ceil(groups * pixels),
            }
        };
        let cost = |turn: &Turn| {
            let group = if turn.is_paired { 34 } else { 36 };
            let next = if turn.turns > 1 { 2 } else { 0 };
            // A group more is worth its code where it saves one part in a hundred.
            turn.turns * (turn.groups * group + next) * (100 + turn.groups)
        };
        let fits = |turn: &Turn| turn.groups * pixels <= self.width;
        // Places of stored bytes are bytes themselves.
        let has_pairs =
            self.steps == 2 && (2 * pixels - 1) * self.pixel_bytes + self.channels() <= 256;
        let paired = (2..=UNROLLED).step_by(2).filter(|_| has_pairs).map(turn(true));
        let single = (1..=UNROLLED).map(turn(false));
        let turns = paired.chain(single).filter(fits);
        turns.min_by_key(cost).expect("a row has the pixels of a group")
    }

    /// Packs the weights, block after block with its biases; `tap` is which of a kernel's weights meets a
    /// byte of the window.
    pub(super) fn weights(
        &self,
        layer: &ConvLayer,
        biases: &[i64],
        tap: impl Fn(usize) -> usize,
    ) -> Vec<u8> {
        let (depth, channels) = (layer.depth(), self.channels());
        let mut bytes = Vec::new();
        for block in (0..layer.channels).step_by(channels) {
            let weight = |vector: usize, lane: usize| {
                let (channel, k) = (vector / self.steps, vector % self.steps * VECTOR + lane);
                let own = (block + channel) * depth;
                if k < depth { layer.weights[own + tap(k)] } else { 0 }
            };
            let vector = |vector: usize| -> [i16; VECTOR] {
                std::array::from_fn(|lane| weight(vector, lane))
            };
            bytes.extend(stream::pack(self.bits, &(0..VECTORS).map(vector).collect::<Vec<_>>()));
            let of_block = &biases[block..block + channels];
            bytes.extend(of_block.iter().flat_map(|bias| bias.to_le_bytes()[..4].to_vec()));
        }
        bytes
    }

    /// Puts the function for a row into the file; gives its name without prefix.
    pub(super) fn emit(&self, source: &mut Source) -> String {
        let Self { bits, steps, step, pixel_bytes, width, shift, bounds: [min, max] } = self;
        let bounds = format!("{}_{max}", min.to_string().replace('-', "m"));
        let name = format!("row_w{bits}_{steps}_{step}_{pixel_bytes}_{width}_{shift}_{bounds}");
        let plain =
            format!("$P_row_plain(w, {bits}, {steps}, {step}, {pixel_bytes}, {width}, {shift})");
        let blocks = self.pixel_bytes / self.channels();
        let turns = [("1", blocks), ("2", self.turn().turns)];
        function(source, &name, &["const $P_windows *w"], &self.assembly(), &plain, &turns);
        name
    }

    /// Offsets in `$P_windows`: window 0, output 4, weights 8 to 12, places 16, with the bounds after them.
    ///
    /// Windows are at r1, outputs at r3, weights at r11; r5 and r7 or q6 have biases, r9 the end of whole
    /// turns, q0 to q3 weights, q7 places of outputs.
    fn assembly(&self) -> Vec<String> {
        let (pixels, channels, turn) = (self.pixels(), self.channels(), self.turn());
        let mut asm: Vec<String> = Vec::new();
        let mut push = |lines: &str| asm.push(lines.to_owned());
        push("push {r4-r11, lr}; vpush {d8-d15}; ldrd r1, r3, [r0]; ldrd r11, r2, [r0, #8]");
        push("ldr r0, [r0, #16]; vldrb.8 q7, [r0]; push {r0, r2}");
        let whole = self.width / (turn.groups * pixels) * turn.groups * pixels;
        let again = turn.turns * turn.groups * pixels - self.width;
        if turn.turns > 1 {
            push(&format!("movw r9, #{}; add r9, r1", whole * self.step));
        }
        push("1:");
        push(&self.unpack());
        push(if self.steps == 2 {
            "ldr r5, [r11], #4; ldr r7, [r11], #4"
        } else {
            "vldrb.8 q6, [r11], #16"
        });
        push("2:");
        for group in 0..turn.groups {
            self.sums().iter().for_each(|lines| push(lines));
            let is_first = turn.is_paired && group % 2 == 0;
            self.narrow(if is_first { "q6" } else { "q4" }).iter().for_each(|lines| push(lines));
            if !is_first {
                let (y, clamp) = self.clamp(turn.is_paired);
                clamp.iter().for_each(|lines| push(lines));
                let (lanes, groups) = if turn.is_paired { (8, 2) } else { (16, 1) };
                let bytes = groups * pixels * self.pixel_bytes;
                push(&format!("vstrb.{lanes} {y}, [r3, q7]; add r3, r3, #{bytes}"));
            }
        }
        if turn.turns > 1 {
            push("cmp r1, r9; blo 2b");
        }
        if again > 0 {
            let [x, y] = [self.step, self.pixel_bytes].map(|bytes| again * bytes);
            push(&format!("bhi 3f; sub r1, r1, #{x}; sub r3, r3, #{y}; b 2b"));
            push("3:");
        }
        push(&back("r1", self.width * self.step));
        push(&back("r3", self.width * self.pixel_bytes - channels));
        push("ldr r0, [sp, #4]; cmp r11, r0; blo 1b");
        push("add sp, #8; vpop {d8-d15}; pop {r4-r11, pc}");
        asm
    }

    /// The sums of a group into the registers for them, and on to the next group's windows.
    fn sums(&self) -> Vec<String> {
        let mut asm = Vec::new();
        for pixel in 0..self.pixels() {
            // The last vector first: then going on costs nothing.
            for i in (0..self.steps).rev() {
                let x = format!("q{}", 4 + i);
                asm.push(match i {
                    0 => format!("vldrb.8 {x}, [r1], #{}", self.step),
                    _ => format!("vldrb.8 {x}, [r1, #{}]", i * VECTOR),
                });
                let add = if i == self.steps - 1 { "" } else { "a" };
                for channel in 0..self.channels() {
                    let sum = SUMS[self.sum(channel, pixel)];
                    let weights = channel * self.steps + i;
                    asm.push(format!("vmladav{add}.s8 {sum}, {x}, q{weights}"));
                }
            }
        }
        asm
    }

    /// The fewest bits that have all outputs, and whether they have a sign.
    fn format(&self) -> (u8, bool) {
        let [min, max] = self.bounds;
        let holds = |bits: &u8| {
            let range = if min < 0 { -1 << (bits - 1)..1 << (bits - 1) } else { 0..1 << bits };
            range.contains(&min) && range.contains(&max)
        };
        ((1..8).find(holds).unwrap_or(8), min < 0)
    }

    /// Whether outputs are shifted to the top of halfwords at first, which saturates them.
    fn is_on_top(&self, bits: u8) -> bool {
        (17 - bits..=32 - bits).contains(&self.shift)
    }

    /// Adds the biases to the sums, shifts these, and saturates them to halfwords in `y`, both halves of the
    /// group side by side, the second one above.
    fn narrow(&self, y: &str) -> Vec<String> {
        let mut asm = Vec::new();
        let biases = if self.steps == 2 { ["r5", "r7"] } else { ["q6", "q6"] };
        for (half, bias) in biases.iter().enumerate() {
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| SUMS[4 * half + i]);
            let sums = ["q4", "q5"][half];
            asm.push(format!("vmov {sums}[2], {sums}[0], {a}, {c}"));
            asm.push(format!("vmov {sums}[3], {sums}[1], {b}, {d}"));
            asm.push(format!("vadd.i32 {sums}, {sums}, {bias}"));
        }
        let (bits, is_signed) = self.format();
        let (shift, kind) = match (self.is_on_top(bits), is_signed) {
            (true, false) => (self.shift - (16 - bits), 0x0fc0),
            (true, true) => (self.shift - (16 - bits), 0x0f40),
            (false, _) => (self.shift, 0x0f40),
        };
        // In code, as assemblers of binutils take `vqshrn` for `vqrshrn`, which rounds:
        // vqshrnb.s32 y, q4, #shift; vqshrnt.s32 y, q5, #shift; or vqshrunb and vqshrunt.
        let to = if y == "q4" { 0x8000 } else { 0xc000 };
        let code = 0xee90_0000 | u32::from(16 - shift) << 16 | to | kind;
        asm.push(format!(".inst.w 0x{:x}; .inst.w 0x{:x}", code | 0x8, code | 0x100a));
        asm
    }

    /// From halfwords in q4 to bytes within the bounds in their lower halves; for pairs those in q6 come to
    /// lie there, and those in q4 above them. Gives the register too; q5 and those for sums are free.
    fn clamp(&self, is_paired: bool) -> (&'static str, Vec<String>) {
        let [min, max] = self.bounds;
        let (bits, is_signed) = self.format();
        let (sign, rest) = (if is_signed { "s" } else { "u" }, 8 - bits);
        let is_on_top = self.is_on_top(bits);
        let y = if is_paired && !is_on_top { "q6" } else { "q4" };
        let mut asm = Vec::new();
        if is_on_top {
            asm.push(if is_paired {
                "vsri.16 q4, q6, #8".to_owned()
            } else {
                format!("vshr.{sign}16 q4, q4, #{}", 16 - bits)
            });
        } else {
            let narrow = if is_signed { "vqmov" } else { "vqmovu" };
            asm.push(format!("{narrow}nb.s16 {y}, {y}"));
            if is_paired {
                asm.push(format!("{narrow}nt.s16 {y}, q4"));
            }
            if rest > 0 {
                asm.push(format!("vqshl.{sign}8 {y}, {y}, #{rest}"));
            }
        }
        if rest > 0 && (is_paired || !is_on_top) {
            asm.push(format!("vshr.{sign}8 {y}, {y}, #{rest}"));
        }
        let (lowest, highest) = if is_signed {
            (-1 << (bits - 1), (1 << (bits - 1)) - 1)
        } else {
            (0, (1 << bits) - 1)
        };
        if min > lowest || max < highest {
            asm.push("ldr r0, [sp]".to_owned());
        }
        if min > lowest {
            asm.push(format!("vldrb.8 q5, [r0, #16]; vmax.{sign}8 {y}, {y}, q5"));
        }
        if max < highest {
            asm.push(format!("vldrb.8 q5, [r0, #32]; vmin.{sign}8 {y}, {y}, q5"));
        }
        (y, asm)
    }

    /// Which sum is that of a channel and a pixel: those of a half of the outputs are neighbors.
    fn sum(&self, channel: usize, pixel: usize) -> usize {
        if self.channels() == 2 { 4 * channel + pixel } else { 4 * pixel + channel }
    }

    /// Where the outputs that are stored at once lie: places in bytes, each as it is in memory.
    pub(super) fn places(&self) -> [u8; 16] {
        let place = |group: usize, lane: usize| {
            let (half, i) = (lane % 2, lane / 2);
            let [channel, pixel] = if self.channels() == 2 { [half, i] } else { [i, half] };
            (group * self.pixels() + pixel) * self.pixel_bytes + channel
        };
        let is_paired = self.turn().is_paired;
        std::array::from_fn(|i| {
            if is_paired {
                place(i % 2, i / 2).to_le_bytes()[0]
            } else {
                place(0, i / 2).to_le_bytes()[i % 2]
            }
        })
    }

    /// Loads four vectors of weights.
    fn unpack(&self) -> String {
        let lines: &[&str] = match self.bits {
            8 => &[
                "vldrb.8 q0, [r11], #16; vldrb.8 q1, [r11], #16",
                "vldrb.8 q2, [r11], #16; vldrb.8 q3, [r11], #16",
            ],
            4 => &[
                "vldrb.8 q1, [r11], #16; vldrb.8 q3, [r11], #16",
                "vshl.i8 q0, q1, #4; vshl.i8 q2, q3, #4; vshr.s8 q0, q0, #4; vshr.s8 q2, q2, #4",
                "vshr.s8 q1, q1, #4; vshr.s8 q3, q3, #4",
            ],
            2 => &[
                "vldrb.8 q3, [r11], #16; vshl.i8 q0, q3, #6; vshl.i8 q1, q3, #4; vshl.i8 q2, q3, #2",
                "vshr.s8 q0, q0, #6; vshr.s8 q1, q1, #6; vshr.s8 q2, q2, #6; vshr.s8 q3, q3, #6",
            ],
            bits => return stream::load(bits, 0, "r11", true),
        };
        lines.join("; ")
    }
}

/// Takes a number of bytes from a register; r0 is free.
fn back(register: &str, bytes: usize) -> String {
    if bytes <= IMMEDIATE {
        format!("sub {register}, {register}, #{bytes}")
    } else {
        format!("movw r0, #{bytes}; sub {register}, r0")
    }
}
