//! Stated instructions are those that emulated cores count, for networks that no figure was fitted to.

use fixedwise_fixed::convert::f64_to_count;
use fixedwise_graph::{
    Graph, Semantics,
    emit::c::{self, COptions, CodeStyle, Cpu, WeightCode, WeightPlace, emit},
    ops::GlobalAveragePool,
    passes,
};
use fixedwise_testing::{
    Build, Core, Emitted, ds_cnn, fashion_images, integers_of, mobilenet, mobilenet_v2, project,
    raw_pixel_network, resnet8, unet,
};

/// A core, and the best code that it runs.
const M0: (Core, Cpu, c::Core) = (Core::CortexM0, Cpu::CortexM0, c::Core::Portable);
const M3: (Core, Cpu, c::Core) = (Core::CortexM3, Cpu::CortexM3, c::Core::Portable);
const M4: (Core, Cpu, c::Core) = (Core::CortexM4, Cpu::CortexM4, c::Core::Dsp);
const M55: (Core, Cpu, c::Core) = (Core::CortexM55, Cpu::CortexM55, c::Core::Mve);
const RV32: (Core, Cpu, c::Core) = (Core::Rv32, Cpu::Rv32imc, c::Core::Portable);

const FAST: CodeStyle = CodeStyle::Fast;
const SMALL: CodeStyle = CodeStyle::Small;

/// Stated instructions are at most 3 % off, on each core in each style.
#[track_caller]
fn check(name: &str, graph: &Graph, weights: [u8; 3], cores: &[((Core, Cpu, c::Core), CodeStyle)]) {
    check_placed(name, graph, weights, cores, WeightPlace::Constants);
}

/// The same with weights that lie so.
#[track_caller]
fn check_placed(
    name: &str,
    graph: &Graph,
    weights: [u8; 3],
    cores: &[((Core, Cpu, c::Core), CodeStyle)],
    place: WeightPlace,
) {
    let images = fashion_images(1, graph.input_shape());
    let fixed = integers_of(graph, &images, |layer| [weights[layer % 3], 8]);
    let input: Vec<u8> =
        images[0].iter().map(|&x| f64_to_count(x.into()).to_le_bytes()[0]).collect();
    let mut off = Vec::new();
    for &((core, cpu, best), style) in cores.iter().filter(|((core, ..), _)| core.is_available()) {
        for flows in [true, false] {
            // Whole values do not fit the smallest board.
            if !flows && core == Core::CortexM0 {
                continue;
            }
            let options = COptions { core: best, style, flows, place, ..COptions::new("net") };
            let project = emit(&fixed, &options, &[]).unwrap();
            let are_coded =
                project.layers.iter().any(|layer| layer.weight_code == WeightCode::Codes);
            assert_eq!(are_coded, place == WeightPlace::Coded, "{name}");
            let optimization = style.optimization();
            for layer in &project.layers {
                let unknown = layer.work.unknown(cpu, optimization);
                assert!(unknown.is_empty(), "{}: {unknown:?}", layer.name);
            }
            let stated = project.instructions(cpu, optimization);
            let counted = Emitted::count(core, &project, &input, &[optimization.flag()]).unwrap();
            if stated.abs_diff(counted) * 100 > 3 * counted {
                off.push(format!(
                    "{name}, {}, {} kernels, rows flow: {flows}: {stated} are stated, {counted} counted",
                    core.name(),
                    style.name()
                ));
            }
        }
    }
    assert!(off.is_empty(), "{off:#?}");
}

#[test]
fn every_operator_has_instructions_on_every_core() {
    let builds =
        [Build::operators, Build::pairs, Build::attention, Build::normalizations, Build::residuals];
    for build in builds {
        let (mut b, x) = build();
        let x = b.push("last_mean", GlobalAveragePool, vec![x]);
        b.gemm("last_dense", x, 3);
        let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
        let images = fashion_images(1, graph.input_shape());
        let fixed = integers_of(&graph, &images, |layer| [[8, 4, 3][layer % 3], 8]);
        for (_, cpu, core) in [M0, M3, M4, M55, RV32] {
            for style in [FAST, SMALL] {
                let options = COptions { core, style, ..COptions::new("net") };
                for layer in emit(&fixed, &options, &[]).unwrap().layers {
                    let (name, kernel, optimization) =
                        (&layer.name, layer.kernel, style.optimization());
                    let unknown = layer.work.unknown(cpu, optimization);
                    assert!(unknown.is_empty(), "{name} on {}: {unknown:?}", cpu.name());
                    let is_free = matches!(kernel, "" | "alias" | "constant");
                    let instructions = layer.work.instructions(cpu, optimization);
                    assert!((instructions == 0) == is_free, "{name}, {kernel}: {instructions}");
                }
            }
        }
    }
}

#[test]
fn the_instructions_of_a_trained_network_are_those_that_are_counted() {
    let graph = raw_pixel_network(&project("models/fashion_small.onnx"));
    check("fashion_small", &graph, [8, 4, 3], &[(M0, FAST), (M4, FAST), (RV32, SMALL)]);
}

#[test]
fn the_instructions_of_weights_in_codes_are_those_that_are_counted() {
    let graph = raw_pixel_network(&project("models/fashion_small.onnx"));
    let place = WeightPlace::Coded;
    let cores = [(M0, FAST), (M4, FAST), (RV32, SMALL)];
    check_placed("fashion_small", &graph, [3, 3, 3], &cores, place);
    check_placed("ResNet-8", &resnet8(), [8, 4, 7], &[(M4, FAST), (RV32, FAST)], place);
}

#[test]
fn the_instructions_of_a_residual_network_are_those_that_are_counted() {
    check("ResNet-8", &resnet8(), [8, 8, 8], &[(M3, FAST), (M55, FAST)]);
    check("ResNet-8", &resnet8(), [2, 6, 5], &[(M4, FAST), (M4, SMALL)]);
}

#[test]
fn the_instructions_of_separable_networks_are_those_that_are_counted() {
    check("DS-CNN", &ds_cnn(), [8, 8, 8], &[(M0, FAST), (RV32, FAST), (M4, FAST)]);
    check("MobileNetV1 0.25", &mobilenet(), [4, 8, 8], &[(M55, FAST), (M3, FAST)]);
}

#[test]
fn the_instructions_of_networks_whose_values_wait_are_those_that_are_counted() {
    check("MobileNetV2 0.35", &mobilenet_v2(), [8, 8, 8], &[(M4, FAST)]);
    check("U-Net", &unet(), [8, 8, 8], &[(M4, FAST), (M55, FAST)]);
}
