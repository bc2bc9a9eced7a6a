//! From a Keras model to a graph.
//!
//! Keras values are channels last, as ours are; axes are followed by name all the same, because a
//! vector may be what is left of an image. What a layer means stands with its operator.

mod activation;
mod layer;
mod onnx_weights;

pub(crate) use activation::activation_layer;
pub(crate) use layer::{Layer, extent, pair};
pub use onnx_weights::from_onnx_with_weights;

use super::{Axis, Import, Known, Value};
use crate::{error::ImportError, graph::Graph, ops};
use fixedwise_codec::keras;

/// Axes of a Keras value of that rank, channels last.
pub(crate) fn channels_last(rank: usize) -> Option<Vec<Axis>> {
    let axes: &[Axis] = match rank {
        2 => &[Axis::Batch, Axis::Channel],
        3 => &[Axis::Batch, Axis::Column, Axis::Channel],
        4 => &[Axis::Batch, Axis::Row, Axis::Column, Axis::Channel],
        _ => return None,
    };
    Some(axes.to_vec())
}

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
    let mut import = Import::default();
    for layer in &model.layers {
        let inputs = layer
            .inputs
            .iter()
            .map(|input| match import.known.get(input) {
                Some(Known::Value(value)) => Ok(value.clone()),
                _ => Err(ImportError::UnknownValue {
                    node: layer.name.clone(),
                    value: input.clone(),
                }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let value = read(&mut import, layer, inputs)?;
        import.known.insert(layer.name.clone(), Known::Value(value));
    }
    let Some(Known::Value(result)) = import.known.get(output) else {
        return Err(ImportError::Interface(format!("the model's output `{output}` is no layer")));
    };
    let mut graph = Graph { name: name.to_owned(), output: result.node, nodes: import.nodes };
    graph.infer()?;
    Ok(graph)
}

/// Adds the nodes of one layer.
fn read(
    import: &mut Import,
    layer: &keras::Layer,
    inputs: Vec<Value>,
) -> Result<Value, ImportError> {
    let Some((_, read)) = ops::KERAS.iter().find(|(class, _)| *class == layer.class) else {
        return Err(ImportError::UnknownOperator {
            node: layer.name.clone(),
            op_type: layer.class.clone(),
            supported: ops::KERAS.iter().map(|(class, _)| *class).collect::<Vec<_>>().join(", "),
        });
    };
    let mut layer = Layer::new(import, layer, inputs)?;
    let value = read(&mut layer)?;
    layer.finish()?;
    Ok(value)
}
