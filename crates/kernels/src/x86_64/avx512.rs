//! AVX-512 with VNNI: 16 sums in a vector, 32 vectors.

use super::{compiled_for, detected, stencil_kernel, tile_kernel, wide_tile_kernel};
use crate::combine::PairRule;
use crate::depthwise::View;
use crate::finish::{
    BiasView, NarrowRule, ResidualView, WideRule, for_each_pixel, narrow_by_channel,
};
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
    static KERNELS: Kernels = kernels_with(PLAIN.look_up_u8);
    static WITH_PERMUTED_BYTES: Kernels = kernels_with(detected!(look_up_u8(table, x, y)));
    let is_detected = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("fma");
    let permutes_bytes = is_x86_feature_detected!("avx512vbmi");
    is_detected.then_some(if permutes_bytes { &WITH_PERMUTED_BYTES } else { &KERNELS })
}

const fn kernels_with(look_up_u8: fn(&[u8; 256], &[u8], &mut [u8])) -> Kernels {
    Kernels {
        name: "avx512vnni",
        tiles: Some(Tiles {
            lanes: 16,
            max_panels: 4,
            max_wide_panels: 2,
            f32: detected!(tile_f32(a, pixels, runs, panels, w, sums)),
            u8: Some(detected!(tile_u8(a, pixels, runs, panels, w, sums))),
            i16: detected!(tile_i16(a, pixels, runs, panels, w, sums)),
            i16_wide: detected!(tile_i16_wide(a, pixels, runs, panels, w, sums)),
            stencil_u8: Some(detected!(stencil_u8(row, taps, inputs, sums))),
            stencil_i16: detected!(stencil_i16(row, taps, inputs, sums)),
            stencil_f32: detected!(stencil_f32(row, taps, inputs, sums)),
        }),
        plain: Plain {
            finish_i32: detected!(finish_i32(block, sums, bias, rule, y)),
            finish_f32: detected!(finish_f32(block, sums, bias, activation, y)),
            look_up_u8,
            requantize_i32: detected!(requantize_i32(sums, shifts, rule, y)),
            ..PLAIN
        },
    }
}

const PLAIN: Plain =
    plain_kernels! { compiled_for ["avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma"] };

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
fn finish_i32(block: &Block, sums: &[i32], bias: BiasView<i32>, rule: NarrowRule, y: IntegersMut) {
    if bias.values.len() == bias.n_channels {
        // Pixels are alike.
        match block.width {
            16 => return finish_i32_alike::<1>(block, sums, bias, rule, y),
            32 => return finish_i32_alike::<2>(block, sums, bias, rule, y),
            48 => return finish_i32_alike::<3>(block, sums, bias, rule, y),
            64 => return finish_i32_alike::<4>(block, sums, bias, rule, y),
            _ => {}
        }
    }
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

/// As `finish_i32`, of pixels with the same biases and up to `N` vectors of channels.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
fn finish_i32_alike<const N: usize>(
    block: &Block,
    sums: &[i32],
    bias: BiasView<i32>,
    rule: NarrowRule,
    y: IntegersMut,
) {
    let (n, width) = (block.n_channels, 16 * N);
    assert!(width - 16 < n && n <= width && block.width == width, "the channels fit the vectors");
    assert!(block.n_pixels * width <= sums.len(), "there is a sum for every pixel and channel");
    let lanes = |values: &[i32], default: i32| -> [__m512i; N] {
        let mut lanes = [[default; 16]; N];
        lanes.as_flattened_mut()[..n].copy_from_slice(&values[block.channel..][..n]);
        // SAFETY: an array has 16 lanes.
        lanes.map(|lanes| unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) })
    };
    let biases = lanes(bias.values, 0);
    let shift = rule.shift.cast_signed();
    let shifts =
        if bias.shifts.is_empty() { [_mm512_set1_epi32(shift); N] } else { lanes(bias.shifts, 0) };
    let shifted = |pixel: usize| -> [__m512i; N] {
        core::array::from_fn(|idx| {
            // SAFETY: there are sums for every pixel and vector.
            let at = unsafe { sums.as_ptr().add(pixel * width + 16 * idx) };
            // SAFETY: as above.
            let sum = unsafe { _mm512_loadu_si512(at.cast()) };
            _mm512_srav_epi32(_mm512_add_epi32(sum, biases[idx]), shifts[idx])
        })
    };
    let mask = u64::MAX >> (64 - n);
    let four = |v: [__m512i; N]| -> [__m512i; 4] {
        core::array::from_fn(|idx| if idx < N { v[idx] } else { _mm512_setzero_si512() })
    };
    macro_rules! write {
        ($y:expr, $put:path) => {{
            let y = &mut $y[block.pixel * bias.n_channels + block.channel..];
            let stride = bias.n_channels;
            assert!((block.n_pixels - 1) * stride + n <= y.len(), "there is room for every output");
            for pixel in 0..block.n_pixels {
                // SAFETY: there is room for the outputs of every pixel.
                let at = unsafe { y.as_mut_ptr().add(pixel * stride) };
                // SAFETY: as above, as many as the mask has.
                unsafe { $put(at, mask, four(shifted(pixel)), rule) };
            }
        }};
    }
    match y {
        IntegersMut::U8(y) => write!(y, put_u8),
        IntegersMut::I8(y) => write!(y, put_i8),
        IntegersMut::I16(y) => write!(y, put_i16),
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
    if bias.values.len() == bias.n_channels && !matches!(activation, Activation::Leaky(_)) {
        // Pixels are alike.
        match block.width {
            16 => return finish_f32_alike::<1>(block, sums, bias, activation, y),
            32 => return finish_f32_alike::<2>(block, sums, bias, activation, y),
            48 => return finish_f32_alike::<3>(block, sums, bias, activation, y),
            64 => return finish_f32_alike::<4>(block, sums, bias, activation, y),
            _ => {}
        }
    }
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

/// As `finish_f32`, of pixels with the same biases and up to `N` vectors of channels; not of a slope.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
fn finish_f32_alike<const N: usize>(
    block: &Block,
    sums: &[f32],
    bias: BiasView<f32>,
    activation: Activation,
    y: &mut [f32],
) {
    let (n, width) = (block.n_channels, 16 * N);
    assert!(width - 16 < n && n <= width && block.width == width, "the channels fit the vectors");
    assert!(block.n_pixels * width <= sums.len(), "there is a sum for every pixel and channel");
    let mut biases = [[0.0_f32; 16]; N];
    biases.as_flattened_mut()[..n].copy_from_slice(&bias.values[block.channel..][..n]);
    // SAFETY: an array has 16 lanes.
    let biases = biases.map(|lanes| unsafe { _mm512_loadu_ps(lanes.as_ptr()) });
    let last = first_lanes(n + 16 - width);
    let stride = bias.n_channels;
    let y = &mut y[block.pixel * stride + block.channel..];
    assert!((block.n_pixels - 1) * stride + n <= y.len(), "there is room for every output");
    let clamps = match activation {
        Activation::Clamp { min, max } => Some((_mm512_set1_ps(min), _mm512_set1_ps(max))),
        _ => None,
    };
    for pixel in 0..block.n_pixels {
        for (idx, &bias) in biases.iter().enumerate() {
            // SAFETY: there are sums for every pixel and vector.
            let sum = unsafe { _mm512_loadu_ps(sums.as_ptr().add(pixel * width + 16 * idx)) };
            let sum = _mm512_add_ps(sum, bias);
            // The second operand is taken where the first is no number, as `f32::max` does.
            let output =
                clamps.map_or(sum, |(min, max)| _mm512_min_ps(_mm512_max_ps(sum, min), max));
            let mask = if idx + 1 == N { last } else { 0xffff };
            // SAFETY: there is room for the outputs of every pixel, in the last vector as many as the mask has.
            unsafe {
                let at = y.as_mut_ptr().add(pixel * stride + 16 * idx);
                _mm512_mask_storeu_ps(at, mask, output);
            }
        }
    }
}

/// The table in four vectors: a byte chooses of 128 entries, its highest bit between their halves.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,avx512vbmi")]
fn look_up_u8(table: &[u8; 256], x: &[u8], y: &mut [u8]) {
    assert_eq!(x.len(), y.len(), "the lengths differ");
    let [a, b, c, d] = [0, 64, 128, 192].map(|from| {
        let at = table[from..][..64].as_ptr();
        // SAFETY: 64 entries were sliced for it.
        unsafe { _mm512_loadu_epi8(at.cast()) }
    });
    for from in (0..x.len()).step_by(64) {
        let mask = u64::MAX >> (64 - (x.len() - from).min(64));
        // SAFETY: the bytes of the mask are inside of the slices.
        let x = unsafe { _mm512_maskz_loadu_epi8(mask, x.as_ptr().add(from).cast()) };
        let (low, high) = (_mm512_permutex2var_epi8(a, x, b), _mm512_permutex2var_epi8(c, x, d));
        let found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
        // SAFETY: as above.
        unsafe { _mm512_mask_storeu_epi8(y.as_mut_ptr().add(from).cast(), mask, found) }
    }
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

stencil_kernel! {
    stencil_u8, stencil_vectors_u8, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma",
    inputs: u32, weights: i32, vector: __m512i, lanes: 16,
    load: |at| _mm512_loadu_si512(at.cast()),
    accumulate: |acc, x, b| _mm512_dpbusd_epi32(acc, x, b),
    store: |at, sum| _mm512_storeu_si512(at.cast(), sum),
}

stencil_kernel! {
    stencil_i16, stencil_vectors_i16, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma",
    inputs: u32, weights: i32, vector: __m512i, lanes: 16,
    load: |at| _mm512_loadu_si512(at.cast()),
    accumulate: |acc, x, b| _mm512_dpwssd_epi32(acc, x, b),
    store: |at, sum| _mm512_storeu_si512(at.cast(), sum),
}

stencil_kernel! {
    stencil_f32, stencil_vectors_f32, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma",
    inputs: f32, weights: f32, vector: __m512, lanes: 16,
    load: |at| _mm512_loadu_ps(at),
    accumulate: |acc, x, b| _mm512_fmadd_ps(x, b, acc),
    store: |at, sum| _mm512_storeu_ps(at, sum),
}

/// Outputs in the order of the sums, four vectors at once.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
fn requantize_i32(sums: &[i32], shifts: &[i32], rule: NarrowRule, y: IntegersMut) {
    assert_eq!(sums.len(), y.len(), "the lengths differ");
    let n_shifts = shifts.len();
    assert!(n_shifts.is_multiple_of(16), "shifts are by vector");
    let (sums, n) = (sums.as_ptr(), sums.len());
    // Vectors from `from` on; lanes past the end are zero.
    let shifted = |from: usize| -> [__m512i; 4] {
        core::array::from_fn(|idx| {
            let from = from + 16 * idx;
            let mask = first_lanes(n.saturating_sub(from));
            // SAFETY: the lanes of the mask are inside of the sums.
            let sum = unsafe { _mm512_maskz_loadu_epi32(mask, sums.wrapping_add(from)) };
            if n_shifts == 0 {
                return _mm512_sra_epi32(sum, _mm_cvtsi32_si128(rule.shift.cast_signed()));
            }
            let at = shifts[from % n_shifts..][..16].as_ptr();
            // SAFETY: a vector was sliced for it.
            _mm512_srav_epi32(sum, unsafe { _mm512_loadu_si512(at.cast()) })
        })
    };
    macro_rules! write {
        ($y:expr, $put:path) => {{
            let y = $y;
            for from in (0..n).step_by(64) {
                let mask = u64::MAX >> (64 - (n - from).min(64));
                // SAFETY: the lanes of the mask are inside of the outputs.
                unsafe { $put(y.as_mut_ptr().add(from), mask, shifted(from), rule) };
            }
        }};
    }
    match y {
        IntegersMut::U8(y) => write!(y, put_u8),
        IntegersMut::I8(y) => write!(y, put_i8),
        IntegersMut::I16(y) => write!(y, put_i16),
    }
}

/// Writes the lanes of `mask` of four vectors, saturated to the ends of a rule.
///
/// # Safety
/// The lanes of the mask must be inside of what `at` points to.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
unsafe fn put_u8(at: *mut u8, mask: __mmask64, sums: [__m512i; 4], rule: NarrowRule) {
    let (min, max) = (_mm512_set1_epi8(rule.min as i8), _mm512_set1_epi8(rule.max as i8));
    let all = _mm512_packus_epi16(
        _mm512_packs_epi32(sums[0], sums[1]),
        _mm512_packs_epi32(sums[2], sums[3]),
    );
    let all = _mm512_permutexvar_epi32(order_u8(), all);
    let all = _mm512_min_epu8(_mm512_max_epu8(all, min), max);
    // SAFETY: as the caller says.
    unsafe { _mm512_mask_storeu_epi8(at.cast(), mask, all) }
}

/// As [`put_u8`], signed.
///
/// # Safety
/// As of [`put_u8`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
unsafe fn put_i8(at: *mut i8, mask: __mmask64, sums: [__m512i; 4], rule: NarrowRule) {
    let (min, max) = (_mm512_set1_epi8(rule.min as i8), _mm512_set1_epi8(rule.max as i8));
    let all = _mm512_packs_epi16(
        _mm512_packs_epi32(sums[0], sums[1]),
        _mm512_packs_epi32(sums[2], sums[3]),
    );
    let all = _mm512_permutexvar_epi32(order_u8(), all);
    let all = _mm512_min_epi8(_mm512_max_epi8(all, min), max);
    // SAFETY: as the caller says.
    unsafe { _mm512_mask_storeu_epi8(at, mask, all) }
}

/// As [`put_u8`], of 16 bits.
///
/// # Safety
/// As of [`put_u8`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
unsafe fn put_i16(at: *mut i16, mask: __mmask64, sums: [__m512i; 4], rule: NarrowRule) {
    let (min, max) = (_mm512_set1_epi16(rule.min as i16), _mm512_set1_epi16(rule.max as i16));
    let order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    for half in 0..2 {
        let all = _mm512_packs_epi32(sums[2 * half], sums[2 * half + 1]);
        let all = _mm512_permutexvar_epi64(order, all);
        let all = _mm512_min_epi16(_mm512_max_epi16(all, min), max);
        let mask = (mask >> (32 * half)) as u32;
        // SAFETY: as the caller says.
        unsafe { _mm512_mask_storeu_epi16(at.wrapping_add(32 * half), mask, all) }
    }
}

/// The quarters of four vectors that were packed two by two, in their order.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
fn order_u8() -> __m512i {
    _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
}
