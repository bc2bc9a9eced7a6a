//! MATLAB files as SVHN has them: `X`, bytes `[h, w, c, n]`, and `y`, where 10 stands for class 0.

use super::{
    raw::{LIMIT_BYTES, Pixels, Raw, Wanted, content, read},
    source::Split,
};
use crate::{error::DataError, preprocess::Layout};
use fixedwise_codec::mat::{self, ArrayData};
use std::path::Path;

const PARTS: [(Split, &str); 2] =
    [(Split::Train, "train_32x32.mat"), (Split::Test, "test_32x32.mat")];

pub(super) fn is_for(path: &Path) -> bool {
    if path.is_dir() {
        PARTS.iter().any(|(_, name)| path.join(name).is_file())
    } else {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mat"))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as every loader")]
pub(super) fn splits(path: &Path) -> Result<Vec<Split>, DataError> {
    if path.is_dir() {
        let found = PARTS.iter().filter(|(_, name)| path.join(name).is_file());
        return Ok(found.map(|(split, _)| *split).collect());
    }
    let is_named = |(_, name): &&(Split, &str)| path.file_name().is_some_and(|file| file == *name);
    Ok(vec![PARTS.iter().find(is_named).map_or(Split::All, |(split, _)| *split)])
}

pub(super) fn load(path: &Path, split: Split, _: &Wanted) -> Result<Raw, DataError> {
    let name = PARTS.iter().find(|(s, _)| *s == split).map(|(_, name)| *name);
    let file = match name {
        Some(name) if path.is_dir() => path.join(name),
        _ => path.to_owned(),
    };
    let wrong = |problem: String| content(&file, problem);
    let [x, y] = mat::read(&read(&file)?, ["X", "y"], LIMIT_BYTES)
        .map_err(|source| DataError::Corrupt { path: file.clone(), source: source.into() })?;
    // MATLAB leaves out trailing extents of one.
    let (h, w, c, n) = match *x.shape {
        [h, w] => (h, w, 1, 1),
        [h, w, c] => (h, w, c, 1),
        [h, w, c, n] => (h, w, c, n),
        _ => return Err(wrong(format!("has `X` of {:?}, not [h, w, c, n]", x.shape))),
    };
    let ArrayData::U8(x) = x.data else {
        return Err(wrong("has `X` with a type other than uint8".to_owned()));
    };
    if y.shape.iter().filter(|&&extent| extent != 1).count() > 1 {
        return Err(wrong(format!("has `y` of {:?}, not one label per image", y.shape)));
    }
    let labels = match y.data {
        ArrayData::U8(y) => Some(y.into_iter().map(i64::from).collect()),
        ArrayData::F64(y) => y.into_iter().map(integer).collect::<Option<Vec<i64>>>(),
    };
    let labels = labels.ok_or_else(|| wrong("has labels that are not integers".to_owned()))?;
    if labels.contains(&10) && labels.contains(&0) {
        return Err(wrong("has the labels 0 and 10, which both mean class 0".to_owned()));
    }
    let labels = labels.into_iter().map(|label| if label == 10 { 0 } else { label }).collect();
    // Rows vary fastest in the file.
    let image = h * w * c;
    let mut pixels = Vec::with_capacity(x.len());
    for start in (0..n).map(|n| n * image) {
        for row in 0..h {
            for column in 0..w {
                pixels.extend((0..c).map(|channel| x[start + (channel * w + column) * h + row]));
            }
        }
    }
    let raw = Raw::new(vec![n, h, w, c], Pixels::from(pixels));
    Ok(Raw { labels: Some(labels), layout: Some(Layout::Nhwc), files: vec![(file, n)], ..raw })
}

/// A label that is stored as a floating-point number.
fn integer(x: f64) -> Option<i64> {
    let rounded = fixedwise_fixed::convert::f64_to_count(x);
    let is_same = fixedwise_fixed::convert::count_to_f64(rounded).total_cmp(&x).is_eq();
    i64::try_from(rounded).ok().filter(|_| is_same)
}

#[cfg(test)]
mod tests {
    use super::super::{dataset::Dataset, loaders::splits};
    use super::*;
    use crate::preprocess::Preprocess;
    use fixedwise_graph::Shape;
    use std::fs;

    const DIGITS: &[u8] = include_bytes!("../../../../suite/data/digits.mat");
    const DOUBLES: &[u8] = include_bytes!("../../../../suite/data/doubles.mat");

    fn load(path: &Path, split: Split, target: Shape) -> Result<Dataset, String> {
        let all = usize::MAX;
        Dataset::read(path, split, all, &Preprocess::default(), target, 10)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn the_file_decides_split_and_classes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("train_32x32.mat"), DIGITS).unwrap();
        fs::write(path("test_32x32.mat"), DIGITS).unwrap();
        fs::write(path("other.mat"), DOUBLES).unwrap();
        assert_eq!(splits(folder.path()).unwrap(), [Split::Train, Split::Test]);
        assert_eq!(splits(&path("test_32x32.mat")).unwrap(), [Split::Test]);
        assert_eq!(splits(&path("other.mat")).unwrap(), [Split::All]);
        for (path, split, h, w) in [
            (folder.path().to_owned(), Split::Train, 32, 32),
            (path("test_32x32.mat"), Split::Test, 32, 32),
            (path("other.mat"), Split::All, 4, 3),
        ] {
            let data = load(&path, split, Shape::new(h, w, 3)).unwrap();
            let labels: Vec<Option<usize>> = (0..data.len()).map(|i| data.label(i)).collect();
            assert_eq!(labels, [Some(1), Some(0), Some(2), Some(9), Some(0)]);
            let mut image = vec![0.0; h * w * 3];
            data.image(2, &mut image);
            // Row 3, column 1, blue of image 2.
            assert_eq!(image[(3 * w + 1) * 3 + 2].to_bits(), 248_f32.to_bits());
        }
    }

    #[test]
    fn a_network_of_other_images_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.mat");
        fs::write(&path, DIGITS).unwrap();
        let error = load(&path, Split::All, Shape::new(28, 28, 1)).unwrap_err();
        assert!(error.contains("[32, 32, 3], the network expects 28x28x1"), "{error}");
    }

    #[test]
    fn labels_are_whole_numbers() {
        for (x, expected) in [(0.0, Some(0)), (9.0, Some(9)), (1.5, None), (-1.0, None)] {
            assert_eq!(integer(x), expected, "{x}");
        }
        assert_eq!((integer(f64::NAN), integer(f64::INFINITY)), (None, None));
    }
}
