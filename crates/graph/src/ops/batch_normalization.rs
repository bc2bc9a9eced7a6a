//! Batch normalization: a scale and a shift of each channel.

use super::{Affine, with_constant};
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

/// `y = gamma * (x - mean) / sqrt(variance + epsilon) + beta`, taken in as an [`Affine`].
///
/// Source: ONNX `BatchNormalization`, opset 15, inference.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let epsilon = f64::from(attributes.float("epsilon", 1e-5)?);
    attributes.float("momentum", 0.9)?;
    attributes.int_must_be("training_mode", 0, "export the model for inference")?;
    attributes.int_must_be("spatial", 1, "only one statistic per channel is supported")?;
    attributes.finish()?;
    if reader.opset() < 14 && node.outputs.iter().filter(|name| !name.is_empty()).count() > 1 {
        return Err(node_error(
            node,
            "has the outputs of training; export the model for inference (in PyTorch, call \
             `model.eval()` before)",
        ));
    }
    let view = reader.view(node, 0)?;
    let is_apart = view.has_batch_apart();
    let value = if is_apart { Some(reader.channels_first(node, 0)?) } else { None };
    let channels = match (&value, view.extents().get(1)) {
        (Some(value), _) => reader.shape(value).c,
        (None, Some(extent)) => extent.of_image,
        (None, None) => 1,
    };
    let [gamma, beta, mean, variance] =
        [1, 2, 3, 4].map(|i| reader.float_vector(node, i, channels));
    let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
    let op = affine(&gamma, &beta, &mean, &variance, epsilon)
        .map_err(|problem| node_error(node, &problem))?;
    match value {
        Some(value) => reader.push_like(node, op, &value),
        // Some of what is normalized lies along the axis of the images.
        None => with_constant::push_along(reader, node, &view, 1, &op),
    }
}

/// Source: Keras `BatchNormalization`, at inference.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    layer.ignore(&["momentum", "synchronized", "renorm_clipping", "renorm_momentum", "fused"]);
    layer.must_be("renorm", &false.into(), "only plain batch normalization is supported")?;
    layer.must_be("virtual_batch_size", &().into(), "it must be null")?;
    layer.must_be("adjustment", &().into(), "it must be null")?;
    let value = layer.value()?;
    layer.last_axis("axis", value.axes.len())?;
    let channels = layer.shape(&value).c;
    let epsilon = layer.number("epsilon")?.unwrap_or(1e-3);
    let (has_gamma, has_beta) = (layer.flag("scale", true)?, layer.flag("center", true)?);
    let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
    let gamma = if has_gamma { layer.weight("gamma", &[channels])? } else { &ones };
    let beta = if has_beta { layer.weight("beta", &[channels])? } else { &zeros };
    let mean = layer.weight("moving_mean", &[channels])?;
    let variance = layer.weight("moving_variance", &[channels])?;
    let op =
        affine(gamma, beta, mean, variance, epsilon).map_err(|problem| layer.error(&problem))?;
    layer.push_like(op, &value)
}

fn affine(
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    variance: &[f32],
    epsilon: f64,
) -> Result<Affine, String> {
    if let Some(v) = variance.iter().find(|&&v| f64::from(v) + epsilon <= 0.0) {
        return Err(format!("a variance of {v} is not positive"));
    }
    let scale: Vec<f64> = gamma
        .iter()
        .zip(variance)
        .map(|(&g, &v)| f64::from(g) / (f64::from(v) + epsilon).sqrt())
        .collect();
    let shift = beta
        .iter()
        .zip(mean)
        .zip(&scale)
        .map(|((&b, &m), &s)| f64::from(b) - f64::from(m) * s)
        .collect();
    Ok(Affine { scale, shift })
}
