//! A scale and shift after an activation moves forward into the layers that take the value:
//! the scale into their weights, the shift into their bias, which then depends on the border where
//! the layer pads with zeros.
//!
//! On its way it crosses what carries it: max-pools (channels of negative scale take the minimum
//! instead), means, reshapes to vectors and concatenations. Where it cannot go on it becomes a depthwise
//! 1x1 convolution.

use super::balance_channels::{are_alike, bits};
use crate::{
    graph::{Graph, Node, NodeId},
    operator::{Factor, Op},
    ops::{Affine, Conv, Window},
    output::Output,
    scale_shift::ScaleShift,
    shape::{Activation, Shape},
};
use fixedwise_fixed::convert::{count_to_f64, f64_to_f32};

/// What stands for a value of the old graph: a node of the new one, and what is still to be
/// applied to it.
#[derive(Clone, Debug)]
struct Moved {
    node: NodeId,
    pending: Option<Pending>,
}

#[derive(Clone, Debug)]
struct Pending {
    affine: ScaleShift,
    /// The node it comes from names the convolution it may become.
    name: String,
}

/// The graph without [`Affine`] nodes.
pub(super) fn run(graph: &Graph) -> Graph {
    let mut rewrite = Rewrite { nodes: Vec::new() };
    let mut moved: Vec<Moved> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let inputs: Vec<Moved> = node.inputs.iter().map(|&input| moved[input].clone()).collect();
        // A concatenation or a sum may take one value twice and make it a convolution; later ones
        // then find it.
        let result = rewrite.node(node, inputs, graph);
        moved.push(result);
    }
    let inputs = graph.inputs.iter().map(|&input| moved[input].node).collect();
    let outputs = graph.outputs.iter().map(|output| {
        let node = rewrite.settle(moved[output.node].clone());
        Output { node, ..output.clone() }
    });
    let outputs = outputs.collect();
    let mut rounded_before = graph.rounded_before.clone();
    // What is still to be scaled and shifted is another value than the file rounds.
    for (node, moved) in graph.nodes.iter().zip(&moved) {
        if moved.pending.is_some() {
            rounded_before.values.remove(&node.name);
        }
    }
    Graph {
        name: graph.name.clone(),
        nodes: rewrite.nodes,
        inputs,
        unused_inputs: graph.unused_inputs.clone(),
        outputs,
        takes_bytes: graph.takes_bytes.clone(),
        rounded_before,
        sums: graph.sums.clone(),
        whole: graph.whole,
    }
}

struct Rewrite {
    nodes: Vec<Node>,
}

impl Rewrite {
    fn push(&mut self, node: &Node, op: Op, inputs: Vec<NodeId>) -> NodeId {
        self.nodes.push(Node { op, inputs, ..node.clone() });
        self.nodes.len() - 1
    }

    /// The value itself: what is pending becomes a depthwise convolution, once.
    fn settle(&mut self, moved: Moved) -> NodeId {
        let Some(Pending { affine, name }) = moved.pending else { return moved.node };
        let op = depthwise(&affine);
        let inputs = vec![moved.node];
        let same = |n: &Node| n.op == op && n.inputs == inputs && n.activation == Activation::None;
        if let Some(found) = self.nodes.iter().position(same) {
            return found;
        }
        let mut unique = name.clone();
        let mut copy = 2;
        while self.nodes.iter().any(|node| node.name == unique) {
            unique = format!("{name}_{copy}");
            copy += 1;
        }
        let shape = self.nodes[moved.node].shape;
        self.nodes.push(Node { name: unique, op, inputs, activation: Activation::None, shape });
        self.nodes.len() - 1
    }

    /// Values that would meet in one far from each other in size become what they are, the farthest first.
    fn settle_unlike(&mut self, inputs: &mut [Moved], factors: &[Factor]) {
        let size = |moved: &Moved| {
            let Some(pending) = &moved.pending else { return 0.0 };
            let sizes: Vec<f64> = pending.affine.scale.iter().filter_map(|&s| bits(s)).collect();
            sizes.iter().sum::<f64>() / count_to_f64(sizes.len().max(1))
        };
        if inputs.len() < 2 || !factors.iter().all(|factor| matches!(factor, Factor::Carried(_))) {
            return;
        }
        loop {
            let sizes: Vec<f64> = inputs.iter().map(size).collect();
            let farthest = (0..inputs.len())
                .filter(|&input| inputs[input].pending.is_some())
                .max_by(|&a, &b| sizes[a].abs().total_cmp(&sizes[b].abs()));
            match farthest {
                Some(input) if !are_alike(&sizes) => {
                    inputs[input] =
                        Moved { node: self.settle(inputs[input].clone()), pending: None };
                }
                _ => return,
            }
        }
    }

    /// The new form of one node.
    fn node(&mut self, node: &Node, mut inputs: Vec<Moved>, graph: &Graph) -> Moved {
        let plain = |node| Moved { node, pending: None };
        if let Some(affine) = node.op.get::<Affine>() {
            let own = ScaleShift { scale: affine.scale.clone(), shift: affine.shift.clone() };
            let before = inputs.swap_remove(0);
            if node.activation != Activation::None {
                let before = self.settle(before);
                return plain(self.push(node, depthwise(&own), vec![before]));
            }
            let affine = before.pending.map_or(own.clone(), |first| first.affine.then(&own));
            let pending = Some(Pending { affine, name: node.name.clone() });
            return Moved { node: before.node, pending };
        }
        let shapes: Vec<Shape> =
            node.inputs.iter().map(|&input| graph.nodes[input].shape).collect();
        let factors: Vec<Factor> =
            (0..inputs.len()).map(|input| node.op.factor(input, &shapes, node.shape)).collect();
        let stays = |factor: &Factor| match factor {
            Factor::Absorbed => false,
            Factor::Carried(_) => node.activation != Activation::None,
            Factor::Refused => true,
        };
        for (input, factor) in inputs.iter_mut().zip(&factors) {
            if stays(factor) {
                *input = plain(self.settle(input.clone()));
            }
        }
        self.settle_unlike(&mut inputs, &factors);
        let is_pending = inputs.iter().any(|input| input.pending.is_some());
        let before: Vec<Option<&ScaleShift>> =
            inputs.iter().map(|input| input.pending.as_ref().map(|own| &own.affine)).collect();
        let unscaled = is_pending.then(|| node.op.unscaled(&before, &shapes, node.shape)).flatten();
        let Some(op) = unscaled else {
            let ids = inputs.into_iter().map(|input| self.settle(input)).collect();
            return plain(self.push(node, node.op.clone(), ids));
        };
        let id = self.push(node, op, inputs.iter().map(|input| input.node).collect());
        Moved { node: id, pending: behind(node, &inputs, &factors) }
    }
}

/// What is pending after a node whose inputs were pending; nothing where it took all up.
fn behind(node: &Node, inputs: &[Moved], factors: &[Factor]) -> Option<Pending> {
    let mut affine = ScaleShift::identity(node.shape.c);
    let mut name = None;
    for (input, factor) in inputs.iter().zip(factors) {
        let (Some(pending), Factor::Carried(from)) = (&input.pending, factor) else { continue };
        for (to, from) in from.iter().enumerate() {
            if let Some(from) = *from {
                // A channel has one origin, or is a product.
                affine.scale[to] *= pending.affine.scale[from];
                affine.shift[to] += pending.affine.shift[from];
            }
        }
        name = Some(match inputs {
            [_] => pending.name.clone(),
            _ => format!("{}_affine", node.name),
        });
    }
    name.map(|name| Pending { affine, name })
}

/// The convolution that scales and shifts each channel.
fn depthwise(affine: &ScaleShift) -> Op {
    let numbers = |values: &[f64]| values.iter().map(|&x| f64_to_f32(x)).collect();
    Op::from(Conv {
        window: Window::pixel(),
        groups: affine.scale.len(),
        channels: affine.scale.len(),
        weights: numbers(&affine.scale),
        bias: numbers(&affine.shift),
        tap_bias: vec![],
    })
}
