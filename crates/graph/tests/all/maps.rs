//! Elements that are moved, and places between them: floats and integers against the definition, and what
//! passes do around them.

use fixedwise_codec::onnx::{ElementType, ModelBuilder, Node, Tensor, ValueInfo};
use fixedwise_fixed::{Format, Rounding};
use fixedwise_graph::{
    AccumulatorPolicy, Activation, FixedGraph, Graph, LayerPlan, Plan, Quantizer, Semantics, Shape,
    from_onnx, lower,
    ops::{Affine, Between, Conv, FixedResize, IndexMap, Relu, Resize},
    passes,
};
use fixedwise_testing::{Build, Random, assert_close, run_fixed, run_float, window};

/// Every second row from the last up and a row of zeros, columns twice, and three channels in another order with
/// one of zeros.
fn map(from: Shape) -> IndexMap {
    let row = from.w * from.c;
    let rows = (0..from.h).rev().step_by(2).map(|i| Some(i * row)).chain([None]);
    let channels = vec![Some(2), None, Some(0), Some(1)];
    IndexMap {
        rows: rows.collect(),
        columns: (0..2 * from.w).map(|j| Some(j / 2 * from.c)).collect(),
        channels,
    }
}

/// One and a half times as many rows, three times as many columns.
fn resize(from: Shape) -> Resize {
    let between = |extent: usize, output: u16| -> Vec<Between> {
        let scale = f32::from(u16::try_from(extent).unwrap()) / f32::from(output);
        let last = f32::from(u16::try_from(extent - 1).unwrap());
        let place = |i: u16| {
            let x = ((f32::from(i) + 0.5) * scale - 0.5).clamp(0.0, last);
            let first = (0..extent).rev().find(|&k| f32::from(u16::try_from(k).unwrap()) <= x);
            Between { first: first.unwrap(), weight: x.fract() }
        };
        (0..output).map(place).collect()
    };
    let extents = [from.h + from.h / 2, 3 * from.w].map(|n| u16::try_from(n).unwrap());
    Resize { rows: between(from.h, extents[0]), columns: between(from.w, extents[1]) }
}

fn network() -> Graph {
    let mut b = Build::new(Shape::new(6, 5, 3), 4);
    let x = b.conv("first", 0, 3, &window(3, 1, 1), 1);
    let x = b.push("map", map(Shape::new(6, 5, 3)), vec![x]);
    let from = b.shape(x);
    let x = b.push("resize", resize(from), vec![x]);
    b.conv("last", x, 2, &window(1, 1, 0), 1);
    b.finish()
}

fn lowered(graph: &Graph, bits: u8, rounding: Rounding) -> FixedGraph {
    let frac = i8::try_from(bits).unwrap() - 4;
    let layer = |name: &str| LayerPlan {
        name: name.to_owned(),
        weights: Some(Format::signed(8, 7)),
        bias: None,
        activation: Some(Format::signed(bits, frac)),
    };
    let plan = Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding,
        input: Format::unsigned(8, 6),
        layers: graph.layers().map(|(_, node)| layer(&node.name)).collect(),
        rounded: std::collections::BTreeMap::new(),
        thinned: None,
        others: std::collections::BTreeMap::new(),
    };
    lower(graph, &plan, AccumulatorPolicy::Prove32).unwrap()
}

#[test]
fn integers_are_those_of_the_definition() {
    let graph = passes::prepare(&network(), Semantics::Integer).unwrap();
    let [first, moved, resized] = ["first", "map", "resize"].map(|name| graph.find(name).unwrap());
    let image = Random::new(3).floats(graph.input_shape().len(), 0.0, 3.9);
    for (bits, rounding) in [(8, Rounding::TiesUp), (15, Rounding::TiesEven), (4, Rounding::Floor)]
    {
        let fixed = lowered(&graph, bits, rounding);
        let values = run_fixed(&fixed, &image);
        // The map: each element by its own sum of places.
        let IndexMap { rows, columns, channels } = map(graph.nodes[first].shape);
        let mut expected = Vec::new();
        for row in &rows {
            for column in &columns {
                for channel in &channels {
                    let place = row.zip(*column).zip(*channel);
                    expected.push(place.map_or(0, |((i, j), k)| values[first][i + j + k]));
                }
            }
        }
        assert_eq!(values[moved], expected, "{bits} bits");
        // Between pixels: the four products, each by itself.
        let op = fixed.nodes[resized].op.get::<FixedResize>().unwrap();
        let (input, output) = (graph.nodes[moved].shape, graph.nodes[resized].shape);
        let pixel = |i: usize, j: usize, k: usize| {
            let inside = i < input.h && j < input.w;
            if inside { values[moved][(i * input.w + j) * input.c + k] } else { 0 }
        };
        let [one_h, one_w] = op.weight_bits.map(|bits| 1_i64 << bits);
        for (n, &got) in values[resized].iter().enumerate() {
            let (i, j, k) = (n / output.c / output.w, n / output.c % output.w, n % output.c);
            let ((y, down), (x, right)) = (op.rows[i], op.columns[j]);
            let sum = pixel(y, x, k) * (one_h - down) * (one_w - right)
                + pixel(y, x + 1, k) * (one_h - down) * right
                + pixel(y + 1, x, k) * down * (one_w - right)
                + pixel(y + 1, x + 1, k) * down * right;
            assert_eq!(got, op.requantization.apply(sum), "{bits} bits, element {n}");
        }
        assert!(fixed.nodes[resized].accumulator_bits <= 32);
        // Rows: exactly those that the elements of a row come from.
        for node in [moved, resized] {
            let operation = &fixed.nodes[node].op;
            let shapes = [graph.nodes[graph.nodes[node].inputs[0]].shape];
            for row in 0..graph.nodes[node].shape.h {
                let rows = operation.rows(row..row + 1, &shapes, graph.nodes[node].shape);
                let expected = if node == moved {
                    map(shapes[0]).rows[row].map_or(0..0, |at| {
                        let at = at / (shapes[0].w * shapes[0].c);
                        at..at + 1
                    })
                } else {
                    let (first, weight) = op.rows[row];
                    first..first + 1 + usize::from(weight > 0)
                };
                assert_eq!(rows, [expected], "row {row}");
            }
        }
        if bits == 15 {
            let step = fixed.nodes[fixed.output()].format.resolution();
            let result: Vec<f32> = values[fixed.output()]
                .iter()
                .map(|&q| {
                    fixedwise_fixed::convert::f64_to_f32(
                        fixedwise_fixed::convert::i64_to_f64(q) * step,
                    )
                })
                .collect();
            assert_close("floats", &result, &run_float(&graph, &image), 0.03);
        }
    }
    // Thirds take all bits; 15-bit integers leave 8 of 32.
    let bits = |width| {
        let fixed = lowered(&graph, width, Rounding::TiesUp);
        fixed.nodes[resized].op.get::<FixedResize>().unwrap().weight_bits
    };
    assert_eq!((bits(8), bits(15)), ([11, 11], [8, 8]));
    let double = Resize {
        rows: [(0, 0.0), (0, 0.25), (0, 0.75), (1, 0.0)]
            .map(|(first, weight)| Between { first, weight })
            .to_vec(),
        columns: vec![Between { first: 0, weight: 0.5 }],
    };
    let mut b = Build::new(Shape::new(2, 2, 1), 4);
    let x = b.push("double", double, vec![0]);
    b.conv("last", x, 1, &window(1, 1, 0), 1);
    let double = lowered(&b.finish(), 8, Rounding::TiesUp);
    assert_eq!(double.nodes[1].op.get::<FixedResize>().unwrap().weight_bits, [2, 1]);
}

#[test]
fn what_stands_behind_a_map_joins_the_layer_before_it() {
    let from = Shape::new(4, 3, 8);
    // Each second row is that of the second half of the channels.
    let pixels = IndexMap {
        rows: (0..8).map(|i| Some(i / 2 * from.w * from.c + i % 2 * 4)).collect(),
        columns: (0..from.w).map(|j| Some(j * from.c)).collect(),
        channels: (0..4).map(Some).collect(),
    };
    let mut upper = map(Shape::new(8, 3, 4));
    let mut b = Build::new(Shape::new(4, 3, 2), 11);
    let x = b.conv("layer", 0, 8, &window(3, 1, 1), 1);
    let x = b.push("pixels", pixels, vec![x]);
    let x = b.affine("normalized", x);
    let x = b.push("relu", Relu, vec![x]);
    upper.rows.truncate(2);
    upper.channels = vec![Some(3), Some(1)];
    let x = b.push("some", upper, vec![x]);
    b.conv("last", x, 2, &window(1, 1, 0), 1);
    let float = b.finish();
    let image = Random::new(3).floats(float.input_shape().len(), -1.0, 1.0);
    for semantics in [Semantics::Integer, Semantics::Simulated] {
        let graph = passes::prepare(&float, semantics).unwrap();
        let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["input", "layer", "some", "last"]);
        assert_eq!(graph.nodes[1].activation, Activation::Relu);
        assert_close("passes", &run_float(&graph, &image), &run_float(&float, &image), 1e-5);
    }
}

#[test]
fn zeros_that_are_put_in_stay_zeros() {
    let from = Shape::new(2, 3, 4);
    let places = |n: usize, step: usize| (0..n).map(move |i| Some(i * step));
    let padded = IndexMap {
        rows: places(2, 12).chain([None]).collect(),
        columns: places(3, 4).collect(),
        channels: places(4, 1).collect(),
    };
    let mut b = Build::new(from, 7);
    let x = b.conv("layer", 0, 4, &window(1, 1, 0), 1);
    let x = b.push("relu", Relu, vec![x]);
    let x = b.affine("before", x);
    let x = b.push("padded", padded, vec![x]);
    let x = b.affine("behind", x);
    b.conv("last", x, 2, &window(3, 1, 1), 1);
    let float = b.finish();
    let graph = passes::prepare(&float, Semantics::Integer).unwrap();
    assert!(!graph.nodes.iter().any(|node| node.op.is::<Affine>()));
    assert_eq!(graph.nodes.iter().filter(|node| node.op.is::<Conv>()).count(), 3);
    for seed in 0..3 {
        let image = Random::new(seed).floats(from.len(), -1.0, 1.0);
        assert_close("passes", &run_float(&graph, &image), &run_float(&float, &image), 1e-5);
    }
}

fn read(node: Node, constants: &[(&str, Tensor)]) -> Result<Graph, String> {
    let y = ValueInfo { name: "y".to_owned(), element_type: ElementType::F32, dims: vec![] };
    let model = ModelBuilder::new("g").input("x", &[1, 4, 6, 5]).node(node).output_value(y);
    let model = constants
        .iter()
        .fold(model, |model, (name, tensor)| model.initializer(name, tensor.clone()));
    from_onnx(&model.build(), "g").map_err(|error| error.to_string())
}

fn ints(data: &[i64]) -> Tensor {
    Tensor::ints(&[data.len()], data.to_vec())
}

#[test]
fn what_cannot_be_read_is_refused_with_the_way_out() {
    let node = |op: &str, inputs: &[&str]| Node::new(op, "n", inputs, &["y"]);
    let scales = Tensor::floats(&[4], vec![1.0, 1.0, 2.0, 2.0]);
    let resize = |name: &'static str, value: &str| {
        let node = node("Resize", &["x", "", "s"]).with("mode", "linear").with(name, value);
        read(node, &[("s", scales.clone())])
    };
    let cases = [
        (resize("mode", "cubic"), "supported are `nearest` and `linear`"),
        (
            resize("coordinate_transformation_mode", "tf_crop_and_resize"),
            "crop by Slice, then resize in another mode",
        ),
        (
            read(
                node("Resize", &["x", "", "s"]).with("antialias", 1_i64),
                &[("s", scales.clone())],
            ),
            "resize without antialias",
        ),
        (
            read(
                node("Resize", &["x", "", "s"]).with("mode", "linear"),
                &[("s", Tensor::floats(&[4], vec![1.0, 2.0, 1.0, 1.0]))],
            ),
            "interpolates between channels",
        ),
        (read(node("Resize", &["x", "", "", ""]), &[]), "its scales and sizes are missing"),
        (
            read(node("Gather", &["x", "i"]).with("axis", 1_i64), &[("i", ints(&[4]))]),
            "index 4 is outside the 4 elements of its axis",
        ),
        (
            read(
                node("Slice", &["x", "s", "e", "a"]),
                &[("s", ints(&[3])), ("e", ints(&[3])), ("a", ints(&[2]))],
            ),
            "takes no element",
        ),
        (
            read(node("Tile", &["x", "r"]), &[("r", ints(&[2, 1, 1, 1]))]),
            "repeats the images of the batch",
        ),
        (
            read(node("Expand", &["x", "r"]), &[("r", ints(&[1, 3, 6, 5]))]),
            "does not expand 4 elements so",
        ),
        (
            read(node("DepthToSpace", &["x"]).with("blocksize", 3_i64), &[]),
            "its 4 channels are no blocks of 3x3",
        ),
        (
            read(node("Pad", &["x", "p"]).with("mode", "mirror"), &[("p", ints(&[0; 8]))]),
            "constant, edge, reflect and wrap",
        ),
        (
            read(
                node("ConvTranspose", &["x", "w"]),
                &[("w", Tensor::floats(&[3, 1, 1, 1], vec![1.0; 3]))],
            ),
            "do not fit its 4 channels",
        ),
        (
            read(
                node("ConvTranspose", &["x", "w"]).with("pads", vec![9_i64, 0, 9, 0]),
                &[("w", Tensor::floats(&[4, 1, 1, 1], vec![1.0; 4]))],
            ),
            "its result would have 0 rows or columns",
        ),
    ];
    for (i, (found, expected)) in cases.into_iter().enumerate() {
        let error = found.expect_err(expected);
        assert!(error.contains(expected) && error.contains("`n`"), "case {i}: {error}");
    }
}
