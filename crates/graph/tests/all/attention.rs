//! Softmax inside and products of two values: integers against the definition and against floats, and the factors
//! that products take up.

use fixedwise_codec::keras;
use fixedwise_fixed::{
    Format, Rounding,
    convert::{exp2, f64_to_f32, i64_to_f64},
    shift_round,
};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, LowerError, NodeId, Plan, Semantics, Shape, cost,
    from_keras, lower,
    ops::{
        Add, Affine, FixedLayerNormalization, FixedMatMul, FixedSoftmax, IndexMap, MatMul, Softmax,
    },
    passes,
};
use fixedwise_testing::{
    Build, Random, assert_close, assert_follows, plan_of, run_fixed, run_float, window,
};

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
    let format =
        |node: &fixedwise_graph::Node| if node.op.is::<Softmax>() { probability } else { own };
    Plan { rounding, ..plan_of(graph, Format::signed(8, 7), format) }
}

/// An integer is the rounding of a real value, which is known but for `slack` steps.
#[track_caller]
fn assert_rounds(y: i64, real: f64, rounding: Rounding, slack: f64, node: &str) {
    let reach = if rounding == Rounding::Floor { 1.0 } else { 0.5 };
    let difference = (i64_to_f64(y) - real).abs();
    assert!(difference <= reach + slack, "{node}: {y}, not {real}");
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
            assert_rounds(y, real, to.rounding, 0.01, &node.name);
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
    assert_follows(&fixed, &graph, 0.02);
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

fn normalizations() -> Graph {
    let (mut b, x) = Build::normalizations();
    b.conv("last", x, 3, &window(1, 1, 0), 1);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

fn check_normalization(fixed: &FixedGraph, id: NodeId, values: &[Vec<i64>]) {
    let node = &fixed.nodes[id];
    let op = node.op.get::<FixedLayerNormalization>().unwrap();
    let to = &op.requantization;
    let c = node.shape.c;
    let n = i64::try_from(c).unwrap();
    let rows = values[node.inputs[0]].chunks_exact(c);
    for (x, y) in rows.zip(values[id].chunks_exact(c)) {
        let sum = if op.is_centered { x.iter().sum() } else { 0 };
        let variance = n * x.iter().map(|x| x * x).sum::<i64>() - sum * sum + op.epsilon;
        let pairs = (variance.leading_zeros() - 2) / 2;
        let shifted = u128::try_from(variance).unwrap() << (2 * pairs);
        let (mut root, mut above) = (0_u128, 1 << 31);
        while above - root > 1 {
            let middle = u128::midpoint(root, above);
            if middle * middle <= shifted { root = middle } else { above = middle }
        }
        let reciprocal = i64::try_from((1_u128 << 61) / root).unwrap();
        let shift = 61 - i32::from(node.format.frac) - i32::try_from(pairs).unwrap();
        for (x, &y) in x.iter().zip(y) {
            let product = (n * x - sum) * reciprocal;
            let exact = shift_round(product, shift, to.rounding).clamp(to.min, to.max);
            assert_eq!(y, exact, "{}: {x}", node.name);
            let real = i64_to_f64(n * x - sum) / i64_to_f64(variance).sqrt();
            let real = (real * exp2(node.format.frac.into()))
                .clamp(i64_to_f64(to.min), i64_to_f64(to.max));
            assert_rounds(y, real, to.rounding, 0.001, &node.name);
        }
    }
}

#[test]
fn normalizations_are_those_of_the_specification() {
    let graph = normalizations();
    assert!(graph.find("scale").is_none(), "the layer behind takes the scale up");
    for (bits, rounding) in [(8, Rounding::TiesUp), (4, Rounding::TiesEven), (12, Rounding::Floor)]
    {
        let fixed =
            lower(&graph, &plan(&graph, bits, rounding), AccumulatorPolicy::Prove32).unwrap();
        for seed in 0..3 {
            let image = Random::new(seed).floats(graph.input_shape().len(), 0.0, 4.0);
            let values = run_fixed(&fixed, &image);
            for name in ["centered", "plain"] {
                let id = fixed.nodes.iter().position(|node| node.name == name).unwrap();
                check_normalization(&fixed, id, &values);
            }
        }
    }
    // The scale makes weights larger than one.
    let mut fine = plan(&graph, 15, Rounding::TiesUp);
    fine.layers.iter_mut().for_each(|layer| layer.weights = Some(Format::signed(15, 11)));
    let fixed = lower(&graph, &fine, AccumulatorPolicy::Widen).unwrap();
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
    // Of many channels results are far above one, and few bits have their binary point left of the units.
    for (frac, rounding) in
        [(-1, Rounding::TiesUp), (-4, Rounding::TiesEven), (-9, Rounding::Floor)]
    {
        let mut coarse = plan(&graph, 8, rounding);
        coarse.others.insert("centered".to_owned(), Format::signed(3, frac));
        let fixed = lower(&graph, &coarse, AccumulatorPolicy::Prove32).unwrap();
        let image = Random::new(2).floats(graph.input_shape().len(), 0.0, 4.0);
        let id = fixed.nodes.iter().position(|node| node.name == "centered").unwrap();
        check_normalization(&fixed, id, &run_fixed(&fixed, &image));
    }
    let mut coarse = plan(&graph, 8, Rounding::TiesUp);
    coarse.others.insert("centered".to_owned(), Format::signed(8, -60));
    let error = lower(&graph, &coarse, AccumulatorPolicy::Prove32).unwrap_err();
    assert!(matches!(&error, LowerError::Shift { node, .. } if node == "centered"), "{error}");
    // So many channels that a difference needs more than 31 bits.
    let mut b = Build::new(Shape::new(1, 1, 1 << 15), 1);
    let op = fixedwise_graph::ops::LayerNormalization { epsilon: 1e-5, is_centered: true };
    b.push("many", op, vec![0]);
    let graph = b.finish();
    let mut wide = plan(&graph, 16, Rounding::TiesUp);
    wide.input = Format::signed(16, 8);
    let error = lower(&graph, &wide, AccumulatorPolicy::Widen).unwrap_err();
    assert!(matches!(&error, LowerError::Accumulator { needed: 32, .. }), "{error}");
}

#[test]
fn a_layer_of_keras_normalizes_its_last_axis() {
    let (epsilon, n) = (0.25, 4);
    let weight = |name: &str, data: Vec<f32>| keras::Tensor {
        path: format!("normalization/{name}"),
        name: Some(name.to_owned()),
        shape: vec![n],
        data,
    };
    let layer = |class: &str, config: serde_json::Value, inputs: &[&str]| keras::Layer {
        name: class.to_owned(),
        class: class.to_owned(),
        config: config.as_object().unwrap().clone(),
        inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
        ..keras::Layer::default()
    };
    let [gamma, beta] = [vec![0.5, -1.0, 2.0, 1.5], vec![0.25, 0.0, -1.0, 2.0]];
    let mut normalization = layer(
        "LayerNormalization",
        serde_json::json!({ "axis": [-1], "epsilon": epsilon, "center": true, "scale": true }),
        &["InputLayer"],
    );
    normalization.weights = vec![weight("gamma", gamma.clone()), weight("beta", beta.clone())];
    let model = keras::Model {
        name: "model".to_owned(),
        version: None,
        layers: vec![
            layer("InputLayer", serde_json::json!({ "batch_shape": [null, 2, 3, 4] }), &[]),
            normalization,
        ],
        inputs: vec!["InputLayer".to_owned()],
        outputs: vec!["LayerNormalization".to_owned()],
    };
    let graph = from_keras(&model, "model").unwrap();
    let image = Random::new(3).floats(24, -2.0, 2.0);
    let pixel = |x: &[f32]| -> Vec<f32> {
        let mean = x.iter().sum::<f32>() / 4.0;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / 4.0;
        let deviation = (variance + 0.25).sqrt();
        (0..n).map(|c| (x[c] - mean) / deviation * gamma[c] + beta[c]).collect()
    };
    let expected: Vec<f32> = image.chunks_exact(n).flat_map(pixel).collect();
    assert_close("Keras", &run_float(&graph, &image), &expected, 1e-5);
}
