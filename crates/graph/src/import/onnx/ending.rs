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

/// How an output of a network ends.
#[derive(Debug)]
pub(super) struct Ending {
    /// The name of the output.
    pub(super) output: String,
    /// The value that the network must compute.
    pub(super) value: String,
    /// The index of the largest element of this value, where it is left out.
    arg_max: Option<Node>,
}

impl Ending {
    /// How the graph ends in an output: behind an `ArgMax`, only its axes may change.
    pub(super) fn of(graph: &Graph, output: &str) -> Self {
        let mut name = output;
        // Every step is to another node, as none is met twice.
        for _ in 0..=graph.nodes.len() {
            let Some(node) = graph.nodes.iter().find(|n| n.outputs.iter().any(|o| o == name))
            else {
                break;
            };
            let Some(input) = node.inputs.first() else { break };
            match node.op_type.as_str() {
                "ArgMax" if node.domain.is_empty() => {
                    return Self {
                        output: output.to_owned(),
                        value: input.clone(),
                        arg_max: Some(node.clone()),
                    };
                }
                "Identity" | "Cast" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
                    name = input;
                }
                _ => break,
            }
        }
        Self { output: output.to_owned(), value: output.to_owned(), arg_max: None }
    }

    /// The axes of the result: what they are inside, so that nothing moves at the end, and channels first where they
    /// are no such axes. That of the index must be the channels.
    pub(super) fn axes(&self, view: &View, shape: Shape) -> Result<Vec<Axis>, ImportError> {
        let rank = view.axes.len();
        let inside = || view.labels(shape).or_else(|| channels_first(rank));
        let Some(node) = &self.arg_max else {
            return inside().ok_or_else(|| {
                ImportError::Interface(format!(
                    "the output `{}` has {rank} axes; 1 to 4 are supported",
                    self.output
                ))
            });
        };
        let int = |name: &str, default| match node.attributes.get(name) {
            Some(Attribute::Int(x)) => *x,
            _ => default,
        };
        let axis = axis_index(int("axis", 0), rank);
        let labels = inside().unwrap_or_default();
        if axis.and_then(|axis| labels.get(axis)) == Some(&Axis::Channel) {
            return Ok(labels);
        }
        Err(ImportError::Node {
            node: node.name.clone(),
            op_type: node.op_type.clone(),
            problem: format!(
                "only the index of the largest channel of `{}` is supported",
                self.value
            ),
        })
    }
}
