//! A scale and shift after an activation moves forward into the layers that take the value:
//! the scale into their weights, the shift into their bias, which then depends on the border where
//! the layer pads with zeros.
//!
//! On its way it crosses max-pools (channels of negative scale take the minimum instead), means,
//! reshapes to vectors and concatenations. Where it cannot go on it becomes a depthwise 1x1
//! convolution.

use crate::{
    graph::{Activation, Graph, Node, NodeId, Shape},
    ops::{Affine, Concat, Conv, Op, Window},
};
use fixedwise_fixed::convert::f64_to_f32;

/// What stands for a value of the old graph: a node of the new one, and what is still to be
/// applied to it.
#[derive(Clone, Debug)]
struct Moved {
    node: NodeId,
    pending: Option<Pending>,
}

#[derive(Clone, Debug)]
struct Pending {
    affine: Affine,
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
    let output = moved[graph.output].clone();
    let output = rewrite.settle(output);
    Graph { name: graph.name.clone(), nodes: rewrite.nodes, output }
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
        let op = Op::from(Conv {
            window: Window::pixel(),
            groups: affine.scale.len(),
            channels: affine.scale.len(),
            weights: affine.scale.into_iter().map(f64_to_f32).collect(),
            bias: affine.shift.into_iter().map(f64_to_f32).collect(),
            tap_bias: vec![],
        });
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

    /// The new form of one node.
    fn node(&mut self, node: &Node, inputs: Vec<Moved>, graph: &Graph) -> Moved {
        let plain = |node| Moved { node, pending: None };
        if let (Op::Affine(affine), Activation::None) = (&node.op, node.activation) {
            let before = &inputs[0];
            let affine = match &before.pending {
                Some(first) => compose(&first.affine, affine),
                None => affine.clone(),
            };
            let pending = Some(Pending { affine, name: node.name.clone() });
            return Moved { node: before.node, pending };
        }
        if let Op::Affine(affine) = &node.op {
            // A fused activation: the affine itself must stand.
            let pending = Some(Pending { affine: affine.clone(), name: node.name.clone() });
            let before = self.settle(inputs.into_iter().next().expect("an affine takes one value"));
            let id = self.settle(Moved { node: before, pending });
            self.nodes[id].activation = node.activation;
            return plain(id);
        }
        if inputs.iter().all(|input| input.pending.is_none()) {
            let ids = inputs.iter().map(|input| input.node).collect();
            return plain(self.push(node, node.op.clone(), ids));
        }
        let crosses = node.activation == Activation::None;
        let first = inputs[0].clone();
        let pending = first.pending.clone();
        match (&node.op, pending) {
            (Op::Conv(conv), Some(pending)) => {
                let input = self.nodes[first.node].shape;
                let op = absorb_conv(conv, &pending.affine, input, node.shape);
                plain(self.push(node, op.into(), vec![first.node]))
            }
            (Op::Gemm(gemm), Some(Pending { affine, .. })) => {
                let mut gemm = gemm.clone();
                for (row, b) in
                    gemm.weights.chunks_exact_mut(affine.scale.len()).zip(&mut gemm.bias)
                {
                    *b = dot(row, &affine.shift, *b);
                    scale_row(row, &affine.scale);
                }
                plain(self.push(node, gemm.into(), vec![first.node]))
            }
            (Op::MaxPool(pool), Some(pending)) if crosses => {
                let mut pool = pool.clone();
                pool.minimum = flipped(&pool.minimum, &pending.affine);
                self.cross(node, pool.into(), first.node, pending)
            }
            (Op::GlobalMaxPool(pool), Some(pending)) if crosses => {
                let mut pool = pool.clone();
                pool.minimum = flipped(&pool.minimum, &pending.affine);
                self.cross(node, pool.into(), first.node, pending)
            }
            (Op::AveragePool(pool), Some(pending))
                if crosses && !(pool.include_pad && pool.window.is_padded()) =>
            {
                self.cross(node, node.op.clone(), first.node, pending)
            }
            (Op::GlobalAveragePool(_), Some(pending)) if crosses => {
                self.cross(node, node.op.clone(), first.node, pending)
            }
            (Op::Reshape(reshape), Some(pending)) if crosses && is_vector(node.shape) => {
                let channels = pending.affine.scale.len();
                let input = graph.nodes[node.inputs[0]].shape;
                let source = reshape.source(input);
                let pick = |x: &[f64]| source.iter().map(|from| x[from % channels]).collect();
                let affine = Affine {
                    scale: pick(&pending.affine.scale),
                    shift: pick(&pending.affine.shift),
                };
                self.cross(node, node.op.clone(), first.node, Pending { affine, ..pending })
            }
            (Op::Concat(Concat { axis: 2 }), _) if crosses => {
                let mut affine = Affine { scale: vec![], shift: vec![] };
                for input in &inputs {
                    let channels = self.nodes[input.node].shape.c;
                    if let Some(pending) = &input.pending {
                        affine.scale.extend(&pending.affine.scale);
                        affine.shift.extend(&pending.affine.shift);
                    } else {
                        affine.scale.extend(vec![1.0; channels]);
                        affine.shift.extend(vec![0.0; channels]);
                    }
                }
                let ids = inputs.iter().map(|input| input.node).collect();
                let id = self.push(node, node.op.clone(), ids);
                let name = format!("{}_affine", node.name);
                Moved { node: id, pending: Some(Pending { affine, name }) }
            }
            _ => {
                let ids = inputs.into_iter().map(|input| self.settle(input)).collect();
                plain(self.push(node, node.op.clone(), ids))
            }
        }
    }

    /// `op` on the value before what is pending, which then is pending after it.
    fn cross(&mut self, node: &Node, op: Op, input: NodeId, pending: Pending) -> Moved {
        Moved { node: self.push(node, op, vec![input]), pending: Some(pending) }
    }
}

fn is_vector(shape: Shape) -> bool {
    shape.h == 1 && shape.w == 1
}

/// `second` after `first`.
fn compose(first: &Affine, second: &Affine) -> Affine {
    let scale = first.scale.iter().zip(&second.scale).map(|(a, b)| a * b).collect();
    let shift = first
        .shift
        .iter()
        .zip(second.scale.iter().zip(&second.shift))
        .map(|(&t, (&s, &u))| s.mul_add(t, u))
        .collect();
    Affine { scale, shift }
}

/// Which channels take the minimum once the scale comes after the pool.
fn flipped(minimum: &[bool], affine: &Affine) -> Vec<bool> {
    let flipped: Vec<bool> = affine
        .scale
        .iter()
        .enumerate()
        .map(|(c, &scale)| (scale < 0.0) != minimum.get(c).copied().unwrap_or(false))
        .collect();
    if flipped.contains(&true) { flipped } else { Vec::new() }
}

/// `sum w * t + b` in double precision.
fn dot(weights: &[f32], shift: &[f64], bias: f32) -> f32 {
    let products = weights.iter().zip(shift).map(|(&w, &t)| f64::from(w) * t);
    f64_to_f32(f64::from(bias) + products.sum::<f64>())
}

/// Each weight times the scale of its channel.
fn scale_row(weights: &mut [f32], scale: &[f64]) {
    weights.iter_mut().zip(scale).for_each(|(w, s)| *w = f64_to_f32(f64::from(*w) * s));
}

/// The convolution of the value before the affine.
fn absorb_conv(conv: &Conv, affine: &Affine, input: Shape, output: Shape) -> Conv {
    let mut conv = conv.clone();
    let [kh, kw] = conv.window.kernel;
    let (taps, group_channels) = (kh * kw, conv.group_channels());
    let group_outputs = conv.channels / conv.groups;
    let covers = |axis: usize, size: usize, positions: usize| {
        (0..positions).all(|p| conv.window.taps(axis, size, p) == (0..conv.window.kernel[axis]))
    };
    let inside = covers(0, input.h, output.h) && covers(1, input.w, output.w);
    let mut tap_bias = vec![0.0; conv.channels * taps];
    for (row, (weights, tap)) in
        conv.weights.chunks_exact_mut(group_channels).zip(&mut tap_bias).enumerate()
    {
        let first = row / taps / group_outputs * group_channels;
        let channels = first..first + group_channels;
        *tap = dot(weights, &affine.shift[channels.clone()], 0.0);
        scale_row(weights, &affine.scale[channels]);
    }
    if inside {
        for (b, taps) in conv.bias.iter_mut().zip(tap_bias.chunks_exact(taps)) {
            *b = dot(taps, &vec![1.0; taps.len()], *b);
        }
    } else if tap_bias.iter().any(|&t| t != 0.0) {
        if conv.tap_bias.is_empty() {
            conv.tap_bias = tap_bias;
        } else {
            conv.tap_bias.iter_mut().zip(&tap_bias).for_each(|(a, b)| *a += b);
        }
    }
    conv
}
