//! Layers with few inputs for an output, such as the first ones of networks: the weights of a block of
//! channels stay in registers while the windows of a whole row of the output pass.
//!
//! A block is eight sums wide: two channels of four pixels where a window takes two vectors, four
//! channels of two pixels where it takes one.

use super::{
    Geometry, SLACK, biases, offset,
    strip::{VECTOR, side_by_side},
};
use crate::emit::c::{
    conv::{ConvLayer, layer_function},
    source::{Source, fill},
};

/// Vectors of weights in registers.
const VECTORS: usize = 4;
/// Sums in registers.
const SUMS: [&str; 8] = ["r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr"];
/// The largest offset of a load.
const REACH: usize = 127;
/// The largest number that is added at once.
const IMMEDIATE: usize = 4095;
/// Bytes of a plan in C.
const PLAN_BYTES: usize = 72;

/// How a row of the output is walked.
struct Row {
    /// Bits of a stored weight.
    bits: u8,
    /// Vectors of a window.
    steps: usize,
    /// Bytes from one window to the next, and from one output pixel to the next.
    step: usize,
    pixel_bytes: usize,
    /// Output pixels of a row.
    width: usize,
    /// Of a sum, to the right.
    shift: u8,
    clamp: Clamp,
}

/// How halfwords that were saturated come into the bounds of the output.
#[derive(Clone, Copy)]
enum Clamp {
    /// One instruction narrows to a byte without sign, or with it.
    Byte(&'static str),
    /// From zero to all ones of so many bits.
    Ones(u8),
    /// By the vectors of the bounds.
    Bounds,
}

impl Clamp {
    fn new(min: i64, max: i64) -> Self {
        match (min, max) {
            (0, 255) => Self::Byte("vqmovunb.s16 q4, q4"),
            (-128, 127) => Self::Byte("vqmovnb.s16 q4, q4"),
            (0, max) if (max + 1).unsigned_abs().is_power_of_two() => {
                Self::Ones((max + 1).unsigned_abs().trailing_zeros().to_le_bytes()[0])
            }
            _ => Self::Bounds,
        }
    }

    /// Of the halfwords in q4; q5 is free.
    fn assembly(self) -> String {
        match self {
            Self::Byte(narrow) => narrow.to_owned(),
            Self::Ones(bits) => {
                let rest = 16 - bits;
                format!("vqshlu.s16 q4, q4, #{rest}; vshr.u16 q4, q4, #{rest}")
            }
            Self::Bounds => "vldrh.u16 q5, [r11, #32]; vmax.s16 q4, q4, q5; vldrh.u16 q5, [r11, \
                             #48]; vmin.s16 q4, q4, q5"
                .to_owned(),
        }
    }
}

impl Row {
    /// Channels of a block.
    fn channels(&self) -> usize {
        VECTORS / self.steps
    }

    /// Pixels whose sums are in registers at a time.
    fn pixels(&self) -> usize {
        SUMS.len() / self.channels()
    }

    /// Packs the weights, block after block with its biases; `tap` is which of a kernel's weights meets a
    /// byte of the window.
    fn weights(&self, layer: &ConvLayer, biases: &[i64], tap: impl Fn(usize) -> usize) -> Vec<u8> {
        let (depth, channels) = (layer.depth(), self.channels());
        let per_byte = usize::from(8 / self.bits);
        let mut bytes = Vec::new();
        for block in (0..layer.op.channels).step_by(channels) {
            for first in (0..VECTORS).step_by(per_byte) {
                for lane in 0..VECTOR {
                    let weight = |vector: usize| {
                        let (channel, k) =
                            (vector / self.steps, vector % self.steps * VECTOR + lane);
                        let own = (block + channel) * depth;
                        if k < depth { layer.op.weights[own + tap(k)] } else { 0 }
                    };
                    bytes.push(side_by_side(self.bits, (first..first + per_byte).map(weight)));
                }
            }
            let of_block = &biases[block..block + channels];
            bytes.extend(of_block.iter().flat_map(|bias| bias.to_le_bytes()[..4].to_vec()));
        }
        bytes
    }

    /// Puts the function for a row into the file; gives its name without prefix.
    fn emit(&self, source: &mut Source) -> String {
        let Self { bits, steps, step, pixel_bytes, width, shift, clamp } = self;
        let clamp = match clamp {
            Clamp::Byte(narrow) if narrow.contains("un") => "u8".to_owned(),
            Clamp::Byte(_) => "s8".to_owned(),
            Clamp::Ones(bits) => format!("u{bits}"),
            Clamp::Bounds => "any".to_owned(),
        };
        let name = format!("row_w{bits}_{steps}_{step}_{pixel_bytes}_{width}_{shift}{clamp}");
        let assembly = self.assembly().join("\\n\"\n        \"");
        let text = format!(
            "#if $P_HAS_MVE\nstatic __attribute__((naked, noinline, used)) void \
             $P_{name}(__attribute__((unused)) $P_windows *w)\n{{\n    __asm__ volatile(\n        \
             \"{assembly}\\n\"\n    );\n}}\n#else\nstatic void $P_{name}($P_windows *w)\n{{\n    \
             $P_row_plain(w, {bits}, {steps}, {step}, {pixel_bytes}, {width}, {shift});\n}}\n#endif",
        );
        source.once(&name, fill(&text, &[("P", "$P")]));
        name
    }

    /// Offsets in `$P_windows`: window 0, output 4, weights 8, blocks 12, places 16, bounds 32 and 48.
    /// Weights are in q0 to q3, the places of outputs in q7.
    fn assembly(&self) -> Vec<String> {
        let (pixels, channels) = (self.pixels(), self.channels());
        let mut asm: Vec<String> = Vec::new();
        let mut push = |lines: String| asm.push(lines);
        // Several groups in a turn where they make up the row; pixels beyond whole groups are computed
        // with some before them, again.
        let fits = |&groups: &usize| self.width.is_multiple_of(groups * pixels);
        let groups = [4 / self.steps, 2].into_iter().find(fits).unwrap_or(1);
        let turns = self.width / (groups * pixels);
        let again = (pixels - self.width % pixels) % pixels;
        push("push {r4-r11, lr}; vpush {d8-d15}; mov r11, r0; vldrh.u16 q7, [r11, #16]".to_owned());
        push("1: ldrd r1, r3, [r11]; ldr r0, [r11, #8]".to_owned());
        self.unpack().iter().for_each(|lines| push((*lines).to_owned()));
        let biases = if channels == 2 {
            push("ldr r5, [r0], #4; ldr r7, [r0], #4".to_owned());
            ["r5", "r7"]
        } else {
            push("vldrb.8 q6, [r0], #16".to_owned());
            ["q6", "q6"]
        };
        push(format!("add r2, r3, #{channels}; strd r2, r0, [r11, #4]; movw r9, #{turns}"));
        push("2:".to_owned());
        let mut moved = 0;
        for group in 0..groups {
            for pixel in 0..pixels {
                let at = (group * pixels + pixel) * self.step;
                if at - moved + (self.steps - 1) * VECTOR > REACH {
                    push(format!("add r1, r1, #{}", at - moved));
                    moved = at;
                }
                for step in 0..self.steps {
                    push(format!("vldrb.8 q{}, [r1, #{}]", 4 + step, at - moved + step * VECTOR));
                }
                for step in 0..self.steps {
                    for channel in 0..channels {
                        let add = if step == 0 { "" } else { "a" };
                        let sum = SUMS[self.sum(channel, pixel)];
                        let weights = channel * self.steps + step;
                        push(format!("vmladav{add}.s8 {sum}, q{}, q{weights}", 4 + step));
                    }
                }
            }
            for (half, bias) in biases.iter().enumerate() {
                let [a, b, c, d] = [0, 1, 2, 3].map(|i| SUMS[4 * half + i]);
                let y = 4 + half;
                push(format!("vmov q{y}[2], q{y}[0], {a}, {c}; vmov q{y}[3], q{y}[1], {b}, {d}"));
                push(format!("vadd.i32 q{y}, q{y}, {bias}"));
            }
            // Both halves side by side in halfwords, the second one above.
            // In code, as assemblers of binutils take `vqshrn` for `vqrshrn`, which rounds:
            // vqshrnb.s32 q4, q4, #shift; vqshrnt.s32 q4, q5, #shift.
            let code = 0xee90 + u16::from(16 - self.shift);
            push(format!(".inst.w 0x{code:x}8f48; .inst.w 0x{code:x}9f4a"));
            push(self.clamp.assembly());
            push(format!("vstrb.16 q4, [r3, q7]; add r3, r3, #{}", pixels * self.pixel_bytes));
        }
        push(format!("add r1, r1, #{}", groups * pixels * self.step - moved));
        push("subs r9, #1; bgt 2b".to_owned());
        if again > 0 {
            let [x, y] = [self.step, self.pixel_bytes].map(|bytes| again * bytes);
            push("blt 3f".to_owned());
            push(format!("sub r1, r1, #{x}; sub r3, r3, #{y}; b 2b"));
            push("3:".to_owned());
        }
        push("ldr r0, [r11, #12]; subs r0, #1; str r0, [r11, #12]; bgt 1b".to_owned());
        push("vpop {d8-d15}; pop {r4-r11, pc}".to_owned());
        asm
    }

    /// Which sum is that of a channel and a pixel: those of a half of the outputs are neighbors.
    fn sum(&self, channel: usize, pixel: usize) -> usize {
        if self.channels() == 2 { 4 * channel + pixel } else { 4 * pixel + channel }
    }

    /// Where the outputs of a group lie, as the sums come to lie in halfwords.
    fn places(&self) -> [usize; 8] {
        std::array::from_fn(|lane| {
            let (half, i) = (lane % 2, lane / 2);
            let [channel, pixel] = if self.channels() == 2 { [half, i] } else { [i, half] };
            pixel * self.pixel_bytes + channel
        })
    }

    /// Loads four vectors of weights from where r0 is.
    fn unpack(&self) -> &'static [&'static str] {
        match self.bits {
            8 => &[
                "vldrb.8 q0, [r0], #16; vldrb.8 q1, [r0], #16",
                "vldrb.8 q2, [r0], #16; vldrb.8 q3, [r0], #16",
            ],
            4 => &[
                "vldrb.8 q1, [r0], #16; vldrb.8 q3, [r0], #16",
                "vshl.i8 q0, q1, #4; vshl.i8 q2, q3, #4; vshr.s8 q0, q0, #4; vshr.s8 q2, q2, #4",
                "vshr.s8 q1, q1, #4; vshr.s8 q3, q3, #4",
            ],
            _ => &[
                "vldrb.8 q3, [r0], #16; vshl.i8 q0, q3, #6; vshl.i8 q1, q3, #4; vshl.i8 q2, q3, #2",
                "vshr.s8 q0, q0, #6; vshr.s8 q1, q1, #6; vshr.s8 q2, q2, #6; vshr.s8 q3, q3, #6",
            ],
        }
    }
}

/// Prints a layer whose windows can be laid out contiguously; `None` where they cannot.
pub(super) fn emit(layer: &ConvLayer, geometry: &Geometry, source: &mut Source) -> Option<usize> {
    let (op, window) = (layer.op, &layer.op.window);
    let [kernel_h, kernel_w] = geometry.kernel;
    let (x, y) = (geometry.x, geometry.y);
    let (min, max) = (op.requantization.min, op.requantization.max);
    let column = kernel_h * x.c;
    // Pixels that no window has are left out, where the next one ends no earlier than a vector.
    let skips = kernel_w == 1
        && window.stride[1] > 1
        && window.pad_begin[1] == 0
        && x.c <= VECTOR
        && (window.stride[1] + 1) * x.c >= VECTOR;
    let stride = if skips { 1 } else { window.stride[1] };
    let row = Row {
        bits: layer.weight_bits.max(2),
        steps: layer.depth().div_ceil(VECTOR),
        step: stride * column,
        pixel_bytes: op.channels,
        width: y.w,
        shift: u8::try_from(op.requantization.shift).ok()?,
        clamp: Clamp::new(min, max),
    };
    // Of one row whole vectors are copied; of several, and where pixels are left out, whole pixels.
    let is_vector = kernel_h == 1 && !skips;
    let (taps, group_column) = if is_vector { (VECTOR, VECTOR) } else { (x.c, column) };
    // Places in a vector are bytes.
    let has_places =
        taps <= VECTOR && (VECTOR - 1) / taps * group_column + (VECTOR - 1) % taps <= 255;
    let is_served = op.groups == 1
        && row.steps <= 2
        && matches!(row.shift, 1..=16)
        && !layer.has_classes()
        && op.channels.is_multiple_of(row.channels())
        && y.w >= row.pixels()
        && 4 * row.pixels() * row.step.max(row.pixel_bytes) <= IMMEDIATE
        && has_places;
    if !is_served {
        return None;
    }
    let columns = (y.w - 1) * stride + kernel_w;
    let read = if skips { y.w } else { columns.saturating_sub(window.pad_begin[1]).min(x.w) };
    let bytes = columns * column;
    let group = if skips { x.c } else { VECTOR / taps * taps };
    let group_step = if skips { window.stride[1] * x.c } else { group };
    let groups = (read * x.c).div_ceil(group);
    let last = read * x.c - (groups - 1) * group;
    let numbers = [
        x.h,
        x.w * x.c,
        y.h,
        kernel_h,
        window.stride[0],
        window.pad_begin[0],
        window.pad_begin[1] * column,
        bytes,
        y.w * op.channels,
        op.channels / row.channels(),
        usize::try_from(offset(layer)).ok()?,
        taps,
        group_column,
        x.c,
        group,
        group_step,
        groups,
        last,
    ];
    let places = row.places();
    let all = numbers.iter().chain(&places);
    if !all.copied().all(|number| u16::try_from(number).is_ok()) {
        return None;
    }
    let [numbers, places] = [&numbers[..], &places[..]]
        .map(|numbers| numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", "));
    source.once("mve", include_str!("mve.c"));
    source.once("fill_padding", include_str!("fill_padding.c"));
    let slack = SLACK.to_string();
    let values = [("P", "$P"), ("SLACK", slack.as_str())];
    source.once("slide_columns8", fill(include_str!("columns.c"), &values));
    let function = row.emit(source);
    let name = layer.name;
    let tap = |at: usize| {
        let (channel, place) = (at % x.c, at / x.c);
        (place % kernel_h * kernel_w + place / kernel_h) * x.c + channel
    };
    let weights = row.weights(layer, &biases(layer, 1), tap);
    source.array("uint8_t", &format!("{name}_weights"), weights.into_iter().map(i64::from));
    source.object(
        PLAN_BYTES,
        format!(
            "static const $P_columns8 {name}_plan = {{\n    $P_{function}, {name}_weights, {min}, \
             {max},\n    {{{places}}},\n    {numbers}\n}};"
        ),
    );
    let call = format!("    $P_slide_columns8(&{name}_plan, x, y, scratch);");
    layer_function(layer, source, &call);
    Some((bytes + SLACK).next_multiple_of(8))
}
