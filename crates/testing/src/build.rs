//! Small graphs with random weights.

use crate::Random;
use fixedwise_graph::{
    Activation, Graph, Node, NodeId, Op, Shape,
    ops::{Affine, Conv, Gemm, Input, Window},
};

/// Builds a graph node by node.
#[derive(Debug)]
pub struct Build {
    nodes: Vec<Node>,
    /// Where the weights come from.
    pub random: Random,
}

impl Build {
    /// A graph that takes images of that shape.
    pub fn new(shape: Shape, seed: u64) -> Self {
        let mut build = Self { nodes: Vec::new(), random: Random::new(seed) };
        build.push("input", Input { shape }, vec![]);
        build
    }

    /// Extents of a value.
    pub fn shape(&self, id: NodeId) -> Shape {
        self.nodes[id].shape
    }

    /// Adds a node.
    ///
    /// # Panics
    /// Where the operator refuses its inputs.
    pub fn push(&mut self, name: &str, op: impl Into<Op>, inputs: Vec<NodeId>) -> NodeId {
        let op = op.into();
        let shapes: Vec<Shape> = inputs.iter().map(|&input| self.nodes[input].shape).collect();
        let shape = op.infer(&shapes).expect("the test's graph is valid");
        let activation = Activation::None;
        self.nodes.push(Node { name: name.to_owned(), op, inputs, activation, shape });
        self.nodes.len() - 1
    }

    /// A convolution with random weights.
    pub fn conv(
        &mut self,
        name: &str,
        input: NodeId,
        channels: usize,
        window: &Window,
        groups: usize,
    ) -> NodeId {
        let per_group = self.shape(input).c / groups;
        let n = channels * window.kernel[0] * window.kernel[1] * per_group;
        let op = Conv {
            window: window.clone(),
            groups,
            channels,
            weights: self.random.floats(n, -0.5, 0.5),
            bias: self.random.floats(channels, -0.5, 0.5),
            tap_bias: vec![],
        };
        self.push(name, op, vec![input])
    }

    /// A scale (negative in some channels) and a shift.
    pub fn affine(&mut self, name: &str, input: NodeId) -> NodeId {
        let c = self.shape(input).c;
        let mut numbers =
            |low, high| self.random.floats(c, low, high).into_iter().map(f64::from).collect();
        let op = Affine { scale: numbers(-1.5, 2.0), shift: numbers(-1.0, 1.0) };
        self.push(name, op, vec![input])
    }

    /// A dense layer with random weights.
    pub fn gemm(&mut self, name: &str, input: NodeId, outputs: usize) -> NodeId {
        let inputs = self.shape(input).c;
        let op = Gemm {
            weights: self.random.floats(inputs * outputs, -0.5, 0.5),
            bias: self.random.floats(outputs, -0.5, 0.5),
        };
        self.push(name, op, vec![input])
    }

    /// The graph whose result is the last node's value.
    ///
    /// # Panics
    /// Where a name stands twice.
    pub fn finish(self) -> Graph {
        let output = self.nodes.len() - 1;
        let mut graph = Graph { name: "test".to_owned(), nodes: self.nodes, output };
        graph.infer().expect("the test's graph is valid");
        graph
    }
}
