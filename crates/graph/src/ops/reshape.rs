mod fixed;

pub use fixed::FixedReshape;

use crate::{
    error::{ImportError, LowerError},
    fixed_operator::FixedOp,
    import::{
        axes::{Axis, axis_index, channels_first, channels_last, extent, order, shape_of},
        builder::{Builder, Value},
        keras::layer::{Layer, read_extent},
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    scale_shift::ScaleShift,
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::Kernels;

/// The same elements with another shape, in the order of the model file.
///
/// Fixed point: moves integers; the format stays.
///
/// Source: ONNX `Reshape`, opset 14; `Flatten`, `Squeeze`, `Unsqueeze`, opset 13.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshape {
    /// Extents of the result.
    pub shape: Shape,
    /// The order in which the input's elements are read, outermost axis first.
    pub(crate) input_order: [Axis; 3],
    /// The order in which the result's elements are filled, outermost axis first.
    pub(crate) output_order: [Axis; 3],
}

impl Reshape {
    /// A vector of an image's elements, one channel after the other.
    ///
    /// That is what ONNX `Flatten` makes of `[n, c, h, w]`.
    pub const fn flatten_channels_first(image: Shape) -> Self {
        Self {
            shape: Shape::new(1, 1, image.h * image.w * image.c),
            input_order: [Axis::Channel, Axis::Row, Axis::Column],
            output_order: [Axis::Row, Axis::Column, Axis::Channel],
        }
    }

    /// Whether no element of an input of that shape moves.
    pub fn is_identity(&self, input: Shape) -> bool {
        self.source(input).into_iter().enumerate().all(|(to, from)| to == from)
    }

    /// For each element of the result, the element of the input it comes from.
    pub fn source(&self, input: Shape) -> Vec<usize> {
        let mut source = vec![0; input.len()];
        for (from, to) in walk(input, self.input_order).zip(walk(self.shape, self.output_order)) {
            source[to] = from;
        }
        source
    }
}

/// The indices of the elements of a `[h, w, c]` value in that order of axes.
fn walk(shape: Shape, order: [Axis; 3]) -> impl Iterator<Item = usize> {
    let stride = move |axis| match axis {
        Axis::Row => shape.w * shape.c,
        Axis::Column => shape.c,
        Axis::Channel => 1,
        Axis::Batch => 0,
    };
    let [a, b, c] = order;
    (0..extent(shape, a)).flat_map(move |i| {
        (0..extent(shape, b)).flat_map(move |j| {
            (0..extent(shape, c)).map(move |k| i * stride(a) + j * stride(b) + k * stride(c))
        })
    })
}

impl Operator for Reshape {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [x] if x.len() == self.shape.len() => Ok(self.shape),
            _ => Err(format!("must be one value of {} elements", self.shape.len())),
        }
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let source = self.source(context.inputs[0]);
        let activation = context.activation;
        Box::new(move |inputs, y, _| {
            for (y, &from) in y.iter_mut().zip(&source) {
                *y = activation.apply(inputs[0][from]);
            }
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        Ok(FixedReshape { source: self.source(context.inputs[0]) }.into())
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Moved
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, inputs: &[Shape], output: Shape) -> Factor {
        if output.h * output.w != 1 {
            return Factor::Refused;
        }
        let from = self.source(inputs[0]);
        Factor::Carried(from.iter().map(|from| Some(from % inputs[0].c)).collect())
    }

    fn unscaled(&self, _: &[Option<&ScaleShift>], _: &[Shape], _: Shape) -> Option<Op> {
        Some(self.clone().into())
    }
}

/// The elements of `value` in the order of its file, with other axes and extents.
pub(crate) fn reshaped(
    builder: &mut Builder,
    name: &str,
    value: &Value,
    axes: Vec<Axis>,
    extents: &[usize],
) -> Result<Value, ImportError> {
    let from = builder.shape(value);
    let shape = shape_of(&axes, extents);
    let op = Reshape { shape, input_order: order(&value.axes), output_order: order(&axes) };
    if from == shape && op.is_identity(from) {
        return Ok(Value { node: value.node, axes });
    }
    let node = builder.push(name, op, vec![value.node])?;
    Ok(Value { node, axes })
}

/// The same elements in the same order of the file, under other axis names.
pub(super) fn relabeled(
    reader: &mut Reader,
    node: &onnx::Node,
    value: Value,
    axes: Vec<Axis>,
) -> Result<Value, ImportError> {
    if value.axes == axes {
        return Ok(value);
    }
    let shape = reader.shape(&value);
    let extents: Vec<usize> = value.axes.iter().map(|&axis| extent(shape, axis)).collect();
    reshaped(&mut reader.builder, &format!("{}_layout", node.name), &value, axes, &extents)
}

/// An input as an image, channels on axis 1, with its axes renamed where the file means others.
pub(super) fn image(
    reader: &mut Reader,
    node: &onnx::Node,
    position: usize,
) -> Result<Value, ImportError> {
    let value = reader.value(node, position)?;
    let wanted = channels_first(value.axes.len())
        .filter(|axes| axes.len() > 2)
        .ok_or_else(|| node_error(node, "its input must be an image with 3 or 4 axes"))?;
    relabeled(reader, node, value, wanted)
}

/// Source: ONNX `Reshape`, opset 14.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    attributes.int_must_be("allowzero", 0, "an empty tensor is not supported")?;
    attributes.finish()?;
    let target = reader.int_constant(node, 1)?;
    if reader.is_constant(node, 0) {
        let tensor = reader.constant(node, 0)?.clone();
        let elements = tensor.dims.iter().product();
        let dims = resolve(node, &target, &tensor.dims, elements)?;
        return reader.set_constant(node, onnx::Tensor { dims, data: tensor.data });
    }
    let value = reader.value(node, 0)?;
    let shape = reader.shape(&value);
    // The batch is one image here; the file may call it -1, 0 or a number.
    let mut dims: Vec<usize> = value.axes.iter().map(|&axis| extent(shape, axis)).collect();
    let Some((&batch, rest)) = target.split_first() else {
        return Err(node_error(node, "its shape is empty"));
    };
    dims[0] = 1;
    let mut rest = rest.to_vec();
    for (i, d) in rest.iter_mut().enumerate() {
        if *d == 0 {
            let Some(&copied) = dims.get(i + 1) else {
                return Err(node_error(node, "copies an axis its input does not have"));
            };
            *d = i64::try_from(copied).unwrap_or(-2);
        }
    }
    let dims = resolve(node, &rest, &[], shape.len()).map_err(|_| {
        node_error(
            node,
            &format!(
                "cannot reshape {shape} per image to {target:?}; the first axis must stay the batch"
            ),
        )
    })?;
    if batch < -1 {
        return Err(node_error(node, "its shape has a negative extent"));
    }
    let extents: Vec<usize> = std::iter::once(1).chain(dims).collect();
    let Some(axes) = channels_first(extents.len()) else {
        return Err(node_error(
            node,
            &format!("reshapes to {} axes; at most 4 are supported", extents.len()),
        ));
    };
    let value = reshaped(&mut reader.builder, &node.name, &value, axes, &extents)?;
    reader.set_value(node, value)
}

/// Extents with `-1` and `0` replaced, for `elements` elements.
fn resolve(
    node: &onnx::Node,
    target: &[i64],
    copied: &[usize],
    elements: usize,
) -> Result<Vec<usize>, ImportError> {
    let wrong = || node_error(node, &format!("cannot reshape {elements} elements to {target:?}"));
    let mut dims = Vec::with_capacity(target.len());
    let mut open = None;
    for (i, &d) in target.iter().enumerate() {
        dims.push(match d {
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            0 => *copied.get(i).ok_or_else(wrong)?,
            d => usize::try_from(d).map_err(|_| wrong())?,
        });
    }
    let known = dims
        .iter()
        .try_fold(1_usize, |n, &d| n.checked_mul(d))
        .filter(|&n| n > 0)
        .ok_or_else(wrong)?;
    if let Some(open) = open {
        dims[open] = elements / known;
    }
    if dims.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)) == Some(elements) {
        Ok(dims)
    } else {
        Err(wrong())
    }
}

/// Source: ONNX `Flatten`, opset 13, after the batch.
pub(super) fn import_flatten(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let axis = attributes.int("axis", 1)?;
    attributes.finish()?;
    let value = reader.value(node, 0)?;
    if axis_index(axis, value.axes.len()) != Some(1) {
        return Err(node_error(node, "`axis` must be 1: the batch axis must stay separate"));
    }
    let elements = reader.shape(&value).len();
    let value = reshaped(
        &mut reader.builder,
        &node.name,
        &value,
        vec![Axis::Batch, Axis::Channel],
        &[1, elements],
    )?;
    reader.set_value(node, value)
}

/// The axes a squeeze or unsqueeze names: an attribute up to opset 12, an input after.
fn named_axes(reader: &Reader, node: &onnx::Node) -> Result<Option<Vec<i64>>, ImportError> {
    let mut attributes = Attributes::new(node);
    let axes = attributes.optional_ints("axes")?;
    attributes.finish()?;
    match axes {
        Some(axes) => Ok(Some(axes)),
        None if Reader::has_input(node, 1) => reader.int_constant(node, 1).map(Some),
        None => Ok(None),
    }
}

/// Source: ONNX `Squeeze`, opset 13.
pub(super) fn import_squeeze(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let axes = named_axes(reader, node)?;
    if reader.is_constant(node, 0) {
        let mut tensor = reader.constant(node, 0)?.clone();
        let rank = tensor.dims.len();
        let dropped: Vec<usize> = match axes {
            Some(axes) => axes.iter().filter_map(|&axis| axis_index(axis, rank)).collect(),
            None => (0..rank).filter(|&axis| tensor.dims[axis] == 1).collect(),
        };
        if dropped.iter().any(|&axis| tensor.dims[axis] != 1) {
            return Err(node_error(node, "squeezes an axis of more than one element"));
        }
        let mut axis = 0;
        tensor.dims.retain(|_| {
            axis += 1;
            !dropped.contains(&(axis - 1))
        });
        return reader.set_constant(node, tensor);
    }
    let mut value = reader.value(node, 0)?;
    let shape = reader.shape(&value);
    let Some(axes) = axes else {
        return Err(node_error(
            node,
            "must list its axes: it is unknown whether the batch is one of \
                                     them",
        ));
    };
    let mut dropped = Vec::new();
    for axis in axes {
        match axis_index(axis, value.axes.len()).map(|axis| value.axes[axis]) {
            Some(Axis::Batch) => return Err(node_error(node, "squeezes the batch")),
            Some(axis) if extent(shape, axis) == 1 => dropped.push(axis),
            Some(_) => return Err(node_error(node, "squeezes an axis of more than one element")),
            None => return Err(node_error(node, "squeezes an axis its input does not have")),
        }
    }
    value.axes.retain(|axis| !dropped.contains(axis));
    let axes = channels_first(value.axes.len());
    // A vector's one axis is the channels.
    let value = match axes {
        Some(axes) if value.axes.len() == 2 && value.axes != axes => {
            relabeled(reader, node, value, axes)?
        }
        _ => value,
    };
    reader.set_value(node, value)
}

/// Source: ONNX `Unsqueeze`, opset 13.
pub(super) fn import_unsqueeze(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let Some(axes) = named_axes(reader, node)? else {
        return Err(node_error(node, "names no axes"));
    };
    let rank = if reader.is_constant(node, 0) {
        reader.constant(node, 0)?.dims.len()
    } else {
        reader.value(node, 0)?.axes.len()
    } + axes.len();
    let mut added: Vec<usize> = axes.iter().filter_map(|&axis| axis_index(axis, rank)).collect();
    added.sort_unstable();
    added.dedup();
    if added.len() != axes.len() {
        return Err(node_error(node, "`axes` repeats an axis or names one the result lacks"));
    }
    if reader.is_constant(node, 0) {
        let mut tensor = reader.constant(node, 0)?.clone();
        added.iter().for_each(|&axis| tensor.dims.insert(axis, 1));
        return reader.set_constant(node, tensor);
    }
    let value = reader.value(node, 0)?;
    let shape = reader.shape(&value);
    let mut extents: Vec<usize> = value.axes.iter().map(|&axis| extent(shape, axis)).collect();
    if added.contains(&0) {
        return Err(node_error(node, "adds an axis before the batch"));
    }
    added.iter().for_each(|&axis| extents.insert(axis, 1));
    let Some(axes) = channels_first(rank) else {
        return Err(node_error(
            node,
            &format!("its result has {rank} axes; at most 4 are supported"),
        ));
    };
    let value = reshaped(&mut reader.builder, &node.name, &value, axes, &extents)?;
    reader.set_value(node, value)
}

/// Source: Keras `Flatten`.
pub(super) fn from_keras_flatten(layer: &mut Layer) -> Result<Value, ImportError> {
    layer.channels_last()?;
    let value = layer.value()?;
    let extents = [1, layer.shape(&value).len()];
    let name = layer.name();
    reshaped(layer.builder, name, &value, vec![Axis::Batch, Axis::Channel], &extents)
}

/// Source: Keras `Reshape`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    let elements = layer.shape(&value).len();
    let Some(target) = layer.take("target_shape") else {
        return Err(layer.error("its option `target_shape` is missing"));
    };
    let listed = target.as_array().map_or(&[][..], Vec::as_slice);
    let open = listed.iter().filter(|extent| extent.as_i64() == Some(-1)).count();
    let known = listed
        .iter()
        .filter(|extent| extent.as_i64() != Some(-1))
        .try_fold(1_usize, |n, extent| n.checked_mul(read_extent(extent, 1)?));
    let shape = known.filter(|known| open < 2 && elements.is_multiple_of(*known)).map(|known| {
        let extent = |extent| read_extent(extent, 1).unwrap_or(elements / known);
        std::iter::once(1).chain(listed.iter().map(extent)).collect::<Vec<usize>>()
    });
    let shape = shape.filter(|shape| shape.iter().product::<usize>() == elements);
    let axes = shape.as_ref().and_then(|shape| channels_last(shape.len()));
    let (Some(shape), Some(axes)) = (shape, axes) else {
        return Err(layer.refuse(
            "target_shape",
            target,
            &format!("it must be one to three extents for {elements} elements"),
        ));
    };
    let name = layer.name();
    reshaped(layer.builder, name, &value, axes, &shape)
}
