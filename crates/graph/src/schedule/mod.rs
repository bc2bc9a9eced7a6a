//! In which order the rows of a network's values are computed, and how many of them are held: plain data that can be
//! printed and checked.
//!
//! Nothing here knows what an operation computes or how its value is stored.

mod choose;
mod flow;

pub(crate) use choose::Costs;
pub(crate) use flow::{FlowNode, Flows, Rows};

use crate::graph::NodeId;
use std::ops::Range;

/// A network in parts, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// In the order of the nodes; together they have all of them.
    pub parts: Vec<Part>,
}

/// Nodes that are computed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub nodes: Range<NodeId>,
    /// How their rows follow each other; nothing where it is one node that is computed whole.
    pub flow: Option<Flow>,
}

/// How the rows of a part follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Rows that are held of each node's value: all of them where a node after the part reads it, none where the next node
    /// makes each of its rows out of the one that was just made, in its place.
    pub held: Vec<usize>,
    /// What happens, in order.
    pub actions: Vec<Action>,
}

/// A step of a part whose rows flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The next row of a node's value is computed; of the network's input it arrives.
    Compute(NodeId),
    /// The first rows that are held of a value are given up, and those after them take their place.
    Drop {
        /// Whose value.
        node: NodeId,
        /// How many rows.
        rows: usize,
    },
}

impl Flow {
    /// Whether the next node of the part makes each of its rows out of one of this node, in its place.
    pub(crate) fn is_replaced(&self, part: &Range<NodeId>, node: NodeId) -> bool {
        part.contains(&node) && self.held[node - part.start] == 0
    }
}

impl Action {
    /// Whether rows of that node are given up.
    pub(crate) fn drops(&self, of: NodeId) -> bool {
        matches!(self, Self::Drop { node, .. } if *node == of)
    }
}

impl Schedule {
    /// Every node whole, one after the other.
    pub fn whole(n_nodes: usize) -> Self {
        let part = |id: NodeId| Part { nodes: id..id + 1, flow: None };
        Self { parts: (0..n_nodes).map(part).collect() }
    }

    /// The part of each node.
    pub fn steps(&self) -> Vec<usize> {
        let parts = self.parts.iter().enumerate();
        parts.flat_map(|(step, part)| part.nodes.clone().map(move |_| step)).collect()
    }

    /// The part of a node.
    pub fn step(&self, node: NodeId) -> usize {
        self.parts.partition_point(|part| part.nodes.end <= node)
    }

    /// Rows that are held of a node's value, where that is not simply all of them.
    pub fn held(&self, node: NodeId) -> Option<usize> {
        let part = &self.parts[self.step(node)];
        part.flow.as_ref().map(|flow| flow.held[node - part.nodes.start])
    }
}
