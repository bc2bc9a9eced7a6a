//! A command to run, a small network that is always right, images for it.

use fixedwise_codec::{
    npz::{Array, ArrayData, encode_npz},
    onnx::{ModelBuilder, Node, Tensor},
};
use snapbox::cmd::Command;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The built command, in a folder, without anything of the caller's terminal.
pub(crate) fn fixedwise(folder: &Path) -> Command {
    Command::new(env!("CARGO_BIN_EXE_fixedwise"))
        .current_dir(folder)
        .env_remove("COLUMNS")
        .env("NO_COLOR", "1")
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A network that names the brightest quadrant of a 4x4 image: a convolution adds up each, a dense
/// layer hands the four sums on.
pub(crate) fn brightest() -> ModelBuilder {
    brightest_of(["sums", "relu", "flat", "classes"])
}

/// The same, its nodes with other names.
pub(crate) fn brightest_of([sums, relu, flat, classes]: [&str; 4]) -> ModelBuilder {
    let identity = (0..16).map(|i| if i % 5 == 0 { 1.0 } else { 0.0 }).collect();
    ModelBuilder::new("brightest")
        .input("image", &[1, 1, 4, 4])
        .initializer("kernel", Tensor::floats(&[1, 1, 2, 2], vec![0.25; 4]))
        .initializer("dense", Tensor::floats(&[4, 4], identity))
        .initializer("offset", Tensor::floats(&[4], vec![0.0; 4]))
        .node(
            Node::new("Conv", sums, &["image", "kernel"], &["a"])
                .with("strides", vec![2_i64, 2])
                .with("kernel_shape", vec![2_i64, 2]),
        )
        .node(Node::new("Relu", relu, &["a"], &["b"]))
        .node(Node::new("Flatten", flat, &["b"], &["c"]).with("axis", 1_i64))
        .node(Node::new("Gemm", classes, &["c", "dense", "offset"], &["d"]))
        .output("d", &[1, 4])
}

/// `n` images of 4x4 bytes with clearly one brightest quadrant, and which that is.
pub(crate) fn images(seed: u32, n: usize) -> (Array, Array) {
    let mut state = seed;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u8::try_from(state >> 24).expect("8 bits")
    };
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let label = random() % 4;
        for pixel in 0..16_u8 {
            let quadrant = pixel / 8 * 2 + pixel % 4 / 2;
            x.push(if quadrant == label { 150 + random() % 100 } else { random() % 100 });
        }
        y.push(label);
    }
    (array(&[n, 4, 4], x), array(&[n], y))
}

pub(crate) fn array(shape: &[usize], data: Vec<u8>) -> Array {
    Array { shape: shape.to_vec(), data: ArrayData::U8(data) }
}

/// Writes `brightest.onnx` and `images.npz`.
pub(crate) fn write_inputs(folder: &Path) {
    fs::write(folder.join("brightest.onnx"), brightest().encode()).expect("writable");
    let ((x_train, y_train), (x_test, y_test)) = (images(1, 50), images(2, 80));
    let arrays =
        [("x_train", &x_train), ("y_train", &y_train), ("x_test", &x_test), ("y_test", &y_test)];
    fs::write(folder.join("images.npz"), encode_npz(&arrays)).expect("writable");
}

/// The names of all files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
