//! AVX-VNNI: the vectors of AVX2, with exact sums of products of bytes.

use super::{avx2, detected, stencil_kernel, tile_kernel};
use crate::Kernels;
use crate::layout::{Pixels, Run, Runs};
use crate::stencil::{Lanes, StencilRow, Taps};
use crate::table::Tiles;
#[allow(clippy::wildcard_imports, reason = "the names are the instructions")]
use core::arch::x86_64::*;

pub(crate) fn kernels() -> Option<&'static Kernels> {
    static KERNELS: Kernels = Kernels {
        name: "avxvnni",
        tiles: Some(Tiles {
            u8: Some(detected!(tile_u8(a, pixels, runs, panels, w, sums))),
            stencil_u8: Some(detected!(stencil_u8(row, taps, inputs, sums))),
            ..avx2::TILES
        }),
        plain: avx2::PLAIN,
    };
    (avx2::is_detected() && is_x86_feature_detected!("avxvnni")).then_some(&KERNELS)
}

tile_kernel! {
    tile_u8, block_u8, "avx2,fma,avxvnni",
    inputs: u8, weights: i8, sums: i32, vector: __m256i, lanes: 8,
    step: 4,
    tiles: {
        1 => [1 2 3 4 5 6 7 8], most 8;
        2 => [1 2 3 4 5 6], most 6;
    },
    zero: _mm256_setzero_si256(),
    // SAFETY: a whole vector of weights, as the macro says.
    load: |at| unsafe { _mm256_loadu_si256(at.cast()) },
    // SAFETY: four inputs, as the macro says.
    broadcast: |from| _mm256_set1_epi32(unsafe { from.cast::<i32>().read_unaligned() }),
    accumulate: |acc, x, b| _mm256_dpbusd_avx_epi32(acc, x, b),
    // SAFETY: 8 sums were sliced for it.
    store: |at, sum| unsafe { _mm256_storeu_si256(at.cast(), sum) },
}

stencil_kernel! {
    stencil_u8, stencil_vectors_u8, "avx2,fma,avxvnni",
    inputs: u32, weights: i32, vector: __m256i, lanes: 8,
    load: |at| _mm256_loadu_si256(at.cast()),
    accumulate: |acc, x, b| _mm256_dpbusd_avx_epi32(acc, x, b),
    store: |at, sum| _mm256_storeu_si256(at.cast(), sum),
}
