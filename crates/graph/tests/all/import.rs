//! What of an ONNX file is judged, what is computed while it is read, and what a refusal says.

use fixedwise_codec::{
    keras::{self, Hdf5Model},
    onnx::{
        Attribute, Dim, ElementType, Function, Graph as OnnxGraph, ModelBuilder, Node, Tensor,
        ValueInfo, parse_model,
    },
};
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_graph::{
    Graph, ImportError, InputShape, Interface, Semantics, from_keras_with, from_onnx,
    from_onnx_with, passes,
};
use fixedwise_testing::{Random, assert_close, project, run_float};

/// A network with one convolution of ones: `x` [1, 2, 4, 4] to `a` [1, 3, 4, 4].
fn network() -> ModelBuilder {
    ModelBuilder::new("g")
        .input("x", &[1, 2, 4, 4])
        .initializer("w", Tensor::floats(&[3, 2, 1, 1], vec![1.0, -1.0, 0.5, 2.0, 1.0, 1.0]))
        .node(Node::new("Conv", "conv", &["x", "w"], &["a"]))
}

fn shaped(input_shapes: Vec<InputShape>) -> Interface {
    Interface { input_shapes, ..Interface::default() }
}

fn chosen(outputs: &[&str]) -> Interface {
    let outputs = outputs.iter().map(|name| (*name).to_owned()).collect();
    Interface { outputs, ..Interface::default() }
}

fn named(name: &str) -> ValueInfo {
    ValueInfo { name: name.to_owned(), element_type: ElementType::F32, dims: vec![] }
}

/// The graph of the network whose output is `y`.
fn read(model: ModelBuilder) -> Result<Graph, ImportError> {
    from_onnx(&model.output_value(named("y")).build(), "g")
}

fn refused(model: ModelBuilder) -> String {
    match read(model) {
        Ok(graph) => panic!("it is read: {graph:?}"),
        Err(error) => error.to_string(),
    }
}

fn ints(model: ModelBuilder, name: &str, data: &[i64]) -> ModelBuilder {
    model.initializer(name, Tensor::ints(&[data.len()], data.to_vec()))
}

fn node(op_type: &str, inputs: &[&str], output: &str) -> Node {
    Node::new(op_type, &format!("{}_{output}", op_type.to_lowercase()), inputs, &[output])
}

/// The graphs give the same for any image.
fn assert_same(a: &Graph, b: &Graph) {
    let image = Random::new(1).floats(a.input_shape().len(), -1.0, 1.0);
    assert_close("the same network", &run_float(a, &image), &run_float(b, &image), 1e-6);
}

#[test]
fn only_what_reaches_the_output_is_judged() {
    let mut model = network()
        .input("unused", &[7])
        .node(node("Unknown", &["x", "unused"], "b"))
        .node(Node { domain: "com.microsoft".to_owned(), ..node("Gelu", &["b"], "c") })
        .node(node("Relu", &["missing"], "d"))
        .node(node("Relu", &["a"], "y"))
        .output_value(named("y"))
        .build();
    model.graph.unreadable.push(("texts".to_owned(), "has texts".to_owned()));
    let graph = from_onnx(&model, "g").unwrap();
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["x", "conv", "relu_y"]);
    // A node that is wanted for its extents only need not be supported.
    let model = network()
        .node(node("Hardmax", &["a"], "b"))
        .node(node("Shape", &["a"], "s"))
        .node(node("Reshape", &["a", "s"], "y"));
    assert_same(
        &read(model).unwrap(),
        &read(network().node(node("Relu", &["a"], "b")).node(node("Identity", &["a"], "y")))
            .unwrap(),
    );
    // Used, each of them is a reason.
    model_is_refused("texts", "the constant `texts` cannot be read: has texts");
    model_is_refused("d", "node `relu_d` uses `missing`, which no node computes");
    // Another input that is used is one of the network's.
    let model = network()
        .input("unused", &[1, 3, 4, 4])
        .node(node("Add", &["a", "unused"], "y"))
        .output_value(named("y"));
    assert_eq!(from_onnx(&model.build(), "g").unwrap().inputs().len(), 2);
}

/// The network plus one more value is refused.
fn model_is_refused(value: &str, expected: &str) {
    let mut model = network()
        .input("unused", &[1, 3, 4, 4])
        .node(node("Relu", &["missing"], "d"))
        .node(node("Add", &["a", value], "y"))
        .output_value(named("y"))
        .build();
    model.graph.unreadable.push(("texts".to_owned(), "has texts".to_owned()));
    let error = from_onnx(&model, "g").unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn all_that_stands_in_the_way_is_listed_at_once() {
    let alike =
        |name: &str| ValueInfo { dims: [1, 3, 4, 4].map(Dim::Known).to_vec(), ..named(name) };
    let mut model = network()
        .node(node("Hardmax", &["a"], "b"))
        .node(node("Where", &["b", "a", "a"], "c").with("beta", 1.0_f32))
        .node(node("Hardmax", &["c"], "d"))
        .node(node("Shape", &["d"], "s"))
        .node(node("Gather", &["s", "index"], "n"))
        .node(node("Relu", &["d"], "e").with("beta", 1.0_f32))
        .node(Node { domain: "com.microsoft".to_owned(), ..node("Gelu", &["e"], "f") })
        .node(node("Reshape", &["f", "n"], "y"))
        .initializer("index", Tensor::ints(&[1], vec![0]))
        .output_value(named("y"))
        .output_value(named("lost"))
        .build();
    model.graph.values = ["b", "c", "d", "e"].map(alike).to_vec();
    let error = from_onnx(&model, "g").unwrap_err();
    let text = error.to_string();
    for expected in [
        "5 things are not supported:\n",
        "  the model's output `lost` is not computed from its input; `--output` chooses others",
        "  Hardmax, 2 nodes (`hardmax_b`, `hardmax_d`):\n    the operator is not",
        "  Where, 1 node (`where_c`):\n    attribute `beta` is not supported;\n",
        "  Relu, 1 node (`relu_e`):\n    attribute `beta` is not supported;\n",
        "  Gelu, 1 node (`gelu_f`):\n    domain `com.microsoft` is not supported; re-export",
        "with --output a",
    ] {
        assert!(text.contains(expected), "expected {expected:?} in:\n{text}");
    }
    let refusals = error.refusals();
    let found: Vec<_> = refusals.iter().map(|r| (r.operator.as_deref(), r.nodes.len())).collect();
    let expected =
        [(None, 0), (Some("Hardmax"), 2), (Some("Where"), 1), (Some("Relu"), 1), (Some("Gelu"), 1)];
    assert_eq!(found, expected);
    assert_eq!(error.values_before(), ["a"]);
    // What only follows from an unread node is no reason of its own, and one reason is one line.
    let model = network()
        .node(node("Hardmax", &["a"], "b"))
        .node(node("Conv", &["b", "w"], "c"))
        .node(node("Flatten", &["c"], "y"));
    let error = refused(model);
    assert_eq!(
        error,
        "1 thing is not supported:\n  Hardmax, 1 node (`hardmax_b`):\n    the operator is not supported; let the network \
         end before it (`--output`), or use the operators that the README lists in its place;\n  the network can end \
         before it with --output a"
    );
    // Not before the image, nor where what is missing has a known remedy and none of it is missing.
    let model = network().node(node("Hardmax", &["x"], "b")).node(node("Add", &["a", "b"], "y"));
    let error = refused(model);
    assert!(error.starts_with("node `hardmax_b` (Hardmax): the operator is not supp"), "{error}");
}

#[test]
fn a_way_out_is_named() {
    let branch = |name: &str| OnnxGraph {
        nodes: vec![node("Relu", &["a"], name)],
        outputs: vec![named(name)],
        ..OnnxGraph::default()
    };
    let condition =
        node("If", &["a"], "y").with("then_branch", branch("t")).with("else_branch", branch("e"));
    for (last, expected) in [
        (condition, "simplify the model, for example with `onnxslim MODEL.onnx SLIM.onnx`"),
        (
            Node::new("BatchNormalization", "bn", &["a", "v", "v", "v", "v"], &["y", "mean"]),
            "`model.eval()`",
        ),
        (
            Node { overload: "o".to_owned(), domain: "own".to_owned(), ..node("F", &["a"], "y") },
            "domain `own`",
        ),
        (
            node("Relu", &["a"], "y").with("k", Attribute::Reference("j".to_owned())),
            "`k` is not supported",
        ),
        (
            node("Flatten", &["a"], "y").with("axis", Attribute::Reference("j".to_owned())),
            "attribute `axis` refers to `j`, which only a node inside a function can",
        ),
        (
            node("Flatten", &["a"], "y")
                .with("axis", Attribute::Unsupported("is a graph".to_owned())),
            "attribute `axis` is a graph",
        ),
    ] {
        let model = network().opset(9).initializer("v", Tensor::floats(&[3], vec![1.0; 3]));
        let error = refused(model.node(last));
        assert!(error.contains(expected), "expected {expected} in: {error}");
    }
}

#[test]
fn outputs_are_chosen_by_name_and_only_what_leads_to_them_is_judged() {
    let model = network()
        .node(node("Relu", &["a"], "features"))
        .node(node("GlobalAveragePool", &["features"], "p"))
        .node(node("Flatten", &["p"], "scores"))
        .node(node("Transpose", &["features"], "t").with("perm", vec![0_i64, 2, 3, 1]))
        .node(node("Reshape", &["t", "places"], "boxes"))
        .node(node("NonMaxSuppression", &["boxes"], "kept"))
        .initializer("places", Tensor::ints(&[3], vec![0, -1, 3]))
        .output_value(named("kept"))
        .output_value(named("scores"))
        .build();
    let told = |graph: &Graph| -> Vec<(String, Vec<usize>)> {
        let outputs = graph.outputs().iter();
        let told = outputs.map(|output| {
            let shape = graph.nodes[output.node].shape;
            (output.name.clone(), output.extents(shape))
        });
        told.collect()
    };
    assert!(from_onnx(&model, "g").unwrap_err().to_string().contains("NonMaxSuppression"));
    let graph = from_onnx_with(&model, "g", &chosen(&["scores", "boxes"])).unwrap();
    // As the file has them, whatever their order inside.
    let expected = [("scores".to_owned(), vec![3]), ("boxes".to_owned(), vec![16, 3])];
    assert_eq!(told(&graph), expected);
    let graph = from_onnx_with(&model, "g", &chosen(&["features"])).unwrap();
    assert_eq!(told(&graph), [("features".to_owned(), vec![3, 4, 4])]);
    assert!(graph.find("p").is_none() && graph.outputs()[0].node == graph.output());
    for (outputs, expected) in [
        (&["feature"][..], "no value `feature` to be an output; the nearest names are `features`"),
        (&["feature"], "the outputs of the file are `kept`, `scores`"),
        (&["scores", "scores"], "the output `scores` is given twice"),
        (&["scores", "boxes", "kept"], "NonMaxSuppression"),
    ] {
        let error = from_onnx_with(&model, "g", &chosen(outputs)).unwrap_err().to_string();
        assert!(error.contains(expected), "expected {expected} in: {error}");
    }
}

#[test]
fn open_sizes_are_given() {
    let open = |dims: Vec<Dim>| {
        ModelBuilder::new("g")
            .input_value(ValueInfo { dims, ..named("x") })
            .initializer("w", Tensor::floats(&[3, 2, 1, 1], vec![0.5; 6]))
            .node(node("Conv", &["x", "w"], "a"))
            .node(node("Flatten", &["a"], "y"))
            .output_value(named("y"))
            .build()
    };
    let name = |name: &str| Dim::Named(name.to_owned());
    let shape = |name: Option<&str>, extents: &[usize]| InputShape {
        name: name.map(str::to_owned),
        extents: extents.to_vec(),
    };
    let model = open(vec![name("N"), Dim::Known(2), name("height"), Dim::Unknown]);
    let error = from_onnx(&model, "g").unwrap_err().to_string();
    assert!(error.contains("has the shape [N, 2, height, ?], of which"), "{error}");
    assert!(error.contains("`--input-shape 1x2x224x224`"), "{error}");
    for given in [shape(None, &[1, 2, 5, 6]), shape(Some("x"), &[8, 2, 5, 6])] {
        let graph = from_onnx_with(&model, "g", &shaped(vec![given])).unwrap();
        assert_eq!(graph.input_shape().dims(), [5, 6, 2]);
        assert_eq!(graph.output_shape().dims(), [1, 1, 90]);
    }
    for (given, expected) in [
        (shape(None, &[1, 3, 5, 6]), "has the fixed size 2 on axis 1; `--input-shape` gives 3"),
        (shape(None, &[2, 5, 6]), "has 4 axes, [N, 2, height, ?]; `--input-shape` gives 3"),
        (shape(None, &[1, 2, 0, 6]), "has size 0 on axis 2"),
        (shape(None, &[1, 2, 1 << 20, 1 << 20]), "has more than 2^28 elements"),
        (shape(Some("z"), &[1, 2, 5, 6]), "has no input `z` to give a shape; its inputs are `x`"),
    ] {
        let error = from_onnx_with(&model, "g", &shaped(vec![given])).unwrap_err().to_string();
        assert!(error.contains(expected), "expected {expected} in: {error}");
    }
    // A file that says nothing of its input.
    let nothing = open(vec![]);
    assert!(from_onnx(&nothing, "g").unwrap_err().to_string().contains("has 0 axes"));
    let graph = from_onnx_with(&nothing, "g", &shaped(vec![shape(None, &[1, 2, 5, 6])])).unwrap();
    assert_eq!(graph.input_shape().dims(), [5, 6, 2]);
}

#[test]
fn a_fixed_batch_may_be_a_factor() {
    let batch = |n: usize, target: &[i64], back: &[i64]| {
        let model = ModelBuilder::new("g")
            .input("x", &[n, 2, 4, 4])
            .initializer("w", Tensor::floats(&[3, 2, 1, 1], vec![1.0, -1.0, 0.5, 2.0, 1.0, 1.0]))
            .node(Node::new("Conv", "conv", &["x", "w"], &["a"]))
            .node(node("Reshape", &["a", "to"], "b"))
            .node(node("Relu", &["b"], "c"))
            .node(node("Reshape", &["c", "back"], "y"));
        read(ints(ints(model, "to", target), "back", back))
    };
    let expected = read(network().node(node("Relu", &["a"], "y"))).unwrap();
    for (n, target, back) in [
        (1, &[48][..], &[1, 3, 4, 4][..]),
        (1, &[1, 48], &[1, 3, 4, 4]),
        (1, &[3, 16], &[-1, 3, 4, 4]),
        (1, &[3, -1], &[1, -1, 4, 4]),
        (4, &[12, 16], &[4, 3, 4, 4]),
        (4, &[-1, 4], &[4, 3, 4, 4]),
        (4, &[4, 48], &[-1, 3, 4, 4]),
        (4, &[2, 2, 3, 4, 4], &[4, 3, 4, 4]),
    ] {
        match batch(n, target, back) {
            Ok(graph) => assert_same(&graph, &expected),
            // Half of a batch is no image.
            Err(error) => {
                assert_eq!(target.len(), 5, "{error}");
                assert!(error.to_string().contains("divides the batch"), "{error}");
            }
        }
    }
    for target in [&[5, 16][..], &[0, 0, 0, 0, 0], &[-1, -1], &[-2, 24], &[]] {
        assert!(batch(4, target, &[4, 3, 4, 4]).is_err(), "{target:?}");
    }
}

#[test]
fn the_largest_index_at_the_end_is_left_out() {
    let last = |axis: i64| {
        network()
            .node(node("ArgMax", &["a"], "i").with("axis", axis).with("keepdims", 0_i64))
            .node(node("Cast", &["i"], "y").with("to", 6_i64))
    };
    let graph = read(last(1)).unwrap();
    assert_eq!(graph.output_shape().dims(), [4, 4, 3]);
    let error = refused(last(2));
    assert!(error.contains("only the index of the largest channel of `a` is supported"), "{error}");
    let channels_last = network()
        .node(node("Transpose", &["a"], "t").with("perm", vec![0_i64, 2, 3, 1]))
        .node(node("ArgMax", &["t"], "y").with("axis", -1_i64));
    assert_same(&read(channels_last).unwrap(), &graph);
    // In between, it is an operator like any other.
    let model = network().node(node("ArgMax", &["a"], "i").with("axis", 1_i64)).node(node(
        "Relu",
        &["i"],
        "y",
    ));
    assert!(refused(model).contains("ArgMax, 1 node (`argmax_i`)"));
}

fn function(name: &str, nodes: Vec<Node>) -> Function {
    Function {
        name: name.to_owned(),
        domain: "own".to_owned(),
        opset: Some(17),
        inputs: vec!["p".to_owned()],
        outputs: vec!["q".to_owned()],
        nodes,
        ..Function::default()
    }
}

fn call(name: &str, input: &str, output: &str) -> Node {
    Node { domain: "own".to_owned(), ..node(name, &[input], output) }
}

#[test]
fn functions_are_bounded() {
    let recursive = network()
        .function(function("F", vec![call("G", "p", "q")]))
        .function(function("G", vec![call("F", "p", "q")]))
        .node(call("F", "a", "y"));
    assert!(refused(recursive).contains("the function `F` calls itself"));
    // Each calls the next one twice.
    let mut doubling = network();
    for i in 0..40 {
        let next = format!("F{}", i + 1);
        let nodes = vec![call(&next, "p", "t"), call(&next, "t", "q")];
        doubling = doubling.function(function(&format!("F{i}"), nodes));
    }
    let doubling = doubling.function(function("F40", vec![node("Relu", &["p"], "q")]));
    let error = refused(doubling.node(call("F0", "a", "y")));
    assert!(error.contains("the model has more than 65536 nodes"), "{error}");
    let mut deep = network();
    for i in 0..100 {
        let nodes = vec![call(&format!("F{}", i + 1), "p", "q")];
        deep = deep.function(function(&format!("F{i}"), nodes));
    }
    let error = refused(deep.node(call("F0", "a", "y")));
    assert!(error.contains("lies in more than 48 functions and branches"), "{error}");
    let passed = Function { outputs: vec!["p".to_owned()], ..function("F", vec![]) };
    let same = read(network().function(passed).node(call("F", "a", "y"))).unwrap();
    assert_same(&same, &read(network().node(node("Identity", &["a"], "y"))).unwrap());
    let nothing = network().function(function("F", vec![])).node(call("F", "a", "y"));
    assert!(refused(nothing).contains("the function does not compute its output `y`"));
    let many = network().function(function("F", vec![]));
    let many = many.node(Node { domain: "own".to_owned(), ..node("F", &["a", "a"], "y") });
    assert!(refused(many).contains("gives 2 inputs and takes 1 outputs; the function has 1 and 1"));
}

#[test]
fn hostile_constants_are_refused() {
    let huge = 1_i64 << 40;
    let case = |last: Node, a: &[i64], b: &[i64]| {
        let model = ints(ints(network(), "i", a), "j", b);
        let model = model.initializer("one", Tensor::ints(&[], vec![1]));
        refused(model.node(last).node(node("Mul", &["a", "c"], "y")))
    };
    for (last, a, b, expected) in [
        (node("Div", &["i", "j"], "c"), &[1][..], &[0][..], "has no integer result for (1, 0)"),
        (node("Mod", &["i", "j"], "c"), &[1], &[0], "has no integer result"),
        (node("Div", &["i", "j"], "c"), &[i64::MIN], &[-1], "has no integer result"),
        (node("Mul", &["i", "j"], "c"), &[i64::MAX], &[2], "has no integer result"),
        (node("Neg", &["i"], "c"), &[i64::MIN], &[], "has no integer result"),
        (node("Pow", &["i", "j"], "c"), &[10], &[99], "has no integer result"),
        (node("Expand", &["one", "i"], "c"), &[huge], &[], "is too large for a constant"),
        (node("Tile", &["j", "i"], "c"), &[huge], &[1, 2], "is too large for a constant"),
        (node("Tile", &["j", "i"], "c"), &[i64::MAX], &[1, 2], "is too large for a constant"),
        (
            node("ConstantOfShape", &["i"], "c"),
            &[huge, 0, huge],
            &[],
            "is too large for a constant",
        ),
        (node("ConstantOfShape", &["i"], "c"), &[huge, huge], &[], "is too large for a constant"),
        // More than a file that stores next to nothing needs, though memory would hold it.
        (node("ConstantOfShape", &["i"], "c"), &[1 << 26], &[], "is too large for a constant"),
        (node("ConstantOfShape", &["i"], "c"), &[-1], &[], "has a negative size"),
        (node("Range", &["z", "big", "one"], "c"), &[], &[], "uses `z`"),
        (node("Gather", &["i", "j"], "c"), &[1, 2], &[2], "index 2 is outside the 2 elements"),
        (node("Reshape", &["i", "j"], "c"), &[1, 2], &[0, 3], "cannot reshape 2 elements to"),
        (node("Reshape", &["i", "j"], "c"), &[1, 2], &[-1, 0], "cannot reshape 2 elements to"),
        (node("Concat", &["i", "one"], "c").with("axis", 0_i64), &[1], &[], "do not fit"),
        (node("Add", &["i", "j"], "c"), &[1, 2], &[1, 2, 3], "do not fit"),
        (node("Transpose", &["i"], "c").with("perm", vec![1_i64]), &[1], &[], "not a permutation"),
        (node("Cast", &["i"], "c").with("to", 2_i64), &[256], &[], "converts 256 to UINT8"),
        (node("Cast", &["i"], "c").with("to", 8_i64), &[1], &[], "converts a constant to STRING"),
        (node("Squeeze", &["i", "j"], "c"), &[1, 2], &[0], "more than one element"),
        (node("Constant", &[], "c"), &[], &[], "a constant needs one of `value`"),
        (node("Not", &["w"], "c"), &[], &[], "must contain integers"),
        (node("NonZero", &["i"], "c").with("k", 1_i64), &[1], &[], "attribute `k` is not"),
    ] {
        let what = format!("{last:?}");
        let error = case(last, a, b);
        assert!(error.contains(expected), "{what}: expected {expected} in: {error}");
    }
    let range = network()
        .initializer("start", Tensor::ints(&[], vec![0]))
        .initializer("end", Tensor::ints(&[], vec![huge]))
        .initializer("step", Tensor::ints(&[], vec![1]))
        .node(node("Range", &["start", "end", "step"], "c"))
        .node(node("Mul", &["a", "c"], "y"));
    assert!(refused(range).contains("is too large for a constant"));
    let together = ints(network(), "i", &[3 << 23])
        .node(node("ConstantOfShape", &["i"], "c"))
        .node(node("Neg", &["c"], "d"))
        .node(node("Mul", &["a", "d"], "y"));
    assert!(refused(together).contains("too large beside those of the file"));
}

/// Weights that the exporter left in pieces are computed: the networks are those with the weights written out.
#[test]
fn weights_are_computed_by_any_operator() {
    let conv = |model: ModelBuilder, weights: &str| {
        model.node(Node::new("Conv", "own", &["x", weights], &["y"]))
    };
    let empty = || ModelBuilder::new("g").input("x", &[1, 2, 4, 4]);
    let close = |built: ModelBuilder, dims: &[usize], weights: Vec<f32>| {
        let plain = conv(empty().initializer("w", Tensor::floats(dims, weights)), "w");
        assert_same(&read(built).unwrap(), &read(plain).unwrap());
    };
    // Standardized for each filter, as `timm` does: a batch normalization in training.
    let filters = [[1.0_f32, 3.0, -2.0, 6.0], [0.5, 0.5, 1.5, -0.5]];
    let gains = [2.0_f32, -0.5];
    let standardized = |filter: &[f32; 4], gain: f32| {
        let mean = filter.iter().sum::<f32>() / 4.0;
        let variance = filter.iter().map(|w| (w - mean).powi(2)).sum::<f32>() / 4.0;
        filter.map(|w| (w - mean) / (variance + 1e-3).sqrt() * gain).to_vec()
    };
    let of = |name: &str, data: Vec<f32>| (name.to_owned(), Tensor::floats(&[2], data));
    let numbers = [of("gain", gains.to_vec()), of("zero", vec![0.0; 2]), of("one", vec![1.0; 2])];
    let with_numbers =
        |model: ModelBuilder| numbers.iter().fold(model, |m, (n, t)| m.initializer(n, t.clone()));
    let model = with_numbers(empty().opset(17))
        .initializer("raw", Tensor::floats(&[1, 2, 4], filters.concat()))
        .initializer("dims", Tensor::ints(&[4], vec![2, 2, 1, 2]))
        .node(
            Node::new("BatchNormalization", "s", &["raw", "gain", "zero", "zero", "one"], &["s"])
                .with("training_mode", 1_i64)
                .with("epsilon", 1e-3_f32),
        )
        .node(node("Reshape", &["s", "dims"], "w"));
    let expected = [standardized(&filters[0], 2.0), standardized(&filters[1], -0.5)].concat();
    close(conv(model, "w"), &[2, 2, 1, 2], expected);
    // By statistics that are given.
    let model = with_numbers(empty())
        .initializer("raw", Tensor::floats(&[2, 2, 1, 2], filters.concat()))
        .node(
            Node::new("BatchNormalization", "s", &["raw", "gain", "one", "zero", "one"], &["w"])
                .with("epsilon", 0.0_f32),
        );
    // The second axis is normalized: two numbers of each filter by each gain.
    let moved = |i: usize, w: f32| w * gains[i / 2 % 2] + 1.0;
    let expected = filters.concat().into_iter().enumerate().map(|(i, w)| moved(i, w)).collect();
    close(conv(model, "w"), &[2, 2, 1, 2], expected);
    // A convolution of constants, as positions are embedded: the sums of pairs of channels, of two images.
    let model = empty()
        .initializer("raw", Tensor::floats(&[2, 2, 1, 2], filters.concat()))
        .initializer("k", Tensor::floats(&[2, 2, 1, 1], vec![1.0, 1.0, 1.0, -1.0]))
        .node(node("Conv", &["raw", "k"], "w"));
    let mixed = |[a, b, c, d]: [f32; 4]| vec![a + c, b + d, a - c, b - d];
    close(conv(model, "w"), &[2, 2, 1, 2], [mixed(filters[0]), mixed(filters[1])].concat());
    // A product of a stack of matrices and one matrix, and one with a vector.
    let model = empty()
        .initializer("raw", Tensor::floats(&[2, 2, 1, 2], filters.concat()))
        .initializer("k", Tensor::floats(&[2, 2], vec![1.0, 1.0, 1.0, -1.0]))
        .node(node("MatMul", &["raw", "k"], "w"));
    let mixed = |[a, b, c, d]: [f32; 4]| vec![a + b, a - b, c + d, c - d];
    close(conv(model, "w"), &[2, 2, 1, 2], [mixed(filters[0]), mixed(filters[1])].concat());
    let model = empty()
        .initializer("raw", Tensor::floats(&[2, 2, 1, 2], filters.concat()))
        .initializer("k", Tensor::floats(&[2], vec![2.0, -1.0]))
        .initializer("dims", Tensor::ints(&[4], vec![2, 2, 1, 1]))
        .node(node("MatMul", &["raw", "k"], "v"))
        .node(node("Reshape", &["v", "dims"], "w"));
    let expected = filters.concat().chunks(2).map(|w| 2.0 * w[0] - w[1]).collect();
    close(conv(model, "w"), &[2, 2, 1, 1], expected);
    // What no operator computes is refused by name, and so is what would take for ever.
    let model = empty()
        .initializer("raw", Tensor::floats(&[1, 1, 64, 64], vec![1.0; 4096]))
        .initializer("k", Tensor::floats(&[8192, 1, 33, 33], vec![1.0; 8192 * 33 * 33]))
        .node(node("Conv", &["raw", "k"], "c"))
        .node(node("Add", &["x", "c"], "y"));
    let error = refused(model);
    assert!(error.contains("conv_c") && error.contains("too large"), "{error}");
}

#[test]
fn sums_of_functions_are_computed() {
    let image = Random::new(3).floats(4 * 5 * 7, 0.1, 2.0);
    // The sum over the four channels, of one of 5 x 7 positions.
    let by = |at: usize, f: &dyn Fn(f64) -> f64| {
        (0..4).map(|channel| f(f64::from(image[at * 4 + channel]))).sum::<f64>()
    };
    let cases: [(&str, &dyn Fn(usize) -> f64); 5] = [
        ("ReduceL1", &|at| by(at, &f64::abs)),
        ("ReduceL2", &|at| by(at, &|x| x * x).sqrt()),
        ("ReduceSumSquare", &|at| by(at, &|x| x * x)),
        ("ReduceLogSum", &|at| by(at, &|x| x).ln()),
        ("ReduceLogSumExp", &|at| by(at, &f64::exp).ln()),
    ];
    for (operator, expected) in cases {
        for keep in [0_i64, 1] {
            let model = ModelBuilder::new("g")
                .opset(17)
                .input("x", &[1, 4, 5, 7])
                .node(node(operator, &["x"], "y").with("axes", vec![1_i64]).with("keepdims", keep));
            let graph = read(model).unwrap();
            let expected: Vec<f32> = (0..35).map(|at| f64_to_f32(expected(at))).collect();
            assert_close(operator, &run_float(&graph, &image), &expected, 1e-5);
            passes::prepare(&graph, Semantics::Integer).unwrap();
        }
    }
    // Zeros that a pad puts beside the channels count, too.
    let model = ints(
        ModelBuilder::new("g").opset(17).input("x", &[1, 4, 5, 7]),
        "pads",
        &[0, 0, 0, 0, 0, 2, 0, 0],
    )
    .node(node("Pad", &["x", "pads"], "p"))
    .node(node("ReduceLogSumExp", &["p"], "y").with("axes", vec![1_i64]));
    let expected: Vec<f32> = (0..35).map(|at| f64_to_f32((by(at, &f64::exp) + 2.0).ln())).collect();
    assert_close("padded", &run_float(&read(model).unwrap(), &image), &expected, 1e-5);
}

/// A maximum is the same of an image with the least of all numbers around it.
#[test]
fn a_pad_below_all_numbers_belongs_to_the_pool_behind_it() {
    let pool = |input: &str, pads: Vec<i64>| {
        let pool = node("MaxPool", &[input], "y").with("kernel_shape", vec![3_i64, 3]);
        pool.with("strides", vec![2_i64, 2]).with("pads", pads)
    };
    let around = |value: f32| {
        let model = network()
            .initializer("pads", Tensor::ints(&[8], vec![0, 0, 0, 1, 0, 0, 1, 1]))
            .initializer("value", Tensor::floats(&[], vec![value]))
            .node(node("Pad", &["a", "pads", "value"], "p"))
            .node(pool("p", vec![0; 4]));
        read(model)
    };
    let least = around(f32::NEG_INFINITY).unwrap();
    let plain = read(network().node(pool("a", vec![0, 1, 1, 1]))).unwrap();
    assert_same(&least, &plain);
    let prepared = passes::prepare(&least, Semantics::Integer).unwrap();
    assert_eq!(prepared.nodes.len(), 3, "{:?}", prepared.nodes);
    assert_same(&prepared, &plain);
    let error = around(f32::NAN).unwrap_err().to_string();
    assert!(error.contains("NaN") && error.contains("pad_p"), "{error}");
}

/// A vector may be any axis of what it was made of.
#[test]
fn a_dense_layer_takes_a_vector_from_any_axis() {
    let read_with = |last: [Node; 2]| {
        let model = ModelBuilder::new("g")
            .input("x", &[1, 3, 5])
            .initializer("mix", Tensor::floats(&[1, 3, 1], vec![0.5, -1.0, 2.0]))
            .initializer("w", Tensor::floats(&[2, 5], (0_u8..10).map(f32::from).collect()))
            .initializer("one", Tensor::ints(&[1], vec![1]))
            .node(Node::new("Conv", "mixed", &["x", "mix"], &["m"]));
        let [first, second] = last;
        read(model.node(first).node(second)).unwrap()
    };
    let gemm = |input: &str| node("Gemm", &[input, "w"], "y").with("transB", 1_i64);
    let squeezed = read_with([node("Squeeze", &["m", "one"], "s"), gemm("s")]);
    let flat = read_with([node("Flatten", &["m"], "s"), gemm("s")]);
    assert_same(&squeezed, &flat);
}

#[test]
fn nodes_in_a_circle_are_refused() {
    let circle = network().node(node("Add", &["a", "c"], "b")).node(node("Relu", &["b"], "c"));
    let error = refused(circle.node(node("Relu", &["b"], "y")));
    assert!(error.contains("or only a later one, in a cycle"), "{error}");
    let twice = network().node(node("Relu", &["a"], "y")).node(node("Add", &["a", "a"], "y"));
    assert!(refused(twice).contains("computes `y`, which exists already"));
    let own = network().node(node("Relu", &["y"], "y"));
    assert!(refused(own).contains("uses `y`, which no node computes"));
    assert!(refused(network()).contains("the model's output `y` is not computed"));
}

#[test]
fn operators_tell_which_axis_is_the_channels() {
    let model = |dims: &[usize], nodes: Vec<Node>| {
        let mut model = ModelBuilder::new("g")
            .input("x", dims)
            .initializer("w", Tensor::floats(&[2, 1, 1, 1], vec![1.0, 2.0]))
            .initializer("v", Tensor::floats(&[2, 3, 1, 1], vec![1.0; 6]));
        for (name, shape) in [("nchw", &[0, 1, 7, 5][..]), ("flat", &[0, -1])] {
            model = ints(model, name, shape);
        }
        for node in nodes {
            model = model.node(node);
        }
        read(model).unwrap().input_shape().dims()
    };
    let conv = |x: &str, w: &str| node("Conv", &[x, w], "y");
    let turned = node("Transpose", &["x"], "t").with("perm", vec![0_i64, 3, 1, 2]);
    let reshaped = node("Reshape", &["x", "nchw"], "t");
    assert_eq!(model(&[1, 7, 5, 1], vec![reshaped, conv("t", "w")]), [7, 5, 1]);
    assert_eq!(model(&[1, 1, 7, 5], vec![conv("x", "w")]), [7, 5, 1]);
    assert_eq!(model(&[1, 6, 5, 3], vec![turned.clone(), conv("t", "v")]), [6, 5, 3]);
    assert_eq!(model(&[1, 3, 6, 5], vec![conv("x", "v")]), [6, 5, 3]);
    // Both a turned and a plain use: the file's order stays.
    let both = vec![
        turned,
        node("Conv", &["t", "v"], "a"),
        node("GlobalAveragePool", &["a"], "b"),
        node("Flatten", &["b"], "c"),
        node("Conv", &["x", "v"], "d"),
        node("GlobalAveragePool", &["d"], "e"),
        node("Flatten", &["e"], "f"),
        node("Add", &["c", "f"], "y"),
    ];
    assert_eq!(model(&[1, 3, 5, 3], both), [5, 3, 3]);
    // No operator tells: the extents of an image do.
    let flat = |x: &str| vec![node("Reshape", &[x, "flat"], "y")];
    assert_eq!(model(&[1, 7, 5, 3], flat("x")), [7, 5, 3]);
    assert_eq!(model(&[1, 3, 7, 5], flat("x")), [7, 5, 3]);
    assert_eq!(model(&[1, 3, 7, 3], flat("x")), [7, 3, 3]);
}

/// Models that lead into different parts of the import, each with its extents in constants that damage can
/// change.
fn models() -> Vec<Vec<u8>> {
    let chain = ints(ints(network(), "zero", &[0]), "rest", &[-1])
        .node(node("Shape", &["a"], "s"))
        .node(node("Gather", &["s", "zero"], "n"))
        .node(node("Concat", &["n", "rest"], "t").with("axis", 0_i64))
        .node(node("Reshape", &["a", "t"], "y"));
    let moved = ints(ints(network(), "three", &[-1, 4, 4, 3]), "two", &[6, 8])
        .node(node("Transpose", &["a"], "t").with("perm", vec![0_i64, 2, 3, 1]))
        .node(node("Reshape", &["t", "two"], "u"))
        .node(node("Relu", &["u"], "v"))
        .node(node("Reshape", &["v", "three"], "w3"))
        .node(node("Unsqueeze", &["w3"], "x3").with("axes", vec![1_i64]))
        .node(node("Squeeze", &["x3"], "y").with("axes", vec![1_i64]));
    let created = ints(ints(network(), "three", &[3, 1, 1]), "k", &[2, 1, 0])
        .initializer("i", Tensor::ints(&[], vec![3]))
        .initializer("j", Tensor::ints(&[], vec![0]))
        .initializer("l", Tensor::ints(&[], vec![1]))
        .node(node("Range", &["j", "i", "l"], "r"))
        .node(node("Gather", &["r", "k"], "g"))
        .node(node("Cast", &["g"], "c").with("to", 1_i64))
        .node(node("Reshape", &["c", "three"], "d"))
        .node(node("Tile", &["d", "tile"], "e"))
        .node(node("Expand", &["e", "three"], "f"))
        .node(node("Slice", &["f", "zeros", "three"], "h"))
        .node(node("Add", &["a", "h"], "y"));
    let created = ints(ints(created, "tile", &[1, 1, 1]), "zeros", &[0, 0, 0]);
    let branch = |name: &str| OnnxGraph {
        nodes: vec![node("Relu", &["a"], name)],
        outputs: vec![named(name)],
        ..OnnxGraph::default()
    };
    let inside = network()
        .initializer("l", Tensor::ints(&[], vec![1]))
        .function(Function {
            defaults: [("at".to_owned(), Attribute::Int(1))].into(),
            ..function(
                "F",
                vec![
                    node("Flatten", &["p"], "q")
                        .with("axis", Attribute::Reference("at".to_owned())),
                ],
            )
        })
        .node(
            node("If", &["l"], "b")
                .with("then_branch", branch("t"))
                .with("else_branch", branch("e")),
        )
        .node(call("F", "b", "y"));
    [chain, moved, created, inside].map(|model| model.output_value(named("y")).encode()).into()
}

#[test]
fn damaged_models_are_refused_or_run() {
    let mut random = Random::new(7);
    let mut n_read = 0;
    for model in models() {
        assert!(import(&model), "the model itself is read");
        for _ in 0..250 {
            let mut bytes = model.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len());
                let byte = [0, 1, 2, 3, 0x7f, 0x80, 0xff, bytes[at] ^ 1][random.below(8)];
                match random.below(4) {
                    0 => bytes.insert(at, byte),
                    1 => drop(bytes.remove(at)),
                    _ => bytes[at] = byte,
                }
            }
            n_read += usize::from(import(&bytes));
        }
    }
    assert!(n_read > 20, "{n_read}: the damage is too great to lead anywhere");
}

/// Whether the bytes are a network; then one image goes through it.
fn import(bytes: &[u8]) -> bool {
    let Ok(model) = parse_model(bytes, &|_| Err("none".to_owned())) else {
        return false;
    };
    let Ok(graph) = from_onnx(&model, "g") else { return false };
    if graph.nodes.iter().all(|node| node.shape.len() < 1 << 16) {
        run_float(&graph, &vec![0.5; graph.input_shape().len()]);
    }
    true
}

#[test]
fn open_sizes_of_keras_are_given() {
    let file = |name: &str| std::fs::read(project(&format!("suite/keras/{name}"))).unwrap();
    let text = String::from_utf8(file("plain.json")).unwrap();
    let read = |shape: &str, given: &[&str]| {
        let json = text.replace("[null, 11, 8, 2]", shape);
        let Ok(Hdf5Model::Weights(weights)) = keras::read_h5(&file("plain.weights.h5"), 1 << 24)
        else {
            panic!("the file has weights only")
        };
        let model = keras::read_architecture(json.as_bytes()).unwrap();
        let model = model.with_weights(weights).unwrap();
        let given: Vec<InputShape> = given.iter().map(|shape| shape.parse().unwrap()).collect();
        from_keras_with(&model, "plain", &shaped(given))
    };
    let fixed = read("[null, 11, 8, 2]", &[]).unwrap();
    let damaged =
        text.replace("MaxPooling2D", "MinPooling2D").replace("\"BatchNormalization\"", "\"B\"");
    let model = keras::read_architecture(damaged.as_bytes()).unwrap();
    let error = from_keras_with(&model, "plain", &Interface::default()).unwrap_err();
    let found: Vec<_> = error.refusals().iter().filter_map(|r| r.operator.clone()).collect();
    assert!(
        found.contains(&"MinPooling2D".to_owned()) && found.contains(&"B".to_owned()),
        "{error}"
    );
    for (shape, given) in [
        ("[null, null, 8, 2]", "1x11x8x2"),
        ("[null, 11, null, null]", "input_layer=4x11x8x2"),
        ("[null, 11, 8, 2]", "1x11x8x2"),
    ] {
        assert_same(&read(shape, &[given]).unwrap(), &fixed);
    }
    for (shape, given, expected) in [
        ("[null, null, 8, 2]", &[][..], "give the open extents, for example `--input-shape 1x224"),
        ("[null, null, 8, 2]", &["1x11x9x2"], "`--input-shape` gives other extents"),
        ("[null, null, 8, 2]", &["11x8x2"], "`--input-shape` gives 3 axes"),
        (
            "[null, 11, 8, 2]",
            &["z=1x11x8x2"],
            "has no input `z` to give a shape; its inputs are `inp",
        ),
    ] {
        let error = read(shape, given).unwrap_err().to_string();
        assert!(error.contains(expected), "expected {expected} in: {error}");
    }
}

#[test]
fn a_softmax_is_left_out_in_front_of_other_axes() {
    let softmax = |x: &str, axis: i64| node("Softmax", &[x], "s").with("axis", axis);
    let transposed = network()
        .node(node("Transpose", &["a"], "t").with("perm", vec![0_i64, 2, 3, 1]))
        .node(Node { outputs: vec!["y".to_owned()], ..softmax("t", -1) });
    let flattened = network()
        .node(node("GlobalAveragePool", &["a"], "p"))
        .node(softmax("p", 1))
        .node(node("Flatten", &["s"], "y"));
    let squeezed = network()
        .node(node("GlobalAveragePool", &["a"], "p"))
        .node(node("Transpose", &["p"], "t").with("perm", vec![0_i64, 2, 3, 1]))
        .node(softmax("t", 3))
        .node(node("Squeeze", &["s"], "y").with("axes", vec![1_i64, 2]));
    for model in [transposed, flattened, squeezed] {
        let graph = read(model.opset(12)).unwrap();
        let graph = passes::prepare(&graph, Semantics::Integer).unwrap();
        assert!(graph.nodes.iter().all(|node| node.op.name() != "Softmax"), "{graph:?}");
    }
}
