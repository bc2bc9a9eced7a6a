//! The images of one split, as a network takes them.

use super::{
    raw::{Pixels, Raw, Wanted, content},
    resize,
    source::{DataOrigin, Split},
    truth::{Expected, Known, Truths, needed},
};
use crate::{
    error::DataError,
    preprocess::{Layout, Preprocess},
};
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_graph::Shape;
use fixedwise_search::{MetricName, Truth};
use std::{ops::Range, path::Path};

/// An input of a network, as data see it.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    /// Its name in the model's file.
    pub(crate) name: String,
    /// Extents of what the network takes.
    pub(crate) shape: Shape,
    /// What its pixels mean.
    pub(crate) preprocess: Preprocess,
}

/// Images of one split: a value of each input.
#[derive(Clone, Debug)]
pub(crate) struct Dataset {
    /// By input of the network.
    inputs: Vec<Stored>,
    known: Known,
    /// What the classes are called, where that is said.
    class_names: Vec<String>,
    /// Where the images come from.
    source: (DataOrigin, Split),
}

/// The values of one input, channels last.
#[derive(Clone, Debug)]
struct Stored {
    /// Extents of one image as stored, where they are all alike.
    shape: Shape,
    /// Extents of each image and where its pixels begin, where they are not.
    each: Vec<(Shape, usize)>,
    /// Extents of one image as the network takes it.
    target: Shape,
    /// Whether images are resized on their way to the network.
    resized: bool,
    /// Where the channels of stored images are.
    layout: Layout,
    pixels: Pixels,
}

impl Dataset {
    /// Reads a split for a network that takes `ports` and gives what is expected; no more
    /// than the `first` so many images of it are kept.
    pub(crate) fn load(
        origin: &DataOrigin,
        split: Split,
        first: usize,
        (ports, unused): (&[Port], &[String]),
        expected: &Expected,
    ) -> Result<Self, DataError> {
        let classes = expected.classes;
        let is_resized = ports.iter().any(|port| port.preprocess.resize.is_some());
        let wanted = Wanted { first, ports, unused, classes, is_resized };
        let mut raws = origin.load(split, &wanted)?;
        let wrong = |problem: String| content(origin.name(), problem);
        let n_images = *raws[0].dims.first().unwrap_or(&0);
        let counts = raws.iter().map(|raw| *raw.dims.first().unwrap_or(&0));
        if let Some((other, n)) = counts.enumerate().find(|(_, n)| *n != n_images) {
            return Err(wrong(format!(
                "has {n_images} images for the input `{}` but {n} for `{}`",
                ports[0].name, ports[other].name
            )));
        }
        let class_names = std::mem::take(&mut raws[0].class_names);
        // Images are judged first.
        let known = expected.known(&mut raws[0]).map_err(wrong);
        let stored = ports.iter().zip(raws).map(|(port, raw)| {
            let stored = Stored::new(raw, port, first);
            let of = |problem| match ports {
                [_] => problem,
                _ => format!("input `{}`: {problem}", port.name),
            };
            stored.map_err(|problem| wrong(of(problem)))
        });
        let inputs: Vec<Stored> = stored.collect::<Result<_, _>>()?;
        let mut known = known?;
        known.truths.truncate(inputs[0].len());
        if let Truths::Copied { classes, len, values } = &known.truths
            && values.is_empty()
        {
            let (classes, len) = (classes.clone(), *len);
            let values = inputs[0].fed(&ports[0].preprocess).map_err(wrong)?;
            known.truths = Truths::Copied { classes, len, values };
        }
        let source = (origin.clone(), split);
        Ok(Self { inputs, known, class_names, source })
    }

    /// How many images.
    pub(crate) fn len(&self) -> usize {
        self.inputs[0].len()
    }

    /// Whether both have the images of one place, so that the same number is the same image.
    pub(crate) fn is_of_same_source(&self, other: &Self) -> bool {
        self.source == other.source
    }

    /// Where the images come from: a path, or the name of arrays in memory.
    pub(crate) fn place(&self) -> &Path {
        self.source.0.name()
    }

    /// Whether the pixels of each input are 8-bit integers.
    pub(crate) fn is_u8(&self) -> Vec<bool> {
        self.inputs.iter().map(|input| matches!(input.pixels, Pixels::U8(_))).collect()
    }

    /// The class of an image.
    pub(crate) fn label(&self, idx: usize) -> Option<usize> {
        match self.truth(idx) {
            Truth::Class(class) => Some(class),
            Truth::None | Truth::Map(_) | Truth::Values(_) | Truth::Copied(..) => None,
        }
    }

    /// What is known of an image.
    pub(crate) fn truth(&self, idx: usize) -> Truth<'_> {
        self.known.truths.of(idx)
    }

    /// A number that differs for different labels of an image.
    pub(crate) fn truth_fingerprint(&self, idx: usize) -> u64 {
        self.known.truths.fingerprint(idx)
    }

    /// Why it is not measured on by a metric: it has no labels.
    pub(crate) fn without_labels(&self, metric: MetricName) -> DataError {
        let problem =
            format!("has no labels, which the metric {metric} needs ({})", needed(metric));
        content(self.source.0.name(), problem)
    }

    /// What counts by its labels; nothing where there are none.
    pub(crate) fn metric(&self) -> Option<MetricName> {
        self.known.metric
    }

    /// The largest value that there can be.
    pub(crate) fn peak(&self) -> f64 {
        self.known.peak
    }

    /// What the classes are called; nothing where that is not said.
    pub(crate) fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// One image, `[h, w, c]` of each input, one after the other, in the file's units, resized where that is
    /// declared.
    pub(crate) fn image(&self, idx: usize, out: &mut [f32]) {
        let mut rest = out;
        for input in &self.inputs {
            let (own, others) = rest.split_at_mut(input.target.len());
            input.image(idx, own);
            rest = others;
        }
    }

    /// A number that differs for different images.
    pub(crate) fn fingerprint(&self, idx: usize) -> u128 {
        // FNV-1a.
        let start = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        self.inputs.iter().fold(start, |hash, input| input.fingerprint(idx, hash))
    }
}

impl Stored {
    fn new(mut raw: Raw, port: &Port, first: usize) -> Result<Self, String> {
        let (preprocess, target) = (&port.preprocess, port.shape);
        let is_resized = preprocess.resize.is_some();
        let n_images = *raw.dims.first().unwrap_or(&0);
        if n_images == 0 || raw.pixels.len() == 0 {
            return Err("contains no image".to_owned());
        }
        let each = each(&raw.sizes, target.c);
        let (shape, layout) = if each.is_empty() {
            let layout = raw.layout.or(preprocess.layout);
            image_shape(&raw.dims[1..], layout, is_resized, target)?
        } else {
            (target, Layout::Nhwc)
        };
        if first < n_images && each.is_empty() {
            raw.pixels.truncate(first * shape.len());
        }
        if let Pixels::F32(x) = &raw.pixels
            && let Some(at) = x.iter().position(|x| !x.is_finite())
        {
            let image = at / shape.len();
            return Err(format!("image {image} has the pixel value {}", x[at]));
        }
        let resized = is_resized && (shape != target || !each.is_empty());
        Ok(Self { shape, each, target, resized, layout, pixels: raw.pixels })
    }

    fn len(&self) -> usize {
        if self.each.is_empty() { self.pixels.len() / self.shape.len() } else { self.each.len() }
    }

    /// Extents of a stored image, and where its pixels are.
    fn stored(&self, idx: usize) -> (Shape, Range<usize>) {
        let (shape, start) =
            self.each.get(idx).copied().unwrap_or((self.shape, idx * self.shape.len()));
        (shape, start..start + shape.len())
    }

    fn image(&self, idx: usize, out: &mut [f32]) {
        let (shape, range) = self.stored(idx);
        let mut stored = vec![0.0; if self.resized { shape.len() } else { 0 }];
        let to: &mut [f32] = if self.resized { &mut stored } else { &mut *out };
        let values = to.iter_mut();
        match (self.layout, &self.pixels) {
            (Layout::Nhwc, Pixels::U8(x)) => {
                values.zip(&x[range]).for_each(|(to, &x)| *to = f32::from(x));
            }
            (Layout::Nhwc, Pixels::F32(x)) => to.copy_from_slice(&x[range]),
            (Layout::Nchw, Pixels::U8(x)) => {
                values.zip(channels_last(&x[range], shape)).for_each(|(to, x)| *to = f32::from(x));
            }
            (Layout::Nchw, Pixels::F32(x)) => {
                values.zip(channels_last(&x[range], shape)).for_each(|(to, x)| *to = x);
            }
        }
        if self.resized {
            resize::bilinear(&stored, shape, self.target, out);
        }
    }

    /// All images as they enter the network, `[image, h, w, c]`.
    fn fed(&self, preprocess: &Preprocess) -> Result<Vec<f32>, String> {
        let (channels, is_u8) = (self.target.c, matches!(self.pixels, Pixels::U8(_)));
        let affine = preprocess.affine(channels, is_u8).map_err(|error| error.to_string())?;
        let mut all = vec![0.0; self.len() * self.target.len()];
        for (idx, image) in all.chunks_exact_mut(self.target.len()).enumerate() {
            self.image(idx, image);
            for (i, x) in image.iter_mut().enumerate() {
                let (scale, shift) = (affine.0[i % channels], affine.1[i % channels]);
                *x = f64_to_f32(f64::from(*x).mul_add(scale, shift));
            }
        }
        Ok(all)
    }

    fn fingerprint(&self, idx: usize, start: u128) -> u128 {
        let (shape, range) = self.stored(idx);
        let mix = |hash: u128, word: u32| {
            (hash ^ u128::from(word)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        };
        match (self.layout, &self.pixels) {
            (Layout::Nhwc, Pixels::U8(x)) => {
                x[range].iter().fold(start, |h, &x| mix(h, u32::from(x)))
            }
            (Layout::Nhwc, Pixels::F32(x)) => {
                x[range].iter().fold(start, |h, x| mix(h, x.to_bits()))
            }
            (Layout::Nchw, Pixels::U8(x)) => {
                channels_last(&x[range], shape).fold(start, |h, x| mix(h, u32::from(x)))
            }
            (Layout::Nchw, Pixels::F32(x)) => {
                channels_last(&x[range], shape).fold(start, |h, x| mix(h, x.to_bits()))
            }
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
    let is_image = matches!(*dims, [h, w] if [target.h, target.w, target.c] == [h, w, 1]);
    let (last, first) = match *dims {
        // A signal, channels last or first, is an image of one row.
        [a, b] if target.h == 1 && !resize && !is_image => {
            (Shape::new(1, a, b), Some(Shape::new(1, b, a)))
        }
        [h, w] => (Shape::new(h, w, 1), None),
        [a, b, c] => (Shape::new(a, b, c), Some(Shape::new(b, c, a))),
        [n] => (Shape::vector(n), None),
        _ => return Err(format!("contains arrays with {} axes, not images", dims.len() + 1)),
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
            "contains images with shape {dims:?}, which can be channels first or last; add \
             `--preprocess layout=nhwc` or `layout=nchw`"
        )),
        (false, None) => {
            let channels_fit = dims.len() == 2 && target.c == 1
                || dims.len() == 3 && (dims[2] == target.c || dims[0] == target.c);
            let hint = if declared == Some(Layout::Nchw) && fits(last) {
                "; they match with `layout=nhwc`, but `nchw` is declared".to_owned()
            } else if declared == Some(Layout::Nhwc) && first.is_some_and(fits) {
                "; they match with `layout=nchw`, but `nhwc` is declared".to_owned()
            } else if channels_fit && !resize {
                format!("; `--preprocess resize={}x{}` resizes them", target.h, target.w)
            } else {
                String::new()
            };
            Err(format!(
                "contains images with shape {dims:?}, the network expects {}x{}x{} (rows, columns, \
                 channels){hint}",
                target.h, target.w, target.c
            ))
        }
    }
}

/// The elements of an image `[c, h, w]` in the order `[h, w, c]`.
fn channels_last<T: Copy>(image: &[T], shape: Shape) -> impl Iterator<Item = T> {
    let pixels = shape.h * shape.w;
    (0..pixels).flat_map(move |p| (0..shape.c).map(move |c| image[c * pixels + p]))
}

#[cfg(test)]
mod tests;
