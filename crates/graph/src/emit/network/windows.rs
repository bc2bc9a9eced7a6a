//! Windows as attributes of ONNX nodes.

use super::file::{Attributes, int};
use crate::{shape::Shape, window::Window};

/// Padding after the last row and column with which the plain formula gives the output's extents.
pub(crate) fn pad_end(window: &Window, input: Shape, output: Shape) -> [usize; 2] {
    let ([h, w], [oh, ow]) = ([input.h, input.w], [output.h, output.w]);
    let needed = |axis: usize, size: usize, positions: usize| {
        let reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
        let end = (positions - 1) * window.stride[axis] + reach;
        end.saturating_sub(size + window.pad_begin[axis])
    };
    [needed(0, h, oh), needed(1, w, ow)]
}

/// The attributes of a pooling node.
pub(crate) fn pool_attributes(window: &Window, input: Shape, output: Shape) -> Attributes {
    let (begin, end) = (window.pad_begin, pad_end(window, input, output));
    let pads = [begin[0], begin[1], end[0], end[1]];
    // With one position any step will do; some tools want windows side by side.
    let positions = [output.h, output.w];
    let stride = [0, 1].map(|axis| match positions[axis] {
        1 => window.kernel[axis],
        _ => window.stride[axis],
    });
    vec![
        ("kernel_shape", window.kernel.map(int).to_vec().into()),
        ("strides", stride.map(int).to_vec().into()),
        ("pads", pads.map(int).to_vec().into()),
    ]
}

/// The same with the distance between taps.
pub(crate) fn window_attributes(window: &Window, input: Shape, output: Shape) -> Attributes {
    let mut attributes = pool_attributes(window, input, output);
    attributes.push(("dilations", window.dilation.map(int).to_vec().into()));
    attributes
}
