//! Parts of a network whose rows flow: tables that say what is computed when, and a function that calls the kernels.

use super::{
    CValue,
    node::CStep,
    source::{Source, fill},
};
use crate::{
    fixed_graph::FixedGraph,
    fixed_operator::Flow as Form,
    graph::NodeId,
    layout::MAX_INPUTS,
    schedule::{Action, Flow, Part},
};

/// Where nothing is read.
const NONE: usize = 255;
/// Bytes of a `$P_value` and of a `$P_part`.
const VALUE_BYTES: usize = 12;
const PART_BYTES: usize = 20;

/// Where a value begins: a buffer in the list of those that a run has, and an offset.
pub(super) struct Start {
    pub(super) buffer: usize,
    pub(super) offset: usize,
}

/// What a part is printed from.
pub(super) struct FlowPart<'a> {
    pub(super) fixed: &'a FixedGraph,
    pub(super) names: &'a [String],
    pub(super) values: &'a [CValue],
    pub(super) steps: &'a [CStep],
    pub(super) part: &'a Part,
    pub(super) flow: &'a Flow,
    /// Bytes before its scratch memory.
    pub(super) state_bytes: usize,
    /// Where the sums of a value begin that is folded.
    pub(super) sums_at: &'a dyn Fn(NodeId) -> usize,
}

impl FlowPart<'_> {
    /// Puts the part into the file under a name without prefix.
    pub(super) fn emit(&self, name: &str, start: impl Fn(NodeId) -> Start, source: &mut Source) {
        let nodes = self.part.nodes.clone();
        source.declare_rows();
        source.once("flow", include_str!("text/flow.c"));
        // Values of other parts follow those of its own nodes.
        let mut ids: Vec<NodeId> = nodes.clone().collect();
        for id in nodes.clone() {
            for &input in &self.fixed.nodes[id].inputs {
                if !ids.contains(&input) {
                    ids.push(input);
                }
            }
        }
        let index = |id: NodeId| ids.iter().position(|&other| other == id).unwrap_or(NONE);
        let value = |&id: &NodeId| {
            let Start { buffer, offset } = start(id);
            let is_own = nodes.contains(&id);
            let is_fold = is_own && matches!(self.form(id), Form::Fold { .. });
            let row = if is_fold { 0 } else { self.values[id].row_bytes() };
            let from = &self.fixed.nodes[self.made_from(id)];
            let has_windows = is_own && self.form(self.made_from(id)) == Form::Window;
            let mut inputs: Vec<usize> =
                from.inputs.iter().filter(|_| is_own).map(|&input| index(input)).collect();
            inputs.resize(MAX_INPUTS, NONE);
            let inputs: Vec<String> = inputs.iter().map(usize::to_string).collect();
            let has_windows = u8::from(has_windows);
            format!("    {{{offset}, {row}, {buffer}, {has_windows}, {{{}}}}},", inputs.join(", "))
        };
        let rows: Vec<String> = ids.iter().map(value).collect();
        source.object(
            VALUE_BYTES * ids.len(),
            format!(
                "static const $P_value $P_{name}_values[{}] = {{\n{}\n}};",
                ids.len(),
                rows.join("\n")
            ),
        );
        source.runs("flow", &self.turns(&start));
        let actions = self.actions();
        let n = actions.len();
        source.array("uint8_t", &format!("$P_{name}_actions"), actions);
        self.function(name, source);
        let takes = self.fixed.inputs.contains(&nodes.start);
        source.object(
            PART_BYTES,
            format!(
                "static const $P_part $P_{name} = {{\n    $P_{name}_values, $P_{name}_actions, \
                 $P_{name}_compute, {n}, {}, {}, {}\n}};",
                self.state_bytes,
                nodes.len(),
                u8::from(takes)
            ),
        );
    }

    /// The node whose inputs the stage of a node reads: the one before it where its rows are replaced by this one's.
    fn made_from(&self, id: NodeId) -> NodeId {
        let before = id.checked_sub(1).filter(|&before| self.is_replaced(before));
        before.unwrap_or(id)
    }

    fn is_replaced(&self, id: NodeId) -> bool {
        self.flow.is_replaced(&self.part.nodes, id)
    }

    fn form(&self, id: NodeId) -> Form {
        let node = &self.fixed.nodes[id];
        let shapes: Vec<_> =
            node.inputs.iter().map(|&input| self.fixed.nodes[input].shape).collect();
        node.op.flow(&shapes, node.shape)
    }

    /// Turns of the loops of `flow.c`: starts, rows that are computed, values that these read, rows that are taken, moves,
    /// and of these blocks of 32 bytes, words and bytes.
    fn turns(&self, start: &impl Fn(NodeId) -> Start) -> [usize; 8] {
        const BLOCK: usize = 32;
        let nodes = self.part.nodes.clone();
        let takes = self.fixed.inputs.contains(&nodes.start);
        let [mut computed, mut read, mut taken, mut moves] = [0; 4];
        let mut moved = [0; 3];
        let mut moving = |bytes: usize, distance: usize, is_aligned: bool| {
            let (mut blocks, mut words, mut rest) = (0, 0, bytes);
            if is_aligned && distance >= BLOCK {
                (blocks, words, rest) = (rest / BLOCK, rest % BLOCK / 4, rest % 4);
            }
            let turns = [blocks, words, rest];
            moved.iter_mut().zip(turns).for_each(|(sum, turns)| *sum += turns);
        };
        let row_bytes = |id: NodeId| {
            let is_fold = matches!(self.form(id), Form::Fold { .. });
            if is_fold { 0 } else { self.values[id].row_bytes() }
        };
        let mut held = vec![0; nodes.len()];
        let mut next = vec![0; nodes.len()];
        for action in &self.flow.actions {
            match *action {
                // The stage of the next node computes it.
                Action::Compute(id) if self.is_replaced(id) => {}
                Action::Compute(id) => {
                    let (at, bytes) = (id - nodes.start, row_bytes(id));
                    let is_taken = at == 0 && takes;
                    if is_taken {
                        taken += 1;
                        let to = start(id).offset + held[at] * bytes;
                        let is_aligned =
                            to.is_multiple_of(4) && (next[at] * bytes).is_multiple_of(4);
                        moving(bytes, BLOCK, is_aligned);
                    } else {
                        computed += 1;
                        read += self.fixed.nodes[self.made_from(id)].inputs.len();
                    }
                    held[at] += 1;
                    next[at] += 1;
                }
                Action::Drop { node, rows } => {
                    let (at, bytes) = (node - nodes.start, row_bytes(node));
                    moves += 1;
                    held[at] -= rows;
                    let is_aligned =
                        (rows * bytes).is_multiple_of(4) && start(node).offset.is_multiple_of(4);
                    moving(held[at] * bytes, rows * bytes, is_aligned);
                }
            }
        }
        let [blocks, words, rest] = moved;
        [1, computed, read, taken, moves, blocks, words, rest]
    }

    /// The actions as bytes.
    fn actions(&self) -> Vec<i64> {
        /// Rows that an action gives up at most.
        const MOST: usize = 255;
        let int = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let stage = |id: NodeId| int(id - self.part.nodes.start);
        let mut bytes = Vec::new();
        for action in &self.flow.actions {
            match *action {
                Action::Compute(id) if self.is_replaced(id) => {}
                Action::Compute(id) => bytes.push(stage(id)),
                Action::Drop { node, mut rows } => {
                    while rows > 0 {
                        bytes.extend([128 + stage(node), int(rows.min(MOST))]);
                        rows -= rows.min(MOST);
                    }
                }
            }
        }
        bytes
    }

    /// Computes a row of a node at `c->y` from rows of its inputs, which lie where `place` says.
    fn row(&self, id: NodeId, place: impl Fn(usize, NodeId) -> String) -> String {
        let input = |(position, &input): (usize, &NodeId)| {
            let (ctype, place) = (self.values[input].ctype(), place(position, input));
            (format!("X{position}"), format!("(const {ctype} *)(const void *){place}"))
        };
        let ctype = self.values[id].ctype();
        let mut known = vec![
            ("P".to_owned(), "$P".to_owned()),
            ("Y".to_owned(), format!("({ctype} *)(void *)c->y")),
            ("SCRATCH".to_owned(), "c->scratch".to_owned()),
            ("ROWS".to_owned(), "&c->rows".to_owned()),
            ("SUMS".to_owned(), format!("(int32_t *)(void *)(c->y + {})", (self.sums_at)(id))),
        ];
        known.extend(self.fixed.nodes[id].inputs.iter().enumerate().map(input));
        let known: Vec<(&str, &str)> =
            known.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let mut text = String::new();
        for line in fill(&self.steps[id].call, &known).lines() {
            text.push_str(&format!("        {line}\n"));
        }
        let row = self.values[id].row_bytes();
        let dump = match self.form(id) {
            // There with the last row of its input.
            Form::Fold { .. } => {
                let h = self.fixed.nodes[self.fixed.nodes[id].inputs[0]].shape.h;
                format!("if (c->rows.end == {h}) {{ $DUMP({id}, c->y, {row}); }}")
            }
            _ => format!("$DUMP({id}, c->y, {row});"),
        };
        text + &format!("        {dump}\n")
    }

    /// The function that computes the next row of a stage.
    fn function(&self, name: &str, source: &mut Source) {
        let mut cases = String::new();
        for (stage, id) in self.part.nodes.clone().enumerate() {
            if self.is_replaced(id) || self.steps[id].call.is_empty() {
                continue;
            }
            cases.push_str(&format!("    case {stage}: /* {} */\n", self.names[id]));
            let from = self.made_from(id);
            if from != id {
                cases.push_str(&self.row(from, |position, _| format!("c->x[{position}]")));
            }
            cases.push_str(&self.row(id, |position, input| {
                if input == from { "c->y".to_owned() } else { format!("c->x[{position}]") }
            }));
            cases.push_str("        break;\n");
        }
        let upper = source.prefix().to_uppercase();
        let text = format!(
            "$P_FUNCTION void $P_{name}_compute(int32_t stage, const $P_call *c)\n{{\n    switch (stage) \
             {{\n{cases}    default:\n        break;\n    }}\n}}"
        );
        let dump = format!("{upper}_DUMP");
        source.part(&fill(&text, &[("P", "$P"), ("DUMP", &dump)]));
    }
}
