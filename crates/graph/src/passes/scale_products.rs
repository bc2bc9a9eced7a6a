//! One factor for all of a value before or behind a product of two values becomes the product's own: the scale of
//! attention.

use super::{only_consumer, replace_uses, takes_over};
use crate::{
    graph::{Graph, NodeId},
    ops::{Affine, IndexMap, MatMul, Reshape},
    shape::Activation,
};

pub(super) fn run(graph: &mut Graph) {
    for id in 0..graph.nodes.len() {
        let Some(MatMul { mut factor }) = graph.nodes[id].op.get().cloned() else { continue };
        for input in 0..graph.nodes[id].inputs.len() {
            while let Some(own) = take_before(graph, id, input) {
                factor *= own;
            }
        }
        while graph.nodes[id].activation == Activation::None
            && let Some(user) = only_consumer(graph, id)
            && let Some(own) = factor_of(graph, user)
            && graph.nodes[user].activation == Activation::None
        {
            let name = graph.nodes[id].name.clone();
            graph.rounded_before.rescale(&name, &[own], &[0.0]);
            takes_over(graph, user, id);
            replace_uses(graph, user, id);
            factor *= own;
        }
        graph.nodes[id].op = MatMul { factor }.into();
    }
}

/// The one factor that a node multiplies all elements with.
fn factor_of(graph: &Graph, id: NodeId) -> Option<f64> {
    let Affine { scale, shift } = graph.nodes[id].op.get()?;
    let is_one = scale.iter().all(|x| x.to_bits() == scale[0].to_bits());
    (is_one && shift.iter().all(|&x| x == 0.0)).then_some(scale[0])
}

/// Takes the nearest factor before an input of a node out, also through what only moves elements for it alone.
fn take_before(graph: &mut Graph, id: NodeId, input: usize) -> Option<f64> {
    let (mut user, mut position) = (id, input);
    let mut moved: Vec<NodeId> = Vec::new();
    loop {
        let at = graph.nodes[user].inputs[position];
        let node = &graph.nodes[at];
        if node.activation != Activation::None {
            return None;
        }
        if let Some(factor) = factor_of(graph, at) {
            graph.nodes[user].inputs[position] = node.inputs[0];
            // Values of another scale than the file rounds.
            for id in moved {
                let name = &graph.nodes[id].name;
                graph.rounded_before.values.remove(name);
            }
            return Some(factor);
        }
        let moves = node.op.is::<IndexMap>() || node.op.is::<Reshape>();
        if !moves || only_consumer(graph, at) != Some(user) {
            return None;
        }
        moved.push(at);
        (user, position) = (at, 0);
    }
}
