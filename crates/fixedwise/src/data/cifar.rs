//! CIFAR-10 and CIFAR-100: a folder of the binary or the Python version, or one file of it.

use super::{
    raw::{Pixels, Raw, Wanted, content, read},
    source::Split,
};
use crate::{error::DataError, preprocess::Layout};
use fixedwise_codec::cifar::{Batch, CifarError, Version, read_binary, read_python};
use std::path::{Path, PathBuf};

/// A way the data come: what reads a file, and the files of the splits.
struct Form {
    read: fn(&[u8], Version) -> Result<Batch, CifarError>,
    version: Version,
    train: &'static [&'static str],
    test: &'static str,
    /// A file that the folder of this form has too: where the others have names of all days.
    beside: Option<&'static str>,
}

const FORMS: [Form; 4] = [
    Form {
        read: read_binary,
        version: Version::Cifar10,
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: "test_batch.bin",
        beside: None,
    },
    Form {
        read: read_python,
        version: Version::Cifar10,
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: "test_batch",
        beside: None,
    },
    Form {
        read: read_binary,
        version: Version::Cifar100,
        train: &["train.bin"],
        test: "test.bin",
        beside: None,
    },
    Form {
        read: read_python,
        version: Version::Cifar100,
        train: &["train"],
        test: "test",
        beside: Some("meta"),
    },
];

impl Form {
    /// The form of a folder, or of one file by its name.
    fn of(path: &Path) -> Option<&'static Self> {
        let is_file_in = |folder: &Path, name: &str| folder.join(name).is_file();
        if path.is_dir() {
            return FORMS.iter().find(|form| {
                form.beside.is_none_or(|name| is_file_in(path, name))
                    && form.names().any(|name| is_file_in(path, name))
            });
        }
        let (folder, name) = path.parent().zip(path.file_name()?.to_str())?;
        FORMS.iter().find(|form| {
            form.names().any(|known| known == name)
                && form.beside.is_none_or(|beside| is_file_in(folder, beside))
        })
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.train.iter().copied().chain([self.test])
    }
}

pub(super) fn is_for(path: &Path) -> bool {
    Form::of(path).is_some()
}

#[expect(clippy::unnecessary_wraps, reason = "as every loader")]
pub(super) fn splits(path: &Path) -> Result<Vec<Split>, DataError> {
    if !path.is_dir() {
        return Ok(vec![Split::All]);
    }
    let has = |name: &str| path.join(name).is_file();
    Ok(Form::of(path).map_or_else(Vec::new, |form| {
        let train = form.train.iter().any(|name| has(name)).then_some(Split::Train);
        let test = has(form.test).then_some(Split::Test);
        train.into_iter().chain(test).collect()
    }))
}

pub(super) fn load(path: &Path, split: Split, wanted: &Wanted) -> Result<Raw, DataError> {
    let form = Form::of(path).ok_or_else(|| content(path, "has changed since the start"))?;
    let files: Vec<PathBuf> = match split {
        _ if !path.is_dir() => vec![path.to_owned()],
        Split::Train => form.train.iter().map(|name| path.join(name)).collect(),
        _ => vec![path.join(form.test)],
    };
    let (mut pixels, mut labels, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for file in files {
        if labels.len() >= wanted.first {
            break;
        }
        let batch = (form.read)(&read(&file)?, form.version)
            .map_err(|source| DataError::Corrupt { path: file.clone(), source: source.into() })?;
        parts.push((file, batch.labels.len()));
        pixels.extend(batch.pixels);
        labels.extend(batch.labels.into_iter().map(i64::from));
    }
    let raw = Raw::new(vec![labels.len(), 3, 32, 32], Pixels::from(pixels));
    Ok(Raw { labels: Some(labels), layout: Some(Layout::Nchw), files: parts, ..raw })
}

#[cfg(test)]
mod tests {
    use super::super::dataset::Dataset;
    use super::*;
    use crate::preprocess::Preprocess;
    use fixedwise_graph::Shape;
    use std::fs;

    const PYTHON: &[u8] = include_bytes!("../../../../suite/data/python2.batch");

    /// The same two images as records.
    fn records(labels: [u8; 2]) -> Vec<u8> {
        let batch = read_python(PYTHON, Version::Cifar10).unwrap();
        let (a, b) = batch.pixels.split_at(3072);
        [&[labels[0]], a, &[labels[1]], b].concat()
    }

    fn load(path: &Path, split: Split, first: usize) -> Result<Dataset, String> {
        let target = Shape::new(32, 32, 3);
        Dataset::read(path, split, first, &Preprocess::default(), target, 10).map_err(|e| {
            let cause = std::error::Error::source(&e).map(|e| format!(": {e}"));
            format!("{e}{}", cause.unwrap_or_default())
        })
    }

    #[test]
    fn both_versions_give_the_same_images() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let file = records([3, 9]);
        for (folder, ending, bytes) in [(&folders[0], "", PYTHON), (&folders[1], ".bin", &file)] {
            for name in FORMS[1].names() {
                fs::write(folder.path().join(format!("{name}{ending}")), bytes).unwrap();
            }
        }
        let mut images = Vec::new();
        for folder in &folders {
            let path = folder.path();
            assert_eq!(super::super::loaders::splits(path).unwrap(), [Split::Train, Split::Test]);
            let (train, test) = (
                load(path, Split::Train, usize::MAX).unwrap(),
                load(path, Split::Test, usize::MAX).unwrap(),
            );
            assert_eq!((train.len(), test.len(), train.label(9)), (10, 2, Some(9)));
            assert_eq!(load(path, Split::Train, 3).unwrap().len(), 3);
            let mut image = vec![0.0; 3072];
            train.image(1, &mut image);
            // Row 1, column 2, green of image 1.
            assert_eq!(image[(32 + 2) * 3 + 1].to_bits(), 125_f32.to_bits());
            images.push(image);
        }
        assert_eq!(images[0], images[1]);
        let one = folders[1].path().join("data_batch_2.bin");
        assert_eq!(super::super::loaders::splits(&one).unwrap(), [Split::All]);
        assert_eq!(load(&one, Split::All, usize::MAX).unwrap().len(), 2);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        for name in ["data_batch_1.bin", "data_batch_2.bin", "data_batch_4.bin", "test_batch.bin"] {
            write(name, &records([1, 2]));
        }
        let error = load(folder.path(), Split::Train, usize::MAX).unwrap_err();
        assert!(error.contains("data_batch_3.bin"), "{error}");
        write("data_batch_2.bin", &records([1, 10]));
        write("data_batch_3.bin", &records([1, 2]));
        write("data_batch_5.bin", &records([1, 2]));
        let error = load(folder.path(), Split::Train, usize::MAX).unwrap_err();
        assert!(error.contains("label 10 of image 3 (image 1 of `"), "{error}");
        assert!(error.contains("data_batch_2.bin"), "{error}");
        write("test_batch.bin", &[0; 5000]);
        let error = load(folder.path(), Split::Test, usize::MAX).unwrap_err();
        assert!(
            error.contains("test_batch.bin`: 5000 bytes are not a multiple of the record size"),
            "{error}"
        );
    }

    #[test]
    fn cifar_100_is_known_by_its_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let batch = include_bytes!("../../../../suite/data/python3.batch");
        for name in ["train", "test"] {
            fs::write(folder.path().join(name), batch).unwrap();
        }
        assert!(!is_for(folder.path()));
        fs::write(folder.path().join("meta"), b"").unwrap();
        assert_eq!(
            super::super::loaders::splits(folder.path()).unwrap(),
            [Split::Train, Split::Test]
        );
        let error = load(folder.path(), Split::Test, usize::MAX).unwrap_err();
        assert!(error.contains("label 42 of image 0 of `"), "{error}");
    }
}
