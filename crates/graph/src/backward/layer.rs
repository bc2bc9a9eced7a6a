//! Gradients of a sliding window of weights: what convolutions and dense layers share.
//!
//! Products of matrices are a library's; each runs on one thread, and images are added in their order.

use crate::{
    operator::{BackwardStep, Context},
    parameters::Parameters,
    shape::Shape,
    window::Window,
};
use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};

/// Elements of the inputs under so many positions that are laid out at a time: they stay in the second cache.
const LAID_OUT: usize = 1 << 16;

struct Layer {
    window: Window,
    input: Shape,
    output: Shape,
    groups: usize,
    /// Weights of one output channel.
    depth: usize,
    /// Output channels of one group.
    outputs: usize,
    /// `[output channel, row, column, input channel of the group]`.
    weights: Vec<f32>,
}

/// The step of a layer of those numbers. A value that is added to its sums has their gradient.
pub(crate) fn prepare_layer(parameters: &Parameters, context: &Context) -> BackwardStep {
    let classes = parameters.border_bias(context.inputs[0], context.output);
    let layer = Layer {
        window: parameters.window.clone(),
        input: context.inputs[0],
        output: context.output,
        groups: parameters.groups,
        depth: parameters.depth(),
        outputs: parameters.group_outputs(),
        weights: parameters.weights.to_vec(),
    };
    Box::new(move |inputs, gradient, gradients| {
        let channels = layer.output.c;
        let columns = layer.output.w;
        for (row, row_gradient) in gradient.chunks_exact(columns * channels).enumerate() {
            for (column, pixel) in row_gradient.chunks_exact(channels).enumerate() {
                let class = classes.class(row % layer.output.h, column);
                let sums = &mut gradients.bias[class * channels..][..channels];
                sums.iter_mut().zip(pixel).for_each(|(sum, g)| *sum += g);
            }
        }
        let (first, others) = gradients.inputs.split_at_mut(1);
        for added in others.iter_mut().flatten() {
            added.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
        }
        let to_input = first[0].as_deref_mut();
        if layer.outputs == 1 && layer.depth == layer.taps() {
            layer.depthwise(inputs[0], gradient, to_input, gradients.weights);
        } else if layer.is_by_pixel() {
            layer.by_pixel(inputs[0], gradient, to_input, gradients.weights);
        } else {
            layer.by_positions(inputs[0], gradient, to_input, gradients.weights);
        }
    })
}

impl Layer {
    fn taps(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }

    /// Whether an output pixel sees the input pixel at its place alone.
    fn is_by_pixel(&self) -> bool {
        let Window { kernel, stride, .. } = self.window;
        self.groups == 1 && kernel == [1, 1] && stride == [1, 1] && !self.window.is_padded()
    }

    fn by_pixel(&self, x: &[f32], g: &[f32], to: Option<&mut [f32]>, dw: &mut [f32]) {
        let (depth, outputs) = (self.depth, self.outputs);
        let rows = x.len() / depth;
        let x = MatRef::from_row_major_slice(x, rows, depth);
        let g = MatRef::from_row_major_slice(g, rows, outputs);
        let dw = MatMut::from_row_major_slice_mut(dw, outputs, depth);
        matmul(dw, Accum::Add, g.transpose(), x, 1.0, Par::Seq);
        if let Some(to) = to {
            let weights = MatRef::from_row_major_slice(&self.weights, outputs, depth);
            let to = MatMut::from_row_major_slice_mut(to, rows, depth);
            matmul(to, Accum::Add, g, weights, 1.0, Par::Seq);
        }
    }

    fn by_positions(&self, x: &[f32], g: &[f32], mut to: Option<&mut [f32]>, dw: &mut [f32]) {
        let (depth, outputs, channels) = (self.depth, self.outputs, self.output.c);
        let per_image = self.output.h * self.output.w;
        let positions = g.len() / channels;
        let at_once = (LAID_OUT / depth).max(16).min(positions);
        let mut rows = vec![0.0_f32; at_once * depth];
        for group in 0..self.groups {
            let weights = &self.weights[group * outputs * depth..][..outputs * depth];
            let weights = MatRef::from_row_major_slice(weights, outputs, depth);
            let dw = &mut dw[group * outputs * depth..][..outputs * depth];
            for first in (0..positions).step_by(at_once) {
                let n = at_once.min(positions - first);
                let rows = &mut rows[..n * depth];
                let g = MatRef::from_row_major_slice(
                    &g[first * channels..][..n * channels],
                    n,
                    channels,
                );
                let g = g.subcols(group * outputs, outputs);
                rows.fill(0.0);
                for (i, row) in rows.chunks_exact_mut(depth).enumerate() {
                    let image = (first + i) / per_image * self.input.len();
                    self.under((first + i) % per_image, group, |pixels, taps| {
                        row[taps].copy_from_slice(&x[image..][pixels]);
                    });
                }
                let laid_out = MatRef::from_row_major_slice(&*rows, n, depth);
                let dw = MatMut::from_row_major_slice_mut(dw, outputs, depth);
                matmul(dw, Accum::Add, g.transpose(), laid_out, 1.0, Par::Seq);
                let Some(to) = to.as_deref_mut() else { continue };
                let back = MatMut::from_row_major_slice_mut(rows, n, depth);
                matmul(back, Accum::Replace, g, weights, 1.0, Par::Seq);
                for (i, row) in rows.chunks_exact(depth).enumerate() {
                    let image = (first + i) / per_image * self.input.len();
                    self.under((first + i) % per_image, group, |pixels, taps| {
                        let to = &mut to[image..][pixels];
                        to.iter_mut().zip(&row[taps]).for_each(|(sum, g)| *sum += g);
                    });
                }
            }
        }
    }

    /// Of the input of an image under a position the parts of one group that lie side by side, and where each
    /// stands among the weights of an output channel.
    fn under(
        &self,
        position: usize,
        group: usize,
        mut part: impl FnMut(std::ops::Range<usize>, std::ops::Range<usize>),
    ) {
        let window = &self.window;
        let at = [position / self.output.w, position % self.output.w];
        let [ys, xs] = [(0, self.input.h), (1, self.input.w)]
            .map(|(axis, extent)| window.taps(axis, extent, at[axis]));
        if xs.is_empty() {
            return;
        }
        let channels = self.input.c / self.groups;
        let place = |axis: usize, tap: usize| {
            at[axis] * window.stride[axis] + tap * window.dilation[axis] - window.pad_begin[axis]
        };
        // Taps side by side are one part where all channels are.
        let is_joined = self.groups == 1 && window.dilation[1] == 1;
        for i in ys {
            let from = |j: usize| {
                (place(0, i) * self.input.w + place(1, j)) * self.input.c + group * channels
            };
            let tap = |j: usize| (i * window.kernel[1] + j) * channels;
            if is_joined {
                let len = xs.len() * channels;
                part(from(xs.start)..from(xs.start) + len, tap(xs.start)..tap(xs.start) + len);
                continue;
            }
            for j in xs.clone() {
                part(from(j)..from(j) + channels, tap(j)..tap(j) + channels);
            }
        }
    }

    /// Each channel alone.
    fn depthwise(&self, x: &[f32], g: &[f32], mut to: Option<&mut [f32]>, dw: &mut [f32]) {
        let (channels, taps) = (self.output.c, self.taps());
        let [kh, kw] = self.window.kernel;
        // By tap, so that channels lie side by side.
        let mut weights = vec![0.0; taps * channels];
        let mut sums = vec![0.0_f32; taps * channels];
        for channel in 0..channels {
            for tap in 0..taps {
                weights[tap * channels + channel] = self.weights[channel * taps + tap];
            }
        }
        let (stride, dilation, pad) =
            (self.window.stride, self.window.dilation, self.window.pad_begin);
        for (image, g) in g.chunks_exact(self.output.len()).enumerate() {
            for (position, g) in g.chunks_exact(channels).enumerate() {
                let at = [position / self.output.w, position % self.output.w];
                let ys = self.window.taps(0, self.input.h, at[0]);
                for i in ys {
                    for j in self.window.taps(1, self.input.w, at[1]) {
                        let y = at[0] * stride[0] + i * dilation[0] - pad[0];
                        let x_at = at[1] * stride[1] + j * dilation[1] - pad[1];
                        let from = image * self.input.len() + (y * self.input.w + x_at) * channels;
                        debug_assert!(i < kh && j < kw);
                        let tap = (i * kw + j) * channels;
                        let sums = &mut sums[tap..][..channels];
                        let x = &x[from..][..channels];
                        for ((sum, x), g) in sums.iter_mut().zip(x).zip(g) {
                            *sum += x * g;
                        }
                        if let Some(to) = to.as_deref_mut() {
                            let (to, w) =
                                (&mut to[from..][..channels], &weights[tap..][..channels]);
                            for ((to, w), g) in to.iter_mut().zip(w).zip(g) {
                                *to += w * g;
                            }
                        }
                    }
                }
            }
        }
        for channel in 0..channels {
            for tap in 0..taps {
                dw[channel * taps + tap] += sums[tap * channels + channel];
            }
        }
    }
}
