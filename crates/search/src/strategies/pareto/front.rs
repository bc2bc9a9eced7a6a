//! The front: plans from the widest to the narrowest, by what each width does alone.

use super::{
    cost::Meter,
    curves::{Curves, added, divergence_of},
    widths::{Items, Widths},
};
use crate::tuning::{Scale, Tuning};
use fixedwise_graph::{Graph, Plan};

/// What a front is made from.
pub(super) struct Prices<'a> {
    pub(super) graph: &'a Graph,
    pub(super) items: &'a Items,
    pub(super) meter: &'a Meter,
    pub(super) curves: &'a Curves,
    /// Any plan of the graph.
    pub(super) like: &'a Plan,
    pub(super) scale: Scale,
    pub(super) tuning: &'a Tuning,
}

impl Prices<'_> {
    /// Widths along the front, the widest first: each step is the one that saves most for what it
    /// adds to the divergence, as if no tensor's harm depended on another's.
    pub(super) fn front(&self, widest: &Widths) -> Vec<Widths> {
        let mut front = vec![widest.clone()];
        let mut now = widest.clone();
        loop {
            let cost = self.cost(&now.bits);
            let mut best: Option<(f64, usize, u8)> = None;
            for (i, item) in self.items.list.iter().enumerate() {
                for &bits in item.bits.iter().filter(|&&b| b < now.bits[i]) {
                    let mut other = now.bits.clone();
                    other[i] = bits;
                    let added = added(self.curves, i, bits) - added(self.curves, i, now.bits[i]);
                    let price = self.price_of(added, cost - self.cost(&other));
                    if best.is_none_or(|best| price < best.0) {
                        best = Some((price, i, bits));
                    }
                }
            }
            let Some((_, i, bits)) = best else { return front };
            self.items.set(&mut now, i, bits);
            front.push(now.clone());
        }
    }

    /// What the steps around one on the front add to the divergence for each unit of cost.
    pub(super) fn price(&self, front: &[Widths], index: usize) -> f64 {
        let sum = |widths: &Widths| divergence_of(widths, self.curves);
        let around = self.tuning.price_steps;
        let from = &front[index.saturating_sub(around)];
        let to = &front[(index + around).min(front.len() - 1)];
        self.price_of(sum(to) - sum(from), self.cost(&from.bits) - self.cost(&to.bits))
    }

    fn price_of(&self, added: f64, saved: f64) -> f64 {
        added.max(self.scale.least) / saved.max(1e-12)
    }

    fn cost(&self, bits: &[u8]) -> f64 {
        self.meter.widths(self.graph, &self.items.list, bits, self.like)
    }
}
