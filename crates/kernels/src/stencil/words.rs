//! Of integers with sums of 32 bits.

use super::{Starts, StencilKernel, StencilRow, Taps, columns, inside, take_apart};
use crate::aligned::Aligned;
use crate::table::Plain;
use crate::{ConvGeometry, Integers};

/// Bytes, or pairs of 16-bit integers, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Four unsigned bytes; signed ones are offset by 128.
    Bytes,
    /// Two signed integers of 16 bits.
    Pair,
}

impl Word {
    fn rows(self) -> usize {
        match self {
            Word::Bytes => 4,
            Word::Pair => 2,
        }
    }

    /// A word with `value` in one of its rows.
    fn with(self, row: usize, value: i16) -> u32 {
        match self {
            Word::Bytes => u32::from(value as u8) << (8 * row),
            Word::Pair => u32::from(value.cast_unsigned()) << (16 * row),
        }
    }
}

/// A depthwise layer of integers, its weights packed.
pub(crate) struct Stencil {
    geometry: ConvGeometry,
    word: Word,
    /// Words of one column and channel that an output reads.
    n_words: usize,
    /// Columns of the words, padding included.
    columns: usize,
    /// Words of one row.
    row_len: usize,
    starts: Starts,
    taps: Taps,
    /// One a row of outputs that is computed from the same words.
    rows: Vec<StencilRow<i32>>,
}

impl Stencil {
    /// Packs `weights`, `[c][kh][kw]`, for vectors of `lanes` sums; `bias` is by channel.
    pub(crate) fn new(
        geometry: ConvGeometry,
        word: Word,
        lanes: usize,
        weights: &[i16],
        bias: &[i32],
    ) -> Self {
        let c = geometry.input[2];
        let [kh, kw] = geometry.kernel;
        let n_words = kh.div_ceil(word.rows());
        let columns = columns(&geometry);
        let starts = Starts::new(&geometry, lanes);
        let row_len = starts.row_len(&geometry, columns);
        assert!(u32::try_from(n_words * row_len + lanes).is_ok(), "the image is too large");
        let tap = |tap: usize| {
            let column = tap % kw * geometry.dilation[1];
            (tap / kw * row_len + starts.column_offset(&geometry, column)) as u32
        };
        let taps = Taps::new((0..n_words * kw).map(tap).collect());
        let n_rows = match geometry.dilation[0] {
            1 => (n_words * word.rows() - kh) / geometry.stride[0] + 1,
            _ => 1,
        };
        let row = |row: usize| {
            let weight = |channel: usize, tap: usize| {
                let (group, x) = (tap / kw, tap % kw);
                let mut joined = 0;
                for within in 0..word.rows() {
                    // Rows further down read later rows of the words.
                    let at = (group * word.rows() + within).checked_sub(row * geometry.stride[0]);
                    if let Some(y) = at.filter(|&y| y < kh) {
                        joined |= word.with(within, weights[(channel * kh + y) * kw + x]);
                    }
                }
                joined.cast_signed()
            };
            StencilRow {
                weights: starts.weights(c, n_words * kw, weight),
                bias: starts.by_lane(c, |channel| bias[channel]),
                starts: starts.clone(),
            }
        };
        let rows = (0..n_rows).map(row).collect();
        Stencil { geometry, word, n_words, columns, row_len, starts, taps, rows }
    }

    /// The value of each lane of the vectors of outputs until they are the same again; of no values none.
    pub(crate) fn by_lane(&self, values: &[i32]) -> Vec<i32> {
        let n = self.starts.n_phases * self.starts.lanes;
        values.iter().copied().cycle().take(n).collect()
    }

    /// Gives `each(row of the output, sums)` for all rows of the output.
    pub(crate) fn for_each_row(
        &self,
        kernel: StencilKernel<u32, i32>,
        plain: &Plain,
        x: Integers,
        buffer: &mut Aligned<u32>,
        sums: &mut Aligned<i32>,
        mut each: impl FnMut(usize, &mut [i32]),
    ) {
        let ([h, w, c], [oh, ow, _]) = (self.geometry.input, self.geometry.output);
        let n_outputs = ow * c;
        sums.grow(n_outputs);
        let sums = &mut sums.as_mut_slice()[..n_outputs];
        // The last vector reads past the end; rows that are taken apart are made behind all words.
        let words_len = self.n_words * self.row_len + self.starts.largest + self.starts.lanes;
        let whole_len = self.columns * c;
        buffer.grow(words_len + whole_len);
        let (words, whole) = buffer.as_mut_slice().split_at_mut(words_len);
        let whole = &mut whole[..whole_len];
        let inside = inside(&self.geometry, self.columns);
        let zero = match (self.word, x) {
            (Word::Bytes, Integers::I8(_)) => u32::from_ne_bytes([128; 4]),
            _ => 0,
        };
        let pad = |row: &mut [u32]| {
            row[..inside.start].fill(zero);
            row[inside.end..].fill(zero);
        };
        if self.starts.apart.is_some() {
            pad(whole);
        } else {
            words.chunks_exact_mut(self.row_len).take(self.n_words).for_each(pad);
        }
        let dilation = self.geometry.dilation[0];
        for first in (0..oh).step_by(self.rows.len()) {
            for group in 0..self.n_words {
                // Rows of the image count from the padding.
                let from = first * self.geometry.stride[0] + group * self.word.rows() * dilation;
                let row = |i: usize| {
                    let row = (from + i * dilation).checked_sub(self.geometry.pad[0])?;
                    (row < h).then(|| row * w * c)
                };
                let words = &mut words[group * self.row_len..][..self.row_len];
                match self.starts.apart {
                    None => self.join(plain, x, row, &mut words[inside.clone()]),
                    Some(n) => {
                        self.join(plain, x, row, &mut whole[inside.clone()]);
                        take_apart(whole, c, self.geometry.stride[1], n, words);
                    }
                }
            }
            for (i, row) in self.rows.iter().enumerate().take(oh - first) {
                kernel(row, &self.taps, words, sums);
                each(first + i, sums);
            }
        }
    }

    /// Joins rows of the image, each from `row(i)` on or zero, to words.
    fn join(
        &self,
        plain: &Plain,
        x: Integers,
        row: impl Fn(usize) -> Option<usize>,
        words: &mut [u32],
    ) {
        let bits = 32 / self.word.rows();
        // What is outside of the image is masked.
        let mut mask = 0_u32;
        let at = |i: usize| row(i).unwrap_or(0);
        for i in 0..self.word.rows() {
            if row(i).is_some() {
                mask |= (u32::MAX >> (32 - bits)) << (bits * i);
            }
        }
        let n = words.len();
        match (self.word, x) {
            (Word::Bytes, Integers::U8(x)) => {
                let rows = [0, 1, 2, 3].map(|i| &x[at(i)..][..n]);
                (plain.join_u8)(rows, mask, words);
            }
            (Word::Bytes, Integers::I8(x)) => {
                let rows = [0, 1, 2, 3].map(|i| &x[at(i)..][..n]);
                (plain.join_i8)(rows, mask, words);
            }
            (Word::Bytes, Integers::I16(_)) => unreachable!("words of bytes are made of bytes"),
            (Word::Pair, Integers::U8(x)) => {
                (plain.join_u8_wide)([0, 1].map(|i| &x[at(i)..][..n]), mask, words);
            }
            (Word::Pair, Integers::I8(x)) => {
                (plain.join_i8_wide)([0, 1].map(|i| &x[at(i)..][..n]), mask, words);
            }
            (Word::Pair, Integers::I16(x)) => {
                (plain.join_i16_wide)([0, 1].map(|i| &x[at(i)..][..n]), mask, words);
            }
        }
    }
}

/// Words of four bytes, those outside of `mask` zero.
#[inline(always)]
pub(crate) fn join_bytes(rows: [&[u8]; 4], mask: u32, words: &mut [u32]) {
    let n = words.len();
    let [a, b, c, d] = rows.map(|row| &row[..n]);
    for i in 0..n {
        let [a, b, c, d] = [a[i], b[i], c[i], d[i]].map(u32::from);
        words[i] = (a | b << 8 | c << 16 | d << 24) & mask;
    }
}

/// As [`join_bytes`], each byte offset by 128, zeros too.
#[inline(always)]
pub(crate) fn join_signed_bytes(rows: [&[i8]; 4], mask: u32, words: &mut [u32]) {
    let n = words.len();
    let [a, b, c, d] = rows.map(|row| &row[..n]);
    for i in 0..n {
        let [a, b, c, d] = [a[i], b[i], c[i], d[i]].map(|x| u32::from(x.cast_unsigned()));
        words[i] = ((a | b << 8 | c << 16 | d << 24) & mask) ^ 0x8080_8080;
    }
}

/// Words of two integers, those outside of `mask` zero.
#[inline(always)]
pub(crate) fn join_pairs<X: Copy + Into<i16>>(rows: [&[X]; 2], mask: u32, words: &mut [u32]) {
    let n = words.len();
    let [a, b] = rows.map(|row| &row[..n]);
    for i in 0..n {
        let [a, b] = [a[i], b[i]].map(|x| u32::from(Into::<i16>::into(x).cast_unsigned()));
        words[i] = (a | b << 16) & mask;
    }
}
