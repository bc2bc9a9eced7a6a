use super::{affine, element_wise};
use crate::{
    error::{ImportError, LowerError},
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

/// `y = a + b`, element by element; an extent of one goes with every other.
///
/// Fixed point: both are shifted left to the finer binary point, added exactly, shifted to the
/// output's with rounding, saturated.
///
/// Source: ONNX `Add`, opset 14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add;

impl Operator for Add {
    fn name(&self) -> &'static str {
        "Add"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        element_wise::infer(inputs)
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        element_wise::prepare_float(Function::Add, context, kernels)
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        element_wise::lower(Function::Add, context)
    }

    fn takes_activation(&self) -> bool {
        true
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

/// Source: ONNX `Add`, opset 14.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    if reader.is_constant(node, 0) || reader.is_constant(node, 1) {
        return affine::import_add(reader, node);
    }
    Attributes::new(node).finish()?;
    element_wise::import(reader, node, Add)
}

/// Source: ONNX `Sum`, opset 13.
pub(super) fn import_sum(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    match node.inputs.len() {
        1 => reader.alias(node, 0),
        2 => import(reader, node),
        _ => element_wise::import(reader, node, Add),
    }
}

/// Source: Keras `Add`, of two or more values.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    element_wise::from_keras(layer, Add)
}
