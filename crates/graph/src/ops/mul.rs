use super::{affine, element_wise};
use crate::{
    error::{ImportError, LowerError},
    expression::Expression,
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
use fixedwise_kernels::{Function, Kernels};

/// `y = a * b`, element by element; an extent of one goes with every other.
///
/// Fixed point: the exact product, shifted to the output's binary point with rounding, saturated.
///
/// Source: ONNX `Mul`, opset 14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mul;

impl Operator for Mul {
    fn name(&self) -> &'static str {
        "Mul"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        element_wise::infer(inputs)
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        element_wise::prepare_float(Function::Mul, context, kernels)
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        element_wise::lower(Function::Mul, context)
    }

    fn takes_activation(&self) -> bool {
        true
    }

    fn as_element_function(&self) -> Option<Expression> {
        Some(Expression::x() * Expression::Argument(1))
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

    fn factor(&self, input: usize, inputs: &[Shape], output: Shape) -> Factor {
        element_wise::carried(input, inputs, output)
    }

    fn unscaled(&self, before: &[Option<&ScaleShift>], _: &[Shape], _: Shape) -> Option<Op> {
        // The product with a shifted value is no shifted product.
        let scales = |before: &&ScaleShift| before.shift.iter().all(|&shift| shift == 0.0);
        before.iter().flatten().all(scales).then(|| self.clone().into())
    }
}

/// Source: ONNX `Mul`, opset 14.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    if reader.is_constant(node, 0) || reader.is_constant(node, 1) {
        return affine::import_mul(reader, node);
    }
    Attributes::new(node).finish()?;
    element_wise::import(reader, node, Mul)
}

/// Source: Keras `Multiply`, `keras.ops.Multiply`, of two or more values.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    element_wise::from_keras(layer, Mul, Function::Mul)
}
