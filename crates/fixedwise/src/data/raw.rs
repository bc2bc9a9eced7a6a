//! Images as they are stored, before anything is known of a network.

use crate::{error::DataError, preprocess::Layout};
use std::path::{Path, PathBuf};

/// Pixels as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// Integers from 0 to 255.
    U8(Vec<u8>),
    /// Finite floats.
    F32(Vec<f32>),
}

impl From<Vec<u8>> for Pixels {
    fn from(pixels: Vec<u8>) -> Self {
        Self::U8(pixels)
    }
}

impl From<Vec<f32>> for Pixels {
    fn from(pixels: Vec<f32>) -> Self {
        Self::F32(pixels)
    }
}

impl Pixels {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::U8(x) => x.len(),
            Self::F32(x) => x.len(),
        }
    }

    /// Keeps the first so many, and no memory for more.
    pub(super) fn truncate(&mut self, len: usize) {
        match self {
            Self::U8(x) => {
                x.truncate(len);
                x.shrink_to_fit();
            }
            Self::F32(x) => {
                x.truncate(len);
                x.shrink_to_fit();
            }
        }
    }
}

/// What a file holds of one split: extents with the image first, pixels in the file's order, and
/// labels where there are some.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Raw {
    pub(super) dims: Vec<usize>,
    pub(super) pixels: Pixels,
    pub(super) labels: Option<Vec<i64>>,
    /// Where the file type itself says it.
    pub(super) layout: Option<Layout>,
    /// Rows and columns of each image, where they are not all alike.
    pub(super) sizes: Vec<[usize; 2]>,
    /// What the classes are called, where that is said.
    pub(super) class_names: Vec<String>,
    /// The files they come from and how many of them, where that is not one file.
    pub(super) files: Vec<(PathBuf, usize)>,
}

impl Raw {
    pub(super) fn new(dims: Vec<usize>, pixels: Pixels) -> Self {
        let (sizes, class_names, files) = (Vec::new(), Vec::new(), Vec::new());
        Self { dims, pixels, labels: None, layout: None, sizes, class_names, files }
    }

    /// How messages call an image.
    pub(super) fn place(&self, idx: usize) -> String {
        let mut before = 0;
        for (file, n) in &self.files {
            if idx < before + n {
                let file = file.display();
                return match (n, before) {
                    (1, _) => format!("image {idx} (`{file}`)"),
                    (_, 0) => format!("image {idx} of `{file}`"),
                    _ => format!("image {idx} (image {} of `{file}`)", idx - before),
                };
            }
            before += n;
        }
        format!("image {idx}")
    }
}

/// What a loader is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// No more than the first so many images; a loader may give more.
    pub(super) first: usize,
    /// Channels and classes of the network.
    pub(super) channels: usize,
    pub(super) classes: usize,
    /// Whether images are resized, and may be of different sizes.
    pub(super) is_resized: bool,
}

/// Largest array that is read, in bytes, and most pixels of a folder.
pub(super) const LIMIT_BYTES: usize = 8 << 30;

/// The bytes of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })
}

/// What is wrong inside.
pub(super) fn content(path: &Path, problem: impl Into<String>) -> DataError {
    DataError::Content { path: path.to_owned(), problem: problem.into() }
}
