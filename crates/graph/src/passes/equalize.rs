//! Factors move between the channels of a layer's result and the weights of the layers that take it:
//! the network computes the same, its channels become of like size. Powers of two leave no trace; other
//! factors round weights to the nearest float.
//!
//! Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
//! ICCV 2019, equation 8.

use crate::{
    graph::{Activation, Graph, NodeId},
    ops::{Concat, Op},
};
use fixedwise_fixed::convert::f64_to_f32;

/// What a node does to a factor of one channel of what it takes.
enum Passing {
    /// It takes it up into its weights.
    Absorbs,
    /// Its own channels get it.
    Carries,
    /// Its result would be another.
    Refuses,
}

fn passing(graph: &Graph, id: NodeId) -> Passing {
    let node = &graph.nodes[id];
    let homogeneous = is_homogeneous(node.activation);
    let is_vector = node.shape.h * node.shape.w == 1;
    match &node.op {
        Op::Conv(_) | Op::Gemm(_) => Passing::Absorbs,
        Op::MaxPool(_)
        | Op::GlobalMaxPool(_)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool(_)
        | Op::Relu(_)
        | Op::LeakyRelu(_)
        | Op::Concat(Concat { axis: 2 })
            if homogeneous =>
        {
            Passing::Carries
        }
        Op::Reshape(_) if homogeneous && is_vector => Passing::Carries,
        _ => Passing::Refuses,
    }
}

fn is_homogeneous(activation: Activation) -> bool {
    matches!(activation, Activation::None | Activation::Relu | Activation::LeakyRelu { .. })
}

/// For every node, whether it is a layer whose output channels may be scaled one by one: all that
/// take its value take such factors up.
pub fn equalizable(graph: &Graph) -> Vec<bool> {
    // Whether every way from the node's value ends in a layer's weights.
    let mut ends = vec![true; graph.nodes.len()];
    ends[graph.output] = false;
    for id in (0..graph.nodes.len()).rev() {
        let takes = match passing(graph, id) {
            Passing::Absorbs => true,
            Passing::Carries => ends[id],
            Passing::Refuses => false,
        };
        if !takes {
            for &input in &graph.nodes[id].inputs {
                ends[input] = false;
            }
        }
    }
    graph
        .nodes
        .iter()
        .zip(ends)
        .map(|(node, ends)| ends && node.op.is_layer() && is_homogeneous(node.activation))
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
        let before = carried_into(graph, id, &carried);
        let node = &mut result.nodes[id];
        let own = if own.is_empty() { vec![1.0; node.shape.c] } else { own.clone() };
        let scale = |out: usize, input: usize| {
            f64::from(own[out]) / f64::from(before.get(input).copied().unwrap_or(1.0))
        };
        let times = |x: &mut f32, factor: f64| *x = f64_to_f32(f64::from(*x) * factor);
        match &mut node.op {
            Op::Conv(conv) => {
                let group_channels = conv.group_channels();
                let filter = conv.weights.len() / conv.channels;
                let group_outputs = conv.channels / conv.groups;
                for (i, w) in conv.weights.iter_mut().enumerate() {
                    let (out, channel) = (i / filter, i % group_channels);
                    times(w, scale(out, out / group_outputs * group_channels + channel));
                }
                let taps = conv.tap_bias.len() / conv.channels;
                for (i, tap) in conv.tap_bias.iter_mut().enumerate() {
                    times(tap, f64::from(own[i / taps]));
                }
                conv.bias.iter_mut().zip(&own).for_each(|(b, &s)| times(b, f64::from(s)));
                carried.push(own);
            }
            Op::Gemm(gemm) => {
                let inputs = gemm.weights.len() / gemm.bias.len();
                for (i, w) in gemm.weights.iter_mut().enumerate() {
                    times(w, scale(i / inputs, i % inputs));
                }
                gemm.bias.iter_mut().zip(&own).for_each(|(b, &s)| times(b, f64::from(s)));
                carried.push(own);
            }
            _ => carried.push(before),
        }
    }
    result
}

/// The scales of the channels that a node takes, or hands on.
fn carried_into(graph: &Graph, id: NodeId, carried: &[Vec<f32>]) -> Vec<f32> {
    let node = &graph.nodes[id];
    match &node.op {
        Op::Input(_) => vec![1.0; node.shape.c],
        Op::Concat(Concat { axis: 2 }) => {
            node.inputs.iter().flat_map(|&input| carried[input].iter().copied()).collect()
        }
        Op::Reshape(reshape) => {
            let input = graph.nodes[node.inputs[0]].shape;
            let of = &carried[node.inputs[0]];
            let source = reshape.source(input);
            if of.iter().all(|s| s.to_bits() == 1.0_f32.to_bits()) {
                return vec![1.0; node.shape.c];
            }
            source.iter().map(|from| of[from % input.c]).collect()
        }
        _ => carried[node.inputs[0]].clone(),
    }
}
