//! Operators that compute each element from those at its place.

use super::translation::{Operator, Translation};
use crate::error::ImportError;

/// Operators that are one node of ONNX with the same inputs: their names in both.
const SAME: [(&str, &str); 36] = [
    ("ABS", "Abs"),
    ("ADD", "Add"),
    ("ADD_N", "Sum"),
    ("CEIL", "Ceil"),
    ("COS", "Cos"),
    ("DEQUANTIZE", "Identity"),
    ("DIV", "Div"),
    ("ELU", "Elu"),
    ("EXP", "Exp"),
    ("FAKE_QUANT", "Identity"),
    ("FLOOR", "Floor"),
    ("GREATER", "Greater"),
    ("GREATER_EQUAL", "GreaterOrEqual"),
    ("HARD_SWISH", "HardSwish"),
    ("LESS", "Less"),
    ("LESS_EQUAL", "LessOrEqual"),
    ("LOG", "Log"),
    ("LOGICAL_AND", "And"),
    ("LOGICAL_NOT", "Not"),
    ("LOGICAL_OR", "Or"),
    ("LOGISTIC", "Sigmoid"),
    ("MAXIMUM", "Max"),
    ("MINIMUM", "Min"),
    ("MUL", "Mul"),
    ("NEG", "Neg"),
    ("POW", "Pow"),
    ("PRELU", "PRelu"),
    ("QUANTIZE", "Identity"),
    ("RELU", "Relu"),
    ("ROUND", "Round"),
    ("SELECT_V2", "Where"),
    ("SIGN", "Sign"),
    ("SIN", "Sin"),
    ("SQRT", "Sqrt"),
    ("SUB", "Sub"),
    ("TANH", "Tanh"),
];

/// Writes the operator where it is one of these.
pub(super) fn translate(to: &mut Translation, operator: &Operator) -> Result<bool, ImportError> {
    let x = Translation::input(operator, 0);
    let y = match operator.kind() {
        "RELU6" => to.clip(operator, &x, 0.0, 6.0),
        "RELU_N1_TO_1" => to.clip(operator, &x, -1.0, 1.0),
        "RELU_0_TO_1" => to.clip(operator, &x, 0.0, 1.0),
        "LEAKY_RELU" => {
            let alpha = operator.float("alpha");
            to.node(operator, "LeakyRelu", &[&x], vec![("alpha", alpha.into())])
        }
        "GELU" => {
            let kind = if operator.int("approximate") == 0 { "none" } else { "tanh" };
            to.node(operator, "Gelu", &[&x], vec![("approximate", kind.into())])
        }
        "RSQRT" => {
            let root = to.node(operator, "Sqrt", &[&x], vec![]);
            to.node(operator, "Reciprocal", &[&root], vec![])
        }
        "SQUARE" => to.node(operator, "Mul", &[&x, &x], vec![]),
        "SQUARED_DIFFERENCE" => {
            let other = Translation::input(operator, 1);
            let difference = to.node(operator, "Sub", &[&x, &other], vec![]);
            to.node(operator, "Mul", &[&difference, &difference], vec![])
        }
        "SOFTMAX" => {
            let beta = operator.float("beta");
            let scaled = if (beta - 1.0).abs() < f32::EPSILON {
                x
            } else {
                let beta = to.scalar(beta);
                to.node(operator, "Mul", &[&x, &beta], vec![])
            };
            to.node(operator, "Softmax", &[&scaled], vec![("axis", (-1_i64).into())])
        }
        "LOG_SOFTMAX" => to.node(operator, "LogSoftmax", &[&x], vec![("axis", (-1_i64).into())]),
        kind => {
            let Some((_, op_type)) = SAME.iter().find(|(name, _)| *name == kind) else {
                return Ok(false);
            };
            let inputs: Vec<String> =
                (0..operator.inputs()).map(|i| Translation::input(operator, i)).collect();
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            to.node(operator, op_type, &inputs, vec![])
        }
    };
    to.result(operator, &y)?;
    Ok(true)
}
