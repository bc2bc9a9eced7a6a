//! The formats of each layer.

use fixedwise_fixed::{Format, Range, convert::count_to_u64};
use fixedwise_graph::{FixedGraph, Graph, LowerError, Plan, cost, ops::FixedConv};
use serde::{Deserialize, Serialize};

/// Bits of a bias that stays at its accumulator's scale, and of a tensor that stays float.
const UNPLANNED_BITS: u8 = 32;

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerResult {
    /// Its node in the model's file.
    pub name: String,
    /// `Conv` or `Gemm`.
    pub op: String,
    /// Extents of its result, `[h, w, c]`.
    pub output_shape: [u64; 3],
    /// Of the model's output channels those that the plan drops, counted from 0; the extents are without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped_channels: Vec<u64>,
    /// Multiply-accumulates (MACs) of one image.
    pub macs: u64,
    /// Bits its worst sum needs, proved; 0 in simulated semantics.
    pub accumulator_bits: u8,
    /// Format of the weights.
    pub weights: FormatResult,
    /// How much less the fractional offset of each output channel's weights is; empty where all have the
    /// format's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coarser: Vec<u8>,
    /// Format of the bias.
    pub bias: FormatResult,
    /// Format of the result, after the activation.
    pub activation: FormatResult,
}

/// A node of the graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeResult {
    /// Its name.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// Extents `[h, w, c]` of its value.
    pub output_shape: [u64; 3],
    /// The nodes that it takes, by their places.
    pub inputs: Vec<u64>,
}

/// The value of a node without weights, where it has a format of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherResult {
    /// The node.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// Format of its value.
    pub activation: FormatResult,
}

/// Format of a tensor: stored integers `q` mean `q * 2^-frac`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatResult {
    /// Width, BW.
    pub bits: u8,
    /// Fractional offset, F; absent for a tensor that stays float.
    pub frac: Option<i32>,
    /// Whether negative integers belong to it.
    pub signed: bool,
    /// Whether the most negative integer belongs to it too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// Whether its integers are -1 and +1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bipolar: bool,
    /// Elements (of one image, for activations).
    pub count: u64,
}

impl FormatResult {
    pub(super) fn new(format: Format, count: usize) -> Self {
        Self {
            bits: format.bits,
            frac: Some(i32::from(format.frac)),
            signed: format.is_signed(),
            full: format.range == Range::Full,
            bipolar: format.is_bipolar(),
            count: count_to_u64(count),
        }
    }

    fn unplanned(frac: Option<i32>, count: usize) -> Self {
        let count = count_to_u64(count);
        Self { bits: UNPLANNED_BITS, frac, signed: true, full: false, bipolar: false, count }
    }
}

/// Every node, in graph order.
pub(super) fn nodes(graph: &Graph) -> Vec<NodeResult> {
    let node = |node: &fixedwise_graph::Node| NodeResult {
        name: node.name.clone(),
        op: node.op.name().to_owned(),
        output_shape: node.shape.dims().map(count_to_u64),
        inputs: node.inputs.iter().copied().map(count_to_u64).collect(),
    };
    graph.nodes.iter().map(node).collect()
}

/// The names of nodes whose values no memory holds.
pub(super) fn inner(graph: &Graph, plan: &Plan) -> Result<Vec<String>, LowerError> {
    let not_held = cost::not_held(graph, plan)?;
    let names = graph.nodes.iter().zip(not_held).filter(|(_, not_held)| *not_held);
    Ok(names.map(|(node, _)| node.name.clone()).collect())
}

/// Every layer, in graph order.
pub(super) fn layers(graph: &Graph, plan: &Plan, fixed: Option<&FixedGraph>) -> Vec<LayerResult> {
    let layer = |(id, node): (usize, &fixedwise_graph::Node)| {
        let planned = plan.layer(&node.name);
        let [h, w, c] = node.shape.dims().map(count_to_u64);
        let weights = planned.and_then(|layer| layer.weights);
        // A bias without format of its own stands at the scale of the products.
        let bias_frac = || Some(fixed?.nodes[id].op.get::<FixedConv>()?.sum_frac());
        let of = |format: Option<Format>, count: usize, frac: Option<i32>| {
            format.map_or_else(
                || FormatResult::unplanned(frac, count),
                |format| FormatResult::new(format, count),
            )
        };
        LayerResult {
            name: node.name.clone(),
            op: node.op.name().to_owned(),
            output_shape: [h, w, c],
            macs: graph.node_macs(id),
            accumulator_bits: fixed.map_or(0, |fixed| fixed.nodes[id].accumulator_bits),
            weights: of(weights, node.op.weights().map_or(0, <[f32]>::len), None),
            dropped_channels: plan
                .thinned
                .as_ref()
                .and_then(|thinned| thinned.dropped.get(&node.name))
                .map_or_else(Vec::new, |all| all.iter().copied().map(count_to_u64).collect()),
            coarser: plan
                .rounded
                .get(&node.name)
                .filter(|rounded| rounded.is_by_channel())
                .map_or_else(Vec::new, |rounded| rounded.coarser.clone()),
            bias: of(planned.and_then(|layer| layer.bias), graph.bias_count(id), bias_frac()),
            activation: of(planned.and_then(|layer| layer.activation), node.shape.len(), None),
        }
    };
    graph.layers().map(layer).collect()
}

/// Values of nodes that hold no weights and have formats of their own.
pub(super) fn others(graph: &Graph, plan: &Plan) -> Vec<OtherResult> {
    let stored = |node: &&fixedwise_graph::Node| {
        !node.op.is_layer() && (node.op.has_own_format() || plan.others.contains_key(&node.name))
    };
    let other = |node: &fixedwise_graph::Node| OtherResult {
        name: node.name.clone(),
        op: node.op.name().to_owned(),
        activation: plan.others.get(&node.name).map_or_else(
            || FormatResult::unplanned(None, node.shape.len()),
            |format| FormatResult::new(*format, node.shape.len()),
        ),
    };
    graph.nodes.iter().filter(stored).map(other).collect()
}
