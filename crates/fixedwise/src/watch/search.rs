//! What a run tells while its search goes on.

use super::{
    journal::{Journal, Told},
    progress::{Candidate, Halt, Observer, Progress, Step},
    remaining::{Estimate, TimeLeft},
};
use crate::{names::ShortNames, result::TraceStep};
use fixedwise_fixed::{
    Format,
    convert::{count_to_f64, count_to_u64, u64_to_f64},
};
use fixedwise_graph::{Graph, Plan, cost};
use fixedwise_search::{
    Digest, Evaluation, MaxLoss,
    strategies::{
        self, Event, Tensor, Work, Worked,
        pareto::{FrontPlan, TuneProblem},
    },
};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    ops::ControlFlow,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// Turns what a search tells into what a run tells, and keeps the plans it accepted.
pub(crate) struct Watch<'a> {
    observer: &'a dyn Observer,
    graph: &'a Graph,
    halt: &'a Halt<'a>,
    /// When the run began.
    start: Instant,
    /// What was accepted, one plan after the other.
    steps: &'a mut Vec<TraceStep>,
    /// Where plans are written down for onlookers.
    journal: Option<Arc<Journal>>,
    bound: Bound,
    /// The plans on the way of a search tensor by tensor.
    on_the_way: Vec<FrontPlan>,
    estimate: Estimate,
    /// What the next candidate adds to.
    so_far: Candidate,
    names: ShortNames,
    tuning: TuningTime,
    /// When tuning ends, once it has begun.
    tuned_until: Option<Instant>,
    /// When the first step of tuning was told.
    tuned_since: Option<Instant>,
}

/// What plans on the way of a search tensor by tensor are held against.
pub(crate) struct Bound {
    pub(crate) max_loss: MaxLoss,
    /// The same, relative to the float network.
    pub(crate) relative: f64,
    /// The parts of the bound on the loss of each class that plans take; none where there is no such bound.
    pub(crate) class_parts: ClassParts,
}

/// Parts of the bound on the loss of each class, by the plans that take them.
pub(crate) type ClassParts = Rc<RefCell<BTreeMap<Digest, f64>>>;

/// How long plans are tuned after the rest of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TuningTime {
    /// No time that is known before.
    None,
    /// About as long as all before took.
    Usual,
    /// That long.
    For(Duration),
}

impl TuningTime {
    /// Where all before takes so many seconds.
    fn seconds(self, before: f64) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Usual => before.max(LEAST_TUNING.as_secs_f64()),
            Self::For(long) => long.as_secs_f64(),
        }
    }
}

/// The least time that plans are tuned, where nobody says how long.
const LEAST_TUNING: Duration = Duration::from_secs(30);

impl strategies::Observer for Watch<'_> {
    fn event(&mut self, event: &Event) -> ControlFlow<()> {
        self.told(event)
    }

    fn tuning_left(&mut self) -> Option<f64> {
        let before = self.start.elapsed().as_secs_f64();
        let long = Duration::from_secs_f64(self.tuning.seconds(before));
        let until = *self.tuned_until.get_or_insert_with(|| Instant::now() + long);
        let left = until.saturating_duration_since(Instant::now()).as_secs_f64();
        Some(self.halt.seconds_left().map_or(left, |limit| left.min(limit)))
    }
}

impl<'a> Watch<'a> {
    /// What is told of a search that begins now, in a run that began at `start`; `tail` seconds of work
    /// follow it.
    pub(crate) fn new(
        observer: &'a dyn Observer,
        halt: &'a Halt<'a>,
        (start, tail): (Instant, f64),
        (graph, tuning, bound): (&'a Graph, TuningTime, Bound),
        steps: &'a mut Vec<TraceStep>,
        journal: Option<Arc<Journal>>,
    ) -> Self {
        Self {
            observer,
            halt,
            start,
            graph,
            steps,
            journal,
            bound,
            on_the_way: Vec::new(),
            estimate: Estimate::new(start.elapsed().as_secs_f64(), tail),
            so_far: Candidate::default(),
            names: ShortNames::of(graph),
            tuning,
            tuned_until: None,
            tuned_since: None,
        }
    }

    fn told(&mut self, event: &Event) -> ControlFlow<()> {
        match event {
            // What was made ready for it tells nothing of the time of a plan.
            Event::Started => self.estimate.begin(self.start.elapsed().as_secs_f64()),
            Event::Whole { plan, evaluation } => {
                // Later ones are checks of a kind alone, not what was found so far.
                if self.so_far.tensors.0 == 0 {
                    self.take_memory(plan);
                }
                let loss = Some(evaluation.relative_loss());
                self.tell(Candidate { loss, ..self.so_far.clone() });
            }
            Event::Sensitivity { done, expected, work, .. } => {
                let time_left = self.at_most(*work);
                self.so_far.evaluations = (*done, *expected);
                let seconds = self.start.elapsed().as_secs_f64();
                let step = Step::Probing { done: *done, total: *expected, time_left };
                self.observer.progress(&Progress { seconds, step });
            }
            Event::Tuning(tuning) => {
                let seconds = self.start.elapsed().as_secs_f64();
                let left = match tuning.in_all {
                    Some(in_all) => self.steps_left(tuning.steps, in_all),
                    None => strategies::Observer::tuning_left(self),
                };
                let uniform8 = self.so_far.uniform8_bits.max(1);
                let step = Step::Tuning {
                    steps: tuning.steps,
                    memory: tuning.memory_bits.map(|bits| u64_to_f64(bits) / u64_to_f64(uniform8)),
                    time_left: left.map(|seconds| TimeLeft { seconds, is_at_most: false }),
                };
                self.observer.progress(&Progress { seconds, step });
                if self.halt.flag().load(Ordering::Relaxed) {
                    return ControlFlow::Break(());
                }
            }
            Event::NotTuned { problem } => {
                let seconds = self.start.elapsed().as_secs_f64();
                let step = Step::NotTuned { problem: why_not(problem) };
                self.observer.progress(&Progress { seconds, step });
            }
            Event::Explained { done, total, work } => {
                let time_left = self.at_most(*work);
                let seconds = self.start.elapsed().as_secs_f64();
                let step = Step::Explaining { done: *done, total: *total, time_left };
                self.observer.progress(&Progress { seconds, step });
            }
            &Event::OutOfReach { memory, limit_bytes, least_bytes } => {
                let seconds = self.start.elapsed().as_secs_f64();
                let step = Step::OutOfReach { memory, limit_bytes, least_bytes };
                self.observer.progress(&Progress { seconds, step });
            }
            Event::Expected { memory, multiplications } => {
                let seconds = self.start.elapsed().as_secs_f64();
                let (memory, multiplications) = (1.0 - memory, 1.0 - multiplications);
                let step = Step::Expecting { memory, multiplications };
                self.observer.progress(&Progress { seconds, step });
            }
            Event::Certified { plan, evaluation, seen, is_better, done, expected, work } => {
                self.so_far.time_left = self.at_most(*work);
                self.so_far.evaluations = (*done, *expected);
                self.certified(plan, evaluation, seen, *is_better);
            }
            Event::Candidate { tensor, format, evaluation, budget, done, expected } => {
                self.so_far.time_left = self.about(*done, *expected);
                self.so_far.evaluations = (*done, *expected);
                let format = Some((format.bits, format.frac));
                let loss = evaluation.filter(|e| e.is_complete).map(Evaluation::relative_loss);
                self.tell(Candidate {
                    short_name: self.names.get(&tensor.name),
                    name: tensor.name.clone(),
                    kind: tensor.kind.name(),
                    format,
                    loss,
                    budget: Some(*budget),
                    ..self.so_far.clone()
                });
            }
            Event::Chosen { tensor, format, plan, evaluation, done, tensors } => {
                self.so_far.tensors = (*done, *tensors);
                self.chosen(tensor, *format, plan, evaluation);
            }
            _ => {}
        }
        // The evaluator looks at the flag, and so ends in the middle of a candidate too.
        ControlFlow::Continue(())
    }

    /// Takes a whole plan that was measured.
    fn certified(&mut self, plan: &Plan, evaluation: &Evaluation, seen: &FrontPlan, is_best: bool) {
        if is_best {
            self.take_memory(plan);
            self.steps.push(TraceStep {
                seconds: self.start.elapsed().as_secs_f64(),
                evaluations: count_to_u64(self.so_far.evaluations.0),
                node: String::new(),
                kind: "plan".to_owned(),
                memory_bits: self.so_far.memory_bits,
                loss: evaluation.is_complete.then(|| evaluation.relative_loss()),
            });
        }
        self.write(seen, is_best);
        // Where it was clear before all images were run, that of those that were: of the first,
        // the float network may have none right.
        let loss = Some(evaluation.relative_loss()).filter(|loss| loss.is_finite());
        let plan = Some(seen.clone());
        self.tell(Candidate { loss, plan, is_best, ..self.so_far.clone() });
    }

    /// Takes the plan in which another tensor has its format.
    fn chosen(&mut self, tensor: &Tensor, format: Format, plan: &Plan, evaluation: &Evaluation) {
        self.take_memory(plan);
        let kind = tensor.kind.name();
        self.steps.push(TraceStep {
            seconds: self.start.elapsed().as_secs_f64(),
            evaluations: count_to_u64(self.so_far.evaluations.0),
            node: tensor.name.clone(),
            kind: kind.to_owned(),
            memory_bits: self.so_far.memory_bits,
            loss: evaluation.is_complete.then(|| evaluation.relative_loss()),
        });
        let plan = self.held(plan, evaluation);
        // The last one within the bound is what the search goes on from.
        let is_met = plan.as_ref().is_some_and(|plan| plan.bound_met);
        let is_best = is_met || self.on_the_way.iter().all(|plan| !plan.bound_met);
        if let Some(plan) = &plan {
            self.write(plan, is_best);
            self.on_the_way.push(plan.clone());
        }
        self.tell(Candidate {
            short_name: self.names.get(&tensor.name),
            name: tensor.name.clone(),
            kind,
            format: Some((format.bits, format.frac)),
            loss: plan.as_ref().and_then(|plan| plan.loss),
            plan,
            is_best,
            ..self.so_far.clone()
        });
    }

    /// What a plan on the way costs and loses; nothing where its loss is no number.
    fn held(&self, plan: &Plan, evaluation: &Evaluation) -> Option<FrontPlan> {
        let loss = Some(evaluation.relative_loss()).filter(|loss| loss.is_finite())?;
        let Bound { max_loss, relative, class_parts } = &self.bound;
        let of_class = class_parts.borrow().get(&evaluation.digest).copied();
        Some(FrontPlan {
            memory_bits: cost::memory(self.graph, plan).ok()?.total(),
            multiplications: cost::multiplications(self.graph, plan).ok()?.operand,
            loss: Some(loss),
            held_loss: of_class.map_or(loss, |part| loss.max(part * relative)),
            bound_met: max_loss.is_met(&evaluation.score)
                && of_class.is_none_or(|part| part <= 1.0),
            ..FrontPlan::default()
        })
    }

    /// Writes a plan down for onlookers.
    fn write(&self, seen: &FrontPlan, is_best: bool) {
        if let Some(journal) = &self.journal {
            journal.tell(&Told::Plan { plan: seen.clone(), is_best });
        }
    }

    /// The plans on the way of a search tensor by tensor, in their order.
    pub(crate) fn into_plans(self) -> Vec<FrontPlan> {
        self.on_the_way
    }

    fn take_memory(&mut self, plan: &Plan) {
        if let Ok(memory) = cost::memory(self.graph, plan) {
            self.so_far.memory_bits = memory.total();
            self.so_far.uniform8_bits = memory.uniform8;
        }
    }

    /// Seconds that so many steps of tuning still take, as long as those before did.
    fn steps_left(&mut self, done: usize, in_all: usize) -> Option<f64> {
        let long = self.tuned_since.get_or_insert_with(Instant::now).elapsed().as_secs_f64();
        // The first is told when it is done.
        let each = (done > 1).then(|| long / count_to_f64(done - 1))?;
        Some(each * count_to_f64(in_all.saturating_sub(done)))
    }

    /// Until the end of a search that knows what is left for it at most.
    fn at_most(&mut self, Worked { done, left }: Worked) -> Option<TimeLeft> {
        let now = self.start.elapsed().as_secs_f64();
        let seconds = self.estimate.left(now, done, left);
        let seconds = seconds.map(|seconds| {
            seconds
                + match self.tuned_until {
                    None => self.tuning.seconds(now + seconds),
                    Some(until) => until.saturating_duration_since(Instant::now()).as_secs_f64(),
                }
        });
        self.within_limit(seconds.map(|seconds| (seconds, true)))
    }

    /// Until the end of a search that measures about so many plans.
    fn about(&mut self, done: usize, expected: usize) -> Option<TimeLeft> {
        let now = self.start.elapsed().as_secs_f64();
        let of = |plans| Work { plans, ..Work::default() };
        let seconds = self.estimate.left(now, of(done), of(expected.saturating_sub(done)));
        self.within_limit(seconds.map(|seconds| (seconds, false)))
    }

    /// No later than a time limit, which is an end in any case.
    fn within_limit(&self, estimate: Option<(f64, bool)>) -> Option<TimeLeft> {
        match (estimate, self.halt.seconds_left()) {
            (Some((seconds, is_at_most)), Some(limit)) if seconds <= limit => {
                Some(TimeLeft { seconds, is_at_most })
            }
            (_, Some(seconds)) => Some(TimeLeft { seconds, is_at_most: true }),
            (estimate, None) => {
                estimate.map(|(seconds, is_at_most)| TimeLeft { seconds, is_at_most })
            }
        }
    }

    fn tell(&self, candidate: Candidate) {
        let seconds = self.start.elapsed().as_secs_f64();
        self.observer.progress(&Progress { seconds, step: Step::Searching(candidate) });
    }
}

/// Why plans are not tuned, and what helps.
pub(crate) fn why_not(problem: &TuneProblem) -> String {
    match problem {
        TuneProblem::Operator { node, op } => format!(
            "not tuned: tuning does not know the operator {op} of node `{node}`; the answer is that of the \
             search"
        ),
        TuneProblem::Images { least } => format!(
            "not tuned: that takes at least {least} images, labels are not needed; give more by `--unlabeled`"
        ),
    }
}
