//! By how much a result misses a float once it is stored in steps.

use crate::Kernels;
use fixedwise_fixed::convert::round_within;

/// Shifts of a bias that are tried side by side.
pub const SHIFT_LANES: usize = 8;

/// How a result is stored: in steps, between what its activation and its format allow.
#[derive(Clone, Copy, Debug)]
pub struct StoredResult {
    /// The factor of what is below zero.
    pub slope: f32,
    /// One step.
    pub step: f32,
    /// `1 / step`.
    pub steps_per_unit: f32,
    /// The least result, in steps; its magnitude is at most 2^22.
    pub low: f32,
    /// The largest result, in steps; its magnitude is at most 2^22.
    pub high: f32,
}

/// Shifts of a bias.
pub(crate) type Shifts = [f32; SHIFT_LANES];

/// For each of some shifts a sum over results.
pub(crate) type ShiftSums = [f64; SHIFT_LANES];

/// Sums, the biases that are added to them, and the results in float.
pub(crate) type Results<'a> = [&'a [f32]; 3];

/// For each of `shifts` that is added to `sums[i] + biases[i]`: the sum of `stored - float[i]`, and that
/// of their squares.
///
/// # Panics
/// If the lengths differ.
pub fn stored_errors(
    kernels: &'static Kernels,
    result: &StoredResult,
    [sums, biases, float]: [&[f32]; 3],
    shifts: &[f32; SHIFT_LANES],
) -> (ShiftSums, ShiftSums) {
    assert_eq!([biases.len(), float.len()], [sums.len(); 2], "as many of each");
    let mut errors = (ShiftSums::default(), ShiftSums::default());
    (kernels.plain.stored_errors_f32)(result, [sums, biases, float], shifts, &mut errors);
    errors
}

/// As [`stored_errors`].
#[inline(always)]
pub(crate) fn errors(
    result: &StoredResult,
    [sums, biases, float]: Results,
    shifts: &Shifts,
    errors: &mut (ShiftSums, ShiftSums),
) {
    let &StoredResult { slope, step, steps_per_unit, low, high } = result;
    let (mut sum, mut squares) = *errors;
    for ((y, b), float) in sums.iter().zip(biases).zip(float) {
        let without = y + b;
        for lane in 0..SHIFT_LANES {
            let x = without + shifts[lane];
            let x = if x < 0.0 { slope * x } else { x } * steps_per_unit;
            // Comparisons and no `clamp`: they are one instruction of vectors each.
            let x = if x > low { x } else { low };
            let x = if x < high { x } else { high };
            let error = f64::from(round_within(x) * step - float);
            sum[lane] += error;
            squares[lane] += error * error;
        }
    }
    *errors = (sum, squares);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_adds_the_same_bits() {
        let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 7.0;
        let [sums, biases, float]: [Vec<f32>; 3] =
            [1, 5, 11].map(|by| (0..77).map(|i| value(i * by)).collect());
        let shifts = core::array::from_fn(|lane| value(lane) / 9.0);
        let result =
            StoredResult { slope: 0.25, step: 0.5, steps_per_unit: 2.0, low: -8.0, high: 7.0 };
        let mut expected = (ShiftSums::default(), ShiftSums::default());
        for i in 0..sums.len() {
            for (lane, shift) in shifts.iter().enumerate() {
                let x = sums[i] + biases[i] + shift;
                let x = if x < 0.0 { 0.25 * x } else { x };
                let stored = (x * 2.0).clamp(-8.0, 7.0).round() * 0.5;
                let error = f64::from(stored - float[i]);
                expected.0[lane] += error;
                expected.1[lane] += error * error;
            }
        }
        for kernels in Kernels::all() {
            let found = stored_errors(kernels, &result, [&sums, &biases, &float], &shifts);
            assert_eq!(found, expected, "{}", kernels.name);
        }
    }
}
