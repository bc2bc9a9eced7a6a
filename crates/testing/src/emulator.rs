//! C on emulated microcontrollers and on the host: compiles, runs, counts instructions.
//!
//! A program's `main` reads and writes through `device.h` (in `embedded/`), so that the same source
//! runs on every core: `in.bin` is its input, `out.bin` its output.

use crate::{has_programs, project};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};
use tempfile::TempDir;

/// Seconds after which a run that hangs is ended.
const LIMIT_SECONDS: &str = "300";

/// Where compiled programs are kept; `cargo xtask test` removes those of other days.
const KEPT_PROGRAMS: &str = "target/c-programs";

/// Flags of every compilation: what generated code must pass.
const STRICT: [&str; 4] = ["-std=c99", "-Wall", "-Wextra", "-Werror"];

/// Flags of every compilation for an emulated core, which has no libc.
const FREESTANDING: [&str; 7] = [
    "-O2",
    "-ffreestanding",
    "-nostdlib",
    "-nostartfiles",
    "-ffunction-sections",
    "-Wl,--gc-sections",
    // Or loops become calls of the functions that they are in.
    "-fno-tree-loop-distribute-patterns",
];

/// What compiles and runs C.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Core {
    /// The machine of the tests, with the sanitizers of addresses and undefined behavior.
    Host,
    /// Cortex-M0 of a micro:bit: 256 KiB of flash, 16 KiB of RAM.
    CortexM0,
    /// Cortex-M3.
    CortexM3,
    /// Cortex-M4: the DSP extension.
    CortexM4,
    /// Cortex-M7: the DSP extension.
    CortexM7,
    /// Cortex-M33: the DSP extension.
    CortexM33,
    /// Cortex-M55: vectors (MVE).
    CortexM55,
    /// RISC-V, 32 bits, with multiplication and compressed instructions.
    Rv32,
}

/// How an emulated core is compiled for and where its memories lie.
struct Board {
    machine: &'static [&'static str],
    flags: &'static [&'static str],
    /// Start and bytes of the code and of the RAM.
    code: (u32, u32),
    ram: (u32, u32),
}

const MEBIBYTE: u32 = 1 << 20;

impl Core {
    /// Every core, the host first.
    pub const ALL: [Self; 8] = [
        Self::Host,
        Self::CortexM0,
        Self::CortexM3,
        Self::CortexM4,
        Self::CortexM7,
        Self::CortexM33,
        Self::CortexM55,
        Self::Rv32,
    ];

    /// As tables print it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::CortexM0 => "Cortex-M0",
            Self::CortexM3 => "Cortex-M3",
            Self::CortexM4 => "Cortex-M4",
            Self::CortexM7 => "Cortex-M7",
            Self::CortexM33 => "Cortex-M33",
            Self::CortexM55 => "Cortex-M55",
            Self::Rv32 => "RV32IMC",
        }
    }

    fn board(self) -> Option<Board> {
        let (machine, flags, code, ram): (&[&str], &[&str], _, _) = match self {
            Self::Host => return None,
            Self::CortexM0 => (
                &["-M", "microbit"],
                &["-mcpu=cortex-m0", "-mfloat-abi=soft"],
                (0, MEBIBYTE / 4),
                (0x2000_0000, MEBIBYTE / 64),
            ),
            Self::CortexM3 => (
                &["-M", "mps2-an385"],
                &["-mcpu=cortex-m3", "-mfloat-abi=soft"],
                (0, 4 * MEBIBYTE),
                (0x2000_0000, 4 * MEBIBYTE),
            ),
            Self::CortexM4 => (
                &["-M", "mps2-an386"],
                &["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
                (0, 4 * MEBIBYTE),
                (0x2000_0000, 4 * MEBIBYTE),
            ),
            Self::CortexM7 => (
                &["-M", "mps2-an500"],
                &["-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"],
                (0, 4 * MEBIBYTE),
                (0x2000_0000, 4 * MEBIBYTE),
            ),
            Self::CortexM33 => (
                &["-M", "mps2-an505"],
                &["-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"],
                (0x1000_0000, 2 * MEBIBYTE),
                (0x3800_0000, 2 * MEBIBYTE),
            ),
            Self::CortexM55 => (
                &["-M", "mps3-an547"],
                &["-mcpu=cortex-m55", "-mfloat-abi=hard"],
                (0, MEBIBYTE / 2),
                (0x2000_0000, MEBIBYTE / 2),
            ),
            Self::Rv32 => (
                &["-M", "virt", "-bios", "none"],
                &["-march=rv32imc", "-mabi=ilp32", "-mcmodel=medany"],
                (0x8000_0000, 4 * MEBIBYTE),
                (0x8040_0000, 4 * MEBIBYTE),
            ),
        };
        Some(Board { machine, flags, code, ram })
    }

    /// Bytes of flash and of RAM that its board gives a program; none are stated for the host.
    pub fn memory_bytes(self) -> Option<(u32, u32)> {
        self.board().map(|board| (board.code.1, board.ram.1))
    }

    /// The compiler, what runs its programs, what prints their sizes.
    fn tools(self) -> [&'static str; 3] {
        match self {
            Self::Host => ["cc", "cc", "size"],
            Self::Rv32 => {
                ["riscv64-unknown-elf-gcc", "qemu-system-riscv32", "riscv64-unknown-elf-size"]
            }
            _ => ["arm-none-eabi-gcc", "qemu-system-arm", "arm-none-eabi-size"],
        }
    }

    /// Whether the tools for this core are here.
    ///
    /// # Panics
    /// As [`has_programs`].
    pub fn is_available(self) -> bool {
        let [compiler, runner, _] = self.tools();
        has_programs(&["cc", "timeout", compiler, runner])
    }

    /// The same with clang, for [`compile_c_by_clang`].
    ///
    /// # Panics
    /// As [`Core::is_available`].
    pub fn is_available_with_clang(self) -> bool {
        has_programs(&["clang"]) && self.is_available()
    }

    /// Flags for clang.
    fn clang_flags(self) -> Vec<&'static str> {
        match self.board() {
            None => Vec::new(),
            Some(_) if self == Self::Rv32 => {
                vec!["--target=riscv32-none-elf", "-march=rv32imc", "-mabi=ilp32"]
            }
            Some(board) => [&["--target=arm-none-eabi", "-mthumb"], board.flags].concat(),
        }
    }
}

/// A compiled program, in a folder of its own that goes with it.
#[derive(Debug)]
pub struct CProgram {
    core: Core,
    folder: TempDir,
}

/// What a program did.
#[derive(Clone, Debug)]
pub struct CRun {
    /// What it wrote by `device_write`.
    pub output: Vec<u8>,
    /// Executed instructions of each marked region, in order; none on the host.
    pub instructions: Vec<u64>,
    /// What it printed.
    pub log: String,
}

/// Sections of a program as `size` prints them: start-up and test included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSize {
    /// Code and constants.
    pub text: usize,
    /// Variables that begin with a value; they take flash as well.
    pub data: usize,
    /// Variables that begin with zero.
    pub bss: usize,
}

/// Sections of one object file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CSections {
    /// Bytes of instructions.
    pub code: usize,
    /// Bytes of constants.
    pub constants: usize,
    /// Bytes of variables.
    pub variables: usize,
}

/// Compiles one file for an emulated core, which must be available, as a firmware project does; gives the bytes of
/// its functions by name, and what its sections take.
///
/// # Errors
/// What the compiler said, or where there is no tool that prints sizes.
pub fn object_of_c(
    core: Core,
    (name, text): (&str, &str),
    headers: &[(&str, &str)],
    flags: &[&str],
) -> Result<(BTreeMap<String, usize>, CSections), String> {
    let folder = TempDir::new().map_err(|error| format!("a temporary folder: {error}"))?;
    for (name, text) in headers.iter().chain([&(name, text)]) {
        fs::write(folder.path().join(name), text).map_err(|error| format!("{name}: {error}"))?;
    }
    let [compiler, _, size] = core.tools();
    let mut command = Command::new(compiler);
    command.current_dir(folder.path()).args(STRICT);
    command.args(core.board().map_or(&[][..], |board| board.flags));
    // Its compiler comes without a library.
    command.arg(if core == Core::Rv32 { "-ffreestanding" } else { "-mthumb" });
    finish(command.args(flags).args(["-ffunction-sections", "-c", "-o", "one.o", name]))?;
    let run = |tool: &str, flags: &[&str]| {
        finish(Command::new(tool).current_dir(folder.path()).args(flags).arg("one.o"))
    };
    let mut symbols = BTreeMap::new();
    for line in run(&size.replace("-size", "-nm"), &["-S"])?.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, bytes, "t" | "T", symbol] = words[..] else { continue };
        let bytes = usize::from_str_radix(bytes, 16).map_err(|error| format!("{line}: {error}"))?;
        symbols.insert(symbol.to_owned(), bytes);
    }
    Ok((symbols, sections(&run(size, &["-A"])?)))
}

/// The first line in which the compiler for a core says what it is.
///
/// # Errors
/// Where there is none.
pub fn compiler_of(core: Core) -> Result<String, String> {
    let [compiler, ..] = core.tools();
    let said = finish(Command::new(compiler).arg("--version"))?;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}

/// Compiles `sources` (name and text) beside `headers`, with `flags` after those for the core, which
/// must be available.
///
/// # Errors
/// What the compiler or the linker said, such as a memory that does not hold the program.
pub fn compile_c(
    core: Core,
    sources: &[(&str, &str)],
    headers: &[(&str, &str)],
    flags: &[&str],
) -> Result<CProgram, String> {
    compile(core, sources, headers, flags, None)
}

/// The same with the first of the sources compiled by clang, with all warnings, and linked to the others.
///
/// # Errors
/// What the compilers or the linker said.
pub fn compile_c_by_clang(
    core: Core,
    sources: &[(&str, &str)],
    headers: &[(&str, &str)],
    flags: &[&str],
) -> Result<CProgram, String> {
    let clang = [&["-O2", "-ffreestanding", "-pedantic"], &*core.clang_flags()].concat();
    compile(core, sources, headers, flags, Some(&clang))
}

fn compile(
    core: Core,
    sources: &[(&str, &str)],
    headers: &[(&str, &str)],
    flags: &[&str],
    clang: Option<&[&str]>,
) -> Result<CProgram, String> {
    let folder = TempDir::new().map_err(|error| format!("a temporary folder: {error}"))?;
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).map_err(|error| format!("{name}: {error}"))
    };
    for (name, text) in headers.iter().chain(sources) {
        write(name, text)?;
    }
    write("device.h", include_str!("../embedded/device.h"))?;
    let runtime = if core == Core::Host {
        ("device_host.c", include_str!("../embedded/host.c"))
    } else {
        ("device_emulated.c", include_str!("../embedded/emulated.c"))
    };
    write(runtime.0, runtime.1)?;
    let [compiler, ..] = core.tools();
    let mut command = Command::new(compiler);
    command.current_dir(folder.path()).args(STRICT).args(["-I.", "-o", "program"]);
    match core.board() {
        None => {
            // Most programs run for less time than their optimization takes.
            let sanitize = ["-O0", "-g1", "-fsanitize=undefined,address"];
            command.args(sanitize).arg("-fno-sanitize-recover=all");
        }
        Some(board) => {
            let script = if core == Core::Rv32 {
                include_str!("../embedded/rv32.ld")
            } else {
                command.arg("-mthumb");
                include_str!("../embedded/cortexm.ld")
            };
            write("program.ld", script)?;
            command.args(FREESTANDING).args(board.flags).arg("-Tprogram.ld");
            for (symbol, value) in [
                ("code_start", board.code.0),
                ("code_bytes", board.code.1),
                ("ram_start", board.ram.0),
                ("ram_bytes", board.ram.1),
            ] {
                command.arg(format!("-Wl,--defsym={symbol}={value:#x}"));
            }
        }
    }
    let mut inputs: Vec<&str> = sources.iter().map(|(name, _)| *name).collect();
    let first = clang.map(|clang_flags| {
        let mut clang = Command::new("clang");
        clang.current_dir(folder.path()).args(STRICT).args(clang_flags).args(flags);
        clang.args(["-I.", "-c", "-o", "first.o", inputs[0]]);
        inputs[0] = "first.o";
        clang
    });
    command.args(flags).args(inputs).arg(runtime.0).arg("-lgcc");
    let commands: Vec<Command> = first.into_iter().chain([command]).collect();
    let kept = kept_program(folder.path(), &commands)?;
    let program = folder.path().join("program");
    if !kept.is_file() || fs::copy(&kept, &program).is_err() {
        for mut command in commands {
            finish(&mut command)?;
        }
        keep_program(&program, &kept).map_err(|error| format!("{}: {error}", kept.display()))?;
    }
    Ok(CProgram { core, folder })
}

/// Where the program is kept that these commands make of the files in `folder`: compilers take most of
/// the time of the tests that run C.
fn kept_program(folder: &Path, commands: &[Command]) -> Result<PathBuf, String> {
    let mut hasher = DefaultHasher::new();
    let mut names: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(|error| format!("a temporary folder: {error}"))?;
    names.sort();
    for path in names {
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        (path.file_name(), bytes).hash(&mut hasher);
    }
    for command in commands {
        let arguments: Vec<_> = command.get_args().collect();
        (version(command.get_program())?, arguments).hash(&mut hasher);
    }
    Ok(project(KEPT_PROGRAMS).join(format!("{:016x}", hasher.finish())))
}

/// What a compiler says of itself, asked once.
fn version(compiler: &OsStr) -> Result<String, String> {
    static VERSIONS: Mutex<BTreeMap<OsString, String>> = Mutex::new(BTreeMap::new());
    let mut versions = VERSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(version) = versions.get(compiler) {
        return Ok(version.clone());
    }
    let version = finish(Command::new(compiler).arg("--version"))?;
    versions.insert(compiler.to_owned(), version.clone());
    Ok(version)
}

/// Keeps a program for the next run of the tests; a test beside this one may do the same.
fn keep_program(program: &Path, kept: &Path) -> std::io::Result<()> {
    let folder = kept.parent().expect("it lies in a folder");
    fs::create_dir_all(folder)?;
    let copy = TempDir::new_in(folder)?;
    fs::copy(program, copy.path().join("program"))?;
    fs::rename(copy.path().join("program"), kept)
}

/// The emulators' plugin that counts instructions: compiled by the first test that needs it, for all.
fn counter() -> Result<PathBuf, String> {
    const SOURCE: &str = include_str!("../embedded/count.c");
    let target = project("target");
    let mut hasher = DefaultHasher::new();
    SOURCE.hash(&mut hasher);
    let counter = target.join(format!("count-{:016x}.so", hasher.finish()));
    if !counter.exists() {
        let folder = TempDir::new_in(&target).map_err(|error| format!("a folder: {error}"))?;
        let path = |name: &str| folder.path().join(name);
        fs::write(path("count.c"), SOURCE).map_err(|error| format!("count.c: {error}"))?;
        let mut compiler = Command::new("cc");
        compiler.current_dir(folder.path());
        finish(compiler.args(["-O2", "-shared", "-fPIC", "-o", "count.so", "count.c"]))?;
        // Another test may have been faster; either file is the same.
        fs::rename(path("count.so"), &counter).map_err(|error| format!("count.so: {error}"))?;
    }
    counter.canonicalize().map_err(|error| format!("count.so: {error}"))
}

impl CProgram {
    /// Runs it on `input`.
    ///
    /// # Errors
    /// Where it does not end by itself with 0: what it printed.
    pub fn run(&self, input: &[u8]) -> Result<CRun, String> {
        let path = |name: &str| self.folder.path().join(name);
        fs::write(path("in.bin"), input).map_err(|error| format!("in.bin: {error}"))?;
        fs::write(path("out.bin"), []).map_err(|error| format!("out.bin: {error}"))?;
        let mut command = Command::new("timeout");
        command.current_dir(self.folder.path()).arg(LIMIT_SECONDS).stdin(Stdio::null());
        match self.core.board() {
            None => {
                // Leaks cannot be: nothing takes memory. Looking for them fails under a debugger.
                command.arg("./program").env("ASAN_OPTIONS", "detect_leaks=0");
            }
            Some(board) => {
                let [_, emulator, _] = self.core.tools();
                command.arg(emulator).args(board.machine).args([
                    "-nographic",
                    "-monitor",
                    "none",
                    "-serial",
                    "none",
                    "-no-reboot",
                    "-semihosting-config",
                    "enable=on,target=native",
                ]);
                let plugin = format!("file={},out=counts.txt", counter()?.display());
                command.args(["-plugin", &plugin, "-kernel", "program"]);
            }
        }
        let log = finish(&mut command)?;
        let output = fs::read(path("out.bin")).map_err(|error| format!("out.bin: {error}"))?;
        let counts = match self.core {
            Core::Host => String::new(),
            _ => fs::read_to_string(path("counts.txt")).map_err(|e| format!("counts: {e}"))?,
        };
        let count = |line: &str| line.parse::<u64>().map_err(|e| format!("`{line}`: {e}"));
        let instructions = counts.lines().map(count).collect::<Result<_, _>>()?;
        Ok(CRun { output, instructions, log })
    }

    /// Its sections.
    ///
    /// # Errors
    /// Where there is no tool that prints them.
    pub fn size(&self) -> Result<CSize, String> {
        let [.., size] = self.core.tools();
        let said = finish(Command::new(size).current_dir(self.folder.path()).arg("program"))?;
        let numbers: Option<Vec<usize>> = said
            .lines()
            .nth(1)
            .map(|line| line.split_whitespace().map_while(|word| word.parse().ok()).collect());
        match numbers.as_deref() {
            Some([text, data, bss, ..]) => Ok(CSize { text: *text, data: *data, bss: *bss }),
            _ => Err(format!("`{size}` says: {said}")),
        }
    }

    /// Sections of one of its sources, compiled again by itself.
    ///
    /// # Errors
    /// Where there is no tool that prints them.
    pub fn sections_of(&self, source: &str) -> Result<CSections, String> {
        let [compiler, _, size] = self.core.tools();
        let mut command = Command::new(compiler);
        command.current_dir(self.folder.path()).args(STRICT).args(["-I.", "-c", "-o", "one.o"]);
        if let Some(board) = self.core.board() {
            command.args(FREESTANDING).args(board.flags);
            command.args((self.core != Core::Rv32).then_some("-mthumb"));
        }
        // The linker's flags have no meaning here.
        finish(command.args(["-Wno-unused-command-line-argument", source]))?;
        let said =
            finish(Command::new(size).current_dir(self.folder.path()).args(["-A", "one.o"]))?;
        Ok(sections(&said))
    }

    /// The folder with the program and its sources.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Of what `size -A` printed.
fn sections(said: &str) -> CSections {
    let mut sections = CSections::default();
    for line in said.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, bytes, ..] = words[..] else { continue };
        let Ok(bytes) = bytes.parse::<usize>() else { continue };
        if name.starts_with(".rodata") || name.starts_with(".srodata") {
            sections.constants += bytes;
        } else if name.starts_with(".text") {
            sections.code += bytes;
        } else if [".data", ".bss", ".sdata", ".sbss"].iter().any(|s| name.starts_with(s)) {
            sections.variables += bytes;
        }
    }
    sections
}

/// Runs to the end; both the result and the error hold what it printed.
fn finish(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("`{program}`: {error}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() {
        Ok(said)
    } else {
        Err(format!("`{program}`: {}\n{said}", output.status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = r#"
#include "device.h"
static int8_t x[1000];
int main(void)
{
    size_t n = device_read(x, sizeof x);
    DEVICE_BEGIN();
    for (size_t i = 0; i < n; i++) {
        int v = x[i] * 3 + 1;
        x[i] = (int8_t)(v > 127 ? 127 : v < -128 ? -128 : v);
    }
    DEVICE_END();
    device_write(x, n / 2);
    device_write(x + n / 2, n - n / 2);
    device_print("done\n");
    return n == 999 ? 3 : 0;
}
"#;

    #[test]
    fn every_core_computes_the_same_and_counts_alike() {
        let input: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let expected: Vec<u8> = input
            .iter()
            .map(|x| (i32::from(x.cast_signed()) * 3 + 1).clamp(-128, 127))
            .map(|y| i8::try_from(y).unwrap().cast_unsigned())
            .collect();
        for core in Core::ALL {
            if !core.is_available() {
                continue;
            }
            let program = compile_c(core, &[("main.c", MAIN)], &[], &[]).unwrap();
            let run = program.run(&input).unwrap();
            assert_eq!(run.output, expected, "{}", core.name());
            assert_eq!(run.log, "done\n", "{}", core.name());
            let again = program.run(&input).unwrap();
            assert_eq!(run.instructions, again.instructions, "{}", core.name());
            if core == Core::Host {
                assert!(run.instructions.is_empty());
            } else {
                let [n] = run.instructions[..] else { panic!("{:?}", run.instructions) };
                assert!((500..20_000).contains(&n), "{}: {n} instructions", core.name());
                let size = program.size().unwrap();
                assert!(size.text > 200 && size.bss >= 1000, "{}: {size:?}", core.name());
            }
            let failed = program.run(&input[..999]).unwrap_err();
            assert!(failed.contains("done"), "{failed}");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error_of_the_linker() {
        let source = "static volatile char x[20000]; int main(void) { return x[5]; }";
        if Core::CortexM0.is_available() {
            let error = compile_c(Core::CortexM0, &[("main.c", source)], &[], &[]).unwrap_err();
            assert!(error.contains("RAM"), "{error}");
        }
    }
}
