//! Pooling: the largest or the sum of a window, channel by channel.

use crate::{Kernels, PoolGeometry};

/// An element pooling is done on: `u8`, `i8`, `i16` and `f32`.
pub trait PoolElement: sealed::Element {
    /// The type of a sum of elements.
    type Sum: Copy + Default;
}

impl PoolElement for u8 {
    type Sum = i32;
}
impl PoolElement for i8 {
    type Sum = i32;
}
impl PoolElement for i16 {
    type Sum = i32;
}
impl PoolElement for f32 {
    type Sum = f32;
}

mod sealed {
    use super::{PoolElement, scalar_sum};

    pub trait Element: Copy + PartialOrd + 'static {
        fn accumulate(x: &[Self], sums: &mut [<Self as PoolElement>::Sum])
        where
            Self: PoolElement;
    }

    impl Element for u8 {
        #[inline(always)]
        fn accumulate(x: &[u8], sums: &mut [i32]) {
            scalar_sum(x, sums);
        }
    }
    impl Element for i8 {
        #[inline(always)]
        fn accumulate(x: &[i8], sums: &mut [i32]) {
            scalar_sum(x, sums);
        }
    }
    impl Element for i16 {
        #[inline(always)]
        fn accumulate(x: &[i16], sums: &mut [i32]) {
            scalar_sum(x, sums);
        }
    }
    impl Element for f32 {
        #[inline(always)]
        fn accumulate(x: &[f32], sums: &mut [f32]) {
            scalar_sum(x, sums);
        }
    }
}

#[inline(always)]
fn scalar_sum<X: Copy + Into<S>, S: Copy + core::ops::AddAssign>(x: &[X], sums: &mut [S]) {
    for (sum, &x) in sums.iter_mut().zip(x) {
        *sum += x.into();
    }
}

/// The largest input of every window, [oh, ow, c]; in channels where `minimum` is set the
/// smallest. An empty `minimum` sets none.
///
/// A negative scale folded past the pool turns a channel's maximum into its minimum.
///
/// # Panics
/// If a length does not fit the geometry or a window has no tap inside of the image.
pub fn max_pool<T: PoolElement>(
    _kernels: &'static Kernels,
    geometry: &PoolGeometry,
    minimum: &[bool],
    x: &[T],
    y: &mut [T],
) {
    check(geometry, x.len(), y.len());
    let n_channels = geometry.input[2];
    assert!(
        minimum.is_empty() || minimum.len() == n_channels,
        "the mask does not have the channels of the input"
    );
    for_each_window(geometry, |at, taps| {
        let out = &mut y[at..at + n_channels];
        let mut first = true;
        taps.for_each(|from| {
            let x = &x[from..from + n_channels];
            if first {
                out.copy_from_slice(x);
                first = false;
            } else if minimum.is_empty() {
                for (y, &x) in out.iter_mut().zip(x) {
                    *y = if x > *y { x } else { *y };
                }
            } else {
                for ((y, &x), &minimum) in out.iter_mut().zip(x).zip(minimum) {
                    let (greater, less) = (x > *y, x < *y);
                    *y = if (minimum & less) | (!minimum & greater) { x } else { *y };
                }
            }
        });
    });
}

/// The sum of every window, [oh, ow, c]; [`PoolGeometry::count`] has the number of its terms.
///
/// # Panics
/// If a length does not fit the geometry, a window has no tap inside of the image, or the window
/// is so large that a sum could leave `i32`.
pub fn average_sum<T: PoolElement>(
    _kernels: &'static Kernels,
    geometry: &PoolGeometry,
    x: &[T],
    sums: &mut [T::Sum],
) {
    check(geometry, x.len(), sums.len());
    // 2^15 elements of magnitude 2^15 are below 2^31; of 8 bits there may be 2^22.
    assert!(
        geometry.kernel[0] * geometry.kernel[1] < 1 << (38 - 8 * size_of::<T>().min(2)),
        "the window is too large to be summed in 32 bits"
    );
    let n_channels = geometry.input[2];
    for_each_window(geometry, |at, taps| {
        let out = &mut sums[at..at + n_channels];
        out.fill(T::Sum::default());
        taps.for_each(|from| T::accumulate(&x[from..from + n_channels], out));
    });
}

fn check(geometry: &PoolGeometry, x_len: usize, y_len: usize) {
    geometry.check();
    assert_eq!(x_len, geometry.input_len(), "the input does not fit the geometry");
    assert_eq!(y_len, geometry.output_len(), "the output does not fit the geometry");
    for axis in 0..2 {
        assert!(
            (0..geometry.output[axis]).all(|at| !geometry.inside(axis, at).is_empty()),
            "a window is outside of the image: {geometry:?}"
        );
    }
}

/// The taps of one window that are inside of the image.
struct Taps<'a> {
    geometry: &'a PoolGeometry,
    oh: usize,
    ow: usize,
}

impl Taps<'_> {
    /// Calls `each` with the index of every tap's first channel.
    #[inline(always)]
    fn for_each(&self, mut each: impl FnMut(usize)) {
        let [_, w, c] = self.geometry.input;
        for kh in self.geometry.inside(0, self.oh) {
            let row = self.geometry.source(0, self.oh, kh) * w;
            for kw in self.geometry.inside(1, self.ow) {
                each((row + self.geometry.source(1, self.ow, kw)) * c);
            }
        }
    }
}

/// Calls `each` with the index of every output pixel's first channel and its window.
#[inline(always)]
fn for_each_window(geometry: &PoolGeometry, mut each: impl FnMut(usize, Taps)) {
    let [h, w] = geometry.output;
    for oh in 0..h {
        for ow in 0..w {
            each((oh * w + ow) * geometry.input[2], Taps { geometry, oh, ow });
        }
    }
}
