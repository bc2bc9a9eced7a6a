//! Functions of each element inside a network: planned, searched and measured like every other value.

use fixedwise::{
    Arrays, DataOptions, DataSource, Layout, Model, Pixels, QuantizeOptions, Strategy,
    quantize_model,
};
use fixedwise_codec::onnx::{ModelBuilder, Node, Tensor};
use fixedwise_testing::Random;
use std::sync::atomic::AtomicBool;

/// A `SiLU` as exporters spell it, a squeeze-and-excite gate, a `PReLU` and a table of a wide sum.
fn model() -> Model {
    let mut random = Random::new(5);
    let mut floats = |dims: &[usize], scale: f32| {
        Tensor::floats(dims, random.floats(dims.iter().product(), -scale, scale))
    };
    let bytes = ModelBuilder::new("gated")
        .input("image", &[1, 2, 8, 8])
        .initializer("w1", floats(&[6, 2, 3, 3], 0.6))
        .initializer("b1", floats(&[6], 0.3))
        .initializer("w2", floats(&[6, 6, 1, 1], 0.9))
        .initializer("slopes", floats(&[6, 1, 1], 0.5))
        .initializer("w3", floats(&[6, 6, 3, 3], 0.4))
        .initializer("w4", floats(&[6, 4], 1.5))
        .node(Node::new("Conv", "stem", &["image", "w1", "b1"], &["a"]))
        .node(Node::new("Sigmoid", "sigmoid", &["a"], &["b"]))
        .node(Node::new("Mul", "silu", &["a", "b"], &["c"]))
        .node(Node::new("GlobalAveragePool", "squeeze", &["c"], &["d"]))
        .node(Node::new("Conv", "excite", &["d", "w2"], &["e"]))
        .node(Node::new("Sigmoid", "gate", &["e"], &["f"]))
        .node(Node::new("Mul", "gated", &["c", "f"], &["g"]))
        .node(Node::new("PRelu", "prelu", &["g", "slopes"], &["h"]))
        .node(Node::new("Conv", "last", &["h", "w3"], &["i"]))
        .node(Node::new("Tanh", "tanh", &["i"], &["j"]))
        .node(Node::new("GlobalAveragePool", "mean", &["j"], &["k"]))
        .node(Node::new("Flatten", "flat", &["k"], &["l"]))
        .node(Node::new("MatMul", "classes", &["l", "w4"], &["m"]))
        .node(Node::new("Softmax", "softmax", &["m"], &["n"]))
        .output("n", &[1, 4])
        .encode();
    Model::from_bytes("gated.onnx", &bytes).unwrap()
}

#[test]
fn networks_with_functions_are_planned_and_searched() {
    let n = 160;
    let images = DataSource::arrays(Arrays {
        name: "images".to_owned(),
        shape: vec![n, 2, 8, 8],
        pixels: Pixels::from(Random::new(9).floats(n * 128, 0.0, 1.0)),
        layout: Some(Layout::Nchw),
        labels: None,
    });
    let data = DataOptions {
        calibration: Some(images.part(0..40)),
        search: Some(images.part(40..100)),
        test: Some(images.part(100..n)),
        preprocess: Some("scale=1".parse().unwrap()),
        ..DataOptions::default()
    };
    for strategy in [Strategy::Fixed { bits: 8 }, Strategy::Pareto] {
        let options = QuantizeOptions { strategy, threads: Some(1), ..QuantizeOptions::default() };
        let found =
            quantize_model(&model(), &data, &options, &(), &AtomicBool::new(false)).unwrap();
        for name in ["silu", "gate", "tanh"] {
            let format = found.plan.others.get(name);
            assert!(format.is_some_and(|format| format.bits <= 16), "{name}: {format:?}");
        }
    }
}
