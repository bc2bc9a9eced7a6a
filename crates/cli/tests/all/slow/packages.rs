//! A crate of a network compiles and passes its own test.

use crate::{
    common::{fixedwise, write_inputs},
    export::{export, folder},
    outputs::detector,
};
use fixedwise_testing::has_programs;
use std::{fs, path::Path, process::Command};

/// The crate's own test passes; its only dependency is one of ours.
#[track_caller]
fn check(folder: &Path, name: &str) {
    let output = Command::new("cargo")
        .args(["test", "--offline", "--quiet"])
        .env("RUSTFLAGS", "-D warnings")
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .current_dir(folder.join(name))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("test result: ok"), "{name}: {said}");
}

#[test]
fn a_crate_gives_the_known_result() {
    if !has_programs(&["cargo", "cc"]) {
        return;
    }
    let folder = folder();
    let folder = folder.path();
    export(folder, "c", &["-o", "one", "--package", "rust", "--name", "small_net"]).success();
    check(folder, "one");
    let file = ["-o", "file", "--package", "rust", "--name", "file_net", "--weights", "file"];
    export(folder, "c", &file).success();
    check(folder, "file");
    // Several outputs, of several extents.
    write_inputs(folder);
    fs::write(folder.join("detector.onnx"), detector().encode()).unwrap();
    for line in [
        "quantize detector.onnx --data images.npz --strategy fixed --output scores,boxes -o detected",
        "export c detector.onnx --plan detected/plan.toml -o two --package rust",
    ] {
        fixedwise(folder).args(line.split_whitespace()).assert().success();
    }
    check(folder, "two");
}
