//! What a plan costs: memory and multiplications, as the paper counts them and as the hardware
//! pays them.

use crate::{
    error::LowerError,
    graph::{Graph, Node, NodeId},
    lower::formats::output_formats,
    operator::{FormatRule, Op},
    plan::{Plan, Semantics},
};
use fixedwise_fixed::convert::{count_to_u64, u64_to_f64};

/// Bits of a tensor that has no format: it stays in f32, or is a bias at the accumulator's scale.
const UNPLANNED_BITS: u64 = 32;

/// Bits of what tells an output channel's binary point where each has its own.
pub(crate) const POINT_BITS: u64 = 4;

/// Bits of the binary points of a layer's output channels.
fn point_bits(plan: &Plan, node: &str) -> u64 {
    let own = plan.rounded.get(node).filter(|own| own.is_by_channel());
    own.map_or(0, |own| POINT_BITS * count_to_u64(own.coarser.len()))
}

/// Bits of everything a network stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Memory {
    /// Of all weights, with 4 bits for the binary point of each output channel that has its own.
    pub weights: u64,
    /// Of all biases, one for each class of border positions where they differ.
    pub biases: u64,
    /// Of all values that have formats of their own, all counted (not the peak), but for inner ones that no memory holds
    /// ([`not_held`]).
    pub activations: u64,
    /// What weights, one bias a channel, and activations take at 8 bits each; the values before sums that layers compute
    /// inside and inner values are part of it, as other tools store them.
    pub uniform8: u64,
    /// What these values take of it.
    pub fused: u64,
}

impl Memory {
    /// Weights, biases and activations.
    pub fn total(&self) -> u64 {
        self.weights + self.biases + self.activations
    }

    /// The part of the 8-bit total that is saved.
    pub fn reduction(&self) -> f64 {
        reduction(self.total(), self.uniform8)
    }
}

/// Bits times bits, summed over all multiplications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Multiplications {
    /// Weight bits, or those of the second of two values, times the bits of the *output*, the paper's reading.
    pub paper: u64,
    /// Weight bits, or those of another value, times the bits of the value that enters the multiplier.
    pub operand: u64,
    /// All at 8 times 8 bits.
    pub uniform8: u64,
}

impl Multiplications {
    /// The part of the 8-bit cost that is saved, in the paper's reading.
    pub fn paper_reduction(&self) -> f64 {
        reduction(self.paper, self.uniform8)
    }

    /// The part of the 8-bit cost that is saved, with the operands' own bits.
    pub fn operand_reduction(&self) -> f64 {
        reduction(self.operand, self.uniform8)
    }
}

fn reduction(cost: u64, uniform8: u64) -> f64 {
    if uniform8 == 0 { 0.0 } else { 1.0 - u64_to_f64(cost) / u64_to_f64(uniform8) }
}

/// Bits of the value of each node as it enters a multiplier.
pub(crate) fn operand_bits(graph: &Graph, plan: &Plan) -> Result<Vec<u64>, LowerError> {
    if plan.semantics == Semantics::Integer {
        let formats = output_formats(graph, plan)?;
        return Ok(formats.iter().map(|format| u64::from(format.bits)).collect());
    }
    // Between layers the simulation is float; what counts is the layer the value comes from.
    let mut bits: Vec<u64> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let own = if node.op.is_input() {
            u64::from(plan.input(&node.name).bits)
        } else if node.op.is_layer() {
            let format = plan.layer(&node.name).and_then(|layer| layer.activation);
            format.map_or(UNPLANNED_BITS, |format| u64::from(format.bits))
        } else {
            node.inputs.iter().map(|&input| bits[input]).max().unwrap_or(UNPLANNED_BITS)
        };
        bits.push(own);
    }
    Ok(bits)
}

/// The most bits of an inner value that no memory holds.
pub const INNER_BITS: u8 = 8;

/// By node, whether its value is an inner one: nothing takes it but a function of each element alone. The function's table
/// stands behind the rounding that makes the element, and what it gives lies where the element would.
pub fn inner(graph: &Graph) -> Vec<bool> {
    let is_function = |node: &Node| {
        node.inputs.len() == 1
            && node.op.has_own_format()
            && node.op.as_element_function().is_some()
    };
    let is_inner = |(id, users): (NodeId, &Vec<NodeId>)| {
        let is_made = graph.nodes[id].op.has_own_format() && !graph.is_output(id);
        is_made && matches!(users[..], [user] if is_function(&graph.nodes[user]))
    };
    graph.consumers().iter().enumerate().map(is_inner).collect()
}

/// By node, whether its value is an inner one that no memory holds at the width of the plan.
///
/// # Errors
/// Where the plan does not fit the graph.
pub fn not_held(graph: &Graph, plan: &Plan) -> Result<Vec<bool>, LowerError> {
    Ok(not_held_of(graph, plan.semantics, &operand_bits(graph, plan)?))
}

/// The same of the bits of each node's value.
fn not_held_of(graph: &Graph, semantics: Semantics, bits: &[u64]) -> Vec<bool> {
    let is_narrow = |bits: u64| semantics == Semantics::Integer && bits <= INNER_BITS.into();
    inner(graph).into_iter().zip(bits).map(|(inner, &bits)| inner && is_narrow(bits)).collect()
}

/// Whether the value of a node that is no layer counts: in simulated semantics a mean has what it is taken of.
fn is_stored(op: &Op, semantics: Semantics) -> bool {
    match semantics {
        Semantics::Integer => op.has_own_format(),
        Semantics::Simulated => op.format_rule() == FormatRule::Own,
    }
}

/// The bits a plan stores.
///
/// # Errors
/// Where the plan does not fit the graph.
pub fn memory(graph: &Graph, plan: &Plan) -> Result<Memory, LowerError> {
    let bits = operand_bits(graph, plan)?;
    let mut memory = Memory::default();
    let not_held = not_held_of(graph, plan.semantics, &bits);
    for (id, node) in graph.nodes.iter().enumerate() {
        let outputs = count_to_u64(node.shape.len());
        let value = if let Some(parameters) = node.op.parameters() {
            let layer = plan.layer(&node.name);
            let of = |format: Option<fixedwise_fixed::Format>| {
                format.map_or(UNPLANNED_BITS, |format| u64::from(format.bits))
            };
            let weights = count_to_u64(parameters.weights.len());
            let biases = count_to_u64(graph.bias_count(id));
            memory.weights += weights * of(layer.and_then(|l| l.weights));
            memory.weights += point_bits(plan, &node.name);
            memory.biases += biases * of(layer.and_then(|l| l.bias));
            memory.fused += if node.has_residual() { 8 * outputs } else { 0 };
            of(layer.and_then(|l| l.activation))
        } else if is_stored(&node.op, plan.semantics) {
            bits[id]
        } else {
            continue;
        };
        if not_held[id] {
            memory.fused += 8 * outputs;
        } else {
            memory.activations += value * outputs;
        }
    }
    let whole = graph.whole.filter(|_| plan.semantics == Semantics::Integer);
    memory.uniform8 = whole.map_or_else(|| uniform8(graph, plan.semantics), |whole| whole.memory);
    Ok(memory)
}

/// The bits of weights, one bias a channel, and values at 8 bits each; those before sums that layers compute inside are
/// part of it.
pub fn uniform8(graph: &Graph, semantics: Semantics) -> u64 {
    graph.nodes.iter().map(|node| node_uniform8(node, semantics)).sum()
}

/// The same of one node.
pub fn node_uniform8(node: &Node, semantics: Semantics) -> u64 {
    let outputs = count_to_u64(node.shape.len());
    8 * match node.op.parameters() {
        Some(own) => {
            let values = if node.has_residual() { 2 * outputs } else { outputs };
            count_to_u64(own.weights.len() + own.bias.len()) + values
        }
        None if is_stored(&node.op, semantics) => outputs,
        None => 0,
    }
}

/// What the multiplications of a plan cost.
///
/// # Errors
/// Where the plan does not fit the graph.
pub fn multiplications(graph: &Graph, plan: &Plan) -> Result<Multiplications, LowerError> {
    let bits = operand_bits(graph, plan)?;
    let mut cost = Multiplications::default();
    for (id, node) in graph.nodes.iter().enumerate() {
        let macs = graph.node_macs(id);
        if macs == 0 {
            continue;
        }
        let factor_bits = if node.op.is_layer() {
            let weights = plan.layer(&node.name).and_then(|layer| layer.weights);
            weights.map_or(UNPLANNED_BITS, |format| u64::from(format.bits))
        } else {
            bits[node.inputs[1]]
        };
        cost.paper += macs * factor_bits * bits[id];
        cost.operand += macs * factor_bits * bits[node.main_input()];
    }
    cost.uniform8 = 64 * graph.whole_macs();
    Ok(cost)
}

/// Bytes of weights, their binary points and biases, each tensor packed at its exact width.
pub fn flash_bytes(graph: &Graph, plan: &Plan) -> u64 {
    graph
        .layers()
        .map(|(id, node)| {
            let layer = plan.layer(&node.name);
            let bytes = |format: Option<fixedwise_fixed::Format>, count: usize| {
                let bits = format.map_or(UNPLANNED_BITS, |format| u64::from(format.bits));
                (bits * count_to_u64(count)).div_ceil(8)
            };
            bytes(layer.and_then(|l| l.weights), node.op.weights().map_or(0, <[f32]>::len))
                + bytes(layer.and_then(|l| l.bias), graph.bias_count(id))
                + point_bits(plan, &node.name).div_ceil(8)
        })
        .sum()
}
