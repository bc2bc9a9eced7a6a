//! Weights in codes of their frequency give the executor's integers, and take less flash.

use super::three::images;
use fixedwise_fixed::{Format, convert::count_to_u64};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Semantics, Shape,
    emit::c::{self, COptions, CodeStyle, Cpu, WeightCode, WeightPlace, emit},
    lower,
    ops::{Add, GlobalAveragePool, Relu, Window},
    passes,
};
use fixedwise_testing::{
    Build, Core, Emitted, by_channel, fashion_images, integers_of, plan_of, project,
    raw_pixel_network, window,
};

/// Layers of every kind: whose rows are odd, with a sum, with biases that depend on the position, depthwise, with a stride,
/// of pixels, of groups, dense. Weights are `steps` at most, in formats of `bits`.
pub(super) fn network(bits: u8, steps: u32, activation: Format, has_points: bool) -> FixedGraph {
    let mut b = Build::new(Shape::new(15, 14, 3), 13);
    let x = b.conv("stem", 0, 16, &window(3, 1, 1), 1);
    let x = b.push("relu", Relu, vec![x]);
    let y = b.conv("main", x, 16, &window(3, 1, 1), 1);
    let x = b.push("sum", Add, vec![y, x]);
    let x = b.push("relu_sum", Relu, vec![x]);
    let x = b.affine("shift", x);
    let x = b.conv("border", x, 24, &window(3, 1, 1), 1);
    let x = b.conv("depthwise", x, 24, &window(3, 1, 1), 24);
    let x = b.conv("strided", x, 36, &window(3, 2, 1), 1);
    let x = b.conv("pixel", x, 30, &Window::pixel(), 1);
    let x = b.conv("groups", x, 12, &window(3, 1, 0), 3);
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    let x = b.gemm("hidden", x, 42);
    let x = b.push("relu_hidden", Relu, vec![x]);
    b.gemm("dense", x, 10);
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
    // Of one half.
    let weights = Format::signed(bits, i8::try_from(steps.ilog2()).unwrap() + 1);
    let mut plan = plan_of(&graph, weights, |_| activation);
    if has_points {
        by_channel(&graph, &mut plan);
    }
    lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap()
}

const BYTE: Format = Format::signed(8, 2);
const FAST: CodeStyle = CodeStyle::Fast;
const SMALL: CodeStyle = CodeStyle::Small;

fn coded(code: c::Core, style: CodeStyle, cpu: Cpu) -> COptions {
    COptions { core: code, style, cpu, place: WeightPlace::Coded, ..COptions::new("net") }
}

fn is_coded(layer: &c::CLayer) -> bool {
    layer.weight_code == WeightCode::Codes
}

#[test]
fn weights_in_codes_give_the_executors_integers() {
    let (wide, narrow) = (Format::signed(12, 5), Format::signed(4, 0));
    for (core, code, style, cpu) in [
        (Core::Host, c::Core::Portable, FAST, Cpu::CortexM3),
        (Core::Host, c::Core::Portable, SMALL, Cpu::CortexM3),
        (Core::Host, c::Core::Dsp, FAST, Cpu::CortexM4),
        (Core::CortexM0, c::Core::Portable, FAST, Cpu::CortexM0),
        (Core::CortexM4, c::Core::Dsp, FAST, Cpu::CortexM4),
        (Core::Rv32, c::Core::Portable, SMALL, Cpu::Rv32imc),
    ] {
        if !core.is_available() {
            continue;
        }
        // The second's codes are followed by lower bits.
        for (bits, steps, activation, flows, has_points) in [
            (5, 4, BYTE, true, false),
            (8, 64, BYTE, false, true),
            (8, 2, narrow, true, true),
            (9, 8, wide, true, false),
        ] {
            let fixed = network(bits, steps, activation, has_points);
            let packs_activations = activation.bits <= 4;
            let options = COptions { flows, packs_activations, ..coded(code, style, cpu) };
            let emitted = Emitted::new(core, &fixed, &options, true).unwrap();
            let layers = emitted.project.layers.iter().filter(|layer| is_coded(layer));
            let names: Vec<&str> = layers.map(|layer| layer.name.as_str()).collect();
            // Odd rows, a sum, biases that depend on the position, a stride, pixels.
            for name in ["stem", "main", "border", "strided", "pixel"] {
                let is_among = names.iter().any(|known| known.starts_with(name));
                assert!(
                    is_among,
                    "{core:?}, {code:?}, {style:?}, {bits} bits: {name} of {names:?}"
                );
            }
            emitted.assert_equals(&fixed, &images(&fixed, 1));
        }
    }
}

#[test]
fn weights_of_three_bits_take_a_tenth_less_flash_in_codes() {
    let graph = raw_pixel_network(&project("models/fashion_small.onnx"));
    let fixed = integers_of(&graph, &fashion_images(5, graph.input_shape()), |_| [3, 8]);
    for (code, style, cpu) in [
        (c::Core::Portable, FAST, Cpu::CortexM0),
        (c::Core::Portable, SMALL, Cpu::CortexM0),
        (c::Core::Dsp, FAST, Cpu::CortexM4),
    ] {
        let options = coded(code, style, cpu);
        let zeros = |id: usize| vec![vec![0; fixed.nodes[id].shape.len()]];
        let (inputs, outputs) = (zeros(fixed.inputs[0]), zeros(fixed.output_nodes()[0]));
        let golden = [c::Golden { inputs, outputs }];
        let in_codes = emit(&fixed, &options, &golden).unwrap();
        let place = WeightPlace::Constants;
        let fields = emit(&fixed, &COptions { place, ..options }, &golden).unwrap();
        let bytes = |project: &c::CProject| {
            count_to_u64(project.constant_bytes) + project.code.bytes(cpu, style.optimization())
        };
        let [less, more] = [&in_codes, &fields].map(bytes);
        // Of constants, biases and code together.
        assert!(less * 100 < more * 90, "{code:?}, {style:?}: {less} of {more} bytes");
        // Only the kernels for DSP need more memory: one block of weights.
        let added = in_codes.arena_bytes.saturating_sub(fields.arena_bytes);
        assert!(added <= if code == c::Core::Dsp { 1280 } else { 0 }, "{code:?}: {added}");
        let told = |(_, text): &(String, String)| text.contains("`, in codes |");
        assert!(in_codes.files.iter().any(told), "{code:?}");
    }
}

#[test]
fn a_network_that_gains_nothing_stays_as_it_is() {
    // What decodes takes more bytes than all weights.
    let mut b = Build::new(Shape::new(6, 6, 3), 3);
    let x = b.conv("few", 0, 8, &window(3, 1, 1), 1);
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    b.gemm("dense", x, 4);
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
    let plan = plan_of(&graph, Format::signed(8, 8), |_| BYTE);
    let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
    for code in [c::Core::Portable, c::Core::Dsp] {
        let options = coded(code, FAST, Cpu::CortexM4);
        let in_codes = emit(&fixed, &options, &[]).unwrap();
        let place = WeightPlace::Constants;
        let fields = emit(&fixed, &COptions { place, ..options }, &[]).unwrap();
        assert_eq!(in_codes, fields, "{code:?}");
    }
}

#[test]
fn kernels_for_vectors_refuse_weights_in_codes() {
    let fixed = network(5, 4, BYTE, false);
    let options = coded(c::Core::Mve, FAST, Cpu::CortexM55);
    let error = emit(&fixed, &options, &[]).unwrap_err().to_string();
    let small = emit(&fixed, &coded(c::Core::Mve, SMALL, Cpu::CortexM55), &[]).unwrap();
    assert!(error.contains("`mve`") && error.contains("--code small"), "{error}");
    assert!(small.layers.iter().any(is_coded));
}
