//! The prepared convolution of floats.

use crate::{ConvGeometry, FloatBias, Kernels, Scratch, scalar};

/// What is applied to every output of a float layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `y.max(min).min(max)`; a ReLU is `0 ..= inf`.
    Clamp {
        /// The smallest output.
        min: f32,
        /// The largest output.
        max: f32,
    },
    /// `y` where `y >= 0`, else `alpha * y`.
    Leaky(f32),
}

impl Activation {
    /// The activation of one value.
    #[inline(always)]
    pub fn apply(self, y: f32) -> f32 {
        match self {
            Activation::None => y,
            Activation::Clamp { min, max } => y.max(min).min(max),
            Activation::Leaky(alpha) => {
                if y < 0.0 {
                    alpha * y
                } else {
                    y
                }
            }
        }
    }
}

/// A convolution or dense layer of floats, its weights packed for one table.
pub struct ConvF32 {
    geometry: ConvGeometry,
    weights: Vec<f32>,
    bias: FloatBias,
}

impl ConvF32 {
    /// Packs `weights`, [co][kh][kw][ci / groups].
    ///
    /// # Panics
    /// If the geometry contradicts itself or a length does not fit it.
    pub fn new(
        _kernels: &'static Kernels,
        geometry: ConvGeometry,
        weights: &[f32],
        bias: FloatBias,
    ) -> Self {
        geometry.check();
        bias.check(geometry.output);
        assert_eq!(weights.len(), geometry.weights_len(), "weights do not fit the geometry");
        ConvF32 { geometry, weights: weights.to_vec(), bias }
    }

    /// Computes `y`, [oh, ow, co], from `x`, [h, w, ci].
    ///
    /// # Panics
    /// If a length does not fit the geometry.
    pub fn run(&self, x: &[f32], y: &mut [f32], activation: Activation, _scratch: &mut Scratch) {
        assert_eq!(x.len(), self.geometry.input_len(), "the input does not fit the geometry");
        assert_eq!(y.len(), self.geometry.output_len(), "the output does not fit the geometry");
        scalar::conv_f32(&self.geometry, x, &self.weights, &self.bias, activation, y);
    }
}
