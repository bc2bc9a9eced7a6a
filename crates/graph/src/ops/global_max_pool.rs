use super::{
    MaxPool, Window,
    global_average_pool::drop_space,
    max_pool::{flipped, kept},
};
use crate::{
    backward::{Backward, BackwardStep},
    error::{ImportError, LowerError},
    fixed_operator::FixedOp,
    import::{
        builder::Value, keras::layer::Layer, onnx::attributes::Attributes, onnx::reader::Reader,
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    scale_shift::ScaleShift,
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::Kernels;

/// Maximum of each channel; minimum in the channels listed in `minimum`.
///
/// Fixed point: the same on integers; the format stays.
///
/// Source: ONNX `GlobalMaxPool`, opset 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalMaxPool {
    /// Channels that take the minimum; empty for none.
    pub minimum: Vec<bool>,
}

impl GlobalMaxPool {
    fn as_pool(&self, input: Shape) -> MaxPool {
        MaxPool { window: Window::whole(input), minimum: self.minimum.clone() }
    }
}

impl Operator for GlobalMaxPool {
    fn name(&self) -> &'static str {
        "GlobalMaxPool"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [x] = inputs else { return Err("takes one value".to_owned()) };
        self.as_pool(*x).infer(inputs)
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        self.as_pool(context.inputs[0]).prepare_float(context, kernels)
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        self.as_pool(context.inputs[0]).lower(context)
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Moved
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

    fn without_channels(&self, _: &[&[bool]], own: &[bool], _: &[Shape]) -> Option<Op> {
        Some(Self { minimum: kept(&self.minimum, own) }.into())
    }

    fn unscaled(&self, before: &[Option<&ScaleShift>], _: &[Shape], _: Shape) -> Option<Op> {
        Some(Self { minimum: flipped(&self.minimum, before[0]?) }.into())
    }

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for GlobalMaxPool {
    fn prepare_backward(&self, context: &Context, kernels: &'static Kernels) -> BackwardStep {
        self.as_pool(context.inputs[0]).prepare_backward(context, kernels)
    }
}

/// Source: ONNX `GlobalMaxPool`, opset 1.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    let value = reader.image(node, 0)?;
    reader.push_like(node, GlobalMaxPool { minimum: vec![] }, &value)
}

/// Source: Keras `GlobalMaxPooling2D`, `GlobalMaxPooling1D`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let image = layer.image()?;
    let value = layer.push_like(GlobalMaxPool { minimum: vec![] }, &image)?;
    drop_space(layer, value)
}
