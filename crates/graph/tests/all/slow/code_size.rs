//! Stated bytes of code and constants are those of the compiler, for networks that the table of code was not
//! measured with.

use fixedwise_fixed::{Format, Rounding, convert::count_to_u64};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, LayerPlan, Plan, Quantizer, Semantics, Shape,
    emit::c::{self, COptions, CodeStyle, Cpu, Optimization, WeightPlace, emit},
    lower,
    ops::{Add, GlobalAveragePool, GlobalMaxPool, MaxPool, Relu, Reshape},
    passes,
};
use fixedwise_testing::{
    Build, Core, by_channel, fashion_images, integers_of, object_of_c, project, raw_pixel_network,
    resnet8, window,
};

/// A compiler for a core, and the best code that it runs.
const M0: (Core, Cpu, c::Core) = (Core::CortexM0, Cpu::CortexM0, c::Core::Portable);
const M3: (Core, Cpu, c::Core) = (Core::CortexM3, Cpu::CortexM3, c::Core::Portable);
const M4: (Core, Cpu, c::Core) = (Core::CortexM4, Cpu::CortexM4, c::Core::Dsp);
const M7: (Core, Cpu, c::Core) = (Core::CortexM7, Cpu::CortexM4, c::Core::Dsp);
const M55: (Core, Cpu, c::Core) = (Core::CortexM55, Cpu::CortexM55, c::Core::Mve);
const RV32: (Core, Cpu, c::Core) = (Core::Rv32, Cpu::Rv32imc, c::Core::Portable);

/// Bytes of code and constants, and which functions make them.
struct Sizes {
    /// By the compiler's own `size`.
    compiled: u64,
    stated: u64,
    /// A line for each function.
    functions: String,
}

/// Compiles the network; `None` where the compiler is not available.
fn sizes(
    fixed: &FixedGraph,
    (core, cpu, code): (Core, Cpu, c::Core),
    style: CodeStyle,
    optimization: Optimization,
    place: WeightPlace,
) -> Option<Sizes> {
    if !core.is_available() {
        return None;
    }
    let own = COptions::new("network");
    let options = COptions { core: code, style, cpu, place, packs_activations: true, ..own };
    let project = emit(fixed, &options, &[]).unwrap();
    let [(header, declarations), (name, text)] = &project.files[..] else {
        panic!("a header and a source")
    };
    let headers = [(header.as_str(), declarations.as_str())];
    let (symbols, sections) =
        object_of_c(core, (name, text), &headers, &[optimization.flag(), "-std=c99"]).unwrap();
    let bytes_of = |symbol: &str| symbols.get(symbol).unwrap_or(&0);
    let parts = project.code.parts(cpu, optimization);
    let mut functions =
        format!("run {}, argmax {}", bytes_of("network_run"), bytes_of("network_argmax"));
    for (function, (_, stated)) in project.code.functions.iter().zip(parts) {
        let bytes: usize = function.symbols.iter().map(|symbol| bytes_of(symbol)).sum();
        functions += &format!("\n{}: {bytes} ({stated} stated)", function.kind);
    }
    let stated = project.code.bytes(cpu, optimization) + count_to_u64(project.constant_bytes);
    let compiled = count_to_u64(sections.code + sections.constants);
    Some(Sizes { compiled, stated, functions })
}

/// Stated bytes are at most 5 % off.
#[track_caller]
fn check(
    fixed: &FixedGraph,
    core: (Core, Cpu, c::Core),
    style: CodeStyle,
    optimization: Optimization,
) {
    check_placed(fixed, core, style, optimization, WeightPlace::Constants);
}

/// The same with weights that lie so.
#[track_caller]
fn check_placed(
    fixed: &FixedGraph,
    core: (Core, Cpu, c::Core),
    style: CodeStyle,
    optimization: Optimization,
    place: WeightPlace,
) {
    let Some(sizes) = sizes(fixed, core, style, optimization, place) else { return };
    let Sizes { compiled, stated, functions } = sizes;
    assert!(
        compiled.abs_diff(stated) * 20 <= compiled,
        "{}, {} kernels, {}: {stated} bytes are stated, `size` says {compiled}\n{functions}",
        core.0.name(),
        style.name(),
        optimization.flag()
    );
}

const FAST: CodeStyle = CodeStyle::Fast;
const SMALL: CodeStyle = CodeStyle::Small;
const O2: Optimization = Optimization::Speed;
const OS: Optimization = Optimization::Size;

#[test]
fn the_bytes_of_a_trained_network_are_those_of_the_compiler() {
    let graph = raw_pixel_network(&project("models/fashion_small.onnx"));
    let images = fashion_images(5, graph.input_shape());
    let fixed = integers_of(&graph, &images, |layer| [[8, 8], [4, 6], [5, 8], [2, 7]][layer % 4]);
    check(&fixed, M4, FAST, O2);
    check(&fixed, M0, FAST, OS);
    check(&fixed, M4, SMALL, OS);
}

#[test]
fn the_bytes_of_weights_in_codes_are_those_of_the_compiler() {
    let place = WeightPlace::Coded;
    let graph = raw_pixel_network(&project("models/fashion_small.onnx"));
    let images = fashion_images(5, graph.input_shape());
    let fixed = integers_of(&graph, &images, |_| [3, 8]);
    check_placed(&fixed, M0, FAST, O2, place);
    check_placed(&fixed, M4, FAST, O2, place);
    check_placed(&fixed, RV32, SMALL, OS, place);
    let graph = resnet8();
    let fixed = integers_of(&graph, &fashion_images(3, graph.input_shape()), |_| [7, 8]);
    check_placed(&fixed, M4, FAST, OS, place);
    check_placed(&fixed, M3, FAST, O2, place);
}

#[test]
fn the_bytes_of_a_residual_network_are_those_of_the_compiler() {
    let graph = resnet8();
    let images = fashion_images(3, graph.input_shape());
    let fixed = integers_of(&graph, &images, |layer| [[8, 8], [4, 8], [2, 8]][layer % 3]);
    check(&fixed, M7, FAST, OS);
    check(&fixed, M55, FAST, O2);
    check(&fixed, RV32, FAST, O2);
    check(&fixed, RV32, SMALL, OS);
}

/// Depthwise and pointwise layers, a residual, pools and a dense layer, wide and narrow values, with and without a
/// point for every channel.
fn mixed(weights: u8, activations: u8, points: bool, rounding: Rounding) -> FixedGraph {
    let mut b = Build::new(Shape::new(16, 12, 3), 77);
    let x = b.conv("stem", 0, 8, &window(5, 2, 2), 1);
    let x = b.push("relu_stem", Relu, vec![x]);
    let y = b.conv("depthwise", x, 8, &window(3, 1, 1), 8);
    let y = b.push("relu_depthwise", Relu, vec![y]);
    let y = b.conv("pointwise", y, 8, &window(1, 1, 0), 1);
    let x = b.push("sum", Add, vec![x, y]);
    let x = b.push("max", MaxPool { window: window(2, 2, 0), minimum: vec![] }, vec![x]);
    let x = b.conv("groups", x, 10, &window(3, 1, 1), 2);
    let x = b.push("relu_groups", Relu, vec![x]);
    let shape = b.shape(x);
    let x = b.push("flat", Reshape::flatten_channels_first(shape), vec![x]);
    let x = b.gemm("hidden", x, 17);
    let x = b.push("relu_hidden", Relu, vec![x]);
    b.gemm("dense", x, 6);
    lowered(&b.finish(), weights, activations, points, rounding)
}

/// Every operator, after which its two branches become a class.
fn operators(weights: u8, activations: u8, points: bool, rounding: Rounding) -> FixedGraph {
    let (mut b, x) = Build::operators();
    let a = b.push("global_average", GlobalAveragePool, vec![x]);
    let m = b.push("global_max", GlobalMaxPool { minimum: vec![] }, vec![x]);
    let x = b.push("both", Add, vec![a, m]);
    b.gemm("dense", x, 5);
    lowered(&b.finish(), weights, activations, points, rounding)
}

fn lowered(
    graph: &Graph,
    weights: u8,
    activations: u8,
    points: bool,
    rounding: Rounding,
) -> FixedGraph {
    let graph = passes::prepare(graph, Semantics::Integer).unwrap();
    let frac = |bits: u8| i8::try_from(bits).unwrap() - 4;
    let signs = graph.nonnegative(|_| true);
    let activation = |id: usize| {
        let frac = frac(activations);
        if signs[id] {
            Format::unsigned(activations, frac)
        } else {
            Format::signed(activations, frac)
        }
    };
    let layer = |(id, node): (usize, &fixedwise_graph::Node)| LayerPlan {
        name: node.name.clone(),
        weights: Some(Format::full(weights, frac(weights) + 2)),
        bias: None,
        activation: Some(activation(id)),
    };
    let others = graph.nodes.iter().enumerate();
    let others = others.filter(|(_, node)| node.op.has_own_format() && !node.op.is_layer());
    let mut plan = Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding,
        input: Format::unsigned(8, 6),
        layers: graph.layers().map(layer).collect(),
        rounded: std::collections::BTreeMap::new(),
        thinned: None,
        others: others.map(|(id, node)| (node.name.clone(), activation(id))).collect(),
    };
    if points {
        by_channel(&graph, &mut plan);
    }
    lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap()
}

#[test]
fn the_bytes_of_every_operator_are_those_of_the_compiler() {
    check(&operators(4, 8, false, Rounding::TiesUp), M4, FAST, OS);
    check(&operators(8, 8, true, Rounding::TiesEven), M3, FAST, O2);
    check(&operators(2, 4, false, Rounding::TiesUp), RV32, SMALL, OS);
    check(&operators(8, 12, false, Rounding::Floor), M0, SMALL, OS);
}

#[test]
fn the_bytes_of_depthwise_and_grouped_layers_are_those_of_the_compiler() {
    check(&mixed(8, 8, false, Rounding::TiesUp), M55, FAST, OS);
    check(&mixed(4, 8, true, Rounding::TiesUp), M4, FAST, O2);
    check(&mixed(8, 8, true, Rounding::Floor), RV32, FAST, OS);
    check(&mixed(3, 8, false, Rounding::TiesUp), M0, FAST, O2);
    check(&mixed(8, 12, true, Rounding::TiesEven), M55, SMALL, OS);
}
