//! A scale and shift right after a layer joins the layer's weights and bias.

use super::{only_consumer, replace_uses};
use crate::{graph::Graph, ops::Affine, shape::Activation};
use fixedwise_fixed::convert::f64_to_f32;

pub(super) fn run(graph: &mut Graph) {
    for id in 0..graph.nodes.len() {
        while fold(graph, id) {}
    }
}

/// Folds the affine node after `id`; whether there was one.
fn fold(graph: &mut Graph, id: usize) -> bool {
    // What is added to the layer's sums would have to be scaled too.
    if graph.nodes[id].activation != Activation::None || graph.nodes[id].has_residual() {
        return false;
    }
    let Some(user) = only_consumer(graph, id) else { return false };
    let Some(affine) = graph.nodes[user].op.get::<Affine>().cloned() else { return false };
    let Some(layer) = graph.nodes[id].op.parameters_mut() else { return false };
    scale_rows(layer.weights, &affine);
    if !layer.tap_bias.is_empty() {
        scale_rows(layer.tap_bias, &affine);
    }
    transform(layer.bias, &affine);
    graph.nodes[id].activation = graph.nodes[user].activation;
    replace_uses(graph, user, id);
    graph.nodes[user].inputs = vec![0];
    true
}

/// Rows begin with the output channel.
fn scale_rows(rows: &mut [f32], affine: &Affine) {
    let len = rows.len() / affine.scale.len();
    for (row, &scale) in rows.chunks_exact_mut(len).zip(&affine.scale) {
        row.iter_mut().for_each(|w| *w = f64_to_f32(f64::from(*w) * scale));
    }
}

fn transform(bias: &mut [f32], affine: &Affine) {
    for (b, (&s, &t)) in bias.iter_mut().zip(affine.scale.iter().zip(&affine.shift)) {
        *b = f64_to_f32(s.mul_add(f64::from(*b), t));
    }
}
