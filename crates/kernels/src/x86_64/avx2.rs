//! AVX2 with FMA: 8 sums in a vector, 16 vectors. Bytes are widened to 16 bits, because the
//! byte products of this instruction set saturate.

use super::{compiled_for, detected, stencil_kernel, tile_kernel, wide_tile_kernel};
use crate::combine::PairRule;
use crate::depthwise::View;
use crate::finish::{BiasView, NarrowRule, ResidualView, WideRule};
use crate::functions::FloatFunction;
use crate::layout::{Block, Pixels, Run, Runs};
use crate::products::Row;
use crate::quantize::Scale;
use crate::stencil::{Lanes, StencilRow, Taps};
use crate::stored::{ErrorSums, Results, StoredResult};
use crate::table::{Plain, Tiles, plain_kernels};
use crate::{Activation, Broadcast, Function, Integers, IntegersMut, Kernels, PoolGeometry};
#[allow(clippy::wildcard_imports, reason = "the names are the instructions")]
use core::arch::x86_64::*;

pub(crate) fn kernels() -> Option<&'static Kernels> {
    static KERNELS: Kernels = Kernels { name: "avx2", tiles: Some(TILES), plain: PLAIN };
    is_detected().then_some(&KERNELS)
}

/// Whether this CPU may be handed a table with any of these kernels.
pub(super) fn is_detected() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

pub(super) const TILES: Tiles = Tiles {
    lanes: 8,
    max_panels: 2,
    max_wide_panels: 2,
    f32: detected!(tile_f32(a, pixels, runs, panels, w, sums)),
    u8: None,
    i16: detected!(tile_i16(a, pixels, runs, panels, w, sums)),
    i16_wide: detected!(tile_i16_wide(a, pixels, runs, panels, w, sums)),
    stencil_u8: None,
    stencil_i16: detected!(stencil_i16(row, taps, inputs, sums)),
    stencil_f32: detected!(stencil_f32(row, taps, inputs, sums)),
};
pub(super) const PLAIN: Plain = plain_kernels! { compiled_for ["avx2,fma"] };

tile_kernel! {
    tile_f32, block_f32, "avx2,fma",
    inputs: f32, weights: f32, sums: f32, vector: __m256, lanes: 8,
    step: 1,
    tiles: {
        1 => [1 2 3 4 5 6 7 8], most 8;
        2 => [1 2 3 4 5 6], most 6;
    },
    zero: _mm256_setzero_ps(),
    // SAFETY: a whole vector of weights, as the macro says.
    load: |at| unsafe { _mm256_loadu_ps(at) },
    // SAFETY: one input, as the macro says.
    broadcast: |from| _mm256_set1_ps(unsafe { from.read() }),
    accumulate: |acc, x, b| _mm256_fmadd_ps(x, b, acc),
    // SAFETY: 8 sums were sliced for it.
    store: |at, sum| unsafe { _mm256_storeu_ps(at, sum) },
}

tile_kernel! {
    tile_i16, block_i16, "avx2,fma",
    inputs: i16, weights: i16, sums: i32, vector: __m256i, lanes: 8,
    step: 2,
    tiles: {
        1 => [1 2 3 4 5 6 7 8], most 8;
        2 => [1 2 3 4 5 6], most 6;
    },
    zero: _mm256_setzero_si256(),
    // SAFETY: a whole vector of weights, as the macro says.
    load: |at| unsafe { _mm256_loadu_si256(at.cast()) },
    // SAFETY: two inputs, as the macro says.
    broadcast: |from| _mm256_set1_epi32(unsafe { from.cast::<i32>().read_unaligned() }),
    // The one pair whose sum wraps, four times -32768, is right modulo 2^32 like everything here.
    accumulate: |acc, x, b| _mm256_add_epi32(acc, _mm256_madd_epi16(x, b)),
    // SAFETY: 8 sums were sliced for it.
    store: |at, sum| unsafe { _mm256_storeu_si256(at.cast(), sum) },
}

wide_tile_kernel! {
    tile_i16_wide, block_i16_wide, "avx2,fma",
    vector: __m256i, lanes: 8,
    tiles: {
        1 => [1 2 3 4], most 4;
        2 => [1 2], most 2;
    },
    zero: _mm256_setzero_si256(),
    // SAFETY: a whole vector of weights, as the macro says.
    load: |at| unsafe { _mm256_loadu_si256(at.cast()) },
    // SAFETY: two inputs, as the macro says.
    broadcast: |from| _mm256_set1_epi32(unsafe { from.cast::<i32>().read_unaligned() }),
    accumulate: |acc, x, b| _mm256_add_epi32(acc, _mm256_madd_epi16(x, b)),
    add: _mm256_add_epi32,
    upper: |sum| _mm256_srai_epi32::<16>(sum),
    // SAFETY: the array has 8 lanes.
    store: |at, sum| unsafe { _mm256_storeu_si256(at.cast(), sum) },
}

stencil_kernel! {
    stencil_i16, stencil_vectors_i16, "avx2,fma",
    inputs: u32, weights: i32, vector: __m256i, lanes: 8,
    load: |at| _mm256_loadu_si256(at.cast()),
    accumulate: |acc, x, b| _mm256_add_epi32(acc, _mm256_madd_epi16(x, b)),
    store: |at, sum| _mm256_storeu_si256(at.cast(), sum),
}

stencil_kernel! {
    stencil_f32, stencil_vectors_f32, "avx2,fma",
    inputs: f32, weights: f32, vector: __m256, lanes: 8,
    load: |at| _mm256_loadu_ps(at),
    accumulate: |acc, x, b| _mm256_fmadd_ps(x, b, acc),
    store: |at, sum| _mm256_storeu_ps(at, sum),
}
