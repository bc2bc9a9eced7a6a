//! Weights of three values are stored five to a byte, and give the executor's integers.

use fixedwise_fixed::{Format, convert::count_to_f64};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Semantics, Shape,
    emit::c::{self, COptions, Cpu, WeightCode, WeightPlace, emit},
    footprint::ValueMemory,
    lower,
    ops::{Affine, FixedConv, GlobalAveragePool, Relu, Window},
    passes,
    target::{Code, Target, Widths},
};
use fixedwise_testing::{Build, Core, Emitted, Random, plan_of, window};

/// Kernel, stride, padding, output channels.
type Layer = (usize, usize, usize, usize);

/// Layers one after the other whose weights have three values, in formats of `bits`; the last one is dense. The first one, of
/// that stride, has others, and most memory is in use while it runs.
fn network(
    input: Shape,
    stride: usize,
    layers: &[Layer],
    outputs: usize,
    bits: u8,
    activation: Format,
) -> FixedGraph {
    let mut b = Build::new(input, 13);
    let mut x = b.conv("stem", 0, input.c, &window(5, stride, 2), 1);
    x = b.push("relu", Relu, vec![x]);
    for (i, &(kernel, stride, pad, channels)) in layers.iter().enumerate() {
        let window = window(kernel, stride, pad);
        x = b.conv_of_three(&format!("conv_{i}"), x, channels, &window, 0.5);
        x = b.push(&format!("relu_{i}"), Relu, vec![x]);
        // The next layer's bias depends on the position where its window reaches beyond the border.
        if i == 0 && layers.len() > 1 {
            let shift = (0..channels).map(|channel| [0.25, -0.5, 1.0][channel % 3]).collect();
            let affine = Affine { scale: vec![1.0; channels], shift };
            x = b.push("shift", affine, vec![x]);
        }
    }
    if outputs > 0 {
        x = b.push("mean", GlobalAveragePool, vec![x]);
        b.conv_of_three("dense", x, outputs, &Window::pixel(), 0.5);
    }
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
    let weights = Format::signed(bits, i8::try_from(bits).unwrap() - 1);
    lower(&graph, &plan_of(&graph, weights, |_| activation), AccumulatorPolicy::Prove32).unwrap()
}

pub(super) fn images(fixed: &FixedGraph, n: usize) -> Vec<Vec<f32>> {
    let shape = fixed.nodes[fixed.inputs[0]].shape;
    let mut random = Random::new(7);
    let mut images = vec![vec![-9.0; shape.len()], vec![9.0; shape.len()]];
    images.extend((0..n).map(|_| random.floats(shape.len(), -1.0, 4.0)));
    images
}

const BYTE: Format = Format::unsigned(8, 2);

/// Convolutions whose rows are even and odd, with strides, and pixels; a dense layer.
fn layered(bits: u8, activation: Format) -> FixedGraph {
    let layers = [(3, 1, 1, 24), (3, 2, 1, 32), (1, 1, 0, 80), (1, 2, 0, 30)];
    network(Shape::new(18, 16, 16), 2, &layers, 84, bits, activation)
}

#[test]
fn weights_of_three_values_give_the_executors_integers() {
    let narrow = Format::unsigned(4, 0);
    for (core, code) in [
        (Core::Host, c::Core::Portable),
        (Core::Host, c::Core::Dsp),
        (Core::CortexM3, c::Core::Portable),
        (Core::CortexM4, c::Core::Dsp),
    ] {
        if !core.is_available() {
            continue;
        }
        for (bits, activation, flows, place) in [
            (3, BYTE, true, WeightPlace::Constants),
            (5, BYTE, false, WeightPlace::File),
            (8, narrow, true, WeightPlace::Constants),
        ] {
            let fixed = layered(bits, activation);
            let packs_activations = activation.bits <= 4;
            let own = COptions::new("net");
            let options = COptions { core: code, flows, place, packs_activations, ..own };
            let layers = emit(&fixed, &options, &[]).unwrap().layers;
            let is_packed = |layer: &&c::CLayer| layer.weight_code == WeightCode::Digits;
            let packed = layers.iter().filter(is_packed).count();
            let id = fixed.nodes.iter().position(|node| node.name == "conv_1").unwrap();
            let conv = fixed.nodes[id].op.get::<FixedConv>().unwrap();
            assert!(conv.bias.values.len() > conv.channels, "its bias depends on the position");
            assert!(packed > 0, "{core:?}, {code:?}, {bits} bits");
            let emitted = Emitted::new(core, &fixed, &options, true).unwrap();
            emitted.assert_equals(&fixed, &images(&fixed, 1));
        }
    }
}

#[test]
fn weights_of_three_values_take_a_fifth_of_a_byte() {
    // The last one has rows for which two bits are not unpacked.
    let wide = [(3, 1, 1, 128), (3, 1, 1, 64), (3, 1, 1, 32), (3, 2, 1, 128)];
    let wide = network(Shape::new(26, 26, 32), 2, &wide, 0, 2, BYTE);
    let networks = [(2_u8, wide), (3, layered(3, BYTE)), (8, layered(8, BYTE))];
    for code in &[c::Core::Portable, c::Core::Dsp] {
        for (bits, fixed) in &networks {
            let target = Target {
                weight_bits: Widths::Listed(vec![1, 2, 3, 4, 5, 6, 7, 8, 16]),
                code: Code::C(*code),
                ..Target::default()
            };
            let own = target.c_options("net").unwrap();
            let zeros = |id: usize| vec![vec![0; fixed.nodes[id].shape.len()]];
            let golden = c::Golden {
                inputs: zeros(fixed.inputs[0]),
                outputs: zeros(fixed.output_nodes()[0]),
            };
            let project = emit(fixed, &own, &[golden]).unwrap();
            // What unpacks them takes no memory that others do not take before or after.
            let formats: Vec<Format> = fixed.nodes.iter().map(|node| node.format).collect();
            let of_fields = ValueMemory::new(fixed, &target).plan(&formats).bytes;
            assert!(project.arena_bytes <= of_fields, "{code:?}, {bits} bits");
            // Where widths are stored that are none of these, they stay.
            let weights = c::WeightStorage::Widths(vec![8, 16]);
            let whole = emit(fixed, &COptions { weights, ..own }, &[]).unwrap();
            let (mut packed, mut as_they_are) = (0, Vec::new());
            for (id, node) in fixed.nodes.iter().enumerate() {
                let Some(conv) = node.op.get::<FixedConv>() else { continue };
                let count = conv.weights.len();
                let [bytes, of_whole] = [&project, &whole].map(|c| c.layers[id].constant_bytes);
                assert!(of_whole >= count, "{code:?}, {bits} bits, {}", node.name);
                // Biases and descriptions, and less than what unpacks them.
                let most = count / 5 + count / 80 + 6 * conv.bias.values.len() + 128;
                let width = count * usize::from(*bits) / 8;
                let is_three = node.name != "stem" && width > count / 5 + 1100;
                if project.layers[id].weight_code == WeightCode::Digits {
                    packed += 1;
                    assert!(bytes < most, "{code:?}, {bits} bits, {}: {bytes}", node.name);
                } else if is_three {
                    as_they_are.push(node.name.as_str());
                }
            }
            assert!(packed > 0, "{code:?}, {bits} bits");
            let told = |(_, text): &(String, String)| text.contains("`, five to a byte |");
            assert!(project.files.iter().any(told), "{code:?}, {bits} bits");
            // These read weights where they lie, and most memory is in use while they run; rows of `conv_3` have 7 pixels.
            let expected: &[&str] = match (code, bits) {
                (c::Core::Portable, 8) => &["conv_0", "conv_1"],
                (c::Core::Dsp, 2) => &["conv_1", "conv_3"],
                _ => &[],
            };
            assert_eq!(as_they_are, expected, "{code:?}, {bits} bits");
        }
    }
}

#[test]
fn blocks_of_three_values_are_unpacked_in_few_instructions() {
    if !Core::CortexM4.is_available() {
        return;
    }
    for (shape, layer) in
        [(Shape::new(12, 12, 32), (3, 1, 1, 64)), (Shape::new(32, 32, 16), (3, 1, 1, 16))]
    {
        let fixed = network(shape, 1, &[layer], 0, 8, BYTE);
        let options = COptions { core: c::Core::Dsp, flows: false, ..COptions::new("net") };
        let project = emit(&fixed, &options, &[]).unwrap();
        let input = vec![100; shape.len()];
        let id = fixed.nodes.iter().position(|node| node.name == "conv_0").unwrap();
        assert_eq!(project.layers[id].weight_code, WeightCode::Digits, "{shape:?}");
        let counts = Emitted::count_layers(Core::CortexM4, &project, &input, &[]).unwrap();
        let count = counts.iter().find(|(node, _)| *node == id).unwrap().1;
        let macs = shape.h * shape.w * shape.c * 9 * layer.3;
        let per_mac = count_to_f64(usize::try_from(count).unwrap()) / count_to_f64(macs);
        assert!(per_mac < 1.25, "{shape:?}: {per_mac}");
        let (cpu, fast) = (Cpu::CortexM4, c::CodeStyle::Fast.optimization());
        let stated = project.layers[id].work.instructions(cpu, fast);
        assert!(stated.abs_diff(count) * 33 < count, "{shape:?}: {stated} stated, {count} counted");
    }
}
