//! Labeled images: where they come from, what their pixels mean, who may see which.
//!
//! A file type is one file here and one row in [`LOADERS`].

mod error;
mod idx;
mod npz;
mod preprocess;
mod random;
mod resize;
mod source;

pub use error::DataError;
pub use preprocess::{Layout, Preprocess};
pub(crate) use random::Random;
pub use source::{DataSource, Split};

use fixedwise_graph::Shape;
use std::path::Path;

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
}

/// What a file holds of one split: extents with the image first, pixels in the file's order, and
/// labels where there are some.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw {
    pub(crate) dims: Vec<usize>,
    pub(crate) pixels: Pixels,
    pub(crate) labels: Option<Vec<i64>>,
}

/// Reads one file type.
struct Loader {
    /// Whether a path is of that type, by its name and content.
    is_for: fn(&Path) -> bool,
    /// The splits it holds.
    splits: fn(&Path) -> Result<Vec<Split>, DataError>,
    /// One of them.
    load: fn(&Path, Split) -> Result<Raw, DataError>,
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
];

/// Largest array that is read, in bytes.
const LIMIT_BYTES: usize = 8 << 30;

fn loader(path: &Path) -> Result<&'static Loader, DataError> {
    std::fs::metadata(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    LOADERS.iter().find(|loader| (loader.is_for)(path)).ok_or_else(|| DataError::Kind {
        path: path.to_owned(),
        known: LOADERS.iter().map(|loader| loader.name).collect::<Vec<_>>().join(" and "),
    })
}

/// The splits a path holds.
pub(crate) fn splits(path: &Path) -> Result<Vec<Split>, DataError> {
    (loader(path)?.splits)(path)
}

/// All images of one split, channels last.
#[derive(Clone, Debug)]
pub(crate) struct Dataset {
    /// Extents of one image as stored.
    shape: Shape,
    /// Extents of one image as the network takes it.
    target: Shape,
    /// Whether images are resized on their way to the network.
    resized: bool,
    pixels: Pixels,
    labels: Option<Vec<usize>>,
}

impl Dataset {
    /// Reads a split for a network that takes `target` images and tells `classes` apart.
    pub(crate) fn load(
        path: &Path,
        split: Split,
        preprocess: &Preprocess,
        target: Shape,
        classes: usize,
    ) -> Result<Self, DataError> {
        let raw = (loader(path)?.load)(path, split)?;
        let wrong = |problem: String| DataError::Content { path: path.to_owned(), problem };
        let n_images = *raw.dims.first().unwrap_or(&0);
        if n_images == 0 || raw.pixels.len() == 0 {
            return Err(wrong("holds no image".to_owned()));
        }
        let (shape, layout) = image_shape(&raw.dims[1..], preprocess, target).map_err(wrong)?;
        let labels = raw.labels.map(|labels| check_labels(&labels, n_images, classes));
        let labels = labels.transpose().map_err(wrong)?;
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
        let resized = preprocess.resize.is_some() && shape != target;
        Ok(Self { shape, target, resized, pixels, labels })
    }

    /// How many images.
    pub(crate) fn len(&self) -> usize {
        self.pixels.len() / self.shape.len()
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
        let range = idx * self.shape.len()..(idx + 1) * self.shape.len();
        let mut stored = vec![0.0; if self.resized { self.shape.len() } else { 0 }];
        let to: &mut [f32] = if self.resized { &mut stored } else { &mut *out };
        match &self.pixels {
            Pixels::U8(x) => {
                to.iter_mut().zip(&x[range]).for_each(|(to, &x)| *to = f32::from(x));
            }
            Pixels::F32(x) => to.copy_from_slice(&x[range]),
        }
        if self.resized {
            resize::bilinear(&stored, self.shape, self.target, out);
        }
    }

    /// A number that differs for different images.
    pub(crate) fn fingerprint(&self, idx: usize) -> u128 {
        let range = idx * self.shape.len()..(idx + 1) * self.shape.len();
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

fn check_labels(labels: &[i64], n_images: usize, classes: usize) -> Result<Vec<usize>, String> {
    if labels.len() != n_images {
        return Err(format!("has {n_images} images but {} labels", labels.len()));
    }
    let check = |(idx, &label): (usize, &i64)| {
        usize::try_from(label).ok().filter(|&label| label < classes).ok_or_else(|| {
            format!(
                "label {label} of image {idx} is out of range: the network tells {classes} classes \
                 apart, 0 to {}",
                classes.saturating_sub(1)
            )
        })
    };
    labels.iter().enumerate().map(check).collect()
}

/// Extents of the stored images, and where their channels are.
fn image_shape(
    dims: &[usize],
    preprocess: &Preprocess,
    target: Shape,
) -> Result<(Shape, Layout), String> {
    let resize = preprocess.resize.is_some();
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
    let declared = first.and(preprocess.layout);
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
