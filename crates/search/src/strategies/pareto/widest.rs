//! Where the search begins: the widest plan that is legal, rounded in the way that does less harm.

use super::{
    cost::Meter,
    search::{Search, Standing},
    widths::Items,
};
use crate::{
    error::SearchError,
    evaluate::Oracle,
    reconstruct::Method,
    strategies::{
        observer::Event,
        tensors::{gives_way, in_the_way},
    },
};
use fixedwise_graph::{LowerError, Plan};

impl<O: Oracle> Search<'_, '_, O> {
    /// The plan that the search begins with, measured on the search images, and whether a budget of memory is out of
    /// reach. Where it is far from the float network, its tensors get more bits at once.
    pub(super) fn base(&mut self) -> Result<(Standing, bool), SearchError> {
        let base = self.widest()?;
        let (mut base, other) = self.with_less_harm(base)?;
        let graph = self.network.graph();
        self.meter.settle(graph, &self.items.list, &base.built.plan)?;
        let out_of_reach = self.meter.out_of_reach(graph, &self.items.list, &base.built.plan);
        for &(memory, limit_bytes, least_bytes) in &out_of_reach {
            self.tell(&Event::OutOfReach { memory, limit_bytes, least_bytes })?;
        }
        self.certify(&base)?;
        if let Some(other) = other.filter(|_| !self.is_met()) {
            self.certify(&other)?;
        }
        // Which of a few images are lost is chance; a bound of values is measured.
        while !self.is_met()
            && (self.options.max_loss.is_of_values() || base.divergence > self.scale.too_much)
            && let Some(wider) = self.wider_base()?
        {
            base = wider;
        }
        Ok((base, !out_of_reach.is_empty()))
    }

    /// Whether a plan was found that keeps to the bound.
    pub(super) fn is_met(&self) -> bool {
        self.best.last().is_some_and(|best| best.met)
    }

    /// The widest plan of the next widths at which it comes closer to the bound than every plan before; its tensors may
    /// have these widths from now on.
    pub(super) fn wider_base(&mut self) -> Result<Option<Standing>, SearchError> {
        let graph = self.network.graph();
        while let Some((&most, wider)) = self.wider.split_first() {
            self.wider = wider;
            let items = Items::up_to(graph, self.options, most);
            if items.widest() == self.items.widest() {
                continue;
            }
            let meter = Meter::new(graph, &items.list, self.options);
            let items = std::mem::replace(&mut self.items, items);
            let meter = std::mem::replace(&mut self.meter, meter);
            let bits = self.network.output_bits();
            self.network.set_output_bits(bits.max(most));
            let least = self.best.last().map_or(f64::INFINITY, |best| best.part);
            let wider = self.widest()?;
            self.meter.settle(graph, &self.items.list, &wider.built.plan)?;
            if self.certify(&wider)? < least {
                return Ok(Some(wider));
            }
            (self.items, self.meter) = (items, meter);
            self.network.set_output_bits(bits);
        }
        Ok(None)
    }

    /// The widest plan whose weights are rounded in the way that does less harm, which then holds for the search, and
    /// the one of the other way. With few calibration images, or unlike ones, what is made up for on them may harm all
    /// others.
    fn with_less_harm(
        &mut self,
        base: Standing,
    ) -> Result<(Standing, Option<Standing>), SearchError> {
        if self.options.known.is_some() || self.network.rounding().method == Method::Nearest {
            return Ok((base, None));
        }
        self.network.set_method(Method::Nearest);
        let nearest = self.stand(self.items.widest())?;
        let is_harm = nearest.divergence * self.options.tuning.harm < base.divergence
            && base.divergence - nearest.divergence > self.scale.nothing;
        if is_harm && self.check(nearest.built.plan.clone()).is_ok() {
            return Ok((nearest, Some(base)));
        }
        self.network.set_method(Method::Feedback);
        Ok((base, Some(nearest)))
    }

    /// The plan of the widest tensors that is legal: where sums or biases cannot be proved to fit, or shifts
    /// are out of reach, the tensors in their way give up the widest of their widths.
    pub(super) fn widest(&mut self) -> Result<Standing, SearchError> {
        // Most is seen before any weight is rounded with care.
        while let Err(error) = self.check(self.network.plain(&self.items.widest(), &self.items)) {
            self.narrow(error)?;
        }
        loop {
            let standing = self.stand(self.items.widest())?;
            match self.check(standing.built.plan.clone()) {
                Ok(()) => return Ok(standing),
                Err(error) => self.narrow(error)?,
            }
        }
    }

    fn check(&self, plan: Plan) -> Result<(), LowerError> {
        self.oracle.check(&self.prepared.plan(plan))
    }

    /// Takes the widest width from a tensor that is in the way of a legal plan.
    fn narrow(&mut self, error: LowerError) -> Result<(), SearchError> {
        let in_the_way = in_the_way(self.network.graph(), &error).into_iter();
        let candidates = in_the_way.filter_map(|(id, kind)| {
            let item = self.items.find(id, kind)?;
            let bits = &self.items.list[item].bits;
            bits.last().filter(|_| bits.len() > 1).map(|&widest| (item, kind, widest))
        });
        let Some(item) = gives_way(candidates) else { return Err(error.into()) };
        self.items.list[item].bits.pop();
        Ok(())
    }
}
