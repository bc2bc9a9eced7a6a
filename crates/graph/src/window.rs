//! A window that slides over an image: what convolution and pooling share.

use crate::shape::Shape;
use fixedwise_kernels::ConvGeometry;
use std::ops::Range;

/// Kernel, stride, dilation and padding of a sliding window; all as `[vertical, horizontal]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Extents of the kernel.
    pub kernel: [usize; 2],
    /// Steps between two positions.
    pub stride: [usize; 2],
    /// Distance between two taps.
    pub dilation: [usize; 2],
    /// Padding before the first row and column.
    pub pad_begin: [usize; 2],
    /// Padding after the last row and column.
    pub pad_end: [usize; 2],
    /// Whether a last, partly covered position counts.
    pub ceil: bool,
}

impl Window {
    /// A window that covers the whole of `shape`.
    pub const fn whole(shape: Shape) -> Self {
        Self {
            kernel: [shape.h, shape.w],
            stride: [1, 1],
            dilation: [1, 1],
            pad_begin: [0, 0],
            pad_end: [0, 0],
            ceil: false,
        }
    }

    /// A window of one pixel.
    pub const fn pixel() -> Self {
        Self::whole(Shape::new(1, 1, 1))
    }

    /// Pads an input of `extents` so that there is a position for every stride that begins in it;
    /// the odd row or column goes after the last.
    ///
    /// Source: ONNX `auto_pad` = `SAME_UPPER`, Keras `padding` = `same`.
    pub(crate) fn pad_same(&mut self, extents: [usize; 2]) {
        for axis in 0..2 {
            let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            let last = (extents[axis].div_ceil(self.stride[axis]) - 1) * self.stride[axis];
            let needed = (last + reach).saturating_sub(extents[axis]);
            (self.pad_begin[axis], self.pad_end[axis]) = (needed / 2, needed - needed / 2);
        }
    }

    /// Whether no input element lies under two positions, and none outside the input.
    pub fn is_tiling(&self) -> bool {
        !self.is_padded()
            && !self.ceil
            && (0..2).all(|axis| self.kernel[axis] <= self.stride[axis] && self.dilation[axis] == 1)
    }

    /// The kernels' form of a convolution with this window.
    pub(crate) fn conv(&self, groups: usize, input: Shape, output: Shape) -> ConvGeometry {
        ConvGeometry {
            input: input.dims(),
            output: output.dims(),
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            pad: self.pad_begin,
            groups,
        }
    }

    /// Whether any side is padded.
    pub fn is_padded(&self) -> bool {
        self.pad_begin != [0, 0] || self.pad_end != [0, 0]
    }

    /// Rows and columns of the result for an input of `h` rows and `w` columns.
    ///
    /// Source: ONNX `Conv` and `MaxPool`, opset 11 and up.
    ///
    /// # Errors
    /// Where the window does not fit into the padded input.
    pub fn output(&self, h: usize, w: usize) -> Result<[usize; 2], String> {
        let mut extents = [0; 2];
        for (axis, size) in [h, w].into_iter().enumerate() {
            let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            let padded = size + self.pad_begin[axis] + self.pad_end[axis];
            if reach > padded {
                return Err(format!(
                    "a window of {reach} does not fit into {padded} padded rows or columns"
                ));
            }
            let steps = padded - reach;
            let stride = self.stride[axis];
            extents[axis] = 1 + if self.ceil {
                let last = steps.div_ceil(stride);
                // A position that begins in the padding after the end does not count.
                if last * stride >= size + self.pad_begin[axis] { last - 1 } else { last }
            } else {
                steps / stride
            };
        }
        Ok(extents)
    }

    /// The kernel's taps that lie inside an input of `size` rows (or columns) at position
    /// `position`, as a half-open range.
    pub fn taps(&self, axis: usize, size: usize, position: usize) -> Range<usize> {
        let start = position * self.stride[axis];
        let (dilation, pad) = (self.dilation[axis], self.pad_begin[axis]);
        let first = pad.saturating_sub(start).div_ceil(dilation);
        let last = (size + pad).saturating_sub(start).div_ceil(dilation).min(self.kernel[axis]);
        first.min(last)..last
    }

    /// Whether its one position sees all of an image of more than one row, and nothing else.
    pub(crate) fn is_whole(&self, input: Shape, output: Shape) -> bool {
        let is_seen = self.kernel == [input.h, input.w] && self.dilation == [1, 1];
        output.h * output.w == 1 && input.h > 1 && is_seen && !self.is_padded()
    }

    /// The rows of an input of `size` rows from the first to the last that positions see; empty where they see
    /// padding alone.
    pub(crate) fn rows(&self, size: usize, positions: Range<usize>) -> Range<usize> {
        let (stride, dilation, pad) = (self.stride[0], self.dilation[0], self.pad_begin[0]);
        let row = |position: usize, tap: usize| position * stride + tap * dilation - pad;
        let mut rows = positions
            .map(|position| (position, self.taps(0, size, position)))
            .filter(|(_, taps)| !taps.is_empty())
            .map(|(position, taps)| row(position, taps.start)..row(position, taps.end - 1) + 1);
        let Some(first) = rows.next() else { return 0..0 };
        rows.fold(first, |all, rows| all.start.min(rows.start)..all.end.max(rows.end))
    }
}
