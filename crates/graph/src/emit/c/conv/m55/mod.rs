//! Convolutions and dense layers for cores with MVE (Cortex-M55): vectors of 16 bytes, and the same
//! in plain C for other machines.

mod columns;
mod function;
mod stream;
mod strip;

use super::{layer::ConvLayer, printed::Printed};
use crate::{
    emit::c::source::{Source, Storage, fill},
    shape::Shape,
    window::Window,
};
use fixedwise_kernels::{ConvKind, Element};
use strip::{Strip, VECTOR, shift};

/// Rows of the largest kernel.
const MAX_ROWS: usize = 15;
/// Bytes that may be read or written after the ring.
const SLACK: usize = 128;
/// Bytes of a row that one-pixel kernels put several image rows into.
const FLAT_BYTES: usize = 1024;
/// Bytes of a plan in C.
const PLAN_BYTES: usize = 72;
/// Channels of a depthwise block.
const LANES: usize = 8;

/// Puts what walks over an image into the file; gives the description of what is added.
fn driver(layer: &ConvLayer, source: &mut Source) -> Option<String> {
    let (member, address) = (source.weights_member("uint8_t"), source.weights_address("uint8_t"));
    let values = [("P", "$P"), ("MEMBER", member.as_str())];
    source.once("sliding8", fill(include_str!("sliding.c"), &values));
    let added = layer.added.map(|added| layer.added_to_bias(added, 0, source));
    let name = if added.is_some() { "slide_added8" } else { "slide8" };
    let [parameters, made, biases, next] = driver_texts(added.is_some());
    let (rows, slack) = ((2 * MAX_ROWS + 2).to_string(), SLACK.to_string());
    let values = [
        ("DRIVER", name),
        ("PARAMETERS", &parameters),
        ("MADE", &made),
        ("BIASES", &biases),
        ("NEXT", &next),
        ("WEIGHTS", &address),
        ("P", "$P"),
        ("MAX_ROWS", &rows),
        ("SLACK", &slack),
    ];
    source.once(name, fill(include_str!("slide.c"), &values));
    added
}

/// What the driver has for a value that is added: parameters, memory for biases, the biases of a pixel, the next pixels.
fn driver_texts(is_added: bool) -> [String; 4] {
    if !is_added {
        let parameters = "const void *input, void *output, uint8_t *scratch".to_owned();
        return [parameters, String::new(), String::new(), String::new()];
    }
    let parameters = "const $P_added *a, const void *input, const void *added,\n    void *output, \
                      uint8_t *scratch";
    let made = format!(
        "\n    int32_t at_y = 0, made_at = (kernel * l->ring_row + 2 * l->patch + {SLACK} + 7) & ~7;\n    \
         int32_t *made = (int32_t *)(void *)(scratch + made_at);"
    );
    let biases = "\n                a->biases(b.bias[p], added, at_y + (at - ox) * a->channels, a, made \
                  + p * l->bias_step);\n                b.bias[p] = made + p * l->bias_step;";
    let next = "\n            at_y += pixels * a->channels;";
    [parameters.to_owned(), made, biases.to_owned(), next.to_owned()]
}

/// Prints a convolution, a depthwise one or a dense layer over bytes; `None` where something has more
/// than 8 bits, or a shift and a clamp are not all that sums need.
pub(super) fn emit(layer: &ConvLayer, source: &mut Source) -> Option<Printed> {
    let window = layer.window;
    let kind = layer.kind();
    let is_depthwise = kind == ConvKind::Depthwise;
    let is_byte = |s: Storage| matches!(s, Storage::Whole(Element::U8 | Element::I8));
    let is_served = layer.is_plain()
        && matches!(layer.weight_bits, 1..=8)
        && is_byte(layer.x)
        && is_byte(layer.y)
        && window.dilation == [1, 1]
        && window.kernel[0] <= MAX_ROWS
        && kind != ConvKind::Grouped
        && !(is_depthwise && layer.added.is_some());
    if !is_served {
        return None;
    }
    let geometry = Geometry::new(layer, is_depthwise);
    if let Some(printed) = columns::emit(layer, &geometry, source) {
        return Some(printed);
    }
    let strip = Strip::new(layer, geometry.patch, geometry.run);
    let numbers = geometry.numbers(layer, &strip)?;
    source.once("mve", include_str!("mve.c"));
    let (functions, weights, block) = if is_depthwise {
        let bits = layer.weight_bits.max(2);
        let (each, kind) = if layer.is_by_channel() { ("1", "each") } else { ("0", "") };
        let name = format!("depthwise8{kind}_w{bits}");
        let bits = bits.to_string();
        let values = [("P", "$P"), ("KIND", kind), ("EACH", each), ("BITS", bits.as_str())];
        source.once(&name, fill(include_str!("depthwise.c"), &values));
        ([name.clone(), name], depthwise_weights(layer), LANES)
    } else {
        source.once("pixels_plain", include_str!("pixels_plain.c"));
        let functions = [1, 2].map(|pixels| {
            // One that never runs is not printed.
            let odd = geometry.y.w % 2 == 1;
            let runs = if pixels == 1 { odd } else { geometry.y.w > 1 };
            if runs { strip.emit(pixels, source) } else { String::new() }
        });
        (functions, strip.weights(layer, &biases(layer, strip::CHANNELS)), strip::CHANNELS)
    };
    source.once("fill_padding", include_str!("fill_padding.c"));
    let rows = layer.rows(geometry.y.h, source);
    let added = driver(layer, source);
    if !source.is_draft() {
        geometry.runs(layer, &strip, &functions[0], source);
    }
    let name = layer.name;
    let weights = weights.into_iter().map(i64::from);
    let weights = source.weights("uint8_t", &format!("{name}_weights"), weights);
    let bias = if !is_depthwise && strip.flat {
        "0".to_owned()
    } else {
        source.array("int32_t", &format!("{name}_bias"), biases(layer, block));
        format!("{name}_bias")
    };
    let classes = if layer.has_classes() {
        let classes = layer.bias.row_class.iter().chain(&layer.bias.column_class);
        let classes = classes.map(|&class| i64::from(class));
        source.array("uint8_t", &format!("{name}_classes"), classes);
        format!("{name}_classes")
    } else {
        "0".to_owned()
    };
    let functions =
        functions.map(|f| if f.is_empty() { "0".to_owned() } else { format!("$P_{f}") });
    source.object(
        PLAN_BYTES,
        format!(
            "static const $P_sliding8 {name}_plan = {{\n    {{{}}},\n    {weights}, \
             {bias}, {classes},\n    {}, {}, {numbers}\n}};",
            functions.join(", "),
            layer.requantization.min,
            layer.requantization.max,
        ),
    );
    let call = match &added {
        None => format!("$P_slide8(&{name}_plan, $X0, $Y, $SCRATCH, {rows});"),
        Some(added) => {
            source.object(12, format!("static const $P_added {name}_added = {{{added}}};"));
            format!("$P_slide_added8(&{name}_plan, &{name}_added, $X0, $X1, $Y, $SCRATCH, {rows});")
        }
    };
    // Aligned, and a last block is read whole.
    let made = added.map_or(0, |_| 8 * layer.channels.next_multiple_of(strip::CHANNELS) + 8);
    let ring = geometry.kernel[0] * geometry.ring_row;
    let patch = if geometry.patch { 2 * strip.depth_bytes() } else { 0 };
    Some(Printed::new(call, (ring + patch + SLACK + made).next_multiple_of(8)))
}

/// What is subtracted from an input: unsigned ones of 8 bits become signed.
fn offset(layer: &ConvLayer) -> i64 {
    let is_unsigned = layer.x == Storage::Whole(Element::U8);
    if is_unsigned && layer.x_max > 127 { 128 } else { 0 }
}

/// Biases as sums have them: with what the offset of the inputs takes away, wrapped to 32 bits, for
/// whole blocks of channels.
fn biases(layer: &ConvLayer, block: usize) -> Vec<i64> {
    let (channels, depth) = (layer.channels, layer.depth());
    let offset = offset(layer);
    let weights = |channel: usize| &layer.weights[channel * depth..(channel + 1) * depth];
    let added: Vec<i64> = (0..channels)
        .map(|channel| offset * weights(channel).iter().map(|&w| i64::from(w)).sum::<i64>())
        .collect();
    let mut biases = Vec::new();
    for class in layer.stored_bias().chunks_exact(channels) {
        for at in 0..channels.next_multiple_of(block) {
            let channel = if block == LANES { depthwise_channel(at) } else { at };
            let bias = if channel < channels { class[channel] + added[channel] } else { 0 };
            biases.push((bias + (1 << 31)).rem_euclid(1 << 32) - (1 << 31));
        }
    }
    biases
}

/// The place in its block of a depthwise channel's sum: even channels precede odd ones.
fn depthwise_channel(at: usize) -> usize {
    at / LANES * LANES + at % 4 * 2 + at % LANES / 4
}

/// `[block of channels][tap][channel]`, each channel's taps a stream; shifts follow a block where channels have their own.
fn depthwise_weights(layer: &ConvLayer) -> Vec<u8> {
    let bits = layer.weight_bits.max(2);
    let (channels, taps) = (layer.channels, layer.depth());
    let mut bytes = Vec::new();
    for block in (0..channels).step_by(LANES) {
        let lanes = |tap: usize| -> [i16; LANES] {
            std::array::from_fn(|lane| {
                let channel = block + lane;
                if channel < channels { layer.weights[channel * taps + tap] } else { 0 }
            })
        };
        bytes.extend(stream::pack(bits, &(0..taps).map(lanes).collect::<Vec<_>>()));
        if layer.is_by_channel() {
            let channels = (block..block + LANES).map(depthwise_channel);
            bytes.extend(channels.map(|channel| shift(layer, channel)));
        }
    }
    bytes
}

/// How a layer lies in the ring.
struct Geometry {
    /// Of input and output as they are walked.
    x: Shape,
    y: Shape,
    kernel: [usize; 2],
    /// Bytes of a kernel row.
    run: usize,
    /// Windows are gathered.
    patch: bool,
    /// Bytes of a row of the ring.
    ring_row: usize,
}

impl Geometry {
    fn new(layer: &ConvLayer, is_depthwise: bool) -> Self {
        let window = layer.window;
        let (mut x, mut y) = (layer.input, layer.output);
        let kernel = window.kernel;
        let is_pixel = kernel == [1, 1] && !window.is_padded() && window.stride == [1, 1];
        let is_pixel = is_pixel && !layer.flows;
        if is_pixel && !layer.has_classes() {
            let pixels = x.h * x.w;
            let fits = |&n: &usize| pixels.is_multiple_of(n) && (n <= 2 || n * x.c <= FLAT_BYTES);
            let even = (1..=pixels).filter(|n| n % 2 == 0).filter(fits).max();
            let columns = even.or_else(|| (1..=pixels).filter(fits).max()).unwrap_or(1);
            x = Shape::new(pixels / columns, columns, x.c);
            y = Shape::new(pixels / columns, columns, y.c);
        }
        let run = kernel[1] * x.c;
        let (apart, together) =
            (kernel[0] * run.div_ceil(VECTOR), (kernel[0] * run).div_ceil(VECTOR));
        let patch = !is_depthwise && 10 * together < 9 * apart;
        let columns = (y.w - 1) * window.stride[1] + kernel[1];
        let ring_row = columns * x.c;
        Self { x, y, kernel, run, patch, ring_row }
    }

    /// Says what the driver, the functions that fill the ring and those for pixels do for an image; `depthwise` is the
    /// one of a depthwise layer.
    fn runs(&self, layer: &ConvLayer, strip: &Strip, depthwise: &str, source: &mut Source) {
        let window = layer.window;
        let ([kernel, _], rows, pad) = (self.kernel, self.y.h, window.pad_begin[0]);
        let (mut filled, mut padded, mut next) = (0, 0, 0);
        for row in 0..rows {
            let top = row * window.stride[0];
            let from = if layer.flows { top } else { next.max(top) };
            for row in from..top + kernel {
                if (pad..pad + self.x.h).contains(&row) { filled += 1 } else { padded += 1 }
            }
            next = top + kernel;
        }
        let calls = if layer.flows { rows } else { 1 };
        let patch = if self.patch { strip.depth_bytes() } else { 0 };
        let all = (kernel * self.ring_row + 2 * patch + SLACK).div_ceil(VECTOR);
        let vectors = calls * all + padded * self.ring_row.div_ceil(VECTOR);
        source.runs("fillpadding", &[calls + padded, vectors]);
        let copied = self.read_columns(window) * self.x.c;
        source.runs("copyflipped", &[filled, filled * copied.div_ceil(VECTOR)]);
        let [pairs, odd] = [rows * (self.y.w / 2), rows * (self.y.w % 2)];
        let pixels = 2 * pairs + odd;
        let (strips, both) = (pairs + odd, 2 * (pairs + odd));
        if layer.kind() == ConvKind::Depthwise {
            let blocks = strips * layer.channels.div_ceil(LANES);
            let taps = layer.depth();
            source.runs(depthwise, &[strips, blocks, blocks * kernel, blocks * taps]);
        } else {
            for (pixels, strips) in [(1, odd), (2, pairs)] {
                if strips > 0 {
                    source.executes(strips * strip.executed(pixels, layer.channels));
                }
            }
        }
        let gathered = if self.patch { pixels * kernel } else { 0 };
        let turns = [
            calls,
            rows,
            filled,
            padded,
            rows * kernel,
            strips,
            if self.patch { 0 } else { both * kernel },
            gathered,
            gathered * self.run.div_ceil(VECTOR),
            if layer.has_classes() { both } else { 0 },
        ];
        match layer.added {
            None => source.runs("slide8", &turns),
            Some(added) => {
                source.runs("slideadded8", &turns);
                let biases = format!("biases_{}", added.storage.short());
                source.runs(&biases, &[both, both * layer.channels]);
            }
        }
    }

    /// Columns of the input that get into the ring.
    fn read_columns(&self, window: &Window) -> usize {
        let columns = self.ring_row / self.x.c;
        columns.saturating_sub(window.pad_begin[1]).min(self.x.w)
    }

    /// The plan's numbers in the order of `slide.c`; `None` where one needs more than 16 bits.
    fn numbers(&self, layer: &ConvLayer, strip: &Strip) -> Option<String> {
        let window = layer.window;
        let read = self.read_columns(window);
        let block = if layer.kind() == ConvKind::Depthwise { LANES } else { strip::CHANNELS };
        let numbers = [
            self.x.h,
            self.x.w * self.x.c,
            self.y.h,
            self.y.w,
            self.kernel[0],
            window.stride[0],
            window.pad_begin[0],
            read * self.x.c,
            window.pad_begin[1] * self.x.c,
            self.ring_row,
            window.stride[1] * self.x.c,
            layer.channels,
            layer.channels.next_multiple_of(block),
            layer.bias.n_column_classes,
            strip.loops,
            usize::try_from(layer.requantization.shift).ok()?,
            usize::try_from(offset(layer)).ok()?,
            self.run,
            if self.patch { strip.depth_bytes() } else { 0 },
            self.kernel[1],
            self.x.c,
        ];
        let fit = numbers.iter().all(|&number| u16::try_from(number).is_ok());
        fit.then(|| numbers.map(|number| number.to_string()).join(", "))
    }
}
