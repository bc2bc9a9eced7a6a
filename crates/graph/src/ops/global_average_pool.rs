use super::{AveragePool, Window};
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
    operator::{Context, Derivation, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    scale_shift::ScaleShift,
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::Kernels;

/// Mean of each channel.
///
/// Fixed point: as [`AveragePool`] over the whole image.
///
/// Source: ONNX `GlobalAveragePool`, opset 1; `ReduceMean` over space, opset 18.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalAveragePool;

fn as_pool(input: Shape) -> AveragePool {
    AveragePool { window: Window::whole(input), include_pad: false }
}

impl Operator for GlobalAveragePool {
    fn name(&self) -> &'static str {
        "GlobalAveragePool"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [x] = inputs else { return Err("takes one value".to_owned()) };
        as_pool(*x).infer(inputs)
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        as_pool(context.inputs[0]).prepare_float(context, kernels)
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        as_pool(context.inputs[0]).lower(context)
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Derived(Derivation::Same)
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], output: Shape) -> Factor {
        Factor::carried(output)
    }

    fn unscaled(&self, _: &[Option<&ScaleShift>], _: &[Shape], _: Shape) -> Option<Op> {
        Some(self.clone().into())
    }
}

/// Source: ONNX `GlobalAveragePool`, opset 1.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    let value = reader.image(node, 0)?;
    reader.push_like(node, GlobalAveragePool, &value)
}

/// Source: ONNX `ReduceMean`, opset 18 (and 11 to 17, with `axes` as an attribute), over space.
pub(super) fn import_reduce_mean(
    reader: &mut Reader,
    node: &onnx::Node,
) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let axes = reader.ints_of(node, &mut attributes, "axes", 1)?;
    let keep = attributes.int("keepdims", 1)? != 0;
    attributes.int_must_be("noop_with_empty_axes", 0, "name the axes")?;
    attributes.finish()?;
    let Some(axes) = axes.filter(|axes| !axes.is_empty()) else {
        return Err(node_error(node, "averages over all axes, including the batch"));
    };
    let mut value = reader.value(node, 0)?;
    let rank = value.axes.len();
    let reduced: Option<Vec<Axis>> =
        axes.iter().map(|&axis| axis_index(axis, rank).map(|axis| value.axes[axis])).collect();
    let shape = reader.shape(&value);
    let over_space = reduced.as_ref().is_some_and(|reduced| {
        let covers = |axis, extent| extent == 1 || reduced.contains(&axis);
        let only_space = reduced.iter().all(|axis| matches!(axis, Axis::Row | Axis::Column));
        only_space && covers(Axis::Row, shape.h) && covers(Axis::Column, shape.w)
    });
    let Some(reduced) = reduced.filter(|_| over_space) else {
        return Err(node_error(node, "only the mean over all rows and columns is supported"));
    };
    let inputs = vec![value.node];
    if !keep {
        value.axes.retain(|axis| !reduced.contains(axis));
    }
    reader.push(node, GlobalAveragePool, inputs, value.axes)
}

/// Source: Keras `GlobalAveragePooling2D`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let image = layer.image()?;
    let value = layer.push_like(GlobalAveragePool, &image)?;
    drop_space(layer, value)
}

/// What a global pool of Keras gives: a vector, or an image of one pixel with `keepdims`.
pub(super) fn drop_space(layer: &mut Layer, value: Value) -> Result<Value, ImportError> {
    let axes =
        if layer.flag("keepdims", false)? { value.axes } else { vec![Axis::Batch, Axis::Channel] };
    Ok(Value { node: value.node, axes })
}
