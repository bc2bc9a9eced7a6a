//! The area under the receiver operating characteristic, of scores.

use super::{Counted, Metric, Said};
use crate::evaluate::Truth;

/// The probability that an image with label 1 has a larger score than one with label 0; equal scores count half.
///
/// One number is the score itself; of two classes it is how far the second is before the first; of an output that is to
/// be a copy of the image it is the squared difference.
#[derive(Debug)]
pub(super) struct Auc;

impl Metric for Auc {
    /// The score and the label.
    fn count(&self, truth: &Truth, output: &dyn Said) -> Vec<f64> {
        let (label, score) = match truth {
            Truth::Class(label) => match output.scores()[..] {
                [first, second] => (*label, second - first),
                ref scores => (*label, scores.first().copied().unwrap_or_default()),
            },
            Truth::Copied(label, image) => {
                let values = output.values();
                let pairs = values.iter().zip(*image);
                let off = pairs.map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum();
                (*label, off)
            }
            Truth::None | Truth::Map(_) | Truth::Values(_) => return Vec::new(),
        };
        vec![score, if label > 0 { 1.0 } else { 0.0 }]
    }

    fn figure(&self, images: &[Counted]) -> f64 {
        let mut sorted = images.to_vec();
        sorted.sort_by(|a, b| a.0[0].total_cmp(&b.0[0]));
        let (mut below, mut wins, mut ones) = (0.0, 0.0, 0.0);
        for equal in sorted.chunk_by(|a, b| a.0[0].total_cmp(&b.0[0]).is_eq()) {
            let all: f64 = equal.iter().map(|(_, times)| times).sum();
            let one: f64 = equal.iter().map(|(of_image, times)| of_image[1] * times).sum();
            let zero = all - one;
            wins += one * (below + zero / 2.0);
            below += zero;
            ones += one;
        }
        wins / (below * ones)
    }

    fn undefined(&self) -> &'static str {
        "needs images of both labels, 0 and 1: all have one of them"
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::Values, *};

    #[test]
    fn pairs_in_the_right_order_count() {
        let images = [(0.1, 0), (0.4, 0), (0.4, 1), (0.8, 1), (0.2, 1)];
        let counted: Vec<Vec<f64>> = images
            .iter()
            .map(|&(score, label)| Auc.count(&Truth::Class(label), &Values(1, vec![score])))
            .collect();
        let times = |times: [f64; 5]| {
            let images: Vec<Counted> =
                counted.iter().zip(times).map(|(of, times)| (&of[..], times)).collect();
            Auc.figure(&images)
        };
        // 1 + 1 + 1 before the first zero, 0.5 + 1 + 0 before the second.
        assert!((times([1.0; 5]) - 4.5 / 6.0).abs() < 1e-12);
        assert!((times([1.0, 2.0, 1.0, 1.0, 1.0]) - 6.0 / 9.0).abs() < 1e-12);
        assert!(times([1.0, 1.0, 0.0, 0.0, 0.0]).is_nan());
        let two = Auc.count(&Truth::Class(1), &Values(2, vec![0.25, 1.0]));
        assert_eq!(two, [0.75, 1.0]);
        let copy = Auc.count(&Truth::Copied(1, &[0.5, 0.0, 1.0]), &Values(3, vec![0.5, 1.0, 3.0]));
        assert_eq!(copy, [5.0, 1.0]);
    }
}
