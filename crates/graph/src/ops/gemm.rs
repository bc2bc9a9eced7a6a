use super::{Add, Conv, Window, conv, max_pool::kept};
use crate::{
    backward::{Backward, BackwardStep, prepare_layer},
    error::{ImportError, LowerError},
    fixed_operator::FixedOp,
    import::{
        axes::{Axis, channels_last},
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
        view::{Extent, View},
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    parameters::{Parameters, ParametersMut},
    scale_shift::ScaleShift,
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::Kernels;

/// `y = W x + b`, a dense layer; vectors. A second value is added to the sums, before the activation.
///
/// Fixed point: as [`Conv`] over one pixel.
///
/// Source: ONNX `Gemm`, opset 13; `MatMul`, opset 13, by a constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Gemm {
    /// `[output, input]`.
    pub weights: Vec<f32>,
    /// One an output.
    pub bias: Vec<f32>,
}

impl Gemm {
    /// The same as a convolution over one pixel.
    fn as_conv(&self) -> Conv {
        Conv {
            window: Window::pixel(),
            groups: 1,
            channels: self.bias.len(),
            weights: self.weights.clone(),
            bias: self.bias.clone(),
            tap_bias: vec![],
        }
    }
}

impl Operator for Gemm {
    fn name(&self) -> &'static str {
        "Gemm"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [x, added @ ..]
                if x.h == 1 && x.w == 1 && x.c * self.bias.len() == self.weights.len() =>
            {
                let shape = Shape::vector(self.bias.len());
                conv::check_added(added, shape)?;
                Ok(shape)
            }
            _ => Err(format!(
                "must be one vector of {} elements",
                self.weights.len() / self.bias.len().max(1)
            )),
        }
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        self.as_conv().prepare_float(context, kernels)
    }

    fn takes_several(&self, _: &[Shape], _: Shape) -> bool {
        true
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        self.as_conv().lower(context)
    }

    fn takes_activation(&self) -> bool {
        true
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Own
    }

    fn is_nonnegative(&self, _: bool) -> bool {
        false
    }

    fn takes_residual(&self) -> bool {
        true
    }

    fn edge(&self, input: usize) -> Edge {
        conv::edge(input)
    }

    fn factor(&self, input: usize, _: &[Shape], _: Shape) -> Factor {
        conv::factor(input)
    }

    fn without_channels(&self, dropped: &[&[bool]], own: &[bool], _: &[Shape]) -> Option<Op> {
        let rows = self.weights.chunks_exact(dropped[0].len()).zip(own);
        let rows = rows.filter(|(_, gone)| !**gone).flat_map(|(row, _)| kept(row, dropped[0]));
        Some(Self { weights: rows.collect(), bias: kept(&self.bias, own) }.into())
    }

    fn unscaled(&self, before: &[Option<&ScaleShift>], _: &[Shape], _: Shape) -> Option<Op> {
        let before = before[0]?;
        let mut gemm = self.clone();
        let inputs = before.scale.len();
        for (row, b) in gemm.weights.chunks_exact_mut(inputs).zip(&mut gemm.bias) {
            *b = before.absorb(0..inputs, row, *b);
        }
        Some(gemm.into())
    }

    fn parameters(&self) -> Option<Parameters<'_>> {
        Some(Parameters {
            window: Window::pixel(),
            groups: 1,
            channels: self.bias.len(),
            weights: &self.weights,
            bias: &self.bias,
            tap_bias: &[],
        })
    }

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }

    fn parameters_mut(&mut self) -> Option<ParametersMut<'_>> {
        Some(ParametersMut { weights: &mut self.weights, bias: &mut self.bias, tap_bias: &mut [] })
    }
}

impl Backward for Gemm {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        prepare_layer(&self.parameters().expect("it is a layer"), context)
    }
}

/// The vector an input is, and its number of elements.
fn vector(
    reader: &mut Reader,
    node: &onnx::Node,
    view: &View,
) -> Result<(Value, usize), ImportError> {
    let value = match view.axes.len() {
        2 => reader.arranged(node, view, vec![Axis::Batch, Axis::Channel])?,
        _ => reader.value_of(node, view)?,
    };
    let shape = reader.shape(&value);
    if value.axes.len() != 2 || shape.len() != shape.c {
        return Err(node_error(node, "its input must be [batch, features]; flatten it first"));
    }
    Ok((value, shape.c))
}

/// A constant matrix as `[output, input]`, with its number of outputs.
fn matrix(
    reader: &Reader,
    node: &onnx::Node,
    position: usize,
    inputs: usize,
    transposed: bool,
    factor: f32,
) -> Result<(Vec<f32>, usize), ImportError> {
    let (dims, data) = reader.float_constant(node, position)?;
    let column = [dims.first().copied().unwrap_or(1), 1];
    // A vector is a matrix of one column, and one in a batch of one is a matrix.
    let dims = if dims.len() == 1 && !transposed { &column[..] } else { dims };
    let ones = dims.len().saturating_sub(2);
    let dims = if dims[..ones].iter().all(|&extent| extent == 1) { &dims[ones..] } else { dims };
    let (found, outputs) = match dims {
        [a, b] if transposed => (*b, *a),
        [a, b] => (*a, *b),
        _ => {
            return Err(node_error(node, &format!("weights with shape {dims:?} are not a matrix")));
        }
    };
    if found != inputs || outputs == 0 {
        return Err(node_error(
            node,
            &format!("its weights are for {found} features, its input has {inputs}"),
        ));
    }
    let at =
        |o: usize, i: usize| if transposed { data[o * inputs + i] } else { data[i * outputs + o] };
    let weights = (0..outputs).flat_map(|o| (0..inputs).map(move |i| factor * at(o, i))).collect();
    Ok((weights, outputs))
}

/// Source: ONNX `Gemm`, opset 13.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let alpha = attributes.float("alpha", 1.0)?;
    let beta = attributes.float("beta", 1.0)?;
    attributes.int_must_be("transA", 0, "the first input must be [batch, features]")?;
    let transposed = attributes.int("transB", 0)? != 0;
    attributes.finish()?;
    let view = reader.view(node, 0)?;
    let (value, inputs) = vector(reader, node, &view)?;
    let (weights, outputs) = matrix(reader, node, 1, inputs, transposed, alpha)?;
    if Reader::has_input(node, 2) && !reader.is_constant(node, 2) {
        return import_plus_value(
            reader,
            node,
            &value,
            Gemm { weights, bias: vec![0.0; outputs] },
            beta,
        );
    }
    let bias = if Reader::has_input(node, 2) {
        broadcast_bias(reader, node, outputs)?.iter().map(|b| beta * b).collect()
    } else {
        vec![0.0; outputs]
    };
    reader.push_like(node, Gemm { weights, bias }, &value)
}

/// A Gemm whose `C` is computed: the sum of the product and that value.
fn import_plus_value(
    reader: &mut Reader,
    node: &onnx::Node,
    value: &Value,
    gemm: Gemm,
    beta: f32,
) -> Result<(), ImportError> {
    let other = reader.value(node, 2)?;
    if (beta - 1.0).abs() > f32::EPSILON || reader.shape(&other).len() != gemm.bias.len() {
        return Err(node_error(node, "a computed `C` needs `beta` = 1 and one element per output"));
    }
    let product = reader.builder.push(&format!("{}_product", node.name), gemm, vec![value.node])?;
    reader.push(node, Add, vec![product, other.node], value.axes.clone())
}

/// `C` of a Gemm: one number, or one for each output.
fn broadcast_bias(
    reader: &Reader,
    node: &onnx::Node,
    outputs: usize,
) -> Result<Vec<f32>, ImportError> {
    let (dims, data) = reader.float_constant(node, 2)?;
    match (data, dims) {
        ([b], _) => Ok(vec![*b; outputs]),
        (b, [n] | [1, n]) if *n == outputs => Ok(b.to_vec()),
        _ => Err(node_error(
            node,
            &format!(
                "a bias with shape {dims:?} is neither one number nor one per output ({outputs})"
            ),
        )),
    }
}

/// The product of a view's last axis and a constant matrix, at that position of the node's inputs.
pub(super) fn by_constant(
    reader: &mut Reader,
    node: &onnx::Node,
    view: &View,
    position: usize,
    transposed: bool,
) -> Result<View, ImportError> {
    let extents = view.extents();
    let (rank, inputs) = (extents.len(), extents.last().map_or(0, |extent| extent.of_image));
    let (weights, channels) = matrix(reader, node, position, inputs, transposed, 1.0)?;
    let bias = vec![0.0; channels];
    let has_batch_alone = extents.first().is_some_and(|e| e.has_batch && e.of_image == 1);
    if rank == 2 && has_batch_alone {
        let (value, _) = vector(reader, node, view)?;
        let id = reader.builder.push(&node.name, Gemm { weights, bias }, vec![value.node])?;
        let value = Value { node: id, ..value };
        return Ok(View::of(&value, reader.shape(&value)));
    }
    // The last axis of a signal or an image: a 1x1 convolution of what is its channels then.
    let window = Window::pixel();
    let op = Conv { window, groups: 1, channels, weights, bias, tap_bias: vec![] };
    if let Some(axes) = channels_last(rank).filter(|_| has_batch_alone) {
        let value = reader.value_of(node, view)?;
        let value = reader.relabeled(node, &value, axes)?;
        let id = reader.builder.push(&node.name, op, vec![value.node])?;
        let value = Value { node: id, ..value };
        return Ok(View::of(&value, reader.shape(&value)));
    }
    let names = [Axis::Column, Axis::Channel];
    let value = reader.grouped(node, view, &[rank.max(1) - 1, 1], &names)?;
    let id = reader.builder.push(&node.name, op, vec![value.node])?;
    let last = Extent { of_image: channels, has_batch: false };
    let extents = [&extents[..rank.max(1) - 1], &[last]].concat();
    reader.ungrouped(node, &Value { node: id, ..value }, &extents)
}

/// Source: Keras `Dense`: on an image, a 1x1 convolution.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    layer.must_be("quantization_config", &().into(), "save the model in float")?;
    let value = layer.value()?;
    let Some(channels) = layer.count("units")? else {
        return Err(layer.error("its option `units` is missing"));
    };
    let kernel = layer.weight("kernel", &[layer.shape(&value).c, channels])?;
    let weights = conv::last_axis_first(kernel, channels);
    let bias = layer.bias(channels)?;
    let value = if value.axes.len() == 2 {
        layer.push_like(Gemm { weights, bias }, &value)?
    } else {
        let window = Window::pixel();
        let op = Conv { window, groups: 1, channels, weights, bias, tap_bias: vec![] };
        layer.push_like(op, &value)?
    };
    layer.activation(value)
}
