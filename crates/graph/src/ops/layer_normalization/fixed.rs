//! Exact sums of elements and squares, an integer root, and one reciprocal.

use crate::{
    emit::{
        c::node::{CNode, CStep},
        npz::node::{NpzNode, json_requantization},
    },
    error::{EmitError, LowerError},
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Place, step},
    lower::{context::LowerContext, requantization::Requantization},
    shape::Shape,
};
use fixedwise_fixed::{
    bits_for,
    convert::{count_to_f64, count_to_u64, exp2, f64_to_i64},
};
use fixedwise_kernels::{Integers, IntegersMut, Kernels};
use serde_json::json;
use std::ops::Range;

/// Bits of a variance that is shifted as far as it may be.
const ROOT_BITS: u32 = 62;

/// Fractional bits of a difference times the reciprocal of a root of 31 bits.
const PRODUCT_FRAC: i32 = 61;

/// The most that a product is shifted by.
const PRODUCT_SHIFT: i32 = 62;

/// The most that a variance is shifted by, in pairs of bits.
const MAX_SHIFT: i32 = 30;

/// Bits of the number of channels times a difference to the mean.
const DIFFERENCE_BITS: u8 = 31;

/// Integers less their mean, divided by their deviation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedLayerNormalization {
    /// Whether the mean is subtracted.
    pub is_centered: bool,
    /// Added to the square of the number of channels times the variance; 1 or more.
    pub epsilon: i64,
    /// The largest magnitude of the number of channels times a difference to the mean.
    pub bound: u64,
    /// From the product with the reciprocal, where the variance is not shifted, to the output.
    pub requantization: Requantization,
}

pub(super) fn lower(
    context: &LowerContext,
    epsilon: f64,
    is_centered: bool,
) -> Result<FixedOp, LowerError> {
    let (input, n) = (context.formats[0], context.shape.c);
    let range = (input.max() - input.min()).max(input.max_magnitude()).unsigned_abs();
    let bound = count_to_u64(n).saturating_mul(range);
    context.prove_within(bound, DIFFERENCE_BITS)?;
    let squared = count_to_f64(n) * count_to_f64(n) * epsilon * exp2(2 * i32::from(input.frac));
    let epsilon = f64_to_i64(squared.round_ties_even()).clamp(1, 1 << (ROOT_BITS - 2));
    let most = bound.saturating_mul(bound).saturating_add(epsilon.unsigned_abs());
    // Every variance is shifted at least so far, and the product less far then.
    let least_pairs = (ROOT_BITS.saturating_sub(u64::BITS - most.leading_zeros())) / 2;
    let reach = PRODUCT_SHIFT + i32::try_from(least_pairs).unwrap_or(0);
    let requantization = context.wide_requantization(PRODUCT_FRAC, reach)?;
    if requantization.shift <= MAX_SHIFT {
        return Err(context.shift_error(requantization.shift));
    }
    Ok(FixedLayerNormalization { is_centered, epsilon, bound, requantization }.into())
}

impl FixedLayerNormalization {
    fn run<T: Copy + Into<i64>>(&self, x: &[T], channels: usize, y: &mut IntegersMut) {
        let n = i64::try_from(channels).expect("a value has few channels");
        for (row, x) in x.chunks_exact(channels).enumerate() {
            let all = || x.iter().map(|&x| x.into());
            let sum: i64 = if self.is_centered { all().sum() } else { 0 };
            let squares: i64 = all().map(|x: i64| x * x).sum();
            let mut variance = n * squares - sum * sum + self.epsilon;
            let mut shift = 0;
            while variance < 1 << (ROOT_BITS - 2) {
                variance <<= 2;
                shift += 1;
            }
            let reciprocal = (1 << PRODUCT_FRAC) / variance.isqrt();
            let to = Requantization {
                shift: self.requantization.shift - shift,
                ..self.requantization.clone()
            };
            for (c, x) in all().enumerate() {
                y.set(row * channels + c, to.apply((n * x - sum) * reciprocal));
            }
        }
    }
}

impl FixedOperator for FixedLayerNormalization {
    fn prepare(&self, _: &[Shape], output: Shape, _: &'static Kernels) -> FixedStep {
        let (op, channels) = (self.clone(), output.c);
        step(move |inputs, mut y, _| match inputs[0] {
            Integers::U8(x) => op.run(x, channels, &mut y),
            Integers::I8(x) => op.run(x, channels, &mut y),
            Integers::I16(x) => op.run(x, channels, &mut y),
        })
    }

    fn name(&self) -> &'static str {
        "layer_normalization"
    }

    fn accumulator_bits(&self) -> u8 {
        bits_for(self.bound)
    }

    fn place(&self) -> Place {
        // An element is read the last time before its own is written.
        Place::Over(&[0])
    }

    fn rows(&self, rows: Range<usize>, _: &[Shape], _: Shape) -> Vec<Range<usize>> {
        vec![rows]
    }

    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let types = node.types();
        node.requantize_wide(&self.requantization);
        node.once("root", include_str!("../../emit/c/text/root.c"), &[]);
        let text = include_str!("../../emit/c/text/layer_normalization.c");
        node.once(&format!("layer_normalization_{types}"), text, &[("S", &types)]);
        let to = node.requantization("to", &self.requantization);
        let Shape { h, w, c } = node.output.shape;
        node.runs(&format!("layernormalization_{types}_requantize"), &[1, h * w, h * w * c]);
        let call = format!(
            "$P_layer_normalization_{types}($X0, $Y, {}, {c}, {}, {}, {to});",
            h * w * c,
            u8::from(self.is_centered),
            // The type of such a number is 64 bits wide.
            format_args!("INT64_C({})", self.epsilon),
        );
        Ok(CStep::call("layer_normalization", call))
    }

    fn emit_npz(&self, _: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        Ok(json!({
            "is_centered": self.is_centered,
            "epsilon": self.epsilon,
            "requantization": json_requantization(&self.requantization),
        }))
    }
}
