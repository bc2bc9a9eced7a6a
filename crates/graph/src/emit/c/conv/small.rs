//! Any convolution in little code: one function for all layers whose values are stored alike, every number in a
//! constant. Each filter is unpacked once and goes over the whole image.

use super::{layer::ConvLayer, printed::Printed, weights};
use crate::emit::c::{
    node::{requantization_bytes, requantization_numbers, requantize, window_loop, window_numbers},
    source::{Source, bias_type, fill},
    work::Windows,
};

/// Bytes of a layer's description in C without its requantization.
const LAYER_BYTES: usize = 56;

#[expect(clippy::unnecessary_wraps, reason = "a kernel as the others are")]
pub(super) fn emit(layer: &ConvLayer, source: &mut Source) -> Option<Printed> {
    let name = layer.name;
    source.once("window", include_str!("../text/window.c"));
    let requantize = requantize(source, layer.requantization);
    source.declare_rows();
    let bits = layer.weight_bits;
    let (ctype, short, width) = if bits > 8 { ("int16_t", "i16", 16) } else { ("int8_t", "i8", 8) };
    declare(source, short, ctype);
    let kind = requantize.trim_start_matches("requantize_");
    let function = format!(
        "each_{}_{short}_{}_{kind}{}",
        layer.x.short(),
        layer.y.short(),
        layer.added_kind()
    );
    // Shifts of channels are shifts to the right: what is added is shifted by so much more to the left.
    let (parameter, term) = match layer.added {
        None => (String::new(), String::new()),
        Some(added) => (
            format!("const {} *added, int32_t left, ", added.storage.ctype()),
            format!(
                "\n            acc += $P_at_{}(added, n) * ((int32_t)1 << (to.shift + left));",
                added.storage.short()
            ),
        ),
    };
    let Windows { calls, rows, pixels, kernel_rows, taps } = layer.windows();
    // Kernel rows are runs where their taps follow each other.
    let is_run = layer.groups == 1 && layer.window.dilation[1] == 1;
    let runs = if is_run { kernel_rows } else { taps };
    let sums = taps * layer.input.c / layer.groups;
    let turns = [calls, rows, pixels, kernel_rows, runs, sums];
    let turns = turns.map(|turns| turns * layer.channels);
    let kernel = if layer.added.is_some() { "eachadded" } else { "each" };
    layer.runs((kernel, short), &turns, pixels * layer.channels, source);
    if bits != width {
        let (calls, n) = (layer.channels * calls, layer.channels * calls * layer.depth());
        source.runs(&format!("stream_{short}"), &[calls, n, n * usize::from(bits) / 8]);
    }
    let [begin, end] = window_loop(true);
    let width_text = width.to_string();
    let address = source.weights_address("void");
    let values = [
        (begin.0, begin.1.as_str()),
        (end.0, end.1.as_str()),
        ("P", "$P"),
        ("NAME", &function),
        ("X", layer.x.ctype()),
        ("X4", layer.x.short()),
        ("Y", layer.y.ctype()),
        ("Y4", layer.y.short()),
        ("W", ctype),
        ("W4", short),
        ("WEIGHTS", &address),
        ("WIDTH", &width_text),
        ("PARAMETER", &parameter),
        ("ADDED", &term),
        ("REQUANTIZE", requantize),
    ];
    source.once(&function, fill(include_str!("../text/conv_small_each.c"), &values));

    let stored = layer.weights.iter().copied();
    let (_, at) = weights::store(source, &format!("{name}_weights"), bits, stored);
    // What `requantize` adds is not in the bias.
    let bias = &layer.bias.values;
    let of_bias = bias_type(bias);
    source.array(of_bias, &format!("{name}_bias"), bias.iter().copied());
    let classes = layer.has_classes().then(|| {
        let classes = layer.bias.row_class.iter().chain(&layer.bias.column_class);
        source.array("uint8_t", &format!("{name}_classes"), classes.map(|&class| i64::from(class)));
        format!("{name}_classes")
    });
    let shifts = layer.is_by_channel().then(|| {
        let shifts = (0..layer.channels).map(|channel| layer.requantization_of(channel).shift);
        source.array("int8_t", &format!("{name}_shifts"), shifts.map(i64::from));
        format!("{name}_shifts")
    });
    let none = || "0".to_owned();
    let to = requantization_numbers(source, layer.requantization);
    let bytes = LAYER_BYTES + requantization_bytes(source);
    source.object(
        bytes.next_multiple_of(4),
        format!(
            "static const $P_layer {name}_layer = {{\n    {{{}}}, {{{to}}},\n    \
             {at}, {name}_bias, {}, {}, {}, {}, {bits}, {}\n}};",
            window_numbers(layer.window, layer.input, layer.output),
            classes.unwrap_or_else(none),
            shifts.unwrap_or_else(none),
            layer.groups,
            layer.bias.n_column_classes,
            if of_bias == "int16_t" { 16 } else { 32 },
        ),
    );
    let added = layer.added.map_or_else(String::new, |added| {
        format!("$X1, {}, ", i64::from(added.left) - i64::from(layer.requantization.shift))
    });
    let rows = layer.rows(layer.output.h, source);
    let scratch_bytes = if bits == width { 0 } else { layer.depth() * usize::from(width / 8) };
    let call = format!("$P_{function}(&{name}_layer, $X0, {added}$Y, $SCRATCH, {rows});");
    Some(Printed::new(call, scratch_bytes))
}

/// Puts the description of a layer into the file, and what unpacks weights to a type.
fn declare(source: &mut Source, short: &str, ctype: &str) {
    let member = source.weights_member("void");
    let values = [("P", "$P"), ("MEMBER", member.as_str())];
    source.once("layer", fill(include_str!("../text/conv_small.c"), &values));
    let values = [("P", "$P"), ("S", short), ("W", ctype)];
    let text = fill(include_str!("../text/conv_small_unpack.c"), &values);
    source.once(&format!("unpack_{short}"), text);
}
