//! The instruction sets of x86-64.
//!
//! Tile kernels come from one macro: a few pixels by a few vectors of channels are kept in
//! registers while the runs are walked. Everything else is the plain loop, compiled again.

pub(crate) mod avx2;
pub(crate) mod avx512;
pub(crate) mod avxvnni;

/// Defines the kernel `$name`, a [`Tile`](crate::layout::Tile) but for its features, from blocks of
/// so many pixels (`$rows`, at most `$most`) by so many vectors of channels (`$panels`).
macro_rules! by_blocks {
    (
        $name:ident, $block:ident, $features:literal,
        inputs: $a:ty, weights: $w:ty, sums: $c:ty, lanes: $lanes:literal, step: $step:literal,
        tiles: { $($panels:literal => [$($rows:literal)*], most $most:literal;)* },
    ) => {
        #[target_feature(enable = $features)]
        fn $name(
            a: &[$a],
            pixels: Pixels,
            runs: &Runs,
            panels: usize,
            w: &[$w],
            sums: &mut [$c],
        ) {
            $crate::x86_64::check(
                a.len(), pixels, runs, w.len(), sums.len(), $step, panels * $lanes,
            );
            let (pixels, runs) = (pixels.starts(), runs.all());
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
    };
}
pub(crate) use by_blocks;

/// Defines the tile kernel `$name`. The expressions are the vector operations: zero, a load of weights (which are aligned, for speed), a broadcast of one step of
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
        $crate::x86_64::by_blocks! {
            $name, $block, $features,
            inputs: $a, weights: $w, sums: $c, lanes: $lanes, step: $step,
            tiles: { $($panels => [$($rows)*], most $most;)* },
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
        $crate::x86_64::by_blocks! {
            $name, $block, $features,
            inputs: i16, weights: i16, sums: i64, lanes: $lanes, step: 2,
            tiles: { $($panels => [$($rows)*], most $most;)* },
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

/// Defines the kernel `$name`, a [`StencilKernel`](crate::stencil::StencilKernel) but for its features. The
/// expressions are the vector operations: a load of inputs, weights or biases, the accumulation, and a store of so
/// many lanes.
macro_rules! stencil_kernel {
    (
        $name:ident, $vectors_of:ident, $features:literal,
        inputs: $x:ty, weights: $w:ty, vector: $v:ty, lanes: $lanes:literal,
        load: |$load_at:ident| $load:expr,
        accumulate: |$acc:ident, $x_of:ident, $b:ident| $accumulate:expr,
        store: |$store_at:ident, $sum:ident| $store:expr,
    ) => {
        #[target_feature(enable = $features)]
        fn $name(row: &StencilRow<$w>, taps: &Taps, inputs: &[$x], sums: &mut [$w]) {
            let row = row.check($lanes, taps, inputs.len(), sums.len());
            match row.taps.len() {
                1 => $vectors_of::<1>(row, inputs, sums),
                2 => $vectors_of::<2>(row, inputs, sums),
                3 => $vectors_of::<3>(row, inputs, sums),
                4 => $vectors_of::<4>(row, inputs, sums),
                5 => $vectors_of::<5>(row, inputs, sums),
                6 => $vectors_of::<6>(row, inputs, sums),
                9 => $vectors_of::<9>(row, inputs, sums),
                10 => $vectors_of::<10>(row, inputs, sums),
                15 => $vectors_of::<15>(row, inputs, sums),
                25 => $vectors_of::<25>(row, inputs, sums),
                // As many as there are, weights not kept in registers.
                _ => $vectors_of::<0>(row, inputs, sums),
            }
        }

        #[target_feature(enable = $features)]
        fn $vectors_of<const TAPS: usize>(row: Lanes<$w>, inputs: &[$x], sums: &mut [$w]) {
            let Lanes { starts, taps, n_outputs, n_phases, weights, bias } = row;
            assert!(TAPS == 0 || TAPS == taps.len(), "the kernel was chosen by its taps");
            let (inputs, outputs) = (inputs.as_ptr(), sums.as_mut_ptr());
            let n_whole = n_outputs / $lanes;
            let offsets: [usize; TAPS] = core::array::from_fn(|tap| taps[tap] as usize);
            for phase in 0..n_phases.min(starts.len()) {
                let constant = |values: &[$w], idx: usize| {
                    let $load_at = values[idx * $lanes..][..$lanes].as_ptr();
                    // SAFETY: a vector was sliced for it.
                    unsafe { $load }
                };
                let kept: [$v; TAPS] =
                    core::array::from_fn(|tap| constant(weights, phase * taps.len() + tap));
                let bias = constant(bias, phase);
                let sum_of = |idx: usize| {
                    // SAFETY: `check` found the inputs of every vector and tap, and a start for each vector.
                    let start = unsafe { inputs.add(*starts.get_unchecked(idx) as usize) };
                    let mut sum = bias;
                    if TAPS == 0 {
                        for (tap, &offset) in taps.iter().enumerate() {
                            // SAFETY: as above.
                            let $load_at = unsafe { start.add(offset as usize) };
                            // SAFETY: as above.
                            let ($acc, $x_of) = (sum, unsafe { $load });
                            let $b = constant(weights, phase * taps.len() + tap);
                            sum = $accumulate;
                        }
                    } else {
                        for tap in 0..TAPS {
                            // SAFETY: as above.
                            let $load_at = unsafe { start.add(offsets[tap]) };
                            // SAFETY: as above.
                            let ($acc, $x_of, $b) = (sum, unsafe { $load }, kept[tap]);
                            sum = $accumulate;
                        }
                    }
                    sum
                };
                let mut idx = phase;
                while idx < n_whole {
                    let $sum = sum_of(idx);
                    // SAFETY: the outputs of whole vectors are inside of the sums.
                    let $store_at = unsafe { outputs.add(idx * $lanes) };
                    // SAFETY: as above.
                    unsafe { $store };
                    idx += n_phases;
                }
                if idx == n_whole && idx < starts.len() {
                    let mut last = [<$w>::default(); $lanes];
                    let ($sum, $store_at) = (sum_of(idx), last.as_mut_ptr());
                    // SAFETY: the array has a vector's lanes.
                    unsafe { $store };
                    for (lane, sum) in last.into_iter().enumerate().take(n_outputs % $lanes) {
                        // SAFETY: the outputs of the last vector are inside of the sums.
                        unsafe { outputs.add(idx * $lanes + lane).write(sum) };
                    }
                }
            }
        }
    };
}
pub(crate) use stencil_kernel;

/// Makes safe function pointers of kernels that need features.
macro_rules! detected {
    ($kernel:ident($($argument:ident),*)) => {
        // SAFETY: the table is only handed out after its features were detected.
        |$($argument),*| unsafe { $kernel($($argument),*) }
    };
}
pub(crate) use detected;

/// The table of the plain kernels, compiled for `$features`.
macro_rules! compiled_for {
    ([$features:literal] $($kernel:ident($($argument:ident: $type:ty),*) = $loop:path;)*) => {
        Plain {
            $($kernel: {
                #[target_feature(enable = $features)]
                fn $kernel($($argument: $type),*) {
                    $loop($($argument),*);
                }
                detected!($kernel($($argument),*))
            },)*
        }
    };
}
pub(crate) use compiled_for;

/// What every unsafe load of a tile kernel relies on.
fn check(
    a_len: usize,
    pixels: crate::layout::Pixels,
    runs: &crate::layout::Runs,
    w_len: usize,
    sums_len: usize,
    step: usize,
    width: usize,
) {
    assert!(pixels.largest() + runs.reach() <= a_len, "a tap is past the end of the image");
    assert_eq!(w_len, runs.steps() * step * width, "there are weights for every step");
    assert_eq!(
        sums_len,
        pixels.starts().len() * width,
        "there is a sum for every pixel and channel"
    );
}
