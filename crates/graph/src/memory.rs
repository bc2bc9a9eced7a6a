//! Where the values of a network lie in one block of memory while it runs.
//!
//! Sizes and the legal ways of sharing go in, offsets come out. Nothing here knows what a node
//! computes or how a value is stored.

use crate::graph::NodeId;

/// Every offset is a multiple of this many bytes.
pub const ALIGNMENT: usize = 8;

/// Orders that are tried at most before the best arrangement is taken.
const MAX_ORDERS: usize = 256;

/// What the memory of one node's value may look like. Nodes run in their order, one a step.
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
    /// Bytes in use at each node's step: no arrangement is smaller than the largest.
    pub live_bytes: Vec<usize>,
    lifetimes: Vec<(NodeId, NodeId)>,
}

impl MemoryPlan {
    /// Plans the block for nodes in topological order; `output` stays until the end.
    ///
    /// The same nodes always give the same plan.
    ///
    /// # Panics
    /// Where a node reads a later one, or an alias or an in-place input is not among its inputs.
    pub fn new(nodes: &[MemoryNode], output: NodeId) -> Self {
        for (id, node) in nodes.iter().enumerate() {
            assert!(node.inputs.iter().all(|&input| input < id), "node {id} reads a later one");
            let mut positions = node.in_place.iter().chain(&node.alias);
            assert!(positions.all(|&p| p < node.inputs.len()), "node {id} shares with no input");
        }
        let (buffers, of_value) = buffers(nodes, output);
        let live_bytes = live_bytes(&buffers, nodes.len());
        let (places, bytes) = arrange(&buffers, live_bytes.iter().copied().max().unwrap_or(0));

        let offset = |buffer: Option<usize>| buffer.map(|buffer| places[buffer]);
        let mut scratch_offsets = vec![None; nodes.len()];
        for (buffer, place) in buffers.iter().zip(&places) {
            if buffer.is_scratch {
                scratch_offsets[buffer.first] = Some(*place);
            }
        }
        let in_place = (0..nodes.len())
            .map(|id| {
                let own = of_value[id].filter(|&own| buffers[own].first == id)?;
                nodes[id].in_place.iter().copied().find(|&position| {
                    let over = of_value[nodes[id].inputs[position]];
                    over.is_some_and(|over| {
                        buffers[own].over.contains(&over) && places[own] == places[over]
                    })
                })
            })
            .collect();
        let lifetime = |id: NodeId| {
            of_value[id].map_or((id, id), |buffer| (buffers[buffer].first, buffers[buffer].last))
        };
        Self {
            offsets: of_value.iter().map(|&buffer| offset(buffer)).collect(),
            scratch_offsets,
            in_place,
            bytes,
            live_bytes,
            lifetimes: (0..nodes.len()).map(lifetime).collect(),
        }
    }

    /// The step at which most bytes are in use, the first among equals.
    pub fn peak_step(&self) -> NodeId {
        let most = self.live_bytes.iter().max();
        self.live_bytes.iter().position(|bytes| Some(bytes) == most).unwrap_or(0)
    }

    /// The nodes whose values lie in the block during a step, in order; of values that share their
    /// bytes as aliases, all.
    pub fn alive(&self, step: NodeId) -> Vec<NodeId> {
        let is_alive = |id: &NodeId| {
            let (first, last) = self.lifetimes[*id];
            self.offsets[*id].is_some() && first <= step && step <= last
        };
        (0..self.offsets.len()).filter(is_alive).collect()
    }
}

/// Bytes that lie together from one step to another: a value with its aliases, or scratch memory.
struct Buffer {
    first: NodeId,
    last: NodeId,
    bytes: usize,
    /// Buffers that end where this one begins and that it may be written over.
    over: Vec<usize>,
    is_scratch: bool,
}

impl Buffer {
    fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// The buffers, and that of each value.
fn buffers(nodes: &[MemoryNode], output: NodeId) -> (Vec<Buffer>, Vec<Option<usize>>) {
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut of_value: Vec<Option<usize>> = Vec::with_capacity(nodes.len());
    for (id, node) in nodes.iter().enumerate() {
        for &input in &node.inputs {
            if let Some(buffer) = of_value[input] {
                buffers[buffer].last = id;
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
                let over = Vec::new();
                buffers.push(Buffer { first: id, last: id, bytes, over, is_scratch: false });
                Some(buffers.len() - 1)
            }
        });
    }
    if let Some(buffer) = of_value.get(output).copied().flatten() {
        buffers[buffer].last = nodes.len();
    }
    for (id, node) in nodes.iter().enumerate() {
        if let Some(own) = of_value[id].filter(|&own| buffers[own].first == id) {
            let inputs = node.in_place.iter().map(|&position| node.inputs[position]);
            let dying = |buffer: &usize| buffers[*buffer].last == id;
            let over: Vec<_> = inputs.filter_map(|input| of_value[input]).filter(dying).collect();
            buffers[own].over = over;
        }
        if node.scratch_bytes > 0 {
            let bytes = node.scratch_bytes.next_multiple_of(ALIGNMENT);
            let over = Vec::new();
            buffers.push(Buffer { first: id, last: id, bytes, over, is_scratch: true });
        }
    }
    (buffers, of_value)
}

/// Bytes in use at each step, where every node that may be is written over its largest input.
fn live_bytes(buffers: &[Buffer], n_steps: usize) -> Vec<usize> {
    let mut live = vec![0; n_steps];
    for buffer in buffers {
        for bytes in live.iter_mut().take(buffer.last + 1).skip(buffer.first) {
            *bytes += buffer.bytes;
        }
        let shared = buffer.over.iter().map(|&over| buffers[over].bytes.min(buffer.bytes)).max();
        live[buffer.first] -= shared.unwrap_or(0);
    }
    live
}

/// Offsets of the buffers and the bytes of all, no less than `least`.
///
/// Each order in which buffers take the lowest place that is free gives an arrangement. Large ones
/// first is nearly always the best; where it is not, buffers at the upper end come earlier.
fn arrange(buffers: &[Buffer], least: usize) -> (Vec<usize>, usize) {
    let key_of_size = |&i: &usize| (std::cmp::Reverse(buffers[i].bytes), buffers[i].first, i);
    let mut by_size: Vec<usize> = (0..buffers.len()).collect();
    by_size.sort_by_key(key_of_size);
    let mut by_life = by_size.clone();
    by_life.sort_by_key(|&i| {
        let steps = buffers[i].last - buffers[i].first + 1;
        std::cmp::Reverse(buffers[i].bytes.saturating_mul(steps))
    });
    let by_start: Vec<usize> = {
        let mut order = by_size.clone();
        order.sort_by_key(|&i| buffers[i].first);
        order
    };

    let mut best = (Vec::new(), usize::MAX);
    let mut n_tried = 0;
    for mut order in [by_size, by_life, by_start] {
        for _ in 0..MAX_ORDERS / 3 {
            let (places, bytes) = place(buffers, &order);
            n_tried += 1;
            // Of the buffers at the upper end the one that is tried earlier next time.
            let top = (0..order.len()).rev().find(|&position| {
                let i = order[position];
                buffers[i].bytes > 0 && places[i] + buffers[i].bytes == bytes
            });
            if bytes < best.1 {
                best = (places, bytes);
            }
            match top {
                Some(position) if position > 0 && best.1 > least => {
                    // Not always to the front: a fixed pattern of targets escapes short cycles.
                    let target = [0, position / 2, position - 1][n_tried % 3];
                    let buffer = order.remove(position);
                    order.insert(target, buffer);
                }
                _ => break,
            }
        }
        if best.1 <= least {
            break;
        }
    }
    best
}

/// Gives each buffer, in that order, the lowest offset at which it disturbs none before it.
fn place(buffers: &[Buffer], order: &[usize]) -> (Vec<usize>, usize) {
    let mut places = vec![0; buffers.len()];
    let mut bytes = 0;
    // Offset and bytes of those it meets, and whether it may lie exactly there.
    let mut met: Vec<(usize, usize, bool)> = Vec::new();
    for (position, &i) in order.iter().enumerate() {
        let buffer = &buffers[i];
        if buffer.bytes == 0 {
            continue;
        }
        met.clear();
        for &j in &order[..position] {
            if buffers[j].bytes > 0 && buffer.meets(&buffers[j]) {
                let may_share = buffer.over.contains(&j) || buffers[j].over.contains(&i);
                met.push((places[j], buffers[j].bytes, may_share));
            }
        }
        let is_free = |offset: usize| {
            met.iter().all(|&(other, size, may_share)| {
                may_share && other == offset
                    || offset >= other + size
                    || offset + buffer.bytes <= other
            })
        };
        let ends = met.iter().map(|&(other, size, _)| other + size);
        let shared = met.iter().filter(|met| met.2).map(|&(other, ..)| other);
        let offset = ends.chain(shared).chain([0]).filter(|&offset| is_free(offset)).min();
        places[i] = offset.expect("behind all others is free");
        bytes = bytes.max(places[i] + buffer.bytes);
    }
    (places, bytes)
}

#[cfg(test)]
mod tests;
