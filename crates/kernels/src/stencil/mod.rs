//! Depthwise convolution of floats, and of integers with sums of 32 bits.
//!
//! Every output of a row finds its taps at the same offsets, whichever channel it has: vectors need not
//! end where pixels do, and the weights of a lane repeat with the channels. Of integers, a word holds one
//! column and channel of several rows, and one instruction adds the products of all of them. Words that
//! several rows of outputs read are made once for all of them.

mod float;
mod words;

pub(crate) use float::FloatStencil;
pub(crate) use words::{Stencil, Word, join_bytes, join_pairs, join_signed_bytes};

use crate::ConvGeometry;
use crate::aligned::{Aligned, Plain as Number};

/// The outputs of one row: where their inputs are, and what these are multiplied by.
pub(crate) struct StencilRow<W> {
    starts: Starts,
    /// `[phase][tap][lane]`.
    weights: Aligned<W>,
    /// `[phase][lane]`.
    bias: Aligned<W>,
}

/// Where the vectors of a row's outputs find their inputs.
#[derive(Clone)]
pub(crate) struct Starts {
    /// The first input of every vector.
    first: Vec<u32>,
    largest: usize,
    n_outputs: usize,
    lanes: usize,
    /// Vectors until the channels of the lanes are the same again.
    n_phases: usize,
    /// Where the columns of different remainders by the stride lie apart: how many of each.
    apart: Option<usize>,
}

impl Starts {
    /// For vectors of `lanes` outputs.
    fn new(geometry: &ConvGeometry, lanes: usize) -> Self {
        let [_, w, c] = geometry.output;
        let stride = geometry.stride[1];
        let reach = (geometry.kernel[1] - 1) * geometry.dilation[1];
        // Vectors that lie in one pixel, or follow each other without a gap, start where they like.
        let is_contiguous = stride == 1 || c.is_multiple_of(lanes);
        let step = if is_contiguous { stride } else { 1 };
        let starts: Vec<u32> = (0..w * c)
            .step_by(lanes)
            .map(|output| (output / c * step * c + output % c) as u32)
            .collect();
        Starts {
            largest: largest(&starts),
            first: starts,
            n_outputs: w * c,
            lanes,
            n_phases: c / greatest_common_divisor(c, lanes),
            apart: (!is_contiguous).then(|| w - 1 + reach / stride + 1),
        }
    }

    /// Elements of a row of `columns`.
    fn row_len(&self, geometry: &ConvGeometry, columns: usize) -> usize {
        self.apart.map_or(columns, |n| geometry.stride[1] * n) * geometry.input[2]
    }

    /// From the start of a row to the elements of a column.
    fn column_offset(&self, geometry: &ConvGeometry, column: usize) -> usize {
        let stride = geometry.stride[1];
        let column = self.apart.map_or(column, |n| column % stride * n + column / stride);
        column * geometry.input[2]
    }

    /// A value of each lane, from those of each channel.
    fn by_lane<W: Number>(&self, c: usize, value: impl Fn(usize) -> W) -> Aligned<W> {
        self.weights(c, 1, |channel, _| value(channel))
    }

    /// Weights of each lane, `value(channel, tap)`.
    fn weights<W: Number>(
        &self,
        c: usize,
        n_taps: usize,
        value: impl Fn(usize, usize) -> W,
    ) -> Aligned<W> {
        let mut all = Aligned::zeroed(self.n_phases * n_taps * self.lanes);
        let to = all.as_mut_slice();
        for phase in 0..self.n_phases {
            for tap in 0..n_taps {
                for lane in 0..self.lanes {
                    let channel = (phase * self.lanes + lane) % c;
                    to[(phase * n_taps + tap) * self.lanes + lane] = value(channel, tap);
                }
            }
        }
        all
    }
}

/// From the start of a vector to the inputs of every tap.
pub(crate) struct Taps {
    offsets: Vec<u32>,
    largest: usize,
}

impl Taps {
    fn new(offsets: Vec<u32>) -> Self {
        Taps { largest: largest(&offsets), offsets }
    }
}

fn largest(offsets: &[u32]) -> usize {
    offsets.iter().copied().max().unwrap_or(0) as usize
}

/// Computes a row of outputs with their biases: `(row, taps, inputs, outputs)`.
pub(crate) type StencilKernel<X, W> = fn(&StencilRow<W>, &Taps, &[X], &mut [W]);

/// What a kernel takes of a row that was checked.
#[derive(Clone, Copy)]
pub(crate) struct Lanes<'a, W> {
    pub(crate) starts: &'a [u32],
    pub(crate) taps: &'a [u32],
    pub(crate) n_outputs: usize,
    pub(crate) n_phases: usize,
    pub(crate) weights: &'a [W],
    pub(crate) bias: &'a [W],
}

impl<W: Number> StencilRow<W> {
    /// What every unsafe load and store of a kernel with vectors of `lanes` relies on.
    pub(crate) fn check<'a>(
        &'a self,
        lanes: usize,
        taps: &'a Taps,
        inputs_len: usize,
        outputs_len: usize,
    ) -> Lanes<'a, W> {
        let Starts { first: starts, largest, n_outputs, n_phases, .. } = &self.starts;
        assert_eq!(lanes, self.starts.lanes, "the row was made for other vectors");
        let reach = largest + taps.largest + lanes;
        assert!(reach <= inputs_len, "a tap is past the end of the inputs");
        assert_eq!(*n_outputs, outputs_len, "there is room for every output");
        assert_eq!(starts.len(), n_outputs.div_ceil(lanes), "every vector has a start");
        let n = n_phases * lanes;
        Lanes {
            starts,
            taps: &taps.offsets,
            n_outputs: *n_outputs,
            n_phases: *n_phases,
            weights: &self.weights.as_slice()[..n * taps.offsets.len()],
            bias: &self.bias.as_slice()[..n],
        }
    }
}

/// Brings the columns of each remainder by the stride together, room for `n` of each.
fn take_apart<T: Copy>(row: &[T], c: usize, stride: usize, n: usize, to: &mut [T]) {
    for (idx, column) in row.chunks_exact(c).enumerate() {
        let to = &mut to[(idx % stride * n + idx / stride) * c..][..c];
        let (chunks, rest) = column.as_chunks::<8>();
        let (to, to_rest) = to.as_chunks_mut::<8>();
        for (to, chunk) in to.iter_mut().zip(chunks) {
            *to = *chunk;
        }
        for (to, word) in to_rest.iter_mut().zip(rest) {
            *to = *word;
        }
    }
}

/// Columns that the outputs read, padding included.
fn columns(geometry: &ConvGeometry) -> usize {
    (geometry.output[1] - 1) * geometry.stride[1]
        + (geometry.kernel[1] - 1) * geometry.dilation[1]
        + 1
}

/// Elements of so many columns that are inside of the image.
fn inside(geometry: &ConvGeometry, columns: usize) -> core::ops::Range<usize> {
    let [_, w, c] = geometry.input;
    let first = geometry.pad[1].min(columns);
    let end = (geometry.pad[1] + w).min(columns);
    first * c..end * c
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
