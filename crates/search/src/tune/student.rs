//! The numbers that are trained, and the plan that they stand for.

use super::adam::Adam;
use fixedwise_fixed::{
    Format,
    convert::{count_to_f64, exp2, f32_to_i16, f64_to_f32, i64_to_f64, round_ties_even_within},
};
use fixedwise_graph::{Graph, NodeId, Plan, Rounded, run::LayerGradients};
use std::sync::Arc;

/// How far from its integer a weight begins at most, in steps.
const CELL: f32 = 0.45;
/// The least root mean square of weights, in steps, that the rate of their change goes by.
const LEAST_RMS: f64 = 0.3;

/// A plan whose weights and biases are trained.
#[derive(Clone, Debug)]
pub struct Student<'g> {
    graph: &'g Graph,
    plan: Plan,
    layers: Vec<Layer>,
}

/// One layer's numbers.
#[derive(Clone, Debug)]
struct Layer {
    node: NodeId,
    format: Format,
    /// By how many bits each channel's binary point lies right of the format's; empty where none does.
    coarser: Vec<u8>,
    /// In steps, in the layer's own order.
    weights: Vec<f32>,
    /// What is added to each bias, `[class of positions, channel]`.
    bias: Vec<f32>,
    /// Of the result.
    step: f32,
    /// The largest magnitude of its biases at the beginning.
    reach: f64,
}

/// How the numbers of a student move.
#[derive(Clone, Debug)]
pub(super) struct Optimizer {
    layers: Vec<LayerOptimizer>,
}

#[derive(Clone, Debug)]
struct LayerOptimizer {
    weights: Adam,
    bias: Adam,
    /// Of weights and biases, for a rate of one.
    rates: [f32; 2],
}

impl<'g> Student<'g> {
    /// Of a plan whose weights are rounded, on its way from the float network: each weight begins where its integer is
    /// the nearest, as close to the float weight as that allows.
    ///
    /// # Panics
    /// Where the plan is of another graph.
    pub fn new(graph: &'g Graph, plan: &Plan) -> Self {
        let layers = graph.layers().filter_map(|(node, of)| {
            let layer = plan.layer(&of.name).expect("the plan is of this graph");
            let rounded = plan.rounded.get(&of.name)?;
            let format = layer.weights?;
            let biases = graph.biases(node);
            let depth = rounded.weights.len() / of.shape.c.max(1);
            let scale = |at: usize| {
                let coarser = rounded.coarser.get(at / depth).copied().unwrap_or(0);
                f64_to_f32(exp2(i32::from(format.frac) - i32::from(coarser)))
            };
            let float = of.op.weights().unwrap_or(&[]).iter().enumerate();
            let weights = float.zip(&rounded.weights).map(|((at, &w), &q)| {
                let (v, q) = (w * scale(at), f32::from(q));
                // Of a sign, all on its side.
                if format.is_bipolar() {
                    q * (q * v).clamp(0.5 - CELL, 1.0)
                } else {
                    v.clamp(q - CELL, q + CELL)
                }
            });
            Some(Layer {
                node,
                format,
                coarser: rounded.coarser.clone(),
                weights: weights.collect(),
                bias: rounded.bias.iter().copied().cycle().take(biases.len()).collect(),
                step: f64_to_f32(layer.activation.map_or(1.0, Format::resolution)),
                reach: largest(&rounded.bias(&biases)),
            })
        });
        Self { graph, plan: plan.clone(), layers: layers.collect() }
    }

    /// The plan that it stands for.
    pub fn plan(&self) -> Plan {
        let mut plan = self.plan.clone();
        for layer in &self.layers {
            let name = &self.graph.nodes[layer.node].name;
            let integer = |&v: &f32| layer.integer(v);
            let rounded = Rounded {
                weights: layer.weights.iter().map(integer).collect(),
                scales: vec![1.0; self.graph.nodes[layer.node].shape.c],
                bias: layer.bias.clone(),
                coarser: layer.coarser.clone(),
            };
            if let Some(format) = plan.layer_mut(name).and_then(|layer| layer.bias.as_mut()) {
                // Its step stays; its range grows where the largest bias does, beyond it.
                let most = largest(&rounded.bias(&self.graph.biases(layer.node)));
                let most = if most > layer.reach { most } else { 0.0 };
                while format.bits < 32 && most > format.dequantize(Format::max(*format)) {
                    format.bits += 1;
                }
            }
            plan.rounded.insert(name.clone(), Arc::new(rounded));
        }
        plan
    }

    /// Another format of the weights of a layer: they stay where they are as far as its range allows.
    pub fn set_weights(&mut self, node: NodeId, format: Format) {
        let Some(layer) = self.layers.iter_mut().find(|layer| layer.node == node) else { return };
        let scale = f64_to_f32(exp2(i32::from(format.frac) - i32::from(layer.format.frac)));
        layer.format = format;
        let [low, high] = layer.ends();
        let moved = |v: &mut f32| *v = (*v * scale).clamp(low, high);
        layer.weights.iter_mut().for_each(moved);
        if let Some(plan) = self.plan.layer_mut(&self.graph.nodes[node].name) {
            plan.weights = Some(format);
        }
    }

    /// Other formats of results.
    pub fn set_result(&mut self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.plan);
        for layer in &mut self.layers {
            let plan = self.plan.layer(&self.graph.nodes[layer.node].name);
            let format = plan.and_then(|plan| plan.activation);
            layer.step = f64_to_f32(format.map_or(1.0, Format::resolution));
        }
    }

    /// Whether all numbers are finite.
    pub(super) fn is_finite(&self) -> bool {
        let of = |layer: &Layer| layer.weights.iter().chain(&layer.bias).all(|x| x.is_finite());
        self.layers.iter().all(of)
    }
}

impl Layer {
    /// Of weights and biases, for a rate of one.
    fn rates(&self) -> [f32; 2] {
        let squares: f64 = self.weights.iter().map(|&v| f64::from(v).powi(2)).sum();
        let rms = (squares / count_to_f64(self.weights.len().max(1))).sqrt();
        [f64_to_f32(rms.max(LEAST_RMS)), self.step]
    }

    /// The smallest and the largest integer.
    fn bounds(&self) -> [f32; 2] {
        [self.format.min(), self.format.max()].map(|end| f64_to_f32(i64_to_f64(end)))
    }

    /// Between what numbers weights stay: half a step beyond the integers.
    fn ends(&self) -> [f32; 2] {
        let beyond = if self.format.is_bipolar() { 0.0 } else { 0.5 };
        let [low, high] = self.bounds();
        [low - beyond, high + beyond]
    }

    /// The integer that stands for a weight.
    fn integer(&self, v: f32) -> i16 {
        if self.format.is_bipolar() {
            return if v < 0.0 { -1 } else { 1 };
        }
        let [low, high] = self.bounds();
        f32_to_i16(round_ties_even_within(v.clamp(low, high)))
    }
}

impl Optimizer {
    /// At rest.
    pub(super) fn new(student: &Student) -> Self {
        let layer = |layer: &Layer| LayerOptimizer {
            weights: Adam::new(layer.weights.len()),
            bias: Adam::new(layer.bias.len()),
            rates: layer.rates(),
        };
        Self { layers: student.layers.iter().map(layer).collect() }
    }

    /// Moves all numbers against their gradients, by node.
    pub(super) fn step(&mut self, student: &mut Student, gradients: &[LayerGradients], rate: f32) {
        for (layer, own) in student.layers.iter_mut().zip(&mut self.layers) {
            let LayerGradients { weights, bias } = &gradients[layer.node];
            let [of_weights, of_bias] = own.rates.map(|own| rate * own);
            own.weights.step(&mut layer.weights, weights, of_weights);
            own.bias.step(&mut layer.bias, bias, of_bias);
            let [low, high] = layer.ends();
            layer.weights.iter_mut().for_each(|v| *v = v.clamp(low, high));
        }
    }
}

/// The largest magnitude.
fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |max, x| max.max(x.abs()))
}
