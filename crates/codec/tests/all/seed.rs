//! Real files, where they are: trained networks and whole data sets in a folder beside the
//! checkout. Elsewhere these tests say that they are skipped.

use fixedwise_codec::{
    npz::{ArrayData, Npz},
    onnx::{self, Dim, TensorData},
};
use std::path::PathBuf;

/// The files of a folder with that extension, sorted.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let Some(folder) = fixedwise_testing::shared(folder) else { return Vec::new() };
    let entries = std::fs::read_dir(&folder).expect("the folder is readable");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder is readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no .{extension} in {}", folder.display());
    files
}

#[test]
fn trained_networks_are_read() {
    for path in files("seed/models", "onnx") {
        let bytes = std::fs::read(&path).unwrap();
        let model = onnx::parse_model(&bytes, &|_| Err("not expected".to_owned())).unwrap();
        let graph = &model.graph;
        let (inputs, outputs) = (&graph.inputs, &graph.outputs);
        assert_eq!((inputs.len(), outputs.len()), (1, 1), "{}", path.display());
        assert_ne!(inputs[0].dims[0], Dim::Known(28), "{}", path.display());
        let weights: usize = graph
            .initializers
            .iter()
            .filter(|(_, tensor)| matches!(tensor.data, TensorData::F32(_)))
            .map(|(_, tensor)| tensor.data.len())
            .sum();
        // Nearly all of the file is weights of four bytes.
        assert!(
            weights * 4 < bytes.len() && weights * 4 * 10 > bytes.len() * 9,
            "{}: {weights} weights in {} bytes",
            path.display(),
            bytes.len()
        );
        let again = onnx::encode_model(&model);
        let again = onnx::parse_model(&again, &|_| Err("not expected".to_owned())).unwrap();
        assert_eq!(again.graph, model.graph, "{}", path.display());
    }
}

#[test]
fn whole_data_sets_are_read() {
    for path in files("data", "npz") {
        let bytes = std::fs::read(&path).unwrap();
        let mut npz = Npz::open(&bytes, 1 << 28).unwrap();
        assert_eq!(
            npz.names().collect::<Vec<_>>(),
            ["x_test", "x_train", "y_test", "y_train"],
            "{}",
            path.display()
        );
        for (images, labels, n) in [("x_train", "y_train", 60_000), ("x_test", "y_test", 10_000)] {
            assert_eq!(npz.shape(images).unwrap(), [n, 28, 28, 1]);
            let x = npz.read(images).unwrap();
            assert_eq!(x.shape, [n, 28, 28, 1]);
            let ArrayData::U8(pixels) = &x.data else { panic!("{:?}", x.shape) };
            assert_eq!(pixels.iter().max(), Some(&255));
            let y = npz.read(labels).unwrap();
            assert_eq!((y.shape.as_slice(), y.data.len()), ([n].as_slice(), n));
        }
    }
}
