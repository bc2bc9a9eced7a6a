use super::{
    divide::{choose, disjoint},
    library::Library,
    *,
};
use crate::{data::truth::Expected, preprocess::Preprocess};
use fixedwise_codec::npz::{Array, ArrayData, encode_npz};
use fixedwise_graph::Shape;
use std::path::Path;

/// 40 images of one pixel, each its own value, and their labels.
fn write(path: &Path, arrays: &[(&str, usize)]) {
    let array = |name: &str, n: usize| Array {
        shape: vec![n, 1, 1, 1],
        data: ArrayData::F32(
            (0..n)
                .map(|i| {
                    let offset = if name.contains("train") { 1000.0 } else { 0.0 };
                    fixedwise_fixed::convert::f64_to_f32(
                        fixedwise_fixed::convert::count_to_f64(i) + offset,
                    )
                })
                .collect(),
        ),
    };
    let labels = |n: usize| Array { shape: vec![n], data: ArrayData::I64(vec![0; n]) };
    let mut all = Vec::new();
    for &(name, n) in arrays {
        all.push((name.to_owned(), array(name, n)));
        all.push((name.replacen('x', "y", 1), labels(n)));
    }
    let all: Vec<(&str, &Array)> = all.iter().map(|(k, v)| (k.as_str(), v)).collect();
    std::fs::write(path, encode_npz(&all)).unwrap();
}

fn sets(options: &DataOptions, seed: u64) -> Result<(View, View, Option<View>), String> {
    let (name, preprocess) = ("image".to_owned(), Preprocess::default());
    let mut library = Library {
        ports: vec![Port { name, shape: Shape::vector(1), preprocess }],
        unused: Vec::new(),
        expected: Expected::of_classes(1),
        needed: Vec::new(),
        loaded: Vec::new(),
    };
    let chosen = choose(options, seed, &mut library).map_err(|e| e.to_string())?;
    if let Some(test) = &chosen.2 {
        disjoint(("search", &chosen.1), ("test", test)).map_err(|e| e.to_string())?;
    }
    Ok(chosen)
}

fn options(data: Option<&str>, search: Option<&str>, test: Option<&str>) -> DataOptions {
    let source = |text: Option<&str>| text.map(|text| text.parse().unwrap());
    DataOptions {
        data: source(data),
        search: source(search),
        test: source(test),
        ..DataOptions::default()
    }
}

#[test]
fn one_data_set_is_divided_by_seed_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.npz");
    write(&path, &[("x_train", 30), ("x_test", 21)]);
    let both = options(path.to_str(), None, None);
    let (calibration, search, test) = sets(&both, 3).unwrap();
    let test = test.unwrap();
    assert_eq!([calibration.len(), search.len(), test.len()], [30, 11, 10]);
    let mut all = [search.images.clone(), test.images.clone()].concat();
    all.sort_unstable();
    assert_eq!(all, (0..21).collect::<Vec<_>>());
    assert_eq!(sets(&both, 3).unwrap().1.images, search.images);
    assert_ne!(sets(&both, 4).unwrap().1.images, search.images);

    let path = folder.path().join("one.npz");
    write(&path, &[("x", 40)]);
    let (calibration, search, test) = sets(&options(path.to_str(), None, None), 3).unwrap();
    assert_eq!([calibration.len(), search.len(), test.unwrap().len()], [4, 18, 18]);
}

#[test]
fn without_a_test_set_all_is_searched_on() {
    let folder = tempfile::tempdir().unwrap();
    let both = folder.path().join("both.npz");
    write(&both, &[("x_train", 30), ("x_test", 21)]);
    let one = folder.path().join("one.npz");
    write(&one, &[("x", 40)]);
    for (path, expected) in [(&both, [30, 21]), (&one, [4, 36])] {
        let all = DataOptions { untested: true, ..options(path.to_str(), None, None) };
        let (calibration, search, test) = sets(&all, 3).unwrap();
        assert_eq!([calibration.len(), search.len()], expected);
        assert!(test.is_none());
        let both = DataOptions { untested: true, ..options(None, None, path.to_str()) };
        assert!(sets(&both, 3).unwrap_err().contains("remove one of the two"));
    }
}

#[test]
fn overlap_and_impossible_ranges_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.npz");
    write(&path, &[("x_train", 30), ("x_test", 20)]);
    let copy = folder.path().join("copy.npz");
    std::fs::copy(&path, &copy).unwrap();
    let (path, copy) = (path.to_str().unwrap(), copy.to_str().unwrap());
    let cases = [
        (
            format!("{path}:test@0..12"),
            format!("{path}:test@10.."),
            "search and test share 2 images",
        ),
        (format!("{path}:test"), format!("{copy}:test"), "search and test share 20 images"),
        (
            format!("{path}:test@0..21"),
            format!("{path}:test@5..6"),
            "selects images 0 to 21, but there are only 20",
        ),
        (
            format!("{path}:all"),
            format!("{path}:test"),
            "has no split `all`; it has train and test",
        ),
    ];
    for (search, test, problem) in cases {
        let options = options(Some(path), Some(&search), Some(&test));
        let error = sets(&options, 0).unwrap_err();
        assert!(error.contains(problem), "expected {problem:?}, got: {error}");
    }
    let none = options(None, Some(path), Some(path));
    assert!(sets(&none, 0).unwrap_err().contains("no calibration images are given"));
}
