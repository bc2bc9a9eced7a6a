//! Networks whose outputs are values, images without labels, metrics of the user's.

use crate::common::{array, brightest, fixedwise, images, write_inputs};
use fixedwise_codec::{
    npz::{ArrayData, encode_npz},
    onnx::{ModelBuilder, Node, Tensor},
};
use serde_json::Value;
use std::{fs, path::Path};

/// A network that smooths and sharpens an image of 8x8: values in, values out.
pub(crate) fn smoother() -> ModelBuilder {
    let weights =
        |n: usize| (0..n).map(|i| [0.3, -0.1, 0.2, 0.05, 0.15][i % 5]).collect::<Vec<f32>>();
    let conv = |name: &str, from: &str, weights: &str, to: &str| {
        Node::new("Conv", name, &[from, weights], &[to])
            .with("kernel_shape", vec![3_i64, 3])
            .with("pads", vec![1_i64, 1, 1, 1])
    };
    ModelBuilder::new("smoother")
        .input("image", &[1, 1, 8, 8])
        .initializer("w1", Tensor::floats(&[6, 1, 3, 3], weights(54)))
        .initializer("w2", Tensor::floats(&[6, 6, 3, 3], weights(324)))
        .initializer("w3", Tensor::floats(&[1, 6, 3, 3], weights(54)))
        .node(conv("first", "image", "w1", "a"))
        .node(Node::new("Relu", "relu", &["a"], &["b"]))
        .node(conv("second", "b", "w2", "c"))
        .node(Node::new("Relu", "relu2", &["c"], &["d"]))
        .node(conv("third", "d", "w3", "e"))
        .output("e", &[1, 1, 8, 8])
}

fn write_smoother(folder: &Path) {
    fs::write(folder.join("smoother.onnx"), smoother().encode()).unwrap();
    let pixels = |seed: usize, n: usize| {
        let value =
            |i: usize| u8::try_from((i * 31 + i / 7 * 5 + seed * 17 + i * i % 83) % 256).unwrap();
        array(&[n, 8, 8], (0..n * 64).map(value).collect())
    };
    let (train, test) = (pixels(1, 60), pixels(2, 120));
    fs::write(folder.join("pixels.npz"), encode_npz(&[("x_train", &train), ("x_test", &test)]))
        .unwrap();
}

pub(crate) fn result(folder: &Path, out: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.join(out).join("result.json")).unwrap()).unwrap()
}

fn refused(folder: &Path, arguments: &[&str], expected: &str) {
    let verdict = fixedwise(folder).arg("quantize").args(arguments).assert().code(1);
    let text = String::from_utf8(verdict.get_output().stderr.clone()).unwrap();
    assert!(text.contains(expected), "{text}");
}

#[test]
fn values_keep_their_distance_from_noise() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_smoother(folder);
    let mut last = 0.0;
    for (db, out) in [("20", "20"), ("40", "40")] {
        let run =
            ["quantize", "smoother.onnx", "--data", "pixels.npz", "--min-sqnr", db, "-o", out];
        let done = fixedwise(folder).args(run).assert().success();
        let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
        assert!(text.contains(&format!("meets the bound, SQNR of {db} dB")), "{text}");
        let result = result(folder, out);
        assert_eq!(result["metric"], "sqnr");
        let asked: f64 = db.parse().unwrap();
        for set in ["search", "test"] {
            let found = result["accuracy"][set]["sqnr_db"].as_f64().unwrap();
            assert!((asked - 1.0..asked + 15.0).contains(&found), "{set} {found}");
        }
        let memory = result["memory_bits"]["total"].as_f64().unwrap();
        assert!(memory > last, "{memory} after {last}");
        last = memory;
    }
    // Resumed, nothing is left to run.
    let again = ["--min-sqnr", "40", "-o", "40", "--resume", "--json"];
    let run = ["quantize", "smoother.onnx", "--data", "pixels.npz"];
    let done = fixedwise(folder).args(run).args(again).assert().success();
    let again: Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert_eq!(
        (&again["evaluations"], &again["layers"]),
        (&0.into(), &result(folder, "40")["layers"])
    );
    let model = ["smoother.onnx", "--data", "pixels.npz"];
    refused(
        folder,
        &[&model[..], &["--min-sqnr", "30", "--strategy", "joint"]].concat(),
        "needs the strategy pareto",
    );
    refused(folder, &[&model[..], &["--min-sqnr", "300"]].concat(), "decibels from 1 to 90");
}

/// No figure of a metric that was not asked, however soon the search ends.
#[test]
#[cfg(unix)]
fn a_command_that_says_one_number_is_told_by_that_number() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_smoother(folder);
    let command = ["--metric-command", "echo asked >> log; echo 100 #", "--time-budget", "0.001s"];
    let run = ["quantize", "smoother.onnx", "--data", "pixels.npz", "--quiet", "-o"];
    for (out, more) in [("budget", &[][..]), ("fixed", &["--strategy", "fixed"])] {
        fs::write(folder.join("log"), "").unwrap();
        fixedwise(folder).args(run).arg(out).args(command).args(more).assert().success();
        let accuracy = result(folder, out)["accuracy"].clone();
        for set in ["search", "test"] {
            assert_eq!(accuracy[set]["metric"], serde_json::json!([100.0, 100.0]), "{out}");
        }
        // The float network and the plan, on both sets.
        assert_eq!(fs::read_to_string(folder.join("log")).unwrap().lines().count(), 4, "{out}");
    }
}

#[test]
#[cfg(unix)]
fn one_logit_has_labels_of_two_classes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Whether the brightest quadrant is one of the upper two.
    let mut model = brightest().build().graph;
    model.initializers.retain(|(name, _)| name == "kernel");
    model.nodes.truncate(3);
    let mut network = ModelBuilder::new("upper").input("image", &[1, 1, 4, 4]);
    for (name, tensor) in model.initializers {
        network = network.initializer(&name, tensor);
    }
    let network = model.nodes.into_iter().fold(network, ModelBuilder::node);
    let network = network
        .initializer("upper", Tensor::floats(&[4, 1], vec![0.1, 0.1, -0.1, -0.1]))
        .node(Node::new("MatMul", "logit", &["c", "upper"], &["x"]))
        .node(Node::new("Sigmoid", "sigmoid", &["x"], &["p"]))
        .output("p", &[1, 1]);
    fs::write(folder.join("upper.onnx"), network.encode()).unwrap();
    let ((x_train, _), (x_test, y)) = (images(1, 50), images(2, 80));
    let ArrayData::U8(quadrants) = &y.data else { panic!("labels are bytes") };
    let upper = array(&[80], quadrants.iter().map(|&q| u8::from(q < 2)).collect());
    for (file, labels) in [("two.npz", &upper), ("four.npz", &y)] {
        let arrays = [("x_train", &x_train), ("x_test", &x_test), ("y_test", labels)];
        fs::write(folder.join(file), encode_npz(&arrays)).unwrap();
    }
    let run = ["quantize", "upper.onnx", "--data"];
    fixedwise(folder).args(run).args(["two.npz", "-o", "out", "--quiet"]).assert().success();
    let found = result(folder, "out");
    assert_eq!(found["metric"], "accuracy");
    assert_eq!(found["float_network"]["classes"], 2);
    assert_eq!(found["accuracy"]["test"]["float"], 1.0);
    assert!(found["accuracy"]["search"]["fixed"].as_f64().unwrap() >= 0.99, "{found}");
    // Class by class: 40 test images.
    let classes = found["classes"].as_array().unwrap();
    let n = |class: &Value| class["test"]["n"].as_u64().unwrap();
    assert_eq!((classes.len(), classes.iter().map(n).sum::<u64>()), (2, 40));
    assert_eq!(classes[1]["test"]["float"], 1.0);
    let given = ["evaluate", "upper.onnx", "--plan", "out/plan.toml", "--test", "two.npz", "-v"];
    let done = fixedwise(folder).args(given).assert().success();
    let text = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(text.contains("worst class: "), "{text}");
    let more = fixedwise(folder).args(run).arg("four.npz").assert().code(1);
    let said = String::from_utf8_lossy(&more.get_output().stderr).into_owned();
    assert!(said.contains("2 classes"), "{said}");
}

#[test]
fn without_labels_agreement_counts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let ((x_train, _), (x_test, _)) = (images(1, 50), images(2, 80));
    let bare = encode_npz(&[("x_train", &x_train), ("x_test", &x_test)]);
    fs::write(folder.join("bare.npz"), bare).unwrap();
    let run = ["quantize", "brightest.onnx", "--data", "bare.npz", "--max-loss", "5%"];
    let done = fixedwise(folder).args(run).assert().success();
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    for expected in
        ["Agreement with the float network\n", "  agreement  ", "the accuracy is unknown"]
    {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
    assert!(!text.contains("float accuracy") && !text.contains("float  "), "{text}");
    assert!(text.contains("5 % of the images with another class"), "{text}");
    // With labels for one of the two sets, one table would say two things.
    let mixed = ["quantize", "brightest.onnx", "--calibration", "bare.npz:train"];
    let mixed = fixedwise(folder).args(mixed).args(["--search", "bare.npz:test@0..40"]);
    let mixed = mixed.args(["--test", "images.npz:test@40..80"]).assert().code(1);
    let said = String::from_utf8_lossy(&mixed.get_output().stderr).into_owned();
    assert!(said.contains("only one of the search set and the test set has labels"), "{said}");
    let result = result(folder, "fixedwise-out");
    assert_eq!(result["metric"], "agreement");
    assert_eq!(result["accuracy"]["test"]["float"], 1.0);
}

#[test]
#[cfg(unix)]
fn a_command_says_how_good_outputs_are() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_smoother(folder);
    // The mean of all outputs: floats behind a header of 128 bytes.
    let script = "tail -c +129 \"$1\" | od -An -t f4 -v | \
                  awk '{ for (i = 1; i <= NF; i++) { s += $i; n++ } } END { print s / n }'\n";
    fs::write(folder.join("mean.sh"), script).unwrap();
    let run = ["quantize", "smoother.onnx", "--data", "pixels.npz", "--max-loss", "2%"];
    let command = ["--metric-command", "sh mean.sh"];
    fixedwise(folder).args(run).args(command).args(["-o", "mean", "--quiet"]).assert().success();
    let result = result(folder, "mean");
    assert_eq!(result["metric"], "command");
    let [float, fixed] =
        [0, 1].map(|i| result["accuracy"]["search"]["metric"][i].as_f64().unwrap());
    assert!(float > 0.0 && (float - fixed) / float <= 0.02, "{float} {fixed}");
    assert!(result["accuracy"]["test"]["metric"][0].as_f64().unwrap() > 0.0);
    let model = ["smoother.onnx", "--data", "pixels.npz", "--metric-command"];
    refused(
        folder,
        &[&model[..], &["echo lost >&2; exit 4 #"]].concat(),
        "failed (exit status: 4): lost",
    );
    refused(folder, &[&model[..], &["echo none #"]].concat(), "printed `none` instead of a number");
    refused(
        folder,
        &[&model[..], &["echo 1 #", "--max-loss", "1pt"]].concat(),
        "percentage points have no meaning",
    );
}

#[test]
fn a_float_network_at_chance_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("brightest.onnx"), brightest().encode()).unwrap();
    let ((x_train, y_train), (x_test, _)) = (images(1, 50), images(2, 80));
    let wrong = array(&[80], (0..80).map(|i| i % 4).collect());
    let arrays =
        [("x_train", &x_train), ("y_train", &y_train), ("x_test", &x_test), ("y_test", &wrong)];
    fs::write(folder.join("images.npz"), encode_npz(&arrays)).unwrap();
    refused(
        folder,
        &["brightest.onnx", "--data", "images.npz"],
        "no better than chance with 4 classes",
    );
    assert!(!folder.join("fixedwise-out/plan.toml").exists());
}
