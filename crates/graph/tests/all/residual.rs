//! Sums of a layer's value and another one, computed inside the layer: the float network stays, and the integers are
//! those of page "Number formats".

use fixedwise_fixed::{Format, Range, Rounding, convert::f64_to_i64};
use fixedwise_graph::{
    AccumulatorPolicy, Activation, FixedGraph, Graph, LowerError, Node, NodeId, Plan, Semantics,
    Shape,
    cost::memory,
    lower,
    ops::{Add, Conv, FixedConv, Gemm, LeakyRelu, Relu, Window},
    passes,
};
use fixedwise_kernels::Kernels;
use fixedwise_testing::{
    Build, Random, assert_close, by_channel, plan_of, run_fixed_on, run_float, window,
};

fn residuals() -> Graph {
    let (mut b, x) = Build::residuals();
    b.gemm("last", x, 4);
    b.finish()
}

fn prepared(graph: &Graph) -> Graph {
    passes::prepare(graph, Semantics::Integer).unwrap()
}

fn names(graph: &Graph, ids: &[NodeId]) -> Vec<String> {
    ids.iter().map(|&id| graph.nodes[id].name.clone()).collect()
}

#[test]
fn a_sum_is_computed_inside_the_layer_before_it_and_floats_stay() {
    let float = residuals();
    let graph = prepared(&float);
    assert!(!graph.nodes.iter().any(|node| node.op.is::<Add>()));
    let takes = |name: &str| names(&graph, &graph.nodes[graph.find(name).unwrap()].inputs);
    assert_eq!(takes("full"), ["stem", "stem"]);
    // Of two layers the last one takes in what the other one makes.
    assert_eq!(takes("strided"), ["full", "short"]);
    assert_eq!(takes("wide"), ["pixel", "grouped"]);
    assert_eq!(takes("dense"), ["first", "first"]);
    assert_eq!(
        graph.nodes[graph.find("strided").unwrap()].activation,
        Activation::Clip { min: 0.0, max: 1.5 }
    );
    assert_eq!(graph.nodes[graph.output()].name, "last");
    for seed in 0..3 {
        let image = Random::new(seed).floats(float.image_len(), 0.0, 3.9);
        // A normalization was folded.
        assert_close("passes", &run_float(&graph, &image), &run_float(&float, &image), 1e-5);
    }
    // The simulation of the published method rounds what stands before a sum.
    let simulated = passes::prepare(&float, Semantics::Simulated).unwrap();
    assert_eq!(simulated.nodes.iter().filter(|node| node.op.is::<Add>()).count(), 7);
}

#[test]
fn floats_of_a_sum_inside_a_layer_are_the_same_to_the_last_bit() {
    let mut b = Build::new(Shape::new(6, 5, 3), 9);
    let x = b.conv("first", 0, 4, &window(3, 1, 1), 1);
    let mut x = b.push("relu", Relu, vec![x]);
    for (i, groups) in [1, 4, 2].into_iter().enumerate() {
        let y = b.conv(&format!("conv_{i}"), x, 4, &window(3, 1, 1), groups);
        let y = b.push(&format!("sum_{i}"), Add, vec![x, y]);
        x = b.push(&format!("relu_{i}"), Relu, vec![y]);
    }
    let float = b.finish();
    let graph = prepared(&float);
    assert!(!graph.nodes.iter().any(|node| node.op.is::<Add>()));
    let image = Random::new(4).floats(float.image_len(), -1.0, 1.0);
    assert_eq!(run_float(&graph, &image), run_float(&float, &image));
}

#[test]
fn a_sum_stays_where_its_layers_are_needed_apart() {
    let check = |what: &str, make: &dyn Fn(&mut Build, NodeId, NodeId) -> NodeId| {
        let mut b = Build::new(Shape::new(4, 3, 2), 5);
        let x = b.conv("first", 0, 3, &window(3, 1, 1), 1);
        let relu = b.push("relu", Relu, vec![x]);
        let y = b.conv("second", relu, 3, &window(1, 1, 0), 1);
        make(&mut b, relu, y);
        let float = b.finish();
        let graph = prepared(&float);
        let sums = graph.nodes.iter().filter(|node| node.op.is::<Add>()).count();
        assert_eq!(sums, 1, "{what}");
        let image = Random::new(3).floats(float.image_len(), -1.0, 1.0);
        assert_eq!(run_float(&graph, &image), run_float(&float, &image), "{what}");
    };
    check("another user", &|b, x, y| {
        let sum = b.push("sum", Add, vec![x, y]);
        let other = b.push("other", LeakyRelu { alpha: 0.5 }, vec![y]);
        b.push("product", fixedwise_graph::ops::Mul, vec![sum, other])
    });
    check("twice itself", &|b, _, y| b.push("sum", Add, vec![y, y]));
    check("an activation before", &|b, x, y| {
        let y = b.push("relu_2", Relu, vec![y]);
        b.push("sum", Add, vec![x, y])
    });
    check("one number for each channel", &|b, _, y| {
        let mean = b.push("mean", fixedwise_graph::ops::GlobalAveragePool, vec![y]);
        b.push("sum", Add, vec![mean, y])
    });
}

/// Page "Number formats", section 7, from the plan's own formats: nothing of how the network was lowered.
fn naive(
    graph: &Graph,
    plan: &Plan,
    id: NodeId,
    values: &[Vec<i64>],
    formats: &[Format],
) -> Vec<i64> {
    let node = &graph.nodes[id];
    let parameters = node.op.parameters().unwrap();
    let planned = plan.layer(&node.name).unwrap();
    let format = planned.weights.unwrap();
    let rounded = plan.rounded.get(&node.name);
    let (x, added) = (node.inputs[0], node.inputs.get(1).copied());
    let (shape, input) = (node.shape, graph.nodes[x].shape);
    let border = graph.border_bias(id).unwrap();
    let depth = parameters.weights.len() / parameters.channels;
    let group_inputs = input.c / parameters.groups;
    let window: &Window = &parameters.window;
    let outputs = (0..shape.len()).map(|i| {
        let (row, column, o) = (i / shape.c / shape.w, i / shape.c % shape.w, i % shape.c);
        let coarser = rounded.map_or(0, |own| own.coarser[o]);
        let point = i32::from(format.frac) - i32::from(coarser) + i32::from(formats[x].frac);
        let stored = |k: usize| match rounded {
            Some(own) => i128::from(own.weights[o * depth + k]),
            None => i128::from(format.quantize(f64::from(parameters.weights[o * depth + k]))),
        };
        let mut sum = 0_i128;
        for k in 0..depth {
            let (tap, channel) = (k / group_inputs, k % group_inputs);
            let place = |axis: usize, at: usize, tap: usize| {
                (at * window.stride[axis] + tap * window.dilation[axis])
                    .checked_sub(window.pad_begin[axis])
            };
            let y = place(0, row, tap / window.kernel[1]);
            let z = place(1, column, tap % window.kernel[1]);
            let (Some(y), Some(z)) = (y, z) else { continue };
            if y < input.h && z < input.w {
                let from = o / (shape.c / parameters.groups) * group_inputs + channel;
                sum += stored(k) * i128::from(values[x][(y * input.w + z) * input.c + from]);
            }
        }
        let finest = added.map_or(point, |added| point.max(formats[added].frac.into()));
        let to_finest = |value: i128, from: i32| value << (finest - from);
        let bias = border.values[border.class(row, column) * shape.c + o];
        let bias = (bias * f64::from(finest).exp2()).round_ties_even();
        let mut acc = to_finest(sum, point) + i128::from(f64_to_i64(bias));
        if let Some(added) = added {
            acc += to_finest(values[added][i].into(), formats[added].frac.into());
        }
        let acc = i64::try_from(acc).unwrap();
        let output = formats[id];
        let shift = finest - i32::from(output.frac);
        let plain = fixedwise_fixed::shift_round(acc, shift, plan.rounding);
        let [low, high] = [output.min(), output.max()];
        match node.activation {
            Activation::Relu => plain.clamp(low.max(0), high),
            Activation::Clip { min, max } => {
                plain.clamp(output.quantize(f64::from(min)), output.quantize(f64::from(max)))
            }
            Activation::LeakyRelu { alpha } if acc < 0 => {
                let bits = output.bits + 2;
                let slope =
                    fixedwise_fixed::Multiplier::nearest(f64::from(alpha), bits, 48 - shift);
                slope.apply(acc, shift, plan.rounding).clamp(low, high)
            }
            Activation::None | Activation::LeakyRelu { .. } => plain.clamp(low, high),
        }
    });
    outputs.collect()
}

/// Formats whose binary points are near each other, those of two values that are added `spread` bits finer.
fn plan(graph: &Graph, bits: [u8; 2], spread: i8, rounding: Rounding) -> Plan {
    let [weights, activations] = bits;
    let frac = |bits: u8| i8::try_from(bits).unwrap() - 4;
    let mut n = 0;
    let own = |node: &Node| {
        n += 1;
        let is_added = ["short", "grouped"].contains(&node.name.as_str());
        let frac = frac(activations) + [0, 1, -1][n % 3] + if is_added { spread } else { 0 };
        if node.activation.is_nonnegative() {
            Format::unsigned(activations.min(15), frac)
        } else {
            Format::signed(activations, frac)
        }
    };
    Plan { rounding, ..plan_of(graph, Format::signed(weights, frac(weights) + 3), own) }
}

#[track_caller]
fn check_integers(graph: &Graph, plan: &Plan, policy: AccumulatorPolicy) -> FixedGraph {
    let fixed = lower(graph, plan, policy).unwrap();
    let formats: Vec<Format> = fixed.nodes.iter().map(|node| node.format).collect();
    for seed in 0..2 {
        let image = Random::new(seed).floats(graph.image_len(), 0.0, 3.9);
        for kernels in Kernels::all() {
            let values = run_fixed_on(&fixed, &image, kernels);
            for (id, node) in graph.layers() {
                let expected = naive(graph, plan, id, &values, &formats);
                assert_eq!(values[id], expected, "{}: `{}`", kernels.name, node.name);
            }
        }
    }
    fixed
}

#[test]
fn integers_are_the_specified_ones_for_finer_and_for_coarser_values() {
    let graph = prepared(&residuals());
    for (bits, spread, rounding, policy) in [
        ([8, 8], 0, Rounding::TiesUp, AccumulatorPolicy::Prove32),
        ([8, 8], 2, Rounding::TiesEven, AccumulatorPolicy::Prove32),
        // Sums are coarser than what is added.
        ([2, 6], 5, Rounding::TiesUp, AccumulatorPolicy::Prove32),
        ([3, 4], 6, Rounding::Floor, AccumulatorPolicy::Prove32),
        ([4, 12], 3, Rounding::TiesUp, AccumulatorPolicy::Prove32),
        ([12, 16], 1, Rounding::TiesEven, AccumulatorPolicy::Widen),
    ] {
        let mut plan = plan(&graph, bits, spread, rounding);
        let fixed = check_integers(&graph, &plan, policy);
        let zeros = |node: &fixedwise_graph::FixedNode| {
            node.op.get::<FixedConv>().is_some_and(|conv| conv.weights_format.bits > bits[0])
        };
        assert!(spread < 5 || fixed.nodes.iter().any(zeros), "{bits:?}");
        by_channel(&graph, &mut plan);
        check_integers(&graph, &plan, policy);
    }
    // Weights of -1 and +1, where nothing and where something finer is added.
    let mut plan = plan(&graph, [1, 6], 5, Rounding::TiesUp);
    let one_bit = |format: Format| Format { bits: 1, range: Range::Bipolar, ..format };
    plan.layers.iter_mut().for_each(|layer| layer.weights = layer.weights.map(one_bit));
    check_integers(&graph, &plan, AccumulatorPolicy::Prove32);
}

#[test]
fn what_is_added_is_part_of_the_proof() {
    let mut b = Build::new(Shape::new(1, 1, 1), 1);
    let op = |w: f32| Conv {
        window: window(1, 1, 0),
        groups: 1,
        channels: 1,
        weights: vec![w],
        bias: vec![0.0],
        tap_bias: vec![],
    };
    let x = b.push("first", op(1.0), vec![0]);
    let y = b.push("second", op(1.0), vec![x]);
    b.push("sum", Add, vec![y, x]);
    let graph = prepared(&b.finish());
    let plan = |weights: i8, first: i8| {
        let own = |node: &Node| Format::signed(8, if node.name == "first" { first } else { 0 });
        plan_of(&graph, Format::signed(8, weights), own)
    };
    let bits = |plan: &Plan| {
        let fixed = lower(&graph, plan, AccumulatorPolicy::Prove32).unwrap();
        fixed.nodes[2].accumulator_bits
    };
    // 64 * 127 + (127 << 6) + half of a shift by 9 is below 2^14; 64 * 127 + half alone would be below 2^13.
    assert_eq!(bits(&plan(6, 3)), 16);
    // A sum at 2^-4 and a value at 2^2: 16 bits more.
    let error = lower(&graph, &plan(-12, 5), AccumulatorPolicy::Prove32).unwrap_err();
    assert!(matches!(error, LowerError::Residual { .. }), "{error}");
    assert!(error.to_string().contains("`second`"), "{error}");
    let mut wide = plan(6, 3);
    wide.layers[1].weights = Some(Format::signed(16, 24));
    let error = lower(&graph, &wide, AccumulatorPolicy::Prove32).unwrap_err();
    assert!(matches!(error, LowerError::Accumulator { .. }), "{error}");
}

#[test]
fn a_plan_with_a_sum_that_is_inside_a_layer_is_refused_with_the_way_out() {
    let graph = prepared(&residuals());
    let mut plan = plan(&graph, [8, 8], 0, Rounding::TiesUp);
    plan.others.insert("sum_full".to_owned(), Format::signed(8, 4));
    let error = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap_err().to_string();
    assert!(
        error.contains("`sum_full`") && error.contains("`full`") && error.contains("remove"),
        "{error}"
    );
}

#[test]
fn what_is_not_stored_counts_in_the_baseline_alone() {
    let mut b = Build::new(Shape::new(1, 1, 2), 1);
    let x = b.gemm("first", 0, 3);
    let y = b.gemm("second", x, 3);
    b.push("sum", Add, vec![y, x]);
    let float = b.finish();
    let graph = prepared(&float);
    assert!(graph.nodes.iter().all(|node| node.op.is_input() || node.op.is::<Gemm>()));
    let plan = plan_of(&graph, Format::signed(4, 2), |_| Format::signed(6, 2));
    let memory = memory(&graph, &plan).unwrap();
    // Two values of three are stored; other tools store three.
    assert_eq!(memory.activations, 2 * 3 * 6);
    assert_eq!(memory.uniform8, 8 * (6 + 9 + 3 + 3 + 3 * 3));
    assert_eq!(memory.fused, 8 * 3);
}
