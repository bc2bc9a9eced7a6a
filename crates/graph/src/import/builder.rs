//! A graph node by node, whatever the file it is read from; which operators there are is not known here.

use super::axes::Axis;
use crate::{
    error::{GraphError, ImportError},
    graph::{Graph, Node, NodeId},
    operator::{FormatRule, Op},
    output::Output,
    passes::remove_dead,
    rounded_before::{RoundedBefore, RoundedValue, RoundedWeights},
    shape::Shape,
};
use std::collections::{BTreeMap, BTreeSet};

/// A file's value: the node that computes it and what each of its axes is.
///
/// Axes of extent one may be missing.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) node: NodeId,
    pub(crate) axes: Vec<Axis>,
}

/// The nodes so far.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    nodes: Vec<Node>,
    names: BTreeSet<String>,
    /// The extents of inputs whose file leaves some open, by name.
    pub(crate) given: BTreeMap<String, Vec<usize>>,
    /// The values that the file says were rounded.
    rounded: BTreeMap<NodeId, RoundedValue>,
    /// How many tensors of weights the file says were rounded.
    pub(crate) rounded_weights: BTreeMap<RoundedWeights, usize>,
}

impl Builder {
    /// Extents of the value of a node.
    pub(crate) fn shape(&self, node: NodeId) -> Shape {
        self.nodes[node].shape
    }

    /// Whether the value of a node may be anything: it is neither the image, nor moved, nor a probability.
    pub(crate) fn computes(&self, node: NodeId) -> bool {
        let op = &self.nodes[node].op;
        op.format_rule() == FormatRule::Own && op.as_likelihood().is_none()
    }

    /// Whether each element of `to` is computed from elements of `from` at its own place, as far as
    /// extents tell.
    pub(crate) fn keeps_places(&self, from: NodeId, to: NodeId) -> bool {
        let mut node = to;
        while node != from {
            match self.nodes[node].inputs[..] {
                [before] if self.nodes[before].shape == self.nodes[node].shape => node = before,
                _ => return false,
            }
        }
        true
    }

    /// Adds a node; a name that is taken gets a number.
    pub(crate) fn push(
        &mut self,
        name: &str,
        op: impl Into<Op>,
        inputs: Vec<NodeId>,
    ) -> Result<NodeId, ImportError> {
        let op = op.into();
        let shapes: Vec<Shape> = inputs.iter().map(|&i| self.nodes[i].shape).collect();
        let shape = op.infer(&shapes).map_err(|problem| GraphError::Shape {
            node: name.to_owned(),
            op: op.name(),
            shapes: shapes.iter().map(Shape::to_string).collect::<Vec<_>>().join(", "),
            problem,
        })?;
        if shape.is_empty() {
            return Err(ImportError::Interface(format!("node `{name}` has an empty output")));
        }
        let mut unique = name.to_owned();
        let mut copy = 2;
        while !self.names.insert(unique.clone()) {
            unique = format!("{name}_{copy}");
            copy += 1;
        }
        self.nodes.push(Node::new(unique, op, inputs, shape));
        Ok(self.nodes.len() - 1)
    }

    /// Notes that the file rounds the value of a node; of several roundings the widest range counts.
    pub(crate) fn note_rounding(&mut self, node: NodeId, value: RoundedValue) {
        let width = |value: &RoundedValue| value.range[1] - value.range[0];
        let known = self.rounded.entry(node).or_insert(value);
        if width(known) < width(&value) {
            *known = value;
        }
    }

    /// The graph whose results are those values, under those names.
    pub(crate) fn finish(
        self,
        name: &str,
        results: Vec<(&str, Value)>,
    ) -> Result<Graph, ImportError> {
        let name_of = |(id, value): (NodeId, RoundedValue)| (self.nodes[id].name.clone(), value);
        let values = self.rounded.into_iter().map(name_of).collect();
        let mut graph = Graph::new(name, self.nodes, 0);
        graph.rounded_before = RoundedBefore { weights: self.rounded_weights, values };
        let output = |(name, value): (&str, Value)| Output {
            name: name.to_owned(),
            node: value.node,
            axes: value.axes,
        };
        graph.outputs = results.into_iter().map(output).collect();
        remove_dead::with_inputs(&mut graph);
        let names: BTreeSet<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        graph.rounded_before.values.retain(|name, _| names.contains(name.as_str()));
        graph.infer()?;
        Ok(graph)
    }
}
