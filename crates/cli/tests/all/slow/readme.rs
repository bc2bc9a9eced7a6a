//! Every command of the README and of the tutorial runs, in the order in which it stands there.

use fixedwise_testing::{has_programs, project};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// The command that runs this test.
const TESTS: &str = "cargo xtask test";
/// How the Python package is installed; the tests of the wheel do that, into a fresh environment.
const PACKAGE: &str = "pip install .";

/// The commands of a page; lines that end in `\` are joined.
fn commands(page: &str) -> Vec<String> {
    let text = fs::read_to_string(project(page)).unwrap();
    let blocks = text.split("```sh\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap().replace("\\\n", " "));
    blocks.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// A folder with what commands use from the root of the project.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["models", "data", "docs"] {
        let target = project(name).canonicalize().unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap();
        #[cfg(windows)]
        std::os::windows::fs::symlink_dir(target, folder.path().join(name)).unwrap();
    }
    folder
}

fn run(program: &str, arguments: &str, folder: &Path) -> Output {
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace()).current_dir(folder);
    command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Runs a command that must succeed; what it printed.
fn done(program: &str, arguments: &str, folder: &Path) -> String {
    let output = run(program, arguments, folder);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}:\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_of_the_readme_runs() {
    let folder = workplace();
    let (commands, mut summaries) = (commands("README.md"), 0);
    for line in &commands {
        if line == TESTS {
            let ci = fs::read_to_string(project(".ci/run")).unwrap();
            assert!(ci.contains(TESTS), ".ci/run calls the README's test command");
            continue;
        }
        if line == PACKAGE {
            let check = fs::read_to_string(project("xtask/src/check.rs")).unwrap();
            assert!(check.contains("wheel::test("), "the test command tests the package");
            continue;
        }
        let arguments = line.strip_prefix("cargo run --release -- ");
        let arguments = arguments.unwrap_or_else(|| panic!("unknown: {line}"));
        let text = done(env!("CARGO_BIN_EXE_fixedwise"), arguments, folder.path());
        if arguments.starts_with("quantize models/") {
            summaries += 1;
            check_summary(&text, "conv2d_1");
        }
    }
    assert!(commands.len() >= 4 && summaries == 1, "the README has commands");
    assert!(folder.path().join("fixedwise-out/result.json").is_file());
}

/// A search of an embedded network says what it found, keeps to its bound and to the width of a
/// terminal.
fn check_summary(text: &str, layer: &str) {
    for expected in [layer, "memory", "95 % interval", "meets the bound", "plan.toml"] {
        assert!(text.contains(expected), "no {expected} in:\n{text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 80 || line.starts_with("written:")),
        "{text}"
    );
}

/// `cargo xtask tutorial` runs the training; its networks are in `models/`.
#[test]
fn every_command_of_the_tutorial_runs() {
    const COMPILER: &str = "arm-none-eabi-gcc";
    const EMULATOR: &str = "qemu-system-arm";
    let folder = workplace();
    let folder = folder.path();
    let has_board = has_programs(&[COMPILER, EMULATOR]);
    let commands = commands("docs/tutorial.md");
    let commands: Vec<_> = commands.iter().map(|line| line.split_once(' ').unwrap()).collect();
    let mut summaries = Vec::new();
    for &(program, arguments) in &commands {
        match program {
            "fixedwise" => {
                let text = done(env!("CARGO_BIN_EXE_fixedwise"), arguments, folder);
                if arguments.starts_with("quantize ") {
                    summaries.push(text);
                }
            }
            COMPILER | EMULATOR if has_board => drop(done(program, arguments, folder)),
            COMPILER | EMULATOR => {}
            "cargo" => {
                let path = arguments.strip_prefix("install --path ").unwrap();
                assert!(project(path).join("src/main.rs").is_file(), "{path}");
            }
            _ => panic!("unknown: {program} {arguments}"),
        }
    }
    // PyTorch's names are paths, Keras' are not.
    assert_eq!(summaries.len(), 2, "the tutorial quantizes two networks");
    check_summary(&summaries[0], "features.0 ");
    check_summary(&summaries[1], "conv2d_1 ");
    if !has_board {
        return;
    }
    // The exit code of the emulator tells when an integer differs.
    let of = |name| commands.iter().find(|(program, _)| *program == name).unwrap().1;
    let test = folder.join("clothes/c/test_clothes.c");
    let source = fs::read_to_string(&test).unwrap();
    let wrong =
        source.replace("output[i] != results[test][i]", "output[i] != results[test][i] + 1");
    assert_ne!(source, wrong);
    fs::write(&test, wrong).unwrap();
    done(COMPILER, of(COMPILER), folder);
    assert_eq!(run(EMULATOR, of(EMULATOR), folder).status.code(), Some(1));
}
