//! What a table of kernels is: below every instruction set, which fill theirs, and above the plain
//! loops that tables are made of.

use crate::aligned::Aligned;
use crate::combine::{Broadcast, Function, PairRule};
use crate::depthwise::View;
use crate::finish::{BiasView, NarrowRule, ResidualView, WideRule};
use crate::functions::FloatFunction;
use crate::geometry::PoolGeometry;
use crate::layout::{Block, Tile};
use crate::products::Row;
use crate::quantize::Scale;
use crate::stencil::StencilKernel;
use crate::stored::{ErrorSums, Results, StoredResult};
use crate::{Activation, Integers, IntegersMut};

/// The kernels of one instruction set.
pub struct Kernels {
    /// The instruction set's name.
    pub name: &'static str,
    /// What convolutions are made of; without it they are the loops of the specification.
    pub(crate) tiles: Option<Tiles>,
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
    /// Depthwise, words of bytes, for instruction sets that multiply bytes exactly.
    pub(crate) stencil_u8: Option<StencilKernel<u32, i32>>,
    /// Depthwise, words of pairs.
    pub(crate) stencil_i16: StencilKernel<u32, i32>,
    /// Depthwise, of floats.
    pub(crate) stencil_f32: StencilKernel<f32, f32>,
}

/// The only list of the plain kernels: each with the loop that it is. Calls the macro `$with` with
/// `$arguments` and the list.
macro_rules! plain_kernels {
    ($with:ident $arguments:tt) => {
        $with! {
            $arguments
            quantize_u8(scale: Scale, x: &[f32], y: &mut [u8]) = crate::quantize::all;
            quantize_i8(scale: Scale, x: &[f32], y: &mut [i8]) = crate::quantize::all;
            quantize_i16(scale: Scale, x: &[f32], y: &mut [i16]) = crate::quantize::all;
            widen_u8(x: &[u8], y: &mut [i16]) = crate::scalar::widen;
            widen_i8(x: &[i8], y: &mut [i16]) = crate::scalar::widen;
            offset_i8(x: &[i8], y: &mut [u8]) = crate::scalar::offset;
            join_u8(rows: [&[u8]; 4], mask: u32, words: &mut [u32]) = crate::stencil::join_bytes;
            join_i8(rows: [&[i8]; 4], mask: u32, words: &mut [u32])
                = crate::stencil::join_signed_bytes;
            join_u8_wide(rows: [&[u8]; 2], mask: u32, words: &mut [u32])
                = crate::stencil::join_pairs;
            join_i8_wide(rows: [&[i8]; 2], mask: u32, words: &mut [u32])
                = crate::stencil::join_pairs;
            join_i16_wide(rows: [&[i16]; 2], mask: u32, words: &mut [u32])
                = crate::stencil::join_pairs;
            depthwise_i64(view: View<i16>, x: &[i16], sums: &mut [i64]) = crate::depthwise::wide;
            add_i32(block: &Block, added: ResidualView, sums: &mut [i32])
                = crate::finish::add_narrow;
            add_i64(block: &Block, added: ResidualView, sums: &mut [i64])
                = crate::finish::add_wide;
            widen_i32(block: &Block, sums: &[i32], offsets: &[i32], wide: &mut [i64])
                = crate::finish::widen;
            finish_i32(
                block: &Block, sums: &[i32], bias: BiasView<i32>, rule: NarrowRule, y: IntegersMut
            ) = crate::finish::narrow;
            requantize_i32(sums: &[i32], shifts: &[i32], rule: NarrowRule, y: IntegersMut)
                = crate::finish::in_order;
            finish_i64(
                block: &Block, sums: &[i64], bias: BiasView<i64>, rule: WideRule, y: IntegersMut
            ) = crate::finish::wide;
            finish_f32(
                block: &Block, sums: &[f32], bias: BiasView<f32>, activation: Activation,
                y: &mut [f32]
            ) = crate::finish::float;
            combine_i32(
                rule: PairRule, broadcast: &Broadcast, a: Integers, b: Integers, y: IntegersMut
            ) = crate::combine::narrow;
            combine_f32(
                function: Function, broadcast: &Broadcast, a: &[f32], b: &[f32], y: &mut [f32]
            ) = crate::combine::float;
            affine_f32(scale: &[f64], shift: &[f64], x: &[f32], y: &mut [f32])
                = crate::functions::affine;
            activate_f32(activation: Activation, y: &mut [f32]) = crate::functions::activate;
            function_f32(function: FloatFunction, y: &mut [f32]) = crate::functions::all;
            add_products_f32(factors: &[Vec<f32>], first: usize, x: &[Row], sums: &mut [Row])
                = crate::products::rows;
            stored_errors_f32(
                result: &StoredResult, results: Results,
                shifts: &[[f32; crate::stored::CHANNEL_LANES]], errors: &mut [ErrorSums]
            ) = crate::stored::errors;
            look_up_u8(table: &[u8; 256], x: &[u8], y: &mut [u8]) = crate::lookup::bytes;
            sum_pool_u8(geometry: &PoolGeometry, x: &[u8], sums: &mut [i32]) = crate::average::sums;
            sum_pool_i8(geometry: &PoolGeometry, x: &[i8], sums: &mut [i32]) = crate::average::sums;
            sum_pool_i16(geometry: &PoolGeometry, x: &[i16], sums: &mut [i32])
                = crate::average::sums;
            scale_i32(sums: &[i32], factor: i64, rule: WideRule, y: IntegersMut)
                = crate::average::scale;
            max_pool_u8(geometry: &PoolGeometry, minimum: &[bool], x: &[u8], y: &mut [u8])
                = crate::scalar::max_pool;
            max_pool_i8(geometry: &PoolGeometry, minimum: &[bool], x: &[i8], y: &mut [i8])
                = crate::scalar::max_pool;
            max_pool_i16(geometry: &PoolGeometry, minimum: &[bool], x: &[i16], y: &mut [i16])
                = crate::scalar::max_pool;
            max_pool_f32(geometry: &PoolGeometry, minimum: &[bool], x: &[f32], y: &mut [f32])
                = crate::scalar::max_pool;
        }
    };
}
pub(crate) use plain_kernels;

macro_rules! declare {
    ([] $($kernel:ident($($argument:ident: $type:ty),*) = $loop:path;)*) => {
        /// Plain loops, compiled for an instruction set; the lengths are the caller's care.
        pub(crate) struct Plain {
            $(pub(crate) $kernel: fn($($type),*),)*
        }
    };
}
plain_kernels! { declare [] }

macro_rules! as_they_are {
    ([] $($kernel:ident($($argument:ident: $type:ty),*) = $loop:path;)*) => {
        /// The scalar specification.
        pub(crate) static SCALAR: Kernels = Kernels {
            name: "scalar",
            tiles: None,
            plain: Plain { $($kernel: |$($argument),*| $loop($($argument),*),)* },
        };
    };
}
plain_kernels! { as_they_are [] }

impl core::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Kernels").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Memory a kernel works in; one a thread, grown as needed and used again.
#[derive(Default)]
pub struct Scratch {
    pub(crate) staged_f32: Aligned<f32>,
    pub(crate) staged_u8: Aligned<u8>,
    pub(crate) staged_i16: Aligned<i16>,
    pub(crate) words: Aligned<u32>,
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
