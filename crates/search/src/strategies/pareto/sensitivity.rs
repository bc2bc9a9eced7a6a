//! Measures what every width of every tensor does alone.

use super::{
    curves::Curves,
    search::{Search, Standing},
};
use crate::{
    error::SearchError,
    evaluate::Oracle,
    strategies::{observer::Event, tensors::Kind},
};
use fixedwise_graph::{NodeId, Plan};

impl<O: Oracle> Search<'_, '_, O> {
    /// Measures every width of every tensor, all others as they stand.
    pub(super) fn sensitivities(&mut self, base: &Standing) -> Result<Curves, SearchError> {
        let mut curves = vec![Vec::new(); self.items.list.len()];
        for id in 0..self.network.graph().nodes.len() {
            for kind in [Kind::Weights, Kind::Activations] {
                let Some(item) = self.items.find(id, kind) else { continue };
                curves[item] = match kind {
                    Kind::Weights => self.weights_alone(base, id, item)?,
                    _ => self.activations_alone(base, id, item)?,
                };
            }
        }
        for curve in &mut curves {
            // A width that happens to do worse than a narrower one could hold the same values.
            let mut least = f64::INFINITY;
            for (_, added) in curve {
                least = least.min(*added);
                *added = least;
            }
        }
        Ok(curves)
    }

    /// The curve of a layer's weights.
    fn weights_alone(
        &mut self,
        base: &Standing,
        id: NodeId,
        item: usize,
    ) -> Result<Vec<(u8, f64)>, SearchError> {
        let layer = self.network.layer(&base.built.plan, id)?;
        let mut curve = Vec::new();
        for bits in self.items.list[item].bits.clone() {
            self.measured(item, bits)?;
            if self.is_nothing(&curve) {
                curve.push((bits, 0.0));
                continue;
            }
            let mut plan = base.built.plan.clone();
            layer.round(&mut plan, bits, self.network.rounding())?;
            let added = self.added_exactly(base, &plan, id)?;
            curve.push((bits, added.max(0.0)));
        }
        Ok(curve)
    }

    /// The curve of a result; where another binary point does better, it is kept with the width.
    fn activations_alone(
        &mut self,
        base: &Standing,
        id: NodeId,
        item: usize,
    ) -> Result<Vec<(u8, f64)>, SearchError> {
        let tensor = self.items.list[item].tensor.clone();
        let mut curve = Vec::new();
        for bits in self.items.list[item].bits.clone() {
            self.measured(item, bits)?;
            if self.is_nothing(&curve) {
                curve.push((bits, 0.0));
                continue;
            }
            let mut least = f64::INFINITY;
            for shift in [0, -1, 1] {
                if shift != 0 && least < self.scale.much {
                    break;
                }
                let format = self.network.activation(&tensor, bits, shift);
                let plan = self.network.with_activation(&base.built.plan, &tensor, format)?;
                let added = self.added_exactly(base, &plan, id)?;
                if shift == 0 || added < self.options.tuning.shift_gain * least {
                    least = added.max(0.0);
                    self.items.list[item].shift.insert(bits, shift);
                }
            }
            curve.push((bits, least));
        }
        Ok(curve)
    }

    /// What another plan adds to the divergence, on more images where that makes a difference.
    fn added_exactly(
        &mut self,
        to: &Standing,
        plan: &Plan,
        focus: NodeId,
    ) -> Result<f64, SearchError> {
        let added = self.added(to, plan, focus)?;
        if !self.scale.decides(added) {
            return Ok(added);
        }
        Ok(self.probe.divergence(plan, Some(focus))? - to.divergence)
    }

    /// Whether a curve has come down to zero.
    fn is_nothing(&self, curve: &[(u8, f64)]) -> bool {
        curve.last().is_some_and(|&(_, added)| added < self.scale.nothing)
    }

    fn measured(&mut self, item: usize, bits: u8) -> Result<(), SearchError> {
        self.work.done.widths += 1;
        self.work.left.widths = self.work.left.widths.saturating_sub(1);
        let ((done, expected), work) = (self.counted(), self.work);
        let tensor = self.items.list[item].tensor.clone();
        self.tell(&Event::Sensitivity { tensor: &tensor, bits, done, expected, work })
    }
}
