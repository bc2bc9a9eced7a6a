//! What the searches layer by layer have in common: where each kind starts, what a layer may
//! lose, what a format is tried with, and the best plan so far.

mod search;
mod walk;

pub use search::LayerwiseOptions;

use super::{
    objective::Guide,
    observer::{Event, Observer},
    options::{Budget, Holding, SearchOptions},
    outcome::Outcome,
    tensors::{Kind, Tensor, bare_plan, prove},
};
use crate::{error::SearchError, evaluate::Oracle, statistics::Statistics};
use fixedwise_fixed::{Format, Range, convert::count_to_f64};
use fixedwise_graph::{Graph, Plan};
use search::{End, Search, Standing};

/// Searches a plan, layer by layer.
///
/// Tensors that the search has not reached are float in simulated semantics. In integer semantics
/// weights and activations stand at the width the search starts from, proved to fit 32-bit sums,
/// and biases at the accumulator's scale. So in integer semantics every plan on the way is an
/// answer, and a candidate that cannot be proved is none.
pub(in crate::strategies) fn search<O: Oracle>(
    graph: &Graph,
    statistics: &Statistics,
    oracle: &mut O,
    observer: &mut dyn Observer,
    options: &LayerwiseOptions,
    holding: Holding,
) -> Result<Outcome, SearchError> {
    let SearchOptions { order, budgets, .. } = &options.search;
    let guide = Guide::new(graph, options.objective, options.target.as_ref())?;
    let nodes = options.search.nodes(graph, options.head.semantics)?;
    let (n, float_correct) = oracle.float_score();
    let bound = options.max_loss.as_relative(float_correct, n);
    let all = order.map(|kind| {
        let tensors = Tensor::all(graph, &options.head, kind, &nodes);
        tensors.into_iter().map(|tensor| guide.tensor(tensor)).collect()
    });
    let of_objective = || guide.budgets(graph, &all, bound, holding);
    let budgets = budgets.clone().or_else(of_objective).unwrap_or_else(|| match holding {
        Holding::Everything => Budget::paper(*order),
        Holding::SameKind => [Budget::Linear, Budget::Linear, Budget::Linear],
        Holding::Nothing => [Budget::Share, Budget::Share, Budget::Share],
    });
    let bare = Standing { plan: bare_plan(graph, &options.head), evaluation: None };
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
            let is_enough = self.lost(&evaluation) <= self.bound / 2.0;
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
            let is_met = self.found.evaluation.is_some_and(|e| self.lost(&e) <= self.bound);
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
