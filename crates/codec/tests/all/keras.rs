//! Files that Keras saved are read, and no damage to them makes a reader panic.

use fixedwise_codec::keras::{self, Hdf5Model, Model, Tensor, read_architecture};
use fixedwise_testing::project;
use proptest::prelude::*;
use std::io::{Cursor, Read, Write};
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

const LIMIT: usize = 1 << 20;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(project(&format!("suite/keras/{name}"))).unwrap()
}

fn whole(bytes: &[u8]) -> Model {
    match keras::read_h5(bytes, LIMIT).unwrap() {
        Hdf5Model::Model(model) => model,
        Hdf5Model::Weights(_) => panic!("it has an architecture"),
    }
}

/// The members of an archive.
fn members(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    (0..archive.len())
        .map(|i| {
            let mut file = archive.by_index(i).unwrap();
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            (file.name().unwrap().to_string(), content)
        })
        .collect()
}

fn archive(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        archive.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn every_kind_of_file_holds_the_same_model() {
    let expected = whole(&file("plain.h5"));
    assert_eq!(expected.name, "plain");
    let names: Vec<&str> = expected.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names[1..], ["conv", "norm", "pool", "drop", "flat", "classes"]);
    assert_eq!(expected.layers[1].weights[0].shape, [3, 2, 2, 6]);
    assert_eq!(expected.layers[1].weights[1].name.as_deref(), Some("bias"));

    let Hdf5Model::Weights(weights) = keras::read_h5(&file("plain.weights.h5"), LIMIT).unwrap()
    else {
        panic!("it has weights alone")
    };
    let architecture = read_architecture(&file("plain.json")).unwrap();
    for model in [
        whole(&file("plain_keras_2.h5")),
        keras::read_archive(&file("plain.keras"), LIMIT).unwrap(),
        architecture.with_weights(weights.clone()).unwrap(),
    ] {
        assert_eq!((&model.inputs.len(), &model.outputs), (&1, &expected.outputs));
        for (layer, expected) in model.layers.iter().zip(&expected.layers).skip(1) {
            let values = |tensors: &[Tensor]| {
                tensors.iter().map(|t| (t.shape.clone(), t.data.clone())).collect::<Vec<_>>()
            };
            assert_eq!((&layer.name, &layer.class), (&expected.name, &expected.class));
            assert_eq!(values(&layer.weights), values(&expected.weights), "{}", layer.name);
        }
    }
    let by_name = weights.by_layer_name().unwrap();
    assert_eq!(by_name.keys().collect::<Vec<_>>(), ["classes", "conv", "norm"]);
}

#[test]
fn weights_of_another_model_are_refused() {
    let Hdf5Model::Weights(weights) = keras::read_h5(&file("plain.weights.h5"), LIMIT).unwrap()
    else {
        panic!("it has weights alone")
    };
    let mut other = read_architecture(&file("plain.json")).unwrap();
    other.layers.retain(|layer| layer.class != "Dense");
    let error = other.with_weights(weights).unwrap_err().to_string();
    assert_eq!(error, "the file has weights of `dense`, which is not a layer of the architecture");
}

#[test]
fn archives_that_lack_or_hide_something_are_refused() {
    let whole = members(&file("plain.keras"));
    let without = |name: &str| {
        let mut members = whole.clone();
        members.retain(|(member, _)| member != name);
        archive(&members)
    };
    let with = |name: &str, content: Vec<u8>| {
        let mut members = members(&without(name));
        members.push((name.to_owned(), content));
        archive(&members)
    };
    for (bytes, expected) in [
        (without("config.json"), "`config.json` in the archive is missing"),
        (without("model.weights.h5"), "`model.weights.h5` in the archive is missing"),
        (with("assets/words.txt", vec![1]), "`assets/words.txt` in the archive is not read"),
        (with("config.json", b"{".to_vec()), "the architecture is not readable as JSON"),
        (with("model.weights.h5", b"text".to_vec()), "not a readable HDF5 file"),
        // A bomb: what it inflates to is counted, not what the archive says of it.
        (with("model.weights.h5", vec![0; 1 << 24]), "has more than 1048576 bytes"),
        (with("config.json", vec![b' '; 1 << 24]), "has more than 1048576 bytes"),
        (b"PK\x03\x04".to_vec(), "not a readable .keras archive"),
    ] {
        let error = keras::read_archive(&bytes, LIMIT).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn more_than_the_limit_is_not_read() {
    let error = keras::read_h5(&file("branches.h5"), 2_000).unwrap_err().to_string();
    assert!(error.contains("more"), "{error}");
}

/// What holds for every model that is read.
fn check(bytes: &[u8]) {
    let mut tensors = Vec::new();
    match keras::read_h5(bytes, LIMIT) {
        Ok(Hdf5Model::Model(model)) => {
            tensors.extend(model.layers.into_iter().flat_map(|layer| layer.weights));
        }
        Ok(Hdf5Model::Weights(weights)) => {
            tensors.extend(weights.layers.into_iter().flat_map(|layer| layer.tensors));
        }
        Err(_) => {}
    }
    if let Ok(model) = keras::read_archive(bytes, LIMIT) {
        tensors.extend(model.layers.into_iter().flat_map(|layer| layer.weights));
    }
    let mut elements = 0;
    for tensor in tensors {
        assert_eq!(tensor.shape.iter().product::<usize>(), tensor.data.len(), "{}", tensor.path);
        elements += tensor.data.len();
    }
    assert!(elements <= LIMIT / 4);
}

fn damaged(mut bytes: Vec<u8>, damages: &[(usize, u8)], cut: Option<usize>) -> Vec<u8> {
    let n = bytes.len();
    for &(at, byte) in damages {
        bytes[at % n] = byte;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut % n);
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn damaged_files_are_refused_or_read(
        damages in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8),
        cut in proptest::option::weighted(0.2, any::<usize>()),
    ) {
        for name in ["plain.h5", "plain_keras_2.h5", "plain.weights.h5", "plain.keras"] {
            check(&damaged(file(name), &damages, cut));
        }
    }

    /// Most of a file's structure lies at its beginning.
    #[test]
    fn damaged_structure_is_refused_or_read(
        damages in proptest::collection::vec((0..6000_usize, any::<u8>()), 1..4),
    ) {
        for name in ["plain_keras_2.h5", "plain.weights.h5"] {
            check(&damaged(file(name), &damages, None));
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        for start in [b"\x89HDF\r\n\x1a\n".as_slice(), b"PK\x03\x04", b"{"] {
            let bytes = [start, &bytes].concat();
            check(&bytes);
            drop(read_architecture(&bytes));
        }
    }

    #[test]
    fn damaged_architectures_are_refused_or_read(
        damages in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        drop(read_architecture(&damaged(file("plain.json"), &damages, None)));
    }
}
