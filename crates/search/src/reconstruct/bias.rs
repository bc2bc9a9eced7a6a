//! Biases of layers whose weights and inputs are integers already.

use super::{
    moments::{Calibration, Sample},
    options::GivenBias,
};
use crate::{error::SearchError, statistics::format_no_clip};
use fixedwise_fixed::{
    Format, Range,
    convert::{count_to_f64, f64_to_f32, f64_to_i64, i64_to_f64, saturating_i8},
};
use fixedwise_graph::{Activation, NodeId, Plan, Rounded};
use fixedwise_kernels::{CHANNEL_LANES, Kernels, Results, StoredResult, stored_errors};
use rayon::prelude::*;
use std::sync::Arc;

/// Corrects the bias of a layer whose integer weights the plan holds: the mean of each output channel is
/// the float network's again, but for a shift within half a step of the result's format at which its
/// errors vary least. The layers behind make up for that shift.
///
/// # Errors
/// Where the plan makes no integer network, or the stop flag was raised.
pub fn correct(calibration: &Calibration, plan: &mut Plan, id: NodeId) -> Result<(), SearchError> {
    let node = &calibration.graph().nodes[id];
    let Some(rounded) = plan.rounded.get(&node.name).cloned() else { return Ok(()) };
    let sample = calibration.sample(id, plan)?;
    let mut correction = mean_missing(&sample);
    let format = plan.layer(&node.name).and_then(|layer| layer.activation);
    if let Some(format) = format {
        let shifts = calibration.tuning().bias_shifts;
        let kernels = calibration.kernels();
        settle(&mut correction, format, node.activation, &sample, shifts, kernels);
    }
    let bias = correction.iter().map(|&b| f64_to_f32(b)).collect();
    let rounded = Rounded { bias, ..Rounded::clone(&rounded) };
    if let Some(format) = plan.layer_mut(&node.name).and_then(|layer| layer.bias.as_mut()) {
        // Its step stays; its range grows where it has to.
        let all = rounded.bias(&calibration.graph().biases(id));
        let most = all.iter().fold(0.0_f64, |max, b| max.max(b.abs()));
        while format.bits < 32 && most > format.dequantize(Format::max(*format)) {
            format.bits += 1;
        }
    }
    plan.rounded.insert(node.name.clone(), Arc::new(rounded));
    Ok(())
}

/// By output channel, the mean of what the integers lack.
fn mean_missing(sample: &Sample) -> Vec<f64> {
    let mut missing = vec![0.0_f64; sample.channels];
    let rows = sample.targets.chunks_exact(sample.channels);
    let n = count_to_f64(rows.len().max(1));
    for (target, sum) in rows.zip(sample.sums.chunks_exact(sample.channels)) {
        for (missing, (t, s)) in missing.iter_mut().zip(target.iter().zip(sum)) {
            *missing += f64::from(t - s);
        }
    }
    missing.iter_mut().for_each(|sum| *sum /= n);
    missing
}

/// Moves each channel's bias, by at most half a step of the result, to where the errors of the result
/// vary least, of so many shifts to either side: a value that many places share, such as that of a plain
/// background, comes to lie on a step, and what it is off by is the same everywhere.
fn settle(
    correction: &mut [f64],
    format: Format,
    activation: Activation,
    sample: &Sample,
    shifts: i8,
    kernels: &'static Kernels,
) {
    let result = stored(format, activation);
    let shifts = shifts_around(format.resolution(), shifts);
    let Sample { sums, biases, targets, channels } = sample;
    let float: Vec<f32> =
        targets.iter().zip(biases).map(|(y, b)| activation.apply(y + b)).collect();
    let n = count_to_f64(sums.len() / channels);
    correction.par_chunks_mut(CHANNEL_LANES).enumerate().for_each(|(block, corrections)| {
        let values = [sums, biases, &float].map(|all| all.get(block * CHANNEL_LANES..));
        let values = values.map(Option::unwrap_or_default);
        let results = Results { values, stride: *channels, lanes: corrections.len() };
        let more = |shift: &f64| {
            let mut more = [0.0; CHANNEL_LANES];
            for (more, correction) in more.iter_mut().zip(corrections.iter()) {
                *more = f64_to_f32(correction + shift);
            }
            more
        };
        let more: Vec<[f32; CHANNEL_LANES]> = shifts.iter().map(more).collect();
        let errors = stored_errors(kernels, &result, results, &more);
        for (lane, correction) in corrections.iter_mut().enumerate() {
            let mut best: Option<(f64, f64)> = None;
            for ([sum, squares], &shift) in errors.iter().zip(&shifts) {
                let variance = squares[lane] - sum[lane] * sum[lane] / n.max(1.0);
                if best.is_none_or(|best| variance < best.0) {
                    best = Some((variance, shift));
                }
            }
            *correction += best.map_or(0.0, |best| best.1);
        }
    });
}

/// How a result of a format is stored, behind an activation.
fn stored(format: Format, activation: Activation) -> StoredResult {
    let (slope, low, high) = match activation {
        Activation::None => (1.0, f32::NEG_INFINITY, f32::INFINITY),
        Activation::Relu => (1.0, 0.0, f32::INFINITY),
        Activation::Clip { min, max } => (1.0, min, max),
        Activation::LeakyRelu { alpha } => (alpha, f32::NEG_INFINITY, f32::INFINITY),
    };
    let step = f64_to_f32(format.resolution());
    let steps_per_unit = step.recip();
    let [min, max] = [format.min(), format.max()].map(|end| f64_to_f32(i64_to_f64(end)));
    let [low, high] = [low, high].map(|end| (end * steps_per_unit).clamp(min, max));
    StoredResult { slope, step, steps_per_unit, low, high }
}

/// The shifts that are tried, none first, then the smallest to either side.
fn shifts_around(step: f64, each_side: i8) -> Vec<f64> {
    let of_step = |i: i8| f64::from(i) / f64::from(2 * each_side) * step;
    let pairs = (1..=each_side).flat_map(|i| [of_step(i), -of_step(i)]);
    std::iter::once(0.0).chain(pairs).collect()
}

/// The narrowest format that clips none of `bias` and whose rounding adds at most `noise` to the mean
/// square of each output.
pub(super) fn bias_format(bias: &[f64], noise: f64, max_bits: u8, range: Range) -> Format {
    let max_abs = bias.iter().fold(0.0_f64, |max, b| max.max(b.abs()));
    if max_abs <= 0.0 {
        return Format { bits: 1, frac: 0, range };
    }
    let step = (12.0 * noise).max(f64::MIN_POSITIVE).sqrt();
    let frac = saturating_i8(f64_to_i64((-step.log2().floor()).clamp(-60.0, 60.0)));
    // The finest that clips nothing tells how many bits that binary point takes.
    let finest = format_no_clip(f64_to_f32(max_abs), max_bits, range);
    let frac = frac.min(finest.frac);
    let spare = i32::from(finest.frac) - i32::from(frac);
    let bits = u8::try_from((i32::from(max_bits) - spare).max(1)).unwrap_or(max_bits);
    Format { bits, frac, range }
}

/// The format that is given of a bias; `usual` is what it would be otherwise. At a given width it is the finest
/// that clips nothing, unless the usual one has that width.
pub(super) fn given_format(given: GivenBias, bias: &[f64], usual: Format) -> Option<Format> {
    match given {
        GivenBias::Bits(bits) if bits == usual.bits => Some(usual),
        GivenBias::Bits(bits) => {
            let max_abs = bias.iter().fold(0.0_f64, |max, b| max.max(b.abs()));
            Some(format_no_clip(f64_to_f32(max_abs), bits, usual.range))
        }
        GivenBias::Format(format) => Some(format),
        GivenBias::Accumulator => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bias_takes_the_bits_that_its_noise_asks_for() {
        let format = |noise| bias_format(&[3.0, -0.3], noise, 32, Range::Narrow);
        // Steps of 2^-4 add 2^-8 / 12; integers to 4 at that step are 6 bits and a sign.
        assert_eq!(format(1.0 / 256.0 / 12.0), Format::signed(7, 4));
        assert_eq!(format(1.0 / 65_536.0 / 12.0), Format::signed(11, 8));
        assert_eq!(format(0.0).bits, 32);
        assert_eq!(bias_format(&[0.0], 1.0, 32, Range::Narrow).bits, 1);
    }

    #[test]
    fn a_given_width_of_a_bias_is_kept() {
        let usual = Format::signed(7, 4);
        let given = |given| given_format(given, &[3.0, -0.3], usual);
        assert_eq!(given(GivenBias::Bits(7)), Some(usual));
        assert_eq!(given(GivenBias::Bits(5)), Some(Format::signed(5, 2)));
        assert_eq!(given(GivenBias::Bits(10)), Some(Format::signed(10, 7)));
        let own = Format::signed(6, 1);
        assert_eq!(given(GivenBias::Format(own)), Some(own));
        assert_eq!(given(GivenBias::Accumulator), None);
    }

    #[test]
    fn a_value_of_many_places_comes_to_lie_on_a_step() {
        // Three of four places have 0.4, the step is 1: rounding them to 0 is off by 0.4 there and by
        // something else elsewhere, unless all are moved by as much.
        let targets: Vec<f32> =
            (0_u8..40).map(|i| if i % 4 == 0 { f32::from(i) / 3.0 } else { 0.4 }).collect();
        let sample = Sample { sums: targets.clone(), biases: vec![0.0; 40], targets, channels: 1 };
        let mut correction = mean_missing(&sample);
        assert!(correction[0].abs() < 1e-6);
        let kernels = Kernels::best();
        settle(&mut correction, Format::unsigned(4, 0), Activation::Relu, &sample, 8, kernels);
        let spread = |correction: f64| {
            let errors: Vec<f64> = sample
                .targets
                .iter()
                .map(|&y| (f64::from(y) + correction).round().clamp(0.0, 15.0) - f64::from(y))
                .collect();
            let mean = errors.iter().sum::<f64>() / 40.0;
            errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>()
        };
        assert!(spread(correction[0]) < 0.9 * spread(0.0));
        assert!(correction[0].abs() <= 0.5);
    }
}
