use super::{function, relu::one};
use crate::{
    error::LowerError,
    expression::Expression,
    fixed_operator::FixedOp,
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::Shape,
};
use fixedwise_kernels::Kernels;

/// `y = max(f(x) + lift, 0)`: a function of each element that goes a little below zero, lifted above it; any shape.
///
/// Fixed point: as [`super::Function`]; the format of the value has no sign.
///
/// Source: no file has it; the tool makes it of a function where the layers behind can take the lift off.
#[derive(Clone, Debug, PartialEq)]
pub struct LiftedFunction {
    /// The function.
    pub expression: Expression,
    /// What is added, at least what it goes below zero.
    pub lift: f64,
}

impl LiftedFunction {
    fn whole(&self) -> Expression {
        (self.expression.clone() + self.lift).max(0.0)
    }
}

impl Operator for LiftedFunction {
    fn name(&self) -> &'static str {
        "Function"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        one(inputs)
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        function::float_step(&self.whole(), context, kernels)
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        if context.output.is_signed() {
            return Err(context.lifted(self.lift));
        }
        function::lower(context, &self.whole())
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
        Some(self.whole())
    }
}
