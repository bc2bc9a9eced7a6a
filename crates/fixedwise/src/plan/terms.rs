//! What every form of a plan shares: widths, names of nodes, and what is wrong where.

use fixedwise_fixed::Format;
use fixedwise_graph::{Graph, LowerError};

/// Widest weights and activations.
pub(crate) const MAX_BITS: u8 = 16;
/// Widest biases.
pub(crate) const MAX_BIAS_BITS: u8 = 32;
/// What the integer network takes unless a plan says otherwise: raw 8-bit pixels.
pub(crate) const RAW_PIXELS: Format = Format::unsigned(8, 0);

/// A layer and the bits of its weights, bias and activation.
pub(crate) type NamedBits = (String, [Option<u8>; 3]);

/// What is wrong with a plan, and where.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) line: Option<usize>,
    pub(crate) problem: String,
}

impl Problem {
    pub(crate) fn at(text: &str, offset: usize, problem: String) -> Self {
        let line = text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1;
        Self { line: Some(line), problem }
    }
}

pub(crate) fn is_node(graph: &Graph, name: &str, is_layer: bool) -> bool {
    graph.find(name).is_some_and(|id| graph.nodes[id].op.is_layer() == is_layer)
}

/// The names of a network's layers, or of its other nodes.
pub(crate) fn names(graph: &Graph, is_layer: bool) -> String {
    let nodes = graph.nodes.iter().filter(|node| node.op.is_layer() == is_layer);
    nodes.map(|node| format!("`{}`", node.name)).collect::<Vec<_>>().join(", ")
}

/// What is wrong with a plan that has a format for a sum which a layer computes inside.
pub(crate) fn inside_layer(graph: &Graph, name: &str) -> Option<String> {
    let (name, layer) = (name.to_owned(), graph.layer_of_sum(name)?.to_owned());
    Some(LowerError::InsideLayer { name, layer }.to_string())
}

/// A network to try plans on.
#[cfg(test)]
pub(super) mod testing {
    use fixedwise_graph::{
        Activation, Graph, Node, Shape,
        ops::{Add, Gemm, Input},
    };

    /// Two layers in an order that is not alphabetical, and an add.
    pub(in super::super) fn graph() -> Graph {
        let shape = Shape::vector(2);
        let node = |name: &str, op: fixedwise_graph::Op, inputs: Vec<usize>| Node {
            name: name.to_owned(),
            op,
            inputs,
            activation: Activation::None,
            shape,
        };
        let gemm = || Gemm { weights: vec![1.0; 4], bias: vec![0.0; 2] };
        let nodes = vec![
            node("input", Input { shape }.into(), vec![]),
            node("b", gemm().into(), vec![0]),
            node("a / \"1\"", gemm().into(), vec![1]),
            node("sum", Add.into(), vec![1, 2]),
        ];
        Graph::new("test", nodes, 3)
    }
}
