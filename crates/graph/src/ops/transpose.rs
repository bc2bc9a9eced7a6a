//! Transpose: only changes the order of axes; values keep the internal order `[h, w, c]`.

use crate::{
    error::ImportError,
    import::{
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
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
