//! Integer networks that tell how their weights and biases should change.
//!
//! Forward the integers are those of the plan, to the bit. Backward every rounding counts as the identity, and
//! a result that is clamped passes no gradient.
//!
//! Source: the straight-through estimator, Bengio et al., "Estimating or Propagating Gradients Through
//! Stochastic Neurons", 2013.

use super::{StepCache, program::float_step};
use crate::{
    backward::backward_step,
    error::LowerError,
    fixed_graph::FixedNode,
    fixed_operator::{FixedOp, FixedStep, Unclamped},
    graph::{Graph, NodeId},
    lower::{context::AccumulatorPolicy, requantization::element},
    operator::{BackwardStep, FloatStep, FormatRule, Gradients},
    plan::Plan,
    shape::{Activation, Shape},
};
use fixedwise_fixed::{
    Format,
    convert::{f64_to_f32, saturating_i8, saturating_u8},
};
use fixedwise_kernels::{Element, Integers, IntegersMut, Kernels, Scratch, quantize};
use std::sync::{Mutex, PoisonError};

/// The most images that a step takes at a time.
const MOST_AT_ONCE: usize = 8;

/// A graph whose integer networks can be trained.
pub struct Differentiable<'g> {
    graph: &'g Graph,
    kernels: &'static Kernels,
    lowered: StepCache<'g>,
    /// By node, of those that hold no weights.
    passed: Vec<Option<Passed>>,
    /// Whether weights act on the value of a node.
    has_weights: Vec<bool>,
    /// The latest of each node that holds no weights.
    steps: Mutex<Vec<Option<(FixedOp, FixedStep)>>>,
}

/// How gradients pass a node without weights.
struct Passed {
    backward: BackwardStep,
    /// What tells which of its results are clamped; none where none is.
    float: Option<FloatStep>,
}

/// The operator that gradients cannot pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoGradient {
    /// Its node.
    pub node: String,
    /// Its name.
    pub op: &'static str,
}

/// The gradients of the numbers of a layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerGradients {
    /// In the layer's own order.
    pub weights: Vec<f32>,
    /// `[class of positions, output channel]`, as [`Graph::biases`] has them.
    pub bias: Vec<f32>,
}

/// The integer network of a plan, ready to be trained.
pub struct Trained<'g> {
    graph: &'g Graph,
    kernels: &'static Kernels,
    passed: &'g [Option<Passed>],
    has_weights: &'g [bool],
    nodes: Vec<TrainedNode>,
}

struct TrainedNode {
    step: Forward,
    format: Format,
    shape: Shape,
    takes_several: bool,
    /// Of a layer.
    backward: Option<BackwardStep>,
}

enum Forward {
    Input,
    Step(FixedStep),
    /// Results of 16 bits, what they are clamped to, and whether they are halves.
    Unclamped(FixedStep, [i16; 2], bool),
}

/// Integers as a value stores them.
#[derive(Debug)]
enum Stored {
    U8(Vec<u8>),
    I8(Vec<i8>),
    I16(Vec<i16>),
}

/// A node's value for some images.
struct Value {
    stored: Stored,
    /// Of a layer: by what the gradient of each result is multiplied, as an index; empty elsewhere.
    passes: Vec<u8>,
}

impl std::fmt::Debug for Differentiable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Differentiable").field("graph", &self.graph.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Trained<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trained").field("graph", &self.graph.name).finish_non_exhaustive()
    }
}

impl<'g> Differentiable<'g> {
    /// Of a graph, prepared for integers.
    ///
    /// # Errors
    /// [`NoGradient`] for the first operator on the way from weights to a result that gradients cannot pass.
    pub fn new(graph: &'g Graph, kernels: &'static Kernels) -> Result<Self, NoGradient> {
        let n = graph.nodes.len();
        let mut has_weights = vec![false; n];
        let mut passed = Vec::with_capacity(n);
        for (id, node) in graph.nodes.iter().enumerate() {
            let is_behind = node.inputs.iter().any(|&input| has_weights[input]);
            has_weights[id] = node.op.is_layer() || is_behind;
            if node.op.is_layer() && node.op.as_backward().is_some() || !has_weights[id] {
                passed.push(None);
                continue;
            }
            let refused = || NoGradient { node: node.name.clone(), op: node.op.name() };
            let backward =
                backward_step(&node.op, &graph.context(id), kernels).ok_or_else(refused)?;
            let is_moved = matches!(node.op.format_rule(), FormatRule::Input | FormatRule::Moved)
                && node.activation == Activation::None;
            let float = (!is_moved).then(|| float_step(graph, id, &node.op, kernels));
            passed.push(Some(Passed { backward, float }));
        }
        let lowered = StepCache::new(graph, None, kernels);
        let steps = Mutex::new((0..n).map(|_| None).collect());
        Ok(Self { graph, kernels, lowered, passed, has_weights, steps })
    }

    /// The integer network of a plan.
    ///
    /// # Errors
    /// [`LowerError`] where there is none.
    pub fn network(&self, plan: &Plan) -> Result<Trained<'_>, LowerError> {
        let fixed = self.lowered.lower(plan, AccumulatorPolicy::Widen)?;
        let mut known = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let node = |(id, node): (NodeId, &FixedNode)| {
            let shapes: Vec<Shape> =
                node.inputs.iter().map(|&input| fixed.nodes[input].shape).collect();
            let prepare = |op: &FixedOp| op.prepare(&shapes, node.shape, self.kernels);
            let step = if self.graph.is_input(id) {
                Forward::Input
            } else if let Some(Unclamped { op, bounds, is_of_halves }) = node.op.unclamped() {
                Forward::Unclamped(prepare(&op), bounds, is_of_halves)
            } else {
                match &known[id] {
                    Some((op, step)) if *op == node.op => Forward::Step(step.clone()),
                    _ => {
                        let step = prepare(&node.op);
                        known[id] = Some((node.op.clone(), step.clone()));
                        Forward::Step(step)
                    }
                }
            };
            TrainedNode {
                step,
                format: node.format,
                shape: node.shape,
                takes_several: node.op.takes_several(&shapes, node.shape),
                backward: self.layer(id, plan),
            }
        };
        let nodes = fixed.nodes.iter().enumerate().map(node).collect();
        let Self { graph, kernels, passed, has_weights, .. } = self;
        Ok(Trained { graph, kernels, passed, has_weights, nodes })
    }

    /// How gradients pass a layer with the weights that its integers stand for.
    fn layer(&self, id: NodeId, plan: &Plan) -> Option<BackwardStep> {
        let node = &self.graph.nodes[id];
        let mut op = node.op.clone();
        let weights = op.parameters_mut()?.weights;
        let format = plan.layer(&node.name).and_then(|layer| layer.weights)?;
        match plan.rounded.get(&node.name) {
            Some(rounded) => weights.copy_from_slice(&rounded.values(format)),
            None => weights.iter_mut().for_each(|w| {
                *w = f64_to_f32(format.dequantize(format.quantize(f64::from(*w))));
            }),
        }
        let context = self.graph.context(id);
        op.as_backward().map(|own| own.prepare_backward(&context, self.kernels))
    }
}

impl Trained<'_> {
    /// Runs images forward; `loss` takes the values of each output, image after image, and gives their gradients.
    /// The gradients of every layer, by node, are the sums over the images.
    ///
    /// # Panics
    /// Where an image has the wrong length, or a gradient.
    pub fn run(
        &self,
        images: &[&[f32]],
        loss: impl FnOnce(&[Vec<f32>]) -> Vec<Vec<f32>>,
    ) -> Vec<LayerGradients> {
        let values = self.forward(images);
        let outputs = self.graph.output_nodes();
        let real: Vec<Vec<f32>> = outputs.iter().map(|&id| self.real(&values, id)).collect();
        let gradients = loss(&real);
        self.backward(images.len(), &values, &outputs, gradients)
    }

    /// The results of images, each output's image after image.
    ///
    /// # Panics
    /// Where an image has the wrong length.
    pub fn outputs(&self, images: &[&[f32]]) -> Vec<Vec<f32>> {
        let values = self.forward(images);
        self.graph.output_nodes().iter().map(|&id| self.real(&values, id)).collect()
    }

    fn real(&self, values: &[Value], id: NodeId) -> Vec<f32> {
        values[id].stored.real(f64_to_f32(self.nodes[id].format.resolution()))
    }

    fn forward(&self, images: &[&[f32]]) -> Vec<Value> {
        let n = images.len();
        let mut scratch = Scratch::new();
        let parts = self.graph.image_parts();
        let mut values: Vec<Value> = Vec::with_capacity(self.nodes.len());
        for (id, node) in self.nodes.iter().enumerate() {
            let len = node.shape.len();
            let mut stored = Stored::new(element(node.format), n * len);
            let mut passes = Vec::new();
            let inputs = &self.graph.nodes[id].inputs;
            let taken = |from: usize, to: usize| -> Vec<Integers> {
                let part = |&input: &NodeId| {
                    let len = self.nodes[input].shape.len();
                    values[input].stored.part(from * len, to * len)
                };
                inputs.iter().map(part).collect()
            };
            let at_once = if node.takes_several { MOST_AT_ONCE } else { 1 };
            match &node.step {
                Forward::Input => {
                    let which = self.graph.inputs().iter().position(|&input| input == id);
                    let part = &parts[which.expect("it is an input")];
                    for (i, image) in images.iter().enumerate() {
                        let y = stored.part_mut(i * len, (i + 1) * len);
                        quantize(self.kernels, node.format, &image[part.clone()], y);
                    }
                }
                Forward::Step(step) => {
                    for from in (0..n).step_by(at_once) {
                        let to = n.min(from + at_once);
                        let y = stored.part_mut(from * len, to * len);
                        step.run(&taken(from, to), y, &mut scratch);
                    }
                }
                &Forward::Unclamped(ref step, bounds, is_of_halves) => {
                    let mut wide = vec![0_i16; n * len];
                    for from in (0..n).step_by(at_once) {
                        let to = n.min(from + at_once);
                        let y = IntegersMut::I16(&mut wide[from * len..to * len]);
                        step.run(&taken(from, to), y, &mut scratch);
                    }
                    passes = passing(&wide, bounds, is_of_halves);
                    if is_of_halves {
                        // The odd ones up, without leaving 16 bits.
                        wide.iter_mut().for_each(|z| *z = (*z >> 1) + (*z & 1));
                    }
                    stored.clamp(&wide, bounds);
                }
            }
            values.push(Value { stored, passes });
        }
        values
    }

    fn backward(
        &self,
        n: usize,
        values: &[Value],
        outputs: &[NodeId],
        gradients: Vec<Vec<f32>>,
    ) -> Vec<LayerGradients> {
        let mut scratch = Scratch::new();
        let mut real: Vec<Option<Vec<f32>>> = vec![None; values.len()];
        let mut of_value: Vec<Option<Vec<f32>>> = vec![None; values.len()];
        let mut of_layers = vec![LayerGradients::default(); values.len()];
        for (&id, gradient) in outputs.iter().zip(gradients) {
            assert_eq!(gradient.len(), n * self.nodes[id].shape.len(), "a gradient each element");
            add(&mut of_value[id], gradient);
        }
        for id in (0..values.len()).rev() {
            let node = &self.graph.nodes[id];
            let Some(mut gradient) = of_value[id].take().filter(|_| self.has_weights[id]) else {
                continue;
            };
            for &input in &node.inputs {
                if real[input].is_none() {
                    real[input] = Some(self.real(values, input));
                }
            }
            let taken: Vec<&[f32]> =
                node.inputs.iter().map(|&input| real[input].as_deref().unwrap_or(&[])).collect();
            let backward = match (&self.nodes[id].backward, &self.passed[id]) {
                (Some(layer), _) => {
                    let slope = match node.activation {
                        Activation::LeakyRelu { alpha } => alpha,
                        _ => 1.0,
                    };
                    let slopes = [0.0, 1.0, slope];
                    let factors = values[id].passes.iter().map(|&pass| slopes[usize::from(pass)]);
                    gradient.iter_mut().zip(factors).for_each(|(g, factor)| *g *= factor);
                    layer
                }
                (None, Some(passed)) => {
                    if let Some(float) = &passed.float {
                        self.clamp(id, float, (&taken, &mut scratch), &mut gradient);
                    }
                    &passed.backward
                }
                (None, None) => unreachable!("every node behind weights passes gradients"),
            };
            let mut to_inputs: Vec<Option<Vec<f32>>> = node
                .inputs
                .iter()
                .zip(&taken)
                .map(|(&input, taken)| self.has_weights[input].then(|| vec![0.0; taken.len()]))
                .collect();
            let of_layer = &mut of_layers[id];
            if let Some(parameters) = node.op.parameters() {
                of_layer.weights = vec![0.0; parameters.weights.len()];
                of_layer.bias = vec![0.0; self.graph.bias_count(id)];
            }
            let mut to = Gradients {
                inputs: to_inputs.iter_mut().map(|to| to.as_deref_mut()).collect(),
                weights: &mut of_layer.weights,
                bias: &mut of_layer.bias,
            };
            backward(&taken, &gradient, &mut to);
            for (&input, gradient) in node.inputs.iter().zip(to_inputs) {
                if let Some(gradient) = gradient {
                    add(&mut of_value[input], gradient);
                }
            }
            real[id] = None;
        }
        of_layers
    }

    /// Takes the gradient from results of a node without weights that are clamped, by the format or the
    /// activation.
    fn clamp<'v>(
        &self,
        id: NodeId,
        float: &FloatStep,
        (taken, scratch): (&[&'v [f32]], &mut Scratch),
        gradient: &mut [f32],
    ) {
        let (len, format) = (self.nodes[id].shape.len(), self.nodes[id].format);
        let half = 0.5 * format.resolution();
        let low = f64_to_f32(format.dequantize(format.min()) - half);
        let high = f64_to_f32(format.dequantize(format.max()) + half);
        let activation = self.graph.nodes[id].activation;
        let mut y = vec![0.0; len];
        for (image, gradient) in gradient.chunks_exact_mut(len).enumerate() {
            let part = |(&values, &input): (&&'v [f32], &NodeId)| {
                let len = self.nodes[input].shape.len();
                &values[image * len..][..len]
            };
            let inputs: Vec<&[f32]> =
                taken.iter().zip(&self.graph.nodes[id].inputs).map(part).collect();
            float(&inputs, &mut y, scratch);
            for (g, &y) in gradient.iter_mut().zip(&y) {
                let slope = match activation {
                    Activation::Relu if y <= 0.0 => 0.0,
                    Activation::Clip { min, max } if y <= min || y >= max => 0.0,
                    Activation::LeakyRelu { alpha } if y < 0.0 => alpha,
                    _ => 1.0,
                };
                *g *= if (low..=high).contains(&y) { slope } else { 0.0 };
            }
        }
    }
}

/// Adds to a sum that may not have begun.
fn add(sum: &mut Option<Vec<f32>>, more: Vec<f32>) {
    match sum {
        Some(sum) => sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more),
        None => *sum = Some(more),
    }
}

/// Of results before they are clamped: 0 where they are, 2 where they are negative, else 1. From zero on down a result
/// that is not negative is clamped; at any other bound, half a step beyond it.
fn passing(wide: &[i16], [low, high]: [i16; 2], is_of_halves: bool) -> Vec<u8> {
    let [low, high] = match is_of_halves {
        true if low == 0 => [0, 2 * high],
        true => [2 * low - 1, 2 * high],
        false => [low, high],
    };
    wide.iter().map(|&z| u8::from((low..=high).contains(&z)) * (1 + u8::from(z < 0))).collect()
}

impl Stored {
    fn new(element: Element, len: usize) -> Self {
        match element {
            Element::U8 => Self::U8(vec![0; len]),
            Element::I8 => Self::I8(vec![0; len]),
            Element::I16 => Self::I16(vec![0; len]),
        }
    }

    fn part(&self, from: usize, to: usize) -> Integers<'_> {
        match self {
            Self::U8(x) => Integers::U8(&x[from..to]),
            Self::I8(x) => Integers::I8(&x[from..to]),
            Self::I16(x) => Integers::I16(&x[from..to]),
        }
    }

    fn part_mut(&mut self, from: usize, to: usize) -> IntegersMut<'_> {
        match self {
            Self::U8(x) => IntegersMut::U8(&mut x[from..to]),
            Self::I8(x) => IntegersMut::I8(&mut x[from..to]),
            Self::I16(x) => IntegersMut::I16(&mut x[from..to]),
        }
    }

    /// Takes over what lies between bounds, which the elements can hold.
    fn clamp(&mut self, wide: &[i16], [low, high]: [i16; 2]) {
        match self {
            Self::U8(y) => y.iter_mut().zip(wide).for_each(|(y, &z)| {
                *y = saturating_u8(i64::from(z.clamp(low, high)));
            }),
            Self::I8(y) => y.iter_mut().zip(wide).for_each(|(y, &z)| {
                *y = saturating_i8(i64::from(z.clamp(low, high)));
            }),
            Self::I16(y) => y.iter_mut().zip(wide).for_each(|(y, &z)| *y = z.clamp(low, high)),
        }
    }

    fn real(&self, step: f32) -> Vec<f32> {
        match self {
            Self::U8(x) => x.iter().map(|&x| f32::from(x) * step).collect(),
            Self::I8(x) => x.iter().map(|&x| f32::from(x) * step).collect(),
            Self::I16(x) => x.iter().map(|&x| f32::from(x) * step).collect(),
        }
    }
}
