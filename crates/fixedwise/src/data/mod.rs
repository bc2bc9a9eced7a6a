//! Labeled images: where they come from, what their pixels mean, who may see which.
//!
//! A file type is one file here and one row in [`LOADERS`].

mod cifar;
mod folder;
mod idx;
mod images;
mod list;
mod npz;
mod preprocess;
mod random;
mod resize;
mod sets;
mod source;
mod svhn;

pub use preprocess::{Layout, Preprocess};
pub(crate) use random::divide;
pub use sets::DataOptions;
pub(crate) use sets::{Preprocessed, Reported, Sets, View};
pub use source::{DataSource, Split};

use crate::error::DataError;
use fixedwise_graph::Shape;
use std::{
    ops::Range,
    path::{Path, PathBuf},
};

/// Pixels as the file has them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Pixels {
    U8(Vec<u8>),
    F32(Vec<f32>),
}

impl Pixels {
    fn len(&self) -> usize {
        match self {
            Self::U8(x) => x.len(),
            Self::F32(x) => x.len(),
        }
    }

    /// Keeps the first so many, and no memory for more.
    fn truncate(&mut self, len: usize) {
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
pub(crate) struct Raw {
    dims: Vec<usize>,
    pixels: Pixels,
    labels: Option<Vec<i64>>,
    /// Where the file type itself says it.
    layout: Option<Layout>,
    /// Rows and columns of each image, where they are not all alike.
    sizes: Vec<[usize; 2]>,
    /// The files they come from and how many of them, where that is not one file.
    files: Vec<(PathBuf, usize)>,
}

impl Raw {
    fn new(dims: Vec<usize>, pixels: Pixels) -> Self {
        let (sizes, files) = (Vec::new(), Vec::new());
        Self { dims, pixels, labels: None, layout: None, sizes, files }
    }

    /// How messages call an image.
    fn place(&self, idx: usize) -> String {
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
struct Wanted {
    /// No more than the first so many images; a loader may give more.
    first: usize,
    /// Channels and classes of the network.
    channels: usize,
    classes: usize,
    /// Whether images are resized, and may be of different sizes.
    is_resized: bool,
}

/// Reads one file type.
struct Loader {
    /// Whether a path is of that type, by its name and content.
    is_for: fn(&Path) -> bool,
    /// The splits it holds.
    splits: fn(&Path) -> Result<Vec<Split>, DataError>,
    /// One of them.
    load: fn(&Path, Split, &Wanted) -> Result<Raw, DataError>,
    /// For messages.
    name: &'static str,
}

/// Every file type, the first that fits is taken.
const LOADERS: &[Loader] = &[
    Loader { is_for: npz::is_for, splits: npz::splits, load: npz::load, name: "`.npz`" },
    Loader {
        is_for: idx::is_for,
        splits: idx::splits,
        load: idx::load,
        name: "a folder of IDX files (`train-images-idx3-ubyte.gz`, ...) or one such file",
    },
    Loader {
        is_for: cifar::is_for,
        splits: cifar::splits,
        load: cifar::load,
        name: "a folder of CIFAR batches (`data_batch_1`, `data_batch_1.bin`, ...) or one of them",
    },
    Loader {
        is_for: svhn::is_for,
        splits: svhn::splits,
        load: svhn::load,
        name: "a folder of SVHN's files (`train_32x32.mat`, ...) or a `.mat` of `X` and `y`",
    },
    Loader {
        is_for: list::is_for,
        splits: list::splits,
        load: list::load,
        name: "a `.csv` of `path,label`",
    },
    Loader {
        is_for: folder::is_for,
        splits: folder::splits,
        load: folder::load,
        name: "a folder of PNG and JPEG images, one folder a class",
    },
];

/// Largest array that is read, in bytes, and most pixels of a folder.
const LIMIT_BYTES: usize = 8 << 30;

fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })
}

fn content(path: &Path, problem: impl Into<String>) -> DataError {
    DataError::Content { path: path.to_owned(), problem: problem.into() }
}

/// Endings of archives that data sets are published in.
const ARCHIVES: [&str; 4] = [".tar", ".tar.gz", ".tgz", ".zip"];

fn loader(path: &Path) -> Result<&'static Loader, DataError> {
    std::fs::metadata(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if path.is_file() && ARCHIVES.iter().any(|ending| name.ends_with(ending)) {
        return Err(content(path, "is an archive; unpack it and name the folder"));
    }
    LOADERS.iter().find(|loader| (loader.is_for)(path)).ok_or_else(|| DataError::Kind {
        path: path.to_owned(),
        known: LOADERS.iter().map(|loader| loader.name).collect::<Vec<_>>().join("; "),
    })
}

/// The splits a path holds.
pub(crate) fn splits(path: &Path) -> Result<Vec<Split>, DataError> {
    (loader(path)?.splits)(path)
}

/// Images of one split, channels last.
#[derive(Clone, Debug)]
pub(crate) struct Dataset {
    /// Extents of one image as stored, where they are all alike.
    shape: Shape,
    /// Extents of each image and where its pixels begin, where they are not.
    each: Vec<(Shape, usize)>,
    /// Extents of one image as the network takes it.
    target: Shape,
    /// Whether images are resized on their way to the network.
    resized: bool,
    pixels: Pixels,
    labels: Option<Vec<usize>>,
    /// Where the images come from.
    source: (PathBuf, Split),
}

impl Dataset {
    /// Reads a split for a network that takes `target` images and tells `classes` apart; no more
    /// than the `first` so many images of it are kept.
    pub(crate) fn load(
        path: &Path,
        split: Split,
        first: usize,
        preprocess: &Preprocess,
        target: Shape,
        classes: usize,
    ) -> Result<Self, DataError> {
        let is_resized = preprocess.resize.is_some();
        let wanted = Wanted { first, channels: target.c, classes, is_resized };
        let mut raw = (loader(path)?.load)(path, split, &wanted)?;
        let wrong = |problem: String| content(path, problem);
        let n_images = *raw.dims.first().unwrap_or(&0);
        if n_images == 0 || raw.pixels.len() == 0 {
            return Err(wrong("holds no image".to_owned()));
        }
        let each = each(&raw.sizes, target.c);
        let (shape, layout) = if each.is_empty() {
            let layout = raw.layout.or(preprocess.layout);
            image_shape(&raw.dims[1..], layout, is_resized, target).map_err(wrong)?
        } else {
            (target, Layout::Nhwc)
        };
        let labels = raw.labels.as_ref().map(|labels| check_labels(labels, &raw, classes));
        let mut labels = labels.transpose().map_err(wrong)?;
        if first < n_images && each.is_empty() {
            raw.pixels.truncate(first * shape.len());
            labels.iter_mut().for_each(|labels| labels.truncate(first));
        }
        if let Pixels::F32(x) = &raw.pixels
            && let Some(at) = x.iter().position(|x| !x.is_finite())
        {
            let image = at / shape.len();
            return Err(wrong(format!("image {image} has the pixel value {}", x[at])));
        }
        let pixels = match (layout, raw.pixels) {
            (Layout::Nhwc, pixels) => pixels,
            (Layout::Nchw, Pixels::U8(x)) => Pixels::U8(channels_last(&x, shape)),
            (Layout::Nchw, Pixels::F32(x)) => Pixels::F32(channels_last(&x, shape)),
        };
        let resized = is_resized && (shape != target || !each.is_empty());
        let source = (path.to_owned(), split);
        Ok(Self { shape, each, target, resized, pixels, labels, source })
    }

    /// How many images.
    pub(crate) fn len(&self) -> usize {
        if self.each.is_empty() { self.pixels.len() / self.shape.len() } else { self.each.len() }
    }

    /// Whether both have the images of one place, so that the same number is the same image.
    pub(crate) fn is_of_same_source(&self, other: &Self) -> bool {
        self.source == other.source
    }

    /// Extents of a stored image, and where its pixels are.
    fn stored(&self, idx: usize) -> (Shape, Range<usize>) {
        let (shape, start) =
            self.each.get(idx).copied().unwrap_or((self.shape, idx * self.shape.len()));
        (shape, start..start + shape.len())
    }

    /// Whether pixels are 8-bit integers.
    pub(crate) fn is_u8(&self) -> bool {
        matches!(self.pixels, Pixels::U8(_))
    }

    /// The class of an image.
    pub(crate) fn label(&self, idx: usize) -> Option<usize> {
        self.labels.as_ref().map(|labels| labels[idx])
    }

    /// One image, `[h, w, c]`, in the file's units, resized where that is declared.
    pub(crate) fn image(&self, idx: usize, out: &mut [f32]) {
        let (shape, range) = self.stored(idx);
        let mut stored = vec![0.0; if self.resized { shape.len() } else { 0 }];
        let to: &mut [f32] = if self.resized { &mut stored } else { &mut *out };
        match &self.pixels {
            Pixels::U8(x) => {
                to.iter_mut().zip(&x[range]).for_each(|(to, &x)| *to = f32::from(x));
            }
            Pixels::F32(x) => to.copy_from_slice(&x[range]),
        }
        if self.resized {
            resize::bilinear(&stored, shape, self.target, out);
        }
    }

    /// A number that differs for different images.
    pub(crate) fn fingerprint(&self, idx: usize) -> u128 {
        let (_, range) = self.stored(idx);
        // FNV-1a.
        let mix = |hash: u128, word: u32| {
            (hash ^ u128::from(word)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        };
        let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        match &self.pixels {
            Pixels::U8(x) => x[range].iter().fold(start, |h, &x| mix(h, u32::from(x))),
            Pixels::F32(x) => x[range].iter().fold(start, |h, x| mix(h, x.to_bits())),
        }
    }
}

/// Extents and beginnings of images of those sizes.
fn each(sizes: &[[usize; 2]], channels: usize) -> Vec<(Shape, usize)> {
    let mut start = 0;
    let one = |&[h, w]: &[usize; 2]| {
        let shape = Shape::new(h, w, channels);
        let at = start;
        start += shape.len();
        (shape, at)
    };
    sizes.iter().map(one).collect()
}

fn check_labels(labels: &[i64], raw: &Raw, classes: usize) -> Result<Vec<usize>, String> {
    let n_images = raw.dims[0];
    if labels.len() != n_images {
        return Err(format!("has {n_images} images but {} labels", labels.len()));
    }
    let check = |(idx, &label): (usize, &i64)| {
        usize::try_from(label).ok().filter(|&label| label < classes).ok_or_else(|| {
            format!(
                "label {label} of {} is out of range: the network tells {classes} classes apart, 0 \
                 to {}",
                raw.place(idx),
                classes.saturating_sub(1)
            )
        })
    };
    labels.iter().enumerate().map(check).collect()
}

/// Extents of the stored images, and where their channels are.
fn image_shape(
    dims: &[usize],
    layout: Option<Layout>,
    resize: bool,
    target: Shape,
) -> Result<(Shape, Layout), String> {
    let fits = |shape: Shape| {
        shape.c == target.c && (resize || (shape.h, shape.w) == (target.h, target.w))
    };
    let (last, first) = match *dims {
        [h, w] => (Shape::new(h, w, 1), None),
        [a, b, c] => (Shape::new(a, b, c), Some(Shape::new(b, c, a))),
        [n] => (Shape::vector(n), None),
        _ => return Err(format!("holds arrays with {} axes, not images", dims.len() + 1)),
    };
    // A network that takes vectors takes the elements in the file's order, whatever they mean.
    if !resize && (target.h, target.w) == (1, 1) && last.len() == target.c {
        return Ok((target, Layout::Nhwc));
    }
    // Without a channel axis there is no order to declare.
    let declared = first.and(layout);
    let nhwc = fits(last) && declared != Some(Layout::Nchw);
    let nchw = first.filter(|&first| fits(first) && declared != Some(Layout::Nhwc));
    match (nhwc, nchw) {
        (true, None) => Ok((last, Layout::Nhwc)),
        (false, Some(first)) => Ok((first, Layout::Nchw)),
        // With one channel both orders are the same elements.
        (true, Some(first)) if last.c == 1 && first.c == 1 => Ok((last, Layout::Nhwc)),
        (true, Some(_)) => Err(format!(
            "holds images of {dims:?}, which may be channels first or last; say \
             `--preprocess layout=nhwc` or `layout=nchw`"
        )),
        (false, None) => {
            let channels_fit = dims.len() == 2 && target.c == 1
                || dims.len() == 3 && (dims[2] == target.c || dims[0] == target.c);
            let hint = if declared == Some(Layout::Nchw) && fits(last) {
                "; they fit with `layout=nhwc`, and `nchw` is declared".to_owned()
            } else if declared == Some(Layout::Nhwc) && first.is_some_and(fits) {
                "; they fit with `layout=nchw`, and `nhwc` is declared".to_owned()
            } else if channels_fit && !resize {
                format!("; `--preprocess resize={}x{}` resizes them", target.h, target.w)
            } else {
                String::new()
            };
            Err(format!(
                "holds images of {dims:?}, the network takes {}x{}x{} (rows, columns, channels){hint}",
                target.h, target.w, target.c
            ))
        }
    }
}

/// From `[c, h, w]` to `[h, w, c]`, image by image.
fn channels_last<T: Copy>(x: &[T], shape: Shape) -> Vec<T> {
    let pixels = shape.h * shape.w;
    x.chunks_exact(shape.len())
        .flat_map(|image| {
            (0..pixels).flat_map(move |p| (0..shape.c).map(move |c| image[c * pixels + p]))
        })
        .collect()
}

#[cfg(test)]
mod tests;
