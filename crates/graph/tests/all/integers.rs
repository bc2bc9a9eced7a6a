//! The integer network follows the float network to within its resolution, is the same for every
//! table of kernels, and refuses what it cannot prove.

use fixedwise_fixed::{
    Format, Rounding,
    convert::{exp2, i64_to_f64},
};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, LayerPlan, LowerError, Plan, Quantizer, Rounded,
    Semantics, Shape, lower,
    ops::{
        Add, AveragePool, Concat, FixedConv, Gemm, GlobalAveragePool, GlobalMaxPool, LeakyRelu,
        Relu,
    },
    passes,
};
use fixedwise_testing::{
    Build, Random, assert_close, by_channel, run_fixed, run_fixed_on, run_float, window,
};
use std::sync::Arc;

/// A graph with every operator that has an integer form.
fn everything() -> Graph {
    let (mut b, x) = Build::operators();
    let x = b.push("relu_2", Relu, vec![x]);
    let a = b.push("global_average", GlobalAveragePool, vec![x]);
    let m = b.push("global_max", GlobalMaxPool { minimum: vec![] }, vec![x]);
    let x = b.push("join", Concat { axis: 2 }, vec![a, m]);
    b.gemm("dense", x, 5);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Formats that keep every value of `everything` on images in `0 ..= 4`.
fn plan(graph: &Graph, bits: u8) -> Plan {
    let frac = i8::try_from(bits).unwrap() - 6;
    let layer = |name: &str| LayerPlan {
        name: name.to_owned(),
        weights: Some(Format::signed(bits, frac + 4)),
        bias: None,
        activation: Some(Format::signed(bits, frac)),
    };
    Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding: Rounding::TiesUp,
        input: Format::unsigned(8, 6),
        layers: graph.layers().map(|(_, node)| layer(&node.name)).collect(),
        rounded: std::collections::BTreeMap::new(),
        thinned: None,
        others: graph
            .nodes
            .iter()
            .filter(|node| node.op.is::<Add>())
            .map(|node| (node.name.clone(), Format::signed(bits, frac)))
            .collect(),
    }
}

#[test]
fn integers_follow_the_float_network() {
    let graph = everything();
    for (bits, policy, tolerance) in [
        (16, AccumulatorPolicy::Widen, 0.02),
        (12, AccumulatorPolicy::Prove32, 0.05),
        (9, AccumulatorPolicy::Prove32, 0.3),
        (8, AccumulatorPolicy::Prove32, 0.6),
    ] {
        let fixed = lower(&graph, &plan(&graph, bits), policy).unwrap();
        for seed in 0..3 {
            let format = Format::unsigned(8, 6);
            let image: Vec<f32> = Random::new(seed)
                .floats(graph.input_shape().len(), 0.0, 3.9)
                .iter()
                .map(|&x| fixedwise_fixed::convert::f64_to_f32(format.round(f64::from(x))))
                .collect();
            let values = run_fixed(&fixed, &image);
            let output = fixed.nodes[fixed.output()].format;
            let got: Vec<f32> = values[fixed.output()]
                .iter()
                .map(|&q| fixedwise_fixed::convert::f64_to_f32(output.dequantize(q)))
                .collect();
            let what = format!("{bits} bits, seed {seed}");
            assert_close(&what, &got, &run_float(&graph, &image), tolerance);
        }
    }
}

/// A channel whose binary point lies further right is one of wider weights whose last bits are zero.
#[test]
fn binary_points_of_channels_are_zeros_at_the_end_of_weights() {
    let graph = everything();
    for rounding in [Rounding::TiesUp, Rounding::TiesEven, Rounding::Floor] {
        let mut plan = Plan { rounding, ..plan(&graph, 8) };
        by_channel(&graph, &mut plan);
        let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
        let mut wide = fixed.clone();
        for node in &mut wide.nodes {
            let Some(mut conv) = node.op.get::<FixedConv>().cloned() else { continue };
            assert!(conv.coarser.contains(&3), "{}", node.name);
            conv.bias.values = conv.aligned_bias();
            conv.weights_format = conv.aligned_format();
            let filter = conv.weights.len() / conv.channels;
            for (channel, weights) in conv.weights.chunks_exact_mut(filter).enumerate() {
                weights.iter_mut().for_each(|w| *w <<= conv.coarser[channel]);
            }
            conv.coarser.clear();
            node.op = conv.into();
        }
        for seed in 0..3 {
            let image = Random::new(seed).floats(graph.input_shape().len(), 0.0, 3.9);
            let expected = run_fixed(&wide, &image);
            for kernels in fixedwise_kernels::Kernels::all() {
                assert_eq!(run_fixed_on(&fixed, &image, kernels), expected, "{}", kernels.name);
            }
        }
    }
}

#[test]
fn every_rounding_runs_and_floor_differs() {
    let graph = everything();
    let image = Random::new(5).floats(graph.input_shape().len(), 0.0, 3.9);
    let results: Vec<_> = [Rounding::TiesUp, Rounding::TiesEven, Rounding::Floor]
        .map(|rounding| {
            let plan = Plan { rounding, ..plan(&graph, 8) };
            run_fixed(&lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap(), &image)
        })
        .into();
    assert_ne!(results[0], results[2]);
}

#[test]
fn an_accumulator_that_may_overflow_is_refused_with_its_layer() {
    let graph = everything();
    let plan = plan(&graph, 16);
    let error = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap_err();
    let LowerError::Accumulator { node, needed, available, .. } = &error else { panic!("{error}") };
    assert_eq!((node.as_str(), *available), ("conv_2", 32));
    assert!(*needed > 32, "{error}");
    assert!(lower(&graph, &plan, AccumulatorPolicy::Widen).is_ok());
}

#[test]
fn a_plan_that_does_not_fit_is_refused() {
    let graph = everything();
    let good = plan(&graph, 8);
    let lowered =
        |plan: &Plan| lower(&graph, plan, AccumulatorPolicy::Prove32).unwrap_err().to_string();

    let mut bad = good.clone();
    bad.layers[0].name = "conv_9".to_owned();
    assert!(lowered(&bad).starts_with("the plan contains `conv_9`, which is not in the network"));

    let mut bad = good.clone();
    bad.others.clear();
    assert_eq!(lowered(&bad), "the plan has no format for the result of `add`");

    let mut bad = good.clone();
    bad.layers[1].weights = None;
    assert_eq!(lowered(&bad), "the plan has no format for the weights of `depthwise`");

    let mut bad = good.clone();
    bad.layers[1].weights = Some(Format::signed(17, 3));
    assert_eq!(
        lowered(&bad),
        "the plan gives the weights of `depthwise` 17 bits; allowed: 1 to 16"
    );

    let mut bad = good.clone();
    bad.layers[1].activation = Some(Format::unsigned(16, 3));
    assert_eq!(
        lowered(&bad),
        "the plan gives the activation of `depthwise` 16 bits; allowed: 1 to 15 without a sign"
    );

    let mut bad = good;
    bad.layers[1].activation = Some(Format::signed(8, -60));
    assert!(lowered(&bad).contains("need a shift of"), "{}", lowered(&bad));
}

#[test]
fn a_bias_of_its_own_format_is_shifted_to_the_accumulator() {
    let mut b = Build::new(Shape::new(1, 1, 2), 3);
    b.gemm("dense", 0, 2);
    let mut graph = b.finish();
    let gemm = graph.nodes[1].op.get_mut::<Gemm>().unwrap();
    gemm.weights = vec![1.0, 0.5, -0.25, 0.75];
    gemm.bias = vec![0.3, -0.7];
    for (bits, frac, expected) in [
        // F = 2: 0.3 is 1, -0.7 is -3 (quarters); at scale 4 + 6 = 10 they are shifted by 8.
        (4, 2, [1 << 8, -3 << 8]),
        // F = 12: 0.3 is 1229, -0.7 is -2867; shifted right by 2 with rounding.
        (16, 12, [307, -717]),
        // One bit is zero.
        (1, 5, [0, 0]),
    ] {
        let mut plan = plan(&graph, 8);
        plan.layers[0].weights = Some(Format::signed(8, 4));
        plan.layers[0].bias = Some(Format::signed(bits, frac));
        let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
        let conv = fixed.nodes[1].op.get::<FixedConv>().unwrap();
        assert_eq!(conv.bias.values, expected, "BW={bits} F={frac}");
        assert_eq!(conv.weights, [16, 8, -4, 12]);
        // x = (1, 2) of F = 6: acc = 64 * 16 + 128 * 8 + b, from F = 10 to F = 2.
        let values = run_fixed(&fixed, &[1.0, 2.0]);
        let y = (64 * 16 + 128 * 8 + expected[0] + (1 << 7)) >> 8;
        assert_eq!(values[1][0], y);
    }
}

#[test]
fn square_roots_have_no_integer_form() {
    let graph = everything();
    let plan = Plan { quantizer: Quantizer::SquareRoot, ..plan(&graph, 8) };
    let error = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap_err();
    assert_eq!(error, LowerError::Quantizer { quantizer: "square-root" });
    assert!(error.to_string().contains("semantics `simulated`"), "{error}");
}

#[test]
fn integers_of_the_plan_stand_for_the_weights() {
    let graph = everything();
    let nearest = plan(&graph, 8);
    let expected = lower(&graph, &nearest, AccumulatorPolicy::Prove32).unwrap();
    let integers = |name: &str| {
        let node = expected.nodes.iter().find(|node| node.name == name).unwrap();
        let conv = node.op.get::<FixedConv>().unwrap();
        conv.weights.clone()
    };
    let mut own = nearest.clone();
    for (_, node) in graph.layers() {
        let channels = node.shape.c;
        let rounded = Rounded {
            weights: integers(&node.name),
            scales: vec![1.0; channels],
            bias: vec![0.0; channels],
            coarser: vec![],
        };
        own.rounded.insert(node.name.clone(), Arc::new(rounded));
    }
    assert_eq!(lower(&graph, &own, AccumulatorPolicy::Prove32).unwrap(), expected);

    // The bias of every class of border positions moves alike.
    let name = graph.layers().next().unwrap().1.name.clone();
    let mut moved = own.clone();
    let rounded = moved.rounded.get_mut(&name).unwrap();
    Arc::make_mut(rounded).bias.fill(1.0);
    let fixed = lower(&graph, &moved, AccumulatorPolicy::Prove32).unwrap();
    let bias = |fixed: &FixedGraph| {
        let node = fixed.nodes.iter().find(|node| node.name == name).unwrap();
        let conv = node.op.get::<FixedConv>().unwrap();
        conv.bias.values.clone()
    };
    let scale = i32::from(own.layers[0].weights.unwrap().frac) + i32::from(own.input.frac);
    let step = 1_i64 << scale;
    assert!(bias(&fixed).iter().zip(bias(&expected)).all(|(moved, was)| *moved == was + step));

    // Integers that are not of the format are refused with the layer's name.
    let rounded = moved.rounded.get_mut(&name).unwrap();
    Arc::make_mut(rounded).weights[0] = 128;
    let error = lower(&graph, &moved, AccumulatorPolicy::Prove32).unwrap_err();
    assert!(matches!(&error, LowerError::Rounded { node, .. } if *node == name), "{error}");
}

/// The largest error of one operator behind an image of so many bits, in steps of its result.
fn largest_error(shape: Shape, bits: u8, op: impl Into<fixedwise_graph::Op>) -> f64 {
    let mut b = Build::new(shape, 1);
    b.push("op", op, vec![0]);
    let graph = b.finish();
    let input = Format::signed(bits, 3);
    let plan = Plan { input, layers: vec![], ..plan(&graph, 8) };
    let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
    let reach = fixedwise_fixed::convert::f64_to_f32(input.dequantize(input.max()));
    let mut worst = 0.0_f64;
    for low in [-reach, 0.97 * reach, -0.1 * reach] {
        let high = if low > 0.0 { reach } else { -0.9 * reach * f32::from(low < -0.5 * reach) };
        let image: Vec<f32> = Random::new(3)
            .floats(shape.len(), low, high)
            .iter()
            .map(|&x| fixedwise_fixed::convert::f64_to_f32(input.round(f64::from(x))))
            .collect();
        let output = fixed.nodes[fixed.output()].format;
        let float = run_float(&graph, &image);
        for (&got, want) in run_fixed(&fixed, &image)[fixed.output()].iter().zip(float) {
            let steps = f64::from(want) * exp2(i32::from(output.frac));
            let clamped = steps.clamp(i64_to_f64(output.min()), i64_to_f64(output.max()));
            worst = worst.max((i64_to_f64(got) - clamped).abs());
        }
    }
    worst
}

/// Half a step by rounding, a quarter by the factor.
#[test]
fn factors_that_are_no_weights_keep_the_precision_of_their_results() {
    for bits in [4, 8, 12, 16] {
        for alpha in [0.01_f32, 0.1, 0.3, 1e-3, 1e-6, -0.25, 0.999] {
            let error = largest_error(Shape::new(4, 8, 2), bits, LeakyRelu { alpha });
            assert!(error <= 0.751, "slope {alpha}, {bits} bits: off by {error} steps");
        }
        for (h, w) in [(7, 7), (49, 49), (200, 200), (370, 371)] {
            if bits > 8 && h > 200 {
                continue; // Its sum needs more than 32 bits.
            }
            let error = largest_error(Shape::new(h, w, 1), bits, GlobalAveragePool);
            assert!(error <= 0.751, "mean of {h}x{w}, {bits} bits: off by {error} steps");
        }
        let pool = AveragePool { window: window(5, 2, 2), include_pad: false };
        let error = largest_error(Shape::new(11, 9, 3), bits, pool);
        assert!(error <= 0.751, "5x5 windows, {bits} bits: off by {error} steps");
    }
}

#[test]
fn a_slope_above_one_is_kept() {
    let mut b = Build::new(Shape::vector(1), 1);
    b.push("op", LeakyRelu { alpha: 1.5 }, vec![0]);
    let graph = b.finish();
    let plan = Plan { input: Format::signed(8, 3), layers: vec![], ..plan(&graph, 8) };
    let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
    assert_eq!(run_fixed(&fixed, &[-4.0])[fixed.output()], [-48]);
}
