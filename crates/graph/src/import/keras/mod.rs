//! From a Keras model to a graph.
//!
//! Keras values are channels last, as ours are; axes are followed by name all the same, because a
//! vector may be what is left of an image. What a layer means stands with its operator.

pub(crate) mod activation;
pub(crate) mod layer;
mod onnx_weights;

pub use onnx_weights::from_onnx_with_weights;

use super::builder::{Builder, Value};
use crate::{error::ImportError, graph::Graph, ops};
use fixedwise_codec::keras;
use layer::{Layer, Tables};
use std::collections::BTreeMap;

/// The graph of a Keras model with one input and one output.
///
/// # Errors
/// [`ImportError`] naming the layer for whatever is not supported.
pub fn from_keras(model: &keras::Model, name: &str) -> Result<Graph, ImportError> {
    let ([_], [output]) = (model.inputs.as_slice(), model.outputs.as_slice()) else {
        return Err(ImportError::Interface(format!(
            "the model has {} inputs and {} outputs; one of each is supported",
            model.inputs.len(),
            model.outputs.len()
        )));
    };
    let tables = Tables { layers: ops::KERAS, functions: ops::KERAS_FUNCTIONS };
    let mut builder = Builder::default();
    let mut known: BTreeMap<&str, Value> = BTreeMap::new();
    for layer in &model.layers {
        let value_of = |input: &String| {
            known.get(input.as_str()).cloned().ok_or_else(|| ImportError::UnknownValue {
                node: layer.name.clone(),
                value: input.clone(),
            })
        };
        let inputs = layer.inputs.iter().map(value_of).collect::<Result<Vec<_>, _>>()?;
        let value = Layer::read(&mut builder, tables, layer, inputs)?;
        known.insert(&layer.name, value);
    }
    let Some(result) = known.get(output.as_str()) else {
        return Err(ImportError::Interface(format!(
            "the output `{output}` of the model is not a \
                                                   layer"
        )));
    };
    let mut graph = builder.finish(name, result)?;
    graph.takes_bytes = model.layers.iter().any(layer::takes_bytes);
    Ok(graph)
}
