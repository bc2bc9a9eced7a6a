//! Networks whose values are added to, multiply, subtract and compare each other, and signals: searched, exported and
//! run.

use fixedwise::{
    Arrays, CExport, DataOptions, DataSource, ExportForm, ExportOptions, MaxLoss, Model, Outcome,
    QuantizeOptions, Strategy, TextOptions, export_c_model, export_model, quantize_model, summary,
};
use fixedwise_codec::onnx::{ModelBuilder, Node, Tensor};
use fixedwise_testing::Random;
use std::sync::atomic::AtomicBool;

/// A file under construction whose constants are random.
struct Net {
    model: ModelBuilder,
    random: Random,
    n: usize,
}

impl Net {
    fn new(input: &[usize]) -> Self {
        let model = ModelBuilder::new("net").input("x", input);
        Self { model, random: Random::new(11), n: 0 }
    }

    fn node(mut self, op: &str, inputs: &[&str], output: &str, ints: &[(&str, &[i64])]) -> Self {
        let node = Node::new(op, &format!("{}_{output}", op.to_lowercase()), inputs, &[output]);
        let node = ints.iter().fold(node, |node, (key, list)| node.with(key, list.to_vec()));
        self.model = self.model.node(node);
        self
    }

    fn constant(mut self, name: &str, dims: &[usize], low: f32, high: f32) -> Self {
        let n = dims.iter().product();
        self.model =
            self.model.initializer(name, Tensor::floats(dims, self.random.floats(n, low, high)));
        self
    }

    /// A convolution with a bias.
    fn conv(mut self, x: &str, y: &str, dims: &[usize], ints: &[(&str, &[i64])]) -> Self {
        self.n += 1;
        let [w, b] = ["w", "b"].map(|kind| format!("{kind}{}", self.n));
        self.constant(&w, dims, -0.5, 0.5).constant(&b, &dims[..1], -0.2, 0.5).node(
            "Conv",
            &[x, &w, &b],
            y,
            ints,
        )
    }

    /// A convolution of each channel by itself.
    fn depthwise(mut self, x: &str, y: &str, channels: usize) -> Self {
        let (w, groups) = (format!("{y}_weights"), i64::try_from(channels).unwrap());
        self = self.constant(&w, &[channels, 1, 3, 3], -0.5, 0.5);
        let node = Node::new("Conv", &format!("conv_{y}"), &[x, &w], &[y]);
        let node = node.with("group", groups).with("pads", vec![1_i64; 4]);
        self.model = self.model.node(node);
        self
    }

    fn done(self, output: &str, dims: &[usize]) -> Model {
        let bytes = self.model.output(output, dims).encode();
        Model::from_bytes("net.onnx", &bytes).unwrap()
    }
}

/// A block of squeeze-and-excite, attention over space, a map of positions, a residual that is subtracted.
fn gates() -> Model {
    let pads: (&str, &[i64]) = ("pads", &[1, 1, 1, 1]);
    Net::new(&[1, 3, 8, 8])
        .conv("x", "stem", &[6, 3, 3, 3], &[pads, ("strides", &[2, 2])])
        .node("Relu", &["stem"], "a", &[])
        .node("GlobalAveragePool", &["a"], "s", &[])
        .conv("s", "squeezed", &[3, 6, 1, 1], &[])
        .node("Relu", &["squeezed"], "squeezed_relu", &[])
        .conv("squeezed_relu", "excite", &[6, 3, 1, 1], &[])
        .node("Sigmoid", &["excite"], "gate", &[])
        .node("Mul", &["a", "gate"], "gated", &[])
        .node("ReduceMax", &["gated"], "most", &[("axes", &[1])])
        .node("ReduceMean", &["gated"], "mean", &[("axes", &[1])])
        .node("Sub", &["most", "mean"], "spread", &[])
        .node("Mul", &["gated", "spread"], "attended", &[])
        .constant("places", &[1, 1, 4, 4], 0.2, 1.0)
        .node("Mul", &["attended", "places"], "placed", &[])
        .conv("placed", "y", &[6, 6, 3, 3], &[pads])
        .node("Sub", &["a", "y"], "residual", &[])
        .node("Max", &["residual", "y"], "larger", &[])
        .node("Min", &["larger", "a"], "smaller", &[])
        .node("ReduceMean", &["smaller"], "means", &[("axes", &[2, 3])])
        .conv("means", "z", &[4, 6, 1, 1], &[])
        .node("Flatten", &["z"], "scores", &[])
        .done("scores", &[1, 4])
}

/// Blocks with shortcuts: as it is, with a layer of its own, over a depthwise layer, and one of vectors.
fn shortcuts() -> Model {
    let pads: (&str, &[i64]) = ("pads", &[1, 1, 1, 1]);
    let two: (&str, &[i64]) = ("strides", &[2, 2]);
    Net::new(&[1, 3, 8, 8])
        .conv("x", "stem", &[6, 3, 3, 3], &[pads])
        .node("Relu", &["stem"], "a", &[])
        .conv("a", "b", &[6, 6, 3, 3], &[pads])
        .node("Relu", &["b"], "c", &[])
        .conv("c", "d", &[6, 6, 3, 3], &[pads])
        .node("Add", &["d", "a"], "e", &[])
        .node("Relu", &["e"], "f", &[])
        .conv("f", "g", &[8, 6, 3, 3], &[pads, two])
        .conv("f", "h", &[8, 6, 1, 1], &[two])
        .node("Add", &["g", "h"], "i", &[])
        .node("Relu", &["i"], "j", &[])
        .depthwise("j", "k", 8)
        .node("Add", &["j", "k"], "l", &[])
        .node("GlobalAveragePool", &["l"], "m", &[])
        .node("Flatten", &["m"], "n", &[])
        .constant("dense", &[8, 8], -0.5, 0.5)
        .node("MatMul", &["n", "dense"], "o", &[])
        .node("Add", &["o", "n"], "p", &[])
        .constant("last", &[8, 4], -0.5, 0.5)
        .node("MatMul", &["p", "last"], "scores", &[])
        .done("scores", &[1, 4])
}

/// A keyword spotter in small: one dimension, padded on one side, a gate of channels, a shortcut.
fn signal() -> Model {
    Net::new(&[1, 2, 40])
        .conv("x", "a", &[6, 2, 5], &[("pads", &[4, 0]), ("strides", &[2])])
        .node("Relu", &["a"], "b", &[])
        .node("MaxPool", &["b"], "c", &[("kernel_shape", &[2]), ("strides", &[2])])
        .conv("c", "d", &[6, 6, 3], &[("pads", &[1, 1])])
        .node("Relu", &["d"], "e", &[])
        .node("GlobalAveragePool", &["e"], "f", &[])
        .node("Mul", &["e", "f"], "g", &[])
        .node("Sub", &["c", "g"], "h", &[])
        .node("AveragePool", &["h"], "i", &[("kernel_shape", &[3]), ("pads", &[1, 1])])
        .node("Min", &["h", "i"], "j", &[])
        .node("ReduceMax", &["j"], "k", &[("axes", &[2])])
        .conv("k", "l", &[3, 6, 1], &[])
        .node("Flatten", &["l"], "scores", &[])
        .done("scores", &[1, 3])
}

/// Attention over pixels in two heads, and means over the bins of a distribution.
fn attention() -> Model {
    let heads: &[i64] = &[-1, 2, 3, 16];
    let mut net = Net::new(&[1, 3, 8, 8])
        .conv("x", "stem", &[6, 3, 3, 3], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])])
        .node("Relu", &["stem"], "a", &[]);
    for (name, dims) in [("heads", heads), ("image", &[-1, 6, 4, 4]), ("bins", &[-1, 2, 4, 16])] {
        let dims = Tensor::ints(&[dims.len()], dims.to_vec());
        net.model = net.model.initializer(name, dims);
    }
    for part in ["q", "k", "v"] {
        net = net.conv("a", &format!("{part}_image"), &[6, 6, 1, 1], &[]).node(
            "Reshape",
            &[&format!("{part}_image"), "heads"],
            part,
            &[],
        );
    }
    net.constant("scale", &[], 0.5, 0.6)
        .node("Transpose", &["q"], "rows", &[("perm", &[0, 1, 3, 2])])
        .node("MatMul", &["rows", "k"], "scores", &[])
        .node("Mul", &["scores", "scale"], "scaled", &[])
        .node("Softmax", &["scaled"], "weights", &[])
        .node("Transpose", &["weights"], "turned", &[("perm", &[0, 1, 3, 2])])
        .node("MatMul", &["v", "turned"], "attended", &[])
        .node("Reshape", &["attended", "image"], "b", &[])
        .node("Add", &["a", "b"], "c", &[])
        .conv("c", "edges", &[8, 6, 1, 1], &[])
        .node("Reshape", &["edges", "bins"], "d", &[])
        .node("Transpose", &["d"], "e", &[("perm", &[0, 1, 3, 2])])
        .node("Softmax", &["e"], "f", &[])
        .constant("places", &[4, 1], 0.0, 3.0)
        .node("MatMul", &["f", "places"], "distances", &[])
        .done("distances", &[1, 2, 16, 1])
}

/// Images that nobody has labeled.
fn data(shape: &[usize]) -> DataOptions {
    let n = 48;
    let shape = [&[n], shape].concat();
    let pixels = Random::new(5).floats(shape.iter().product(), 0.0, 1.0);
    let source = DataSource::arrays(Arrays {
        name: "images".to_owned(),
        shape,
        pixels: pixels.into(),
        layout: None,
        labels: None,
    });
    DataOptions {
        calibration: Some(source.part(0..16)),
        search: Some(source.part(16..32)),
        test: Some(source.part(32..48)),
        preprocess: Some("scale=1".parse().unwrap()),
        ..DataOptions::default()
    }
}

/// What is found at 8 bits and by the default search is written in these forms and in C.
fn check(model: &Model, shape: &[usize], forms: &[ExportForm]) -> Vec<Outcome> {
    let folder = tempfile::tempdir().unwrap();
    let (data, go_on) = (data(shape), AtomicBool::new(false));
    let mut all = Vec::new();
    for (name, strategy) in [("fixed", Strategy::Fixed { bits: 8 }), ("pareto", Strategy::Pareto)] {
        let options = QuantizeOptions {
            strategy,
            max_loss: MaxLoss::Sqnr(12.0),
            threads: Some(1),
            ..QuantizeOptions::default()
        };
        let found = quantize_model(model, &data, &options, &(), &go_on).unwrap();
        assert!(found.result.bound_met, "{name}: {:?}", found.result.accuracy);
        let options = ExportOptions { preprocess: data.preprocess.clone(), ..Default::default() };
        for &form in forms {
            let path = folder.path().join(format!("{name}_{form:?}"));
            export_model(model, &found.plan, form, &path, &options).unwrap();
        }
        let path = folder.path().join(format!("{name}_c"));
        export_c_model(model, &found.plan, &path, &options, &CExport::default()).unwrap();
        all.push(found);
    }
    all
}

#[test]
fn networks_with_shortcuts_are_searched_and_exported_with_their_sums_inside_layers() {
    let forms = [ExportForm::Onnx, ExportForm::Qonnx, ExportForm::Npz, ExportForm::Hls];
    let all = check(&shortcuts(), &[8, 8, 3], &forms);
    for found in &all {
        let result = &found.result;
        // The mean alone is no layer's.
        assert_eq!(result.others.len(), 1, "{:?}", result.others);
        let names: Vec<&str> = result.layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names.len(), 8, "{names:?}");
        let memory = &result.memory_bits;
        // Before the sums: 8 x 8 x 6, twice 4 x 4 x 8, and 8.
        assert_eq!(memory.uniform8_fused, 8 * (384 + 128 + 128 + 8));
        let text = summary(result, &TextOptions::default());
        assert!(text.contains("inside layers save"), "{text}");
    }
    // At 8 bits everywhere, biases apart, what is saved is what is not stored.
    let memory = &all[0].result.memory_bits;
    let apart = memory.uniform8_total - memory.uniform8_fused;
    assert!(memory.weights + memory.activations <= apart, "{memory:?}");
}

#[test]
fn networks_with_gates_are_searched_and_exported() {
    let all = check(&gates(), &[8, 8, 3], &[ExportForm::Onnx, ExportForm::Qonnx, ExportForm::Npz]);
    for found in &all {
        let result = &found.result;
        // The gate's sigmoid alone takes it.
        assert_eq!(result.inner, ["conv_excite"]);
        assert_eq!(result.memory_bits.uniform8_fused, 8 * 6);
        let excite = result.layers.iter().find(|layer| layer.name == "conv_excite").unwrap();
        let text = summary(result, &TextOptions::default());
        let format = format!("(s{} F{})", excite.activation.bits, excite.activation.frac.unwrap());
        assert!(text.contains(&format) && text.contains("not stored"), "{text}");
    }
}

#[test]
fn attention_is_searched_and_exported() {
    check(&attention(), &[8, 8, 3], &[ExportForm::Onnx, ExportForm::Qonnx, ExportForm::Npz]);
}

#[test]
fn signals_are_searched_and_exported() {
    check(
        &signal(),
        &[40, 2],
        &[ExportForm::Onnx, ExportForm::Qonnx, ExportForm::Npz, ExportForm::Hls],
    );
}
