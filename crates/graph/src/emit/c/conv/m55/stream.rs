//! Weights as streams of bits, one in each lane of vectors, the first weight in the lowest bits; a weight may lie in
//! two neighboring vectors.

use super::strip::VECTOR;

/// Vectors that so many vectors of weights take.
pub(super) fn vectors(bits: u8, weights: usize) -> usize {
    (weights * usize::from(bits)).div_ceil(8)
}

/// Packs vectors of weights, lane by lane.
pub(super) fn pack<const N: usize>(bits: u8, weights: &[[i16; N]]) -> Vec<u8> {
    let mut bytes = vec![0_u8; vectors(bits, weights.len()) * N];
    for (i, lanes) in weights.iter().enumerate() {
        let at = i * usize::from(bits);
        for (lane, weight) in lanes.iter().enumerate() {
            let field = (weight.cast_unsigned() & ((1 << bits) - 1)) << (at % 8);
            let [low, high] = field.to_le_bytes();
            bytes[at / 8 * N + lane] |= low;
            if high > 0 {
                bytes[(at / 8 + 1) * N + lane] |= high;
            }
        }
    }
    bytes
}

/// Brings the four vectors of weights at a place of a stream into q0 to q3, with their signs. `base` is where the
/// vector with the first of them lies; it goes on to what is not read yet, or `ends` to what follows the stream. q4
/// and q5 are overwritten.
pub(super) fn load(bits: u8, first: usize, base: &str, ends: bool) -> String {
    let width = usize::from(bits);
    let (from, to) = (first * width % 8, first * width % 8 + 4 * width);
    let (mut asm, mut loaded) = (Vec::new(), 0);
    for i in 0..4 {
        let at = from + i * width;
        let (word, below) = (at / 8, at % 8);
        let is_shared = below + width > 8;
        while loaded <= word + usize::from(is_shared) {
            // What the next four begin with stays.
            let stays = !ends && to < 8 * (loaded + 1);
            let step = if stays { String::new() } else { format!(", #{VECTOR}") };
            asm.push(format!("vldrb.8 q{}, [{base}]{step}", 4 + loaded % 2));
            loaded += 1;
        }
        let [low, high] = [word, word + 1].map(|word| format!("q{}", 4 + word % 2));
        let top = if is_shared {
            let rest = below + width - 8;
            asm.push(format!("vshl.i8 q{i}, {high}, #{}", 8 - rest));
            asm.push(format!("vsri.8 q{i}, {low}, #{rest}"));
            format!("q{i}")
        } else if below + width == 8 {
            low
        } else {
            asm.push(format!("vshl.i8 q{i}, {low}, #{}", 8 - below - width));
            format!("q{i}")
        };
        asm.push(format!("vshr.s8 q{i}, {top}, #{}", 8 - width));
    }
    asm.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_each_other_from_the_lowest_bit() {
        assert_eq!(pack(4, &[[1, -1], [7, -8]]), [0x71, 0x8f]);
        // 001, 010, and of 101 the two low bits; the highest one lies in the next vector.
        assert_eq!(pack(3, &[[1], [2], [-3]]), [0b0101_0001, 0b1]);
    }

    #[test]
    fn a_vector_with_weights_of_the_next_four_is_read_again() {
        let text = load(3, 0, "r3", false);
        assert_eq!(text.matches("[r3], #16").count(), 1, "{text}");
        assert_eq!(text.matches("[r3];").count(), 1, "{text}");
        let text = load(3, 4, "r3", false);
        assert_eq!(text.matches("[r3], #16").count(), 2, "{text}");
        assert_eq!(load(3, 0, "r3", true).matches("[r3], #16").count(), 2);
        let expected = "vldrb.8 q4, [r3], #16; vshl.i8 q0, q4, #2; vshr.s8 q0, q0, #2; \
                        vldrb.8 q5, [r3], #16; vshl.i8 q1, q5, #4; vsri.8 q1, q4, #4; \
                        vshr.s8 q1, q1, #2;";
        let text = load(6, 0, "r3", false);
        assert!(text.starts_with(expected), "{text}");
    }
}
