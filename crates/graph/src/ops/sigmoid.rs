use super::relu::one;
use crate::{
    error::{ImportError, LowerError},
    fixed_operator::FixedOp,
    import::{onnx::attributes::Attributes, onnx::reader::Reader},
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_kernels::Kernels;

/// `y = 1 / (1 + exp(-x))`; any shape.
///
/// Fixed point: dropped at the end of a classifier, where it does not change the largest; elsewhere it
/// is refused.
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

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let activation = context.activation;
        Box::new(move |inputs, y, _| {
            for (y, &x) in y.iter_mut().zip(inputs[0]) {
                *y = activation.apply(f64_to_f32(1.0 / (1.0 + f64::from(-x).exp())));
            }
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        Err(context.not_legal(self.name(), HELP))
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Input
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

    fn no_integer_form(&self) -> Option<&'static str> {
        Some(HELP)
    }

    fn ends_classifier(&self, image: Shape, value: Shape) -> bool {
        // As many values as the image has are an image again, not classes.
        value.h * value.w == 1 && value.len() < image.len()
    }
}

const HELP: &str = "a sigmoid is supported only at the end of a classifier";

/// Source: ONNX `Sigmoid`, opset 13.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    reader.push_each(node, Sigmoid)
}
