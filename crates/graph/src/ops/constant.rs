//! Constants: only in the importer, folded into the operators that use them.

use crate::{
    error::ImportError,
    import::{
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
    },
};
use fixedwise_codec::onnx;

/// Source: ONNX `Constant`, opset 13.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let tensor = if let Some(tensor) = attributes.tensor("value")? {
        tensor
    } else if let Some(value) = attributes.optional_float("value_float")? {
        onnx::Tensor { dims: vec![], data: onnx::TensorData::F32(vec![value]) }
    } else if let Some(value) = attributes.optional_int("value_int")? {
        onnx::Tensor { dims: vec![], data: onnx::TensorData::I64(vec![value]) }
    } else if let Some(values) = attributes.optional_floats("value_floats")? {
        onnx::Tensor { dims: vec![values.len()], data: onnx::TensorData::F32(values) }
    } else if let Some(values) = attributes.optional_ints("value_ints")? {
        onnx::Tensor { dims: vec![values.len()], data: onnx::TensorData::I64(values) }
    } else {
        return Err(node_error(
            node,
            "a constant needs one of `value`, `value_float(s)`, `value_int(s)`",
        ));
    };
    attributes.finish()?;
    reader.set_constant(node, tensor)
}

/// Source: ONNX `ConstantOfShape`, opset 9.
pub(super) fn import_of_shape(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    /// More elements than any weight tensor of an embedded network.
    const MAX_ELEMENTS: usize = 1 << 28;
    let mut attributes = Attributes::new(node);
    let value = attributes.tensor("value")?;
    attributes.finish()?;
    let dims: Option<Vec<usize>> =
        reader.int_constant(node, 0)?.iter().map(|&d| usize::try_from(d).ok()).collect();
    let elements = dims.as_ref().and_then(|dims| {
        dims.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= MAX_ELEMENTS)
    });
    let (Some(dims), Some(n)) = (dims, elements) else {
        return Err(node_error(node, "its shape is negative or too large"));
    };
    let data = match value.map(|tensor| tensor.data) {
        None => onnx::TensorData::F32(vec![0.0; n]),
        Some(onnx::TensorData::F32(x)) if x.len() == 1 => onnx::TensorData::F32(vec![x[0]; n]),
        Some(onnx::TensorData::I64(x)) if x.len() == 1 => onnx::TensorData::I64(vec![x[0]; n]),
        Some(_) => return Err(node_error(node, "`value` must be one float or integer")),
    };
    reader.set_constant(node, onnx::Tensor { dims, data })
}
