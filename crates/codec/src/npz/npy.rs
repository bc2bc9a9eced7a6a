//! One `.npy` file: a header that is a Python literal, then the elements.

use super::{Array, ArrayData, NpzError};
use crate::convert::{count_to_u64, f16_to_f32, f64_to_f32};
use std::io::Read;

/// Reads an `.npy` file of at most `limit` bytes of elements, in the file or in memory.
///
/// # Errors
/// [`NpzError`] for another kind of file, other elements, too many or too few of them.
pub fn read_npy(bytes: &[u8], limit: usize) -> Result<Array, NpzError> {
    read_array(bytes, "npy", bytes.len(), limit)
}

/// The bytes of an `.npy` file.
pub fn encode_npy(array: &Array) -> Vec<u8> {
    let kind = match array.data {
        ArrayData::U8(_) => "|u1",
        ArrayData::I64(_) => "<i8",
        ArrayData::F32(_) => "<f4",
    };
    let extents: Vec<String> = array.shape.iter().map(|extent| format!("{extent},")).collect();
    let extents = extents.concat();
    let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({extents})}}");
    // Length of magic, version and the length itself: the elements begin at a multiple of 64.
    let header_len = (text.len() + 1 + 12).next_multiple_of(64) - 12;
    let mut bytes = MAGIC.to_vec();
    bytes.extend([2, 0]);
    bytes.extend(u32::try_from(header_len).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = header_len - 1).bytes());
    match &array.data {
        ArrayData::U8(x) => bytes.extend(x),
        ArrayData::I64(x) => bytes.extend(x.iter().flat_map(|x| x.to_le_bytes())),
        ArrayData::F32(x) => bytes.extend(x.iter().flat_map(|x| x.to_le_bytes())),
    }
    bytes
}

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Longer headers only come with structured types.
const MAX_HEADER_BYTES: usize = 1 << 16;

/// What the header says.
#[derive(Clone, Debug, PartialEq)]
struct Header {
    kind: Kind,
    is_big_endian: bool,
    is_fortran: bool,
    shape: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Bytes of an element in memory.
    fn memory_bytes(self) -> usize {
        match self {
            Self::Bool | Self::U8 => 1,
            Self::F16 | Self::F32 | Self::F64 => 4,
            _ => 8,
        }
    }
}

pub(super) fn read_shape(mut file: impl Read, array: &str) -> Result<Vec<usize>, NpzError> {
    Ok(header(&mut file, array)?.shape)
}

/// Reads an array from `file`, which gives no more than `file_bytes`.
pub(super) fn read_array(
    mut file: impl Read,
    array: &str,
    file_bytes: usize,
    limit: usize,
) -> Result<Array, NpzError> {
    let header = header(&mut file, array)?;
    let error = |problem: String| NpzError::Npy { array: array.to_owned(), problem };
    let Header { kind, is_big_endian, is_fortran, shape } = header;
    let product = shape.iter().try_fold(1_usize, |n, &extent| n.checked_mul(extent.max(1)));
    let count = match product {
        Some(_) if shape.contains(&0) => 0,
        Some(count) => count,
        None => return Err(error(format!("extents {shape:?} are too large"))),
    };
    let bytes =
        count_to_u64(count).saturating_mul(count_to_u64(kind.bytes().max(kind.memory_bytes())));
    if bytes > count_to_u64(limit) {
        return Err(NpzError::TooLarge { array: array.to_owned(), shape, bytes, limit });
    }
    let elements = Elements {
        file: &mut file,
        array,
        count,
        capacity: count.min(file_bytes / kind.bytes()),
        is_big_endian,
    };
    let mut data = match kind {
        Kind::U8 => ArrayData::U8(elements.bytes()?),
        Kind::Bool => {
            let data = elements.bytes()?;
            if let Some(x) = data.iter().find(|&&x| x > 1) {
                return Err(error(format!("element {x} is not a truth value")));
            }
            ArrayData::U8(data)
        }
        Kind::I8 => ArrayData::I64(elements.read(|b| i64::from(i8::from_le_bytes(b)))?),
        Kind::U16 => ArrayData::I64(elements.read(|b| i64::from(u16::from_le_bytes(b)))?),
        Kind::I16 => ArrayData::I64(elements.read(|b| i64::from(i16::from_le_bytes(b)))?),
        Kind::U32 => ArrayData::I64(elements.read(|b| i64::from(u32::from_le_bytes(b)))?),
        Kind::I32 => ArrayData::I64(elements.read(|b| i64::from(i32::from_le_bytes(b)))?),
        Kind::I64 => ArrayData::I64(elements.read(i64::from_le_bytes)?),
        Kind::U64 => {
            // Read as signed: what is too large is negative.
            let data = elements.read(i64::from_le_bytes)?;
            if data.iter().any(|&x| x < 0) {
                return Err(error("an element is larger than 2^63 - 1".to_owned()));
            }
            ArrayData::I64(data)
        }
        Kind::F16 => ArrayData::F32(elements.read(|b| f16_to_f32(u16::from_le_bytes(b)))?),
        Kind::F32 => ArrayData::F32(elements.read(f32::from_le_bytes)?),
        Kind::F64 => ArrayData::F32(elements.read(|b| f64_to_f32(f64::from_le_bytes(b)))?),
    };
    // Reading to the end also checks the archive's checksum.
    match file.read(&mut [0]) {
        Ok(0) => {}
        Ok(_) => return Err(error(format!("holds more than extents {shape:?} need"))),
        Err(source) => return Err(NpzError::Read { array: array.to_owned(), source }),
    }
    if is_fortran && shape.len() > 1 {
        data = match data {
            ArrayData::U8(x) => ArrayData::U8(last_axis_fastest(&shape, &x)),
            ArrayData::I64(x) => ArrayData::I64(last_axis_fastest(&shape, &x)),
            ArrayData::F32(x) => ArrayData::F32(last_axis_fastest(&shape, &x)),
        };
    }
    Ok(Array { shape, data })
}

struct Elements<'a, R> {
    file: &'a mut R,
    array: &'a str,
    count: usize,
    /// How many elements to make room for at once.
    capacity: usize,
    is_big_endian: bool,
}

impl<R: Read> Elements<'_, R> {
    fn read<const N: usize, T>(self, convert: impl Fn([u8; N]) -> T) -> Result<Vec<T>, NpzError> {
        let mut data = Vec::with_capacity(self.capacity);
        let mut block = [[0; N]; 4096];
        while data.len() < self.count {
            let part = block.len().min(self.count - data.len());
            let part = &mut block[..part];
            self.file
                .read_exact(part.as_flattened_mut())
                .map_err(|source| read_error(source, self.array, self.count))?;
            data.extend(part.iter_mut().map(|bytes| {
                if self.is_big_endian {
                    bytes.reverse();
                }
                convert(*bytes)
            }));
        }
        Ok(data)
    }

    fn bytes(self) -> Result<Vec<u8>, NpzError> {
        let mut data = Vec::with_capacity(self.capacity);
        self.file
            .take(count_to_u64(self.count))
            .read_to_end(&mut data)
            .map_err(|source| read_error(source, self.array, self.count))?;
        if data.len() < self.count {
            let source = std::io::ErrorKind::UnexpectedEof.into();
            return Err(read_error(source, self.array, self.count));
        }
        Ok(data)
    }
}

fn read_error(source: std::io::Error, array: &str, count: usize) -> NpzError {
    let array = array.to_owned();
    if source.kind() == std::io::ErrorKind::UnexpectedEof {
        let problem = format!("holds fewer than the {count} elements that it declares");
        return NpzError::Npy { array, problem };
    }
    NpzError::Read { array, source }
}

/// The elements of an array stored first axis fastest, in the other order.
fn last_axis_fastest<T: Copy>(shape: &[usize], data: &[T]) -> Vec<T> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &extent in shape {
        strides.push(stride);
        stride *= extent;
    }
    let mut index = vec![0; shape.len()];
    let mut source = 0;
    let mut ordered = Vec::with_capacity(data.len());
    while ordered.len() < data.len() {
        ordered.push(data[source]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            source += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            source -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    ordered
}

/// Reads the header and leaves `file` at the first element.
fn header(file: &mut impl Read, array: &str) -> Result<Header, NpzError> {
    let error = |problem: &str| NpzError::Npy { array: array.to_owned(), problem: problem.into() };
    let mut fill = |bytes: &mut [u8]| {
        file.read_exact(bytes).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => error("ends within its header"),
            _ => NpzError::Read { array: array.to_owned(), source },
        })
    };
    let mut start = [0; 8];
    fill(&mut start)?;
    let [magic @ .., major, minor] = &start;
    if magic != MAGIC {
        return Err(error("is not in .npy format"));
    }
    let len = match (major, minor) {
        (1, 0) => {
            let mut len = [0; 2];
            fill(&mut len)?;
            u32::from(u16::from_le_bytes(len))
        }
        (2 | 3, 0) => {
            let mut len = [0; 4];
            fill(&mut len)?;
            u32::from_le_bytes(len)
        }
        _ => return Err(error(&format!(".npy version {major}.{minor} is not supported"))),
    };
    let len = usize::try_from(len)
        .ok()
        .filter(|&len| len <= MAX_HEADER_BYTES)
        .ok_or_else(|| error("its header is too long"))?;
    let mut text = vec![0; len];
    fill(&mut text)?;
    let text = str::from_utf8(&text).map_err(|_| error("its header is not a text"))?;
    parse_header(text).map_err(|problem| error(&problem))
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
fn parse_header(text: &str) -> Result<Header, String> {
    let mut literal = Literal { rest: text };
    let mut descr = None;
    let mut fortran = None;
    let mut shape = None;
    literal.expect('{')?;
    while !literal.skip('}') {
        let key = literal.string()?;
        literal.expect(':')?;
        let is_new = match key {
            "descr" => descr.replace(literal.element_type()?).is_none(),
            "fortran_order" => fortran.replace(literal.truth()?).is_none(),
            "shape" => shape.replace(literal.extents()?).is_none(),
            _ => return Err(format!("its header has the unknown key `{}`", key.escape_default())),
        };
        if !is_new {
            return Err(format!("its header has the key `{key}` twice"));
        }
        if !literal.skip(',') {
            literal.expect('}')?;
            break;
        }
    }
    if !literal.rest.trim().is_empty() {
        return Err("its header is followed by something else".to_owned());
    }
    let (Some((kind, is_big_endian)), Some(is_fortran), Some(shape)) = (descr, fortran, shape)
    else {
        return Err("its header lacks `descr`, `fortran_order` or `shape`".to_owned());
    };
    Ok(Header { kind, is_big_endian, is_fortran, shape })
}

/// The part of Python's literals that the header needs.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn skip(&mut self, mark: char) -> bool {
        match self.rest.trim_start().strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, mark: char) -> Result<(), String> {
        if self.skip(mark) { Ok(()) } else { Err(format!("its header lacks a `{mark}`")) }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = if self.skip('\'') {
            '\''
        } else {
            self.expect('"')?;
            '"'
        };
        let (string, rest) =
            self.rest.split_once(quote).ok_or("its header has an unfinished string")?;
        self.rest = rest;
        Ok(string)
    }

    fn truth(&mut self) -> Result<bool, String> {
        let rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err("its header has neither `True` nor `False` for `fortran_order`".to_owned())
    }

    fn extents(&mut self) -> Result<Vec<usize>, String> {
        let mut extents = Vec::new();
        self.expect('(')?;
        while !self.skip(')') {
            let rest = self.rest.trim_start();
            let len = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, rest) = rest.split_at(len);
            let extent = digits.parse().map_err(|_| "its header has a malformed `shape`")?;
            extents.push(extent);
            // Python 2 marks long integers.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if !self.skip(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(extents)
    }

    /// The type of the elements, and whether they are big-endian.
    fn element_type(&mut self) -> Result<(Kind, bool), String> {
        if self.rest.trim_start().starts_with('[') {
            return Err("structured elements are not supported; save one array a field".to_owned());
        }
        let descr = self.string()?;
        let (is_big_endian, code) = match descr.as_bytes() {
            [b'>', code @ ..] => (true, code),
            code => (false, code.strip_prefix(b"<").or(code.strip_prefix(b"|")).unwrap_or(code)),
        };
        let kind = match code {
            b"b1" | b"?" => Kind::Bool,
            b"u1" => Kind::U8,
            b"u2" => Kind::U16,
            b"u4" => Kind::U32,
            b"u8" => Kind::U64,
            b"i1" => Kind::I8,
            b"i2" => Kind::I16,
            b"i4" => Kind::I32,
            b"i8" => Kind::I64,
            b"f2" => Kind::F16,
            b"f4" => Kind::F32,
            b"f8" => Kind::F64,
            [b'O', ..] => {
                return Err("holds pickled Python objects, which are not read; save it as an \
                            array of numbers"
                    .to_owned());
            }
            _ => {
                return Err(format!(
                    "elements of type `{}` are not supported; save it as uint8, int64 or float32",
                    descr.escape_default()
                ));
            }
        };
        Ok((kind, is_big_endian))
    }
}
