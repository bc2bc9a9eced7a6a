//! Networks with several inputs: read, run, laid out and printed.

use fixedwise_codec::{
    keras,
    onnx::{Dim, ElementType, Model, ModelBuilder, Node, Tensor, ValueInfo, parse_model},
};
use fixedwise_fixed::Format;
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, InputShape, Interface, NodeId, Semantics, Shape, Target,
    emit::c::{Arena, COptions, Golden, emit},
    footprint::Footprint,
    from_keras, from_onnx, from_onnx_with, lower,
    ops::{Affine, Concat, GlobalAveragePool, Input, Relu, Sub},
    passes,
};
use fixedwise_testing::{
    Build, Core, Random, assert_close, compile_c, has_programs, plan_of, run_fixed, run_float,
    window,
};
use std::collections::BTreeMap;

/// An image and a vector, each through a layer of its own, joined.
fn image_and_vector() -> Graph {
    let mut b = Build::new(Shape::new(7, 6, 2), 5);
    let pose = b.push("pose", Input { shape: Shape::vector(3) }, vec![]);
    let x = b.conv("stem", 0, 4, &window(3, 1, 1), 1);
    let x = b.push("relu", Relu, vec![x]);
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    let y = b.gemm("embedding", pose, 5);
    let joined = b.push("joined", Concat { axis: 2 }, vec![x, y]);
    b.gemm("scores", joined, 4);
    b.finish()
}

fn integers(graph: &Graph, pose: Format) -> FixedGraph {
    let mut plan = plan_of(graph, Format::signed(8, 6), |_| Format::signed(8, 3));
    plan.others = BTreeMap::from([("pose".to_owned(), pose)]);
    lower(graph, &plan, AccumulatorPolicy::Prove32).unwrap()
}

/// An image of 7 x 6 x 2 from 0 to 3.9, and a vector of three from -1.9 to 1.9.
fn sample(seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    [random.floats(84, 0.0, 3.9), random.floats(3, -1.9, 1.9)].concat()
}

#[test]
fn every_input_has_its_part_of_an_image_and_its_format() {
    let graph = image_and_vector();
    let prepared = passes::prepare(&graph, Semantics::Integer).unwrap();
    assert_eq!((prepared.inputs().len(), prepared.image_len()), (2, 87));
    let sample = sample(1);
    let float = run_float(&prepared, &sample);
    // Another vector gives another result, another image too.
    for at in [0, 86] {
        let mut other = sample.clone();
        other[at] += 1.0;
        assert_ne!(run_float(&prepared, &other), float, "element {at}");
    }
    let fixed = integers(&prepared, Format::signed(8, 6));
    let format = |name: &str| fixed.nodes[prepared.find(name).unwrap()].format;
    assert_eq!(format("input"), Format::unsigned(8, 6));
    assert_eq!(format("pose"), Format::signed(8, 6));
    let values = run_fixed(&fixed, &sample);
    let real = |id: NodeId| -> Vec<f32> {
        let format = fixed.nodes[id].format;
        let real = |&q: &i64| fixedwise_fixed::convert::f64_to_f32(format.dequantize(q));
        values[id].iter().map(real).collect()
    };
    assert_close("pose", &real(fixed.inputs[1]), &sample[84..], 1.0 / 128.0);
    assert_close("scores", &real(fixed.output()), &float, 0.4);
    // The caller has a buffer for each.
    let footprint = Footprint::new(&fixed, &Target::default());
    assert_eq!(footprint.io_bytes, 84 + 3 + 4);
}

#[test]
fn preprocessing_stands_behind_each_input() {
    let graph = image_and_vector();
    let scaled = |channels: usize, scale: f64, shift: f64| Affine {
        scale: vec![scale; channels],
        shift: vec![shift; channels],
    };
    let fed = [scaled(2, 0.5, 0.0), scaled(3, 2.0, -1.0)];
    let with = passes::insert_preprocessing(&graph, fed.to_vec()).unwrap();
    let raw = sample(2);
    let scaled = raw.iter().enumerate().map(|(i, x)| if i < 84 { x * 0.5 } else { x * 2.0 - 1.0 });
    let expected = run_float(&graph, &scaled.collect::<Vec<_>>());
    assert_close("raw", &run_float(&with, &raw), &expected, 1e-5);
    let prepared = passes::prepare(&with, Semantics::Integer).unwrap();
    assert_close("prepared", &run_float(&prepared, &raw), &expected, 1e-4);
}

#[test]
fn printed_code_takes_every_input() {
    if !has_programs(&["cc"]) {
        return;
    }
    let graph = passes::prepare(&image_and_vector(), Semantics::Integer).unwrap();
    let fixed = integers(&graph, Format::signed(12, 6));
    let golden = |seed| {
        let values = run_fixed(&fixed, &sample(seed));
        let of = |ids: &[NodeId]| ids.iter().map(|&id| values[id].clone()).collect();
        Golden { inputs: of(&fixed.inputs), outputs: of(&fixed.output_nodes()) }
    };
    let mut goldens: Vec<Golden> = (0..3).map(golden).collect();
    let run = |arena: Arena, golden: &[Golden]| {
        let project = emit(&fixed, &COptions { arena, ..COptions::new("net") }, golden).unwrap();
        let file = |name: &str| {
            let found = project.files.iter().find(|(file, _)| file == name);
            found.map(|(_, text)| text.clone()).unwrap()
        };
        let (header, source, test) = (file("net.h"), file("net.c"), file("test_net.c"));
        let sources = [("net.c", source.as_str()), ("test_net.c", test.as_str())];
        let flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"];
        let program = compile_c(Core::Host, &sources, &[("net.h", &header)], &flags).unwrap();
        (header, file("README.md"), program.run(&[]).map(|run| run.log))
    };
    let (header, page, log) = run(Arena::Caller, &goldens);
    assert!(log.unwrap().contains("3 of 3 inputs agree"));
    for expected in [
        "void net_run(const net_input_input_layer *input_input_layer, const net_input_pose *input_pose, \
         net_output *output, net_arena *arena);",
        "typedef uint8_t net_input_input_layer;\ntypedef int16_t net_input_pose;\n",
        "#define NET_INPUT_POSE_C 3\n",
        "Inputs, output and arena must not overlap.",
    ] {
        assert!(header.contains(expected), "{header}");
    }
    assert!(page.contains("net_run(image_input_layer, image_pose, scores, &arena);"), "{page}");
    // Every input is fed.
    goldens.iter_mut().for_each(|golden| golden.inputs[1][2] += 40);
    let (_, _, log) = run(Arena::Static, &goldens);
    assert!(log.unwrap_err().contains("0 of 3 inputs agree"));
}

fn parsed(model: &ModelBuilder) -> Model {
    parse_model(&model.encode(), &|_| Err("no other file".to_owned())).unwrap()
}

/// Two images of one size that one convolution reads, subtracted.
fn siamese(dims: [Vec<Dim>; 2]) -> ModelBuilder {
    let port = |name: &str, dims: Vec<Dim>| ValueInfo {
        name: name.to_owned(),
        element_type: ElementType::F32,
        dims,
    };
    let [a, b] = dims;
    let mut random = Random::new(3);
    let conv = |x: &str, y: &str| Node::new("Conv", y, &[x, "w"], &[y]);
    ModelBuilder::new("siamese")
        .input_value(port("left", a))
        .input_value(port("right", b))
        .input("mask", &[1, 7])
        .initializer("w", Tensor::floats(&[2, 3, 2, 2], random.floats(24, -1.0, 1.0)))
        .node(conv("left", "a"))
        .node(conv("right", "b"))
        .node(Node::new("Sub", "difference", &["a", "b"], &["c"]))
        .node(Node::new("Relu", "relu", &["c"], &["d"]))
        .node(Node::new("GlobalAveragePool", "mean", &["d"], &["e"]))
        .output("e", &[1, 2, 1, 1])
}

fn known(dims: &[usize]) -> Vec<Dim> {
    dims.iter().map(|&n| Dim::Known(n)).collect()
}

#[test]
fn a_layer_that_several_inputs_go_through_is_read_for_each() {
    let model = parsed(&siamese([known(&[1, 3, 5, 4]), known(&[1, 3, 5, 4])]));
    let graph = from_onnx(&model, "siamese").unwrap();
    let names: Vec<&str> = graph.inputs().iter().map(|&id| graph.nodes[id].name.as_str()).collect();
    assert_eq!((names, graph.unused_inputs()), (vec!["left", "right"], &["mask".to_owned()][..]));
    assert!(graph.nodes[graph.find("difference").unwrap()].op.is::<Sub>());
    let mut random = Random::new(9);
    let (a, b) = (random.floats(60, -1.0, 1.0), random.floats(60, -1.0, 1.0));
    let same = run_float(&graph, &[a.clone(), a.clone()].concat());
    assert_eq!(same, [0.0; 2]);
    // max(a - b, 0) - max(b - a, 0) = a - b, whose mean is linear.
    let mean = |x: &[f32], y: &[f32]| {
        let run = |x: &[f32], y: &[f32]| run_float(&graph, &[x, y].concat());
        run(x, y).iter().zip(run(y, x)).map(|(p, q)| p - q).collect::<Vec<f32>>()
    };
    let zero = vec![0.0; 60];
    let apart: Vec<f32> = mean(&a, &zero).iter().zip(mean(&b, &zero)).map(|(p, q)| p - q).collect();
    assert_close("difference", &mean(&a, &b), &apart, 1e-5);
}

#[test]
fn inputs_that_do_not_go_together_are_refused() {
    let open = || vec![Dim::Unknown, Dim::Known(3), Dim::Unknown, Dim::Known(4)];
    let shapes = |texts: &[&str]| Interface {
        input_shapes: texts.iter().map(|text| text.parse::<InputShape>().unwrap()).collect(),
        ..Interface::default()
    };
    let image = || known(&[1, 3, 5, 4]);
    let refused = |dims: [Vec<Dim>; 2], given: &[&str], problem: &str| {
        let model = parsed(&siamese(dims));
        let error = from_onnx_with(&model, "net", &shapes(given)).unwrap_err().to_string();
        assert!(error.contains(problem), "expected {problem:?}, got: {error}");
    };
    refused(
        [image(), known(&[2, 3, 5, 4])],
        &[],
        "input `right` has a batch of 2, an input before it one of 1",
    );
    refused([image(), known(&[3])], &[], "input `right` has 1 axes");
    refused([open(), open()], &["1x3x5x4"], "the inputs `left`, `right`, `mask`: name the one");
    refused([open(), image()], &["top=1x3x5x4"], "no input `top` to give a shape");
    refused([open(), image()], &["left=1x3x5x4", "1x3x5x4"], "`left` is given twice");
    refused([open(), image()], &[], "input `left` has the shape [?, 3, ?, 4]");
    for (dims, given) in [
        ([open(), image()], vec!["1x3x5x4"]),
        ([open(), open()], vec!["left=1x3x5x4", "right=1x3x5x4"]),
    ] {
        from_onnx_with(&parsed(&siamese(dims)), "net", &shapes(&given)).unwrap();
    }
}

/// An image as `TensorFlow` has it, which a transpose turns, beside one as `PyTorch` has it.
#[test]
fn each_input_has_its_own_order_of_axes() {
    let mut random = Random::new(3);
    let model = ModelBuilder::new("orders")
        .input("last", &[1, 5, 4, 3])
        .input("first", &[1, 3, 5, 4])
        .initializer("w", Tensor::floats(&[2, 6, 2, 2], random.floats(48, -1.0, 1.0)))
        .node(
            Node::new("Transpose", "turn", &["last"], &["turned"])
                .with("perm", vec![0_i64, 3, 1, 2]),
        )
        .node(Node::new("Concat", "join", &["turned", "first"], &["a"]).with("axis", 1_i64))
        .node(Node::new("Conv", "conv", &["a", "w"], &["b"]))
        .output("b", &[1, 2, 4, 3]);
    let graph = from_onnx(&parsed(&model), "orders").unwrap();
    let shapes: Vec<Shape> = graph.inputs().iter().map(|&id| graph.nodes[id].shape).collect();
    assert_eq!(shapes, [Shape::new(5, 4, 3); 2]);
}

#[test]
fn a_keras_model_takes_its_inputs_in_the_order_of_the_file() {
    let input = |name: &str, shape: serde_json::Value| keras::Layer {
        name: name.to_owned(),
        class: "InputLayer".to_owned(),
        config: serde_json::from_value(serde_json::json!({"batch_shape": shape})).unwrap(),
        ..keras::Layer::default()
    };
    let layer = |name: &str, class: &str, inputs: &[&str]| keras::Layer {
        name: name.to_owned(),
        class: class.to_owned(),
        inputs: inputs.iter().map(|name| (*name).to_owned()).collect(),
        ..keras::Layer::default()
    };
    let mut model = keras::Model {
        layers: vec![
            input("vector", serde_json::json!([null, 6])),
            input("image", serde_json::json!([null, 2, 1, 3])),
            layer("flat", "Flatten", &["image"]),
            layer("difference", "Subtract", &["vector", "flat"]),
        ],
        inputs: vec!["image".to_owned(), "vector".to_owned()],
        outputs: vec!["difference".to_owned()],
        name: "two".to_owned(),
        version: None,
    };
    let graph = from_keras(&model, "two").unwrap();
    let names: Vec<&str> = graph.inputs().iter().map(|&id| graph.nodes[id].name.as_str()).collect();
    assert_eq!(names, ["image", "vector"]);
    let image = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let vector = [10.0; 6];
    let got = run_float(&graph, &[image, vector].concat());
    assert_eq!(got, [9.0, 8.0, 7.0, 6.0, 5.0, 4.0]);
    // An input that no output needs is none of the network's.
    model.layers.push(input("spare", serde_json::json!([null, 6])));
    model.inputs.push("spare".to_owned());
    assert_eq!(from_keras(&model, "two").unwrap().inputs().len(), 2);
}
