//! Packed weights, and how instructions make 16-bit lanes of them.

/// How stored weights become 16-bit lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unpack {
    /// They are 16 bits wide.
    Wide,
    /// They become the top bits of a byte, 8 or fewer; then two bytes are sign-extended.
    Bytes,
    /// They are the top bits of the lane: masked.
    Lanes,
}

/// Two pairs of lanes, what is unpacked in one go.
pub(super) type Four = [[i16; 2]; 2];

/// Fours of a group: the fewest that fill whole words.
pub(super) fn group(bits: u8) -> usize {
    match bits {
        8.. => 1,
        4 => 2,
        2 | 6 => 4,
        _ => 8,
    }
}

/// Words that so many fours of at most 8 bits take.
pub(super) fn words(bits: u8, fours: usize) -> usize {
    (fours * usize::from(bits)).div_ceil(8)
}

/// Where a stored weight lies in the stream of its byte or lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Which of the words.
    pub(super) word: usize,
    /// Bits above it.
    pub(super) above: u32,
    /// Bits of it that are the highest of the next word's; its other bits are then the lowest ones of this.
    pub(super) rest: u32,
}

impl Field {
    /// Of `bits` bits, so many of them from the beginning, where each word has `size` bits of the stream.
    pub(super) fn new(bits: u8, index: usize, size: u32) -> Self {
        let size_count = usize::try_from(size).unwrap_or(8);
        let at = index * usize::from(bits);
        let above = u32::try_from(at % size_count).unwrap_or(0);
        let rest = (above + u32::from(bits)).saturating_sub(size);
        Self { word: at / size_count, above, rest }
    }
}

/// The fours as words, the last one filled up with zero bits. Each byte of the words, or each lane, is a stream of
/// weights, the first one in its most significant bits; one bit is a sign. The bits of a weight that two words share
/// lie where [`Field`] says.
pub(super) fn pack(unpack: Unpack, bits: u8, fours: &[Four]) -> Vec<u32> {
    let field = |weight: i16| match bits {
        1 => u32::from(weight < 0),
        _ => u32::from(weight.cast_unsigned()) & ((1_u32 << bits) - 1),
    };
    if unpack == Unpack::Wide {
        let word = |pair: &[i16; 2]| field(pair[0]) | field(pair[1]) << 16;
        return fours.iter().flatten().map(word).collect();
    }
    let mut packed = vec![0_u32; words(bits, fours.len())];
    for (i, four) in fours.iter().enumerate() {
        for (pair, weights) in four.iter().enumerate() {
            for (&weight, lane) in weights.iter().zip(0_u32..) {
                let (size, from, index) = match (unpack, pair) {
                    (Unpack::Bytes, 0) => (8, 16 * lane, i),
                    (Unpack::Bytes, _) => (8, 16 * lane + 8, i),
                    _ => (16, 16 * lane, 2 * i + pair),
                };
                let Field { word, above, rest } = Field::new(bits, index, size);
                let weight = field(weight);
                if rest == 0 {
                    packed[word] |= weight << (from + size - above - u32::from(bits));
                } else {
                    let low = size - above;
                    packed[word] |= (weight & ((1 << low) - 1)) << from;
                    packed[word + 1] |= weight >> low << (from + size - rest);
                }
            }
        }
    }
    packed
}

/// The word after the weights of channels that are computed together, from the first of them on: by how many
/// bits each has coarser weights, the first one lowest. None where all weights are alike.
pub(super) fn points(coarser: &[u8], first: usize) -> Option<u32> {
    let byte = |i: usize| coarser.get(first + i).copied().unwrap_or(0);
    (!coarser.is_empty()).then(|| u32::from_le_bytes([0, 1, 2, 3].map(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_lie_where_the_instructions_take_them() {
        let four = [[1, 2], [3, -4]];
        assert_eq!(pack(Unpack::Wide, 16, &[four]), [0x0002_0001, 0xfffc_0003]);
        // Pair 0 is bytes 0 and 2, pair 1 is bytes 1 and 3.
        assert_eq!(pack(Unpack::Bytes, 8, &[four]), [0xfc02_0301]);
        assert_eq!(pack(Unpack::Bytes, 4, &[four, [[5, 6], [7, -8]]]), [0xc826_3715]);
        // The low bit of the third lies below the second, its high bits are on top of the next word.
        let fours = [[[1, 0]; 2], [[2, 0]; 2], [[-3, 0]; 2]];
        assert_eq!(pack(Unpack::Bytes, 3, &fours), [0x0000_2929, 0x0000_8080]);
        assert_eq!(pack(Unpack::Bytes, 5, &fours[1..]), [0x0000_1515, 0x0000_c0c0]);
        // Lanes from the top: pair 0, pair 1, then the next four.
        assert_eq!(pack(Unpack::Lanes, 4, &[four, [[5, 6], [7, -8]]]), [0x2c68_1357]);
        assert_eq!(pack(Unpack::Lanes, 2, &[[[1, -1], [-2, 0]]]), [0xc000_6000]);
        assert_eq!(pack(Unpack::Lanes, 1, &[[[1, -1], [-1, 1]]]), [0x8000_4000]);
    }
}
