//! The elements of a `TensorProto`: typed, raw or in another file.

use super::{
    ElementType, OnnxError, Tensor, TensorData,
    external::{External, ExternalRange},
    proto::TensorProto,
};
use crate::convert::{bf16_to_f32, f16_to_f32, f64_to_f32};

/// The tensor that `proto` describes.
pub(super) fn tensor(proto: TensorProto, external: &mut External) -> Result<Tensor, OnnxError> {
    let name = proto.name.clone();
    read(proto, external).map_err(|problem| OnnxError::Tensor { tensor: name, problem })
}

/// The tensor that `proto` describes, or what is wrong with it.
pub(super) fn read(proto: TensorProto, external: &mut External) -> Result<Tensor, String> {
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
            raw(external.slice(&range)?, element, count)?
        }
        other => return Err(format!("data location {other} is not known")),
    };
    if data.len() != count {
        return Err(format!("has {} elements, but its shape {dims:?} needs {count}", data.len()));
    }
    Ok(Tensor { dims, data, element })
}

/// Why tensors of that type are not read, where they are not.
pub(super) fn unreadable(proto: &TensorProto) -> Option<String> {
    let element = ElementType::from_code(proto.data_type);
    matches!(element, ElementType::Other(_)).then(|| unsupported(element))
}

/// Extents and number of elements.
fn extents(dims: &[i64]) -> Result<(Vec<usize>, usize), String> {
    let extents: Option<Vec<usize>> = dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let extents = extents.ok_or_else(|| format!("shape {dims:?} has a negative size"))?;
    let product = extents.iter().try_fold(1_usize, |n, &d| n.checked_mul(d.max(1)));
    match product {
        Some(_) if extents.contains(&0) => Ok((extents, 0)),
        Some(count) => Ok((extents, count)),
        None => Err(format!("shape {dims:?} is too large")),
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
        return Err(format!("contains elements that are not of its type {element}"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::proto::StringEntry;

    fn proto(data_type: i32, dims: &[i64]) -> TensorProto {
        TensorProto { name: "w".to_owned(), data_type, dims: dims.to_vec(), ..Default::default() }
    }

    fn raw_proto(data_type: i32, dims: &[i64], raw_data: &[u8]) -> TensorProto {
        TensorProto { raw_data: raw_data.to_vec(), ..proto(data_type, dims) }
    }

    fn outside(entries: &[(&str, &str)]) -> TensorProto {
        let external_data = entries
            .iter()
            .map(|&(key, value)| StringEntry { key: key.to_owned(), value: value.to_owned() })
            .collect();
        TensorProto { external_data, data_location: 1, ..proto(1, &[2]) }
    }

    fn check(proto: TensorProto) -> Result<Tensor, String> {
        let file = |location: &str| match location {
            "w.bin" => Ok([0_f32, 1.0, 2.0].iter().flat_map(|x| x.to_le_bytes()).collect()),
            _ => Err("no such file".to_owned()),
        };
        read(proto, &mut External::new(&file))
    }

    #[test]
    fn every_type_is_read_typed_and_raw() {
        let floats = |x: &[f32]| TensorData::F32(x.to_vec());
        let ints = |x: &[i64]| TensorData::I64(x.to_vec());
        let int32 =
            |data_type, x: &[i32]| TensorProto { int32_data: x.to_vec(), ..proto(data_type, &[2]) };
        let uint64 = |data_type, x: &[u64]| TensorProto {
            uint64_data: x.to_vec(),
            ..proto(data_type, &[2])
        };
        let cases = [
            (TensorProto { float_data: vec![1.5, -2.0], ..proto(1, &[2]) }, floats(&[1.5, -2.0])),
            (raw_proto(1, &[1], &1.5_f32.to_le_bytes()), floats(&[1.5])),
            (int32(2, &[0, 255]), ints(&[0, 255])),
            (raw_proto(2, &[2], &[0, 255]), ints(&[0, 255])),
            (int32(3, &[-128, 127]), ints(&[-128, 127])),
            (raw_proto(3, &[2], &[0x80, 0x7f]), ints(&[-128, 127])),
            (int32(4, &[0, 65535]), ints(&[0, 65535])),
            (raw_proto(4, &[1], &[0xff, 0xff]), ints(&[65535])),
            (int32(5, &[-32768, 1]), ints(&[-32768, 1])),
            (raw_proto(5, &[1], &[0xff, 0xff]), ints(&[-1])),
            (int32(6, &[i32::MIN, 1]), ints(&[-2_147_483_648, 1])),
            (raw_proto(6, &[1], &[0xfe, 0xff, 0xff, 0xff]), ints(&[-2])),
            (TensorProto { int64_data: vec![i64::MIN], ..proto(7, &[1]) }, ints(&[i64::MIN])),
            (raw_proto(7, &[1], &(-9_i64).to_le_bytes()), ints(&[-9])),
            (int32(9, &[0, 1]), ints(&[0, 1])),
            (raw_proto(9, &[2], &[1, 0]), ints(&[1, 0])),
            (int32(10, &[0x3c00, 0xc000]), floats(&[1.0, -2.0])),
            (raw_proto(10, &[2], &[0x00, 0x3c, 0x00, 0xc0]), floats(&[1.0, -2.0])),
            (TensorProto { double_data: vec![0.1], ..proto(11, &[1]) }, floats(&[0.1])),
            (raw_proto(11, &[1], &0.1_f64.to_le_bytes()), floats(&[0.1])),
            (uint64(12, &[0, 4_294_967_295]), ints(&[0, 4_294_967_295])),
            (raw_proto(12, &[1], &[0xff, 0xff, 0xff, 0xff]), ints(&[4_294_967_295])),
            (uint64(13, &[0, 1 << 62]), ints(&[0, 1 << 62])),
            (raw_proto(13, &[1], &5_u64.to_le_bytes()), ints(&[5])),
            (int32(16, &[0x3f80, 0xc040]), floats(&[1.0, -3.0])),
            (raw_proto(16, &[1], &[0x80, 0x3f]), floats(&[1.0])),
        ];
        for (proto, expected) in cases {
            let what = format!("{proto:?}");
            assert_eq!(check(proto).unwrap().data, expected, "{what}");
        }
    }

    #[test]
    fn extents_are_kept() {
        for (dims, data) in [(vec![], vec![7.0]), (vec![0, 3], vec![]), (vec![1, 2], vec![1.0; 2])]
        {
            let expected: Vec<usize> = dims.iter().map(|&d| usize::try_from(d).unwrap()).collect();
            let tensor = check(TensorProto { float_data: data, ..proto(1, &dims) }).unwrap();
            assert_eq!(tensor.dims, expected);
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let typed =
            |data_type, x: &[i32]| TensorProto { int32_data: x.to_vec(), ..proto(data_type, &[1]) };
        let cases = [
            (proto(1, &[2]), "has 0 elements, but its shape [2] needs 2"),
            (proto(1, &[]), "has 0 elements, but its shape [] needs 1"),
            (proto(1, &[-1]), "negative size"),
            (proto(1, &[i64::MAX, 4]), "too large"),
            (proto(1, &[0, i64::MAX, 4]), "too large"),
            (proto(1, &[1 << 40]), "has 0 elements"),
            (raw_proto(1, &[1 << 62], &[0; 4]), "has 4 bytes, but"),
            (raw_proto(1, &[2], &[0; 7]), "has 7 bytes, but 2 elements of type FLOAT need 4 each"),
            (raw_proto(1, &[2], &[0; 12]), "has 12 bytes"),
            (raw_proto(9, &[2], &[0, 2]), "element 2 is not a BOOL"),
            (raw_proto(13, &[1], &[0xff; 8]), "larger than 2^63 - 1"),
            (raw_proto(8, &[1], &[0]), "type STRING are not supported"),
            (raw_proto(22, &[1], &[0]), "type INT4 are not supported"),
            (proto(0, &[0]), "type UNDEFINED are not supported"),
            (typed(1, &[1]), "not of its type FLOAT"),
            (typed(7, &[1]), "not of its type INT64"),
            (typed(2, &[256]), "element 256 is not a UINT8"),
            (typed(3, &[-129]), "element -129 is not a INT8"),
            (typed(10, &[-1]), "element -1 is not the bits of a FLOAT16"),
            (TensorProto { raw_data: vec![0; 4], ..typed(6, &[1]) }, "both raw and typed"),
            (TensorProto { segment: Some(vec![]), ..proto(1, &[0]) }, "segment"),
            (TensorProto { data_location: 2, ..proto(1, &[0]) }, "data location 2"),
            (TensorProto { raw_data: vec![0], ..outside(&[]) }, "both in the file and outside"),
            (
                TensorProto { data_location: 0, ..outside(&[("location", "w.bin")]) },
                "`data_location`",
            ),
        ];
        for (proto, expected) in cases {
            let what = format!("{proto:?}");
            let problem = check(proto).unwrap_err();
            assert!(problem.contains(expected), "{what}: expected {expected}, got {problem}");
        }
    }

    #[test]
    fn external_data_is_read() {
        for (entries, expected) in [
            (vec![("location", "w.bin"), ("length", "8")], [0.0, 1.0]),
            (vec![("location", "./w.bin"), ("offset", "4"), ("checksum", "?")], [1.0, 2.0]),
            (vec![("location", "w.bin"), ("offset", "4"), ("length", "8")], [1.0, 2.0]),
        ] {
            let tensor = check(outside(&entries)).unwrap();
            assert_eq!(tensor.data, TensorData::F32(expected.to_vec()), "{entries:?}");
        }
    }

    #[test]
    fn the_error_names_the_tensor() {
        let read = |_: &str| Ok(Vec::new());
        let error = tensor(proto(1, &[2]), &mut External::new(&read)).unwrap_err();
        assert_eq!(error.to_string(), "tensor `w`: has 0 elements, but its shape [2] needs 2");
    }
}
