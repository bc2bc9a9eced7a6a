//! Convolutions and dense layers for cores with vectors (MVE, Cortex-M55): 16 multiply-accumulates of
//! bytes in one instruction, and the same in plain C for other machines.
//!
//! The values under the kernel of an output pixel are gathered into a column, three pixels meet two
//! filters at a time. Unsigned bytes that reach beyond 127 are taken as signed ones, 128 less; the bias
//! has what that takes from the sum.

use super::{ConvLayer, layer_function};
use crate::emit::c::source::{Source, Storage, fill};
use fixedwise_kernels::Element;

/// Rows of the largest kernel.
const MAX_ROWS: usize = 11;
/// Values of a column that a step takes.
const BLOCK: usize = 32;
/// Bytes of a vector.
const VECTOR: usize = 16;
/// Pixels whose sums fit the registers, with two filters.
const PIXELS: usize = 3;
/// Bytes of a plan in C.
const PLAN_BYTES: usize = 64;

/// Prints a convolution or a dense layer; `None` for groups, dilation, and widths that vectors do not
/// serve.
pub(super) fn emit(layer: &ConvLayer, source: &mut Source) -> Option<usize> {
    Some(Mve::new(layer)?.emit(source))
}

struct Mve<'a> {
    layer: &'a ConvLayer<'a>,
    /// Of a stored weight: 2, 4 or 8.
    bits: u8,
    /// Sums are this power of two times what they stand for: packed weights stay at the top of
    /// their bytes.
    scale: u32,
    shift: u32,
    /// Whether values are taken 128 less.
    is_flipped: bool,
    /// Numbers of the plan in the order of `mve.c`.
    numbers: [usize; 19],
    scratch_bytes: usize,
}

impl<'a> Mve<'a> {
    fn new(layer: &'a ConvLayer<'a>) -> Option<Self> {
        let (op, window) = (layer.op, &layer.op.window);
        let (Storage::Whole(x), Storage::Whole(y)) = (layer.x, layer.y) else { return None };
        let bits = layer.weight_bits;
        let is_byte = |element| matches!(element, Element::U8 | Element::I8);
        if op.groups != 1
            || window.dilation != [1, 1]
            || window.kernel[0] > MAX_ROWS
            || !is_byte(x)
            || !layer.is_plain()
            || !matches!(bits, 2 | 4 | 8)
        {
            return None;
        }
        let scale = u32::from(8 - bits);
        let shift = u32::try_from(op.requantization.shift).ok()? + scale;
        if u32::from(op.accumulator_bits) + scale > 32 || shift > 31 {
            return None;
        }
        let (input, output) = (layer.input, layer.output);
        let depth = layer.depth();
        let blocks = depth.div_ceil(BLOCK);
        let run = window.kernel[1] * input.c;
        let is_pixel = window.kernel == [1, 1] && !window.is_padded();
        // The ring is read, and columns are written, up to a vector less one byte beyond their end.
        let ring_row = if is_pixel {
            0
        } else {
            ((output.w - 1) * window.stride[1] * input.c + run + VECTOR).next_multiple_of(8)
        };
        let first = if is_pixel { 0 } else { window.pad_begin[1] * input.c };
        let copied = ring_row.saturating_sub(VECTOR + first).min(input.w * input.c);
        let column_bytes = blocks * BLOCK;
        let channels = op.channels;
        let numbers = [
            PIXELS,
            output.h,
            output.w,
            input.h,
            input.w * input.c,
            copied,
            window.kernel[0],
            window.stride[0],
            window.pad_begin[0],
            ring_row,
            first,
            run,
            window.stride[1] * input.c,
            column_bytes,
            blocks,
            channels,
            channels * y.size_bytes(),
            channels.next_multiple_of(2),
            op.bias.n_column_classes,
        ];
        if numbers.iter().any(|&number| u16::try_from(number).is_err()) {
            return None;
        }
        let ring = window.kernel[0] * ring_row;
        let scratch_bytes = (ring + PIXELS * column_bytes + VECTOR).next_multiple_of(8);
        let is_flipped = x == Element::U8 && op.input.max() > 127;
        Some(Self { layer, bits, scale, shift, is_flipped, numbers, scratch_bytes })
    }

    fn emit(&self, source: &mut Source) -> usize {
        let Self { layer, .. } = self;
        let (name, prefix) = (layer.name, source.prefix().to_owned());
        let rows = MAX_ROWS.to_string();
        source.once("mve", fill(include_str!("m55/mve.c"), &[("P", &prefix), ("MAX_ROWS", &rows)]));
        let [strip, one] = [PIXELS, 1].map(|pixels| self.strip(pixels, source));
        source.array("uint8_t", &format!("{name}_weights"), self.weights());
        source.array("int32_t", &format!("{name}_bias"), self.biases());
        let classes = if layer.has_classes() {
            let classes = layer.op.bias.row_class.iter().chain(&layer.op.bias.column_class);
            let classes = classes.map(|&class| i64::from(class));
            source.array("uint8_t", &format!("{name}_classes"), classes);
            format!("{name}_classes")
        } else {
            "0".to_owned()
        };
        let numbers = self.numbers.map(|number| number.to_string()).join(", ");
        let flip = if self.is_flipped { 128 } else { 0 };
        let to = &layer.op.requantization;
        source.object(
            PLAN_BYTES,
            format!(
                "static const $P_mve {name}_plan = {{\n    $P_{strip}, $P_{one}, {name}_weights, \
                 {name}_bias, {classes},\n    {numbers},\n    {flip}, {flip}, {}, {}, {}\n}};",
                self.shift, to.min, to.max
            ),
        );
        layer_function(layer, source, &format!("    $P_mve_conv(&{name}_plan, x, y, scratch);"));
        self.scratch_bytes
    }

    /// The weights in the order in which a strip reads them: by pair of filters, block of 32 values,
    /// then 16 values of one filter beside 16 of the other; where they are packed the fields of a
    /// byte are, from its lower end, those of the first 16 values (of both filters for 2 bits), then
    /// those of the second.
    fn weights(&self) -> Vec<i64> {
        let op = self.layer.op;
        let (depth, blocks) = (self.layer.depth(), self.blocks());
        let weight = |filter: usize, k: usize| {
            if filter < op.channels && k < depth { op.weights[filter * depth + k] } else { 0 }
        };
        let field = |filter: usize, k: usize| i64::from(weight(filter, k)) & ((1 << self.bits) - 1);
        let mut bytes = Vec::new();
        for pair in 0..op.channels.div_ceil(2) {
            for block in 0..blocks {
                let at = |filter: usize, half: usize, lane: usize| {
                    field(2 * pair + filter, block * BLOCK + half * VECTOR + lane)
                };
                match self.bits {
                    8 => {
                        for (half, filter) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                            bytes.extend((0..VECTOR).map(|lane| at(filter, half, lane)));
                        }
                    }
                    4 => {
                        for filter in 0..2 {
                            let both = |lane| at(filter, 0, lane) | at(filter, 1, lane) << 4;
                            bytes.extend((0..VECTOR).map(both));
                        }
                    }
                    _ => bytes.extend((0..VECTOR).map(|lane| {
                        at(0, 0, lane)
                            | at(1, 0, lane) << 2
                            | at(0, 1, lane) << 4
                            | at(1, 1, lane) << 6
                    })),
                }
            }
        }
        bytes
    }

    /// The biases as sums have them, an even number for each class; wrapping, as the sums do.
    fn biases(&self) -> Vec<i64> {
        let (op, depth) = (self.layer.op, self.layer.depth());
        let taken: Vec<i64> = op
            .weights
            .chunks_exact(depth)
            .map(|filter| {
                let sum: i64 = filter.iter().map(|&w| i64::from(w)).sum();
                if self.is_flipped { 128 * sum } else { 0 }
            })
            .collect();
        let wrap = |value: i64| {
            let low = value & 0xffff_ffff;
            if low > i64::from(i32::MAX) { low - (1 << 32) } else { low }
        };
        self.layer
            .stored_bias()
            .chunks_exact(op.channels)
            .flat_map(|class| {
                let biases = class.iter().zip(&taken);
                let biases: Vec<i64> =
                    biases.map(|(bias, taken)| wrap((bias + taken) << self.scale)).collect();
                biases.into_iter().chain((op.channels % 2 == 1).then_some(0))
            })
            .collect()
    }

    /// Puts the function for that many pixels into the file; gives its name without prefix.
    fn strip(&self, pixels: usize, source: &mut Source) -> String {
        let prefix = source.prefix().to_owned();
        let (y, to) = (self.layer.y, &self.layer.op.requantization);
        let bits = self.bits.to_string();
        let scale = (1_u32 << self.scale).to_string();
        let weight = match self.bits {
            8 => "l->weights[block * 64 + half * 32 + o % 2 * 16 + lane]",
            4 => "(l->weights[block * 32 + o % 2 * 16 + lane] >> half * 4 << 4) & 255",
            _ => "(l->weights[block * 16 + lane] >> (half * 4 + o % 2 * 2) << 6) & 255",
        };
        let values = [
            ("P", prefix.as_str()),
            ("BITS", &bits),
            ("SCALE", &scale),
            ("WEIGHT", weight),
            ("T", y.short()),
            ("Y", y.ctype()),
        ];
        let plain = fill(include_str!("m55/plain.c"), &values);
        source.once(&format!("mve_plain_{bits}_{}", y.short()), plain);

        let (channels, blocks) = (self.layer.op.channels, self.blocks());
        let has_classes = self.layer.has_classes();
        let kind = if has_classes { "_classes" } else { "" };
        let name = |bound: i64| bound.to_string().replace('-', "m");
        let name = format!(
            "{pixels}_w{bits}_{channels}_{blocks}_{}_{}_{}_{}{kind}",
            y.short(),
            self.shift,
            name(to.min),
            name(to.max)
        );
        let all: Vec<(usize, usize)> =
            (0..pixels).flat_map(|pixel| [(0, pixel), (1, pixel)]).collect();
        let each = |part: &dyn Fn(usize, usize) -> String| -> Vec<String> {
            all.iter().map(|&(filter, pixel)| part(filter, pixel)).collect()
        };
        // Pixels of one class begin with the same biases.
        let sums = each(&|f, p| {
            let b = if has_classes { p } else { 0 };
            if has_classes || p == 0 {
                format!("c{f}{p} = b{b}[o + {f}]")
            } else {
                format!("c{f}{p}")
            }
        });
        let copies = each(&|f, p| {
            if has_classes || p == 0 { String::new() } else { format!("c{f}{p} = c{f}0;") }
        });
        let biases =
            (0..if has_classes { pixels } else { 1 }).map(|p| format!("*b{p} = bias[{p}]"));
        let mut outputs = each(&|f, p| format!("[c{f}{p}] \"+Te\"(c{f}{p})"));
        outputs.extend((0..pixels).map(|p| format!("[a{p}] \"+r\"(a{p})")));
        let pointers = (0..pixels).map(|p| format!("*a{p} = columns + {}", p * blocks * BLOCK));
        let store = |filter: usize, indent: &str| {
            let lines = (0..pixels).map(|p| {
                let sum = format!("c{filter}{p}");
                let (before, value) = self.finish(&sum);
                format!("{indent}{before}y[{}] = ({}){value};", p * channels + filter, y.ctype())
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        let mut stores = store(0, "        ");
        if channels % 2 == 1 {
            let second = store(1, "            ");
            stores += &format!("\n        if (o + 1 < {channels}) {{\n{second}\n        }}");
        } else {
            stores += &format!("\n{}", store(1, "        "));
        }
        let is_masked = self.bits < 8;
        let mask =
            format!("    const uint8x16_t mask = vdupq_n_u8({});\n", 256 - (256 >> self.bits));
        let text = fill(
            include_str!("m55/strip.c"),
            &[
                ("P", &prefix),
                ("N", &pixels.to_string()),
                ("S", &name),
                ("BITS", &format!("{bits}_{}", y.short())),
                ("CHANNELS", &channels.to_string()),
                ("BLOCKS", &blocks.to_string()),
                ("Y", y.ctype()),
                ("BIASES", &format!("const int32_t {};", biases.collect::<Vec<_>>().join(", "))),
                ("SUMS", &sums.join(", ")),
                ("COPIES", &copies.concat()),
                (
                    "POINTERS",
                    &format!("const uint8_t {};", pointers.collect::<Vec<_>>().join(", ")),
                ),
                ("BLOCK", &self.block(pixels)),
                ("OUTPUTS", &outputs.join(", ")),
                ("STORES", &stores),
                ("MASK", if is_masked { &mask } else { "" }),
                ("MASK_INPUT", if is_masked { ", [m] \"w\"(mask)" } else { "" }),
            ],
        );
        source.once(&format!("mve_strip_{name}"), text);
        format!("mve_strip_{name}")
    }

    /// Statements before, and the expression of, the output that a sum becomes.
    fn finish(&self, sum: &str) -> (String, String) {
        let (to, shift) = (&self.layer.op.requantization, self.shift);
        let width = (1..=15).find(|&width| to.min == 0 && to.max == (1_i64 << width) - 1);
        match width {
            Some(width) => {
                let by = if shift == 0 { String::new() } else { format!(", asr #{shift}") };
                let usat = format!("usat %0, #{width}, %0{by}");
                (format!("__asm__(\"{usat}\" : \"+r\"({sum}));\n        "), sum.to_owned())
            }
            None => {
                let (min, max) = (to.min, to.max);
                let clamp = format!("({sum} < {min} ? {min} : {sum} > {max} ? {max} : {sum})");
                (format!("{sum} >>= {shift};\n        "), clamp)
            }
        }
    }

    /// How many times 32 values a column has.
    fn blocks(&self) -> usize {
        self.layer.depth().div_ceil(BLOCK)
    }

    /// The instructions for 32 values of two filters and some pixels, as lines of strings.
    fn block(&self, pixels: usize) -> String {
        let mut lines: Vec<String> = Vec::new();
        let multiply = |lines: &mut Vec<String>, weights: [&str; 2]| {
            for p in 0..pixels {
                lines.push(format!("vldrb.8 q4, [%[a{p}]], #16"));
                lines.push(format!("vmladava.s8 %[c0{p}], q4, {}", weights[0]));
                lines.push(format!("vmladava.s8 %[c1{p}], q4, {}", weights[1]));
            }
        };
        let push = |lines: &mut Vec<String>, text: &str| lines.push(text.to_owned());
        match self.bits {
            8 => {
                for _ in 0..2 {
                    push(&mut lines, "vldrb.8 q0, [%[w]], #16");
                    push(&mut lines, "vldrb.8 q1, [%[w]], #16");
                    multiply(&mut lines, ["q0", "q1"]);
                }
            }
            4 => {
                push(&mut lines, "vldrb.8 q2, [%[w]], #16");
                push(&mut lines, "vldrb.8 q3, [%[w]], #16");
                push(&mut lines, "vshl.i8 q0, q2, #4");
                push(&mut lines, "vshl.i8 q1, q3, #4");
                multiply(&mut lines, ["q0", "q1"]);
                push(&mut lines, "vand q2, q2, %q[m]");
                push(&mut lines, "vand q3, q3, %q[m]");
                multiply(&mut lines, ["q2", "q3"]);
            }
            _ => {
                push(&mut lines, "vldrb.8 q2, [%[w]], #16");
                push(&mut lines, "vshl.i8 q0, q2, #6");
                push(&mut lines, "vshl.i8 q1, q2, #4");
                push(&mut lines, "vand q1, q1, %q[m]");
                multiply(&mut lines, ["q0", "q1"]);
                push(&mut lines, "vshl.i8 q0, q2, #2");
                push(&mut lines, "vand q0, q0, %q[m]");
                push(&mut lines, "vand q1, q2, %q[m]");
                multiply(&mut lines, ["q0", "q1"]);
            }
        }
        let lines: Vec<String> =
            lines.into_iter().map(|line| format!("            \"{line}\\n\"")).collect();
        lines.join("\n")
    }
}
