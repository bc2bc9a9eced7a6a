//! The graph: nodes in topological order, each with one output.

use crate::{error::GraphError, ops::Op};

/// Index of a node, and of the value it produces.
pub type NodeId = usize;

/// Extents of one image; a vector is `1 x 1 x c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl Shape {
    /// Rows, columns, channels.
    pub const fn new(h: usize, w: usize, c: usize) -> Self {
        Self { h, w, c }
    }

    /// A vector of `c` elements.
    pub const fn vector(c: usize) -> Self {
        Self { h: 1, w: 1, c }
    }

    /// Elements of one image.
    pub const fn len(self) -> usize {
        self.h * self.w * self.c
    }

    /// Whether an image has no element.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// `[h, w, c]`.
    pub const fn dims(self) -> [usize; 3] {
        [self.h, self.w, self.c]
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.h == 1 && self.w == 1 {
            write!(f, "{}", self.c)
        } else {
            write!(f, "{}x{}x{}", self.h, self.w, self.c)
        }
    }
}

/// A function of one element, fused into the node that produces it.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Activation {
    /// `y = x`.
    #[default]
    None,
    /// `y = max(x, 0)`.
    Relu,
    /// `y = min(max(x, min), max)`; either bound may be infinite.
    Clip {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
    /// `y = x` where `x >= 0`, else `alpha * x`.
    LeakyRelu {
        /// Slope below zero.
        alpha: f32,
    },
}

impl Activation {
    /// The activation's value at `x`.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::None => x,
            Self::Relu => x.max(0.0),
            Self::Clip { min, max } => x.max(min).min(max),
            Self::LeakyRelu { alpha } => {
                if x >= 0.0 {
                    x
                } else {
                    alpha * x
                }
            }
        }
    }

    /// Whether no result is negative.
    pub fn is_nonnegative(self) -> bool {
        match self {
            Self::Relu => true,
            Self::Clip { min, .. } => min >= 0.0,
            Self::None | Self::LeakyRelu { .. } => false,
        }
    }
}

/// One operation and the value it produces.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Unique within the graph; layers keep the name they have in the model's file.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// The nodes whose values it takes, all earlier in the graph.
    pub inputs: Vec<NodeId>,
    /// Applied to what `op` computes.
    pub activation: Activation,
    /// Extents of its value.
    pub shape: Shape,
}

/// A network with one input and one output.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The model's name.
    pub name: String,
    /// Nodes in topological order; the first is the only [`Op::Input`].
    pub nodes: Vec<Node>,
    /// The node whose value is the result.
    pub output: NodeId,
}

impl Graph {
    /// Extents of the input image.
    pub fn input_shape(&self) -> Shape {
        self.nodes[0].shape
    }

    /// Extents of the result.
    pub fn output_shape(&self) -> Shape {
        self.nodes[self.output].shape
    }

    /// The nodes that hold weights and multiply, in graph order.
    pub fn layers(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.op.is_layer())
    }

    /// The node of that name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// Extents of the values that `id` takes.
    pub fn input_shapes(&self, id: NodeId) -> Vec<Shape> {
        self.nodes[id].inputs.iter().map(|&input| self.nodes[input].shape).collect()
    }

    /// For every node, the nodes that take its value.
    pub fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut consumers = vec![Vec::new(); self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            for &input in &node.inputs {
                consumers[input].push(id);
            }
        }
        consumers
    }

    /// For every node, whether its value can never be negative, whatever the input image.
    ///
    /// The input itself counts as nonnegative where `input` says so.
    pub fn nonnegative(&self, input: bool) -> Vec<bool> {
        let mut known = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let all = node.inputs.iter().all(|&i| known[i]);
            let value = match &node.op {
                Op::Input(_) => input,
                Op::Relu(_) | Op::Softmax(_) => true,
                Op::Clip(clip) => clip.min >= 0.0 || all && clip.max >= 0.0,
                Op::Pad(pad) => all && pad.value >= 0.0,
                Op::Add(_)
                | Op::Concat(_)
                | Op::MaxPool(_)
                | Op::AveragePool(_)
                | Op::GlobalAveragePool(_)
                | Op::GlobalMaxPool(_)
                | Op::LeakyRelu(_)
                | Op::Reshape(_) => all,
                Op::Conv(_) | Op::Gemm(_) | Op::Affine(_) => false,
            };
            known.push(match node.activation {
                Activation::None | Activation::LeakyRelu { .. } => value,
                Activation::Relu | Activation::Clip { .. } => {
                    value || node.activation.is_nonnegative()
                }
            });
        }
        known
    }

    /// For every node, whether the value of `id` reaches it (itself included).
    pub fn descendants(&self, id: NodeId) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        reached[id] = true;
        for later in id + 1..self.nodes.len() {
            reached[later] = self.nodes[later].inputs.iter().any(|&input| reached[input]);
        }
        reached
    }

    /// Multiplications of one image: over all layers, one for each weight at each position.
    pub fn macs(&self) -> u64 {
        (0..self.nodes.len()).map(|id| self.node_macs(id)).sum()
    }

    /// Multiplications of one node for one image; zero where it holds no weights.
    pub fn node_macs(&self, id: NodeId) -> u64 {
        let node = &self.nodes[id];
        let positions = fixedwise_fixed::convert::count_to_u64(node.shape.h * node.shape.w);
        let weights = node.op.weights().map_or(0, <[f32]>::len);
        positions * fixedwise_fixed::convert::count_to_u64(weights)
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        self.nodes
            .iter()
            .map(|node| {
                node.op.weights().map_or(0, <[f32]>::len) + node.op.bias().map_or(0, <[f32]>::len)
            })
            .sum()
    }

    /// Recomputes every shape and checks that the graph is well formed.
    ///
    /// # Errors
    /// [`GraphError`] for the first node whose inputs come later, are of the wrong number, or have
    /// extents its operator refuses; also for a name that stands twice.
    pub fn infer(&mut self) -> Result<(), GraphError> {
        let mut names = std::collections::BTreeSet::new();
        for id in 0..self.nodes.len() {
            let node = &self.nodes[id];
            if !names.insert(node.name.clone()) {
                return Err(GraphError::DuplicateName { node: node.name.clone() });
            }
            if node.inputs.iter().any(|&input| input >= id)
                || matches!(node.op, Op::Input(_)) != (id == 0)
            {
                return Err(GraphError::Order { node: node.name.clone() });
            }
            let shapes = self.input_shapes(id);
            let shape = self.nodes[id].op.infer(&shapes).map_err(|problem| GraphError::Shape {
                node: self.nodes[id].name.clone(),
                op: self.nodes[id].op.name(),
                shapes: shapes.iter().map(Shape::to_string).collect::<Vec<_>>().join(", "),
                problem,
            })?;
            self.nodes[id].shape = shape;
        }
        if self.output >= self.nodes.len() {
            return Err(GraphError::Order { node: "output".to_owned() });
        }
        Ok(())
    }
}
