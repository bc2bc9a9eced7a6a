//! Where the positions of a resized axis lie in the axis before, in the arithmetic of ONNX Runtime: 32-bit
//! floats, so that places on the border between two pixels fall on the same side.

use super::Between;
use fixedwise_fixed::convert::{count_to_f64, f64_to_f32, f64_to_i64};

/// How positions correspond, and whether the nearest pixel is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coordinates {
    pub(super) transform: Transform,
    /// `None` for linear interpolation.
    pub(super) nearest: Option<Rounding>,
}

/// From a position of the result to one of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transform {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    TfHalfPixelForNn,
}

/// Which pixel is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
}

impl Coordinates {
    /// By the names that ONNX has for them; otherwise the attribute, its value and the way out.
    pub(super) fn of(
        mode: &str,
        transform: &str,
        rounding: &str,
    ) -> Result<Self, (&'static str, String, &'static str)> {
        let nearest = match mode {
            "nearest" => true,
            "linear" | "bilinear" => false,
            _ => {
                let help =
                    "supported are `nearest` and `linear`; export the network with one of them";
                return Err(("mode", mode.to_owned(), help));
            }
        };
        let transform = match transform {
            "half_pixel" => Transform::HalfPixel,
            "half_pixel_symmetric" => Transform::HalfPixelSymmetric,
            "pytorch_half_pixel" => Transform::PytorchHalfPixel,
            "align_corners" => Transform::AlignCorners,
            "asymmetric" => Transform::Asymmetric,
            "tf_half_pixel_for_nn" => Transform::TfHalfPixelForNn,
            _ => {
                let help = "crop by Slice, then resize in another mode";
                return Err(("coordinate_transformation_mode", transform.to_owned(), help));
            }
        };
        let rounding = match rounding {
            "round_prefer_floor" => Rounding::PreferFloor,
            "round_prefer_ceil" => Rounding::PreferCeil,
            "floor" => Rounding::Floor,
            "ceil" => Rounding::Ceil,
            _ => return Err(("nearest_mode", rounding.to_owned(), "ONNX has no such mode")),
        };
        Ok(Self { transform, nearest: nearest.then_some(rounding) })
    }
}

/// A change of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scaled {
    input: usize,
    output: usize,
    scale: f32,
}

/// More rows or columns than any image has.
const MAX: usize = 1 << 16;

fn float(x: usize) -> f32 {
    f64_to_f32(count_to_f64(x))
}

impl Scaled {
    /// By a factor; nothing where that is none.
    pub(super) fn by(input: usize, scale: f32) -> Option<Self> {
        let output = f64::from(float(input) * scale).floor();
        let output = usize::try_from(f64_to_i64(output)).ok()?;
        (scale.is_finite() && scale > 0.0 && (1..=MAX).contains(&output)).then_some(Self {
            input,
            output,
            scale,
        })
    }

    /// To so many elements; nothing where those are none.
    pub(super) fn to(input: usize, output: usize) -> Option<Self> {
        let scale = float(output) / float(input);
        (input > 0 && (1..=MAX).contains(&output)).then_some(Self { input, output, scale })
    }

    /// Whether the extent stays.
    pub(super) fn keeps(&self) -> bool {
        self.input == self.output
    }

    /// One scale for all axes: the smallest, or the largest, of their own.
    pub(super) fn keep_aspect(all: &mut [Option<Self>], is_smallest: bool) {
        let own = all.iter().flatten().map(|scaled| scaled.scale);
        let scale = if is_smallest { own.reduce(f32::min) } else { own.reduce(f32::max) };
        let Some(scale) = scale else { return };
        for scaled in all.iter_mut().flatten() {
            let output = f64::from(scale * float(scaled.input) + 0.5).floor();
            let output = usize::try_from(f64_to_i64(output)).unwrap_or(1).clamp(1, MAX);
            *scaled = Self { input: scaled.input, output, scale };
        }
    }

    /// Where a position of the result lies.
    fn position(&self, i: usize, transform: Transform) -> f32 {
        let (x, scale) = (float(i), self.scale);
        match transform {
            Transform::HalfPixelSymmetric => {
                let adjustment = float(self.output) / (scale * float(self.input));
                let offset = float(self.input) / 2.0 * (1.0 - adjustment);
                offset + (x + 0.5) / scale - 0.5
            }
            Transform::PytorchHalfPixel | Transform::AlignCorners if self.output == 1 => 0.0,
            Transform::HalfPixel | Transform::PytorchHalfPixel => (x + 0.5) / scale - 0.5,
            Transform::AlignCorners => x * float(self.input - 1) / float(self.output - 1),
            Transform::Asymmetric => x / scale,
            Transform::TfHalfPixelForNn => (x + 0.5) / scale,
        }
    }

    /// For each position, the nearest element.
    pub(super) fn nearest(&self, transform: Transform, rounding: Rounding) -> Vec<usize> {
        let nearest = |i: usize| {
            let x = self.position(i, transform);
            let is_up = match rounding {
                Rounding::Floor => false,
                Rounding::Ceil => true,
                Rounding::PreferCeil => x - x.floor() >= 0.5,
                Rounding::PreferFloor => x - x.floor() > 0.5,
            };
            let x = if is_up { x.ceil() } else { x.floor() };
            usize::try_from(f64_to_i64(f64::from(x))).unwrap_or(0).min(self.input - 1)
        };
        (0..self.output).map(nearest).collect()
    }

    /// For each position, the neighbors between which it lies.
    pub(super) fn linear(&self, transform: Transform) -> Vec<Between> {
        let last = self.input - 1;
        let between = |i: usize| {
            let x = self.position(i, transform).clamp(0.0, float(last));
            let first = usize::try_from(f64_to_i64(f64::from(x.floor()))).unwrap_or(0).min(last);
            let weight = if first == last { 0.0 } else { x - x.floor() };
            Between { first, weight }
        };
        (0..self.output).map(between).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_follow_the_rules_of_onnx() {
        use Transform::{AlignCorners, Asymmetric, HalfPixel, TfHalfPixelForNn};
        let nearest = |input, output, transform, rounding| {
            Scaled::to(input, output).unwrap().nearest(transform, rounding)
        };
        assert_eq!(nearest(2, 5, Asymmetric, Rounding::Floor), [0, 0, 0, 1, 1]);
        assert_eq!(nearest(2, 4, HalfPixel, Rounding::PreferFloor), [0, 0, 1, 1]);
        assert_eq!(nearest(4, 2, HalfPixel, Rounding::PreferFloor), [0, 2]);
        assert_eq!(nearest(4, 2, HalfPixel, Rounding::PreferCeil), [1, 3]);
        assert_eq!(nearest(3, 5, AlignCorners, Rounding::Ceil), [0, 1, 1, 2, 2]);
        assert_eq!(nearest(3, 2, TfHalfPixelForNn, Rounding::Floor), [0, 2]);
        // In 64-bit floats, a scale of 32 bits would put row 2 on row 2.999 of 6.
        assert_eq!(nearest(6, 4, Asymmetric, Rounding::Floor), [0, 1, 3, 4]);
        let linear = |input, output, transform| -> Vec<(usize, f32)> {
            let all = Scaled::to(input, output).unwrap().linear(transform);
            all.iter().map(|place| (place.first, place.weight)).collect()
        };
        assert_eq!(linear(2, 4, HalfPixel), [(0, 0.0), (0, 0.25), (0, 0.75), (1, 0.0)]);
        assert_eq!(linear(3, 5, AlignCorners), [(0, 0.0), (0, 0.5), (1, 0.0), (1, 0.5), (2, 0.0)]);
        assert_eq!(linear(1, 2, HalfPixel), [(0, 0.0), (0, 0.0)]);
        assert_eq!(Scaled::by(5, 0.1), None);
        assert_eq!(Scaled::by(5, f32::NAN), None);
        assert_eq!(Scaled::by(5, 1.5).unwrap().output, 7);
    }
}
