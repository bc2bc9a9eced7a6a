use super::{relu::one, softmax};
use crate::{
    error::{ImportError, LowerError},
    fixed_operator::FixedOp,
    import::onnx::reader::Reader,
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Likelihood, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_kernels::Kernels;

/// `y = x - ln(sum exp(x))` over the channels.
///
/// Fixed point: as `Softmax`, dropped at the end of the network and refused elsewhere.
///
/// Source: ONNX `LogSoftmax`, opset 13.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSoftmax;

impl Operator for LogSoftmax {
    fn name(&self) -> &'static str {
        "LogSoftmax"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        one(inputs)
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let (channels, activation) = (context.output.c, context.activation);
        Box::new(move |inputs, y, _| {
            for (y, x) in y.chunks_exact_mut(channels).zip(inputs[0].chunks_exact(channels)) {
                let largest = x.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
                let sum: f64 = x.iter().map(|&x| f64::from(x - largest).exp()).sum();
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = activation.apply(f64_to_f32(f64::from(x - largest) - sum.ln()));
                }
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
        false
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

    fn as_likelihood(&self) -> Option<Likelihood> {
        Some(Likelihood::Logarithm)
    }
}

const HELP: &str = "the logarithm of a softmax is supported only at the end of the network; let the network end \
                    before it (`--output`), or take the softmax itself";

/// Source: ONNX `LogSoftmax`, opset 13 (and 1 to 12, over all axes from one on).
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    softmax::import_over(reader, node, LogSoftmax)
}
