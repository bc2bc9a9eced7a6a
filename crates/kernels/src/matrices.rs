//! Products of matrices that are both computed: rows of the one by rows of the other.

use crate::{Integers, Scratch, rescale::with_slice, scalar};

/// Floats that are summed side by side.
const LANES: usize = 16;

/// Extents of two values that are multiplied, row by row of some matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrices {
    /// How many matrices each value has.
    pub count: usize,
    /// Rows of a matrix of the first value, and of the result.
    pub rows: usize,
    /// Rows of a matrix of the second value: columns of the result.
    pub columns: usize,
    /// Elements of a row of both.
    pub depth: usize,
}

impl Matrices {
    /// The rows of both values that make each element of the result, in order.
    fn pairs<'a, T>(self, a: &'a [T], b: &'a [T]) -> impl Iterator<Item = (&'a [T], &'a [T])> {
        let Self { count, rows, columns, depth } = self;
        assert_eq!(a.len(), count * rows * depth, "elements of the first value");
        assert_eq!(b.len(), count * columns * depth, "elements of the second value");
        let matrices = a.chunks_exact(rows * depth).zip(b.chunks_exact(columns * depth));
        matrices.flat_map(move |(a, b)| {
            a.chunks_exact(depth).flat_map(move |row| b.chunks_exact(depth).map(move |b| (row, b)))
        })
    }

    /// The exact sum of products for each element of the result, in order; `is_wide` where 32 bits may not hold
    /// one.
    ///
    /// # Panics
    /// If the values have other extents.
    pub fn multiply(
        self,
        a: Integers,
        b: Integers,
        is_wide: bool,
        scratch: &mut Scratch,
        mut put: impl FnMut(usize, i64),
    ) {
        let staged = &mut scratch.staged_i16;
        staged.grow(a.len() + b.len());
        let (first, second) = staged.as_mut_slice()[..a.len() + b.len()].split_at_mut(a.len());
        for (to, from) in [(&mut *first, a), (&mut *second, b)] {
            with_slice!(Integers, from, |from| scalar::widen(from, to));
        }
        for (i, (a, b)) in self.pairs(first, second).enumerate() {
            put(i, if is_wide { scalar::dot_i64(a, b) } else { i64::from(sum(a, b)) });
        }
    }

    /// The same in floats, into `y`.
    ///
    /// # Panics
    /// If the values have other extents.
    pub fn multiply_floats(self, a: &[f32], b: &[f32], y: &mut [f32]) {
        assert_eq!(y.len(), self.count * self.rows * self.columns, "elements of the result");
        for (y, (a, b)) in y.iter_mut().zip(self.pairs(a, b)) {
            *y = sum_floats(a, b);
        }
    }
}

fn sum(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

fn sum_floats(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (blocks_a, blocks_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = blocks_a.remainder().iter().zip(blocks_b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in blocks_a.zip(blocks_b) {
        for i in 0..LANES {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_definition() {
        let own = Matrices { count: 2, rows: 3, columns: 2, depth: 21 };
        let number = |i: usize| (i * 37 % 255) as i64 - 127;
        let a: Vec<i16> = (0..2 * 3 * 21).map(|i| number(i) as i16 * 250).collect();
        let b: Vec<i8> = (0..2 * 2 * 21).map(|i| number(3 * i + 1) as i8).collect();
        let mut expected = Vec::new();
        for (matrix, row, column) in (0..12).map(|i| (i / 6, i / 2 % 3, i % 2)) {
            let product = |k: usize| {
                let a = a[(matrix * 3 + row) * 21 + k];
                i64::from(a) * i64::from(b[(matrix * 2 + column) * 21 + k])
            };
            expected.push((0..21).map(product).sum::<i64>());
        }
        let mut scratch = Scratch::new();
        for is_wide in [false, true] {
            let mut sums = Vec::new();
            let put = |i: usize, sum: i64| {
                assert_eq!(i, sums.len());
                sums.push(sum);
            };
            own.multiply(Integers::I16(&a), Integers::I8(&b), is_wide, &mut scratch, put);
            assert_eq!(sums, expected);
        }
        let floats = |x: &[i64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let a = floats(&a.iter().map(|&x| i64::from(x)).collect::<Vec<_>>());
        let b = floats(&b.iter().map(|&x| i64::from(x)).collect::<Vec<_>>());
        let mut y = vec![0.0; 12];
        own.multiply_floats(&a, &b, &mut y);
        for (y, expected) in y.iter().zip(expected) {
            assert!((y - expected as f32).abs() <= 16.0, "{y}, not {expected}");
        }
    }
}
