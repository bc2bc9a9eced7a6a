//! The prepared convolution of floats.

use crate::aligned::Aligned;
use crate::finish::BiasView;
use crate::layout::{Block, Layout, Packed, Tile, classes, n_images};
use crate::stencil::{FloatStencil, StencilKernel};
use crate::table::Plain;
use crate::{ConvGeometry, ConvKind, FloatBias, Kernels, Scratch, scalar};

/// What is applied to every output of a float layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `y.max(min).min(max)`; a rectifier is `0 ..= inf`.
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
    bias: FloatBias,
    /// The bias class of every output pixel.
    classes: Vec<u32>,
    prepared: Prepared,
}

#[allow(clippy::large_enum_variant, reason = "there is one a layer")]
enum Prepared {
    Scalar(Vec<f32>),
    /// Whether the biases are in the sums.
    Stencil(&'static Plain, StencilKernel<f32, f32>, FloatStencil, bool),
    Tiled(&'static Plain, Tile<f32, f32, f32>, Packed<f32>),
}

impl ConvF32 {
    /// Packs `weights`, `[co][kh][kw][ci / groups]`.
    ///
    /// # Panics
    /// If the geometry contradicts itself or a length does not fit it.
    pub fn new(
        kernels: &'static Kernels,
        geometry: ConvGeometry,
        weights: &[f32],
        bias: FloatBias,
    ) -> Self {
        geometry.check();
        bias.check(geometry.output);
        assert_eq!(weights.len(), geometry.weights_len(), "weights do not fit the geometry");
        let prepared = match &kernels.tiles {
            None => Prepared::Scalar(weights.to_vec()),
            Some(tiles) if geometry.kind() == ConvKind::Depthwise => {
                let n_channels = geometry.output[2];
                let is_uniform = bias.values.len() == n_channels;
                let zeros = vec![0.0; n_channels];
                let within = if is_uniform { &bias.values } else { &zeros };
                let layer = FloatStencil::new(geometry, tiles.lanes, weights, within);
                Prepared::Stencil(&kernels.plain, tiles.stencil_f32, layer, is_uniform)
            }
            Some(tiles) => {
                let layout = Layout::new(geometry, 1, true);
                let packed =
                    Packed::new(layout, tiles.lanes, tiles.max_panels, weights, |weight| weight);
                Prepared::Tiled(&kernels.plain, tiles.f32, packed)
            }
        };
        let classes = classes(&geometry, &bias);
        ConvF32 { geometry, bias, classes, prepared }
    }

    /// Computes `y`, [oh, ow, co], from `x`, [h, w, ci]; of a dense layer up to 48 images at once.
    ///
    /// # Panics
    /// If a length does not fit the geometry.
    pub fn run(&self, x: &[f32], y: &mut [f32], activation: Activation, scratch: &mut Scratch) {
        let n_images = n_images(&self.geometry, x.len(), y.len());
        let bias = BiasView {
            classes: &self.classes,
            values: &self.bias.values,
            shifts: &[],
            n_channels: self.geometry.output[2],
        };
        match &self.prepared {
            Prepared::Scalar(weights) => {
                let (x_len, y_len) = (self.geometry.input_len(), self.geometry.output_len());
                for (x, y) in x.chunks_exact(x_len).zip(y.chunks_exact_mut(y_len)) {
                    scalar::conv_f32(&self.geometry, x, weights, &self.bias, activation, y);
                }
            }
            Prepared::Stencil(plain, kernel, layer, is_biased) => {
                let Scratch { staged_f32, sums_f32, .. } = scratch;
                if *is_biased {
                    layer.for_each_row(*kernel, x, staged_f32, y, |_, y| {
                        (plain.activate_f32)(activation, y);
                    });
                    return;
                }
                sums_f32.grow(y.len());
                let sums = &mut sums_f32.as_mut_slice()[..y.len()];
                layer.for_each_row(*kernel, x, staged_f32, sums, |oh, sums| {
                    (plain.finish_f32)(&Block::row(&self.geometry, oh), sums, bias, activation, y);
                });
            }
            Prepared::Tiled(plain, tile, packed) => {
                let x = packed.layout.staged(x, 0.0, &mut scratch.staged_f32);
                packed.for_each_block(x, n_images, *tile, &mut scratch.sums_f32, |block, sums| {
                    (plain.finish_f32)(block, sums, bias, activation, y);
                });
            }
        }
    }
}

impl Layout {
    /// The padded image, or `x` itself where it is read in place.
    fn staged<'a>(&self, x: &'a [f32], zero: f32, buffer: &'a mut Aligned<f32>) -> &'a [f32] {
        if self.in_place {
            return x;
        }
        buffer.grow(self.staged_len(x.len()));
        self.stage(x, zero, |x, y| y.copy_from_slice(x), buffer.as_mut_slice());
        buffer.as_slice()
    }
}
