//! Reductions over axes: pools whose window is as large as these axes. Where the channels are among them, the
//! value is read as an image of one channel, whose columns are the columns and channels of before.

use super::{
    Affine, AveragePool, Function, GlobalAveragePool, GlobalMaxPool, MaxPool, Pair, Reshape, Window,
};
use crate::{
    error::ImportError,
    expression::{Binary, Expression, Unary},
    import::{
        axes::{Axis, axis_index, channels_last, extent, shape_of},
        builder::{Builder, Value},
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
        view::{Run, View},
    },
    operator::Op,
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::count_to_f64;

/// What is made of the elements along the axes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reduction {
    Mean,
    Sum,
    Max,
    Min,
}

/// Source: ONNX `ReduceMean`, opset 18 (and 11 to 17, with `axes` as an attribute).
pub(super) fn import_mean(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    import(reader, node, Reduction::Mean)
}

/// Source: ONNX `ReduceSum`, opset 13 (and 11, with `axes` as an attribute).
pub(super) fn import_sum(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    import(reader, node, Reduction::Sum)
}

/// Source: ONNX `ReduceMax`, opset 18 (and 11 to 17, with `axes` as an attribute).
pub(super) fn import_max(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    import(reader, node, Reduction::Max)
}

/// Source: ONNX `ReduceMin`, opset 18 (and 11 to 17, with `axes` as an attribute).
pub(super) fn import_min(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    import(reader, node, Reduction::Min)
}

/// Source: ONNX `ReduceL1`, opset 18 (and 11 to 17, with `axes` as an attribute).
pub(super) fn import_l1(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    import_sum_of(reader, node, Some(Expression::x().then(Unary::Abs)), None)
}

/// Source: ONNX `ReduceL2`, opset 18 (and 11 to 17, with `axes` as an attribute).
pub(super) fn import_l2(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    import_sum_of(reader, node, Some(square()), Some(Unary::Sqrt))
}

/// Source: ONNX `ReduceSumSquare`, opset 18 (and 11 to 17, with `axes` as an attribute).
pub(super) fn import_sum_square(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    import_sum_of(reader, node, Some(square()), None)
}

/// Source: ONNX `ReduceLogSum`, opset 18 (and 11 to 17, with `axes` as an attribute).
pub(super) fn import_log_sum(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    import_sum_of(reader, node, None, Some(Unary::Log))
}

/// Source: ONNX `ReduceLogSumExp`, opset 18 (and 11 to 17, with `axes` as an attribute).
pub(super) fn import_log_sum_exp(
    reader: &mut Reader,
    node: &onnx::Node,
) -> Result<(), ImportError> {
    import_sum_of(reader, node, Some(Expression::x().then(Unary::Exp)), Some(Unary::Log))
}

/// Source: ONNX `LpNormalization`, opset 22.
pub(super) fn import_normalization(
    reader: &mut Reader,
    node: &onnx::Node,
) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let (axis, p) = (attributes.int("axis", -1)?, attributes.int("p", 2)?);
    attributes.finish()?;
    let (before, after) = match p {
        1 => (Expression::x().then(Unary::Abs), None),
        2 => (square(), Some(Unary::Sqrt)),
        _ => return Err(node_error(node, &format!("`p` is {p}; supported are 1 and 2"))),
    };
    let view = reader.view(node, 0)?;
    let asked = Asked { axes: vec![axis], keep: true };
    let name = format!("{}_norm", node.name);
    let norm = sum_of(reader, node, &name, &view, (Some(before), after), &asked)?;
    let quotient = Pair { function: Binary::Divide };
    let view = reader.pairs(node, &node.name, quotient.into(), [&view, &norm])?;
    reader.set_view(node, view)
}

fn square() -> Expression {
    Expression::x() * Expression::x()
}

/// A function of each element of a value.
fn each(
    reader: &mut Reader,
    node: &onnx::Node,
    name: &str,
    view: &View,
    expression: Expression,
) -> Result<View, ImportError> {
    // Zeros that lie nowhere have a value too.
    let view = reader.materialized(node, view)?;
    let id = reader.builder.push(name, Function { expression }, vec![view.node])?;
    Ok(View { node: id, ..view })
}

/// What is asked of a reduction.
struct Asked {
    axes: Vec<i64>,
    keep: bool,
}

/// Nothing where the result is the value itself.
fn asked(reader: &Reader, node: &onnx::Node) -> Result<Option<Asked>, ImportError> {
    let mut attributes = Attributes::new(node);
    let axes = reader.ints_of(node, &mut attributes, "axes", 1)?.unwrap_or_default();
    let keep = attributes.int("keepdims", 1)? != 0;
    let is_identity = attributes.int("noop_with_empty_axes", 0)? != 0 && axes.is_empty();
    attributes.finish()?;
    Ok((!is_identity).then_some(Asked { axes, keep }))
}

fn import(reader: &mut Reader, node: &onnx::Node, reduction: Reduction) -> Result<(), ImportError> {
    let Some(asked) = asked(reader, node)? else { return reader.alias(node, 0) };
    let view = reader.view(node, 0)?;
    let view = reduce(reader, node, &node.name, &view, reduction, &asked)?;
    reader.set_view(node, view)
}

/// A function of the sums of a function of the elements.
fn import_sum_of(
    reader: &mut Reader,
    node: &onnx::Node,
    before: Option<Expression>,
    after: Option<Unary>,
) -> Result<(), ImportError> {
    let Some(asked) = asked(reader, node)? else { return reader.alias(node, 0) };
    let view = reader.view(node, 0)?;
    let view = sum_of(reader, node, &node.name, &view, (before, after), &asked)?;
    reader.set_view(node, view)
}

/// A function of the sums of a function of the elements of a value; `name` is that of its last node.
fn sum_of(
    reader: &mut Reader,
    node: &onnx::Node,
    name: &str,
    view: &View,
    (before, after): (Option<Expression>, Option<Unary>),
    asked: &Asked,
) -> Result<View, ImportError> {
    let mut view = view.clone();
    if let Some(expression) = before {
        view = each(reader, node, &format!("{name}_elements"), &view, expression)?;
    }
    let sum_name = if after.is_some() { format!("{name}_sum") } else { name.to_owned() };
    view = reduce(reader, node, &sum_name, &view, Reduction::Sum, asked)?;
    match after {
        Some(function) => each(reader, node, name, &view, Expression::x().then(function)),
        None => Ok(view),
    }
}

/// The result of a reduction along axes of a value; `name` is that of its last node.
fn reduce(
    reader: &mut Reader,
    node: &onnx::Node,
    name: &str,
    view: &View,
    reduction: Reduction,
    asked: &Asked,
) -> Result<View, ImportError> {
    let Asked { axes, keep } = asked;
    if view.extents().len() > 4 {
        return reduce_grouped(reader, node, name, view, reduction, asked);
    }
    let value = reader.value_of(node, view)?;
    let rank = value.axes.len();
    let reduced: Option<Vec<Axis>> =
        axes.iter().map(|&axis| axis_index(axis, rank).map(|axis| value.axes[axis])).collect();
    let Some(reduced) = reduced else {
        return Err(node_error(node, &format!("has axes {axes:?} for a value of {rank} axes")));
    };
    if axes.is_empty() || reduced.contains(&Axis::Batch) {
        return Err(node_error(
            node,
            "reduces the batch axis; re-export the model with `axes` that leave the first one out",
        ));
    }
    let id = push(&mut reader.builder, name, &value, &reduced, reduction)?;
    let mut axes = value.axes;
    if !*keep {
        axes.retain(|axis| !reduced.contains(axis));
    }
    let value = Value { node: id, axes };
    Ok(View::of(&value, reader.shape(&value)))
}

/// The same of a value with more axes than there are inside: those that are kept become its channels.
fn reduce_grouped(
    reader: &mut Reader,
    node: &onnx::Node,
    name: &str,
    view: &View,
    reduction: Reduction,
    Asked { axes, keep }: &Asked,
) -> Result<View, ImportError> {
    let extents = view.extents();
    let reduced: Option<Vec<usize>> =
        axes.iter().map(|&axis| axis_index(axis, extents.len())).collect();
    let reduced = reduced.filter(|axes| !axes.is_empty());
    let Some(mut reduced) = reduced else {
        let rank = extents.len();
        return Err(node_error(node, &format!("has axes {axes:?} for a value of {rank} axes")));
    };
    reduced.sort_unstable();
    let kept: Vec<usize> = (0..extents.len()).filter(|axis| !reduced.contains(axis)).collect();
    let moved = view.transposed(&[&kept[..], &reduced].concat());
    let sizes = [kept.len(), reduced.len()];
    let value = reader.grouped(node, &moved, &sizes, &[Axis::Channel, Axis::Column])?;
    let id = push(&mut reader.builder, name, &value, &[Axis::Column], reduction)?;
    let value = Value { node: id, axes: vec![Axis::Batch, Axis::Channel] };
    let result = reader.ungrouped(node, &value, &moved.extents()[..kept.len()])?;
    Ok(if *keep { result.unsqueezed(&reduced) } else { result })
}

/// Source: Keras `keras.ops.Mean`.
pub(super) fn from_keras_mean(layer: &mut Layer) -> Result<Value, ImportError> {
    from_keras(layer, Reduction::Mean)
}

/// Source: Keras `keras.ops.Sum`.
pub(super) fn from_keras_sum(layer: &mut Layer) -> Result<Value, ImportError> {
    from_keras(layer, Reduction::Sum)
}

/// Source: Keras `keras.ops.Max`.
pub(super) fn from_keras_max(layer: &mut Layer) -> Result<Value, ImportError> {
    from_keras(layer, Reduction::Max)
}

/// Source: Keras `keras.ops.Min`.
pub(super) fn from_keras_min(layer: &mut Layer) -> Result<Value, ImportError> {
    from_keras(layer, Reduction::Min)
}

fn from_keras(layer: &mut Layer, reduction: Reduction) -> Result<Value, ImportError> {
    let mut value = layer.value()?;
    let keep = layer.flag("keepdims", false)?;
    layer.must_be(
        "initial",
        &serde_json::Value::Null,
        "only the elements themselves are supported",
    )?;
    let Some(reduced) = keras_axes(layer, &value)? else {
        return Err(layer.error("reduces the batch axis; give `axis` without the first one"));
    };
    let name = layer.name();
    let node = push(layer.builder, name, &value, &reduced, reduction)?;
    if !keep {
        value.axes.retain(|axis| !reduced.contains(axis));
    }
    // What is left are the last axes of an image; nothing moves.
    let shape = layer.builder.shape(node);
    let Some(axes) = channels_last(value.axes.len()) else {
        return Err(layer.error(
            "reduces all axes but the batch; `keepdims` or a later `Reshape` \
                                leaves one",
        ));
    };
    let extents: Vec<usize> = value.axes.iter().map(|&axis| extent(shape, axis)).collect();
    let last = shape_of(&axes, &extents);
    if last == shape {
        return Ok(Value { node, axes });
    }
    let node = layer.builder.push(&format!("{name}_axes"), in_order(last), vec![node])?;
    Ok(Value { node, axes })
}

/// The axes of an image that a layer of Keras gives; nothing where it gives none.
fn keras_axes(layer: &mut Layer, value: &Value) -> Result<Option<Vec<Axis>>, ImportError> {
    let Some(option) = layer.take("axis") else { return Ok(None) };
    let rank = value.axes.len();
    let listed = option.as_array().map_or(std::slice::from_ref(option), Vec::as_slice);
    let axis = |axis: &serde_json::Value| Some(value.axes[axis_index(axis.as_i64()?, rank)?]);
    let axes: Option<Vec<Axis>> = listed.iter().map(axis).collect();
    let axes = axes.filter(|axes| !axes.is_empty() && !axes.contains(&Axis::Batch));
    let refused = || layer.refuse("axis", option, "it must be axes of an image, not the batch");
    axes.map(Some).ok_or_else(refused)
}

/// Divided by the length, which is at least the root of `1e-12`.
///
/// Source: Keras `UnitNormalization`.
pub(super) fn from_keras_unit(layer: &mut Layer) -> Result<Value, ImportError> {
    const LEAST: f64 = 1e-12;
    let value = layer.value()?;
    let axes = match keras_axes(layer, &value)? {
        Some(axes) => axes,
        None => value.axes.last().copied().into_iter().collect(),
    };
    let name = layer.name();
    let square = Function { expression: square() };
    let node = layer.builder.push(&format!("{name}_squares"), square, vec![value.node])?;
    let squares = Value { node, axes: value.axes.clone() };
    let node = push(layer.builder, &format!("{name}_sum"), &squares, &axes, Reduction::Sum)?;
    let length = Function { expression: Expression::x().max(LEAST).then(Unary::Sqrt) };
    let length = layer.builder.push(&format!("{name}_length"), length, vec![node])?;
    let node = layer.push(Pair { function: Binary::Divide }, vec![value.node, length])?;
    Ok(Value { node, axes: value.axes })
}

/// The elements in their order as a value of that shape.
fn in_order(shape: Shape) -> Reshape {
    let run = |extent: usize, stride: usize| {
        if extent > 1 { vec![Run { extent, stride }] } else { vec![] }
    };
    let row = shape.w * shape.c;
    Reshape { shape, from: [run(shape.h, row), run(shape.w, shape.c), run(shape.c, 1)] }
}

/// Adds the nodes; gives the last one.
fn push(
    builder: &mut Builder,
    name: &str,
    value: &Value,
    reduced: &[Axis],
    reduction: Reduction,
) -> Result<usize, ImportError> {
    let shape = builder.shape(value.node);
    let part = |axis: Axis, extent: usize| if reduced.contains(&axis) { extent } else { 1 };
    let [rows, columns] = [part(Axis::Row, shape.h), part(Axis::Column, shape.w)];
    let channels = part(Axis::Channel, shape.c);
    let (mut input, mut image, mut kernel) = (value.node, shape, [rows, columns]);
    if channels > 1 {
        image = Shape::new(shape.h, shape.w * shape.c, 1);
        input = builder.push(&format!("{name}_columns"), in_order(image), vec![input])?;
        kernel = [rows, columns * channels];
    }
    let is_global = kernel == [image.h, image.w];
    let window = Window { kernel, stride: kernel, ..Window::pixel() };
    let minimum = |minimum: bool| if minimum { vec![true; image.c] } else { vec![] };
    let is_min = reduction == Reduction::Min;
    let op: Op = match reduction {
        Reduction::Mean | Reduction::Sum if is_global => GlobalAveragePool.into(),
        Reduction::Mean | Reduction::Sum => AveragePool { window, include_pad: false }.into(),
        Reduction::Max | Reduction::Min if is_global => {
            GlobalMaxPool { minimum: minimum(is_min) }.into()
        }
        Reduction::Max | Reduction::Min => MaxPool { window, minimum: minimum(is_min) }.into(),
    };
    if reduction != Reduction::Sum {
        return builder.push(name, op, vec![input]);
    }
    let mean = builder.push(&format!("{name}_mean"), op, vec![input])?;
    let n = count_to_f64(kernel[0] * kernel[1]);
    let times = Affine { scale: vec![n; image.c], shift: vec![0.0; image.c] };
    builder.push(name, times, vec![mean])
}
