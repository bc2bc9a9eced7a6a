//! Trained networks as integers, for tests of what is computed with them.

use crate::project;
use fixedwise_codec::{idx, onnx};
use fixedwise_fixed::{Format, Rounding, convert::i64_to_f64};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, LayerPlan, Op, Plan, Quantizer, Semantics, Shape,
    from_onnx, lower, passes,
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
    let graph = passes::insert_preprocessing(&graph, scale, vec![0.0; channels]).expect("valid");
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
        } else if matches!(node.op, Op::Add(_)) {
            others.insert(node.name.clone(), activation);
        }
    }
    let plan = Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding: Rounding::TiesUp,
        input: Format::unsigned(8, 0),
        layers,
        others,
    };
    lower(graph, &plan, AccumulatorPolicy::Prove32).expect("a plan that can be proved")
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
