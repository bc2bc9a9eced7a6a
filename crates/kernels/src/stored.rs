//! By how much a result misses a float once it is stored in steps.

use crate::Kernels;
use fixedwise_fixed::convert::round_within;

/// Channels whose results are looked at side by side.
pub const CHANNEL_LANES: usize = 8;

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

/// A number of each channel.
type Lanes<T> = [T; CHANNEL_LANES];

/// For one shift of the bias of each channel: the sum of the errors, and that of their squares.
pub type ErrorSums = [Lanes<f64>; 2];

/// Results of at most [`CHANNEL_LANES`] channels, at places that lie a number of channels apart.
#[derive(Clone, Copy)]
pub struct Results<'a> {
    /// Sums, the biases that are added to them, and the results in float, from the first channel on.
    pub values: [&'a [f32]; 3],
    /// From one place to the next.
    pub stride: usize,
    /// Channels.
    pub lanes: usize,
}

/// For each of `shifts` that is added to sums and biases, by channel: the sum of `stored - float`, and that of their squares.
///
/// # Panics
/// If the lengths differ, or there are more channels than lanes.
pub fn stored_errors(
    kernels: &'static Kernels,
    result: &StoredResult,
    results: Results,
    shifts: &[Lanes<f32>],
) -> Vec<ErrorSums> {
    let lengths = results.values.map(<[f32]>::len);
    assert_eq!(lengths, [lengths[0]; 3], "as many of each");
    assert!(results.lanes <= CHANNEL_LANES.min(results.stride), "these lanes");
    let mut errors = vec![ErrorSums::default(); shifts.len()];
    (kernels.plain.stored_errors_f32)(result, results, shifts, &mut errors);
    errors
}

/// Shifts that are tried in one pass: what is summed of them stays in registers.
const TOGETHER: usize = 8;

/// As [`stored_errors`].
#[inline(always)]
pub(crate) fn errors(
    result: &StoredResult,
    results: Results,
    shifts: &[Lanes<f32>],
    errors: &mut [ErrorSums],
) {
    let (blocks, rest) = shifts.as_chunks::<TOGETHER>();
    let (of_blocks, of_rest) = errors.as_chunks_mut::<TOGETHER>();
    for (shifts, errors) in blocks.iter().zip(of_blocks) {
        errors_of(result, results, shifts, errors);
    }
    for (shift, errors) in rest.iter().zip(of_rest) {
        errors_of(result, results, &[*shift], std::array::from_mut(errors));
    }
}

#[inline(always)]
fn errors_of<const N: usize>(
    result: &StoredResult,
    Results { values: [sums, biases, float], stride, lanes }: Results,
    shifts: &[Lanes<f32>; N],
    errors: &mut [ErrorSums; N],
) {
    let &StoredResult { slope, step, steps_per_unit, low, high } = result;
    let mut found = *errors;
    let places = sums.chunks(stride).zip(biases.chunks(stride)).zip(float.chunks(stride));
    for ((y, b), float) in places {
        let [y, b, float] = [y, b, float].map(|row| in_lanes(row, lanes));
        for (shift, [sum, squares]) in shifts.iter().zip(&mut found) {
            for lane in 0..CHANNEL_LANES {
                let x = y[lane] + b[lane] + shift[lane];
                let x = if x < 0.0 { slope * x } else { x } * steps_per_unit;
                // Comparisons and no `clamp`: they are one instruction of vectors each.
                let x = if x > low { x } else { low };
                let x = if x < high { x } else { high };
                let error = f64::from(round_within(x) * step - float[lane]);
                sum[lane] += error;
                squares[lane] += error * error;
            }
        }
    }
    *errors = found;
}

/// The first values of a row.
#[inline(always)]
fn in_lanes(row: &[f32], lanes: usize) -> Lanes<f32> {
    if let Some(all) = row.first_chunk().filter(|_| lanes == CHANNEL_LANES) {
        return *all;
    }
    let mut some = [0.0; CHANNEL_LANES];
    some[..lanes].copy_from_slice(&row[..lanes]);
    some
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_adds_the_same_bits() {
        let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 7.0;
        let (places, channels) = (33, 11);
        let values: [Vec<f32>; 3] =
            [1, 5, 11].map(|by| (0..places * channels).map(|i| value(i * by)).collect());
        let shifts: Vec<Lanes<f32>> =
            (0..17).map(|i| core::array::from_fn(|lane| value(i * 3 + lane) / 9.0)).collect();
        let result =
            StoredResult { slope: 0.25, step: 0.5, steps_per_unit: 2.0, low: -8.0, high: 7.0 };
        for (first, lanes) in [(0, 8), (8, 3)] {
            let values = values.each_ref().map(|values| &values[first..]);
            let results = Results { values, stride: channels, lanes };
            let mut expected = vec![ErrorSums::default(); shifts.len()];
            for (shift, expected) in shifts.iter().zip(&mut expected) {
                for lane in 0..lanes {
                    for at in (lane..values[0].len()).step_by(channels) {
                        let x = values[0][at] + values[1][at] + shift[lane];
                        let x = if x < 0.0 { 0.25 * x } else { x };
                        let stored = (x * 2.0).clamp(-8.0, 7.0).round() * 0.5;
                        let error = f64::from(stored - values[2][at]);
                        expected[0][lane] += error;
                        expected[1][lane] += error * error;
                    }
                }
            }
            for kernels in Kernels::all() {
                let found = stored_errors(kernels, &result, results, &shifts);
                for (found, expected) in found.iter().zip(&expected) {
                    for sums in [0, 1] {
                        assert_eq!(
                            found[sums][..lanes],
                            expected[sums][..lanes],
                            "{}",
                            kernels.name
                        );
                    }
                }
            }
        }
    }
}
