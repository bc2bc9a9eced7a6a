//! Operators that move, join, cut and reduce elements, and those of shapes.

use super::translation::{Operator, Translation};
use crate::error::ImportError;
use fixedwise_codec::onnx::Attribute;

/// Writes the operator where it is one of these.
pub(super) fn translate(to: &mut Translation, operator: &Operator) -> Result<bool, ImportError> {
    let x = || Translation::input(operator, 0);
    let axis = |name: &str| vec![("axis", Attribute::from(operator.int(name)))];
    let y = match operator.kind() {
        "CONCATENATION" => {
            let inputs = inputs(operator);
            to.node(operator, "Concat", &refs(&inputs), axis("axis"))
        }
        "RESHAPE" => {
            let shape = if operator.has_input(1) {
                Translation::input(operator, 1)
            } else {
                let shape = operator.list("new_shape");
                to.ints(shape.ok_or_else(|| operator.error("its new shape is missing"))?)
            };
            to.node(operator, "Reshape", &[&x(), &shape], vec![])
        }
        "SQUEEZE" => {
            let axes = operator.list("squeeze_dims").filter(|axes| !axes.is_empty());
            let axes = axes.map(|axes| to.ints(axes));
            match axes {
                Some(axes) => to.node(operator, "Squeeze", &[&x(), &axes], vec![]),
                None => to.node(operator, "Squeeze", &[&x()], vec![]),
            }
        }
        "EXPAND_DIMS" => {
            let axes = to.ints(operator.ints(1)?);
            to.node(operator, "Unsqueeze", &[&x(), &axes], vec![])
        }
        "TRANSPOSE" => {
            let perm = operator.ints(1)?.to_vec();
            to.node(operator, "Transpose", &[&x()], vec![("perm", perm.into())])
        }
        "PAD" | "PADV2" | "MIRROR_PAD" => pad(to, operator)?,
        "MEAN" => reduce(to, operator, "ReduceMean")?,
        "SUM" => reduce(to, operator, "ReduceSum")?,
        "REDUCE_MAX" => reduce(to, operator, "ReduceMax")?,
        "REDUCE_MIN" => reduce(to, operator, "ReduceMin")?,
        "REDUCE_PROD" => reduce(to, operator, "ReduceProd")?,
        "SLICE" => slice(to, operator)?,
        "STRIDED_SLICE" => strided_slice(to, operator)?,
        "SPLIT" => return split(to, operator, 1, 0, None),
        "SPLIT_V" => return split(to, operator, 0, 2, Some(1)),
        "UNPACK" => return unpack(to, operator),
        "PACK" => pack(to, operator),
        "GATHER" => {
            if operator.int("batch_dims") != 0 {
                return Err(operator.error("indices of each image are not supported"));
            }
            let indices = Translation::input(operator, 1);
            to.node(operator, "Gather", &[&x(), &indices], axis("axis"))
        }
        "TILE" => to.node(operator, "Tile", &[&x(), &Translation::input(operator, 1)], vec![]),
        "BROADCAST_TO" => {
            to.node(operator, "Expand", &[&x(), &Translation::input(operator, 1)], vec![])
        }
        "REVERSE_V2" => reverse(to, operator)?,
        "DEPTH_TO_SPACE" | "SPACE_TO_DEPTH" => {
            operator.must_be_image(0)?;
            let is_up = operator.kind() == "DEPTH_TO_SPACE";
            let op_type = if is_up { "DepthToSpace" } else { "SpaceToDepth" };
            let image = to.channels_first(operator, &x());
            let block = vec![("blocksize", operator.int("block_size").into())];
            let y = to.node(operator, op_type, &[&image], block);
            to.result_of_image(operator, &y)?;
            return Ok(true);
        }
        "RESIZE_BILINEAR" | "RESIZE_NEAREST_NEIGHBOR" => {
            resize(to, operator)?;
            return Ok(true);
        }
        "ARG_MAX" => {
            let &[axis] = operator.ints(1)? else {
                return Err(operator.error("its axis must be one integer"));
            };
            let attributes = vec![("axis", axis.into()), ("keepdims", 0_i64.into())];
            to.node(operator, "ArgMax", &[&x()], attributes)
        }
        "SHAPE" => to.node(operator, "Shape", &[&x()], vec![]),
        "RANGE" => {
            let inputs = inputs(operator);
            to.node(operator, "Range", &refs(&inputs), vec![])
        }
        "CAST" => {
            let element = operator.output(0)?.element;
            to.node(operator, "Cast", &[&x()], vec![("to", i64::from(element.code()).into())])
        }
        _ => return Ok(false),
    };
    to.result(operator, &y)?;
    Ok(true)
}

fn inputs(operator: &Operator) -> Vec<String> {
    (0..operator.inputs()).map(|i| Translation::input(operator, i)).collect()
}

fn refs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// Values side by side along a new axis.
fn pack(to: &mut Translation, operator: &Operator) -> String {
    let axes = to.ints(&[operator.int("axis")]);
    let apart: Vec<String> = inputs(operator)
        .iter()
        .map(|input| to.node(operator, "Unsqueeze", &[input, &axes], vec![]))
        .collect();
    to.node(operator, "Concat", &refs(&apart), vec![("axis", operator.int("axis").into())])
}

/// The last element of some axes first.
fn reverse(to: &mut Translation, operator: &Operator) -> Result<String, ImportError> {
    let axes = operator.ints(1)?;
    let [starts, ends, steps] = [-1, i64::MIN, -1].map(|value| to.ints(&vec![value; axes.len()]));
    let axes = to.ints(axes);
    let x = Translation::input(operator, 0);
    Ok(to.node(operator, "Slice", &[&x, &starts, &ends, &axes, &steps], vec![]))
}

/// Paddings `[axes, 2]`: before and after each axis.
fn pad(to: &mut Translation, operator: &Operator) -> Result<String, ImportError> {
    let paddings = operator.ints(1)?;
    let ends = |end: usize| paddings.iter().skip(end).step_by(2).copied();
    let pads: Vec<i64> = ends(0).chain(ends(1)).collect();
    let pads = to.ints(&pads);
    let x = Translation::input(operator, 0);
    if operator.kind() == "MIRROR_PAD" {
        if operator.int("mode") != 0 {
            return Err(operator.error(
                "mode SYMMETRIC, which repeats the border, is not supported; pad with REFLECT",
            ));
        }
        return Ok(to.node(operator, "Pad", &[&x, &pads], vec![("mode", "reflect".into())]));
    }
    if operator.kind() == "PADV2" {
        let (_, value) = operator.reals(2)?;
        let value = to.scalar(value.first().copied().unwrap_or(0.0));
        return Ok(to.node(operator, "Pad", &[&x, &pads, &value], vec![]));
    }
    Ok(to.node(operator, "Pad", &[&x, &pads], vec![]))
}

fn reduce(to: &mut Translation, operator: &Operator, op_type: &str) -> Result<String, ImportError> {
    let axes = to.ints(operator.ints(1)?);
    let keep = vec![("keepdims", operator.int("keep_dims").into())];
    Ok(to.node(operator, op_type, &[&Translation::input(operator, 0), &axes], keep))
}

/// Begins and sizes of each axis; -1 is all that is left.
fn slice(to: &mut Translation, operator: &Operator) -> Result<String, ImportError> {
    let (begin, size) = (operator.ints(1)?, operator.ints(2)?);
    let ends: Vec<i64> = begin
        .iter()
        .zip(size)
        .map(|(&begin, &size)| if size < 0 { i64::MAX } else { begin.saturating_add(size) })
        .collect();
    let (begin, ends) = (to.ints(begin), to.ints(&ends));
    Ok(to.node(operator, "Slice", &[&Translation::input(operator, 0), &begin, &ends], vec![]))
}

/// Begins, ends and strides of each axis; bits of masks leave them out, or take the axis away.
fn strided_slice(to: &mut Translation, operator: &Operator) -> Result<String, ImportError> {
    let lists = [operator.ints(1)?, operator.ints(2)?, operator.ints(3)?];
    let [begin, end, strides] = lists;
    if operator.int("ellipsis_mask") != 0 || operator.int("new_axis_mask") != 0 {
        return Err(operator.error("masks of an ellipsis and of new axes are not supported"));
    }
    if operator.int("offset") != 0 || lists.iter().any(|list| list.len() != begin.len()) {
        return Err(operator.error("its begins, ends and strides must be indices of each axis"));
    }
    let is_set = |mask: &str, axis: usize| operator.int(mask) >> axis.min(62) & 1 == 1;
    let (mut begins, mut ends, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    let mut dropped = Vec::new();
    for axis in 0..begin.len() {
        let step = strides[axis];
        let last = if step < 0 { i64::MIN } else { i64::MAX };
        if is_set("shrink_axis_mask", axis) {
            begins.push(begin[axis]);
            ends.push(if begin[axis] == -1 { i64::MAX } else { begin[axis].saturating_add(1) });
            steps.push(1);
            dropped.push(i64::try_from(axis).unwrap_or(0));
            continue;
        }
        let first = if step < 0 { i64::MAX } else { 0 };
        begins.push(if is_set("begin_mask", axis) { first } else { begin[axis] });
        ends.push(if is_set("end_mask", axis) { last } else { end[axis] });
        steps.push(step);
    }
    let axes: Vec<i64> = (0..).take(begin.len()).collect();
    let [begins, ends, axes, steps] = [begins, ends, axes, steps].map(|list| to.ints(&list));
    let x = Translation::input(operator, 0);
    let y = to.node(operator, "Slice", &[&x, &begins, &ends, &axes, &steps], vec![]);
    if dropped.is_empty() {
        return Ok(y);
    }
    let dropped = to.ints(&dropped);
    Ok(to.node(operator, "Squeeze", &[&y, &dropped], vec![]))
}

/// Parts along an axis: the positions of the value, of the axis, and of the sizes where they differ.
fn split(
    to: &mut Translation,
    operator: &Operator,
    value: usize,
    axis: usize,
    sizes: Option<usize>,
) -> Result<bool, ImportError> {
    let &[axis] = operator.ints(axis)? else {
        return Err(operator.error("its axis must be one integer"));
    };
    let outputs = (0..operator.outputs())
        .map(|i| operator.output(i).map(|tensor| tensor.name.clone()))
        .collect::<Result<Vec<_>, _>>()?;
    let x = Translation::input(operator, value);
    let mut attributes = vec![("axis", Attribute::from(axis))];
    if let Some(sizes) = sizes {
        let sizes = to.ints(operator.ints(sizes)?);
        to.push(operator, "Split", &[&x, &sizes], outputs, attributes);
    } else {
        let parts = i64::try_from(outputs.len()).unwrap_or(i64::MAX);
        attributes.push(("num_outputs", parts.into()));
        to.push(operator, "Split", &[&x], outputs, attributes);
    }
    Ok(true)
}

/// Every position along an axis by itself, without the axis.
fn unpack(to: &mut Translation, operator: &Operator) -> Result<bool, ImportError> {
    let axis = operator.int("axis");
    let x = Translation::input(operator, 0);
    for i in 0..operator.outputs() {
        let index = i64::try_from(i).unwrap_or(i64::MAX);
        let end = index + 1;
        let [start, end, axes] = [index, end, axis].map(|value| to.ints(&[value]));
        let part = to.node(operator, "Slice", &[&x, &start, &end, &axes], vec![]);
        let output = vec![operator.output(i)?.name.clone()];
        to.push(operator, "Squeeze", &[&part, &axes], output, vec![]);
    }
    Ok(true)
}

/// Rows and columns of the result; how a pixel of the result finds its place is two flags.
fn resize(to: &mut Translation, operator: &Operator) -> Result<(), ImportError> {
    operator.must_be_image(0)?;
    let is_linear = operator.kind() == "RESIZE_BILINEAR";
    let &[h, w] = operator.ints(1)? else {
        return Err(operator.error("its size must be two integers: rows and columns"));
    };
    let flag = |name: &str| operator.int(name) != 0;
    let place = match (flag("align_corners"), flag("half_pixel_centers")) {
        (true, _) => "align_corners",
        (false, true) => "half_pixel",
        (false, false) => "asymmetric",
    };
    let mut attributes = vec![
        ("coordinate_transformation_mode", Attribute::from(place)),
        ("mode", if is_linear { "linear" } else { "nearest" }.into()),
    ];
    if !is_linear {
        let rounding = if place == "asymmetric" { "floor" } else { "round_prefer_ceil" };
        attributes.push(("nearest_mode", rounding.into()));
    }
    let image = to.channels_first(operator, &Translation::input(operator, 0));
    // ONNX takes the extents of all axes; those of the batch and the channels stay.
    let shape = &operator.tensor(0)?.shape;
    let extent = |axis: usize| shape[axis].and_then(|extent| i64::try_from(extent).ok());
    let channels = extent(3).ok_or_else(|| operator.error("its channels must be known"))?;
    let sizes = to.ints(&[extent(0).unwrap_or(1), channels, h, w]);
    let y = to.node(operator, "Resize", &[&image, "", "", &sizes], attributes);
    to.result_of_image(operator, &y)
}
