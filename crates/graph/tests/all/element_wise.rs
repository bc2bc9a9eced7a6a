//! Functions of two values: integers, factors of channels, and what ONNX files say.

use fixedwise_codec::onnx::{self, ModelBuilder, Node, Tensor};
use fixedwise_fixed::{Format, Rounding, convert::i64_to_f64, shift_round};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, FixedNode, Graph, LowerError, NodeId, Plan, Semantics, Shape,
    check_integer_forms, from_onnx, lower,
    ops::{Affine, Conv, FixedElementWise, FixedWithConstant, Mul, Relu, WithConstant},
    passes,
};
use fixedwise_kernels::Function;
use fixedwise_testing::{
    Build, Random, assert_close, assert_follows, plan_of, run_fixed, run_float, window,
};

fn pairs() -> Graph {
    let (mut b, x) = Build::pairs();
    b.gemm("dense", x, 4);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Formats of all widths; those of operators alternate between binary points.
fn plan(graph: &Graph, bits: u8, rounding: Rounding) -> Plan {
    let frac = i8::try_from(bits).unwrap() - 5;
    let mut others = 0;
    let own = |node: &fixedwise_graph::Node| {
        if node.op.is_layer() {
            return Format::signed(bits, frac);
        }
        others += 1;
        match others % 3 {
            1 => Format::signed(bits, frac + 1),
            2 => Format::full(bits, frac - 2),
            _ => Format::signed(bits - 1, frac),
        }
    };
    Plan { rounding, ..plan_of(graph, Format::signed(8, 7), own) }
}

/// The index of the element that one of the result meets in a value.
fn at(i: usize, from: Shape, to: Shape) -> usize {
    let (row, column, channel) = (i / to.c / to.w, i / to.c % to.w, i % to.c);
    let own = |extent: usize, i: usize| if extent == 1 { 0 } else { i };
    (own(from.h, row) * from.w + own(from.w, column)) * from.c + own(from.c, channel)
}

/// What meets in a node: extents, binary point and integers of each side.
type Side = (Shape, i32, Vec<i64>);

fn sides(fixed: &FixedGraph, id: NodeId, values: &[Vec<i64>]) -> Option<[Side; 2]> {
    let node = &fixed.nodes[id];
    let side = |id: NodeId| {
        (fixed.nodes[id].shape, i32::from(fixed.nodes[id].format.frac), values[id].clone())
    };
    if node.op.is::<FixedElementWise>() {
        return Some([side(node.inputs[0]), side(node.inputs[1])]);
    }
    let op = node.op.get::<FixedWithConstant>()?;
    let constant = op.constant.iter().map(|&x| i64::from(x)).collect();
    let constant = (op.extents, i32::from(op.format.frac), constant);
    let value = side(node.inputs[0]);
    Some(if op.is_first { [constant, value] } else { [value, constant] })
}

fn pair(node: &FixedNode) -> &FixedElementWise {
    let with_constant = || &node.op.get::<FixedWithConstant>().unwrap().pair;
    node.op.get::<FixedElementWise>().unwrap_or_else(with_constant)
}

/// Page "Number formats", section 7, element by element.
fn naive(node: &FixedNode, sides: &[Side; 2]) -> Vec<i64> {
    let op = pair(node);
    let finer = sides[0].1.max(sides[1].1);
    let result = |i: usize| {
        let stored = |k: usize| sides[k].2[at(i, sides[k].0, node.shape)];
        let aligned = |k: usize| stored(k) * (1_i64 << (finer - sides[k].1));
        let (acc, frac) = match op.function {
            Function::Add => (aligned(0) + aligned(1), finer),
            Function::Sub => (aligned(0) - aligned(1), finer),
            Function::Mul => (stored(0) * stored(1), sides[0].1 + sides[1].1),
            Function::Max => (aligned(0).max(aligned(1)), finer),
            Function::Min => (aligned(0).min(aligned(1)), finer),
        };
        let to = &op.requantization;
        let shift = frac - i32::from(node.format.frac);
        let shifted = match to.leaky {
            Some(slope) if acc < 0 => {
                shift_round(acc * slope.mantissa, shift + slope.frac, to.rounding)
            }
            _ => shift_round(acc, shift, to.rounding),
        };
        shifted.clamp(to.min, to.max)
    };
    (0..node.shape.len()).map(result).collect()
}

#[test]
fn integers_are_those_of_the_specification() {
    let graph = pairs();
    let mut seen = std::collections::BTreeSet::new();
    for rounding in [Rounding::TiesUp, Rounding::TiesEven, Rounding::Floor] {
        for bits in [4, 8, 12] {
            let plan = plan(&graph, bits, rounding);
            let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
            for seed in 0..3 {
                let image = Random::new(seed).floats(graph.input_shape().len(), 0.0, 4.0);
                let values = run_fixed(&fixed, &image);
                for (id, node) in fixed.nodes.iter().enumerate() {
                    let Some(sides) = sides(&fixed, id, &values) else { continue };
                    let what = format!("{}: {bits} bits, {rounding:?}", node.name);
                    assert_eq!(values[id], naive(node, &sides), "{what}");
                    seen.insert((node.op.name(), pair(node).is_whole == [true, true]));
                }
            }
        }
    }
    assert_eq!(seen.len(), 15, "alike, with an extent of one, with constants: {seen:?}");
}

/// The integers of constants are the nearest; those that are whole take few bits.
#[test]
fn constants_take_the_bits_that_they_need() {
    for (numbers, bits, frac) in [
        (vec![8.0, 16.0, 32.0, -8.0], 4, -3),
        (vec![0.5, -0.25, 0.75, 0.0], 3, 2),
        (vec![0.3, -0.7, 0.1, 0.9], 16, 15),
        (vec![0.0; 4], 2, 100),
    ] {
        let mut b = Build::new(Shape::new(2, 2, 3), 1);
        let x = b.conv("a", 0, 2, &window(1, 1, 0), 1);
        let op = WithConstant {
            function: Function::Mul,
            constant: numbers.clone().into(),
            extents: Shape::new(2, 2, 1),
            is_first: true,
        };
        b.push("result", op, vec![x]);
        let graph = b.finish();
        let mut plan = plan(&graph, 8, Rounding::TiesUp);
        if numbers[0] == 0.0 {
            plan.others.insert("result".to_owned(), Format::signed(8, 90));
        }
        let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
        let op = fixed.nodes[2].op.get::<FixedWithConstant>().unwrap();
        assert_eq!(op.format, Format::signed(bits, frac), "{numbers:?}");
        for (&q, &x) in op.constant.iter().zip(&numbers) {
            assert_eq!(i64::from(q), op.format.quantize(f64::from(x)), "{numbers:?}");
        }
    }
}

#[test]
fn integers_follow_the_float_network() {
    let graph = pairs();
    let fixed =
        lower(&graph, &plan(&graph, 15, Rounding::TiesUp), AccumulatorPolicy::Widen).unwrap();
    assert_follows(&fixed, &graph, 0.01);
}

#[test]
fn a_product_of_16_by_16_bits_is_proved_and_a_sum_far_apart_is_not() {
    let mut b = Build::new(Shape::new(3, 3, 2), 1);
    let x = b.conv("a", 0, 2, &window(1, 1, 0), 1);
    let y = b.conv("b", 0, 2, &window(1, 1, 0), 1);
    b.push("result", Mul, vec![x, y]);
    let graph = b.finish();
    let mut plan = plan(&graph, 16, Rounding::TiesUp);
    let full = Format::full(16, 15);
    plan.layers.iter_mut().for_each(|layer| layer.activation = Some(full));
    plan.others.insert("result".to_owned(), full);
    let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
    assert_eq!(fixed.nodes[3].accumulator_bits, 32);
    run_fixed(&fixed, &[4.0; 18]);

    let mut b = Build::new(Shape::new(3, 3, 2), 1);
    let x = b.conv("a", 0, 2, &window(1, 1, 0), 1);
    let y = b.conv("b", 0, 2, &window(1, 1, 0), 1);
    b.push("result", fixedwise_graph::ops::Max, vec![x, y]);
    let graph = b.finish();
    plan.layers[0].activation = Some(Format::signed(16, -2));
    let error = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap_err();
    assert!(matches!(&error, LowerError::Accumulator { node, .. } if node == "result"), "{error}");
}

/// Scales go through a product on both sides, shifts do not.
#[test]
fn a_product_carries_factors_of_channels() {
    for shift in [0.0, 0.5] {
        let mut b = Build::new(Shape::new(4, 3, 3), 17);
        let sides = ["a", "b"].map(|name| {
            let x = b.conv(name, 0, 4, &window(1, 1, 0), 1);
            let x = b.push(&format!("{name}_relu"), Relu, vec![x]);
            let scale = b.random.floats(4, 0.5, 2.0).into_iter().map(f64::from).collect();
            b.push(&format!("{name}_scale"), Affine { scale, shift: vec![shift; 4] }, vec![x])
        });
        let x = b.push("product", Mul, sides.to_vec());
        b.conv("last", x, 2, &window(3, 1, 1), 1);
        let float = b.finish();
        let graph = passes::prepare(&float, Semantics::Integer).unwrap();
        let image = Random::new(3).floats(36, -1.0, 1.0);
        assert_close("passes", &run_float(&graph, &image), &run_float(&float, &image), 1e-5);
        let convs = graph.nodes.iter().filter(|node| node.op.is::<Conv>()).count();
        assert_eq!(convs, if shift == 0.0 { 3 } else { 5 });
        // Factors of two leave no trace, also where one value is both factors of a product.
        let free = passes::equalizable(&graph);
        let scales = graph.nodes.iter().zip(free).map(|(node, is_free)| {
            let channels = if is_free { node.shape.c } else { 0 };
            (0..channels).map(|c| [0.5, 2.0, 4.0][c % 3]).collect()
        });
        let scales: Vec<Vec<f32>> = scales.collect();
        let first = graph.find("a").unwrap();
        assert!(!scales[first].is_empty());
        let equalized = passes::equalize(&graph, &scales);
        assert_eq!(run_float(&equalized, &image), run_float(&graph, &image));
    }
    let mut b = Build::new(Shape::new(4, 3, 3), 17);
    let x = b.conv("a", 0, 4, &window(1, 1, 0), 1);
    let x = b.push("square", Mul, vec![x, x]);
    b.conv("last", x, 2, &window(1, 1, 0), 1);
    let graph = b.finish();
    assert!(passes::equalizable(&graph)[1]);
    let scales = vec![vec![], vec![0.5, 2.0, 4.0, 8.0], vec![], vec![]];
    let image = Random::new(3).floats(36, -1.0, 1.0);
    let equalized = passes::equalize(&graph, &scales);
    assert_eq!(run_float(&equalized, &image), run_float(&graph, &image));
}

fn read(nodes: Vec<Node>, constants: &[(&str, Tensor)]) -> Result<Graph, String> {
    let mut model = ModelBuilder::new("pairs").input("x", &[1, 3, 4, 5]);
    for (name, tensor) in constants {
        model = model.initializer(name, tensor.clone());
    }
    let bytes = nodes.into_iter().fold(model, ModelBuilder::node).output("y", &[1]).encode();
    let file = onnx::parse_model(&bytes, &|_| Err("none".to_owned())).unwrap();
    from_onnx(&file, "pairs").map_err(|error| error.to_string())
}

#[test]
fn numbers_among_the_values_of_an_extremum_are_bounds() {
    let number = |x: f32| Tensor::floats(&[], vec![x]);
    let constants = [("low", number(-0.5)), ("high", number(0.25)), ("two", number(2.0))];
    let graph = read(
        vec![
            Node::new("Mul", "double", &["x", "two"], &["d"]),
            Node::new("Max", "max", &["x", "low", "d"], &["m"]),
            Node::new("Min", "min", &["m", "high"], &["y"]),
        ],
        &constants,
    )
    .unwrap();
    let image: Vec<f32> = (0..60_u8).map(|i| (f32::from(i) - 30.0) / 30.0).collect();
    let expected: Vec<f32> = image.iter().map(|x| x.max(2.0 * x).clamp(-0.5, 0.25)).collect();
    assert_eq!(run_float(&graph, &image), expected);
}

#[test]
fn extents_that_do_not_meet_are_refused_by_name() {
    let cut = Node::new("MaxPool", "pool", &["x"], &["p"])
        .with("kernel_shape", vec![2_i64, 2])
        .with("strides", vec![2_i64, 2]);
    let error = read(vec![cut, Node::new("Sub", "less", &["x", "p"], &["y"])], &[]).unwrap_err();
    assert!(
        error.contains("less") && error.contains("4x5x3") && error.contains("2x2x3"),
        "{error}"
    );
}

/// A quotient of two values: in integers the product with a reciprocal, which is a table.
#[test]
fn what_is_divided_by_another_value_is_multiplied_by_its_reciprocal() {
    let mean = Node::new("ReduceMean", "mean", &["x"], &["m"]).with("axes", vec![2_i64, 3]);
    let part = Node::new("Div", "part", &["x", "m"], &["y"]);
    let graph = read(vec![mean, part], &[]).unwrap();
    let image: Vec<f32> = (0..60_u8).map(|i| f32::from(i + 20) / 64.0).collect();
    let means: Vec<f32> =
        (0..3).map(|channel| image.iter().skip(channel).step_by(3).sum::<f32>() / 20.0).collect();
    let expected: Vec<f32> = (0..60).map(|i| image[i] / means[i % 3]).collect();
    assert_close("a part", &run_float(&graph, &image), &expected, 1e-6);
    let graph = passes::prepare(&graph, Semantics::Integer).unwrap();
    check_integer_forms(&graph).unwrap();
    assert_close("a part", &run_float(&graph, &image), &expected, 1e-6);
    let own = Format::unsigned(8, 6);
    let plan =
        Plan { input: Format::unsigned(8, 6), ..plan_of(&graph, Format::signed(8, 6), |_| own) };
    let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
    let values = run_fixed(&fixed, &image);
    let integers = |name: &str| &values[graph.find(name).unwrap()];
    for (i, &y) in integers("part").iter().enumerate() {
        let reciprocal = integers("part_reciprocal")[i % 3];
        let mean = integers("mean")[i % 3];
        assert_eq!(reciprocal, own.quantize(64.0 / i64_to_f64(mean)), "{i}");
        let product = own.quantize(i64_to_f64(values[0][i] * reciprocal) / 4096.0);
        assert!(product.abs_diff(y) <= 1, "{i}: {y}, {product}");
    }
}

#[test]
fn what_is_refused_names_the_way_out() {
    for (op, help) in [
        ("LRN", "batch normalization"),
        ("LSTM", "convolutions over the steps"),
        ("LRN", "let it end before this (`--output`)"),
    ] {
        let error = read(vec![Node::new(op, "odd", &["x"], &["y"])], &[]).unwrap_err();
        assert!(error.contains(op) && error.contains(help), "{error}");
    }
}

#[test]
fn a_matrix_multiplies_the_last_axis() {
    // `[n, w, h, c]`: the file's last axis has three elements.
    let turn = Node::new("Transpose", "turn", &["x"], &["t"]).with("perm", vec![0_i64, 3, 2, 1]);
    let product = Node::new("MatMul", "each", &["t", "w"], &["y"]);
    let weights = [1.0_f32, 0.0, 0.5, 0.25, 2.0, -1.0];
    let graph =
        read(vec![turn, product], &[("w", Tensor::floats(&[3, 2], weights.to_vec()))]).unwrap();
    let image: Vec<f32> = (0..60_u8).map(f32::from).collect();
    let output = &graph.outputs()[0];
    let shape = graph.nodes[output.node].shape;
    let found = output.in_order_of_file(shape, &run_float(&graph, &image));
    let mut expected = Vec::new();
    for column in 0..5 {
        for row in 0..4 {
            let pixel = &image[(row * 5 + column) * 3..][..3];
            for k in 0..2 {
                expected.push((0..3).map(|c| pixel[c] * weights[c * 2 + k]).sum::<f32>());
            }
        }
    }
    assert_eq!((output.extents(shape), found), (vec![5, 4, 2], expected));
}
