//! High-level synthesis: the types of every layer as a precision configuration of hls4ml and as a
//! C++ header.
//!
//! The names are those of the nodes that [`qonnx`](super::qonnx) writes.

use super::{
    names::{Alphabet, Names},
    network,
    operation::Operation,
};
use crate::{
    fixed_graph::{FixedGraph, FixedNode},
    lower::Requantization,
    ops::FixedConv,
};
use fixedwise_fixed::{Format, Range, Rounding, bits_for};

/// What an HLS project takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HlsFiles {
    /// `hls_config` of hls4ml, as YAML: precisions by layer.
    pub config: String,
    /// The same types as a C++ header.
    pub header: String,
}

/// The types of one node.
struct Types {
    name: String,
    note: String,
    /// By what hls4ml calls them.
    kinds: Vec<(&'static str, String)>,
    /// The type of a sum to which QONNX adds the bias in a node of its own.
    unbiased: Option<String>,
    /// Of a concatenation: what its values are joined in before the last.
    joins: Vec<String>,
}

/// Configuration and header; `name` is that of the header's guard and must be a C identifier.
pub fn emit(fixed: &FixedGraph, name: &str) -> HlsFiles {
    let mut names = Names::new(Alphabet::Identifier);
    let nodes: Vec<Types> = fixed
        .nodes
        .iter()
        .map(|node| {
            let inputs: Vec<Format> =
                node.inputs.iter().map(|&id| fixed.nodes[id].format).collect();
            let (note, kinds) = types(node, &inputs);
            let unbiased = unbiased(fixed, node);
            let joins = network::joins(node).iter().map(|name| names.unique(name)).collect();
            Types { name: names.unique(&node.name), note, kinds, unbiased, joins }
        })
        .collect();
    HlsFiles { config: config(&nodes), header: header(&nodes, name) }
}

/// The sum's type where the bias has a node of its own: a vector's layer, or a bias by position.
fn unbiased(fixed: &FixedGraph, node: &FixedNode) -> Option<String> {
    let op = node.op.get::<FixedConv>()?;
    let input = fixed.nodes[node.inputs[0]].shape;
    let by_position = op.bias.values.len() != op.channels;
    let frac = i32::from(op.weights_format.frac) + i32::from(op.input.frac);
    let bits = op.aligned_accumulator_bits().max(1);
    (by_position || op.is_dense(input)).then(|| exact(bits, frac))
}

fn types(node: &FixedNode, inputs: &[Format]) -> (String, Vec<(&'static str, String)>) {
    let plain = |rounding| result(node.format, rounding);
    let bits = node.accumulator_bits.max(1);
    match Operation::of(&node.op) {
        Operation::Input => ("Raw pixels.".to_owned(), vec![("result", plain("AP_RND_CONV"))]),
        Operation::Conv(op) => {
            let frac = i32::from(op.weights_format.frac) + i32::from(op.input.frac);
            let largest = op.aligned_bias().iter().map(|b| b.unsigned_abs()).max().unwrap_or(0);
            let types = vec![
                ("weight", result(op.aligned_format(), "AP_RND_CONV")),
                ("bias", exact(bits_for(largest), frac)),
                ("accum", exact(op.aligned_accumulator_bits().max(1), frac)),
                ("result", plain(mode(&op.requantization))),
            ];
            let mut text = note(&op.requantization);
            if !op.coarser.is_empty() {
                text.push_str(&format!(
                    " Each output channel has a binary point of its own: its weights have {} bits, and \
                     zeros below them.",
                    op.weights_format.bits
                ));
            }
            (text.trim().to_owned(), types)
        }
        Operation::Add(op) => {
            let frac = inputs.iter().map(|format| i32::from(format.frac)).max().unwrap_or(0);
            let result = plain(mode(&op.requantization));
            (note(&op.requantization), vec![("accum", exact(bits, frac)), ("result", result)])
        }
        Operation::AveragePool(op) => {
            let result = plain(mode(&op.requantization));
            let sum = exact(bits, i32::from(inputs[0].frac));
            let mut text = note(&op.requantization);
            if op.reciprocal_frac > 0 {
                let frac = op.reciprocal_frac;
                text.push_str(&format!(
                    " The sum is multiplied by round(2^{frac} / n) * 2^-{frac}."
                ));
            }
            (text, vec![("accum", sum), ("result", result)])
        }
        Operation::Rescale(op) => {
            (note(&op.requantization), vec![("result", plain(mode(&op.requantization)))])
        }
        Operation::Concat(op) => {
            let rounding = op.requantizations.first().map_or("AP_TRN", mode);
            (String::new(), vec![("result", plain(rounding))])
        }
        Operation::MaxPool(_) | Operation::Pad(_) | Operation::Reshape(_) => {
            ("Its input's format.".to_owned(), vec![("result", plain("AP_TRN"))])
        }
    }
}

/// The rounding in HLS terms.
fn mode(requantization: &Requantization) -> &'static str {
    match requantization.rounding {
        Rounding::TiesUp => "AP_RND",
        Rounding::TiesEven => "AP_RND_CONV",
        Rounding::Floor => "AP_TRN",
    }
}

/// What the type alone does not do.
fn note(requantization: &Requantization) -> String {
    let Requantization { min, max, leaky, format, .. } = *requantization;
    let mut text = String::new();
    if (min, max) != (format.min(), format.max()) {
        text.push_str(&format!(
            "Clamped to {} .. {}.",
            format.dequantize(min),
            format.dequantize(max)
        ));
    }
    if let Some(alpha) = leaky {
        text.push_str(&format!(
            " Below 0 the sum is multiplied by {alpha}/128 before it is rounded."
        ));
    }
    text.trim().to_owned()
}

/// A format with rounding and saturation.
fn result(format: Format, rounding: &str) -> String {
    let (bits, whole) = (format.bits, format.integer_bits());
    match format.range {
        Range::Unsigned => format!("ap_ufixed<{bits},{whole},{rounding},AP_SAT>"),
        Range::Narrow => format!("ap_fixed<{bits},{whole},{rounding},AP_SAT_SYM>"),
        Range::Full => format!("ap_fixed<{bits},{whole},{rounding},AP_SAT>"),
    }
}

/// A signed type that its values never leave.
fn exact(bits: u8, frac: i32) -> String {
    format!("ap_fixed<{bits},{}>", i32::from(bits) - frac)
}

fn config(nodes: &[Types]) -> String {
    let mut text = "\
# Written by fixedwise export: the precision of each layer, for hls4ml (hls_config).
# The names are those of `fixedwise export qonnx`, whose weights take raw pixels.
Model:
  Precision:
    default: ap_fixed<32,16>
  ReuseFactor: 1
  Strategy: Latency
LayerName:
"
    .to_owned();
    for node in nodes {
        text.push_str(&format!("  \"{}\":\n    Precision:\n", node.name));
        let result = |name: &str| format!("      result: {name}\n");
        for (kind, name) in &node.kinds {
            match &node.unbiased {
                // It is rounded after the bias.
                Some(sum) if *kind == "result" => {
                    text.push_str(&result(sum));
                    text.push_str(&format!("  \"{}_biased\":\n    Precision:\n", node.name));
                    text.push_str(&result(name));
                }
                _ => text.push_str(&format!("      {kind}: {name}\n")),
            }
        }
        for name in &node.joins {
            text.push_str(&format!("  \"{name}\":\n    Precision:\n"));
            node.kinds.iter().for_each(|(_, format)| text.push_str(&result(format)));
        }
    }
    text
}

fn header(nodes: &[Types], name: &str) -> String {
    let guard = format!("{}_TYPES_H", name.to_ascii_uppercase());
    let mut text = format!(
        "// Written by fixedwise export: the fixed-point types of the network {name}.
//
// weight_t and bias_t hold the constants exactly; no sum of a layer leaves its accum_t;
// result_t rounds and saturates as the network does.
#ifndef {guard}
#define {guard}

#include \"ap_fixed.h\"
"
    );
    for node in nodes {
        text.push('\n');
        if !node.note.is_empty() {
            text.push_str(&format!("// {}\n", node.note));
        }
        for (kind, name) in &node.kinds {
            text.push_str(&format!("typedef {name} {}_{kind}_t;\n", node.name));
        }
    }
    text.push_str("\n#endif\n");
    text
}
