//! How the vector kernels see a convolution: runs of contiguous inputs that meet packed weights.
//!
//! The image is copied once into a buffer that has the padding around it (or read in place where
//! there is none), so that a tap is a constant offset from its pixel and no im2col is needed.

use crate::aligned::{Aligned, Plain};
use crate::{Bias, ConvGeometry, ConvKind};

/// Contiguous inputs of one pixel, a whole number of steps of the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Elements from the pixel's first tap.
    pub(crate) offset: usize,
    /// How many times the kernel steps, several elements at a time.
    pub(crate) steps: usize,
    /// Whether the wide kernel moves its 32-bit sums to the wide ones after this run.
    pub(crate) flush: bool,
}

/// The runs of a pixel, and what all of them need.
pub(crate) struct Runs {
    all: Vec<Run>,
    /// Steps of all runs.
    steps: usize,
    /// Elements from the pixel's first tap to the end of the last step.
    reach: usize,
}

impl Runs {
    fn new(runs: Vec<Run>, step: usize) -> Self {
        Runs {
            steps: runs.iter().map(|run| run.steps).sum(),
            reach: runs.iter().map(|run| run.offset + run.steps * step).max().unwrap_or(0),
            all: runs,
        }
    }

    pub(crate) fn all(&self) -> &[Run] {
        &self.all
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    pub(crate) fn reach(&self) -> usize {
        self.reach
    }
}

/// The indices of the first taps of output pixels.
#[derive(Clone, Copy)]
pub(crate) struct Pixels<'a> {
    starts: &'a [u32],
    /// None is larger.
    largest: usize,
}

impl<'a> Pixels<'a> {
    pub(crate) fn starts(self) -> &'a [u32] {
        self.starts
    }

    pub(crate) fn largest(self) -> usize {
        self.largest
    }
}

/// What a tile kernel does: for every pixel and for `panels` vectors of output channels the sum
/// over `runs` of inputs times weights, written to `sums` as `[pixel][channel]`.
///
/// `(inputs, pixels, runs, panels, weights, sums)`
pub(crate) type Tile<A, W, C> = fn(&[A], Pixels, &Runs, usize, &[W], &mut [C]);

/// Where pixels and taps are in the staged image.
pub(crate) struct Layout {
    pub(crate) geometry: ConvGeometry,
    /// Whether the input is read where it is.
    pub(crate) in_place: bool,
    /// Staged rows and columns; those of the input where it is read in place.
    extent: [usize; 2],
    /// Elements of the staged image, those read past its end included.
    staged_len: usize,
    /// Whether an image is one pixel, so that several are one image of more.
    is_dense: bool,
    /// The index of the first tap of every output pixel.
    pub(crate) pixels: Vec<u32>,
    /// `(offset, len)` of the contiguous taps.
    segments: Vec<(usize, usize)>,
    /// How many elements one step of the kernel takes.
    step: usize,
}

impl Layout {
    /// `step` elements are taken at once; `may_read_in_place` says that the kernel takes the
    /// elements as they are.
    pub(crate) fn new(geometry: ConvGeometry, step: usize, may_read_in_place: bool) -> Self {
        let [h, w, c] = geometry.input;
        let reach = |axis: usize| {
            (geometry.output[axis] - 1) * geometry.stride[axis]
                + (geometry.kernel[axis] - 1) * geometry.dilation[axis]
                + 1
        };
        let needed = [reach(0), reach(1)];
        let inside = geometry.pad == [0, 0] && needed[0] <= h && needed[1] <= w;
        let mut layout = Layout {
            geometry,
            in_place: inside && may_read_in_place,
            extent: if inside && may_read_in_place { [h, w] } else { needed },
            staged_len: 0,
            is_dense: geometry.kind() == ConvKind::Dense,
            pixels: Vec::new(),
            segments: Vec::new(),
            step,
        };
        layout.find_segments();
        if layout.in_place && layout.segments.iter().any(|(_, len)| !len.is_multiple_of(step)) {
            // The last step would read past the end.
            layout.in_place = false;
            layout.extent = needed;
            layout.find_segments();
        }
        layout.staged_len = layout.extent[0] * layout.extent[1] * c + step;
        assert!(u32::try_from(layout.staged_len).is_ok(), "the image is too large");
        for oh in 0..geometry.output[0] {
            for ow in 0..geometry.output[1] {
                let row = oh * geometry.stride[0] * layout.extent[1];
                layout.pixels.push(((row + ow * geometry.stride[1]) * c) as u32);
            }
        }
        if layout.is_dense {
            layout.pixels = (0..MOST_DENSE).map(|image| (image * c) as u32).collect();
        }
        layout
    }

    /// Lists the taps in the order of the weights and joins those that touch.
    fn find_segments(&mut self) {
        let geometry = &self.geometry;
        let c = geometry.input[2];
        let len = c / geometry.groups;
        self.segments.clear();
        for kh in 0..geometry.kernel[0] {
            for kw in 0..geometry.kernel[1] {
                let row = kh * geometry.dilation[0] * self.extent[1];
                let offset = (row + kw * geometry.dilation[1]) * c;
                match self.segments.last_mut() {
                    Some((last, last_len)) if *last + *last_len == offset => *last_len += len,
                    _ => self.segments.push((offset, len)),
                }
            }
        }
    }

    /// A run for each segment.
    fn runs(&self) -> Vec<Run> {
        let run = |&(offset, len): &(usize, usize)| Run {
            offset,
            steps: len.div_ceil(self.step),
            flush: false,
        };
        self.segments.iter().map(run).collect()
    }

    /// Some of the output pixels.
    fn pixels(&self, range: core::ops::Range<usize>) -> Pixels<'_> {
        let starts = &self.pixels[range];
        Pixels { starts, largest: starts.iter().copied().max().unwrap_or(0) as usize }
    }

    /// Elements of the staged image or images, those read past their end included.
    pub(crate) fn staged_len(&self, x_len: usize) -> usize {
        if self.is_dense { x_len + self.step } else { self.staged_len }
    }

    /// The offset of every tap, [kh, kw].
    pub(crate) fn taps(&self) -> Vec<u32> {
        let geometry = &self.geometry;
        (0..geometry.kernel[0] * geometry.kernel[1])
            .map(|tap| {
                let row = tap / geometry.kernel[1] * geometry.dilation[0] * self.extent[1];
                let column = tap % geometry.kernel[1] * geometry.dilation[1];
                ((row + column) * geometry.input[2]) as u32
            })
            .collect()
    }

    /// Writes the padded image; `zero` stands for zero and `convert` copies a row.
    pub(crate) fn stage<X, T: Plain>(
        &self,
        x: &[X],
        zero: T,
        convert: impl Fn(&[X], &mut [T]),
        staged: &mut [T],
    ) {
        if self.is_dense {
            convert(x, &mut staged[..x.len()]);
            return;
        }
        let [h, w, c] = self.geometry.input;
        let [top, left] = self.geometry.pad;
        let [rows, columns] = self.extent;
        // Columns of the staged image that are in the input.
        let first = left.min(columns);
        let end = (left + w).min(columns);
        if left == 0 && end == w && columns == w {
            // Whole rows: one copy.
            let first = top.min(rows);
            let end = (top + h).min(rows);
            staged[..first * w * c].fill(zero);
            convert(&x[..(end - first) * w * c], &mut staged[first * w * c..end * w * c]);
            staged[end * w * c..rows * w * c].fill(zero);
            return;
        }
        for (row_idx, row) in staged.chunks_exact_mut(columns * c).take(rows).enumerate() {
            if row_idx < top || row_idx >= top + h {
                row.fill(zero);
                continue;
            }
            let from = (row_idx - top) * w * c;
            row[..first * c].fill(zero);
            convert(&x[from..from + (end - first) * c], &mut row[first * c..end * c]);
            row[end * c..].fill(zero);
        }
    }
}

/// A few vectors of output channels: what one call of a tile kernel computes.
struct Chunk {
    group: usize,
    panels: usize,
    /// The first output channel.
    from: usize,
    /// Output channels that are not filled up.
    n_channels: usize,
    weights: core::ops::Range<usize>,
    runs: Runs,
}

/// Weights in the order a tile kernel reads them: `[chunk][step][channel]`[element of the step].
pub(crate) struct Packed<W> {
    pub(crate) layout: Layout,
    chunks: Vec<Chunk>,
    weights: Aligned<W>,
    lanes: usize,
    max_panels: usize,
}

/// The outputs one call of a tile kernel computed.
pub(crate) struct Block {
    /// The first output pixel.
    pub(crate) pixel: usize,
    /// How many pixels.
    pub(crate) n_pixels: usize,
    /// The first output channel.
    pub(crate) channel: usize,
    /// How many output channels.
    pub(crate) n_channels: usize,
    /// Sums from one pixel to the next.
    pub(crate) width: usize,
}

impl Block {
    /// All channels of an output row.
    pub(crate) fn row(geometry: &ConvGeometry, oh: usize) -> Self {
        let [_, w, c] = geometry.output;
        Block { pixel: oh * w, n_pixels: w, channel: 0, n_channels: c, width: c }
    }

    /// Calls `each` for all channels of every output row and room for their sums.
    pub(crate) fn for_each_row<C: Plain>(
        geometry: &ConvGeometry,
        sums: &mut Aligned<C>,
        mut each: impl FnMut(&Block, &mut [C]),
    ) {
        let [h, w, c] = geometry.output;
        sums.grow(w * c);
        let sums = &mut sums.as_mut_slice()[..w * c];
        for oh in 0..h {
            each(&Block::row(geometry, oh), sums);
        }
    }
}

/// Pixels a tile kernel is called for at once; their sums stay in the first cache.
const BLOCK_PIXELS: usize = 48;

/// Images of a dense layer that may be given at once.
pub(crate) const MOST_DENSE: usize = BLOCK_PIXELS;

/// The bias class of every output pixel.
pub(crate) fn classes<T>(geometry: &ConvGeometry, bias: &Bias<T>) -> Vec<u32> {
    let classes = bias.classes();
    if geometry.kind() == ConvKind::Dense { classes.repeat(MOST_DENSE) } else { classes }
}

/// How many images of a layer these elements are.
///
/// # Panics
/// If they are no whole number of images, or more than a layer of its kind takes.
pub(crate) fn n_images(geometry: &ConvGeometry, x_len: usize, y_len: usize) -> usize {
    let n = if geometry.kind() == ConvKind::Dense { x_len / geometry.input_len() } else { 1 };
    assert!((1..=MOST_DENSE).contains(&n), "the layer does not take {n} images at once");
    assert_eq!(x_len, n * geometry.input_len(), "the input does not fit the geometry");
    assert_eq!(y_len, n * geometry.output_len(), "the output does not fit the geometry");
    n
}

impl<W: Plain> Packed<W> {
    /// Packs `weights`, `[co][kh][kw][ci / groups]`, for vectors of `lanes` channels.
    pub(crate) fn new<S: Copy>(
        layout: Layout,
        lanes: usize,
        max_panels: usize,
        weights: &[S],
        convert: impl Fn(S) -> W,
    ) -> Self {
        let geometry = layout.geometry;
        let step = layout.step;
        let group_channels = geometry.output[2] / geometry.groups;
        let steps: usize = layout.segments.iter().map(|(_, len)| len.div_ceil(step)).sum();
        let mut chunks = Vec::new();
        let mut packed_len = 0;
        for group in 0..geometry.groups {
            let mut panel = 0;
            let n_panels = group_channels.div_ceil(lanes);
            while panel < n_panels {
                let panels = match n_panels - panel {
                    left if left <= max_panels => left,
                    // One less now leaves no lonely vector behind.
                    left if left == max_panels + 1 && max_panels > 2 => max_panels - 1,
                    _ => max_panels,
                };
                let from = panel * lanes;
                let len = steps * step * panels * lanes;
                chunks.push(Chunk {
                    group,
                    panels,
                    from: group * group_channels + from,
                    n_channels: (panels * lanes).min(group_channels - from),
                    weights: packed_len..packed_len + len,
                    runs: Runs::new(layout.runs(), step),
                });
                packed_len += len;
                panel += panels;
            }
        }
        let mut packed = Aligned::zeroed(packed_len);
        let to = packed.as_mut_slice();
        let taps = geometry.taps();
        for chunk in &chunks {
            let width = chunk.panels * lanes;
            let mut at = chunk.weights.start;
            let mut tap = 0;
            for &(_, len) in &layout.segments {
                for k in (0..len).step_by(step) {
                    for channel in 0..chunk.n_channels {
                        let from = (chunk.from + channel) * taps + tap + k;
                        for element in 0..step.min(len - k) {
                            to[at + channel * step + element] = convert(weights[from + element]);
                        }
                    }
                    at += width * step;
                }
                tap += len;
            }
        }
        Packed { layout, chunks, weights: packed, lanes, max_panels }
    }

    /// Splits the runs so that between two flushes no sum of products leaves `i32`, given the
    /// magnitude of a packed weight and of the inputs. False if a single step can leave it.
    pub(crate) fn split_runs(&mut self, max_input: u64, magnitude: impl Fn(W) -> u64) -> bool {
        let limit = u64::from(i32::MAX.unsigned_abs());
        let step = self.layout.step;
        for chunk in &mut self.chunks {
            let width = chunk.panels * self.lanes;
            let mut weights =
                self.weights.as_slice()[chunk.weights.clone()].chunks_exact(width * step);
            let mut sums = vec![0_u64; width];
            let mut runs: Vec<Run> = Vec::new();
            for &(segment_offset, len) in &self.layout.segments {
                let mut run = Run { offset: segment_offset, steps: 0, flush: false };
                for _ in 0..len.div_ceil(step) {
                    let next = weights.next().expect("there are weights for every step");
                    let products = next
                        .chunks_exact(step)
                        .map(|pair| pair.iter().map(|&w| magnitude(w)).sum::<u64>() * max_input);
                    let mut fits = true;
                    let products: Vec<u64> = products.collect();
                    for (sum, &product) in sums.iter_mut().zip(&products) {
                        if product > limit {
                            return false;
                        }
                        *sum += product;
                        fits &= *sum <= limit;
                    }
                    if !fits {
                        if run.steps > 0 {
                            let offset = run.offset + run.steps * step;
                            runs.push(Run { flush: true, ..run });
                            run = Run { offset, steps: 0, flush: false };
                        } else if let Some(last) = runs.last_mut() {
                            last.flush = true;
                        }
                        sums = products;
                    }
                    run.steps += 1;
                }
                runs.push(run);
            }
            if let Some(last) = runs.last_mut() {
                last.flush = true;
            }
            // The wide kernel keeps the upper halves of the sums in 32 bits.
            if runs.len() > 1 << 15 {
                return false;
            }
            chunk.runs = Runs::new(runs, step);
        }
        true
    }

    /// Sums one call of a tile kernel writes at most.
    pub(crate) fn block_len(&self) -> usize {
        BLOCK_PIXELS * self.max_panels * self.lanes
    }

    /// Computes all sums of the staged image `a`, or images of a dense layer, a block at a time, and gives each to `finish`.
    pub(crate) fn for_each_block<A, C: Plain>(
        &self,
        a: &[A],
        n_images: usize,
        tile: Tile<A, W, C>,
        sums: &mut Aligned<C>,
        mut finish: impl FnMut(&Block, &mut [C]),
    ) {
        sums.grow(self.block_len());
        let sums = sums.as_mut_slice();
        let group_inputs = self.layout.geometry.input[2] / self.layout.geometry.groups;
        let n_pixels = if self.layout.is_dense { n_images } else { self.layout.pixels.len() };
        let n_blocks = n_pixels.div_ceil(BLOCK_PIXELS);
        for block in 0..n_blocks {
            let from = block * n_pixels / n_blocks;
            let end = (block + 1) * n_pixels / n_blocks;
            let pixels = self.layout.pixels(from..end);
            for chunk in &self.chunks {
                let block = Block {
                    pixel: from,
                    n_pixels: end - from,
                    channel: chunk.from,
                    n_channels: chunk.n_channels,
                    width: chunk.panels * self.lanes,
                };
                let sums = &mut sums[..block.n_pixels * block.width];
                tile(
                    &a[chunk.group * group_inputs..],
                    pixels,
                    &chunk.runs,
                    chunk.panels,
                    &self.weights.as_slice()[chunk.weights.clone()],
                    sums,
                );
                finish(&block, sums);
            }
        }
    }
}
