//! The integer network as plain data: the executor runs it, an emitter prints it, neither decides.

use crate::{fixed_operator::FixedOp, graph::NodeId, output::Output, shape::Shape};
use fixedwise_fixed::Format;
use std::ops::Range;

/// One integer operation and the value it produces.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedNode {
    /// The node of the float graph.
    pub name: String,
    /// What it computes, with every shift and bound.
    pub op: FixedOp,
    /// The nodes whose values it takes.
    pub inputs: Vec<NodeId>,
    /// Extents of its value.
    pub shape: Shape,
    /// What its integers mean.
    pub format: Format,
    /// Bits its worst sum needs; 0 where it sums nothing.
    pub accumulator_bits: u8,
}

/// A network of integers; node for node that of the graph it was lowered from.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedGraph {
    /// The model's name.
    pub name: String,
    /// In topological order.
    pub nodes: Vec<FixedNode>,
    /// The nodes that are inputs, as the graph has them.
    pub inputs: Vec<NodeId>,
    /// The results, as the graph has them.
    pub outputs: Vec<Output>,
}

impl FixedGraph {
    /// Where the values of each input stand in an image, in the order of the inputs.
    pub fn image_parts(&self) -> Vec<Range<usize>> {
        image_parts(self.inputs.iter().map(|&id| self.nodes[id].shape))
    }

    /// The node whose value is the first result.
    pub fn output(&self) -> NodeId {
        self.outputs[0].node
    }

    /// The nodes whose values are results; a node that is two of them comes twice.
    pub fn output_nodes(&self) -> Vec<NodeId> {
        self.outputs.iter().map(|output| output.node).collect()
    }
}

/// Where the values of inputs of those extents stand in an image, one after the other.
pub(crate) fn image_parts(shapes: impl Iterator<Item = Shape>) -> Vec<Range<usize>> {
    let mut start = 0;
    let part = |shape: Shape| {
        let part = start..start + shape.len();
        start = part.end;
        part
    };
    shapes.map(part).collect()
}
