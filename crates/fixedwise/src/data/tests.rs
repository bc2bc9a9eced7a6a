use super::*;
use fixedwise_codec::{
    idx::{self as codec_idx, Idx},
    npz::{Array, ArrayData, encode_npz},
};
use tempfile::TempDir;

fn u8s(shape: &[usize]) -> Array {
    let n = shape.iter().product();
    Array { shape: shape.to_vec(), data: ArrayData::U8((0..=255).cycle().take(n).collect()) }
}

fn labels(values: &[u8]) -> Array {
    Array { shape: vec![values.len()], data: ArrayData::U8(values.to_vec()) }
}

fn npz(arrays: &[(&str, &Array)]) -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.npz");
    std::fs::write(&path, encode_npz(arrays)).unwrap();
    (folder, path)
}

fn image(data: &Dataset, idx: usize) -> Vec<f32> {
    let mut out = vec![0.0; data.target.len()];
    data.image(idx, &mut out);
    out
}

#[test]
fn both_layouts_give_the_same_images() {
    let target = Shape::new(2, 4, 3);
    let (_a, last) = npz(&[("x", &u8s(&[2, 2, 4, 3])), ("y", &labels(&[1, 0]))]);
    let last = Dataset::load(&last, Split::All, &Preprocess::default(), target, 2).unwrap();
    let ArrayData::U8(x) = u8s(&[2, 2, 4, 3]).data else { unreachable!() };
    let mut first = vec![0; x.len()];
    for (i, &v) in x.iter().enumerate() {
        let (n, h, w, c) = (i / 24, i / 12 % 2, i / 3 % 4, i % 3);
        first[((n * 3 + c) * 2 + h) * 4 + w] = v;
    }
    let first = Array { shape: vec![2, 3, 2, 4], data: ArrayData::U8(first) };
    let (_b, first) = npz(&[("x", &first)]);
    let first = Dataset::load(&first, Split::All, &Preprocess::default(), target, 2).unwrap();
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
        (vec![("x", u8s(&[2, 2, 2, 3])), ("y", y.clone())], target, "the network takes 2x2x1"),
        (vec![("x", u8s(&[0, 2, 2])), ("y", labels(&[]))], target, "holds no image"),
        (vec![("x", u8s(&[2, 2, 2])), ("y", labels(&[0]))], target, "has 2 images but 1 labels"),
        (
            vec![("x", u8s(&[2, 2, 2])), ("y", labels(&[0, 7]))],
            target,
            "label 7 of image 1 is out of range",
        ),
        (vec![("x", float(f32::NAN)), ("y", y.clone())], target, "image 0 has the pixel value NaN"),
        (vec![("a", u8s(&[2, 2, 2]))], target, "holds `a`; expected `x` and `y`"),
        (vec![("x", u8s(&[2])), ("y", y)], target, "holds arrays with 1 axes"),
    ];
    for (arrays, target, problem) in cases {
        let arrays: Vec<(&str, &Array)> = arrays.iter().map(|(k, v)| (*k, v)).collect();
        let (_folder, path) = npz(&arrays);
        let result = splits(&path)
            .and_then(|_| Dataset::load(&path, Split::All, &Preprocess::default(), target, 2));
        let error = result.unwrap_err().to_string();
        assert!(error.contains(problem), "expected {problem:?}, got: {error}");
    }
    let missing =
        Dataset::load("nowhere.npz".as_ref(), Split::All, &Preprocess::default(), target, 2);
    assert_eq!(missing.unwrap_err().to_string(), "cannot read `nowhere.npz`");
}

#[test]
fn a_declared_layout_decides() {
    let (_folder, path) = npz(&[("x", &u8s(&[2, 3, 3, 3]))]);
    let target = Shape::new(3, 3, 3);
    let load = |text: &str| {
        Dataset::load(&path, Split::All, &text.parse().unwrap(), target, 2).map(|d| image(&d, 0))
    };
    let (last, first) = (load("layout=nhwc").unwrap(), load("layout=nchw").unwrap());
    assert_eq!((last[1], first[1]), (1.0, 9.0));
}

#[test]
fn images_are_resized_where_that_is_declared() {
    let (_folder, path) = npz(&[("x", &u8s(&[1, 2, 2]))]);
    let data =
        Dataset::load(&path, Split::All, &"resize=4x4".parse().unwrap(), Shape::new(4, 4, 1), 2)
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
        Dataset::load(folder.path(), split, &Preprocess::default(), Shape::new(2, 2, 1), 10)
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
    let path = folder.path().join("data.csv");
    std::fs::write(&path, "a,b").unwrap();
    let error = splits(&path).unwrap_err().to_string();
    assert!(error.contains("no data set that is known") && error.contains(".npz"), "{error}");
}

#[test]
fn the_shuffle_is_a_permutation_that_depends_on_the_seed() {
    let shuffled = |seed| {
        let mut items: Vec<usize> = (0..100).collect();
        Random::new(seed).shuffle(&mut items);
        items
    };
    let mut sorted = shuffled(1);
    assert_ne!(sorted, shuffled(2));
    assert_eq!(sorted, shuffled(1));
    sorted.sort_unstable();
    assert_eq!(sorted, (0..100).collect::<Vec<_>>());
}
