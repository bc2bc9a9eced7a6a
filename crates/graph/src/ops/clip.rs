use super::relu::{alone, element_wise, one};
use crate::{
    error::{ImportError, LowerError},
    expression::Expression,
    fixed_operator::FixedOp,
    import::{
        onnx::attributes::Attributes,
        onnx::constant::Elements,
        onnx::reader::{Reader, node_error},
    },
    lower::context::LowerContext,
    operator::{Context, Derivation, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::{Activation, Shape},
};
use fixedwise_codec::onnx;
use fixedwise_kernels::Kernels;

/// `y = min(max(x, min), max)`, including ReLU6; any shape.
///
/// Fixed point: the bounds are rounded to the output's format and join its saturation.
///
/// Source: ONNX `Clip`, opset 13.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// Lower bound, may be infinite.
    pub min: f32,
    /// Upper bound, may be infinite.
    pub max: f32,
}

impl Operator for Clip {
    fn name(&self) -> &'static str {
        "Clip"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        one(inputs)
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        element_wise(context, Activation::Clip { min: self.min, max: self.max })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        alone(context, Activation::Clip { min: self.min, max: self.max })
    }

    fn format_rule(&self) -> FormatRule {
        let derivation = if self.min >= 0.0 { Derivation::Unsigned } else { Derivation::Same };
        FormatRule::Derived(derivation)
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        self.min >= 0.0 || inputs && self.max >= 0.0
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], _: Shape) -> Factor {
        Factor::Refused
    }

    fn as_element_function(&self) -> Option<Expression> {
        self.as_activation().map(Expression::from)
    }

    fn as_activation(&self) -> Option<Activation> {
        Some(Activation::Clip { min: self.min, max: self.max })
    }
}

/// Source: ONNX `Clip`, opset 13 (and 7 to 10, with the bounds as attributes).
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let mut bounds = [f32::NEG_INFINITY, f32::INFINITY];
    for ((position, name), bound) in [(1, "min"), (2, "max")].into_iter().zip(&mut bounds) {
        if let Some(given) = attributes.any_float(name)? {
            *bound = given;
        } else if Reader::has_input(node, position) {
            let given = reader.constant(node, position)?;
            *bound = match &given.elements {
                Elements::Floats(x) if x.len() == 1 => x[0],
                _ => return Err(node_error(node, "each of its bounds must be one number")),
            };
        }
    }
    attributes.finish()?;
    let [min, max] = bounds;
    if min.is_nan() || max.is_nan() {
        return Err(node_error(node, "each of its bounds must be one number"));
    }
    // Where the bounds cross, ONNX lets the upper one win.
    reader.push_each(node, Clip { min: min.min(max), max })
}
