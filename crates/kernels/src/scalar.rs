//! The specification: plain loops, compiled once more for each instruction set where that is all
//! a kernel needs.

use crate::{Accumulate, Activation, BorderBias, ConvGeometry, Epilogue, FloatBias, IntegersMut};

/// The exact sums of a convolution, requantized; `x` is [h, w, ci], `y` is [oh, ow, co].
pub(crate) fn conv_int<X: Copy + Into<i32>>(
    geometry: &ConvGeometry,
    x: &[X],
    weights: &[i16],
    bias: &BorderBias,
    accumulate: Accumulate,
    epilogue: &Epilogue,
    y: &mut IntegersMut,
) {
    let n_channels = geometry.output[2];
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
        let sum = sum + bias.values[bias.class(oh, ow) * n_channels + co];
        y.set(at, epilogue.apply(sum));
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

fn dot_i32<X: Copy + Into<i32>>(x: &[X], w: &[i16]) -> i64 {
    let mut sum = 0_i32;
    for (&x, &w) in x.iter().zip(w) {
        sum = sum.wrapping_add(x.into() * i32::from(w));
    }
    i64::from(sum)
}

fn dot_i64<X: Copy + Into<i32>>(x: &[X], w: &[i16]) -> i64 {
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
