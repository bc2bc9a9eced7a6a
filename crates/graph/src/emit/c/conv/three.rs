//! Weights of three values, -1, 0 and 1 times a power of two: five to a byte.
//!
//! A byte is a fraction of 243 parts, rounded up: three times it has the next of its five digits above its eight bits.

use super::layer::ConvLayer;
use crate::emit::c::options::WeightCode;

/// Digits of a byte, and what they count.
const DIGITS: usize = 5;
const PARTS: u32 = 243;

/// Pixels of a row for which weights of two bits are unpacked. Unpacking one takes three instructions: for a fifth of the
/// bytes, a quarter of one for each product is enough.
const LEAST_PIXELS: usize = 12;

/// The power of two that all weights but zeros are, or the negative of.
pub(super) fn power(layer: &ConvLayer) -> Option<u32> {
    let largest = layer.weights.iter().map(|weight| weight.unsigned_abs()).max().unwrap_or(0);
    let is_of_three = |weight: &i16| *weight == 0 || weight.unsigned_abs() == largest;
    let may_pack = layer.weight_code == WeightCode::Digits && (2..=8).contains(&layer.weight_bits);
    let is_three = largest.is_power_of_two() && layer.weights.iter().all(is_of_three);
    (may_pack && is_three).then(|| largest.trailing_zeros())
}

/// Whether so many bytes are fewer than those of the layer's width by more than the code takes that unpacks them.
pub(super) fn saves(layer: &ConvLayer, bytes: usize, code_bytes: usize) -> bool {
    bytes + code_bytes <= layer.weights.len() * usize::from(layer.weight_bits) / 8
}

/// Whether unpacking for each row saves enough, where kernels read fields in registers.
pub(super) fn is_worth_time(layer: &ConvLayer) -> bool {
    layer.weight_bits > 2 || layer.output.w >= LEAST_PIXELS
}

/// The weights without that power of two.
pub(super) fn divided(layer: &ConvLayer, power: u32) -> Vec<i16> {
    layer.weights.iter().map(|weight| weight >> power).collect()
}

/// The layer with these weights, in two bits: its sums are so much smaller.
pub(super) fn narrow<'a>(
    layer: &ConvLayer<'a>,
    divided: &'a [i16],
    power: Option<u32>,
) -> ConvLayer<'a> {
    let power = u8::try_from(power.unwrap_or(0)).unwrap_or(0);
    let accumulator_bits = layer.accumulator_bits.saturating_sub(power);
    ConvLayer { weights: divided, weight_bits: 2, accumulator_bits, ..*layer }
}

/// Bytes of so many weights.
pub(super) fn bytes(weights: usize) -> usize {
    weights.div_ceil(DIGITS)
}

/// Weights as bytes: the digits are one more than their signs.
pub(super) fn of_weights(weights: &[i16]) -> Vec<i64> {
    let digit = |weight: &i16| u32::try_from(weight.signum() + 1).unwrap_or(0);
    weights.chunks(DIGITS).map(|five| i64::from(byte(five.iter().map(digit)))).collect()
}

/// Words of four that stand for so many words of five.
pub(super) fn words(count: usize) -> usize {
    count.div_ceil(DIGITS) * (DIGITS - 1)
}

/// Words of packed weights of two bits, none of them -2, five of them in four: a byte has the digits at one place of
/// all five, 2 for -1. The first of the four words has the highest fields of every byte.
pub(super) fn of_words(packed: &[u32]) -> Vec<u32> {
    let place = |five: &[u32], word: u32, lane: u32| {
        let at = 8 * lane + 6 - 2 * word;
        let digit = |word: &u32| match word >> at & 3 {
            3 => 2,
            digit => digit,
        };
        byte(five.iter().map(digit)) << (8 * lane)
    };
    let four = |five: &[u32]| {
        let word = |word: u32| (0..4).map(|lane| place(five, word, lane)).sum();
        [0, 1, 2, 3].map(word)
    };
    packed.chunks(DIGITS).flat_map(four).collect()
}

/// The byte of at most five digits, the first one comes out first.
fn byte(digits: impl Iterator<Item = u32>) -> u32 {
    let digits = digits.chain(std::iter::repeat(0)).take(DIGITS);
    (digits.fold(0, |number, digit| 3 * number + digit) * 256).div_ceil(PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_gives_its_digits() {
        for number in 0..PARTS {
            let digits = [81, 27, 9, 3, 1].map(|place| number / place % 3);
            let mut rest = byte(digits.into_iter());
            assert!(rest < 256);
            for digit in digits {
                rest *= 3;
                assert_eq!(rest >> 8, digit, "{number}");
                rest &= 255;
            }
        }
    }

    #[test]
    fn five_words_are_four() {
        // The lowest fields are 1, -1, 0, 0, 1; one of the highest is -1.
        let packed = [1, 3, 0, 0, 1 | 3 << 30];
        let [lowest, highest] =
            [[1, 2, 0, 0, 1], [0, 0, 0, 0, 2]].map(|five| byte(five.into_iter()));
        assert_eq!(of_words(&packed), [highest << 24, 0, 0, lowest]);
        assert_eq!(of_words(&packed[..1]), [0, 0, 0, byte([1].into_iter())]);
        assert_eq!((words(5), words(6), bytes(11)), (4, 8, 3));
    }
}
