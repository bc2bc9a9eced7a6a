//! A scale and shift right after a layer joins the layer's weights and bias, also where maps between them move
//! its elements.

use super::{consumer_behind_maps, have_zeros, replace_uses, takes_over};
use crate::{
    graph::{Graph, NodeId},
    ops::{Affine, IndexMap},
    parameters::ParametersMut,
    shape::Activation,
};
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
    let Some((maps, user)) = consumer_behind_maps(graph, id) else { return false };
    let Some(affine) = graph.nodes[user].op.get::<Affine>() else { return false };
    if !maps.is_empty() && graph.nodes[user].activation != Activation::None {
        return false;
    }
    let Some(affine) = before_maps(graph, affine, id, &maps) else { return false };
    let Some(mut layer) = graph.nodes[id].op.parameters_mut() else { return false };
    scale_outputs(&mut layer, &affine.scale, &affine.shift);
    let name = graph.nodes[id].name.clone();
    graph.rounded_before.rescale(&name, &affine.scale, &affine.shift);
    for &map in &maps {
        let name = &graph.nodes[map].name;
        graph.rounded_before.values.remove(name);
    }
    let behind = maps.last().copied().unwrap_or(id);
    graph.nodes[behind].activation = graph.nodes[user].activation;
    takes_over(graph, user, id);
    replace_uses(graph, user, behind);
    graph.nodes[user].inputs = vec![0];
    true
}

/// What stands before maps of the value of `id` in place of a scale and shift behind them, where one does.
fn before_maps(graph: &Graph, affine: &Affine, id: NodeId, maps: &[NodeId]) -> Option<Affine> {
    if maps.is_empty() {
        return Some(affine.clone());
    }
    if have_zeros(graph, maps) && affine.shift.iter().any(|&shift| shift != 0.0) {
        return None;
    }
    let mut affine = affine.clone();
    for &map in maps.iter().rev() {
        let before = graph.nodes[graph.nodes[map].inputs[0]].shape;
        let pairs = graph.nodes[map].op.get::<IndexMap>()?.channel_pairs(before);
        let mut own: Vec<Option<(f64, f64)>> = vec![None; before.c];
        for (source, channel) in pairs {
            let pair = (affine.scale[channel], affine.shift[channel]);
            if own[source].is_some_and(|other| other != pair) {
                return None;
            }
            own[source] = Some(pair);
        }
        let (scale, shift) = own.iter().map(|pair| pair.unwrap_or((1.0, 0.0))).unzip();
        affine = Affine { scale, shift };
    }
    debug_assert_eq!(affine.scale.len(), graph.nodes[id].shape.c);
    Some(affine)
}

/// Scales and shifts every output channel of a layer.
pub(super) fn scale_outputs(layer: &mut ParametersMut, scale: &[f64], shift: &[f64]) {
    scale_rows(layer.weights, scale);
    if !layer.tap_bias.is_empty() {
        scale_rows(layer.tap_bias, scale);
    }
    for (b, (&s, &t)) in layer.bias.iter_mut().zip(scale.iter().zip(shift)) {
        *b = f64_to_f32(s.mul_add(f64::from(*b), t));
    }
}

/// Rows begin with the output channel.
fn scale_rows(rows: &mut [f32], scale: &[f64]) {
    let len = rows.len() / scale.len();
    for (row, &scale) in rows.chunks_exact_mut(len).zip(scale) {
        row.iter_mut().for_each(|w| *w = f64_to_f32(f64::from(*w) * scale));
    }
}
