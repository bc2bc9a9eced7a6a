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

/// Source: Keras `RandomBrightness`, `RandomColorDegeneration`, `RandomColorJitter`,
/// `RandomContrast`, `RandomElasticTransform`, `RandomErasing`, `RandomFlip`, `RandomGaussianBlur`,
/// `RandomGrayscale`, `RandomHeight`, `RandomHue`, `RandomInvert`, `RandomPerspective`,
/// `RandomPosterization`, `RandomRotation`, `RandomSaturation`, `RandomSharpness`, `RandomShear`,
/// `RandomTranslation`, `RandomWidth`, `RandomZoom`; at inference the identity.
pub(super) fn from_keras_random(layer: &mut Layer) -> Result<Value, ImportError> {
    layer.ignore_all();
    layer.value()
}

/// Source: Keras `Resizing`, `CenterCrop`, where images have that size already.
pub(super) fn from_keras_sized(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.image()?;
    let shape = layer.shape(&value);
    let wanted = [layer.count("height")?, layer.count("width")?];
    if wanted != [Some(shape.h), Some(shape.w)] {
        return Err(layer.error(&format!(
            "changes images of {}x{}; build the model for images of its size, which fixedwise resizes",
            shape.h, shape.w
        )));
    }
    layer.ignore_all();
    Ok(value)
}

/// Source: Keras `Dropout`, `SpatialDropout2D`, `SpatialDropout1D`, `AlphaDropout`, `GaussianDropout`, `GaussianNoise`,
/// `ActivityRegularization`; at inference the identity.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    layer.ignore(&["rate", "noise_shape", "stddev", "l1", "l2", "data_format"]);
    layer.value()
}
