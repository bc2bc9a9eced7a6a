//! Models whose file leaves extents open, and models that are refused.

use crate::common::{brightest, fixedwise, write_inputs};
use fixedwise_codec::onnx::{Dim, ElementType, ModelBuilder, Node, ValueInfo, encode_model};
use std::{fs, path::Path};

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Standard error of a command that fails.
fn failed(folder: &Path, arguments: &[&str]) -> String {
    let output = fixedwise(folder).args(arguments).assert().code(1);
    String::from_utf8_lossy(&output.get_output().stderr).into_owned()
}

fn write(folder: &Path, name: &str, model: ModelBuilder) {
    fs::write(folder.join(name), encode_model(&model.build())).unwrap();
}

#[test]
fn open_sizes_are_given_to_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut model = brightest().build();
    let open = |name: &str| Dim::Named(name.to_owned());
    model.graph.inputs[0].dims = vec![open("N"), Dim::Known(1), open("rows"), open("columns")];
    fs::write(folder.join("open.onnx"), encode_model(&model)).unwrap();
    write_inputs(folder);

    let error = failed(folder, &["inspect", "open.onnx"]);
    assert!(error.contains("`image` has the shape [N, 1, rows, columns], of which"), "{error}");
    assert!(error.contains("for example `--input-shape 1x1x224x224`"), "{error}");
    let error = failed(folder, &["inspect", "open.onnx", "--input-shape", "1x3x4x4"]);
    assert!(error.contains("has the fixed size 1 on axis 1; `--input-shape` gives 3"), "{error}");
    for text in ["4x", "1x0x4x4", "axbxc", "=1x1x4x4", ""] {
        let error = failed(folder, &["inspect", "open.onnx", "--input-shape", text]);
        assert!(error.contains("is not a shape; write the extents in the order"), "{error}");
    }
    let shape = ["--input-shape", "image=1x1x4x4"];
    let succeeds = |arguments: &[&str]| {
        let output = fixedwise(folder).args(arguments).args(shape).assert().success();
        output.get_output().stdout.clone()
    };
    succeeds(&["inspect", "open.onnx"]);
    let quantize = ["quantize", "open.onnx", "--data", "images.npz", "--strategy", "fixed"];
    let result = succeeds(&[&quantize[..], &["-o", "out", "--json"]].concat());
    assert_eq!(json(&result)["model"]["input_shapes"], serde_json::json!(["image=1x1x4x4"]));
    let plan = ["open.onnx", "--plan", "out/plan.toml"];
    let evaluate = [&["evaluate"], &plan[..], &["--test", "images.npz"]].concat();
    succeeds(&evaluate);
    succeeds(&[&["export", "npz"], &plan[..], &["-o", "network.npz"]].concat());
    succeeds(&[&["export", "c"], &plan[..], &["-o", "c"]].concat());
}

#[test]
fn a_refused_model_is_explained_to_people_and_programs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = ModelBuilder::new("g")
        .input("x", &[1, 1, 4, 4])
        .node(Node::new("Hardmax", "first", &["x"], &["a"]))
        .node(Node::new("Hardmax", "second", &["x"], &["b"]))
        .node(Node::new("Add", "sum", &["a", "b"], &["y"]))
        .output_value(ValueInfo {
            name: "y".to_owned(),
            element_type: ElementType::F32,
            dims: vec![],
        });
    write(folder, "erf.onnx", model);
    let line = "error: model `erf.onnx`: 1 thing is not supported: Hardmax, 2 nodes (`first`, `second`): \
                the operator is not supported; let the network end before it (`--output`), or use the operators";
    let error = failed(folder, &["inspect", "erf.onnx"]);
    assert!(error.contains(line), "{error}");
    let output = fixedwise(folder).args(["inspect", "erf.onnx", "--json"]).assert().code(1);
    let refused = json(&output.get_output().stdout);
    assert_eq!(refused["refusals"].as_array().unwrap().len(), 1);
    assert_eq!(refused["refusals"][0]["operator"], "Hardmax");
    assert_eq!(refused["refusals"][0]["count"], 2);
    assert_eq!(refused["refusals"][0]["nodes"], serde_json::json!(["first", "second"]));
    let way_out = refused["refusals"][0]["way_out"].as_str().unwrap();
    assert!(way_out.starts_with("let the network end before it"), "{way_out}");
    // Another error is not about the model, and gives no JSON.
    let output = fixedwise(folder).args(["inspect", "absent.onnx", "--json"]).assert().code(1);
    assert!(output.get_output().stdout.is_empty());

    // What has no form in integers is refused by `inspect` as well.
    let softmax = brightest().node(Node::new("LogSoftmax", "inner", &["d"], &["e"]));
    let softmax = softmax.node(Node::new("Relu", "last", &["e"], &["f"]));
    let mut softmax = softmax.build();
    softmax.graph.outputs[0].name = "f".to_owned();
    fs::write(folder.join("inner.onnx"), encode_model(&softmax)).unwrap();
    let expected = "node `inner` (LogSoftmax): has no integer form: the logarithm of a softmax is supported only";
    write_inputs(folder);
    let quantize = ["quantize", "inner.onnx", "--data", "images.npz", "-o", "out"];
    for arguments in [&["inspect", "inner.onnx"][..], &quantize] {
        let error = failed(folder, arguments);
        assert!(error.contains(expected), "{error}");
    }
}
