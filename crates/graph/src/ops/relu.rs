use super::{Context, FixedOp, FixedOperator, FixedStep, FloatStep, Operator};
use crate::{
    error::{ImportError, LowerError},
    graph::{Activation, Shape},
    import::{Attributes, Import},
    lower::{LowerContext, Requantization},
};
use fixedwise_codec::onnx;
use fixedwise_kernels::{Kernels, rescale};

/// `y = max(x, 0)`; any shape.
///
/// Fixed point: the lower bound of the saturation is 0.
///
/// Source: ONNX `Relu`, opset 14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relu;

impl Operator for Relu {
    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        one(inputs)
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        element_wise(context, Activation::Relu)
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        alone(context, Activation::Relu)
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
        for (y, &x) in y.iter_mut().zip(inputs[0]) {
            *y = activation.apply(function.apply(x));
        }
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
        Box::new(move |inputs, y, _| {
            let n = inputs[0].len();
            rescale(&epilogue, inputs[0], n, y, 0, n);
        })
    }
}

/// Source: ONNX `Relu`, opset 14.
pub(super) fn import(import: &mut Import, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    let value = import.value(node, 0)?;
    import.push_like(node, Relu, &value)
}
