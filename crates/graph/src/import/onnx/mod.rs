//! From an ONNX file to a graph: node by node, constants computed on the way, and only what reaches the
//! output judged.

pub(crate) mod attributes;
mod computed;
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
    axes::{channels_first, channels_last},
    interface::Interface,
};
use crate::{
    error::ImportError,
    graph::Graph,
    ops::{self, Input},
    rounded_before::{RoundedValue, RoundedWeights},
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
    let inputs = &model.graph.inputs;
    let asked = &Asked::of(model, asked)?;
    // A file does not say which axis of an input is the channels; its operators do.
    let channels_first = vec![false; inputs.len()];
    let first = import(model, asked, &channels_first);
    let said = |import: &Import, input: usize| import.reader.images[input].1;
    let decided = inputs.iter().enumerate().map(|(i, input)| {
        let votes = said(&first, i);
        if votes.first > 0 || !interface::may_be_channels_last(input) {
            Some(false)
        } else {
            (votes.last > 0).then_some(true)
        }
    });
    let decided: Vec<Option<bool>> = decided.collect();
    if decided.iter().all(|decided| *decided == Some(false)) {
        return graph(first, name, model, asked);
    }
    let tried: Vec<bool> = decided.iter().map(|decided| decided.unwrap_or(true)).collect();
    let last = import(model, asked, &tried);
    let is_last = inputs.iter().zip(&decided).enumerate().map(|(i, (input, decided))| {
        let votes = said(&last, i);
        decided.unwrap_or(if votes.last + votes.first > 0 {
            votes.first == 0
        } else {
            interface::looks_channels_last(input)
        })
    });
    let is_last: Vec<bool> = is_last.collect();
    let import = match &is_last {
        is_last if *is_last == tried => last,
        is_last if *is_last == channels_first => first,
        is_last => import(model, asked, is_last),
    };
    graph(import, name, model, asked)
}

/// What a file of another format says of roundings before, by the names of values.
#[derive(Debug, Default)]
pub(super) struct Rounded {
    /// Tensors of weights, by the value that is computed from them.
    pub(super) weights: Vec<(String, RoundedWeights)>,
    pub(super) values: Vec<(String, RoundedValue)>,
}

/// The same of a model whose image is known to have its channels last.
///
/// # Errors
/// As [`from_onnx_with`].
pub(super) fn from_channels_last(
    model: &onnx::Model,
    name: &str,
    asked: &Interface,
    rounded: &Rounded,
) -> Result<Graph, ImportError> {
    let asked = Asked::of(model, asked)?;
    let is_last = vec![true; model.graph.inputs.len()];
    let mut import = import(model, &asked, &is_last);
    let reader = &mut import.reader;
    for (name, weights) in &rounded.weights {
        // Nothing is known of what leads to no output.
        if reader.known.contains_key(name) {
            *reader.builder.rounded_weights.entry(*weights).or_default() += 1;
        }
    }
    for (name, value) in &rounded.values {
        if let Some(Known::View(view)) = reader.known.get(name) {
            reader.builder.note_rounding(view.node, *value);
        }
    }
    graph(import, name, model, &asked)
}

/// What is asked of a file.
struct Asked<'a> {
    /// The extents that are given for each input.
    given: Vec<Option<&'a [usize]>>,
    endings: Vec<Ending>,
}

impl<'a> Asked<'a> {
    fn of(model: &onnx::Model, asked: &'a Interface) -> Result<Self, ImportError> {
        let given = interface::given(&model.graph, asked)?;
        let outputs: Vec<String> =
            model.graph.outputs.iter().map(|output| output.name.clone()).collect();
        let outputs = asked.chosen(&outputs, &interface::values(&model.graph))?;
        let endings = outputs.iter().map(|output| Ending::of(&model.graph, output)).collect();
        Ok(Self { given, endings })
    }
}

/// Reads the whole file, its image having those axes.
fn import<'a>(model: &'a onnx::Model, asked: &Asked, is_last: &[bool]) -> Import<'a> {
    let image = |shape| Input { shape }.into();
    let mut import = Import::new(model, ops::moved, ops::ONNX);
    for ((input, given), &is_last) in model.graph.inputs.iter().zip(&asked.given).zip(is_last) {
        import.input(input, *given, if is_last { channels_last } else { channels_first }, image);
    }
    import.nodes(&results(&asked.endings));
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
    asked: &Asked,
) -> Result<Graph, ImportError> {
    let endings = &asked.endings;
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
    graph.takes_bytes = interface::bytes(&model.graph);
    Ok(graph)
}
