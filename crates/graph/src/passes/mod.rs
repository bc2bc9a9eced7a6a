//! Rewrites of a graph, one file each. Every pass leaves a valid graph that computes the same.

mod balance_channels;
mod compose_maps;
mod divide;
mod drop_channels;
mod drop_ending;
mod equalize;
mod fold_back;
mod fold_forward;
mod fold_pad;
mod fuse_activation;
mod fuse_function;
mod fuse_normalization;
mod fuse_residual;
mod insert_preprocessing;
mod lift_functions;
pub(crate) mod remove_dead;
mod scale_products;
mod thin;

pub use drop_channels::made_of;
pub use equalize::{equalizable, equalize};
pub use insert_preprocessing::insert_preprocessing;
pub use thin::{Tied, as_whole, droppable, dropped, thin};

use crate::{
    error::GraphError,
    graph::{Graph, Node, NodeId},
    operator::Likelihood,
    ops::IndexMap,
    plan::Semantics,
    shape::{Activation, Shape},
};

/// The graph that a plan of these semantics speaks of.
///
/// Both: no final softmax or sigmoid of a classifier, pads inside their convolution, normalization *before* an activation
/// folded back into its layer, activations fused, both also through index maps behind the layer, functions of one value in
/// one node, what divides by the deviation of channels as a layer normalization, a factor of a product of two values inside
/// it, one map for several that follow each other, dead nodes gone. Integer: what is left of quotients of two values as products
/// with reciprocals; functions that go a little below zero above it; normalization *after* an activation
/// folded forward as well, so that no [`crate::ops::Affine`] is left; output channels of layers gone that are constant or that
/// no weight takes; factors that would make the channels of one value
/// unlike move back into the layer before it, or stay where they are; a sum of a layer's value that nothing else takes and
/// another value is computed inside the layer.
///
/// # Errors
/// [`GraphError`] only where a pass is wrong.
pub fn prepare(graph: &Graph, semantics: Semantics) -> Result<Graph, GraphError> {
    let mut graph = graph.clone();
    drop_ending::run(&mut graph);
    fold_pad::run(&mut graph);
    fuse_normalization::run(&mut graph);
    fold_back::run(&mut graph);
    fuse_activation::run(&mut graph);
    fuse_function::run(&mut graph);
    fuse_activation::run(&mut graph);
    scale_products::run(&mut graph);
    remove_dead::run(&mut graph);
    if semantics == Semantics::Integer {
        graph = divide::run(&graph);
        balance_channels::run(&mut graph);
        graph = lift_functions::run(&graph);
        graph = fold_forward::run(&graph);
        fuse_activation::run(&mut graph);
        graph.infer()?;
        graph = drop_channels::run(&graph);
        fuse_residual::run(&mut graph);
    }
    compose_maps::run(&mut graph);
    remove_dead::run(&mut graph);
    graph.infer()?;
    Ok(graph)
}

/// The node at the end of an output that [`prepare`] leaves out, and what it makes of the scores of classes; where
/// only their order changes behind it, not where they become another image.
pub fn left_out(graph: &Graph, output: NodeId) -> Option<(NodeId, Likelihood)> {
    let ending = drop_ending::ending(graph, output)?;
    let Shape { h, w, .. } = graph.nodes[output].shape;
    let likelihood = graph.nodes[ending].op.as_likelihood()?;
    (ending == output || h * w == 1).then_some((ending, likelihood))
}

/// The graph with other nodes in place of each: `push` gets a node whose inputs are those of the new graph and puts what
/// stands for it there; what takes its value takes that of the last one.
fn rebuilt(graph: &Graph, mut push: impl FnMut(&mut Graph, NodeId, Node)) -> Graph {
    let mut new = Graph { nodes: Vec::with_capacity(graph.nodes.len()), ..graph.clone() };
    let mut places = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        let inputs = node.inputs.iter().map(|&input| places[input]).collect();
        push(&mut new, id, Node { inputs, ..node.clone() });
        places.push(new.nodes.len() - 1);
    }
    new.inputs.iter_mut().for_each(|input| *input = places[*input]);
    new.outputs.iter_mut().for_each(|output| output.node = places[output.node]);
    new
}

/// Every node that takes `from` takes `to` instead.
fn replace_uses(graph: &mut Graph, from: NodeId, to: NodeId) {
    for node in &mut graph.nodes {
        for input in &mut node.inputs {
            if *input == from {
                *input = to;
            }
        }
    }
    for output in graph.outputs.iter_mut().filter(|output| output.node == from) {
        output.node = to;
    }
}

/// The value of `to` is now what that of `from` was, also as the model's file rounds it.
fn takes_over(graph: &mut Graph, from: NodeId, to: NodeId) {
    let [from, to] = [from, to].map(|id| graph.nodes[id].name.as_str());
    graph.rounded_before.take_over(from, to);
}

/// The value of `to` has elements of that of `from`, also as the model's file rounds it.
fn shares(graph: &mut Graph, from: NodeId, to: NodeId) {
    let [from, to] = [from, to].map(|id| graph.nodes[id].name.as_str());
    graph.rounded_before.share(from, to);
}

/// The only node that takes the value of `id`, where that is what maps make of it, behind them: the maps, and
/// that node.
fn consumer_behind_maps(graph: &Graph, id: NodeId) -> Option<(Vec<NodeId>, NodeId)> {
    let mut maps = Vec::new();
    loop {
        let user = only_consumer(graph, maps.last().copied().unwrap_or(id))?;
        let node = &graph.nodes[user];
        if !node.op.is::<IndexMap>() || node.activation != Activation::None {
            return Some((maps, user));
        }
        maps.push(user);
    }
}

/// Whether one of those maps puts zeros in.
fn have_zeros(graph: &Graph, maps: &[NodeId]) -> bool {
    maps.iter().any(|&map| graph.nodes[map].op.get::<IndexMap>().is_some_and(IndexMap::has_zeros))
}

/// The only node that takes the value of `id`, if it is not the result too.
fn only_consumer(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let mut users = graph.nodes.iter().enumerate().flat_map(|(user, node)| {
        node.inputs.iter().filter(|&&input| input == id).map(move |_| user)
    });
    let first = users.next()?;
    (users.next().is_none() && !graph.is_output(id)).then_some(first)
}
