//! The order of a part's rows: each is computed when a row further down needs it, and held while one will.

use super::{Action, Flow};
use crate::graph::NodeId;
use std::{cell::RefCell, collections::BTreeMap, ops::Range};

/// What a node reads, by rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// The node that is read.
    pub(crate) input: NodeId,
    /// The rows that each row of the value is computed from; empty where it is none.
    pub(crate) needs: Vec<Range<usize>>,
    /// The first of all rows that a row of the value and those after it need.
    first: Vec<usize>,
}

impl Rows {
    pub(crate) fn new(input: NodeId, height: usize, needs: Vec<Range<usize>>) -> Self {
        let mut first = vec![height; needs.len() + 1];
        for (row, needed) in needs.iter().enumerate().rev() {
            let own = if needed.is_empty() { height } else { needed.start };
            first[row] = first[row + 1].min(own);
        }
        Self { input, needs, first }
    }
}

/// A node as far as its rows are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlowNode {
    /// Rows of its value.
    pub(crate) height: usize,
    /// What it reads; `None` where it is computed whole, always.
    pub(crate) reads: Option<Vec<Rows>>,
    /// The last node that reads its value or shares its memory; beyond all where it is a result.
    pub(crate) last_reader: NodeId,
}

/// The nodes of a network, and the flows of its parts that were looked at.
#[derive(Clone, Debug)]
pub(crate) struct Flows {
    nodes: Vec<FlowNode>,
    held: RefCell<BTreeMap<(NodeId, NodeId), Vec<usize>>>,
}

impl PartialEq for Flows {
    fn eq(&self, other: &Self) -> bool {
        self.nodes == other.nodes
    }
}

impl Eq for Flows {}

impl Flows {
    pub(crate) fn new(nodes: Vec<FlowNode>) -> Self {
        Self { nodes, held: RefCell::default() }
    }

    pub(crate) fn node(&self, id: NodeId) -> &FlowNode {
        &self.nodes[id]
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether only some rows of a node's value are held in that part.
    pub(crate) fn is_strip(&self, part: &Range<NodeId>, id: NodeId) -> bool {
        part.contains(&id) && self.nodes[id].last_reader < part.end
    }

    /// Rows that are held of each value of a part whose rows flow.
    pub(crate) fn held(&self, part: &Range<NodeId>) -> Vec<usize> {
        let key = (part.start, part.end);
        if let Some(held) = self.held.borrow().get(&key) {
            return held.clone();
        }
        let mut run = Run::new(self, part.clone(), None);
        run.all();
        let held = run.most;
        self.held.borrow_mut().insert(key, held.clone());
        held
    }

    /// How the rows of a part follow each other; `is_replaced` tells of which nodes the next one makes each row out of
    /// this one's, in its place.
    pub(crate) fn flow(&self, part: &Range<NodeId>, is_replaced: &[bool]) -> Flow {
        let mut held = self.held(part);
        let mut run = Run::new(self, part.clone(), Some(&held));
        run.all();
        let mut actions = run.actions;
        for id in part.clone().filter(|&id| is_replaced[id] && part.contains(&(id + 1))) {
            held[id - part.start] = 0;
            actions.retain(|action| !action.drops(id));
        }
        let flow = Flow { held, actions };
        debug_assert_eq!(self.check(part, &flow), Ok(()));
        flow
    }

    /// Follows the actions of a part on rows that remember which they are, and says what is wrong with them.
    pub(crate) fn check(&self, part: &Range<NodeId>, flow: &Flow) -> Result<(), String> {
        let mut strips: BTreeMap<NodeId, (usize, usize)> =
            part.clone().map(|id| (id, (0, 0))).collect();
        for (at, action) in flow.actions.iter().enumerate() {
            match *action {
                Action::Drop { node, rows } => {
                    let strip =
                        strips.get_mut(&node).ok_or("a value of another part is dropped")?;
                    strip.0 += rows;
                    if strip.0 > strip.1 {
                        return Err(format!("action {at}: node {node} has not so many rows"));
                    }
                }
                Action::Compute(node) => {
                    let row = strips.get(&node).ok_or("a node of another part is computed")?.1;
                    for rows in self.nodes[node].reads.iter().flatten() {
                        let needed = rows.needs.get(row).cloned().ok_or("a row too many")?;
                        let before = &flow.actions[..at];
                        if flow.is_replaced(part, rows.input)
                            && before.iter().rfind(|action| !action.drops(node))
                                != Some(&Action::Compute(rows.input))
                        {
                            return Err(format!("action {at}: node {} is not there", rows.input));
                        }
                        let (top, next) =
                            strips.get(&rows.input).copied().unwrap_or((0, usize::MAX));
                        if !needed.is_empty() && (needed.start < top || needed.end > next) {
                            return Err(format!(
                                "action {at}: row {row} of node {node} needs rows {needed:?} of node {}, \
                                 there are {top} to {next}",
                                rows.input
                            ));
                        }
                    }
                    let strip =
                        strips.get_mut(&node).ok_or("a node of another part is computed")?;
                    strip.1 += 1;
                    let held = flow.held[node - part.start];
                    if strip.1 - strip.0 > held && !flow.is_replaced(part, node) {
                        return Err(format!(
                            "action {at}: node {node} holds more than {held} rows"
                        ));
                    }
                }
            }
        }
        let unfinished = strips.iter().find(|(id, strip)| strip.1 != self.nodes[**id].height);
        unfinished.map_or(Ok(()), |(id, strip)| Err(format!("node {id} has {} rows", strip.1)))
    }
}

/// A part that runs.
struct Run<'a> {
    flows: &'a Flows,
    part: Range<NodeId>,
    /// By node of the part, who reads it there: the reader and the position in its inputs.
    readers: Vec<Vec<(NodeId, usize)>>,
    /// The first row that is held of each value, where room is limited.
    top: Vec<usize>,
    /// The next row of each value.
    next: Vec<usize>,
    /// The most rows of each that had to be there at once.
    most: Vec<usize>,
    room: Option<&'a [usize]>,
    actions: Vec<Action>,
}

impl<'a> Run<'a> {
    fn new(flows: &'a Flows, part: Range<NodeId>, room: Option<&'a [usize]>) -> Self {
        let n = part.len();
        let mut readers = vec![Vec::new(); n];
        for id in part.clone() {
            for (position, rows) in flows.nodes[id].reads.iter().flatten().enumerate() {
                if part.contains(&rows.input) {
                    readers[rows.input - part.start].push((id, position));
                }
            }
        }
        let (top, next, most) = (vec![0; n], vec![0; n], vec![1; n]);
        Self { flows, part, readers, top, next, most, room, actions: Vec::new() }
    }

    /// Computes every row of every node: those that no other of the part reads in step with one another.
    fn all(&mut self) {
        let start = self.part.start;
        let ends: Vec<NodeId> =
            self.part.clone().filter(|id| self.readers[id - start].is_empty()).collect();
        let height = |id: NodeId| self.flows.nodes[id].height;
        let is_behind = |run: &Self, a: NodeId, b: NodeId| {
            run.next[a - start] * height(b) < run.next[b - start] * height(a)
        };
        loop {
            let open = ends.iter().copied().filter(|&id| self.next[id - start] < height(id));
            let Some(id) = open.reduce(|a, b| if is_behind(self, b, a) { b } else { a }) else {
                break;
            };
            self.compute(id, self.next[id - start]);
        }
        // Rows at the end that no other needs.
        for id in self.part.clone() {
            if self.next[id - start] < height(id) {
                self.compute(id, height(id) - 1);
            }
        }
    }

    /// Computes a node's rows up to one, and before each what it needs.
    fn compute(&mut self, id: NodeId, last: usize) {
        let flows = self.flows;
        while self.next[id - self.part.start] <= last {
            let row = self.next[id - self.part.start];
            for rows in flows.nodes[id].reads.iter().flatten() {
                let needed = &rows.needs[row];
                if self.part.contains(&rows.input) && !needed.is_empty() {
                    self.compute(rows.input, needed.end - 1);
                }
            }
            self.make_room(id);
            self.actions.push(Action::Compute(id));
            self.next[id - self.part.start] += 1;
        }
    }

    /// The first row of a value that one further down still needs.
    fn low(&self, id: NodeId) -> usize {
        let needed = |&(reader, position): &(NodeId, usize)| {
            let rows = self.flows.nodes[reader].reads.as_ref().map(|reads| &reads[position]);
            rows.map_or(0, |rows| rows.first[self.next[reader - self.part.start]])
        };
        let readers = &self.readers[id - self.part.start];
        readers.iter().map(needed).min().unwrap_or(usize::MAX)
    }

    /// Makes room for the next row of a value, where only some are held.
    fn make_room(&mut self, id: NodeId) {
        let (at, height) = (id - self.part.start, self.flows.nodes[id].height);
        if !self.flows.is_strip(&self.part, id) {
            self.most[at] = height;
            return;
        }
        let next = self.next[at];
        let low = self.low(id).min(next);
        self.most[at] = self.most[at].max(next + 1 - low);
        if self.room.is_some_and(|room| next - self.top[at] == room[at]) {
            self.actions.push(Action::Drop { node: id, rows: low - self.top[at] });
            self.top[at] = low;
        }
    }
}
