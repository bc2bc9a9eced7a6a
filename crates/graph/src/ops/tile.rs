//! Tile and expand: elements several times, as views.

use super::arrange::value_of;
use crate::{
    error::ImportError,
    import::{
        axes::channels_last,
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
        view::View,
    },
};
use fixedwise_codec::onnx;

/// More elements than any value of an embedded network has.
const MAX_ELEMENTS: usize = 1 << 26;

/// A view whose axes are repeated.
fn tiled(
    reader: &mut Reader,
    node: &onnx::Node,
    view: &View,
    repeats: &[usize],
) -> Result<(), ImportError> {
    let n = repeats.iter().try_fold(view.len(), |n, &times| n.checked_mul(times));
    if n.is_none_or(|n| n > MAX_ELEMENTS) {
        return Err(node_error(node, &format!("its result has more than {MAX_ELEMENTS} elements")));
    }
    let mut view = view.tiled(repeats).map_err(|problem| node_error(node, &problem))?;
    view.name = Some(node.name.clone());
    reader.set_view(node, view)
}

/// Source: ONNX `Tile`, opset 13.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    let view = reader.view(node, 0)?;
    let listed = reader.int_constant(node, 1)?;
    let repeats = listed.iter().map(|&n| usize::try_from(n).ok().filter(|&n| n > 0));
    let repeats: Option<Vec<usize>> = repeats.collect();
    let Some(repeats) = repeats.filter(|repeats| repeats.len() == view.axes.len()) else {
        let (n, rank) = (listed.len(), view.axes.len());
        let problem = format!("its {n} repeats must be above zero, one for each of {rank} axes");
        return Err(node_error(node, &problem));
    };
    tiled(reader, node, &view, &repeats)
}

/// Source: ONNX `Expand`, opset 13.
pub(super) fn import_expand(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    let mut view = reader.view(node, 0)?;
    let mut wanted = reader.batch_ints(node, 1)?.to_vec();
    let rank = view.axes.len().max(wanted.len());
    let missing: Vec<usize> = (0..rank - view.axes.len()).collect();
    view = view.unsqueezed(&missing);
    wanted.splice(0..0, vec![1.into(); rank - wanted.len()]);
    let mut repeats = Vec::with_capacity(rank);
    for (extent, wanted) in view.extents().iter().zip(&wanted) {
        let known = usize::try_from(wanted.factor).ok().filter(|&n| n > 0);
        let is_batch = wanted.batches > 0 || known.is_some() && known == reader.batch();
        repeats.push(match known {
            Some(1) => 1,
            _ if extent.has_batch && extent.of_image == 1 && is_batch => 1,
            Some(n) if wanted.batches == 0 && n == extent.of_image => 1,
            Some(n) if wanted.batches == 0 && extent.of_image == 1 && !extent.has_batch => n,
            _ => {
                let problem = format!("does not expand {} elements so", extent.of_image);
                return Err(node_error(node, &problem));
            }
        });
    }
    tiled(reader, node, &view, &repeats)
}

/// Source: Keras `RepeatVector`.
pub(super) fn from_keras_repeat_vector(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    if value.axes.len() != 2 {
        return Err(layer.error("its input must be a vector"));
    }
    let Some(n) = layer.count("n")? else {
        return Err(layer.error("its option `n` is missing"));
    };
    let view = View::of(&value, layer.shape(&value)).unsqueezed(&[1]);
    let view = view.tiled(&[1, n, 1]).map_err(|problem| layer.error(&problem))?;
    let axes = channels_last(3).expect("signals have three axes");
    value_of(layer.builder, layer.name(), &view, axes)
}
