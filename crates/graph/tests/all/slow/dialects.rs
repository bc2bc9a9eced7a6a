//! Printed code is C99 and C++17 alike, and converts nothing silently; users place its arrays in sections.

use super::coded::network as coded_network;
use fixedwise_fixed::{Format, Rounding};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, Plan, Semantics, Shape,
    emit::c::{self, Arena, COptions, CodeStyle, WeightPlace, emit},
    lower,
    ops::{GlobalAveragePool, Relu},
    passes,
};
use fixedwise_testing::{Build, by_channel, has_programs, plan_of, window};
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

/// Layers of every kind of kernel.
fn layers() -> Graph {
    let mut b = Build::new(Shape::new(12, 10, 3), 4);
    let x = b.conv("stem", 0, 8, &window(3, 1, 1), 1);
    let x = b.push("relu_stem", Relu, vec![x]);
    let x = b.affine("affine", x);
    let x = b.conv("border", x, 8, &window(3, 1, 1), 1);
    let x = b.conv("depthwise", x, 8, &window(3, 1, 1), 8);
    let x = b.conv("odd", x, 5, &window(3, 2, 1), 1);
    let x = b.conv("wide", x, 16, &window(1, 1, 0), 1);
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    b.gemm("dense", x, 7);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

fn plan(graph: &Graph, bits: u8, activations: u8) -> Plan {
    let weights = Format::signed(bits, i8::try_from(bits).unwrap());
    plan_of(graph, weights, |_| Format::signed(activations, 2))
}

fn lowered(graph: &Graph, plan: &Plan) -> FixedGraph {
    lower(graph, plan, AccumulatorPolicy::Prove32).unwrap()
}

/// Networks that have every kernel.
pub(super) fn layered() -> Vec<FixedGraph> {
    let graph = layers();
    let mut networks = Vec::new();
    for (bits, activations) in [(8, 8), (3, 8), (2, 4), (8, 12)] {
        networks.push(lowered(&graph, &plan(&graph, bits, activations)));
    }
    let mut own = plan(&graph, 5, 8);
    by_channel(&graph, &mut own);
    networks.push(lowered(&graph, &own));
    let even = Plan { rounding: Rounding::TiesEven, ..plan(&graph, 4, 8) };
    networks.push(lowered(&graph, &even));
    networks.push(built(Build::residuals));
    networks
}

/// A network whose weights have codes where that is asked for.
fn coded_layers() -> FixedGraph {
    coded_network(8, 64, Format::signed(8, 2), true)
}

/// Networks that have every other operation.
fn operations() -> Vec<FixedGraph> {
    [Build::operators, Build::pairs, Build::attention, Build::normalizations].map(built).into()
}

/// The network that a function begins, with a last layer.
fn built(begin: fn() -> (Build, usize)) -> FixedGraph {
    let (mut b, x) = begin();
    b.conv("last", x, 4, &window(1, 1, 0), 1);
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
    lowered(&graph, &plan(&graph, 4, 8))
}

/// Runs a program in a folder; gives what it prints.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// A folder with the files of a network.
fn written(fixed: &FixedGraph, options: &COptions) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in emit(fixed, options, &[]).unwrap().files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn code_is_c_and_cpp_and_converts_nothing_silently() {
    let host: [&str; 3] = ["gcc", "g++", "-m64"];
    let arm = |cpu| ["arm-none-eabi-gcc", "arm-none-eabi-g++", cpu];
    let (m4, m55) = (arm("-mcpu=cortex-m4"), arm("-mcpu=cortex-m55"));
    let (fast, small) = (CodeStyle::Fast, CodeStyle::Small);
    let mut refused = Vec::new();
    for (code, style, [c, cpp, cpu], has_operations) in [
        (c::Core::Portable, fast, host, true),
        (c::Core::Portable, small, host, true),
        (c::Core::Dsp, fast, host, false),
        (c::Core::Mve, fast, host, false),
        (c::Core::Dsp, fast, m4, false),
        (c::Core::Mve, fast, m55, false),
    ] {
        if !has_programs(&[c, cpp]) {
            continue;
        }
        let more = if has_operations { operations() } else { Vec::new() };
        let networks = layered().into_iter().chain([coded_layers()]).chain(more);
        let networks: Vec<FixedGraph> = networks.collect();
        // Weights of some lie in a file or, where kernels have that, in codes.
        let other = if code == c::Core::Mve { WeightPlace::File } else { WeightPlace::Coded };
        let placed = [(1, WeightPlace::File), (4, WeightPlace::File), (7, other)];
        let placed = (0..networks.len()).map(|i| (i, WeightPlace::Constants)).chain(placed);
        for (i, place) in placed {
            let (fixed, packs_activations) = (&networks[i], true);
            let own = COptions::new("net");
            let options = COptions { core: code, style, place, packs_activations, ..own };
            let folder = written(fixed, &options);
            let float = if cpu == "-m64" { "-g0" } else { "-mfloat-abi=hard" };
            let flags = [cpu, float, "-Wall", "-Wextra", "-Wconversion", "-Werror"];
            let flags = [&flags[..], &["-ffreestanding", "-fsyntax-only", "net.c"]].concat();
            let dialects: [(&str, &[&str]); 2] =
                [(c, &["-std=c99", "-pedantic"]), (cpp, &["-x", "c++", "-std=c++17"])];
            for (compiler, dialect) in dialects {
                let said = run(folder.path(), compiler, &[dialect, &flags].concat());
                refused.extend(said.err().map(|e| format!("{i} {code:?} {compiler} {cpu}: {e}")));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn arrays_and_the_arena_lie_in_the_sections_of_the_user() {
    if !has_programs(&["gcc", "objdump"]) {
        return;
    }
    for code in [c::Core::Portable, c::Core::Dsp, c::Core::Mve] {
        let options = COptions { core: code, arena: Arena::Static, ..COptions::new("net") };
        let folder = written(&layered()[1], &options);
        let symbols = |macros: &[&str]| {
            let compile = [macros, &["-c", "-o", "net.o", "net.c"]].concat();
            run(folder.path(), "gcc", &compile).unwrap();
            run(folder.path(), "objdump", &["-t", "net.o"]).unwrap()
        };
        let text = symbols(&[
            "-DNET_WEIGHTS=__attribute__((section(\".external\")))",
            "-DNET_ARENA=__attribute__((section(\".fast\")))",
        ]);
        let of = |end: &str| text.lines().filter(|line| line.ends_with(end)).collect::<Vec<_>>();
        assert_eq!(of("_weights").len(), 6, "{text}");
        assert!(of("_weights").iter().all(|line| line.contains(" .external\t")), "{text}");
        assert!(of("_bias").iter().all(|line| line.contains(" .external\t")), "{text}");
        let memory = of(" net_memory");
        assert!(memory.len() == 1 && memory[0].contains(" .fast\t"), "{text}");
        assert!(!symbols(&[]).contains(".external"));
    }
}
