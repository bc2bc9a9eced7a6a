//! High-level synthesis: the types of every layer as a precision configuration of hls4ml and as a
//! C++ header.
//!
//! The names are those of the nodes that [`qonnx`](super::qonnx) writes.

mod types;

pub use types::{HlsNode, HlsTypes};
pub(crate) use types::{clamp_note, exact_type, format_type, rounding_mode};

use super::names::{Alphabet, Names};
use crate::{error::EmitError, fixed_graph::FixedGraph};

/// What an HLS project takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HlsFiles {
    /// `hls_config` of hls4ml, as YAML: precisions by layer.
    pub config: String,
    /// The same types as a C++ header.
    pub header: String,
}

/// Configuration and header; `name` is that of the header's guard and must be a C identifier.
///
/// # Errors
/// [`EmitError`] naming the node whose operation has no types.
pub fn emit(fixed: &FixedGraph, name: &str) -> Result<HlsFiles, EmitError> {
    let mut names = Names::new(Alphabet::Identifier);
    let mut nodes = Vec::with_capacity(fixed.nodes.len());
    for node in &fixed.nodes {
        let inputs = node.inputs.iter().map(|&id| (fixed.nodes[id].shape, fixed.nodes[id].format));
        let of_node = HlsNode {
            name: &node.name,
            inputs: inputs.collect(),
            shape: node.shape,
            format: node.format,
        };
        let mut types = node.op.emit_hls(&of_node)?;
        types.joins.iter_mut().for_each(|join| *join = names.unique(join));
        nodes.push(Named { name: names.unique(&node.name), types });
    }
    Ok(HlsFiles { config: config(&nodes), header: header(&nodes, name) })
}

/// The types of one node, and its name in the files.
struct Named {
    name: String,
    types: HlsTypes,
}

fn config(nodes: &[Named]) -> String {
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
        let types = &node.types;
        text.push_str(&format!("  \"{}\":\n    Precision:\n", node.name));
        let result = |name: &str| format!("      result: {name}\n");
        for (kind, name) in &types.kinds {
            match &types.unbiased {
                // It is rounded after the bias.
                Some(sum) if *kind == "result" => {
                    text.push_str(&result(sum));
                    text.push_str(&format!("  \"{}_biased\":\n    Precision:\n", node.name));
                    text.push_str(&result(name));
                }
                _ => text.push_str(&format!("      {kind}: {name}\n")),
            }
        }
        for name in &types.joins {
            text.push_str(&format!("  \"{name}\":\n    Precision:\n"));
            types.kinds.iter().for_each(|(_, format)| text.push_str(&result(format)));
        }
    }
    text
}

fn header(nodes: &[Named], name: &str) -> String {
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
        if !node.types.note.is_empty() {
            text.push_str(&format!("// {}\n", node.types.note));
        }
        for (kind, name) in &node.types.kinds {
            text.push_str(&format!("typedef {name} {}_{kind}_t;\n", node.name));
        }
    }
    text.push_str("\n#endif\n");
    text
}
