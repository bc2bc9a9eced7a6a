//! Where a window reads.

/// Shapes of one convolution of one image; a dense layer has `h = w = 1` everywhere.
///
/// Weights are `[co][kh][kw][ci / groups]`. Output channel `o` belongs to group
/// `o / (co / groups)`. A tap outside of the image reads zero; the padding at the right and at the
/// bottom is whatever the output needs.
///
/// Source: ONNX `Conv`, opset 11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvGeometry {
    /// [h, w, c] of the input.
    pub input: [usize; 3],
    /// [h, w, c] of the output.
    pub output: [usize; 3],
    /// [h, w] of the kernel.
    pub kernel: [usize; 2],
    /// Input rows and columns from one output to the next.
    pub stride: [usize; 2],
    /// Input rows and columns from one tap to the next.
    pub dilation: [usize; 2],
    /// Zero rows above and zero columns left of the image.
    pub pad: [usize; 2],
    /// Number of groups the channels are split into.
    pub groups: usize,
}

impl ConvGeometry {
    /// A dense layer from `inputs` to `outputs` values.
    pub fn dense(inputs: usize, outputs: usize) -> Self {
        ConvGeometry {
            input: [1, 1, inputs],
            output: [1, 1, outputs],
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            pad: [0, 0],
            groups: 1,
        }
    }

    /// Number of input values.
    pub fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    /// Number of output values.
    pub fn output_len(&self) -> usize {
        self.output.iter().product()
    }

    /// Number of weights of one output channel: kh * kw * ci / groups.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1] * (self.input[2] / self.groups)
    }

    /// Number of weights.
    pub fn weights_len(&self) -> usize {
        self.output[2] * self.taps()
    }

    /// Multiplications of one image, those with padding included.
    pub fn macs(&self) -> usize {
        self.output_len() * self.taps()
    }

    /// What of its input an output sees.
    pub fn kind(&self) -> ConvKind {
        let is_plain = self.kernel == [1, 1] && self.groups == 1;
        let is_pixel = self.input[..2] == [1, 1] && self.output[..2] == [1, 1];
        let is_unit = self.stride == [1, 1] && self.dilation == [1, 1] && self.pad == [0, 0];
        match self.groups {
            1 if is_plain && is_pixel && is_unit => ConvKind::Dense,
            1 if is_plain => ConvKind::Pointwise,
            1 => ConvKind::Full,
            groups if groups == self.input[2] && groups == self.output[2] => ConvKind::Depthwise,
            _ => ConvKind::Grouped,
        }
    }

    pub(crate) fn check(&self) {
        let positive = |extents: &[usize]| extents.iter().all(|&extent| extent > 0);
        assert!(
            positive(&self.input)
                && positive(&self.output)
                && positive(&self.kernel)
                && positive(&self.stride)
                && positive(&self.dilation)
                && self.groups > 0,
            "an extent is zero: {self:?}"
        );
        assert!(
            self.input[2].is_multiple_of(self.groups) && self.output[2].is_multiple_of(self.groups),
            "groups do not divide the channels: {self:?}"
        );
    }

    /// The windows alone, for all that does not look at channels.
    pub(crate) fn windows(&self) -> PoolGeometry {
        PoolGeometry {
            input: self.input,
            output: [self.output[0], self.output[1]],
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            pad: self.pad,
        }
    }
}

/// What of its input an output of a convolution sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConvKind {
    /// Everything: both are one pixel, and all channels meet.
    Dense,
    /// All channels of one pixel.
    Pointwise,
    /// All channels under a window.
    Full,
    /// Its own channel under a window.
    Depthwise,
    /// The channels of its group under a window.
    Grouped,
}

/// Shapes of one pooling of one image; what a window reads outside of the image is ignored.
///
/// Source: ONNX `MaxPool`, opset 12, `AveragePool`, opset 19.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolGeometry {
    /// [h, w, c] of the input.
    pub input: [usize; 3],
    /// [h, w] of the output; it has the channels of the input.
    pub output: [usize; 2],
    /// [h, w] of the window.
    pub kernel: [usize; 2],
    /// Input rows and columns from one output to the next.
    pub stride: [usize; 2],
    /// Input rows and columns from one tap to the next.
    pub dilation: [usize; 2],
    /// Ignored rows above and ignored columns left of the image.
    pub pad: [usize; 2],
}

impl PoolGeometry {
    /// One window over the whole image.
    pub fn global(input: [usize; 3]) -> Self {
        PoolGeometry {
            input,
            output: [1, 1],
            kernel: [input[0], input[1]],
            stride: [1, 1],
            dilation: [1, 1],
            pad: [0, 0],
        }
    }

    /// Number of input values.
    pub fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    /// Number of output values.
    pub fn output_len(&self) -> usize {
        self.output[0] * self.output[1] * self.input[2]
    }

    /// How many taps of the window of output [oh, ow] are inside of the image.
    pub fn count(&self, oh: usize, ow: usize) -> usize {
        self.inside(0, oh).len() * self.inside(1, ow).len()
    }

    /// The taps along `axis` (0 rows, 1 columns) that are inside of the image for output `at`.
    #[inline]
    pub(crate) fn inside(&self, axis: usize, at: usize) -> core::ops::Range<usize> {
        let (start, dilation) = (at * self.stride[axis], self.dilation[axis]);
        let (pad, extent, kernel) = (self.pad[axis], self.input[axis], self.kernel[axis]);
        // Tap k reads `start + k * dilation - pad`, which must be in 0 .. extent.
        let (first, end) = (pad.saturating_sub(start), (extent + pad).saturating_sub(start));
        // Most windows are dense, and a division costs as much as a tap.
        let (first, end) = if dilation == 1 {
            (first, end)
        } else {
            (first.div_ceil(dilation), end.div_ceil(dilation))
        };
        let first = first.min(kernel);
        first..end.min(kernel).max(first)
    }

    /// The input row or column tap `tap` reads for output `at`; the tap must be inside.
    #[inline]
    pub(crate) fn source(&self, axis: usize, at: usize, tap: usize) -> usize {
        at * self.stride[axis] + tap * self.dilation[axis] - self.pad[axis]
    }

    pub(crate) fn check(&self) {
        let positive = |extents: &[usize]| extents.iter().all(|&extent| extent > 0);
        assert!(
            positive(&self.input)
                && positive(&self.output)
                && positive(&self.kernel)
                && positive(&self.stride)
                && positive(&self.dilation),
            "an extent is zero: {self:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taps_inside_are_those_inside() {
        for (extent, kernel, stride, dilation, pad) in itertools(7, 5, 3, 3, 6) {
            let geometry = PoolGeometry {
                input: [extent, 1, 1],
                output: [9, 1],
                kernel: [kernel, 1],
                stride: [stride, 1],
                dilation: [dilation, 1],
                pad: [pad, 0],
            };
            for at in 0..9 {
                let inside: Vec<usize> = (0..kernel)
                    .filter(|tap| {
                        let read = at * stride + tap * dilation;
                        read >= pad && read - pad < extent
                    })
                    .collect();
                assert_eq!(
                    geometry.inside(0, at).collect::<Vec<_>>(),
                    inside,
                    "{geometry:?} at {at}"
                );
            }
        }
    }

    fn itertools(
        extents: usize,
        kernels: usize,
        strides: usize,
        dilations: usize,
        pads: usize,
    ) -> impl Iterator<Item = (usize, usize, usize, usize, usize)> {
        (1..=extents).flat_map(move |e| {
            (1..=kernels).flat_map(move |k| {
                (1..=strides).flat_map(move |s| {
                    (1..=dilations).flat_map(move |d| (0..=pads).map(move |p| (e, k, s, d, p)))
                })
            })
        })
    }

    #[test]
    fn a_convolution_is_of_one_kind() {
        let dense = ConvGeometry::dense(6, 4);
        let image = ConvGeometry { input: [5, 5, 6], output: [5, 5, 6], ..dense };
        let window = ConvGeometry { kernel: [3, 3], pad: [1, 1], ..image };
        let single = ConvGeometry { input: [5, 5, 1], output: [5, 5, 1], ..window };
        for (geometry, kind) in [
            (dense, ConvKind::Dense),
            (image, ConvKind::Pointwise),
            (ConvGeometry { stride: [2, 2], ..dense }, ConvKind::Pointwise),
            (window, ConvKind::Full),
            (single, ConvKind::Full),
            (ConvGeometry { groups: 6, ..window }, ConvKind::Depthwise),
            (ConvGeometry { groups: 6, ..image }, ConvKind::Depthwise),
            (ConvGeometry { groups: 3, ..window }, ConvKind::Grouped),
            (ConvGeometry { groups: 6, output: [5, 5, 12], ..window }, ConvKind::Grouped),
        ] {
            assert_eq!(geometry.kind(), kind, "{geometry:?}");
        }
    }
}
