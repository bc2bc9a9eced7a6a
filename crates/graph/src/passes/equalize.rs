//! Factors move between the channels of a layer's result and the weights of the layers that take it:
//! the network computes the same, its channels become of like size. Powers of two leave no trace; other
//! factors round weights to the nearest float.
//!
//! Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
//! ICCV 2019, equation 8.

use crate::{
    graph::{Graph, NodeId},
    operator::Factor,
};
use fixedwise_fixed::convert::f64_to_f32;

/// For every node, whether it is a layer whose output channels may be scaled one by one: all that
/// take its value take such factors up.
pub fn equalizable(graph: &Graph) -> Vec<bool> {
    // Whether every way from the node's value ends in a layer's weights.
    let mut ends = vec![true; graph.nodes.len()];
    graph.outputs.iter().for_each(|output| ends[output.node] = false);
    for id in (0..graph.nodes.len()).rev() {
        for (position, &input) in graph.nodes[id].inputs.iter().enumerate() {
            ends[input] &= match graph.factor(id, position) {
                Factor::Absorbed => true,
                Factor::Carried(_) => ends[id],
                Factor::Refused => false,
            };
        }
    }
    graph
        .nodes
        .iter()
        .zip(ends)
        .map(|(node, ends)| {
            // A value that is added to a layer's sums would have to be scaled as they are.
            let is_free = node.op.is_layer() && !node.has_residual();
            ends && is_free && node.activation.is_homogeneous()
        })
        .collect()
}

/// Multiplies output channel `c` of layer `id` by `scales[id][c]`, and the weights behind it by the
/// inverse; an empty list leaves a layer's channels alone.
///
/// # Panics
/// Where a layer with scales is not [`equalizable`] or has another number of channels.
#[must_use]
pub fn equalize(graph: &Graph, scales: &[Vec<f32>]) -> Graph {
    let allowed = equalizable(graph);
    let mut result = graph.clone();
    let mut carried = Vec::with_capacity(graph.nodes.len());
    for id in 0..graph.nodes.len() {
        let own = &scales[id];
        assert!(own.is_empty() || allowed[id] && own.len() == graph.nodes[id].shape.c);
        let before = factors_into(graph, id, &carried);
        let node = &mut result.nodes[id];
        let Some(parameters) = node.op.parameters() else {
            carried.push(before);
            continue;
        };
        let own = if own.is_empty() { vec![1.0; node.shape.c] } else { own.clone() };
        let times = |x: &f32, factor: f64| f64_to_f32(f64::from(*x) * factor);
        let scaled = |(i, w): (usize, &f32)| {
            let (output, input) = parameters.channels_of(i);
            times(w, f64::from(own[output]) / f64::from(before[input]))
        };
        let weights: Vec<f32> = parameters.weights.iter().enumerate().map(scaled).collect();
        let numbers = node.op.parameters_mut().expect("it is a layer");
        numbers.weights.copy_from_slice(&weights);
        let taps = numbers.tap_bias.len() / own.len();
        for (i, tap) in numbers.tap_bias.iter_mut().enumerate() {
            *tap = times(tap, f64::from(own[i / taps]));
        }
        numbers.bias.iter_mut().zip(&own).for_each(|(b, &s)| *b = times(b, f64::from(s)));
        carried.push(own);
    }
    result
}

/// The factors of the channels that a layer's weights multiply, or those of another node's own channels.
fn factors_into(graph: &Graph, id: NodeId, carried: &[Vec<f32>]) -> Vec<f32> {
    let node = &graph.nodes[id];
    let mut factors = vec![1.0; node.shape.c];
    for (position, &input) in node.inputs.iter().enumerate() {
        match graph.factor(id, position) {
            Factor::Absorbed => return carried[input].clone(),
            Factor::Carried(from) => {
                for (factor, from) in factors.iter_mut().zip(from) {
                    if let Some(from) = from {
                        *factor *= carried[input][from];
                    }
                }
            }
            Factor::Refused => {}
        }
    }
    factors
}
