//! What holds for every reader whatever the bytes: a target of `cargo fuzz` each, and over the files
//! in `seeds` a test of the `codec` crate.

use fixedwise_codec::{
    cifar::{self, Version},
    idx, image,
    keras::{self, Hdf5Model, Tensor},
    list, mat,
    npz::{self, Array},
    onnx, tflite,
};

/// Most bytes, elements or pixels that are asked for.
const LIMIT: usize = 1 << 20;

/// A model or tensor is refused, or what is read can be written and read again.
pub fn onnx_model(bytes: &[u8]) {
    let _ = onnx::parse_tensor(bytes);
    let Ok(model) = onnx::parse_model(bytes, &external) else { return };
    for (_, tensor) in &model.graph.initializers {
        assert_eq!(tensor.dims.iter().product::<usize>(), tensor.data.len());
    }
    // NaN is not equal to itself, but its bytes are.
    let written = onnx::encode_model(&model);
    let again = onnx::parse_model(&written, &external).expect("what is written is read");
    assert_eq!(onnx::encode_model(&again), written);
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a callback")]
fn external(_: &str) -> Result<Vec<u8>, String> {
    Ok(vec![0; 64])
}

/// An archive or array is refused, or it has as many elements as its extents need.
pub fn npz(bytes: &[u8]) {
    if let Ok(array) = npz::read_npy(bytes, LIMIT) {
        check_array(&array);
    }
    if let Ok(arrays) = npz::read_npz(bytes, LIMIT) {
        arrays.values().for_each(check_array);
    }
}

fn check_array(array: &Array) {
    assert_eq!(array.shape.iter().product::<usize>(), array.data.len());
    assert!(array.data.len() <= LIMIT);
    let again = npz::read_npy(&npz::encode_npy(array), 8 * LIMIT).expect("what is written is read");
    assert_eq!(again.shape, array.shape);
}

/// An IDX file is refused, or it has as many elements as its extents need.
pub fn idx(bytes: &[u8]) {
    if let Ok(idx) = idx::read(bytes, LIMIT) {
        assert_eq!(idx.shape.iter().product::<usize>(), idx.data.len());
        let again = idx::read(&idx::encode(&idx).expect("it was read"), LIMIT);
        assert_eq!(again.expect("what is written is read"), idx);
    }
}

/// A batch is refused, or it has as many labels as images.
pub fn cifar(bytes: &[u8]) {
    for version in [Version::Cifar10, Version::Cifar100] {
        for batch in [cifar::read_binary(bytes, version), cifar::read_python(bytes, version)] {
            let Ok(batch) = batch else { continue };
            assert_eq!(batch.labels.len() * cifar::IMAGE_BYTES, batch.pixels.len());
        }
    }
}

/// A MATLAB file is refused, or its arrays have as many elements as their extents need.
pub fn mat(bytes: &[u8]) {
    if let Ok(arrays) = mat::read(bytes, ["X", "y"], LIMIT) {
        for array in arrays {
            assert_eq!(array.shape.iter().product::<usize>(), array.data.len());
            assert!(array.data.len() <= LIMIT);
        }
    }
}

/// An image is refused, or it has as many pixels as its extents need.
pub fn image(bytes: &[u8]) {
    if let Ok(image) = image::decode(bytes, LIMIT) {
        assert_eq!(image.height * image.width * image.channels, image.pixels.len());
        let gray = image.with_channels(1).expect("gray or colors become gray");
        assert_eq!(gray.height * gray.width, gray.pixels.len());
    }
}

/// A list is refused, or every line of it names a file.
pub fn list(bytes: &[u8]) {
    if let Ok(entries) = list::read(bytes) {
        assert!(entries.iter().all(|entry| !entry.path.is_empty()));
        assert!(entries.is_sorted_by(|a, b| a.line < b.line));
    }
}

/// A Keras file is refused, or its weights have as many elements as their extents need.
pub fn keras(bytes: &[u8]) {
    let _ = keras::read_architecture(bytes);
    match keras::read_h5(bytes, LIMIT) {
        Ok(Hdf5Model::Model(model)) => check_tensors(model.layers.iter().flat_map(|l| &l.weights)),
        Ok(Hdf5Model::Weights(weights)) => {
            check_tensors(weights.layers.iter().flat_map(|l| &l.tensors));
        }
        Err(_) => {}
    }
    if let Ok(model) = keras::read_archive(bytes, LIMIT) {
        check_tensors(model.layers.iter().flat_map(|l| &l.weights));
    }
}

/// A TensorFlow Lite file is refused, or its constants have as many elements as their extents need.
pub fn tflite(bytes: &[u8]) {
    let Ok(model) = tflite::parse_model(bytes) else { return };
    for tensor in &model.tensors {
        if let Some(data) = &tensor.data {
            let extents = tensor.shape.iter().map(|extent| extent.expect("it is known"));
            assert_eq!(data.len(), extents.product::<usize>());
        }
    }
}

fn check_tensors<'a>(tensors: impl Iterator<Item = &'a Tensor>) {
    for tensor in tensors {
        assert_eq!(tensor.shape.iter().product::<usize>(), tensor.data.len());
        assert!(tensor.data.len() <= LIMIT / 4);
    }
}
