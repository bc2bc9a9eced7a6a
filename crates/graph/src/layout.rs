//! How the values of an integer network share memory, whatever their formats: the printed arena, the footprint and
//! a search's objective ask here, and only here.

use crate::{
    fixed_graph::FixedGraph,
    fixed_operator::Place,
    graph::NodeId,
    memory::{MemoryNode, MemoryPlan},
};

/// The values of an integer network as far as memory is concerned. The caller's buffers hold the inputs and the
/// results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    values: Vec<Value>,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    inputs: Vec<NodeId>,
    elements: usize,
    place: Place,
}

impl Layout {
    /// Of a network as it runs: node for node, one step each.
    pub(crate) fn new(fixed: &FixedGraph) -> Self {
        let value = |node: &crate::FixedNode| Value {
            inputs: node.inputs.clone(),
            elements: node.shape.len(),
            place: node.op.place(),
        };
        let values = fixed.nodes.iter().map(value).collect();
        Self { values, inputs: fixed.inputs.clone(), outputs: fixed.output_nodes() }
    }

    /// The node whose memory holds the value of a node: another where it is an alias.
    pub(crate) fn holder(&self, id: NodeId) -> NodeId {
        match self.values[id].place {
            Place::Alias(input) => self.holder(self.values[id].inputs[input]),
            Place::Apart | Place::Over(_) | Place::OverAlike(_) | Place::Stored => id,
        }
    }

    /// Bytes of a node's value whose elements have so many bits.
    pub(crate) fn value_bytes(&self, id: NodeId, element_bits: usize) -> usize {
        (self.values[id].elements * element_bits).div_ceil(8)
    }

    /// The block of working memory, where elements have so many bits and steps need so many bytes of scratch
    /// memory, both by node.
    ///
    /// # Panics
    /// Where either is not one for each node.
    pub(crate) fn plan(&self, element_bits: &[usize], scratch_bytes: &[usize]) -> MemoryPlan {
        let n = self.values.len();
        assert!(element_bits.len() == n && scratch_bytes.len() == n, "one for each node");
        let results: Vec<NodeId> = self.outputs.iter().map(|&id| self.holder(id)).collect();
        let node = |(id, value): (NodeId, &Value)| {
            let of = |position: usize| value.inputs[position];
            // Elements are written in order: wider ones would reach those that are still to be read.
            let fits = |position: &usize| element_bits[id] <= element_bits[of(*position)];
            let is_free = |position: usize| {
                let others = (0..value.inputs.len()).filter(|&other| other != position);
                let mut holders = others.map(|other| self.holder(of(other)));
                element_bits[id] == element_bits[of(position)]
                    && holders.all(|holder| holder != self.holder(of(position)))
            };
            let (alias, in_place) = match value.place {
                Place::Apart | Place::Stored => (None, Vec::new()),
                Place::Over(inputs) => (None, inputs.iter().copied().filter(fits).collect()),
                Place::OverAlike(input) => {
                    (None, vec![input].into_iter().filter(|&i| is_free(i)).collect())
                }
                Place::Alias(input) => (Some(input), Vec::new()),
            };
            MemoryNode {
                inputs: value.inputs.clone(),
                bytes: self.value_bytes(id, element_bits[id]),
                scratch_bytes: scratch_bytes[id],
                is_external: self.inputs.contains(&id)
                    || results.contains(&id)
                    || value.place == Place::Stored,
                alias,
                in_place,
            }
        };
        let nodes: Vec<MemoryNode> = self.values.iter().enumerate().map(node).collect();
        MemoryPlan::new(&nodes, &self.outputs)
    }
}
