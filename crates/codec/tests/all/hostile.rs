//! No bytes make a reader panic: random ones, and valid files with random damage.

use fixedwise_codec::{
    cifar::{self, Version},
    idx::{self, Idx},
    image, list, mat,
    npz::{self, Array, ArrayData},
    onnx::{self, Attribute, ModelBuilder, Node, Tensor},
};
use proptest::prelude::*;

const LIMIT: usize = 1 << 16;

#[expect(clippy::unnecessary_wraps, reason = "the signature of a callback")]
fn no_external(_: &str) -> Result<Vec<u8>, String> {
    Ok(vec![0; 16])
}

fn model() -> Vec<u8> {
    ModelBuilder::new("graph")
        .input("x", &[1, 2, 4, 4])
        .initializer("w", Tensor::floats(&[2, 2, 1, 1], vec![0.5, -1.0, 2.0, 0.25]))
        .initializer("shape", Tensor::ints(&[2], vec![1, -1]))
        .node(
            Node::new("Conv", "conv", &["x", "w"], &["c"])
                .with("kernel_shape", vec![1_i64, 1])
                .with("auto_pad", "NOTSET"),
        )
        .node(Node::new("LeakyRelu", "", &["c"], &["r"]).with("alpha", 0.1))
        .node(
            Node::new("Constant", "k", &[], &["k"])
                .with("value", Attribute::Tensor(Tensor::ints(&[], vec![3]))),
        )
        .node(Node::new("Reshape", "flat", &["r", "shape"], &["y"]).with("allowzero", 0))
        .output("y", &[1, 32])
        .encode()
}

fn array() -> Array {
    Array { shape: vec![3, 2], data: ArrayData::I64(vec![1, -2, 3, -4, 5, -6]) }
}

fn archive() -> Vec<u8> {
    npz::encode_npz(&[("x", &array()), ("y", &array())])
}

fn idx_file() -> Vec<u8> {
    let idx = Idx { shape: vec![2, 3], data: vec![1, 2, 3, 4, 5, 6] };
    idx::encode(&idx).expect("two axes")
}

/// A change of a file.
#[derive(Clone, Debug)]
enum Damage {
    Set { at: usize, byte: u8 },
    Insert { at: usize, byte: u8 },
    Remove { at: usize, len: usize },
    Repeat { at: usize, len: usize },
    Truncate { at: usize },
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let at = any::<usize>;
    let byte = || prop_oneof![any::<u8>(), Just(0), Just(0x7f), Just(0x80), Just(0xff)];
    let damage = prop_oneof![
        8 => (at(), byte()).prop_map(|(at, byte)| Damage::Set { at, byte }),
        2 => (at(), byte()).prop_map(|(at, byte)| Damage::Insert { at, byte }),
        2 => (at(), 1..16_usize).prop_map(|(at, len)| Damage::Remove { at, len }),
        2 => (at(), 1..64_usize).prop_map(|(at, len)| Damage::Repeat { at, len }),
        1 => at().prop_map(|at| Damage::Truncate { at }),
    ];
    proptest::collection::vec(damage, 1..6)
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        if bytes.is_empty() {
            break;
        }
        let n = bytes.len();
        match *damage {
            Damage::Set { at, byte } => bytes[at % n] = byte,
            Damage::Insert { at, byte } => bytes.insert(at % n, byte),
            Damage::Remove { at, len } => drop(bytes.drain(at % n..n.min(at % n + len))),
            Damage::Repeat { at, len } => {
                let part = bytes[at % n..n.min(at % n + len)].to_vec();
                bytes.splice(at % n..at % n, part);
            }
            Damage::Truncate { at } => bytes.truncate(at % n),
        }
    }
    bytes
}

/// What holds for every model that is read.
fn check_model(bytes: &[u8]) {
    if let Ok(model) = onnx::parse_model(bytes, &no_external) {
        let graph = &model.graph;
        for (name, tensor) in &graph.initializers {
            assert_eq!(tensor.dims.iter().product::<usize>(), tensor.data.len(), "{name}");
        }
        let mut names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), graph.nodes.len());
        // NaN is not equal to itself, but its bytes are.
        let written = onnx::encode_model(&model);
        let again = onnx::parse_model(&written, &no_external).expect("what is written is read");
        assert_eq!(onnx::encode_model(&again), written);
    }
}

fn check_array(array: &Array) {
    assert_eq!(array.shape.iter().product::<usize>(), array.data.len());
    assert!(array.data.len() <= LIMIT);
}

fn check_data_set(bytes: &[u8]) {
    for version in [Version::Cifar10, Version::Cifar100] {
        for batch in [cifar::read_binary(bytes, version), cifar::read_python(bytes, version)] {
            let Ok(batch) = batch else { continue };
            assert_eq!(batch.labels.len() * cifar::IMAGE_BYTES, batch.pixels.len());
        }
    }
    if let Ok(arrays) = mat::read(bytes, ["X", "y"], LIMIT) {
        for array in arrays {
            assert_eq!(array.shape.iter().product::<usize>(), array.data.len());
            assert!(array.data.len() <= LIMIT);
        }
    }
    if let Ok(image) = image::decode(bytes, LIMIT) {
        assert_eq!(image.height * image.width * image.channels, image.pixels.len());
        assert!(image.pixels.len() <= LIMIT);
    }
    if let Ok(entries) = list::read(bytes) {
        assert!(entries.iter().all(|entry| !entry.path.is_empty()));
    }
}

/// Files of other programs.
const DATA_SETS: [&[u8]; 9] = [
    include_bytes!("../../../../suite/data/python2.batch"),
    include_bytes!("../../../../suite/data/python3.batch"),
    include_bytes!("../../../../suite/data/protocol5.batch"),
    include_bytes!("../../../../suite/data/digits.mat"),
    include_bytes!("../../../../suite/data/doubles.mat"),
    include_bytes!("../../../../suite/data/palette.png"),
    include_bytes!("../../../../suite/data/rgb.jpg"),
    include_bytes!("../../../../suite/data/progressive.jpg"),
    b"path,label\na.png,1\n\"b, c.png\",2\n",
];

fn check_all(bytes: &[u8]) {
    check_data_set(bytes);
    check_model(bytes);
    let _ = onnx::parse_tensor(bytes);
    if let Ok(arrays) = npz::read_npz(bytes, LIMIT) {
        arrays.values().for_each(check_array);
    }
    if let Ok(array) = npz::read_npy(bytes, LIMIT) {
        check_array(&array);
    }
    if let Ok(idx) = idx::read(bytes, LIMIT) {
        assert_eq!(idx.shape.iter().product::<usize>(), idx.data.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        check_all(&bytes);
        for start in [
            b"\x1f\x8b\x08\0".as_slice(),
            b"\x93NUMPY\x01\0",
            b"\0\0\x08",
            b"PK\x03\x04",
            b"\x80\x02}(",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            b"\xff\xd8\xff",
            &DATA_SETS[3][..128],
        ] {
            check_all(&[start, &bytes].concat());
        }
    }

    #[test]
    fn damaged_models_are_refused_or_read(damages in damages()) {
        check_model(&damaged(model(), &damages));
    }

    #[test]
    fn damaged_arrays_are_refused_or_read(damages in damages()) {
        check_all(&damaged(npz::encode_npy(&array()), &damages));
        check_all(&damaged(archive(), &damages));
    }

    #[test]
    fn damaged_data_sets_are_refused_or_read(which in 0..DATA_SETS.len(), damages in damages()) {
        let bytes = DATA_SETS[which].to_vec();
        check_data_set(&damaged(bytes.clone(), &damages));
        // Most bytes are pixels: damage to what stands around them.
        let edge = bytes.len().min(400);
        let head = damaged(bytes[..edge].to_vec(), &damages);
        check_data_set(&[head.as_slice(), &bytes[edge..]].concat());
    }

    #[test]
    fn damaged_idx_files_are_refused_or_read(damages in damages()) {
        check_all(&damaged(idx_file(), &damages));
    }
}

#[test]
fn the_undamaged_files_are_valid() {
    assert!(onnx::parse_model(&model(), &no_external).is_ok());
    assert!(npz::read_npz(&archive(), LIMIT).is_ok());
    assert!(idx::read(&idx_file(), LIMIT).is_ok());
}
