//! Slice, split and crop: some elements of an axis, as views.

use super::arrange::value_of;
use crate::{
    error::ImportError,
    import::{
        axes::Axis,
        builder::Value,
        keras::layer::{Layer, read_pair},
        onnx::attributes::Attributes,
        onnx::{
            indices::{axis_of, parts, sliced},
            reader::{Reader, node_error},
        },
        view::View,
    },
};
use fixedwise_codec::onnx;

/// Extents of one image.
fn extents(view: &View) -> Vec<usize> {
    view.extents().iter().map(|extent| extent.of_image).collect()
}

/// Source: ONNX `Slice`, opset 13.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let starts = reader.ints_of(node, &mut attributes, "starts", 1)?;
    let ends = reader.ints_of(node, &mut attributes, "ends", 2)?;
    let axes = reader.ints_of(node, &mut attributes, "axes", 3)?;
    attributes.finish()?;
    let steps = if Reader::has_input(node, 4) { Some(reader.int_constant(node, 4)?) } else { None };
    let Some((starts, ends)) = starts.zip(ends) else {
        return Err(node_error(node, "its starts or ends are missing"));
    };
    let mut view = reader.view(node, 0)?;
    let wrong = |problem: String| node_error(node, &problem);
    for (axis, taken) in sliced(&extents(&view), &starts, &ends, axes, steps).map_err(wrong)? {
        let taken: Vec<Option<usize>> = taken.into_iter().map(Some).collect();
        view = view.taken(axis, &taken).map_err(wrong)?;
    }
    view.name = Some(node.name.clone());
    reader.set_view(node, view)
}

/// Source: ONNX `Split`, opset 18.
pub(super) fn import_split(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let axis = attributes.int("axis", 0)?;
    let num_outputs = attributes.optional_int("num_outputs")?;
    let sizes = reader.ints_of(node, &mut attributes, "split", 1)?;
    attributes.finish()?;
    let view = reader.view(node, 0)?;
    let wrong = |problem: String| node_error(node, &problem);
    let extents = extents(&view);
    let axis = axis_of(axis, extents.len()).map_err(wrong)?;
    let sizes = parts(extents[axis], node.outputs.len(), sizes, num_outputs).map_err(wrong)?;
    let mut start = 0;
    for (position, size) in sizes.into_iter().enumerate() {
        let taken: Vec<Option<usize>> = (start..start + size).map(Some).collect();
        start += size;
        // A part of no element matters only where something takes it.
        if size > 0 {
            let name = Some(format!("{}_{}", node.name, position + 1));
            let view = view.taken(axis, &taken).map_err(wrong)?;
            reader.set_view_at(node, position, View { name, ..view })?;
        }
    }
    Ok(())
}

/// Leaves out rows and columns: so many before the first and behind the last.
fn cropped(
    layer: &mut Layer,
    value: &Value,
    rows: [usize; 2],
    columns: [usize; 2],
) -> Result<Value, ImportError> {
    let shape = layer.shape(value);
    let mut view = View::of(value, shape);
    for (i, axis) in value.axes.iter().enumerate() {
        let (extent, [begin, end]) = match axis {
            Axis::Row => (shape.h, rows),
            Axis::Column => (shape.w, columns),
            Axis::Batch | Axis::Channel => continue,
        };
        let taken: Vec<Option<usize>> = (begin..extent.saturating_sub(end)).map(Some).collect();
        view = view.taken(i, &taken).map_err(|problem| layer.error(&problem))?;
    }
    value_of(layer.builder, layer.name(), &view, value.axes.clone())
}

/// Source: Keras `Cropping2D`.
pub(super) fn from_keras_2d(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.image()?;
    let Some([rows, columns]) = layer.sides("cropping")? else {
        return Err(layer.error("its option `cropping` is missing"));
    };
    cropped(layer, &value, rows, columns)
}

/// Source: Keras `Cropping1D`.
pub(super) fn from_keras_1d(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    if value.axes.len() != 3 {
        return Err(layer.error("its input must be a signal: steps and channels"));
    }
    let option = layer.take("cropping").cloned().unwrap_or_else(|| 1.into());
    let Some(columns) = read_pair(&option, 0) else {
        return Err(layer.refuse("cropping", &option, "it must be [first, last]"));
    };
    cropped(layer, &value, [0, 0], columns)
}
