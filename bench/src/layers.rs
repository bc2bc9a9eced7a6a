//! The time of each kind of layer beside what the instructions allow.
//!
//! The bound counts the instructions that multiply, two a cycle of the table's widest vectors, and the vectors that
//! are loaded and stored, two and one a cycle; the larger of both counts. One thread, values in the first cache.

use crate::image;
use fixedwise_fixed::convert::{count_to_f64, u64_to_f64};
use fixedwise_graph::{
    Graph, NodeId,
    ops::{Conv, Gemm},
    run::{Program, Workspace},
};
use fixedwise_kernels::Kernels;
use std::{collections::BTreeMap, hint::black_box, time::Instant};

/// Seconds of measuring.
const SECONDS: f64 = 0.5;
const ROUNDS: usize = 5;

/// All layers of one kind.
#[derive(Default)]
struct Kind {
    layers: usize,
    macs: u64,
    seconds: f64,
    /// Seconds that the instructions allow.
    least: f64,
}

/// Prints a line for each kind of layer, the slowest first.
pub(crate) fn print(what: &str, graph: &Graph, program: &Program, kernels: &Kernels) {
    let times = times(program, graph.nodes.len());
    let cycle = cycle_seconds();
    let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
    for (id, &seconds) in times.iter().enumerate() {
        let kind = kinds.entry(name(graph, id)).or_default();
        kind.layers += 1;
        kind.macs += graph.node_macs(id);
        kind.seconds += seconds;
        kind.least += cycle * cycles(graph, program, id, kernels);
    }
    let total: f64 = times.iter().sum();
    println!("{what} {}, {:.2} GHz, {:.1} us an image", kernels.name, 1e-9 / cycle, 1e6 * total);
    println!(
        "  {:<22}{:>7}{:>9}{:>9}{:>8}{:>8}",
        "kind", "layers", "M MACs", "us", "bound", "times"
    );
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));
    for (name, Kind { layers, macs, seconds, least }) in kinds {
        let macs = u64_to_f64(macs) / 1e6;
        let (us, bound) = (1e6 * seconds, 1e6 * least);
        println!("  {name:<22}{layers:>7}{macs:>9.3}{us:>9.2}{bound:>8.2}{:>8.1}", us / bound);
    }
}

/// Seconds of each node: the least of several means.
fn times(program: &Program, n_nodes: usize) -> Vec<f64> {
    let image = image(program);
    let schedule = program.schedule(&[], program.outputs());
    let mut workspace = Workspace::new();
    let mut least = vec![f64::INFINITY; n_nodes];
    for _ in 0..ROUNDS {
        let (start, mut n_images) = (Instant::now(), 0);
        let mut sums = vec![0.0; n_nodes];
        while start.elapsed().as_secs_f64() < SECONDS / count_to_f64(ROUNDS) {
            let mut last = Instant::now();
            program.run_observed(&schedule, &mut workspace, &image, &[], |id, _| {
                let now = Instant::now();
                sums[id] += (now - last).as_secs_f64();
                last = now;
            });
            n_images += 1;
        }
        for (least, sum) in least.iter_mut().zip(&sums) {
            *least = least.min(sum / count_to_f64(n_images));
        }
    }
    least
}

/// Whether each channel is convolved by itself.
fn is_depthwise(graph: &Graph, id: NodeId) -> bool {
    let conv: Option<&Conv> = graph.nodes[id].op.get();
    conv.is_some_and(|conv| conv.groups > 1 && conv.groups == graph.input_shapes(id)[0].c)
}

fn name(graph: &Graph, id: NodeId) -> String {
    let node = &graph.nodes[id];
    let Some(conv) = node.op.get::<Conv>() else { return node.op.name().to_owned() };
    let what = match (is_depthwise(graph, id), conv.groups) {
        (true, _) => "depthwise",
        (false, 1) => "conv",
        (false, _) => "grouped conv",
    };
    let [rows, columns] = conv.window.kernel;
    let stride = if conv.window.stride == [1, 1] { "" } else { " / 2" };
    format!("{what} {rows}x{columns}{stride}")
}

/// Cycles that the instructions of a layer take at least.
fn cycles(graph: &Graph, program: &Program, id: NodeId, kernels: &Kernels) -> f64 {
    let is_float = program.value_bytes(id) == 4 * graph.nodes[id].shape.len();
    let vector_bytes = if kernels.name.starts_with("avx512") { 64.0 } else { 32.0 };
    let is_layer = graph.nodes[id].op.is::<Conv>() || graph.nodes[id].op.is::<Gemm>();
    let product_bytes = match is_float {
        true => 4.0,
        false if kernels.name.ends_with("vnni") && !is_depthwise(graph, id) => 1.0,
        false => 2.0,
    };
    let products = if is_layer { u64_to_f64(graph.node_macs(id)) } else { 0.0 };
    let inputs = graph.nodes[id].inputs.iter();
    let loaded: usize = inputs.map(|&input| program.value_bytes(input)).sum();
    let loads = count_to_f64(loaded) / vector_bytes / 2.0;
    let stores = count_to_f64(program.value_bytes(id)) / vector_bytes;
    (products * product_bytes / vector_bytes / 2.0).max(loads).max(stores)
}

/// Seconds of one cycle: each step of this chain waits for a product, 3 cycles, and 1 more.
fn cycle_seconds() -> f64 {
    const STEPS: u32 = 1_000_000;
    let (factor, mask) = (black_box(0x9E37_79B9_7F4A_7C15_u64), black_box(0x55_u64));
    let mut least = f64::INFINITY;
    for _ in 0..20 {
        let start = Instant::now();
        let mut x = black_box(1_u64);
        for _ in 0..STEPS {
            x = x.wrapping_mul(factor) ^ mask;
        }
        black_box(x);
        least = least.min(start.elapsed().as_secs_f64());
    }
    least / f64::from(4 * STEPS)
}
