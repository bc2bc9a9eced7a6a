//! Whole networks on emulated cores: instructions as they are told before there is a board and as they are counted, bytes
//! of flash and of RAM, beside what CMSIS-NN takes.
//!
//! `cargo xtask bench networks [NETWORK]`, a part of a network's name; all without.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program that prints figures")]

use anyhow::{Result, anyhow};
use fixedwise_fixed::convert::{count_to_u64, f64_to_count, u64_to_f64};
use fixedwise_graph::{
    Graph,
    emit::c::{self, COptions, Cpu, Optimization, emit},
};
use fixedwise_testing::{
    Core, Emitted, autoencoder, ds_cnn, fashion_images, integers_of, mobilenet, mobilenet_v2,
    resnet8, unet,
};

/// The cores, with the best code each of them runs.
const CORES: [(Core, Cpu, c::Core); 5] = [
    (Core::CortexM0, Cpu::CortexM0, c::Core::Portable),
    (Core::CortexM3, Cpu::CortexM3, c::Core::Portable),
    (Core::CortexM4, Cpu::CortexM4, c::Core::Dsp),
    (Core::CortexM55, Cpu::CortexM55, c::Core::Mve),
    (Core::Rv32, Cpu::Rv32imc, c::Core::Portable),
];

/// A network, of `MLPerf` Tiny's shape or another, and what CMSIS-NN takes for it.
struct Network {
    name: &'static str,
    graph: fn() -> Graph,
    /// Milliseconds, where they are published, of `MLPerf` Tiny's reference model with microTVM and CMSIS-NN on an STM32L4R5 (Cortex-M4, 120 MHz).
    ///
    /// Source: `MLPerf` Tiny v1.0, <https://github.com/mlcommons/tiny_results_v1.0>, closed division, `microtvm_cmsis_nn`.
    published_ms: Option<f64>,
    /// Instructions, bytes of flash and of RAM by core, of the network wired on CMSIS-NN of November 2026, compiled at
    /// `-O2` and counted as ours are.
    counted: &'static [(Core, u64, u64, u64)],
}

const NETWORKS: [Network; 6] = [
    Network {
        name: "ResNet-8",
        graph: resnet8,
        published_ms: Some(389.6),
        // 2.39 and 0.384 a MAC.
        counted: &[
            (Core::CortexM4, 29_900_000, 98_088, 51_600),
            (Core::CortexM55, 4_800_000, 91_496, 51_600),
        ],
    },
    Network { name: "DS-CNN", graph: ds_cnn, published_ms: Some(99.8), counted: &[] },
    Network { name: "MobileNetV1 0.25", graph: mobilenet, published_ms: Some(301.2), counted: &[] },
    Network { name: "autoencoder", graph: autoencoder, published_ms: Some(8.6), counted: &[] },
    Network { name: "MobileNetV2 0.35", graph: mobilenet_v2, published_ms: None, counted: &[] },
    Network { name: "U-Net", graph: unet, published_ms: None, counted: &[] },
];

/// The clock of the published figures.
const PUBLISHED_KHZ: f64 = 120_000.0;

fn main() -> Result<()> {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    for Network { name, graph, published_ms, counted: peers } in NETWORKS {
        if !name.contains(&wanted) {
            continue;
        }
        let graph = graph();
        let images = fashion_images(1, graph.input_shape());
        println!("{name}, 8 bits: {} MACs", graph.macs());
        println!("core             told    counted  off %  a MAC    flash     RAM  whole layers");
        if let Some(ms) = published_ms {
            let cycles = ms * PUBLISHED_KHZ / 1e6;
            println!("CMSIS-NN, Cortex-M4, MLPerf Tiny v1.0: {cycles:.1} M cycles");
        }
        let fixed = integers_of(&graph, &images, |_| [8, 8]);
        for (core, cpu, best) in CORES {
            let options = COptions { core: best, ..COptions::new("net") };
            let project = emit(&fixed, &options, &[])?;
            let whole = emit(&fixed, &COptions { flows: false, ..options }, &[])?;
            let told = project.instructions(cpu, Optimization::Speed);
            let flash =
                count_to_u64(project.constant_bytes) + project.code.bytes(cpu, Optimization::Speed);
            let input: Vec<u8> =
                images[0].iter().map(|&x| f64_to_count(x.into()).to_le_bytes()[0]).collect();
            let counted = if core.is_available() {
                Emitted::count(core, &project, &input, &[]).map_err(|error| anyhow!(error))
            } else {
                Err(anyhow!("there are no tools for {}", core.name()))
            };
            let (counted, off) = match counted {
                Ok(counted) => {
                    let off = 100.0 * (u64_to_f64(told) / u64_to_f64(counted) - 1.0);
                    (counted.to_string(), format!("{off:+.1}"))
                }
                // Its board has less memory.
                Err(_) => ("-".to_owned(), "-".to_owned()),
            };
            let each = u64_to_f64(told) / u64_to_f64(graph.macs());
            println!(
                "{:<10} {told:>10} {counted:>10} {off:>6} {each:>6.2} {flash:>8} {:>7} {:>13}",
                core.name(),
                project.arena_bytes,
                whole.arena_bytes
            );
            for (_, instructions, flash, ram) in peers.iter().filter(|peer| peer.0 == core) {
                println!("  CMSIS-NN {instructions:>21} {flash:>23} {ram:>7}");
            }
        }
        println!();
    }
    Ok(())
}
