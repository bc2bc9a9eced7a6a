//! Inputs and outputs of an ONNX file.

use super::{
    super::{
        axes::{Axis, shape_of},
        builder::Value,
    },
    read::Import,
    reader::{Known, Votes, node_error},
};
use crate::{
    error::ImportError,
    import::{interface::Interface, view::View},
    operator::Op,
    shape::Shape,
};
use fixedwise_codec::onnx::{Dim, ElementType, Graph, ValueInfo};
use std::collections::BTreeSet;

/// The extents that are given for each input of the file.
///
/// # Errors
/// Where an input is not known, or it is open which one is meant.
pub(super) fn given<'a>(
    graph: &Graph,
    asked: &'a Interface,
) -> Result<Vec<Option<&'a [usize]>>, ImportError> {
    let is_open = |input: &ValueInfo| {
        let open = |dim: &Dim| !matches!(dim, Dim::Known(_));
        input.dims.is_empty() || input.dims.iter().skip(1).any(open)
    };
    let inputs = graph.inputs.iter().map(|input| (input.name.as_str(), is_open(input)));
    asked.given(&inputs.collect::<Vec<_>>())
}

/// The names of all values that a node computes.
pub(super) fn values(graph: &Graph) -> Vec<&str> {
    let names = graph.nodes.iter().flat_map(|node| &node.outputs);
    names.map(String::as_str).filter(|name| !name.is_empty()).collect()
}

/// Whether the file has an image whose channels could be its last axis.
pub(super) fn may_be_channels_last(input: &ValueInfo) -> bool {
    matches!(input.dims.len(), 3 | 4)
}

/// Whether the extents alone say so: the last axis has the one or three channels of an image, the second
/// has not.
pub(super) fn looks_channels_last(input: &ValueInfo) -> bool {
    let is_channels = |dim: &Dim| matches!(dim, Dim::Known(1 | 3));
    matches!(input.dims.as_slice(), [_, first, _, last] if is_channels(last) && !is_channels(first))
}

/// The extents of an input and the number of images in its batch, where the file or the caller fixes it.
fn extents(
    input: &ValueInfo,
    given: Option<&[usize]>,
) -> Result<(Vec<usize>, Option<usize>), String> {
    let dims = match (input.dims.is_empty(), given) {
        (true, Some(given)) => vec![Dim::Unknown; given.len()],
        _ => input.dims.clone(),
    };
    if !(2..=4).contains(&dims.len()) {
        return Err(format!(
            "has {} axes; supported are [batch, c], [batch, c, w] and [batch, c, h, w], or with the \
             channels last",
            dims.len()
        ));
    }
    let shown = || {
        let shown = input.dims.iter().map(|dim| match dim {
            Dim::Known(n) => n.to_string(),
            Dim::Named(name) => name.clone(),
            Dim::Unknown => "?".to_owned(),
        });
        format!("[{}]", shown.collect::<Vec<_>>().join(", "))
    };
    if let Some(given) = given
        && given.len() != dims.len()
    {
        return Err(format!(
            "has {} axes, {}; `--input-shape` gives {}",
            dims.len(),
            shown(),
            given.len()
        ));
    }
    let batch = match dims[0] {
        Dim::Known(n) if n > 1 << 24 => return Err(format!("has a batch of {n} images")),
        Dim::Known(n) if n > 0 => Some(n),
        _ => None,
    };
    let mut extents = vec![1];
    for (i, dim) in dims.iter().enumerate().skip(1) {
        let given = given.map(|given| given[i]);
        let extent = match (dim, given) {
            (Dim::Known(0), _) | (_, Some(0)) => return Err(format!("has size 0 on axis {i}")),
            (Dim::Known(fixed), Some(given)) if *fixed != given => {
                return Err(format!(
                    "has the fixed size {fixed} on axis {i}; `--input-shape` gives {given}"
                ));
            }
            (Dim::Known(fixed), _) => *fixed,
            (_, Some(given)) => given,
            (Dim::Named(_) | Dim::Unknown, None) => {
                let example = dims.iter().enumerate().map(|(i, dim)| match dim {
                    Dim::Known(n) => n.to_string(),
                    _ if i == 0 => "1".to_owned(),
                    _ => "224".to_owned(),
                });
                return Err(format!(
                    "has the shape {}, of which only the batch (axis 0) may stay open; give the \
                     others, for example `--input-shape {}`",
                    shown(),
                    example.collect::<Vec<_>>().join("x")
                ));
            }
        };
        extents.push(extent);
    }
    if extents.iter().try_fold(1_usize, |n, &e| n.checked_mul(e)).is_none_or(|n| n > 1 << 28) {
        return Err("has more than 2^28 elements".to_owned());
    }
    Ok((extents, batch))
}

fn check_type(element: ElementType) -> Result<(), String> {
    if element.is_float() || element == ElementType::U8 {
        return Ok(());
    }
    Err(format!("contains {element} elements; export the model for images of floats or UINT8"))
}

/// The names of the inputs that hold 8-bit integers.
pub(super) fn bytes(graph: &Graph) -> BTreeSet<String> {
    let is_bytes = |input: &&ValueInfo| input.element_type == ElementType::U8;
    graph.inputs.iter().filter(is_bytes).map(|input| input.name.clone()).collect()
}

/// Refuses a network that computes with the 8-bit integers it takes before it casts them to floats.
pub(super) fn check_cast(graph: &Graph) -> Result<(), ImportError> {
    /// Operators that only move elements.
    const MOVES: [&str; 6] =
        ["Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"];
    let bytes = bytes(graph);
    let mut names: Vec<&str> = bytes.iter().map(String::as_str).collect();
    while let Some(name) = names.pop() {
        for node in graph.nodes.iter().filter(|node| node.inputs.iter().any(|i| i == name)) {
            if MOVES.contains(&node.op_type.as_str()) {
                names.extend(node.outputs.iter().take(1).map(String::as_str));
            } else if !["Cast", "Shape", "Size"].contains(&node.op_type.as_str()) {
                let problem = "takes 8-bit integers; a `Cast` to floats must come before it";
                return Err(node_error(node, problem));
            }
        }
    }
    Ok(())
}

impl Import<'_> {
    /// Takes an input in, as an image.
    pub(super) fn input(
        &mut self,
        input: &ValueInfo,
        given: Option<&[usize]>,
        axes: fn(usize) -> Option<Vec<Axis>>,
        image: fn(Shape) -> Op,
    ) {
        let known_batch = self.reader.batch;
        let read = check_type(input.element_type).and_then(|()| extents(input, given));
        let read = read.and_then(|(extents, batch)| {
            if let (Some(other), Some(own)) = (known_batch, batch)
                && other != own
            {
                return Err(format!(
                    "has a batch of {own}, an input before it one of {other}; export the model with one \
                     batch size for all inputs"
                ));
            }
            let axes = axes(extents.len()).ok_or("has no axes that are known")?;
            let op = image(shape_of(&axes, &extents));
            let node = self.reader.builder.push(&input.name, op, vec![]);
            Ok((Value { node: node.map_err(|error| error.to_string())?, axes }, batch))
        });
        let (known, error) = match read {
            Ok((value, batch)) => {
                self.reader.batch = known_batch.or(batch);
                let view = View::of(&value, self.reader.shape(&value));
                self.reader.images.push((Some(value), Votes::default()));
                (Known::View(view), None)
            }
            Err(problem) => {
                self.reader.images.push((None, Votes::default()));
                let problem = format!("the model's input `{}` {problem}", input.name);
                (Known::Unread { is_constant: false }, Some(ImportError::Interface(problem)))
            }
        };
        self.reader.known.insert(input.name.clone(), known);
        self.record(vec![input.name.clone()], vec![], error);
    }
}
