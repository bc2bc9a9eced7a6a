//! What the integers of weights themselves cost: multiplications without the bits that are zero, and weights without
//! their redundancy. `docs/number-format.md` defines both.

use crate::{
    cost::{POINT_BITS, operand_bits},
    error::LowerError,
    graph::Graph,
    plan::{Plan, Semantics},
};
use fixedwise_fixed::{
    Format,
    convert::{count_to_u64, f64_to_count, saturating_i16, u64_to_f64},
};
use std::collections::BTreeMap;

/// A cost of a plan and the same of all tensors at 8 bits, their weights rounded to the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Compared {
    /// Of the plan.
    pub plan: u64,
    /// At 8 bits.
    pub uniform8: u64,
}

impl Compared {
    /// The part of the 8-bit cost that is saved.
    pub fn reduction(&self) -> f64 {
        let Self { plan, uniform8 } = *self;
        if uniform8 == 0 { 0.0 } else { 1.0 - u64_to_f64(plan) / u64_to_f64(uniform8) }
    }
}

/// What the integers of a plan cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Integers {
    /// Effective bit operations: for each multiplication the bits of the weight from its highest to its lowest set
    /// one, times those of the value.
    pub bit_operations: Compared,
    /// Bytes of all weights, each layer entropy-coded where that makes it smaller.
    pub coded_bytes: Compared,
}

/// What the integers of a plan cost; `None` where the plan has other semantics or leaves weights float.
///
/// # Errors
/// Where the plan does not fit the graph.
pub fn integers(graph: &Graph, plan: &Plan) -> Result<Option<Integers>, LowerError> {
    if plan.semantics != Semantics::Integer {
        return Ok(None);
    }
    let bits = operand_bits(graph, plan)?;
    let mut sum = Integers::default();
    for (id, node) in graph.nodes.iter().enumerate() {
        let products = graph.products(id);
        if products > 0 {
            sum.bit_operations.plan += products * bits[node.inputs[1]] * bits[node.main_input()];
        }
        let Some(weights) = node.op.weights() else { continue };
        let format = plan.layer(&node.name).and_then(|layer| layer.weights);
        let Some(format) = format else { return Ok(None) };
        let rounded = plan.rounded.get(&node.name);
        let own = rounded.map_or_else(|| nearest(weights, format), |own| own.weights.clone());
        let points = rounded.filter(|own| own.is_by_channel());
        let points = points.map_or(0, |own| POINT_BITS * count_to_u64(own.coarser.len()));
        let uses = count_to_u64(node.shape.h * node.shape.w);
        sum.bit_operations.plan += uses * spans(&own) * bits[node.main_input()];
        sum.coded_bytes.plan += coded_bytes(&own, format.bits, points);
    }
    let whole = graph.whole.map(|whole| (whole.bit_operations, whole.coded_bytes));
    (sum.bit_operations.uniform8, sum.coded_bytes.uniform8) =
        whole.unwrap_or_else(|| at_eight(graph));
    Ok(Some(sum))
}

/// Both of all tensors at 8 bits, weights rounded to the nearest.
pub(crate) fn at_eight(graph: &Graph) -> (u64, u64) {
    let (mut operations, mut bytes) = (0, 0);
    for (id, node) in graph.nodes.iter().enumerate() {
        operations += graph.products(id) * 64;
        if let Some(weights) = node.op.weights() {
            let nearest = nearest(weights, no_clip(weights));
            operations += count_to_u64(node.shape.h * node.shape.w) * spans(&nearest) * 8;
            bytes += coded_bytes(&nearest, 8, 0);
        }
    }
    (operations, bytes)
}

fn nearest(weights: &[f32], format: Format) -> Vec<i16> {
    weights.iter().map(|&w| saturating_i16(format.quantize(f64::from(w)))).collect()
}

/// The format of 8 bits with the finest step at which no weight clips.
fn no_clip(weights: &[f32]) -> Format {
    let largest = weights.iter().fold(0.0_f64, |max, &w| max.max(f64::from(w).abs()));
    let clips = |frac: i8| largest > Format::signed(8, frac).dequantize(127);
    let frac = (i8::MIN..=i8::MAX).rev().find(|&frac| !clips(frac));
    Format::signed(8, if largest > 0.0 { frac.unwrap_or(i8::MIN) } else { 0 })
}

/// The bits of all integers from the highest to the lowest set bit of their magnitudes.
fn spans(weights: &[i16]) -> u64 {
    let span = |w: &i16| {
        let magnitude = w.unsigned_abs();
        let outside = magnitude.leading_zeros() + magnitude.trailing_zeros();
        if magnitude == 0 { 0 } else { u64::from(u16::BITS - outside) }
    };
    weights.iter().map(span).sum()
}

/// Bytes of a layer's integers of so many bits with `more` bits beside them: in a code of their entropy, with its table,
/// or plain where that is less.
fn coded_bytes(weights: &[i16], bits: u8, more: u64) -> u64 {
    let mut counts = BTreeMap::new();
    weights.iter().for_each(|&w| *counts.entry(w).or_insert(0_u64) += 1);
    let n = count_to_u64(weights.len());
    let of_value = |&count: &u64| u64_to_f64(count) * (u64_to_f64(n) / u64_to_f64(count)).log2();
    let entropy = counts.values().map(of_value).sum::<f64>();
    let count_bits = u64::from(u64::BITS - n.leading_zeros());
    let bits = u64::from(bits);
    let table = (bits + 1) + count_to_u64(counts.len()) * (bits + count_bits);
    let coded = count_to_u64(f64_to_count(entropy.ceil())) + table;
    (coded.min(n * bits) + more).div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_from_the_highest_to_the_lowest_set_one_count() {
        for (weight, span) in
            [(0, 0), (1, 1), (-1, 1), (4, 1), (6, 2), (-5, 3), (127, 7), (-128, 1)]
        {
            assert_eq!(spans(&[weight]), span, "{weight}");
        }
        assert_eq!(spans(&[3, 0, -10]), 2 + 3);
    }

    #[test]
    fn a_code_has_its_entropy_and_a_table() {
        // 960 zeros, 32 and 32 ones of either sign: 0.4 bits each.
        let weights: Vec<i16> =
            [vec![0; 960], vec![1; 32], vec![-1; 32]].into_iter().flatten().collect();
        let entropy = 960.0 * (1024.0_f64 / 960.0).log2() + 64.0 * 5.0;
        let table = (2 + 1) + 3 * (2 + 11);
        let expected = (count_to_u64(f64_to_count(entropy.ceil())) + table).div_ceil(8);
        assert_eq!(coded_bytes(&weights, 2, 0), expected);
        assert_eq!(expected, 57);
        // No code is worth its table where all are different; what stands beside stays.
        let all: Vec<i16> = (-8..8).collect();
        assert_eq!(coded_bytes(&all, 4, 0), 8);
        assert_eq!(coded_bytes(&all, 4, 12), 10);
        assert_eq!(coded_bytes(&[5; 4096], 8, 0), (9 + 8 + 13_u64).div_ceil(8));
    }

    #[test]
    fn eight_bits_clip_nothing() {
        for (largest, frac) in [(127.0, 0), (127.5, -1), (1.0, 6), (0.5, 7), (0.0, 0)] {
            assert_eq!(no_clip(&[0.0, -largest]).frac, frac, "{largest}");
        }
    }
}
