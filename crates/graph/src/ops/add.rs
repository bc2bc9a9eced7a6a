use super::affine;
use crate::{
    emit::{
        c::node::{CNode, CStep},
        hls::types::{HlsNode, HlsTypes, clamp_note, exact_type, rounding_mode},
        network::node::{NetworkNode, NetworkValue},
        npz::node::{NpzNode, json_requantization},
    },
    error::{EmitError, ImportError, LowerError},
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Place, step},
    import::{
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
    },
    lower::{context::LowerContext, requantization::Requantization},
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::{Kernels, add};
use serde_json::json;
use std::ops::Range;

/// `y = a + b`, elementwise; two values with the same shape.
///
/// Fixed point: both are shifted left to the finer binary point, added exactly, shifted to the
/// output's with rounding, saturated.
///
/// Source: ONNX `Add`, opset 14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add;

impl Operator for Add {
    fn name(&self) -> &'static str {
        "Add"
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
                *y = a + b;
            }
            activation.apply_all(y);
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        let fracs = [context.formats[0].frac, context.formats[1].frac].map(i32::from);
        let finer = fracs[0].max(fracs[1]);
        let shifts = [context.left_shift(finer - fracs[0])?, context.left_shift(finer - fracs[1])?];
        let requantization = context.requantization(finer)?;
        let bound = (0..2).fold(requantization.half(), |sum, i| {
            sum.saturating_add(context.formats[i].max_magnitude().unsigned_abs() << shifts[i])
        });
        let accumulator_bits = context.prove_bound(bound)?;
        Ok(FixedAdd { shifts, accumulator_bits, requantization }.into())
    }

    fn takes_activation(&self) -> bool {
        true
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
}

/// Sum of two integer values.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedAdd {
    /// Left shifts that align the inputs.
    pub shifts: [u32; 2],
    /// Bits the sum needs.
    pub accumulator_bits: u8,
    /// From the sum to the output.
    pub requantization: Requantization,
}

impl FixedOperator for FixedAdd {
    fn prepare(&self, _: &[Shape], _: Shape, _: &'static Kernels) -> FixedStep {
        let (epilogue, shifts) = (self.requantization.epilogue(), self.shifts);
        step(move |inputs, y, _| add(&epilogue, shifts, inputs[0], inputs[1], y))
    }

    fn accumulator_bits(&self) -> u8 {
        self.accumulator_bits
    }

    fn name(&self) -> &'static str {
        "add"
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
        let [a, b] = [node.inputs[0], node.inputs[1]];
        let requantize = node.requantize(&self.requantization);
        let kind = requantize.trim_start_matches("requantize_");
        let types = format!("{}_{}_{}_{kind}", a.short(), b.short(), node.output.short());
        let values = [
            ("A", a.ctype()),
            ("A4", a.short()),
            ("B", b.ctype()),
            ("B4", b.short()),
            ("S", &types),
            ("REQUANTIZE", requantize),
        ];
        node.once(&format!("add_{types}"), include_str!("../emit/c/text/add.c"), &values);
        let to = node.requantization("to", &self.requantization);
        let (n, [left, right]) = (node.output.shape.len(), self.shifts);
        let call = format!("$P_add_{types}($X0, $X1, $Y, {n}, {left}, {right}, {to});");
        Ok(CStep::call("add", call))
    }

    fn emit_npz(&self, _: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        let requantization = json_requantization(&self.requantization);
        Ok(json!({ "shifts": self.shifts, "requantization": requantization }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let inputs = node.alike();
        let frac = i32::from(inputs[0].format.frac.max(inputs[1].format.frac));
        let bound = 1_u64 << self.accumulator_bits.saturating_sub(1).min(62);
        node.sums_to(bound);
        let sum = node.file.node("Add", node.name, &[&inputs[0].name, &inputs[1].name], vec![]);
        let name = node.file.requantize(node.name, sum, frac, bound, &self.requantization);
        Ok(node.value(name, inputs[0].is_vector))
    }

    fn emit_hls(&self, node: &HlsNode) -> Result<HlsTypes, EmitError> {
        let frac = node.inputs.iter().map(|(_, format)| i32::from(format.frac)).max();
        let sum = exact_type(self.accumulator_bits.max(1), frac.unwrap_or(0));
        let kinds = vec![("accum", sum), node.result(rounding_mode(&self.requantization))];
        Ok(HlsTypes { note: clamp_note(&self.requantization), kinds, ..HlsTypes::default() })
    }
}

/// Source: ONNX `Add`, opset 14.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    if reader.is_constant(node, 0) || reader.is_constant(node, 1) {
        return affine::import_add(reader, node);
    }
    Attributes::new(node).finish()?;
    let (a, b) = (reader.value(node, 0)?, reader.value(node, 1)?);
    if a.axes.len() != b.axes.len() || reader.shape(&a).len() != reader.shape(&b).len() {
        return Err(node_error(
            node,
            &format!(
                "adds values of {} and {}; broadcasting is supported for constants only",
                reader.shape(&a),
                reader.shape(&b)
            ),
        ));
    }
    let axes = a.axes.clone();
    let b = reader.relabeled(node, &b, axes.clone())?;
    reader.push(node, Add, vec![a.node, b.node], axes)
}

/// Source: ONNX `Sum`, opset 13, of one or two values.
pub(super) fn import_sum(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    match node.inputs.len() {
        1 => reader.alias(node, 0),
        2 => import(reader, node),
        n => Err(node_error(node, &format!("adds {n} values; at most two are supported"))),
    }
}

/// Source: Keras `Add`, of two or more values with the same shape.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let values = layer.values()?;
    let first = &values[0];
    let mut sum = first.node;
    for (i, value) in values.iter().enumerate().skip(1) {
        if value.axes != first.axes || layer.shape(value) != layer.shape(first) {
            return Err(layer.error(&format!(
                "adds values of {} and {}; broadcasting is not supported",
                layer.shape(first),
                layer.shape(value)
            )));
        }
        sum = if i + 1 == values.len() {
            layer.push(Add, vec![sum, value.node])?
        } else {
            let name = format!("{}_{i}", layer.name());
            layer.builder.push(&name, Add, vec![sum, value.node])?
        };
    }
    Ok(Value { node: sum, axes: first.axes.clone() })
}
