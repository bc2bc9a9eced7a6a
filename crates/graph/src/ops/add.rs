use super::{Affine, affine, element_wise};
use crate::{
    error::{ImportError, LowerError},
    expression::Expression,
    fixed_operator::FixedOp,
    import::{
        builder::Value, keras::layer::Layer, onnx::attributes::Attributes, onnx::reader::Reader,
        view::View,
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::count_to_f64;
use fixedwise_kernels::{Function, Kernels};

/// `y = a + b`, element by element; an extent of one goes with every other.
///
/// Fixed point: both are shifted left to the finer binary point, added exactly, shifted to the
/// output's with rounding, saturated.
///
/// Source: ONNX `Add`, opset 14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add;

impl Operator for Add {
    fn name(&self) -> &'static str {
        "Add"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        element_wise::infer(inputs)
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        element_wise::prepare_float(Function::Add, context, kernels)
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        element_wise::lower(Function::Add, context)
    }

    fn takes_activation(&self) -> bool {
        true
    }

    fn as_element_function(&self) -> Option<Expression> {
        Some(Expression::x() + Expression::Argument(1))
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

/// Source: ONNX `Add`, opset 14.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    if reader.is_constant(node, 0) || reader.is_constant(node, 1) {
        return affine::import_add(reader, node);
    }
    Attributes::new(node).finish()?;
    element_wise::import(reader, node, Add)
}

/// Source: ONNX `Sum`, opset 13.
pub(super) fn import_sum(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    match node.inputs.len() {
        1 => reader.alias(node, 0),
        2 => import(reader, node),
        _ => element_wise::import(reader, node, Add),
    }
}

/// Source: ONNX `Mean`, opset 13: the sum, divided by how many there are.
pub(super) fn import_mean(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    let views = element_wise::views(reader, node)?;
    let sum = onnx::Node { name: format!("{}_sum", node.name), ..node.clone() };
    let view = element_wise::chain(reader, &sum, &views, Add)?;
    let channels = reader.builder.shape(view.node).c;
    let scale = vec![1.0 / count_to_f64(views.len()); channels];
    let mean = Affine { scale, shift: vec![0.0; channels] };
    let id = reader.builder.push(&node.name, mean, vec![view.node])?;
    reader.set_view(node, View { node: id, ..view })
}

/// Source: Keras `Average`, of two or more values: the sum, divided by how many there are.
pub(super) fn from_keras_average(layer: &mut Layer) -> Result<Value, ImportError> {
    let n = layer.values()?.len();
    if !layer.constants().is_empty() {
        return Err(layer.error("averages with a constant, which is not supported"));
    }
    let name = format!("{}_sum", layer.name());
    let sum = element_wise::keras_chain(layer, &name, Add)?;
    let channels = layer.shape(&sum).c;
    let scale = vec![1.0 / count_to_f64(n); channels];
    layer.push_like(Affine { scale, shift: vec![0.0; channels] }, &sum)
}

/// Source: `CustomScaleLayer` of `keras.applications.InceptionResNetV2`: a value and another times `scale`.
pub(super) fn from_keras_scaled(layer: &mut Layer) -> Result<Value, ImportError> {
    let scale = layer.number("scale")?.unwrap_or(1.0);
    let values = layer.values()?;
    let [value, residual] = values.as_slice() else {
        return Err(layer.error(&format!("takes {} values instead of two", values.len())));
    };
    let channels = layer.shape(residual).c;
    let affine = Affine { scale: vec![scale; channels], shift: vec![0.0; channels] };
    let name = format!("{}_scaled", layer.name());
    let scaled = layer.builder.push(&name, affine, vec![residual.node])?;
    let node = layer.push(Add, vec![value.node, scaled])?;
    Ok(Value { node, axes: value.axes.clone() })
}

/// Source: Keras `Add`, `keras.ops.Add`, of two or more values.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    element_wise::from_keras(layer, Add, Function::Add)
}
