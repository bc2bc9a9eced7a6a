//! Tensors trade bits around the best plan: one gives a bit, others get some where the bound asks for it.

use super::{
    descent::Move,
    search::{Search, Standing},
    widths::Widths,
};
use crate::{error::SearchError, evaluate::Oracle, tuning::Tuning};
use std::collections::BTreeSet;

impl<O: Oracle> Search<'_, '_, O> {
    /// Looks for plans that cost less than the best and keep to the bound, from each to the next.
    pub(super) fn trade(&mut self) -> Result<(), SearchError> {
        let &Tuning { trades: mut left, worth, .. } = &self.options.tuning;
        let mut tried = BTreeSet::new();
        while let Some(now) = self.best.last().filter(|best| best.met) {
            let now = now.standing.clone();
            let mut gives = self.gives(&now)?;
            gives.retain(|step| step.cost <= -worth);
            let mut is_better = false;
            for give in gives {
                let widths = self.taken(&now.widths, &[give]);
                if !tried.insert(widths.bits.clone()) {
                    continue;
                }
                if left == 0 {
                    return Ok(());
                }
                self.is_left(0, 0, left);
                left -= 1;
                is_better = self.trade_for(give, widths)?;
                if is_better {
                    break;
                }
            }
            if !is_better {
                break;
            }
        }
        Ok(())
    }

    /// Steps of tensors to the next narrower width, those first that add least for what they save.
    pub(super) fn gives(&mut self, now: &Standing) -> Result<Vec<Move>, SearchError> {
        let mut gives = self.moves(now, |bits, from| bits < from)?;
        gives.retain(|step| step.cost < 0.0);
        let least = self.scale.least;
        let harm = |step: &Move| step.divergence.max(least) / -step.cost;
        gives.sort_by(|a, b| harm(a).total_cmp(&harm(b)).then(a.item.cmp(&b.item)));
        Ok(gives)
    }

    /// Whether a plan after one step, or after others that make up for it, is the best.
    fn trade_for(&mut self, give: Move, widths: Widths) -> Result<bool, SearchError> {
        let Some(most) = self.best.last().map(|best| best.cost) else { return Ok(false) };
        let next = self.stand(widths)?;
        // Far beyond the bound there is nothing to be found.
        if !self.is_near(&next, self.bound()) {
            self.planned();
            return Ok(false);
        }
        if self.is_best(&next)? {
            return Ok(true);
        }
        let mut gets = self.moves(&next, |bits, from| bits > from)?;
        gets.retain(|step| step.item != give.item && step.cost > 0.0 && step.divergence < 0.0);
        let gain = |step: &Move| -step.divergence / step.cost;
        gets.sort_by(|a, b| gain(b).total_cmp(&gain(a)).then(a.item.cmp(&b.item)));
        let mut cost = self.cost(&next.built.plan);
        let mut beyond = next.divergence - self.bound();
        let mut taken: Vec<Move> = Vec::new();
        for step in gets {
            let is_enough = beyond <= 0.0 && !taken.is_empty();
            if !is_enough && cost + step.cost < most {
                cost += step.cost;
                beyond += step.divergence;
                taken.push(step);
            }
        }
        if taken.is_empty() {
            return Ok(false);
        }
        let next = self.stand(self.taken(&next.widths, &taken))?;
        self.is_best(&next)
    }

    /// Measures a plan; whether it is the best so far.
    fn is_best(&mut self, standing: &Standing) -> Result<bool, SearchError> {
        let before = self.best.len();
        self.certify(standing)?;
        Ok(self.best.len() > before)
    }
}
