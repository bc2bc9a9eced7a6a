//! The numbers of a layer: what it multiplies with and what it adds.

use crate::{shape::Shape, window::Window};
use fixedwise_kernels::Bias;

/// What a layer computes with: `y[o] = b[o] + sum w[o, i, j, c] * x[.., c]` over a sliding window, zero
/// padded; groups of channels apart. A dense layer slides over one pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters<'a> {
    /// Kernel, stride, dilation, padding.
    pub window: Window,
    /// Groups of channels.
    pub groups: usize,
    /// Output channels.
    pub channels: usize,
    /// `[output channel, row, column, input channel of the group]`.
    pub weights: &'a [f32],
    /// One an output channel.
    pub bias: &'a [f32],
    /// What each tap that lies inside the image adds to the bias, `[output channel, row, column]`;
    /// empty for nothing.
    pub tap_bias: &'a [f32],
}

/// The numbers of [`Parameters`], to change in place.
#[derive(Debug)]
pub struct ParametersMut<'a> {
    /// As [`Parameters::weights`].
    pub weights: &'a mut [f32],
    /// As [`Parameters::bias`].
    pub bias: &'a mut [f32],
    /// As [`Parameters::tap_bias`].
    pub tap_bias: &'a mut [f32],
}

impl Parameters<'_> {
    /// Input channels.
    pub fn input_channels(&self) -> usize {
        self.group_channels() * self.groups
    }

    /// Input channels of one group.
    pub fn group_channels(&self) -> usize {
        let [kh, kw] = self.window.kernel;
        self.weights.len() / (self.channels * kh * kw)
    }

    /// Whether each output channel is made of one input channel alone, the one at its own place.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.channels && self.group_channels() == 1
    }

    /// Weights of one output channel.
    pub fn depth(&self) -> usize {
        self.weights.len() / self.channels
    }

    /// Output channels of one group.
    pub fn group_outputs(&self) -> usize {
        self.channels / self.groups
    }

    /// The output channel of a weight, and the input channel that it multiplies.
    pub fn channels_of(&self, weight: usize) -> (usize, usize) {
        let (output, within) = (weight / self.depth(), weight % self.group_channels());
        (output, output / self.group_outputs() * self.group_channels() + within)
    }

    /// Biases of all classes of positions: how many [`Parameters::border_bias`] has.
    pub fn bias_count(&self, input: Shape, output: Shape) -> usize {
        if self.tap_bias.is_empty() {
            return self.channels;
        }
        let classes_of =
            |axis, size, positions| classes(&self.window, axis, size, positions).0.len();
        classes_of(0, input.h, output.h) * classes_of(1, input.w, output.w) * self.channels
    }

    /// The bias at every position: which class of positions it belongs to, and each class' bias in
    /// full precision, `[class, output channel]`.
    pub fn border_bias(&self, input: Shape, output: Shape) -> Bias<f64> {
        let bias: Vec<f64> = self.bias.iter().map(|&b| f64::from(b)).collect();
        if self.tap_bias.is_empty() {
            return Bias::uniform(bias, output.h, output.w);
        }
        let (rows, row_class) = classes(&self.window, 0, input.h, output.h);
        let (columns, column_class) = classes(&self.window, 1, input.w, output.w);
        let [kh, kw] = self.window.kernel;
        let mut values = Vec::with_capacity(rows.len() * columns.len() * self.channels);
        for row in &rows {
            for column in &columns {
                for (channel, b) in bias.iter().enumerate() {
                    let taps = &self.tap_bias[channel * kh * kw..][..kh * kw];
                    let inside = row.clone().flat_map(|i| taps[i * kw..][column.clone()].iter());
                    values.push(b + inside.map(|&t| f64::from(t)).sum::<f64>());
                }
            }
        }
        Bias { row_class, column_class, n_column_classes: columns.len(), values }
    }
}

/// The distinct ranges of taps along one axis, and the index of each position's.
fn classes(
    window: &Window,
    axis: usize,
    size: usize,
    positions: usize,
) -> (Vec<std::ops::Range<usize>>, Vec<u16>) {
    let mut distinct: Vec<std::ops::Range<usize>> = Vec::new();
    let class = (0..positions)
        .map(|position| {
            let taps = window.taps(axis, size, position);
            let index = distinct.iter().position(|d| *d == taps).unwrap_or_else(|| {
                distinct.push(taps);
                distinct.len() - 1
            });
            u16::try_from(index).expect("no more classes than taps squared, and kernels are small")
        })
        .collect();
    (distinct, class)
}
