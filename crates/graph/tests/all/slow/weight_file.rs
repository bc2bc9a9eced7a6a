//! Weights in a file of their own: the executor's integers on the host and on emulated cores, and which files are refused.

use super::dialects::layered;
use fixedwise_graph::{
    FixedGraph,
    emit::c::{self, COptions, CodeStyle, WeightPlace, emit},
};
use fixedwise_testing::{Core, Emitted, Random, compile_c};

fn images(fixed: &FixedGraph, n: usize) -> Vec<Vec<f32>> {
    let mut random = Random::new(3);
    let shape = fixed.nodes[fixed.inputs[0]].shape;
    (0..n).map(|_| random.floats(shape.len(), -1.0, 4.0)).collect()
}

fn options(code: c::Core, style: CodeStyle) -> COptions {
    COptions { core: code, style, place: WeightPlace::File, ..COptions::new("net") }
}

#[test]
fn weights_in_a_file_give_the_same_integers() {
    let networks = layered();
    let (fast, small) = (CodeStyle::Fast, CodeStyle::Small);
    for (core, code, style) in [
        (Core::Host, c::Core::Portable, fast),
        (Core::Host, c::Core::Portable, small),
        (Core::Host, c::Core::Dsp, fast),
        (Core::Host, c::Core::Mve, fast),
        (Core::CortexM3, c::Core::Portable, small),
        (Core::CortexM4, c::Core::Dsp, fast),
        (Core::CortexM55, c::Core::Mve, fast),
    ] {
        if !core.is_available() {
            continue;
        }
        // Of three bits, with points of channels, and with sums.
        for fixed in [&networks[1], &networks[4], &networks[6]] {
            let options = options(code, style);
            let emitted = Emitted::new(core, fixed, &options, true).unwrap();
            emitted.assert_equals(fixed, &images(fixed, 2));
            let inside = COptions { place: WeightPlace::Constants, ..options };
            let inside = emit(fixed, &inside, &[]).unwrap();
            let (path, file) = emitted.project.weight_file.as_ref().unwrap();
            assert_eq!((path.as_str(), &inside.weight_file), ("net.weights", &None));
            // What is no longer among the constants lies in the file: its header and what checks it are more.
            let constants = emitted.project.constant_bytes;
            let moved = (inside.constant_bytes + 84).abs_diff(constants + file.len() - 32);
            assert!(constants < inside.constant_bytes && moved < 40, "{moved}");
            assert_eq!(emitted.project.arena_bytes, inside.arena_bytes);
        }
    }
}

/// Loads what comes and runs the network; tells what both say.
const LOADER: &str = r#"
#include "device.h"
#include "net.h"
static net_input input[NET_INPUT_SIZE];
static net_output output[NET_OUTPUT_SIZE];
static net_arena arena;
static uint64_t file[NET_FILE_SIZE / 8 + 2];
__attribute__((aligned(256))) int main(void)
{
    uint32_t head[3]; /* bytes that come, that are told, and where they lie */
    while (device_read(head, sizeof head) == sizeof head) {
        uint8_t *at = (uint8_t *)file + head[2];
        int32_t said[2];
        device_read(at, head[0]);
        said[0] = net_load(head[1] ? at : 0, head[1]);
        said[1] = net_run(input, output, &arena);
        device_write(said, sizeof said);
    }
    return 0;
}
"#;

#[test]
fn another_file_is_refused_and_nothing_runs() {
    let networks = layered();
    let project = |fixed: &FixedGraph, code: c::Core| {
        emit(fixed, &options(code, CodeStyle::Fast), &[]).unwrap()
    };
    for (core, code) in [(Core::Host, c::Core::Portable), (Core::CortexM4, c::Core::Dsp)] {
        if !core.is_available() {
            continue;
        }
        let own = project(&networks[1], code);
        let (_, good) = own.weight_file.as_ref().unwrap();
        let (_, other) = project(&networks[4], code).weight_file.unwrap();
        let changed = |at: usize| {
            let mut file = good.clone();
            file[at] ^= 1;
            file
        };
        let last = good.len() - 1;
        // What lies there, of how many bytes it is told, where, and what is said of it.
        let cases = [
            (&[][..], 0, 0, 1),
            (&good[..], good.len(), 0, 0),
            (good, good.len(), 4, 0),
            (good, good.len(), 2, 1),
            (good, good.len(), 1, 1),
            (good, good.len() + 8, 0, 0),
            (&changed(3), good.len(), 0, 2),
            (&changed(15), good.len(), 0, 2),
            (&changed(16), good.len(), 0, 2),
            (good, 31, 0, 2),
            (&changed(21), good.len(), 0, 3),
            (&changed(27), good.len(), 0, 3),
            (&other[..other.len().min(good.len())], good.len(), 0, 3),
            (&changed(32), good.len(), 0, 4),
            (&changed(last / 2), good.len(), 0, 4),
            (&changed(last), good.len(), 0, 4),
            (good, good.len() - 4, 0, 4),
            (good, 32, 0, 4),
            (good, good.len(), 0, 0),
        ];
        let mut input = Vec::new();
        for (bytes, told, place, _) in cases {
            for number in [bytes.len(), told, place] {
                input.extend(u32::try_from(number).unwrap().to_le_bytes());
            }
            input.extend(bytes);
        }
        let [header, source] = [0, 1].map(|i| (own.files[i].0.as_str(), own.files[i].1.as_str()));
        let sources = [source, ("loader.c", LOADER)];
        let program = compile_c(core, &sources, &[header], &["-pedantic"]).unwrap();
        let output = program.run(&input).unwrap().output;
        let said: Vec<i32> = output
            .chunks_exact(4)
            .map(|word| i32::from_le_bytes(word.try_into().unwrap()))
            .collect();
        let expected = cases.iter().flat_map(|case| [case.3, if case.3 == 0 { 0 } else { 5 }]);
        assert_eq!(said, expected.collect::<Vec<i32>>(), "{}", core.name());
    }
}
