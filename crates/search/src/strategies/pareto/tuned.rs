//! The best plan tuned: widths are lowered beyond the bound, and what comes of that is trained until the rate has fallen
//! to zero; then more are lowered where it keeps to the bound, and bits given back where it does not, and so on.
//!
//! Labels count only where a plan is certified, as before.

use super::{
    network::Built,
    search::{Search, Standing},
    widths::Widths,
};
use crate::{
    error::SearchError,
    evaluate::{Images, Oracle},
    strategies::{
        observer::{Event, Tuning as Told},
        outcome::{TuneProblem, Tuned},
        tensors::{Kind, legal},
    },
    tune::{Course, Student, Teacher, train},
};
use fixedwise_fixed::{
    Format, Range,
    convert::{count_to_f64, f64_to_count},
};
use fixedwise_graph::run::Differentiable;
use fixedwise_kernels::Kernels;
use std::{collections::BTreeMap, ops::ControlFlow};

/// How long plans are tuned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TuneLength {
    /// So many steps, each on 64 images.
    Steps(usize),
    /// As long as the observer says.
    Time,
}

/// Bytes that are kept of what the float network says of images.
const SAID_BYTES: usize = 256 << 20;

/// What a tuning works with.
struct Task<'t> {
    network: &'t Differentiable<'t>,
    teacher: &'t Teacher<'t>,
    /// Steps of the whole tuning; nothing where time counts.
    steps: Option<usize>,
    done: Tuned,
    /// Trainings so far.
    trainings: u64,
}

/// A plan in training.
#[derive(Clone)]
struct Pupil<'g> {
    student: Student<'g>,
    widths: Widths,
}

/// A tensor one bit narrower or wider.
#[derive(Clone, Copy, Debug)]
struct Move {
    item: usize,
    format: Format,
    /// What is saved of the cost, or paid.
    cost: f64,
    /// What is added to the divergence.
    divergence: f64,
}

impl<'a, O: Oracle> Search<'a, '_, O> {
    /// Tunes the best plan on images without labels; where that gives nothing better, it stays the answer.
    pub(super) fn tune(
        &mut self,
        length: TuneLength,
        images: Option<&'a dyn Images>,
    ) -> Result<(), SearchError> {
        let Some(best) = self.best.last() else { return Ok(()) };
        let mut done = Tuned { untuned: best.seen.clone(), ..Tuned::default() };
        let (standing, before) = (best.standing.clone(), self.best.len());
        let images = images.filter(|images| images.len() >= self.options.tuning.tune_images);
        let network = Differentiable::new(self.network.graph(), Kernels::best());
        done.problem = match (&network, images) {
            (Err(operator), _) => Some(TuneProblem::Operator {
                node: operator.node.clone(),
                op: operator.op.to_owned(),
            }),
            (_, None) => Some(TuneProblem::Images { least: self.options.tuning.tune_images }),
            _ => None,
        };
        let (Ok(network), Some(images)) = (network, images) else {
            if let Some(problem) = &done.problem {
                self.tell(&Event::NotTuned { problem })?;
            }
            self.tuned = Some(done);
            return Ok(());
        };
        let is_of_values = self.options.max_loss.is_of_values();
        let float = self.prepared.float();
        let teacher = Teacher::new(float, images, Kernels::best(), is_of_values, SAID_BYTES)?;
        done.images = images.len();
        let steps = match length {
            TuneLength::Steps(steps) => Some(steps),
            TuneLength::Time => None,
        };
        let (network, teacher) = (&network, &teacher);
        let mut task = Task { network, teacher, steps, done, trainings: 0 };
        let begin = self.observer.tuning_left();
        let run = self.tune_from(&mut task, standing);
        let end = self.observer.tuning_left();
        task.done.seconds = begin.zip(end).map_or(0.0, |(begin, end)| begin - end);
        let is_met = self.best.last().is_some_and(|best| best.met);
        task.done.is_better = is_met && self.best.len() > before;
        self.tuned = Some(task.done);
        run
    }

    /// Trains the best plan lowered until the rate has fallen to zero; then one plan after the other, narrower where the
    /// last one keeps to the bound, else wider.
    fn tune_from(&mut self, task: &mut Task, best: Standing) -> Result<(), SearchError> {
        let tuning = &self.options.tuning;
        let whole = self.tuning_left(task);
        if whole <= 0.0 {
            return Ok(());
        }
        // Where all widths are given, nothing comes after the first training.
        let is_given = self.items.list.iter().all(|item| item.bits.len() == 1);
        let first = if is_given { 1.0 } else { tuning.tune_first };
        let (mut long, mut rate) = (first * whole, tuning.tune_rate);
        let steps = self.steps_in(task, &best, long)?;
        let mut pupil = self.lowered(best, steps)?;
        loop {
            long = long.min(self.tuning_left(task));
            let before = pupil.clone();
            let trained = self.train(task, &mut pupil, long, rate)?;
            let side = match &trained {
                Some(standing) if self.certify(standing)? <= 1.0 => Side::Narrower,
                _ => Side::Wider,
            };
            // A training much shorter than the others gives nothing.
            if self.tuning_left(task) <= 0.5 * tuning.tune_again * whole {
                return Ok(());
            }
            if trained.is_none() {
                pupil = before;
            }
            let standing = match trained {
                Some(standing) => standing,
                None => match self.standing(&pupil)? {
                    Some(standing) => standing,
                    None => return Ok(()),
                },
            };
            let moves = self.tune_moves(&pupil, &standing, side)?;
            let now = (standing.divergence, side, self.bound());
            if !self.take(&mut pupil, moves, now) {
                return Ok(());
            }
            long = tuning.tune_again * whole;
            rate = tuning.tune_again_rate * tuning.tune_rate;
        }
    }

    /// About the steps of a training of that length.
    fn steps_in(&mut self, task: &Task, plan: &Standing, long: f64) -> Result<f64, SearchError> {
        if task.steps.is_some() {
            return Ok(long);
        }
        let begin = self.tuning_left(task);
        let mut student = Student::new(self.network.graph(), &plan.built.plan);
        let course = Course { steps: TOLD_EVERY, rate: self.options.tuning.tune_rate, seed: 0 };
        let mut told = |_| ControlFlow::Continue(TOLD_EVERY);
        legal(train(task.network, &mut student, task.teacher, course, &mut told))?;
        let each = (begin - self.tuning_left(task)) / count_to_f64(TOLD_EVERY);
        Ok(long / each.max(1e-9))
    }

    /// The best plan lowered as far as a training of so many steps is thought to make up for: rounded anew at narrower
    /// widths as far as its divergence is that many times the one at which the bound is thought to lie.
    fn lowered(&mut self, best: Standing, steps: f64) -> Result<Pupil<'a>, SearchError> {
        let tuning = &self.options.tuning;
        let most = tuning.tune_gain.mul_add((steps / 1000.0).sqrt(), 1.0) * self.bound();
        let mut now = best;
        loop {
            let (mut saved, mut taken) = (0.0, Vec::new());
            for give in self.gives(&now)? {
                if !taken.is_empty() && saved - give.cost > tuning.tune_stride {
                    break;
                }
                saved -= give.cost;
                taken.push(give);
            }
            if taken.is_empty() {
                break;
            }
            let next = self.stand(self.taken(&now.widths, &taken))?;
            if next.divergence > most {
                break;
            }
            now = next;
        }
        let student = Student::new(self.network.graph(), &now.built.plan);
        Ok(Pupil { student, widths: now.widths })
    }

    /// What is left for tuning: seconds, or steps.
    fn tuning_left(&mut self, task: &Task) -> f64 {
        match task.steps {
            Some(steps) => count_to_f64(steps.saturating_sub(task.done.steps)),
            None => self.observer.tuning_left().unwrap_or(0.0),
        }
    }

    /// Trains a pupil for about so long; what it is then, measured. Nothing where it went astray.
    fn train(
        &mut self,
        task: &mut Task,
        pupil: &mut Pupil,
        long: f64,
        rate: f64,
    ) -> Result<Option<Standing>, SearchError> {
        let began = legal(self.glance.divergence(&pupil.student.plan(), None))?;
        let begin = self.tuning_left(task);
        let mut total = if task.steps.is_some() { f64_to_count(long) } else { FIRST_STEPS };
        total = total.max(1);
        task.trainings += 1;
        let course = Course { steps: total, rate, seed: task.trainings };
        let (steps, before) = (task.steps, task.done.steps);
        let mut is_stopped = false;
        let untuned = task.done.untuned.memory_bits;
        let reached = self.best.last().map_or(untuned, |best| best.seen.memory_bits);
        let mut told = |done: usize| {
            if !done.is_multiple_of(TOLD_EVERY) && done > 1 {
                return ControlFlow::Continue(total);
            }
            let left = match steps {
                Some(steps) => count_to_f64(steps.saturating_sub(before + done)),
                None => self.observer.tuning_left().unwrap_or(0.0),
            };
            if steps.is_none() {
                let each = (begin - left) / count_to_f64(done);
                let expected = f64_to_count((long / each.max(1e-9)).round()).max(1);
                total = if left > 0.0 { expected } else { done };
            }
            let gained = [untuned, reached];
            let tuning = Told { steps: before + done, in_all: steps, memory_bits: gained };
            is_stopped = self.observer.event(&Event::Tuning(tuning)).is_break();
            if is_stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(total) }
        };
        let trained = train(task.network, &mut pupil.student, task.teacher, course, &mut told);
        let Some(trained) = legal(trained)? else {
            task.done.diverged += 1;
            return Ok(None);
        };
        task.done.steps += trained.steps;
        task.done.images_run += trained.images;
        if is_stopped {
            return Err(SearchError::Stopped);
        }
        let standing = if trained.distance.is_finite() { self.standing(pupil)? } else { None };
        let nothing = self.scale.nothing;
        // A training that leads away from the float network has learned nothing.
        let astray = |standing: &Standing| {
            began.is_some_and(|began| standing.glance > 2.0 * began + nothing)
        };
        let standing = standing.filter(|standing| !astray(standing));
        task.done.diverged += usize::from(standing.is_none());
        Ok(standing)
    }

    /// A pupil as it is now, measured; nothing where its plan is not legal.
    fn standing(&mut self, pupil: &Pupil) -> Result<Option<Standing>, SearchError> {
        let plan = pupil.student.plan();
        let measured = self.probe.divergence(&plan, None);
        let Some(divergence) = legal(measured)? else { return Ok(None) };
        let glance = self.glance.divergence(&plan, None)?;
        let built = Built { plan, alternatives: BTreeMap::new() };
        let widths = pupil.widths.clone();
        Ok(Some(Standing { widths, built, divergence, glance, is_tuned: true }))
    }

    /// What one bit less or more of each tensor does to a trained plan: at the same binary point or the next.
    fn tune_moves(
        &mut self,
        pupil: &Pupil,
        now: &Standing,
        side: Side,
    ) -> Result<Vec<Move>, SearchError> {
        let cost = self.cost(&now.built.plan);
        let mut moves = Vec::new();
        for item in self.items.by_node() {
            let bits = pupil.widths.bits[item];
            let next = self.items.neighbors(item, bits).into_iter().find(|&next| match side {
                Side::Narrower => next < bits,
                Side::Wider => next > bits,
            });
            let tensor = &self.items.list[item].tensor;
            let (Some(bits), Some(format)) = (next, tensor.of(&now.built.plan)) else { continue };
            let node = tensor.node;
            // One bit of weights is a sign.
            let range = match (tensor.kind, bits, format.range) {
                (Kind::Weights, 1, _) => Range::Bipolar,
                (Kind::Weights, _, Range::Bipolar) => tensor.range,
                (_, _, range) => range,
            };
            let mut best: Option<Move> = None;
            for point in [true, false] {
                let by = if point { i16::from(bits) - i16::from(format.bits) } else { 0 };
                let frac = i8::try_from(i16::from(format.frac) + by).unwrap_or(format.frac);
                let format = Format { bits, frac, range };
                let mut next = pupil.student.clone();
                self.set(&mut next, item, format);
                let plan = next.plan();
                let measured = self.added(now, &plan, node);
                let Some(divergence) = legal(measured)? else { continue };
                let cost = (self.cost(&plan) - cost).abs();
                if best.is_none_or(|best| divergence < best.divergence) {
                    best = Some(Move { item, format, cost, divergence });
                }
            }
            moves.extend(best.filter(|best| best.cost > 0.0));
        }
        // What costs least for what it saves, or gives most for what it costs.
        let least = self.scale.nothing;
        let per_cost = |step: &Move| match side {
            Side::Narrower => step.divergence.max(least) / step.cost,
            Side::Wider => step.divergence / step.cost,
        };
        moves.sort_by(|a, b| per_cost(a).total_cmp(&per_cost(b)).then(a.item.cmp(&b.item)));
        Ok(moves)
    }

    /// Takes the first of some moves, and more of them as far as the divergence that is expected then suits the bound and
    /// not too much of the cost changes; whether there was one.
    fn take(
        &self,
        pupil: &mut Pupil,
        moves: Vec<Move>,
        (now, side, suits): (f64, Side, f64),
    ) -> bool {
        let tuning = &self.options.tuning;
        let (mut expected, mut changed) = (now, 0.0);
        let mut is_taken = false;
        for step in moves {
            expected += step.divergence;
            let is_enough = match side {
                Side::Narrower => expected > suits,
                Side::Wider => expected - step.divergence < suits,
            };
            if is_taken && (is_enough || changed >= tuning.tune_stride) {
                break;
            }
            changed += step.cost;
            pupil.widths.bits[step.item] = step.format.bits;
            self.set(&mut pupil.student, step.item, step.format);
            is_taken = true;
        }
        is_taken
    }

    fn set(&self, student: &mut Student, item: usize, format: Format) {
        let tensor = &self.items.list[item].tensor;
        if tensor.kind == Kind::Weights {
            student.set_weights(tensor.node, format);
        } else {
            student.set_result(|plan| tensor.set(plan, Some(format)));
        }
    }
}

/// To which side a width moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Narrower,
    Wider,
}

/// Steps of a training before it is known how long one takes.
const FIRST_STEPS: usize = 256;
/// Steps after which a training tells how far it is.
const TOLD_EVERY: usize = 8;
