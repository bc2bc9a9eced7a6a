//! MATLAB files of version 5 (`save -v6` and `-v7`): numeric arrays, compressed or not, little
//! endian.

use crate::convert::{DEFLATE_MAX_RATIO, count_to_u64};
use flate2::read::ZlibDecoder;
use std::io::{ErrorKind, Read};

/// A numeric array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extents, fastest axis first, two at least.
    pub shape: Vec<usize>,
    /// The elements, first axis fastest.
    pub data: ArrayData,
}

/// The elements of an array.
#[derive(Clone, Debug, PartialEq)]
pub enum ArrayData {
    /// Of the class `uint8`.
    U8(Vec<u8>),
    /// Of any other numeric class.
    F64(Vec<f64>),
}

impl ArrayData {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(x) => x.len(),
            Self::F64(x) => x.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a MATLAB file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MatError {
    /// Another kind of file.
    #[error("not a MATLAB 5 file: {problem}")]
    Header {
        /// What is wrong.
        problem: &'static str,
    },
    /// A file without that variable.
    #[error("no variable `{name}`; the file contains: {names}")]
    Missing {
        /// The name that was looked for.
        name: String,
        /// The names there are.
        names: String,
    },
    /// A variable that is malformed or of another kind.
    #[error("variable `{name}`: {problem}")]
    Variable {
        /// Its name; `?` before it is known.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A variable that is larger than the limit.
    #[error("variable `{name}` with shape {shape:?} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Its name.
        name: String,
        /// Its extents.
        shape: Vec<usize>,
        /// The limit.
        limit: usize,
    },
    /// A variable that cannot be inflated.
    #[error("variable `{name}` cannot be read; the file may be damaged")]
    Read {
        /// Its name; `?` before it is known.
        name: String,
        /// What the decoder says.
        #[source]
        source: std::io::Error,
    },
}

const HEADER_BYTES: usize = 128;
const MI_MATRIX: u32 = 14;
const MI_COMPRESSED: u32 = 15;
const MAX_NAME_BYTES: usize = 63;
const MAX_AXES: usize = 32;

/// Reads the variables of those names, each of at most `limit` bytes in memory; others are passed
/// over.
///
/// # Errors
/// [`MatError`] naming the variable.
#[expect(clippy::missing_panics_doc, reason = "what is missing has been refused")]
pub fn read<const N: usize>(
    bytes: &[u8],
    names: [&str; N],
    limit: usize,
) -> Result<[Array; N], MatError> {
    let header = |problem| MatError::Header { problem };
    let Some((start, mut rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(header("it ends within its header"));
    };
    match (&start[124..126], &start[126..128]) {
        ([0, 1], b"IM") => {}
        ([0, 2], b"IM") => return Err(header("version 7.3 is HDF5; save it with `-v7`")),
        (_, b"MI") => return Err(header("it is big-endian; save it as little-endian")),
        _ => return Err(header("it has no MATLAB 5 header")),
    }
    let mut found: [Option<Array>; N] = [const { None }; N];
    let mut present = Vec::new();
    while !rest.is_empty() {
        let Some((tag, after)) = rest.split_at_checked(8) else {
            return Err(header("it ends within a variable's tag"));
        };
        let (kind, n) = (word(&tag[..4]), count(word(&tag[4..])));
        let Some((element, after)) = after.split_at_checked(n) else {
            return Err(header("it ends within a variable"));
        };
        // What is not compressed is padded by its own parts.
        rest = after;
        let max_bytes = match kind {
            MI_COMPRESSED => element.len().saturating_mul(DEFLATE_MAX_RATIO),
            _ => element.len(),
        };
        let reader: Box<dyn Read + '_> = match kind {
            MI_COMPRESSED => Box::new(ZlibDecoder::new(element)),
            MI_MATRIX => Box::new(element),
            _ => return Err(header("it contains data that is not a variable")),
        };
        let mut matrix = Matrix { reader, name: "?".to_owned(), max_bytes, limit };
        if kind == MI_COMPRESSED && matrix.tag()?.0 != MI_MATRIX {
            return Err(matrix.wrong("the compressed data is not a variable"));
        }
        let head = matrix.head()?;
        if let Some(at) = names.iter().position(|&name| name == matrix.name) {
            if found[at].is_some() {
                return Err(matrix.wrong("it is defined twice"));
            }
            found[at] = Some(matrix.array(&head)?);
        }
        present.push(matrix.name);
    }
    for (array, name) in found.iter().zip(names) {
        if array.is_none() {
            return Err(MatError::Missing { name: name.to_owned(), names: present.join(", ") });
        }
    }
    Ok(found.map(|array| array.expect("none is missing")))
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |x, &b| x << 8 | u32::from(b))
}

fn count(word: u32) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}

/// What stands before the elements.
struct Head {
    class: u8,
    flags: u8,
    shape: Vec<usize>,
}

/// One variable that is being read.
struct Matrix<'a> {
    reader: Box<dyn Read + 'a>,
    name: String,
    /// How many bytes can follow at most.
    max_bytes: usize,
    limit: usize,
}

impl Matrix<'_> {
    fn wrong(&self, problem: impl Into<String>) -> MatError {
        MatError::Variable { name: self.name.clone(), problem: problem.into() }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), MatError> {
        self.reader.read_exact(bytes).map_err(|source| match source.kind() {
            ErrorKind::UnexpectedEof => self.wrong("it ends too early"),
            _ => MatError::Read { name: self.name.clone(), source },
        })
    }

    /// Kind and bytes of an element in the long form.
    fn tag(&mut self) -> Result<(u32, usize), MatError> {
        let mut tag = [0; 8];
        self.fill(&mut tag)?;
        Ok((word(&tag[..4]), count(word(&tag[4..]))))
    }

    /// Kind and content of an element of at most `max` bytes.
    fn element(&mut self, max: usize) -> Result<(u32, Vec<u8>), MatError> {
        let mut start = [0; 8];
        self.fill(&mut start)?;
        let first = word(&start[..4]);
        // The short form has up to four bytes within the tag.
        let short = count(first >> 16);
        if short > 4 {
            return Err(self.wrong("a short element has more than four bytes"));
        }
        if short > 0 {
            return Ok((first & 0xffff, start[4..4 + short].to_vec()));
        }
        let n = count(word(&start[4..]));
        if n > max {
            return Err(self.wrong(format!("an element has {n} bytes, {max} at most are expected")));
        }
        let mut content = Vec::with_capacity(n.min(self.max_bytes));
        let taken = (&mut self.reader).take(count_to_u64(n)).read_to_end(&mut content);
        taken.map_err(|source| MatError::Read { name: self.name.clone(), source })?;
        if content.len() != n {
            return Err(self.wrong("it ends too early"));
        }
        let mut padding = [0; 8];
        self.fill(&mut padding[..n.next_multiple_of(8) - n])?;
        Ok((first, content))
    }

    /// Flags, extents and name.
    fn head(&mut self) -> Result<Head, MatError> {
        let (kind, flags) = self.element(8)?;
        let (6, &[class, flags, ..]) = (kind, flags.as_slice()) else {
            return Err(self.wrong("it has no flags"));
        };
        let (kind, extents) = self.element(4 * MAX_AXES)?;
        let (extents, rest) = extents.as_chunks::<4>();
        if kind != 5 || extents.len() < 2 || !rest.is_empty() {
            return Err(self.wrong("its shape is malformed"));
        }
        let shape: Option<Vec<usize>> = extents
            .iter()
            .map(|&extent| usize::try_from(i32::from_le_bytes(extent)).ok())
            .collect();
        let shape = shape.ok_or_else(|| self.wrong("a size is negative"))?;
        let (kind, name) = self.element(MAX_NAME_BYTES)?;
        match String::from_utf8(name) {
            Ok(name) if kind == 1 => self.name = name,
            _ => return Err(self.wrong("its name is malformed")),
        }
        Ok(Head { class, flags, shape })
    }

    fn array(&mut self, head: &Head) -> Result<Array, MatError> {
        // 6 to 15 are the numeric classes, double to uint64.
        if !(6..=15).contains(&head.class) {
            return Err(self.wrong(
                "it is not a numeric array (but cells, a structure, text or \
                                   similar)",
            ));
        }
        if head.flags & 0x08 != 0 {
            return Err(self.wrong("it is complex"));
        }
        let is_u8 = head.class == 9;
        let memory_bytes = if is_u8 { 1 } else { 8 };
        let n = head.shape.iter().try_fold(1_usize, |n, &extent| n.checked_mul(extent));
        let n = n.filter(|n| n.checked_mul(memory_bytes).is_some_and(|bytes| bytes <= self.limit));
        let Some(n) = n else {
            let (name, shape, limit) = (self.name.clone(), head.shape.clone(), self.limit);
            return Err(MatError::TooLarge { name, shape, limit });
        };
        let (kind, content) = self.element(n.saturating_mul(8))?;
        let data = if is_u8 && kind == 2 {
            ArrayData::U8(content)
        } else {
            let data = self.numbers(kind, &content)?;
            if is_u8 {
                return Err(self.wrong("its elements are not stored as bytes"));
            }
            ArrayData::F64(data)
        };
        if data.len() != n {
            let (found, shape) = (data.len(), &head.shape);
            return Err(self.wrong(format!("{found} elements do not match its shape {shape:?}")));
        }
        // To see that there is no more, and to reach the checksum.
        let mut more = [0; 1];
        match self.reader.read(&mut more) {
            Ok(0) => Ok(Array { shape: head.shape.clone(), data }),
            Ok(_) => Err(self.wrong("data follows its elements")),
            Err(source) => Err(MatError::Read { name: self.name.clone(), source }),
        }
    }

    /// Elements of any type they may be stored in; classes are often stored in a narrower one.
    fn numbers(&self, kind: u32, bytes: &[u8]) -> Result<Vec<f64>, MatError> {
        fn all<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
            let (elements, rest) = bytes.as_chunks::<N>();
            rest.is_empty().then(|| elements.iter().map(|&x| value(x)).collect())
        }
        let numbers = match kind {
            1 => all(bytes, |x| f64::from(i8::from_le_bytes(x))),
            2 => all(bytes, |[x]| f64::from(x)),
            3 => all(bytes, |x| f64::from(i16::from_le_bytes(x))),
            4 => all(bytes, |x| f64::from(u16::from_le_bytes(x))),
            5 => all(bytes, |x| f64::from(i32::from_le_bytes(x))),
            6 => all(bytes, |x| f64::from(u32::from_le_bytes(x))),
            7 => all(bytes, |x| f64::from(f32::from_le_bytes(x))),
            9 => all(bytes, f64::from_le_bytes),
            _ => return Err(self.wrong(format!("elements of type {kind} are not supported"))),
        };
        numbers.ok_or_else(|| self.wrong("its last element is incomplete"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LIMIT: usize = 1 << 20;

    fn element(kind: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn variable(name: &str, class: u8, shape: &[i32], kind: u32, elements: &[u8]) -> Vec<u8> {
        let shape: Vec<u8> = shape.iter().flat_map(|x| x.to_le_bytes()).collect();
        let parts = [
            element(6, &[class, 0, 0, 0, 0, 0, 0, 0]),
            element(5, &shape),
            element(1, name.as_bytes()),
            element(kind, elements),
        ];
        element(MI_MATRIX, &parts.concat())
    }

    fn compressed(variable: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(variable).unwrap();
        let content = encoder.finish().unwrap();
        let mut bytes = MI_COMPRESSED.to_le_bytes().to_vec();
        bytes.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        [bytes, content].concat()
    }

    fn file(variables: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![b' '; 124];
        bytes.extend([0, 1, b'I', b'M']);
        bytes.extend(variables.concat());
        bytes
    }

    #[test]
    fn arrays_are_read_whatever_they_are_stored_in() {
        let floats = |x: &[f64]| ArrayData::F64(x.to_vec());
        let doubles: Vec<u8> = [1.5_f64, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let cases: [(u8, u32, &[u8], ArrayData); 6] = [
            (9, 2, &[7, 200], ArrayData::U8(vec![7, 200])),
            (6, 2, &[7, 200], floats(&[7.0, 200.0])),
            (6, 9, &doubles, floats(&[1.5, -2.0])),
            (7, 7, &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0], floats(&[1.0, -2.0])),
            (10, 3, &[0xff, 0xff, 0, 1], floats(&[-1.0, 256.0])),
            (12, 5, &[0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0], floats(&[-1.0, 256.0])),
        ];
        for (class, kind, elements, data) in cases {
            let plain = variable("x", class, &[2, 1], kind, elements);
            let other = variable("other", 1, &[1, 1], 2, &[0]);
            let expected = Array { shape: vec![2, 1], data };
            let both = [compressed(&plain), plain];
            for variable in both {
                let bytes = file(&[other.clone(), variable]);
                let [x] = read(&bytes, ["x"], LIMIT).unwrap();
                assert_eq!(x, expected, "{class}");
            }
        }
    }

    #[test]
    fn malformed_files_are_refused() {
        let x = |class, shape: &[i32], kind, bytes: &[u8]| variable("x", class, shape, kind, bytes);
        let good = x(9, &[2, 1], 2, &[1, 2]);
        let mut newer = file(&[]);
        newer[125] = 2;
        let mut big = file(&[]);
        big[126..128].copy_from_slice(b"MI");
        let mut complex = good.clone();
        complex[17] = 0x08;
        let long_name = variable(&"n".repeat(64), 9, &[1, 1], 2, &[1]);
        let cases = [
            (vec![0; 100], "ends within its header"),
            (vec![0; 200], "no MATLAB 5 header"),
            (newer, "save it with `-v7`"),
            (big, "big-endian"),
            (file(&[]), "no variable `x`; the file contains: "),
            (file(&[variable("y", 9, &[1, 1], 2, &[1])]), "no variable `x`; the file contains: y"),
            (file(&[good.clone(), good.clone()]), "`x`: it is defined twice"),
            (file(&[good[..good.len() - 3].to_vec()]), "ends within a variable"),
            (file(&[vec![14, 0, 0]]), "ends within a variable's tag"),
            (file(&[element(2, &[1])]), "data that is not a variable"),
            (file(&[compressed(&element(2, &[1]))]), "the compressed data is not a variable"),
            (file(&[complex]), "`x`: it is complex"),
            (file(&[x(4, &[2, 1], 4, &[1, 0, 2, 0])]), "`x`: it is not a numeric array"),
            (file(&[x(9, &[3, 1], 2, &[1, 2])]), "2 elements do not match its shape [3, 1]"),
            (file(&[x(9, &[2, 1], 9, &[0; 16])]), "not stored as bytes"),
            (file(&[x(6, &[2, 1], 9, &[0; 15])]), "last element is incomplete"),
            (file(&[x(14, &[1, 1], 12, &[0; 8])]), "elements of type 12"),
            (file(&[x(9, &[-2, 1], 2, &[1, 2])]), "a size is negative"),
            (file(&[x(9, &[2], 2, &[1, 2])]), "shape is malformed"),
            (file(&[x(9, &[1 << 30, 1 << 30], 2, &[1])]), "larger than the limit"),
            (file(&[x(6, &[1 << 18, 1], 2, &[1])]), "larger than the limit"),
            (file(&[long_name]), "an element has 64 bytes"),
        ];
        for (bytes, expected) in cases {
            let error = read(&bytes, ["x"], LIMIT).unwrap_err().to_string();
            assert!(error.contains(expected), "expected {expected}, got {error}");
        }
    }

    #[test]
    fn damaged_streams_are_refused() {
        let whole = file(&[compressed(&variable("x", 9, &[200, 1], 2, &[3; 200]))]);
        for len in 0..whole.len() {
            assert!(read(&whole[..len], ["x"], LIMIT).is_err(), "{len}");
        }
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(matches!(read(&damaged, ["x"], LIMIT), Err(MatError::Read { .. })));
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_inflated() {
        let n = 1 << 24;
        let bomb = variable("x", 9, &[n, 1], 2, &vec![0; usize::try_from(n).unwrap()]);
        let bytes = file(&[compressed(&bomb)]);
        assert!(bytes.len() < 1 << 16);
        assert!(matches!(read(&bytes, ["x"], LIMIT), Err(MatError::TooLarge { .. })));
        // What nobody asks for is not inflated either.
        assert!(matches!(read(&bytes, ["y"], LIMIT), Err(MatError::Missing { .. })));
        // Extents that fit, and more elements than they need.
        let lie = variable("x", 9, &[8, 1], 2, &vec![0; usize::try_from(n).unwrap()]);
        let error = read(&file(&[compressed(&lie)]), ["x"], LIMIT).unwrap_err().to_string();
        assert!(error.contains("64 at most are expected"), "{error}");
    }
}
