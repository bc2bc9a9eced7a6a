//! What a search layer by layer has in hand, and how it measures plans.

use crate::{
    error::SearchError,
    evaluate::{Evaluation, Oracle},
    score::MaxLoss,
    statistics::{Offset, Statistics},
    strategies::{
        objective::{Guide, Objective},
        observer::{Event, Observer},
        options::{Budget, Holding, SearchOptions},
        outcome::{Outcome, TraceEntry},
        tensors::{Kind, PlanHead, Tensor},
    },
};
use fixedwise_graph::{Graph, LowerError, NodeId, Plan, Semantics, Target};

/// How a search layer by layer goes.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerwiseOptions {
    /// What plans say beside formats.
    pub head: PlanHead,
    /// The bound; the budgets of kinds and layers divide it.
    pub max_loss: MaxLoss,
    /// Where binary points start.
    pub offset: Offset,
    /// Formats to start from; tensors without one start at [`SearchOptions::start_bits`].
    pub start: Option<Plan>,
    /// The way through the kinds and layers.
    pub search: SearchOptions,
    /// What is made small; in integer semantics only, but for [`Objective::Memory`].
    pub objective: Objective,
    /// What the plan is for; in integer semantics only. Flash and RAM are those of
    /// [`Target::default`] without.
    pub target: Option<Target>,
}

impl LayerwiseOptions {
    /// The paper's, in either semantics.
    pub fn new(semantics: Semantics) -> Self {
        Self {
            head: PlanHead::of(semantics),
            max_loss: MaxLoss::default(),
            offset: Offset::NoClip,
            start: None,
            search: SearchOptions::default(),
            objective: Objective::Memory,
            target: None,
        }
    }
}

/// Why a search ends before its end.
pub(super) enum End {
    Stopped,
    Failed(SearchError),
}

impl From<SearchError> for End {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Stopped => Self::Stopped,
            error => Self::Failed(error),
        }
    }
}

impl From<LowerError> for End {
    fn from(error: LowerError) -> Self {
        Self::Failed(error.into())
    }
}

/// A plan and what it gives, once that is known.
#[derive(Clone)]
pub(super) struct Standing {
    pub(super) plan: Plan,
    pub(super) evaluation: Option<Evaluation>,
}

pub(super) struct Search<'a, O> {
    pub(super) graph: &'a Graph,
    pub(super) statistics: &'a Statistics,
    pub(super) oracle: &'a mut O,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) options: &'a LayerwiseOptions,
    pub(super) holding: Holding,
    pub(super) guide: Guide,
    pub(super) nodes: Vec<NodeId>,
    /// Of the kinds, in their order.
    pub(super) budgets: [Budget; 3],
    /// The bound on the relative loss.
    pub(super) bound: f64,
    pub(super) float_correct: usize,
    /// What tensors that are not reached stand at.
    pub(super) reference: Standing,
    /// What the formats of a tensor are tried in.
    pub(super) base: Standing,
    /// Everything found so far, the rest at the reference.
    pub(super) found: Standing,
    /// The last plan that kept to the bound.
    pub(super) best: Option<Standing>,
    pub(super) trace: Vec<TraceEntry>,
    pub(super) tensors: usize,
    pub(super) tensors_done: usize,
    pub(super) evaluations: usize,
}

impl<O: Oracle> Search<'_, O> {
    pub(super) fn outcome(self, ended: Result<(), End>) -> Result<Outcome, SearchError> {
        let is_finished = match ended {
            Ok(()) => true,
            Err(End::Stopped) => false,
            Err(End::Failed(error)) => return Err(error),
        };
        // In simulated semantics an earlier plan has tensors in float: no answer to a whole search.
        let is_earlier_legal = self.is_integer() || !is_finished;
        let Standing { plan, evaluation } =
            self.best.filter(|_| is_earlier_legal).unwrap_or(self.found);
        let bound_met = evaluation.is_some_and(|e| is_met(self.oracle, self.options.max_loss, &e));
        let trace = self.trace;
        Ok(Outcome { evaluation, bound_met, is_finished, trace, ..Outcome::new(plan) })
    }

    pub(super) fn is_integer(&self) -> bool {
        self.options.head.semantics == Semantics::Integer
    }

    pub(super) fn tensors_of(&self, kind: Kind) -> Vec<Tensor> {
        let all = Tensor::all(self.graph, &self.options.head, kind, &self.nodes);
        all.into_iter().map(|tensor| self.guide.tensor(tensor)).collect()
    }

    pub(super) fn evaluate(
        &mut self,
        plan: &Plan,
        focus: Option<NodeId>,
        at_least: Option<usize>,
    ) -> Result<Evaluation, End> {
        let evaluation = self.oracle.evaluate(plan, focus, at_least)?;
        self.evaluations += 1;
        Ok(evaluation)
    }

    /// What is held against the bound: the relative loss or, where the loss of each class is bounded too and the
    /// worst takes more of its bound, the same part of this one.
    pub(super) fn lost(&self, evaluation: &Evaluation) -> f64 {
        let loss = evaluation.relative_loss();
        let of_class = self.oracle.class_part(evaluation, 0.0);
        of_class.map_or(loss, |part| loss.max(part * self.bound))
    }

    pub(super) fn tell(&mut self, event: &Event) -> Result<(), End> {
        if self.observer.event(event).is_break() { Err(End::Stopped) } else { Ok(()) }
    }

    pub(super) fn whole(&mut self, plan: &Plan, evaluation: &Evaluation) -> Result<(), End> {
        self.tell(&Event::Whole { plan, evaluation })
    }

    /// Takes note of a plan that was found.
    pub(super) fn settle(&mut self, found: Standing) {
        let max_loss = self.options.max_loss;
        if found.evaluation.as_ref().is_some_and(|e| is_met(self.oracle, max_loss, e)) {
            self.best = Some(found.clone());
        }
        self.found = found;
    }
}

/// Whether a plan keeps to the bound, and each class to its own.
fn is_met<O: Oracle>(oracle: &O, max_loss: MaxLoss, evaluation: &Evaluation) -> bool {
    let of_class = oracle.class_part(evaluation, 0.0).unwrap_or(0.0);
    evaluation.is_complete && max_loss.is_met(&evaluation.score) && of_class <= 1.0
}
