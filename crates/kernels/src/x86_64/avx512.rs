//! AVX-512 with VNNI: 16 sums in a vector, 32 vectors.

use super::{compiled_for, detected, tile_kernel, wide_tile_kernel};
use crate::combine::PairRule;
use crate::depthwise::View;
use crate::finish::{BiasView, NarrowRule, WideRule, for_each_pixel, narrow_by_channel};
use crate::functions::FloatFunction;
use crate::layout::{Block, Run};
use crate::products::Row;
use crate::quantize::Scale;
use crate::stored::{Results, ShiftSums, Shifts, StoredResult};
use crate::table::{Plain, Tiles, plain_kernels};
use crate::{Activation, Broadcast, Function, Integers, IntegersMut, Kernels, PoolGeometry};
#[allow(clippy::wildcard_imports, reason = "the names are the instructions")]
use core::arch::x86_64::*;

pub(crate) fn kernels() -> Option<&'static Kernels> {
    static KERNELS: Kernels = Kernels {
        name: "avx512vnni",
        tiles: Some(Tiles {
            lanes: 16,
            max_panels: 4,
            max_wide_panels: 2,
            f32: detected!(tile_f32(a, pixels, runs, panels, w, sums)),
            u8: Some(detected!(tile_u8(a, pixels, runs, panels, w, sums))),
            i16: detected!(tile_i16(a, pixels, runs, panels, w, sums)),
            i16_wide: detected!(tile_i16_wide(a, pixels, runs, panels, w, sums)),
        }),
        plain: Plain {
            finish_i32: detected!(finish_i32(block, sums, bias, rule, y)),
            finish_f32: detected!(finish_f32(block, sums, bias, activation, y)),
            ..PLAIN
        },
    };
    (is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("fma"))
    .then_some(&KERNELS)
}

const PLAIN: Plain =
    plain_kernels! { compiled_for ["avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma"] };

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
fn finish_i32(block: &Block, sums: &[i32], bias: BiasView<i32>, rule: NarrowRule, y: IntegersMut) {
    if !bias.shifts.is_empty() {
        return narrow_by_channel(block, sums, bias, rule, y);
    }
    let (min, max) = (_mm512_set1_epi32(rule.min), _mm512_set1_epi32(rule.max));
    let shift = _mm_cvtsi32_si128(rule.shift.cast_signed());
    macro_rules! write {
        ($y:expr, |$at:ident, $mask:ident, $output:ident| $store:expr) => {
            for_each_pixel(block, sums, bias, $y, |sums, biases, y| {
                for from in (0..sums.len()).step_by(16) {
                    let $mask = first_lanes(sums.len() - from);
                    // SAFETY: the lanes of the mask are inside of the slices, which have the
                    // same length.
                    let (sum, bias) = unsafe {
                        (
                            _mm512_maskz_loadu_epi32($mask, sums.as_ptr().add(from)),
                            _mm512_maskz_loadu_epi32($mask, biases.as_ptr().add(from)),
                        )
                    };
                    let shifted = _mm512_sra_epi32(_mm512_add_epi32(sum, bias), shift);
                    let $output = _mm512_min_epi32(_mm512_max_epi32(shifted, min), max);
                    // SAFETY: as above.
                    let $at = unsafe { y.as_mut_ptr().add(from) };
                    $store;
                }
            })
        };
    }
    match y {
        IntegersMut::U8(y) => write!(y, |at, mask, output| {
            // SAFETY: the lanes of the mask are inside of the outputs.
            unsafe { _mm512_mask_cvtepi32_storeu_epi8(at.cast(), mask, output) }
        }),
        IntegersMut::I8(y) => write!(y, |at, mask, output| {
            // SAFETY: the lanes of the mask are inside of the outputs.
            unsafe { _mm512_mask_cvtepi32_storeu_epi8(at, mask, output) }
        }),
        IntegersMut::I16(y) => write!(y, |at, mask, output| {
            // SAFETY: the lanes of the mask are inside of the outputs.
            unsafe { _mm512_mask_cvtepi32_storeu_epi16(at, mask, output) }
        }),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
fn finish_f32(
    block: &Block,
    sums: &[f32],
    bias: BiasView<f32>,
    activation: Activation,
    y: &mut [f32],
) {
    let clamps = matches!(activation, Activation::Clamp { .. });
    let (min, max, alpha) = match activation {
        Activation::None => (f32::NEG_INFINITY, f32::INFINITY, 1.0),
        Activation::Clamp { min, max } => (min, max, 1.0),
        Activation::Leaky(alpha) => (f32::NEG_INFINITY, f32::INFINITY, alpha),
    };
    let (min, max, alpha) = (_mm512_set1_ps(min), _mm512_set1_ps(max), _mm512_set1_ps(alpha));
    for_each_pixel(block, sums, bias, y, |sums, biases, y| {
        for from in (0..sums.len()).step_by(16) {
            let mask = first_lanes(sums.len() - from);
            // SAFETY: the lanes of the mask are inside of the slices, which have the same length.
            let (sum, bias) = unsafe {
                (
                    _mm512_maskz_loadu_ps(mask, sums.as_ptr().add(from)),
                    _mm512_maskz_loadu_ps(mask, biases.as_ptr().add(from)),
                )
            };
            let sum = _mm512_add_ps(sum, bias);
            let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(sum, _mm512_setzero_ps());
            let sloped = _mm512_mask_mul_ps(sum, negative, sum, alpha);
            // The second operand is taken where the first is no number, as `f32::max` does.
            let output =
                if clamps { _mm512_min_ps(_mm512_max_ps(sloped, min), max) } else { sloped };
            // SAFETY: as above.
            unsafe { _mm512_mask_storeu_ps(y.as_mut_ptr().add(from), mask, output) };
        }
    });
}

/// The mask of `n` lanes, 16 at most.
fn first_lanes(n: usize) -> __mmask16 {
    if n >= 16 { 0xffff } else { (1 << n) - 1 }
}

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
    // SAFETY: a whole vector of weights, as the macro says.
    load: |at| unsafe { _mm512_loadu_ps(at) },
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
    // SAFETY: a whole vector of weights, as the macro says.
    load: |at| unsafe { _mm512_loadu_si512(at.cast()) },
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
    // SAFETY: a whole vector of weights, as the macro says.
    load: |at| unsafe { _mm512_loadu_si512(at.cast()) },
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
    // SAFETY: a whole vector of weights, as the macro says.
    load: |at| unsafe { _mm512_loadu_si512(at.cast()) },
    // SAFETY: two inputs, as the macro says.
    broadcast: |from| _mm512_set1_epi32(unsafe { from.cast::<i32>().read_unaligned() }),
    accumulate: |acc, x, b| _mm512_dpwssd_epi32(acc, x, b),
    add: _mm512_add_epi32,
    upper: |sum| _mm512_srai_epi32::<16>(sum),
    // SAFETY: the array has 16 lanes.
    store: |at, sum| unsafe { _mm512_storeu_si512(at.cast(), sum) },
}
