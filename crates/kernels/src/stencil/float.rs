//! Of floats.

use super::{Starts, StencilKernel, StencilRow, Taps, columns, inside, take_apart};
use crate::ConvGeometry;
use crate::aligned::Aligned;

/// A depthwise layer of floats, its weights packed.
pub(crate) struct FloatStencil {
    geometry: ConvGeometry,
    columns: usize,
    row_len: usize,
    starts: Starts,
    row: StencilRow<f32>,
    /// Rows of the image that are kept, the latest over the oldest.
    n_kept: usize,
    /// Of the rows of outputs whose first tap lies in each of the kept rows.
    taps: Vec<Taps>,
}

impl FloatStencil {
    /// Packs `weights`, `[c][kh][kw]`, for vectors of `lanes` sums; `bias` is by channel.
    pub(crate) fn new(geometry: ConvGeometry, lanes: usize, weights: &[f32], bias: &[f32]) -> Self {
        let c = geometry.input[2];
        let [kh, kw] = geometry.kernel;
        let columns = columns(&geometry);
        let starts = Starts::new(&geometry, lanes);
        let row_len = starts.row_len(&geometry, columns);
        let n_kept = (kh - 1) * geometry.dilation[0] + 1;
        assert!(u32::try_from(n_kept * row_len + lanes).is_ok(), "the image is too large");
        let tap = |first: usize, tap: usize| {
            let row = (first + tap / kw * geometry.dilation[0]) % n_kept;
            let column = tap % kw * geometry.dilation[1];
            (row * row_len + starts.column_offset(&geometry, column)) as u32
        };
        let taps = |first| Taps::new((0..kh * kw).map(|idx| tap(first, idx)).collect());
        FloatStencil {
            geometry,
            columns,
            row_len,
            row: StencilRow {
                weights: starts
                    .weights(c, kh * kw, |channel, tap| weights[channel * kh * kw + tap]),
                bias: starts.by_lane(c, |channel| bias[channel]),
                starts: starts.clone(),
            },
            n_kept,
            taps: (0..n_kept).map(taps).collect(),
            starts,
        }
    }

    /// Writes the sums with their biases, row by row, and gives each to `each(row of the output, sums)`.
    pub(crate) fn for_each_row(
        &self,
        kernel: StencilKernel<f32, f32>,
        x: &[f32],
        buffer: &mut Aligned<f32>,
        y: &mut [f32],
        mut each: impl FnMut(usize, &mut [f32]),
    ) {
        let ([h, w, c], [_, ow, _]) = (self.geometry.input, self.geometry.output);
        // The last vector reads past the end; rows that are taken apart are made behind those kept.
        let kept_len = self.n_kept * self.row_len + self.starts.largest + self.starts.lanes;
        let whole_len = self.columns * c;
        buffer.grow(kept_len + whole_len);
        let (kept, whole) = buffer.as_mut_slice().split_at_mut(kept_len);
        let whole = &mut whole[..whole_len];
        let inside = inside(&self.geometry, self.columns);
        // Rows count from the padding.
        let mut next = 0;
        for (oh, y) in y.chunks_exact_mut(ow * c).enumerate() {
            let first = oh * self.geometry.stride[0];
            for row in next.max(first)..first + self.n_kept {
                let to = &mut kept[row % self.n_kept * self.row_len..][..self.row_len];
                let from = row.checked_sub(self.geometry.pad[0]).filter(|&row| row < h);
                let copied = match self.starts.apart {
                    None => &mut to[..whole_len],
                    Some(_) => &mut whole[..],
                };
                if let Some(row) = from {
                    copied[..inside.start].fill(0.0);
                    copied[inside.clone()].copy_from_slice(&x[row * w * c..][..inside.len()]);
                    copied[inside.end..].fill(0.0);
                } else {
                    copied.fill(0.0);
                }
                if let Some(n) = self.starts.apart {
                    take_apart(whole, c, self.geometry.stride[1], n, to);
                }
            }
            next = first + self.n_kept;
            kernel(&self.row, &self.taps[first % self.n_kept], kept, y);
            each(oh, y);
        }
    }
}
