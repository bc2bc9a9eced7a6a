//! Batch normalization: a scale and a shift of each channel.

use super::Affine;
use crate::{
    error::ImportError,
    import::{Attributes, Import, node_error},
};
use fixedwise_codec::onnx;

/// `y = gamma * (x - mean) / sqrt(variance + epsilon) + beta`, taken in as an [`Affine`].
///
/// Source: ONNX `BatchNormalization`, opset 15, inference.
pub(super) fn import(import: &mut Import, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let epsilon = f64::from(attributes.float("epsilon", 1e-5)?);
    attributes.float("momentum", 0.9)?;
    attributes.int_must_be("training_mode", 0, "export the model for inference")?;
    attributes.int_must_be("spatial", 1, "only one statistic a channel is supported")?;
    attributes.finish()?;
    let value = import.value(node, 0)?;
    let channels = import.shape(&value).c;
    Import::check_channel_axis(node, &value)?;
    let [gamma, beta, mean, variance] =
        [1, 2, 3, 4].map(|i| import.float_vector(node, i, channels));
    let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
    if let Some(v) = variance.iter().find(|&&v| f64::from(v) + epsilon <= 0.0) {
        return Err(node_error(node, &format!("a variance of {v} is not positive")));
    }
    let scale: Vec<f64> = gamma
        .iter()
        .zip(&variance)
        .map(|(&g, &v)| f64::from(g) / (f64::from(v) + epsilon).sqrt())
        .collect();
    let shift = beta
        .iter()
        .zip(&mean)
        .zip(&scale)
        .map(|((&b, &m), &s)| f64::from(b) - f64::from(m) * s)
        .collect();
    import.push_like(node, Affine { scale, shift }, &value)
}
