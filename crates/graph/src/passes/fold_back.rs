//! A scale and shift right after a layer joins the layer's weights and bias.

use super::{only_consumer, replace_uses};
use crate::{
    graph::{Activation, Graph},
    ops::{Affine, Op},
};
use fixedwise_fixed::convert::f64_to_f32;

pub(super) fn run(graph: &mut Graph) {
    for id in 0..graph.nodes.len() {
        while fold(graph, id) {}
    }
}

/// Folds the affine node after `id`; whether there was one.
fn fold(graph: &mut Graph, id: usize) -> bool {
    if graph.nodes[id].activation != Activation::None {
        return false;
    }
    let Some(user) = only_consumer(graph, id) else { return false };
    let Op::Affine(affine) = graph.nodes[user].op.clone() else { return false };
    match &mut graph.nodes[id].op {
        Op::Conv(conv) => {
            scale_rows(&mut conv.weights, &affine);
            if !conv.tap_bias.is_empty() {
                scale_rows(&mut conv.tap_bias, &affine);
            }
            transform(&mut conv.bias, &affine);
        }
        Op::Gemm(gemm) => {
            scale_rows(&mut gemm.weights, &affine);
            transform(&mut gemm.bias, &affine);
        }
        _ => return false,
    }
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
