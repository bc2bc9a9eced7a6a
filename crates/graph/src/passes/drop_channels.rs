//! Output channels of layers that say nothing are taken out: those that no weight behind takes, and those whose own
//! weights are all zero, so that they are the same everywhere. That constant moves into the biases of the layers
//! behind, which may then depend on the border.
//!
//! Only weights and biases prove it: a channel that is zero on some images stays, unless it is chosen ([`super::thin`]).

use super::fold_forward;
use crate::{
    error::GraphError,
    graph::{Graph, Node, NodeId},
    operator::{Edge, Factor, Op},
    ops::Affine,
    shape::{Activation, Shape},
};

/// By node, which channels of its value go.
pub(super) type Dropped = Vec<Vec<bool>>;

/// The graph without such channels.
pub(super) fn run(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    // Without a channel those before it may have no user left.
    while let Some(smaller) = once(&graph) {
        graph = smaller;
    }
    graph
}

fn once(graph: &Graph) -> Option<Graph> {
    let graph = without_constants(graph);
    let dropped = dropped(&graph);
    if !dropped.iter().flatten().any(|&gone| gone) {
        return None;
    }
    without(graph, &dropped).ok()
}

/// The graph without channels that may go.
pub(super) fn without(mut graph: Graph, dropped: &Dropped) -> Result<Graph, GraphError> {
    for (id, own) in dropped.iter().enumerate() {
        let node = &graph.nodes[id];
        let before: Vec<&[bool]> = node.inputs.iter().map(|&input| &dropped[input][..]).collect();
        if before.iter().copied().flatten().chain(own).any(|&gone| gone) {
            let op = op_without(&graph, node, &before, own);
            graph.nodes[id].op = op.expect("it was asked whether it can");
        }
    }
    graph.infer()?;
    Ok(graph)
}

/// Whether a node is a layer that makes each channel of one channel alone, which goes with that.
pub(super) fn is_depthwise(node: &Node) -> bool {
    node.op.parameters().is_some_and(|own| own.is_depthwise())
}

/// Whether a node is a function of the elements at one place of what it takes.
fn is_function(node: &Node) -> bool {
    node.op.as_element_function().is_some()
}

/// Whether a node makes each channel of those of several values, which then go together.
fn is_joint(node: &Node) -> bool {
    node.inputs.len() > 1 && is_function(node)
}

/// By channel of a node's value, the channel of that input that it is made of; nothing where channels are made of several.
pub fn made_of(graph: &Graph, id: NodeId, position: usize) -> Option<Vec<Option<usize>>> {
    let node = &graph.nodes[id];
    let own = || (0..node.shape.c).map(Some).collect();
    // One channel that goes with all others is no channel of the value.
    let is_own = graph.nodes[node.inputs[position]].shape.c == node.shape.c;
    match graph.factor(id, position) {
        _ if is_function(node) => is_own.then(own),
        _ if node.op.edge(position) == Edge::Residual => Some(own()),
        Factor::Carried(from) => Some(from),
        Factor::Absorbed if is_depthwise(node) => Some(own()),
        _ => None,
    }
}

/// By node, the channels of its value that go where layers drop those of their own.
pub(super) fn carried(graph: &Graph, of_layer: impl Fn(NodeId, &Node) -> Vec<bool>) -> Dropped {
    let mut dropped: Dropped = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        let own = if node.op.is_layer() && !is_depthwise(node) {
            of_layer(id, node)
        } else {
            let mut own = vec![false; node.shape.c];
            for (position, &input) in node.inputs.iter().enumerate() {
                if let Some(from) = made_of(graph, id, position) {
                    let gone = |from: &Option<usize>| from.is_some_and(|from| dropped[input][from]);
                    own.iter_mut().zip(&from).for_each(|(own, from)| *own |= gone(from));
                }
            }
            own
        };
        dropped.push(own);
    }
    dropped
}

/// The operator of a node without channels, where it can do without.
fn op_without(graph: &Graph, node: &Node, before: &[&[bool]], own: &[bool]) -> Option<Op> {
    if is_function(node) {
        return Some(node.op.clone());
    }
    node.op.without_channels(before, own, &shapes(graph, node))
}

/// Whether a node can do without channels of what it takes.
pub(super) fn can_lack(graph: &Graph, node: &Node) -> bool {
    let of = |id: &NodeId| vec![false; graph.nodes[*id].shape.c];
    let all: Vec<Vec<bool>> = node.inputs.iter().map(of).collect();
    let before: Vec<&[bool]> = all.iter().map(Vec::as_slice).collect();
    op_without(graph, node, &before, &vec![false; node.shape.c]).is_some()
}

fn shapes(graph: &Graph, node: &Node) -> Vec<Shape> {
    // Those before any channel goes: extents are inferred at the end.
    node.inputs.iter().map(|&input| graph.nodes[input].shape).collect()
}

/// By node, whether channels of its value may go: whatever takes it can do without.
pub(super) fn may_go(graph: &Graph) -> Vec<bool> {
    let mut may_go: Vec<bool> = (0..graph.nodes.len()).map(|id| !graph.is_output(id)).collect();
    for id in (0..graph.nodes.len()).rev() {
        let node = &graph.nodes[id];
        let can = can_lack(graph, node) && !is_joint(node);
        for (position, &input) in node.inputs.iter().enumerate() {
            may_go[input] &= can
                && match graph.factor(id, position) {
                    Factor::Carried(_) => may_go[id] && keeps_zero(node.activation),
                    _ if made_of(graph, id, position).is_some() => {
                        may_go[id] && !node.has_residual()
                    }
                    Factor::Absorbed => true,
                    Factor::Refused => false,
                };
        }
    }
    may_go
}

fn keeps_zero(activation: Activation) -> bool {
    activation.apply(0.0) == 0.0
}

/// Whether a layer's own channels may go.
pub(super) fn is_free(graph: &Graph, id: NodeId, may_go: &[bool]) -> bool {
    let node = &graph.nodes[id];
    let parameters = node.op.parameters();
    parameters.is_some_and(|own| own.groups == 1)
        && may_go[id]
        && !node.has_residual()
        && keeps_zero(node.activation)
}

/// The value of a layer's channel before its activation where all its weights are zero.
fn constant(node: &Node, channel: usize) -> Option<f32> {
    let own = node.op.parameters()?;
    let is_zero = |numbers: &[f32]| numbers.iter().all(|&x| x == 0.0);
    let taps = own.tap_bias.len() / own.channels;
    let depth = own.depth();
    let weights = &own.weights[channel * depth..][..depth];
    let is_constant = is_zero(weights) && is_zero(&own.tap_bias[channel * taps..][..taps]);
    is_constant.then(|| own.bias[channel])
}

/// The graph in which channels that are the same everywhere are zero, where the layers behind can take their
/// constants.
fn without_constants(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let may_go = may_go(&graph);
    for id in 0..graph.nodes.len() {
        if !is_free(&graph, id, &may_go) {
            continue;
        }
        let node = &graph.nodes[id];
        let constants: Vec<Option<f32>> =
            (0..node.shape.c).map(|channel| constant(node, channel)).collect();
        if constants.iter().all(|b| b.is_none_or(|b| b == 0.0)) {
            continue;
        }
        let value = |b: &Option<f32>| b.map_or(0.0, |b| node.activation.apply(b));
        let shift: Vec<f64> = constants.iter().map(|b| f64::from(value(b))).collect();
        let mut zero = graph.clone();
        let numbers = zero.nodes[id].op.parameters_mut().expect("it is a layer");
        let biases = numbers.bias.iter_mut().zip(&constants);
        biases.filter(|(_, constant)| constant.is_some()).for_each(|(b, _)| *b = 0.0);
        if shift.iter().any(|&shift| shift != 0.0) {
            let n = zero.nodes.len();
            zero = fold_forward::run(&with_shift(zero, id, shift));
            if zero.nodes.len() != n {
                continue;
            }
        }
        graph = zero;
    }
    graph
}

/// The graph with a shift of each channel behind a node.
fn with_shift(mut graph: Graph, id: NodeId, shift: Vec<f64>) -> Graph {
    let moved = |at: &mut NodeId| *at += usize::from(*at >= id);
    // All that took the value take the shifted one; the node keeps its place.
    graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).for_each(moved);
    graph.outputs.iter_mut().for_each(|output| moved(&mut output.node));
    graph.inputs.iter_mut().for_each(|input| *input += usize::from(*input > id));
    let mut name = format!("{}_constants", graph.nodes[id].name);
    while graph.find(&name).is_some() {
        name.push('_');
    }
    let shape = graph.nodes[id].shape;
    let op = Affine { scale: vec![1.0; shape.c], shift }.into();
    let activation = Activation::None;
    graph.nodes.insert(id + 1, Node { name, op, inputs: vec![id], activation, shape });
    graph
}

fn dropped(graph: &Graph) -> Dropped {
    let (may_go, used, matters) = (may_go(graph), used(graph), into_another(graph));
    carried(graph, |id, node| {
        let mut own = vec![false; node.shape.c];
        if is_free(graph, id, &may_go) {
            for (channel, gone) in own.iter_mut().enumerate() {
                let is_zero = !matters[id] && constant(node, channel) == Some(0.0);
                *gone = !used[id][channel] || is_zero;
            }
            // Some value stays.
            if own.iter().all(|&gone| gone) {
                own[0] = false;
            }
        }
        own
    })
}

/// By node, whether a layer that makes each channel of one, or a function, takes its value: it may make another constant of
/// what is zero.
fn into_another(graph: &Graph) -> Vec<bool> {
    let mut into = vec![false; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate().rev() {
        for (position, &input) in node.inputs.iter().enumerate() {
            let is_carried = || matches!(graph.factor(id, position), Factor::Carried(_));
            into[input] |= is_depthwise(node) || is_function(node) || into[id] && is_carried();
        }
    }
    into
}

/// By node, the channels that a weight behind takes, or anything else does.
fn used(graph: &Graph) -> Vec<Vec<bool>> {
    let mut used: Vec<Vec<bool>> = graph
        .nodes
        .iter()
        .enumerate()
        .map(|(id, node)| vec![graph.is_output(id); node.shape.c])
        .collect();
    for id in (0..graph.nodes.len()).rev() {
        let node = &graph.nodes[id];
        for (position, &input) in node.inputs.iter().enumerate() {
            match (made_of(graph, id, position), node.op.parameters()) {
                (_, Some(own)) if graph.factor(id, position) == Factor::Absorbed => {
                    let (alone, taken) = (is_depthwise(node), used[id].clone());
                    for (at, _) in own.weights.iter().enumerate().filter(|(_, w)| **w != 0.0) {
                        let (to, from) = own.channels_of(at);
                        used[input][from] |= !alone || taken[to];
                    }
                }
                (Some(from), _) => {
                    for (to, from) in from.into_iter().enumerate() {
                        if let Some(from) = from {
                            used[input][from] |= used[id][to];
                        }
                    }
                }
                _ => used[input].fill(true),
            }
        }
    }
    used
}
