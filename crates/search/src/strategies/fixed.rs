//! One width for everything.

use super::tensors::{Kind, PlanHead, Tensor, bare_plan, prove, quantized_activations};
use crate::statistics::{Offset, Statistics};
use fixedwise_graph::{
    AccumulatorPolicy, Graph, LowerError, Plan, Semantics, Target, lower, lower_for,
};

/// A plan of one width.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// The plan that gives every tensor the same width; where sums cannot be proved to fit 32 bits, weights
/// or what they meet have fewer.
///
/// # Errors
/// [`LowerError`] where no width makes the plan legal.
pub fn plan(
    graph: &Graph,
    statistics: &Statistics,
    options: &FixedOptions,
) -> Result<Plan, LowerError> {
    plan_for(graph, statistics, options, None)
}

/// As [`plan`], for a target: no tensor is wider than it stores, signed formats have its range, and
/// sums fit its accumulators.
///
/// # Errors
/// [`LowerError`] where no width makes the plan legal, or a rule of the target refuses it.
pub fn plan_for(
    graph: &Graph,
    statistics: &Statistics,
    options: &FixedOptions,
    target: Option<&Target>,
) -> Result<Plan, LowerError> {
    let (head, bits, offset) = (&options.head, options.bits, options.offset);
    let nodes = quantized_activations(graph, head.semantics);
    let mut plan = bare_plan(graph, head);
    for kind in [Kind::Weights, Kind::Biases, Kind::Activations] {
        for tensor in Tensor::all(graph, head, kind, &nodes) {
            let tensor = match target {
                Some(target) => tensor.on(target),
                None => tensor,
            };
            let format = tensor.format(graph, statistics, bits, offset, head.quantizer);
            tensor.set(&mut plan, Some(format));
        }
    }
    if head.semantics == Semantics::Integer {
        let policy = AccumulatorPolicy::Prove32;
        prove(graph, &mut plan, |plan| match target {
            None => lower(graph, plan, policy).map(|_| ()),
            Some(target) => lower_for(graph, plan, policy, target).map(|_| ()),
        })?;
    }
    Ok(plan)
}
