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
        while let Some((i, bits)) = self.next(&mut now.bits) {
            self.items.set(&mut now, i, bits);
            front.push(now.clone());
        }
        front
    }

    /// The item, and the width for it, of least price; the first of equal ones. `now` stays.
    ///
    /// What a step saves is summed over all items only for those that may be it: of the others it is known
    /// well enough.
    fn next(&self, now: &mut [u8]) -> Option<(usize, u8)> {
        let taken = self.meter.taken(self.graph, &self.items.list, now, self.like);
        let cost = self.meter.total(taken);
        // Far above what the order of a sum can make, far below what a step saves.
        let slack = 1e-11 * (1.0 + cost);
        let mut steps = Vec::new();
        let mut least = f64::INFINITY;
        for (i, item) in self.items.list.iter().enumerate() {
            for bits in item.steps_down(now[i]) {
                let added = added(self.curves, i, bits) - added(self.curves, i, now[i]);
                let about = self.meter.about(&self.items.list, (now, taken), i, bits);
                let [low, high] = about.map_or([0.0, f64::INFINITY], |about| {
                    [slack, -slack].map(|slack| self.price_of(added, cost - about + slack))
                });
                least = least.min(high);
                steps.push((low, added, i, bits));
            }
        }
        let mut best: Option<(f64, usize, u8)> = None;
        for (_, added, i, bits) in steps.into_iter().filter(|step| step.0 <= least) {
            let from = std::mem::replace(&mut now[i], bits);
            let price = self.price_of(added, cost - self.cost(now));
            now[i] = from;
            if best.is_none_or(|best| price < best.0) {
                best = Some((price, i, bits));
            }
        }
        best.map(|(_, i, bits)| (i, bits))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::{
        pareto::{CostWeights, Limits, ParetoOptions},
        tensors::{PlanHead, bare_plan},
    };
    use fixedwise_graph::{
        Semantics, Shape,
        ops::{Concat, GlobalMaxPool, Relu, Window},
        passes,
    };
    use fixedwise_testing::{Build, Random};

    /// Layers of equal and of unequal size, so that prices are equal and nearly so.
    fn network() -> Graph {
        let mut b = Build::new(Shape::new(8, 8, 1), 5);
        let window = Window { kernel: [3; 2], ..Window::pixel() };
        let x = b.conv("stem", 0, 4, &window, 1);
        let x = b.push("stem_relu", Relu, vec![x]);
        let pixel = Window::pixel();
        let left = b.conv("left", x, 4, &pixel, 1);
        let left = b.push("left_relu", Relu, vec![left]);
        let right = b.conv("right", x, 4, &pixel, 1);
        let right = b.push("right_relu", Relu, vec![right]);
        let x = b.push("join", Concat { axis: 2 }, vec![left, right]);
        let x = b.push("max", GlobalMaxPool { minimum: vec![] }, vec![x]);
        b.gemm("dense", x, 4);
        passes::prepare(&b.finish(), Semantics::Integer).unwrap()
    }

    /// As it is defined: every step is priced with the cost of all items.
    fn plain(prices: &Prices, widest: &Widths) -> Vec<Widths> {
        let mut front = vec![widest.clone()];
        loop {
            let now = front.last().unwrap();
            let cost = prices.cost(&now.bits);
            let mut best: Option<(f64, usize, u8)> = None;
            for (i, item) in prices.items.list.iter().enumerate() {
                for bits in item.steps_down(now.bits[i]) {
                    let mut other = now.bits.clone();
                    other[i] = bits;
                    let added =
                        added(prices.curves, i, bits) - added(prices.curves, i, now.bits[i]);
                    let price = prices.price_of(added, cost - prices.cost(&other));
                    if best.is_none_or(|best| price < best.0) {
                        best = Some((price, i, bits));
                    }
                }
            }
            let Some((_, i, bits)) = best else { return front };
            let mut next = now.clone();
            prices.items.set(&mut next, i, bits);
            front.push(next);
        }
    }

    #[test]
    fn the_front_is_that_of_whole_costs() {
        let graph = network();
        let like = bare_plan(&graph, &PlanHead::INTEGER);
        let tight = Limits { flash_bytes: Some(200), ram_bytes: None };
        for (memory, multiplications, flash, limits) in [
            (1.0, 0.0, 0.0, Limits::default()),
            (0.0, 1.0, 0.0, Limits::default()),
            (1.0, 1.0, 0.0, tight),
            (0.0, 0.0, 1.0, Limits::default()),
        ] {
            let cost = CostWeights { memory, multiplications, flash, ram: 0.0 };
            let options = ParetoOptions { limits, ..ParetoOptions::new(PlanHead::INTEGER, cost) };
            let items = Items::new(&graph, &options);
            let meter = Meter::new(&graph, &items.list, &options);
            for seed in 0..8 {
                let mut random = Random::new(seed);
                // Few different harms, many of them none.
                let mut harm = || (random.float(-2.0, 3.0).floor().max(0.0) * 1e-3).into();
                let curve = |bits: &Vec<u8>, harm: &mut dyn FnMut() -> f64| {
                    let mut curve: Vec<(u8, f64)> = bits.iter().map(|&b| (b, harm())).collect();
                    for i in (1..curve.len()).rev() {
                        curve[i - 1].1 += curve[i].1;
                    }
                    curve
                };
                let curves = items.list.iter().map(|item| curve(&item.bits, &mut harm)).collect();
                let (scale, tuning) = (options.tuning.class_scale, &options.tuning);
                let prices = Prices {
                    graph: &graph,
                    items: &items,
                    meter: &meter,
                    curves: &curves,
                    like: &like,
                    scale,
                    tuning,
                };
                let front = prices.front(&items.widest());
                assert!(front.len() > 3, "{}", front.len());
                assert_eq!(front, plain(&prices, &items.widest()), "{cost:?}, seed {seed}");
            }
        }
    }
}
