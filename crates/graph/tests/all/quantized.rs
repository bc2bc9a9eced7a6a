//! ONNX files that were quantized already are read as the real network that their integers stand for.

use fixedwise_codec::onnx::{ElementType, ModelBuilder, Node, Tensor, ValueInfo};
use fixedwise_fixed::convert::f64_to_i64;
use fixedwise_graph::{
    Activation, Graph, RoundedWeights, Semantics, from_onnx, ops::Affine, passes,
};
use fixedwise_testing::{Random, assert_close, run_float};

fn ints(element: ElementType, dims: &[usize], data: &[i64]) -> Tensor {
    Tensor { element, ..Tensor::ints(dims, data.to_vec()) }
}

fn floats(data: &[f32]) -> Tensor {
    let dims: &[usize] = if data.len() == 1 { &[] } else { &[data.len()] };
    Tensor::floats(dims, data.to_vec())
}

const WEIGHTS: [i64; 6] = [100, -50, 25, 127, -128, 3];
const SCALES: [f32; 3] = [0.02, 0.5, 0.01];
const BIAS: [i64; 3] = [40, -70, 1000];

/// The constants of a convolution from `x` [1, 2, 4, 4] to three channels.
fn network() -> ModelBuilder {
    ModelBuilder::new("g")
        .input("x", &[1, 2, 4, 4])
        .initializer("w", ints(ElementType::I8, &[3, 2, 1, 1], &WEIGHTS))
        .initializer("w_scale", floats(&SCALES))
        .initializer("w_zero", ints(ElementType::I8, &[3], &[0, 0, 0]))
        .initializer("b", ints(ElementType::I32, &[3], &BIAS))
        .initializer("x_scale", floats(&[0.05]))
        .initializer("x_zero", ints(ElementType::U8, &[], &[20]))
        .initializer("y_scale", floats(&[0.1]))
        .initializer("y_zero", ints(ElementType::U8, &[], &[0]))
        .initializer("z_zero", ints(ElementType::U8, &[], &[7]))
}

/// What it stands for.
fn twin(clips: bool) -> Graph {
    let weights = (0..6).map(|i| SCALES[i / 2] * as_f32(WEIGHTS[i]));
    let bias = (0..3).map(|c| SCALES[c] * 0.05 * as_f32(BIAS[c])).collect();
    let model = ModelBuilder::new("g")
        .input("x", &[1, 2, 4, 4])
        .initializer("w", Tensor::floats(&[3, 2, 1, 1], weights.collect()))
        .initializer("b", Tensor::floats(&[3], bias))
        .initializer("low", floats(&[0.0]))
        .initializer("high", floats(&[25.5]))
        .node(Node::new("Conv", "conv", &["x", "w", "b"], &["a"]));
    let model = if clips {
        model
            .node(Node::new("Clip", "clip", &["a", "low", "high"], &["y"]))
            .output_value(named("y"))
    } else {
        model.output_value(named("a"))
    };
    from_onnx(&model.build(), "twin").unwrap()
}

fn named(name: &str) -> ValueInfo {
    ValueInfo { name: name.to_owned(), element_type: ElementType::F32, dims: vec![] }
}

fn as_f32(x: i64) -> f32 {
    f32::from(i16::try_from(x).unwrap())
}

fn check(what: &str, model: ModelBuilder, twin: &Graph) -> Graph {
    let graph = from_onnx(&model.build(), what).unwrap_or_else(|error| panic!("{what}: {error}"));
    let image = Random::new(1).floats(32, -3.0, 3.0);
    assert_close(what, &run_float(&graph, &image), &run_float(twin, &image), 1e-5);
    graph
}

fn node(op_type: &str, inputs: &[&str], output: &str) -> Node {
    Node::new(op_type, output, inputs, &[output])
}

#[test]
fn integers_between_conversions_are_real_values() {
    for clips in [true, false] {
        let model = network()
            .node(node("QuantizeLinear", &["x", "x_scale", "x_zero"], "xq"))
            .node(node("DequantizeLinear", &["xq", "x_scale", "x_zero"], "xr"))
            .node(node("DequantizeLinear", &["w", "w_scale", "w_zero"], "wr").with("axis", 0_i64))
            .node(node("Mul", &["x_scale", "w_scale"], "b_scale"))
            .node(node("DequantizeLinear", &["b", "b_scale"], "br").with("axis", 0_i64))
            .node(node("Conv", &["xr", "wr", "br"], "a"))
            // A quantizer leaves out a ReLU before integers that begin at zero.
            .node(node(
                "QuantizeLinear",
                &["a", "y_scale", if clips { "y_zero" } else { "z_zero" }],
                "yq",
            ))
            .node(node("DequantizeLinear", &["yq", "y_scale", "y_zero"], "y"))
            .output_value(named("y"));
        let graph = check("conversions", model, &twin(clips));
        let prepared = passes::prepare(&graph, Semantics::Integer).unwrap();
        let last = &prepared.nodes[prepared.output()];
        assert!(last.op.is_layer(), "{last:?}");
        assert_eq!(last.activation != Activation::None, clips, "{last:?}");
        // What the file rounded is known of the values that are left.
        let rounded = prepared.rounded_before();
        let weights = RoundedWeights { bits: 8, by_channel: true };
        assert_eq!(rounded.weights, [(weights, 1)].into());
        let steps = |range: [f32; 2]| range.map(|x| (x / 0.05).round());
        let values = rounded.values.iter();
        let ranges: Vec<_> = values.map(|(name, v)| (name.as_str(), steps(v.range))).collect();
        let of_result = if clips { [0.0, 510.0] } else { [-14.0, 496.0] };
        assert_eq!(ranges, [("a", of_result), ("x", [-20.0, 235.0])]);
    }
}

/// A factor behind a rounded value that joins the operator before it: the range that the file states goes with it.
#[test]
fn a_factor_that_is_taken_up_scales_the_stated_range() {
    let of = |model: ModelBuilder, name: &str| {
        let model = model
            .initializer("half", floats(&[0.5]))
            .node(node("QuantizeLinear", &["a", "y_scale", "z_zero"], "aq"))
            .node(node("DequantizeLinear", &["aq", "y_scale", "z_zero"], "ar"))
            .node(node("Mul", &["ar", "half"], "y"))
            .output_value(named("y"));
        let graph = from_onnx(&model.build(), name).unwrap();
        let prepared = passes::prepare(&graph, Semantics::Integer).unwrap();
        assert!(prepared.nodes.iter().all(|node| !node.op.is::<Affine>()), "{name}");
        let last = &prepared.nodes[prepared.output()];
        let range = prepared.rounded_before().values[&last.name].range;
        range.map(|x| f64_to_i64((f64::from(x) / 0.05).round()))
    };
    let layer = network()
        .node(node("DequantizeLinear", &["w", "w_scale", "w_zero"], "wr").with("axis", 0_i64))
        .node(Node::new("Conv", "conv", &["x", "wr"], &["a"]));
    let product = network().node(Node::new("MatMul", "product", &["x", "x"], &["a"]));
    for (model, name) in [(layer, "layer"), (product, "product")] {
        assert_eq!(of(model, name), [-7, 248], "{name}");
    }
}

#[test]
fn operators_on_integers_are_those_on_real_values() {
    let inputs = ["xq", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero", "b"];
    let convolved = || {
        network().node(node("QuantizeLinear", &["x", "x_scale", "x_zero"], "xq")).node(node(
            "QLinearConv",
            &inputs,
            "yq",
        ))
    };
    let model = convolved()
        .node(node("DequantizeLinear", &["yq", "y_scale", "y_zero"], "y"))
        .output_value(named("y"));
    check("convolution", model, &twin(true));
    // Those of ONNX Runtime, without effect together: half of the sum with itself, joined to nothing.
    let of_runtime = |node: Node| Node { domain: "com.microsoft".to_owned(), ..node };
    let own = ["y_scale", "y_zero"];
    let triple = |name: &'static str| [name, own[0], own[1]];
    // Of twice the reach.
    let sum = [&triple("yq")[..], &triple("yq"), &["s_scale", "y_zero"]].concat();
    let model = convolved()
        .initializer("half_q", ints(ElementType::U8, &[], &[128]))
        .initializer("s_scale", floats(&[0.2]))
        .initializer("half_scale", floats(&[1.0 / 256.0]))
        .node(of_runtime(node("QLinearAdd", &sum, "sq")))
        .node(of_runtime(node(
            "QLinearMul",
            &["sq", "s_scale", "y_zero", "half_q", "half_scale", "y_zero", own[0], own[1]],
            "hq",
        )))
        .node(of_runtime(
            node("QLinearConcat", &[&own[..], &triple("hq")].concat(), "cq").with("axis", 1_i64),
        ))
        .node(node("DequantizeLinear", &triple("cq"), "y"))
        .output_value(named("y"));
    let graph = from_onnx(&model.build(), "several").unwrap();
    let image = Random::new(1).floats(32, -0.5, 0.5);
    assert_close("several", &run_float(&graph, &image), &run_float(&twin(true), &image), 1e-5);
}

#[test]
fn weights_of_values_that_each_image_scales_are_real() {
    let model = |zeros: bool| {
        let (name, inputs) =
            ("ConvInteger", ["xq", "w", "x_point", if zeros { "w_zero" } else { "" }]);
        network()
            .node(Node::new("DynamicQuantizeLinear", "d", &["x"], &["xq", "x_step", "x_point"]))
            .node(node(name, &inputs, "sums"))
            .node(node("Cast", &["sums"], "float").with("to", 1_i64))
            .initializer("shape", Tensor::ints(&[4], vec![1, 3, 1, 1]))
            .node(node("Mul", &["x_step", "w_scale"], "step"))
            .node(node("Reshape", &["step", "shape"], "steps"))
            .node(node("Mul", &["float", "steps"], "scaled"))
            .initializer("bias", Tensor::floats(&[1, 3, 1, 1], vec![0.04, -1.75, 0.5]))
            .node(node("Add", &["scaled", "bias"], "y"))
            .output_value(named("y"))
    };
    for zeros in [true, false] {
        let graph = check("dynamic", model(zeros), &twin(false));
        let how = RoundedWeights { bits: 8, by_channel: zeros };
        assert_eq!(graph.rounded_before().weights, [(how, 1)].into());
        assert!(graph.rounded_before().values.is_empty());
    }
    // Integers that one scale stands for are others.
    let fixed = network()
        .node(node("QuantizeLinear", &["x", "x_scale", "x_zero"], "xq"))
        .node(node("ConvInteger", &["xq", "w", "x_zero"], "y"))
        .output_value(named("y"));
    let error = from_onnx(&fixed.build(), "fixed").unwrap_err().to_string();
    assert!(error.contains("ConvInteger"), "{error}");
}
