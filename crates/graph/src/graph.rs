//! The graph: nodes in topological order, each with one value.

use crate::{
    error::GraphError,
    fixed_graph::image_parts,
    operator::{Context, Edge, Factor, Op},
    output::Output,
    rounded_before::RoundedBefore,
    shape::{Activation, Shape},
};
use fixedwise_kernels::Bias;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// Index of a node, and of the value it produces.
pub type NodeId = usize;

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

impl Node {
    /// Whether another value is added to what its weights make.
    pub fn has_residual(&self) -> bool {
        self.residual_input().is_some()
    }

    /// The node whose value is added to what its weights make, where one is.
    pub fn residual_input(&self) -> Option<NodeId> {
        let mut positions = 0..self.inputs.len();
        positions.find(|&i| self.op.edge(i) == Edge::Residual).map(|i| self.inputs[i])
    }

    /// The node whose value it computes its own from: that which a layer's weights multiply.
    ///
    /// # Panics
    /// Where it takes none, as the input does.
    pub fn main_input(&self) -> NodeId {
        let main = (0..self.inputs.len()).find(|&i| self.op.edge(i) == Edge::Main);
        self.inputs[main.expect("the input alone takes no main value")]
    }

    /// A node that fuses no activation.
    pub fn new(
        name: impl Into<String>,
        op: impl Into<Op>,
        inputs: Vec<NodeId>,
        shape: Shape,
    ) -> Self {
        Self { name: name.into(), op: op.into(), inputs, activation: Activation::None, shape }
    }
}

/// A network.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The model's name.
    pub name: String,
    /// Nodes in topological order.
    pub nodes: Vec<Node>,
    /// Those that are an [`Input`](crate::ops::Input), in the order of the file.
    pub(crate) inputs: Vec<NodeId>,
    /// The names of the file's inputs that no result needs.
    pub(crate) unused_inputs: Vec<String>,
    /// The results, in the order of the file or of who chose them.
    pub(crate) outputs: Vec<Output>,
    /// The names of the inputs of which the model's file says that they hold integers from 0 to 255.
    pub(crate) takes_bytes: BTreeSet<String>,
    /// What the model's file says was rounded before.
    pub(crate) rounded_before: RoundedBefore,
    /// The names of sums that are computed inside a layer, each with the name of the layer.
    pub(crate) sums: BTreeMap<String, String>,
    /// What it took before channels were chosen to go.
    pub(crate) whole: Option<Whole>,
}

/// What a network takes whose channels are all there, everything at 8 bits: what others save is compared with that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    /// Bits of weights, biases and values.
    pub(crate) memory: u64,
    /// Multiplications.
    pub(crate) macs: u64,
    /// As [`crate::effective::Integers`] counts them.
    pub(crate) bit_operations: u64,
    pub(crate) coded_bytes: u64,
}

impl Graph {
    /// A network of those nodes, its inputs in their order, with the value of one as its result.
    pub fn new(name: impl Into<String>, nodes: Vec<Node>, output: NodeId) -> Self {
        let result = nodes.get(output).map_or("", |node| node.name.as_str());
        let outputs = vec![Output::new(result, output)];
        let inputs = (0..nodes.len()).filter(|&id| nodes[id].op.is_input()).collect();
        let (unused_inputs, takes_bytes) = (Vec::new(), BTreeSet::new());
        Self {
            name: name.into(),
            nodes,
            inputs,
            unused_inputs,
            outputs,
            takes_bytes,
            rounded_before: RoundedBefore::default(),
            sums: BTreeMap::new(),
            whole: None,
        }
    }

    /// Whether the model's file says that an input holds integers from 0 to 255, so that nothing may stand
    /// before it.
    pub fn takes_bytes(&self, input: NodeId) -> bool {
        self.takes_bytes.contains(&self.nodes[input].name)
    }

    /// What the model's file says was rounded before: the float network is then one of rounded numbers.
    pub fn rounded_before(&self) -> &RoundedBefore {
        &self.rounded_before
    }

    /// The layer that computes the sum of that name inside, where one does.
    pub fn layer_of_sum(&self, name: &str) -> Option<&str> {
        self.sums.get(name).map(String::as_str)
    }

    /// The nodes that are inputs, in the order of the file: an image that goes in has the values of all, one
    /// input after the other.
    pub fn inputs(&self) -> &[NodeId] {
        &self.inputs
    }

    /// The names of the file's inputs that no result needs.
    pub fn unused_inputs(&self) -> &[String] {
        &self.unused_inputs
    }

    /// The node that is the first input.
    pub fn input(&self) -> NodeId {
        self.inputs[0]
    }

    /// The results, in the order of the file or of who chose them.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The nodes whose values are results; a node that is two of them comes twice.
    pub fn output_nodes(&self) -> Vec<NodeId> {
        self.outputs.iter().map(|output| output.node).collect()
    }

    /// The node whose value is the first result.
    pub fn output(&self) -> NodeId {
        self.outputs[0].node
    }

    /// Takes the values of other nodes as the results, each under the name of its node.
    pub fn set_outputs(&mut self, outputs: &[NodeId]) {
        let output = |&id: &NodeId| Output::new(self.nodes[id].name.clone(), id);
        self.outputs = outputs.iter().map(output).collect();
    }

    /// Whether a node is an input.
    pub fn is_input(&self, id: NodeId) -> bool {
        self.inputs.contains(&id)
    }

    /// Whether a node's value is a result.
    pub fn is_output(&self, id: NodeId) -> bool {
        self.outputs.iter().any(|output| output.node == id)
    }

    /// Extents of the first input.
    pub fn input_shape(&self) -> Shape {
        self.nodes[self.input()].shape
    }

    /// Where the values of each input stand in an image, in the order of the inputs.
    pub fn image_parts(&self) -> Vec<Range<usize>> {
        image_parts(self.inputs.iter().map(|&id| self.nodes[id].shape))
    }

    /// Elements of an image: of all inputs together.
    pub fn image_len(&self) -> usize {
        self.inputs.iter().map(|&id| self.nodes[id].shape.len()).sum()
    }

    /// Extents of the first result.
    pub fn output_shape(&self) -> Shape {
        self.nodes[self.output()].shape
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

    /// What prepares a node to run.
    pub(crate) fn context(&self, id: NodeId) -> Context {
        let Node { shape, activation, .. } = self.nodes[id];
        Context { inputs: self.input_shapes(id), output: shape, activation }
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

    /// For every node, whether its value can never be negative, whatever the inputs.
    ///
    /// An input itself counts as nonnegative where `input` says so of its node.
    pub fn nonnegative(&self, input: impl Fn(&Node) -> bool) -> Vec<bool> {
        let mut known = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let all = node.inputs.iter().all(|&i| known[i]);
            let value = if node.op.is_input() { input(node) } else { node.op.is_nonnegative(all) };
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

    /// Multiplications of one image: over all layers, one for each weight at each position, and those of
    /// computed values in sums.
    pub fn macs(&self) -> u64 {
        (0..self.nodes.len()).map(|id| self.node_macs(id)).sum()
    }

    /// Bits of weights, biases and values at 8 bits each before channels were chosen to go, where some were.
    pub fn whole_memory(&self) -> Option<u64> {
        self.whole.map(|whole| whole.memory)
    }

    /// Multiplications before channels were chosen to go.
    pub fn whole_macs(&self) -> u64 {
        self.whole.map_or_else(|| self.macs(), |whole| whole.macs)
    }

    /// Multiplications of one node for one image; zero where it sums no products.
    pub fn node_macs(&self, id: NodeId) -> u64 {
        let node = &self.nodes[id];
        let positions = fixedwise_fixed::convert::count_to_u64(node.shape.h * node.shape.w);
        let weights = node.op.weights().map_or(0, <[f32]>::len);
        positions * fixedwise_fixed::convert::count_to_u64(weights) + self.products(id)
    }

    /// Those of [`Graph::node_macs`] that multiply its first two inputs by each other.
    pub fn products(&self, id: NodeId) -> u64 {
        self.nodes[id].op.products(&self.input_shapes(id), self.nodes[id].shape)
    }

    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        let parameters = self.nodes.iter().filter_map(|node| node.op.parameters());
        parameters.map(|own| own.weights.len() + own.bias.len()).sum()
    }

    /// The bias of a layer at every position, in full precision; `None` where the node is no layer.
    pub fn border_bias(&self, id: NodeId) -> Option<Bias<f64>> {
        let node = &self.nodes[id];
        let input = || self.nodes[node.main_input()].shape;
        node.op.parameters().map(|parameters| parameters.border_bias(input(), node.shape))
    }

    /// Every value that the bias of a layer takes, `[class of border positions, output channel]`; none
    /// where the node is no layer.
    pub fn biases(&self, id: NodeId) -> Vec<f64> {
        self.border_bias(id).map_or_else(Vec::new, |bias| bias.values)
    }

    /// How many values the bias of a layer takes: those of [`Graph::biases`].
    pub fn bias_count(&self, id: NodeId) -> usize {
        let node = &self.nodes[id];
        let input = || self.nodes[node.main_input()].shape;
        node.op.parameters().map_or(0, |parameters| parameters.bias_count(input(), node.shape))
    }

    /// What becomes of a factor above zero of one channel of the value at position `input` of a node's
    /// inputs, its activation included.
    pub fn factor(&self, id: NodeId, input: usize) -> Factor {
        let node = &self.nodes[id];
        match node.op.factor(input, &self.input_shapes(id), node.shape) {
            Factor::Carried(_) if !node.activation.is_homogeneous() => Factor::Refused,
            factor => factor,
        }
    }

    fn interface_error(&self) -> GraphError {
        GraphError::Interface { inputs: self.inputs.len(), outputs: self.outputs.len() }
    }

    /// Recomputes every shape and checks that the graph is well formed.
    ///
    /// # Errors
    /// [`GraphError`] for the first node whose inputs come later, are of the wrong number, or have
    /// extents its operator refuses; also for a name that stands twice, and for no input or no output.
    pub fn infer(&mut self) -> Result<(), GraphError> {
        let mut names = BTreeSet::new();
        for id in 0..self.nodes.len() {
            let node = &self.nodes[id];
            if !names.insert(node.name.clone()) {
                return Err(GraphError::DuplicateName { node: node.name.clone() });
            }
            if node.inputs.iter().any(|&input| input >= id)
                || node.op.is_input() != self.is_input(id)
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
        if self.inputs.is_empty() || self.outputs.is_empty() {
            return Err(self.interface_error());
        }
        if let Some(output) = self.outputs.iter().find(|output| output.node >= self.nodes.len()) {
            return Err(GraphError::Order { node: output.name.clone() });
        }
        Ok(())
    }
}
