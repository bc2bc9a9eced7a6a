use super::relu::{alone, element_wise, one};
use crate::{
    error::{ImportError, LowerError},
    expression::Expression,
    fixed_operator::FixedOp,
    import::{
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
    },
    lower::context::LowerContext,
    operator::{Context, Derivation, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    shape::{Activation, Shape},
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_kernels::Kernels;

/// `y = x` where `x >= 0`, else `alpha * x`; any shape.
///
/// Fixed point: `alpha` has two significant bits more than the output, and a shift; the product has 64 bits.
///
/// Source: ONNX `LeakyRelu`, opset 16.
#[derive(Clone, Debug, PartialEq)]
pub struct LeakyRelu {
    /// Slope below zero.
    pub alpha: f32,
}

impl Operator for LeakyRelu {
    fn name(&self) -> &'static str {
        "LeakyRelu"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        one(inputs)
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        element_wise(context, Activation::LeakyRelu { alpha: self.alpha })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        alone(context, Activation::LeakyRelu { alpha: self.alpha })
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Derived(Derivation::Same)
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], output: Shape) -> Factor {
        Factor::carried(output)
    }

    fn without_channels(&self, _: &[&[bool]], _: &[bool], _: &[Shape]) -> Option<Op> {
        Some(self.clone().into())
    }

    fn as_element_function(&self) -> Option<Expression> {
        self.as_activation().map(Expression::from)
    }

    fn as_activation(&self) -> Option<Activation> {
        Some(Activation::LeakyRelu { alpha: self.alpha })
    }
}

/// Source: ONNX `LeakyRelu`, opset 16.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let alpha = attributes.float("alpha", 0.01)?;
    attributes.finish()?;
    if !alpha.is_finite() {
        return Err(node_error(node, "its slope `alpha` must be a finite number"));
    }
    reader.push_each(node, LeakyRelu { alpha })
}

/// Source: Keras `LeakyReLU`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    // Keras 2 calls it `alpha`.
    let slope = match layer.number("negative_slope")? {
        Some(slope) => Some(slope),
        None => layer.number("alpha")?,
    };
    layer.push_like(LeakyRelu { alpha: f64_to_f32(slope.unwrap_or(0.3)) }, &value)
}
