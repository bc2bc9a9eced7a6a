//! A graph node by node, whatever the file it is read from; which operators there are is not known here.

use super::axes::Axis;
use crate::{
    error::{GraphError, ImportError},
    graph::{Graph, Node, NodeId},
    operator::Op,
    shape::Shape,
};

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
}

impl Builder {
    /// Whether no node was added yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Extents of a value inside.
    pub(crate) fn shape(&self, value: &Value) -> Shape {
        self.nodes[value.node].shape
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
        while self.nodes.iter().any(|node| node.name == unique) {
            unique = format!("{name}_{copy}");
            copy += 1;
        }
        self.nodes.push(Node::new(unique, op, inputs, shape));
        Ok(self.nodes.len() - 1)
    }

    /// The graph whose result is that value.
    pub(crate) fn finish(self, name: &str, result: &Value) -> Result<Graph, ImportError> {
        let mut graph = Graph::new(name, self.nodes, result.node);
        graph.infer()?;
        Ok(graph)
    }
}
