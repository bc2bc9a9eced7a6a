//! What a search has measured, for other questions about the same network and images.

use super::{Limits, Standing, cost::Bytes, items::Items, sensitivity::Curves};
use crate::{evaluate::Evaluation, strategies::Sensitivity};
use fixedwise_graph::{Graph, cost};
use serde::{Deserialize, Serialize};

/// A plan that was measured on the search images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FrontPlan {
    /// Bit widths, tensor by tensor as the sensitivity lists them.
    pub bits: Vec<u8>,
    /// Of weights, biases and activations.
    pub memory_bits: u64,
    /// Bits times bits of what enters multipliers, over all multiplications.
    pub multiplications: u64,
    /// Bytes of constants on the target, where flash was asked for or limited, or RAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flash_bytes: Option<u64>,
    /// Bytes of working memory on the target, in the same cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_bytes: Option<u64>,
    /// Mean divergence of its class probabilities from the float network's, in nats.
    pub divergence: f64,
    /// Relative loss that was counted; absent where the answer was clear before all images were run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// What was held against the bound: the loss with what was asked of certainty; about that much where
    /// the answer was clear before all images were run.
    pub held_loss: f64,
    /// Whether that kept to the bound.
    pub bound_met: bool,
}

impl FrontPlan {
    /// Whether it keeps to budgets of memory, as far as its memory was asked for.
    pub fn fits(&self, limits: Limits) -> bool {
        match (self.flash_bytes, self.ram_bytes) {
            (Some(flash), Some(ram)) => limits.hold(flash, ram),
            _ => !limits.is_any(),
        }
    }

    pub(super) fn new(
        graph: &Graph,
        standing: &Standing,
        bytes: Option<Bytes>,
        evaluation: &Evaluation,
        (held_loss, bound_met): (f64, bool),
    ) -> Self {
        let plan = &standing.built.plan;
        Self {
            bits: standing.widths.bits.clone(),
            memory_bits: cost::memory(graph, plan).map_or(0, |memory| memory.total()),
            multiplications: cost::multiplications(graph, plan).map_or(0, |m| m.operand),
            flash_bytes: bytes.map(|bytes| bytes.flash),
            ram_bytes: bytes.map(|bytes| bytes.ram),
            divergence: standing.divergence,
            loss: evaluation.is_complete.then(|| evaluation.relative_loss()),
            held_loss,
            bound_met,
        }
    }
}

/// What an earlier search has measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// What each width of each tensor does alone.
    pub sensitivity: Vec<Sensitivity>,
    /// Plans that were measured as a whole.
    pub front: Vec<FrontPlan>,
}

impl Known {
    /// The curves of a search's items, and their binary points; `None` where one was not measured.
    pub(super) fn curves(&self, items: &mut Items) -> Option<Curves> {
        let mut curves = Vec::with_capacity(items.list.len());
        for item in &mut items.list {
            let (name, kind) = (&item.tensor.name, item.tensor.kind);
            let found = self.sensitivity.iter().find(|s| s.name == *name && s.kind == kind)?;
            let mut curve = Vec::with_capacity(item.bits.len());
            for &bits in &item.bits {
                let width = found.widths.iter().find(|width| width.bits == bits)?;
                item.shift.insert(bits, width.shift);
                curve.push((bits, width.divergence));
            }
            curves.push(curve);
        }
        Some(curves)
    }
}

/// The divergence at which a plan's loss comes to a bound, between plans that were measured.
pub(super) fn divergence_at(front: &[FrontPlan], limit: f64) -> Option<f64> {
    let mut points: Vec<(f64, f64)> =
        front.iter().map(|plan| (plan.divergence, plan.held_loss)).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    // A plan that diverges more and happens to lose less says that the others were unlucky.
    let mut least = f64::INFINITY;
    for (_, held) in points.iter_mut().rev() {
        least = least.min(*held);
        *held = least;
    }
    let next = points.iter().position(|&(_, held)| held > limit);
    match next {
        None => points.last().map(|&(divergence, held)| divergence * limit / held.max(1e-9)),
        Some(0) => points.first().map(|&(divergence, held)| divergence * limit / held.max(1e-9)),
        Some(next) => {
            let ((below, least), (above, most)) = (points[next - 1], points[next]);
            Some(below + (above - below) * (limit - least) / (most - least).max(1e-12))
        }
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_lies_between_what_was_measured() {
        let plan =
            |divergence, held_loss| FrontPlan { divergence, held_loss, ..FrontPlan::default() };
        let front = vec![plan(0.01, 0.005), plan(0.03, 0.015), plan(0.02, 0.02)];
        // The unlucky one counts as much as the next.
        let at = |limit| divergence_at(&front, limit).unwrap();
        assert!((at(0.010) - 0.015).abs() < 1e-12, "{}", at(0.010));
        assert!((at(0.0025) - 0.005).abs() < 1e-12);
        assert!((at(0.030) - 0.06).abs() < 1e-12);
        assert_eq!(divergence_at(&[], 0.01), None);
    }
}
