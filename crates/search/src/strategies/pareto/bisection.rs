//! Where on the front the bound lies.

use super::{
    curves::divergence_of,
    known::divergence_at,
    options::Known,
    search::{Search, Standing},
    widths::Widths,
};
use crate::{error::SearchError, evaluate::Oracle, strategies::observer::Event, tuning::Tuning};

impl<O: Oracle> Search<'_, '_, O> {
    /// Along the front the first keeps to the bound, or nothing does: finds the last that does.
    pub(super) fn bisect(
        &mut self,
        base: Standing,
        front: &[Widths],
    ) -> Result<(usize, Standing), SearchError> {
        let (mut good, mut bad) = (0, front.len());
        let mut standing = base;
        let mut guess = match &self.options.known {
            Some(known) => self.expected(known, front, standing.divergence)?,
            None => None,
        };
        let mut stride = 1;
        while bad - good > 1 {
            // Around what is expected in growing strides, else halfway.
            let next = match guess {
                Some(guess) if good < guess && guess < bad => guess,
                _ => usize::midpoint(good, bad),
            };
            let plans = self.bisections(bad - good);
            let &Tuning { exchanges, trades, .. } = &self.options.tuning;
            self.is_left(plans, exchanges, trades);
            let plan = self.stand(front[next].clone())?;
            let is_good = self.certify(&plan)? <= 1.0;
            if is_good {
                (good, standing) = (next, plan);
            } else {
                bad = next;
            }
            guess =
                guess.map(|_| if is_good { next + stride } else { next.saturating_sub(stride) });
            stride *= 2;
        }
        // Where the bound lies between two plans is a matter of luck: a few more are looked at.
        for next in (good + 2..front.len()).take(self.options.tuning.plans_beyond) {
            let plan = self.stand(front[next].clone())?;
            if self.certify(&plan)? <= 1.0 {
                (good, standing) = (next, plan);
            }
        }
        Ok((good, standing))
    }

    /// About where on the front the bound lies, by what an earlier search has measured.
    fn expected(
        &mut self,
        known: &Known,
        front: &[Widths],
        base: f64,
    ) -> Result<Option<usize>, SearchError> {
        let Some(divergence) = divergence_at(&known.front, self.certificate.limit()) else {
            return Ok(None);
        };
        let adds = |widths: &Widths| base + divergence_of(widths, &self.curves);
        let guess = front.partition_point(|widths| adds(widths) <= divergence).saturating_sub(1);
        let (memory, multiplications) = self.meter.parts(&self.items.list, &front[guess].bits);
        self.tell(&Event::Expected { memory, multiplications })?;
        Ok(Some(guess))
    }

    /// Where the best plan does not keep to the budgets of memory, measures the widest of the front that
    /// does: what it loses is what would have to give.
    pub(super) fn fit(&mut self, front: &[Widths]) -> Result<(), SearchError> {
        if self.best.last().is_none_or(|best| best.fits) {
            return Ok(());
        }
        self.is_left(self.options.tuning.plans_beyond + 1, 0, 0);
        let Some(best) = self.best.last() else { return Ok(()) };
        let (graph, like) = (self.network.graph(), best.standing.built.plan.clone());
        let (meter, list) = (&self.meter, &self.items.list);
        let fits = |widths: &&Widths| meter.fits(graph, list, &widths.bits, &like);
        // What biases will take is not known before: the narrowest of all may fit though none seems to.
        let some =
            front.iter().filter(fits).take(self.options.tuning.plans_beyond).chain(front.last());
        let some: Vec<Widths> = some.cloned().collect();
        for widths in some {
            let standing = self.stand(widths)?;
            let is_legal = self.certify(&standing)?.is_finite();
            let seen = self.front.last().filter(|seen| is_legal && seen.fits(self.options.limits));
            let Some(seen) = seen else { continue };
            if seen.loss.is_none() {
                let plan = self.prepared.plan(standing.built.plan);
                let evaluation = self.oracle.evaluate_first(&plan, usize::MAX)?;
                let held_loss = self.known(&evaluation, false);
                if let Some(seen) = self.front.last_mut() {
                    seen.held_loss = held_loss;
                    seen.loss = Some(evaluation.relative_loss());
                }
            }
            return Ok(());
        }
        Ok(())
    }
}
