//! Float results equal ONNX Runtime's on real networks and real images.

use fixedwise_codec::{
    idx,
    npz::{Array, ArrayData, Npz, encode_npy, read_npy},
    onnx,
};
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_graph::{Semantics, from_onnx, passes};
use fixedwise_testing::{project, python, run_float, shared};
use std::{path::Path, process::Command};

const IMAGES: usize = 200;

/// Images of one channel, 28 x 28, between 0 and 1.
type Images = Vec<Vec<f32>>;

fn images(pixels: &[u8]) -> Images {
    let scaled = |image: &[u8]| {
        image.iter().map(|&x| f64_to_f32(f64::from(x) / 255.0)).collect::<Vec<f32>>()
    };
    pixels.chunks_exact(28 * 28).take(IMAGES).map(scaled).collect()
}

/// Nearest neighbor: both sides take the same pixels, whichever way they were made.
fn enlarge(image: &[f32], size: usize) -> Vec<f32> {
    (0..size * size).map(|i| image[i / size * 28 / size * 28 + i % size * 28 / size]).collect()
}

/// Compares one model on `images` with ONNX Runtime: the largest class is the same, and no
/// probability differs by more than 1e-4.
fn check(python: &Path, model: &Path, images: &Images) {
    let name = model.file_stem().unwrap().to_string_lossy();
    let file =
        onnx::parse_model(&std::fs::read(model).unwrap(), &|_| Err("none".to_owned())).unwrap();
    let graph = from_onnx(&file, &name).unwrap();
    let shape = graph.input_shape();
    assert_eq!(shape.c, 1, "one channel: both axis orders are the same");
    let images: Images = images
        .iter()
        .map(|image| if shape.h == 28 { image.clone() } else { enlarge(image, shape.h) })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("input.npy"), folder.path().join("output.npy"));
    let array = Array {
        shape: vec![images.len(), 1, shape.h, shape.w],
        data: ArrayData::F32(images.concat()),
    };
    std::fs::write(&input, encode_npy(&array)).unwrap();
    let run = Command::new(python)
        .arg(project("suite/run_reference.py"))
        .arg("model")
        .args([model, &input, &output])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let expected = read_npy(&std::fs::read(&output).unwrap(), 1 << 24).unwrap();
    let ArrayData::F32(expected) = expected.data else { panic!("{name}: no floats") };
    let argmax = |y: &[f32]| (1..y.len()).fold(0, |best, i| if y[i] > y[best] { i } else { best });
    let logits = passes::prepare(&graph, Semantics::Integer).unwrap();
    for (i, (image, expected)) in
        images.iter().zip(expected.chunks_exact(expected.len() / images.len())).enumerate()
    {
        let got = run_float(&graph, image);
        assert_eq!(argmax(&got), argmax(expected), "{name}: image {i}: another class");
        assert_eq!(
            argmax(&run_float(&logits, image)),
            argmax(expected),
            "{name}: image {i}: another class after the passes"
        );
        for (a, b) in got.iter().zip(expected) {
            assert!((a - b).abs() <= 1e-4, "{name}: image {i}: {a} is not {b}");
        }
    }
}

#[test]
fn our_networks_give_what_onnx_runtime_gives() {
    let Some(python) = python() else { return };
    let bytes = std::fs::read(project("data/fashion-mnist/t10k-images-idx3-ubyte.gz")).unwrap();
    let images = images(&idx::read(&bytes, 1 << 24).unwrap().data);
    let models = ["small", "large", "inception", "resnet8", "ds_cnn"];
    for model in models.map(|name| format!("fashion_{name}")) {
        check(&python, &project(&format!("models/{model}.onnx")), &images);
    }
}

#[test]
fn the_papers_networks_give_what_onnx_runtime_gives() {
    let Some(python) = python() else { return };
    for set in ["mnist", "fashion"] {
        let data = if set == "fashion" { "fashion_mnist" } else { set };
        let Some(data) = shared(&format!("data/{data}.npz")) else { return };
        let bytes = std::fs::read(data).unwrap();
        let x = Npz::open(&bytes, 1 << 28).unwrap().read("x_test").unwrap();
        let ArrayData::U8(pixels) = x.data else { panic!("pixels are bytes") };
        for network in ["seq_small", "seq_large", "inception"] {
            let Some(model) = shared(&format!("seed/models/{network}_{set}.onnx")) else { return };
            check(&python, &model, &images(&pixels));
        }
    }
}
