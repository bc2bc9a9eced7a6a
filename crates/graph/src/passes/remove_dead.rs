//! Nodes whose value reaches no result are removed; inputs stay.

use crate::graph::Graph;

pub(crate) fn run(graph: &mut Graph) {
    let mut alive = vec![false; graph.nodes.len()];
    graph.inputs.iter().copied().chain(graph.output_nodes()).for_each(|id| alive[id] = true);
    for id in (0..graph.nodes.len()).rev() {
        if alive[id] {
            graph.nodes[id].inputs.iter().for_each(|&input| alive[input] = true);
        }
    }
    let mut renamed = vec![0; graph.nodes.len()];
    let mut next = 0;
    for (id, alive) in alive.iter().enumerate() {
        renamed[id] = next;
        next += usize::from(*alive);
    }
    let mut keep = alive.iter();
    graph.nodes.retain(|_| *keep.next().expect("one flag a node"));
    for node in &mut graph.nodes {
        node.inputs.iter_mut().for_each(|input| *input = renamed[*input]);
    }
    graph.inputs.iter_mut().for_each(|id| *id = renamed[*id]);
    graph.outputs.iter_mut().for_each(|output| output.node = renamed[output.node]);
}
