//! Casts of values: they are floats here, whatever float type the file has.

use crate::{
    error::ImportError,
    import::{
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
    },
};
use fixedwise_codec::onnx::{self, ElementType};

/// Source: ONNX `Cast`, opset 13, to floats.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let to = attributes.int("to", 0)?;
    // About floats of 8 bits.
    attributes.optional_int("saturate")?;
    attributes.finish()?;
    let to = ElementType::from_code(i32::try_from(to).unwrap_or(0));
    if to.is_float() {
        return reader.alias(node, 0);
    }
    Err(node_error(node, &format!("casts to {to}; only casts to floats are supported")))
}
