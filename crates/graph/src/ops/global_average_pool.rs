use super::{AveragePool, Window};
use crate::{
    backward::{Backward, BackwardStep},
    error::{ImportError, LowerError},
    fixed_operator::FixedOp,
    import::{
        axes::Axis, builder::Value, keras::layer::Layer, onnx::attributes::Attributes,
        onnx::reader::Reader,
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
/// Source: ONNX `GlobalAveragePool`, opset 1; `ReduceMean` over all rows and columns, opset 18.
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
        FormatRule::OwnOr(Derivation::Same)
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

    fn without_channels(&self, _: &[&[bool]], _: &[bool], _: &[Shape]) -> Option<Op> {
        Some(self.clone().into())
    }

    fn unscaled(&self, _: &[Option<&ScaleShift>], _: &[Shape], _: Shape) -> Option<Op> {
        Some(self.clone().into())
    }

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for GlobalAveragePool {
    fn prepare_backward(&self, context: &Context, kernels: &'static Kernels) -> BackwardStep {
        as_pool(context.inputs[0]).prepare_backward(context, kernels)
    }
}

/// Source: ONNX `GlobalAveragePool`, opset 1.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    let value = reader.image(node, 0)?;
    reader.push_like(node, GlobalAveragePool, &value)
}

/// Source: Keras `GlobalAveragePooling2D`, `GlobalAveragePooling1D`.
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
