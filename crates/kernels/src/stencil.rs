//! Depthwise convolution of integers with sums of 32 bits: a word holds one column and channel of several
//! rows, and one instruction adds the products of all of them.
//!
//! The words of a row lie in the order of the image, so that every output of a row finds its taps at the
//! same offsets, whichever channel it has, and vectors need not end where pixels do. Words that several
//! rows of outputs read are made once for all of them.

use crate::aligned::Aligned;
use crate::finish::NarrowRule;
use crate::table::Plain;
use crate::{ConvGeometry, Integers, IntegersMut};

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

/// The outputs of one row: where the words of each lane are, and what they are multiplied by.
pub(crate) struct StencilRow {
    /// The first word of every vector of outputs.
    starts: Vec<u32>,
    /// From there to the words of every tap.
    taps: Vec<u32>,
    /// Words that are read.
    reach: usize,
    /// Outputs of the row.
    n_outputs: usize,
    lanes: usize,
    /// Vectors of outputs until the channels of the lanes are the same again.
    n_phases: usize,
    /// `[phase][tap][lane]`.
    weights: Aligned<i32>,
    /// `[phase][lane]`.
    bias: Aligned<i32>,
    /// The right shift, `[phase][lane]`.
    shifts: Aligned<i32>,
}

/// Where the outputs of a row go.
pub(crate) enum RowTarget<'a> {
    /// Sums with their bias.
    Sums(&'a mut [i32]),
    /// Requantized; the shifts are the row's.
    Outputs(NarrowRule, IntegersMut<'a>),
}

/// Computes a row of outputs from words; `row.check` says what it relies on.
pub(crate) type StencilKernel = fn(&StencilRow, &[u32], RowTarget);

/// What a kernel takes of a [`StencilRow`] that it checked.
#[derive(Clone, Copy)]
pub(crate) struct Lanes<'a> {
    pub(crate) starts: &'a [u32],
    pub(crate) taps: &'a [u32],
    pub(crate) n_outputs: usize,
    pub(crate) n_phases: usize,
    pub(crate) weights: &'a [i32],
    pub(crate) bias: &'a [i32],
    pub(crate) shifts: &'a [i32],
}

impl StencilRow {
    /// What every unsafe load and store of a kernel with vectors of `lanes` relies on.
    pub(crate) fn check(&self, lanes: usize, words: &[u32], to: &RowTarget) -> Lanes<'_> {
        assert_eq!(lanes, self.lanes, "the row was made for other vectors");
        assert!(self.reach <= words.len(), "a tap is past the end of the words");
        let room = match to {
            RowTarget::Sums(sums) => sums.len(),
            RowTarget::Outputs(_, y) => y.len(),
        };
        assert_eq!(room, self.n_outputs, "there is room for every output");
        let n = self.n_phases * lanes;
        Lanes {
            starts: &self.starts,
            taps: &self.taps,
            n_outputs: self.n_outputs,
            n_phases: self.n_phases,
            weights: &self.weights.as_slice()[..n * self.taps.len()],
            bias: &self.bias.as_slice()[..n],
            shifts: &self.shifts.as_slice()[..n],
        }
    }
}

/// A depthwise layer, its weights packed.
pub(crate) struct Stencil {
    geometry: ConvGeometry,
    word: Word,
    /// Words of one column and channel that an output reads.
    n_words: usize,
    /// Columns of the words, padding included.
    columns: usize,
    /// Where the columns of different remainders by the stride lie apart: how many of each.
    apart: Option<usize>,
    /// One a row of outputs that is computed from the same words.
    rows: Vec<StencilRow>,
}

impl Stencil {
    /// Packs `weights`, `[c][kh][kw]`, for vectors of `lanes` sums; `bias` and `shifts` are by channel.
    pub(crate) fn new(
        geometry: ConvGeometry,
        word: Word,
        lanes: usize,
        weights: &[i16],
        bias: &[i32],
        shifts: &[i32],
    ) -> Self {
        let ([_, _, c], [_, w, _]) = (geometry.input, geometry.output);
        let [kh, kw] = geometry.kernel;
        let n_words = kh.div_ceil(word.rows());
        let reach = (kw - 1) * geometry.dilation[1];
        let columns = (w - 1) * geometry.stride[1] + reach + 1;
        // Vectors that lie in one pixel, or follow each other without a gap, start where they like.
        let is_contiguous = geometry.stride[1] == 1 || c.is_multiple_of(lanes);
        let stride = geometry.stride[1];
        let apart = (!is_contiguous).then(|| w - 1 + reach / stride + 1);
        let n_rows = match geometry.dilation[0] {
            1 => (n_words * word.rows() - kh) / geometry.stride[0] + 1,
            _ => 1,
        };
        let group_len = apart.map_or(columns, |n| stride * n) * c;
        let column_offset =
            |column: usize| c * apart.map_or(column, |n| column % stride * n + column / stride);
        let taps: Vec<u32> = (0..n_words)
            .flat_map(|group| {
                (0..kw).map(move |tap| {
                    (group * group_len + column_offset(tap * geometry.dilation[1])) as u32
                })
            })
            .collect();
        let step = if apart.is_some() { 1 } else { stride };
        let starts: Vec<u32> = (0..w * c)
            .step_by(lanes)
            .map(|output| (output / c * step * c + output % c) as u32)
            .collect();
        let last = |offsets: &[u32]| offsets.iter().copied().max().unwrap_or(0) as usize;
        let reach = last(&starts) + last(&taps) + lanes;
        assert!(u32::try_from(n_words * group_len + lanes).is_ok(), "the image is too large");

        let n_phases = c / greatest_common_divisor(c, lanes);
        let by_lane = |values: &[i32]| -> Aligned<i32> {
            let mut all = Aligned::zeroed(n_phases * lanes);
            for (lane, to) in all.as_mut_slice()[..n_phases * lanes].iter_mut().enumerate() {
                *to = values[lane % c];
            }
            all
        };
        let row = |row: usize| {
            let mut packed = Aligned::zeroed(n_phases * taps.len() * lanes);
            let words = packed.as_mut_slice();
            for phase in 0..n_phases {
                for lane in 0..lanes {
                    let channel = (phase * lanes + lane) % c;
                    for y in 0..kh {
                        // Rows further down read later rows of the words.
                        let at = y + row * geometry.stride[0];
                        let (group, within) = (at / word.rows(), at % word.rows());
                        for x in 0..kw {
                            let tap = (phase * taps.len() + group * kw + x) * lanes + lane;
                            let weight = weights[(channel * kh + y) * kw + x];
                            words[tap] |= word.with(within, weight).cast_signed();
                        }
                    }
                }
            }
            StencilRow {
                starts: starts.clone(),
                taps: taps.clone(),
                reach,
                n_outputs: w * c,
                lanes,
                n_phases,
                weights: packed,
                bias: by_lane(bias),
                shifts: by_lane(shifts),
            }
        };
        let rows = (0..n_rows).map(row).collect();
        Stencil { geometry, word, n_words, columns, apart, rows }
    }

    /// Calls `each(row of the output, how it is computed, words)` for all rows of the output.
    pub(crate) fn for_each_row(
        &self,
        plain: &Plain,
        x: Integers,
        buffer: &mut Aligned<u32>,
        mut each: impl FnMut(usize, &StencilRow, &[u32]),
    ) {
        let [h, w, c] = self.geometry.input;
        let row_len = self.columns * c;
        let group_len = self.apart.map_or(self.columns, |n| self.geometry.stride[1] * n) * c;
        // The last vector may read past the end; rows that are taken apart are made behind all words.
        let words_len = (self.n_words * group_len).max(self.rows[0].reach);
        buffer.grow(words_len + row_len);
        let (words, behind) = buffer.as_mut_slice().split_at_mut(words_len);
        let first = self.geometry.pad[1].min(self.columns);
        let end = (self.geometry.pad[1] + w).min(self.columns);
        let zero = if matches!(x, Integers::I8(_)) && self.word == Word::Bytes {
            u32::from_ne_bytes([128; 4])
        } else {
            0
        };
        let groups = if self.apart.is_some() { 1 } else { self.n_words };
        for group in 0..groups {
            let row =
                if self.apart.is_some() { &mut behind[..] } else { &mut words[group * row_len..] };
            row[..first * c].fill(zero);
            row[end * c..row_len].fill(zero);
        }
        let dilation = self.geometry.dilation[0];
        for oh in (0..self.geometry.output[0]).step_by(self.rows.len()) {
            for group in 0..self.n_words {
                // Rows of the image count from the padding.
                let from = oh * self.geometry.stride[0] + group * self.word.rows() * dilation;
                let row = |i: usize| {
                    let row = (from + i * dilation).checked_sub(self.geometry.pad[0])?;
                    (row < h).then(|| row * w * c)
                };
                match self.apart {
                    None => {
                        let to = &mut words[group * row_len..][first * c..end * c];
                        self.join(plain, x, row, to);
                    }
                    Some(n) => {
                        self.join(plain, x, row, &mut behind[first * c..end * c]);
                        let to = &mut words[group * group_len..][..group_len];
                        take_apart(&behind[..row_len], c, self.geometry.stride[1], n, to);
                    }
                }
            }
            for (i, row) in self.rows.iter().enumerate().take(self.geometry.output[0] - oh) {
                each(oh + i, row, words);
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

/// Brings the columns of each remainder by the stride together, room for `n` of each.
fn take_apart(row: &[u32], c: usize, stride: usize, n: usize, to: &mut [u32]) {
    for (idx, column) in row.chunks_exact(c).enumerate() {
        let to = &mut to[(idx % stride * n + idx / stride) * c..][..c];
        let (chunks, rest) = column.as_chunks::<8>();
        let (to, to_rest) = to.as_chunks_mut::<8>();
        for (to, chunk) in to.iter_mut().zip(chunks) {
            *to = *chunk;
        }
        for (to, word) in to_rest.iter_mut().zip(rest) {
            *to = *word;
        }
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
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
