//! From a Keras model to a graph.
//!
//! Keras values are channels last, as ours are; axes are followed by name all the same, because a
//! vector may be what is left of an image. What a layer means stands with its operator.

pub(crate) mod activation;
pub(crate) mod layer;
mod onnx_weights;

pub use onnx_weights::from_onnx_with_weights;

use super::{
    builder::{Builder, Value},
    input_shape::InputShape,
};
use crate::{error::ImportError, graph::Graph, ops};
use fixedwise_codec::keras;
use layer::{Layer, Tables};
use std::collections::BTreeMap;

/// The graph of a Keras model with one input and one output.
///
/// # Errors
/// [`ImportError`] naming the layer for whatever is not supported.
pub fn from_keras(model: &keras::Model, name: &str) -> Result<Graph, ImportError> {
    from_keras_with_shape(model, name, &[])
}

/// The graph of a Keras model that leaves extents of its input open.
///
/// # Errors
/// [`ImportError`] naming the layer for whatever is not supported, or a shape that does not fit.
pub fn from_keras_with_shape(
    model: &keras::Model,
    name: &str,
    shapes: &[InputShape],
) -> Result<Graph, ImportError> {
    if let Some(shape) = shapes.iter().find_map(|shape| shape.name.as_ref())
        && !model.inputs.contains(shape)
    {
        return Err(ImportError::Interface(format!(
            "the model has no input `{shape}` to give a shape; its inputs: {}",
            model.inputs.join(", ")
        )));
    }
    let ([_], [output]) = (model.inputs.as_slice(), model.outputs.as_slice()) else {
        return Err(ImportError::Interface(format!(
            "the model has {} inputs and {} outputs; one of each is supported",
            model.inputs.len(),
            model.outputs.len()
        )));
    };
    let is_older = model.version.as_ref().is_some_and(|version| {
        version.split('.').next().and_then(|major| major.parse().ok()).is_some_and(|n: u32| n < 3)
    });
    let older = if is_older { ops::KERAS_2_FUNCTIONS } else { &[] };
    let tables = Tables { layers: ops::KERAS, functions: ops::KERAS_FUNCTIONS, older };
    let mut builder = Builder::default();
    builder.given = shapes.first().map(|shape| shape.extents.clone());
    // `None` for what follows from a layer that could not be read.
    let mut known: BTreeMap<&str, Option<Value>> = BTreeMap::new();
    let mut errors = Vec::new();
    for layer in &model.layers {
        let value_of = |input: &String| {
            known.get(input.as_str()).cloned().ok_or_else(|| ImportError::UnknownValue {
                node: layer.name.clone(),
                value: input.clone(),
            })
        };
        let inputs = layer.inputs.iter().map(value_of).collect::<Result<Option<Vec<_>>, _>>();
        let value = match inputs {
            Ok(Some(inputs)) => Layer::read(&mut builder, tables, layer, inputs).map(Some),
            Ok(None) => Layer::reader(tables, layer).map(|_| None),
            Err(error) => Err(error),
        };
        known.insert(
            &layer.name,
            value.unwrap_or_else(|error| {
                errors.push(error);
                None
            }),
        );
    }
    if let Some(error) = ImportError::all(errors) {
        return Err(error);
    }
    let Some(Some(result)) = known.get(output.as_str()) else {
        return Err(ImportError::Interface(format!(
            "the output `{output}` of the model is not a \
                                                   layer"
        )));
    };
    let mut graph = builder.finish(name, result)?;
    graph.takes_bytes = model.layers.iter().any(layer::takes_bytes);
    Ok(graph)
}
