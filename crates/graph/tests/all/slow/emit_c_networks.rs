//! Whole trained networks as printed C: the executor's integers on the host and on every emulated
//! core whose memory holds them, and the sizes that were stated.

use fixedwise_graph::{
    FixedGraph,
    emit::{
        self,
        c::{COptions, WeightStorage},
    },
};
use fixedwise_testing::{
    Core, Emitted, fashion_images, integers_of, project, raw_pixel_network, resnet8, shared,
};
use std::path::Path;

/// Images on an emulated core.
const EMULATED: usize = 5;

/// Widths that differ from layer to layer, packed ones among them.
fn mixed(path: &Path) -> FixedGraph {
    let graph = raw_pixel_network(path);
    let images = fashion_images(20, graph.input_shape());
    integers_of(&graph, &images, |layer| [[8, 8], [4, 6], [5, 8], [2, 7]][layer % 4])
}

/// The fastest code that a core runs.
fn code_for(core: Core) -> COptions {
    let instructions = match core {
        Core::CortexM4 | Core::CortexM7 | Core::CortexM33 => emit::c::Core::Dsp,
        Core::CortexM55 => emit::c::Core::Mve,
        _ => emit::c::Core::Portable,
    };
    COptions { core: instructions, ..COptions::new("net") }
}

/// On so many images on the host, and on those of the emulated cores that `runs_on` takes.
fn check(path: &Path, host: usize, runs_on: impl Fn(Core) -> bool) {
    let fixed = mixed(path);
    let images = fashion_images(host, fixed.nodes[0].shape);
    let options = COptions::new("net");
    if Core::Host.is_available() {
        // Under sanitizers every value of some images, then all images at full speed.
        Emitted::new(Core::Host, &fixed, &options, true)
            .unwrap()
            .assert_equals(&fixed, &images[..2]);
        Emitted::optimized(&fixed, &options).unwrap().assert_equals(&fixed, &images);
    }
    for core in Core::ALL.into_iter().filter(|&core| core != Core::Host) {
        if !runs_on(core) || !core.is_available() {
            continue;
        }
        match Emitted::new(core, &fixed, &code_for(core), false) {
            Ok(emitted) => {
                emitted.assert_equals(&fixed, &images[..EMULATED.min(host / 20)]);
            }
            Err(error) => {
                let is_memory = error.contains("will not fit") || error.contains("overflowed");
                assert!(is_memory, "{}: {error}", core.name());
            }
        }
    }
}

#[test]
fn the_embedded_network_equals_the_executor() {
    check(&project("models/fashion_small.onnx"), 500, |_| true);
}

#[test]
fn clang_makes_the_same_of_it() {
    let fixed = mixed(&project("models/fashion_small.onnx"));
    let images = fashion_images(EMULATED, fixed.nodes[0].shape);
    for core in [Core::Host, Core::CortexM3, Core::CortexM4, Core::CortexM55, Core::Rv32] {
        if core.is_available_with_clang() {
            let emitted = Emitted::by_clang(core, &fixed, &code_for(core));
            emitted.unwrap_or_else(|error| panic!("{error}")).assert_equals(&fixed, &images);
        }
    }
}

#[test]
fn the_papers_networks_equal_the_executor() {
    // Each architecture runs on every core, with the weights of one of its two data sets.
    for (set, which) in [("mnist", 0), ("fashion", 1)] {
        for (network, host) in [("seq_small", 500), ("seq_large", 100), ("inception", 20)] {
            let Some(path) = shared(&format!("seed/models/{network}_{set}.onnx")) else { return };
            let runs_on = |core| Core::ALL.iter().position(|&c| c == core).unwrap() % 2 == which;
            check(&path, host, runs_on);
        }
    }
}

#[test]
fn a_residual_network_equals_the_executor_and_its_branches_share_memory() {
    let graph = resnet8();
    let images = fashion_images(8, graph.input_shape());
    let fixed = integers_of(&graph, &images, |layer| [[8, 8], [4, 8], [2, 8]][layer % 3]);
    for core in [Core::Host, Core::CortexM4, Core::CortexM55] {
        if core.is_available() {
            let emitted = Emitted::new(core, &fixed, &code_for(core), false).unwrap();
            emitted.assert_equals(&fixed, &images[..2]);
            // The first sum is written over a branch: two values of 32 x 32 x 16, and little else.
            assert!(emitted.project.arena_bytes <= 3 * 16384 + 4096);
        }
    }
}

#[test]
fn stated_sizes_are_those_of_the_compiler() {
    let fixed = mixed(&project("models/fashion_small.onnx"));
    for core in [Core::CortexM3, Core::CortexM4, Core::Rv32] {
        if !core.is_available() {
            continue;
        }
        for weights in [WeightStorage::Widths(vec![8, 16]), WeightStorage::Exact] {
            let options = COptions { weights, ..COptions::new("net") };
            let emitted = Emitted::new(core, &fixed, &options, false).unwrap();
            let sections = emitted.sections().unwrap();
            let stated = emitted.project.constant_bytes;
            assert!(
                sections.constants.abs_diff(stated) * 50 <= stated,
                "{}: {stated} bytes of constants are stated, the compiler has {}",
                core.name(),
                sections.constants
            );
            // What no constant is: code, which is stated apart.
            assert!(sections.code < 8192, "{}: {} bytes of code", core.name(), sections.code);
            assert_eq!(sections.variables, 0, "the caller gives all memory");
        }
    }
}
