//! The paper's search: kind after kind, layer after layer, each with everything before it already
//! quantized.
//!
//! Source: Goyal, Vanschoren, van Acht, Nijssen, "Fixed-point Quantization of Convolutional Neural
//! Networks for Quantized Inference on Embedded Platforms", arXiv 2102.02147 (2021), section
//! "optimized search".

use super::{
    Event, Observer, Outcome, TraceEntry,
    tensors::{Kind, PlanHead, Tensor, bare_plan, layer_order, prove},
};
use crate::{
    error::SearchError,
    evaluate::{Evaluation, Oracle},
    score::{MaxLoss, least_correct},
    statistics::{Offset, Statistics},
};
use fixedwise_fixed::{Format, convert::count_to_f64};
use fixedwise_graph::{Graph, LowerError, NodeId, Plan, Semantics};
use std::collections::BTreeMap;

/// Evaluations a tensor usually takes, for the estimate of how many are left.
const PER_TENSOR: usize = 15;

/// The width at which the search of each kind begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartBits {
    /// Of weights.
    pub weights: u8,
    /// Of biases.
    pub biases: u8,
    /// Of activations.
    pub activations: u8,
}

impl StartBits {
    const fn of(self, kind: Kind) -> u8 {
        match kind {
            Kind::Weights => self.weights,
            Kind::Biases => self.biases,
            Kind::Activations => self.activations,
        }
    }
}

/// How the search goes; the default is the paper's.
#[derive(Clone, Debug, PartialEq)]
pub struct JointOptions {
    /// What plans say beside formats.
    pub head: PlanHead,
    /// The bound; the budgets of kinds and layers divide it.
    pub max_loss: MaxLoss,
    /// The kinds, in the order in which they are searched.
    pub order: [Kind; 3],
    /// Where each begins.
    pub start_bits: StartBits,
    /// What is added to them while the kind alone loses more than half of the bound.
    pub start_step: u8,
    /// How much better (in relative loss) a wider neighbor must be to be taken.
    pub trade_off: f64,
    /// Reach of the local search, in bits and binary points.
    pub window: u8,
    /// Names of layers in the order they are searched; empty for the order by distance from the
    /// input.
    pub layer_order: Vec<String>,
    /// Where binary points start.
    pub offset: Offset,
}

impl JointOptions {
    /// The paper's, in either semantics.
    pub fn new(semantics: Semantics) -> Self {
        Self {
            head: PlanHead::of(semantics),
            max_loss: MaxLoss::default(),
            order: [Kind::Weights, Kind::Biases, Kind::Activations],
            start_bits: StartBits { weights: 12, biases: 8, activations: 12 },
            start_step: 4,
            trade_off: 0.0015,
            window: 1,
            layer_order: Vec::new(),
            offset: Offset::NoClip,
        }
    }
}

/// Searches a plan.
///
/// Tensors that the search has not reached are float in simulated semantics. In integer semantics
/// weights and activations stand at the width the search starts from, proved to fit 32-bit sums,
/// and biases at the accumulator's scale. So in integer semantics every plan on the way is an
/// answer, and a candidate that cannot be proved is none.
///
/// # Errors
/// Where the graph has no legal plan at the widest formats, the layer order is not one of this
/// network, or an evaluation fails. A search that is stopped is not an error.
pub fn joint<O: Oracle>(
    graph: &Graph,
    statistics: &Statistics,
    oracle: &mut O,
    observer: &mut dyn Observer,
    options: &JointOptions,
) -> Result<Outcome, SearchError> {
    let nodes = layer_order(graph, options.head.semantics, &options.layer_order)?;
    let (n, float_correct) = oracle.float_score();
    let plan = bare_plan(graph, options.head);
    let tensors: usize = options
        .order
        .iter()
        .map(|&kind| Tensor::all(graph, options.head.semantics, kind, &nodes).len())
        .sum();
    let mut search = Search {
        graph,
        statistics,
        oracle,
        observer,
        options,
        nodes,
        bound: options.max_loss.as_relative(float_correct, n),
        float_correct,
        reference: plan.clone(),
        plan,
        evaluation: None,
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
enum End {
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

struct Search<'a, O> {
    graph: &'a Graph,
    statistics: &'a Statistics,
    oracle: &'a mut O,
    observer: &'a mut dyn Observer,
    options: &'a JointOptions,
    nodes: Vec<NodeId>,
    /// The bound on the relative loss.
    bound: f64,
    float_correct: usize,
    /// What tensors that are not reached stand at.
    reference: Plan,
    /// Everything found so far, the rest at the reference.
    plan: Plan,
    /// Of `plan`.
    evaluation: Option<Evaluation>,
    /// The last plan that kept to the bound.
    best: Option<(Plan, Evaluation)>,
    trace: Vec<TraceEntry>,
    tensors: usize,
    tensors_done: usize,
    evaluations: usize,
}

impl<O: Oracle> Search<'_, O> {
    fn run(&mut self) -> Result<(), End> {
        if self.is_integer() {
            self.make_reference()?;
        }
        self.plan = self.reference.clone();
        let plan = self.plan.clone();
        let evaluation = self.evaluate(&plan, None, None)?;
        self.settle(evaluation);
        self.whole(&plan, &evaluation)?;
        for position in 0..self.options.order.len() {
            self.search_kind(position)?;
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
        let is_earlier_legal = self.options.head.semantics == Semantics::Integer || !is_finished;
        let (plan, evaluation) = match self.best {
            Some((plan, evaluation)) if is_earlier_legal => (plan, Some(evaluation)),
            _ => (self.plan, self.evaluation),
        };
        let bound_met =
            evaluation.is_some_and(|e| e.is_complete && self.options.max_loss.is_met(&e.score));
        Ok(Outcome { plan, evaluation, bound_met, is_finished, trace: self.trace })
    }

    fn is_integer(&self) -> bool {
        self.options.head.semantics == Semantics::Integer
    }

    fn tensors_of(&self, kind: Kind) -> Vec<Tensor> {
        Tensor::all(self.graph, self.options.head.semantics, kind, &self.nodes)
    }

    fn evaluate(
        &mut self,
        plan: &Plan,
        focus: Option<NodeId>,
        at_least: Option<usize>,
    ) -> Result<Evaluation, End> {
        let evaluation = self.oracle.evaluate(plan, focus, at_least)?;
        self.evaluations += 1;
        Ok(evaluation)
    }

    fn tell(&mut self, event: &Event) -> Result<(), End> {
        if self.observer.event(event).is_break() { Err(End::Stopped) } else { Ok(()) }
    }

    fn whole(&mut self, plan: &Plan, evaluation: &Evaluation) -> Result<(), End> {
        self.tell(&Event::Whole { plan, evaluation })
    }

    /// Takes note of what `plan` gives.
    fn settle(&mut self, evaluation: Evaluation) {
        self.evaluation = Some(evaluation);
        if evaluation.is_complete && self.options.max_loss.is_met(&evaluation.score) {
            self.best = Some((self.plan.clone(), evaluation));
        }
    }

    /// The width of a kind, and the plan with all of it at that width, the rest at `around`.
    fn at_width(&self, kinds: &[Kind], around: &Plan, extra: u8) -> Result<Plan, End> {
        let mut plan = around.clone();
        for &kind in kinds {
            let bits = self.options.start_bits.of(kind).saturating_add(extra);
            for tensor in self.tensors_of(kind) {
                let rule = self.options.offset;
                let quantizer = self.options.head.quantizer;
                let format = tensor.format(self.graph, self.statistics, bits, rule, quantizer);
                tensor.set(&mut plan, Some(format));
            }
        }
        prove(&mut plan, |plan| self.oracle.check(plan))?;
        Ok(plan)
    }

    /// The plan with all of some kinds at the width to start from: the first, going up, at which
    /// they lose no more than half of the bound; else the widest.
    fn start(&mut self, kinds: &[Kind], around: &Plan) -> Result<Plan, End> {
        let widest = kinds
            .iter()
            .map(|&kind| {
                let start = self.options.start_bits.of(kind);
                kind.max_bits(fixedwise_fixed::Range::Narrow).saturating_sub(start)
            })
            .max()
            .unwrap_or(0);
        let mut extra = 0;
        loop {
            let plan = self.at_width(kinds, around, extra)?;
            let evaluation = self.evaluate(&plan, None, None)?;
            self.whole(&plan, &evaluation)?;
            let is_enough = evaluation.relative_loss() <= self.bound / 2.0;
            if is_enough || extra >= widest || self.options.start_step == 0 {
                return Ok(plan);
            }
            extra = widest.min(extra.saturating_add(self.options.start_step));
        }
    }

    /// In integer semantics: weights and activations wide, biases at the accumulator's scale.
    fn make_reference(&mut self) -> Result<(), End> {
        let around = self.reference.clone();
        self.reference = self.start(&[Kind::Weights, Kind::Activations], &around)?;
        Ok(())
    }

    fn search_kind(&mut self, position: usize) -> Result<(), End> {
        let kind = self.options.order[position];
        let tensors = self.tensors_of(kind);
        if tensors.is_empty() {
            return Ok(());
        }
        self.tell(&Event::Phase { kind, tensors: tensors.len() })?;
        let reference = self.reference.clone();
        let start = self.start(&[kind], &reference)?;
        for (idx, tensor) in tensors.iter().enumerate() {
            let from = tensor.of(&start).expect("the start gives each of the kind a format");
            let budget = self.budget(position, idx, tensors.len());
            self.search_tensor(tensor, from, budget)?;
        }
        Ok(())
    }

    /// The loss allowed once tensor `idx` of `count` has its format: half of the bound grows
    /// linearly over the first kind and another half over the second that is not the biases'; these
    /// must do with what is spent by then.
    fn budget(&self, position: usize, idx: usize, count: usize) -> f64 {
        let half = self.bound / 2.0;
        let order = &self.options.order;
        let before = order[..position].iter().filter(|&&kind| kind != Kind::Biases).count();
        let spent = half * count_to_f64(before);
        if order[position] == Kind::Biases {
            // Biases first of all have nothing spent before them: they may use the first half.
            if before == 0 { half } else { spent }
        } else {
            spent + half * count_to_f64(idx + 1) / count_to_f64(count)
        }
    }

    /// Finds the format of one tensor, everything else as in the plan.
    fn search_tensor(&mut self, tensor: &Tensor, from: Format, budget: f64) -> Result<(), End> {
        // What is lost already cannot be won back by a format: it is not held against one.
        let lost = self.evaluation.map_or(0.0, |evaluation| evaluation.relative_loss());
        let budget = if lost.is_finite() { budget.max(lost) } else { budget };
        let mut points = Points { tensor, from, budget, tried: BTreeMap::new() };
        let start = Point { bits: i32::from(from.bits), frac: i32::from(from.frac) };
        let chosen = match self.descend(&mut points, start)? {
            Some(lowest) => Some(self.search_around(&mut points, lowest)?),
            None => self.widen(&mut points, start)?,
        };
        if let Some(point) = chosen {
            let (evaluation, trace_idx) = points.tried[&point];
            let evaluation = evaluation.expect("a point that is chosen was measured");
            tensor.set(&mut self.plan, points.format(point));
            if let Some(entry) = self.trace.get_mut(trace_idx) {
                entry.chosen = true;
            }
            self.settle(evaluation);
        }
        self.tensors_done += 1;
        let (plan, evaluation) = (self.plan.clone(), self.evaluation);
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

    /// Down the diagonal, where the range stays, once more past the first failure, then down in
    /// bits alone. The point with the fewest bits that kept to the budget.
    fn descend(&mut self, points: &mut Points, start: Point) -> Result<Option<Point>, End> {
        let budget = points.budget;
        let mut point = start;
        let mut lowest = None;
        loop {
            let is_within = self.loss(points, point, budget)? <= budget;
            if is_within {
                lowest = Some(point);
            }
            if point.bits == 1 {
                break;
            }
            point = point.moved(-1, -1);
            if !is_within {
                if self.loss(points, point, budget)? <= budget {
                    lowest = Some(point);
                }
                break;
            }
        }
        let Some(mut lowest) = lowest else { return Ok(None) };
        // As in the paper's code, two bits are not reduced here; the local search may.
        if lowest.bits > 2 {
            while lowest.bits > 1 && self.loss(points, lowest.moved(-1, 0), budget)? <= budget {
                lowest = lowest.moved(-1, 0);
            }
        }
        Ok(Some(lowest))
    }

    /// The neighbor with the least loss, of equal ones the one with the fewest bits; `center` where
    /// that is wider and not better by the trade-off.
    fn search_around(&mut self, points: &mut Points, center: Point) -> Result<Point, End> {
        let center_loss = self.loss(points, center, points.budget)?;
        let mut best = (center, center_loss);
        let reach = i32::from(self.options.window);
        for bits in -reach..=reach {
            for frac in -reach..=reach {
                let point = center.moved(bits, frac);
                let loss = self.loss(points, point, best.1)?;
                let is_before = (point.bits, point.frac) < (best.0.bits, best.0.frac);
                if loss < best.1 || loss <= best.1 && loss.is_finite() && is_before {
                    best = (point, loss);
                }
            }
        }
        let gain = center_loss - best.1;
        let is_worth_it = gain >= self.options.trade_off || best.0.bits <= center.bits;
        Ok(if is_worth_it { best.0 } else { center })
    }

    /// Where not even the start keeps to the budget: the first wider format that does, else the
    /// one that loses least; nothing where the plan as it stands is a legal one and loses less.
    fn widen(&mut self, points: &mut Points, start: Point) -> Result<Option<Point>, End> {
        let widest = i32::from(points.tensor.kind.max_bits(points.from.range));
        for extra in 1..=widest - start.bits {
            let point = start.moved(extra, extra);
            if self.loss(points, point, points.budget)? <= points.budget {
                return Ok(Some(point));
            }
        }
        // Given up early they cannot be compared: measure the start and the widest in full.
        let mut best: Option<(Point, f64)> = None;
        for point in [start, start.moved(widest - start.bits, widest - start.bits)] {
            let loss = self.loss(points, point, f64::INFINITY)?;
            if loss.is_finite() && best.is_none_or(|(_, least)| loss < least) {
                best = Some((point, loss));
            }
        }
        let stays = self.is_integer()
            && (points.tensor.of(&self.plan).is_some() || points.tensor.kind == Kind::Biases);
        let lost = self.evaluation.map_or(f64::INFINITY, |e| e.relative_loss());
        Ok(best.filter(|(_, loss)| !stays || *loss <= lost).map(|(point, _)| point))
    }

    /// The relative loss with a format; infinite where it is not legal, or where it is more than
    /// `limit` for certain.
    fn loss(&mut self, points: &mut Points, point: Point, limit: f64) -> Result<f64, End> {
        let Some(format) = points.format(point) else { return Ok(f64::INFINITY) };
        let known = points.tried.get(&point).copied();
        if let Some((evaluation, _)) = known {
            match evaluation {
                None => return Ok(f64::INFINITY),
                Some(evaluation) if evaluation.is_complete || limit.is_finite() => {
                    // What was given up was beyond a limit that has only become tighter since.
                    return Ok(evaluation.relative_loss());
                }
                Some(_) => {}
            }
        }
        let mut plan = self.plan.clone();
        points.tensor.set(&mut plan, Some(format));
        let at_least = limit.is_finite().then(|| least_correct(self.float_correct, limit));
        let evaluation = match self.evaluate(&plan, Some(points.tensor.node), at_least) {
            Ok(evaluation) => Some(evaluation),
            Err(End::Failed(SearchError::Lower(
                LowerError::Accumulator { .. } | LowerError::Shift { .. },
            ))) => None,
            Err(end) => return Err(end),
        };
        let trace_idx = known.map_or(self.trace.len(), |(_, idx)| idx);
        let entry = TraceEntry::new(points.tensor, format, evaluation.as_ref());
        if trace_idx == self.trace.len() {
            self.trace.push(entry);
        } else {
            self.trace[trace_idx] = entry;
        }
        points.tried.insert(point, (evaluation, trace_idx));
        let left = self.tensors - self.tensors_done;
        let usual = PER_TENSOR.saturating_sub(points.tried.len()).max(1);
        let expected = self.evaluations + usual + left.saturating_sub(1) * PER_TENSOR;
        self.tell(&Event::Candidate {
            tensor: points.tensor,
            format,
            evaluation: evaluation.as_ref(),
            budget: points.budget,
            done: self.evaluations,
            expected,
        })?;
        Ok(evaluation.map_or(f64::INFINITY, |evaluation| evaluation.relative_loss()))
    }
}

/// A width and a binary point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    bits: i32,
    frac: i32,
}

impl Point {
    fn moved(self, bits: i32, frac: i32) -> Self {
        Self { bits: self.bits + bits, frac: self.frac + frac }
    }
}

/// What was tried for one tensor.
struct Points<'t> {
    tensor: &'t Tensor,
    /// The format the search of this tensor starts from.
    from: Format,
    budget: f64,
    /// What each gave (nothing where it is not legal), and its place in the trace.
    tried: BTreeMap<Point, (Option<Evaluation>, usize)>,
}

impl Points<'_> {
    fn format(&self, point: Point) -> Option<Format> {
        let bits = u8::try_from(point.bits).ok()?;
        let frac = i8::try_from(point.frac).ok()?;
        let format = Format { bits, frac, range: self.from.range };
        format.checked(self.tensor.kind.max_bits(format.range)).ok()
    }
}
