//! How far values are from those that they should be.

use super::{Counted, Metric, Said};
use crate::evaluate::Truth;
use fixedwise_fixed::convert::count_to_f64;

/// The mean absolute difference over all values of all images.
#[derive(Debug)]
pub(super) struct Mae;

impl Metric for Mae {
    fn count(&self, truth: &Truth, output: &dyn Said) -> Vec<f64> {
        counted(truth, output, f64::abs)
    }

    fn figure(&self, images: &[Counted]) -> f64 {
        mean(images)
    }

    fn undefined(&self) -> &'static str {
        UNDEFINED
    }

    fn is_error(&self) -> bool {
        true
    }
}

/// `10 log10(peak^2 / MSE)` in dB, the mean over all values of all images.
#[derive(Debug)]
pub(super) struct Psnr {
    pub(super) peak: f64,
}

/// What noise is told apart from none: 150 dB.
const LEAST: f64 = 1e-15;

impl Metric for Psnr {
    fn count(&self, truth: &Truth, output: &dyn Said) -> Vec<f64> {
        counted(truth, output, |x| x * x)
    }

    fn figure(&self, images: &[Counted]) -> f64 {
        -10.0 * (mean(images) / (self.peak * self.peak)).max(LEAST).log10()
    }

    fn undefined(&self) -> &'static str {
        UNDEFINED
    }
}

const UNDEFINED: &str = "needs finite values: the float network computes others";

/// The sum of what is off, and values.
fn counted(truth: &Truth, output: &dyn Said, off: impl Fn(f64) -> f64) -> Vec<f64> {
    let Truth::Values(targets) = truth else { return Vec::new() };
    let values = output.values();
    let pairs = values.iter().zip(*targets);
    let sum = pairs.map(|(x, y)| off(f64::from(*x) - f64::from(*y))).sum();
    vec![sum, count_to_f64(values.len())]
}

fn mean(images: &[Counted]) -> f64 {
    let sum = |i: usize| images.iter().map(|(of_image, times)| of_image[i] * times).sum::<f64>();
    sum(0) / sum(1)
}
