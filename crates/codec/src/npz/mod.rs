//! NumPy arrays: `.npy` files, and `.npz` archives of them.
//!
//! Pickled objects are refused: reading them would mean to run a program that the file brings.

mod header;
mod npy;

pub use npy::{encode_integers, encode_npy, encode_text, read_npy};

use crate::convert::DEFLATE_MAX_RATIO;
use std::{
    collections::BTreeMap,
    io::{Cursor, Read, Seek, Write},
};
use zip::{ZipArchive, ZipWriter, result::ZipError};

/// An array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extents, slowest axis first; empty is a scalar.
    pub shape: Vec<usize>,
    /// The elements, last axis fastest, whatever the order in the file.
    pub data: ArrayData,
}

/// The elements of an array.
#[derive(Clone, Debug, PartialEq)]
pub enum ArrayData {
    /// Unsigned bytes, and truth values as 0 and 1.
    U8(Vec<u8>),
    /// Integers of any other width in the file.
    I64(Vec<i64>),
    /// Floating-point numbers of any width in the file.
    F32(Vec<f32>),
}

impl ArrayData {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(x) => x.len(),
            Self::I64(x) => x.len(),
            Self::F32(x) => x.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why an array cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpzError {
    /// The archive itself is broken.
    #[error("not a readable .npz archive; it may be truncated or have another format")]
    Archive {
        /// What is wrong with it.
        #[source]
        source: ZipError,
    },
    /// The archive has the same array twice.
    #[error("the archive contains more than one array `{name}`")]
    Duplicate {
        /// Name of the array.
        name: String,
    },
    /// The archive has no such array.
    #[error("no array `{name}`; the archive contains: {names}")]
    Missing {
        /// The name that was looked for.
        name: String,
        /// The names there are.
        names: String,
    },
    /// The array is not a well-formed `.npy` file.
    #[error("array `{array}`: {problem}")]
    Npy {
        /// Name of the array.
        array: String,
        /// What is wrong.
        problem: String,
    },
    /// The array is larger than the limit.
    #[error("array `{array}` with shape {shape:?} needs {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Name of the array.
        array: String,
        /// Its extents.
        shape: Vec<usize>,
        /// Bytes of its elements.
        bytes: u64,
        /// The limit.
        limit: usize,
    },
    /// The elements of the array cannot be inflated.
    #[error("array `{array}` cannot be read; the file may be damaged")]
    Read {
        /// Name of the array.
        array: String,
        /// What the decoder says.
        #[source]
        source: std::io::Error,
    },
}

/// An `.npz` archive; arrays are read one at a time.
#[derive(Debug)]
pub struct Npz<R> {
    archive: ZipArchive<R>,
    members: BTreeMap<String, usize>,
    /// Of the archive.
    file_bytes: usize,
    limit: usize,
}

impl<'a> Npz<Cursor<&'a [u8]>> {
    /// Opens an archive; no array may have more than `limit` bytes, in the file or in memory.
    ///
    /// # Errors
    /// [`NpzError`] where the bytes are no archive or it has the same array twice.
    pub fn open(bytes: &'a [u8], limit: usize) -> Result<Self, NpzError> {
        Self::from_reader(Cursor::new(bytes), bytes.len(), limit)
    }
}

impl<R: Read + Seek> Npz<R> {
    /// As `open`, for an archive of `file_bytes` that is read in parts, each when it is needed.
    ///
    /// # Errors
    /// [`NpzError`] where it is no archive or has the same array twice.
    pub fn from_reader(reader: R, file_bytes: usize, limit: usize) -> Result<Self, NpzError> {
        let broken = |source| NpzError::Archive { source };
        let archive = ZipArchive::new(reader).map_err(broken)?;
        if archive.has_duplicate_names() {
            return Err(broken(ZipError::InvalidArchive("two members have the same name".into())));
        }
        let mut members = BTreeMap::new();
        for (index, member) in archive.file_names().enumerate() {
            let member = member.map_err(broken)?;
            if let Some(name) = member.strip_suffix(".npy")
                && members.insert(name.to_owned(), index).is_some()
            {
                return Err(NpzError::Duplicate { name: name.to_owned() });
            }
        }
        Ok(Self { archive, members, file_bytes, limit })
    }

    /// Names of the arrays, sorted, without `.npy`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// Whether there is an array of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Extents of an array; its elements are not read.
    ///
    /// # Errors
    /// [`NpzError`] naming the array.
    pub fn shape(&mut self, name: &str) -> Result<Vec<usize>, NpzError> {
        let (file, _) = self.member(name)?;
        npy::read_shape(file, name)
    }

    /// Reads one array.
    ///
    /// # Errors
    /// [`NpzError`] naming the array.
    pub fn read(&mut self, name: &str) -> Result<Array, NpzError> {
        self.read_first(name, usize::MAX)
    }

    /// Reads one array, of its slowest axis no more than the first `rows`; what follows them is
    /// neither read nor checked.
    ///
    /// # Errors
    /// [`NpzError`] naming the array.
    pub fn read_first(&mut self, name: &str, rows: usize) -> Result<Array, NpzError> {
        let limit = self.limit;
        let (file, file_bytes) = self.member(name)?;
        npy::read_array(file, name, rows, file_bytes, limit)
    }

    /// The decompressed bytes of a member, and how many they can be at most.
    fn member(&mut self, name: &str) -> Result<(impl Read, usize), NpzError> {
        let Some(&index) = self.members.get(name) else {
            return Err(NpzError::Missing {
                name: name.to_owned(),
                names: self.names().collect::<Vec<_>>().join(", "),
            });
        };
        let file = self.archive.by_index(index).map_err(|source| NpzError::Archive { source })?;
        Ok((file, self.file_bytes.saturating_mul(DEFLATE_MAX_RATIO)))
    }
}

/// Reads all arrays of an archive; none may have more than `limit` bytes.
///
/// # Errors
/// [`NpzError`] naming the array.
///
/// ```
/// use fixedwise_codec::npz::{Array, ArrayData, encode_npz, read_npz};
/// let x = Array { shape: vec![2], data: ArrayData::U8(vec![1, 2]) };
/// let file = encode_npz(&[("x", &x)]);
/// assert_eq!(read_npz(&file, 1 << 20).unwrap()["x"], x);
/// ```
pub fn read_npz(bytes: &[u8], limit: usize) -> Result<BTreeMap<String, Array>, NpzError> {
    let mut npz = Npz::open(bytes, limit)?;
    let names: Vec<String> = npz.names().map(str::to_owned).collect();
    names.into_iter().map(|name| npz.read(&name).map(|array| (name, array))).collect()
}

/// The bytes of a compressed archive of those arrays.
///
/// # Panics
/// Where two arrays have the same name.
pub fn encode_npz(arrays: &[(&str, &Array)]) -> Vec<u8> {
    encode_archive(arrays.iter().map(|(name, array)| (*name, encode_npy(array))))
}

/// The bytes of a compressed archive of arrays that are `.npy` files already.
///
/// # Panics
/// Where two arrays have the same name.
pub fn encode_archive<'a>(arrays: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Vec<u8> {
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        archive.start_file(format!("{name}.npy"), options).expect("the caller gives unique names");
        archive.write_all(&bytes).expect("a vector takes all bytes");
    }
    archive.finish().expect("a vector takes all bytes").into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn arrays() -> [(&'static str, Array); 2] {
        [
            ("y", Array { shape: vec![2], data: ArrayData::I64(vec![3, 4]) }),
            ("x", Array { shape: vec![2, 3], data: ArrayData::U8(vec![1, 2, 3, 4, 5, 6]) }),
        ]
    }

    #[test]
    fn the_first_rows_are_read() {
        let [_, (name, x)] = arrays();
        let bytes = encode_npz(&[(name, &x)]);
        let mut npz = Npz::open(&bytes, LIMIT).unwrap();
        let part = npz.read_first(name, 1).unwrap();
        assert_eq!(part, Array { shape: vec![1, 3], data: ArrayData::U8(vec![1, 2, 3]) });
        for rows in [2, 3, usize::MAX] {
            assert_eq!(npz.read_first(name, rows).unwrap(), x);
        }
        // The limit counts what is read.
        let mut npz = Npz::open(&bytes, 3).unwrap();
        assert!(npz.read_first(name, 1).is_ok());
        assert!(matches!(npz.read_first(name, 2), Err(NpzError::TooLarge { .. })));
    }

    fn archive(members: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in members {
            archive.start_file(*name, options).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn arrays_are_read_by_name() {
        let [y, x] = arrays();
        let bytes = encode_npz(&[(y.0, &y.1), (x.0, &x.1)]);
        let mut npz = Npz::open(&bytes, LIMIT).unwrap();
        assert_eq!(npz.names().collect::<Vec<_>>(), ["x", "y"]);
        assert!(npz.contains("x") && !npz.contains("z"));
        assert_eq!(npz.shape("x").unwrap(), [2, 3]);
        assert_eq!(npz.read("x").unwrap(), x.1);
        assert_eq!(npz.read("y").unwrap(), y.1);
        assert_eq!(
            npz.read("z").unwrap_err().to_string(),
            "no array `z`; the archive contains: x, y"
        );
    }

    #[test]
    fn stored_archives_are_read_and_other_members_left_alone() {
        let x = encode_npy(&arrays()[1].1);
        let bytes = archive(
            &[("x.npy", &x), ("README", b"text"), ("a/x.npy", &x)],
            zip::CompressionMethod::Stored,
        );
        let all = read_npz(&bytes, LIMIT).unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["a/x", "x"]);
        assert_eq!(all["a/x"], arrays()[1].1);
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_inflated() {
        let zeros = Array { shape: vec![1 << 24], data: ArrayData::U8(vec![0; 1 << 24]) };
        let bytes = encode_npz(&[("bomb", &zeros)]);
        assert!(bytes.len() < 1 << 16, "{}", bytes.len());
        let error = read_npz(&bytes, LIMIT).unwrap_err();
        assert!(matches!(error, NpzError::TooLarge { .. }), "{error}");
        // One that hides its size stops at the size that its header declares.
        let mut hidden = encode_npy(&arrays()[1].1);
        hidden.extend(vec![0; 1 << 24]);
        let bytes = archive(&[("x.npy", &hidden)], zip::CompressionMethod::Deflated);
        let error = read_npz(&bytes, LIMIT).unwrap_err().to_string();
        assert_eq!(error, "array `x`: contains more elements than shape [2, 3]");
    }

    #[test]
    fn damage_is_found() {
        let x = encode_npy(&arrays()[1].1);
        let mut bytes = archive(&[("x.npy", &x)], zip::CompressionMethod::Stored);
        let pixel = bytes.windows(6).position(|w| w == [1, 2, 3, 4, 5, 6]).unwrap();
        bytes[pixel] ^= 1;
        let error = read_npz(&bytes, LIMIT).unwrap_err();
        assert!(matches!(error, NpzError::Read { .. }), "{error}");
        for len in 0..bytes.len() {
            assert!(read_npz(&bytes[..len], LIMIT).is_err(), "{len}");
        }
    }
}
