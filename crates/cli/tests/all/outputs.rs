//! Networks with several outputs, and outputs that are chosen.

use crate::common::{fixedwise, write_inputs};
use fixedwise_codec::onnx::{ModelBuilder, Node, Tensor};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// The brightest quadrant as four scores, and boxes `[n, 4, 2]` whose selection is not supported.
pub(crate) fn detector() -> ModelBuilder {
    let identity = (0..16).map(|i| if i % 5 == 0 { 1.0 } else { 0.0 }).collect();
    ModelBuilder::new("detector")
        .input("image", &[1, 1, 4, 4])
        .initializer("kernel", Tensor::floats(&[1, 1, 2, 2], vec![0.25; 4]))
        .initializer("dense", Tensor::floats(&[4, 4], identity))
        .initializer("offset", Tensor::floats(&[4], vec![0.0; 4]))
        .initializer("edges", Tensor::floats(&[2, 1, 1, 1], vec![0.7, -0.4]))
        .initializer("places", Tensor::ints(&[3], vec![0, 4, 2]))
        .node(
            Node::new("Conv", "sums", &["image", "kernel"], &["a"])
                .with("strides", vec![2_i64, 2])
                .with("kernel_shape", vec![2_i64, 2]),
        )
        .node(Node::new("Relu", "relu", &["a"], &["features"]))
        .node(Node::new("Flatten", "flat", &["features"], &["c"]).with("axis", 1_i64))
        .node(Node::new("Gemm", "classes", &["c", "dense", "offset"], &["scores"]))
        .node(Node::new("Conv", "regression", &["features", "edges"], &["e"]))
        .node(Node::new("Transpose", "last", &["e"], &["f"]).with("perm", vec![0_i64, 2, 3, 1]))
        .node(Node::new("Reshape", "list", &["f", "places"], &["boxes"]))
        .node(Node::new("NonMaxSuppression", "select", &["boxes", "scores"], &["kept"]))
        .output("scores", &[1, 4])
        .output("kept", &[1, 3])
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn outputs_are_chosen_and_the_plan_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    fs::write(folder.join("detector.onnx"), detector().encode()).unwrap();
    let run = |line: &str, code: i32| -> [String; 2] {
        let done = fixedwise(folder).args(line.split_whitespace()).assert().code(code);
        let output = done.get_output();
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned())
    };
    let refused = run("inspect detector.onnx", 1);
    assert!(refused[1].contains("NonMaxSuppression"), "{refused:?}");
    let refused = run("inspect detector.onnx --output box", 1);
    assert!(refused[1].contains("the nearest names are `boxes`"), "{refused:?}");
    run("inspect detector.onnx --output features", 0);
    // Labels belong to the first output.
    let quantize =
        "quantize detector.onnx --data images.npz --strategy fixed --output scores,boxes";
    let [text, _] = run(&format!("{quantize} -o out"), 0);
    let (of_scores, of_boxes) = ("scores  search", "boxes   test");
    assert!(text.contains(of_scores) && text.contains(of_boxes), "{text}");
    let result = json_of(&folder.join("out/result.json"));
    assert_eq!(result["model"]["outputs"], json!(["scores", "boxes"]));
    let accuracy = |set: &Value| set["fixed"].as_f64().unwrap();
    let outputs = &result["outputs"];
    assert!((accuracy(&outputs[0]["test"]) - accuracy(&result["accuracy"]["test"])).abs() < 1e-12);
    assert!(outputs[1]["test"]["sqnr_db"].as_f64().unwrap() > 20.0, "{outputs}");
    let plan = fs::read_to_string(folder.join("out/plan.toml")).unwrap();
    assert!(plan.contains("\noutputs = [\"scores\", \"boxes\"]\n"), "{plan}");

    let given = "detector.onnx --plan out/plan.toml";
    let [text, _] = run(&format!("evaluate {given} --test images.npz --json"), 0);
    let evaluated: Value = serde_json::from_str(&text).unwrap();
    let whole = &evaluated["outputs"][1]["test"];
    assert!(whole["n"] == 80 && whole["sqnr_db"].as_f64().unwrap() > 20.0, "{whole}");
    assert_eq!(evaluated["outputs"][1]["search"], Value::Null);
    run("evaluate detector.onnx --plan out/result.json --test images.npz", 0);
    let [_, error] = run(&format!("evaluate {given} --test images.npz --output boxes"), 1);
    let expected =
        "was made for the outputs `scores,boxes`, but --output says `boxes`; omit --output";
    assert!(error.contains(expected), "{error}");
    for (form, file) in [("onnx", "d.onnx"), ("qonnx", "q.onnx"), ("npz", "d.npz"), ("hls", "h")] {
        run(&format!("export {form} {given} -o {file}"), 0);
    }
    run(&format!("export c {given} -o c"), 0);
    let header = fs::read_to_string(folder.join("c/detector.h")).unwrap();
    assert!(header.contains("detector_output_scores *output_scores, "), "{header}");
    run("refit out/plan.toml --quiet", 0);
    let refitted = json_of(&folder.join("out/refit/result.json"));
    assert_eq!(refitted["model"]["outputs"], json!(["scores", "boxes"]));
}

/// Without labels, and of values, the bound holds for every output.
#[test]
#[cfg(unix)]
fn every_output_keeps_to_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    fs::write(folder.join("detector.onnx"), detector().encode()).unwrap();
    let quantize = |more: &[&str], out: &str| {
        let run = ["quantize", "detector.onnx", "--data", "images.npz", "--output", "boxes,scores"];
        let done = fixedwise(folder).args(run).args(more).args(["-o", out, "--quiet"]);
        done.assert().success();
        json_of(&folder.join(out).join("result.json"))
    };
    let result = quantize(&["--min-sqnr", "25"], "values");
    assert_eq!(result["bound_met"], true);
    let whole = result["accuracy"]["search"]["sqnr_db"].as_f64().unwrap();
    assert!(whole >= 25.0);
    for output in result["outputs"].as_array().unwrap() {
        let db = output["search"]["sqnr_db"].as_f64().unwrap();
        assert!(db >= whole - 1e-9, "{output}");
    }
    // A command is handed each output with the axes of the file, then the images.
    fs::write(
        folder.join("shapes.sh"),
        "for f in \"$@\"; do head -c 128 \"$f\" | tr -d '\\n' | grep -ao \"'shape': ([0-9, ]*)\" >> shapes; \
         done; echo 1\n",
    )
    .unwrap();
    let command = ["--metric-command", "sh shapes.sh", "--strategy", "fixed"];
    let result = quantize(&command, "command");
    assert_eq!(result["accuracy"]["search"]["metric"], json!([1.0, 1.0]));
    let shapes = fs::read_to_string(folder.join("shapes")).unwrap();
    let first: Vec<&str> = shapes.lines().take(3).collect();
    assert_eq!(first, ["'shape': (40,4,2,)", "'shape': (40,4,)", "'shape': (40,)"]);
}
