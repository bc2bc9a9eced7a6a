use super::{
    super::{loaders::splits, random::Random},
    *,
};
use fixedwise_codec::{
    idx::{self as codec_idx, Idx},
    npz::{Array, ArrayData, encode_npz},
};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn u8s(shape: &[usize]) -> Array {
    let n = shape.iter().product();
    Array { shape: shape.to_vec(), data: ArrayData::U8((0..=255).cycle().take(n).collect()) }
}

fn labels(values: &[u8]) -> Array {
    Array { shape: vec![values.len()], data: ArrayData::U8(values.to_vec()) }
}

fn npz(arrays: &[(&str, &Array)]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.npz");
    std::fs::write(&path, encode_npz(arrays)).unwrap();
    (folder, path)
}

impl Dataset {
    /// As [`Dataset::load`], from a path.
    pub(in super::super) fn read(
        path: &Path,
        split: Split,
        first: usize,
        preprocess: &Preprocess,
        target: Shape,
        classes: usize,
    ) -> Result<Self, DataError> {
        let origin = DataOrigin::Path(path.to_owned());
        let (name, preprocess) = ("image".to_owned(), preprocess.clone());
        let port = Port { name, shape: target, preprocess };
        Self::load(&origin, split, first, (&[port], &[]), &Expected::of_classes(classes))
    }
}

fn image(data: &Dataset, idx: usize) -> Vec<f32> {
    let mut out = vec![0.0; data.inputs[0].target.len()];
    data.image(idx, &mut out);
    out
}

#[test]
fn both_layouts_give_the_same_images() {
    let target = Shape::new(2, 4, 3);
    let (_a, last) = npz(&[("x", &u8s(&[2, 2, 4, 3])), ("y", &labels(&[1, 0]))]);
    let last =
        Dataset::read(&last, Split::All, usize::MAX, &Preprocess::default(), target, 2).unwrap();
    let ArrayData::U8(x) = u8s(&[2, 2, 4, 3]).data else { unreachable!() };
    let mut first = vec![0; x.len()];
    for (i, &v) in x.iter().enumerate() {
        let (n, h, w, c) = (i / 24, i / 12 % 2, i / 3 % 4, i % 3);
        first[((n * 3 + c) * 2 + h) * 4 + w] = v;
    }
    let first = Array { shape: vec![2, 3, 2, 4], data: ArrayData::U8(first) };
    let (_b, first) = npz(&[("x", &first)]);
    let first =
        Dataset::read(&first, Split::All, usize::MAX, &Preprocess::default(), target, 2).unwrap();
    assert_eq!(last.len(), 2);
    assert_eq!(image(&last, 1), image(&first, 1));
    assert_eq!((last.label(0), last.label(1), first.label(0)), (Some(1), Some(0), None));
    assert_eq!(last.fingerprint(1), first.fingerprint(1));
    assert_ne!(last.fingerprint(0), last.fingerprint(1));
}

#[test]
fn what_does_not_fit_is_refused() {
    type Case<'a> = (Vec<(&'a str, Array)>, Shape, &'a str);
    let y = labels(&[0, 1]);
    let float = |x: f32| Array {
        shape: vec![2, 2, 2],
        data: ArrayData::F32(vec![1.0, x, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
    };
    let target = Shape::new(2, 2, 1);
    let cases: [Case; 9] = [
        (
            vec![("x", u8s(&[2, 3, 3, 3])), ("y", y.clone())],
            Shape::new(3, 3, 3),
            "channels first or last",
        ),
        (vec![("x", u8s(&[2, 4, 4])), ("y", y.clone())], target, "resize=2x2"),
        (vec![("x", u8s(&[2, 2, 2, 3])), ("y", y.clone())], target, "the network expects 2x2x1"),
        (vec![("x", u8s(&[0, 2, 2])), ("y", labels(&[]))], target, "contains no image"),
        (vec![("x", u8s(&[2, 2, 2])), ("y", labels(&[0]))], target, "has 2 images but 1 labels"),
        (
            vec![("x", u8s(&[2, 2, 2])), ("y", labels(&[0, 7]))],
            target,
            "label 7 of image 1 is out of range",
        ),
        (vec![("x", float(f32::NAN)), ("y", y.clone())], target, "image 0 has the pixel value NaN"),
        (vec![("a", u8s(&[2, 2, 2]))], target, "contains `a`; expected `x` and `y`"),
        (vec![("x", u8s(&[2])), ("y", y)], target, "contains arrays with 1 axes"),
    ];
    for (arrays, target, problem) in cases {
        let arrays: Vec<(&str, &Array)> = arrays.iter().map(|(k, v)| (*k, v)).collect();
        let (_folder, path) = npz(&arrays);
        let result = splits(&path).and_then(|_| {
            Dataset::read(&path, Split::All, usize::MAX, &Preprocess::default(), target, 2)
        });
        let error = result.unwrap_err().to_string();
        assert!(error.contains(problem), "expected {problem:?}, got: {error}");
    }
    let missing = Dataset::read(
        "nowhere.npz".as_ref(),
        Split::All,
        usize::MAX,
        &Preprocess::default(),
        target,
        2,
    );
    assert_eq!(missing.unwrap_err().to_string(), "cannot read `nowhere.npz`");
}

#[test]
fn a_declared_layout_decides() {
    let (_folder, path) = npz(&[("x", &u8s(&[2, 3, 3, 3]))]);
    let target = Shape::new(3, 3, 3);
    let load = |text: &str| {
        Dataset::read(&path, Split::All, usize::MAX, &text.parse().unwrap(), target, 2)
            .map(|d| image(&d, 0))
    };
    let (last, first) = (load("layout=nhwc").unwrap(), load("layout=nchw").unwrap());
    assert_eq!((last[1], first[1]), (1.0, 9.0));
}

#[test]
fn images_are_resized_where_that_is_declared() {
    let (_folder, path) = npz(&[("x", &u8s(&[1, 2, 2]))]);
    let data = Dataset::read(
        &path,
        Split::All,
        usize::MAX,
        &"resize=4x4".parse().unwrap(),
        Shape::new(4, 4, 1),
        2,
    )
    .unwrap();
    let y = image(&data, 0);
    assert_eq!((y.len(), y[5]), (16, 0.75));
}

#[test]
fn a_folder_of_idx_files_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, idx: &Idx| {
        std::fs::write(folder.path().join(name), codec_idx::encode(idx).unwrap()).unwrap();
    };
    write("train-images-idx3-ubyte", &Idx { shape: vec![3, 2, 2], data: vec![7; 12] });
    write("t10k-images-idx3-ubyte", &Idx { shape: vec![1, 2, 2], data: vec![1, 2, 3, 4] });
    write("t10k-labels-idx1-ubyte", &Idx { shape: vec![1], data: vec![9] });
    assert_eq!(splits(folder.path()).unwrap(), [Split::Train, Split::Test]);
    let load = |split| {
        Dataset::read(
            folder.path(),
            split,
            usize::MAX,
            &Preprocess::default(),
            Shape::new(2, 2, 1),
            10,
        )
    };
    let test = load(Split::Test).unwrap();
    assert_eq!((image(&test, 0), test.label(0)), (vec![1.0, 2.0, 3.0, 4.0], Some(9)));
    assert_eq!((load(Split::Train).unwrap().len(), test.len()), (3, 1));
    std::fs::write(folder.path().join("t10k-labels-idx1-ubyte"), b"junk").unwrap();
    let error = load(Split::Test).unwrap_err();
    assert!(error.to_string().contains("t10k-labels"), "{error}");
}

#[test]
fn other_files_are_refused_with_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cifar-10-python.tar.gz");
    std::fs::write(&path, "").unwrap();
    let error = splits(&path).unwrap_err().to_string();
    assert!(error.ends_with("is an archive; unpack it and give the folder"), "{error}");
    let path = folder.path().join("data.txt");
    std::fs::write(&path, "a,b").unwrap();
    let error = splits(&path).unwrap_err().to_string();
    assert!(error.contains("not a supported data set") && error.contains(".npz"), "{error}");
}

#[test]
fn the_shuffle_is_the_same_everywhere() {
    let shuffled = |seed| {
        let mut items: Vec<usize> = (0..100).collect();
        Random::new(seed).shuffle(&mut items);
        items
    };
    let mut sorted = shuffled(1);
    assert_ne!(sorted, shuffled(2));
    assert_eq!(sorted[..8], [22, 96, 24, 79, 63, 57, 97, 32]);
    sorted.sort_unstable();
    assert_eq!(sorted, (0..100).collect::<Vec<_>>());
}

/// `x` and `y` of a file, and what is wrong with them.
#[test]
fn arrays_that_are_no_images_or_no_labels_are_refused() {
    let array = |shape: &[usize], data: ArrayData| Array { shape: shape.to_vec(), data };
    let floats = |x: [f32; 3]| array(&[3, 1, 1], ArrayData::F32(x.to_vec()));
    let x = u8s(&[3, 1, 1]);
    let y = labels(&[0, 1, 0]);
    let cases: [(Array, Array, &str); 10] = [
        (floats([0.0, 0.0, f32::INFINITY]), y.clone(), "image 2 has the pixel value inf"),
        (floats([0.0, f32::NAN, 0.0]), y.clone(), "image 1 has the pixel value NaN"),
        (array(&[3, 1, 1], ArrayData::I64(vec![0, 255, 256])), y.clone(), "outside 0 to 255"),
        (array(&[3, 1, 1], ArrayData::I64(vec![0, -1, 0])), y.clone(), "outside 0 to 255"),
        (u8s(&[3, 1, 1, 1, 1]), y.clone(), "contains arrays with 5 axes"),
        (array(&[], ArrayData::U8(vec![1])), y.clone(), "contains no image"),
        (x.clone(), array(&[3], ArrayData::F32(vec![0.0; 3])), "labels that are not integers"),
        (x.clone(), array(&[3, 2], ArrayData::U8(vec![0; 6])), "labels with several columns"),
        (x.clone(), array(&[3], ArrayData::I64(vec![0, -1, 0])), "label -1 of image 1 is out of"),
        (x, labels(&[0, 1, 2]), "label 2 of image 2 is out of range: the network has 2 classes"),
    ];
    for (x, y, problem) in cases {
        let (_folder, path) = npz(&[("x", &x), ("y", &y)]);
        let target = Shape::new(1, 1, 1);
        let result =
            Dataset::read(&path, Split::All, usize::MAX, &Preprocess::default(), target, 2);
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with(&format!("data `{}` ", path.display())), "{error}");
        assert!(error.contains(problem), "expected {problem:?}, got: {error}");
    }
}

#[test]
fn integers_in_range_are_pixels_and_a_column_is_labels() {
    let x = Array { shape: vec![2, 1, 1], data: ArrayData::I64(vec![0, 255]) };
    let y = Array { shape: vec![2, 1], data: ArrayData::I64(vec![1, 0]) };
    let (_folder, path) = npz(&[("x", &x), ("y", &y)]);
    let data =
        Dataset::read(&path, Split::All, usize::MAX, &Preprocess::default(), Shape::vector(1), 2);
    let data = data.unwrap();
    assert_eq!(data.is_u8(), [true]);
    assert_eq!((image(&data, 1), data.label(0)), (vec![255.0], Some(1)));
}

/// Extents of stored images, what is declared, what the network takes; the order that is taken,
/// or what is wrong.
#[test]
fn the_layout_is_inferred_or_refused() {
    type Case<'a> = (&'a [usize], &'a str, [usize; 3], Result<Layout, &'a str>);
    let (nhwc, nchw) = (Ok(Layout::Nhwc), Ok(Layout::Nchw));
    let cases: [Case; 27] = [
        // Signals of so many samples.
        (&[40, 2], "", [1, 40, 2], nhwc),
        (&[2, 40], "", [1, 40, 2], nchw),
        (&[40, 1], "", [1, 40, 1], nhwc),
        (&[1, 40], "", [1, 40, 1], nhwc),
        (&[2, 2], "", [1, 2, 2], Err("channels first or last")),
        (&[40, 3], "", [1, 40, 2], Err("the network expects 1x40x2")),
        (&[4, 5], "", [4, 5, 1], nhwc),
        (&[4, 5], "layout=nchw", [4, 5, 1], nhwc),
        (&[4, 5, 1], "", [4, 5, 1], nhwc),
        (&[1, 4, 5], "", [4, 5, 1], nchw),
        (&[1, 1, 1], "", [1, 1, 1], nhwc),
        (&[4, 5, 3], "", [4, 5, 3], nhwc),
        (&[3, 4, 5], "", [4, 5, 3], nchw),
        (&[3, 3, 3], "", [3, 3, 3], Err("channels first or last")),
        (&[3, 3, 3], "layout=nchw", [3, 3, 3], nchw),
        (&[3, 9, 3], "resize=4x5", [4, 5, 3], Err("channels first or last")),
        (&[3, 9, 3], "resize=4x5,layout=nhwc", [4, 5, 3], nhwc),
        (&[9, 9, 3], "resize=4x5", [4, 5, 3], nhwc),
        (&[3, 9, 9], "resize=4x5", [4, 5, 3], nchw),
        (&[4, 5, 3], "layout=nchw", [4, 5, 3], Err("they match with `layout=nhwc`")),
        (&[3, 4, 5], "layout=nhwc", [4, 5, 3], Err("they match with `layout=nchw`")),
        (
            &[9, 9, 3],
            "",
            [4, 5, 3],
            Err("expects 4x5x3 (rows, columns, channels); `--preprocess re"),
        ),
        (
            &[9, 9],
            "",
            [4, 5, 3],
            Err("contains images with shape [9, 9], the network expects 4x5x3"),
        ),
        (&[20], "", [4, 5, 1], Err("contains images with shape [20], the network expects 4x5x1")),
        // Vectors have the file's order: it is what the network was trained on.
        (&[3, 2, 2], "", [1, 1, 12], nhwc),
        (&[3, 2, 2], "layout=nchw", [1, 1, 12], nhwc),
        (&[12], "", [1, 1, 12], nhwc),
    ];
    for (dims, declared, [h, w, c], expected) in cases {
        let declared: Preprocess = declared.parse().unwrap();
        let got =
            image_shape(dims, declared.layout, declared.resize.is_some(), Shape::new(h, w, c))
                .map(|(_, layout)| layout);
        match (&got, expected) {
            (Ok(got), Ok(expected)) if *got == expected => {}
            (Err(got), Err(expected)) if got.contains(expected) => {}
            _ => panic!("{dims:?} {declared:?} for {h}x{w}x{c}: {got:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn images_of_a_vector_network_keep_the_order_of_the_file() {
    let (_folder, path) = npz(&[("x", &u8s(&[2, 3, 2, 2]))]);
    for declared in ["", "layout=nchw", "layout=nhwc"] {
        let target = Shape::vector(12);
        let data =
            Dataset::read(&path, Split::All, usize::MAX, &declared.parse().unwrap(), target, 2)
                .unwrap();
        let expected: Vec<f32> = (12..24_u8).map(f32::from).collect();
        assert_eq!((data.len(), image(&data, 1)), (2, expected), "{declared}");
    }
}

#[test]
fn floats_are_delivered_as_they_are() {
    let x = Array { shape: vec![2, 2, 1, 2], data: ArrayData::F32(vec![0.5; 8]) };
    let ArrayData::F32(mut values) = x.data else { unreachable!() };
    values[5] = -3.25;
    let x = Array { shape: x.shape, data: ArrayData::F32(values) };
    let (_folder, path) = npz(&[("x_train", &x), ("x_test", &x)]);
    let target = Shape::new(1, 2, 2);
    let data =
        Dataset::read(&path, Split::Test, usize::MAX, &Preprocess::default(), target, 2).unwrap();
    assert_eq!(data.is_u8(), [false]);
    assert_eq!(image(&data, 1), [0.5, 0.5, -3.25, 0.5]);
    assert_ne!(data.fingerprint(0), data.fingerprint(1));
}

#[test]
fn a_single_idx_file_finds_its_labels_gzipped_or_not() {
    // IDX files of one 2x2 image and of one label, as gzip writes them.
    const IMAGES: [u8; 36] = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 99, 96, 224, 96, 102, 96, 96, 96, 4, 98, 38, 16, 102, 100,
        98, 102, 1, 0, 183, 232, 198, 85, 20, 0, 0, 0,
    ];
    const LABELS: [u8; 29] = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 99, 96, 224, 96, 100, 96, 96, 96, 228, 4, 0, 137, 0, 125,
        126, 9, 0, 0, 0,
    ];
    let plain = |shape: &[usize], data: &[u8]| {
        codec_idx::encode(&Idx { shape: shape.to_vec(), data: data.to_vec() }).unwrap()
    };
    let images = [("", plain(&[1, 2, 2], &[1, 2, 3, 4])), (".gz", IMAGES.to_vec())];
    let labels = [("", plain(&[1], &[9])), (".gz", LABELS.to_vec())];
    for (ending, x) in &images {
        for (labels_ending, y) in &labels {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(format!("t10k-images-idx3-ubyte{ending}"));
            std::fs::write(&path, x).unwrap();
            let load = |split, path: &Path| {
                Dataset::read(
                    path,
                    split,
                    usize::MAX,
                    &Preprocess::default(),
                    Shape::new(2, 2, 1),
                    10,
                )
                .unwrap()
            };
            assert_eq!(load(Split::All, &path).label(0), None);
            let beside = folder.path().join(format!("t10k-labels-idx1-ubyte{labels_ending}"));
            std::fs::write(beside, y).unwrap();
            assert_eq!(splits(&path).unwrap(), [Split::All]);
            for data in [load(Split::All, &path), load(Split::Test, folder.path())] {
                assert_eq!((image(&data, 0), data.label(0)), (vec![1.0, 2.0, 3.0, 4.0], Some(9)));
            }
        }
    }
}

#[test]
fn corrupt_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let whole = encode_npz(&[("x", &u8s(&[2, 2, 2])), ("y", &labels(&[0, 1]))]);
    for (name, bytes) in [
        ("truncated.npz", whole[..whole.len() / 2].to_vec()),
        ("text.npz", b"x,y".to_vec()),
        ("empty.npz", Vec::new()),
        ("train-images-idx3-ubyte", vec![0, 0, 8, 3, 0, 0]),
        ("train-images-idx3-ubyte.gz", vec![31, 139, 8, 0]),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let target = Shape::new(2, 2, 1);
        let result =
            Dataset::read(&path, Split::All, usize::MAX, &Preprocess::default(), target, 2);
        assert_eq!(result.unwrap_err().to_string(), format!("data `{}`", path.display()));
    }
}

#[test]
fn the_first_images_are_the_same_images() {
    let target = Shape::new(2, 2, 1);
    let (_folder, path) = npz(&[("x", &u8s(&[5, 2, 2])), ("y", &labels(&[0, 1, 0, 1, 7]))]);
    let load = |first, classes| {
        Dataset::read(&path, Split::All, first, &Preprocess::default(), target, classes)
    };
    let (all, first) = (load(usize::MAX, 8).unwrap(), load(3, 8).unwrap());
    assert_eq!((all.len(), first.len()), (5, 3));
    for i in 0..3 {
        assert_eq!(image(&all, i), image(&first, i));
        assert_eq!((all.label(i), all.fingerprint(i)), (first.label(i), first.fingerprint(i)));
    }
    assert!(all.is_of_same_source(&first));
    // What is not needed is not looked at.
    assert!(load(4, 2).is_ok() && load(5, 2).is_err());
}
