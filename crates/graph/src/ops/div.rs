use super::{Function, affine, element_wise};
use crate::{
    error::{ImportError, LowerError},
    expression::Expression,
    fixed_operator::FixedOp,
    import::{
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::{self as kernels, Kernels};

/// `y = a / b`, element by element; an extent of one goes with every other.
///
/// Fixed point: where both are functions of one value, a table, as any function of each element; elsewhere it is
/// refused.
///
/// Source: ONNX `Div`, opset 14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Div;

const HELP: &str = "divides by a computed value; supported is the division by a constant, or of two functions of \
                    the same value: let the network end before it (`--output`), or multiply by what a layer \
                    learns instead";

impl Operator for Div {
    fn name(&self) -> &'static str {
        "Div"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        element_wise::infer(inputs)
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        let multiply = element_wise::prepare_float(kernels::Function::Mul, context, kernels);
        Box::new(move |inputs, y, scratch| {
            let reciprocals: Vec<f32> = inputs[1].iter().map(|b| 1.0 / b).collect();
            multiply(&[inputs[0], &reciprocals], y, scratch);
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        Err(context.not_legal(self.name(), HELP))
    }

    fn as_element_function(&self) -> Option<Expression> {
        Some(Expression::x() / Expression::Argument(1))
    }

    fn no_integer_form(&self) -> Option<&'static str> {
        Some(HELP)
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

/// Source: ONNX `Div`, opset 14.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    match (reader.is_constant(node, 0), reader.is_constant(node, 1)) {
        (false, false) => {
            Attributes::new(node).finish()?;
            element_wise::import(reader, node, Div)
        }
        (true, false) => {
            Attributes::new(node).finish()?;
            let [number] = reader.constant(node, 0)?.numbers()[..] else {
                return Err(node_error(
                    node,
                    "divides several constants by a value; only one is supported",
                ));
            };
            let expression = Expression::from(number) / Expression::x();
            let view = reader.view(node, 1)?;
            reader.push_each_of(node, Function { expression }, &view)
        }
        _ => affine::import_div(reader, node),
    }
}
