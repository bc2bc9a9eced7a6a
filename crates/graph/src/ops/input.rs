use super::{Context, FixedOp, FixedOperator, FixedStep, FloatStep, Operator};
use crate::{error::LowerError, graph::Shape, lower::LowerContext};
use fixedwise_kernels::Kernels;

/// The image that goes in, any shape.
///
/// Fixed point: raw pixels, rounded half to even to the plan's input format.
///
/// Source: ONNX graph input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Extents of one image.
    pub shape: Shape,
}

impl Operator for Input {
    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if inputs.is_empty() { Ok(self.shape) } else { Err("takes no input".to_owned()) }
    }

    fn prepare_float(&self, _: &Context, _: &'static Kernels) -> FloatStep {
        Box::new(|inputs, y, _| y.copy_from_slice(inputs[0]))
    }

    fn lower(&self, _: &LowerContext) -> Result<FixedOp, LowerError> {
        Ok(FixedInput.into())
    }
}

/// The integer image; the executor quantizes it before the first node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedInput;

impl FixedOperator for FixedInput {
    fn prepare(&self, _: &[Shape], _: Shape, _: &'static Kernels) -> FixedStep {
        Box::new(|_, _, _| {})
    }
}
