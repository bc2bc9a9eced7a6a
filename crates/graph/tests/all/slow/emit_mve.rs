//! Kernels for vectors (MVE) give the executor's integers, for many shapes, widths and elements, on an
//! emulated Cortex-M55 and in their plain C on the host.

use fixedwise_fixed::{Format, Rounding};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, LayerPlan, Plan, Quantizer, Semantics, Shape,
    emit::c::{self, COptions},
    lower,
    ops::{Concat, GlobalAveragePool, Relu, Window},
    passes,
};
use fixedwise_testing::{Build, Core, Emitted, Random, by_channel};

const CORES: [Core; 2] = [Core::Host, Core::CortexM55];

/// Kernel, stride, padding before and after, output channels, groups.
type Layer = ([usize; 2], [usize; 2], [usize; 2], [usize; 2], usize, usize);

fn square(kernel: usize, stride: usize, pad: usize, channels: usize) -> Layer {
    ([kernel; 2], [stride; 2], [pad; 2], [pad; 2], channels, 1)
}

fn depthwise(kernel: usize, stride: usize, pad: usize, channels: usize) -> Layer {
    ([kernel; 2], [stride; 2], [pad; 2], [pad; 2], channels, channels)
}

fn window(&(kernel, stride, pad_begin, pad_end, _, _): &Layer) -> Window {
    Window { kernel, stride, dilation: [1, 1], pad_begin, pad_end, ceil: false }
}

/// Layers side by side over the input, or over its normalization (then biases depend on the position),
/// every other one with a ReLU.
fn graph(input: Shape, layers: &[Layer], is_affine: bool) -> Graph {
    let mut b = Build::new(input, 7);
    let x = if is_affine { b.affine("affine", 0) } else { 0 };
    let mut ends = Vec::new();
    for (i, layer) in layers.iter().enumerate() {
        let y = b.conv(&format!("conv_{i}"), x, layer.4, &window(layer), layer.5);
        let y = if i % 2 == 0 { b.push(&format!("relu_{i}"), Relu, vec![y]) } else { y };
        ends.push(b.push(&format!("mean_{i}"), GlobalAveragePool, vec![y]));
    }
    let mut x = ends[0];
    for (i, &end) in ends.iter().enumerate().skip(1) {
        x = b.push(&format!("concat_{i}"), Concat { axis: 2 }, vec![x, end]);
    }
    let x = b.gemm("dense_1", x, 13);
    b.gemm("dense_2", x, 6);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Weights of so many bits, in the narrow or in the full range.
#[derive(Clone, Copy)]
struct Widths {
    weights: u8,
    is_full: bool,
    input: Format,
    rounding: Rounding,
    /// Of activations: bits, and fractional bits of those without sign.
    activation: (u8, i8),
    /// Whether output channels have binary points of their own.
    by_channel: bool,
}

fn widths(weights: u8) -> Widths {
    let input = Format::unsigned(8, 0);
    let (rounding, activation) = (Rounding::TiesUp, (8, -2));
    Widths { weights, is_full: false, input, rounding, activation, by_channel: false }
}

impl Widths {
    fn lower(self, graph: &Graph) -> FixedGraph {
        let nonnegative = graph.nonnegative(|_| true);
        let frac = i8::try_from(self.weights).unwrap();
        let signed = if self.is_full { Format::full } else { Format::signed };
        let (bits, activation_frac) = self.activation;
        let layer = |(id, node): (usize, &fixedwise_graph::Node)| LayerPlan {
            name: node.name.clone(),
            weights: Some(if self.weights == 1 {
                Format::bipolar(1)
            } else {
                signed(self.weights, frac)
            }),
            bias: None,
            activation: Some(if nonnegative[id] {
                Format::unsigned(bits, activation_frac)
            } else {
                signed(bits, activation_frac - 1)
            }),
        };
        let mut plan = Plan {
            semantics: Semantics::Integer,
            quantizer: Quantizer::Uniform,
            rounding: self.rounding,
            input: self.input,
            layers: graph.layers().map(layer).collect(),
            rounded: std::collections::BTreeMap::new(),
            thinned: None,
            others: std::collections::BTreeMap::new(),
        };
        if self.by_channel {
            by_channel(graph, &mut plan);
        }
        lower(graph, &plan, AccumulatorPolicy::Prove32).unwrap()
    }
}

/// The darkest and the brightest image, both in turn, and random ones.
fn images(shape: Shape) -> Vec<Vec<f32>> {
    let n = shape.len();
    let mut random = Random::new(9);
    let turns = (0..n).map(|i| if i % 3 == 0 { 1e9 } else { -1e9 }).collect();
    let mut images = vec![vec![-1e9; n], vec![1e9; n], turns];
    images.extend((0..2).map(|_| random.floats(n, -60.0, 255.0)));
    images
}

/// Every layer is printed by the kernels for vectors and equals the executor.
#[track_caller]
fn check(graph: &Graph, widths: Widths) {
    let fixed = widths.lower(graph);
    for core in CORES.into_iter().filter(|core| core.is_available()) {
        let options = COptions { core: c::Core::Mve, ..COptions::new("net") };
        let emitted = Emitted::new(core, &fixed, &options, true).unwrap_or_else(|e| panic!("{e}"));
        for layer in &emitted.project.layers {
            let is_layer = layer.name.starts_with("conv_");
            let kernel = &layer.kernel;
            assert!(!is_layer || *kernel == "mve", "{} is printed by {kernel}", layer.name);
        }
        emitted.assert_equals(&fixed, &images(fixed.nodes[0].shape));
    }
}

/// Kernels, strides and paddings of all sorts, for an input of `c` channels.
fn layers(c: usize) -> Vec<Layer> {
    vec![
        square(3, 1, 1, 8),
        square(3, 2, 1, 5),
        square(5, 1, 2, 6),
        square(1, 1, 0, 7),
        square(1, 2, 0, 4),
        square(2, 1, 0, 1),
        square(7, 3, 3, 2),
        ([1, 4], [1, 2], [0, 1], [0, 2], 3, 1),
        ([4, 1], [3, 3], [2, 0], [1, 0], 3, 1),
        ([3, 3], [4, 4], [0, 1], [1, 0], 6, 1),
        ([13, 11], [1, 1], [0, 0], [0, 0], 9, 1),
        depthwise(3, 1, 1, c),
        depthwise(3, 2, 1, c),
        depthwise(5, 1, 2, c),
        ([4, 2], [1, 1], [0, 1], [2, 0], c, c),
        ([1, 1], [2, 2], [0, 0], [0, 0], c, c),
    ]
    .into_iter()
    .filter(|&(.., groups)| c > 1 || groups == 1)
    .collect()
}

#[test]
fn every_shape_equals_the_executor() {
    for (c, weights) in [(1, 8), (3, 4), (4, 2), (6, 8), (19, 4), (5, 1), (3, 3), (5, 7)] {
        check(&graph(Shape::new(13, 11, c), &layers(c), false), widths(weights));
    }
}

/// Windows of at most two vectors, odd and even rows of the output, whole and partial blocks of channels.
#[test]
fn few_input_channels_equal_the_executor() {
    let layers = [
        square(3, 1, 1, 8),
        square(3, 2, 1, 5),
        square(2, 1, 0, 3),
        square(1, 2, 0, 4),
        ([3, 3], [1, 2], [1, 0], [0, 1], 12, 1),
        ([1, 5], [2, 1], [0, 4], [0, 3], 6, 1),
        ([4, 1], [1, 1], [3, 0], [2, 0], 4, 1),
        ([2, 3], [3, 3], [0, 2], [1, 2], 7, 1),
    ];
    for (w, c, bits) in [(12, 1, 3), (13, 2, 5), (17, 3, 6), (16, 3, 7), (9, 5, 3)] {
        let graph = graph(Shape::new(9, w, c), &layers, false);
        check(&graph, widths(bits));
        for weights in [8, 4, 2] {
            for is_full in [false, true] {
                check(&graph, Widths { is_full, ..widths(weights) });
            }
        }
        for input in [Format::full(8, 0), Format::unsigned(7, 0)] {
            check(&graph, Widths { input, rounding: Rounding::Floor, ..widths(4) });
        }
    }
}

/// Outputs of every width, near to the sums and far from them, with and without their lowest value.
#[test]
fn every_output_of_few_input_channels_equals_the_executor() {
    let layers = [square(3, 1, 1, 8), square(3, 2, 1, 40), square(2, 1, 0, 4), square(1, 2, 0, 4)];
    let graph = graph(Shape::new(9, 17, 3), &layers, false);
    for bits in [2, 4, 7, 8] {
        // Shifts from 1 to 16, and beyond.
        for frac in [7, -2, -5, -14] {
            let widths = Widths { activation: (bits, frac), ..widths(8) };
            check(&graph, Widths { is_full: frac % 2 == 0, ..widths });
        }
    }
}

#[test]
fn every_width_and_element_equals_the_executor() {
    let layers = [
        square(3, 1, 1, 8),
        square(3, 2, 0, 7),
        square(1, 1, 0, 6),
        depthwise(3, 1, 1, 40),
        ([5, 6], [1, 1], [0, 0], [0, 0], 9, 1),
    ];
    for is_affine in [false, true] {
        let graph = graph(Shape::new(5, 6, 40), &layers, is_affine);
        for weights in 1..=8 {
            // Only sums of weights in a byte have to do with the most negative integer.
            for is_full in [false, true].into_iter().take(if 8 % weights == 0 { 2 } else { 1 }) {
                check(&graph, Widths { is_full, ..widths(weights) });
            }
        }
        for input in [Format::signed(8, -1), Format::full(8, 0), Format::unsigned(7, 0)] {
            check(&graph, Widths { input, rounding: Rounding::Floor, ..widths(4) });
        }
    }
}

#[test]
fn binary_points_of_channels_equal_the_executor() {
    for (c, weights, is_full) in
        [(1, 8, true), (3, 4, true), (8, 2, false), (19, 4, false), (4, 5, true)]
    {
        for is_affine in [false, true] {
            let graph = graph(Shape::new(13, 11, c), &layers(c), is_affine);
            check(&graph, Widths { by_channel: true, is_full, ..widths(weights) });
        }
    }
}

/// Instructions for a thousand multiply-accumulates of a layer alone.
fn count(input: Shape, layer: Layer, weights: u8) -> u64 {
    let mut b = Build::new(input, 2);
    let x = b.conv("conv_1", 0, layer.4, &window(&layer), layer.5);
    b.push("relu", Relu, vec![x]);
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
    let macs = |node: &fixedwise_graph::Node| {
        node.op.weights().map_or(0, <[f32]>::len) * node.shape.h * node.shape.w
    };
    let macs = u64::try_from(graph.nodes.iter().map(macs).sum::<usize>()).unwrap();
    let fixed = widths(weights).lower(&graph);
    let options = COptions { core: c::Core::Mve, flows: false, ..COptions::new("net") };
    let emitted = Emitted::new(Core::CortexM55, &fixed, &options, false).unwrap();
    emitted.assert_equals(&fixed, &images(input)[3..4])[0] * 1000 / macs
}

#[test]
fn few_instructions_do_a_multiply_accumulate() {
    if !Core::CortexM55.is_available() {
        return;
    }
    let cases = [
        (Shape::new(12, 12, 32), square(3, 1, 1, 64), 140),
        (Shape::new(13, 11, 32), square(3, 1, 1, 64), 145),
        (Shape::new(12, 12, 32), square(3, 2, 1, 64), 145),
        (Shape::new(12, 12, 32), square(5, 1, 2, 64), 130),
        (Shape::new(32, 32, 3), square(3, 1, 1, 16), 182),
        (Shape::new(48, 48, 3), square(3, 2, 1, 8), 207),
        (Shape::new(28, 28, 1), square(3, 1, 1, 32), 330),
        (Shape::new(32, 32, 16), square(1, 2, 0, 32), 203),
        (Shape::new(12, 12, 64), square(1, 1, 0, 64), 195),
        (Shape::new(12, 12, 64), depthwise(3, 1, 1, 64), 2220),
        (Shape::new(1, 1, 1024), square(1, 1, 0, 64), 190),
    ];
    // Those of which two vectors have bits of one weight.
    let shared = [
        (Shape::new(12, 12, 32), square(3, 1, 1, 64), 220),
        (Shape::new(13, 11, 32), square(3, 1, 1, 64), 230),
        (Shape::new(32, 32, 3), square(3, 1, 1, 16), 190),
        (Shape::new(32, 32, 16), square(3, 1, 1, 16), 270),
    ];
    let mut above = Vec::new();
    let mut check = |(input, layer, most): (Shape, Layer, u64), widths: &[u8]| {
        let figures: Vec<u64> =
            widths.iter().map(|&weights| count(input, layer, weights)).collect();
        if figures.iter().any(|&figure| figure > most) {
            above.push(format!("{input:?} {layer:?}: {figures:?} / 1000, at most {most}"));
        }
    };
    cases.into_iter().for_each(|case| check(case, &[8, 4, 2]));
    shared.into_iter().for_each(|case| check(case, &[3, 5, 6, 7]));
    assert!(above.is_empty(), "{above:#?}");
}
