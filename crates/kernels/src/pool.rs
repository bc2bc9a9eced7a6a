//! Pooling: the largest of a window, channel by channel.

use crate::{Kernels, PoolGeometry};

/// An element pooling is done on: `u8`, `i8`, `i16` and `f32`.
pub trait PoolElement: sealed::Element {}

impl PoolElement for u8 {}
impl PoolElement for i8 {}
impl PoolElement for i16 {}
impl PoolElement for f32 {}

mod sealed {
    use crate::{PoolGeometry, table::Plain};

    /// `y` from `x`; the lengths are the caller's care.
    pub(crate) type MaxPool<T> = fn(&PoolGeometry, &[bool], &[T], &mut [T]);

    pub trait Element: Copy + PartialOrd + 'static {
        #[allow(private_interfaces, reason = "the trait cannot be named outside of this crate")]
        fn max_pool(plain: &Plain) -> MaxPool<Self>;
    }

    macro_rules! element {
        ($($element:ident by $kernel:ident,)*) => {
            $(impl Element for $element {
                #[allow(private_interfaces, reason = "as above")]
                fn max_pool(plain: &Plain) -> MaxPool<Self> {
                    plain.$kernel
                }
            })*
        };
    }
    element! { u8 by max_pool_u8, i8 by max_pool_i8, i16 by max_pool_i16, f32 by max_pool_f32, }
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
    T::max_pool(&kernels.plain)(geometry, minimum, x, y);
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
