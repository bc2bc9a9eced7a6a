use super::relu::one;
use crate::{
    error::{ImportError, LowerError},
    fixed_operator::FixedOp,
    import::{
        axes::{Axis, axis_index},
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Likelihood, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_kernels::Kernels;

/// `y = exp(x) / sum exp(x)` over the channels.
///
/// Fixed point: dropped at the end of the network, where it does not change the largest; elsewhere
/// it is refused.
///
/// Source: ONNX `Softmax`, opset 13.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Softmax;

impl Operator for Softmax {
    fn name(&self) -> &'static str {
        "Softmax"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        one(inputs)
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let (channels, activation) = (context.output.c, context.activation);
        Box::new(move |inputs, y, _| {
            for (y, x) in y.chunks_exact_mut(channels).zip(inputs[0].chunks_exact(channels)) {
                let largest = x.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
                let exp = |x: f32| f64::from(x - largest).exp();
                let sum: f64 = x.iter().map(|&x| exp(x)).sum();
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = activation.apply(f64_to_f32(exp(x) / sum));
                }
            }
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        Err(context.not_legal(self.name(), HELP))
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Input
    }

    fn is_nonnegative(&self, _: bool) -> bool {
        true
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], _: Shape) -> Factor {
        Factor::Refused
    }

    fn as_likelihood(&self) -> Option<Likelihood> {
        Some(Likelihood::Probability)
    }

    fn no_integer_form(&self) -> Option<&'static str> {
        Some(HELP)
    }
}

pub(super) const HELP: &str = "softmax is supported only at the end of the network";

/// Source: ONNX `Softmax`, opset 13 (and 11, over the last axis).
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let value = over_channels(reader, node)?;
    reader.push_like(node, Softmax, &value)
}

/// What a node takes whose one attribute, the axis, must be that of the channels.
pub(super) fn over_channels(reader: &mut Reader, node: &onnx::Node) -> Result<Value, ImportError> {
    let mut attributes = Attributes::new(node);
    let axis = attributes.optional_int("axis")?;
    attributes.finish()?;
    let value = reader.value(node, 0)?;
    let rank = value.axes.len();
    let default = if reader.opset() < 13 { 1 } else { -1 };
    let place = axis_index(axis.unwrap_or(default), rank);
    let axis = place.map(|axis| value.axes[axis]);
    // Before opset 13 everything from the axis on is one vector.
    let whole = reader.opset() >= 13
        || place.is_some_and(|place| place + 1 == rank)
        || reader.shape(&value).len() == reader.shape(&value).c;
    if axis != Some(Axis::Channel) || !whole {
        return Err(node_error(node, "only softmax over the channels is supported"));
    }
    Ok(value)
}

/// Source: Keras `Softmax`, over the last axis.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    layer.last_axis("axis", value.axes.len())?;
    layer.push_like(Softmax, &value)
}
