//! What other tools compute with exported networks is what the integer network computes.

use fixedwise_codec::{
    npz::{Array, ArrayData, encode_npy},
    onnx::{self, ModelBuilder, Node, Tensor},
};
use fixedwise_fixed::{
    Format, Range, Rounding,
    convert::{exp2, f64_to_f32, i64_to_f64},
};
use fixedwise_graph::{
    AccumulatorPolicy, Expression, FixedGraph, Graph, LayerPlan, Plan, Quantizer, Semantics, Shape,
    Unary, emit,
    emit::tflite::{TfliteKernels, TfliteOptions},
    from_onnx, lower,
    ops::{
        Add, AveragePool, Between, Concat, Constant, FixedConv, Function, GlobalAveragePool,
        IndexMap, LeakyRelu, LiftedFunction, MatMul, Max, MaxPool, Min, PRelu, Relu, Resize,
        Sigmoid, Softmax, Sub, Window,
    },
    passes,
};
use fixedwise_testing::{
    Build, Random, by_channel, has_programs, integers_of, project, python, resnet8, run_fixed_on,
    window,
};
use std::{path::Path, process::Command};

const IMAGES: usize = 24;
/// The seed whose activations have more than 8 bits.
const WIDE: u64 = 3;

/// Every operator; borders with a bias of their own, and channels whose maximum is a minimum.
fn everything() -> Graph {
    let (mut b, x) = Build::operators();
    let x = b.push("leaky_2", LeakyRelu { alpha: -0.3 }, vec![x]);
    let a = b.push("global_average", GlobalAveragePool, vec![x]);
    let m = b.push("again", Relu, vec![a]);
    let x = b.push("join", Concat { axis: 2 }, vec![a, m]);
    b.gemm("dense", x, 7);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Functions of two values.
fn pairs() -> Graph {
    let (mut b, x) = Build::pairs();
    b.gemm("dense", x, 5);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Windows of every kind: dilated, strided, padded on one side, wider than what is under them.
fn windows() -> Graph {
    let mut b = Build::new(Shape::new(11, 12, 2), 5);
    let dilated =
        Window { dilation: [2, 3], pad_begin: [2, 0], pad_end: [1, 3], ..window(3, 1, 0) };
    let x = b.conv("dilated", 0, 6, &dilated, 2);
    let strided = Window { kernel: [2, 3], stride: [2, 1], pad_end: [1, 0], ..window(1, 1, 0) };
    let y = b.conv("strided", x, 4, &strided, 1);
    let square = AveragePool { window: window(2, 2, 0), include_pad: false };
    let a = b.push("dilated_weights", square, vec![y]);
    let counted = AveragePool { window: window(3, 2, 1), include_pad: true };
    let c = b.push("counted", counted, vec![y]);
    let c = b.conv("to_a", c, 4, &window(1, 1, 0), 1);
    let ceil = Window { ceil: true, ..window(2, 2, 0) };
    let m = b.push("ceil", MaxPool { window: ceil.clone(), minimum: vec![] }, vec![y]);
    let e = b.push("ceil_average", AveragePool { window: ceil, include_pad: false }, vec![y]);
    let wide = Window { dilation: [2, 2], ..window(2, 1, 2) };
    let w = b.push("wide_pad", MaxPool { window: wide, minimum: vec![true; 4] }, vec![a]);
    let pooled: Vec<usize> = [a, c, m, e, w]
        .into_iter()
        .enumerate()
        .map(|(i, x)| b.push(&format!("mean_{i}"), GlobalAveragePool, vec![x]))
        .collect();
    let x = b.push("join", Concat { axis: 2 }, pooled);
    b.gemm("output", x, 9);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Elements in another order: as channels first, by rows, and back to an image.
fn orders() -> Graph {
    let mut random = Random::new(8);
    let mut floats = |dims: &[usize]| {
        let n = dims.iter().product();
        Tensor::floats(dims, random.floats(n, -0.5, 0.5))
    };
    let model = ModelBuilder::new("orders")
        .input("image", &[1, 2, 4, 6])
        .initializer("w1", floats(&[3, 2, 3, 3]))
        .initializer("w2", floats(&[5, 12, 1, 1]))
        .node(Node::new("Conv", "conv", &["image", "w1"], &["a"]))
        .node(Node::new("Transpose", "turn", &["a"], &["b"]).with("perm", vec![0_i64, 2, 3, 1]))
        .node(Node::new("Flatten", "by_rows", &["b"], &["c"]))
        .node(Node::new("Flatten", "planar", &["a"], &["d"]))
        .node(Node::new("Concat", "both", &["c", "d"], &["e"]).with("axis", 1_i64))
        .initializer("vector", Tensor::ints(&[4], vec![-1, 12, 2, 2]))
        .initializer("w6", floats(&[48, 48]))
        .node(Node::new("MatMul", "mix", &["e", "w6"], &["f"]))
        .node(Node::new("Reshape", "image_again", &["f", "vector"], &["g"]))
        .node(Node::new("Conv", "pixel", &["g", "w2"], &["h"]))
        .node(Node::new("Flatten", "last", &["h"], &["i"]))
        .initializer("w7", floats(&[20, 6]))
        .node(Node::new("MatMul", "classes", &["i", "w7"], &["j"]))
        .initializer("mixed", Tensor::ints(&[4], vec![-1, 6, 2, 2]))
        .initializer("w8", floats(&[24, 6]))
        .node(Node::new("Reshape", "mixed", &["b", "mixed"], &["k"]))
        .node(Node::new("MaxPool", "same", &["k"], &["l"]).with("kernel_shape", vec![1_i64, 1]))
        .node(Node::new("Flatten", "mixed_vector", &["l"], &["m"]))
        .node(Node::new("MatMul", "mixed_classes", &["m", "w8"], &["n"]))
        .node(Node::new("Add", "result", &["j", "n"], &["o"]))
        .output("o", &[1, 6])
        .encode();
    let file = onnx::parse_model(&model, &|_| Err("none".to_owned())).unwrap();
    passes::prepare(&from_onnx(&file, "orders").unwrap(), Semantics::Integer).unwrap()
}

/// Layers one after the other and three side by side, as small as they may be.
fn branches() -> Graph {
    let mut random = Random::new(4);
    let mut floats = |dims: &[usize]| {
        let n = dims.iter().product();
        Tensor::floats(dims, random.floats(n, -0.5, 0.5))
    };
    let pads = vec![1_i64; 4];
    let pair = vec![2_i64; 2];
    let model = ModelBuilder::new("branches")
        .input("image", &[1, 2, 6, 6])
        .initializer("w1", floats(&[3, 2, 3, 3]))
        .initializer("b1", floats(&[3]))
        .initializer("w2", floats(&[2, 3, 2, 2]))
        .initializer("b2", floats(&[2]))
        .initializer("w2b", floats(&[1, 3, 2, 2]))
        .initializer("b2b", floats(&[1]))
        .initializer("w2c", floats(&[1, 3, 2, 2]))
        .initializer("b2c", floats(&[1]))
        .initializer("w3", floats(&[16, 5]))
        .initializer("b3", floats(&[5]))
        .node(Node::new("Conv", "conv_1", &["image", "w1", "b1"], &["a"]).with("pads", pads))
        .node(Node::new("Relu", "relu_1", &["a"], &["b"]))
        .node(
            Node::new("MaxPool", "pool", &["b"], &["c"])
                .with("kernel_shape", pair.clone())
                .with("strides", pair),
        )
        .node(Node::new("Conv", "conv_2", &["c", "w2", "b2"], &["d"]))
        .node(Node::new("Relu", "relu_2", &["d"], &["e1"]))
        .node(Node::new("Conv", "conv_2b", &["c", "w2b", "b2b"], &["db"]))
        .node(Node::new("Relu", "relu_2b", &["db"], &["e2"]))
        .node(Node::new("Conv", "conv_2c", &["c", "w2c", "b2c"], &["dc"]))
        .node(Node::new("Relu", "relu_2c", &["dc"], &["e3"]))
        .node(Node::new("Concat", "join", &["e1", "e2", "e3"], &["e"]).with("axis", 1_i64))
        .node(Node::new("Flatten", "flatten", &["e"], &["f"]))
        .node(Node::new("Gemm", "dense", &["f", "w3", "b3"], &["g"]))
        .output("g", &[1, 5])
        .encode();
    let file = onnx::parse_model(&model, &|_| Err("none".to_owned())).unwrap();
    passes::prepare(&from_onnx(&file, "branches").unwrap(), Semantics::Integer).unwrap()
}

/// The same with several outputs, one of them inside, one twice.
fn heads() -> Graph {
    let mut graph = branches();
    let [inside, last] = ["conv_2", "dense"].map(|name| graph.find(name).unwrap());
    graph.set_outputs(&[last, inside, last]);
    graph
}

/// Widths of all kinds; the last layer has 16 bits, so that every difference shows.
fn plan(graph: &Graph, rounding: Rounding, seed: u64, input: Format) -> Plan {
    let mut random = Random::new(seed);
    let mut bits =
        |from: usize, to: usize| u8::try_from(from + random.below(to - from + 1)).unwrap();
    let frac = |bits: u8, off: i8| i8::try_from(bits).unwrap() - off;
    let last = graph.layers().last().unwrap().1.name.clone();
    let mut layers = Vec::new();
    for (_, node) in graph.layers() {
        let (w, a) =
            if seed == WIDE { (bits(2, 3), bits(9, 12)) } else { (bits(2, 6), bits(3, 8)) };
        let activation = if node.name == last {
            Format::signed(16, 9)
        } else if node.activation == fixedwise_graph::Activation::Relu {
            Format::unsigned(a, frac(a, 4))
        } else if a == 5 {
            Format::full(a, frac(a, 5))
        } else {
            Format::signed(a, frac(a, 5))
        };
        layers.push(LayerPlan {
            name: node.name.clone(),
            weights: Some(if w == 2 && seed > 0 {
                Format::bipolar(2)
            } else {
                Format { range: Range::Narrow, ..Format::signed(w, frac(w, 0)) }
            }),
            bias: None,
            activation: Some(activation),
        });
    }
    let mut others = std::collections::BTreeMap::new();
    for node in &graph.nodes {
        let is_own = node.op.has_own_format() && !node.op.is_layer();
        if is_own || node.name == "concat" {
            let format = match () {
                () if node.name == "result" => Format::signed(16, 8),
                () if node.op.is::<Softmax>() => Format::unsigned(7, 8),
                () if node.op.is::<LiftedFunction>() => Format::unsigned(6, 2),
                () if node.op.is::<MatMul>() && seed == WIDE => Format::signed(12, 7),
                () => Format::signed(6, 1),
            };
            others.insert(node.name.clone(), format);
        }
    }
    Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding,
        input,
        layers,
        rounded: std::collections::BTreeMap::new(),
        thinned: None,
        others,
    }
}

struct Case {
    name: String,
    fixed: FixedGraph,
    /// `[h, w, c]` each.
    images: Vec<Vec<f32>>,
}

/// Functions by tables: of narrow and of wide values, with and without sign.
fn functions() -> Graph {
    let x = Expression::x;
    let mut b = Build::new(Shape::new(5, 4, 2), 6);
    let y = b.conv("first", 0, 4, &window(3, 1, 1), 1);
    let silu = Function { expression: x() * x().then(Unary::Sigmoid) };
    let y = b.push("silu", silu, vec![y]);
    let y = b.conv("second", y, 3, &window(1, 1, 0), 1);
    let y = b.push("prelu", PRelu { slopes: vec![0.3, -0.01, 1.7] }, vec![y]);
    let y = b.push("relu", Relu, vec![y]);
    let y = b.push("root", Function { expression: x().then(Unary::Sqrt) }, vec![y]);
    let y = b.push("mean", GlobalAveragePool, vec![y]);
    let y = b.push("gate", Sigmoid, vec![y]);
    b.gemm("dense", y, 6);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Elements and functions that are looked up.
fn tables() -> Graph {
    let x = Expression::x;
    let mut b = Build::new(Shape::new(5, 4, 2), 6);
    let y = b.conv("first", 0, 4, &window(3, 1, 1), 1);
    let silu = Function { expression: x() * x().then(Unary::Sigmoid) };
    let y = b.push("silu", silu, vec![y]);
    let along = |places: &[usize], step: usize| {
        places.iter().map(|&i| Some(i * step)).collect::<Vec<Option<usize>>>()
    };
    let mut some = IndexMap {
        rows: along(&[4, 2, 0, 1], 16),
        columns: along(&[0, 0, 3], 4),
        channels: along(&[3, 1, 2, 0], 1),
    };
    some.rows.push(None);
    some.channels[1] = None;
    let y = b.push("some", some, vec![y]);
    let y = b.conv("second", y, 3, &window(3, 1, 1), 1);
    let y = b.push("gate", Sigmoid, vec![y]);
    let y = b.push("leaky", LeakyRelu { alpha: 0.3 }, vec![y]);
    let y = b.push("mean", GlobalAveragePool, vec![y]);
    b.gemm("dense", y, 6);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Functions of two values that are not negative, one of them one pixel.
fn combined() -> Graph {
    let mut b = Build::new(Shape::new(6, 5, 3), 9);
    let x = b.conv("left", 0, 4, &window(3, 1, 1), 1);
    let x = b.push("left_relu", Relu, vec![x]);
    let y = b.conv("right", 0, 4, &window(1, 1, 0), 1);
    let y = b.push("right_relu", Relu, vec![y]);
    let sum = b.push("sum", Add, vec![x, y]);
    let sum = b.push("sum_relu", Relu, vec![sum]);
    let larger = b.push("larger", Max, vec![sum, x]);
    let smaller = b.push("smaller", Min, vec![larger, y]);
    let difference = b.push("difference", Sub, vec![larger, smaller]);
    let difference = b.push("difference_relu", Relu, vec![difference]);
    let pooled = b.push("pooled", GlobalAveragePool, vec![y]);
    let moved = b.push("moved", Add, vec![difference, pooled]);
    let moved = b.push("moved_relu", Relu, vec![moved]);
    let x = b.push("mean", GlobalAveragePool, vec![moved]);
    b.gemm("dense", x, 6);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Sums inside layers.
fn residuals() -> Graph {
    let (mut b, x) = Build::residuals();
    b.gemm("last", x, 6);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Elements along their own axes with zeros among them, places between pixels, channels as pixels, some elements as
/// a vector.
fn maps() -> Graph {
    let mut b = Build::new(Shape::new(5, 4, 2), 6);
    let x = b.conv("first", 0, 4, &window(3, 1, 1), 1);
    let along = |places: &[usize], step: usize| {
        places.iter().map(|&i| Some(i * step)).collect::<Vec<Option<usize>>>()
    };
    let mut some = IndexMap {
        rows: along(&[4, 2, 0, 1], 16),
        columns: along(&[0, 0, 3], 4),
        channels: along(&[3, 1, 2, 0], 1),
    };
    some.rows.push(None);
    some.channels[1] = None;
    let x = b.push("some", some, vec![x]);
    let between = |first: usize, weight: f32| Between { first, weight };
    let resize = Resize {
        rows: vec![between(0, 0.5), between(1, 0.25), between(3, 0.75), between(4, 0.0)],
        columns: vec![between(0, 0.0), between(0, 0.3), between(1, 0.9)],
    };
    let x = b.push("between", resize, vec![x]);
    let pixels = IndexMap {
        rows: (0..8).map(|i| Some(i / 2 * 12 + i % 2 * 2)).collect(),
        columns: along(&[0, 1, 2], 4),
        channels: along(&[0, 1], 1),
    };
    let x = b.push("pixels", pixels, vec![x]);
    let x = b.conv("second", x, 3, &window(3, 1, 1), 1);
    let mut vector = along(&[0, 5, 7, 71, 3, 30], 1);
    vector[2] = None;
    let vector = IndexMap { rows: vec![Some(0)], columns: vec![Some(0)], channels: vector };
    let x = b.push("vector", vector, vec![x]);
    b.gemm("dense", x, 6);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Products of two values and softmax.
fn attention() -> Graph {
    let (mut b, x) = Build::attention();
    b.conv("last", x, 4, &window(1, 1, 0), 1);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Normalizations over the channels, which only the archive has.
fn normalizations() -> Graph {
    let (mut b, x) = Build::normalizations();
    b.conv("last", x, 4, &window(1, 1, 0), 1);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Cases that all forms have.
fn common_cases() -> Vec<Case> {
    let mut cases = cases();
    cases.retain(|case| !case.name.starts_with("normalizations"));
    cases
}

/// Constants joined to what is computed: a map along channels, rows of numbers, and elements of a vector.
fn constants() -> Graph {
    let mut b = Build::new(Shape::new(5, 4, 2), 6);
    let constant = |b: &mut Build, name: &str, shape: Shape, low: f32| {
        let values = b.random.floats(shape.len(), low, 3.0).into();
        b.push(name, Constant { shape, values }, vec![])
    };
    let x = b.conv("first", 0, 3, &window(3, 1, 1), 1);
    let map = constant(&mut b, "map", Shape::new(5, 4, 2), -3.0);
    let x = b.push("with_map", Concat { axis: 2 }, vec![map, x]);
    let x = b.conv("second", x, 4, &window(3, 1, 1), 1);
    let rows = constant(&mut b, "rows", Shape::new(2, 4, 4), 0.0);
    let x = b.push("with_rows", Concat { axis: 0 }, vec![x, rows]);
    let x = b.conv("third", x, 3, &window(3, 2, 0), 1);
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    let vector = constant(&mut b, "vector", Shape::vector(2), -1.0);
    let x = b.push("with_vector", Concat { axis: 2 }, vec![x, vector]);
    b.gemm("dense", x, 6);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (network, graph) in [
        ("everything", everything()),
        ("pairs", pairs()),
        ("windows", windows()),
        ("orders", orders()),
        ("branches", branches()),
        ("residuals", residuals()),
        ("functions", functions()),
        ("heads", heads()),
        ("tables", tables()),
        ("combined", combined()),
        ("maps", maps()),
        ("constants", constants()),
        ("attention", attention()),
        ("normalizations", normalizations()),
    ] {
        for (name, rounding) in
            [("up", Rounding::TiesUp), ("even", Rounding::TiesEven), ("floor", Rounding::Floor)]
        {
            for seed in 0..=WIDE {
                if network == "heads" && name != "up" {
                    continue;
                }
                // Bytes, floats with and without sign.
                let input = [
                    Format::unsigned(8, 0),
                    Format::unsigned(5, 2),
                    Format::full(7, 3),
                    Format::signed(12, 8),
                ][usize::try_from(seed).unwrap()];
                let mut plan = plan(&graph, rounding, seed, input);
                if seed == 0 {
                    // Bytes reach 255: the first layer's weights are those of a folded 1/255.
                    let first = plan.layers[0].weights.as_mut().unwrap();
                    first.frac += 5;
                    plan.layers[0].activation.as_mut().unwrap().frac -= 2;
                }
                if network == "branches" {
                    // Rounded at the end too.
                    plan.layers.last_mut().unwrap().activation = Some(Format::signed(7, 2));
                }
                if seed == 1 {
                    by_channel(&graph, &mut plan);
                }
                let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
                let mut random = Random::new(seed + 100);
                let n = graph.input_shape().len();
                let images = (0..IMAGES)
                    .map(|_| {
                        let (low, high) = (i64_to_f64(input.min()), i64_to_f64(input.max()));
                        let range = (high - low) * 1.1 * input.resolution();
                        let start = low * input.resolution();
                        let pixel = |x: f32| {
                            let x = f64::from(x) * range + start;
                            f64_to_f32(if seed == 0 { x.floor().clamp(0.0, 255.0) } else { x })
                        };
                        random.floats(n, 0.0, 1.0).into_iter().map(pixel).collect()
                    })
                    .collect();
                cases.push(Case { name: format!("{network}_{name}_{seed}"), fixed, images });
            }
        }
    }
    cases
}

/// Writes images and what the integer network computes.
fn write(folder: &Path, case: &Case) -> std::path::PathBuf {
    let folder = folder.join(&case.name);
    std::fs::create_dir(&folder).unwrap();
    let shape = case.fixed.nodes[0].shape;
    let images = Array {
        shape: vec![case.images.len(), shape.h, shape.w, shape.c],
        data: ArrayData::F32(case.images.concat()),
    };
    std::fs::write(folder.join("images.npy"), encode_npy(&images)).unwrap();
    let outputs = case.fixed.output_nodes();
    let kernels = fixedwise_kernels::Kernels::best();
    let expected = case.images.iter().flat_map(|image| {
        let values = run_fixed_on(&case.fixed, image, kernels);
        let of_output = |&id: &usize| {
            let format = case.fixed.nodes[id].format;
            values[id].iter().map(move |&q| f64_to_f32(format.dequantize(q))).collect::<Vec<f32>>()
        };
        outputs.iter().flat_map(of_output).collect::<Vec<f32>>()
    });
    let elements = outputs.iter().map(|&id| case.fixed.nodes[id].shape.len()).sum();
    let expected = Array {
        shape: vec![case.images.len(), elements],
        data: ArrayData::F32(expected.collect()),
    };
    std::fs::write(folder.join("expected.npy"), encode_npy(&expected)).unwrap();
    folder
}

/// The lines that the script prints for a form.
fn run(python: &Path, form: &str, folder: &Path) -> Vec<String> {
    let run = Command::new(python)
        .arg(project("suite/run_export.py"))
        .arg(form)
        .arg(folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{text}\n{}", String::from_utf8_lossy(&run.stderr));
    text.lines().map(str::to_owned).collect()
}

/// Every image of every case has the same result.
fn all_equal(lines: &[String], n: usize) {
    let wanted = format!(": {IMAGES} of {IMAGES} equal");
    let wrong: Vec<&String> = lines.iter().filter(|line| !line.contains(&wanted)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(lines.len(), n);
}

#[test]
fn onnx_runtime_computes_the_same() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cases = common_cases();
    for case in &cases {
        let file = emit::onnx::emit(&case.fixed).unwrap();
        assert_eq!(file.inexact, Vec::<String>::new(), "{}", case.name);
        std::fs::write(write(folder.path(), case).join("network.onnx"), file.bytes).unwrap();
    }
    all_equal(&run(&python, "onnx", folder.path()), 2 * cases.len());
}

#[test]
fn qonnx_computes_the_same() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    // One image at a time, node by node: a few of each.
    let few = |case: &Case| case.name.ends_with(['0', '3']);
    let cases: Vec<Case> = common_cases().into_iter().filter(few).collect();
    let n = cases.len();
    for mut case in cases {
        case.images.truncate(3);
        let file = emit::qonnx::emit(&case.fixed).unwrap();
        let folder = write(folder.path(), &case);
        std::fs::write(folder.join("network.qonnx.onnx"), file.bytes).unwrap();
    }
    let lines = run(&python, "qonnx", folder.path());
    let wrong: Vec<&String> =
        lines.iter().filter(|line| !line.contains(": 3 of 3 equal")).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(lines.len(), n);
}

#[test]
fn numpy_computes_the_same_from_the_archive_alone() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cases = cases();
    for case in &cases {
        let bytes = emit::npz::emit(&case.fixed).unwrap();
        assert_eq!(Ok(&bytes), emit::npz::emit(&case.fixed).as_ref(), "the same bytes every time");
        std::fs::write(write(folder.path(), case).join("network.npz"), bytes).unwrap();
    }
    all_equal(&run(&python, "npz", folder.path()), cases.len());
}

/// The reference kernels of TensorFlow Lite and XNNPACK compute what the file made for them says; nodes that they may round
/// otherwise are named.
#[test]
fn litert_computes_the_same() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut exact = Vec::new();
    for mut case in cases() {
        let kinds = [("reference", TfliteKernels::Reference), ("xnnpack", TfliteKernels::Xnnpack)];
        for (name, kernels) in kinds {
            let options = TfliteOptions { kernels, int4: case.name.ends_with('2') };
            let Ok(file) = emit::tflite::emit(&case.fixed, options) else { continue };
            let path = folder.path().join(&case.name);
            if !path.exists() {
                write(folder.path(), &case);
                let integers = |image: &Vec<f32>| {
                    let values =
                        run_fixed_on(&case.fixed, image, fixedwise_kernels::Kernels::best());
                    values[0].iter().map(|&q| f64_to_f32(i64_to_f64(q))).collect::<Vec<f32>>()
                };
                case.images = case.images.iter().map(integers).collect();
                let Shape { h, w, c } = case.fixed.nodes[0].shape;
                let images = Array {
                    shape: vec![case.images.len(), h, w, c],
                    data: ArrayData::F32(case.images.concat()),
                };
                std::fs::write(path.join("images.npy"), encode_npy(&images)).unwrap();
            }
            std::fs::write(path.join(format!("{name}.tflite")), file.bytes).unwrap();
            if file.rounded.is_empty() {
                exact.push(format!("{} {name} by {name}", case.name));
            }
        }
    }
    let lines = run(&python, "tflite", folder.path());
    // Some of each network that has a form.
    for network in [
        "branches_up",
        "branches_floor",
        "branches_even",
        "heads_up",
        "constants_up",
        "tables_up",
        "combined_up",
    ] {
        assert!(exact.iter().any(|case| case.starts_with(network)), "{network}: {exact:?}");
    }
    let wanted = format!(": {IMAGES} of {IMAGES} equal");
    for case in exact {
        let line = lines.iter().find(|line| line.starts_with(&case)).unwrap();
        assert!(line.contains(&wanted), "{line}");
    }
}

/// Sums inside layers are sums of rounded values there, a few steps off; Vela leaves no operator to the processor.
#[test]
fn sums_inside_layers_are_close_and_run_on_an_npu() {
    let Some(python) = python() else { return };
    let graph = resnet8();
    let mut random = Random::new(4);
    let n = graph.input_shape().len();
    let images: Vec<Vec<f32>> =
        (0..4).map(|_| random.floats(n, 0.0, 255.9).iter().map(|x| x.floor()).collect()).collect();
    let fixed = integers_of(&graph, &images, |_| [8, 8]);
    let sums: Vec<String> = fixed
        .nodes
        .iter()
        .filter(|node| node.op.get::<FixedConv>().is_some_and(|conv| conv.residual.is_some()))
        .map(|node| node.name.clone())
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let case = Case { name: "resnet".to_owned(), fixed, images };
    let path = write(folder.path(), &case);
    let file = emit::tflite::emit(&case.fixed, TfliteOptions::default()).unwrap();
    assert!(sums.len() == 3 && sums.iter().all(|sum| file.rounded.contains(sum)), "{sums:?}");
    std::fs::write(path.join("reference.tflite"), file.bytes).unwrap();
    assert_eq!(run(&python, "vela", folder.path()), ["resnet reference: CPU operators = 0 (0.0%)"]);
    let lines = run(&python, "tflite", folder.path());
    let (_, steps) = lines[0].split_once('(').unwrap();
    let steps: u32 = steps.split(' ').next().unwrap().parse().unwrap();
    assert!((1..=12).contains(&steps), "{lines:?}");
}

/// All that TensorFlow Lite has no form of is named at once, with the way out.
#[test]
fn what_tensorflow_lite_cannot_express_is_listed() {
    let graph = everything();
    let plan = plan(&graph, Rounding::TiesUp, 0, Format::unsigned(8, 0));
    let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
    let error = emit::tflite::emit(&fixed, TfliteOptions::default()).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines[0], "the form `tflite` cannot express:", "{error}");
    for (line, (node, way)) in lines[1..].iter().zip([
        ("max", "normalize before the activation"),
        ("depthwise", "use a ReLU"),
        ("average", "count the padding"),
    ]) {
        assert!(line.starts_with(&format!("  node `{node}`: ")) && line.contains(way), "{error}");
    }
    assert_eq!(lines.len(), 4, "{error}");
}

/// hls4ml reads the configuration, and what it makes of the QONNX file with it computes the same.
#[test]
fn hls4ml_computes_the_same() {
    let Some(python) = python() else { return };
    // It compiles what hls4ml writes.
    if !has_programs(&["g++"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // HLS has no tables of functions, no maps and no products of two values.
    let is_typed = |case: &&Case| {
        let refused = ["functions", "maps", "attention", "constants", "tables"];
        case.name.ends_with("up_0") && !refused.iter().any(|name| case.name.starts_with(name))
    };
    for case in common_cases().iter().filter(is_typed) {
        let folder = write(folder.path(), case);
        let files = emit::hls::emit(&case.fixed, "network").unwrap();
        std::fs::write(folder.join("network.yml"), files.config).unwrap();
        let network = emit::qonnx::emit(&case.fixed).unwrap();
        std::fs::write(folder.join("network.qonnx.onnx"), network.bytes).unwrap();
        std::fs::write(folder.join("network_types.h"), files.header).unwrap();
        std::fs::write(folder.join("check.cpp"), type_check(&case.fixed)).unwrap();
    }
    let lines = run(&python, "hls", folder.path());
    let wanted = [
        "branches_up_0: types as expected",
        "branches_up_0: 24 of 24 equal, 24 the same class",
        "combined_up_0: types as expected",
        "everything_up_0: types as expected",
        "heads_up_0: types as expected",
        "orders_up_0: types as expected",
        "pairs_up_0: types as expected",
        "residuals_up_0: types as expected",
        "windows_up_0: types as expected",
    ];
    assert_eq!(lines, wanted);
}

/// A program that brings sums of each layer to its result's type, and fails where that is not what
/// the integer network makes of them.
fn type_check(fixed: &FixedGraph) -> String {
    let mut text = "#include \"network_types.h\"\nint main() {\n  int wrong = 0;\n".to_owned();
    let mut random = Random::new(77);
    for node in &fixed.nodes {
        let Some(op) = node.op.get::<FixedConv>() else { continue };
        let how = &op.requantization;
        if how.leaky.is_some() || (how.min, how.max) != (node.format.min(), node.format.max()) {
            continue;
        }
        let frac = i32::from(op.weights_format.frac) + i32::from(op.input.frac);
        let name: String = node.name.replace('/', "_");
        for _ in 0..40 {
            let reach = 1_usize << (node.accumulator_bits - 1).min(30);
            let acc =
                i64::try_from(random.below(reach)).unwrap() - i64::try_from(reach / 2).unwrap();
            let sum = i64_to_f64(acc) * exp2(-frac);
            let result = node.format.dequantize(how.apply(acc));
            text.push_str(&format!(
                "  wrong += {name}_result_t({name}_accum_t({sum:?})).to_double() != {result:?};\n"
            ));
        }
    }
    text + "  return wrong != 0;\n}\n"
}

#[test]
fn steps_beyond_floats_are_refused() {
    let mut b = Build::new(Shape::vector(2), 1);
    b.gemm("dense", 0, 3);
    let graph = b.finish();
    let mut plan = plan(&graph, Rounding::TiesUp, 0, Format::unsigned(8, 60));
    plan.layers[0].weights = Some(Format::signed(4, 55));
    plan.layers[0].activation = Some(Format::signed(8, 100));
    plan.layers[0].bias = Some(Format::signed(1, 0));
    let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
    let error = emit::onnx::emit(&fixed).unwrap_err().to_string();
    assert!(error.starts_with("node `dense`: its step is 2^-115"), "{error}");
    assert_eq!(emit::qonnx::emit(&fixed).unwrap_err().to_string(), error);
}

/// 16 bits everywhere: what float sums cannot hold is said.
#[test]
fn sums_that_floats_may_round_are_named() {
    let mut b = Build::new(Shape::new(6, 6, 3), 2);
    let x = b.conv("wide", 0, 4, &window(3, 1, 1), 1);
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    b.gemm("narrow", x, 3);
    let graph = b.finish();
    let mut plan = plan(&graph, Rounding::TiesUp, 0, Format::unsigned(8, 0));
    plan.layers[0].weights = Some(Format::signed(16, 15));
    plan.layers[0].activation = Some(Format::signed(8, 0));
    plan.layers[1].activation = Some(Format::signed(8, 0));
    let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
    assert_eq!(emit::onnx::emit(&fixed).unwrap().inexact, ["wide"]);
}
