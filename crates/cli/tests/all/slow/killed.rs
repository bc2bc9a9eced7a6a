//! A run that is killed at any moment and resumed ends as one that was left alone.

use crate::common::root;
use fixedwise::RunResult;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// A search of some seconds.
fn quantize(folder: &Path, out: &str, resume: bool) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fixedwise"));
    let data = root().join("data/fashion-mnist");
    let images = |split: &str| format!("{}:{split}", data.display());
    command
        .current_dir(folder)
        .arg("quantize")
        .arg(root().join("models/fashion_small.onnx"))
        .args(["--calibration", &images("train@0..12"), "--search", &images("test@0..60")])
        .args(["--test", &images("test@300..340"), "--max-loss", "10%", "--quiet", "-o", out])
        .stdout(Stdio::null());
    if resume {
        command.arg("--resume");
    }
    command
}

#[test]
fn a_killed_run_ends_as_one_that_was_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let start = Instant::now();
    assert!(quantize(folder, "whole", false).status().unwrap().success());
    let whole = start.elapsed();

    // Each time a bit farther, at moments that no clock of the search knows.
    for (parts, part) in [11_u32, 42, 78].into_iter().enumerate() {
        let mut run = quantize(folder, "killed", parts > 0).spawn().unwrap();
        sleep(whole * part / 100 + Duration::from_millis(u64::from(part) % 7));
        run.kill().unwrap();
        run.wait().unwrap();
        if folder.join("killed/result.json").exists() {
            // It was faster than the first.
            fs::remove_file(folder.join("killed/result.json")).unwrap();
        }
    }
    assert!(quantize(folder, "killed", true).status().unwrap().success());
    for name in ["plan.toml", "plan.npz"] {
        let read = |out: &str| fs::read(folder.join(out).join(name)).unwrap();
        assert!(read("whole") == read("killed"), "{name}");
    }
    let result = |out: &str| RunResult::read(&folder.join(out).join("result.json")).unwrap();
    let (whole, killed) = (result("whole"), result("killed"));
    assert_eq!((&whole.front, whole.accuracy), (&killed.front, killed.accuracy));
    assert!(killed.evaluations < whole.evaluations, "what was measured is not measured again");
}
