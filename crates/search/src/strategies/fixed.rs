//! One width for everything.

use super::tensors::{Kind, PlanHead, Tensor, bare_plan, prove, quantized_activations};
use crate::statistics::{Offset, Statistics};
use fixedwise_graph::{AccumulatorPolicy, Graph, LowerError, Plan, Semantics, lower};

/// A plan of one width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedOptions {
    /// What the plan says beside formats.
    pub head: PlanHead,
    /// Of weights, biases and activations; unsigned activations have at most 15.
    pub bits: u8,
    /// Where their binary points are.
    pub offset: Offset,
}

impl Default for FixedOptions {
    /// The paper's baseline: 8 bits, nothing clips; as integers.
    fn default() -> Self {
        Self { head: PlanHead::INTEGER, bits: 8, offset: Offset::NoClip }
    }
}

/// The plan that gives every tensor the same width; weights of layers whose sums cannot be proved
/// to fit 32 bits have fewer.
///
/// # Errors
/// [`LowerError`] where no width makes the plan legal.
pub fn plan(
    graph: &Graph,
    statistics: &Statistics,
    options: &FixedOptions,
) -> Result<Plan, LowerError> {
    let semantics = options.head.semantics;
    let nodes = quantized_activations(graph, semantics);
    let mut plan = bare_plan(graph, options.head);
    for kind in [Kind::Weights, Kind::Biases, Kind::Activations] {
        for tensor in Tensor::all(graph, semantics, kind, &nodes) {
            let format = tensor.format(
                graph,
                statistics,
                options.bits,
                options.offset,
                options.head.quantizer,
            );
            tensor.set(&mut plan, Some(format));
        }
    }
    if semantics == Semantics::Integer {
        prove(&mut plan, |plan| lower(graph, plan, AccumulatorPolicy::Prove32).map(|_| ()))?;
    }
    Ok(plan)
}
