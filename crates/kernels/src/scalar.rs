//! The specification: plain loops, compiled once more for each instruction set where that is all
//! a kernel needs.

use crate::finish::ResidualView;
use crate::{
    Accumulate, Activation, BorderBias, ConvGeometry, Epilogue, FloatBias, IntegersMut,
    PoolGeometry,
};

/// The exact sums of a convolution and what is added to them, requantized; `x` is [h, w, ci], `y` is [oh, ow, co].
pub(crate) fn conv_int<X: Copy + Into<i32>>(
    geometry: &ConvGeometry,
    x: &[X],
    weights: &[i16],
    bias: &BorderBias,
    accumulate: Accumulate,
    epilogue: &Epilogue,
    coarser: &[u8],
    added: Option<ResidualView>,
    y: &mut IntegersMut,
) {
    let n_channels = geometry.output[2];
    let epilogue = |co: usize| epilogue.coarser(coarser.get(co).copied().unwrap_or(0));
    let dot = match accumulate {
        Accumulate::I32 => dot_i32::<X>,
        Accumulate::I64 { .. } => dot_i64::<X>,
    };
    for_each_output(geometry, |at, oh, ow, co| {
        let mut sum = 0_i64;
        for_each_run(geometry, oh, ow, co, |read, weight, len| {
            sum += dot(&x[read..read + len], &weights[weight..weight + len]);
        });
        if matches!(accumulate, Accumulate::I32) {
            sum = i64::from(sum as i32);
        }
        let sum = sum + added.map_or(0, |added| added.at(at));
        let sum = sum + bias.values[bias.class(oh, ow) * n_channels + co];
        y.set(at, epilogue(co).apply(sum));
    });
}

/// The convolution of floats; `x` is [h, w, ci], `y` is [oh, ow, co].
pub(crate) fn conv_f32(
    geometry: &ConvGeometry,
    x: &[f32],
    weights: &[f32],
    bias: &FloatBias,
    activation: Activation,
    y: &mut [f32],
) {
    let n_channels = geometry.output[2];
    for_each_output(geometry, |at, oh, ow, co| {
        let mut sum = 0.0;
        for_each_run(geometry, oh, ow, co, |read, weight, len| {
            for (x, w) in x[read..read + len].iter().zip(&weights[weight..weight + len]) {
                sum += x * w;
            }
        });
        let sum = sum + bias.values[bias.class(oh, ow) * n_channels + co];
        y[at] = activation.apply(sum);
    });
}

/// The largest input of every window, [oh, ow, c]; the smallest in channels where `minimum` is set.
#[inline(always)]
pub(crate) fn max_pool<T: Copy + PartialOrd>(
    geometry: &PoolGeometry,
    minimum: &[bool],
    x: &[T],
    y: &mut [T],
) {
    if minimum.is_empty() {
        pool(geometry, &[], x, y, |_, best, x| if x > best { x } else { best });
    } else {
        pool(geometry, minimum, x, y, |minimum, best, x| {
            let least = if x < best { x } else { best };
            let most = if x > best { x } else { best };
            if minimum { least } else { most }
        });
    }
}

/// Folds every window; `fold(mask of the channel, so far, input)`, where an empty mask is unset.
#[inline(always)]
fn pool<T: Copy>(
    geometry: &PoolGeometry,
    mask: &[bool],
    x: &[T],
    y: &mut [T],
    fold: impl Fn(bool, T, T) -> T + Copy,
) {
    let n_channels = geometry.input[2];
    for oh in 0..geometry.output[0] {
        for ow in 0..geometry.output[1] {
            let y = &mut y[(oh * geometry.output[1] + ow) * n_channels..][..n_channels];
            let mut from = 0;
            while from + 64 <= n_channels {
                pool_channels::<64, _>(geometry, mask, oh, ow, from, x, y, fold);
                from += 64;
            }
            while from + 16 <= n_channels {
                pool_channels::<16, _>(geometry, mask, oh, ow, from, x, y, fold);
                from += 16;
            }
            while from + 8 <= n_channels {
                pool_channels::<8, _>(geometry, mask, oh, ow, from, x, y, fold);
                from += 8;
            }
            while from < n_channels {
                pool_channels::<1, _>(geometry, mask, oh, ow, from, x, y, fold);
                from += 1;
            }
        }
    }
}

/// Folds the channels from `from` of one window, in registers.
#[inline(always)]
fn pool_channels<const N: usize, T: Copy>(
    geometry: &PoolGeometry,
    mask: &[bool],
    oh: usize,
    ow: usize,
    from: usize,
    x: &[T],
    y: &mut [T],
    fold: impl Fn(bool, T, T) -> T,
) {
    let [_, w, c] = geometry.input;
    let (rows, columns) = (geometry.inside(0, oh), geometry.inside(1, ow));
    let at = |kh: usize, kw: usize| {
        (geometry.source(0, oh, kh) * w + geometry.source(1, ow, kw)) * c + from
    };
    let mut masks = [false; N];
    if !mask.is_empty() {
        masks.copy_from_slice(&mask[from..from + N]);
    }
    let start = &x[at(rows.start, columns.start)..][..N];
    let mut acc: [T; N] = core::array::from_fn(|lane| start[lane]);
    for kh in rows.clone() {
        for kw in columns.clone() {
            if (kh, kw) == (rows.start, columns.start) {
                continue;
            }
            let x = &x[at(kh, kw)..][..N];
            for lane in 0..N {
                acc[lane] = fold(masks[lane], acc[lane], x[lane]);
            }
        }
    }
    y[from..from + N].copy_from_slice(&acc);
}

/// `y = x` in 16 bits.
#[inline(always)]
pub(crate) fn widen<X: Copy + Into<i16>>(x: &[X], y: &mut [i16]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x.into();
    }
}

/// `y = x + 128`.
#[inline(always)]
pub(crate) fn offset(x: &[i8], y: &mut [u8]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x.cast_unsigned() ^ 128;
    }
}

fn dot_i32<X: Copy + Into<i32>>(x: &[X], w: &[i16]) -> i64 {
    let mut sum = 0_i32;
    for (&x, &w) in x.iter().zip(w) {
        sum = sum.wrapping_add(x.into() * i32::from(w));
    }
    i64::from(sum)
}

pub(crate) fn dot_i64<X: Copy + Into<i32>>(x: &[X], w: &[i16]) -> i64 {
    x.iter().zip(w).map(|(&x, &w)| i64::from(x.into() * i32::from(w))).sum()
}

/// Calls `each(index, oh, ow, co)` for all outputs in the order of [oh, ow, co].
fn for_each_output(geometry: &ConvGeometry, mut each: impl FnMut(usize, usize, usize, usize)) {
    let [h, w, c] = geometry.output;
    for oh in 0..h {
        for ow in 0..w {
            for co in 0..c {
                each((oh * w + ow) * c + co, oh, ow, co);
            }
        }
    }
}

/// Calls `each(read, weight, len)` for the taps inside of the image: `len` contiguous inputs from
/// `read` meet the weights from `weight`.
fn for_each_run(
    geometry: &ConvGeometry,
    oh: usize,
    ow: usize,
    co: usize,
    mut each: impl FnMut(usize, usize, usize),
) {
    let windows = geometry.windows();
    let [_, w, c] = geometry.input;
    let len = c / geometry.groups;
    let group = co / (geometry.output[2] / geometry.groups);
    for kh in windows.inside(0, oh) {
        let row = windows.source(0, oh, kh) * w;
        for kw in windows.inside(1, ow) {
            let read = (row + windows.source(1, ow, kw)) * c + group * len;
            let weight = ((co * geometry.kernel[0] + kh) * geometry.kernel[1] + kw) * len;
            each(read, weight, len);
        }
    }
}
