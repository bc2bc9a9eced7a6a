//! IDX files, as MNIST comes in: unsigned bytes with up to a few axes, plain or gzipped.

use crate::convert::{DEFLATE_MAX_RATIO, count_to_u64};
use flate2::read::MultiGzDecoder;
use std::io::Read;

/// The array in an IDX file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// Extents, slowest axis first; at least one axis.
    pub shape: Vec<usize>,
    /// The elements, last axis fastest.
    pub data: Vec<u8>,
}

/// Why an IDX file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdxError {
    /// The bytes do not begin like an IDX file.
    #[error("not an IDX file: {problem}")]
    Header {
        /// What is wrong.
        problem: String,
    },
    /// The elements are not unsigned bytes.
    #[error(
        "IDX element type {found:#04x} is not supported, only 0x08 (unsigned bytes); convert the \
         data to .npz"
    )]
    ElementType {
        /// The type in the file.
        found: u8,
    },
    /// The file does not hold what its header says.
    #[error("the IDX file contains {found} elements, but its shape {shape:?} needs {expected}")]
    Length {
        /// The extents in the header.
        shape: Vec<usize>,
        /// How many elements they need.
        expected: usize,
        /// How many the file holds; one more than needed stands for any more.
        found: usize,
    },
    /// The array is larger than the limit.
    #[error("the IDX file declares {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Bytes of the array.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The gzip stream is broken.
    #[error("the gzip stream is damaged")]
    Gzip {
        /// What the decoder says.
        #[source]
        source: std::io::Error,
    },
}

/// Reads an IDX file of unsigned bytes, gzipped or not, of at most `limit` bytes inflated.
///
/// # Errors
/// [`IdxError`] for another kind of file, other elements, too many or too few of them.
///
/// ```
/// let file = [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9];
/// let idx = fixedwise_codec::idx::read(&file, 1 << 20).unwrap();
/// assert_eq!((idx.shape, idx.data), (vec![1, 3], vec![7, 8, 9]));
/// ```
pub fn read(bytes: &[u8], limit: usize) -> Result<Idx, IdxError> {
    read_first(bytes, usize::MAX, limit)
}

/// As [`read`], of the slowest axis no more than the first `rows`; what follows them is neither
/// read nor checked.
///
/// # Errors
/// [`IdxError`] for another kind of file, other elements, too many or too few of them.
pub fn read_first(bytes: &[u8], rows: usize, limit: usize) -> Result<Idx, IdxError> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        read_plain(MultiGzDecoder::new(bytes), bytes.len(), rows, limit)
    } else {
        read_plain(bytes, bytes.len(), rows, limit)
    }
}

/// The bytes of an IDX file, not gzipped.
///
/// # Errors
/// [`IdxError::Header`] where there are more than 255 axes or an extent needs more than 32 bits.
pub fn encode(idx: &Idx) -> Result<Vec<u8>, IdxError> {
    let header = |problem: &str| IdxError::Header { problem: problem.to_owned() };
    let axes = u8::try_from(idx.shape.len()).map_err(|_| header("it has too many axes"))?;
    let mut bytes = vec![0, 0, 8, axes];
    for &extent in &idx.shape {
        let extent = u32::try_from(extent).map_err(|_| header("a size is too large"))?;
        bytes.extend(extent.to_be_bytes());
    }
    bytes.extend(&idx.data);
    Ok(bytes)
}

fn read_plain(
    mut file: impl Read,
    file_bytes: usize,
    rows: usize,
    limit: usize,
) -> Result<Idx, IdxError> {
    let mut magic = [0; 4];
    read_header(&mut file, &mut magic)?;
    let [0, 0, element, axes] = magic else {
        let problem = "it must begin with two zero bytes".to_owned();
        return Err(IdxError::Header { problem });
    };
    if element != 0x08 {
        return Err(IdxError::ElementType { found: element });
    }
    if axes == 0 {
        return Err(IdxError::Header { problem: "it has no axis".to_owned() });
    }
    let mut shape = Vec::new();
    for _ in 0..axes {
        let mut extent = [0; 4];
        read_header(&mut file, &mut extent)?;
        let extent = usize::try_from(u32::from_be_bytes(extent));
        shape.push(extent.map_err(|e| IdxError::Header { problem: e.to_string() })?);
    }
    let is_part = rows < shape[0];
    shape[0] = shape[0].min(rows);
    let product = shape.iter().try_fold(1_usize, |n, &extent| n.checked_mul(extent.max(1)));
    let expected = match product {
        Some(_) if shape.contains(&0) => 0,
        product => product.unwrap_or(usize::MAX),
    };
    if expected > limit {
        return Err(IdxError::TooLarge { bytes: expected, limit });
    }
    let mut data = Vec::with_capacity(expected.min(file_bytes.saturating_mul(DEFLATE_MAX_RATIO)));
    // One byte more than needed: to see that there is none, and to reach the checksum.
    file.take(count_to_u64(expected) + u64::from(!is_part))
        .read_to_end(&mut data)
        .map_err(|source| IdxError::Gzip { source })?;
    if data.len() != expected {
        return Err(IdxError::Length { shape, expected, found: data.len() });
    }
    Ok(Idx { shape, data })
}

fn read_header(file: &mut impl Read, bytes: &mut [u8]) -> Result<(), IdxError> {
    file.read_exact(bytes).map_err(|source| match source.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            IdxError::Header { problem: "it ends within its header".to_owned() }
        }
        _ => IdxError::Gzip { source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LIMIT: usize = 1 << 20;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_written_is_read_plain_and_gzipped() {
        for shape in [vec![3], vec![2, 3], vec![2, 0, 3], vec![0], vec![4, 1, 2]] {
            let n = u8::try_from(shape.iter().product::<usize>()).unwrap();
            let idx = Idx { shape, data: (0..n).collect() };
            let bytes = encode(&idx).unwrap();
            assert_eq!(read(&bytes, LIMIT).unwrap(), idx);
            assert_eq!(read(&gzip(&bytes), LIMIT).unwrap(), idx);
        }
    }

    #[test]
    fn the_first_rows_are_read() {
        let idx = Idx { shape: vec![3, 2], data: vec![1, 2, 3, 4, 5, 6] };
        let bytes = encode(&idx).unwrap();
        for file in [&bytes, &gzip(&bytes)] {
            for (rows, data) in [(0, vec![]), (2, vec![1, 2, 3, 4])] {
                let part = read_first(file, rows, LIMIT).unwrap();
                assert_eq!(part, Idx { shape: vec![rows, 2], data });
            }
            for rows in [3, 4] {
                assert_eq!(read_first(file, rows, LIMIT).unwrap(), idx);
            }
        }
    }

    #[test]
    fn malformed_files_are_refused() {
        let cases: [(&[u8], &str); 13] = [
            (&[], "ends within its header"),
            (&[0, 0, 8], "ends within its header"),
            (&[0, 0, 8, 2, 0, 0, 0, 1, 0, 0], "ends within its header"),
            (b"PK\x03\x04", "two zero bytes"),
            (&[0, 1, 8, 1, 0, 0, 0, 0], "two zero bytes"),
            (&[0, 0, 0x0d, 1, 0, 0, 0, 0], "element type 0x0d is not supported"),
            (&[0, 0, 8, 0, 7], "has no axis"),
            (&[0, 0, 8, 1, 0, 0, 0, 2, 7], "contains 1 elements, but its shape [2] needs 2"),
            (&[0, 0, 8, 1, 0, 0, 0, 1, 7, 7], "contains 2 elements"),
            (&[0, 0, 8, 1, 0, 0, 0, 0, 7], "contains 1 elements"),
            (&[0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff], "more than the limit"),
            (
                &[
                    0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                    0xff,
                ],
                "more than the limit",
            ),
            (&[0, 0, 8, 2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1], "contains 1 elements"),
        ];
        for (bytes, expected) in cases {
            for file in [bytes, &gzip(bytes)] {
                let error = read(file, LIMIT).unwrap_err().to_string();
                assert!(error.contains(expected), "{bytes:?}: expected {expected}, got {error}");
            }
        }
    }

    #[test]
    fn damaged_streams_are_refused() {
        let bytes = gzip(&encode(&Idx { shape: vec![200], data: vec![3; 200] }).unwrap());
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len], LIMIT).is_err(), "{len}");
        }
        let mut damaged = bytes.clone();
        let checksum = bytes.len() - 8;
        damaged[checksum] ^= 1;
        assert!(matches!(read(&damaged, LIMIT), Err(IdxError::Gzip { .. })));
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_inflated() {
        let shape = vec![1 << 12, 1 << 12];
        let bytes = gzip(&encode(&Idx { shape, data: vec![0; 1 << 24] }).unwrap());
        assert!(matches!(read(&bytes, LIMIT), Err(IdxError::TooLarge { .. })));
    }

    #[test]
    fn shapes_that_idx_cannot_hold_are_refused() {
        for shape in [vec![1; 256], vec![1 << 32]] {
            assert!(matches!(encode(&Idx { shape, data: vec![] }), Err(IdxError::Header { .. })));
        }
    }
}
