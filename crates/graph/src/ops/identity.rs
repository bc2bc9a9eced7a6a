//! Nodes without effect at inference.

use crate::{
    error::ImportError,
    import::{
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
    },
};
use fixedwise_codec::onnx;

/// Source: ONNX `Identity`, opset 1.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    reader.alias(node, 0)
}

/// Source: ONNX `Dropout`, opset 13; at inference the identity.
pub(super) fn import_dropout(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    attributes.optional_float("ratio")?;
    attributes.optional_int("seed")?;
    attributes.finish()?;
    if Reader::has_input(node, 2) && reader.int_constant(node, 2)?.iter().any(|&x| x != 0) {
        return Err(node_error(node, "`training_mode` is set; export the model for inference"));
    }
    reader.alias(node, 0)
}

/// Source: Keras `Dropout`, `SpatialDropout2D`, `AlphaDropout`, `GaussianDropout`, `GaussianNoise`,
/// `ActivityRegularization`; at inference the identity.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    layer.ignore(&["rate", "noise_shape", "stddev", "l1", "l2", "data_format"]);
    layer.value()
}
