//! An operator that no other file knows: what a new one needs is what stands here.

use fixedwise_fixed::Rounding;
use fixedwise_graph::{
    Constant, Context, Edge, EmitError, Factor, FixedOp, FixedOperator, FixedStep, FloatStep,
    FormatRule, LowerContext, LowerError, Operator, Place, Requantization, Shape,
    emit::{
        c::{CNode, CStep},
        npz::NpzNode,
    },
};
use fixedwise_kernels::{Integers, IntegersMut, Kernels, Scratch};
use serde_json::json;
use std::{ops::Range, sync::Arc};

/// `y = (a + b) / 2`, element by element; two values of one shape.
///
/// Fixed point: both are shifted left to the finer binary point, added exactly, shifted to the
/// output's with rounding, saturated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mean;

impl Operator for Mean {
    fn name(&self) -> &'static str {
        "Mean"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [a, b] if a == b => Ok(*a),
            _ => Err("must be two values with the same shape".to_owned()),
        }
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let activation = context.activation;
        Box::new(move |inputs, y, _| {
            for ((y, a), b) in y.iter_mut().zip(inputs[0]).zip(inputs[1]) {
                *y = activation.apply((a + b) / 2.0);
            }
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        let fracs = [context.formats[0].frac, context.formats[1].frac].map(i32::from);
        let finer = fracs[0].max(fracs[1]);
        let shifts = [context.left_shift(finer - fracs[0])?, context.left_shift(finer - fracs[1])?];
        // Half of a sum has its binary point one bit further left.
        let requantization = context.requantization(finer + 1)?;
        let bound = (0..2).fold(requantization.half(), |sum, i| {
            sum.saturating_add(context.formats[i].max_magnitude().unsigned_abs() << shifts[i])
        });
        let accumulator_bits = context.prove_bound(bound)?;
        Ok(FixedMean { shifts, accumulator_bits, requantization }.into())
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Own
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], _: Shape) -> Factor {
        Factor::Refused
    }

    fn takes_activation(&self) -> bool {
        true
    }
}

/// Mean of two integer values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedMean {
    /// Left shifts that align the inputs.
    pub shifts: [u32; 2],
    /// Bits the sum needs.
    pub accumulator_bits: u8,
    /// From the sum to the output.
    pub requantization: Requantization,
}

impl FixedMean {
    /// The mean of two integers.
    pub fn of(&self, a: i64, b: i64) -> i64 {
        self.requantization.apply((a << self.shifts[0]) + (b << self.shifts[1]))
    }
}

impl FixedOperator for FixedMean {
    fn prepare(&self, _: &[Shape], _: Shape, _: &'static Kernels) -> FixedStep {
        let mean = self.clone();
        Arc::new(move |inputs: &[Integers], mut y: IntegersMut, _: &mut Scratch| {
            for i in 0..y.len() {
                y.set(i, mean.of(inputs[0].get(i), inputs[1].get(i)));
            }
        })
    }

    fn name(&self) -> &'static str {
        "mean"
    }

    fn accumulator_bits(&self) -> u8 {
        self.accumulator_bits
    }

    fn place(&self) -> Place {
        Place::Over(&[0, 1])
    }

    fn rows(&self, rows: Range<usize>, _: &[Shape], _: Shape) -> Vec<Range<usize>> {
        vec![rows.clone(), rows]
    }

    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let Requantization { shift, rounding, min, max, ref leaky, .. } = self.requantization;
        assert!(rounding == Rounding::TiesUp && leaky.is_none(), "the tests print no other");
        let [a, b] = self.shifts.map(|left| 1_i64 << (left + shift.min(0).unsigned_abs()));
        let (n, half, right) = (node.output.shape.len(), self.requantization.half(), shift.max(0));
        let call = format!(
            "for (int32_t i = 0; i < {n}; i++) {{\n    \
             const int64_t sum = ($X0)[i] * (int64_t){a} + ($X1)[i] * (int64_t){b};\n    \
             const int64_t mean = (sum + {half}) >> {right};\n    \
             ($Y)[i] = mean < {min} ? {min} : mean > {max} ? {max} : mean;\n}}"
        );
        Ok(CStep { call, kernel: "mean", ..CStep::default() })
    }

    fn emit_npz(&self, _: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        Ok(json!({ "shifts": self.shifts, "shift": self.requantization.shift }))
    }
}
