use super::{Clip, Function, LeakyRelu};
use crate::{
    emit::{
        c::node::{CNode, CStep},
        hls::types::{HlsNode, HlsTypes, clamp_note, rounding_mode},
        network::node::{NetworkNode, NetworkValue, magnitude},
        npz::node::{NpzNode, json_requantization},
        tflite::node::{TfliteNode, TfliteValue},
    },
    error::{EmitError, ImportError, LowerError},
    expression::Expression,
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Flow, Place, step},
    import::{
        builder::Value, keras::layer::Layer, onnx::attributes::Attributes, onnx::reader::Reader,
    },
    lower::{context::LowerContext, requantization::Requantization},
    operator::{Context, Derivation, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    shape::{Activation, Shape},
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_kernels::{Kernels, rescale};
use serde_json::json;
use std::ops::Range;

/// `y = max(x, 0)`; any shape.
///
/// Fixed point: the lower bound of the saturation is 0.
///
/// Source: ONNX `Relu`, opset 14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relu;

impl Operator for Relu {
    fn name(&self) -> &'static str {
        "Relu"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        one(inputs)
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        element_wise(context, Activation::Relu)
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        alone(context, Activation::Relu)
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Derived(Derivation::Unsigned)
    }

    fn is_nonnegative(&self, _: bool) -> bool {
        true
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], output: Shape) -> Factor {
        Factor::carried(output)
    }

    fn without_channels(&self, _: &[&[bool]], _: &[bool], _: &[Shape]) -> Option<Op> {
        Some(self.clone().into())
    }

    fn as_element_function(&self) -> Option<Expression> {
        self.as_activation().map(Expression::from)
    }

    fn as_activation(&self) -> Option<Activation> {
        Some(Activation::Relu)
    }
}

/// Extents of an operator that works element by element.
pub(super) fn one(inputs: &[Shape]) -> Result<Shape, String> {
    match inputs {
        [x] => Ok(*x),
        _ => Err("takes one value".to_owned()),
    }
}

/// `function`, then the fused activation, element by element.
pub(super) fn element_wise(context: &Context, function: Activation) -> FloatStep {
    let activation = context.activation;
    Box::new(move |inputs, y, _| {
        y.copy_from_slice(inputs[0]);
        function.apply_all(y);
        activation.apply_all(y);
    })
}

/// A single activation in integers.
pub(super) fn alone(context: &LowerContext, function: Activation) -> Result<FixedOp, LowerError> {
    let scale = i32::from(context.formats[0].frac);
    let requantization = context.requantization_of(scale, function)?;
    Ok(FixedRescale { requantization }.into())
}

/// `y = clamp(shift_round(x))` element by element: an activation that stands alone.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedRescale {
    /// From the input to the output.
    pub requantization: Requantization,
}

impl FixedOperator for FixedRescale {
    fn prepare(&self, _: &[Shape], _: Shape, _: &'static Kernels) -> FixedStep {
        let epilogue = self.requantization.epilogue();
        step(move |inputs, y, _| {
            let n = inputs[0].len();
            rescale(&epilogue, inputs[0], n, y, 0, n);
        })
    }

    fn name(&self) -> &'static str {
        "rescale"
    }

    fn place(&self) -> Place {
        Place::Over(&[0])
    }

    fn rows(&self, rows: Range<usize>, _: &[Shape], _: Shape) -> Vec<Range<usize>> {
        vec![rows]
    }

    fn flow(&self, _: &[Shape], _: Shape) -> Flow {
        Flow::Alike
    }

    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let rescale = node.rescale(0, &self.requantization);
        let to = node.requantization("to", &self.requantization);
        let n = node.output.shape.len();
        node.runs_rescale(0, &self.requantization, 1, n);
        Ok(CStep::call("rescale", format!("{rescale}($X0, $Y, 0, 1, {n}, {n}, {to});")))
    }

    fn emit_npz(&self, _: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        Ok(json!({ "requantization": json_requantization(&self.requantization) }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let x = node.inputs[0].clone();
        let bound = magnitude(x.format).saturating_add(self.requantization.half());
        let frac = x.format.frac.into();
        let name = node.file.requantize(node.name, x.name, frac, bound, &self.requantization);
        Ok(node.value(name, x.is_vector))
    }

    fn emit_tflite(&self, node: &mut TfliteNode) -> Result<TfliteValue, EmitError> {
        if self.requantization.leaky.is_some() {
            // The operator for it rounds twice.
            let x = node.inputs[0];
            let integers = x.format.min()..=x.format.max();
            let values: Vec<i64> = integers.map(|q| self.requantization.apply(q)).collect();
            return Ok(node.looked_up(&x, &values));
        }
        let x = node.taken(0);
        node.rescaled(x, &self.requantization, node.name)
    }

    fn emit_hls(&self, node: &HlsNode) -> Result<HlsTypes, EmitError> {
        let kinds = vec![node.result(rounding_mode(&self.requantization))];
        Ok(HlsTypes { note: clamp_note(&self.requantization), kinds, ..HlsTypes::default() })
    }
}

/// What Keras computes where the threshold is another than 0.
fn thresholded(max: Option<f64>, slope: f64, threshold: f64) -> Expression {
    let x = Expression::x;
    let above = x() * x().greater(threshold);
    let above = if let Some(max) = max { above.clip(0.0, max) } else { above };
    if slope == 0.0 { above } else { above - (Expression::from(threshold) - x()).max(0.0) * slope }
}

/// Source: ONNX `Relu`, opset 14.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    reader.push_each(node, Relu)
}

/// Source: Keras `ReLU`, with `max_value`, `negative_slope` and `threshold`; `Activation`, as the option
/// `activation` of any layer: the name of any activation function, or a layer.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let mut value = layer.value()?;
    let max = layer.number("max_value")?;
    let slope = layer.number("negative_slope")?.unwrap_or(0.0);
    let threshold = layer.number("threshold")?.unwrap_or(0.0);
    if let Some(max) = max
        && max < 0.0
    {
        return Err(layer.refuse("max_value", &max.into(), "it must not be negative"));
    }
    if threshold != 0.0 {
        let expression = thresholded(max, slope, threshold);
        return layer.push_like(Function { expression }, &value);
    }
    let max = max.map_or(f32::INFINITY, f64_to_f32);
    if slope == 0.0 {
        return if max.is_finite() {
            layer.push_like(Clip { min: 0.0, max }, &value)
        } else {
            layer.push_like(Relu, &value)
        };
    }
    let leaky = LeakyRelu { alpha: f64_to_f32(slope) };
    if !max.is_finite() {
        return layer.push_like(leaky, &value);
    }
    let name = format!("{}_slope", layer.name());
    value.node = layer.builder.push(&name, leaky, vec![value.node])?;
    layer.push_like(Clip { min: f32::NEG_INFINITY, max }, &value)
}
