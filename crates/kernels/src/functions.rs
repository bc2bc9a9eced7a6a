//! Functions of one float, from polynomials that the compiler vectorizes: every result is within a few units
//! in the last place of the function, or of one where that is larger.

use crate::{Activation, Kernels};

/// A function of one float that has a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatFunction {
    /// `e^x`.
    Exp,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `log(1 + e^x)`.
    Softplus,
    /// The Gauss error function.
    Erf,
}

/// The function of each of `y`, in place; infinities give the limits, NaN stays.
pub fn apply_function(kernels: &'static Kernels, function: FloatFunction, y: &mut [f32]) {
    (kernels.plain.function_f32)(function, y);
}

/// `y = scale * x + shift` in double precision, one of each a channel, channels last.
///
/// # Panics
/// If the lengths differ, or there is no channel.
pub fn scale_and_shift(
    kernels: &'static Kernels,
    scale: &[f64],
    shift: &[f64],
    x: &[f32],
    y: &mut [f32],
) {
    assert!(!scale.is_empty() && scale.len() == shift.len(), "one scale and shift a channel");
    assert_eq!(x.len(), y.len(), "the lengths differ");
    // Of few channels several pixels at once, for long loops.
    let n_pixels = 64_usize.div_ceil(scale.len());
    (kernels.plain.affine_f32)(&scale.repeat(n_pixels), &shift.repeat(n_pixels), x, y);
}

/// The loop of [`scale_and_shift`].
#[inline(always)]
pub(crate) fn affine(scale: &[f64], shift: &[f64], x: &[f32], y: &mut [f32]) {
    for (y, x) in y.chunks_mut(scale.len()).zip(x.chunks(scale.len())) {
        for (((y, &x), &s), &t) in y.iter_mut().zip(x).zip(scale).zip(shift) {
            *y = (f64::from(x) * s + t) as f32;
        }
    }
}

/// The activation of each of `y`, in place.
#[inline(always)]
pub(crate) fn activate(activation: Activation, y: &mut [f32]) {
    match activation {
        Activation::None => {}
        Activation::Clamp { min, max } => each(y, |x| Activation::Clamp { min, max }.apply(x)),
        Activation::Leaky(alpha) => each(y, |x| Activation::Leaky(alpha).apply(x)),
    }
}

/// The loop of each function.
#[inline(always)]
pub(crate) fn all(function: FloatFunction, y: &mut [f32]) {
    match function {
        FloatFunction::Exp => each(y, exp),
        FloatFunction::Sigmoid => each(y, |x| 1.0 / (1.0 + exp(-x))),
        FloatFunction::Tanh => each(y, tanh),
        FloatFunction::Softplus => each(y, softplus),
        FloatFunction::Erf => each(y, erf),
    }
}

#[inline(always)]
fn each(y: &mut [f32], function: impl Fn(f32) -> f32) {
    for y in y {
        *y = function(*y);
    }
}

/// The polynomial whose coefficients are given from the highest power on.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    coefficients.into_iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// `2^n * e^r`, `n` the nearest integer to `x / log(2)`, `r` the rest.
///
/// Source: Taylor series of `e^r`, whose first term left out is below `2^-27` for `|r| <= log(2) / 2`.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// From here on the result is no normal number, or infinite.
    const LEAST: f32 = -87.336_54;
    const MOST: f32 = 88.722_83;
    /// The last bit of a sum with this is worth one.
    const ONES: f32 = 12_582_912.0;
    /// `log(2)` in two parts: products of the first with integers up to 2^8 are exact.
    const LOG_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let inside = if x < LEAST { LEAST } else { x };
    let inside = if inside > MOST { MOST } else { inside };
    let ones = inside * core::f32::consts::LOG2_E + ONES;
    let n = ones - ONES;
    let rest = inside - n * LOG_2[0] - n * LOG_2[1];
    let power = polynomial(
        rest,
        [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0],
    );
    // The low bits of `ones` are the integer; it is added to the exponent.
    let scaled = f32::from_bits(power.to_bits().wrapping_add(ones.to_bits() << 23));
    let scaled = if x < LEAST { 0.0 } else { scaled };
    let scaled = if x > MOST { f32::INFINITY } else { scaled };
    if x.is_nan() { x } else { scaled }
}

/// Source: the series of the hyperbolic tangent near 0, by `e^2x` elsewhere.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let square = x * x;
    let near = x + x
        * square
        * polynomial(
            square,
            [
                -0.001_455_834_4,
                21_844.0 / 6_081_075.0,
                -1382.0 / 155_925.0,
                62.0 / 2835.0,
                -17.0 / 315.0,
                2.0 / 15.0,
                -1.0 / 3.0,
            ],
        );
    let far = (1.0 - 2.0 / (1.0 + exp(2.0 * x.abs()))).copysign(x);
    if x.abs() < 0.5 { near } else { far }
}

/// The larger of `x` and 0, and `log(1 + t)` with `t = e^-|x|`: twice the inverse hyperbolic tangent of
/// `t / (2 + t)`.
///
/// Source: its series, which ends where the next term is below `2^-26`.
#[inline(always)]
fn softplus(x: f32) -> f32 {
    let t = exp(-x.abs());
    let s = t / (2.0 + t);
    let odd = [1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 0.2, 1.0 / 3.0, 1.0];
    let rest = 2.0 * s * polynomial(s * s, odd);
    (if x < 0.0 { 0.0 } else { x }) + rest
}

/// Source: the Maclaurin series near 0; elsewhere Abramowitz and Stegun, "Handbook of Mathematical
/// Functions", 7.1.26, within `1.5e-7`.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let square = x * x;
    let near = x
        * core::f32::consts::FRAC_2_SQRT_PI
        * polynomial(
            square,
            [1.0 / 9360.0, -1.0 / 1320.0, 1.0 / 216.0, -1.0 / 42.0, 0.1, -1.0 / 3.0, 1.0],
        );
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let rest = t
        * polynomial(t, [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6])
        * exp(-square);
    let far = (1.0 - rest).copysign(x);
    if x.abs() < 0.5 { near } else { far }
}
