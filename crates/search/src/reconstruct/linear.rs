//! The linear algebra behind rounding: the only file that knows the library for it.
//!
//! Matrices are row-major slices. What a call computes does not depend on the number of threads:
//! the work is cut into blocks of a fixed size here, the library runs each on one thread.

use faer::{
    Accum, Mat, MatMut, MatRef, Par, Side,
    linalg::{
        matmul::matmul,
        solvers::{DenseSolveCore as _, Solve as _},
    },
};
use fixedwise_fixed::convert::f64_to_f32;
use rayon::prelude::*;

/// Rows of a result that one task computes.
const BLOCK: usize = 64;

/// `h += x' x`, the lower triangle alone; `x` is `[rows, k]`, `h` `[k, k]`.
pub(super) fn add_gram(h: &mut [f32], x: &[f32], k: usize) {
    let rows = x.len() / k;
    let x = MatRef::from_row_major_slice(x, rows, k);
    h.par_chunks_mut(BLOCK * k).enumerate().for_each(|(block, h)| {
        let (first, count) = (block * BLOCK, h.len() / k);
        let out = MatMut::from_row_major_slice_mut(h, count, k).subcols_mut(0, first + count);
        let left = x.subcols(first, count).transpose();
        matmul(out, Accum::Add, left, x.subcols(0, first + count), 1.0, Par::Seq);
    });
}

/// `out += a' b`; `a` is `[rows, m]`, `b` `[rows, k]`, `out` `[m, k]`.
pub(super) fn add_product(out: &mut [f32], a: &[f32], b: &[f32], m: usize, k: usize) {
    let rows = b.len() / k;
    let a = MatRef::from_row_major_slice(a, rows, m);
    let b = MatRef::from_row_major_slice(b, rows, k);
    out.par_chunks_mut(BLOCK * k).enumerate().for_each(|(block, out)| {
        let (first, count) = (block * BLOCK, out.len() / k);
        let out = MatMut::from_row_major_slice_mut(out, count, k);
        matmul(out, Accum::Add, a.subcols(first, count).transpose(), b, 1.0, Par::Seq);
    });
}

/// `x w'`; `x` is `[rows, k]`, `w` `[m, k]`, the result `[rows, m]`.
pub(super) fn apply(x: &[f32], w: &[f32], m: usize, k: usize) -> Vec<f32> {
    let rows = x.len() / k;
    let mut y = vec![0.0; rows * m];
    let w = MatRef::from_row_major_slice(w, m, k).transpose();
    y.par_chunks_mut(BLOCK * m).zip(x.par_chunks(BLOCK * k)).for_each(|(y, x)| {
        let rows = x.len() / k;
        let x = MatRef::from_row_major_slice(x, rows, k);
        let y = MatMut::from_row_major_slice_mut(y, rows, m);
        matmul(y, Accum::Replace, x, w, 1.0, Par::Seq);
    });
    y
}

/// A symmetric positive definite matrix as `l l'`.
pub(super) struct Factor {
    llt: faer::linalg::solvers::Llt<f64>,
    k: usize,
}

impl Factor {
    /// Of the lower triangle of `h`, `[k, k]`, its rows and columns in that order; `None` where it
    /// is not positive definite.
    pub(super) fn new(h: &[f32], k: usize, order: &[usize], damping: f64) -> Option<Self> {
        let at = |i: usize, j: usize| {
            let (i, j) = (order[i].max(order[j]), order[i].min(order[j]));
            f64::from(h[i * k + j]) + if i == j { damping } else { 0.0 }
        };
        let matrix = Mat::from_fn(k, k, |i, j| if i >= j { at(i, j) } else { 0.0 });
        matrix.llt(Side::Lower).ok().map(|llt| Self { llt, k })
    }

    /// The inverse of the matrix, row by row.
    pub(super) fn inverse(&self) -> Vec<f64> {
        let inverse = self.llt.inverse();
        (0..self.k * self.k).map(|at| inverse[(at / self.k, at % self.k)]).collect()
    }

    /// The lower triangle, row by row: row `i` has `i + 1` entries.
    pub(super) fn rows(&self) -> Vec<Vec<f32>> {
        let l = self.llt.L();
        (0..self.k).map(|i| (0..=i).map(|j| f64_to_f32(l[(i, j)])).collect()).collect()
    }

    /// `b h^-1`, where `b` is `[m, k]` in the order of the factor.
    pub(super) fn solve(&self, b: &[f64], m: usize) -> Vec<f64> {
        let right = Mat::from_fn(self.k, m, |i, j| b[j * self.k + i]);
        let solution = self.llt.solve(&right);
        (0..m).flat_map(|j| (0..self.k).map(move |i| (i, j))).map(|at| solution[at]).collect()
    }
}

/// The inverse of a symmetric positive definite matrix `[k, k]`, row by row; `None` where it is none.
pub(super) fn inverse(k: usize, at: impl Fn(usize, usize) -> f64) -> Option<Vec<f64>> {
    if k == 1 {
        let own = at(0, 0);
        return (own > 0.0).then(|| vec![own.recip()]);
    }
    let matrix = Mat::from_fn(k, k, |i, j| if i >= j { at(i, j) } else { 0.0 });
    let inverse = matrix.llt(Side::Lower).ok()?.inverse();
    Some((0..k * k).map(|at| inverse[(at / k, at % k)]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a small fixed pattern, `[rows, k]`.
    fn pattern(rows: usize, k: usize) -> Vec<f32> {
        (0..rows * k)
            .map(|i| {
                let step = u16::try_from((i * 37 + i / k * 11) % 101).unwrap();
                f32::from(step) / 50.0 - 1.0
            })
            .collect()
    }

    #[test]
    fn products_are_those_of_the_definition() {
        let (rows, k, m) = (150, 70, 66);
        let (x, a) = (pattern(rows, k), pattern(rows, m));
        let mut h = vec![0.5; k * k];
        add_gram(&mut h, &x, k);
        let mut cross = vec![0.0; m * k];
        add_product(&mut cross, &a, &x, m, k);
        let y = apply(&x, &a[..m * k], m, k);
        for (i, j) in [(0, 0), (69, 3), (65, 64), (12, 12)] {
            let gram: f32 = (0..rows).map(|r| x[r * k + i] * x[r * k + j]).sum();
            assert!((h[i * k + j] - gram - 0.5).abs() < 1e-3);
            let product: f32 = (0..rows).map(|r| a[r * m + j] * x[r * k + i]).sum();
            assert!((cross[j * k + i] - product).abs() < 1e-3);
            let applied: f32 = (0..k).map(|c| x[i * k + c] * a[j * k + c]).sum();
            assert!((y[i * m + j] - applied).abs() < 1e-3);
        }
    }

    #[test]
    fn a_factor_multiplies_back_and_solves() {
        let (rows, k) = (90, 20);
        let x = pattern(rows, k);
        let mut h = vec![0.0; k * k];
        add_gram(&mut h, &x, k);
        let order: Vec<usize> = (0..k).rev().collect();
        let factor = Factor::new(&h, k, &order, 0.1).unwrap();
        let l = factor.rows();
        let at = |i: usize, j: usize| {
            let (a, b) = (order[i].max(order[j]), order[i].min(order[j]));
            f64::from(h[a * k + b]) + if a == b { 0.1 } else { 0.0 }
        };
        for i in 0..k {
            for j in 0..=i {
                let product: f32 = (0..=j).map(|c| l[i][c] * l[j][c]).sum();
                assert!((f64::from(product) - at(i, j)).abs() < 1e-3);
            }
        }
        let b: Vec<f64> = (0..k).map(|i| at(i, 3)).collect();
        let solved = factor.solve(&b, 1);
        assert!(
            solved
                .iter()
                .enumerate()
                .all(|(i, x)| { (x - if i == 3 { 1.0 } else { 0.0 }).abs() < 1e-6 })
        );
        assert!(Factor::new(&vec![-1.0; k * k], k, &order, 0.0).is_none());
    }
}
