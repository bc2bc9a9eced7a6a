//! A crate of a network compiles and passes its own test.

use crate::export::{export, folder};
use fixedwise_testing::has_programs;
use std::process::Command;

#[test]
fn a_crate_gives_the_known_result() {
    if !has_programs(&["cargo", "cc"]) {
        return;
    }
    let folder = folder();
    let folder = folder.path();
    let arguments = ["-o", "crate", "--package", "rust", "--name", "small_net"];
    export(folder, "c", &arguments).success();
    // Its only dependency is one of ours.
    let output = Command::new("cargo")
        .args(["test", "--offline", "--quiet"])
        .env("RUSTFLAGS", "-D warnings")
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .current_dir(folder.join("crate"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("test result: ok"), "{said}");
}
