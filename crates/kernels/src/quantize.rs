//! Floats to stored integers.

use crate::{IntegersMut, Kernels};
use fixedwise_fixed::{
    Format,
    convert::{exp2, f64_to_f32, i64_to_f64},
};

/// Writes `format.quantize(x)` for each `x`.
///
/// # Panics
/// If the lengths differ or an element of `y` does not hold `format`.
pub fn quantize(kernels: &'static Kernels, format: Format, x: &[f32], y: IntegersMut) {
    assert_eq!(x.len(), y.len(), "as many integers as floats");
    let element = y.element();
    assert!(
        element.min() <= format.min() && format.max() <= element.max(),
        "an integer of {format:?} does not fit {element:?}"
    );
    let scale = Scale::of(format);
    match y {
        IntegersMut::U8(y) => (kernels.plain.quantize_u8)(scale, x, y),
        IntegersMut::I8(y) => (kernels.plain.quantize_i8)(scale, x, y),
        IntegersMut::I16(y) => (kernels.plain.quantize_i16)(scale, x, y),
    }
}

/// A format of at most 16 bits in `f32`, where all of it is exact.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    /// `2^frac`.
    factor: f32,
    min: f32,
    max: f32,
}

impl Scale {
    fn of(format: Format) -> Self {
        Scale {
            // Every `i8` is the exponent of a float, subnormal below -126.
            factor: f64_to_f32(exp2(i32::from(format.frac))),
            min: f64_to_f32(i64_to_f64(format.min())),
            max: f64_to_f32(i64_to_f64(format.max())),
        }
    }

    /// `clamp(x * 2^frac, min, max)`, rounded to even; NaN becomes 0.
    ///
    /// The product is exact or too small to matter: where it is subnormal it rounds to 0, where it
    /// is infinite it is clamped. The ends are integers, so that it may be clamped before it is
    /// rounded; then adding `1.5 * 2^23` leaves the integer in the low bits.
    #[inline(always)]
    fn quantize(self, x: f32) -> i32 {
        const INTEGERS: f32 = 12_582_912.0;
        let x = if x.is_nan() { 0.0 } else { x * self.factor };
        let x = if x > self.min { x } else { self.min };
        let x = if x < self.max { x } else { self.max };
        (x + INTEGERS).to_bits() as i32 - INTEGERS.to_bits() as i32
    }
}

/// An element of at most 16 bits.
pub(crate) trait Stored {
    fn of(x: i32) -> Self;
}

macro_rules! stored {
    ($($element:ty),*) => {
        $(impl Stored for $element {
            #[inline(always)]
            fn of(x: i32) -> Self {
                x as $element
            }
        })*
    };
}
stored!(u8, i8, i16);

/// Quantizes all of `x`.
#[inline(always)]
pub(crate) fn all<Y: Stored>(scale: Scale, x: &[f32], y: &mut [Y]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = Y::of(scale.quantize(x));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit patterns of floats: every 4,099th, and all around the middle of two integers.
    fn floats(frac: i8) -> Vec<f32> {
        let mut floats: Vec<f32> = (0..=u32::MAX).step_by(4099).map(f32::from_bits).collect();
        floats.extend([f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0]);
        for half in -600_i32..=600 {
            let middle = f64_to_f32(f64::from(half) / 2.0 * exp2(-i32::from(frac)));
            floats.extend([middle, middle.next_up(), middle.next_down()]);
        }
        floats
    }

    #[test]
    fn every_table_quantizes_as_the_format_does() {
        let formats = [
            Format::unsigned(8, 0),
            Format::signed(8, 6),
            Format::full(8, -3),
            Format::unsigned(1, 127),
            Format::full(16, 127),
            Format::signed(16, -128),
            Format::unsigned(15, -126),
            Format::signed(1, 4),
            Format::signed(12, 9),
        ];
        for format in formats {
            let x = floats(format.frac);
            let expected: Vec<i64> = x.iter().map(|&x| format.quantize(f64::from(x))).collect();
            let check = |got: IntegersMut, name: &str| {
                for (i, &expected) in expected.iter().enumerate() {
                    let (x, got) = (x[i], got.get(i));
                    assert_eq!(got, expected, "{name}, {format:?}: {x:e} ({:#x})", x.to_bits());
                }
            };
            for kernels in Kernels::all() {
                let run = |mut y: IntegersMut| {
                    let element = y.element();
                    if element.min() <= format.min() && format.max() <= element.max() {
                        quantize(kernels, format, &x, y.reborrow());
                        check(y, kernels.name);
                    }
                };
                run(IntegersMut::U8(&mut vec![0; x.len()]));
                run(IntegersMut::I8(&mut vec![0; x.len()]));
                run(IntegersMut::I16(&mut vec![0; x.len()]));
            }
        }
    }
}
