use super::{affine, element_wise};
use crate::{
    error::{ImportError, LowerError},
    expression::Expression,
    fixed_operator::FixedOp,
    import::{
        builder::Value, keras::layer::Layer, onnx::attributes::Attributes, onnx::reader::Reader,
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::{Function, Kernels};

/// `y = a - b`, element by element; an extent of one goes with every other.
///
/// Fixed point: as [`Add`](super::Add), with the exact difference.
///
/// Source: ONNX `Sub`, opset 14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sub;

impl Operator for Sub {
    fn name(&self) -> &'static str {
        "Sub"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        element_wise::infer(inputs)
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        element_wise::prepare_float(Function::Sub, context, kernels)
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        element_wise::lower(Function::Sub, context)
    }

    fn takes_activation(&self) -> bool {
        true
    }

    fn as_element_function(&self) -> Option<Expression> {
        Some(Expression::x() - Expression::Argument(1))
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Own
    }

    fn is_nonnegative(&self, _: bool) -> bool {
        false
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], _: Shape) -> Factor {
        Factor::Refused
    }
}

/// Source: ONNX `Sub`, opset 14.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    if reader.is_constant(node, 0) || reader.is_constant(node, 1) {
        return affine::import_sub(reader, node);
    }
    Attributes::new(node).finish()?;
    element_wise::import(reader, node, Sub)
}

/// Source: Keras `Subtract`, `keras.ops.Subtract`, of two values.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    element_wise::from_keras(layer, Sub, Function::Sub)
}
