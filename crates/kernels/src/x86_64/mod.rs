//! The instruction sets of x86-64.
//!
//! Tile kernels come from one macro: a few pixels by a few vectors of channels are kept in
//! registers while the runs are walked. Everything else is the plain loop, compiled again.

pub(crate) mod avx2;
pub(crate) mod avx512;
pub(crate) mod avxvnni;

/// Defines the tile kernel `$name`, a [`Tile`](crate::layout::Tile) but for its features.
///
/// `$rows` are the most pixels for each number of vectors. The expressions are the vector
/// operations: zero, a load of weights (which are aligned, for speed), a broadcast of one step of
/// inputs, the accumulation, and a store.
macro_rules! tile_kernel {
    (
        $name:ident, $block:ident, $features:literal,
        inputs: $a:ty, weights: $w:ty, sums: $c:ty, vector: $v:ty, lanes: $lanes:literal,
        step: $step:literal,
        tiles: { $($panels:literal => [$($rows:literal)*], most $most:literal;)* },
        zero: $zero:expr,
        load: |$load_at:ident| $load:expr,
        broadcast: |$from:ident| $broadcast:expr,
        accumulate: |$acc:ident, $x:ident, $b:ident| $accumulate:expr,
        store: |$store_at:ident, $sum:ident| $store:expr,
    ) => {
        #[target_feature(enable = $features)]
        fn $name(
            a: &[$a],
            pixels: &[u32],
            runs: &[Run],
            panels: usize,
            w: &[$w],
            sums: &mut [$c],
        ) {
            $crate::x86_64::check(
                a.len(), pixels, runs, w.len(), sums.len(), $step, panels * $lanes,
            );
            let most = match panels {
                $($panels => $most,)*
                _ => unreachable!("chunks have no more vectors than the kernel"),
            };
            let n_tiles = pixels.len().div_ceil(most);
            for tile in 0..n_tiles {
                let from = tile * pixels.len() / n_tiles;
                let end = (tile + 1) * pixels.len() / n_tiles;
                let pixels = &pixels[from..end];
                let sums = &mut sums[from * panels * $lanes..end * panels * $lanes];
                match (panels, pixels.len()) {
                    $($(($panels, $rows) => $block::<$rows, $panels>(a, pixels, runs, w, sums),)*)*
                    _ => unreachable!("tiles have no more pixels than the kernel"),
                }
            }
        }

        #[target_feature(enable = $features)]
        fn $block<const M: usize, const N: usize>(
            a: &[$a],
            pixels: &[u32],
            runs: &[Run],
            w: &[$w],
            sums: &mut [$c],
        ) {
            let mut acc: [[$v; N]; M] = [[$zero; N]; M];
            let a: [*const $a; M] =
                // SAFETY: `check` found every pixel inside of `a`.
                core::array::from_fn(|m| unsafe { a.as_ptr().add(pixels[m] as usize) });
            let mut w = w.as_ptr();
            for run in runs {
                let mut offset = run.offset;
                for _ in 0..run.steps {
                    let b: [$v; N] = core::array::from_fn(|n| {
                        // SAFETY: `check` found whole vectors of weights for all steps.
                        let $load_at = unsafe { w.add(n * $lanes * $step) };
                        $load
                    });
                    for m in 0..M {
                        // SAFETY: `check` found the furthest step of every pixel inside of `a`.
                        let $from = unsafe { a[m].add(offset) };
                        let $x = $broadcast;
                        for n in 0..N {
                            let ($acc, $b) = (acc[m][n], b[n]);
                            acc[m][n] = $accumulate;
                        }
                    }
                    // SAFETY: at most the end of the weights.
                    w = unsafe { w.add(N * $lanes * $step) };
                    offset += $step;
                }
            }
            for m in 0..M {
                for n in 0..N {
                    let $store_at = sums[(m * N + n) * $lanes..][..$lanes].as_mut_ptr();
                    let $sum = acc[m][n];
                    $store;
                }
            }
        }
    };
}
pub(crate) use tile_kernel;

/// Defines the exact 64-bit twin of a kernel of pairs: the 32-bit sums are moved to an upper and a
/// lower half at every flush.
///
/// A flushed sum `s` adds `s >> 16` to the upper half and `s` (wrapping) to the lower. The total
/// less `2^16 * upper` is what the shifts dropped: not negative and below `2^16` for each flush,
/// so that its 32 bits, which the lower half has, are all of it.
macro_rules! wide_tile_kernel {
    (
        $name:ident, $block:ident, $features:literal, vector: $v:ty, lanes: $lanes:literal,
        tiles: { $($panels:literal => [$($rows:literal)*], most $most:literal;)* },
        zero: $zero:expr,
        load: |$load_at:ident| $load:expr,
        broadcast: |$from:ident| $broadcast:expr,
        accumulate: |$acc:ident, $x:ident, $b:ident| $accumulate:expr,
        add: $add:path,
        upper: |$upper_of:ident| $upper:expr,
        store: |$store_at:ident, $sum:ident| $store:expr,
    ) => {
        #[target_feature(enable = $features)]
        fn $name(
            a: &[i16],
            pixels: &[u32],
            runs: &[Run],
            panels: usize,
            w: &[i16],
            sums: &mut [i64],
        ) {
            $crate::x86_64::check(
                a.len(), pixels, runs, w.len(), sums.len(), 2, panels * $lanes,
            );
            let most = match panels {
                $($panels => $most,)*
                _ => unreachable!("chunks have no more vectors than the kernel"),
            };
            let n_tiles = pixels.len().div_ceil(most);
            for tile in 0..n_tiles {
                let from = tile * pixels.len() / n_tiles;
                let end = (tile + 1) * pixels.len() / n_tiles;
                let pixels = &pixels[from..end];
                let sums = &mut sums[from * panels * $lanes..end * panels * $lanes];
                match (panels, pixels.len()) {
                    $($(($panels, $rows) => $block::<$rows, $panels>(a, pixels, runs, w, sums),)*)*
                    _ => unreachable!("tiles have no more pixels than the kernel"),
                }
            }
        }

        #[target_feature(enable = $features)]
        fn $block<const M: usize, const N: usize>(
            a: &[i16],
            pixels: &[u32],
            runs: &[Run],
            w: &[i16],
            sums: &mut [i64],
        ) {
            let mut acc: [[$v; N]; M] = [[$zero; N]; M];
            let mut uppers = acc;
            let mut lowers = acc;
            let a: [*const i16; M] =
                // SAFETY: `check` found every pixel inside of `a`.
                core::array::from_fn(|m| unsafe { a.as_ptr().add(pixels[m] as usize) });
            let mut w = w.as_ptr();
            for run in runs {
                let mut offset = run.offset;
                for _ in 0..run.steps {
                    let b: [$v; N] = core::array::from_fn(|n| {
                        // SAFETY: `check` found whole vectors of weights for all steps.
                        let $load_at = unsafe { w.add(n * $lanes * 2) };
                        $load
                    });
                    for m in 0..M {
                        // SAFETY: `check` found the furthest step of every pixel inside of `a`.
                        let $from = unsafe { a[m].add(offset) };
                        let $x = $broadcast;
                        for n in 0..N {
                            let ($acc, $b) = (acc[m][n], b[n]);
                            acc[m][n] = $accumulate;
                        }
                    }
                    // SAFETY: at most the end of the weights.
                    w = unsafe { w.add(N * $lanes * 2) };
                    offset += 2;
                }
                if run.flush {
                    for m in 0..M {
                        for n in 0..N {
                            let $upper_of = acc[m][n];
                            uppers[m][n] = $add(uppers[m][n], $upper);
                            lowers[m][n] = $add(lowers[m][n], acc[m][n]);
                            acc[m][n] = $zero;
                        }
                    }
                }
            }
            for m in 0..M {
                for n in 0..N {
                    let mut upper = [0_i32; $lanes];
                    let mut lower = [0_i32; $lanes];
                    let ($store_at, $sum) = (upper.as_mut_ptr(), uppers[m][n]);
                    $store;
                    let ($store_at, $sum) = (lower.as_mut_ptr(), lowers[m][n]);
                    $store;
                    let sums = &mut sums[(m * N + n) * $lanes..][..$lanes];
                    for lane in 0..$lanes {
                        let upper = i64::from(upper[lane]) << 16;
                        let rest = i64::from(lower[lane]).wrapping_sub(upper) as u32;
                        sums[lane] = upper + i64::from(rest);
                    }
                }
            }
        }
    };
}
pub(crate) use wide_tile_kernel;

/// Compiles the plain loops for `$features`.
macro_rules! plain_kernels {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        fn widen_u8(x: &[u8], y: &mut [i16]) {
            $crate::scalar::widen(x, y);
        }
        #[target_feature(enable = $features)]
        fn widen_i8(x: &[i8], y: &mut [i16]) {
            $crate::scalar::widen(x, y);
        }
        #[target_feature(enable = $features)]
        fn offset_i8(x: &[i8], y: &mut [u8]) {
            $crate::scalar::offset(x, y);
        }
        #[target_feature(enable = $features)]
        fn finish_wide(
            block: &Block,
            sums: &[i64],
            bias: BiasView<i64>,
            rule: WideRule,
            y: IntegersMut,
        ) {
            $crate::finish::wide(block, sums, bias, rule, y);
        }
        #[target_feature(enable = $features)]
        fn widen_sums(block: &Block, sums: &[i32], offsets: &[i32], wide: &mut [i64]) {
            $crate::finish::widen(block, sums, offsets, wide);
        }
        #[target_feature(enable = $features)]
        fn depthwise_i32(view: View<i16>, x: &[i16], sums: &mut [i32]) {
            $crate::depthwise::narrow(view, x, sums);
        }
        #[target_feature(enable = $features)]
        fn depthwise_i64(view: View<i16>, x: &[i16], sums: &mut [i64]) {
            $crate::depthwise::wide(view, x, sums);
        }
        #[target_feature(enable = $features)]
        fn depthwise_f32(view: View<f32>, x: &[f32], sums: &mut [f32]) {
            $crate::depthwise::float(view, x, sums);
        }
        #[target_feature(enable = $features)]
        fn max_pool_u8(geometry: &PoolGeometry, minimum: &[bool], x: &[u8], y: &mut [u8]) {
            $crate::scalar::max_pool(geometry, minimum, x, y);
        }
        #[target_feature(enable = $features)]
        fn max_pool_i8(geometry: &PoolGeometry, minimum: &[bool], x: &[i8], y: &mut [i8]) {
            $crate::scalar::max_pool(geometry, minimum, x, y);
        }
        #[target_feature(enable = $features)]
        fn max_pool_i16(geometry: &PoolGeometry, minimum: &[bool], x: &[i16], y: &mut [i16]) {
            $crate::scalar::max_pool(geometry, minimum, x, y);
        }
        #[target_feature(enable = $features)]
        fn max_pool_f32(geometry: &PoolGeometry, minimum: &[bool], x: &[f32], y: &mut [f32]) {
            $crate::scalar::max_pool(geometry, minimum, x, y);
        }
        #[target_feature(enable = $features)]
        fn sum_u8(geometry: &PoolGeometry, x: &[u8], y: &mut [i32]) {
            $crate::scalar::sum_pool(geometry, x, y);
        }
        #[target_feature(enable = $features)]
        fn sum_i8(geometry: &PoolGeometry, x: &[i8], y: &mut [i32]) {
            $crate::scalar::sum_pool(geometry, x, y);
        }
        #[target_feature(enable = $features)]
        fn sum_i16(geometry: &PoolGeometry, x: &[i16], y: &mut [i32]) {
            $crate::scalar::sum_pool(geometry, x, y);
        }
        #[target_feature(enable = $features)]
        fn sum_f32(geometry: &PoolGeometry, x: &[f32], y: &mut [f32]) {
            $crate::scalar::sum_pool(geometry, x, y);
        }
    };
}
pub(crate) use plain_kernels;

/// Makes safe function pointers of kernels that need features.
macro_rules! detected {
    ($kernel:ident($($argument:ident),*)) => {
        // SAFETY: the table is only handed out after its features were detected.
        |$($argument),*| unsafe { $kernel($($argument),*) }
    };
}
pub(crate) use detected;

/// The table of the plain kernels.
macro_rules! plain_table {
    () => {
        Plain {
            widen_u8: detected!(widen_u8(x, y)),
            widen_i8: detected!(widen_i8(x, y)),
            offset_i8: detected!(offset_i8(x, y)),
            finish_narrow: detected!(finish_narrow(block, sums, bias, rule, y)),
            finish_wide: detected!(finish_wide(block, sums, bias, rule, y)),
            finish_float: detected!(finish_float(block, sums, bias, activation, y)),
            widen_sums: detected!(widen_sums(block, sums, offsets, wide)),
            depthwise_i32: detected!(depthwise_i32(view, x, sums)),
            depthwise_i64: detected!(depthwise_i64(view, x, sums)),
            depthwise_f32: detected!(depthwise_f32(view, x, sums)),
        }
    };
}
pub(crate) use plain_table;

/// The table of the pooling kernels.
macro_rules! pool_table {
    () => {
        Pools {
            u8: Pool {
                max: detected!(max_pool_u8(geometry, minimum, x, y)),
                sum: detected!(sum_u8(geometry, x, y)),
            },
            i8: Pool {
                max: detected!(max_pool_i8(geometry, minimum, x, y)),
                sum: detected!(sum_i8(geometry, x, y)),
            },
            i16: Pool {
                max: detected!(max_pool_i16(geometry, minimum, x, y)),
                sum: detected!(sum_i16(geometry, x, y)),
            },
            f32: Pool {
                max: detected!(max_pool_f32(geometry, minimum, x, y)),
                sum: detected!(sum_f32(geometry, x, y)),
            },
        }
    };
}
pub(crate) use pool_table;

/// What every unsafe load of a tile kernel relies on.
fn check(
    a_len: usize,
    pixels: &[u32],
    runs: &[crate::layout::Run],
    w_len: usize,
    sums_len: usize,
    step: usize,
    width: usize,
) {
    let reach = runs.iter().map(|run| run.offset + run.steps * step).max().unwrap_or(0);
    let pixel = pixels.iter().copied().max().unwrap_or(0) as usize;
    assert!(pixel + reach <= a_len, "a tap is past the end of the image");
    let steps: usize = runs.iter().map(|run| run.steps).sum();
    assert_eq!(w_len, steps * step * width, "there are weights for every step");
    assert_eq!(sums_len, pixels.len() * width, "there is a sum for every pixel and channel");
}
