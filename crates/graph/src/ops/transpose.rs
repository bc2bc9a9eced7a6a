//! Transpose: only renames axes; values keep the internal order `[h, w, c]`.

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
    if reader.is_constant(node, 0) {
        return transpose_constant(reader, node, permutation.as_deref());
    }
    let mut value = reader.value(node, 0)?;
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
    reader.set_value(node, value)
}

/// Transposes a constant.
fn transpose_constant(
    reader: &mut Reader,
    node: &onnx::Node,
    permutation: Option<&[i64]>,
) -> Result<(), ImportError> {
    let tensor = reader.constant(node, 0)?;
    let rank = tensor.dims.len();
    let permutation: Vec<usize> = match permutation {
        Some(p) => p.iter().filter_map(|&p| usize::try_from(p).ok()).collect(),
        None => (0..rank).rev().collect(),
    };
    let mut sorted = permutation.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        return Err(node_error(node, "`perm` is not a permutation of its input's axes"));
    }
    let dims: Vec<usize> = permutation.iter().map(|&p| tensor.dims[p]).collect();
    let mut strides = vec![1; rank];
    for axis in (0..rank.saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * tensor.dims[axis + 1];
    }
    let elements: usize = dims.iter().product();
    let sources = (0..elements).map(|index| {
        let mut rest = index;
        let mut source = 0;
        for axis in (0..rank).rev() {
            source += rest % dims[axis] * strides[permutation[axis]];
            rest /= dims[axis];
        }
        source
    });
    let data = match &tensor.data {
        onnx::TensorData::F32(x) => onnx::TensorData::F32(sources.map(|i| x[i]).collect()),
        onnx::TensorData::I64(x) => onnx::TensorData::I64(sources.map(|i| x[i]).collect()),
    };
    reader.set_constant(node, onnx::Tensor { dims, data })
}
