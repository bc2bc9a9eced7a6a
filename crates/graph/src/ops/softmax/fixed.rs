//! Exponentials from tables, their exact sum, and one reciprocal.

use crate::{
    emit::{
        c::node::{CNode, CStep},
        network::{
            file::File,
            node::{NetworkNode, NetworkValue},
        },
        npz::node::{NpzNode, json_requantization},
    },
    error::{EmitError, LowerError},
    expression::{Expression, Unary, integer},
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Place, step},
    lower::{context::LowerContext, requantization::Requantization},
    shape::Shape,
};
use fixedwise_codec::onnx::{Attribute, ElementType};
use fixedwise_fixed::{
    Rounding, bits_for,
    convert::{count_to_u64, exp2, i64_to_f64},
};
use fixedwise_kernels::{Integers, IntegersMut, Kernels};
use serde_json::json;
use std::ops::Range;

/// Fractional bits of an exponential.
const FRAC: i32 = 30;

/// Fractional bits of an exponential times the reciprocal of a sum.
const PRODUCT_FRAC: i32 = 62;

/// Bits of a difference that the finer table has.
const FINE_BITS: usize = 8;

/// Probabilities of integers: over the channels, exponentials divided by their sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedSoftmax {
    /// `exp(-d)` of the differences `d` of less than 256 steps of the input, with 30 fractional bits.
    pub fine: Vec<i64>,
    /// The same of each 256 steps more; its first, of 0, is one.
    pub coarse: Vec<i64>,
    /// Bits that the sum needs.
    pub accumulator_bits: u8,
    /// From an exponential times the reciprocal of the sum to the output.
    pub requantization: Requantization,
}

pub(super) fn lower(context: &LowerContext) -> Result<FixedOp, LowerError> {
    let input = context.formats[0];
    let largest = usize::try_from(input.max() - input.min()).expect("a format has few integers");
    let step = exp2(-i32::from(input.frac));
    let exp = Expression::x().then(Unary::Exp);
    let table = |count: usize, distance: i64| -> Vec<i64> {
        (0..count)
            .zip((0..).step_by(usize::try_from(distance).unwrap_or(1)))
            .map(|(_, d)| integer(exp.steps(-i64_to_f64(d) * step, FRAC)))
            .collect()
    };
    let fine = table((largest + 1).min(1 << FINE_BITS), 1);
    let coarse = table((largest >> FINE_BITS) + 1, 1 << FINE_BITS);
    let sum = count_to_u64(context.shape.c) << FRAC;
    let requantization = context.wide_requantization(PRODUCT_FRAC, PRODUCT_FRAC)?;
    let accumulator_bits = bits_for(sum);
    Ok(FixedSoftmax { fine, coarse, accumulator_bits, requantization }.into())
}

impl FixedSoftmax {
    /// `exp(-d)` of a difference of so many steps, with 30 fractional bits.
    fn exponential(&self, difference: i64) -> i64 {
        let d = usize::try_from(difference).expect("nothing is larger than the largest");
        let fine = self.fine[d & ((1 << FINE_BITS) - 1)];
        match d >> FINE_BITS {
            0 => fine,
            far => (fine * self.coarse[far] + (1 << (FRAC - 1))) >> FRAC,
        }
    }

    fn run<T: Copy + Into<i64>>(&self, x: &[T], channels: usize, y: &mut IntegersMut) {
        for (row, x) in x.chunks_exact(channels).enumerate() {
            let largest = x.iter().map(|&x| x.into()).max().unwrap_or(0);
            let exponential = |x: T| self.exponential(largest - x.into());
            let sum: i64 = x.iter().map(|&x| exponential(x)).sum();
            let reciprocal = ((1 << PRODUCT_FRAC) - 1) / sum;
            for (c, &x) in x.iter().enumerate() {
                let value = self.requantization.apply(exponential(x) * reciprocal);
                y.set(row * channels + c, value);
            }
        }
    }
}

impl FixedOperator for FixedSoftmax {
    fn prepare(&self, _: &[Shape], output: Shape, _: &'static Kernels) -> FixedStep {
        let (op, channels) = (self.clone(), output.c);
        step(move |inputs, mut y, _| match inputs[0] {
            Integers::U8(x) => op.run(x, channels, &mut y),
            Integers::I8(x) => op.run(x, channels, &mut y),
            Integers::I16(x) => op.run(x, channels, &mut y),
        })
    }

    fn name(&self) -> &'static str {
        "softmax"
    }

    fn accumulator_bits(&self) -> u8 {
        self.accumulator_bits
    }

    fn place(&self) -> Place {
        // An element is read the last time before its own is written.
        Place::Over(&[0])
    }

    fn rows(&self, rows: Range<usize>, _: &[Shape], _: Shape) -> Vec<Range<usize>> {
        vec![rows]
    }

    fn constants(&self) -> Vec<Constant> {
        vec![Constant::Table { count: self.fine.len() + self.coarse.len(), bits: 32 }]
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let types = node.types();
        let names = [("fine", &self.fine), ("coarse", &self.coarse)].map(|(kind, values)| {
            let name = format!("{}_{kind}", node.name);
            node.source.array("uint32_t", &name, values.iter().copied());
            name
        });
        node.requantize_wide(&self.requantization);
        node.once("exponential", include_str!("../../emit/c/text/exponential.c"), &[]);
        let text = include_str!("../../emit/c/text/softmax.c");
        node.once(&format!("softmax_{types}_requantize"), text, &[("S", &types)]);
        let to = node.requantization("to", &self.requantization);
        let Shape { h, w, c } = node.output.shape;
        let [fine, coarse] = names;
        node.runs(&format!("softmax_{types}"), &[1, h * w, h * w * c]);
        let call =
            format!("$P_softmax_{types}($X0, $Y, {}, {c}, {fine}, {coarse}, {to});", h * w * c);
        Ok(CStep::call("softmax", call))
    }

    fn emit_npz(&self, node: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        let requantization = json_requantization(&self.requantization);
        Ok(json!({
            "fine": node.array("fine", &[self.fine.len()], &self.fine),
            "coarse": node.array("coarse", &[self.coarse.len()], &self.coarse),
            "requantization": requantization,
        }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let x = node.inputs[0].clone();
        let (name, from, to) = (node.name, x.format, node.format);
        node.check_step(from.frac.into())?;
        node.check_step(to.frac.into())?;
        let is_axis_attribute = node.is_qonnx();
        let mut whole = Whole { file: &mut *node.file, name };
        let axis = Attribute::Ints(vec![1]);
        let largest = if is_axis_attribute {
            let attributes = vec![("axes", axis)];
            whole.file.node("ReduceMax", &format!("{name}_largest"), &[&x.name], attributes)
        } else {
            let axis = whole.file.indices(&format!("{name}_axis"), vec![1]);
            whole.file.node("ReduceMax", &format!("{name}_largest"), &[&x.name, &axis], vec![])
        };
        let below = whole.file.node("Sub", &format!("{name}_below"), &[&largest, &x.name], vec![]);
        let per_unit = whole.file.scalar(exp2(from.frac.into()));
        let steps = whole.file.node("Mul", &format!("{name}_steps"), &[&below, &per_unit], vec![]);
        let d = whole.cast("difference", &steps, ElementType::I64);
        let value = if self.coarse.len() > 1 {
            let far = whole.with("Div", "far", &d, 1 << FINE_BITS);
            let whole_far = whole.with("Mul", "whole_far", &far, 1 << FINE_BITS);
            let near = whole.of("Sub", "near", &d, &whole_far);
            let fine = whole.look_up("fine", &self.fine, &near);
            let coarse = whole.look_up("coarse", &self.coarse, &far);
            let product = whole.of("Mul", "product", &fine, &coarse);
            let half = whole.with("Add", "product_half", &product, 1 << (FRAC - 1));
            whole.with("Div", "exponential", &half, 1 << FRAC)
        } else {
            whole.look_up("exponential", &self.fine, &d)
        };
        let axis = whole.file.indices(&format!("{name}_summed"), vec![1]);
        let sum = whole.file.node("ReduceSum", &format!("{name}_sum"), &[&value, &axis], vec![]);
        let one = whole.file.indices(&format!("{name}_one"), vec![(1 << PRODUCT_FRAC) - 1]);
        let reciprocal = whole.of("Div", "reciprocal", &one, &sum);
        let product = whole.of("Mul", "quotient", &value, &reciprocal);
        let Requantization { shift, rounding, min, max, .. } = self.requantization;
        let half = 1_i64 << (shift - 1);
        let rounded = match rounding {
            Rounding::Floor => product,
            Rounding::TiesUp => whole.with("Add", "half", &product, half),
            Rounding::TiesEven => {
                // Less one where what it lies above is even.
                let down = whole.with("Div", "down", &product, 1 << shift);
                let pairs = whole.with("Div", "pairs", &down, 2);
                let even = whole.with("Mul", "even", &pairs, 2);
                let odd = whole.of("Sub", "odd", &down, &even);
                let half = whole.with("Add", "half", &product, half - 1);
                whole.of("Add", "tie", &half, &odd)
            }
        };
        let stored = whole.with("Div", "shifted", &rounded, 1 << shift);
        let stored = whole.with("Max", "least", &stored, min);
        let stored = whole.with("Min", "most", &stored, max);
        let stored = whole.cast("stored", &stored, ElementType::F32);
        let step = whole.file.scalar(exp2(-i32::from(to.frac)));
        let value = whole.file.node("Mul", &format!("{name}_real"), &[&stored, &step], vec![]);
        let value = whole.file.clamp(name, &value, &self.requantization);
        Ok(node.value(value, x.is_vector))
    }
}

/// Arithmetic on 64-bit integers in ONNX nodes, none of them negative, so that a quotient is rounded down.
struct Whole<'a, 'b> {
    file: &'a mut File,
    name: &'b str,
}

impl Whole<'_, '_> {
    fn of(&mut self, op_type: &str, kind: &str, a: &str, b: &str) -> String {
        self.file.node(op_type, &format!("{}_{kind}", self.name), &[a, b], vec![])
    }

    fn with(&mut self, op_type: &str, kind: &str, a: &str, number: i64) -> String {
        let number = self.file.shared(
            format!("whole {number}"),
            &format!("whole_{number}"),
            |file, name| file.indices(name, vec![number]),
        );
        self.of(op_type, kind, a, &number)
    }

    fn cast(&mut self, kind: &str, value: &str, to: ElementType) -> String {
        let to = vec![("to", i64::from(to.code()).into())];
        self.file.node("Cast", &format!("{}_{kind}", self.name), &[value], to)
    }

    fn look_up(&mut self, kind: &str, table: &[i64], index: &str) -> String {
        let table = self.file.indices(&format!("{}_{kind}_table", self.name), table.to_vec());
        self.of("Gather", kind, &table, index)
    }
}
