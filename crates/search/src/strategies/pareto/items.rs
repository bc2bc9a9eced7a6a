//! The tensors whose widths are chosen, and what they cost.

use super::{CostWeights, ParetoOptions, sensitivity::Curves};
use crate::strategies::{Kind, Tensor, quantized_activations};
use fixedwise_fixed::{
    Range,
    convert::{count_to_f64, u64_to_f64},
};
use fixedwise_graph::{Graph, NodeId, Plan, Semantics, cost};
use std::{collections::BTreeMap, ops::RangeInclusive};

/// Widths of weights.
const WEIGHTS: RangeInclusive<u8> = 2..=8;
/// Widths of results; signed ones have at least two bits.
const ACTIVATIONS: RangeInclusive<u8> = 1..=8;

/// A tensor whose width is chosen.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) tensor: Tensor,
    /// The widths it may have, ascending.
    pub(super) bits: Vec<u8>,
    /// By width, how far the best binary point is from the one of least error.
    pub(super) shift: BTreeMap<u8, i8>,
    /// What one bit takes, as a part of the memory at uniform 8 bit.
    memory: f64,
}

/// The multiplications of one layer.
#[derive(Clone, Debug)]
struct Products {
    /// The item of its weights.
    weights: Option<usize>,
    /// The items that its input is made of.
    input: Vec<usize>,
    /// What a bit times a bit takes, as a part of uniform 8 bit.
    part: f64,
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Items {
    pub(super) list: Vec<Item>,
    weight: CostWeights,
    products: Vec<Products>,
}

/// A width for each item, and how far its binary point is from the one of least error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Widths {
    pub(super) bits: Vec<u8>,
    pub(super) shift: Vec<i8>,
}

impl Items {
    pub(super) fn new(graph: &Graph, options: &ParetoOptions) -> Self {
        let nodes = quantized_activations(graph, Semantics::Integer);
        let mut list = Vec::new();
        let mut total = 0;
        for kind in [Kind::Weights, Kind::Activations] {
            for tensor in Tensor::all(graph, Semantics::Integer, kind, &nodes) {
                let tensor = match &options.target {
                    Some(target) => tensor.on(target),
                    None => tensor,
                };
                let node = &graph.nodes[tensor.node];
                let count = match kind {
                    Kind::Weights => node.op.weights().map_or(0, <[f32]>::len),
                    _ => node.shape.len(),
                };
                total += count;
                // The result of all is what classes are read from: it is small, and stays wide.
                if kind == Kind::Activations && tensor.node == graph.output {
                    continue;
                }
                let widths = if kind == Kind::Weights { WEIGHTS } else { ACTIVATIONS };
                let least = if tensor.range == Range::Unsigned { 1 } else { 2 };
                let bits = widths.filter(|&b| b >= least && b <= tensor.widest).collect();
                let (memory, shift) = (count_to_f64(count), BTreeMap::new());
                list.push(Item { tensor, bits, shift, memory });
            }
        }
        let eight = 8.0 * count_to_f64(total);
        list.iter_mut().for_each(|item| item.memory /= eight);
        let products = products(graph, &list);
        Self { list, weight: options.cost, products }
    }

    /// Every item as wide as it may be.
    pub(super) fn widest(&self) -> Widths {
        let bits = self.list.iter().map(|item| item.bits.last().copied().unwrap_or(8)).collect();
        Widths { bits, shift: vec![0; self.list.len()] }
    }

    /// Widths of all items.
    pub(super) fn n_widths(&self) -> usize {
        self.list.iter().map(|item| item.bits.len()).sum()
    }

    pub(super) fn find(&self, node: NodeId, kind: Kind) -> Option<usize> {
        self.list.iter().position(|item| item.tensor.node == node && item.tensor.kind == kind)
    }

    /// How far the binary point of an item of that width is from the one of least error.
    pub(super) fn shift(&self, item: usize, bits: u8) -> i8 {
        self.list[item].shift.get(&bits).copied().unwrap_or(0)
    }

    pub(super) fn set(&self, widths: &mut Widths, item: usize, bits: u8) {
        widths.bits[item] = bits;
        widths.shift[item] = self.shift(item, bits);
    }

    /// The widths next to one.
    pub(super) fn neighbors(&self, item: usize, bits: u8) -> Vec<u8> {
        let list = &self.list[item].bits;
        let at = list.iter().position(|&b| b == bits).unwrap_or(0);
        [at.checked_sub(1), Some(at + 1)]
            .into_iter()
            .flatten()
            .filter_map(|at| list.get(at).copied())
            .collect()
    }

    /// What a plan costs, as a part of what uniform 8 bit does.
    pub(super) fn cost(&self, graph: &Graph, plan: &Plan) -> f64 {
        let ratio = |part: u64, whole: u64| u64_to_f64(part) / u64_to_f64(whole.max(1));
        let mut sum = 0.0;
        if self.weight.memory > 0.0 {
            let memory = cost::memory(graph, plan);
            let memory = memory.map_or(f64::INFINITY, |m| ratio(m.total(), m.uniform8));
            sum += self.weight.memory * memory;
        }
        if self.weight.multiplications > 0.0 {
            let products = cost::multiplications(graph, plan);
            let products = products.map_or(f64::INFINITY, |m| ratio(m.operand, m.uniform8));
            sum += self.weight.multiplications * products;
        }
        sum
    }

    /// What widths cost, biases apart.
    fn cost_of(&self, bits: &[u8]) -> f64 {
        let of = |i: usize| f64::from(bits[i]);
        let memory: f64 = self.list.iter().enumerate().map(|(i, item)| item.memory * of(i)).sum();
        let product = |product: &Products| {
            let input = product.input.iter().map(|&i| of(i)).fold(0.0, f64::max);
            let input = if product.input.is_empty() { 8.0 } else { input };
            product.weights.map_or(8.0, of) * input * product.part
        };
        let products: f64 = self.products.iter().map(product).sum();
        self.weight.memory * memory + self.weight.multiplications * products
    }

    /// Widths along the front, the widest first: each step is the one that saves most for what it
    /// adds to the divergence, as if no tensor's harm depended on another's.
    pub(super) fn front(&self, widest: &Widths, curves: &Curves) -> Vec<Widths> {
        let mut front = vec![widest.clone()];
        let mut now = widest.clone();
        loop {
            let cost = self.cost_of(&now.bits);
            let mut best: Option<(f64, usize, u8)> = None;
            for (i, item) in self.list.iter().enumerate() {
                for &bits in item.bits.iter().filter(|&&b| b < now.bits[i]) {
                    let mut other = now.bits.clone();
                    other[i] = bits;
                    let saved = cost - self.cost_of(&other);
                    let added = added(curves, i, bits) - added(curves, i, now.bits[i]);
                    let price = added.max(1e-9) / saved.max(1e-12);
                    if best.is_none_or(|best| price < best.0) {
                        best = Some((price, i, bits));
                    }
                }
            }
            let Some((_, i, bits)) = best else { return front };
            self.set(&mut now, i, bits);
            front.push(now.clone());
        }
    }

    /// What the steps around one on the front add to the divergence for each unit of cost.
    pub(super) fn price(&self, front: &[Widths], index: usize, curves: &Curves) -> f64 {
        const AROUND: usize = 2;
        let sum = |widths: &Widths| -> f64 {
            widths.bits.iter().enumerate().map(|(i, &bits)| added(curves, i, bits)).sum()
        };
        let from = &front[index.saturating_sub(AROUND)];
        let to = &front[(index + AROUND).min(front.len() - 1)];
        let saved = self.cost_of(&from.bits) - self.cost_of(&to.bits);
        (sum(to) - sum(from)).max(1e-9) / saved.max(1e-12)
    }
}

/// What a width adds to the divergence, alone.
fn added(curves: &Curves, item: usize, bits: u8) -> f64 {
    curves[item].iter().find(|(b, _)| *b == bits).map_or(0.0, |(_, added)| *added)
}

fn products(graph: &Graph, list: &[Item]) -> Vec<Products> {
    let find = |node: NodeId, kind: Kind| {
        list.iter().position(|item| item.tensor.node == node && item.tensor.kind == kind)
    };
    // The items that each node's value is made of.
    let mut made_of: Vec<Vec<usize>> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        made_of.push(match find(id, Kind::Activations) {
            Some(item) => vec![item],
            None => node.inputs.iter().flat_map(|&input| made_of[input].clone()).collect(),
        });
    }
    let macs = u64_to_f64(graph.macs());
    let of = |(id, node): (NodeId, &fixedwise_graph::Node)| Products {
        weights: find(id, Kind::Weights),
        input: made_of[node.inputs[0]].clone(),
        part: u64_to_f64(graph.node_macs(id)) / macs / 64.0,
    };
    graph.layers().map(of).collect()
}
