//! Integers from one format to another, element by element.
//!
//! [`Epilogue::apply`] is the specification; where no intermediate can leave `i32` the compiler
//! vectorizes the same arithmetic on `i32`.

use crate::{Epilogue, Integers, IntegersMut};
use fixedwise_fixed::Rounding;

/// The arithmetic of an epilogue in `i32`.
#[derive(Clone, Copy)]
pub(crate) struct Narrow {
    half: i32,
    right: u32,
    left: u32,
    min: i32,
    max: i32,
}

impl Narrow {
    /// Where a magnitude of `bound` cannot overflow on its way.
    pub(crate) fn new(epilogue: &Epilogue, bound: u64) -> Option<Self> {
        let half = match epilogue.rounding {
            Rounding::TiesUp if epilogue.shift > 0 => {
                1_u64.checked_shl(epilogue.shift as u32 - 1)?
            }
            Rounding::TiesUp | Rounding::Floor => 0,
            Rounding::TiesEven => return None,
        };
        let (right, left) = (epilogue.shift.max(0) as u32, (-epilogue.shift).max(0) as u32);
        let largest = bound.checked_add(half)?.checked_mul(1_u64.checked_shl(left)?)?;
        let fits = epilogue.leaky.is_none() && right < 31 && largest < 1 << 31;
        fits.then_some(Self {
            half: half as i32,
            right,
            left,
            min: epilogue.min as i32,
            max: epilogue.max as i32,
        })
    }

    #[inline(always)]
    pub(crate) fn apply(self, x: i32) -> i32 {
        (((x << self.left) + self.half) >> self.right).clamp(self.min, self.max)
    }
}

/// An element that fits `i32`.
pub(crate) trait Narrowed: Copy {
    fn widen(self) -> i32;
    fn narrow(x: i32) -> Self;
}

macro_rules! narrowed {
    ($($element:ty),*) => {
        $(impl Narrowed for $element {
            #[inline(always)]
            fn widen(self) -> i32 {
                i32::from(self)
            }
            #[inline(always)]
            fn narrow(x: i32) -> Self {
                x as $element
            }
        })*
    };
}
narrowed!(u8, i8, i16);

/// Calls a generic function with the slices behind a view.
macro_rules! with_slice {
    ($kind:ident, $view:expr, |$slice:ident| $body:expr) => {
        match $view {
            $kind::U8($slice) => $body,
            $kind::I8($slice) => $body,
            $kind::I16($slice) => $body,
        }
    };
}
pub(crate) use with_slice;

/// Writes the outputs for `x`: its first `run` elements to `y[offset ..]`, the next to
/// `y[offset + row ..]`, and so on; with `run` and `row` the length of both, `x` to `y` as it is.
///
/// # Panics
/// If `x` is no multiple of `run`, or `y` is too short.
pub fn rescale(
    epilogue: &Epilogue,
    x: Integers,
    run: usize,
    mut y: IntegersMut,
    offset: usize,
    row: usize,
) {
    assert!(
        run > 0 && x.len().is_multiple_of(run) && offset + run <= row,
        "the runs do not fit the rows"
    );
    assert!(x.len() / run * row <= y.len(), "the output is too short");
    if let Some(narrow) = Narrow::new(epilogue, x.element().max().max(-x.element().min()) as u64) {
        with_slice!(Integers, x, |x| with_slice!(IntegersMut, y, |y| {
            fn runs<X: Narrowed, Y: Narrowed>(
                (x, run): (&[X], usize),
                (y, offset, row): (&mut [Y], usize, usize),
                narrow: Narrow,
            ) {
                for (x, y) in x.chunks_exact(run).zip(y.chunks_exact_mut(row)) {
                    for (y, x) in y[offset..offset + run].iter_mut().zip(x) {
                        *y = Y::narrow(narrow.apply(x.widen()));
                    }
                }
            }
            runs((x, run), (y, offset, row), narrow);
        }));
        return;
    }
    for i in 0..x.len() {
        y.set(i / run * row + offset + i % run, epilogue.apply(x.get(i)));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Element;

    pub(crate) const ELEMENTS: [Element; 3] = [Element::U8, Element::I8, Element::I16];

    pub(crate) fn epilogues(output: Element) -> Vec<Epilogue> {
        let mut epilogues = Vec::new();
        for shift in [-20, -9, -1, 0, 1, 5, 12, 30, 40] {
            for rounding in [Rounding::TiesUp, Rounding::TiesEven, Rounding::Floor] {
                for leaky in [None, Some((13, 7))] {
                    let (min, max) = (output.min() / 2, output.max() - 3);
                    epilogues.push(Epilogue { shift, rounding, min, max, leaky, output });
                }
            }
        }
        epilogues
    }

    /// Every 8-bit integer, and 16-bit ones with both ends.
    pub(crate) fn values(element: Element) -> Vec<i64> {
        let (min, max) = (element.min(), element.max());
        (0..256).map(|i| (min + i * ((max - min) / 255)).min(max)).collect()
    }

    pub(crate) fn with<R>(element: Element, values: &[i64], f: impl FnOnce(Integers) -> R) -> R {
        match element {
            Element::U8 => f(Integers::U8(&values.iter().map(|&x| x as u8).collect::<Vec<_>>())),
            Element::I8 => f(Integers::I8(&values.iter().map(|&x| x as i8).collect::<Vec<_>>())),
            Element::I16 => f(Integers::I16(&values.iter().map(|&x| x as i16).collect::<Vec<_>>())),
        }
    }

    pub(crate) fn written(element: Element, len: usize, f: impl FnOnce(IntegersMut)) -> Vec<i64> {
        let (mut u8s, mut i8s, mut i16s) = (vec![0_u8; len], vec![0_i8; len], vec![0_i16; len]);
        match element {
            Element::U8 => f(IntegersMut::U8(&mut u8s)),
            Element::I8 => f(IntegersMut::I8(&mut i8s)),
            Element::I16 => f(IntegersMut::I16(&mut i16s)),
        }
        match element {
            Element::U8 => u8s.into_iter().map(i64::from).collect(),
            Element::I8 => i8s.into_iter().map(i64::from).collect(),
            Element::I16 => i16s.into_iter().map(i64::from).collect(),
        }
    }

    #[test]
    fn rescaling_is_the_epilogue_in_place() {
        for input in ELEMENTS {
            for output in ELEMENTS {
                for epilogue in epilogues(output) {
                    let x = values(input);
                    let (run, offset, row) = (8, 3, 13);
                    let got = with(input, &x, |x| {
                        written(output, 32 * row, |y| rescale(&epilogue, x, run, y, offset, row))
                    });
                    let mut expected = vec![0; 32 * row];
                    for (i, &x) in x.iter().enumerate() {
                        expected[i / run * row + offset + i % run] = epilogue.apply(x);
                    }
                    assert_eq!(got, expected, "{input:?} {epilogue:?}");
                }
            }
        }
    }
}
