//! How the values of an integer network share memory, whatever their formats: the printed arena, the footprint and
//! a search's objective ask here, and only here.

use crate::{
    fixed_graph::FixedGraph,
    fixed_operator::{Flow, Place},
    graph::NodeId,
    memory::{ALIGNMENT, MemoryNode, MemoryPlan},
    schedule::{Costs, FlowNode, Flows, Rows, Schedule},
};

/// Inputs of a node whose rows flow, at most.
pub(crate) const MAX_INPUTS: usize = 4;

/// The values of an integer network as far as memory is concerned. The caller's buffers hold the inputs and the
/// results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    values: Vec<Value>,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
    flows: Flows,
}

/// How a network is computed, and where its values lie while it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) schedule: Schedule,
    /// A step is a part of the schedule, whose scratch memory belongs to its first node.
    pub(crate) memory: MemoryPlan,
}

/// What the elements and the steps of nodes need, by node.
#[derive(Clone, Debug)]
pub(crate) struct Needs {
    /// Bits of an element.
    pub(crate) element_bits: Vec<usize>,
    /// Bytes of scratch memory of a step that computes the node whole.
    pub(crate) scratch_bytes: Vec<usize>,
    /// The same of one that computes a row of it.
    pub(crate) row_scratch_bytes: Vec<usize>,
    /// Whether rows may flow.
    pub(crate) flows: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    inputs: Vec<NodeId>,
    elements: usize,
    row_elements: usize,
    place: Place,
    flow: Flow,
    /// Bytes behind it while it is folded.
    sum_bytes: usize,
}

impl Layout {
    /// Of a network as it runs: node for node, one step each.
    pub(crate) fn new(fixed: &FixedGraph) -> Self {
        let value = |node: &crate::FixedNode| {
            let shapes: Vec<_> =
                node.inputs.iter().map(|&input| fixed.nodes[input].shape).collect();
            Value {
                inputs: node.inputs.clone(),
                elements: node.shape.len(),
                row_elements: node.shape.w * node.shape.c,
                place: node.op.place(),
                flow: node.op.flow(&shapes, node.shape),
                sum_bytes: 0,
            }
        };
        let values: Vec<Value> = fixed.nodes.iter().map(value).collect();
        let (inputs, outputs) = (fixed.inputs.clone(), fixed.output_nodes());
        let mut layout = Self { values, inputs, outputs, flows: Flows::new(Vec::new()) };
        layout.flows = layout.flow_nodes(fixed);
        for id in 0..fixed.nodes.len() {
            layout.values[id].sum_bytes = layout.folds(id).unwrap_or(0);
        }
        layout
    }

    fn flow_nodes(&self, fixed: &FixedGraph) -> Flows {
        let n = self.values.len();
        let mut last: Vec<NodeId> = (0..n).collect();
        for id in 0..n {
            for &input in &self.values[id].inputs {
                let holder = self.holder(input);
                last[holder] = last[holder].max(id);
            }
        }
        self.outputs.iter().for_each(|&output| last[self.holder(output)] = n);
        let node = |id: NodeId| FlowNode {
            height: match self.folds(id) {
                Some(_) => fixed.nodes[fixed.nodes[id].inputs[0]].shape.h,
                None => fixed.nodes[id].shape.h,
            },
            reads: self.reads(fixed, id),
            last_reader: last[id],
        };
        Flows::new((0..n).map(node).collect())
    }

    /// Bytes of the sums of a node that takes its input row by row.
    fn folds(&self, id: NodeId) -> Option<usize> {
        match self.values[id].flow {
            // Its value must be the network's own, with the sums behind.
            Flow::Fold { sum_bytes } if !self.is_external(id) => Some(sum_bytes),
            _ => None,
        }
    }

    /// What each row of a node's value is computed from, where rows can flow.
    fn reads(&self, fixed: &FixedGraph, id: NodeId) -> Option<Vec<Rows>> {
        let node = &fixed.nodes[id];
        let shapes: Vec<_> = node.inputs.iter().map(|&input| fixed.nodes[input].shape).collect();
        if self.folds(id).is_some() {
            let (input, height) = (node.inputs[0], shapes[0].h);
            let is_stored = self.values[self.holder(input)].place == Place::Stored;
            let needs = (0..height).map(|row| row..row + 1).collect();
            return (!is_stored).then(|| vec![Rows::new(input, height, needs)]);
        }
        if node.shape.h < 2 || node.inputs.len() > MAX_INPUTS {
            return None;
        }
        if self.inputs == [id] {
            return Some(Vec::new());
        }
        let is_stored = |&id: &NodeId| self.values[self.holder(id)].place == Place::Stored;
        if self.values[id].flow == Flow::Whole
            || node.inputs.is_empty()
            || node.inputs.iter().any(is_stored)
        {
            return None;
        }
        let height = node.shape.h;
        let by_row: Vec<_> =
            (0..height).map(|row| node.op.rows(row..row + 1, &shapes, node.shape)).collect();
        let rows = |(position, &input): (usize, &NodeId)| {
            let needs = by_row.iter().map(|needs| needs[position].clone()).collect();
            Rows::new(input, shapes[position].h, needs)
        };
        Some(node.inputs.iter().enumerate().map(rows).collect())
    }

    /// Whether rows of a node's value may be computed one by one.
    pub(crate) fn may_flow(&self, id: NodeId) -> bool {
        self.flows.node(id).reads.is_some()
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

    /// Bytes of one row of a node's value, where rows begin with a byte of their own.
    pub(crate) fn row_bytes(&self, id: NodeId, element_bits: usize) -> Option<usize> {
        /// What an index of 16 bits counts.
        const MAX: usize = 65_535;
        let bits = self.values[id].row_elements * element_bits;
        (bits.is_multiple_of(8) && bits / 8 <= MAX).then_some(bits / 8)
    }

    /// Bytes behind a node's value while it is folded, with those that align them.
    fn sum_bytes(&self, id: NodeId, element_bits: usize) -> usize {
        match self.values[id].sum_bytes {
            0 => 0,
            sums => self.sums_at(id, element_bits) + sums - self.value_bytes(id, element_bits),
        }
    }

    /// Where the sums of a value begin that is folded.
    pub(crate) fn sums_at(&self, id: NodeId, element_bits: usize) -> usize {
        self.value_bytes(id, element_bits).next_multiple_of(4)
    }

    fn is_external(&self, id: NodeId) -> bool {
        let mut results = self.outputs.iter().map(|&output| self.holder(output));
        self.inputs.contains(&id)
            || self.values[id].place == Place::Stored
            || results.any(|result| result == id)
    }

    /// The schedule with the least peak, and the block of working memory.
    ///
    /// # Panics
    /// Where needs are not told of each node.
    pub(crate) fn plan(&self, needs: &Needs) -> Placement {
        let n = self.values.len();
        let Needs { element_bits, scratch_bytes, row_scratch_bytes, .. } = needs;
        let all = [element_bits, scratch_bytes, row_scratch_bytes];
        assert!(all.iter().all(|needs| needs.len() == n), "one for each node");
        if !needs.flows {
            let schedule = Schedule::whole(n);
            let memory = self.arrange(needs, &schedule);
            return Placement { schedule, memory };
        }
        let aligned = |bytes: usize| bytes.next_multiple_of(ALIGNMENT);
        let is_counted =
            |id: NodeId| !self.is_external(id) && !matches!(self.values[id].place, Place::Alias(_));
        let bytes = |id: NodeId| {
            if is_counted(id) { aligned(self.value_bytes(id, element_bits[id])) } else { 0 }
        };
        let saved = |id: NodeId| {
            let inputs = self.in_place(id, element_bits).into_iter();
            let dying = inputs
                .map(|position| self.holder(self.values[id].inputs[position]))
                .filter(|&over| self.flows.node(over).last_reader == id);
            dying.map(|over| bytes(over).min(bytes(id))).max().unwrap_or(0)
        };
        let costs = Costs {
            flows: &self.flows,
            input: self.taken(),
            bytes: (0..n).map(bytes).collect(),
            row_bytes: (0..n).map(|id| self.row_bytes(id, element_bits[id])).collect(),
            sum_bytes: (0..n).map(|id| self.sum_bytes(id, element_bits[id])).collect(),
            whole_bytes: (0..n)
                .map(|id| aligned(scratch_bytes[id]).cast_signed() - saved(id).cast_signed())
                .collect(),
            scratch_bytes: row_scratch_bytes.clone(),
            is_replaced: (0..n).map(|id| self.is_replaced(id, element_bits)).collect(),
        };
        let schedule = costs.choose();
        let memory = self.arrange(needs, &schedule);
        Placement { schedule, memory }
    }

    /// The input that may be taken row by row.
    fn taken(&self) -> Option<NodeId> {
        let [input] = self.inputs[..] else { return None };
        let node = self.flows.node(input);
        (input == 0 && node.reads.is_some() && node.last_reader < self.values.len())
            .then_some(input)
    }

    /// Positions of the inputs that a node computed whole may be written over.
    fn in_place(&self, id: NodeId, element_bits: &[usize]) -> Vec<usize> {
        let value = &self.values[id];
        let of = |position: usize| value.inputs[position];
        // Elements are written in order: wider ones would reach those that are still to be read.
        let fits = |position: &usize| element_bits[id] <= element_bits[of(*position)];
        let is_free = |position: usize| {
            let others = (0..value.inputs.len()).filter(|&other| other != position);
            let mut holders = others.map(|other| self.holder(of(other)));
            element_bits[id] == element_bits[of(position)]
                && holders.all(|holder| holder != self.holder(of(position)))
        };
        match value.place {
            Place::Apart | Place::Stored | Place::Alias(_) => Vec::new(),
            Place::Over(inputs) => inputs.iter().copied().filter(fits).collect(),
            Place::OverAlike(input) => vec![input].into_iter().filter(|&i| is_free(i)).collect(),
        }
    }

    /// Whether each row of a node's value is made where the next node, which alone reads it, then makes its own of it.
    fn is_replaced(&self, id: NodeId, element_bits: &[usize]) -> bool {
        let Some(next) = self.values.get(id + 1) else { return false };
        let is_made = matches!(self.values[id].flow, Flow::Alike | Flow::Window)
            && !matches!(self.values[id].place, Place::Alias(_) | Place::Stored)
            && !self.is_external(id);
        is_made
            && next.inputs == [id]
            && next.flow == Flow::Alike
            && matches!(next.place, Place::Over(_))
            && self.flows.node(id).last_reader == id + 1
            && self.row_bytes(id, element_bits[id]) == self.row_bytes(id + 1, element_bits[id + 1])
    }

    /// The block of working memory of a schedule.
    fn arrange(&self, needs: &Needs, schedule: &Schedule) -> MemoryPlan {
        let Needs { element_bits, scratch_bytes, row_scratch_bytes, .. } = needs;
        let mut nodes = Vec::new();
        for part in &schedule.parts {
            let shared = part.nodes.clone().map(|id| row_scratch_bytes[id]).max().unwrap_or(0);
            for id in part.nodes.clone() {
                let value = &self.values[id];
                let is_strip = part.flow.is_some() && self.flows.is_strip(&part.nodes, id);
                let element_bits_of = element_bits[id];
                let whole = self.value_bytes(id, element_bits_of);
                let (bytes, scratch_bytes, in_place) = if let Some(flow) = &part.flow {
                    let bytes = if is_strip {
                        let row = self.row_bytes(id, element_bits_of);
                        let held = flow.held[id - part.nodes.start];
                        held * row.expect("rows that flow lie apart")
                    } else {
                        whole + self.sum_bytes(id, element_bits_of)
                    };
                    let state = Costs::state_bytes(part.nodes.len());
                    let is_first = id == part.nodes.start;
                    (bytes, if is_first { state + shared } else { 0 }, Vec::new())
                } else {
                    (whole, scratch_bytes[id], self.in_place(id, element_bits))
                };
                nodes.push(MemoryNode {
                    inputs: value.inputs.clone(),
                    bytes,
                    scratch_bytes,
                    is_external: self.is_external(id) && !(is_strip && self.inputs.contains(&id)),
                    alias: match value.place {
                        Place::Alias(input) => Some(input),
                        _ => None,
                    },
                    in_place,
                });
            }
        }
        MemoryPlan::in_steps(&nodes, &schedule.steps(), &self.outputs)
    }
}
