//! What must run for the values that are wanted, and where values lie.

use crate::graph::NodeId;

/// The nodes to run, in order, and the slot of each value: values that are never needed at the
/// same time share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The values that are given.
    pub(super) provided: Vec<NodeId>,
    /// The nodes to run, in topological order.
    pub(super) run: Vec<NodeId>,
    /// The slot of each node's value, where it has one.
    pub(super) slot: Vec<Option<usize>>,
    /// Bytes of each slot.
    pub(super) slot_bytes: Vec<usize>,
    /// Whether an input runs.
    needs_image: bool,
}

impl Schedule {
    /// Runs only what `wanted` needs beyond `provided`. What a node takes, whether it is an input of the network
    /// and its `bytes` are by node.
    pub(super) fn new(
        (inputs, is_input): (&[Vec<NodeId>], &[bool]),
        bytes: &[usize],
        provided: &[NodeId],
        wanted: &[NodeId],
    ) -> Self {
        let n = inputs.len();
        let mut needed = vec![false; n];
        wanted.iter().for_each(|&id| needed[id] = true);
        for id in (0..n).rev() {
            if needed[id] && !provided.contains(&id) {
                inputs[id].iter().for_each(|&input| needed[input] = true);
            }
        }
        let provided: Vec<NodeId> = provided.iter().copied().filter(|&id| needed[id]).collect();
        let run: Vec<NodeId> = (0..n).filter(|&id| needed[id] && !provided.contains(&id)).collect();
        let mut last_use = vec![0; n];
        for &id in &run {
            inputs[id].iter().for_each(|&input| last_use[input] = id);
        }
        wanted.iter().for_each(|&id| last_use[id] = n);

        let needs_image = run.iter().any(|&id| is_input[id]);
        let (slot, slot_bytes) = (vec![None; n], Vec::new());
        let mut schedule = Self { provided, run, slot, slot_bytes, needs_image };
        let mut free: Vec<usize> = Vec::new();
        for id in schedule.provided.clone() {
            schedule.place(id, bytes[id], &mut free);
        }
        for id in schedule.run.clone() {
            schedule.place(id, bytes[id], &mut free);
            // An input's slot is free only after the node has run: no node works in place.
            for &input in &inputs[id] {
                if last_use[input] == id
                    && let Some(slot) = schedule.slot[input]
                    && !free.contains(&slot)
                {
                    free.push(slot);
                }
            }
        }
        schedule
    }

    /// Gives the value of `id` the free slot that fits best, or a new one.
    fn place(&mut self, id: NodeId, bytes: usize, free: &mut Vec<usize>) {
        let fitting = free
            .iter()
            .enumerate()
            .min_by_key(|(_, slot)| {
                let size = self.slot_bytes[**slot];
                if size >= bytes { (0, size - bytes) } else { (1, bytes - size) }
            })
            .map(|(position, _)| position);
        let slot = if let Some(position) = fitting {
            free.swap_remove(position)
        } else {
            self.slot_bytes.push(0);
            self.slot_bytes.len() - 1
        };
        self.slot_bytes[slot] = self.slot_bytes[slot].max(bytes);
        self.slot[id] = Some(slot);
    }

    /// Bytes of all slots together.
    pub fn bytes(&self) -> usize {
        self.slot_bytes.iter().sum()
    }

    /// Whether the image itself is needed.
    pub fn needs_image(&self) -> bool {
        self.needs_image
    }

    /// The nodes that run, in order.
    pub fn nodes(&self) -> &[NodeId] {
        &self.run
    }

    /// The values that must be given, in the order in which they are given.
    pub fn provided(&self) -> &[NodeId] {
        &self.provided
    }
}
