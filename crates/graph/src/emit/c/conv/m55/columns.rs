//! Layers with few inputs for an output, such as the first ones of networks: the weights of a block of
//! channels stay in registers while the windows of a whole row of the output pass.
//!
//! A block is eight sums wide: two channels of four pixels where a window takes two vectors, four
//! channels of two pixels where it takes one.

mod copy;
mod row;

use super::{Geometry, SLACK, biases, offset, strip::VECTOR};
use crate::emit::c::{
    conv::{layer::ConvLayer, printed::Printed},
    source::{Source, fill},
};
use copy::{Copy, ROWS};
use fixedwise_kernels::ConvKind;
use row::Row;

/// Bytes of a plan in C.
const PLAN_BYTES: usize = 60;

/// Prints a layer whose windows can be laid out contiguously; `None` where they cannot.
pub(super) fn emit(layer: &ConvLayer, geometry: &Geometry, source: &mut Source) -> Option<Printed> {
    let window = layer.window;
    let [kernel_h, kernel_w] = geometry.kernel;
    let (x, y) = (geometry.x, geometry.y);
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
        pixel_bytes: layer.channels,
        width: y.w,
        shift: u8::try_from(layer.requantization.shift).ok()?,
        bounds: [layer.requantization.min, layer.requantization.max],
    };
    let columns = (y.w - 1) * stride + kernel_w;
    let read = if skips { y.w } else { columns.saturating_sub(window.pad_begin[1]).min(x.w) };
    let pixels_apart = if skips { window.stride[1] } else { 1 };
    let copy = Copy::new(x, kernel_h, read, pixels_apart, offset(layer))?;
    let bytes = columns * column;
    let at_once = if kernel_h <= ROWS { kernel_h } else { 1 };
    let copied = copy.places(at_once)?;
    let is_served = layer.kind() != ConvKind::Depthwise
        && !layer.has_biases_by_position()
        && !layer.is_by_channel()
        && layer.channels.is_multiple_of(row.channels())
        && row.is_possible()
        && copy.is_possible();
    if !is_served {
        return None;
    }
    let numbers = [
        layer.channels / row.channels() * row.block_bytes(),
        x.h,
        copy.row_bytes,
        y.h,
        kernel_h,
        window.stride[0],
        window.pad_begin[0],
        window.pad_begin[1] * column,
        bytes,
        y.w * layer.channels,
        usize::try_from(copy.flip).ok()?,
        x.c,
        copy.to_step,
        copy.bytes,
        at_once,
    ];
    if !numbers.iter().all(|&number| u16::try_from(number).is_ok()) {
        return None;
    }
    source.once("mve", include_str!("mve.c"));
    source.once("fill_padding", include_str!("fill_padding.c"));
    let rows = layer.rows(y.h, source);
    let (member, address) = (source.weights_member("uint8_t"), source.weights_address("uint8_t"));
    let values = [("P", "$P"), ("MEMBER", member.as_str()), ("WEIGHTS", address.as_str())];
    source.once("slide_columns8", fill(include_str!("columns.c"), &values));
    let function = row.emit(source);
    let copies = [1, at_once].map(|rows| format!("$P_{}", copy.emit(rows, source)));
    let name = layer.name;
    let tap = |at: usize| {
        let (channel, place) = (at % x.c, at / x.c);
        (place % kernel_h * kernel_w + place / kernel_h) * x.c + channel
    };
    let weights = row.weights(layer, &biases(layer, 1), tap);
    let weights = weights.into_iter().map(i64::from);
    let weights = source.weights("uint8_t", &format!("{name}_weights"), weights);
    let [min, max] = row.bounds;
    let places = row.places().into_iter().map(i64::from);
    let places = places.chain([min; VECTOR]).chain([max; VECTOR]).map(|place| place & 255);
    let places = places.chain(copied.into_iter().map(i64::from));
    source.array("uint8_t", &format!("{name}_places"), places);
    source.object(
        PLAN_BYTES,
        format!(
            "static const $P_columns8 {name}_plan = {{\n    $P_{function}, {{{}}}, {weights}, \
             {name}_places, {min}, {max},\n    {}\n}};",
            copies.join(", "),
            numbers.map(|number| number.to_string()).join(", "),
        ),
    );
    if !source.is_draft() {
        let rows = Rows { kernel: kernel_h, height: x.h, outputs: y.h };
        rows.runs(layer, (bytes, copy.bytes), at_once, [&function, &copies[0], &copies[1]], source);
    }
    let call = format!("$P_slide_columns8(&{name}_plan, $X0, $Y, $SCRATCH, {rows});");
    Some(Printed::new(call, (bytes + SLACK).next_multiple_of(8)))
}

/// How an image is walked.
struct Rows {
    kernel: usize,
    height: usize,
    outputs: usize,
}

impl Rows {
    /// Says what the driver and the functions that it calls do for an image: columns of so many bytes, of which so many are
    /// copied of a row; the function for a row of the output, and those that copy one row and several.
    fn runs(
        &self,
        layer: &ConvLayer,
        (bytes, copied): (usize, usize),
        at_once: usize,
        [row, one, several]: [&str; 3],
        source: &mut Source,
    ) {
        let (stride, pad) = (layer.window.stride[0], layer.window.pad_begin[0]);
        let (mut together, mut single, mut below) = (0, 0, 0);
        for output in 0..self.outputs {
            let rows = output * stride..output * stride + self.kernel;
            let image = pad..pad + self.height;
            if at_once == self.kernel && image.start <= rows.start && rows.end <= image.end {
                together += 1;
                continue;
            }
            single += rows.clone().filter(|row| image.contains(row)).count();
            below += rows.filter(|row| *row >= image.end).count();
        }
        let unprefixed = |name: &str| name.trim_start_matches("$P_").to_owned();
        source.calls(&unprefixed(row), self.outputs);
        source.calls(&unprefixed(one), single);
        source.calls(&unprefixed(several), together);
        let calls = if layer.flows { self.outputs } else { 1 };
        source.runs("fillpadding", &[calls, calls * bytes.div_ceil(VECTOR)]);
        if below > 0 {
            source.runs("padcolumns", &[below, below * copied.div_ceil(VECTOR)]);
        }
        source.runs("slidecolumns8", &[calls, self.outputs, together, single, below]);
    }
}
