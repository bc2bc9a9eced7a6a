//! Plans that differ in little share what they have in common: operations and packed weights.

use super::Program;
use crate::{
    error::LowerError,
    fixed_graph::FixedGraph,
    fixed_operator::{FixedOp, FixedStep},
    graph::Graph,
    lower::{
        context::{AccumulatorPolicy, Decided, LowerContext},
        lower_by,
    },
    plan::Plan,
    shape::Shape,
    target::Target,
};
use fixedwise_kernels::Kernels;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Plans of which a node's operation is kept: the one in hand, and the one tried beside it.
const KEPT: usize = 2;

/// Lowers plans of one graph, and makes them ready to run, where they differ from the plans before.
///
/// What comes out is what [`lower`](crate::lower()) and [`Program::fixed`] give. It keeps at most two
/// operations of each node, so twice the weights of the network.
pub struct StepCache<'a> {
    graph: &'a Graph,
    target: Option<Target>,
    kernels: &'static Kernels,
    /// By node, the latest first.
    known: Mutex<Vec<Vec<Known>>>,
}

/// A node under some plan.
struct Known {
    decided: Decided,
    op: FixedOp,
    /// Once it was asked for.
    step: Option<FixedStep>,
}

impl std::fmt::Debug for StepCache<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StepCache").field("graph", &self.graph.name).finish_non_exhaustive()
    }
}

impl<'a> StepCache<'a> {
    /// Of plans for a graph, and for a target whose rules they must keep.
    pub fn new(graph: &'a Graph, target: Option<Target>, kernels: &'static Kernels) -> Self {
        let known = graph.nodes.iter().map(|_| Vec::new()).collect();
        Self { graph, target, kernels, known: Mutex::new(known) }
    }

    /// The integer network of a plan.
    ///
    /// # Errors
    /// As [`lower`](crate::lower()) and, with a target, [`lower_for`](crate::lower_for()).
    pub fn lower(&self, plan: &Plan, policy: AccumulatorPolicy) -> Result<FixedGraph, LowerError> {
        self.lower_in(&mut self.known(), plan, policy)
    }

    /// The integer network of a plan, and what runs it.
    ///
    /// # Errors
    /// As [`StepCache::lower`].
    pub fn program(
        &self,
        plan: &Plan,
        policy: AccumulatorPolicy,
    ) -> Result<(FixedGraph, Program), LowerError> {
        let mut known = self.known();
        let fixed = self.lower_in(&mut known, plan, policy)?;
        let step = |id: usize| {
            // What was lowered last comes first.
            let known = &mut known[id][0];
            let step = known.step.get_or_insert_with(|| {
                let node = &fixed.nodes[id];
                let shapes: Vec<Shape> =
                    node.inputs.iter().map(|&input| fixed.nodes[input].shape).collect();
                known.op.prepare(&shapes, node.shape, self.kernels)
            });
            step.clone()
        };
        let program = Program::of_steps(&fixed, self.kernels, step);
        Ok((fixed, program))
    }

    fn lower_in(
        &self,
        known: &mut [Vec<Known>],
        plan: &Plan,
        policy: AccumulatorPolicy,
    ) -> Result<FixedGraph, LowerError> {
        let lower_node = |id: usize, context: LowerContext| {
            let known = &mut known[id];
            let found = known.iter().position(|known| context.is_of(&known.decided));
            let latest = if let Some(at) = found {
                known.remove(at)
            } else {
                let op = self.graph.nodes[id].op.lower(&context)?;
                known.truncate(KEPT - 1);
                Known { decided: context.decided(), op, step: None }
            };
            known.insert(0, latest);
            Ok(known[0].op.clone())
        };
        lower_by(self.graph, plan, policy, self.target.as_ref(), lower_node)
    }

    fn known(&self) -> MutexGuard<'_, Vec<Vec<Known>>> {
        // Each entry is whole at any time.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
