//! Normalizations that are written operator by operator.

use fixedwise_codec::onnx::{ElementType, ModelBuilder, Node, Tensor, ValueInfo};
use fixedwise_graph::{
    Graph, Node as GraphNode, Semantics, from_onnx,
    ops::{Affine, LayerNormalization, Pair, WithConstant},
    passes,
};
use fixedwise_testing::{Random, assert_close, run_float};

/// The constants of a network, and its nodes: operator, inputs, output.
fn network(dims: &[usize], axis: i64, nodes: &[(&str, &[&str], &str)], outputs: &[&str]) -> Graph {
    let n = if axis == 1 { dims[1] } else { dims[dims.len() - 1] };
    let mut random = Random::new(5);
    let mut of_channels = |low: f32, high: f32| {
        let dims: &[usize] = if axis == 1 { &[n, 1, 1] } else { &[n] };
        Tensor::floats(dims, random.floats(n, low, high))
    };
    let mut model = ModelBuilder::new("g")
        .input("x", dims)
        .initializer("gamma", of_channels(0.5, 2.0))
        .initializer("beta", of_channels(-1.0, 1.0))
        .initializer("gammas", Tensor::floats(&[5, 1], vec![0.5, 1.0, 2.0, -1.0, 3.0]))
        .initializer("betas", Tensor::floats(&[5, 1], vec![0.5, 0.0, -1.0, 4.0, 0.0]))
        .initializer("axes", Tensor::ints(&[1], vec![axis]))
        .initializer("two", Tensor::floats(&[], vec![2.0]))
        .initializer("tiny", Tensor::floats(&[], vec![1e-12]))
        .initializer("epsilon", Tensor::floats(&[], vec![1e-3]));
    for (operator, inputs, output) in nodes {
        model = model.node(Node::new(operator, output, inputs, &[output]));
    }
    for output in outputs {
        let (name, element_type) = ((*output).to_owned(), ElementType::F32);
        model = model.output_value(ValueInfo { name, element_type, dims: vec![] });
    }
    from_onnx(&model.build(), "written").unwrap()
}

type Nodes = &'static [(&'static str, &'static [&'static str], &'static str)];

/// As `PyTorch` writes it before opset 17.
const CENTERED: Nodes = &[
    ("ReduceMean", &["x", "axes"], "mean"),
    ("Sub", &["x", "mean"], "d"),
    ("Pow", &["d", "two"], "square"),
    ("ReduceMean", &["square", "axes"], "variance"),
    ("Add", &["variance", "epsilon"], "more"),
    ("Sqrt", &["more"], "root"),
    ("Div", &["d", "root"], "normalized"),
];
/// As `TensorFlow` writes it: a factor and what is added, of each position.
const AS_FACTOR: Nodes = &[
    ("ReduceMean", &["x", "axes"], "mean"),
    ("Sub", &["x", "mean"], "d"),
    ("Mul", &["d", "d"], "square"),
    ("ReduceMean", &["square", "axes"], "variance"),
    ("Add", &["variance", "epsilon"], "more"),
    ("Sqrt", &["more"], "root"),
    ("Reciprocal", &["root"], "one"),
    ("Mul", &["one", "gamma"], "factor"),
    ("Mul", &["x", "factor"], "scaled"),
    ("Mul", &["mean", "factor"], "moved"),
    ("Sub", &["beta", "moved"], "less"),
    ("Add", &["scaled", "less"], "y"),
];
/// Not centered.
const ROOT: Nodes = &[
    ("Mul", &["x", "x"], "square"),
    ("ReduceMean", &["square", "axes"], "mean"),
    ("Add", &["mean", "epsilon"], "more"),
    ("Sqrt", &["more"], "root"),
    ("Div", &["x", "root"], "normalized"),
];
/// Divided by the root of the sum of squares, as `PyTorch` writes `normalize`.
const LENGTH: Nodes = &[
    ("ReduceL2", &["x", "axes"], "length"),
    ("Clip", &["length", "tiny"], "more"),
    ("Div", &["x", "more"], "normalized"),
];
const BEHIND: Nodes =
    &[("Mul", &["normalized", "gamma"], "scaled"), ("Add", &["scaled", "beta"], "y")];

/// What is left of a network, which computes what it did.
fn prepared(what: &str, graph: &Graph) -> Graph {
    let prepared = passes::prepare(graph, Semantics::Simulated).unwrap();
    let n = graph.input_shape().len();
    for (seed, magnitude) in [(1, 3.0), (2, 0.02)] {
        let image = Random::new(seed).floats(n, -magnitude, magnitude);
        assert_close(what, &run_float(&prepared, &image), &run_float(graph, &image), 1e-3);
    }
    prepared
}

#[test]
fn every_spelling_of_a_normalization_is_one() {
    let with = |nodes: Nodes, more: Nodes| [nodes, more].concat();
    let rows = [1, 6, 12];
    // As instances are normalized: a scale of each of five channels.
    let mut of_each_channel = with(CENTERED, BEHIND);
    of_each_channel[7].1 = &["normalized", "gammas"];
    of_each_channel[8].1 = &["scaled", "betas"];
    for (what, dims, axis, nodes, is_centered, has_more) in [
        ("plain", &rows[..], -1, with(CENTERED, &[]), true, false),
        ("scaled", &rows, -1, with(CENTERED, BEHIND), true, true),
        ("as a factor", &rows, -1, AS_FACTOR.to_vec(), true, true),
        ("as a factor, of channels first", &[1, 5, 3, 4], 1, AS_FACTOR.to_vec(), true, true),
        ("channels first", &[1, 5, 3, 4], 1, with(CENTERED, BEHIND), true, true),
        ("not centered", &rows, -1, with(ROOT, BEHIND), false, true),
        ("of a vector", &[1, 12], -1, with(ROOT, &[]), false, false),
        ("of positions, by channel", &[1, 5, 12], -1, of_each_channel, true, true),
    ] {
        let last = nodes.last().unwrap().2;
        let graph = prepared(what, &network(dims, axis, &nodes, &[last]));
        let found: Vec<&LayerNormalization> =
            graph.nodes.iter().filter_map(|node| node.op.get()).collect();
        let [LayerNormalization { epsilon, is_centered: centered }] = found[..] else {
            panic!("{what}: {:?}", graph.nodes)
        };
        assert!((epsilon - 1e-3).abs() < 1e-5 && *centered == is_centered, "{what}: {epsilon}");
        let has_affine = graph.nodes.iter().any(|node| node.op.is::<Affine>());
        assert_eq!(has_affine, has_more, "{what}: {:?}", graph.nodes);
        let is_left = |node: &GraphNode| node.op.is::<Pair>() || node.op.is::<WithConstant>();
        assert!(!graph.nodes.iter().any(is_left), "{what}: {:?}", graph.nodes);
    }
}

#[test]
fn what_is_divided_by_its_length_is_a_normalization() {
    let rows = [1, 6, 12];
    let last: Nodes = &[("LpNormalization", &["x"], "normalized")];
    for (what, dims, axis, nodes) in [
        ("rows", &rows[..], -1, LENGTH),
        ("channels first", &[1, 5, 3, 4], 1, LENGTH),
        ("one operator", &rows, -1, last),
    ] {
        let graph = prepared(what, &network(dims, axis, nodes, &["normalized"]));
        let found: Vec<&LayerNormalization> =
            graph.nodes.iter().filter_map(|node| node.op.get()).collect();
        let [LayerNormalization { epsilon, is_centered: false }] = found[..] else {
            panic!("{what}: {:?}", graph.nodes)
        };
        assert!(*epsilon < 1e-9, "{what}: {epsilon}");
        assert!(!graph.nodes.iter().any(|node| node.op.is::<Pair>()), "{what}");
    }
}

/// What is something else stays as it is.
#[test]
fn what_only_looks_like_a_normalization_is_none() {
    let is_found = |what: &str, graph: &Graph| {
        prepared(what, graph).nodes.iter().any(|node| node.op.is::<LayerNormalization>())
    };
    let mut by_variance = CENTERED.to_vec();
    by_variance[6] = ("Div", &["d", "more"], "normalized");
    let rows = [1, 6, 12];
    assert!(!is_found(
        "divided by the variance",
        &network(&rows, -1, &by_variance, &["normalized"])
    ));
    // A product that grows with the square of the value.
    let gated: Nodes = &[
        ("ReduceMean", &["x", "axes"], "mean"),
        ("Sub", &["x", "mean"], "spread"),
        ("Mul", &["x", "spread"], "y"),
    ];
    assert!(!is_found("a product", &network(&[1, 6, 4, 4], 1, gated, &["y"])));
    // The mean is also a result.
    let graph = network(&rows, -1, AS_FACTOR, &["y", "mean"]);
    let graph = passes::prepare(&graph, Semantics::Simulated).unwrap();
    assert!(graph.nodes.iter().all(|node| !node.op.is::<LayerNormalization>()));
    // Two at once, of which one is of the other's values.
    let graph = network(&[1, 4, 3, 5], 2, CENTERED, &["normalized", "d"]);
    assert!(!is_found("of a result", &graph));
}
