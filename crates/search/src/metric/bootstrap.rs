//! Intervals by bootstrap over images: the images are drawn again and again, with replacement, always in the same way.

use super::Counted;
use crate::{random::random, score::Figure};
use fixedwise_fixed::convert::{count_to_f64, count_to_u64, f64_to_count};
use rayon::prelude::*;

/// The figures of resamples of the images. The same places are drawn for whatever was counted of as many images, so
/// that figures of two networks go with each other.
///
/// Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, the percentile method.
pub(super) fn resampled(
    counted: &[Vec<f64>],
    figure: impl Fn(&[Counted]) -> f64 + Sync,
) -> Vec<f64> {
    let n = counted.len();
    let one = |resample: usize| {
        let mut times = vec![0.0; n];
        for draw in 0..n {
            let place = random(count_to_u64(resample * n + draw)) * count_to_f64(n);
            times[f64_to_count(place).min(n - 1)] += 1.0;
        }
        let drawn = counted.iter().zip(times).filter(|(_, times)| *times > 0.0);
        let drawn: Vec<Counted> = drawn.map(|(of_image, times)| (&of_image[..], times)).collect();
        figure(&drawn)
    };
    (0..Figure::RESAMPLES).into_par_iter().map(one).collect()
}

/// From the 2.5th to the 97.5th percentile; resamples without a figure do not count.
pub(super) fn interval95(figures: &[f64]) -> [f64; 2] {
    let mut sorted: Vec<f64> = figures.iter().copied().filter(|x| x.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let beyond = sorted.len() / 40;
    match sorted.len().checked_sub(1 + beyond) {
        Some(last) => [sorted[beyond], sorted[last]],
        None => [f64::NAN; 2],
    }
}

pub(super) fn standard_deviation(figures: &[f64]) -> f64 {
    let finite: Vec<f64> = figures.iter().copied().filter(|x| x.is_finite()).collect();
    let n = count_to_f64(finite.len().max(1));
    let mean = finite.iter().sum::<f64>() / n;
    (finite.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_means_is_that_of_the_formula() {
        let counted: Vec<Vec<f64>> = (0..200_u8).map(|i| vec![f64::from(i % 2)]).collect();
        let mean = |images: &[Counted]| {
            let n: f64 = images.iter().map(|(_, times)| times).sum();
            assert!((n - 200.0).abs() < 1e-9, "as many as there are");
            images.iter().map(|(x, times)| x[0] * times).sum::<f64>() / n
        };
        let means = resampled(&counted, mean);
        // sqrt(0.25 / 200)
        assert!((standard_deviation(&means) - 0.0354).abs() < 0.003);
        let [low, high] = interval95(&means);
        assert!((low - 0.431).abs() < 0.015 && (high - 0.569).abs() < 0.015, "{low} {high}");
        assert_eq!(means, resampled(&counted, mean), "the same every time");
    }
}
