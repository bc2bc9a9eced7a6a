//! The elements of a `TensorProto`: typed, raw or in another file.

use super::{
    OnnxError, Tensor, TensorData,
    proto::{StringEntry, TensorProto},
};
use crate::convert::{bf16_to_f32, f16_to_f32, f64_to_f32};
use std::collections::BTreeMap;

/// The type of the elements of a tensor in an ONNX file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// IEEE 754 single precision.
    F32,
    /// Unsigned integers of 8 bits.
    U8,
    /// Signed integers of 8 bits.
    I8,
    /// Unsigned integers of 16 bits.
    U16,
    /// Signed integers of 16 bits.
    I16,
    /// Signed integers of 32 bits.
    I32,
    /// Signed integers of 64 bits.
    I64,
    /// Truth values.
    Bool,
    /// IEEE 754 half precision.
    F16,
    /// IEEE 754 double precision.
    F64,
    /// Unsigned integers of 32 bits.
    U32,
    /// Unsigned integers of 64 bits.
    U64,
    /// The upper half of single precision.
    Bf16,
    /// Any other, by its number in ONNX.
    Other(i32),
}

/// Number in ONNX, type, name in ONNX.
const ELEMENT_TYPES: [(i32, ElementType, &str); 13] = [
    (1, ElementType::F32, "FLOAT"),
    (2, ElementType::U8, "UINT8"),
    (3, ElementType::I8, "INT8"),
    (4, ElementType::U16, "UINT16"),
    (5, ElementType::I16, "INT16"),
    (6, ElementType::I32, "INT32"),
    (7, ElementType::I64, "INT64"),
    (9, ElementType::Bool, "BOOL"),
    (10, ElementType::F16, "FLOAT16"),
    (11, ElementType::F64, "DOUBLE"),
    (12, ElementType::U32, "UINT32"),
    (13, ElementType::U64, "UINT64"),
    (16, ElementType::Bf16, "BFLOAT16"),
];

impl ElementType {
    pub(super) fn from_code(code: i32) -> Self {
        let known = ELEMENT_TYPES.iter().find(|(known, ..)| *known == code);
        known.map_or(Self::Other(code), |&(_, element, _)| element)
    }

    pub(super) fn code(self) -> i32 {
        match self {
            Self::Other(code) => code,
            _ => ELEMENT_TYPES
                .iter()
                .find(|(_, element, _)| *element == self)
                .map_or(0, |&(code, ..)| code),
        }
    }
}

impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Other(0) => f.write_str("UNDEFINED"),
            Self::Other(8) => f.write_str("STRING"),
            Self::Other(14 | 15) => f.write_str("COMPLEX"),
            Self::Other(17..=20 | 24) => f.write_str("FLOAT8"),
            Self::Other(23) => f.write_str("FLOAT4"),
            Self::Other(27 | 28) => f.write_str("FLOAT6"),
            Self::Other(21 | 22) => f.write_str("INT4"),
            Self::Other(25 | 26) => f.write_str("INT2"),
            Self::Other(code) => write!(f, "number {code}"),
            _ => f.write_str(
                ELEMENT_TYPES
                    .iter()
                    .find(|(_, element, _)| element == self)
                    .map_or("unknown", |&(.., name)| name),
            ),
        }
    }
}

/// Files with external data, each read once.
pub(super) struct External<'a> {
    read: &'a dyn Fn(&str) -> Result<Vec<u8>, String>,
    files: BTreeMap<String, Vec<u8>>,
}

impl<'a> External<'a> {
    pub(super) fn new(read: &'a dyn Fn(&str) -> Result<Vec<u8>, String>) -> Self {
        Self { read, files: BTreeMap::new() }
    }

    fn file(&mut self, location: &str) -> Result<&[u8], String> {
        if !self.files.contains_key(location) {
            check_location(location)?;
            let bytes = (self.read)(location)
                .map_err(|problem| format!("external data file `{location}`: {problem}"))?;
            self.files.insert(location.to_owned(), bytes);
        }
        Ok(&self.files[location])
    }
}

/// Refuses whatever could point outside the model's own folder.
fn check_location(location: &str) -> Result<(), String> {
    let plain = !location.is_empty()
        && !location.contains(['\\', ':', '\0'])
        && location.split('/').all(|part| !part.is_empty() && part != "..");
    if plain {
        Ok(())
    } else {
        Err(format!(
            "external data location `{}` is not a plain path inside the model's own folder",
            location.escape_default()
        ))
    }
}

/// The tensor that `proto` describes.
pub(super) fn tensor(proto: TensorProto, external: &mut External) -> Result<Tensor, OnnxError> {
    let name = proto.name.clone();
    read(proto, external).map_err(|problem| OnnxError::Tensor { tensor: name, problem })
}

fn read(proto: TensorProto, external: &mut External) -> Result<Tensor, String> {
    if proto.segment.is_some() {
        return Err("a segment of a tensor is not supported; store it whole".to_owned());
    }
    let (dims, count) = extents(&proto.dims)?;
    let element = ElementType::from_code(proto.data_type);
    let data = match proto.data_location {
        0 if !proto.external_data.is_empty() => {
            return Err("has external data without saying so in `data_location`".to_owned());
        }
        0 if proto.raw_data.is_empty() => typed(proto, element)?,
        0 => {
            if typed_count(&proto) != 0 {
                return Err("has both raw and typed data".to_owned());
            }
            raw(&proto.raw_data, element, count)?
        }
        1 => {
            if typed_count(&proto) != 0 || !proto.raw_data.is_empty() {
                return Err("has data both in the file and outside it".to_owned());
            }
            let range = ExternalRange::new(&proto.external_data)?;
            let file = external.file(range.location)?;
            raw(range.slice(file)?, element, count)?
        }
        other => return Err(format!("data location {other} is not known")),
    };
    if data.len() != count {
        return Err(format!("has {} elements, but its extents {dims:?} need {count}", data.len()));
    }
    Ok(Tensor { dims, data })
}

/// Extents and number of elements.
fn extents(dims: &[i64]) -> Result<(Vec<usize>, usize), String> {
    let extents: Option<Vec<usize>> = dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let extents = extents.ok_or_else(|| format!("extents {dims:?} are not all at least 0"))?;
    let product = extents.iter().try_fold(1_usize, |n, &d| n.checked_mul(d.max(1)));
    match product {
        Some(_) if extents.contains(&0) => Ok((extents, 0)),
        Some(count) => Ok((extents, count)),
        None => Err(format!("extents {dims:?} are too large")),
    }
}

fn typed_count(proto: &TensorProto) -> usize {
    [
        proto.float_data.len(),
        proto.int32_data.len(),
        proto.int64_data.len(),
        proto.double_data.len(),
        proto.uint64_data.len(),
    ]
    .iter()
    .sum()
}

/// Elements of the list that the specification gives to their type.
fn typed(proto: TensorProto, element: ElementType) -> Result<TensorData, String> {
    let all = typed_count(&proto);
    let half_bits = |x: i32| {
        u16::try_from(x).map_err(|_| format!("element {x} is not the bits of a {element}"))
    };
    let halves = |convert: fn(u16) -> f32| -> Result<TensorData, String> {
        let data: Result<_, _> =
            proto.int32_data.iter().map(|&x| half_bits(x).map(convert)).collect();
        Ok(TensorData::F32(data?))
    };
    let ints = |smallest: i64, largest: i64| -> Result<TensorData, String> {
        let data: Vec<i64> = proto.int32_data.iter().map(|&x| i64::from(x)).collect();
        match data.iter().find(|&&x| x < smallest || x > largest) {
            Some(x) => Err(format!("element {x} is not a {element}")),
            None => Ok(TensorData::I64(data)),
        }
    };
    let data = match element {
        ElementType::F32 => TensorData::F32(proto.float_data),
        ElementType::F64 => {
            TensorData::F32(proto.double_data.into_iter().map(f64_to_f32).collect())
        }
        ElementType::F16 => halves(f16_to_f32)?,
        ElementType::Bf16 => halves(bf16_to_f32)?,
        ElementType::Bool => ints(0, 1)?,
        ElementType::U8 => ints(0, 0xff)?,
        ElementType::I8 => ints(-0x80, 0x7f)?,
        ElementType::U16 => ints(0, 0xffff)?,
        ElementType::I16 => ints(-0x8000, 0x7fff)?,
        ElementType::I32 => ints(i64::MIN, i64::MAX)?,
        ElementType::I64 => TensorData::I64(proto.int64_data),
        ElementType::U32 | ElementType::U64 => {
            let data: Result<_, _> = proto.uint64_data.into_iter().map(unsigned).collect();
            TensorData::I64(data?)
        }
        ElementType::Other(_) => return Err(unsupported(element)),
    };
    if data.len() != all {
        return Err(format!("holds elements that are not of its type {element}"));
    }
    Ok(data)
}

/// Little-endian elements; exactly `count` of them.
fn raw(bytes: &[u8], element: ElementType, count: usize) -> Result<TensorData, String> {
    fn elements<const N: usize, T>(
        bytes: &[u8],
        element: ElementType,
        count: usize,
        convert: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, String> {
        if count.checked_mul(N) != Some(bytes.len()) {
            return Err(format!(
                "has {} bytes, but {count} elements of type {element} need {N} each",
                bytes.len()
            ));
        }
        Ok(bytes.as_chunks::<N>().0.iter().map(|&chunk| convert(chunk)).collect())
    }
    macro_rules! ints {
        ($kind:ty) => {
            elements(bytes, element, count, |b| i64::from(<$kind>::from_le_bytes(b)))
                .map(TensorData::I64)
        };
    }
    macro_rules! floats {
        ($convert:expr) => {
            elements(bytes, element, count, $convert).map(TensorData::F32)
        };
    }
    match element {
        ElementType::F32 => floats!(f32::from_le_bytes),
        ElementType::F64 => floats!(|b| f64_to_f32(f64::from_le_bytes(b))),
        ElementType::F16 => floats!(|b| f16_to_f32(u16::from_le_bytes(b))),
        ElementType::Bf16 => floats!(|b| bf16_to_f32(u16::from_le_bytes(b))),
        ElementType::U8 => ints!(u8),
        ElementType::I8 => ints!(i8),
        ElementType::U16 => ints!(u16),
        ElementType::I16 => ints!(i16),
        ElementType::U32 => ints!(u32),
        ElementType::I32 => ints!(i32),
        ElementType::I64 => ints!(i64),
        ElementType::Bool => match bytes.iter().find(|&&b| b > 1) {
            Some(b) => Err(format!("element {b} is not a {element}")),
            None => ints!(u8),
        },
        ElementType::U64 => {
            let data: Result<_, _> = elements(bytes, element, count, u64::from_le_bytes)?
                .into_iter()
                .map(unsigned)
                .collect();
            Ok(TensorData::I64(data?))
        }
        ElementType::Other(_) => Err(unsupported(element)),
    }
}

fn unsigned(x: u64) -> Result<i64, String> {
    i64::try_from(x).map_err(|_| format!("element {x} is larger than 2^63 - 1"))
}

fn unsupported(element: ElementType) -> String {
    format!(
        "elements of type {element} are not supported; export the model with 32-bit floats and \
         64-bit integers"
    )
}

/// Where in which file the elements are.
struct ExternalRange<'a> {
    location: &'a str,
    offset: usize,
    length: Option<usize>,
}

impl<'a> ExternalRange<'a> {
    fn new(entries: &'a [StringEntry]) -> Result<Self, String> {
        let mut range = Self { location: "", offset: 0, length: None };
        let number = |entry: &StringEntry| {
            entry.value.parse().map_err(|_| {
                format!("external data {} `{}` is not a number", entry.key, entry.value)
            })
        };
        for entry in entries {
            match entry.key.as_str() {
                "location" => range.location = &entry.value,
                "offset" => range.offset = number(entry)?,
                "length" => range.length = Some(number(entry)?),
                // A checksum says nothing about where the elements are.
                "checksum" => {}
                key => return Err(format!("external data entry `{key}` is not known")),
            }
        }
        Ok(range)
    }

    fn slice<'f>(&self, file: &'f [u8]) -> Result<&'f [u8], String> {
        let end = match self.length {
            Some(length) => self.offset.checked_add(length),
            None => Some(file.len()),
        };
        end.and_then(|end| file.get(self.offset..end)).ok_or_else(|| {
            format!(
                "external data file `{}` has {} bytes, too few for offset {} and length {}",
                self.location,
                file.len(),
                self.offset,
                self.length.map_or_else(|| "unknown".to_owned(), |n| n.to_string())
            )
        })
    }
}
