//! One `.npy` file: a header that is a Python literal, then the elements.

use super::{
    Array, ArrayData, NpzError,
    header::{Header, Kind, MAGIC, read_header},
};
use crate::convert::{count_to_u64, f16_to_f32, f64_to_f32};
use std::io::Read;

/// Reads an `.npy` file of at most `limit` bytes of elements, in the file or in memory.
///
/// # Errors
/// [`NpzError`] for another kind of file, other elements, too many or too few of them.
pub fn read_npy(bytes: &[u8], limit: usize) -> Result<Array, NpzError> {
    read_array(bytes, "npy", usize::MAX, bytes.len(), limit)
}

/// The bytes of an `.npy` file.
pub fn encode_npy(array: &Array) -> Vec<u8> {
    match &array.data {
        ArrayData::U8(x) => encode("|u1", &array.shape, x.iter().copied()),
        ArrayData::I64(x) => encode("<i8", &array.shape, x.iter().flat_map(|x| x.to_le_bytes())),
        ArrayData::F32(x) => encode("<f4", &array.shape, x.iter().flat_map(|x| x.to_le_bytes())),
    }
}

/// The bytes of an `.npy` file of signed integers, in the narrowest type that holds all of them.
pub fn encode_integers(shape: &[usize], values: &[i64]) -> Vec<u8> {
    let fits = |bits: u32| values.iter().all(|&x| x >> (bits - 1) == x >> 63);
    let (kind, bytes) = match [8, 16, 32].into_iter().find(|&bits| fits(bits)) {
        Some(8) => ("|i1", 1),
        Some(16) => ("<i2", 2),
        Some(_) => ("<i4", 4),
        None => ("<i8", 8),
    };
    encode(kind, shape, values.iter().flat_map(|x| x.to_le_bytes().into_iter().take(bytes)))
}

/// The bytes of an `.npy` file that holds one text.
pub fn encode_text(text: &str) -> Vec<u8> {
    // A text has at least one character; those after its end are zeros.
    let text = if text.is_empty() { "\0" } else { text };
    let characters = text.chars().flat_map(|c| u32::from(c).to_le_bytes());
    encode(&format!("<U{}", text.chars().count()), &[], characters)
}

fn encode(kind: &str, shape: &[usize], elements: impl Iterator<Item = u8>) -> Vec<u8> {
    let extents: Vec<String> = shape.iter().map(|extent| format!("{extent},")).collect();
    let extents = extents.concat();
    let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({extents})}}");
    // Length of magic, version and the length itself: the elements begin at a multiple of 64.
    let header_len = (text.len() + 1 + 12).next_multiple_of(64) - 12;
    let mut bytes = MAGIC.to_vec();
    bytes.extend([2, 0]);
    bytes.extend(u32::try_from(header_len).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = header_len - 1).bytes());
    bytes.extend(elements);
    bytes
}

pub(super) fn read_shape(mut file: impl Read, array: &str) -> Result<Vec<usize>, NpzError> {
    Ok(read_header(&mut file, array)?.shape)
}

/// Reads the first `rows` of an array from `file`, which gives no more than `file_bytes`.
pub(super) fn read_array(
    mut file: impl Read,
    array: &str,
    rows: usize,
    file_bytes: usize,
    limit: usize,
) -> Result<Array, NpzError> {
    let header = read_header(&mut file, array)?;
    let error = |problem: String| NpzError::Npy { array: array.to_owned(), problem };
    let Header { kind, is_big_endian, is_fortran, mut shape } = header;
    // In Fortran order the first rows are everywhere.
    let is_part = !is_fortran && shape.first().is_some_and(|&n| rows < n);
    if is_part {
        shape[0] = rows;
    }
    let product = shape.iter().try_fold(1_usize, |n, &extent| n.checked_mul(extent.max(1)));
    let count = match product {
        Some(_) if shape.contains(&0) => 0,
        Some(count) => count,
        None => return Err(error(format!("shape {shape:?} is too large"))),
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
                return Err(error(format!("element {x} is not a boolean")));
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
    match if is_part { Ok(0) } else { file.read(&mut [0]) } {
        Ok(0) => {}
        Ok(_) => return Err(error(format!("contains more elements than shape {shape:?}"))),
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
        let problem = format!("contains fewer than the {count} elements that it declares");
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    /// A file of version 1 with that header and those elements.
    fn file(header: &str, elements: &[u8]) -> Vec<u8> {
        let len = u16::try_from(header.len()).unwrap().to_le_bytes();
        [MAGIC, [1, 0].as_slice(), &len, header.as_bytes(), elements].concat()
    }

    fn plain(descr: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}   \n");
        file(&header, elements)
    }

    #[test]
    fn every_type_is_read_in_both_byte_orders() {
        let u8s = |x: &[u8]| ArrayData::U8(x.to_vec());
        let ints = |x: &[i64]| ArrayData::I64(x.to_vec());
        let floats = |x: &[f32]| ArrayData::F32(x.to_vec());
        let cases: [(&str, &[u8], ArrayData); 21] = [
            ("|u1", &[0, 255], u8s(&[0, 255])),
            ("|b1", &[1, 0], u8s(&[1, 0])),
            ("|i1", &[0x80, 127], ints(&[-128, 127])),
            ("<u2", &[1, 0, 0xff, 0xff], ints(&[1, 65535])),
            (">u2", &[0, 1, 0xff, 0xff], ints(&[1, 65535])),
            ("<i2", &[1, 0, 0xff, 0xff], ints(&[1, -1])),
            (">i2", &[0, 1, 0xff, 0xfe], ints(&[1, -2])),
            ("<u4", &[1, 0, 0, 0, 0, 0, 0, 0x80], ints(&[1, 1 << 31])),
            (">u4", &[0, 0, 0, 1, 0x80, 0, 0, 0], ints(&[1, 1 << 31])),
            ("<i4", &[1, 0, 0, 0, 0, 0, 0, 0x80], ints(&[1, -(1 << 31)])),
            (">i4", &[0, 0, 0, 1, 0x80, 0, 0, 0], ints(&[1, -(1 << 31)])),
            ("<u8", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f], ints(&[1, 0x7f << 56])),
            (">u8", &[0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 0, 0, 0, 0, 0, 0, 0], ints(&[1, 0x7f << 56])),
            ("<i8", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80], ints(&[1, i64::MIN])),
            (">i8", &[0, 0, 0, 0, 0, 0, 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0], ints(&[1, i64::MIN])),
            ("<f2", &[0x00, 0x3c, 0x00, 0xc0], floats(&[1.0, -2.0])),
            (">f2", &[0x3c, 0x00, 0xc0, 0x00], floats(&[1.0, -2.0])),
            ("<f4", &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0], floats(&[1.0, -2.0])),
            (">f4", &[0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0], floats(&[1.0, -2.0])),
            (
                "<f8",
                &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0],
                floats(&[1.0, -2.0]),
            ),
            (
                ">f8",
                &[0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0],
                floats(&[1.0, -2.0]),
            ),
        ];
        for (descr, elements, expected) in cases {
            let array = read_npy(&plain(descr, "(2,)", elements), LIMIT).unwrap();
            assert_eq!(array, Array { shape: vec![2], data: expected }, "{descr}");
        }
    }

    #[test]
    fn headers_of_other_writers_are_read() {
        let expected = Array { shape: vec![1, 2], data: ArrayData::U8(vec![7, 9]) };
        for header in [
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2), }",
            "{'shape': (1L, 2L), 'fortran_order': False, 'descr': '|u1'}",
            "  {\"descr\":\"u1\",\"fortran_order\":False,\"shape\":(1,2,)}\n\n",
        ] {
            assert_eq!(read_npy(&file(header, &[7, 9]), LIMIT).unwrap(), expected, "{header}");
        }
    }

    #[test]
    fn fortran_order_is_turned() {
        // Elements of the array [[[0, 1, 2, 3], [10, ..], [20, ..]], [[100, ..], ..]].
        let mut stored = Vec::new();
        let mut turned = Vec::new();
        for k in 0..4 {
            for j in 0..3 {
                for i in 0..2 {
                    stored.push(100 * i + 10 * j + k);
                }
            }
        }
        for i in 0..2 {
            for j in 0..3 {
                for k in 0..4 {
                    turned.push(100 * i + 10 * j + k);
                }
            }
        }
        let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 4)}";
        let array = read_npy(&file(header, &stored), LIMIT).unwrap();
        assert_eq!(array.data, ArrayData::U8(turned));
        let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 0, 4)}";
        assert!(read_npy(&file(header, &[]), LIMIT).unwrap().data.is_empty());
    }

    #[test]
    fn what_is_written_is_read() {
        for (shape, data) in [
            (vec![], ArrayData::F32(vec![0.1])),
            (vec![3], ArrayData::U8(vec![0, 128, 255])),
            (vec![0, 5], ArrayData::I64(vec![])),
            (vec![2, 1, 1], ArrayData::I64(vec![i64::MIN, i64::MAX])),
            (vec![100, 100], ArrayData::F32(vec![f32::MIN_POSITIVE; 10_000])),
        ] {
            let array = Array { shape, data };
            let bytes = encode_npy(&array);
            assert_eq!(read_npy(&bytes, LIMIT).unwrap(), array, "{:?}", array.shape);
            let elements = bytes.len() - bytes.iter().position(|&b| b == b'\n').unwrap() - 1;
            assert_eq!((bytes.len() - elements) % 64, 0);
        }
    }

    #[test]
    fn integers_take_the_narrowest_type() {
        for (values, kind) in [
            (vec![-128, 127], "|i1"),
            (vec![128], "<i2"),
            (vec![-32768, 32767], "<i2"),
            (vec![-32769], "<i4"),
            (vec![i64::from(i32::MIN), i64::from(i32::MAX)], "<i4"),
            (vec![1 << 31], "<i8"),
        ] {
            let bytes = encode_integers(&[values.len()], &values);
            assert!(String::from_utf8_lossy(&bytes).contains(&format!("'{kind}'")), "{values:?}");
            let array = read_npy(&bytes, LIMIT).unwrap();
            assert_eq!(array, Array { shape: vec![values.len()], data: ArrayData::I64(values) });
        }
    }

    #[test]
    fn malformed_files_are_refused() {
        let mut pickled = plain("|O", "(1,)", &[]);
        let mut cases = vec![
            (b"PK".to_vec(), "ends within its header"),
            (b"not a npy file".to_vec(), "is not in .npy format"),
            (plain("<f4", "(2,)", &[0; 7]), "fewer than the 2 elements"),
            (plain("|u1", "(2,)", &[0; 1]), "fewer than the 2 elements"),
            (plain("|u1", "(2,)", &[0; 3]), "more elements than shape [2]"),
            (plain("<f4", "(2,)", &[0; 12]), "more elements than shape [2]"),
            (plain("|b1", "(1,)", &[2]), "element 2 is not a boolean"),
            (plain("<u8", "(1,)", &[0xff; 8]), "larger than 2^63 - 1"),
            (std::mem::take(&mut pickled), "pickled"),
            (plain("<c8", "(1,)", &[]), "type `<c8` are not supported"),
            (plain("<U3", "(1,)", &[]), "type `<U3`"),
            (plain("<M8[ns]", "(1,)", &[]), "type `<M8[ns]`"),
            (plain("", "(1,)", &[]), "type ``"),
            (plain("|u1", "(-1,)", &[]), "malformed `shape`"),
            (plain("|u1", "(1 2)", &[]), "lacks a `)`"),
            (plain("|u1", "((1,),)", &[]), "malformed `shape`"),
            (plain("|u1", "[1]", &[]), "lacks a `(`"),
            (plain("|u1", "(99999999999999999999,)", &[]), "malformed `shape`"),
            (plain("|u1", "(9999999999, 9999999999)", &[]), "too large"),
            (plain("|u1", "(0, 9999999999, 9999999999)", &[]), "too large"),
        ];
        for (header, expected) in [
            ("", "lacks a `{`"),
            ("{}", "lacks `descr`, `fortran_order` or `shape`"),
            ("{'descr': '|u1'", "lacks a `}`"),
            ("{'descr", "unfinished string"),
            ("{'descr' '|u1'}", "lacks a `:`"),
            ("{'descr': '|u1', 'descr': '|u1'}", "`descr` twice"),
            ("{'other': 1}", "unknown key `other`"),
            ("{'fortran_order': 1}", "neither `True` nor `False`"),
            ("{'descr': [('a', '<f4')]}", "structured"),
            ("{'descr': '|u1', 'fortran_order': False, 'shape': ()} x", "other data"),
        ] {
            cases.push((file(header, &[]), expected));
        }
        cases.push((file(&"[".repeat(60_000), &[]), "lacks a `{`"));
        cases.push(([MAGIC.as_slice(), &[2, 0, 0xff, 0xff, 0xff, 0xff]].concat(), "too long"));
        cases.push(([MAGIC.as_slice(), &[4, 0]].concat(), "version 4.0"));
        for (bytes, expected) in cases {
            let error = read_npy(&bytes, LIMIT).unwrap_err().to_string();
            let start = String::from_utf8_lossy(&bytes[..bytes.len().min(90)]).into_owned();
            assert!(error.contains(expected), "{start}: expected {expected}, got {error}");
        }
    }

    #[test]
    fn the_limit_counts_bytes_in_the_file_and_in_memory() {
        for (descr, extent, limit, fits) in [
            ("|u1", 8, 8, true),
            ("|u1", 9, 8, false),
            ("|i1", 1, 8, true),
            ("|i1", 2, 8, false),
            ("<f8", 1, 8, true),
            ("<f8", 2, 8, false),
            ("<f2", 2, 8, true),
            ("<f2", 3, 8, false),
        ] {
            let bytes = plain(descr, &format!("({extent},)"), &[]);
            let error = read_npy(&bytes, limit).unwrap_err();
            let is_too_large = matches!(error, NpzError::TooLarge { .. });
            assert_eq!(is_too_large, !fits, "{descr} {extent}: {error}");
        }
    }
}
