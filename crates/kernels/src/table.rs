//! The tables of kernels, one for each instruction set, and the memory they work in.

use crate::aligned::Aligned;
use crate::depthwise::View;
use crate::finish::{BiasView, NarrowRule, WideRule};
use crate::layout::{Block, Tile};
use crate::{Activation, IntegersMut, PoolGeometry, scalar};

/// The kernels of one instruction set.
pub struct Kernels {
    /// The instruction set's name.
    pub name: &'static str,
    /// What convolutions are made of; without it they are the plain loops of the specification.
    pub(crate) vectors: Option<Vectors>,
    pub(crate) pools: Pools,
}

/// What a vectorized convolution is made of.
pub(crate) struct Vectors {
    pub(crate) tiles: Tiles,
    pub(crate) plain: Plain,
}

/// The kernels of dense and grouped convolutions.
pub(crate) struct Tiles {
    /// 32-bit sums in one vector.
    pub(crate) lanes: usize,
    /// The most vectors of channels in one call.
    pub(crate) max_panels: usize,
    /// As `max_panels`, of `i16_wide`.
    pub(crate) max_wide_panels: usize,
    /// One element a step.
    pub(crate) f32: Tile<f32, f32, f32>,
    /// Four elements a step, for instruction sets that multiply bytes exactly.
    pub(crate) u8: Option<Tile<u8, i8, i32>>,
    /// Two elements a step.
    pub(crate) i16: Tile<i16, i16, i32>,
    /// Two elements a step, sums of 64 bits.
    pub(crate) i16_wide: Tile<i16, i16, i64>,
}

/// Plain loops compiled for the instruction set.
pub(crate) struct Plain {
    pub(crate) widen_u8: fn(&[u8], &mut [i16]),
    pub(crate) widen_i8: fn(&[i8], &mut [i16]),
    pub(crate) offset_i8: fn(&[i8], &mut [u8]),
    pub(crate) finish_narrow: fn(&Block, &[i32], BiasView<i32>, NarrowRule, IntegersMut),
    pub(crate) finish_wide: fn(&Block, &[i64], BiasView<i64>, WideRule, IntegersMut),
    pub(crate) finish_float: fn(&Block, &[f32], BiasView<f32>, Activation, &mut [f32]),
    pub(crate) widen_sums: fn(&Block, &[i32], &[i32], &mut [i64]),
    pub(crate) depthwise_i32: fn(View<i16>, &[i16], &mut [i32]),
    pub(crate) depthwise_i64: fn(View<i16>, &[i16], &mut [i64]),
    pub(crate) depthwise_f32: fn(View<f32>, &[f32], &mut [f32]),
}

/// Pooling of each element.
pub(crate) struct Pools {
    pub(crate) u8: Pool<u8, i32>,
    pub(crate) i8: Pool<i8, i32>,
    pub(crate) i16: Pool<i16, i32>,
    pub(crate) f32: Pool<f32, f32>,
}

/// Pooling of one element; the lengths are the caller's care.
pub(crate) struct Pool<T, S> {
    pub(crate) max: fn(&PoolGeometry, &[bool], &[T], &mut [T]),
    pub(crate) sum: fn(&PoolGeometry, &[T], &mut [S]),
}

impl Kernels {
    /// Every table this CPU can run, best first; the last one is the scalar specification.
    pub fn all() -> impl Iterator<Item = &'static Kernels> {
        [
            #[cfg(target_arch = "x86_64")]
            crate::x86_64::avx512::kernels(),
            #[cfg(target_arch = "x86_64")]
            crate::x86_64::avxvnni::kernels(),
            #[cfg(target_arch = "x86_64")]
            crate::x86_64::avx2::kernels(),
            Some(&SCALAR),
        ]
        .into_iter()
        .flatten()
    }

    /// The best table for this CPU, detected once.
    pub fn best() -> &'static Kernels {
        static BEST: std::sync::LazyLock<&'static Kernels> = std::sync::LazyLock::new(|| {
            Kernels::all().next().expect("the scalar table always runs")
        });
        *BEST
    }

    /// The scalar specification.
    pub fn scalar() -> &'static Kernels {
        &SCALAR
    }
}

impl core::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Kernels").field("name", &self.name).finish_non_exhaustive()
    }
}

static SCALAR: Kernels = Kernels {
    name: "scalar",
    vectors: None,
    pools: Pools {
        u8: Pool { max: scalar::max_pool, sum: scalar::sum_pool },
        i8: Pool { max: scalar::max_pool, sum: scalar::sum_pool },
        i16: Pool { max: scalar::max_pool, sum: scalar::sum_pool },
        f32: Pool { max: scalar::max_pool, sum: scalar::sum_pool },
    },
};

/// Memory a kernel works in; one a thread, grown as needed and used again.
#[derive(Default)]
pub struct Scratch {
    pub(crate) staged_f32: Aligned<f32>,
    pub(crate) staged_u8: Aligned<u8>,
    pub(crate) staged_i16: Aligned<i16>,
    pub(crate) sums_f32: Aligned<f32>,
    pub(crate) sums_i32: Aligned<i32>,
    pub(crate) sums_i64: Aligned<i64>,
}

impl Scratch {
    /// No memory yet.
    pub fn new() -> Self {
        Scratch::default()
    }
}

impl core::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}
