//! Where the search begins: the widest plan that is legal.

use super::search::{Search, Standing};
use crate::{
    error::SearchError,
    evaluate::Oracle,
    strategies::tensors::{gives_way, in_the_way},
};
use fixedwise_graph::{LowerError, Plan};

impl<O: Oracle> Search<'_, '_, O> {
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
