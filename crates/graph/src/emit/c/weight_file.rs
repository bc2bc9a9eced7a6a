//! Weights in a file of their own, which may lie outside of the code: in external flash, for example.

use fixedwise_fixed::convert::count_to_u64;

/// What every file begins with: what wrote it.
const MARK: &[u8; 16] = b"fixedwise export";
/// Of the format of files; a file of another one is refused.
const VERSION: u32 = 1;
/// Mark, version, bytes of the file, checksum of what follows, zeros.
const HEADER_BYTES: usize = 32;
/// Bytes of the constants of the functions that check a file.
pub(super) const CHECK_BYTES: usize = 84;

/// The weights of a network, one layer after the other.
#[derive(Debug, Default)]
pub(super) struct WeightFile {
    weights: Vec<u8>,
}

impl WeightFile {
    /// Adds integers of that many bytes, lowest byte first; gives where they begin.
    pub(super) fn add(&mut self, size: usize, values: impl IntoIterator<Item = i64>) -> usize {
        self.weights.resize(self.weights.len().next_multiple_of(4), 0);
        let offset = HEADER_BYTES + self.weights.len();
        let values = values.into_iter();
        self.weights.extend(values.flat_map(|value| value.to_le_bytes().into_iter().take(size)));
        offset
    }

    /// The whole file, in words of four bytes.
    pub(super) fn finish(&self) -> Vec<u8> {
        let mut weights = self.weights.clone();
        weights.resize(weights.len().next_multiple_of(4), 0);
        let size = u32::try_from(HEADER_BYTES + weights.len()).unwrap_or(u32::MAX);
        let mut file = MARK.to_vec();
        for word in [VERSION, size, crc32(&weights), 0] {
            file.extend(word.to_le_bytes());
        }
        file.extend(weights);
        file
    }

    /// What the functions are filled with that take a file.
    pub(super) fn checked() -> [(&'static str, String); 3] {
        let mark: Vec<String> = MARK.chunks_exact(4).map(word_text).collect();
        [
            ("MARK", mark.join(", ")),
            ("VERSION", VERSION.to_string()),
            ("HEADER", HEADER_BYTES.to_string()),
        ]
    }
}

/// Bytes of a file as words in C.
pub(super) fn words(file: &[u8]) -> String {
    let line = |words: &[u8]| {
        let words: Vec<String> = words.chunks_exact(4).map(word_text).collect();
        format!("    {},\n", words.join(", "))
    };
    file.chunks(32).map(line).collect()
}

fn word_text(bytes: &[u8]) -> String {
    let word = bytes.iter().rev().fold(0_u32, |word, &byte| word << 8 | u32::from(byte));
    format!("0x{word:08x}u")
}

/// The size and the checksum of a file, as its header has them.
pub(super) fn stated(file: &[u8]) -> (u64, String) {
    (count_to_u64(file.len()), word_text(&file[24..28]))
}

/// The checksum of zlib, PNG and Ethernet.
///
/// Source: ISO 3309.
fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let step = |crc: u32| crc >> 1 ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    !bytes.iter().fold(u32::MAX, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_file_has_its_header_and_weights_in_words() {
        let mut file = WeightFile::default();
        assert_eq!(file.add(1, [-1, 2, 3]), 32);
        assert_eq!(file.add(2, [-2]), 36);
        assert_eq!(file.add(4, [0x8123_4567]), 40);
        let bytes = file.finish();
        assert!(bytes.starts_with(b"fixedwise export\x01\0\0\0\x2c\0\0\0"));
        assert_eq!(&bytes[32..], b"\xff\x02\x03\0\xfe\xff\0\0\x67\x45\x23\x81");
        assert_eq!(words(&bytes[36..]), "    0x0000fffeu, 0x81234567u,\n");
        assert_eq!(stated(&bytes), (44, word_text(&crc32(&bytes[32..]).to_le_bytes())));
    }
}
