//! From an ONNX file to a graph: node by node, constants computed on the way, and only what reaches the
//! output judged.

pub(crate) mod attributes;
pub(crate) mod constant;
mod ending;
mod fold;
pub(crate) mod indices;
mod inside;
mod interface;
mod quantized;
mod read;
pub(crate) mod reader;
mod rename;

use super::{
    axes::{Axis, channels_first, channels_last},
    input_shape::InputShape,
    interface::Interface,
};
use crate::{
    error::ImportError,
    graph::Graph,
    ops::{self, Input},
};
use ending::Ending;
use fixedwise_codec::onnx;
use read::Import;
use reader::Known;

/// The graph of an ONNX model with one input.
///
/// # Errors
/// [`ImportError`] naming every node that stands in the way.
pub fn from_onnx(model: &onnx::Model, name: &str) -> Result<Graph, ImportError> {
    from_onnx_with(model, name, &Interface::default())
}

/// The graph of an ONNX model that leaves extents of its input open, or of which other values than the outputs
/// of the file are the outputs.
///
/// # Errors
/// [`ImportError`] naming every node that stands in the way, a shape that does not fit the file, or an output
/// that no node computes.
pub fn from_onnx_with(
    model: &onnx::Model,
    name: &str,
    asked: &Interface,
) -> Result<Graph, ImportError> {
    let model = &*quantized::with_real_operators(model);
    let shapes = &asked.input_shapes;
    let endings = endings(model, asked)?;
    // A file does not say which axis of its image is the channels; its operators do.
    let first = import(model, shapes, &endings, channels_first);
    let votes = first.reader.votes;
    if votes.first > 0 || !interface::may_be_channels_last(&model.graph) {
        return graph(first, name, model, &endings);
    }
    if votes.last > 0 {
        return graph(import(model, shapes, &endings, channels_last), name, model, &endings);
    }
    let last = import(model, shapes, &endings, channels_last);
    let votes = last.reader.votes;
    let is_last = if votes.last + votes.first > 0 {
        votes.first == 0
    } else {
        interface::looks_channels_last(&model.graph)
    };
    graph(if is_last { last } else { first }, name, model, &endings)
}

/// The same of a model whose image is known to have its channels last.
///
/// # Errors
/// As [`from_onnx_with`].
pub(super) fn from_channels_last(
    model: &onnx::Model,
    name: &str,
    asked: &Interface,
) -> Result<Graph, ImportError> {
    let endings = endings(model, asked)?;
    graph(import(model, &asked.input_shapes, &endings, channels_last), name, model, &endings)
}

/// What the network must compute, and what is left out behind.
fn endings(model: &onnx::Model, asked: &Interface) -> Result<Vec<Ending>, ImportError> {
    interface::check_names(&model.graph, &asked.input_shapes)?;
    let outputs: Vec<String> =
        model.graph.outputs.iter().map(|output| output.name.clone()).collect();
    let outputs = asked.chosen(&outputs, &interface::values(&model.graph))?;
    Ok(outputs.iter().map(|output| Ending::of(&model.graph, output)).collect())
}

/// Reads the whole file, its image having those axes.
fn import<'a>(
    model: &'a onnx::Model,
    shapes: &[InputShape],
    endings: &[Ending],
    axes: fn(usize) -> Option<Vec<Axis>>,
) -> Import<'a> {
    let image = |shape| Input { shape }.into();
    let mut import = Import::new(model, ops::moved, ops::ONNX);
    for input in &model.graph.inputs {
        import.input(input, shapes, axes, image);
    }
    import.nodes(&results(endings));
    import
}

/// The values that the network must compute.
fn results(endings: &[Ending]) -> Vec<&str> {
    endings.iter().map(|ending| ending.value.as_str()).collect()
}

/// What was read as a graph, where nothing stands in the way.
fn graph(
    import: Import,
    name: &str,
    model: &onnx::Model,
    endings: &[Ending],
) -> Result<Graph, ImportError> {
    let (found, before, mut reader) = import.judged(&results(endings));
    let mut errors = Vec::new();
    let mut views = Vec::with_capacity(endings.len());
    for ending in endings {
        match reader.known.get(&ending.value) {
            Some(Known::View(view)) => views.push((ending, view.clone())),
            // What it is computed from stands in the way.
            Some(Known::Unread { is_constant: false }) => {}
            _ => errors.push(ImportError::Interface(format!(
                "the model's output `{}` is not computed from its input; `--output` chooses others",
                ending.value
            ))),
        }
    }
    errors.extend(interface::check_cast(&model.graph).err());
    errors.extend(found);
    if let Some(error) = ImportError::all(errors, before) {
        return Err(error);
    }
    let mut values = Vec::with_capacity(endings.len());
    for (ending, view) in views {
        let view = view.with_batch_first(reader.batch);
        let axes = ending.axes(&view, reader.builder.shape(view.node))?;
        let node = onnx::Node::new("Output", &ending.value, &[], &[]);
        values.push((ending.output.as_str(), reader.arranged(&node, &view, axes)?));
    }
    let mut graph = reader.builder.finish(name, values)?;
    graph.takes_bytes = interface::takes_bytes(&model.graph, &graph.nodes[graph.input()].name);
    Ok(graph)
}
