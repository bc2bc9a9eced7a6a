//! From the nodes of a network to buffers, and back to where their values lie.

use super::arrangement::{Buffer, arrange};
use crate::graph::NodeId;

/// Every offset is a multiple of this many bytes.
pub const ALIGNMENT: usize = 8;

/// What the memory of one node's value may look like. Nodes run in their order, each in a step of its own or several
/// in one, in which all their values lie beside one another.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MemoryNode {
    /// The nodes whose values it reads, all earlier.
    pub inputs: Vec<NodeId>,
    /// Bytes of its value.
    pub bytes: usize,
    /// Bytes it needs besides, during its own step.
    pub scratch_bytes: usize,
    /// Its value lies in a buffer of the caller's: it takes no memory here, is never overwritten,
    /// and neither aliases nor overwrites another.
    pub is_external: bool,
    /// Position in `inputs` of a value it shares its bytes with: it moves nothing.
    pub alias: Option<usize>,
    /// Positions in `inputs` of the values it may be written over, from the same first byte, where
    /// they are not read later. The caller vouches for the order of reads and writes.
    pub in_place: Vec<usize>,
}

/// Offsets of all values in one block of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Of each node's value; `None` where it lies in a buffer of the caller's.
    pub offsets: Vec<Option<usize>>,
    /// Of each node's scratch memory; `None` where it needs none.
    pub scratch_offsets: Vec<Option<usize>>,
    /// The position in its inputs of the value that each node is written over.
    pub in_place: Vec<Option<usize>>,
    /// Bytes of the block.
    pub bytes: usize,
    /// Bytes in use at each step: no arrangement is smaller than the largest.
    pub live_bytes: Vec<usize>,
    lifetimes: Vec<(usize, usize)>,
}

impl MemoryPlan {
    /// Plans the block for nodes in topological order, one a step; `outputs` stay until the end.
    ///
    /// The same nodes always give the same plan.
    ///
    /// # Panics
    /// Where a node reads a later one, or an alias or an in-place input is not among its inputs.
    pub fn new(nodes: &[MemoryNode], outputs: &[NodeId]) -> Self {
        let steps: Vec<usize> = (0..nodes.len()).collect();
        Self::in_steps(nodes, &steps, outputs)
    }

    /// As [`MemoryPlan::new`], where nodes run in these steps, of which none is before that of an earlier node.
    ///
    /// # Panics
    /// As there, and where there is not one step for each node.
    pub fn in_steps(nodes: &[MemoryNode], steps: &[usize], outputs: &[NodeId]) -> Self {
        assert_eq!(nodes.len(), steps.len(), "one for each node");
        for (id, node) in nodes.iter().enumerate() {
            assert!(node.inputs.iter().all(|&input| input < id), "node {id} reads a later one");
            let mut positions = node.in_place.iter().chain(&node.alias);
            assert!(positions.all(|&p| p < node.inputs.len()), "node {id} shares with no input");
        }
        let n_steps = steps.last().map_or(0, |last| last + 1);
        let Buffers { all: buffers, of_value, of_scratch } = Buffers::new(nodes, steps, outputs);
        let arrangement = arrange(&buffers, n_steps);
        let places = &arrangement.offsets;
        let offset = |buffer: &Option<usize>| buffer.map(|buffer| places[buffer]);
        let in_place = (0..nodes.len())
            .map(|id| {
                let own = of_value[id].filter(|_| nodes[id].alias.is_none())?;
                nodes[id].in_place.iter().copied().find(|&position| {
                    let over = of_value[nodes[id].inputs[position]];
                    over.is_some_and(|over| {
                        buffers[own].over.contains(&over) && places[own] == places[over]
                    })
                })
            })
            .collect();
        let lifetime = |id: NodeId| {
            of_value[id].map_or((steps[id], steps[id]), |buffer| {
                (buffers[buffer].first, buffers[buffer].last)
            })
        };
        Self {
            offsets: of_value.iter().map(offset).collect(),
            scratch_offsets: of_scratch.iter().map(offset).collect(),
            in_place,
            bytes: arrangement.bytes,
            live_bytes: arrangement.live_bytes,
            lifetimes: (0..nodes.len()).map(lifetime).collect(),
        }
    }

    /// The step at which most bytes are in use, the first among equals.
    pub fn peak_step(&self) -> usize {
        let most = self.live_bytes.iter().max();
        self.live_bytes.iter().position(|bytes| Some(bytes) == most).unwrap_or(0)
    }

    /// The nodes whose values lie in the block during a step, in order; of values that share their
    /// bytes as aliases, all.
    pub fn alive(&self, step: usize) -> Vec<NodeId> {
        let is_alive = |id: &NodeId| {
            let (first, last) = self.lifetimes[*id];
            self.offsets[*id].is_some() && first <= step && step <= last
        };
        (0..self.offsets.len()).filter(is_alive).collect()
    }
}

/// The buffers of a network: a value with its aliases, or the scratch memory of a node.
pub(super) struct Buffers {
    pub(super) all: Vec<Buffer>,
    /// That of each node's value.
    of_value: Vec<Option<usize>>,
    /// That of each node's scratch memory.
    of_scratch: Vec<Option<usize>>,
}

impl Buffers {
    pub(super) fn new(nodes: &[MemoryNode], steps: &[usize], outputs: &[NodeId]) -> Self {
        let n_steps = steps.last().map_or(0, |last| last + 1);
        let mut buffers: Vec<Buffer> = Vec::new();
        let mut of_value: Vec<Option<usize>> = Vec::with_capacity(nodes.len());
        for (id, node) in nodes.iter().enumerate() {
            for &input in &node.inputs {
                if let Some(buffer) = of_value[input] {
                    buffers[buffer].last = steps[id];
                }
            }
            let bytes = node.bytes.next_multiple_of(ALIGNMENT);
            of_value.push(match node.alias.map(|position| node.inputs[position]) {
                _ if node.is_external => None,
                Some(input) => {
                    if let Some(buffer) = of_value[input] {
                        buffers[buffer].bytes = buffers[buffer].bytes.max(bytes);
                    }
                    of_value[input]
                }
                None => {
                    let (first, last) = (steps[id], steps[id]);
                    buffers.push(Buffer { first, last, bytes, over: Vec::new() });
                    Some(buffers.len() - 1)
                }
            });
        }
        for &output in outputs {
            if let Some(buffer) = of_value.get(output).copied().flatten() {
                buffers[buffer].last = n_steps;
            }
        }
        let mut of_scratch = vec![None; nodes.len()];
        for (id, node) in nodes.iter().enumerate() {
            if let Some(own) = of_value[id].filter(|_| node.alias.is_none()) {
                let inputs = node.in_place.iter().map(|&position| node.inputs[position]);
                let dying = |buffer: &usize| {
                    buffers[*buffer].last == steps[id] && buffers[*buffer].first < steps[id]
                };
                let over: Vec<_> =
                    inputs.filter_map(|input| of_value[input]).filter(dying).collect();
                buffers[own].over = over;
            }
            if node.scratch_bytes > 0 {
                let bytes = node.scratch_bytes.next_multiple_of(ALIGNMENT);
                let (first, last) = (steps[id], steps[id]);
                buffers.push(Buffer { first, last, bytes, over: Vec::new() });
                of_scratch[id] = Some(buffers.len() - 1);
            }
        }
        Self { all: buffers, of_value, of_scratch }
    }
}
