//! What the searches layer by layer have in common: where each kind starts, what a layer may
//! lose, what a format is tried with, and the best plan so far.

use super::{
    Event, Observer, Outcome, TraceEntry,
    objective::{Guide, Objective},
    options::{Budget, SearchOptions},
    tensors::{Kind, PlanHead, Tensor, bare_plan, prove},
};
use crate::{
    error::SearchError,
    evaluate::{Evaluation, Oracle},
    score::MaxLoss,
    statistics::{Offset, Statistics},
};
use fixedwise_fixed::{Format, Range, convert::count_to_f64};
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

/// What is quantized while a format is tried; the rest stands at the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    /// All that is found.
    Everything,
    /// What is found of the same kind.
    SameKind,
    /// The tensor alone.
    Nothing,
}

/// Searches a plan, layer by layer.
///
/// Tensors that the search has not reached are float in simulated semantics. In integer semantics
/// weights and activations stand at the width the search starts from, proved to fit 32-bit sums,
/// and biases at the accumulator's scale. So in integer semantics every plan on the way is an
/// answer, and a candidate that cannot be proved is none.
pub(super) fn search<O: Oracle>(
    graph: &Graph,
    statistics: &Statistics,
    oracle: &mut O,
    observer: &mut dyn Observer,
    options: &LayerwiseOptions,
    holding: Holding,
) -> Result<Outcome, SearchError> {
    let SearchOptions { order, budgets, .. } = &options.search;
    let guide = Guide::new(options.objective, options.target.as_ref())?;
    let nodes = options.search.nodes(graph, options.head.semantics)?;
    let (n, float_correct) = oracle.float_score();
    let bound = options.max_loss.as_relative(float_correct, n);
    let all = order.map(|kind| {
        let tensors = Tensor::all(graph, options.head.semantics, kind, &nodes);
        tensors.into_iter().map(|tensor| guide.tensor(tensor)).collect()
    });
    let of_objective = || guide.budgets(graph, &all, bound, holding);
    let budgets = budgets.clone().or_else(of_objective).unwrap_or_else(|| match holding {
        Holding::Everything => Budget::paper(*order),
        Holding::SameKind => [Budget::Linear, Budget::Linear, Budget::Linear],
        Holding::Nothing => [Budget::Share, Budget::Share, Budget::Share],
    });
    let bare = Standing { plan: bare_plan(graph, options.head), evaluation: None };
    let searched = order.iter().zip(&all).filter(|(kind, _)| !guide.is_idle(**kind));
    let tensors = searched.map(|(_, tensors)| tensors.len()).sum();
    let mut search = Search {
        graph,
        statistics,
        oracle,
        observer,
        options,
        holding,
        guide,
        nodes,
        budgets,
        bound,
        float_correct,
        reference: bare.clone(),
        base: bare.clone(),
        found: bare,
        best: None,
        trace: Vec::new(),
        tensors,
        tensors_done: 0,
        evaluations: 0,
    };
    let ended = search.run();
    search.outcome(ended)
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
    graph: &'a Graph,
    statistics: &'a Statistics,
    pub(super) oracle: &'a mut O,
    observer: &'a mut dyn Observer,
    pub(super) options: &'a LayerwiseOptions,
    holding: Holding,
    pub(super) guide: Guide,
    nodes: Vec<NodeId>,
    /// Of the kinds, in their order.
    budgets: [Budget; 3],
    /// The bound on the relative loss.
    bound: f64,
    pub(super) float_correct: usize,
    /// What tensors that are not reached stand at.
    reference: Standing,
    /// What the formats of a tensor are tried in.
    pub(super) base: Standing,
    /// Everything found so far, the rest at the reference.
    found: Standing,
    /// The last plan that kept to the bound.
    best: Option<Standing>,
    pub(super) trace: Vec<TraceEntry>,
    pub(super) tensors: usize,
    pub(super) tensors_done: usize,
    pub(super) evaluations: usize,
}

impl<O: Oracle> Search<'_, O> {
    fn run(&mut self) -> Result<(), End> {
        if self.is_integer() {
            // Weights and activations wide, biases at the accumulator's scale.
            self.reference.plan = self.start(&[Kind::Weights, Kind::Activations])?;
        }
        let plan = self.reference.plan.clone();
        let evaluation = self.evaluate(&plan, None, None)?;
        self.reference.evaluation = Some(evaluation);
        self.base = self.reference.clone();
        self.settle(self.reference.clone());
        self.whole(&plan, &evaluation)?;
        let order = self.options.search.order;
        let is_counted = |kind| self.guide.is_counted(self.graph, &self.tensors_of(kind));
        let last = order.iter().rposition(|&kind| is_counted(kind));
        for position in 0..order.len() {
            self.search_kind(position)?;
            if Some(position) == last {
                self.spend_the_rest()?;
            }
        }
        Ok(())
    }

    fn outcome(self, ended: Result<(), End>) -> Result<Outcome, SearchError> {
        let is_finished = match ended {
            Ok(()) => true,
            Err(End::Stopped) => false,
            Err(End::Failed(error)) => return Err(error),
        };
        // In simulated semantics an earlier plan has tensors in float: no answer to a whole search.
        let is_earlier_legal = self.is_integer() || !is_finished;
        let Standing { plan, evaluation } =
            self.best.filter(|_| is_earlier_legal).unwrap_or(self.found);
        let bound_met =
            evaluation.is_some_and(|e| e.is_complete && self.options.max_loss.is_met(&e.score));
        let trace = self.trace;
        Ok(Outcome { evaluation, bound_met, is_finished, trace, ..Outcome::new(plan) })
    }

    pub(super) fn is_integer(&self) -> bool {
        self.options.head.semantics == Semantics::Integer
    }

    fn tensors_of(&self, kind: Kind) -> Vec<Tensor> {
        let all = Tensor::all(self.graph, self.options.head.semantics, kind, &self.nodes);
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

    pub(super) fn tell(&mut self, event: &Event) -> Result<(), End> {
        if self.observer.event(event).is_break() { Err(End::Stopped) } else { Ok(()) }
    }

    fn whole(&mut self, plan: &Plan, evaluation: &Evaluation) -> Result<(), End> {
        self.tell(&Event::Whole { plan, evaluation })
    }

    /// Takes note of a plan that was found.
    fn settle(&mut self, found: Standing) {
        let is_met = |e: &Evaluation| e.is_complete && self.options.max_loss.is_met(&e.score);
        if found.evaluation.as_ref().is_some_and(is_met) {
            self.best = Some(found.clone());
        }
        self.found = found;
    }

    /// What the plan to start from says of a tensor.
    fn given(&self, tensor: &Tensor) -> Option<Format> {
        let format = self.options.start.as_ref().and_then(|plan| tensor.of(plan));
        format.map(|format| tensor.fitted(format))
    }

    /// The reference with all of some kinds at the width to start from, or `extra` bits above.
    fn at_width(&self, kinds: &[Kind], extra: u8) -> Result<Plan, End> {
        let mut plan = self.reference.plan.clone();
        for &kind in kinds {
            let bits = self.options.search.start_bits.of(kind).saturating_add(extra);
            for tensor in self.tensors_of(kind) {
                let (rule, quantizer) = (self.options.offset, self.options.head.quantizer);
                let format = match self.given(&tensor) {
                    Some(format) => tensor.widened(format, extra),
                    None => tensor.format(self.graph, self.statistics, bits, rule, quantizer),
                };
                tensor.set(&mut plan, Some(format));
            }
        }
        prove(self.graph, &mut plan, |plan| self.oracle.check(plan))?;
        Ok(plan)
    }

    /// The reference with all of some kinds at the width to start from: the first, going up, at
    /// which they lose no more than half of the bound; else the widest.
    fn start(&mut self, kinds: &[Kind]) -> Result<Plan, End> {
        let widest = kinds
            .iter()
            .map(|&kind| {
                let start = self.options.search.start_bits.of(kind);
                let given = self.tensors_of(kind).into_iter().filter_map(|t| self.given(&t));
                let narrowest = given.map(|format| format.bits).min().unwrap_or(start).min(start);
                kind.max_bits(Range::Narrow).saturating_sub(narrowest)
            })
            .max()
            .unwrap_or(0);
        let step = self.options.search.start_step;
        let mut extra = 0;
        loop {
            let plan = self.at_width(kinds, extra)?;
            let evaluation = self.evaluate(&plan, None, None)?;
            self.whole(&plan, &evaluation)?;
            let is_enough = evaluation.relative_loss() <= self.bound / 2.0;
            if is_enough || extra >= widest || step == 0 {
                return Ok(plan);
            }
            extra = widest.min(extra.saturating_add(step));
        }
    }

    fn search_kind(&mut self, position: usize) -> Result<(), End> {
        let kind = self.options.search.order[position];
        let tensors = self.tensors_of(kind);
        if tensors.is_empty() || self.guide.is_idle(kind) {
            return Ok(());
        }
        self.tell(&Event::Phase { kind, tensors: tensors.len() })?;
        let start = self.start(&[kind])?;
        if self.holding == Holding::SameKind {
            self.base = self.reference.clone();
        }
        let free = match kind {
            Kind::Activations => self.guide.free(self.graph, &tensors, &self.found.plan)?,
            Kind::Weights | Kind::Biases => vec![false; tensors.len()],
        };
        for (idx, tensor) in tensors.iter().enumerate() {
            if free[idx] {
                self.tensors_done += 1;
                continue;
            }
            if self.holding == Holding::Nothing {
                self.base = self.reference.clone();
            }
            let from = tensor.of(&start).expect("the start gives each of the kind a format");
            let budget = self.budget(position, idx, tensors.len());
            if let Some((format, evaluation)) = self.walk(tensor, from, budget)? {
                tensor.set(&mut self.base.plan, Some(format));
                self.base.evaluation = Some(evaluation);
                self.hold(tensor, format)?;
            }
            self.tell_chosen(tensor)?;
        }
        Ok(())
    }

    /// Once more through the tensors that save most, with what the loss of all of them has left of
    /// the bound; not in the paper's walk.
    fn spend_the_rest(&mut self) -> Result<(), End> {
        if self.holding != Holding::Everything {
            return Ok(());
        }
        let order = self.options.search.order;
        let all: Vec<Tensor> = order.iter().flat_map(|&kind| self.tensors_of(kind)).collect();
        for tensor in self.guide.worth_another_step(self.graph, &all, &self.found.plan)? {
            let is_met = self.found.evaluation.is_some_and(|e| e.relative_loss() <= self.bound);
            let Some(from) = tensor.of(&self.found.plan).filter(|_| is_met) else { continue };
            self.tensors += 1;
            self.base = self.found.clone();
            let bound = self.bound;
            if let Some((format, evaluation)) = self.walk(&tensor, from, bound)? {
                tensor.set(&mut self.base.plan, Some(format));
                self.base.evaluation = Some(evaluation);
                self.settle(self.base.clone());
            }
            self.tell_chosen(&tensor)?;
        }
        Ok(())
    }

    /// Tells what a tensor has after its turn.
    fn tell_chosen(&mut self, tensor: &Tensor) -> Result<(), End> {
        self.tensors_done += 1;
        let Standing { plan, evaluation } = self.found.clone();
        if let (Some(format), Some(evaluation)) = (tensor.of(&plan), evaluation) {
            self.tell(&Event::Chosen {
                tensor,
                format,
                plan: &plan,
                evaluation: &evaluation,
                done: self.tensors_done,
                tensors: self.tensors,
            })?;
        }
        Ok(())
    }

    /// The loss allowed once tensor `idx` of `count` has its format.
    fn budget(&self, position: usize, idx: usize, count: usize) -> f64 {
        let total = self.bound / 2.0;
        let reached = total * count_to_f64(idx + 1) / count_to_f64(count);
        match &self.budgets[position] {
            Budget::Linear => reached,
            Budget::Flat => total,
            Budget::Offset => total + reached,
            Budget::Whole => self.bound,
            Budget::Share => total / count_to_f64(count),
            Budget::Losses(losses) => losses[idx],
        }
    }

    /// Adds a format to what is found. Formats that were proved apart need not be provable
    /// together: then weights get narrower, or the tensor stays as it was.
    fn hold(&mut self, tensor: &Tensor, format: Format) -> Result<(), End> {
        let mut plan = self.found.plan.clone();
        tensor.set(&mut plan, Some(format));
        if plan == self.base.plan {
            self.settle(self.base.clone());
            return Ok(());
        }
        if prove(self.graph, &mut plan, |plan| self.oracle.check(plan)).is_ok() {
            let evaluation = Some(self.evaluate(&plan, None, None)?);
            self.settle(Standing { plan, evaluation });
        }
        Ok(())
    }
}
