//! Any convolution, in plain C: groups, dilation, every width.

use super::{layer::ConvLayer, weights::Weights};
use crate::emit::c::{
    node::window_loop,
    source::{Source, fill},
    work::Windows,
};

/// Gives the call.
pub(super) fn emit(layer: &ConvLayer, source: &mut Source) -> String {
    let prefix = source.prefix().to_owned();
    let name = format!("{}_weights", layer.name);
    let stored = layer.weights.iter().copied();
    let weights = Weights::store(source, &name, layer.weight_bits, stored);
    let common = layer.common(source);
    let window = layer.window(source);
    let rows = layer.rows(layer.output.h, source);
    let result = layer.result(source, "acc", "o");
    let types = format!(
        "{}_{}_{}_{}_{}",
        layer.x.short(),
        weights.short(),
        common.bias_type.trim_end_matches("_t"),
        layer.y.short(),
        layer.result_kind()
    );
    let Windows { calls, rows: all_rows, pixels, kernel_rows, taps } = layer.windows();
    let (o, c) = (layer.channels, layer.input.c / layer.groups);
    let turns = [calls, all_rows, pixels, kernel_rows * o, taps * o, taps * o * c];
    layer.runs(("conv", &weights.short()), &turns, pixels * o, source);
    let [begin, end] = window_loop(true);
    let text = fill(
        include_str!("../text/conv_general.c"),
        &[
            (begin.0, &begin.1),
            (end.0, &end.1),
            ("BIAS_OF_CLASS", &ConvLayer::bias_of_class(common.bias_type)),
            ("TO", &layer.result_parameters().replace("$P", &prefix)),
            ("P", &prefix),
            ("S", &types),
            ("X", layer.x.ctype()),
            ("X4", layer.x.short()),
            ("Y4", layer.y.short()),
            ("Y", layer.y.ctype()),
            ("W", weights.ctype),
            ("B", common.bias_type),
            ("WEIGHT", &weights.at(&prefix, "w + k")),
            ("ADDED", &layer.added_term(source, "n", "o")),
            ("RESULT", &result),
        ],
    );
    source.once(&format!("conv_{types}"), text);
    format!(
        "$P_conv_{types}($X0, $Y, {}, {rows}, {},\n    {name}, {}, {}, {});",
        window,
        layer.groups,
        common.bias,
        common.classes,
        common.to("0", "$X1")
    )
}
