//! Images as they are stored, before anything is known of a network.

use super::dataset::Port;
use crate::{error::DataError, preprocess::Layout};
use fixedwise_fixed::convert::{f64_to_f32, i64_to_f64};
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

/// Numbers as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    U8(Vec<u8>),
    I64(Vec<i64>),
    F32(Vec<f32>),
}

impl Values {
    /// Integers; nothing of floats.
    pub(super) fn integers(&self) -> Box<dyn Iterator<Item = i64> + '_> {
        match self {
            Self::U8(x) => Box::new(x.iter().map(|&x| i64::from(x))),
            Self::I64(x) => Box::new(x.iter().copied()),
            Self::F32(_) => Box::new(std::iter::empty()),
        }
    }

    pub(super) fn floats(&self) -> Vec<f32> {
        match self {
            Self::U8(x) => x.iter().map(|&x| f32::from(x)).collect(),
            Self::I64(x) => x.iter().map(|&x| f64_to_f32(i64_to_f64(x))).collect(),
            Self::F32(x) => x.clone(),
        }
    }
}

/// Labels that are more than a class of each image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Targets {
    /// Extents, the image first.
    pub(super) dims: Vec<usize>,
    pub(super) values: Values,
}

/// What a file holds of one split: extents with the image first, pixels in the file's order, and
/// labels where there are some.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Raw {
    pub(super) dims: Vec<usize>,
    pub(super) pixels: Pixels,
    pub(super) labels: Option<Vec<i64>>,
    /// Labels of another kind.
    pub(super) targets: Option<Targets>,
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
        let (labels, targets, layout) = (None, None, None);
        Self { dims, pixels, labels, targets, layout, sizes, class_names, files }
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
pub(super) struct Wanted<'a> {
    /// No more than the first so many images; a loader may give more.
    pub(super) first: usize,
    /// The inputs of the network: all loaders but those of arrays by name are asked for the only one.
    pub(super) ports: &'a [Port],
    /// The names of inputs in the model's file that the network does not need.
    pub(super) unused: &'a [String],
    /// Classes of the network.
    pub(super) classes: usize,
    /// Whether images are resized, and may be of different sizes.
    pub(super) is_resized: bool,
}

impl Wanted<'_> {
    /// Channels of the only input.
    pub(super) fn channels(&self) -> usize {
        self.ports[0].shape.c
    }
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
