//! What an integer network takes of a target's memory.

use crate::{
    cost::POINT_BITS,
    emit::c,
    error::LowerError,
    fixed_graph::FixedGraph,
    fixed_operator::FixedOp,
    graph::{Graph, NodeId},
    lower::output_formats,
    memory::{MemoryNode, MemoryPlan},
    ops::{
        Add, AveragePool, FixedAdd, FixedAveragePool, FixedConv, FixedMaxPool, FixedRescale,
        FixedReshape, Gemm, MaxPool, Reshape, Window,
    },
    plan::Plan,
    target::{Code, Target},
};
use fixedwise_fixed::{Format, bits_for, convert::count_to_u64};

/// Bytes that a node takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The node.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
}

/// What an integer network takes of a target's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of constants: weights, biases and what describes layers. Code comes on top.
    pub flash_bytes: u64,
    /// Bytes of working memory: the arena. The caller's buffers for input and result and the stack
    /// come on top.
    pub ram_bytes: u64,
    /// Bytes of the caller's buffers for the input and the result.
    pub io_bytes: u64,
    /// The constants node by node, the largest first.
    pub flash: Vec<Share>,
    /// What lies in the arena at the step at which most does, the largest first: values, and the
    /// working memory of the node that runs.
    pub ram: Vec<Share>,
}

impl Footprint {
    /// Of a network that was lowered for the target.
    ///
    /// Where it runs C, these are the bytes of what [`c::emit`] prints. Else, and where C has no
    /// form of the network, every tensor takes its elements at the width the target stores.
    pub fn new(fixed: &FixedGraph, target: &Target) -> Self {
        let printed = target.c_options("network");
        let printed = printed.and_then(|options| c::emit(fixed, &options, &[]).ok());
        let value_bytes = |id: NodeId| {
            let (node, layers) =
                (&fixed.nodes[id], printed.as_ref().map(|printed| &printed.layers));
            layers.map_or_else(
                || value_bytes(target, node.format, node.shape.len()),
                |layers| layers[id].value_bytes,
            )
        };
        let io_bytes = count_to_u64(value_bytes(0) + value_bytes(fixed.output));
        let constants: Vec<u64> = match &printed {
            Some(printed) => {
                printed.layers.iter().map(|layer| count_to_u64(layer.constant_bytes)).collect()
            }
            None => fixed.nodes.iter().map(|node| constant_bytes(target, &node.op)).collect(),
        };
        let scratch = |id: NodeId| printed.as_ref().map_or(0, |c| c.layers[id].scratch_bytes);
        let nodes: Vec<Sketch> = (0..fixed.nodes.len())
            .map(|id| {
                let node = &fixed.nodes[id];
                let reshape = node.op.get::<FixedReshape>();
                let is_alias = match &printed {
                    Some(printed) => printed.layers[id].kernel == c::ANOTHER_NAME,
                    None => reshape.is_some_and(FixedReshape::is_identity),
                };
                let in_place = overwritten(&node.op);
                let (bytes, scratch_bytes) = (value_bytes(id), scratch(id));
                Sketch { inputs: node.inputs.clone(), bytes, scratch_bytes, is_alias, in_place }
            })
            .collect();
        let memory = plan_memory(&nodes, fixed.output);
        let ram_bytes = printed.as_ref().map_or(memory.bytes, |printed| printed.arena_bytes);
        let share = |id: NodeId, bytes: usize| Share {
            name: fixed.nodes[id].name.clone(),
            bytes: count_to_u64(bytes),
        };
        let peak = memory.peak_step();
        let alive = memory.alive(peak).into_iter().filter(|&id| !nodes[id].is_alias);
        let mut ram: Vec<Share> = alive.map(|id| share(id, nodes[id].bytes)).collect();
        if nodes[peak].scratch_bytes > 0 {
            let name = format!("{} (working memory)", fixed.nodes[peak].name);
            ram.push(Share { name, bytes: count_to_u64(nodes[peak].scratch_bytes) });
        }
        let mut flash: Vec<Share> = fixed
            .nodes
            .iter()
            .zip(&constants)
            .map(|(node, &bytes)| Share { name: node.name.clone(), bytes })
            .filter(|share| share.bytes > 0)
            .collect();
        for shares in [&mut flash, &mut ram] {
            shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
        }
        Self {
            flash_bytes: constants.iter().sum(),
            ram_bytes: count_to_u64(ram_bytes),
            io_bytes,
            flash,
            ram,
        }
    }
}

/// Where the values of a plan would lie on a target; working memory of kernels is not counted.
///
/// # Errors
/// Where the plan does not fit the graph.
pub fn value_memory(graph: &Graph, plan: &Plan, target: &Target) -> Result<MemoryPlan, LowerError> {
    let formats = output_formats(graph, plan)?;
    let consumers = graph.consumers();
    // The order of a vector that only dense layers read becomes that of their weights.
    let is_dense = |&id: &NodeId| graph.nodes[id].op.is::<Gemm>();
    let nodes: Vec<Sketch> = graph
        .nodes
        .iter()
        .zip(formats)
        .enumerate()
        .map(|(id, (node, format))| Sketch {
            inputs: node.inputs.clone(),
            bytes: value_bytes(target, format, node.shape.len()),
            scratch_bytes: 0,
            is_alias: node.op.get::<Reshape>().is_some_and(|reshape| {
                reshape.is_identity(graph.nodes[node.inputs[0]].shape)
                    || id != graph.output && consumers[id].iter().all(is_dense)
            }),
            in_place: if node.op.is::<Add>() {
                &[0, 1]
            } else if node.op.as_activation().is_some()
                || node.op.get::<MaxPool>().is_some_and(|pool| pool.window.is_tiling())
                || node.op.get::<AveragePool>().is_some_and(|pool| pool.window.is_tiling())
            {
                &[0]
            } else {
                &[]
            },
        })
        .collect();
    Ok(plan_memory(&nodes, graph.output))
}

/// A node as far as memory is concerned.
struct Sketch {
    inputs: Vec<NodeId>,
    bytes: usize,
    scratch_bytes: usize,
    is_alias: bool,
    in_place: &'static [usize],
}

fn plan_memory(nodes: &[Sketch], output: NodeId) -> MemoryPlan {
    // What the result is another name of lies in the caller's buffer too.
    let mut result = output;
    while nodes[result].is_alias {
        result = nodes[result].inputs[0];
    }
    let of = |(id, node): (NodeId, &Sketch)| MemoryNode {
        inputs: node.inputs.clone(),
        bytes: node.bytes,
        scratch_bytes: node.scratch_bytes,
        is_external: id == 0 || id == result,
        alias: node.is_alias.then_some(0),
        in_place: {
            let fits = |&&position: &&usize| node.bytes <= nodes[node.inputs[position]].bytes;
            node.in_place.iter().filter(fits).copied().collect()
        },
    };
    let nodes: Vec<MemoryNode> = nodes.iter().enumerate().map(of).collect();
    MemoryPlan::new(&nodes, output)
}

fn overwritten(op: &FixedOp) -> &'static [usize] {
    let max_pool = op.get::<FixedMaxPool>().map(|pool| &pool.window);
    let window = max_pool.or_else(|| op.get::<FixedAveragePool>().map(|pool| &pool.window));
    if op.is::<FixedAdd>() {
        &[0, 1]
    } else if op.is::<FixedRescale>() || window.is_some_and(Window::is_tiling) {
        &[0]
    } else {
        &[]
    }
}

/// Bytes of a value on a target.
fn value_bytes(target: &Target, format: Format, count: usize) -> usize {
    let bits = target.activation_bits.stored(format.bits).unwrap_or(Target::MAX_BITS);
    (usize::from(bits) * count).div_ceil(8)
}

/// Bytes of a node's weights and biases at the widths the target stores.
fn constant_bytes(target: &Target, op: &FixedOp) -> u64 {
    let Some(conv) = op.get::<FixedConv>() else { return 0 };
    let bytes = |bits: u8, count: usize| (u64::from(bits) * count_to_u64(count)).div_ceil(8);
    let weight_bits = conv.weights_format.bits;
    let weights = target.weight_bits.stored(weight_bits).unwrap_or(weight_bits);
    let own = match target.code {
        Code::Hls => conv.bias_format.map(|format| format.bits),
        Code::C(_) => None,
    };
    let needed = || {
        let most = conv.bias.values.iter().map(|bias| bias.unsigned_abs()).max();
        bits_for(most.unwrap_or(0))
    };
    let bias_bits = own.unwrap_or_else(needed);
    let biases = target.bias_bits.stored(bias_bits).unwrap_or(bias_bits);
    bytes(weights, conv.weights.len())
        + bytes(biases, conv.bias.values.len())
        + (POINT_BITS * count_to_u64(conv.coarser.len())).div_ceil(8)
}
