//! Softmax inside and products of two values: integers against the definition and against floats, and the factors
//! that products take up.

use fixedwise_fixed::{
    Format, Rounding,
    convert::{exp2, f64_to_f32, i64_to_f64},
    shift_round,
};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, LayerPlan, LowerError, NodeId, Plan, Quantizer,
    Semantics, Shape, cost, lower,
    ops::{Add, Affine, FixedMatMul, FixedSoftmax, IndexMap, MatMul, Softmax},
    passes,
};
use fixedwise_testing::{Build, Random, assert_close, run_fixed, run_float, window};
use std::collections::BTreeMap;

fn attention() -> Graph {
    let (mut b, x) = Build::attention();
    b.conv("last", x, 3, &window(1, 1, 0), 1);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Every value has so many bits; what is a probability has all of them behind its binary point.
fn plan(graph: &Graph, bits: u8, rounding: Rounding) -> Plan {
    let own = Format::signed(bits, i8::try_from(bits).unwrap() - 4);
    let unsigned = bits.min(15);
    let probability = Format::unsigned(unsigned, i8::try_from(unsigned).unwrap());
    let layer = |name: &str| LayerPlan {
        name: name.to_owned(),
        weights: Some(Format::signed(8, 7)),
        bias: None,
        activation: Some(own),
    };
    let others = graph.nodes.iter().filter(|node| !node.op.is_layer() && node.op.has_own_format());
    let format = |node: &fixedwise_graph::Node| {
        if node.op.is::<Softmax>() { probability } else { own }
    };
    Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding,
        input: Format::unsigned(8, 6),
        layers: graph.layers().map(|(_, node)| layer(&node.name)).collect(),
        rounded: BTreeMap::new(),
        others: others.map(|node| (node.name.clone(), format(node))).collect(),
    }
}

/// Page "Number formats", section 7, element by element.
fn check_product(fixed: &FixedGraph, id: NodeId, values: &[Vec<i64>]) {
    let node = &fixed.nodes[id];
    let op = node.op.get::<FixedMatMul>().unwrap();
    let [a, b] = [node.inputs[0], node.inputs[1]];
    let (first, second) = (fixed.nodes[a].shape, fixed.nodes[b].shape);
    for (n, &got) in values[id].iter().enumerate() {
        let Shape { w, c, .. } = node.shape;
        let (matrix, row, column) = (n / c / w, n / c % w, n % c);
        let product = |k: usize| {
            let x = values[a][(matrix * first.w + row) * first.c + k];
            x * values[b][(matrix * second.w + column) * second.c + k]
        };
        let sum: i64 = (0..first.c).map(product).sum();
        assert_eq!(got, op.requantization.apply(sum * op.mantissa), "{}, {n}", node.name);
    }
}

fn check_softmax(fixed: &FixedGraph, id: NodeId, values: &[Vec<i64>]) {
    let node = &fixed.nodes[id];
    let op = node.op.get::<FixedSoftmax>().unwrap();
    let from = fixed.nodes[node.inputs[0]].format;
    let to = &op.requantization;
    assert_eq!(to.shift, 62 - i32::from(node.format.frac));
    let channels = node.shape.c;
    let exp = |d: i64| (i64_to_f64(-d) * from.resolution()).exp();
    for (table, distance) in [(&op.fine, 1), (&op.coarse, 256)] {
        for (i, &stored) in (0_i64..).zip(table) {
            let exact = exp(i * distance) * exp2(30);
            assert!((i64_to_f64(stored) - exact).abs() <= 0.5, "{i} of {from}: {stored}, {exact}");
        }
    }
    let rows = values[node.inputs[0]].chunks_exact(channels);
    for (x, y) in rows.zip(values[id].chunks_exact(channels)) {
        let largest = *x.iter().max().unwrap();
        let stored = |&x: &i64| {
            let d = usize::try_from(largest - x).unwrap();
            let fine = i128::from(op.fine[d % 256]);
            if d < 256 { fine } else { (fine * i128::from(op.coarse[d / 256]) + (1 << 29)) >> 30 }
        };
        let sum: i128 = x.iter().map(stored).sum();
        let reciprocal = ((1 << 62) - 1) / sum;
        let total: f64 = x.iter().map(|x| exp(largest - x)).sum();
        for (x, &y) in x.iter().zip(y) {
            let product = i64::try_from(stored(x) * reciprocal).unwrap();
            let exact = shift_round(product, to.shift, to.rounding).clamp(to.min, to.max);
            assert_eq!(y, exact, "{}: {x}", node.name);
            // Within the rounding of the real value, and what the tables' last places make of it.
            let real = (exp(largest - x) / total * exp2(node.format.frac.into()))
                .min(i64_to_f64(node.format.max()));
            let reach = if to.rounding == Rounding::Floor { 1.0 } else { 0.5 };
            let difference = (i64_to_f64(y) - real).abs();
            assert!(difference <= reach + 0.01, "{}: {x}: {y}, not {real}", node.name);
        }
    }
}

#[test]
fn integers_are_those_of_the_specification() {
    let graph = attention();
    let image = Random::new(4).floats(graph.input_shape().len(), 0.0, 4.0);
    for (bits, rounding) in [
        (8, Rounding::TiesUp),
        (4, Rounding::TiesEven),
        (12, Rounding::Floor),
        (16, Rounding::TiesUp),
    ] {
        let plan = plan(&graph, bits, rounding);
        let policy = if bits == 16 { AccumulatorPolicy::Widen } else { AccumulatorPolicy::Prove32 };
        let fixed = lower(&graph, &plan, policy).unwrap();
        let values = run_fixed(&fixed, &image);
        for (name, is_scaled) in [("scores", true), ("attended", false), ("halved", true)] {
            let id = fixed.nodes.iter().position(|node| node.name == name).unwrap();
            let op = fixed.nodes[id].op.get::<FixedMatMul>().unwrap();
            assert_eq!(op.mantissa != 1, is_scaled, "{name}");
            check_product(&fixed, id, &values);
            assert_eq!(fixed.nodes[id].op.rows(1..2, &[], Shape::vector(1)), [1..2, 1..2]);
        }
        for name in ["weights", "classes"] {
            let id = fixed.nodes.iter().position(|node| node.name == name).unwrap();
            check_softmax(&fixed, id, &values);
        }
    }
    // Of both values, and what multiplies them.
    let cost = cost::multiplications(&graph, &plan(&graph, 8, Rounding::TiesUp)).unwrap();
    assert_eq!(cost.operand, 64 * graph.macs());
    let scores = graph.find("scores").unwrap();
    assert_eq!(graph.node_macs(scores), 2 * 12 * 12 * 3);
}

#[test]
fn integers_follow_the_float_network() {
    let graph = attention();
    let fixed =
        lower(&graph, &plan(&graph, 15, Rounding::TiesUp), AccumulatorPolicy::Widen).unwrap();
    let image: Vec<f32> = Random::new(8)
        .floats(graph.input_shape().len(), 0.0, 3.9)
        .iter()
        .map(|&x| f64_to_f32(Format::unsigned(8, 6).round(f64::from(x))))
        .collect();
    let values = run_fixed(&fixed, &image);
    let format = fixed.nodes[fixed.output()].format;
    let got: Vec<f32> =
        values[fixed.output()].iter().map(|&q| f64_to_f32(format.dequantize(q))).collect();
    assert_close("15 bits", &got, &run_float(&graph, &image), 0.02);
}

#[test]
fn sums_that_may_overflow_and_probabilities_out_of_reach_are_refused() {
    let graph = attention();
    let wide = plan(&graph, 16, Rounding::TiesUp);
    let error = lower(&graph, &wide, AccumulatorPolicy::Prove32).unwrap_err();
    assert!(matches!(&error, LowerError::Accumulator { node, .. } if node == "scores"), "{error}");
    let mut coarse = plan(&graph, 8, Rounding::TiesUp);
    coarse.others.insert("weights".to_owned(), Format::unsigned(8, -1));
    let error = lower(&graph, &coarse, AccumulatorPolicy::Prove32).unwrap_err();
    assert!(matches!(&error, LowerError::Shift { node, .. } if node == "weights"), "{error}");
}

/// One factor for all, on either side and behind, also through what only moves elements; not one a channel.
#[test]
fn products_take_up_one_factor_for_all() {
    let scale = |scale: &[f64]| Affine { scale: scale.to_vec(), shift: vec![0.0; scale.len()] };
    let mut b = Build::new(Shape::new(2, 3, 4), 9);
    let x = b.conv("x", 0, 4, &window(1, 1, 0), 1);
    let y = b.conv("y", 0, 4, &window(1, 1, 0), 1);
    let sum = b.push("shared", Add, vec![x, y]);
    let half = b.push("half", scale(&[0.5; 4]), vec![sum]);
    let places = |n: usize, step: usize| (0..n).rev().map(|i| Some(i * step)).collect();
    let map = IndexMap { rows: places(2, 12), columns: places(3, 4), channels: places(4, 1) };
    let moved = b.push("moved", map, vec![half]);
    let third = b.push("third", scale(&[3.0; 4]), vec![sum]);
    let product = b.push("product", MatMul { factor: 1.0 }, vec![moved, third]);
    let product = b.push("behind", scale(&[-2.0; 3]), vec![product]);
    let last = b.push("by_channel", scale(&[1.0, 2.0, 3.0]), vec![product]);
    b.push("again", MatMul { factor: 1.0 }, vec![last, last]);
    let before = b.finish();
    let graph = passes::prepare(&before, Semantics::Integer).unwrap();
    let factor = |name: &str| {
        let id = graph.find(name).unwrap();
        graph.nodes[id].op.get::<MatMul>().unwrap().factor
    };
    assert_eq!((factor("product"), factor("again")), (-3.0, 1.0));
    assert!(graph.find("half").is_none() && graph.find("by_channel").is_some());
    let image = Random::new(2).floats(24, -1.0, 1.0);
    assert_close("factors", &run_float(&graph, &image), &run_float(&before, &image), 1e-5);
}
