//! Means of integers under windows: a sum of 32 bits, times a factor of its position, requantized.

use crate::finish::{WideRule, ties_even, ties_up};
use crate::rescale::{Narrowed, with_slice};
use crate::{Epilogue, Integers, IntegersMut, Kernels, PoolGeometry, Scratch};
use fixedwise_fixed::Rounding;

/// Means under windows.
pub struct AverageInt {
    geometry: PoolGeometry,
    /// What the sum of each position is multiplied by, [oh, ow].
    factors: Vec<i64>,
    epilogue: Epilogue,
}

impl AverageInt {
    /// Of windows that are inside of the image by at least a tap.
    ///
    /// # Panics
    /// If there is not one factor a position.
    pub fn new(geometry: PoolGeometry, factors: Vec<i64>, epilogue: Epilogue) -> Self {
        geometry.check();
        epilogue.check();
        assert_eq!(factors.len(), geometry.output[0] * geometry.output[1], "one factor a position");
        AverageInt { geometry, factors, epilogue }
    }

    /// Writes `epilogue.apply(sum * factor)` for every window and channel.
    ///
    /// # Panics
    /// If a length does not fit the geometry, or a product leaves `i64`.
    pub fn run(&self, kernels: &Kernels, x: Integers, mut y: IntegersMut, scratch: &mut Scratch) {
        assert_eq!(x.len(), self.geometry.input_len(), "the input does not fit the geometry");
        assert_eq!(y.len(), self.geometry.output_len(), "the output does not fit the geometry");
        let [kh, kw] = self.geometry.kernel;
        let most = x.element().max().max(-x.element().min()).unsigned_abs();
        let bound = (kh * kw) as u64 * most;
        if bound > u64::from(i32::MAX.unsigned_abs()) {
            return self.run_wide(x, y);
        }
        let n = y.len();
        let sums = &mut scratch.sums_i32;
        sums.grow(n);
        let sums = &mut sums.as_mut_slice()[..n];
        match x {
            Integers::U8(x) => (kernels.plain.sum_pool_u8)(&self.geometry, x, sums),
            Integers::I8(x) => (kernels.plain.sum_pool_i8)(&self.geometry, x, sums),
            Integers::I16(x) => (kernels.plain.sum_pool_i16)(&self.geometry, x, sums),
        }
        let n_channels = self.geometry.input[2];
        for (position, &factor) in self.factors.iter().enumerate() {
            let bound = u128::from(bound) * u128::from(factor.unsigned_abs());
            let rule = WideRule::new(self.epilogue, bound);
            let range = position * n_channels..(position + 1) * n_channels;
            (kernels.plain.scale_i32)(&sums[range.clone()], factor, rule, y.slice(range));
        }
    }

    /// The specification, for windows whose sums need more than 32 bits.
    fn run_wide(&self, x: Integers, mut y: IntegersMut) {
        let [_, w, c] = self.geometry.input;
        for (position, &factor) in self.factors.iter().enumerate() {
            let (oh, ow) = (position / self.geometry.output[1], position % self.geometry.output[1]);
            for channel in 0..c {
                let mut sum = 0;
                for kh in self.geometry.inside(0, oh) {
                    let row = self.geometry.source(0, oh, kh) * w;
                    for kw in self.geometry.inside(1, ow) {
                        sum += x.get((row + self.geometry.source(1, ow, kw)) * c + channel);
                    }
                }
                y.set(position * c + channel, self.epilogue.apply(sum * factor));
            }
        }
    }
}

/// The sum of every window, [oh, ow, c].
#[inline(always)]
pub(crate) fn sums<X: Narrowed>(geometry: &PoolGeometry, x: &[X], sums: &mut [i32]) {
    let n_channels = geometry.input[2];
    for (position, sums) in sums.chunks_exact_mut(n_channels).enumerate() {
        let (oh, ow) = (position / geometry.output[1], position % geometry.output[1]);
        let mut from = 0;
        while from + 64 <= n_channels {
            window_sums::<64, X>(geometry, oh, ow, from, x, sums);
            from += 64;
        }
        while from + 16 <= n_channels {
            window_sums::<16, X>(geometry, oh, ow, from, x, sums);
            from += 16;
        }
        while from + 8 <= n_channels {
            window_sums::<8, X>(geometry, oh, ow, from, x, sums);
            from += 8;
        }
        while from < n_channels {
            window_sums::<1, X>(geometry, oh, ow, from, x, sums);
            from += 1;
        }
    }
}

/// The sums of the channels from `from` on under one window, in registers.
#[inline(always)]
fn window_sums<const N: usize, X: Narrowed>(
    geometry: &PoolGeometry,
    oh: usize,
    ow: usize,
    from: usize,
    x: &[X],
    sums: &mut [i32],
) {
    let [_, w, c] = geometry.input;
    let mut acc = [0_i32; N];
    for kh in geometry.inside(0, oh) {
        let row = geometry.source(0, oh, kh) * w;
        for kw in geometry.inside(1, ow) {
            let x = &x[(row + geometry.source(1, ow, kw)) * c + from..][..N];
            for lane in 0..N {
                acc[lane] += x[lane].widen();
            }
        }
    }
    sums[from..from + N].copy_from_slice(&acc);
}

/// The outputs of sums times a factor.
#[inline(always)]
pub(crate) fn scale(sums: &[i32], factor: i64, rule: WideRule, y: IntegersMut) {
    let Epilogue { shift, rounding, min, max, leaky, .. } = rule.epilogue;
    macro_rules! write {
        (|$v:ident| $output:expr) => {
            with_slice!(IntegersMut, y, |y| {
                for (y, &sum) in y.iter_mut().zip(sums) {
                    let $v = i64::from(sum) * factor;
                    *y = Narrowed::narrow($output.clamp(min, max) as i32);
                }
            })
        };
    }
    match rounding {
        _ if !rule.plain || leaky.is_some() || shift < 0 => write!(|v| rule.epilogue.apply(v)),
        Rounding::TiesUp => write!(|v| ties_up(v, shift)),
        Rounding::TiesEven => write!(|v| ties_even(v, shift)),
        Rounding::Floor => write!(|v| v >> shift),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rescale::tests::{ELEMENTS, epilogues, values, with, written};

    #[test]
    fn every_table_has_the_means_of_the_specification() {
        let geometry = |c: usize, kernel, stride, pad, output| PoolGeometry {
            input: [5, 4, c],
            output,
            kernel,
            stride,
            dilation: [1, 1],
            pad,
        };
        let mut scratch = Scratch::new();
        for (c, input) in [1, 8, 27, 89].into_iter().zip(ELEMENTS.into_iter().cycle()) {
            let geometries = [
                PoolGeometry::global([5, 4, c]),
                geometry(c, [3, 3], [2, 1], [1, 1], [3, 4]),
                geometry(c, [2, 1], [1, 3], [0, 0], [4, 2]),
            ];
            let all = values(input);
            let x: Vec<i64> = (0..20 * c).map(|i| all[i * 37 % all.len()]).collect();
            for geometry in geometries {
                for output in ELEMENTS {
                    for epilogue in epilogues(output) {
                        let n = geometry.output[0] * geometry.output[1];
                        let factors = (0..n as i64).map(|i| 1 + 3571 * i).collect();
                        let pool = AverageInt::new(geometry, factors, epilogue);
                        let len = geometry.output_len();
                        let expected =
                            with(input, &x, |x| written(output, len, |y| pool.run_wide(x, y)));
                        for kernels in Kernels::all() {
                            let got = with(input, &x, |x| {
                                written(output, len, |y| pool.run(kernels, x, y, &mut scratch))
                            });
                            assert_eq!(
                                got, expected,
                                "{}: {geometry:?} {epilogue:?}",
                                kernels.name
                            );
                        }
                    }
                }
            }
        }
    }
}
