//! Networks with several inputs, from data with an array for each to C.

use crate::common::fixedwise;
use fixedwise_codec::{
    npz::{Array, ArrayData, encode_npz},
    onnx::{ModelBuilder, Node, Tensor},
};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Which of two is larger: the mean of an image divided by 255, or the sum of a vector.
fn network() -> ModelBuilder {
    ModelBuilder::new("larger")
        .input("images:0", &[1, 3, 4, 4])
        .input("pose", &[1, 2])
        .input("unused", &[1, 9])
        .initializer("kernel", Tensor::floats(&[1, 3, 1, 1], vec![1.0 / 3.0; 3]))
        .initializer("sum", Tensor::floats(&[2, 1], vec![1.0; 2]))
        .initializer("offset", Tensor::floats(&[1], vec![0.0]))
        .node(Node::new("Conv", "gray", &["images:0", "kernel"], &["a"]))
        .node(Node::new("Relu", "relu", &["a"], &["b"]))
        .node(Node::new("GlobalAveragePool", "mean", &["b"], &["c"]))
        .node(Node::new("Flatten", "flat", &["c"], &["d"]))
        .node(Node::new("Gemm", "dense", &["pose", "sum", "offset"], &["e"]))
        .node(Node::new("Concat", "join", &["d", "e"], &["f"]).with("axis", 1_i64))
        .initializer("same", Tensor::floats(&[2, 2], vec![1.0, 0.0, 0.0, 1.0]))
        .initializer("none", Tensor::floats(&[2], vec![0.0; 2]))
        .node(Node::new("Gemm", "scores", &["f", "same", "none"], &["g"]))
        .output("g", &[1, 2])
}

const N: usize = 60;

/// Gray images from dark to bright, channels last, vectors the other way round, and which is larger.
fn arrays() -> [Array; 3] {
    let level = |i: usize| u8::try_from(i * 4).unwrap();
    let image = (0..N).flat_map(|i| [level(i); 48]).collect();
    let pose = |i: usize| 0.9 - f32::from(level(i)) / 255.0;
    let vectors = (0..N).flat_map(|i| [pose(i) * 2.0, -pose(i)]).collect();
    let larger = (0..N).map(|i| i64::from(pose(i) > f32::from(level(i)) / 255.0)).collect();
    [
        Array { shape: vec![N, 4, 4, 3], data: ArrayData::U8(image) },
        Array { shape: vec![N, 2], data: ArrayData::F32(vectors) },
        Array { shape: vec![N], data: ArrayData::I64(larger) },
    ]
}

fn write(folder: &Path, name: &str, arrays: &[(&str, &Array)]) {
    fs::write(folder.join(name), encode_npz(arrays)).unwrap();
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn run(folder: &Path, line: &str, code: i32) -> [String; 2] {
    let done = fixedwise(folder).args(line.split_whitespace()).assert().code(code);
    let output = done.get_output();
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned())
}

#[test]
fn an_image_and_a_vector_go_from_arrays_to_c() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("larger.onnx"), network().encode()).unwrap();
    let [image, pose, larger] = arrays();
    // By an identifier of the input's name; `x` is the input that is left.
    write(folder, "named.npz", &[("images_0", &image), ("pose", &pose), ("y", &larger)]);
    write(folder, "x.npz", &[("x", &image), ("pose", &pose), ("unused", &pose), ("y", &larger)]);
    let [text, _] = run(folder, "inspect larger.onnx --data named.npz", 0);
    assert!(text.contains("inputs images:0 4x4x3, pose 1x1x2"), "{text}");
    assert!(text.contains("images:0: pixels / 255; pose: pixels as they are (default)"), "{text}");
    assert!(text.contains("`pose`, by channel: "), "{text}");

    run(folder, "quantize larger.onnx --data x.npz --strategy fixed -o out --quiet", 0);
    let result = json_of(&folder.join("out/result.json"));
    let fed = "images:0:scale=1/255,pose:scale=1";
    assert_eq!(result["preprocessing"]["preprocess"], fed);
    assert_eq!(result["input"]["bits"], 8);
    assert_eq!(result["others"][0]["name"], "pose");
    assert_eq!(result["others"][0]["activation"]["signed"], true);
    assert!(result["accuracy"]["test"]["fixed"].as_f64().unwrap() > 0.9, "{result}");
    let plan = fs::read_to_string(folder.join("out/plan.toml")).unwrap();
    assert!(plan.contains(&format!("preprocess = \"{fed}\"\n")), "{plan}");
    let others = plan.split_once("\n[others]\n").map_or("", |(_, others)| others);
    assert!(others.contains("pose = { bits = 8, frac = 6 }\n"), "{plan}");

    let given = "larger.onnx --plan out/plan.toml";
    let [text, _] = run(folder, &format!("evaluate {given} --test named.npz --json"), 0);
    let evaluated: Value = serde_json::from_str(&text).unwrap();
    assert!(evaluated["accuracy"]["test"]["fixed"].as_f64().unwrap() > 0.9, "{evaluated}");
    let other = "--preprocess images_0:scale=1/128";
    let [_, error] = run(folder, &format!("evaluate {given} --test named.npz {other}"), 1);
    assert!(error.contains("was made for the preprocessing `scale=1/255`"), "{error}");
    for (form, file) in [("onnx", "l.onnx"), ("qonnx", "q.onnx"), ("npz", "l.npz"), ("hls", "h")] {
        run(folder, &format!("export {form} {given} -o {file}"), 0);
    }
    run(folder, &format!("export c {given} -o c --test named.npz"), 0);
    let header = fs::read_to_string(folder.join("c/larger.h")).unwrap();
    let interface =
        "const larger_input_images_0 *input_images_0, const larger_input_pose *input_pose";
    assert!(header.contains(interface), "{header}");
    if fixedwise_testing::has_programs(&["make", "cc"]) {
        let mut make = std::process::Command::new("make");
        let made = make.arg("test").current_dir(folder.join("c")).output().unwrap();
        let said = String::from_utf8_lossy(&made.stdout).into_owned();
        assert!(said.contains("5 of 5 inputs agree"), "{said}");
    }
    run(folder, "refit out/plan.toml --quiet", 0);
    assert!(folder.join("out/refit/plan.toml").exists());
}

/// Arrays, options, and what is said of them.
type Case<'a> = (&'a [(&'a str, &'a Array)], &'a str, &'a str);

#[test]
fn data_that_fits_no_input_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("larger.onnx"), network().encode()).unwrap();
    fs::create_dir(folder.join("pictures")).unwrap();
    fs::write(folder.join("pictures/0.png"), b"").unwrap();
    let [image, pose, larger] = arrays();
    let fewer = Array { shape: vec![N - 1, 2], data: ArrayData::F32(vec![0.5; 2 * (N - 1)]) };
    let first = Array { shape: vec![N, 3, 4, 4], ..image.clone() };
    let cases: [Case; 9] = [
        (
            &[("image", &image), ("pose", &pose)],
            "",
            "contains the array `image`, which fits no input (did you mean `images:0`?); the inputs \
             are `images:0`, `pose`",
        ),
        (&[("images_0", &image)], "", "no array for the input `pose`"),
        (&[("x", &image), ("y", &larger)], "", "the array `x`, which fits no input"),
        (&[("images:0", &image), ("images_0", &image), ("pose", &pose)], "", "two arrays for"),
        (&[("x", &image), ("pose", &fewer)], "", "has 60 images for the input `images:0` but 59"),
        (&[("x", &pose), ("pose", &image)], "", "input `images:0`: contains images with shape [2]"),
        (&[("x", &first), ("pose", &pose)], "--preprocess images_0:layout=nhwc", "`nhwc` is"),
        (&[("x", &image), ("pose", &pose)], "--preprocess scale=1/255", "put the name of the one"),
        (&[("x", &image), ("pose", &pose)], "--preprocess poze:none", "no input is named `poze`"),
    ];
    for (arrays, more, problem) in cases {
        write(folder, "data.npz", arrays);
        let [_, error] = run(folder, &format!("inspect larger.onnx --data data.npz {more}"), 1);
        assert!(error.contains(problem), "expected {problem:?}, got: {error}");
    }
    let [_, error] = run(folder, "inspect larger.onnx --data pictures", 1);
    assert!(
        error.contains("images for one input; the network has the inputs `images:0`, `pose`"),
        "{error}"
    );
    // Each input has its own layout, without a word.
    write(folder, "data.npz", &[("x", &first), ("pose", &pose)]);
    run(folder, "inspect larger.onnx --data data.npz", 0);
    let plan = json!({"weights": {"gray": [8, 7]}, "biases": {}, "activations": {}});
    fs::write(folder.join("plan.json"), plan.to_string()).unwrap();
    run(folder, "evaluate larger.onnx --plan plan.json --test data.npz", 0);
}
