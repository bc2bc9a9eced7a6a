//! Which parts of a network flow: the schedule with the least peak, and of those the one with the fewest rows by
//! themselves.

use super::{Flows, Part, Schedule};
use crate::graph::NodeId;
use std::ops::Range;

/// Nodes of the longest part.
const MAX_NODES: usize = 64;
/// Actions of the longest part.
const MAX_ACTIONS: usize = 20_000;
/// What taking the whole input costs, in rows that flow: a buffer of the caller's for all of it.
const WHOLE_INPUT: usize = 1 << 20;

/// Bytes of a network's values; those of memory that is not counted are 0.
pub(crate) struct Costs<'a> {
    pub(crate) flows: &'a Flows,
    /// The input that may be taken row by row.
    pub(crate) input: Option<NodeId>,
    /// Of each whole value.
    pub(crate) bytes: Vec<usize>,
    /// Of one row of each value; `None` where its rows cannot lie apart.
    pub(crate) row_bytes: Vec<Option<usize>>,
    /// Behind the value of a node that is folded, while it is.
    pub(crate) sum_bytes: Vec<usize>,
    /// Of a node that is computed whole what it needs besides, less what it is written over.
    pub(crate) whole_bytes: Vec<isize>,
    /// What a node needs besides while its rows flow.
    pub(crate) scratch_bytes: Vec<usize>,
    /// Whether each row of a node's value is made where the next node then makes its own, where both are in one part.
    pub(crate) is_replaced: Vec<bool>,
}

/// The bytes a part needs at once, and how many rows are computed by themselves.
#[derive(Clone, Copy)]
struct Cost {
    peak: usize,
    rows: usize,
}

impl Costs<'_> {
    /// The schedule with the least peak.
    pub(crate) fn choose(&self) -> Schedule {
        let n = self.flows.len();
        let parts = self.parts();
        // The least peak up to each node, then the fewest rows within it.
        let mut least = vec![usize::MAX; n + 1];
        least[0] = 0;
        for (part, cost) in &parts {
            let peak = least[part.start].max(cost.peak);
            least[part.end] = least[part.end].min(peak);
        }
        let mut best: Vec<Option<(usize, NodeId)>> = vec![None; n + 1];
        best[0] = Some((0, 0));
        for (part, cost) in parts.iter().filter(|(_, cost)| cost.peak <= least[n]) {
            let Some((rows, _)) = best[part.start] else { continue };
            let rows = rows + cost.rows;
            if best[part.end].is_none_or(|(other, _)| rows < other) {
                best[part.end] = Some((rows, part.start));
            }
        }
        let (mut ranges, mut end) = (Vec::new(), n);
        while end > 0 {
            let start = best[end].expect("every node alone is a part").1;
            ranges.push(start..end);
            end = start;
        }
        let part = |nodes: Range<NodeId>| {
            let flow = (nodes.len() > 1).then(|| self.flows.flow(&nodes, &self.is_replaced));
            Part { nodes, flow }
        };
        Schedule { parts: ranges.into_iter().rev().map(part).collect() }
    }

    /// Every part that there may be, by where it ends.
    fn parts(&self) -> Vec<(Range<NodeId>, Cost)> {
        let n = self.flows.len();
        // The least peak with every node whole: no part that exceeds it is of use.
        let whole: Vec<Cost> = (0..n).map(|id| self.whole(id)).collect();
        let limit = whole.iter().map(|cost| cost.peak).max().unwrap_or(0);
        let mut parts: Vec<(Range<NodeId>, Cost)> =
            whole.into_iter().enumerate().map(|(id, cost)| (id..id + 1, cost)).collect();
        for start in 0..n {
            let mut rows = 0;
            for end in (start + 1)..=n.min(start + MAX_NODES) {
                let id = end - 1;
                if !self.may_flow(id) {
                    break;
                }
                rows += self.flows.node(id).height;
                if rows > MAX_ACTIONS / 2 {
                    break;
                }
                if end - start > 1 && self.may_be(&(start..end)) {
                    let around = self.around(&(start..end));
                    if around <= limit {
                        let peak = around + self.strips(&(start..end));
                        parts.push((start..end, Cost { peak, rows }));
                    }
                }
            }
        }
        parts.sort_by_key(|(part, _)| part.end);
        parts
    }

    fn may_flow(&self, id: NodeId) -> bool {
        let node = self.flows.node(id);
        let reads = node.reads.as_deref();
        let has_rows = |id: NodeId| self.row_bytes[id].is_some();
        reads.is_some_and(|reads| reads.iter().all(|rows| has_rows(rows.input))) && has_rows(id)
    }

    /// Whether a part takes the input of the network with all that reads it, where it can.
    fn may_be(&self, part: &Range<NodeId>) -> bool {
        let Some(input) = self.input else { return true };
        let last = self.flows.node(input).last_reader;
        if part.contains(&input) {
            last < part.end
        } else {
            part.start != input + 1 || last >= part.end
        }
    }

    /// Bytes of the whole values that are there while a part is computed.
    fn around(&self, part: &Range<NodeId>) -> usize {
        let is_there = |id: &NodeId| {
            let last = self.flows.node(*id).last_reader;
            if *id < part.start { last >= part.start } else { last >= part.end }
        };
        (0..part.end).filter(is_there).map(|id| self.bytes[id]).sum()
    }

    fn whole(&self, id: NodeId) -> Cost {
        let part = id..id + 1;
        // A value that nothing reads is there while it is computed.
        let unread = if self.flows.node(id).last_reader < id + 1 { self.bytes[id] } else { 0 };
        let peak = (self.around(&part) + unread).saturating_add_signed(self.whole_bytes[id]);
        Cost { peak, rows: if self.input == Some(id) { WHOLE_INPUT } else { 0 } }
    }

    /// Bytes of the rows that are held in a part, and what its nodes need besides.
    fn strips(&self, part: &Range<NodeId>) -> usize {
        let held = self.flows.held(part);
        let strip = |id: NodeId| {
            let is_replaced = self.is_replaced[id] && part.contains(&(id + 1));
            let rows = if is_replaced { 0 } else { held[id - part.start] };
            let bytes = rows * self.row_bytes[id].unwrap_or(0);
            let bytes = if self.flows.is_strip(part, id) { bytes } else { self.sum_bytes[id] };
            bytes.next_multiple_of(8)
        };
        let scratch = part.clone().map(|id| self.scratch_bytes[id]).max().unwrap_or(0);
        part.clone().map(strip).sum::<usize>()
            + (scratch + Self::state_bytes(part.len())).next_multiple_of(8)
    }

    /// Bytes that say which rows are held of the values of a part.
    pub(crate) const fn state_bytes(nodes: usize) -> usize {
        (4 + 4 * nodes).next_multiple_of(8)
    }
}
