//! Plans that are tuned on images without labels.

use crate::common::{array, fixedwise, write_inputs};
use crate::values::{result, smoother};
use fixedwise_codec::npz::{Array, encode_npz};
use serde_json::Value;
use std::{fs, path::Path};

/// `n` images of so many rows and columns.
fn pixels(seed: usize, n: usize, size: usize) -> Array {
    let value =
        |i: usize| u8::try_from((i * 31 + i / 7 * 5 + seed * 17 + i * i % 83) % 256).unwrap();
    array(&[n, size, size], (0..n * size * size).map(value).collect())
}

fn write(folder: &Path, name: &str, arrays: &[(&str, &Array)]) {
    fs::write(folder.join(name), encode_npz(arrays)).unwrap();
}

/// Runs a command that must fail, and checks what it says.
fn refused(folder: &Path, arguments: &[&str], expected: &str) {
    let model = ["quantize", "smoother.onnx", "--data", "pixels.npz", "--min-sqnr", "25"];
    let run = fixedwise(folder).args(model).args(arguments).assert().code(1);
    let said = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    assert!(said.replace('\n', " ").contains(expected), "{arguments:?}: {said}");
}

#[test]
fn a_plan_is_tuned_on_the_train_split_or_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("smoother.onnx"), smoother().encode()).unwrap();
    let (train, test) = (pixels(1, 600, 8), pixels(2, 100, 8));
    write(folder, "pixels.npz", &[("x_train", &train), ("x_test", &test)]);
    let command = |arguments: &[&str]| {
        let model = ["quantize", "smoother.onnx", "--data", "pixels.npz", "--min-sqnr", "25"];
        let run = fixedwise(folder).args(model).args(arguments).assert().success();
        String::from_utf8(run.get_output().stdout.clone()).unwrap().replace("\n  ", " ")
    };
    let text = command(&["--tune", "40steps", "-o", "tuned"]);
    assert!(text.contains("600 images without labels"), "{text}");
    let tuned = result(folder, "tuned");
    let steps = tuned["tuned"]["steps"].as_u64().unwrap();
    assert!((1..=40).contains(&steps), "{}", tuned["tuned"]);
    assert_eq!(tuned["bound_met"], true);
    // What was tuned is in the plan's integers.
    let again =
        ["evaluate", "smoother.onnx", "--plan", "tuned/plan.toml", "--test", "pixels.npz:test"];
    let run = fixedwise(folder).args(again).args(["--metric", "sqnr", "--json"]).assert().success();
    let seen: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert_eq!(seen["accuracy"]["test"]["n"], 100);

    // Too few are named, and the plan is that of the search.
    let few = pixels(3, 100, 8);
    write(folder, "few.npz", &[("x", &few)]);
    let text = command(&["--tune", "1s", "--unlabeled", "few.npz", "-o", "few"]);
    assert!(text.contains("Not tuned: that takes at least 512 images"), "{text}");
    command(&["-o", "plain"]);
    let plan = |out: &str| fs::read_to_string(folder.join(out).join("plan.toml")).unwrap();
    assert_eq!(plan("few"), plan("plain"));
    assert_eq!(result(folder, "few")["tuned"]["problem"]["images"]["least"], 512);
    assert!(result(folder, "plain")["tuned"].is_null());

    // Wrong input.
    let large = pixels(4, 600, 10);
    write(folder, "large.npz", &[("x", &large)]);
    refused(folder, &["--tune", "1s", "--unlabeled", "large.npz"], "with shape [10, 10]");
    refused(folder, &["--tune", "1s", "--unlabeled", "none.npz"], "none.npz");
    refused(folder, &["--tune", "1s", "--unlabeled", "pixels.npz:test"], "unlabeled");
    refused(folder, &["--unlabeled", "few.npz"], "add `--tune auto`");
    for text in ["5", "0steps", "many steps"] {
        refused(folder, &["--tune", text], "expected none, auto, hours");
    }
    refused(folder, &["--tune", "auto", "--strategy", "fixed"], "needs the strategy pareto");
}

#[test]
fn generalize_has_the_option_under_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let run =
        ["generalize", "brightest.onnx", "--data", "images.npz", "--parts", "2", "--tune", "2"];
    let done = fixedwise(folder).args(run).args(["--tuning", "1s"]).assert();
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(!text.is_empty(), "{text}");
    assert!(!result(folder, "fixedwise-out")["tuned"]["problem"].is_null());
}
