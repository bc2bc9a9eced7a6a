//! Before a scale and shift moves forward over an activation: where it makes the channels of a value alike, and they
//! are far from alike before it, powers of two of its factors move back over the activation into the layer.
//!
//! What a network was trained to multiply by weights is the normalized value. A channel whose variance was near zero,
//! or whose layer's weights are of another size, would otherwise decide the binary point of all the others: that of the
//! value, or that of the weights behind it.

use super::{fold_back::scale_outputs, only_consumer};
use crate::{
    graph::{Graph, NodeId},
    operator::Factor,
    ops::Affine,
    parameters::Parameters,
};
use fixedwise_fixed::convert::{exp2, f64_to_i64};

/// Factors that differ by fewer bits are alike: those of an 8-bit value.
const ALIKE_BITS: f64 = 8.0;

/// Values that are joined and differ by fewer bits leave each other at least two of eight.
const JOINED_BITS: f64 = 6.0;

/// A channel so many bits below the largest is less than a step of an 8-bit value.
const NOTHING_BITS: i32 = 8;

pub(super) fn run(graph: &mut Graph) {
    for id in 0..graph.nodes.len() {
        let Some(affine) = graph.nodes[id].op.get::<Affine>() else { continue };
        let Some(layer) = layer_before(graph, id) else { continue };
        let Some(parameters) = graph.nodes[layer].op.parameters() else { continue };
        let Some(moved) = powers(&affine.scale, &parameters) else { continue };
        let factors: Vec<f64> = moved.iter().map(|&power| exp2(power)).collect();
        let mut layer = graph.nodes[layer].op.parameters_mut().expect("it is a layer");
        scale_outputs(&mut layer, &factors, &vec![0.0; factors.len()]);
        let mut scaled = graph.nodes[id].inputs[0];
        loop {
            // Another value than the file rounds.
            graph.rounded_before.values.remove(&graph.nodes[scaled].name);
            if graph.nodes[scaled].op.is_layer() {
                break;
            }
            scaled = graph.nodes[scaled].inputs[0];
        }
        let affine = graph.nodes[id].op.get_mut::<Affine>().expect("it was one");
        for (scale, factor) in affine.scale.iter_mut().zip(factors) {
            *scale /= factor;
        }
    }
}

/// The exponents of two that bring factors far from the median to it, and those of channels that are nothing beside
/// the others; nothing where there is none.
fn powers(factors: &[f64], layer: &Parameters) -> Option<Vec<i32>> {
    let mut sizes: Vec<f64> = factors.iter().filter_map(|&factor| bits(factor)).collect();
    sizes.sort_by(f64::total_cmp);
    let median = *sizes.get(sizes.len() / 2)?;
    let largest = |numbers: &[f32]| numbers.iter().fold(0.0, |m, x| f64::from(x.abs()).max(m));
    let filters: Vec<f64> = layer.weights.chunks_exact(layer.depth()).map(largest).collect();
    // What a channel can be after the normalization, as far as its filter tells.
    let reach: Vec<f64> = filters.iter().zip(factors).map(|(w, s)| w * s.abs()).collect();
    let most = reach.iter().fold(0.0, |m: f64, &x| m.max(x));
    let own = |c: usize| filters[c].max(f64::from(layer.bias[c].abs()));
    let room = (0..factors.len()).map(own).fold(0.0, f64::max);
    let power = |c: usize| {
        let far = bits(factors[c]).map_or(0.0, |size| size - median);
        let power = whole(far.round());
        let is_nothing = reach[c] <= most * exp2(-NOTHING_BITS) && own(c) * exp2(power) <= room;
        if far.abs() > ALIKE_BITS || far > 0.0 && is_nothing { power } else { 0 }
    };
    let powers: Vec<i32> = (0..factors.len()).map(power).collect();
    powers.iter().any(|&power| power != 0).then_some(powers)
}

/// Whether such factors on the channels of one value, beside channels without one, leave it alike.
pub(super) fn are_alike(means: &[f64]) -> bool {
    let (least, most) = means
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &mean| (a.min(mean), b.max(mean)));
    most - least <= JOINED_BITS
}

/// The size of a factor in bits; none of zero.
pub(super) fn bits(factor: f64) -> Option<f64> {
    (factor != 0.0 && factor.is_finite()).then(|| factor.abs().log2())
}

fn whole(x: f64) -> i32 {
    i32::try_from(f64_to_i64(x)).unwrap_or(0).clamp(-60, 60)
}

/// The layer whose output channels are those of the value before `id`, and nothing else takes them.
fn layer_before(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let (mut user, mut before) = (id, graph.nodes[id].inputs[0]);
    loop {
        let node = &graph.nodes[before];
        if only_consumer(graph, before) != Some(user) || !node.activation.is_homogeneous() {
            return None;
        }
        if node.op.is_layer() {
            return (!node.has_residual()).then_some(before);
        }
        let &[input] = &node.inputs[..] else { return None };
        let Factor::Carried(from) = graph.factor(before, 0) else { return None };
        let same = from.iter().enumerate().all(|(to, from)| *from == Some(to));
        if !same || from.len() != graph.nodes[input].shape.c {
            return None;
        }
        (user, before) = (before, input);
    }
}
