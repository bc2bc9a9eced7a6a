use super::element_wise;
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

/// The smaller of two elements; an extent of one goes with every other.
///
/// Fixed point: both are shifted left to the finer binary point; the smaller is shifted to the output's
/// with rounding, saturated.
///
/// Source: ONNX `Min`, opset 13.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Min;

impl Operator for Min {
    fn name(&self) -> &'static str {
        "Min"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        element_wise::infer(inputs)
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        element_wise::prepare_float(Function::Min, context, kernels)
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        element_wise::lower(Function::Min, context)
    }

    fn takes_activation(&self) -> bool {
        true
    }

    fn as_element_function(&self) -> Option<Expression> {
        Some(Expression::x().min(Expression::Argument(1)))
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

    fn factor(&self, _: usize, _: &[Shape], _: Shape) -> Factor {
        Factor::Refused
    }
}

/// Source: ONNX `Min`, opset 13, of one or more values; with one number it is a `Clip`.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    element_wise::import_extremum(reader, node, Min, Function::Min)
}

/// Source: Keras `Minimum`, `keras.ops.Minimum`, of two or more values.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    element_wise::from_keras(layer, Min, Function::Min)
}
