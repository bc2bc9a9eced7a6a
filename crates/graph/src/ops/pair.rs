use super::{Function, Max, Min, affine, element_wise};
use crate::{
    error::{ImportError, LowerError},
    expression::{Binary, Expression},
    fixed_operator::FixedOp,
    import::{
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
        view::View,
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::Kernels;

/// Quotient, power, comparison or choice of two values, element by element; an extent of one goes with every
/// other. Truth is 1, the false is 0.
///
/// Fixed point: where all that it takes are functions of one value, a table, as any function of each element; elsewhere a
/// quotient is a product with the reciprocal, and the others are refused.
///
/// Source: ONNX `Div`, opset 14; `Pow`, opset 15; `Greater`, `Less`, opset 13; `Where`, opset 16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What is computed of both.
    pub function: Binary,
}

/// The way out where it is no function of one value.
const HELP: &str = "takes two computed values that are no functions of the same value; let the network end before it \
                    (`--output`)";

impl Operator for Pair {
    fn name(&self) -> &'static str {
        match self.function {
            Binary::Divide => "Div",
            Binary::Power => "Pow",
            Binary::Greater => "Greater",
            _ => "Where",
        }
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        element_wise::infer(inputs)
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let (function, activation, y_shape) = (self.function, context.activation, context.output);
        let shapes = [context.inputs[0], context.inputs[1]];
        Box::new(move |inputs, y, _| {
            for i in 0..y.len() {
                let of = |input: usize| inputs[input][shapes[input].element_of(y_shape, i)];
                y[i] = function.value_of_floats(of(0), of(1));
            }
            activation.apply_all(y);
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        Err(context.not_legal(self.name(), HELP))
    }

    fn as_element_function(&self) -> Option<Expression> {
        Some(Expression::x().with(self.function, Expression::Argument(1)))
    }

    fn no_integer_form(&self) -> Option<&'static str> {
        Some(HELP)
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Own
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs || self.function == Binary::Greater
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], _: Shape) -> Factor {
        Factor::Refused
    }
}

/// Source: ONNX `Div`, opset 14.
pub(super) fn import_div(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    if reader.is_constant(node, 1) {
        return affine::import_div(reader, node);
    }
    import(reader, node, Binary::Divide)
}

/// Source: ONNX `Pow`, opset 15.
pub(super) fn import_pow(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    import(reader, node, Binary::Power)
}

/// Source: ONNX `Greater`, opset 13.
pub(super) fn import_greater(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    import(reader, node, Binary::Greater)
}

/// Source: ONNX `Less`, opset 13.
pub(super) fn import_less(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    import(reader, &exchanged(node), Binary::Greater)
}

/// Source: ONNX `GreaterOrEqual`, opset 16.
pub(super) fn import_greater_or_equal(
    reader: &mut Reader,
    node: &onnx::Node,
) -> Result<(), ImportError> {
    negated(reader, &exchanged(node))
}

/// Source: ONNX `LessOrEqual`, opset 16.
pub(super) fn import_less_or_equal(
    reader: &mut Reader,
    node: &onnx::Node,
) -> Result<(), ImportError> {
    negated(reader, node)
}

/// Source: ONNX `Not`, opset 1.
pub(super) fn import_not(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    reader.push_each(node, not())
}

/// Source: ONNX `And`, opset 7, of computed values.
pub(super) fn import_and(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    element_wise::import(reader, node, Min)
}

/// Source: ONNX `Or`, opset 7, of computed values.
pub(super) fn import_or(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    element_wise::import(reader, node, Max)
}

/// Source: ONNX `Where`, opset 16, by a computed condition.
pub(super) fn import_where(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    let condition = reader.view(node, 0)?;
    let condition = reader.materialized(node, &condition)?;
    let mut parts = Vec::new();
    for (position, function) in [(1, Binary::If), (2, Binary::Unless)] {
        let name = format!("{}_{position}", node.name);
        let part = if reader.is_constant(node, position) {
            let number = one_number(reader, node, position)?;
            let expression = Expression::x().with(function, number.into());
            let id = reader.builder.push(&name, Function { expression }, vec![condition.node])?;
            View { node: id, ..condition.clone() }
        } else {
            let value = reader.view(node, position)?;
            reader.pairs(node, &name, Pair { function }.into(), [&condition, &value])?
        };
        parts.push(part);
    }
    // One of both is 0.
    let view = reader.pairs(node, &node.name, super::Add.into(), [&parts[0], &parts[1]])?;
    reader.set_view(node, view)
}

/// A function of two values, or of one and a number.
fn import(reader: &mut Reader, node: &onnx::Node, function: Binary) -> Result<(), ImportError> {
    let view = pair(reader, node, &node.name, function)?;
    reader.set_view(node, view)
}

/// As [`import`], with a name of its own; gives the value.
fn pair(
    reader: &mut Reader,
    node: &onnx::Node,
    name: &str,
    function: Binary,
) -> Result<View, ImportError> {
    Attributes::new(node).finish()?;
    let x = Expression::x;
    let (position, expression) = match [0, 1].map(|i| reader.is_constant(node, i)) {
        [false, false] => {
            let views = [reader.view(node, 0)?, reader.view(node, 1)?];
            return reader.pairs(node, name, Pair { function }.into(), [&views[0], &views[1]]);
        }
        [false, true] if function == Binary::Power => {
            (0, super::function::definitions::power(one_number(reader, node, 1)?))
        }
        [false, _] => (0, x().with(function, one_number(reader, node, 1)?.into())),
        [true, _] => (1, Expression::from(one_number(reader, node, 0)?).with(function, x())),
    };
    let view = reader.view(node, position)?;
    let view = reader.materialized(node, &view)?;
    let id = reader.builder.push(name, Function { expression }, vec![view.node])?;
    Ok(View { node: id, ..view })
}

/// A constant that is one number.
fn one_number(reader: &Reader, node: &onnx::Node, position: usize) -> Result<f64, ImportError> {
    let numbers = reader.constant(node, position)?.numbers();
    match numbers[..] {
        [first, ref rest @ ..] if rest.iter().all(|x| x.to_bits() == first.to_bits()) => Ok(first),
        _ => Err(node_error(node, "its constant must be one number")),
    }
}

/// `a > b` where that is false.
fn negated(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let greater = pair(reader, node, &format!("{}_not", node.name), Binary::Greater)?;
    let id = reader.builder.push(&node.name, not(), vec![greater.node])?;
    reader.set_view(node, View { node: id, ..greater })
}

fn not() -> Op {
    Function { expression: Expression::from(1.0) - Expression::x() }.into()
}

/// The node with its inputs in the other order.
fn exchanged(node: &onnx::Node) -> onnx::Node {
    let mut node = node.clone();
    node.inputs.reverse();
    node
}

/// Source: Keras `keras.ops.TrueDivide`, `keras.ops.Divide`, by a computed value.
pub(super) fn from_keras_divide(layer: &mut Layer) -> Result<Value, ImportError> {
    let number = match layer.constants() {
        [] => None,
        [(0, number)] if number.data.len() == 1 => Some(f64::from(number.data[0])),
        _ => return Err(layer.error("divides a constant of several numbers by a computed value")),
    };
    if let Some(number) = number {
        let value = layer.value()?;
        let expression = Expression::from(number) / Expression::x();
        return layer.push_like(Function { expression }, &value);
    }
    let name = layer.name();
    element_wise::keras_chain(layer, name, Pair { function: Binary::Divide })
}
