//! Brute force: every format of a grid, tensor after tensor.
//!
//! Source: Goyal, Vanschoren, van Acht, Nijssen, arXiv 2102.02147 (2021), section "brute force".

pub use super::grid::{Fracs, Grid};

use super::{
    observer::{Event, Observer},
    outcome::{Outcome, TraceEntry},
    tensors::{
        Kind, PlanHead, Tensor, bare_plan, layer_order, legal, prove, quantized_activations,
    },
};
use crate::{
    error::SearchError,
    evaluate::{Evaluation, Oracle},
    score::MaxLoss,
    statistics::{Offset, Statistics},
};
use fixedwise_fixed::{Format, Range, convert::count_to_f64};
use fixedwise_graph::{Graph, LowerError, Plan, Semantics};
use serde::{Deserialize, Serialize};

/// Width of what is not swept and not planned, where integers leave nothing in float.
const WIDE: u8 = 12;

/// Which way through the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the input on.
    #[default]
    Forward,
    /// From the output back.
    Backward,
}

/// How points are compared; all against the float network on the same images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreRule {
    /// Float accuracy minus accuracy, at most the tolerance.
    Drop,
    /// Accuracy divided by float accuracy, at least one minus the tolerance.
    #[default]
    Ratio,
    /// Accuracy, at least that of the best point minus the tolerance.
    Accuracy,
}

impl ScoreRule {
    /// `drop`, `ratio` or `accuracy`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Ratio => "ratio",
            Self::Accuracy => "accuracy",
        }
    }
}

/// Which point of a tensor is held while the walk goes on: of those within the tolerance the one
/// with the fewest bits, of these the most accurate; where none is within, the most accurate.
///
/// The tolerance grows linearly over the tensors of the walk up to its full value; what was lost
/// before a tensor's turn is not held against its formats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hold {
    /// How points are compared.
    pub rule: ScoreRule,
    /// The loss that is allowed in the end, a fraction: 0.01 is one percent (of the float accuracy
    /// with [`ScoreRule::Ratio`], else of all images).
    pub tolerance: f64,
}

impl From<MaxLoss> for Hold {
    fn from(max_loss: MaxLoss) -> Self {
        match max_loss {
            MaxLoss::Relative(tolerance) => Self { rule: ScoreRule::Ratio, tolerance },
            MaxLoss::Points(tolerance) => Self { rule: ScoreRule::Drop, tolerance },
            // Outputs as values have no such rule; whoever asks for one refuses it before.
            MaxLoss::Sqnr(_) | MaxLoss::Metric { .. } => {
                Self { rule: ScoreRule::Ratio, tolerance: 0.0 }
            }
        }
    }
}

impl Hold {
    /// The loss of an evaluation, by the rule; `best` is the most accurate of those compared.
    fn loss(self, evaluation: &Evaluation, best: &Evaluation) -> f64 {
        match self.rule {
            ScoreRule::Drop => evaluation.score.points_loss(),
            ScoreRule::Ratio => evaluation.score.relative_loss(),
            ScoreRule::Accuracy => {
                let behind = best.score.correct.saturating_sub(evaluation.score.correct);
                count_to_f64(behind) / count_to_f64(evaluation.score.n.max(1))
            }
        }
    }

    /// The point to hold. `share` is the part of the tolerance that may be used, `before` what the
    /// plan gives without a point of this tensor, `of_class` the part of its bound that the worst class takes: as
    /// much of the tolerance counts as lost.
    fn choose(
        self,
        points: &[(Format, Evaluation)],
        share: f64,
        before: Option<&Evaluation>,
        of_class: impl Fn(&Evaluation) -> f64,
    ) -> Option<(Format, Evaluation)> {
        let most = points.iter().map(|(_, evaluation)| evaluation.score.correct).max()?;
        let (_, best) = points.iter().find(|(_, e)| e.score.correct == most)?;
        let loss = |e: &Evaluation| self.loss(e, best).max(of_class(e) * self.tolerance);
        let lost = before.filter(|_| self.rule != ScoreRule::Accuracy);
        let lost = lost.map_or(0.0, loss);
        let allowed = (self.tolerance * share).max(lost);
        let is_within = |e: &Evaluation| loss(e) <= allowed;
        let is_any = points.iter().any(|(_, e)| is_within(e));
        points
            .iter()
            .filter(|(_, e)| if is_any { is_within(e) } else { e.score.correct == most })
            .min_by_key(|(format, e)| {
                (format.bits, std::cmp::Reverse(e.score.correct), format.frac)
            })
            .copied()
    }
}

/// What is swept.
#[derive(Clone, Debug, PartialEq)]
pub struct BruteForceOptions {
    /// What plans say beside formats.
    pub head: PlanHead,
    /// What the tensors that are not swept, or not yet held, stand at. By default float; in integer
    /// semantics weights and activations of 12 bits and biases at the accumulator's scale.
    pub plan: Option<Plan>,
    /// Kinds of tensors, one after the other.
    pub kinds: Vec<Kind>,
    /// The one node whose tensors are swept; by default all.
    pub layer: Option<String>,
    /// The way through the layers.
    pub direction: Direction,
    /// The formats that are tried of each.
    pub grid: Grid,
    /// Whether the best of each tensor is held on the way; else each is swept alone.
    pub hold: Option<Hold>,
}

impl BruteForceOptions {
    /// A search of a whole plan: weights, biases, activations, the best held.
    pub fn whole(head: PlanHead, max_loss: MaxLoss) -> Self {
        Self {
            head,
            plan: None,
            kinds: vec![Kind::Weights, Kind::Biases, Kind::Activations],
            layer: None,
            direction: Direction::Forward,
            grid: Grid::default(),
            hold: Some(max_loss.into()),
        }
    }

    /// The tensors of the walk, in its order.
    ///
    /// # Errors
    /// [`SearchError::NothingToSweep`] where there is none, [`SearchError::Grid`].
    pub fn tensors(&self, graph: &Graph) -> Result<Vec<Tensor>, SearchError> {
        let semantics = self.head.semantics;
        let mut nodes = layer_order(graph, semantics, &[])?;
        if self.direction == Direction::Backward {
            nodes.reverse();
        }
        let mut all = Vec::new();
        for &kind in &self.kinds {
            self.grid.check(kind)?;
            all.extend(Tensor::all(graph, &self.head, kind, &nodes));
        }
        let is_asked = |tensor: &Tensor| self.layer.as_ref().is_none_or(|l| *l == tensor.name);
        let asked: Vec<Tensor> = all.iter().filter(|tensor| is_asked(tensor)).cloned().collect();
        if asked.is_empty() {
            let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
            let mut known: Vec<&str> = all.iter().map(|tensor| tensor.name.as_str()).collect();
            known.dedup();
            return Err(SearchError::NothingToSweep {
                kinds: kinds.join(" or "),
                layer: self.layer.as_ref().map_or_else(String::new, |l| format!(" of `{l}`")),
                known: if known.is_empty() {
                    "none".to_owned()
                } else {
                    format!("those of {}", known.join(", "))
                },
            });
        }
        Ok(asked)
    }
}

/// Measures every format of the grid, of one tensor after the other, on all images.
///
/// The trace of the outcome has every point in order; one that cannot be proved legal has no
/// images. With [`BruteForceOptions::hold`] the outcome's plan has the points that were held,
/// marked in the trace; else it is the plan that was given.
///
/// # Errors
/// Where there is nothing to sweep, the grid is empty or too large, the plan that is held is not
/// legal, or an evaluation fails. A sweep that is stopped is not an error.
pub fn brute_force<O: Oracle>(
    graph: &Graph,
    statistics: &Statistics,
    oracle: &mut O,
    observer: &mut dyn Observer,
    options: &BruteForceOptions,
) -> Result<Outcome, SearchError> {
    let tensors = options.tensors(graph)?;
    let grids: Vec<Vec<Format>> = tensors
        .iter()
        .map(|tensor| options.grid.formats(graph, statistics, tensor, &options.head))
        .collect();
    let plan = match &options.plan {
        Some(plan) => {
            oracle.check(plan)?;
            plan.clone()
        }
        None => start(graph, statistics, oracle, &options.head)?,
    };
    let mut sweep = Sweep {
        oracle,
        observer,
        options,
        plan,
        evaluation: None,
        trace: Vec::new(),
        done: 0,
        expected: grids.iter().map(Vec::len).sum(),
    };
    let is_finished = match sweep.run(&tensors, &grids) {
        Ok(()) => true,
        Err(SearchError::Stopped) => false,
        Err(error) => return Err(error),
    };
    let Sweep { plan, evaluation, trace, oracle, .. } = sweep;
    let bound_met = options.hold.zip(evaluation).is_some_and(|(hold, evaluation)| {
        let rule = if hold.rule == ScoreRule::Accuracy { ScoreRule::Drop } else { hold.rule };
        let of_class = oracle.class_part(&evaluation, 0.0).unwrap_or(0.0);
        Hold { rule, ..hold }.loss(&evaluation, &evaluation) <= hold.tolerance && of_class <= 1.0
    });
    Ok(Outcome { evaluation, bound_met, is_finished, trace, ..Outcome::new(plan) })
}

/// The plan without choice: float, or integers that are wide.
fn start<O: Oracle>(
    graph: &Graph,
    statistics: &Statistics,
    oracle: &O,
    head: &PlanHead,
) -> Result<Plan, LowerError> {
    let mut plan = bare_plan(graph, head);
    if head.semantics == Semantics::Integer {
        let nodes = quantized_activations(graph, head.semantics);
        for kind in [Kind::Weights, Kind::Activations] {
            for tensor in Tensor::all(graph, head, kind, &nodes) {
                let format = tensor.format(graph, statistics, WIDE, Offset::NoClip, head.quantizer);
                tensor.set(&mut plan, Some(format));
            }
        }
        prove(graph, &mut plan, |plan| oracle.check(plan))?;
    }
    Ok(plan)
}

struct Sweep<'a, O> {
    oracle: &'a mut O,
    observer: &'a mut dyn Observer,
    options: &'a BruteForceOptions,
    plan: Plan,
    /// Of `plan`, once something is held.
    evaluation: Option<Evaluation>,
    trace: Vec<TraceEntry>,
    done: usize,
    expected: usize,
}

impl<O: Oracle> Sweep<'_, O> {
    fn tell(&mut self, event: &Event) -> Result<(), SearchError> {
        if self.observer.event(event).is_break() { Err(SearchError::Stopped) } else { Ok(()) }
    }

    fn run(&mut self, tensors: &[Tensor], grids: &[Vec<Format>]) -> Result<(), SearchError> {
        let mut kind = None;
        for (idx, (tensor, formats)) in tensors.iter().zip(grids).enumerate() {
            if kind != Some(tensor.kind) {
                kind = Some(tensor.kind);
                let tensors = tensors.iter().filter(|t| t.kind == tensor.kind).count();
                self.tell(&Event::Phase { kind: tensor.kind, tensors })?;
            }
            let share = count_to_f64(idx + 1) / count_to_f64(tensors.len());
            let first = self.trace.len();
            let points = self.points(tensor, formats, share)?;
            let Some(hold) = self.options.hold else { continue };
            let chosen = {
                let of_class = |e: &Evaluation| self.oracle.class_part(e, 0.0).unwrap_or(0.0);
                hold.choose(&points, share, self.evaluation.as_ref(), of_class)
            };
            // Where nothing is legal the tensor stays as it was.
            let Some((format, evaluation)) = chosen else { continue };
            tensor.set(&mut self.plan, Some(format));
            self.evaluation = Some(evaluation);
            for entry in &mut self.trace[first..] {
                entry.chosen = (entry.bits, entry.frac) == (format.bits, format.frac);
            }
            let plan = self.plan.clone();
            let (done, tensors) = (idx + 1, tensors.len());
            let evaluation = &evaluation;
            self.tell(&Event::Chosen { tensor, format, plan: &plan, evaluation, done, tensors })?;
        }
        Ok(())
    }

    /// What each format gives that is legal.
    fn points(
        &mut self,
        tensor: &Tensor,
        formats: &[Format],
        share: f64,
    ) -> Result<Vec<(Format, Evaluation)>, SearchError> {
        let budget = self.options.hold.map_or(f64::INFINITY, |hold| hold.tolerance * share);
        let mut points = Vec::with_capacity(formats.len());
        // In simulated semantics a tensor of zeros is the same wherever its binary point is.
        let mut zeros: Option<Evaluation> = None;
        for &format in formats {
            let is_zero = self.options.head.semantics == Semantics::Simulated
                && format.bits == 1
                && format.range == Range::Narrow;
            let evaluation = match zeros.filter(|_| is_zero) {
                Some(evaluation) => Some(evaluation),
                None => self.measure(tensor, format)?,
            };
            if is_zero {
                zeros = evaluation;
            }
            self.done += 1;
            self.trace.push(TraceEntry::new(tensor, format, evaluation.as_ref()));
            if let Some(evaluation) = evaluation {
                points.push((format, evaluation));
            }
            let (evaluation, done, expected) = (evaluation.as_ref(), self.done, self.expected);
            self.tell(&Event::Candidate { tensor, format, evaluation, budget, done, expected })?;
        }
        Ok(points)
    }

    /// The plan with one format changed, on all images; nothing where it is not legal.
    fn measure(
        &mut self,
        tensor: &Tensor,
        format: Format,
    ) -> Result<Option<Evaluation>, SearchError> {
        let mut plan = self.plan.clone();
        tensor.set(&mut plan, Some(format));
        legal(self.oracle.evaluate(&plan, Some(tensor.node), None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, Score};

    /// Of 1000 images, 900 of which the float network gets right.
    fn point(bits: u8, frac: i8, correct: usize) -> (Format, Evaluation) {
        let score =
            Score { correct, lost: 0, gained: 0, n: 1000, float_correct: 900, ..Score::default() };
        let digest = Digest::new();
        let evaluation = Evaluation { score, is_complete: true, digest, is_new: true };
        (Format::signed(bits, frac), evaluation)
    }

    #[test]
    fn the_fewest_bits_within_the_tolerance_are_held() {
        let points = [
            point(2, 1, 880),
            point(2, 2, 881),
            point(3, 1, 891),
            point(3, 2, 895),
            point(3, 3, 895),
            point(8, 5, 905),
        ];
        let chosen = |rule, tolerance, share, before: Option<usize>| {
            let before = before.map(|correct| point(1, 0, correct).1);
            let hold = Hold { rule, tolerance };
            let (format, _) = hold.choose(&points, share, before.as_ref(), |_| 0.0).unwrap();
            (format.bits, format.frac)
        };
        // Drops are 20, 19, 9, 5, 5 and -5 of 1000.
        assert_eq!(chosen(ScoreRule::Drop, 0.02, 1.0, None), (2, 2));
        assert_eq!(chosen(ScoreRule::Drop, 0.02, 0.5, None), (3, 2));
        assert_eq!(chosen(ScoreRule::Drop, 0.0, 1.0, None), (8, 5));
        // Ratios are 0.978, 0.979, 0.99, 0.994, 0.994 and 1.006.
        assert_eq!(chosen(ScoreRule::Ratio, 0.0112, 1.0, None), (3, 2));
        assert_eq!(chosen(ScoreRule::Ratio, 0.022, 1.0, None), (2, 2));
        // The best has 905.
        assert_eq!(chosen(ScoreRule::Accuracy, 0.01, 1.0, None), (3, 2));
        assert_eq!(chosen(ScoreRule::Accuracy, 0.009, 1.0, None), (8, 5));
        // What was lost before is not held against a format.
        assert_eq!(chosen(ScoreRule::Drop, 0.0, 1.0, Some(881)), (2, 2));
        assert_eq!(chosen(ScoreRule::Accuracy, 0.0, 1.0, Some(881)), (8, 5));
    }

    #[test]
    fn where_none_is_within_the_most_accurate_is_held() {
        let points = [point(2, 1, 100), point(4, 3, 300), point(3, 4, 300), point(3, 2, 300)];
        for rule in [ScoreRule::Drop, ScoreRule::Ratio] {
            let chosen =
                Hold { rule, tolerance: 0.01 }.choose(&points, 1.0, None, |_| 0.0).unwrap().0;
            assert_eq!(chosen, Format::signed(3, 2));
        }
        assert!(
            Hold { rule: ScoreRule::Drop, tolerance: 0.01 }
                .choose(&[], 1.0, None, |_| 0.0)
                .is_none()
        );
    }
}
