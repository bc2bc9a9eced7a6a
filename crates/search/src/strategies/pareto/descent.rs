//! Tensors exchange bits: steps that save more than they harm, as many at a time as turn out well.

use super::{
    known::divergence_at,
    search::{Search, Standing},
    widths::Widths,
};
use crate::{error::SearchError, evaluate::Oracle, strategies::tensors::Kind};
use fixedwise_graph::Plan;
use std::collections::BTreeSet;

/// A step of one tensor by one bit, and what it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) item: usize,
    bits: u8,
    pub(super) cost: f64,
    pub(super) divergence: f64,
}

impl Move {
    /// Negative where it saves more, at a price of cost, than it harms.
    fn value(&self, price: f64) -> f64 {
        self.divergence + price * self.cost
    }
}

impl<O: Oracle> Search<'_, '_, O> {
    /// Lowers divergence and priced cost together. When nothing is left to gain at a price, the price goes
    /// up if the plan keeps to the bound, else down.
    pub(super) fn descend(&mut self, mut now: Standing, mut price: f64) -> Result<(), SearchError> {
        let tuning = &self.options.tuning;
        let mut met = true;
        let first = self.items.list.len().div_ceil(tuning.at_once);
        let (mut pace, mut at_once) = (tuning.pace, first);
        let mut moves: Option<Vec<Move>> = None;
        let mut tried = BTreeSet::from([now.widths.bits.clone()]);
        let mut turned: Option<bool> = None;
        let (mut exchanges, mut prices) = (0, 0);
        let most_prices = tuning.prices_per_exchange * tuning.exchanges;
        while exchanges < tuning.exchanges && prices < most_prices {
            let known = match moves.take() {
                Some(known) => known,
                None => self.moves(&now, |_, _| true)?,
            };
            let mut chosen = worthwhile(&known, price);
            let next = loop {
                chosen.truncate(at_once);
                if chosen.is_empty() {
                    break None;
                }
                let widths = self.taken(&now.widths, &chosen);
                if tried.insert(widths.bits.clone()) {
                    break Some(widths);
                }
                // That was tried: without its last step, or, where it is one, the next best alone.
                match chosen.len() {
                    1 => {
                        break worthwhile(&known, price).into_iter().find_map(|step| {
                            let widths = self.taken(&now.widths, &[step]);
                            tried.insert(widths.bits.clone()).then_some(widths)
                        });
                    }
                    n => at_once = n / 2,
                }
            };
            let Some(widths) = next else {
                prices += 1;
                if turned.is_some_and(|turned| turned != met) {
                    pace = pace.sqrt().max(tuning.least_pace);
                }
                turned = Some(met);
                price = if met { price * pace } else { price / pace };
                at_once = first;
                moves = Some(known);
                continue;
            };
            exchanges += 1;
            self.is_left(0, tuning.exchanges + 1 - exchanges, tuning.trades);
            let next = self.stand(widths)?;
            let cost = |standing: &Standing| self.cost(&standing.built.plan);
            let change = next.divergence - now.divergence + price * (cost(&next) - cost(&now));
            // Far beyond the bound there is nothing to be found.
            let is_near = self.is_near(&next, self.bound().max(now.divergence));
            if change < 0.0 && is_near {
                let part = self.certify(&next)?;
                met = part <= 1.0;
                // What is left of the bound tells how far the price may go.
                let left = part.max(tuning.least_part).sqrt().recip();
                price *= left.clamp(1.0 / tuning.pace, tuning.pace);
                at_once = (2 * chosen.len()).max(1);
                now = next;
            } else {
                self.planned();
                at_once = (chosen.len() / 2).max(1);
                moves = Some(known);
            }
        }
        Ok(())
    }

    /// Whether a plan is worth a look where the bound is thought to lie at a divergence.
    pub(super) fn is_near(&self, standing: &Standing, bound: f64) -> bool {
        standing.divergence <= self.options.tuning.reach_beyond * bound
    }

    /// About the divergence at which the loss comes to the bound.
    pub(super) fn bound(&self) -> f64 {
        divergence_at(&self.front, self.certificate.limit()).unwrap_or(0.0)
    }

    /// Widths after some steps.
    pub(super) fn taken(&self, from: &Widths, steps: &[Move]) -> Widths {
        let mut widths = from.clone();
        for step in steps {
            self.items.set(&mut widths, step.item, step.bits);
        }
        widths
    }

    /// What a step of each tensor does around a plan, of the steps that are wanted from one width to the next.
    pub(super) fn moves(
        &mut self,
        now: &Standing,
        is_wanted: impl Fn(u8, u8) -> bool,
    ) -> Result<Vec<Move>, SearchError> {
        let cost = self.cost(&now.built.plan);
        let mut moves = Vec::new();
        for item in self.items.by_node() {
            let node = self.items.list[item].tensor.node;
            let from = now.widths.bits[item];
            for bits in self.items.neighbors(item, from) {
                if !is_wanted(bits, from) {
                    continue;
                }
                let Some(plan) = self.with(now, item, bits)? else { continue };
                let divergence = self.added(now, &plan, node)?;
                let cost = self.cost(&plan) - cost;
                moves.push(Move { item, bits, cost, divergence });
            }
        }
        Ok(moves)
    }

    /// A plan with another width of one tensor, next to its own; `None` where that is no neighbor.
    pub(super) fn with(
        &self,
        now: &Standing,
        item: usize,
        bits: u8,
    ) -> Result<Option<Plan>, SearchError> {
        let tensor = &self.items.list[item].tensor;
        if tensor.kind == Kind::Weights {
            let Some(part) = now.built.alternatives.get(&(tensor.node, bits)) else {
                return Ok(None);
            };
            let mut plan = now.built.plan.clone();
            part.put(&mut plan);
            return Ok(Some(plan));
        }
        let format = self.network.activation(tensor, bits, self.items.shift(item, bits));
        self.network.with_activation(&now.built.plan, tensor, format).map(Some)
    }
}

/// Of each tensor the best step that is worth its price, the best first.
fn worthwhile(moves: &[Move], price: f64) -> Vec<Move> {
    let mut best: Vec<Move> = Vec::new();
    for step in moves.iter().filter(|step| step.value(price) < 0.0) {
        match best.iter_mut().find(|other| other.item == step.item) {
            Some(other) if other.value(price) <= step.value(price) => {}
            Some(other) => *other = *step,
            None => best.push(*step),
        }
    }
    best.sort_by(|a, b| a.value(price).total_cmp(&b.value(price)).then(a.item.cmp(&b.item)));
    best
}
