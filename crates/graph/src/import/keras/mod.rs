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
    interface::{Interface, ending_before},
};
use crate::{error::ImportError, graph::Graph, ops};
use fixedwise_codec::keras;
use layer::{Layer, Tables};
use std::collections::{BTreeMap, BTreeSet};

/// The graph of a Keras model.
///
/// # Errors
/// [`ImportError`] naming the layer for whatever is not supported.
pub fn from_keras(model: &keras::Model, name: &str) -> Result<Graph, ImportError> {
    from_keras_with(model, name, &Interface::default())
}

/// The graph of a Keras model that leaves extents of its input open, or of which other layers than its last ones
/// are the outputs.
///
/// # Errors
/// [`ImportError`] naming the layer for whatever is not supported, a shape that does not fit, or an output
/// that is no layer.
pub fn from_keras_with(
    model: &keras::Model,
    name: &str,
    interface: &Interface,
) -> Result<Graph, ImportError> {
    let is_open = |name: &String| {
        let layer = model.layers.iter().find(|layer| layer.name == *name);
        layer.is_some_and(has_open_extents)
    };
    let inputs: Vec<(&str, bool)> =
        model.inputs.iter().map(|name| (name.as_str(), is_open(name))).collect();
    let given = interface.given(&inputs)?;
    let layers: Vec<&str> = model.layers.iter().map(|layer| layer.name.as_str()).collect();
    let outputs = interface.chosen(&model.outputs, &layers)?;
    let reached = reached(model, &outputs);
    let is_reached = |name: &String| reached.contains(name.as_str());
    let is_older = model.version.as_ref().is_some_and(|version| {
        version.split('.').next().and_then(|major| major.parse().ok()).is_some_and(|n: u32| n < 3)
    });
    let older = if is_older { ops::KERAS_2_FUNCTIONS } else { &[] };
    let tables = Tables { layers: ops::KERAS, functions: ops::KERAS_FUNCTIONS, older };
    let mut builder = Builder::default();
    let of_input = |(&(name, _), extents): (&(&str, bool), Option<&[usize]>)| {
        extents.map(|extents| (name.to_owned(), extents.to_vec()))
    };
    builder.given = inputs.iter().zip(given).filter_map(of_input).collect();
    // The inputs first, in the order of the file.
    let rank = |layer: &keras::Layer| {
        let input = model.inputs.iter().position(|name| *name == layer.name);
        input.unwrap_or(model.inputs.len())
    };
    let mut layers: Vec<&keras::Layer> =
        model.layers.iter().filter(|layer| is_reached(&layer.name)).collect();
    layers.sort_by_key(|layer| rank(layer));
    // `None` for what follows from a layer that could not be read.
    let mut known: BTreeMap<&str, Option<Value>> = BTreeMap::new();
    let (mut errors, mut before) = (Vec::new(), Vec::new());
    for layer in layers {
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
        let value = value.unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        if value.is_none() {
            // With these the network may end instead.
            let is_read = |name: &&String| matches!(known.get(name.as_str()), Some(Some(_)));
            before.extend(layer.inputs.iter().filter(is_read).cloned());
        }
        known.insert(&layer.name, value);
    }
    if let Some(error) = ImportError::all(errors, ending_before(before, &model.inputs)) {
        return Err(error);
    }
    let mut results = Vec::with_capacity(outputs.len());
    for output in outputs {
        let Some(Some(value)) = known.get(output) else {
            let problem = format!("the output `{output}` of the model is not a layer");
            return Err(ImportError::Interface(problem));
        };
        results.push((output, value.clone()));
    }
    let mut graph = builder.finish(name, results)?;
    let bytes = model.layers.iter().filter(|saved| layer::takes_bytes(saved));
    graph.takes_bytes = bytes.map(|saved| saved.name.clone()).collect();
    Ok(graph)
}

/// Whether an input leaves extents beside the batch open.
fn has_open_extents(layer: &keras::Layer) -> bool {
    let shape = ["batch_shape", "batch_input_shape"].iter().find_map(|key| layer.config.get(*key));
    let extents = shape.and_then(|shape| shape.as_array());
    extents.is_some_and(|extents| extents.iter().skip(1).any(serde_json::Value::is_null))
}

/// The layers that lead to the outputs.
fn reached<'a>(model: &'a keras::Model, outputs: &[&'a str]) -> BTreeSet<&'a str> {
    let mut reached: BTreeSet<&str> = outputs.iter().copied().collect();
    for layer in model.layers.iter().rev() {
        if reached.contains(layer.name.as_str()) {
            reached.extend(layer.inputs.iter().map(String::as_str));
        }
    }
    reached
}
