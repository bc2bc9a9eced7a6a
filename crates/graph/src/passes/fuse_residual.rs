//! A sum of a layer's value and another one is computed inside the layer: the other value is added to the layer's
//! sums, and only what is behind the activation of the sum is a value.

use super::only_consumer;
use crate::{
    graph::{Graph, Node, NodeId},
    ops::Add,
    shape::Activation,
};

pub(super) fn run(graph: &mut Graph) {
    for id in 0..graph.nodes.len() {
        let Some(layer) = layer_of(graph, id) else { continue };
        let (sum, own) = (graph.nodes[id].clone(), graph.nodes[layer].clone());
        let added = sum.inputs.iter().copied().find(|&input| input != layer);
        let inputs = own.inputs.iter().copied().chain(added).collect();
        // What stood before the sum is no value any more.
        graph.rounded_before.values.remove(&own.name);
        graph.rounded_before.take_over(&sum.name, &own.name);
        graph.sums.insert(sum.name.clone(), own.name.clone());
        // The layer moves to the place of the sum, behind what is added, under its own name.
        graph.nodes[id] = Node { inputs, activation: sum.activation, ..own };
        // Dead now; it must not count as a user.
        graph.nodes[layer].inputs = vec![0];
        graph.nodes[layer].name = sum.name;
    }
}

/// The layer that computes the sum `id`: of several the last, as the others are computed before it anyway.
fn layer_of(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let sum = &graph.nodes[id];
    let &[a, b] = &sum.inputs[..] else { return None };
    let is_whole = |input: NodeId| graph.nodes[input].shape == sum.shape;
    if !sum.op.is::<Add>() || a == b || !is_whole(a) || !is_whole(b) {
        return None;
    }
    let takes_it = |&layer: &NodeId| {
        let node = &graph.nodes[layer];
        node.op.takes_residual()
            && node.activation == Activation::None
            && !node.has_residual()
            && only_consumer(graph, layer) == Some(id)
    };
    [a, b].into_iter().filter(takes_it).max()
}
