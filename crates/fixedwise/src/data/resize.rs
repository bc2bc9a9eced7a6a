//! Bilinear resizing as scikit-image's `resize` does it, up to the rounding of sums.
//!
//! The same: positions, borders, and the Gaussian before an axis shrinks. Not the same: pixels keep
//! their units (scikit-image makes bytes floats from 0 to 1), and the result is not clipped to the
//! range of the input, which bilinear weights do not leave.

use fixedwise_fixed::convert::{count_to_f64, f64_to_count, f64_to_f32};
use fixedwise_graph::Shape;

/// One axis: for each output position the two input positions and the second one's weight.
struct Taps(Vec<(usize, usize, f64)>);

impl Taps {
    /// Half-pixel centers; what lies outside is mirrored about the center of the border pixel
    /// (`ndimage` calls that `mirror`, scikit-image `reflect`).
    fn new(from: usize, to: usize) -> Self {
        let factor = count_to_f64(from) / count_to_f64(to);
        let tap = |k: usize| {
            // One more than the position, so that it is positive.
            let at = (count_to_f64(k) + 0.5) * factor + 0.5;
            let floor = f64_to_count(at);
            (mirrored(floor, 1, from), mirrored(floor + 1, 1, from), at - count_to_f64(floor))
        };
        Self((0..to).map(tap).collect())
    }
}

/// The position in `0 .. len` that stands for `position - offset`.
fn mirrored(position: usize, offset: usize, len: usize) -> usize {
    if len == 1 {
        return 0;
    }
    let period = 2 * (len - 1);
    // A multiple of the period keeps the difference positive.
    let p = (position + offset * period - offset) % period;
    p.min(period - p)
}

/// A Gaussian of that standard deviation along one axis, cut off at four of them.
fn gaussian(sigma: f64) -> Vec<f64> {
    let radius = f64_to_count(4.0 * sigma + 0.5);
    let weight = |i: usize| {
        let distance = count_to_f64(i) - count_to_f64(radius);
        (-0.5 * distance * distance / (sigma * sigma)).exp()
    };
    let weights: Vec<f64> = (0..=2 * radius).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

/// Smooths along one axis of `len` positions, `stride` elements apart.
fn smooth(x: &mut [f64], len: usize, stride: usize, weights: &[f64]) {
    let radius = weights.len() / 2;
    let mut line = vec![0.0; len];
    for start in (0..x.len()).filter(|start| (start / stride).is_multiple_of(len)) {
        for (i, value) in line.iter_mut().enumerate() {
            let term = |(j, w): (usize, &f64)| w * x[start + mirrored(i + j, radius, len) * stride];
            *value = weights.iter().enumerate().map(term).sum();
        }
        for (i, value) in line.iter().enumerate() {
            x[start + i * stride] = *value;
        }
    }
}

/// Resizes one `[h, w, c]` image; where an axis shrinks it is smoothed first.
///
/// Source: scikit-image 0.25 `transform.resize`, order 1, mode `reflect`, anti-aliasing where it
/// shrinks.
pub(super) fn bilinear(x: &[f32], from: Shape, to: Shape, out: &mut [f32]) {
    let mut image: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    for (len, target, stride) in [(from.h, to.h, from.w * from.c), (from.w, to.w, from.c)] {
        let sigma = (count_to_f64(len) / count_to_f64(target) - 1.0) / 2.0;
        if sigma > 0.0 {
            smooth(&mut image, len, stride, &gaussian(sigma));
        }
    }
    let (rows, columns) = (Taps::new(from.h, to.h), Taps::new(from.w, to.w));
    let at = |row: usize, column: usize, c: usize| image[(row * from.w + column) * from.c + c];
    let mut out = out.iter_mut();
    for &(top, bottom, v) in &rows.0 {
        for &(left, right, u) in &columns.0 {
            for c in 0..from.c {
                let above = at(top, left, c) * (1.0 - u) + at(top, right, c) * u;
                let below = at(bottom, left, c) * (1.0 - u) + at(bottom, right, c) * u;
                *out.next().expect("the output has the target's extents") =
                    f64_to_f32(above * (1.0 - v) + below * v);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixedwise_codec::npz::{ArrayData, read_npz};

    /// Compares with an archive of `x_NAME` and `y_NAME`; the latter may be of `x / 255`.
    fn check(bytes: &[u8]) {
        let arrays = read_npz(bytes, 1 << 24).unwrap();
        let mut cases = 0;
        for (name, x) in arrays.iter().filter(|(name, _)| name.starts_with("x_")) {
            let y = &arrays[&name.replacen('x', "y", 1)];
            let (ArrayData::U8(x_data), ArrayData::F32(expected)) = (&x.data, &y.data) else {
                panic!("{name}: unexpected types")
            };
            let shape = |dims: &[usize]| Shape::new(dims[0], dims[1], dims[2]);
            let x_data: Vec<f32> = x_data.iter().map(|&x| f32::from(x)).collect();
            let mut got = vec![0.0; expected.len()];
            bilinear(&x_data, shape(&x.shape), shape(&y.shape), &mut got);
            let scale = if expected.iter().any(|&y| y > 1.0) { 1.0 } else { 255.0 };
            for (i, (a, b)) in got.iter().zip(expected).enumerate() {
                let b = b * scale;
                assert!((a - b).abs() < 1e-4, "{name}: element {i}: {a}, not {b}");
            }
            cases += 1;
        }
        assert!(cases >= 6);
    }

    #[test]
    fn enlarging_is_what_scikit_image_gives() {
        check(include_bytes!("../../../../suite/resize.npz"));
    }

    #[test]
    fn shrinking_is_what_scikit_image_gives() {
        check(include_bytes!("../../../../suite/shrink.npz"));
    }

    #[test]
    fn extents_that_stay_give_the_same_image() {
        let x = [3.0, 1.0, 4.0, 1.5, 9.25, 255.0];
        let mut y = [0.0; 6];
        bilinear(&x, Shape::new(3, 2, 1), Shape::new(3, 2, 1), &mut y);
        assert_eq!(y.map(f32::to_bits), x.map(f32::to_bits));
    }

    #[test]
    fn shrinking_smooths_first() {
        // A Gaussian of 0.5, then the mean of neighbors: stripes become gray.
        let x = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0];
        let mut y = [0.0; 4];
        bilinear(&x, Shape::new(1, 8, 1), Shape::new(1, 4, 1), &mut y);
        for value in y {
            assert!((value - 0.5).abs() < 1e-6, "{y:?}");
        }
    }
}
