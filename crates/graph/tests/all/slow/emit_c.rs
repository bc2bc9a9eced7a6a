//! Printed C gives the executor's integers, value by value, on the host under sanitizers and on
//! emulated cores.

use fixedwise_fixed::{Format, Rounding};
use fixedwise_graph::{
    AccumulatorPolicy, EmitError, Expression, FixedGraph, Graph, Plan, Semantics, Shape, Unary,
    emit::c::{self, Arena, COptions, WeightStorage, emit},
    lower,
    ops::{
        AveragePool, Between, Concat, Function, GlobalAveragePool, GlobalMaxPool, IndexMap, PRelu,
        Relu, Reshape, Resize, Window,
    },
    passes,
};
use fixedwise_testing::{Build, Core, Emitted, Random, by_channel, plan_of, window};

/// A graph with every operator that has an integer form.
fn everything() -> Graph {
    let (mut b, x) = Build::operators();
    let x = b.push("relu_2", Relu, vec![x]);
    let dilated = Window { dilation: [2, 1], ..window(2, 1, 1) };
    let x = b.conv("dilated", x, 6, &dilated, 1);
    let x = b.push("tall", Concat { axis: 0 }, vec![x, x]);
    let mean = AveragePool { window: window(2, 2, 0), include_pad: false };
    let x = b.push("quarter", mean, vec![x]);
    // Rows turned round with zeros behind, columns twice, channels in another order with zeros among them.
    let from = b.shape(x);
    let rows = (0..from.h).rev().map(|i| Some(i * from.w * from.c)).chain([None]).collect();
    let columns = (0..2 * from.w).map(|j| Some(j / 2 * from.c)).collect();
    let x =
        b.push("map", IndexMap { rows, columns, channels: vec![Some(5), None, Some(0)] }, vec![x]);
    let from = b.shape(x);
    let between = |n: usize| -> Vec<Between> {
        let all = [0.0, 0.3, 0.75].into_iter();
        (0..n - 1)
            .flat_map(|first| all.clone().map(move |weight| Between { first, weight }))
            .collect()
    };
    let resize = Resize { rows: between(from.h), columns: between(from.w) };
    let x = b.push("resize", resize, vec![x]);
    // All of each pixel's channels together.
    let from = b.shape(x);
    let places = |n: usize, step: usize| (0..n).map(|i| Some(i / 2 * 2 * step)).collect();
    let channels = (0..from.c).map(Some).collect();
    let map = IndexMap {
        rows: places(from.h, from.w * from.c),
        columns: places(from.w, from.c),
        channels,
    };
    let x = b.push("coarse", map, vec![x]);
    let a = b.push("global_average", GlobalAveragePool, vec![x]);
    let m = b.push("global_max", GlobalMaxPool { minimum: vec![] }, vec![x]);
    let x = b.push("join", Concat { axis: 2 }, vec![a, m]);
    let silu = Expression::x() * Expression::x().then(Unary::Sigmoid);
    let x = b.push("silu", Function { expression: silu }, vec![x]);
    let slopes = (0..b.shape(x).c).map(|i| if i % 3 == 0 { -0.3 } else { 0.01 }).collect();
    let x = b.push("prelu", PRelu { slopes }, vec![x]);
    b.gemm("dense", x, 5);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Weights and activations of these widths; activations unsigned where `unsigned`.
fn plan(
    graph: &Graph,
    weights: u8,
    activations: u8,
    is_unsigned: bool,
    rounding: Rounding,
) -> Plan {
    let frac = |bits: u8| i8::try_from(bits).unwrap() - 4;
    let activation = if is_unsigned {
        Format::unsigned(activations, frac(activations))
    } else {
        Format::signed(activations, frac(activations))
    };
    let weights = match weights {
        1 => Format::bipolar(1),
        _ => Format::full(weights, frac(weights) + 2),
    };
    let mut plan = Plan { rounding, ..plan_of(graph, weights, |_| activation) };
    plan.layers.iter_mut().for_each(|layer| layer.bias = Some(Format::signed(12, 8)));
    plan
}

/// Random images, and the darkest and the brightest.
fn images(shape: Shape, seed: u64) -> Vec<Vec<f32>> {
    let n = shape.len();
    let mut random = Random::new(seed);
    let mut images = vec![vec![0.0; n], vec![1e9; n]];
    images.extend((0..4).map(|_| random.floats(n, 0.0, 4.0)));
    images
}

fn lowered(graph: &Graph, plan: &Plan) -> FixedGraph {
    lower(graph, plan, AccumulatorPolicy::Prove32).unwrap()
}

#[track_caller]
fn check(core: Core, fixed: &FixedGraph, options: &COptions) {
    let emitted = Emitted::new(core, fixed, options, true).unwrap();
    emitted.assert_equals(fixed, &images(fixed.nodes[0].shape, 5));
}

#[test]
fn every_operator_and_width_equals_the_executor_on_the_host() {
    if !Core::Host.is_available() {
        return;
    }
    let graph = everything();
    for (weights, activations, is_unsigned, rounding) in [
        (8, 8, true, Rounding::TiesUp),
        (8, 8, false, Rounding::TiesEven),
        (4, 8, true, Rounding::Floor),
        (2, 4, true, Rounding::TiesUp),
        (4, 4, false, Rounding::TiesUp),
        (1, 7, true, Rounding::TiesEven),
        (5, 6, false, Rounding::TiesUp),
        (8, 12, true, Rounding::TiesUp),
        (11, 12, false, Rounding::TiesEven),
        (3, 15, true, Rounding::Floor),
    ] {
        let mut plan = plan(&graph, weights, activations, is_unsigned, rounding);
        for has_points in [false, true] {
            if has_points {
                by_channel(&graph, &mut plan);
            }
            let fixed = lowered(&graph, &plan);
            let mut options = COptions::new("net");
            check(Core::Host, &fixed, &options);
            options.weights = WeightStorage::Exact;
            options.arena = Arena::Static;
            options.packs_activations = true;
            check(Core::Host, &fixed, &options);
        }
    }
}

/// Alike or with extents of one, one over the other in memory, two to a byte, on every kind of core.
#[test]
fn functions_of_two_values_equal_the_executor() {
    let (mut b, x) = Build::pairs();
    b.gemm("dense", x, 4);
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
    for (core, activations, is_unsigned, rounding, style) in [
        (Core::Host, 8, true, Rounding::TiesUp, c::CodeStyle::Fast),
        (Core::Host, 4, false, Rounding::Floor, c::CodeStyle::Fast),
        (Core::Host, 12, false, Rounding::TiesEven, c::CodeStyle::Small),
        (Core::CortexM55, 8, false, Rounding::TiesUp, c::CodeStyle::Small),
    ] {
        if !core.is_available() {
            continue;
        }
        let fixed = lowered(&graph, &plan(&graph, 6, activations, is_unsigned, rounding));
        let options =
            COptions { style, packs_activations: activations == 4, ..COptions::new("net") };
        check(core, &fixed, &options);
    }
}

/// Layers with a value that is added to their sums: by every kernel, of every storage, finer and coarser than the sums,
/// the result over that value in memory or apart.
#[test]
fn sums_inside_layers_equal_the_executor() {
    use c::CodeStyle::{Fast, Small};
    let (mut b, x) = Build::residuals();
    b.gemm("last", x, 4);
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
    for (core, kernels, style, [weights, activations], has_points, rounding) in [
        (Core::Host, c::Core::Portable, Fast, [8, 8], false, Rounding::TiesUp),
        (Core::Host, c::Core::Portable, Fast, [2, 4], true, Rounding::TiesEven),
        (Core::Host, c::Core::Portable, Small, [5, 12], true, Rounding::Floor),
        (Core::Host, c::Core::Portable, Small, [4, 8], false, Rounding::TiesUp),
        (Core::Host, c::Core::Dsp, Fast, [8, 8], true, Rounding::TiesUp),
        (Core::Host, c::Core::Dsp, Fast, [4, 4], false, Rounding::Floor),
        (Core::Host, c::Core::Mve, Fast, [8, 8], true, Rounding::TiesUp),
        (Core::Host, c::Core::Mve, Fast, [4, 8], false, Rounding::TiesUp),
        (Core::CortexM0, c::Core::Portable, Small, [8, 8], true, Rounding::TiesUp),
        (Core::CortexM4, c::Core::Dsp, Fast, [8, 8], true, Rounding::TiesUp),
        (Core::CortexM4, c::Core::Dsp, Fast, [4, 12], false, Rounding::TiesUp),
        (Core::CortexM55, c::Core::Mve, Fast, [8, 8], true, Rounding::TiesUp),
        (Core::CortexM55, c::Core::Mve, Fast, [2, 8], false, Rounding::Floor),
        (Core::Rv32, c::Core::Portable, Fast, [8, 8], false, Rounding::TiesUp),
    ] {
        if !core.is_available() {
            continue;
        }
        let mut plan = plan(&graph, weights, activations, false, rounding);
        for layer in &mut plan.layers {
            // Unsigned behind a ReLU, some finer than the sums they are added to, one narrower than what lies there.
            let format = layer.activation.as_mut().unwrap();
            match layer.name.as_str() {
                "stem" | "narrow" => *format = Format::unsigned(activations, format.frac),
                "short" | "grouped" => format.frac += 5,
                "pixel" if activations == 12 => *format = Format::signed(8, format.frac),
                _ => {}
            }
        }
        if has_points {
            by_channel(&graph, &mut plan);
        }
        let fixed = lowered(&graph, &plan);
        let packs_activations = activations == 4;
        let mut options =
            COptions { core: kernels, style, packs_activations, ..COptions::new("net") };
        if has_points && kernels == c::Core::Portable {
            options.weights = WeightStorage::Exact;
        }
        let emitted = Emitted::new(core, &fixed, &options, true).unwrap();
        emitted.assert_equals(&fixed, &images(fixed.nodes[0].shape, 5));
        let kernel = |name: &str| {
            let layer = emitted.project.layers.iter().find(|layer| layer.name == name).unwrap();
            layer.kernel
        };
        let best = match (style, kernels, activations) {
            (Small, ..) => "small",
            (_, c::Core::Portable, _) => "filters",
            (_, c::Core::Mve, 8) if rounding != Rounding::TiesEven => "mve",
            _ => "dsp",
        };
        // Two to a byte, odd channels are for the portable ones; `strided` may need wider weights.
        let names = ["full", "border", "pixel"];
        for name in &names[..if packs_activations { 1 } else { 3 }] {
            assert_eq!(kernel(name), best, "{name}: {core:?} {kernels:?} {weights}");
        }
    }
}

/// Normalizations over the channels.
#[test]
fn normalizations_equal_the_executor() {
    let (mut b, x) = Build::normalizations();
    b.conv("last", x, 4, &window(1, 1, 0), 1);
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
    for (core, activations, rounding) in [
        (Core::Host, 8, Rounding::TiesUp),
        (Core::Host, 4, Rounding::TiesEven),
        (Core::CortexM0, 12, Rounding::Floor),
    ] {
        if core.is_available() {
            let mut plan = plan(&graph, 6, activations, false, rounding);
            let options = COptions { packs_activations: activations == 4, ..COptions::new("net") };
            check(core, &lowered(&graph, &plan), &options);
            // A binary point left of the units.
            plan.others.insert("centered".to_owned(), Format::signed(activations, -2));
            check(core, &lowered(&graph, &plan), &options);
        }
    }
}

/// Softmax and products of two values.
#[test]
fn attention_equals_the_executor() {
    let (mut b, x) = Build::attention();
    b.conv("last", x, 4, &window(1, 1, 0), 1);
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
    for (core, activations, is_unsigned, rounding, style) in [
        (Core::Host, 8, true, Rounding::TiesUp, c::CodeStyle::Fast),
        (Core::Host, 4, false, Rounding::Floor, c::CodeStyle::Fast),
        (Core::Host, 12, false, Rounding::TiesEven, c::CodeStyle::Small),
        (Core::CortexM55, 12, false, Rounding::TiesUp, c::CodeStyle::Fast),
    ] {
        if !core.is_available() {
            continue;
        }
        let mut plan = plan(&graph, 6, activations, is_unsigned, rounding);
        for (name, format) in &mut plan.others {
            if name == "weights" || name == "classes" {
                let frac = i8::try_from(activations).unwrap();
                *format = Format::unsigned(activations, frac + 1);
            }
        }
        let options =
            COptions { style, packs_activations: activations == 4, ..COptions::new("net") };
        check(core, &lowered(&graph, &plan), &options);
    }
}

/// Any width, stored exactly or in C types, whole or two to a byte, rounded in any way, with points of channels.
#[test]
fn small_kernels_equal_the_executor() {
    let graph = everything();
    for (core, weights, activations, is_unsigned, rounding, has_points) in [
        (Core::Host, 8, 8, true, Rounding::TiesUp, false),
        (Core::Host, 5, 8, false, Rounding::TiesEven, true),
        (Core::Host, 2, 4, true, Rounding::TiesUp, true),
        (Core::Host, 11, 12, false, Rounding::Floor, false),
        (Core::Host, 1, 4, false, Rounding::TiesUp, false),
        (Core::CortexM0, 4, 8, true, Rounding::TiesUp, true),
        (Core::CortexM55, 16, 12, true, Rounding::TiesEven, false),
    ] {
        if !core.is_available() {
            continue;
        }
        let mut plan = plan(&graph, weights, activations, is_unsigned, rounding);
        if has_points {
            by_channel(&graph, &mut plan);
        }
        let mut options = COptions { style: c::CodeStyle::Small, ..COptions::new("net") };
        options.packs_activations = activations == 4;
        if weights == 5 || weights == 11 {
            options.weights = WeightStorage::Exact;
        }
        let fixed = lowered(&graph, &plan);
        let emitted = Emitted::new(core, &fixed, &options, true).unwrap();
        assert!(emitted.project.layers.iter().any(|layer| layer.kernel == "small"));
        emitted.assert_equals(&fixed, &images(fixed.nodes[0].shape, 5));
    }
}

/// A network of one layer and what flattens it, so that a reshape and a dense layer follow.
fn one_layer(shape: Shape, channels: usize, window: &Window, groups: usize) -> Graph {
    let mut b = Build::new(shape, 3);
    let x = b.conv("conv", 0, channels, window, groups);
    let x = b.push("relu", Relu, vec![x]);
    let shape = b.shape(x);
    let x = b.push("flat", Reshape::flatten_channels_first(shape), vec![x]);
    b.gemm("dense", x, 6);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

#[test]
fn every_geometry_equals_the_executor_on_the_host() {
    if !Core::Host.is_available() {
        return;
    }
    let odd = Window { pad_begin: [0, 2], pad_end: [1, 0], kernel: [2, 4], ..window(1, 1, 0) };
    for (i, (shape, channels, window, groups)) in [
        (Shape::new(7, 5, 3), 5, window(3, 1, 1), 1),
        (Shape::new(7, 5, 4), 8, window(3, 2, 1), 1),
        (Shape::new(8, 8, 1), 7, window(5, 1, 2), 1),
        (Shape::new(6, 6, 6), 6, window(3, 1, 1), 6),
        (Shape::new(6, 6, 4), 8, window(3, 2, 0), 4),
        (Shape::new(5, 5, 16), 9, window(1, 1, 0), 1),
        (Shape::new(9, 6, 3), 4, odd, 1),
        (Shape::new(1, 1, 20), 11, window(1, 1, 0), 1),
    ]
    .into_iter()
    .enumerate()
    {
        let graph = one_layer(shape, channels, &window, groups);
        for (weights, activations) in [(2, 4), (4, 8), (8, 8)] {
            let mut plan = plan(&graph, weights, activations, i % 2 == 0, Rounding::TiesUp);
            let packs_activations = activations == 4;
            let options = COptions { packs_activations, ..COptions::new("net") };
            check(Core::Host, &lowered(&graph, &plan), &options);
            by_channel(&graph, &mut plan);
            check(Core::Host, &lowered(&graph, &plan), &options);
        }
    }
}

#[test]
fn emulated_cores_equal_the_executor() {
    let graph = everything();
    for core in Core::ALL.into_iter().filter(|&core| core != Core::Host) {
        if !core.is_available() {
            continue;
        }
        for (weights, activations) in [(8, 8), (4, 8), (3, 12)] {
            let mut plan = plan(&graph, weights, activations, true, Rounding::TiesUp);
            check(core, &lowered(&graph, &plan), &COptions::new("net"));
            by_channel(&graph, &mut plan);
            let options = COptions { core: c::Core::Mve, ..COptions::new("net") };
            check(core, &lowered(&graph, &plan), &options);
        }
    }
}

/// Without a warning, and on emulated cores too.
#[test]
fn clang_makes_the_same_of_every_operator() {
    let graph = everything();
    let cores = [
        (Core::Host, c::Core::Portable),
        (Core::Host, c::Core::Dsp),
        (Core::Host, c::Core::Mve),
        (Core::CortexM4, c::Core::Dsp),
        (Core::CortexM55, c::Core::Mve),
        (Core::Rv32, c::Core::Portable),
    ];
    for (core, code) in cores {
        if !core.is_available_with_clang() {
            continue;
        }
        for (weights, activations, has_points) in [(8, 8, true), (2, 4, false), (11, 12, false)] {
            let mut plan = plan(&graph, weights, activations, true, Rounding::TiesUp);
            if has_points {
                by_channel(&graph, &mut plan);
            }
            let fixed = lowered(&graph, &plan);
            let options = COptions { core: code, packs_activations: true, ..COptions::new("net") };
            let emitted = Emitted::by_clang(core, &fixed, &options);
            let emitted = emitted.unwrap_or_else(|error| panic!("{error}"));
            emitted.assert_equals(&fixed, &images(fixed.nodes[0].shape, 5));
        }
    }
}

#[test]
fn the_same_network_is_printed_the_same() {
    let graph = everything();
    let fixed = lowered(&graph, &plan(&graph, 4, 8, true, Rounding::TiesUp));
    let print = || emit(&fixed, &COptions::new("net"), &[]).unwrap();
    assert_eq!(print(), print());
}

#[test]
fn names_that_c_refuses_are_refused() {
    let graph = one_layer(Shape::new(3, 3, 1), 2, &window(1, 1, 0), 1);
    let fixed = lowered(&graph, &plan(&graph, 4, 8, true, Rounding::TiesUp));
    let long = "a".repeat(64);
    for name in ["", "1net", "my net", "int", "é", "_net", "stdint", &long] {
        let usual = c::default_name(name);
        assert!(c::check_name(&usual).is_ok(), "{name}: {usual}");
        let error = emit(&fixed, &COptions::new(name), &[]).unwrap_err();
        assert_eq!(error, EmitError::Name { name: name.to_owned() });
    }
}
