//! From an ONNX file to a graph: node by node, constants computed on the way, and only what reaches the
//! output judged.

pub(crate) mod attributes;
pub(crate) mod constant;
mod ending;
mod fold;
pub(crate) mod indices;
mod inside;
mod interface;
mod read;
pub(crate) mod reader;
mod rename;

use super::{
    axes::{Axis, channels_first, channels_last},
    input_shape::InputShape,
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

/// The graph of an ONNX model with one input and one output.
///
/// # Errors
/// [`ImportError`] naming every node that stands in the way.
pub fn from_onnx(model: &onnx::Model, name: &str) -> Result<Graph, ImportError> {
    from_onnx_with_shape(model, name, &[])
}

/// The graph of an ONNX model that leaves extents of its input open.
///
/// # Errors
/// [`ImportError`] naming every node that stands in the way, or a shape that does not fit the file.
pub fn from_onnx_with_shape(
    model: &onnx::Model,
    name: &str,
    shapes: &[InputShape],
) -> Result<Graph, ImportError> {
    interface::check_names(&model.graph, shapes)?;
    let ending = Ending::of(&model.graph);
    // A file does not say which axis of its image is the channels; its operators do.
    let first = import(model, shapes, &ending, channels_first);
    let votes = first.reader.votes;
    if votes.first > 0 || !interface::may_be_channels_last(&model.graph) {
        return graph(first, name, model, &ending);
    }
    if votes.last > 0 {
        return graph(import(model, shapes, &ending, channels_last), name, model, &ending);
    }
    let last = import(model, shapes, &ending, channels_last);
    let votes = last.reader.votes;
    let is_last = if votes.last + votes.first > 0 {
        votes.first == 0
    } else {
        interface::looks_channels_last(&model.graph)
    };
    graph(if is_last { last } else { first }, name, model, &ending)
}

/// Reads the whole file, its image having those axes.
fn import<'a>(
    model: &'a onnx::Model,
    shapes: &[InputShape],
    ending: &Ending,
    axes: fn(usize) -> Option<Vec<Axis>>,
) -> Import<'a> {
    let image = |shape| Input { shape }.into();
    let mut import = Import::new(model, ops::moved, ops::ONNX);
    for input in &model.graph.inputs {
        import.input(input, shapes, axes, image);
    }
    import.nodes(&ending.results(&model.graph));
    import
}

/// What was read as a graph, where nothing stands in the way.
fn graph(
    import: Import,
    name: &str,
    model: &onnx::Model,
    ending: &Ending,
) -> Result<Graph, ImportError> {
    let mut errors: Vec<ImportError> =
        interface::check_outputs(&model.graph).err().into_iter().collect();
    errors.extend(interface::check_cast(&model.graph).err());
    let results = ending.results(&model.graph);
    let (found, mut reader) = import.judged(&results);
    errors.extend(found);
    if let Some(error) = ImportError::all(errors) {
        return Err(error);
    }
    let refuse = |problem: &str| {
        Err(ImportError::Interface(format!("the model's output `{}` {problem}", results[0])))
    };
    let Some(Known::View(view)) = reader.known.get(results[0]).cloned() else {
        return refuse("is not computed from its input");
    };
    let view = view.with_batch_first(reader.batch);
    let axes = ending.axes(&view, reader.builder.shape(view.node))?;
    let node = onnx::Node::new("Output", results[0], &[], &[]);
    let result = reader.arranged(&node, &view, axes)?;
    let mut graph = reader.builder.finish(name, &result)?;
    graph.takes_bytes = interface::takes_bytes(&model.graph, &graph.nodes[graph.input()].name);
    Ok(graph)
}
