//! Every wrong input is one clear line, code 1, and no file.

use crate::common::{array, brightest, files, fixedwise, images, root, write_inputs};
use fixedwise_codec::{
    npz::{Array, ArrayData, encode_npz},
    onnx::{Dim, ElementType, ModelBuilder, Node, Tensor, ValueInfo},
};
use std::{fs, path::Path};

/// Runs a command that must fail, and checks the line it says.
fn refused(folder: &Path, arguments: &[&str], expected: &[&str]) {
    let before = files(folder);
    let output = fixedwise(folder).args(arguments).arg("--quiet").assert().code(1).stdout_eq("");
    let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(said.starts_with("error: "), "{arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    for expected in expected {
        assert!(said.contains(expected), "{arguments:?}: no `{expected}` in: {said}");
    }
    assert_eq!(files(folder), before, "{arguments:?}");
}

fn quantize(folder: &Path, model: &str, data: &str, expected: &[&str]) {
    refused(folder, &["quantize", model, "--data", data], expected);
}

/// A network of one node after the image.
fn one_node(node: Node) -> ModelBuilder {
    ModelBuilder::new("one").input("x", &[1, 1, 4, 4]).node(node).output("y", &[1, 1, 4, 4])
}

#[test]
fn broken_models_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let whole = brightest().encode();
    let mut corrupt = whole.clone();
    let middle = corrupt.len() / 2;
    corrupt[middle..middle + 40].fill(0xff);
    let nan = || vec![0.1, f32::NAN, 0.1, 0.1];
    let dynamic = ValueInfo {
        name: "x".to_owned(),
        element_type: ElementType::F32,
        dims: vec![
            Dim::Named("batch".to_owned()),
            Dim::Known(1),
            Dim::Named("height".to_owned()),
            Dim::Known(4),
        ],
    };
    let cases: [(&str, Vec<u8>, &[&str]); 9] = [
        ("truncated.onnx", whole[..whole.len() * 2 / 3].to_vec(), &["truncated.onnx"]),
        ("corrupt.onnx", corrupt, &["corrupt.onnx"]),
        ("empty.onnx", vec![], &["empty.onnx"]),
        (
            "cycle.onnx",
            ModelBuilder::new("cycle")
                .input("x", &[1, 1, 4, 4])
                .node(Node::new("Add", "first", &["x", "b"], &["a"]))
                .node(Node::new("Relu", "second", &["a"], &["b"]))
                .output("b", &[1, 1, 4, 4])
                .encode(),
            &["cycle.onnx", "first", "cycle"],
        ),
        (
            "operator.onnx",
            one_node(Node::new("Hardmax", "strange", &["x"], &["y"])).encode(),
            &["operator.onnx", "strange", "Hardmax"],
        ),
        (
            "attribute.onnx",
            one_node(Node::new("Relu", "odd", &["x"], &["y"]).with("slope", 1.0_f32)).encode(),
            &["attribute.onnx", "odd", "slope"],
        ),
        (
            "dynamic.onnx",
            ModelBuilder::new("dynamic")
                .input_value(dynamic)
                .node(Node::new("Relu", "relu", &["x"], &["y"]))
                .output("y", &[1, 1, 4, 4])
                .encode(),
            &["dynamic.onnx", "height"],
        ),
        (
            "nan.onnx",
            one_node(Node::new("Conv", "hollow", &["x", "w"], &["y"]))
                .initializer("w", Tensor::floats(&[1, 1, 2, 2], nan()))
                .encode(),
            &["nan.onnx", "hollow", "NaN"],
        ),
        (
            "bare.onnx",
            one_node(Node::new("Relu", "relu", &["x"], &["y"])).encode(),
            &["bare.onnx", "nothing to quantize"],
        ),
    ];
    for (name, bytes, expected) in cases {
        fs::write(folder.join(name), bytes).unwrap();
        quantize(folder, name, "images.npz", expected);
    }
}

/// A file of `suite/keras`.
fn keras(name: &str) -> Vec<u8> {
    fs::read(root().join("suite/keras").join(name)).unwrap()
}

#[test]
fn broken_keras_models_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let whole = keras("plain.h5");
    let renamed = |from: &[u8], to: &[u8]| {
        let mut bytes = whole.clone();
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    };
    let archive = keras("plain.keras");
    let mut corrupt = archive.clone();
    corrupt[200..240].fill(0xff);
    let cases: [(&str, Vec<u8>, &[&str]); 8] = [
        ("truncated.h5", whole[..whole.len() / 2].to_vec(), &["truncated.h5", "truncated"]),
        ("text.h5", b"weights".to_vec(), &["text.h5", "not a readable HDF5 file"]),
        (
            "layer.h5",
            renamed(b"MaxPooling2D", b"MinPooling2D"),
            &["`pool`", "MinPooling2D, 1 node"],
        ),
        ("padding.h5", renamed(b"\"same\"", b"\"tame\""), &["`conv`", "`padding` = \"tame\""]),
        ("weights.h5", keras("plain.weights.h5"), &["weights.h5", "--architecture"]),
        ("truncated.keras", archive[..archive.len() / 2].to_vec(), &["truncated.keras"]),
        ("corrupt.keras", corrupt, &["corrupt.keras"]),
        ("model.pt", b"weights".to_vec(), &["model.pt", ".keras"]),
    ];
    for (name, bytes, expected) in cases {
        fs::write(folder.join(name), bytes).unwrap();
        quantize(folder, name, "images.npz", expected);
    }
    fs::write(folder.join("plain.json"), keras("plain.json")).unwrap();
    fs::write(folder.join("plain.txt"), keras("plain.json")).unwrap();
    for (model, architecture, expected) in [
        ("weights.h5", "absent.json", "absent.json"),
        ("weights.h5", "plain.txt", "plain.txt"),
        ("weights.h5", "text.h5", "must be a .json or an .onnx file"),
        ("weights.h5", "brightest.onnx", "`sums`"),
        ("brightest.onnx", "plain.json", "contains its architecture"),
    ] {
        refused(folder, &["inspect", model, "--architecture", architecture], &[expected]);
    }
}

#[test]
fn broken_data_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let (x, y) = images(3, 60);
    let write = |name: &str, x: &Array, y: &Array| {
        let arrays = [("x_train", x), ("y_train", y), ("x_test", x), ("y_test", y)];
        fs::write(folder.join(name), encode_npz(&arrays)).unwrap();
    };
    let mut labels = match &y.data {
        ArrayData::U8(labels) => labels.clone(),
        _ => unreachable!("they are bytes"),
    };
    labels[17] = 4;
    write("label.npz", &x, &array(&[60], labels));
    write("empty.npz", &array(&[0, 4, 4], vec![]), &array(&[0], vec![]));
    write("channels.npz", &array(&[60, 4, 4, 3], vec![7; 60 * 48]), &y);
    write("size.npz", &array(&[60, 5, 5], vec![7; 60 * 25]), &y);
    write("fewer.npz", &x, &array(&[59], vec![0; 59]));
    fs::write(folder.join("torn.npz"), &fs::read(folder.join("images.npz")).unwrap()[..300])
        .unwrap();
    for (name, expected) in [
        ("label.npz", &["label.npz", "label", "4"][..]),
        ("empty.npz", &["empty.npz"]),
        ("channels.npz", &["channels.npz", "3"]),
        ("size.npz", &["size.npz", "5"]),
        ("fewer.npz", &["fewer.npz", "59", "60"]),
        ("torn.npz", &["torn.npz"]),
        ("absent.npz", &["absent.npz"]),
        ("images.npz:train@0..99", &["images.npz", "99"]),
        ("images.npz:train@5..5", &["5..5"]),
    ] {
        quantize(folder, "brightest.onnx", name, expected);
    }
    refused(
        folder,
        &[
            "quantize",
            "brightest.onnx",
            "--calibration",
            "images.npz:train",
            "--search",
            "images.npz:test@0..50",
            "--test",
            "images.npz:test@49..80",
        ],
        &["search and test", "image 49"],
    );
}

#[test]
fn broken_files_of_other_kinds_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let fixture = |name: &str| fs::read(root().join("suite/data").join(name)).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let (mat, png) = (fixture("digits.mat"), fixture("gray.png"));
    let mut flipped = mat.clone();
    flipped[900] ^= 0x40;
    write("flipped.mat", &flipped);
    write("torn.mat", &mat[..mat.len() / 2]);
    write("whole.mat", &mat);
    for class in ["a", "b", "c", "d"] {
        write(&format!("sizes/{class}/1.png"), &png);
        write(&format!("torn/{class}/1.png"), &png[..if class == "c" { 50 } else { png.len() }]);
        write(&format!("other/{class}/1.png"), &png);
        write(&format!("empty/{class}/{}", if class == "b" { "notes.txt" } else { "1.png" }), &png);
    }
    write("sizes/d/2.png", &fixture("random.png"));
    write("few/a/1.png", &png);
    write("label.csv", b"path,label\nother/a/1.png,3\nother/b/1.png,4\n");
    write("gone.csv", b"other/a/1.png,3\nother/e/1.png,1\n");
    write("odd.csv", b"other/a/1.png;3\nother/b/1.png,4\n");
    write("alpha.csv", b"transparent.png,0\n");
    write("transparent.png", &fixture("transparent.png"));
    write("cifar/test_batch", &fixture("python3.batch")[..3000]);
    write("short/test_batch.bin", &[1; 3072]);
    let cases: [(&str, &[&str]); 15] = [
        ("flipped.mat", &["flipped.mat", "`X`"]),
        ("torn.mat", &["torn.mat"]),
        ("whole.mat", &["whole.mat", "[32, 32, 3]", "4x4x1"]),
        ("sizes", &["different sizes", "5x4", "64x64", "resize="]),
        ("torn", &["c/1.png"]),
        ("other", &["other", "resize=4x4"]),
        ("empty", &["empty/b", "without a PNG or JPEG"]),
        ("few", &["few", "1 folders", "4 classes"]),
        ("label.csv", &["label.csv", "line 3", "label 4", "other/b/1.png"]),
        ("gone.csv", &["gone.csv", "line 2", "other/e/1.png"]),
        ("odd.csv", &["odd.csv", "line 2"]),
        ("alpha.csv", &["transparent.png", "transparent pixels"]),
        ("cifar", &["cifar/test_batch", "pickle"]),
        ("short", &["short/test_batch.bin", "3072", "3073"]),
        ("transparent.png", &["transparent.png", "supported:"]),
    ];
    for (name, expected) in cases {
        quantize(folder, "brightest.onnx", name, expected);
    }
}

#[test]
fn paths_that_cannot_be_used_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    fs::create_dir(folder.join("folder.onnx")).unwrap();
    quantize(folder, "absent.onnx", "images.npz", &["absent.onnx"]);
    quantize(folder, "folder.onnx", "images.npz", &["folder.onnx"]);
    quantize(folder, "images.npz", "images.npz", &["images.npz", "ONNX"]);
    let below = ["quantize", "brightest.onnx", "--data", "images.npz", "-o", "images.npz/out"];
    refused(folder, &below, &["images.npz/out"]);
    let file = ["quantize", "brightest.onnx", "--data", "images.npz", "-o", "images.npz"];
    refused(folder, &file, &["images.npz"]);
}

#[test]
fn a_journal_of_another_run_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    fs::create_dir(folder.join("out")).unwrap();
    let journal = folder.join("out/journal.jsonl");
    fs::write(&journal, "{\"journal\":1,\"config\":\"another\"}\n").unwrap();
    refused(
        folder,
        &["quantize", "brightest.onnx", "--data", "images.npz", "-o", "out", "--resume"],
        &["journal.jsonl", "--resume"],
    );
    assert_eq!(files(&folder.join("out")), ["journal.jsonl"]);
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let head = "schema = 1\nsemantics = \"integer\"\n";
    let wide = "weights = { bits = 16, frac = 26 }\nactivation = { bits = 16, frac = 14 }\n";
    for (name, text, expected) in [
        (
            "missing.toml",
            format!("{head}[layers.nowhere]\n"),
            &["missing.toml", "line 3", "nowhere", "sums"][..],
        ),
        ("key.toml", format!("{head}[layers.sums]\nweight = 3\n"), &["key.toml", "line 4"]),
        ("few.toml", format!("{head}[layers.sums]\n"), &["sums"]),
        (
            "sum.toml",
            format!(
                "{head}[input]\nbits = 16\nfrac = 0\n[layers.sums]\n{wide}[layers.classes]\n{wide}"
            ),
            &["sums", "32"],
        ),
        (
            "paper.json",
            r#"{"weights": {"nowhere": [8, 7]}, "biases": {}, "activations": {}}"#.to_owned(),
            &["paper.json", "nowhere"],
        ),
        ("text.json", "weights".to_owned(), &["text.json", "line 1"]),
    ] {
        fs::write(folder.join(name), text).unwrap();
        let test = ["--test", "images.npz:test"];
        refused(
            folder,
            &[&["evaluate", "brightest.onnx", "--plan", name], &test[..]].concat(),
            expected,
        );
    }
    refused(
        folder,
        &["evaluate", "brightest.onnx", "--plan", "absent.toml", "--test", "images.npz:test"],
        &["absent.toml"],
    );
}

#[test]
fn walks_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    fs::write(folder.join("result.json"), "{\"schema\": 1}").unwrap();
    fs::write(folder.join("plan.json"), "{\"weights\": {}}").unwrap();
    let cases: [(&[&str], &[&str]); 9] = [
        (&["--start-bits", "17,8,12"], &["`start-bits`", "weights 17 bits", "1 to 16"]),
        (&["--start-bits", "12,0,12"], &["`start-bits`", "biases 0 bits", "1 to 32"]),
        (&["--layer-order", "sums,nowhere"], &["`nowhere`", "sums, classes"]),
        (&["--layer-order", "sums,sums"], &["`sums`", "is listed twice"]),
        (&["--budget", "0.1%,flat,flat"], &["`budget`", "1 losses for weights", "sums, classes"]),
        (&["--strategy", "fixed", "--window", "2"], &["`strategy` is fixed", "layer-dependent"]),
        (&["--start", "absent.toml"], &["absent.toml"]),
        (&["--start", "result.json"], &["result.json", "missing field"]),
        (&["--start", "plan.json"], &["plan.json", "missing field `biases`"]),
    ];
    for (arguments, expected) in cases {
        let command = ["quantize", "brightest.onnx", "--data", "images.npz"];
        refused(folder, &[&command[..], arguments].concat(), expected);
    }
}

/// A device on which nothing has room.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_a_reader_that_left_is_none() {
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let run = |stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fixedwise"));
        command.current_dir(folder).args(["inspect", "brightest.onnx", "--quiet"]);
        command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap()
    };
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = run(full.into()).wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: cannot write to standard output: "), "{said}");

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = run(writer.into()).wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}
