//! What a layer multiplies with its weights: the part of its input under one position.

use fixedwise_graph::{Graph, NodeId, Shape, ops::Window, run::ValueRef};

/// How a layer reads its input. A row is what one position takes, `[group, row, column, channel]`:
/// for each group in the order of its weights; `[row, column, channel]` where it makes each channel of one alone.
#[derive(Clone, Debug)]
pub(super) struct Patches {
    window: Window,
    input: Shape,
    output: Shape,
    /// Groups of channels.
    pub(super) groups: usize,
    /// Weights of one output channel.
    pub(super) depth: usize,
    /// Output channels of one group.
    pub(super) outputs: usize,
    /// Whether it makes each channel of one alone.
    pub(super) is_alone: bool,
}

impl Patches {
    /// Of a layer; `None` of any other node.
    pub(super) fn of(graph: &Graph, id: NodeId) -> Option<Self> {
        let node = &graph.nodes[id];
        let parameters = node.op.parameters()?;
        Some(Self {
            input: graph.nodes[node.main_input()].shape,
            output: node.shape,
            groups: parameters.groups,
            depth: parameters.depth(),
            outputs: parameters.group_outputs(),
            is_alone: parameters.is_depthwise(),
            window: parameters.window,
        })
    }

    /// Elements of a row.
    pub(super) fn row_len(&self) -> usize {
        self.groups * self.depth
    }

    /// Positions of one image.
    pub(super) fn positions(&self) -> usize {
        self.output.h * self.output.w
    }

    /// `count` positions of an image, spread evenly, shifted by `seed`.
    pub(super) fn sample(&self, count: usize, seed: usize) -> impl Iterator<Item = usize> {
        let positions = self.positions();
        let count = count.min(positions);
        // Any odd step far from the extents: images look at different places.
        let shift = seed.wrapping_mul(2_654_435_761) % positions;
        (0..count).map(move |i| (i * positions / count + shift) % positions)
    }

    /// Writes the row of a position; `scale` is the step of integers.
    pub(super) fn row(&self, value: ValueRef, scale: f32, position: usize, row: &mut [f32]) {
        row.fill(0.0);
        let at = [position / self.output.w, position % self.output.w];
        let extents = [self.input.h, self.input.w];
        let [ys, xs] = [0, 1].map(|axis| self.window.taps(axis, extents[axis], at[axis]));
        let groups = if self.is_alone { 1 } else { self.groups };
        let (channels, depth) = (self.input.c / groups, self.row_len() / groups);
        let place = |axis: usize, tap: usize| {
            at[axis] * self.window.stride[axis] + tap * self.window.dilation[axis]
                - self.window.pad_begin[axis]
        };
        for i in ys {
            for j in xs.clone() {
                let from = (place(0, i) * self.input.w + place(1, j)) * self.input.c;
                let tap = (i * self.window.kernel[1] + j) * channels;
                for group in 0..groups {
                    let to = &mut row[group * depth + tap..][..channels];
                    value.copy_scaled(from + group * channels, scale, to);
                }
            }
        }
    }
}
