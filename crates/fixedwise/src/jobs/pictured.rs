//! What a report shows of layers and images: distributions, and images that were lost.

use crate::{
    data::View,
    fingerprint::base64,
    result::{DistributionResult, HistogramResult, LostImageResult},
};
use fixedwise_codec::image::{Image, encode_png};
use fixedwise_fixed::convert::{count_to_f64, count_to_u64, f64_to_count};
use fixedwise_graph::{Graph, Shape};
use fixedwise_search::{Histogram, Images as _, Statistics};
use std::{cmp::Reverse, collections::BTreeMap};

/// How the values of each layer are distributed; without statistics only the weights.
pub(super) fn distributions(
    graph: &Graph,
    statistics: Option<&Statistics>,
) -> Vec<DistributionResult> {
    let layers = graph.layers().map(|(id, node)| {
        let mut weights = Histogram::new();
        weights.add(node.op.weights().unwrap_or_default());
        DistributionResult {
            name: node.name.clone(),
            weights: HistogramResult::new(&weights),
            activation: statistics.map(|all| HistogramResult::new(all.of(id))),
        }
    });
    layers.collect()
}

/// Images that are shown at most, and of one class.
const MOST: usize = 24;
const MOST_OF_CLASS: usize = 6;
/// Rows and columns of a picture at most.
const EXTENT: usize = 32;

/// Pictures of some of the images that were lost: those of the classes that lose most first. Nothing where the network
/// does not take one image, gray or in colors.
pub(super) fn lost_images(
    graph: &Graph,
    images: &View,
    lost: &BTreeMap<usize, [usize; 2]>,
) -> Vec<LostImageResult> {
    let shape = graph.input_shape();
    if graph.inputs().len() != 1 || ![1, 3].contains(&shape.c) || shape.h.min(shape.w) < 2 {
        return Vec::new();
    }
    let mut by_label: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (&image, &[label, named]) in lost {
        by_label.entry(label).or_default().push((image, named));
    }
    let mut classes: Vec<_> = by_label.into_iter().collect();
    classes.sort_by_key(|(label, images)| (Reverse(images.len()), *label));
    let shown = classes.into_iter().flat_map(|(label, images)| {
        images.into_iter().take(MOST_OF_CLASS).map(move |(image, named)| (image, label, named))
    });
    let mut values = vec![0.0; shape.len()];
    let shown = shown.take(MOST).filter_map(|(image, label, named)| {
        images.image(image, &mut values);
        Some(LostImageResult {
            image: count_to_u64(images.places()[image]),
            label: count_to_u64(label),
            named: count_to_u64(named),
            png: base64(&encode_png(&small(&values, shape))?),
        })
    });
    shown.collect()
}

/// A small picture: each pixel the mean of those it stands for, the values from the least to the greatest.
fn small(values: &[f32], shape: Shape) -> Image {
    let finite = || values.iter().map(|&x| f64::from(x)).filter(|x| x.is_finite());
    let (low, high) =
        finite().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
    let width = (high - low).max(f64::MIN_POSITIVE);
    let step = shape.h.max(shape.w).div_ceil(EXTENT);
    let (rows, columns) = (shape.h.div_ceil(step), shape.w.div_ceil(step));
    let mut pixels = Vec::with_capacity(rows * columns * shape.c);
    for row in 0..rows {
        for column in 0..columns {
            for channel in 0..shape.c {
                let (mut sum, mut n) = (0.0, 0);
                for y in row * step..((row + 1) * step).min(shape.h) {
                    for x in column * step..((column + 1) * step).min(shape.w) {
                        sum += f64::from(values[(y * shape.w + x) * shape.c + channel]);
                        n += 1;
                    }
                }
                let level = (sum / count_to_f64(n) - low) / width * 255.0;
                pixels.push(u8::try_from(f64_to_count(level.round().max(0.0))).unwrap_or(u8::MAX));
            }
        }
    }
    Image { height: rows, width: columns, channels: shape.c, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixedwise_codec::image::decode;

    #[test]
    fn a_picture_is_the_mean_of_what_it_stands_for() {
        let shape = Shape { h: 66, w: 40, c: 1 };
        let values: Vec<f32> = (0..66 * 40).map(|i| if i / 40 < 33 { -1.0 } else { 3.0 }).collect();
        let picture = small(&values, shape);
        assert_eq!((picture.height, picture.width), (22, 14));
        assert_eq!((picture.pixels[0], picture.pixels[22 * 14 - 1]), (0, 255));
        let bytes = encode_png(&picture).unwrap();
        assert_eq!(decode(&bytes, 1 << 20).unwrap(), picture);
        let flat = small(&[2.0; 12], Shape { h: 2, w: 2, c: 3 });
        assert_eq!(flat.pixels, [0; 12]);
        assert_eq!(small(&[f32::NAN; 4], Shape { h: 2, w: 2, c: 1 }).pixels.len(), 4);
    }
}
