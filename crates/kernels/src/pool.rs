//! Pooling: the largest or the sum of a window, channel by channel.

use crate::{Kernels, PoolGeometry};

/// An element pooling is done on: `u8`, `i8`, `i16` and `f32`.
///
/// Sums of integers are `i32`, sums of floats `f32`.
pub trait PoolElement: sealed::Element {}

impl PoolElement for u8 {}
impl PoolElement for i8 {}
impl PoolElement for i16 {}
impl PoolElement for f32 {}

mod sealed {
    use crate::table::{Pool, Pools};

    pub trait Element: Copy + PartialOrd + 'static {
        type Sum: Copy + Default;
        #[allow(private_interfaces, reason = "the trait cannot be named outside of this crate")]
        fn pool(pools: &Pools) -> &Pool<Self, Self::Sum>;
    }

    macro_rules! element {
        ($($element:ident sums to $sum:ty,)*) => {
            $(impl Element for $element {
                type Sum = $sum;
                #[allow(private_interfaces, reason = "as above")]
                fn pool(pools: &Pools) -> &Pool<Self, Self::Sum> {
                    &pools.$element
                }
            })*
        };
    }
    element! { u8 sums to i32, i8 sums to i32, i16 sums to i32, f32 sums to f32, }
}

/// The largest input of every window, [oh, ow, c]; in channels where `minimum` is set the
/// smallest. An empty `minimum` sets none.
///
/// A negative scale folded past the pool turns a channel's maximum into its minimum.
///
/// # Panics
/// If a length does not fit the geometry or a window has no tap inside of the image.
pub fn max_pool<T: PoolElement>(
    kernels: &'static Kernels,
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
    (T::pool(&kernels.pools).max)(geometry, minimum, x, y);
}

/// The sum of every window, [oh, ow, c]; [`PoolGeometry::count`] has the number of its terms.
///
/// # Panics
/// If a length does not fit the geometry, a window has no tap inside of the image, or the window
/// is so large that a sum could leave `i32`.
pub fn average_sum<T: PoolElement>(
    kernels: &'static Kernels,
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
    (T::pool(&kernels.pools).sum)(geometry, x, sums);
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
