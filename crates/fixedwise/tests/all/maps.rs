//! A network that splits, shuffles, resizes, convolves transposed and mirrors goes the whole way: at 8 bits, and
//! by the default search.

use fixedwise::{
    Arrays, DataOptions, DataSource, ExportForm, ExportOptions, Model, QuantizeOptions, Strategy,
    export_model, quantize_model,
};
use fixedwise_codec::onnx::{ElementType, ModelBuilder, Node, Tensor, ValueInfo};
use fixedwise_testing::Random;
use std::sync::atomic::AtomicBool;

/// Down and up again with what was before beside it, and a unit that shuffles channels at the bottom.
fn network() -> Vec<u8> {
    let mut random = Random::new(8);
    let mut model = ModelBuilder::new("unet").input("x", &[1, 2, 12, 12]);
    let layers: [(&str, [usize; 4]); 6] = [
        ("down", [6, 2, 3, 3]),
        ("inner", [8, 6, 3, 3]),
        ("half", [4, 4, 1, 1]),
        ("up", [8, 6, 3, 3]),
        ("join", [8, 20, 3, 3]),
        ("last", [4, 8, 1, 1]),
    ];
    for (name, dims) in layers {
        let n: usize = dims.iter().product();
        let weights = random.floats(n, -0.3, 0.3);
        model = model.initializer(&format!("{name}_w"), Tensor::floats(&dims, weights));
    }
    let ints = |list: &[i64]| Tensor::ints(&[list.len()], list.to_vec());
    let node = |op: &str, name: &str, inputs: &[&str]| Node::new(op, name, inputs, &[name]);
    let conv = |name: &str, x: &str, pad: i64| {
        node("Conv", name, &[x, &format!("{name}_w")]).with("pads", vec![pad; 4])
    };
    let scales = Tensor::floats(&[4], vec![1.0, 1.0, 2.0, 2.0]);
    let y = ValueInfo { name: "y".to_owned(), element_type: ElementType::F32, dims: vec![] };
    model
        .initializer("apart", ints(&[1, 2, 4, 6, 6]))
        .initializer("together", ints(&[1, 8, 6, 6]))
        .initializer("scales", scales)
        .initializer("pads", ints(&[0, 0, 1, 1, 0, 0, 1, 1]))
        .initializer("sizes", ints(&[4, 4]))
        .node(conv("down", "x", 1))
        .node(node("Relu", "a", &["down"]))
        .node(
            node("MaxPool", "pooled", &["a"])
                .with("kernel_shape", vec![2_i64, 2])
                .with("strides", vec![2_i64, 2]),
        )
        .node(conv("inner", "pooled", 1))
        .node(node("Relu", "b", &["inner"]))
        .node(Node::new("Split", "split", &["b", "sizes"], &["left", "right"]).with("axis", 1_i64))
        .node(conv("half", "right", 0))
        .node(node("Relu", "half_relu", &["half"]))
        .node(node("Concat", "unit", &["left", "half_relu"]).with("axis", 1_i64))
        .node(node("Reshape", "groups", &["unit", "apart"]))
        .node(node("Transpose", "turned", &["groups"]).with("perm", vec![0_i64, 2, 1, 3, 4]))
        .node(node("Reshape", "shuffled", &["turned", "together"]))
        .node(
            node("ConvTranspose", "up", &["shuffled", "up_w"])
                .with("strides", vec![2_i64, 2])
                .with("pads", vec![1_i64; 4])
                .with("output_padding", vec![1_i64, 1]),
        )
        .node(node("Relu", "up_relu", &["up"]))
        .node(node("Resize", "smooth", &["shuffled", "", "scales"]).with("mode", "linear"))
        .node(node("Concat", "beside", &["up_relu", "smooth", "a"]).with("axis", 1_i64))
        .node(node("Pad", "mirrored", &["beside", "pads"]).with("mode", "reflect"))
        .node(conv("join", "mirrored", 0))
        .node(node("Relu", "joined", &["join"]))
        .node(conv("last", "joined", 0))
        .node(node("GlobalAveragePool", "mean", &["last"]))
        .node(node("Flatten", "y", &["mean"]))
        .opset(17)
        .output_value(y)
        .encode()
}

#[test]
fn a_network_of_maps_is_quantized_and_searched() {
    let model = Model::from_bytes("unet.onnx", &network()).unwrap();
    let mut random = Random::new(2);
    let n = 24;
    let pixels: Vec<u8> =
        (0..n * 2 * 144).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
    let images = DataSource::arrays(Arrays {
        name: "images".to_owned(),
        shape: vec![n, 2, 12, 12],
        pixels: pixels.into(),
        layout: None,
        labels: None,
    });
    let data = DataOptions {
        calibration: Some(images.part(0..8)),
        search: Some(images.part(8..16)),
        test: Some(images.part(16..24)),
        preprocess: Some("scale=1/255".parse().unwrap()),
        ..DataOptions::default()
    };
    let go_on = AtomicBool::new(false);
    let quantized = |strategy| {
        let options = QuantizeOptions { strategy, ..QuantizeOptions::default() };
        quantize_model(&model, &data, &options, &(), &go_on).unwrap()
    };
    let uniform = quantized(Strategy::Fixed { bits: 8 });
    let searched = quantized(Strategy::Pareto);
    for found in [&uniform, &searched] {
        assert!(found.plan.layers.iter().any(|layer| layer.name == "up"));
        assert!(!found.result.layers.is_empty());
    }
    let folder = tempfile::tempdir().unwrap();
    let preprocess = Some("scale=1/255".parse().unwrap());
    let options = ExportOptions { preprocess, ..ExportOptions::default() };
    for (form, name) in
        [(ExportForm::Onnx, "a.onnx"), (ExportForm::Qonnx, "b.onnx"), (ExportForm::Npz, "c.npz")]
    {
        export_model(&model, &uniform.plan, form, &folder.path().join(name), &options).unwrap();
    }
    let hls = folder.path().join("hls");
    let refused = export_model(&model, &uniform.plan, ExportForm::Hls, &hls, &options);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("index_map") && !hls.exists(), "{refused}");
}
