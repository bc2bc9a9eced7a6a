use super::{
    Context, FixedOp, FloatStep, Operator,
    relu::{alone, element_wise, one},
};
use crate::{
    error::{ImportError, LowerError},
    graph::{Activation, Shape},
    import::{Attributes, Import},
    lower::LowerContext,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::Kernels;

/// `y = x` where `x >= 0`, else `alpha * x`; any shape.
///
/// Fixed point: `alpha` is an 8-bit integer with 7 fractional bits; the product has 64 bits.
///
/// Source: ONNX `LeakyRelu`, opset 16.
#[derive(Clone, Debug, PartialEq)]
pub struct LeakyRelu {
    /// Slope below zero.
    pub alpha: f32,
}

impl Operator for LeakyRelu {
    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        one(inputs)
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        element_wise(context, Activation::LeakyRelu { alpha: self.alpha })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        alone(context, Activation::LeakyRelu { alpha: self.alpha })
    }
}

/// Source: ONNX `LeakyRelu`, opset 16.
pub(super) fn import(import: &mut Import, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let alpha = attributes.float("alpha", 0.01)?;
    attributes.finish()?;
    let value = import.value(node, 0)?;
    import.push_like(node, LeakyRelu { alpha }, &value)
}
