//! Executed instructions for each multiply-accumulate of printed layers and networks, counted on
//! emulated cores, beside CMSIS-NN's on the same layers. The figures repeat exactly.
//!
//! `cargo xtask bench kernels [CORE]`, a part of a core's name such as `M4`; all without.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program that prints figures")]

use anyhow::{Result, anyhow};
use fixedwise_fixed::{
    Format, Rounding,
    convert::{count_to_f64, u64_to_f64},
};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, LayerPlan, Plan, Quantizer, Semantics, Shape,
    emit::c::{self, COptions},
    lower,
    ops::{Add, GlobalAveragePool, Relu, Window},
    passes,
};
use fixedwise_testing::{Build, Core, Emitted};

/// Bits of stored weights, a column each.
const WIDTHS: [u8; 8] = [8, 7, 6, 5, 4, 3, 2, 1];

/// CMSIS-NN of November 2026 with 8- and 4-bit weights, compiled at `-O2`, on Cortex-M4 and M55: its
/// own kernels need the same on every Cortex-M with the same extension.
type Peer = Option<[[f64; 2]; 2]>;

/// A layer on its own, or a network.
struct Case {
    name: &'static str,
    graph: Graph,
    peer: Peer,
}

fn window(kernel: usize, stride: usize) -> Window {
    let pad = kernel / 2;
    // As frameworks pad to the `same` extents: with stride 2 on even extents the end gets more.
    let begin = if stride == 1 { pad } else { (kernel - stride.min(kernel)) / 2 };
    let end = kernel.saturating_sub(stride).saturating_sub(begin);
    let end = if stride == 1 { pad } else { end };
    Window {
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [1; 2],
        pad_begin: [begin; 2],
        pad_end: [end; 2],
        ceil: false,
    }
}

/// One convolution with its ReLU.
fn layer(
    name: &'static str,
    input: (usize, usize, usize),
    [kernel, stride, channels, groups]: [usize; 4],
    peer: Peer,
) -> Case {
    let mut b = Build::new(Shape::new(input.0, input.1, input.2), 1);
    let x = b.conv("conv", 0, channels, &window(kernel, stride), groups);
    b.push("relu", Relu, vec![x]);
    Case { name, graph: b.finish(), peer }
}

fn dense(name: &'static str, inputs: usize, outputs: usize, peer: Peer) -> Case {
    let mut b = Build::new(Shape::new(1, 1, inputs), 1);
    let x = b.gemm("dense", 0, outputs);
    b.push("relu", Relu, vec![x]);
    Case { name, graph: b.finish(), peer }
}

/// The image classification network of `MLPerf` Tiny: 12.5 million multiply-accumulates.
fn resnet_8() -> Graph {
    let mut b = Build::new(Shape::new(32, 32, 3), 1);
    let conv = |b: &mut Build, x, channels, kernel, stride, is_relu| {
        let n = b.random.below(1 << 30);
        let y = b.conv(&format!("conv_{n}"), x, channels, &window(kernel, stride), 1);
        if is_relu { b.push(&format!("relu_{n}"), Relu, vec![y]) } else { y }
    };
    let mut x = conv(&mut b, 0, 16, 3, 1, true);
    for (channels, stride) in [(16, 1), (32, 2), (64, 2)] {
        let y = conv(&mut b, x, channels, 3, stride, true);
        let y = conv(&mut b, y, channels, 3, 1, false);
        let skip = if stride == 1 { x } else { conv(&mut b, x, channels, 1, stride, false) };
        let sum = b.push(&format!("add_{channels}"), Add, vec![skip, y]);
        x = b.push(&format!("relu_{channels}"), Relu, vec![sum]);
    }
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    b.gemm("dense", x, 10);
    b.finish()
}

fn cases() -> Vec<Case> {
    let relu = |graph: Graph| passes::prepare(&graph, Semantics::Integer);
    let mut cases = vec![
        layer(
            "conv 3x3, 12x12x32 to 64",
            (12, 12, 32),
            [3, 1, 64, 1],
            Some([[1.86, 3.62], [0.237, 0.374]]),
        ),
        layer("conv 3x3, 13x11x32 to 64", (13, 11, 32), [3, 1, 64, 1], None),
        layer("conv 3x3 / 2, 12x12x32 to 64", (12, 12, 32), [3, 2, 64, 1], None),
        layer("conv 3x3, 7x7x64 to 33", (7, 7, 64), [3, 1, 33, 1], None),
        layer("conv 5x5, 12x12x32 to 64", (12, 12, 32), [5, 1, 64, 1], None),
        layer("conv 5x5, 14x14x6 to 16", (14, 14, 6), [5, 1, 16, 1], None),
        layer("conv 3x3, 32x32x3 to 16", (32, 32, 3), [3, 1, 16, 1], None),
        layer("conv 3x3 / 2, 48x48x3 to 8", (48, 48, 3), [3, 2, 8, 1], None),
        layer("conv 3x3, 28x28x1 to 32", (28, 28, 1), [3, 1, 32, 1], None),
        layer("conv 3x3, 32x32x16 to 16", (32, 32, 16), [3, 1, 16, 1], None),
        layer(
            "conv 1x1, 12x12x64 to 64",
            (12, 12, 64),
            [1, 1, 64, 1],
            Some([[2.08, 3.73], [0.393, 0.636]]),
        ),
        layer("conv 1x1 / 2, 32x32x16 to 32", (32, 32, 16), [1, 2, 32, 1], None),
        layer("conv 1x1, 7x7x128 to 128", (7, 7, 128), [1, 1, 128, 1], None),
        layer(
            "depthwise 3x3, 12x12x64",
            (12, 12, 64),
            [3, 1, 64, 64],
            Some([[8.52, 15.7], [2.30, 2.78]]),
        ),
        layer("depthwise 3x3 / 2, 24x24x16", (24, 24, 16), [3, 2, 16, 16], None),
        dense("dense, 1024 to 64", 1024, 64, Some([[1.93, 4.93], [0.483, 0.389]])),
        dense("dense, 640 to 10", 640, 10, None),
    ];
    cases.push(Case {
        name: "ResNet-8",
        graph: resnet_8(),
        peer: Some([[2.39, f64::NAN], [0.384, f64::NAN]]),
    });
    for case in &mut cases {
        case.graph = relu(case.graph.clone()).expect("the graph is legal");
    }
    cases
}

/// Formats of plausible magnitude: outputs are spread, not saturated.
fn lowered(graph: &Graph, weights: u8) -> Result<FixedGraph> {
    let nonnegative = graph.nonnegative(|_| true);
    let mut frac = 0;
    let mut fracs = vec![0_i8; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        // A sum of random products grows with the root of their number.
        if let Some(w) = node.op.weights() {
            let depth = w.len() / node.shape.c.max(1);
            frac -= i8::try_from(depth.ilog2() / 2)?;
            frac += i8::from(id > 1);
        }
        fracs[id] = frac;
    }
    let format = |id: usize| {
        if nonnegative[id] { Format::unsigned(8, fracs[id]) } else { Format::signed(8, fracs[id]) }
    };
    let layer = |(id, node): (usize, &fixedwise_graph::Node)| LayerPlan {
        name: node.name.clone(),
        weights: Some(Format::full(weights, i8::try_from(weights).unwrap_or(8))),
        bias: None,
        activation: Some(format(id)),
    };
    let others = graph.nodes.iter().enumerate();
    let others = others.filter(|(_, node)| node.op.has_own_format() && !node.op.is_layer());
    let plan = Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding: Rounding::TiesUp,
        input: Format::unsigned(8, 0),
        layers: graph.layers().map(layer).collect(),
        rounded: std::collections::BTreeMap::new(),
        thinned: None,
        others: others.map(|(id, node)| (node.name.clone(), format(id))).collect(),
    };
    Ok(lower(graph, &plan, AccumulatorPolicy::Prove32)?)
}

/// Multiply-accumulates of one image.
fn macs(graph: &Graph) -> f64 {
    let of = |node: &fixedwise_graph::Node| {
        let weights = node.op.weights().map_or(0, <[f32]>::len);
        count_to_f64(weights) * count_to_f64(node.shape.h * node.shape.w)
    };
    graph.nodes.iter().map(of).sum()
}

/// Instructions for each multiply-accumulate; the output is compared with the executor's.
fn measure(core: Core, options: &COptions, graph: &Graph, weights: u8) -> Result<(f64, usize)> {
    let fixed = lowered(graph, weights)?;
    let emitted = Emitted::new(core, &fixed, options, false).map_err(|error| anyhow!(error))?;
    let image: Vec<f32> =
        (0..fixed.nodes[0].shape.len()).map(|i| count_to_f32(i * 7919 % 251)).collect();
    let instructions = emitted.assert_equals(&fixed, &[image]);
    let text = emitted.program.size().map_err(|error| anyhow!(error))?.text;
    let code = text.saturating_sub(emitted.project.constant_bytes);
    Ok((u64_to_f64(instructions[0]) / macs(graph), code))
}

fn count_to_f32(n: usize) -> f32 {
    u16::try_from(n).map_or(0.0, f32::from)
}

fn main() -> Result<()> {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let cores = [
        (Core::CortexM4, c::Core::Dsp, Some(0)),
        (Core::CortexM55, c::Core::Mve, Some(1)),
        (Core::CortexM3, c::Core::Portable, None),
        (Core::Rv32, c::Core::Portable, None),
    ];
    let cases = cases();
    for (core, kind, peer) in cores {
        if !core.name().contains(&wanted) || !core.is_available() {
            continue;
        }
        println!("\nInstructions per multiply-accumulate on {}", core.name());
        let head = WIDTHS.map(|bits| format!("{bits:>6} b")).concat();
        println!("{:<30}{head}   code B CMSIS-NN 8 b, 4 b", "layer");
        for case in &cases {
            let mut row = format!("{:<30}", case.name);
            let mut code = 0;
            for bits in WIDTHS {
                let options = COptions { core: kind, ..COptions::new("net") };
                let (per_mac, bytes) = measure(core, &options, &case.graph, bits)?;
                code = bytes.max(code);
                row += &format!("{per_mac:>8.3}");
            }
            row += &format!("{code:>7}");
            if let (Some(peers), Some(peer)) = (case.peer, peer) {
                for figure in peers[peer].into_iter().filter(|figure| !figure.is_nan()) {
                    row += &format!("{figure:>8.3}");
                }
            }
            println!("{row}");
        }
    }
    Ok(())
}
