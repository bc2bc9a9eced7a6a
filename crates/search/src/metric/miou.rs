//! Mean intersection over union, of label maps.

use super::{Counted, Metric, Said};
use crate::evaluate::Truth;
use fixedwise_fixed::convert::{count_to_f64, f64_to_count};

/// The mean over classes of the places that have a class in both, of those that have it in either. Places without a
/// label, [`Truth::IGNORED`], do not count; neither do classes that are in none.
///
/// One channel is the score of the second class, that of the first is zero.
#[derive(Debug)]
pub(super) struct Miou;

impl Metric for Miou {
    /// For each class the places that have it in both, in the output, in the label.
    fn count(&self, truth: &Truth, output: &dyn Said) -> Vec<f64> {
        let channels = output.channels().max(1);
        let mut counted = vec![[0_usize; 3]; channels.max(2)];
        let Truth::Map(labels) = truth else { return Vec::new() };
        for (place, &label) in output.scores().chunks_exact(channels).zip(*labels) {
            if label == Truth::IGNORED {
                continue;
            }
            let (label, class) = (usize::from(label), class(place));
            counted[class][1] += 1;
            counted[label][2] += 1;
            counted[label][0] += usize::from(class == label);
        }
        counted.into_iter().flatten().map(count_to_f64).collect()
    }

    fn figure(&self, images: &[Counted]) -> f64 {
        let all = added(images);
        let union = |of: &[f64]| of[1] + of[2] - of[0];
        let classes = all.chunks_exact(3).filter(|of| union(of) > 0.0);
        let parts: Vec<f64> = classes.map(|of| of[0] / union(of)).collect();
        parts.iter().sum::<f64>() / count_to_f64(parts.len())
    }

    fn undefined(&self) -> &'static str {
        "needs labels: all places of all images are ignored (255)"
    }

    fn accuracy(&self, images: &[Counted]) -> Option<f64> {
        let all = added(images);
        let sum = |i: usize| all.chunks_exact(3).map(|of| of[i]).sum::<f64>();
        Some(sum(0) / sum(2))
    }

    fn classes(&self, images: &[Counted]) -> Vec<[usize; 2]> {
        let of_class = |of: &[f64]| [of[2], of[0]].map(f64_to_count);
        added(images).chunks_exact(3).map(of_class).collect()
    }
}

fn added(images: &[Counted]) -> Vec<f64> {
    let mut all = vec![0.0; images.first().map_or(0, |(of_image, _)| of_image.len())];
    for (of_image, times) in images {
        all.iter_mut().zip(*of_image).for_each(|(sum, x)| *sum += x * times);
    }
    all
}

/// The first of the largest.
fn class(scores: &[f64]) -> usize {
    if let [score] = scores {
        return usize::from(*score > 0.0);
    }
    let larger = |best: usize, i: usize| if scores[i] > scores[best] { i } else { best };
    (0..scores.len()).fold(0, larger)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::Values, *};

    #[test]
    fn classes_count_alike_and_ignored_places_do_not() {
        // Places of three classes: 0, 1, 1, 2; the last place has no label.
        let said = Values(3, vec![5., 1., 1., 0., 2., 1., 0., 3., 3., 1., 1., 2., 9., 0., 0.]);
        let one = Miou.count(&Truth::Map(&[0, 1, 2, 2, 255]), &said);
        assert_eq!(one, [1., 1., 1., 1., 2., 1., 1., 1., 2.]);
        // 1, 1 / 2 and 1 / 2; three of four places.
        let images = [(&one[..], 1.0)];
        assert!((Miou.figure(&images) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(Miou.accuracy(&images), Some(0.75));
        assert_eq!(Miou.classes(&images), [[1, 1], [1, 1], [2, 1]]);
        // A class that is in no image is not one of the mean.
        let two = Miou.count(&Truth::Map(&[0, 1, 1, 255, 255]), &said);
        assert!((Miou.figure(&[(&two[..], 2.0)]) - 1.0).abs() < 1e-12);
        let none = Miou.count(&Truth::Map(&[255; 5]), &said);
        assert!(Miou.figure(&[(&none[..], 1.0)]).is_nan());
        // One channel: what is above zero.
        let one = Miou.count(&Truth::Map(&[0, 1, 1]), &Values(1, vec![-1.0, 0.5, -0.5]));
        assert_eq!(one, [1., 2., 1., 1., 1., 2.]);
    }
}
