//! The tensors whose widths are chosen, and widths for all of them.

use super::{
    keep::Keep,
    options::{Known, ParetoOptions},
};
use crate::strategies::tensors::{Kind, Tensor, quantized_activations};
use fixedwise_fixed::convert::{count_to_f64, u64_to_f64};
use fixedwise_graph::{
    Graph, NodeId, Semantics,
    cost::{INNER_BITS, inner},
};
use std::collections::BTreeMap;

/// A tensor whose width is chosen.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) tensor: Tensor,
    /// The widths it may have, ascending.
    pub(super) bits: Vec<u8>,
    /// By width, how far the best binary point is from the one of least error.
    pub(super) shift: BTreeMap<u8, i8>,
    /// Whether its width is given.
    pub(super) is_kept: bool,
    /// Its elements.
    pub(super) count: usize,
    /// What one bit takes, as a part of the memory at uniform 8 bit.
    bit: f64,
    /// Bits up to which it takes no memory.
    free: u8,
}

impl Item {
    /// What it takes at a width, as a part of the memory at uniform 8 bit.
    pub(super) fn memory(&self, bits: u8) -> f64 {
        if bits <= self.free { 0.0 } else { f64::from(bits) * self.bit }
    }

    /// The widths that a step of the front may lead to from one. Weights that are -1 or +1 have no zero: alone they
    /// may do little harm, with others like them much, so no step skips a width on the way there.
    pub(super) fn steps_down(&self, from: u8) -> impl Iterator<Item = u8> + '_ {
        let narrower = self.bits.partition_point(|&bits| bits < from);
        let skips = move |bits: u8| self.tensor.kind == Kind::Weights && bits == 1 && narrower > 1;
        self.bits[..narrower].iter().copied().filter(move |&bits| !skips(bits))
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Items {
    pub(super) list: Vec<Item>,
}

/// A width for each item, and how far its binary point is from the one of least error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Widths {
    pub(super) bits: Vec<u8>,
    pub(super) shift: Vec<i8>,
}

impl Items {
    /// As wide as tensors are at first.
    pub(super) fn new(graph: &Graph, options: &ParetoOptions) -> Self {
        let tuning = &options.tuning;
        // Values may have to be closer than classes ever have.
        let values = options.max_loss.is_of_values().then_some(tuning.value_bits);
        Self::up_to(graph, options, values.unwrap_or(0))
    }

    /// Of at most so many bits, or as many as is usual where that is more.
    pub(super) fn up_to(graph: &Graph, options: &ParetoOptions, most: u8) -> Self {
        let nodes = quantized_activations(graph, Semantics::Integer);
        let target = options.target.clone().unwrap_or_default();
        let inner = inner(graph);
        let mut list = Vec::new();
        let mut total = 0;
        for kind in [Kind::Weights, Kind::Activations] {
            for tensor in Tensor::all(graph, &options.head, kind, &nodes) {
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
                // Other tools store what stands before a sum too.
                if kind == Kind::Activations && node.has_residual() {
                    total += count;
                }
                // The results are what classes are read from: they are small, and stay wide.
                let kept = options.kept(&tensor.name, kind);
                let is_result = kind == Kind::Activations && graph.is_output(tensor.node);
                if is_result || kept == Some(Keep::Derived) {
                    continue;
                }
                let tuning = &options.tuning;
                let widths = match kind {
                    Kind::Weights => &tuning.weight_bits,
                    _ => &tuning.activation_bits,
                };
                // One bit of weights is -1 or +1.
                let least = if kind == Kind::Weights { 1 } else { kind.min_bits(tensor.range) };
                let mut bits: Vec<u8> = (*widths.start()..=most.max(*widths.end()))
                    .filter(|&b| b >= least && b <= tensor.widest)
                    .collect();
                if options.cost.is_of_stored_bytes() {
                    keep_stored(&mut bits, tensor.widths(&target));
                }
                let kept = kept.and_then(Keep::bits);
                if let Some(kept) = kept {
                    bits = vec![kept];
                }
                let is_inner = kind == Kind::Activations && inner[tensor.node];
                list.push(Item {
                    free: if is_inner { INNER_BITS } else { 0 },
                    tensor,
                    bits,
                    shift: BTreeMap::new(),
                    is_kept: kept.is_some(),
                    count,
                    bit: count_to_f64(count),
                });
            }
        }
        let eight = graph.whole_memory().map_or(8.0 * count_to_f64(total), u64_to_f64);
        list.iter_mut().for_each(|item| item.bit /= eight);
        Self { list }
    }

    /// Takes over where an earlier search has found the binary points of widths.
    pub(super) fn take_points(&mut self, known: &Known) {
        for item in &mut self.list {
            let (name, kind) = (&item.tensor.name, item.tensor.kind);
            let found = known.sensitivity.iter().find(|s| s.name == *name && s.kind == kind);
            let points = found.into_iter().flat_map(|found| &found.widths);
            item.shift.extend(points.map(|width| (width.bits, width.shift)));
        }
    }

    /// Every item as wide as it may be.
    pub(super) fn widest(&self) -> Widths {
        let bits = self.list.iter().map(|item| item.bits.last().copied().unwrap_or(8)).collect();
        Widths { bits, shift: vec![0; self.list.len()] }
    }

    /// Whether nothing that is searched could be narrower.
    pub(super) fn is_narrowest(&self, widths: &Widths) -> bool {
        let of = |(item, bits): (&Item, &u8)| item.is_kept || item.bits.first() == Some(bits);
        self.list.iter().zip(&widths.bits).all(of)
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

    /// All items, node after node: what comes before one is cached for all of its steps.
    pub(super) fn by_node(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.list.len()).collect();
        order.sort_by_key(|&item| (self.list[item].tensor.node, item));
        order
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
}

/// Of all widths those at which the target stores a tensor: others cost no less than the next of them.
fn keep_stored(bits: &mut Vec<u8>, widths: &fixedwise_graph::target::Widths) {
    let levels = widths.levels(bits.last().copied().unwrap_or(8));
    bits.retain(|bits| levels.contains(bits));
}
