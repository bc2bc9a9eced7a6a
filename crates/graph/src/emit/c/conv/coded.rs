//! Weights in codes of their frequency: short ones for weights that are frequent. They are decoded to bytes block by
//! block, in the order in which a kernel reads weights of 8 bits.
//!
//! A code stands for the upper bits of a weight, at most four; the bits below follow as they are. A table tells codes
//! apart: of the next bits of the stream, the upper half of an entry is what the code stands for, the lower half how many
//! bits it has.

use crate::emit::c::source::{Source, fill};
use std::{collections::BTreeMap, ops::RangeInclusive};

/// Bits of the longest code.
const MOST_BITS: usize = 8;
/// What codes may stand for: four bits.
const SYMBOLS: RangeInclusive<i16> = -8..=7;
const SYMBOL_BITS: usize = 4;
/// Bytes of a layer's description in C.
const CODE_BYTES: usize = 16;
/// Bits that are read at a time.
const WORD_BITS: usize = 16;

/// The weights of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coded {
    /// Bits of a weight below those that its code stands for.
    low: usize,
    /// An entry for each value of as many bits as the longest code has.
    table: Vec<i64>,
    /// 16 bits each, the first ones lowest.
    stream: Vec<i64>,
    weights: usize,
}

impl Coded {
    /// Of weights in the order in which they are decoded, an even number; `None` where one has more than 8 bits.
    pub(super) fn of(weights: &[i16]) -> Option<Self> {
        debug_assert!(weights.len().is_multiple_of(2), "they are decoded two at a time");
        let all = (0..=SYMBOL_BITS).filter_map(|low| Self::with(weights, low));
        all.min_by_key(Self::bytes)
    }

    /// Of filters that are decoded one after the other, each filled up to pairs, where that takes less than so many bytes.
    pub(super) fn of_filters<'a>(
        filters: impl IntoIterator<Item = &'a [i16]>,
        bytes: usize,
    ) -> Option<Self> {
        let mut weights = Vec::new();
        for filter in filters {
            weights.extend_from_slice(filter);
            weights.resize(weights.len().next_multiple_of(2), 0);
        }
        Self::of(&weights).filter(|coded| coded.bytes() < bytes)
    }

    /// The same of words that have four weights each, the first one in the lowest byte.
    pub(super) fn of_words(words: impl IntoIterator<Item = u32>, bytes: usize) -> Option<Self> {
        let weight = |byte: u8| i16::from(byte.cast_signed());
        let weights = words.into_iter().flat_map(|word| word.to_le_bytes().map(weight));
        Self::of(&weights.collect::<Vec<_>>()).filter(|coded| coded.bytes() < bytes)
    }

    /// With so many bits below those that codes stand for; `None` where there are too many others.
    fn with(weights: &[i16], low: usize) -> Option<Self> {
        let mut counts = BTreeMap::new();
        weights.iter().for_each(|weight| *counts.entry(weight >> low).or_insert(0) += 1);
        if !counts.keys().all(|symbol| SYMBOLS.contains(symbol)) {
            return None;
        }
        let (symbols, counts): (Vec<i16>, Vec<usize>) = counts.into_iter().unzip();
        let bytes = |lengths: &Vec<usize>| {
            let bits: usize =
                lengths.iter().zip(&counts).map(|(length, count)| length * count).sum();
            let longest = lengths.iter().max().copied().unwrap_or(0);
            (1 << longest) + bits / 8
        };
        let lengths = (0..=MOST_BITS).filter_map(|most| code_lengths(&counts, most));
        let lengths = lengths.min_by_key(bytes)?;
        let longest = lengths.iter().max().copied().unwrap_or(0);
        let codes = codes(&lengths);
        let mut table = vec![0; 1 << longest];
        let mut words = BTreeMap::new();
        for ((symbol, length), code) in symbols.into_iter().zip(lengths).zip(codes) {
            let entry = i64::from(symbol) << SYMBOL_BITS | i64::try_from(length).unwrap_or(0);
            table.iter_mut().skip(code).step_by(1 << length).for_each(|place| *place = entry);
            words.insert(symbol, (code, length));
        }
        let mut stream = Stream::default();
        // As the reader does: it fills up before two codes, or before each where bits follow.
        let together = if low == 0 { 2 } else { 1 };
        for weights in weights.chunks(together) {
            stream.reads();
            for weight in weights {
                let (code, length) = words[&(weight >> low)];
                stream.push(code, length);
                let rest = usize::from(weight.cast_unsigned()) & ((1 << low) - 1);
                stream.push(rest, low);
            }
        }
        let stream = stream.words.into_iter().map(i64::from).collect();
        Some(Self { low, table, stream, weights: weights.len() })
    }

    /// Bytes of stream, table and description.
    pub(super) fn bytes(&self) -> usize {
        2 * self.stream.len() + self.table.len() + CODE_BYTES
    }

    /// Of the bits that the table is asked with, and of those that follow a code.
    fn masks(&self) -> [usize; 2] {
        [self.table.len() - 1, (1 << self.low) - 1]
    }

    /// The name without prefix of the function that decodes them.
    pub(super) fn function(&self) -> &'static str {
        if self.low == 0 { "decode" } else { "decode_low" }
    }

    /// Puts them into the file with what decodes them, their description under the name `LAYER_code`.
    pub(super) fn store(&self, source: &mut Source, layer: &str) {
        source.once("code", include_str!("../text/code.c"));
        let text = if self.low == 0 {
            include_str!("../text/decode.c")
        } else {
            include_str!("../text/decode_low.c")
        };
        source.once(&self.function().replace('_', ""), fill(text, &[("P", "$P")]));
        source.array("int8_t", &format!("{layer}_table"), self.table.iter().copied());
        source.weights("uint16_t", &format!("{layer}_weights"), self.stream.iter().copied());
        let ([mask, low_mask], above) = (self.masks(), SYMBOL_BITS - self.low);
        source.object(
            CODE_BYTES,
            format!(
                "static const $P_code {layer}_code = {{$P_{}, {layer}_table, {layer}_weights, {mask}, {low_mask}, \
                 {above}}};",
                self.function()
            ),
        );
    }

    /// Says that all are decoded so many times for an image, block by block.
    pub(super) fn runs(&self, source: &mut Source, blocks: usize, times: usize) {
        let turns = [times * blocks, times * self.weights / 2, times * self.stream.len()];
        source.runs(&self.function().replace('_', ""), &turns);
    }
}

/// Bits one after the other, as a reader takes them.
#[derive(Default)]
struct Stream {
    words: Vec<u16>,
    bits: usize,
    read: usize,
}

impl Stream {
    /// The reader holds 16 bits at least.
    fn reads(&mut self) {
        if self.read < self.bits + WORD_BITS {
            self.read += WORD_BITS;
            self.words.resize(self.read / WORD_BITS, 0);
        }
    }

    fn push(&mut self, value: usize, bits: usize) {
        for bit in 0..bits {
            let at = self.bits + bit;
            if value >> bit & 1 == 1 {
                self.words[at / WORD_BITS] |= 1 << (at % WORD_BITS);
            }
        }
        self.bits += bits;
    }
}

/// How many bits the codes have of what is so frequent, at most so many each and all together as few as can be; `None`
/// where there are more of them than such codes.
///
/// Source: Larmore and Hirschberg, A fast algorithm for optimal length-limited Huffman codes, 1990.
fn code_lengths(counts: &[usize], most: usize) -> Option<Vec<usize>> {
    let n = counts.len();
    if n > 1 << most {
        return None;
    }
    // What is in a package, and how often it is met.
    let own = |i: usize| {
        let mut package = vec![0; n];
        package[i] = 1;
        (counts[i], package)
    };
    let mut packages: Vec<(usize, Vec<usize>)> = Vec::new();
    for _ in 0..most {
        let join = |pair: &[(usize, Vec<usize>)]| {
            let both = pair[0].1.iter().zip(&pair[1].1).map(|(a, b)| a + b).collect();
            (pair[0].0 + pair[1].0, both)
        };
        let joined: Vec<_> = packages.chunks_exact(2).map(join).collect();
        packages = (0..n).map(own).chain(joined).collect();
        packages.sort_by_key(|(count, _)| *count);
    }
    let mut lengths = vec![0; n];
    for (_, package) in packages.iter().take(2 * n - 2) {
        lengths.iter_mut().zip(package).for_each(|(length, of_package)| *length += of_package);
    }
    Some(lengths)
}

/// Codes of these lengths, none of which begins with another; the first bit is the lowest.
fn codes(lengths: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| lengths[i]);
    let mut codes = vec![0; lengths.len()];
    let (mut next, mut before) = (0_usize, 0);
    for i in order {
        let length = lengths[i];
        next <<= length - before;
        before = length;
        codes[i] = (0..length).map(|bit| (next >> bit & 1) << (length - 1 - bit)).sum();
        next += 1;
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As C decodes them.
    fn decoded(coded: &Coded) -> Vec<i16> {
        let ([mask, low_mask], mut at, mut words) = (coded.masks(), 0, 0);
        let bit = |at: usize| {
            let word = coded.stream.get(at / WORD_BITS).copied().unwrap_or(0);
            usize::try_from(word >> (at % WORD_BITS) & 1).unwrap()
        };
        let field =
            |at: usize, mask: usize| (0..WORD_BITS).map(|i| bit(at + i) << i).sum::<usize>() & mask;
        let mut weights = Vec::new();
        while weights.len() < coded.weights {
            if coded.low > 0 || weights.len().is_multiple_of(2) {
                words += usize::from(words * WORD_BITS < at + WORD_BITS);
            }
            let entry = i16::try_from(coded.table[field(at, mask)]).unwrap();
            at += usize::try_from(entry & 15).unwrap();
            let low = i16::try_from(field(at, low_mask)).unwrap();
            at += coded.low;
            weights.push((entry >> SYMBOL_BITS) << coded.low | low);
            assert!(at <= words * WORD_BITS, "bits that were not read");
        }
        assert_eq!(words, coded.stream.len());
        weights
    }

    #[test]
    fn weights_come_back() {
        let cases: [Vec<i16>; 7] = [
            vec![5; 300],
            vec![-1, 1],
            (-128..128).collect(),
            (0..400).map(|i: i16| i % 7 * (i % 7) % 11 - 4).collect(),
            (0..400).map(|i: i16| if i % 9 == 0 { i % 100 } else { 0 }).collect(),
            (0..64).map(|i: i16| -(i % 8)).collect(),
            (0..2048).map(|i: i16| i16::try_from((i + 1).trailing_zeros()).unwrap() - 4).collect(),
        ];
        for weights in cases {
            let coded = Coded::of(&weights).unwrap();
            assert_eq!(decoded(&coded), weights);
            // Each by itself, with every number of lower bits that leaves four.
            for coded in (0..=SYMBOL_BITS).filter_map(|low| Coded::with(&weights, low)) {
                assert_eq!(decoded(&coded), weights);
            }
        }
        assert_eq!(Coded::of(&[0, 128]), None);
    }

    #[test]
    fn frequent_weights_have_short_codes() {
        // Of a half, a quarter and two eighths.
        assert_eq!(code_lengths(&[1, 4, 1, 2], 8), Some(vec![3, 1, 3, 2]));
        assert_eq!(code_lengths(&[1, 4, 1, 2], 2), Some(vec![2, 2, 2, 2]));
        assert_eq!(code_lengths(&[1, 4, 1, 2], 1), None);
        assert_eq!(code_lengths(&[9], 0), Some(vec![0]));
        assert_eq!(codes(&[3, 1, 3, 2]), [0b011, 0b0, 0b111, 0b01]);
        let weights: Vec<i16> = [vec![0; 512], vec![1; 256], vec![2; 128], vec![-1; 128]].concat();
        let coded = Coded::of(&weights).unwrap();
        // 1.75 bits each, and what is read ahead of the last two.
        assert_eq!(coded.stream.len(), 1024 * 7 / 4 / WORD_BITS + 1);
        assert_eq!(coded.bytes(), 2 * coded.stream.len() + 8 + CODE_BYTES);
    }
}
