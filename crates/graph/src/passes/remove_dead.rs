//! Nodes whose value reaches no result are removed; inputs stay, unless they are to go as well.

use crate::graph::Graph;

/// Removes nodes; inputs stay.
pub(crate) fn run(graph: &mut Graph) {
    keep(graph, graph.inputs.clone());
}

/// Removes nodes, and inputs that no result needs: their names are those of the graph's unused inputs then.
pub(crate) fn with_inputs(graph: &mut Graph) {
    let all = graph.inputs.clone();
    let names: Vec<String> = all.iter().map(|&id| graph.nodes[id].name.clone()).collect();
    graph.inputs.clear();
    keep(graph, Vec::new());
    let is_input = |id: &usize| graph.nodes[*id].op.is_input();
    graph.inputs = (0..graph.nodes.len()).filter(is_input).collect();
    graph.unused_inputs = names.into_iter().filter(|name| graph.find(name).is_none()).collect();
}

fn keep(graph: &mut Graph, inputs: Vec<usize>) {
    let mut alive = vec![false; graph.nodes.len()];
    inputs.into_iter().chain(graph.output_nodes()).for_each(|id| alive[id] = true);
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
