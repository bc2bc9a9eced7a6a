//! IDX, the format of MNIST: a folder of the four usual files, plain or gz, or a single file.

use super::{
    raw::{LIMIT_BYTES, Pixels, Raw, Wanted},
    source::Split,
};
use crate::error::DataError;
use std::path::{Path, PathBuf};

const PARTS: [(Split, &str); 2] = [(Split::Train, "train"), (Split::Test, "t10k")];

/// The file of that beginning, whatever its ending: `train-images-idx3-ubyte[.gz]`, and with a dot
/// before `idx` as some copies have it.
fn find(folder: &Path, part: &str, kind: &str) -> Option<PathBuf> {
    let number = if kind == "images" { 3 } else { 1 };
    ["-", "."].iter().find_map(|separator| {
        ["", ".gz"].iter().find_map(|ending| {
            let path = folder.join(format!("{part}-{kind}{separator}idx{number}-ubyte{ending}"));
            path.is_file().then_some(path)
        })
    })
}

/// The labels beside a single file of images, gzipped or not.
fn labels_beside(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    let labels = plain.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1");
    [labels.clone(), format!("{labels}.gz")].into_iter().find_map(|labels| {
        let path = images.with_file_name(labels);
        (path != images && path.is_file()).then_some(path)
    })
}

pub(super) fn is_for(path: &Path) -> bool {
    if path.is_dir() {
        PARTS.iter().any(|(_, part)| find(path, part, "images").is_some())
    } else {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        name.contains("idx3") || name.contains("idx4")
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as every loader")]
pub(super) fn splits(path: &Path) -> Result<Vec<Split>, DataError> {
    if !path.is_dir() {
        return Ok(vec![Split::All]);
    }
    let found = PARTS.iter().filter(|(_, part)| find(path, part, "images").is_some());
    Ok(found.map(|(split, _)| *split).collect())
}

fn read(path: &Path, wanted: &Wanted) -> Result<fixedwise_codec::idx::Idx, DataError> {
    fixedwise_codec::idx::read_first(&super::raw::read(path)?, wanted.first, LIMIT_BYTES)
        .map_err(|source| DataError::Corrupt { path: path.to_owned(), source: source.into() })
}

pub(super) fn load(path: &Path, split: Split, wanted: &Wanted) -> Result<Raw, DataError> {
    let (images, labels) = if path.is_dir() {
        let part = PARTS.iter().find(|(s, _)| *s == split).map(|(_, part)| *part);
        let images = part.and_then(|part| find(path, part, "images"));
        let Some((part, images)) = part.zip(images) else {
            return Err(DataError::Content {
                path: path.to_owned(),
                problem: format!("has no images of the split `{}`", split.name()),
            });
        };
        (images, find(path, part, "labels"))
    } else {
        (path.to_owned(), labels_beside(path))
    };
    let x = read(&images, wanted)?;
    let y = labels.as_deref().map(|labels| read(labels, wanted)).transpose()?;
    Ok(Raw {
        labels: y.map(|y| y.data.iter().map(|&y| i64::from(y)).collect()),
        ..Raw::new(x.shape, Pixels::from(x.data))
    })
}
