use super::{function, relu::one};
use crate::{
    error::{ImportError, LowerError},
    expression::{Expression, Unary},
    fixed_operator::FixedOp,
    import::{onnx::attributes::Attributes, onnx::reader::Reader},
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Likelihood, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::Kernels;

/// `y = 1 / (1 + exp(-x))`; any shape.
///
/// Fixed point: dropped at the end of a classifier, where it does not change the largest; elsewhere a table,
/// as any function of each element.
///
/// Source: ONNX `Sigmoid`, opset 13.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sigmoid;

impl Operator for Sigmoid {
    fn name(&self) -> &'static str {
        "Sigmoid"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        one(inputs)
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        function::float_step(&expression(), context, kernels)
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        function::lower(context, &expression())
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Own
    }

    fn is_nonnegative(&self, _: bool) -> bool {
        true
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], _: Shape) -> Factor {
        Factor::Refused
    }

    fn as_element_function(&self) -> Option<Expression> {
        Some(expression())
    }

    fn as_likelihood(&self) -> Option<Likelihood> {
        Some(Likelihood::Each)
    }

    fn ends_classifier(&self, image: Shape, value: Shape) -> bool {
        // As many values as the image has are an image again, not classes.
        value.h * value.w == 1 && value.len() < image.len()
    }
}

fn expression() -> Expression {
    Expression::x().then(Unary::Sigmoid)
}

/// Source: ONNX `Sigmoid`, opset 13.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    reader.push_each(node, Sigmoid)
}
