use super::relu::one;
use crate::{
    backward::{Backward, BackwardStep, each_image},
    error::{ImportError, LowerError},
    fixed_operator::FixedOp,
    import::{
        axes::{Axis, axis_index},
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
        view::View,
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Likelihood, Op, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_kernels::Kernels;

mod fixed;

pub use fixed::FixedSoftmax;

/// `y = exp(x) / sum exp(x)` over the channels.
///
/// Fixed point: exponentials of the differences to the largest from tables with 30 fractional bits, their exact
/// sum, and one reciprocal for all; dropped at the end of a classifier, where it does not change the largest.
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
        fixed::lower(context)
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Own
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

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Softmax {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        let channels = context.output.c;
        each_image(context, move |image| {
            let (x, Some(to)) = (image.inputs[0], &mut image.to[0]) else { return };
            let pixels = x.chunks_exact(channels).zip(image.gradient.chunks_exact(channels));
            for ((x, g), to) in pixels.zip(to.chunks_exact_mut(channels)) {
                let largest = x.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
                let exp: Vec<f64> = x.iter().map(|&x| f64::from(x - largest).exp()).collect();
                let sum: f64 = exp.iter().sum();
                let mean: f64 = exp.iter().zip(g).map(|(e, &g)| e / sum * f64::from(g)).sum();
                for ((to, e), &g) in to.iter_mut().zip(&exp).zip(g) {
                    *to += f64_to_f32(e / sum * (f64::from(g) - mean));
                }
            }
        })
    }
}

/// Source: ONNX `Softmax`, opset 13 (and 1 to 12, over all axes from one on).
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    import_over(reader, node, Softmax)
}

/// An operator over the channels, of a node whose one attribute is the axis.
pub(super) fn import_over(
    reader: &mut Reader,
    node: &onnx::Node,
    op: impl Into<Op>,
) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let axis = attributes.optional_int("axis")?;
    attributes.finish()?;
    let view = reader.view(node, 0)?;
    let extents = view.extents();
    let is_old = reader.opset() < 13;
    let axis = axis.unwrap_or(if is_old { 1 } else { -1 });
    let Some(first) = axis_index(axis, extents.len()) else {
        let rank = extents.len();
        return Err(node_error(node, &format!("has axis {axis} for a value of {rank} axes")));
    };
    // Before opset 13 everything from the axis on is one vector; an extent of one adds nothing.
    let mut taken: Vec<usize> = if is_old { (first..extents.len()).collect() } else { vec![first] };
    if taken.iter().any(|&axis| extents[axis].has_batch && reader.batch() != Some(1)) {
        return Err(node_error(node, "compares the images of a batch; give it another `axis`"));
    }
    taken.retain(|&axis| extents[axis].of_image > 1);
    // Where these are the channels already, nothing moves.
    if let [axis] = taken[..]
        && extents.len() <= 4
        && !view.mixes_batch()
    {
        let value = reader.value_of(node, &view)?;
        if value.axes[axis] == Axis::Channel {
            return reader.push_like(node, op, &value);
        }
    }
    let mut order: Vec<usize> = (0..extents.len()).filter(|axis| !taken.contains(axis)).collect();
    let sizes = [order.len(), taken.len()];
    order.extend(taken);
    let moved = view.transposed(&order);
    let value = reader.grouped(node, &moved, &sizes, &[Axis::Column, Axis::Channel])?;
    let id = reader.builder.push(&node.name, op, vec![value.node])?;
    let view: View = reader.ungrouped(node, &Value { node: id, ..value }, &moved.extents())?;
    let back: Vec<usize> =
        (0..order.len()).filter_map(|axis| order.iter().position(|&from| from == axis)).collect();
    reader.set_view(node, view.transposed(&back))
}

/// Source: Keras `Softmax`, over the last axis.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    layer.last_axis("axis", value.axes.len())?;
    layer.push_like(Softmax, &value)
}
