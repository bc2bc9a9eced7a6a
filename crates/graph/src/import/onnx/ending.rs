//! What only ends a classifier and is not part of the network that is quantized: the index of the largest
//! element.

use crate::{
    error::ImportError,
    import::{
        axes::{Axis, axis_index, channels_first},
        view::View,
    },
    shape::Shape,
};
use fixedwise_codec::onnx::{Attribute, Graph, Node};

/// The last operator of a file, where it is left out.
#[derive(Debug)]
pub(super) struct Ending {
    /// The index of the largest element, and of which value.
    arg_max: Option<(Node, String)>,
}

impl Ending {
    /// How the graph ends: behind an `ArgMax`, only its axes may change.
    pub(super) fn of(graph: &Graph) -> Self {
        let [output] = graph.outputs.as_slice() else { return Self { arg_max: None } };
        let mut name = output.name.as_str();
        // Every step is to another node, as none is met twice.
        for _ in 0..=graph.nodes.len() {
            let Some(node) = graph.nodes.iter().find(|n| n.outputs.iter().any(|o| o == name))
            else {
                break;
            };
            let Some(input) = node.inputs.first() else { break };
            match node.op_type.as_str() {
                "ArgMax" if node.domain.is_empty() => {
                    return Self { arg_max: Some((node.clone(), input.clone())) };
                }
                "Identity" | "Cast" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
                    name = input;
                }
                _ => break,
            }
        }
        Self { arg_max: None }
    }

    /// The values that the network must compute.
    pub(super) fn results<'a>(&'a self, graph: &'a Graph) -> Vec<&'a str> {
        match &self.arg_max {
            Some((_, value)) => vec![value],
            None => graph.outputs.iter().map(|output| output.name.as_str()).collect(),
        }
    }

    /// The axes of the result. That of the index must be the channels, as the values are inside; without
    /// an index, they are those of the file, read as channels first.
    pub(super) fn axes(&self, view: &View, shape: Shape) -> Result<Vec<Axis>, ImportError> {
        let rank = view.axes.len();
        let Some((node, value)) = &self.arg_max else {
            return channels_first(rank).ok_or_else(|| {
                ImportError::Interface(format!("the output has {rank} axes; 1 to 4 are supported"))
            });
        };
        let int = |name: &str, default| match node.attributes.get(name) {
            Some(Attribute::Int(x)) => *x,
            _ => default,
        };
        let axis = axis_index(int("axis", 0), rank);
        let labels = view.labels(shape).or_else(|| channels_first(rank)).unwrap_or_default();
        if axis.and_then(|axis| labels.get(axis)) == Some(&Axis::Channel) {
            return Ok(labels);
        }
        Err(ImportError::Node {
            node: node.name.clone(),
            op_type: node.op_type.clone(),
            problem: format!("only the index of the largest channel of `{value}` is supported"),
        })
    }
}
