use super::relu::one;
use crate::{
    error::{ImportError, LowerError},
    expression::{Expression, Unary},
    fixed_operator::FixedOp,
    import::{
        builder::Value,
        keras::layer::Layer,
        onnx::{
            attributes::Attributes,
            reader::{Reader, node_error},
        },
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::Kernels;

pub(super) mod definitions;
mod fixed;

use definitions as define;
pub(super) use fixed::lower;
pub use fixed::{FixedFunction, Table};

/// A function of each element alone, also one that several operators make of one value; any shape.
///
/// Fixed point: a table with an entry for each integer of an input of at most 8 bits, correctly rounded;
/// lines between entries for wider inputs, within one step of the output for every input.
///
/// Source: ONNX `Sigmoid`, `Tanh` and the other operators on each element of one value, opset 20.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// What it computes of an element.
    pub expression: Expression,
}

impl Operator for Function {
    fn name(&self) -> &'static str {
        "Function"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        one(inputs)
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        float_step(&self.expression, context, kernels)
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        lower(context, &self.expression)
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Own
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        self.expression.is_nonnegative(inputs)
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], _: Shape) -> Factor {
        Factor::Refused
    }

    fn as_element_function(&self) -> Option<Expression> {
        Some(self.expression.clone())
    }
}

/// A function of each element, then the fused activation.
pub(super) fn float_step(
    expression: &Expression,
    context: &Context,
    kernels: &'static Kernels,
) -> FloatStep {
    let (expression, activation) = (expression.clone(), context.activation);
    Box::new(move |inputs, y, _| {
        expression.apply(kernels, inputs[0], y);
        activation.apply_all(y);
    })
}

/// Source: ONNX `Abs`, `Acos`, `Acosh`, `Asin`, `Asinh`, `Atan`, `Atanh`, `Ceil`, `Celu`, `Cos`, `Cosh`,
/// `Elu`, `Erf`, `Exp`, `Floor`, `Gelu`, `HardSigmoid`, `HardSwish`, `Log`, `Mish`, `Neg`, `Reciprocal`,
/// `Round`, `Selu`, `Shrink`, `Sign`, `Sin`, `Sinh`, `Softplus`, `Softsign`, `Sqrt`, `Swish`, `Tan`, `Tanh`,
/// `ThresholdedRelu`.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let mut number = |name, default| attributes.float(name, default).map(f64::from);
    let x = Expression::x;
    let expression = match node.op_type.as_str() {
        "Abs" => x().then(Unary::Abs),
        "Acos" => x().then(Unary::Acos),
        "Acosh" => x().then(Unary::Acosh),
        "Asin" => x().then(Unary::Asin),
        "Asinh" => x().then(Unary::Asinh),
        "Atan" => x().then(Unary::Atan),
        "Atanh" => x().then(Unary::Atanh),
        "Ceil" => x().then(Unary::Ceil),
        "Celu" => define::celu(number("alpha", 1.0)?),
        "Cos" => x().then(Unary::Cos),
        "Cosh" => x().then(Unary::Cosh),
        "Elu" => define::elu(number("alpha", 1.0)?),
        "Erf" => x().then(Unary::Erf),
        "Exp" => x().then(Unary::Exp),
        "Floor" => x().then(Unary::Floor),
        "Gelu" => match attributes.string("approximate", "none")?.as_str() {
            "none" => define::gelu(),
            "tanh" => define::gelu_by_tanh(),
            other => {
                let help = "supported are `none` and `tanh`";
                return Err(attributes.refuse("approximate", other, help));
            }
        },
        "HardSigmoid" => define::hard_sigmoid(number("alpha", 0.2)?, number("beta", 0.5)?),
        "HardSwish" => define::hard_swish(),
        "Log" => x().then(Unary::Log),
        "Mish" => define::mish(),
        "Neg" => Expression::from(0.0) - x(),
        "Reciprocal" => Expression::from(1.0) / x(),
        "Round" => x().then(Unary::Round),
        "Selu" => define::selu(number("alpha", 1.673_263_2)?, number("gamma", 1.050_701)?),
        "Shrink" => define::shrink(number("lambd", 0.5)?, number("bias", 0.0)?),
        "Sign" => x().then(Unary::Sign),
        "Sin" => x().then(Unary::Sin),
        "Sinh" => x().then(Unary::Sinh),
        "Softplus" => x().then(Unary::Softplus),
        "Softsign" => define::softsign(),
        "Sqrt" => x().then(Unary::Sqrt),
        "Swish" => define::swish(number("alpha", 1.0)?),
        "Tan" => x().then(Unary::Tan),
        "Tanh" => x().then(Unary::Tanh),
        "ThresholdedRelu" => define::thresholded_relu(number("alpha", 1.0)?),
        _ => return Err(node_error(node, "is no function of each element")),
    };
    attributes.finish()?;
    reader.push_each(node, Function { expression })
}

/// Source: Keras `ELU`.
pub(super) fn from_keras_elu(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    let alpha = layer.number("alpha")?.unwrap_or(1.0);
    layer.push_like(Function { expression: define::elu(alpha) }, &value)
}

/// Source: Keras `ThresholdedReLU`.
pub(super) fn from_keras_thresholded(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    let theta = layer.number("theta")?.unwrap_or(1.0);
    layer.push_like(Function { expression: define::thresholded_relu(theta) }, &value)
}
