//! The walk of one tensor through its formats: down the diagonal, down in bits, then around.

use super::search::{End, Search};
use crate::{
    error::SearchError,
    evaluate::{Evaluation, Oracle},
    score::least_correct,
    strategies::{
        observer::Event,
        outcome::TraceEntry,
        tensors::{Kind, Tensor, is_of_formats},
    },
};
use fixedwise_fixed::Format;
use std::collections::BTreeMap;

/// Evaluations a tensor usually takes, for the estimate of how many are left.
const PER_TENSOR: usize = 15;

impl<O: Oracle> Search<'_, O> {
    /// The format of one tensor, tried in the base, and what it gives there; nothing where the
    /// base as it stands is better than any.
    pub(super) fn walk(
        &mut self,
        tensor: &Tensor,
        from: Format,
        budget: f64,
    ) -> Result<Option<(Format, Evaluation)>, End> {
        // What is lost already cannot be won back by a format: it is not held against one.
        let lost = self.base.evaluation.map_or(0.0, |evaluation| self.lost(&evaluation));
        let budget = if lost.is_finite() { budget.max(lost) } else { budget };
        let levels = self.guide.levels(tensor);
        let mut points = Points { tensor, from, budget, levels, tried: BTreeMap::new() };
        let start = Point { bits: i32::from(from.bits), frac: i32::from(from.frac) };
        let lowest = match points.levels {
            None => self.descend(&mut points, start)?,
            Some(_) => self.descend_levels(&mut points, start)?,
        };
        let chosen = match lowest {
            Some(lowest) => Some(self.search_around(&mut points, lowest)?),
            None => self.widen(&mut points, start)?,
        };
        let Some(point) = chosen else { return Ok(None) };
        let (evaluation, trace_idx) = points.tried[&point];
        if let Some(entry) = self.trace.get_mut(trace_idx) {
            entry.chosen = true;
        }
        Ok(points.format(point).zip(evaluation))
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

    /// Down from one stored width to the next as long as one of its binary points keeps to the
    /// budget: from the one where the range stays to the one where the step does.
    fn descend_levels(&mut self, points: &mut Points, start: Point) -> Result<Option<Point>, End> {
        /// At the start, where nothing clips, so much finer steps may still be better.
        const FINER: i32 = 2;
        let mut lowest = None;
        let (mut from, mut reach) = (start, FINER);
        loop {
            let mut kept = None;
            for finer in 0..=reach {
                let point = from.moved(0, finer);
                if self.loss(points, point, points.budget)? <= points.budget {
                    kept = Some(point);
                    break;
                }
            }
            let Some(point) = kept else { return Ok(lowest) };
            lowest = kept;
            let Some(step) = points.step_down(point.bits) else { return Ok(lowest) };
            (from, reach) = (point.moved(-step, -step), step);
        }
    }

    /// The neighbor with the least loss, of equal ones the one with the fewest bits; `center` where
    /// that is wider and not better by the trade-off.
    fn search_around(&mut self, points: &mut Points, center: Point) -> Result<Point, End> {
        let center_loss = self.loss(points, center, points.budget)?;
        let mut best = (center, center_loss);
        let reach = i32::from(self.options.search.window);
        for bits in points.neighbors(center.bits, reach) {
            for frac in -reach..=reach {
                let point = Point { bits, frac: center.frac + frac };
                let loss = self.loss(points, point, best.1)?;
                let is_before = (point.bits, point.frac) < (best.0.bits, best.0.frac);
                if loss < best.1 || loss <= best.1 && loss.is_finite() && is_before {
                    best = (point, loss);
                }
            }
        }
        let gain = center_loss - best.1;
        let is_worth_it = gain >= self.options.search.trade_off || best.0.bits <= center.bits;
        Ok(if is_worth_it { best.0 } else { center })
    }

    /// Where not even the start keeps to the budget: the first wider format that does, else the
    /// one that loses least; nothing where the plan as it stands is a legal one and loses less.
    fn widen(&mut self, points: &mut Points, start: Point) -> Result<Option<Point>, End> {
        let widest = i32::from(points.tensor.max_bits(points.from.range));
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
            && (points.tensor.of(&self.base.plan).is_some() || points.tensor.kind == Kind::Biases);
        let lost = self.base.evaluation.map_or(f64::INFINITY, |e| self.lost(&e));
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
                    return Ok(self.lost(&evaluation));
                }
                Some(_) => {}
            }
        }
        let mut plan = self.base.plan.clone();
        points.tensor.set(&mut plan, Some(format));
        let at_least = limit.is_finite().then(|| least_correct(self.float_correct, limit));
        let evaluation = match self.evaluate(&plan, Some(points.tensor.node), at_least) {
            Ok(evaluation) => Some(evaluation),
            Err(End::Failed(SearchError::Lower(error))) if is_of_formats(&error) => None,
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
        Ok(evaluation.map_or(f64::INFINITY, |evaluation| self.lost(&evaluation)))
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
    /// The widths that are worth having, the widest first, where that is not each.
    levels: Option<Vec<i32>>,
    /// What each gave (nothing where it is not legal), and its place in the trace.
    tried: BTreeMap<Point, (Option<Evaluation>, usize)>,
}

impl Points<'_> {
    fn format(&self, point: Point) -> Option<Format> {
        let bits = u8::try_from(point.bits).ok()?;
        let frac = i8::try_from(point.frac).ok()?;
        let format = Format { bits, frac, range: self.from.range };
        format.checked(self.tensor.max_bits(format.range)).ok()
    }

    /// How many bits the next narrower width has less; nothing below the narrowest.
    fn step_down(&self, bits: i32) -> Option<i32> {
        let next = self.levels.iter().flatten().copied().find(|&level| level < bits);
        next.map(|next| bits - next)
    }

    /// The widths up to `reach` away, in rising order. Where widths are levels no wider one: the
    /// next takes far more.
    fn neighbors(&self, bits: i32, reach: i32) -> Vec<i32> {
        let Some(levels) = &self.levels else { return (bits - reach..=bits + reach).collect() };
        let reach = usize::try_from(reach).unwrap_or(0);
        let narrower = levels.iter().copied().filter(|&level| level < bits).take(reach);
        let mut neighbors: Vec<i32> = narrower.collect();
        neighbors.reverse();
        neighbors.push(bits);
        neighbors
    }
}
