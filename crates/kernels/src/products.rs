//! Rows of sums that grow by products: what a search for rounded weights does most.

use crate::Kernels;

/// Sums side by side.
pub const PRODUCT_LANES: usize = 32;

/// So many values side by side.
pub(crate) type Row = [f32; PRODUCT_LANES];

/// Adds `factors[i][first + at] * x[i]` to `sums[at]`, for every `at` and for `i` from the last to the
/// first.
///
/// # Panics
/// If there are not as many rows in `factors` as in `x`, or one of them is too short.
pub fn add_products(
    kernels: &'static Kernels,
    factors: &[Vec<f32>],
    first: usize,
    x: &[Row],
    sums: &mut [Row],
) {
    assert_eq!(factors.len(), x.len(), "a factor for each row");
    (kernels.plain.add_products_f32)(factors, first, x, sums);
}

/// As [`add_products`].
#[inline(always)]
pub(crate) fn rows(factors: &[Vec<f32>], first: usize, x: &[Row], sums: &mut [Row]) {
    for (at, sums) in sums.iter_mut().enumerate() {
        // In registers until the last product.
        let mut row = *sums;
        for (factors, x) in factors.iter().zip(x).rev() {
            let factor = factors[first + at];
            row.iter_mut().zip(x).for_each(|(sum, &x)| *sum += factor * x);
        }
        *sums = row;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_adds_the_same_bits() {
        let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 7.0;
        let factors: Vec<Vec<f32>> =
            (0..5).map(|i| (0..9).map(|at| value(i * 9 + at)).collect()).collect();
        let x: Vec<Row> =
            (0..5).map(|i| core::array::from_fn(|lane| value(i + 3 * lane))).collect();
        let mut expected = vec![[0.5_f32; PRODUCT_LANES]; 6];
        for (at, sums) in expected.iter_mut().enumerate() {
            for (lane, sum) in sums.iter_mut().enumerate() {
                for i in (0..5).rev() {
                    *sum += factors[i][2 + at] * x[i][lane];
                }
            }
        }
        for kernels in Kernels::all() {
            let mut sums = vec![[0.5_f32; PRODUCT_LANES]; 6];
            add_products(kernels, &factors, 2, &x, &mut sums);
            assert_eq!(sums, expected, "{}", kernels.name);
        }
    }
}
