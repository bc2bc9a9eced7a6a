//! Fingerprints of contents.

use sha2::Digest as _;
use std::fmt::Write as _;

/// SHA-256 in base 64, as browsers take it.
pub(crate) fn base64_sha256(bytes: &[u8]) -> String {
    base64(&sha2::Sha256::digest(bytes))
}

/// Bytes in base 64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, i| word << 8 | usize::from(*three.get(i).unwrap_or(&0)));
        for i in 0..4 {
            let digit = DIGITS[word >> (18 - 6 * i) & 63];
            text.push(if i <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    sha256_of([bytes])
}

/// The same of bytes that come in parts.
pub(crate) fn sha256_of(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut text = String::with_capacity(64);
    let mut hash = sha2::Sha256::new();
    parts.into_iter().for_each(|part| hash.update(part));
    for byte in hash.finalize() {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}
