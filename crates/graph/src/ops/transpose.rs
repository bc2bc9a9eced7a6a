//! Transpose: it only renames axes; values keep their order `[h, w, c]` inside.

use crate::{
    error::ImportError,
    import::{Attributes, Import, node_error},
};
use fixedwise_codec::onnx;

/// Source: ONNX `Transpose`, opset 13.
pub(super) fn import(import: &mut Import, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let permutation = attributes.optional_ints("perm")?;
    attributes.finish()?;
    if import.is_constant(node, 0) {
        return import.transpose_constant(node, permutation.as_deref());
    }
    let mut value = import.value(node, 0)?;
    let rank = value.axes.len();
    let permutation = permutation
        .unwrap_or_else(|| (0..rank).rev().filter_map(|i| i64::try_from(i).ok()).collect());
    let axes: Option<Vec<_>> = permutation
        .iter()
        .map(|&p| usize::try_from(p).ok().and_then(|p| value.axes.get(p).copied()))
        .collect();
    let axes =
        axes.filter(|axes| axes.len() == rank && value.axes.iter().all(|a| axes.contains(a)));
    let Some(axes) = axes else {
        return Err(node_error(node, "`perm` is not a permutation of its input's axes"));
    };
    if axes.first() != value.axes.first() {
        return Err(node_error(node, "moves the batch axis; the first axis must stay the batch"));
    }
    value.axes = axes;
    import.set_value(node, value)
}
