//! Trained networks as integers, for tests of what is computed with them.

use crate::{Build, project};
use fixedwise_codec::{idx, onnx};
use fixedwise_fixed::{
    Format, Rounding,
    convert::{i64_to_f64, saturating_i16},
};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, LayerPlan, Node, Plan, Quantizer, Rounded, Semantics,
    Shape, from_onnx, lower,
    ops::{
        Add, Affine, Concat, GlobalAveragePool, IndexMap, LiftedFunction, MaxPool, Relu, Window,
    },
    passes,
    run::{Program, ValueRef, Workspace},
};
use fixedwise_kernels::Kernels;
use std::path::Path;

/// The network of an ONNX file, for raw 8-bit pixels, which it takes divided by 255; prepared for
/// integers.
///
/// # Panics
/// Where the file is no network we read.
pub fn raw_pixel_network(path: &Path) -> Graph {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = onnx::parse_model(&bytes, &|_| Err("no other file".to_owned())).expect("ONNX");
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let graph = from_onnx(&file, &name).expect("a network");
    let channels = graph.input_shape().c;
    let scale = vec![1.0 / 255.0; channels];
    let graph =
        passes::insert_preprocessing(&graph, vec![Affine { scale, shift: vec![0.0; channels] }])
            .expect("valid");
    passes::prepare(&graph, Semantics::Integer).expect("an integer form")
}

/// The first `n` test images of the Fashion-MNIST in `data/`, raw pixels, enlarged to `shape`
/// without interpolation.
///
/// # Panics
/// Where the file is broken.
pub fn fashion_images(n: usize, shape: Shape) -> Vec<Vec<f32>> {
    let path = project("data/fashion-mnist/t10k-images-idx3-ubyte.gz");
    let bytes = std::fs::read(path).expect("it is part of the project");
    let pixels = idx::read(&bytes, 1 << 24).expect("an IDX file").data;
    let enlarge = |image: &[u8]| {
        let at = |i: usize| {
            let (row, column) = (i / shape.c / shape.w, i / shape.c % shape.w);
            f32::from(image[row * 28 / shape.h * 28 + column * 28 / shape.w])
        };
        (0..shape.len()).map(at).collect()
    };
    pixels.chunks_exact(28 * 28).take(n).map(enlarge).collect()
}

/// A plan for images in steps of 1/64 that gives weights a format and every value with a format of its own the one that
/// `own` says, without sign where the value is lifted, layers first; biases stay at the scale of the accumulator.
pub fn plan_of(graph: &Graph, weights: Format, mut own: impl FnMut(&Node) -> Format) -> Plan {
    let mut own = |node: &Node| match own(node) {
        format if node.op.is::<LiftedFunction>() => {
            Format::unsigned(format.bits.min(15), format.frac)
        }
        format => format,
    };
    let mut layer = |node: &Node| LayerPlan {
        name: node.name.clone(),
        weights: Some(weights),
        bias: None,
        activation: Some(own(node)),
    };
    let layers = graph.layers().map(|(_, node)| layer(node)).collect();
    let others = graph.nodes.iter().filter(|node| !node.op.is_layer() && node.op.has_own_format());
    Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding: Rounding::TiesUp,
        input: Format::unsigned(8, 6),
        layers,
        rounded: std::collections::BTreeMap::new(),
        thinned: None,
        others: others.map(|node| (node.name.clone(), own(node))).collect(),
    }
}

/// The integer network whose layer `i` has weights and activations of `bits(i)` bits, binary points
/// where nothing clips on `images`.
///
/// # Panics
/// Where such a network cannot be proved.
pub fn integers_of(
    graph: &Graph,
    images: &[Vec<f32>],
    bits: impl Fn(usize) -> [u8; 2],
) -> FixedGraph {
    let ranges = ranges(graph, images);
    let mut layers = Vec::new();
    let mut others = std::collections::BTreeMap::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        let [weights, activations] = bits(layers.len());
        let [low, high] = ranges[id];
        let activation = if low >= 0.0 {
            no_clip(Format::unsigned(activations, 0), high)
        } else {
            no_clip(Format::signed(activations, 0), high.max(-low))
        };
        if node.op.is_layer() {
            let largest = |values: &[f32]| values.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
            layers.push(LayerPlan {
                name: node.name.clone(),
                weights: node.op.weights().map(|w| no_clip(Format::signed(weights, 0), largest(w))),
                bias: None,
                activation: Some(activation),
            });
        } else if node.op.has_own_format() {
            others.insert(node.name.clone(), activation);
        }
    }
    let plan = Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding: Rounding::TiesUp,
        input: Format::unsigned(8, 0),
        layers,
        rounded: std::collections::BTreeMap::new(),
        thinned: None,
        others,
    };
    lower(graph, &plan, AccumulatorPolicy::Prove32).expect("a plan that can be proved")
}

/// Gives every output channel of every layer a binary point of its own, and rounds its weights there.
///
/// # Panics
/// Where the plan is of another graph.
pub fn by_channel(graph: &Graph, plan: &mut Plan) {
    for (_, node) in graph.layers() {
        let format = plan.layer(&node.name).and_then(|layer| layer.weights).expect("it has one");
        let (weights, channels) = (node.op.weights().unwrap_or(&[]), node.shape.c);
        let coarser: Vec<u8> = [0, 2, 1, 3].into_iter().cycle().take(channels).collect();
        let round = |(filter, &bits): (&[f32], &u8)| -> Vec<i16> {
            let own = Format { frac: format.frac - bits.cast_signed(), ..format };
            filter.iter().map(|&w| saturating_i16(own.quantize(f64::from(w)))).collect()
        };
        let filters = weights.chunks_exact(weights.len() / channels).zip(&coarser);
        let rounded = Rounded {
            weights: filters.flat_map(round).collect(),
            scales: vec![1.0; channels],
            bias: vec![0.0; channels],
            coarser,
        };
        plan.rounded.insert(node.name.clone(), rounded.into());
    }
}

/// The least and the largest value of each node.
fn ranges(graph: &Graph, images: &[Vec<f32>]) -> Vec<[f32; 2]> {
    let program = Program::float(graph, Kernels::best());
    let all: Vec<usize> = (0..graph.nodes.len()).collect();
    let schedule = program.schedule(&[], &all);
    let mut workspace = Workspace::new();
    let mut ranges = vec![[0.0_f32; 2]; graph.nodes.len()];
    for image in images {
        program.run_observed(&schedule, &mut workspace, image, &[], |id, value| {
            let ValueRef::F32(values) = value else { panic!("a float program has float values") };
            for &x in values {
                ranges[id] = [ranges[id][0].min(x), ranges[id][1].max(x)];
            }
        });
    }
    ranges
}

/// The format with the finest binary point that reaches `largest`.
fn no_clip(format: Format, largest: f32) -> Format {
    let reach = i64_to_f64(format.max().max(1)) / f64::from(largest.max(1e-6));
    let frac = (-40_i8..40).rev().find(|&frac| f64::from(frac) <= reach.log2());
    Format { frac: frac.unwrap_or(0), ..format }
}

/// A network of the shape of `MLPerf` Tiny's ResNet-8 for CIFAR-10 (12.5 M MACs), with random weights.
///
/// # Panics
/// Never: its shapes fit.
pub fn resnet8() -> Graph {
    let window = |kernel: usize, stride: usize| {
        let mut window = Window { kernel: [kernel; 2], stride: [stride; 2], ..Window::pixel() };
        // Keras pads `same` after the last row first.
        let (before, after) = match (kernel, stride) {
            (3, 1) => (1, 1),
            (3, _) => (0, 1),
            _ => (0, 0),
        };
        (window.pad_begin, window.pad_end) = ([before; 2], [after; 2]);
        window
    };
    let mut b = Build::new(Shape::new(32, 32, 3), 8);
    let x = b.conv("conv_1", 0, 16, &window(3, 1), 1);
    let mut x = b.push("relu_1", Relu, vec![x]);
    for (stack, channels) in [16, 32, 64].into_iter().enumerate() {
        let stride = if stack == 0 { 1 } else { 2 };
        let y = b.conv(&format!("stack_{stack}_a"), x, channels, &window(3, stride), 1);
        let y = b.push(&format!("stack_{stack}_relu"), Relu, vec![y]);
        let y = b.conv(&format!("stack_{stack}_b"), y, channels, &window(3, 1), 1);
        let shortcut = if stride == 1 {
            x
        } else {
            b.conv(&format!("stack_{stack}_shortcut"), x, channels, &window(1, stride), 1)
        };
        let sum = b.push(&format!("stack_{stack}_add"), Add, vec![y, shortcut]);
        x = b.push(&format!("stack_{stack}_out"), Relu, vec![sum]);
    }
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    b.gemm("dense", x, 10);
    passes::prepare(&b.finish(), Semantics::Integer).expect("an integer form")
}

/// A network of the shape of `MLPerf` Tiny's DS-CNN for keywords: 49 spectra of 10 coefficients (2.7 M MACs), with random
/// weights.
///
/// # Panics
/// Never: its shapes fit.
pub fn ds_cnn() -> Graph {
    let mut b = Build::new(Shape::new(49, 10, 1), 4);
    let first = Window {
        kernel: [10, 4],
        stride: [2, 2],
        pad_begin: [4, 1],
        pad_end: [5, 1],
        ..Window::pixel()
    };
    let x = b.conv("first", 0, 64, &first, 1);
    let mut x = b.push("first_relu", Relu, vec![x]);
    for i in 0..4 {
        x = b.conv(&format!("depthwise_{i}"), x, 64, &crate::window(3, 1, 1), 64);
        x = b.push(&format!("depthwise_relu_{i}"), Relu, vec![x]);
        x = b.conv(&format!("pointwise_{i}"), x, 64, &crate::window(1, 1, 0), 1);
        x = b.push(&format!("pointwise_relu_{i}"), Relu, vec![x]);
    }
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    b.gemm("dense", x, 12);
    passes::prepare(&b.finish(), Semantics::Integer).expect("an integer form")
}

/// A network of the shape of `MLPerf` Tiny's autoencoder for sounds of machines: dense layers alone (0.26 M MACs), with
/// random weights.
///
/// # Panics
/// Never: its shapes fit.
pub fn autoencoder() -> Graph {
    let mut b = Build::new(Shape::vector(640), 6);
    let mut x = 0;
    for (i, outputs) in [128, 128, 128, 128, 8, 128, 128, 128, 128].into_iter().enumerate() {
        x = b.gemm(&format!("dense_{i}"), x, outputs);
        x = b.push(&format!("relu_{i}"), Relu, vec![x]);
    }
    b.gemm("dense", x, 640);
    passes::prepare(&b.finish(), Semantics::Integer).expect("an integer form")
}

/// `MobileNetV1` of a quarter of the channels, 96x96, as in `MLPerf` Tiny, with random weights.
///
/// # Panics
/// Never: its shapes fit.
pub fn mobilenet() -> Graph {
    let mut b = Build::new(Shape::new(96, 96, 3), 3);
    let mut x = b.conv("stem", 0, 8, &same(3, 2), 1);
    x = b.push("stem_relu", Relu, vec![x]);
    let mut c = 8;
    let blocks = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)];
    let blocks = blocks.into_iter().chain([(128, 1); 5]).chain([(256, 2), (256, 1)]);
    for (i, (channels, stride)) in blocks.enumerate() {
        x = b.conv(&format!("depthwise_{i}"), x, c, &same(3, stride), c);
        x = b.push(&format!("depthwise_relu_{i}"), Relu, vec![x]);
        x = b.conv(&format!("pointwise_{i}"), x, channels, &crate::window(1, 1, 0), 1);
        x = b.push(&format!("pointwise_relu_{i}"), Relu, vec![x]);
        c = channels;
    }
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    b.gemm("dense", x, 2);
    passes::prepare(&b.finish(), Semantics::Integer).expect("an integer form")
}

/// `MobileNetV2` of 0.35 times the channels, 96x96, for two classes, with random weights.
///
/// # Panics
/// Never: its shapes fit.
pub fn mobilenet_v2() -> Graph {
    // By how much a block widens, its channels, how many of it, the stride of the first.
    const BLOCKS: [(usize, usize, usize, usize); 7] = [
        (1, 8, 1, 1),
        (6, 8, 2, 2),
        (6, 16, 3, 2),
        (6, 24, 4, 2),
        (6, 32, 3, 1),
        (6, 56, 3, 2),
        (6, 112, 1, 1),
    ];
    let mut b = Build::new(Shape::new(96, 96, 3), 5);
    let layer = |b: &mut Build, name: String, x, channels, window: &Window, groups| {
        let y = b.conv(&name, x, channels, window, groups);
        b.push(&format!("{name}_relu"), Relu, vec![y])
    };
    let mut x = layer(&mut b, "stem".to_owned(), 0, 16, &same(3, 2), 1);
    let each = |(factor, channels, count, first)| {
        (0..count).map(move |at| (factor, channels, if at == 0 { first } else { 1 }))
    };
    for (i, (factor, channels, stride)) in BLOCKS.into_iter().flat_map(each).enumerate() {
        let (input, wide) = (x, factor * b.shape(x).c);
        if factor > 1 {
            x = layer(&mut b, format!("expand_{i}"), x, wide, &Window::pixel(), 1);
        }
        x = layer(&mut b, format!("depthwise_{i}"), x, wide, &same(3, stride), wide);
        x = b.conv(&format!("project_{i}"), x, channels, &Window::pixel(), 1);
        if b.shape(x) == b.shape(input) {
            x = b.push(&format!("add_{i}"), Add, vec![x, input]);
        }
    }
    let x = layer(&mut b, "last".to_owned(), x, 1280, &Window::pixel(), 1);
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    b.gemm("dense", x, 2);
    passes::prepare(&b.finish(), Semantics::Integer).expect("an integer form")
}

/// A U-Net of 8 to 64 channels, 64x64, which says for each pixel whether it belongs to something: on the way up, pixels are
/// doubled and what was there on the way down is put beside them. With random weights.
///
/// # Panics
/// Never: its shapes fit.
pub fn unet() -> Graph {
    let mut b = Build::new(Shape::new(64, 64, 3), 9);
    let stage = |b: &mut Build, name: String, mut x, channels| {
        for part in ["a", "b"] {
            x = b.conv(&format!("{name}_{part}"), x, channels, &same(3, 1), 1);
            x = b.push(&format!("{name}_{part}_relu"), Relu, vec![x]);
        }
        x
    };
    let (mut x, mut skipped) = (0, Vec::new());
    for (i, channels) in [8, 16, 32].into_iter().enumerate() {
        x = stage(&mut b, format!("down_{i}"), x, channels);
        skipped.push((i, channels, x));
        let window = Window { kernel: [2; 2], stride: [2; 2], ..Window::pixel() };
        x = b.push(&format!("pool_{i}"), MaxPool { window, minimum: vec![] }, vec![x]);
    }
    x = stage(&mut b, "bottom".to_owned(), x, 64);
    for (i, channels, beside) in skipped.into_iter().rev() {
        let Shape { h, w, c, .. } = b.shape(x);
        let twice = |n: usize, step: usize| (0..2 * n).map(move |at| Some(at / 2 * step)).collect();
        let map = IndexMap {
            rows: twice(h, w * c),
            columns: twice(w, c),
            channels: (0..c).map(Some).collect(),
        };
        x = b.push(&format!("twice_{i}"), map, vec![x]);
        x = b.push(&format!("beside_{i}"), Concat { axis: 2 }, vec![beside, x]);
        x = stage(&mut b, format!("up_{i}"), x, channels);
    }
    b.conv("each", x, 1, &Window::pixel(), 1);
    passes::prepare(&b.finish(), Semantics::Integer).expect("an integer form")
}

/// A window whose padding keeps the extents but for the stride; before the first row there is none with a stride of 2, as
/// TensorFlow pads.
fn same(kernel: usize, stride: usize) -> Window {
    match (kernel, stride) {
        (3, 2) => Window { pad_begin: [0, 0], pad_end: [1, 1], ..crate::window(3, 2, 0) },
        (kernel, stride) => crate::window(kernel, stride, kernel / 2),
    }
}
