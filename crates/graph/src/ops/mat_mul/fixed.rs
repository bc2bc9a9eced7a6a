//! Exact sums of products of two values.

use crate::{
    emit::{
        c::node::{CNode, CStep},
        network::{
            node::{NetworkNode, NetworkValue},
            rounding::F32_EXACT,
        },
        npz::node::{NpzNode, json_requantization},
    },
    error::{EmitError, LowerError},
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Place, step},
    lower::{context::LowerContext, requantization::Requantization},
    shape::Shape,
};
use fixedwise_codec::onnx::Attribute;
use fixedwise_fixed::{
    Multiplier,
    convert::{count_to_u64, exp2, i64_to_f64},
};
use fixedwise_kernels::{Kernels, Matrices};
use serde_json::json;
use std::ops::Range;

/// Products of matrices of integers.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedMatMul {
    /// What every sum is multiplied with before it is shifted; one where a shift does.
    pub mantissa: i64,
    /// Bits that the sum of products needs.
    pub accumulator_bits: u8,
    /// The largest magnitude of such a sum.
    pub bound: u64,
    /// From the sum, or its multiple, to the output.
    pub requantization: Requantization,
}

/// The extents of the products of two values.
pub(super) fn matrices(inputs: &[Shape]) -> Matrices {
    let [a, b] = [inputs[0], inputs[1]];
    Matrices { count: a.h, rows: a.w, columns: b.w, depth: a.c }
}

pub(super) fn lower(context: &LowerContext, factor: f64) -> Result<FixedOp, LowerError> {
    let scale: i32 = context.formats.iter().map(|format| i32::from(format.frac)).sum();
    let magnitude = |i: usize| context.formats[i].max_magnitude().unsigned_abs();
    let bound = count_to_u64(context.inputs[0].c).saturating_mul(magnitude(0) * magnitude(1));
    let to_output = scale - i32::from(context.output.frac);
    let Multiplier { mantissa, frac } = context.multiplier(factor, to_output)?;
    let requantization = if mantissa == 1 {
        context.requantization(scale + frac)?
    } else {
        let direct = context.requantization(scale)?;
        Requantization { shift: direct.shift + frac, ..direct }
    };
    let half = if mantissa == 1 { requantization.half() } else { 0 };
    let accumulator_bits = context.prove_bound(bound.saturating_add(half))?;
    context.prove_within(bound.saturating_mul(mantissa.unsigned_abs()), 63)?;
    Ok(FixedMatMul { mantissa, accumulator_bits, bound, requantization }.into())
}

impl FixedMatMul {
    /// Whether a sum may need more than 32 bits.
    fn is_wide(&self) -> bool {
        self.accumulator_bits > 32
    }
}

impl FixedOperator for FixedMatMul {
    fn prepare(&self, inputs: &[Shape], _: Shape, _: &'static Kernels) -> FixedStep {
        let (op, matrices) = (self.clone(), matrices(inputs));
        step(move |inputs, mut y, scratch| {
            let put = |i: usize, sum: i64| y.set(i, op.requantization.apply(sum * op.mantissa));
            matrices.multiply(inputs[0], inputs[1], op.is_wide(), scratch, put);
        })
    }

    fn name(&self) -> &'static str {
        "mat_mul"
    }

    fn accumulator_bits(&self) -> u8 {
        self.accumulator_bits
    }

    fn place(&self) -> Place {
        Place::Apart
    }

    fn rows(&self, rows: Range<usize>, _: &[Shape], _: Shape) -> Vec<Range<usize>> {
        vec![rows.clone(), rows]
    }

    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let [a, b] = [node.inputs[0], node.inputs[1]];
        let requantize = node.requantize(&self.requantization);
        let mut types = format!("{}_{}_{}", a.short(), b.short(), node.output.short());
        let (mut parameter, mut result) = ("", format!("$P_{requantize}(sum, to)"));
        let mut factor = String::new();
        if self.mantissa != 1 {
            types.push_str("_scaled");
            node.requantize_wide(&self.requantization);
            parameter = "int32_t factor, ";
            "$P_requantize_wide((int64_t)sum * factor, to->shift, to)".clone_into(&mut result);
            factor = format!("{}, ", self.mantissa);
        }
        let values = [
            ("A", a.ctype()),
            ("B", b.ctype()),
            ("A4", a.short()),
            ("B4", b.short()),
            ("S", &types),
            ("FACTOR", parameter),
            ("RESULT", &result),
        ];
        let text = include_str!("../../emit/c/text/mat_mul.c");
        node.once(&format!("mat_mul_{types}"), text, &values);
        let to = node.requantization("to", &self.requantization);
        let own = matrices(&[a.shape, b.shape]);
        let products = own.count * own.rows * own.columns;
        let turns = [1, own.count * own.rows, products, products * own.depth];
        node.runs(&format!("matmul_{types}_requantize"), &turns);
        let call = format!(
            "$P_mat_mul_{types}($X0, $X1, $Y, {}, {}, {}, {}, {factor}{to});",
            own.count, own.rows, own.columns, own.depth
        );
        Ok(CStep::call("mat_mul", call))
    }

    fn emit_npz(&self, _: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        let requantization = json_requantization(&self.requantization);
        Ok(json!({ "factor": self.mantissa, "requantization": requantization }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let name = node.name;
        let inputs = [node.image(0), node.image(1)];
        let frac = self.requantization.shift + i32::from(self.requantization.format.frac);
        node.check_step(frac)?;
        let bound = self.bound.saturating_mul(self.mantissa.unsigned_abs());
        let bound = bound.saturating_add(self.requantization.half());
        // Where no bit is dropped, what 32-bit floats round is beyond every format.
        let is_wide = bound > F32_EXACT && self.requantization.shift > 0;
        let file = &mut *node.file;
        let perm = |order: [i64; 4]| vec![("perm", Attribute::Ints(order.to_vec()))];
        // From [n, k, matrix, row] to matrices.
        let mut operand = |i: usize, order: [i64; 4]| {
            let own = format!("{name}_matrix_{}", i + 1);
            let value = file.node("Transpose", &own, &[&inputs[i].name], perm(order));
            if is_wide { file.wide(&own, &value) } else { value }
        };
        let [a, b] = [operand(0, [0, 2, 3, 1]), operand(1, [0, 2, 1, 3])];
        let mut value = file.node("MatMul", &format!("{name}_products"), &[&a, &b], vec![]);
        let scale: i32 = inputs.iter().map(|input| i32::from(input.format.frac)).sum();
        if self.mantissa != 1 || frac != scale {
            let factor = i64_to_f64(self.mantissa) * exp2(scale - frac);
            let factor = if is_wide { file.wide_scalar(factor) } else { file.scalar(factor) };
            value = file.node("Mul", &format!("{name}_scaled"), &[&value, &factor], vec![]);
        }
        let value = file.node("Transpose", &format!("{name}_image"), &[&value], perm([0, 3, 1, 2]));
        let value = file.requantize(name, value, frac, bound, &self.requantization);
        Ok(node.value(value, false))
    }
}
