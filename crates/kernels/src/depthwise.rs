//! Depthwise convolution: one input channel an output channel, vectorized over channels.

use crate::{Integers, PoolGeometry};
use core::ops::Range;

/// Channels whose sums are kept in registers.
const CHANNELS: usize = 32;

/// Weights [c][kh][kw] as [kh][kw][c].
pub(crate) fn pack<W: Copy + Default>(weights: &[W], n_channels: usize) -> Vec<W> {
    let taps = weights.len() / n_channels;
    let mut packed = vec![W::default(); weights.len()];
    for channel in 0..n_channels {
        for tap in 0..taps {
            packed[tap * n_channels + channel] = weights[channel * taps + tap];
        }
    }
    packed
}

/// Sums of the output pixels `pixels`, [pixel][c]; they wrap. `weights` are [kh][kw][c].
#[inline(always)]
pub(crate) fn narrow(
    windows: &PoolGeometry,
    pixels: Range<usize>,
    x: Integers,
    weights: &[i16],
    sums: &mut [i32],
) {
    #[inline(always)]
    fn product<X: Into<i32>>(sum: i32, x: X, w: i16) -> i32 {
        sum.wrapping_add(x.into() * i32::from(w))
    }
    match x {
        Integers::U8(x) => depthwise(windows, pixels, x, weights, sums, product),
        Integers::I8(x) => depthwise(windows, pixels, x, weights, sums, product),
        Integers::I16(x) => depthwise(windows, pixels, x, weights, sums, product),
    }
}

/// As [`narrow`], in 64 bits.
#[inline(always)]
pub(crate) fn wide(
    windows: &PoolGeometry,
    pixels: Range<usize>,
    x: Integers,
    weights: &[i16],
    sums: &mut [i64],
) {
    #[inline(always)]
    fn product<X: Into<i32>>(sum: i64, x: X, w: i16) -> i64 {
        sum + i64::from(x.into() * i32::from(w))
    }
    match x {
        Integers::U8(x) => depthwise(windows, pixels, x, weights, sums, product),
        Integers::I8(x) => depthwise(windows, pixels, x, weights, sums, product),
        Integers::I16(x) => depthwise(windows, pixels, x, weights, sums, product),
    }
}

/// As [`narrow`], of floats.
#[inline(always)]
pub(crate) fn float(
    windows: &PoolGeometry,
    pixels: Range<usize>,
    x: &[f32],
    weights: &[f32],
    sums: &mut [f32],
) {
    depthwise(windows, pixels, x, weights, sums, |sum, x, w| sum + x * w);
}

#[inline(always)]
fn depthwise<X: Copy, W: Copy, S: Copy + Default>(
    windows: &PoolGeometry,
    pixels: Range<usize>,
    x: &[X],
    weights: &[W],
    sums: &mut [S],
    product: impl Fn(S, X, W) -> S + Copy,
) {
    let [_, w, c] = windows.input;
    let blocks = c - c % CHANNELS;
    for (pixel, sums) in pixels.zip(sums.chunks_exact_mut(c)) {
        let (oh, ow) = (pixel / windows.output[1], pixel % windows.output[1]);
        let (rows, columns) = (windows.inside(0, oh), windows.inside(1, ow));
        for from in (0..blocks).step_by(CHANNELS) {
            let mut acc = [S::default(); CHANNELS];
            for kh in rows.clone() {
                for kw in columns.clone() {
                    let pixel = windows.source(0, oh, kh) * w + windows.source(1, ow, kw);
                    let x = &x[pixel * c + from..][..CHANNELS];
                    let weights = &weights[(kh * windows.kernel[1] + kw) * c + from..][..CHANNELS];
                    for lane in 0..CHANNELS {
                        acc[lane] = product(acc[lane], x[lane], weights[lane]);
                    }
                }
            }
            sums[from..from + CHANNELS].copy_from_slice(&acc);
        }
        let sums = &mut sums[blocks..];
        sums.fill(S::default());
        for kh in rows {
            for kw in columns.clone() {
                let pixel = windows.source(0, oh, kh) * w + windows.source(1, ow, kw);
                let x = &x[pixel * c + blocks..][..c - blocks];
                let weights = &weights[(kh * windows.kernel[1] + kw) * c + blocks..][..c - blocks];
                for ((sum, &x), &weight) in sums.iter_mut().zip(x).zip(weights) {
                    *sum = product(*sum, x, weight);
                }
            }
        }
    }
}
