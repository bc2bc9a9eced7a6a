//! AVX-512 with VNNI: 16 sums in a vector, 32 vectors.

use super::{detected, plain_kernels, plain_table, pool_table, tile_kernel, wide_tile_kernel};
use crate::finish::{BiasView, NarrowRule, WideRule};
use crate::layout::{Block, Run};
use crate::table::{Plain, Pool, Pools, Tiles, Vectors};
use crate::{Activation, Integers, IntegersMut, Kernels, PoolGeometry};
#[allow(clippy::wildcard_imports, reason = "the names are the instructions")]
use core::arch::x86_64::*;
use core::ops::Range;

pub(crate) fn kernels() -> Option<&'static Kernels> {
    static KERNELS: Kernels = Kernels {
        name: "avx512vnni",
        vectors: Some(Vectors {
            tiles: Tiles {
                lanes: 16,
                max_panels: 4,
                max_wide_panels: 2,
                f32: detected!(tile_f32(a, pixels, runs, panels, w, sums)),
                u8: Some(detected!(tile_u8(a, pixels, runs, panels, w, sums))),
                i16: detected!(tile_i16(a, pixels, runs, panels, w, sums)),
                i16_wide: detected!(tile_i16_wide(a, pixels, runs, panels, w, sums)),
            },
            plain: plain_table!(),
        }),
        pools: pool_table!(),
    };
    (is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("fma"))
    .then_some(&KERNELS)
}

plain_kernels!("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma");

tile_kernel! {
    tile_f32, block_f32, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma",
    inputs: f32, weights: f32, sums: f32, vector: __m512, lanes: 16,
    step: 1,
    tiles: {
        1 => [1 2 3 4 5 6 7 8 9 10 11 12], most 12;
        2 => [1 2 3 4 5 6 7 8 9 10 11 12], most 12;
        3 => [1 2 3 4 5 6 7 8], most 8;
        4 => [1 2 3 4 5 6], most 6;
    },
    zero: _mm512_setzero_ps(),
    // SAFETY: a whole vector of aligned weights, as the macro says.
    load: |at| unsafe { _mm512_load_ps(at) },
    // SAFETY: one input, as the macro says.
    broadcast: |from| _mm512_set1_ps(unsafe { from.read() }),
    accumulate: |acc, x, b| _mm512_fmadd_ps(x, b, acc),
    // SAFETY: 16 sums were sliced for it.
    store: |at, sum| unsafe { _mm512_storeu_ps(at, sum) },
}

tile_kernel! {
    tile_u8, block_u8, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma",
    inputs: u8, weights: i8, sums: i32, vector: __m512i, lanes: 16,
    step: 4,
    tiles: {
        1 => [1 2 3 4 5 6 7 8 9 10 11 12], most 12;
        2 => [1 2 3 4 5 6 7 8 9 10 11 12], most 12;
        3 => [1 2 3 4 5 6 7 8], most 8;
        4 => [1 2 3 4 5 6], most 6;
    },
    zero: _mm512_setzero_si512(),
    // SAFETY: a whole vector of aligned weights, as the macro says.
    load: |at| unsafe { _mm512_load_si512(at.cast()) },
    // SAFETY: four inputs, as the macro says.
    broadcast: |from| _mm512_set1_epi32(unsafe { from.cast::<i32>().read_unaligned() }),
    accumulate: |acc, x, b| _mm512_dpbusd_epi32(acc, x, b),
    // SAFETY: 16 sums were sliced for it.
    store: |at, sum| unsafe { _mm512_storeu_si512(at.cast(), sum) },
}

tile_kernel! {
    tile_i16, block_i16, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma",
    inputs: i16, weights: i16, sums: i32, vector: __m512i, lanes: 16,
    step: 2,
    tiles: {
        1 => [1 2 3 4 5 6 7 8 9 10 11 12], most 12;
        2 => [1 2 3 4 5 6 7 8 9 10 11 12], most 12;
        3 => [1 2 3 4 5 6 7 8], most 8;
        4 => [1 2 3 4 5 6], most 6;
    },
    zero: _mm512_setzero_si512(),
    // SAFETY: a whole vector of aligned weights, as the macro says.
    load: |at| unsafe { _mm512_load_si512(at.cast()) },
    // SAFETY: two inputs, as the macro says.
    broadcast: |from| _mm512_set1_epi32(unsafe { from.cast::<i32>().read_unaligned() }),
    accumulate: |acc, x, b| _mm512_dpwssd_epi32(acc, x, b),
    // SAFETY: 16 sums were sliced for it.
    store: |at, sum| unsafe { _mm512_storeu_si512(at.cast(), sum) },
}

wide_tile_kernel! {
    tile_i16_wide, block_i16_wide, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma",
    vector: __m512i, lanes: 16,
    tiles: {
        1 => [1 2 3 4 5 6 7 8], most 8;
        2 => [1 2 3 4], most 4;
    },
    zero: _mm512_setzero_si512(),
    // SAFETY: a whole vector of aligned weights, as the macro says.
    load: |at| unsafe { _mm512_load_si512(at.cast()) },
    // SAFETY: two inputs, as the macro says.
    broadcast: |from| _mm512_set1_epi32(unsafe { from.cast::<i32>().read_unaligned() }),
    accumulate: |acc, x, b| _mm512_dpwssd_epi32(acc, x, b),
    add: _mm512_add_epi32,
    upper: |sum| _mm512_srai_epi32::<16>(sum),
    // SAFETY: the array has 16 lanes.
    store: |at, sum| unsafe { _mm512_storeu_si512(at.cast(), sum) },
}
