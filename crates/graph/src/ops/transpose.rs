//! Transpose: only changes the order of axes; values keep the internal order `[h, w, c]`.

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

/// Source: ONNX `Transpose`, opset 13.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let permutation = attributes.optional_ints("perm")?;
    attributes.finish()?;
    let view = reader.view(node, 0)?;
    let rank = view.axes.len();
    let order: Vec<usize> = match permutation {
        Some(list) => list.iter().filter_map(|&p| usize::try_from(p).ok()).collect(),
        None => (0..rank).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        return Err(node_error(node, "`perm` is not a permutation of its input's axes"));
    }
    reader.set_view(node, view.transposed(&order))
}

/// Source: Keras `Permute`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    let rank = value.axes.len();
    let Some(option) = layer.take("dims") else {
        return Err(layer.error("its option `dims` is missing"));
    };
    let listed = option.as_array().map(Vec::as_slice).unwrap_or_default();
    let order: Option<Vec<usize>> = listed
        .iter()
        .map(|axis| axis.as_u64().and_then(|axis| usize::try_from(axis).ok()))
        .collect();
    // The axes count from one, as the batch is not among them.
    let order: Vec<usize> = std::iter::once(0).chain(order.unwrap_or_default()).collect();
    let mut sorted = order.clone();
    sorted.sort_unstable();
    let axes = channels_last(rank).filter(|_| sorted == (0..rank).collect::<Vec<_>>());
    let Some(axes) = axes else {
        return Err(layer.refuse("dims", option, "it must name each axis of its input once"));
    };
    let view = View::of(&value, layer.shape(&value)).transposed(&order);
    value_of(layer.builder, layer.name(), &view, axes)
}
