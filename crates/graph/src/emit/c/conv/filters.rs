//! Four filters at a time over the whole image, in plain C: packed weights are unpacked once. They
//! see all input channels, or each one of its own (depthwise).

use super::{
    coded::Coded,
    layer::{Common, ConvLayer, layer_function},
    printed::Printed,
    three,
    weights::{Unpack, Weights},
};
use crate::emit::c::{
    node::window_loop,
    options::WeightCode,
    source::{Source, fill},
    work::Windows,
};
use fixedwise_kernels::ConvKind;

/// Filters that share each load of an activation.
const BLOCK: usize = 4;
/// Bytes of the call that decodes weights; of the functions for them that a dense layer has not with others.
const DECODING: usize = 16;
const DENSE_DECODING: usize = 640;
/// Bytes of the code that unpacks weights of three values.
const UNPACKING: usize = 256;
/// Weights of a filter of a dense layer that are unpacked into working memory.
const MOST_UNPACKED: usize = 512;

pub(super) fn emit(layer: &ConvLayer, source: &mut Source) -> Option<Printed> {
    let is_depthwise = match layer.kind() {
        ConvKind::Depthwise => true,
        ConvKind::Grouped => return None,
        _ if layer.window.dilation != [1, 1] => return None,
        _ => false,
    };
    let (channels, depth) = (layer.channels, layer.depth());
    let blocked = channels / BLOCK * BLOCK;
    // [block][kernel row, kernel column, input channel][filter], then the filters left over.
    let weight = |filter: usize, k: usize| layer.weights[filter * depth + k];
    let blocks = (0..blocked).step_by(BLOCK).flat_map(|block| {
        (0..depth).flat_map(move |k| (0..BLOCK).map(move |filter| weight(block + filter, k)))
    });
    let stored = blocks.chain(layer.weights[blocked * depth..].iter().copied());
    let name = format!("{}_weights", layer.name);
    let is_dense = layer.output.h * layer.output.w == 1
        && !is_depthwise
        && layer.window.kernel == [layer.input.h, layer.input.w];
    let rest = channels - blocked;
    let bytes = three::bytes(BLOCK * depth) * blocked / BLOCK + three::bytes(depth) * rest;
    let may_unpack = !is_dense || depth <= MOST_UNPACKED;
    let power = three::power(layer).filter(|_| may_unpack && three::saves(layer, bytes, UNPACKING));
    let stored: Vec<i16> = stored.collect();
    let (of_blocks, others) = stored.split_at(blocked * depth);
    let parts = of_blocks.chunks(BLOCK * depth).chain(others.chunks(depth));
    let may_code = layer.weight_code == WeightCode::Codes && may_unpack;
    let coded = may_code.then(|| {
        let bytes = layer.weights.len() * usize::from(layer.weight_bits) / 8;
        let code = if is_dense { DENSE_DECODING } else { DECODING };
        Coded::of_filters(parts.clone(), bytes.saturating_sub(code))
    });
    let weights = match (power, coded.flatten()) {
        (None, None) => Weights::store(source, &name, layer.weight_bits, stored),
        (Some(power), _) => Weights::store_three(source, &name, power, parts.map(<[i16]>::to_vec)),
        (None, Some(coded)) => Weights::store_coded(source, layer.name, coded),
    };
    let common = layer.common(source);
    let kind = if is_depthwise { Kind::Depthwise } else { Kind::Filters };
    let emission = Emission { layer, common, weights, name };
    // One pixel uses each weight once: it is unpacked there.
    let is_of_fields = matches!(emission.weights.unpack, Unpack::Fields);
    if is_dense && is_of_fields && emission.weights.packed.is_some() {
        return Some(Printed::new(emission.dense(source, blocked), 0));
    }
    let (call, scratch_bytes) = emission.filters(kind, source, blocked);
    let weight_code = emission.weights.code();
    Some(Printed { call, scratch_bytes, weight_code })
}

/// What a function computes.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Filters,
    Depthwise,
    Dense,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Filters => "filters",
            Self::Depthwise => "depthwise",
            Self::Dense => "dense",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Filters => include_str!("../text/conv_filters.c"),
            Self::Depthwise => include_str!("../text/conv_depthwise.c"),
            Self::Dense => include_str!("../text/conv_dense.c"),
        }
    }
}

struct Emission<'a> {
    layer: &'a ConvLayer<'a>,
    common: Common,
    weights: Weights,
    name: String,
}

impl Emission<'_> {
    /// Gives the call.
    fn dense(&self, source: &mut Source, blocked: usize) -> String {
        let Self { layer, common, name, weights, .. } = self;
        let (channels, depth) = (layer.channels, layer.depth());
        let prefix = source.prefix().to_owned();
        let mut body = String::new();
        for (block, from, to) in [(BLOCK, 0, blocked), (1, blocked, channels)] {
            if from == to {
                continue;
            }
            let types = self.function(source, block, Kind::Dense);
            let calls = (to - from) / block;
            let kernel = format!("{}{block}", Kind::Dense.name());
            let turns = [calls, calls * depth];
            layer.runs((&kernel, &weights.short()), &turns, to - from, source);
            let step = if block == 1 { "o++".to_owned() } else { format!("o += {block}") };
            let from_weights = match self.block_bits(block) {
                Some(bits) => format!("{name} + o * {depth} * {bits} / 8"),
                None => format!("{name}, o * {depth}"),
            };
            body.push_str(&format!(
                "    for (int32_t o = {from}; o < {to}; {step}) {{\n        \
                 {prefix}_{types}(x, y, o, {depth}, {from_weights}, {} + o, {});\n    \
                 }}\n",
                common.bias,
                common.to("o", "added")
            ));
        }
        let kind = self.layer_kind("dense", blocked);
        layer_function(layer, source, &kind, &format!("{body}    (void)scratch;"), None)
    }

    /// What the code of the layer's own function depends on: the kernel, whether weights are unpacked, blocks of
    /// filters, and what it hands on.
    fn layer_kind(&self, kernel: &str, blocked: usize) -> String {
        let Self { layer, weights, .. } = self;
        let blocks = match (blocked, layer.channels - blocked) {
            (_, 0) => "4",
            (0, _) => "1",
            _ => "41",
        };
        let weights = match (&weights.unpack, weights.packed) {
            (Unpack::Codes(_), _) => "coded",
            (_, Some(_)) => "packed",
            (_, None) => "whole",
        };
        let bias = if layer.has_classes() { "classes" } else { "bias" };
        let shifts = if layer.is_by_channel() { "shifts" } else { "shift" };
        let added = if layer.added.is_some() { "_added" } else { "" };
        format!("layer{kernel}_{blocks}_{weights}_{bias}_{shifts}{added}")
    }

    /// Bits of a weight where the weights of a block that meet one input are whole bytes.
    fn block_bits(&self, block: usize) -> Option<u8> {
        self.weights.packed.filter(|bits| block == BLOCK && matches!(bits, 2 | 4))
    }

    /// Gives the call and the bytes of scratch.
    fn filters(&self, kind: Kind, source: &mut Source, blocked: usize) -> (String, usize) {
        let Self { layer, common, weights, name } = self;
        let (channels, depth) = (layer.channels, layer.depth());
        let prefix = source.prefix().to_owned();
        let unpacked = weights.unpacked();
        let windows = layer.windows();
        let window = layer.window(source);
        source.declare_rows();
        let is_of_fields = matches!(weights.unpack, Unpack::Fields);
        if let Some(bits) = weights.packed.filter(|_| is_of_fields) {
            let text = fill(
                include_str!("../text/unpack.c"),
                &[("P", &prefix), ("BITS", &bits.to_string()), ("W", unpacked)],
            );
            source.once(&format!("unpack_{bits}"), text);
        }
        let mut body = String::new();
        let (mut scratch, mut first) = (0, 0);
        if let Unpack::Codes(coded) = &weights.unpack {
            body.push_str(&format!("    {prefix}_reader reader = {{{name}, 0, 0}};\n"));
            coded.runs(source, blocked / BLOCK + channels - blocked, windows.calls);
        }
        for (block, from, to) in [(BLOCK, 0, blocked), (1, blocked, channels)] {
            if from == to {
                continue;
            }
            let types = self.function(source, block, kind);
            let Windows { calls, rows, pixels, kernel_rows, taps } = windows;
            let c = if kind == Kind::Filters { layer.input.c } else { 1 };
            let blocks = (to - from) / block;
            let turns = [calls, rows, pixels, kernel_rows, taps * c].map(|turns| blocks * turns);
            let kernel = format!("{}{block}", kind.name());
            layer.runs((&kernel, unpacked), &turns, pixels * (to - from), source);
            if layer.has_classes() {
                source.runs("classes", &[pixels * blocks]);
            }
            let step = if block == 1 { "o++".to_owned() } else { format!("o += {block}") };
            let mut unpack = String::new();
            let mut filters = format!("{name} + o * {depth}");
            if let Unpack::Codes(coded) = &weights.unpack {
                let n = (block * depth).next_multiple_of(2);
                scratch = scratch.max(n);
                "(int8_t *)scratch".clone_into(&mut filters);
                unpack = format!(
                    "        {prefix}_{}(&{}_code, &reader, {n}, {filters});\n",
                    coded.function(),
                    layer.name
                );
            } else if let Unpack::Three(power) = weights.unpack {
                let (n, each) = (block * depth, three::bytes(block * depth));
                source.runs("unpackthree", &[blocks * calls, blocks * calls * each]);
                scratch = scratch.max(n);
                "(int8_t *)scratch".clone_into(&mut filters);
                let at = format!("{name} + {first} + (o - {from}) / {block} * {each}");
                unpack = format!("        {prefix}_unpack_three({at}, {n}, {power}, {filters});\n");
                first += blocks * each;
            } else if let Some(bits) = weights.packed {
                let n = block * depth;
                source.runs(&format!("unpack_{bits}"), &[blocks * calls, blocks * calls * n]);
                let bytes = if unpacked == "int8_t" { n } else { 2 * n };
                scratch = scratch.max(bytes);
                filters = format!("({unpacked} *)scratch");
                unpack = format!(
                    "        {prefix}_unpack_{bits}({name}, o * {depth}, {n}, {filters});\n"
                );
            }
            body.push_str(&format!(
                "    for (int32_t o = {from}; o < {to}; {step}) {{\n{unpack}        \
                 {prefix}_{types}(x, y, o, {}, range,\n            {filters}, {} + o, {}, {});\n    \
                 }}\n",
                window,
                common.bias,
                common.classes,
                common.to("o", "added")
            ));
        }
        if scratch == 0 {
            body.push_str("    (void)scratch;");
        }
        let kind = self.layer_kind("filters", blocked);
        let rows = layer.rows(layer.output.h, source);
        (layer_function(layer, source, &kind, body.trim_end(), Some(&rows)), scratch)
    }

    /// Puts the function for blocks of that many filters into the file; gives its name without prefix.
    fn function(&self, source: &mut Source, block: usize, kind: Kind) -> String {
        let Self { layer, common, weights, .. } = self;
        let prefix = source.prefix().to_owned();
        let is_dense = kind == Kind::Dense;
        let stored = if is_dense { weights.short() } else { weights.unpacked().replace("_t", "") };
        let name = format!(
            "{}{block}_{}_{stored}_{}_{}_{}",
            kind.name(),
            layer.x.short(),
            common.bias_type.trim_end_matches("_t"),
            layer.y.short(),
            layer.result_kind()
        );
        let (mut accumulators, mut sums, mut stores) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..block {
            let added = layer.added_term(source, &format!("at + {i}"), &i.to_string());
            accumulators.push(format!("a{i} = b[{i}]{added}"));
            let weight = match self.block_bits(block) {
                Some(bits) if is_dense => {
                    // The field's sign goes to the top, and comes back with its bits.
                    let top = 32 - usize::from(bits);
                    format!("((int32_t)(fields << {}) >> {top})", top - i * usize::from(bits))
                }
                _ if is_dense => weights.at(&prefix, &format!("w + {i}")),
                _ => format!("w[{i}]"),
            };
            let value = match kind {
                Kind::Depthwise => format!("{prefix}_at_{}(x, p + {i})", layer.x.short()),
                Kind::Filters | Kind::Dense => "value".to_owned(),
            };
            sums.push(format!("a{i} += {value} * {weight};"));
            let result = layer.result(source, &format!("a{i}"), &i.to_string());
            stores.push(format!("{prefix}_put_{}(y, at + {i}, {result});", layer.y.short()));
        }
        let indent =
            |lines: &[String], depth: usize| lines.join(&format!("\n{}", " ".repeat(depth)));
        let (sums_depth, stores_depth) = if is_dense { (8, 4) } else { (20, 12) };
        let (template, block_bytes) = match self.block_bits(block) {
            Some(bits) if is_dense => {
                (include_str!("../text/conv_dense_block.c"), usize::from(bits) / 2)
            }
            _ => (kind.text(), 0),
        };
        let fields =
            if block_bytes == 2 { "weights[0] | (uint32_t)weights[1] << 8" } else { "weights[0]" };
        let [begin, end] = window_loop(kind == Kind::Depthwise);
        let text = fill(
            template,
            &[
                (begin.0, &begin.1),
                (end.0, &end.1),
                ("BIAS_OF_CLASS", &ConvLayer::bias_of_class(common.bias_type)),
                ("BITS", &(2 * block_bytes).to_string()),
                ("BYTES", &block_bytes.to_string()),
                ("FIELDS", fields),
                ("TO", &layer.result_parameters().replace("$P", &prefix)),
                ("P", &prefix),
                ("NAME", &name),
                ("N", &block.to_string()),
                ("X", layer.x.ctype()),
                ("X4", layer.x.short()),
                ("Y", layer.y.ctype()),
                ("W", weights.unpacked()),
                ("B", common.bias_type),
                ("ACCUMULATORS", &format!("int32_t {};", accumulators.join(", "))),
                ("SUMS", &indent(&sums, sums_depth)),
                ("STORES", &indent(&stores, stores_depth)),
            ],
        );
        source.once(&name, text);
        name
    }
}
