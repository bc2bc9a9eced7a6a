//! What widths and plans cost.

use super::{
    limits::Limits,
    options::{CostWeights, ParetoOptions},
    widths::Item,
};
use crate::{
    error::SearchError,
    strategies::tensors::{Kind, made_of},
};
use fixedwise_fixed::convert::{count_to_f64, count_to_u64, f64_to_count, u64_to_f64};
use fixedwise_graph::{
    AccumulatorPolicy, Graph, NodeId, Plan, Target, cost,
    footprint::{Footprint, ValueMemory},
    lower_for,
};
use std::{cell::RefCell, collections::BTreeMap};

/// What a plan takes: parts of uniform 8 bit by name, bytes on the target.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Taken {
    memory: f64,
    multiplications: f64,
    flash_bytes: f64,
    ram_bytes: f64,
}

/// The memory of a plan on the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes {
    pub(super) flash: u64,
    pub(super) ram: u64,
}

/// The multiplications of one layer.
#[derive(Clone, Debug)]
struct Products {
    /// The items that each of its two factors is made of: weights or values, and values.
    factors: [Vec<usize>; 2],
    /// What a bit times a bit takes, as a part of uniform 8 bit.
    part: f64,
}

impl Products {
    /// A part of uniform 8 bit, of the widths of items.
    fn cost(&self, bits: impl Fn(usize) -> f64) -> f64 {
        let widest = |items: &[usize]| match items {
            [] => 8.0,
            items => items.iter().map(|&i| bits(i)).fold(0.0, f64::max),
        };
        widest(&self.factors[0]) * widest(&self.factors[1]) * self.part
    }
}

/// Measures plans, and widths before there is a plan.
#[derive(Debug)]
pub(super) struct Meter {
    weights: CostWeights,
    limits: Limits,
    over_budget_cost: f64,
    target: Target,
    products: Vec<Products>,
    /// By item, the products that it takes part in.
    products_of: Vec<Vec<usize>>,
    /// Of everything at 8 bits.
    flash8: f64,
    ram8: f64,
    /// Bytes that the target takes beside weights and values: what describes layers, biases, working
    /// memory of kernels.
    rest: [f64; 2],
    /// Where values lie, where their memory counts and the graph has an integer form.
    memory: Option<ValueMemory>,
    /// Memory of values that was looked at already, by their widths.
    values: RefCell<BTreeMap<Vec<u8>, f64>>,
}

impl Meter {
    /// Of the items of a graph.
    pub(super) fn new(graph: &Graph, list: &[Item], options: &ParetoOptions) -> Self {
        let flash8 = list.iter().filter(|item| item.tensor.kind == Kind::Weights);
        let flash8 = flash8.map(|item| count_to_f64(item.count)).sum::<f64>().max(1.0);
        let values = graph.nodes.iter().map(|node| node.shape.len()).max();
        let products = products(graph, list);
        let takes_part = |item: usize, product: &Products| {
            product.factors.iter().any(|items| items.contains(&item))
        };
        let products_of = |item| -> Vec<usize> {
            (0..products.len()).filter(|&at| takes_part(item, &products[at])).collect()
        };
        let mut meter = Self {
            weights: options.cost,
            limits: options.limits,
            over_budget_cost: options.tuning.over_budget_cost,
            target: options.target.clone().unwrap_or_default(),
            products_of: (0..list.len()).map(products_of).collect(),
            products,
            flash8,
            ram8: count_to_f64(values.unwrap_or(1)),
            rest: [0.0; 2],
            memory: None,
            values: RefCell::default(),
        };
        if meter.has_ram() {
            meter.memory = ValueMemory::of(graph, &meter.target).ok();
        }
        meter
    }

    const fn has_flash(&self) -> bool {
        self.weights.flash > 0.0 || self.limits.flash_bytes.is_some()
    }

    const fn has_ram(&self) -> bool {
        self.weights.ram > 0.0 || self.limits.ram_bytes.is_some()
    }

    /// What a plan that takes so much costs.
    pub(super) fn total(&self, taken: Taken) -> f64 {
        let beyond = |bytes: f64, limit: Option<u64>| {
            limit.map_or(0.0, |limit| (bytes / u64_to_f64(limit.max(1)) - 1.0).max(0.0))
        };
        let beyond = beyond(taken.flash_bytes, self.limits.flash_bytes)
            + beyond(taken.ram_bytes, self.limits.ram_bytes);
        self.weights.memory * taken.memory
            + self.weights.multiplications * taken.multiplications
            + self.weights.flash * taken.flash_bytes / self.flash8
            + self.weights.ram * taken.ram_bytes / self.ram8
            + self.over_budget_cost * beyond
    }

    /// What a plan costs, as a part of what uniform 8 bit does.
    pub(super) fn plan(&self, graph: &Graph, list: &[Item], plan: &Plan) -> f64 {
        let ratio = |part: u64, whole: u64| u64_to_f64(part) / u64_to_f64(whole.max(1));
        let mut taken = Taken::default();
        if self.weights.memory > 0.0 {
            let memory = cost::memory(graph, plan);
            taken.memory = memory.map_or(f64::INFINITY, |m| ratio(m.total(), m.uniform8));
        }
        if self.weights.multiplications > 0.0 {
            let products = cost::multiplications(graph, plan);
            taken.multiplications =
                products.map_or(f64::INFINITY, |m| ratio(m.operand, m.uniform8));
        }
        let bits = |item: &Item| item.tensor.of(plan).map_or(8, |format| format.bits);
        let bits: Vec<u8> = list.iter().map(bits).collect();
        taken.flash_bytes = self.flash(list, &bits);
        taken.ram_bytes = self.ram(graph, list, &bits, plan);
        self.total(taken)
    }

    /// What widths cost, biases apart; `like` is any plan of the graph.
    pub(super) fn widths(&self, graph: &Graph, list: &[Item], bits: &[u8], like: &Plan) -> f64 {
        self.total(self.taken(graph, list, bits, like))
    }

    /// What widths take, biases apart; `like` is any plan of the graph.
    pub(super) fn taken(&self, graph: &Graph, list: &[Item], bits: &[u8], like: &Plan) -> Taken {
        let (memory, multiplications) = self.parts(list, bits);
        Taken {
            memory,
            multiplications,
            flash_bytes: self.flash(list, bits),
            ram_bytes: self.ram(graph, list, bits, like),
        }
    }

    /// What widths that take `now` cost with another width of one item, but for the rounding of sums; `None`
    /// where working memory counts, of which only all values together tell.
    pub(super) fn about(
        &self,
        list: &[Item],
        (bits, now): (&[u8], Taken),
        item: usize,
        to: u8,
    ) -> Option<f64> {
        if self.has_ram() {
            return None;
        }
        let of = |bits: u8| move |i: usize| (i == item).then_some(bits);
        let product = |at: usize, changed: &dyn Fn(usize) -> Option<u8>| {
            self.products[at].cost(|i| f64::from(changed(i).unwrap_or(bits[i])))
        };
        let change = |at: &usize| product(*at, &of(to)) - product(*at, &of(bits[item]));
        let stored = |bits: u8| f64::from(self.stored(&list[item], bits));
        let mut then = now;
        then.memory += list[item].memory(to) - list[item].memory(bits[item]);
        then.multiplications += self.products_of[item].iter().map(change).sum::<f64>();
        if self.has_flash() && list[item].tensor.kind == Kind::Weights {
            let more = stored(to) - stored(bits[item]);
            then.flash_bytes += more * count_to_f64(list[item].count) / 8.0;
        }
        Some(self.total(then))
    }

    /// The memory and the multiplications of widths, each as a part of what uniform 8 bit takes, biases
    /// apart.
    pub(super) fn parts(&self, list: &[Item], bits: &[u8]) -> (f64, f64) {
        let of = |i: usize| f64::from(bits[i]);
        let product = |product: &Products| product.cost(of);
        let memory = list.iter().zip(bits).map(|(item, &bits)| item.memory(bits)).sum();
        (memory, self.products.iter().map(product).sum())
    }

    /// The width at which the target stores a tensor.
    fn stored(&self, item: &Item, bits: u8) -> u8 {
        item.tensor.widths(&self.target).stored(bits).unwrap_or(bits)
    }

    fn flash(&self, list: &[Item], bits: &[u8]) -> f64 {
        if !self.has_flash() {
            return 0.0;
        }
        let weights = list.iter().zip(bits).filter(|(item, _)| item.tensor.kind == Kind::Weights);
        let bytes = weights.map(|(item, &bits)| {
            f64::from(self.stored(item, bits)) * count_to_f64(item.count) / 8.0
        });
        bytes.sum::<f64>() + self.rest[0]
    }

    fn ram(&self, graph: &Graph, list: &[Item], bits: &[u8], like: &Plan) -> f64 {
        if !self.has_ram() {
            return 0.0;
        }
        let activations =
            || list.iter().zip(bits).filter(|(item, _)| item.tensor.kind != Kind::Weights);
        let stored: Vec<u8> = activations().map(|(item, &bits)| self.stored(item, bits)).collect();
        if let Some(&bytes) = self.values.borrow().get(&stored) {
            return bytes + self.rest[1];
        }
        let mut plan = like.clone();
        for (item, &bits) in activations() {
            if let Some(format) = item.tensor.of(&plan) {
                let format = fixedwise_fixed::Format { bits, ..format };
                item.tensor.set(&mut plan, Some(format));
            }
        }
        let memory = self.memory.as_ref().and_then(|memory| memory.of_plan(graph, &plan).ok());
        let bytes = memory.map_or(f64::INFINITY, |memory| count_to_f64(memory.bytes));
        self.values.borrow_mut().insert(stored, bytes);
        bytes + self.rest[1]
    }

    /// Takes what a plan really takes on the target, so that what is told of others is right too; `None`
    /// where neither memory was asked for.
    ///
    /// # Errors
    /// Where the plan is not legal on the target.
    pub(super) fn settle(
        &mut self,
        graph: &Graph,
        list: &[Item],
        plan: &Plan,
    ) -> Result<Option<Bytes>, SearchError> {
        if !self.has_flash() && !self.has_ram() {
            return Ok(None);
        }
        let fixed = lower_for(graph, plan, AccumulatorPolicy::Prove32, &self.target)?;
        let footprint = Footprint::new(&fixed, &self.target);
        let bits = |item: &Item| item.tensor.of(plan).map_or(8, |format| format.bits);
        let bits: Vec<u8> = list.iter().map(bits).collect();
        let (flash, ram) = (self.flash(list, &bits), self.ram(graph, list, &bits, plan));
        if self.has_flash() {
            self.rest[0] += u64_to_f64(footprint.flash_bytes) - flash;
        }
        if self.has_ram() {
            self.rest[1] += u64_to_f64(footprint.ram_bytes) - ram;
        }
        Ok(Some(Bytes { flash: footprint.flash_bytes, ram: footprint.ram_bytes }))
    }

    /// Whether widths keep to the budgets, as far as can be told before there is a plan.
    pub(super) fn fits(&self, graph: &Graph, list: &[Item], bits: &[u8], like: &Plan) -> bool {
        let whole = |bytes: f64| count_to_u64(f64_to_count(bytes.ceil()));
        self.limits.hold(whole(self.flash(list, bits)), whole(self.ram(graph, list, bits, like)))
    }

    /// Budgets that the narrowest plan of all exceeds: which memory, what there is, and what its weights or
    /// values alone take.
    pub(super) fn out_of_reach(
        &self,
        graph: &Graph,
        list: &[Item],
        like: &Plan,
    ) -> Vec<(&'static str, u64, u64)> {
        let least: Vec<u8> =
            list.iter().map(|item| item.bits.first().copied().unwrap_or(1)).collect();
        let flash = self.flash(list, &least) - self.rest[0];
        let ram = self.ram(graph, list, &least, like) - self.rest[1];
        [("flash", self.limits.flash_bytes, flash), ("ram", self.limits.ram_bytes, ram)]
            .into_iter()
            .filter_map(|(memory, limit, least)| {
                let (limit, least) = (limit?, count_to_u64(f64_to_count(least.ceil())));
                (least > limit).then_some((memory, limit, least))
            })
            .collect()
    }
}

fn products(graph: &Graph, list: &[Item]) -> Vec<Products> {
    let find = |node: NodeId, kind: Kind| {
        list.iter().position(|item| item.tensor.node == node && item.tensor.kind == kind)
    };
    let macs = u64_to_f64(graph.whole_macs());
    let made_of = |node: NodeId| {
        let sources = made_of(graph, node).into_iter();
        sources.filter_map(|id| find(id, Kind::Activations)).collect()
    };
    let of = |(id, node): (NodeId, &fixedwise_graph::Node)| {
        let other = if node.op.is_layer() {
            find(id, Kind::Weights).into_iter().collect()
        } else {
            made_of(node.inputs[1])
        };
        let factors = [other, made_of(node.main_input())];
        Products { factors, part: u64_to_f64(graph.node_macs(id)) / macs / 64.0 }
    };
    let nodes = graph.nodes.iter().enumerate();
    nodes.filter(|&(id, _)| graph.node_macs(id) > 0).map(of).collect()
}
