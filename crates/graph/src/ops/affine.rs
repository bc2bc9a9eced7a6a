use super::{pair, with_constant};
use crate::{
    backward::{Backward, BackwardStep, each_image},
    error::{ImportError, LowerError},
    expression::Expression,
    fixed_operator::FixedOp,
    import::{
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
        view::View,
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_kernels::{Function, Kernels, scale_and_shift};

/// `y = scale * x + shift` per channel, in double precision; any shape.
///
/// Fixed point: folded into its neighbors; what cannot be folded becomes a depthwise 1x1
/// convolution.
///
/// Source: ONNX `BatchNormalization`, opset 15; `Add`, `Sub`, `Mul`, `Div` by a constant, opset 14.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// One a channel.
    pub scale: Vec<f64>,
    /// One a channel.
    pub shift: Vec<f64>,
}

impl Operator for Affine {
    fn name(&self) -> &'static str {
        "Affine"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [x] if x.c == self.scale.len() && x.c == self.shift.len() => Ok(*x),
            _ => Err(format!("must be one value of {} channels", self.scale.len())),
        }
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        let (op, activation) = (self.clone(), context.activation);
        Box::new(move |inputs, y, _| {
            scale_and_shift(kernels, &op.scale, &op.shift, inputs[0], y);
            activation.apply_all(y);
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        Err(context.not_legal(self.name(), "run the passes for integer semantics first"))
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

    fn as_element_function(&self) -> Option<Expression> {
        let same = |values: &[f64]| {
            let first = *values.first()?;
            values.iter().all(|x| x.to_bits() == first.to_bits()).then_some(first)
        };
        let (scale, shift) = (same(&self.scale)?, same(&self.shift)?);
        // The files hold 32-bit floats: what is none is one over such a divisor.
        let divisor = 1.0 / scale;
        let is_float = |x: f64| f64::from(f64_to_f32(x)).to_bits() == x.to_bits();
        let x = Expression::x();
        let scaled = if scale.to_bits() == 1.0_f64.to_bits() {
            x
        } else if !is_float(scale) && is_float(divisor) {
            x / divisor
        } else {
            x * scale
        };
        Some(if shift == 0.0 { scaled } else { scaled + shift })
    }

    fn factor(&self, _: usize, _: &[Shape], _: Shape) -> Factor {
        Factor::Refused
    }

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Affine {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        let scale: Vec<f32> = self.scale.iter().map(|&scale| f64_to_f32(scale)).collect();
        each_image(context, move |image| {
            for (at, &gradient) in image.gradient.iter().enumerate() {
                image.add(0, at, scale[at % scale.len()] * gradient);
            }
        })
    }
}

/// Source: ONNX `Mul`, opset 14, by a constant.
pub(super) fn import_mul(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let Some((_, value, constant)) = by_constant(reader, node)? else {
        return with_constant::import_other(reader, node, Function::Mul);
    };
    let shift = vec![0.0; constant.len()];
    push(reader, node, &value, Affine { scale: constant, shift })
}

/// Source: ONNX `Div`, opset 14, by a constant.
pub(super) fn import_div(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    if reader.float_constant(node, 1)?.1.contains(&0.0) {
        return Err(node_error(node, "divides by zero"));
    }
    let Some((_, value, constant)) = by_constant(reader, node)? else {
        return with_constant::import_div(reader, node);
    };
    let shift = vec![0.0; constant.len()];
    push(reader, node, &value, Affine { scale: constant.iter().map(|x| 1.0 / x).collect(), shift })
}

/// Source: ONNX `Sub`, opset 14, of or from a constant.
pub(super) fn import_sub(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let Some((position, value, constant)) = by_constant(reader, node)? else {
        return with_constant::import_other(reader, node, Function::Sub);
    };
    let op = if position == 0 {
        Affine { scale: vec![1.0; constant.len()], shift: constant.iter().map(|x| -x).collect() }
    } else {
        Affine { scale: vec![-1.0; constant.len()], shift: constant }
    };
    push(reader, node, &value, op)
}

/// Source: ONNX `Add`, opset 14, of a constant.
pub(super) fn import_add(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let Some((_, value, constant)) = by_constant(reader, node)? else {
        return with_constant::import_other(reader, node, Function::Add);
    };
    push(reader, node, &value, Affine { scale: vec![1.0; constant.len()], shift: constant })
}

/// Which input is the value, the value, and the other input's elements, one for each of its channels; `None` where
/// there are others.
fn by_constant(
    reader: &mut Reader,
    node: &onnx::Node,
) -> Result<Option<(usize, View, Vec<f64>)>, ImportError> {
    Attributes::new(node).finish()?;
    let position = usize::from(reader.is_constant(node, 0));
    if reader.is_constant(node, position) {
        return Err(node_error(node, "has constant inputs only; simplify the model"));
    }
    let view = reader.view(node, position)?;
    let (dims, data) = reader.float_constant(node, 1 - position)?;
    let rank = view.extents().len();
    if let &[one] = data
        && dims.len() <= rank
        && !with_constant::is_inside(&view)
    {
        // One number for all goes with a value of any axes.
        let view = reader.materialized(node, &view)?;
        let channels = reader.builder.shape(view.node).c;
        return Ok(Some((position, view, vec![f64::from(one); channels])));
    }
    if !with_constant::is_inside(&view) {
        return Ok(None);
    }
    let value = reader.value_of(node, &view)?;
    let constant = reader.channel_constant(node, 1 - position, &value)?;
    let view = View::of(&value, reader.shape(&value));
    Ok(constant.map(|constant| (position, view, constant.into_iter().map(f64::from).collect())))
}

fn push(
    reader: &mut Reader,
    node: &onnx::Node,
    value: &View,
    op: Affine,
) -> Result<(), ImportError> {
    let id = reader.builder.push(&node.name, op, vec![value.node])?;
    reader.set_view(node, View { node: id, ..value.clone() })
}

/// Source: Keras `keras.ops.TrueDivide`, `keras.ops.Divide`, by a constant.
pub(super) fn from_keras_divide(layer: &mut Layer) -> Result<Value, ImportError> {
    if !matches!(layer.constants(), [(1, _)]) {
        return pair::from_keras_divide(layer);
    }
    let value = layer.value()?;
    let channels = layer.shape(&value).c;
    match layer.constants() {
        [(_, by)] if matches!(by.data.len(), 1) || by.shape == [channels] => {
            if by.data.iter().any(|&x| x == 0.0 || !x.is_finite()) {
                return Err(layer.error("divides by zero, or by what is no finite number"));
            }
            let inverse = by.data.iter().cycle().take(channels).map(|&x| 1.0 / f64::from(x));
            let scale = inverse.collect();
            layer.push_like(Affine { scale, shift: vec![0.0; channels] }, &value)
        }
        _ => Err(layer.error("divides by what is neither one number nor one per channel")),
    }
}

/// Source: Keras `keras.ops.Negative`.
pub(super) fn from_keras_negative(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    let channels = layer.shape(&value).c;
    layer.push_like(Affine { scale: vec![-1.0; channels], shift: vec![0.0; channels] }, &value)
}

/// Source: Keras `Normalization`, with `mean` and `variance`, or adapted to data.
pub(super) fn from_keras_normalization(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    let (channels, rank) = (layer.shape(&value).c, value.axes.len());
    let is_one = layer.take("axis").is_none_or(|axis| {
        let is_empty = axis.as_array().is_some_and(Vec::is_empty);
        if !is_empty {
            layer.give_back("axis", axis);
        }
        is_empty
    });
    layer.last_axis("axis", rank)?;
    let inverts = layer.flag("invert", false)?;
    let given =
        [channel_numbers(layer, "mean", channels)?, channel_numbers(layer, "variance", channels)?];
    let [mean, variance] = match given {
        [Some(mean), Some(variance)] => [mean, variance],
        [None, None] => {
            let extents = [channels];
            let extents = if is_one { &extents[..0] } else { &extents[..] };
            let mut stored = |name: &str| -> Result<Vec<f64>, ImportError> {
                let numbers = layer.weight(name, extents)?;
                Ok(numbers.iter().cycle().take(channels).map(|&x| f64::from(x)).collect())
            };
            let stored = [stored("mean")?, stored("variance")?];
            layer.weight("count", &[])?;
            stored
        }
        _ => return Err(layer.error("has one of its options `mean` and `variance` only")),
    };
    // The smallest deviation, as Keras has it.
    let deviation = variance.iter().map(|x| x.max(0.0).sqrt().max(1e-7));
    let (scale, shift) = if inverts {
        (deviation.collect(), mean)
    } else {
        let scale: Vec<f64> = deviation.map(|x| 1.0 / x).collect();
        let shift = mean.iter().zip(&scale).map(|(mean, scale)| -mean * scale).collect();
        (scale, shift)
    };
    layer.push_like(Affine { scale, shift }, &value)
}

/// Source: Keras `Rescaling`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    let channels = layer.shape(&value).c;
    let scale = channel_numbers(layer, "scale", channels)?;
    let Some(scale) = scale else { return Err(layer.error("its option `scale` is missing")) };
    let shift = channel_numbers(layer, "offset", channels)?.unwrap_or_else(|| vec![0.0; channels]);
    layer.push_like(Affine { scale, shift }, &value)
}

/// An option that is one number, or one for each channel.
fn channel_numbers(
    layer: &mut Layer,
    option: &str,
    channels: usize,
) -> Result<Option<Vec<f64>>, ImportError> {
    let Some(value) = layer.take(option) else { return Ok(None) };
    let number = serde_json::Value::as_f64;
    let numbers: Option<Vec<f64>> = match value.as_array() {
        Some(list) => list.iter().map(number).collect(),
        None => number(value).map(|x| vec![x; channels]),
    };
    match numbers.filter(|list| list.len() == channels && list.iter().all(|x| x.is_finite())) {
        Some(numbers) => Ok(Some(numbers)),
        None => Err(layer.refuse(
            option,
            value,
            &format!("it must be one number, or one per channel ({channels})"),
        )),
    }
}
