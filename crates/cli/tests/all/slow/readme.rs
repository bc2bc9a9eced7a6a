//! Every command of the README runs, in the order in which it stands there.

use std::{path::Path, process::Command};

/// What a command line of the README starts with, before the arguments of the tool.
const TOOL: &str = "cargo run --release -- ";
/// The command that runs this test.
const TESTS: &str = "cargo xtask test";

#[test]
fn every_command_of_the_readme_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["models", "data"] {
        let target = root.join(name).canonicalize().unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap();
        #[cfg(windows)]
        std::os::windows::fs::symlink_dir(target, folder.path().join(name)).unwrap();
    }
    let (mut commands, mut summaries) = (0, 0);
    for block in readme.split("```sh\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            commands += 1;
            if line == TESTS {
                let ci = std::fs::read_to_string(root.join(".ci/run")).unwrap();
                assert!(ci.contains(TESTS), ".ci/run calls the README's test command");
                continue;
            }
            let arguments = line.strip_prefix(TOOL).unwrap_or_else(|| panic!("unknown: {line}"));
            let run = Command::new(env!("CARGO_BIN_EXE_fixedwise"))
                .args(arguments.split(' '))
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert!(run.status.success(), "{line}:\n{}", String::from_utf8_lossy(&run.stderr));
            if arguments.starts_with("quantize models/") {
                summaries += 1;
                check_summary(&String::from_utf8(run.stdout).unwrap());
            }
        }
    }
    assert!(commands >= 4 && summaries == 1, "the README has commands");
    assert!(folder.path().join("fixedwise-out/result.json").is_file());
}

/// A search of the embedded network says what it found, keeps to its bound and to the width of a
/// terminal.
fn check_summary(text: &str) {
    for expected in ["conv2d_1", "memory", "95 % interval", "meets the bound", "plan.toml"] {
        assert!(text.contains(expected), "no {expected} in:\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}
