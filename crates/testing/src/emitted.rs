//! A printed network beside the executor: every value of every node.

use crate::{CProgram, CRun, CSections, Core, compile_c, compile_c_by_clang, run_fixed_on};
use fixedwise_graph::{
    FixedGraph,
    emit::c::{Arena, COptions, CProject, emit},
};
use fixedwise_kernels::Kernels;
use std::collections::BTreeMap;

/// Runs the network on as many inputs as there are; with `-DNET_DEBUG` all values are written too.
const DRIVER: &str = r#"
#include "device.h"
#include "net.h"
#ifdef NET_DEBUG
void net_dump(int32_t node, const void *values, int32_t bytes)
{
    device_write(&node, 4);
    device_write(&bytes, 4);
    device_write(values, (size_t)bytes);
}
#endif
static net_input input[NET_INPUT_SIZE];
static net_output output[NET_OUTPUT_SIZE];
#ifdef STATIC_ARENA
#define RUN() net_run(input, output)
#else
static net_arena arena;
#define RUN() net_run(input, output, &arena)
#endif
/* Emulators lose markers at the end of a page of 1 KiB. */
__attribute__((aligned(256))) int main(void)
{
    while (device_read(input, sizeof input) == sizeof input) {
        int32_t end = -1, best;
        DEVICE_BEGIN();
        RUN();
        DEVICE_END();
        best = net_argmax(output);
        device_write(&end, 4);
        device_write(&best, 4);
        device_write(output, sizeof output);
    }
    return 0;
}
"#;

/// Takes the weights where they are a file, which precedes the images.
const LOADER: &str = r"
    static uint32_t file[NET_FILE_SIZE / 4];
    if (device_read(file, sizeof file) != sizeof file || net_load(file, sizeof file) != 0) {
        return 1;
    }
    while";

/// Runs the network once, and counts the instructions of each layer: its value ends it. What telling a value takes is
/// the second region.
const COUNTER: &str = r#"
#include "device.h"
#include "net.h"
/* Emulators lose markers at the end of a page of 1 KiB. */
__attribute__((aligned(256))) void net_dump(int32_t node, const void *values, int32_t bytes)
{
    DEVICE_END();
    (void)values;
    (void)bytes;
    device_write(&node, 4);
    DEVICE_BEGIN();
}
static net_input input[NET_INPUT_SIZE];
static net_output output[NET_OUTPUT_SIZE];
static net_arena arena;
__attribute__((aligned(256))) int main(void)
{
    device_read(input, sizeof input);
    DEVICE_BEGIN();
    net_dump(-1, input, 0);
    net_dump(-2, input, 0);
    net_run(input, output, &arena);
    DEVICE_END();
    return 0;
}
"#;

/// Compiles sources beside headers with flags for a core.
type Compile = fn(Core, &[(&str, &str)], &[(&str, &str)], &[&str]) -> Result<CProgram, String>;

/// A network as C, compiled for a core.
#[derive(Debug)]
pub struct Emitted {
    /// What was printed.
    pub project: CProject,
    /// The compiled driver.
    pub program: CProgram,
    core: Core,
}

impl Emitted {
    /// Prints and compiles a network whose name in `options` is `net`; with `debug` each run writes
    /// every value.
    ///
    /// # Errors
    /// What the compiler said, such as a memory that does not hold the program.
    ///
    /// # Panics
    /// Where the network is not printed.
    pub fn new(
        core: Core,
        fixed: &FixedGraph,
        options: &COptions,
        debug: bool,
    ) -> Result<Self, String> {
        let flags: &[&str] = if debug { &["-DNET_DEBUG"] } else { &[] };
        Self::with(compile_c, core, fixed, options, flags)
    }

    /// The same with the network's file compiled by clang; every value is written.
    ///
    /// # Errors
    /// What the compilers said.
    ///
    /// # Panics
    /// Where the network is not printed.
    pub fn by_clang(core: Core, fixed: &FixedGraph, options: &COptions) -> Result<Self, String> {
        Self::with(compile_c_by_clang, core, fixed, options, &["-DNET_DEBUG"])
    }

    /// The same for the host at full speed, without sanitizers.
    ///
    /// # Errors
    /// What the compiler said.
    ///
    /// # Panics
    /// Where the network is not printed.
    pub fn optimized(fixed: &FixedGraph, options: &COptions) -> Result<Self, String> {
        Self::with(compile_c, Core::Host, fixed, options, &["-O3", "-fno-sanitize=all"])
    }

    /// The executed instructions of each layer of a network that is computed whole, by its node; `flags` follow
    /// those for the core.
    ///
    /// # Errors
    /// What the compiler said, such as a memory that does not hold the program.
    ///
    /// # Panics
    /// Where the network is not printed, or does not run.
    pub fn count_layers(
        core: Core,
        project: &CProject,
        input: &[u8],
        flags: &[&str],
    ) -> Result<Vec<(usize, u64)>, String> {
        let run = counter(core, project, input, &[&["-DNET_DEBUG"], flags].concat())?;
        let number = |bytes: &[u8]| i32::from_le_bytes(bytes.try_into().expect("four bytes"));
        let nodes = run.output.chunks_exact(4).map(number).skip(2);
        let told = run.instructions[1];
        let counts = run.instructions[2..].iter().map(|count| count.saturating_sub(told));
        Ok(nodes.filter_map(|node| usize::try_from(node).ok()).zip(counts).collect())
    }

    fn with(
        compile: Compile,
        core: Core,
        fixed: &FixedGraph,
        options: &COptions,
        flags: &[&str],
    ) -> Result<Self, String> {
        let project = emit(fixed, options, &[]).expect("the network is printed");
        let file = |name: &str| {
            let found = project.files.iter().find(|(file, _)| file == name);
            found.map(|(_, text)| text.as_str()).expect("the project has the file")
        };
        let mut flags = [&["-pedantic"], flags].concat();
        flags.extend((options.arena == Arena::Static).then_some("-DSTATIC_ARENA"));
        let driver = match project.weight_file {
            None => DRIVER.to_owned(),
            Some(_) => DRIVER.replacen("\n    while", LOADER, 1),
        };
        let sources = [("net.c", file("net.c")), ("driver.c", &driver)];
        let program = compile(core, &sources, &[("net.h", file("net.h"))], &flags)?;
        Ok(Self { project, program, core })
    }

    /// What the compiler made of the network's own file.
    ///
    /// # Errors
    /// Where there is no tool that tells.
    pub fn sections(&self) -> Result<CSections, String> {
        self.program.sections_of("net.c")
    }

    /// The executed instructions of a network, rows that flow included; `flags` follow those for the core.
    ///
    /// # Errors
    /// What the compiler said, such as a memory that does not hold the program.
    ///
    /// # Panics
    /// Where the network is not printed, or does not run.
    pub fn count(
        core: Core,
        project: &CProject,
        input: &[u8],
        flags: &[&str],
    ) -> Result<u64, String> {
        Ok(counter(core, project, input, flags)?.instructions[2])
    }

    /// Runs the images and compares what was written with the executor's integers; gives the
    /// executed instructions of each image.
    ///
    /// # Panics
    /// Where any differ.
    #[track_caller]
    pub fn assert_equals(&self, fixed: &FixedGraph, images: &[Vec<f32>]) -> Vec<u64> {
        let expected: Vec<Vec<Vec<i64>>> =
            images.iter().map(|image| run_fixed_on(fixed, image, Kernels::best())).collect();
        let bytes = |id: usize, values: &[i64]| -> Vec<u8> {
            let low = |v: &i64| v.to_le_bytes()[0];
            match self.project.layers[id].storage.bits() {
                4 => {
                    let pair = |v: &[i64]| low(&v[0]) & 15 | v.get(1).map_or(0, low) << 4;
                    values.chunks(2).map(pair).collect()
                }
                8 => values.iter().map(low).collect(),
                _ => values.iter().flat_map(|v| v.to_le_bytes()[..2].to_vec()).collect(),
            }
        };
        let of_image = |values: &Vec<Vec<i64>>| {
            fixed.inputs.iter().flat_map(|&id| bytes(id, &values[id])).collect::<Vec<u8>>()
        };
        let weights = self.project.weight_file.iter().flat_map(|(_, bytes)| bytes.iter().copied());
        let input: Vec<u8> = weights.chain(expected.iter().flat_map(of_image)).collect();
        let run = self.program.run(&input).unwrap_or_else(|error| panic!("{error}"));
        let mut rest = run.output.as_slice();
        let mut take = |n: usize| -> &[u8] {
            assert!(rest.len() >= n, "{}: the output ends early", self.core.name());
            let (head, tail) = rest.split_at(n);
            rest = tail;
            head
        };
        for (i, values) in expected.iter().enumerate() {
            let number = |bytes: &[u8]| i32::from_le_bytes(bytes.try_into().expect("four bytes"));
            // A value comes whole or row by row.
            let mut written: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
            loop {
                let node = number(take(4));
                let size = number(take(4));
                let Ok(id) = usize::try_from(node) else {
                    let output = &values[fixed.output()];
                    let largest = output.iter().max().expect("the result has elements");
                    let class = output.iter().position(|v| v == largest);
                    assert_eq!(usize::try_from(size).ok(), class, "input {i}: the class");
                    break;
                };
                let got = take(usize::try_from(size).expect("sizes are positive"));
                written.entry(id).or_default().extend(got);
            }
            for (id, mut got) in written {
                let name = &fixed.nodes[id].name;
                let is_half =
                    self.project.layers[id].storage.bits() == 4 && values[id].len() % 2 == 1;
                if let Some(last) = got.last_mut().filter(|_| is_half) {
                    *last &= 15;
                }
                let want = bytes(id, &values[id]);
                let wrong = got.iter().zip(&want).position(|(a, b)| a != b);
                assert!(
                    got.len() == want.len() && wrong.is_none(),
                    "{}, input {i}, node `{name}`: byte {wrong:?} of {} differs, {} are there",
                    self.core.name(),
                    want.len(),
                    got.len()
                );
            }
            let want = bytes(fixed.output(), &values[fixed.output()]);
            let got = take(want.len());
            assert_eq!(got, want, "{}, input {i}: the result", self.core.name());
        }
        run.instructions
    }
}

/// Compiles a network with the program that counts, and runs it.
fn counter(core: Core, project: &CProject, input: &[u8], flags: &[&str]) -> Result<CRun, String> {
    let file = |name: &str| {
        let found = project.files.iter().find(|(file, _)| file == name);
        found.map(|(_, text)| text.as_str()).expect("the project has the file")
    };
    let sources = [("net.c", file("net.c")), ("driver.c", COUNTER)];
    compile_c(core, &sources, &[("net.h", file("net.h"))], flags)?.run(input)
}
