//! Any convolution in little code: one function for all layers whose values are stored alike, every number in a
//! constant. Each filter is unpacked once and goes over the whole image.

use super::{coded::Coded, layer::ConvLayer, printed::Printed, weights};
use crate::emit::c::{
    node::{requantization_bytes, requantization_numbers, requantize, window_loop, window_numbers},
    options::WeightCode,
    source::{Source, bias_type, fill},
    work::Windows,
};

/// Bytes of a layer's description in C without its requantization.
const LAYER_BYTES: usize = 56;
/// What codes of a layer may take more than its weights as they are: then one function serves all layers.
const ANOTHER: usize = 64;

#[expect(clippy::unnecessary_wraps, reason = "a kernel as the others are")]
pub(super) fn emit(layer: &ConvLayer, source: &mut Source) -> Option<Printed> {
    let name = layer.name;
    source.once("window", include_str!("../text/window.c"));
    let requantize = requantize(source, layer.requantization);
    source.declare_rows();
    let coded = (layer.weight_code == WeightCode::Codes).then(|| coded(layer)).flatten();
    let bits = if coded.is_some() { 8 } else { layer.weight_bits };
    let (ctype, short, width) = if bits > 8 { ("int16_t", "i16", 16) } else { ("int8_t", "i8", 8) };
    declare(source);
    if let Some(coded) = &coded {
        coded.store(source, name);
    } else {
        let values = [("P", "$P"), ("S", short), ("W", ctype)];
        let text = fill(include_str!("../text/conv_small_unpack.c"), &values);
        source.once(&format!("unpack_{short}"), text);
    }
    let Windows { calls, rows, pixels, kernel_rows, taps } = layer.windows();
    // Kernel rows are runs where their taps follow each other.
    let is_run = layer.groups == 1 && layer.window.dilation[1] == 1;
    let runs = if is_run { kernel_rows } else { taps };
    let sums = taps * layer.input.c / layer.groups;
    let turns = [calls, rows, pixels, kernel_rows, runs, sums];
    let turns = turns.map(|turns| turns * layer.channels);
    let kernel = match (&coded, layer.added) {
        (None, None) => "each",
        (None, Some(_)) => "eachadded",
        (Some(_), None) => "eachcoded",
        (Some(_), Some(_)) => "eachcodedadded",
    };
    layer.runs((kernel, short), &turns, pixels * layer.channels, source);
    if let Some(coded) = &coded {
        coded.runs(source, layer.channels, calls);
    } else if bits != width {
        let (calls, n) = (layer.channels * calls, layer.channels * calls * layer.depth());
        source.runs(&format!("stream_{short}"), &[calls, n, n * usize::from(bits) / 8]);
    }
    let function = function(layer, source, coded.is_some(), (ctype, short, width), requantize);
    let at = if coded.is_some() {
        "0".to_owned()
    } else {
        let stored = layer.weights.iter().copied();
        weights::store(source, &format!("{name}_weights"), bits, stored).1
    };
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
    let scratch_bytes = match &coded {
        Some(_) => layer.depth().next_multiple_of(2),
        None if bits == width => 0,
        None => layer.depth() * usize::from(width / 8),
    };
    let code = if coded.is_some() { format!("&{name}_code, ") } else { String::new() };
    let call = format!("$P_{function}(&{name}_layer, {code}$X0, {added}$Y, $SCRATCH, {rows});");
    let weight_code = coded.map_or(WeightCode::Fields, |_| WeightCode::Codes);
    Some(Printed { call, scratch_bytes, weight_code })
}

/// Puts the function for layers whose values are stored so into the file; gives its name without prefix. Its weights become
/// integers of that type, what it is called in names, and width.
fn function(
    layer: &ConvLayer,
    source: &mut Source,
    is_coded: bool,
    (ctype, short, width): (&str, &str, u8),
    requantize: &str,
) -> String {
    let kind = requantize.trim_start_matches("requantize_");
    let each = if is_coded { "eachcoded" } else { "each" };
    let function = format!(
        "{each}_{}_{short}_{}_{kind}{}",
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
    let [begin, end] = window_loop(true);
    let width_text = width.to_string();
    let address = source.weights_address("void");
    let known = [
        ("P", "$P"),
        ("W", ctype),
        ("W4", short),
        ("WEIGHTS", address.as_str()),
        ("WIDTH", width_text.as_str()),
    ];
    let [codes, first, weights] = if is_coded {
        [
            "const $P_code *code, ",
            include_str!("../text/conv_small_reader.c"),
            include_str!("../text/conv_small_decode.c"),
        ]
    } else {
        ["", "", include_str!("../text/conv_small_weights.c")]
    };
    let (first, weights) = (fill(first, &known), fill(weights, &known));
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
        ("CODE", codes),
        ("FIRST", first.trim_end()),
        ("WEIGHTS", weights.trim_end()),
        ("PARAMETER", &parameter),
        ("ADDED", &term),
        ("REQUANTIZE", requantize),
    ];
    source.once(&function, fill(include_str!("../text/conv_small_each.c"), &values));
    function
}

/// The weights in codes, each filter by itself, where that does not take more than a second function for layers would.
fn coded(layer: &ConvLayer) -> Option<Coded> {
    let bytes = layer.weights.len() * usize::from(layer.weight_bits) / 8;
    Coded::of_filters(layer.weights.chunks(layer.depth()), bytes + ANOTHER)
}

/// Puts the description of a layer into the file.
fn declare(source: &mut Source) {
    let member = source.weights_member("void");
    let values = [("P", "$P"), ("MEMBER", member.as_str())];
    source.once("layer", fill(include_str!("../text/conv_small.c"), &values));
}
