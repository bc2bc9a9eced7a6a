//! Images as they are stored, before anything is known of a network.

use super::{buffer::Buffer, dataset::Port};
use crate::{error::DataError, preprocess::Layout};
use fixedwise_fixed::convert::{f64_to_f32, i64_to_f64};
use std::path::{Path, PathBuf};

/// Pixels as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// Integers from 0 to 255.
    U8(Buffer<u8>),
    /// Finite floats.
    F32(Buffer<f32>),
}

impl From<Vec<u8>> for Pixels {
    fn from(pixels: Vec<u8>) -> Self {
        Self::U8(pixels.into())
    }
}

impl From<Vec<f32>> for Pixels {
    fn from(pixels: Vec<f32>) -> Self {
        Self::F32(pixels.into())
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
            Self::U8(x) => x.truncate(len),
            Self::F32(x) => x.truncate(len),
        }
    }

    /// The same, so that clones share the numbers.
    pub(super) fn shared(self) -> Self {
        match self {
            Self::U8(x) => Self::U8(x.shared()),
            Self::F32(x) => Self::F32(x.shared()),
        }
    }
}

/// Numbers of labels as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Integers from 0 to 255.
    U8(Vec<u8>),
    /// Integers.
    I64(Vec<i64>),
    /// Floats.
    F32(Vec<f32>),
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::U8(x) => x.len(),
            Self::I64(x) => x.len(),
            Self::F32(x) => x.len(),
        }
    }

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

/// What is known of images: a class of each, or an array that goes with the first output of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// Extents, the image first.
    pub dims: Vec<usize>,
    /// The numbers in that order, the last axis fastest.
    pub values: Values,
}

impl From<Vec<i64>> for Labels {
    /// A class of each image, from 0 on.
    fn from(classes: Vec<i64>) -> Self {
        Self { dims: vec![classes.len()], values: Values::I64(classes) }
    }
}

/// What a file holds of one split: extents with the image first, pixels in the file's order, and
/// labels where there are some.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Raw {
    pub(super) dims: Vec<usize>,
    pub(super) pixels: Pixels,
    pub(super) labels: Option<Vec<i64>>,
    /// Labels of another kind.
    pub(super) targets: Option<Labels>,
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

    /// The same with labels.
    pub(super) fn with_labels(mut self, labels: Labels) -> Self {
        // One column is as good as a vector.
        let is_column = labels.dims.iter().skip(1).all(|&extent| extent == 1);
        match labels.values {
            Values::U8(_) | Values::I64(_) if is_column => {
                self.labels = Some(labels.values.integers().collect());
            }
            _ => self.targets = Some(labels),
        }
        self
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
