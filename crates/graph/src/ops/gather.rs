//! Gather by constant indices: elements of an axis in any order, as a view.

use crate::{
    error::ImportError,
    import::{
        onnx::attributes::Attributes,
        onnx::{
            indices::{axis_of, index_of},
            reader::{Reader, node_error},
        },
        view::{Extent, Target, View},
    },
};
use fixedwise_codec::onnx;

/// An axis of a view replaced by elements of it, which have those extents.
fn gathered(
    reader: &mut Reader,
    node: &onnx::Node,
    view: &View,
    axis: usize,
    (taken, dims): (Vec<usize>, &[usize]),
) -> Result<(), ImportError> {
    let taken: Vec<Option<usize>> = taken.into_iter().map(Some).collect();
    // An axis that holds the batch beside others is that of one image where the file fixes it so.
    let view = view.without_batch(axis, reader.batch());
    let mut view = view.taken(axis, &taken).map_err(|problem| node_error(node, &problem))?;
    view.name = Some(node.name.clone());
    if dims.len() != 1 {
        let extents = view.extents();
        let kept = |extents: &[Extent]| extents.iter().map(|extent| extent.kept()).collect();
        let new = dims.iter().map(|&extent| Target::Known(extent)).collect();
        let targets: [Vec<Target>; 3] = [kept(&extents[..axis]), new, kept(&extents[axis + 1..])];
        let targets = targets.concat();
        if targets.is_empty() {
            return Err(node_error(node, "takes one element of a vector without a batch"));
        }
        view = reader.reshaped(node, &view, &targets)?;
    }
    reader.set_view(node, view)
}

/// Source: ONNX `Gather`, opset 13.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let axis = attributes.int("axis", 0)?;
    attributes.finish()?;
    let wrong = |problem: String| node_error(node, &problem);
    let view = reader.view(node, 0)?;
    let axis = axis_of(axis, view.axes.len()).map_err(wrong)?;
    let extent = view.extents()[axis].of_image;
    let indices = reader.int_constant(node, 1)?;
    let taken = indices.iter().map(|&i| index_of(i, extent));
    let taken = taken.collect::<Result<_, _>>().map_err(wrong)?;
    let dims = reader.constant(node, 1)?.dims.clone();
    gathered(reader, node, &view, axis, (taken, &dims))
}

/// Source: ONNX `GatherND`, opset 13.
pub(super) fn import_nd(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    attributes.int_must_be("batch_dims", 0, "take the elements of each image by Gather")?;
    attributes.finish()?;
    let view = reader.view(node, 0)?;
    let mut dims = reader.constant(node, 1)?.dims.clone();
    let length = dims.pop().filter(|length| (1..=view.axes.len()).contains(length));
    let Some(length) = length else {
        return Err(node_error(node, "its indices do not fit its input"));
    };
    let extents: Vec<usize> =
        view.extents()[..length].iter().map(|extent| extent.of_image).collect();
    let indices = reader.int_constant(node, 1)?;
    let place = |tuple: &[i64]| {
        let along = tuple.iter().zip(&extents);
        along
            .into_iter()
            .try_fold(0, |place, (&i, &extent)| Ok(place * extent + index_of(i, extent)?))
    };
    let taken = indices.chunks_exact(length).map(place).collect::<Result<_, String>>();
    let taken = taken.map_err(|problem| node_error(node, &problem))?;
    gathered(reader, node, &view.joined(length), 0, (taken, &dims))
}
