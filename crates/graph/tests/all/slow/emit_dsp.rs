//! Kernels for the DSP extension give the executor's integers, for many shapes, widths and elements,
//! in their assembly on an emulated Cortex-M4 and in their plain C on the host.

use fixedwise_fixed::{Format, Rounding};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, LayerPlan, Plan, Quantizer, Semantics, Shape,
    emit::c::{self, COptions},
    lower,
    ops::{Clip, Concat, Conv, GlobalAveragePool, Relu, Window},
    passes,
};
use fixedwise_testing::{Build, Core, Emitted, Random, by_channel, compile_c, run_fixed};

/// Kernel, stride, padding before and after, output channels, groups.
type Layer = ([usize; 2], [usize; 2], [usize; 2], [usize; 2], usize, usize);

/// What stands before the layers.
#[derive(Clone, Copy)]
enum Stem {
    Input,
    /// A normalization: biases depend on the position.
    Affine,
    /// A layer, and its ReLU or none.
    Layer(bool),
}

/// Layers side by side over one value.
fn graph(input: Shape, layers: &[Layer], stem: Stem, seed: u64) -> Graph {
    let mut b = Build::new(input, seed);
    let pixel = Window::pixel();
    let x = match stem {
        Stem::Input => 0,
        Stem::Affine => b.affine("affine", 0),
        Stem::Layer(false) => b.conv("conv_in", 0, input.c, &pixel, 1),
        Stem::Layer(true) => {
            let x = b.conv("conv_in", 0, input.c, &pixel, 1);
            b.push("relu_in", Relu, vec![x])
        }
    };
    let mut ends = Vec::new();
    for (i, &(kernel, stride, pad_begin, pad_end, channels, groups)) in layers.iter().enumerate() {
        let window = Window { kernel, stride, dilation: [1, 1], pad_begin, pad_end, ceil: false };
        let y = b.conv(&format!("conv_{i}"), x, channels, &window, groups);
        let y = match i % 3 {
            0 => b.push(&format!("relu_{i}"), Relu, vec![y]),
            1 => y,
            _ => b.push(&format!("clip_{i}"), Clip { min: -100.0, max: 300.0 }, vec![y]),
        };
        ends.push(b.push(&format!("mean_{i}"), GlobalAveragePool, vec![y]));
    }
    let mut x = ends[0];
    for (i, &end) in ends.iter().enumerate().skip(1) {
        x = b.push(&format!("concat_{i}"), Concat { axis: 2 }, vec![x, end]);
    }
    let x = b.gemm("dense_1", x, 13);
    let x = b.push("relu_dense", Relu, vec![x]);
    b.gemm("dense_2", x, 6);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Formats of a network: of weights, of the input, of activations that may be negative and of those
/// that may not.
#[derive(Clone, Copy)]
struct Widths {
    weights: u8,
    input: Format,
    signed: Format,
    unsigned: Format,
    rounding: Rounding,
    /// Whether output channels have binary points of their own.
    by_channel: bool,
}

impl Widths {
    fn lower(&self, graph: &Graph) -> FixedGraph {
        let nonnegative = graph.nonnegative(|_| true);
        let layer = |(id, node): (usize, &fixedwise_graph::Node)| LayerPlan {
            name: node.name.clone(),
            weights: Some(match self.weights {
                1 => Format::bipolar(1),
                bits => Format::full(bits, i8::try_from(bits).unwrap()),
            }),
            bias: None,
            activation: Some(if nonnegative[id] { self.unsigned } else { self.signed }),
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

fn widths(weights: u8) -> Widths {
    Widths {
        weights,
        input: Format::unsigned(8, 0),
        signed: Format::signed(8, -3),
        unsigned: Format::unsigned(8, -2),
        rounding: Rounding::TiesUp,
        by_channel: false,
    }
}

/// The darkest and the brightest image, both in turn, and random ones.
fn images(shape: Shape) -> Vec<Vec<f32>> {
    let n = shape.len();
    let mut random = Random::new(9);
    let turns = (0..n).map(|i| if i % 3 == 0 { 1e9 } else { -1e9 }).collect();
    let mut images = vec![vec![-1e9; n], vec![1e9; n], turns];
    images.extend((0..3).map(|_| random.floats(n, -60.0, 255.0)));
    images
}

/// Every layer is printed by the kernels for the extension and equals the executor.
#[track_caller]
fn check(core: Core, graph: &Graph, widths: Widths) {
    let fixed = widths.lower(graph);
    let packs_activations = widths.signed.bits <= 4;
    let options = COptions { core: c::Core::Dsp, packs_activations, ..COptions::new("net") };
    let emitted = Emitted::new(core, &fixed, &options, true).unwrap_or_else(|e| panic!("{e}"));
    let is_packed = |layer: &c::CLayer| layer.storage.bits() == 4;
    assert_eq!(packs_activations, emitted.project.layers.iter().any(is_packed));
    for layer in &emitted.project.layers {
        let is_layer = layer.name.starts_with("conv") && !layer.name.starts_with("concat");
        assert!(
            !is_layer || layer.kernel == "dsp",
            "{} is printed by {}",
            layer.name,
            layer.kernel
        );
    }
    emitted.assert_equals(&fixed, &images(fixed.nodes[0].shape));
}

/// Multiply-accumulates of the layers named `conv_` and `dense_`.
fn macs(graph: &Graph) -> u64 {
    let of = |node: &fixedwise_graph::Node| {
        node.op.weights().map_or(0, <[f32]>::len) * node.shape.h * node.shape.w
    };
    u64::try_from(graph.nodes.iter().map(of).sum::<usize>()).unwrap()
}

/// A layer alone needs at most so many instructions for a thousand multiply-accumulates.
#[track_caller]
fn count(input: Shape, layer: Layer, weights: u8, most: u64) {
    let mut b = Build::new(input, 2);
    let (kernel, stride, pad_begin, pad_end, channels, groups) = layer;
    let window = Window { kernel, stride, dilation: [1, 1], pad_begin, pad_end, ceil: false };
    let x = b.conv("conv_1", 0, channels, &window, groups);
    b.push("relu", Relu, vec![x]);
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
    let fixed = widths(weights).lower(&graph);
    let options = COptions { core: c::Core::Dsp, flows: false, ..COptions::new("net") };
    let emitted = Emitted::new(Core::CortexM4, &fixed, &options, false).unwrap();
    let instructions = emitted.assert_equals(&fixed, &images(input)[3..4])[0];
    let each = instructions * 1000 / macs(&graph);
    assert!(each <= most, "{layer:?}, {weights} bits: {each} / 1000 instructions, at most {most}");
}

#[test]
fn few_instructions_do_a_multiply_accumulate() {
    if !Core::CortexM4.is_available() {
        return;
    }
    // Two words have bits of one four.
    for weights in [3, 5, 6, 7] {
        count(Shape::new(12, 12, 32), square(3, 1, 1, 64), weights, 1210);
        count(Shape::new(13, 11, 32), square(3, 1, 1, 64), weights, 1250);
        count(Shape::new(32, 32, 16), square(3, 1, 1, 16), weights, 1250);
    }
    // One more sets the bit after the signs.
    count(Shape::new(12, 12, 32), square(3, 1, 1, 64), 1, 1120);
    for weights in [8, 4, 2] {
        count(Shape::new(12, 12, 32), square(3, 1, 1, 64), weights, 1010);
        count(Shape::new(13, 11, 32), square(3, 1, 1, 64), weights, 1050);
        count(Shape::new(12, 12, 32), square(5, 2, 2, 64), weights, 1150);
        count(Shape::new(32, 32, 3), square(3, 1, 1, 16), weights, 1300);
        count(Shape::new(12, 12, 64), square(1, 1, 0, 64), weights, 1100);
        count(Shape::new(12, 12, 64), depthwise(3, 1, 1, 64), weights, 2300);
        count(Shape::new(1, 1, 1024), square(1, 1, 0, 64), weights, 1750);
    }
}

const CORES: [Core; 2] = [Core::Host, Core::CortexM4];

fn square(kernel: usize, stride: usize, pad: usize, channels: usize) -> Layer {
    ([kernel; 2], [stride; 2], [pad; 2], [pad; 2], channels, 1)
}

fn depthwise(kernel: usize, stride: usize, pad: usize, channels: usize) -> Layer {
    ([kernel; 2], [stride; 2], [pad; 2], [pad; 2], channels, channels)
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
    .filter(|&(kernel, _, _, _, _, groups)| (c > 1 || groups == 1) && (kernel[0] <= 11 || c <= 8))
    .collect()
}

#[test]
fn every_shape_equals_the_executor() {
    for core in CORES.into_iter().filter(|core| core.is_available()) {
        for (c, weights) in [(1, 8), (3, 4), (4, 2), (6, 8), (8, 4), (5, 1), (3, 5), (6, 7)] {
            let graph = graph(Shape::new(13, 11, c), &layers(c), Stem::Input, 7);
            check(core, &graph, widths(weights));
        }
    }
}

#[test]
fn every_width_and_element_equals_the_executor() {
    let layers = [
        square(3, 1, 1, 8),
        square(3, 2, 0, 7),
        square(1, 1, 0, 6),
        depthwise(3, 1, 1, 8),
        ([5, 6], [1, 1], [0, 0], [0, 0], 9, 1),
    ];
    let graph = graph(Shape::new(5, 6, 8), &layers, Stem::Input, 11);
    for core in CORES.into_iter().filter(|core| core.is_available()) {
        for weights in [1, 2, 3, 5, 6, 7, 8, 12] {
            check(core, &graph, widths(weights));
        }
        for weights in [4, 8] {
            let signed = Widths { input: Format::signed(8, -1), ..widths(weights) };
            check(core, &graph, signed);
            let wide = Widths {
                input: Format::signed(12, 3),
                signed: Format::full(11, 0),
                unsigned: Format::unsigned(13, 1),
                rounding: Rounding::Floor,
                ..widths(weights)
            };
            check(core, &graph, wide);
        }
    }
}

#[test]
fn binary_points_of_channels_equal_the_executor() {
    for (c, weights) in [(1, 8), (3, 4), (8, 2), (6, 1)] {
        for stem in [Stem::Input, Stem::Affine] {
            let graph = graph(Shape::new(13, 11, c), &layers(c), stem, 23);
            for core in CORES.into_iter().filter(|core| core.is_available()) {
                check(core, &graph, Widths { by_channel: true, ..widths(weights) });
            }
        }
    }
    let layers = [square(3, 1, 1, 8), square(1, 1, 0, 6), depthwise(3, 1, 1, 6)];
    let graph = graph(Shape::new(5, 6, 6), &layers, Stem::Layer(true), 13);
    let (signed, unsigned) = (Format::full(4, -5), Format::unsigned(4, -5));
    for core in CORES.into_iter().filter(|core| core.is_available()) {
        check(core, &graph, Widths { by_channel: true, signed, unsigned, ..widths(4) });
    }
}

#[test]
fn packed_activations_equal_the_executor() {
    for (is_relu, weights) in [(true, 4), (false, 2), (true, 8)] {
        let layers = [
            square(3, 1, 1, 8),
            square(3, 2, 0, 6),
            square(1, 1, 0, 6),
            square(1, 2, 0, 2),
            depthwise(3, 1, 1, 6),
            ([5, 6], [1, 1], [0, 0], [0, 0], 10, 1),
        ];
        let graph = graph(Shape::new(5, 6, 6), &layers, Stem::Layer(is_relu), 13);
        let narrow = Widths {
            signed: Format::full(4, -5),
            unsigned: Format::unsigned(4, -5),
            ..widths(weights)
        };
        for core in CORES.into_iter().filter(|core| core.is_available()) {
            check(core, &graph, narrow);
        }
    }
}

#[test]
fn biases_of_borders_equal_the_executor() {
    for core in CORES.into_iter().filter(|core| core.is_available()) {
        for (c, weights) in [(1, 4), (3, 8), (8, 2)] {
            let mut layers = vec![square(3, 1, 1, 8), square(5, 2, 2, 3)];
            layers.extend((c > 1).then(|| depthwise(3, 1, 1, c)));
            let graph = graph(Shape::new(9, 7, c), &layers, Stem::Affine, 5);
            check(core, &graph, widths(weights));
        }
    }
}

/// With weights and inputs at their ends the sums take all the bits that they may have where weights
/// are the top of a lane.
#[test]
fn the_largest_sums_equal_the_executor() {
    let input = Shape::new(2, 3, 252);
    let constant = |weight: f32, window: Window, channels: usize| Conv {
        weights: vec![weight; channels * window.kernel[0] * window.kernel[1] * input.c],
        window,
        groups: 1,
        channels,
        bias: vec![0.0; channels],
        tap_bias: vec![],
    };
    for weight in [-0.5, 0.5] {
        let mut b = Build::new(input, 1);
        let x = b.push("conv_1", constant(weight, Window::pixel(), 6), vec![0]);
        let y = b.push("conv_2", constant(weight, Window::whole(input), 5), vec![0]);
        let x = b.push("mean_1", GlobalAveragePool, vec![x]);
        b.push("concat", Concat { axis: 2 }, vec![x, y]);
        let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
        for core in CORES.into_iter().filter(|core| core.is_available()) {
            for weights in [1, 2, 4, 8] {
                let signed = Format::signed(8, -9);
                check(core, &graph, Widths { signed, ..widths(weights) });
            }
        }
    }
}

#[test]
fn every_core_with_the_extension_equals_the_executor() {
    let layers = [square(3, 1, 1, 6), square(1, 1, 0, 12), depthwise(3, 1, 1, 3)];
    let graph = graph(Shape::new(6, 7, 3), &layers, Stem::Input, 17);
    let cores = [Core::CortexM7, Core::CortexM33, Core::CortexM55];
    for core in cores.into_iter().filter(|core| core.is_available()) {
        check(core, &graph, widths(4));
    }
}

/// The caller's input may lie anywhere.
#[test]
fn an_unaligned_input_is_read() {
    const DRIVER: &str = r#"
#include "device.h"
#include "net.h"
static union { uint32_t word; uint8_t bytes[NET_INPUT_SIZE + 4]; } input;
static net_output output[NET_OUTPUT_SIZE];
static net_arena arena;
int main(void)
{
    for (int i = 0; i < 4; i++) {
        if (device_read(input.bytes + i, NET_INPUT_SIZE) != NET_INPUT_SIZE) {
            return 1;
        }
        net_run(input.bytes + i, output, &arena);
        device_write(output, sizeof output);
    }
    return 0;
}
"#;
    for shape in [Shape::new(6, 6, 8), Shape::new(5, 5, 3), Shape::new(1, 1, 40)] {
        let kernel = shape.h.min(3);
        let layers = [square(kernel, 1, 0, 6), square(1, 1, 0, 12)];
        let graph = graph(shape, &layers, Stem::Input, 19);
        let fixed = widths(8).lower(&graph);
        let options = COptions { core: c::Core::Dsp, ..COptions::new("net") };
        let project = c::emit(&fixed, &options, &[]).unwrap();
        let file = |name: &str| project.files.iter().find(|(file, _)| file == name).unwrap();
        let (source, header) = (&file("net.c").1, &file("net.h").1);
        let sources = [("net.c", source.as_str()), ("driver.c", DRIVER)];
        for core in CORES.into_iter().filter(|core| core.is_available()) {
            let program = compile_c(core, &sources, &[("net.h", header)], &[]).unwrap();
            let image: Vec<u8> =
                (0..shape.len()).map(|i| u8::try_from(i * 97 % 256).unwrap()).collect();
            let output = program.run(&image.repeat(4)).unwrap().output;
            let image: Vec<f32> = image.into_iter().map(f32::from).collect();
            let expected = &run_fixed(&fixed, &image)[fixed.output()];
            let expected: Vec<u8> = expected.iter().map(|y| y.to_le_bytes()[0]).collect();
            assert_eq!(output, expected.repeat(4), "{}, {shape:?}", core.name());
        }
    }
}

#[test]
fn many_channels_equal_the_executor() {
    let layers = [square(3, 1, 1, 10), square(1, 1, 0, 12), depthwise(3, 1, 1, 96)];
    let graph = graph(Shape::new(4, 5, 96), &layers, Stem::Input, 3);
    for core in CORES.into_iter().filter(|core| core.is_available()) {
        for weights in [1, 2, 4, 8] {
            check(core, &graph, widths(weights));
        }
    }
}
