//! What the loss of the chosen plan comes from, and what one change would help most.

use super::{
    search::{Search, Standing},
    widths::Item,
};
use crate::{
    error::SearchError,
    evaluate::Oracle,
    strategies::{
        observer::Event,
        outcome::{Explanation, Remedy, Share},
        tensors::Kind,
    },
};
use fixedwise_fixed::{Format, Range};
use fixedwise_graph::{NodeId, Plan, cost};

/// The widest result without a sign, in bits.
const WIDEST: u8 = 15;

impl<O: Oracle> Search<'_, '_, O> {
    /// Takes the sources of error away one by one from the best plan.
    pub(super) fn explain(&mut self) -> Result<(), SearchError> {
        let Some(best) = self.best.last() else { return Ok(()) };
        let now = best.standing.clone();
        let mut shares = Vec::new();
        let total = self.network.graph().nodes.len();
        for id in 0..total {
            if let Some(share) = self.share(&now, id)? {
                shares.push((share, id));
                let (done, work) = (id + 1, self.work);
                self.tell(&Event::Explained { done, total, work })?;
            }
        }
        shares.sort_by(|(a, _), (b, _)| b.total().total_cmp(&a.total()));
        // What helps most is where most comes from.
        let mut remedy: Option<Remedy> = None;
        for &(_, id) in shares.iter().take(self.options.tuning.remedies) {
            for kind in [Kind::Weights, Kind::Activations] {
                let Some(found) = self.wider(&now, id, kind)? else { continue };
                if remedy.as_ref().is_none_or(|best| found.divergence > best.divergence) {
                    remedy = Some(found);
                }
            }
        }
        let shares = shares.into_iter().map(|(share, _)| share).collect();
        let remedy = remedy.filter(|remedy| remedy.divergence > 0.0);
        self.explanation = Some(Explanation { divergence: now.glance, shares, remedy });
        Ok(())
    }

    /// Steps that an explanation measures at most.
    pub(super) fn explanation_steps(&self) -> usize {
        /// For each tensor: of weights, those and the bias; of a result, its ends and its steps.
        const PER_TENSOR: usize = 2;
        PER_TENSOR * (self.items.list.len() + self.options.tuning.remedies)
    }

    /// What comes of a node; `None` where it has no tensor of its own.
    fn share(&mut self, now: &Standing, id: NodeId) -> Result<Option<Share>, SearchError> {
        let plan = &now.built.plan;
        let node = &self.network.graph().nodes[id];
        let mut share = Share { name: node.name.clone(), ..Share::default() };
        let weights = self.items.find(id, Kind::Weights);
        let results = self.items.find(id, Kind::Activations);
        if weights.is_none() && results.is_none() {
            return Ok(None);
        }
        if let Some(item) = weights {
            let Item { bits, is_kept, .. } = &self.items.list[item];
            let widest = bits.last().copied().unwrap_or(8);
            // A width that was given is not the widest there could be.
            let most = *self.options.tuning.weight_bits.end();
            let widest = if *is_kept { widest.max(most) } else { widest };
            if now.widths.bits[item] < widest {
                let mut wide = plan.clone();
                let layer = self.network.layer(plan, id)?;
                layer.round(&mut wide, widest, self.network.rounding())?;
                share.weights = self.fall(now, &wide, id)?;
            }
            let mut exact = plan.clone();
            if let Some(layer) = exact.layer_mut(&node.name) {
                layer.bias = None;
            }
            share.bias = self.fall(now, &exact, id)?;
        }
        if let Some(item) = results {
            let tensor = self.items.list[item].tensor.clone();
            let Some(format) = tensor.of(plan) else { return Ok(Some(share)) };
            let most = if format.range == Range::Unsigned { WIDEST } else { WIDEST + 1 };
            let bits = (format.bits + self.options.tuning.exact_bits).min(most);
            let more = bits - format.bits;
            let finer = Format { bits, frac: format.frac.saturating_add_unsigned(more), ..format };
            let without_clipping =
                self.network.with_activation(plan, &tensor, Format { bits, ..format })?;
            let without_rounding = self.network.with_activation(plan, &tensor, finer)?;
            share.clipping = self.fall(now, &without_clipping, id)?;
            let rounding = self.fall(now, &without_rounding, id)?;
            if node.op.is_layer() {
                share.rounding = rounding;
            } else {
                share.alignment = rounding;
            }
        }
        Ok(Some(share))
    }

    /// By how much another plan diverges less; 0 where it is not legal.
    fn fall(&mut self, now: &Standing, plan: &Plan, id: NodeId) -> Result<f64, SearchError> {
        match self.added(now, plan, id) {
            Ok(added) => Ok((-added).max(0.0)),
            Err(SearchError::Lower(_)) => Ok(0.0),
            Err(error) => Err(error),
        }
    }

    /// What the next width of a tensor would do.
    fn wider(
        &mut self,
        now: &Standing,
        id: NodeId,
        kind: Kind,
    ) -> Result<Option<Remedy>, SearchError> {
        let Some(item) = self.items.find(id, kind) else { return Ok(None) };
        let bits = now.widths.bits[item];
        let Some(next) = self.items.neighbors(item, bits).into_iter().find(|&b| b > bits) else {
            return Ok(None);
        };
        let Some(plan) = self.with(now, item, next)? else { return Ok(None) };
        let divergence = self.fall(now, &plan, id)?;
        let graph = self.network.graph();
        let memory = |plan| cost::memory(graph, plan).map_or(0, |memory| memory.total());
        let memory_bits = memory(&plan).saturating_sub(memory(&now.built.plan));
        let name = self.items.list[item].tensor.name.clone();
        Ok(Some(Remedy { name, kind, bits: [bits, next], divergence, memory_bits }))
    }
}
