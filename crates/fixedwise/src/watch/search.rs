//! What a run tells while its search goes on.

use super::progress::{Candidate, Halt, Observer, Progress, Step};
use crate::{names::ShortNames, result::TraceStep};
use fixedwise_fixed::convert::{count_to_f64, count_to_u64};
use fixedwise_graph::{Graph, Plan, cost};
use fixedwise_search::{Evaluation, strategies::Event};
use std::{ops::ControlFlow, time::Instant};

/// Turns what a search tells into what a run tells, and keeps the plans it accepted.
pub(crate) struct Watch<'a> {
    observer: &'a dyn Observer,
    graph: &'a Graph,
    halt: &'a Halt<'a>,
    /// When the run began.
    start: Instant,
    /// What was accepted, one plan after the other.
    steps: &'a mut Vec<TraceStep>,
    /// When the last step ended, and how many there were.
    last: (Instant, usize),
    /// How long widths of tensors take, and how long plans.
    widths: Pace,
    plans: Pace,
    /// Plans that come after the widths.
    plans_left: usize,
    /// What the next candidate adds to.
    so_far: Candidate,
    names: ShortNames,
}

/// How long steps of a kind have taken.
#[derive(Default)]
struct Pace {
    steps: usize,
    seconds: f64,
}

impl Pace {
    fn seconds_for(&self, steps: usize) -> f64 {
        self.seconds / count_to_f64(self.steps.max(1)) * count_to_f64(steps)
    }
}

impl<'a> Watch<'a> {
    /// What is told of a search that begins now, in a run that began at `start`.
    pub(crate) fn new(
        observer: &'a dyn Observer,
        halt: &'a Halt<'a>,
        start: Instant,
        graph: &'a Graph,
        steps: &'a mut Vec<TraceStep>,
    ) -> Self {
        Self {
            observer,
            halt,
            start,
            graph,
            steps,
            last: (Instant::now(), 0),
            widths: Pace::default(),
            plans: Pace::default(),
            plans_left: 0,
            so_far: Candidate::default(),
            names: ShortNames::of(graph),
        }
    }

    pub(crate) fn event(&mut self, event: &Event) -> ControlFlow<()> {
        match event {
            Event::Whole { plan, evaluation } => {
                // Later ones are checks of a kind alone, not what was found so far.
                if self.so_far.tensors.0 == 0 {
                    self.take_memory(plan);
                }
                self.tell(String::new(), "", None, Some(evaluation.relative_loss()), None);
            }
            Event::Sensitivity { done, expected, plans, .. } => {
                self.take_time(*done, *expected, true);
                self.plans_left = *plans;
                let seconds = self.start.elapsed().as_secs_f64();
                let seconds_left = self.seconds_left();
                let step = Step::Probing { done: *done, total: *expected, seconds_left };
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
            Event::Certified { plan, evaluation, is_better, done, expected } => {
                self.take_time(*done, *expected, false);
                if *is_better {
                    self.take_memory(plan);
                    self.steps.push(TraceStep {
                        seconds: self.start.elapsed().as_secs_f64(),
                        evaluations: count_to_u64(*done),
                        node: String::new(),
                        kind: "plan".to_owned(),
                        memory_bits: self.so_far.memory_bits,
                        loss: evaluation.is_complete.then(|| evaluation.relative_loss()),
                    });
                }
                // Where it was clear before all images were run, that of those that were: of the first,
                // the float network may have none right.
                let loss = Some(evaluation.relative_loss()).filter(|loss| loss.is_finite());
                self.tell(String::new(), "", None, loss, None);
            }
            Event::Candidate { tensor, format, evaluation, budget, done, expected } => {
                self.take_time(*done, *expected, false);
                let format = Some((format.bits, format.frac));
                let (name, kind) = (tensor.name.clone(), tensor.kind.name());
                let loss = evaluation.filter(|e| e.is_complete).map(Evaluation::relative_loss);
                self.tell(name, kind, format, loss, Some(*budget));
            }
            Event::Chosen { tensor, plan, evaluation, done, tensors, .. } => {
                self.take_memory(plan);
                self.so_far.tensors = (*done, *tensors);
                self.steps.push(TraceStep {
                    seconds: self.start.elapsed().as_secs_f64(),
                    evaluations: count_to_u64(self.so_far.evaluations.0),
                    node: tensor.name.clone(),
                    kind: tensor.kind.name().to_owned(),
                    memory_bits: self.so_far.memory_bits,
                    loss: evaluation.is_complete.then(|| evaluation.relative_loss()),
                });
            }
            _ => {}
        }
        // The evaluator looks at the flag, and so ends in the middle of a candidate too.
        ControlFlow::Continue(())
    }

    fn take_memory(&mut self, plan: &Plan) {
        if let Ok(memory) = cost::memory(self.graph, plan) {
            self.so_far.memory_bits = memory.total();
            self.so_far.uniform8_bits = memory.uniform8;
        }
    }

    /// Counts a step, and the time since the one before it.
    fn take_time(&mut self, done: usize, expected: usize, is_width: bool) {
        let (now, pace) =
            (Instant::now(), if is_width { &mut self.widths } else { &mut self.plans });
        pace.seconds += (now - self.last.0).as_secs_f64();
        pace.steps += done.saturating_sub(self.last.1);
        self.last = (now, done);
        self.so_far.evaluations = (done, expected);
        if !is_width {
            self.plans_left = expected.saturating_sub(done);
        }
    }

    /// Until the end of the search, as far as can be told.
    fn seconds_left(&self) -> Option<f64> {
        let (done, expected) = self.so_far.evaluations;
        let left = expected.saturating_sub(done);
        let plans = self.plans_left.min(left);
        let seconds = self.widths.seconds_for(left - plans) + self.plans.seconds_for(plans);
        let left = (done > 0).then_some(seconds);
        match (left, self.halt.seconds_left()) {
            (Some(left), Some(until)) => Some(left.min(until)),
            (left, until) => left.or(until),
        }
    }

    fn tell(
        &self,
        name: String,
        kind: &'static str,
        format: Option<(u8, i8)>,
        loss: Option<f64>,
        budget: Option<f64>,
    ) {
        let step = Step::Searching(Candidate {
            short_name: self.names.get(&name),
            name,
            kind,
            format,
            loss,
            budget,
            seconds_left: self.seconds_left(),
            ..self.so_far.clone()
        });
        let seconds = self.start.elapsed().as_secs_f64();
        self.observer.progress(&Progress { seconds, step });
    }
}
