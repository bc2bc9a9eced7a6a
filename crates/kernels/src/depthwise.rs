//! Depthwise convolution of integers with sums of 64 bits: one input channel an output channel,
//! vectorized over channels.

use crate::aligned::Plain;
use crate::layout::{Block, Layout};

/// A depthwise layer: where its taps are in the staged image, and its weights as
/// `[kh][kw][c]`.
pub(crate) struct Depthwise<W> {
    pub(crate) layout: Layout,
    taps: Vec<u32>,
    weights: Vec<W>,
}

impl<W: Plain> Depthwise<W> {
    /// Packs `weights`, `[c][kh][kw]`.
    pub(crate) fn new(layout: Layout, weights: &[W]) -> Self {
        let n_channels = layout.geometry.output[2];
        let n_taps = weights.len() / n_channels;
        let mut packed = vec![W::default(); weights.len()];
        for channel in 0..n_channels {
            for tap in 0..n_taps {
                packed[tap * n_channels + channel] = weights[channel * n_taps + tap];
            }
        }
        Depthwise { taps: layout.taps(), layout, weights: packed }
    }

    /// The part a kernel needs to compute `block`, all channels of some pixels.
    pub(crate) fn view(&self, block: &Block) -> View<'_, W> {
        View {
            pixels: &self.layout.pixels[block.pixel..block.pixel + block.n_pixels],
            taps: &self.taps,
            weights: &self.weights,
            n_channels: block.n_channels,
        }
    }
}

/// Some pixels of a depthwise layer.
#[derive(Clone, Copy)]
pub(crate) struct View<'a, W> {
    /// The index of the first tap of every output pixel.
    pixels: &'a [u32],
    /// The offset of every tap.
    taps: &'a [u32],
    /// `[kh][kw][c]`.
    weights: &'a [W],
    n_channels: usize,
}

/// Sums of all pixels of `view`, [pixel, c]. `x` is the staged image.
#[inline(always)]
pub(crate) fn wide(view: View<i16>, x: &[i16], sums: &mut [i64]) {
    depthwise(view, x, sums, |sum: i64, x, w| sum + i64::from(i32::from(x) * i32::from(w)));
}

#[inline(always)]
fn depthwise<X: Copy, W: Copy, S: Copy + Default>(
    view: View<W>,
    x: &[X],
    sums: &mut [S],
    product: impl Fn(S, X, W) -> S + Copy,
) {
    let n = view.n_channels;
    for (idx, &pixel) in view.pixels.iter().enumerate() {
        let x = &x[pixel as usize..];
        let sums = &mut sums[idx * n..][..n];
        let mut from = 0;
        while from + 64 <= n {
            channels::<64, _, _, _>(view, x, from, sums, product);
            from += 64;
        }
        while from + 16 <= n {
            channels::<16, _, _, _>(view, x, from, sums, product);
            from += 16;
        }
        while from + 8 <= n {
            channels::<8, _, _, _>(view, x, from, sums, product);
            from += 8;
        }
        while from < n {
            channels::<1, _, _, _>(view, x, from, sums, product);
            from += 1;
        }
    }
}

/// Sums of the channels from `from` of one pixel, in registers.
#[inline(always)]
fn channels<const N: usize, X: Copy, W: Copy, S: Copy + Default>(
    view: View<W>,
    x: &[X],
    from: usize,
    sums: &mut [S],
    product: impl Fn(S, X, W) -> S,
) {
    let mut acc = [S::default(); N];
    for (idx, &tap) in view.taps.iter().enumerate() {
        let x = &x[tap as usize + from..][..N];
        let weights = &view.weights[idx * view.n_channels + from..][..N];
        for lane in 0..N {
            acc[lane] = product(acc[lane], x[lane], weights[lane]);
        }
    }
    sums[from..from + N].copy_from_slice(&acc);
}
