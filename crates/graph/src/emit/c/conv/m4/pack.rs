//! Packed weights, and how instructions make 16-bit lanes of them.

/// How stored weights become 16-bit lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unpack {
    /// They are 16 bits wide.
    Wide,
    /// They are the top bits of a byte, 8 or fewer: masked, then two bytes are sign-extended.
    Bytes,
    /// They are the top bits of the lane: masked.
    Lanes,
}

/// Two pairs of lanes, what is unpacked in one go.
pub(super) type Four = [[i16; 2]; 2];

/// Fours that one word holds, or words that one four takes.
pub(super) fn per_word(bits: u8) -> usize {
    8 / usize::from(bits.min(8))
}

/// The fours as words, the last one filled up with zero bits. Within a byte or a lane the first
/// weight has the most significant bits; one bit is a sign.
pub(super) fn pack(unpack: Unpack, bits: u8, fours: &[Four]) -> Vec<u32> {
    let field = |weight: i16| match bits {
        1 => u32::from(weight < 0),
        _ => u32::from(weight.cast_unsigned()) & ((1_u32 << bits) - 1),
    };
    let lanes = [0, 1].map(|pair| [0, 1].map(|lane| (pair, lane)));
    let lanes = lanes.as_flattened();
    if unpack == Unpack::Wide {
        let word = |pair: &[i16; 2]| field(pair[0]) | field(pair[1]) << 16;
        return fours.iter().flatten().map(word).collect();
    }
    let bits = u32::from(bits);
    let word = |fours: &[Four]| {
        let mut word = 0;
        for (four, first) in fours.iter().zip(0_u32..) {
            for &(pair, lane) in lanes {
                let [pair_bits, lane_bits] = [pair, lane].map(|i| u32::from(i == 1));
                let at = if unpack == Unpack::Bytes {
                    8 * (pair_bits + 2 * lane_bits) + 8 - bits * (first + 1)
                } else {
                    16 * lane_bits + 16 - bits * (2 * first + pair_bits + 1)
                };
                word |= field(four[pair][lane]) << at;
            }
        }
        word
    };
    fours.chunks(8 / usize::try_from(bits).unwrap_or(8)).map(word).collect()
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
        // Lanes from the top: pair 0, pair 1, then the next four.
        assert_eq!(pack(Unpack::Lanes, 4, &[four, [[5, 6], [7, -8]]]), [0x2c68_1357]);
        assert_eq!(pack(Unpack::Lanes, 2, &[[[1, -1], [-2, 0]]]), [0xc000_6000]);
        assert_eq!(pack(Unpack::Lanes, 1, &[[[1, -1], [-1, 1]]]), [0x8000_4000]);
    }
}
