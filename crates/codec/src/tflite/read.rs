//! From bytes to a model.

use super::{
    Model, Operator, Quantization, Tensor, TfliteError,
    flatbuffer::Table,
    operators::{CUSTOM, name, options},
    sparse::Sparsity,
};
use crate::{
    convert::{bf16_to_f32, f16_to_f32, f64_to_f32},
    onnx::{ElementType, TensorData},
};
use std::collections::BTreeSet;

/// The only version of the schema.
pub(super) const VERSION: u32 = 3;

/// Reads a TensorFlow Lite model.
///
/// # Errors
/// [`TfliteError`] where the bytes are none, or contradict themselves.
pub fn parse_model(bytes: &[u8]) -> Result<Model, TfliteError> {
    if bytes.get(4..8).is_some_and(|mark| mark != b"TFL3") {
        return Err(TfliteError::NotAModel);
    }
    let model = Table::root(bytes, "Model")?;
    let found = model.u32(0, "version", 0)?;
    if found != VERSION {
        return Err(TfliteError::Version { found });
    }
    let codes = model.tables(1, "OperatorCode")?;
    let buffers = model.tables(4, "Buffer")?;
    let graphs = model.tables(2, "SubGraph")?;
    let [graph] = graphs.as_slice() else {
        return Err(TfliteError::Subgraphs { count: graphs.len() });
    };
    let mut names = BTreeSet::new();
    let tensors = graph
        .tables(0, "Tensor")?
        .iter()
        .enumerate()
        .map(|(i, table)| tensor(table, i, &buffers, &mut names))
        .collect::<Result<Vec<_>, _>>()?;
    let place = |index: i32, of: &str| {
        usize::try_from(index).ok().filter(|&index| index < tensors.len()).ok_or_else(|| {
            contradiction(of, &format!("it names tensor {index} of {}", tensors.len()))
        })
    };
    let places = |list: Vec<i32>, of: &str| {
        list.into_iter().map(|index| place(index, of)).collect::<Result<Vec<_>, _>>()
    };
    let inputs = places(graph.i32s(1, "inputs")?, "the inputs of the graph")?;
    let outputs = places(graph.i32s(2, "outputs")?, "the outputs of the graph")?;
    let mut operators = Vec::new();
    for (i, table) in graph.tables(3, "Operator")?.iter().enumerate() {
        let of = format!("operator {i}");
        let index = usize::try_from(table.u32(0, "opcode_index", 0)?).unwrap_or(usize::MAX);
        let Some(code) = codes.get(index) else {
            return Err(contradiction(&of, &format!("it has code {index} of {}", codes.len())));
        };
        // Files before 2020 have the number in the first field alone, later ones in both.
        let number = code.i32(3, "builtin_code", 0)?;
        let number = number.max(code.i8(0, "deprecated_builtin_code", 0)?.into());
        let is_custom = number == CUSTOM;
        let name = match name(number) {
            Some(_) if is_custom => code.text(1, "custom_code")?.to_owned(),
            Some(name) => name.to_owned(),
            None => format!("operator number {number}"),
        };
        let options = options(&name, table.table(4, "builtin_options")?.as_ref())?;
        let taken = table.i32s(1, "inputs")?.into_iter().map(|index| match index {
            -1 => Ok(None),
            index => place(index, &of).map(Some),
        });
        let inputs = taken.collect::<Result<Vec<_>, _>>()?;
        let outputs = places(table.i32s(2, "outputs")?, &of)?;
        operators.push(Operator { name, is_custom, inputs, outputs, options });
    }
    let description = model.text(3, "description")?.to_owned();
    Ok(Model { description, tensors, inputs, outputs, operators })
}

fn contradiction(place: &str, problem: &str) -> TfliteError {
    TfliteError::Contradiction { place: place.to_owned(), problem: problem.to_owned() }
}

fn tensor(
    table: &Table,
    index: usize,
    buffers: &[Table],
    names: &mut BTreeSet<String>,
) -> Result<Tensor, TfliteError> {
    let given = table.text(3, "name")?;
    let mut name = if given.is_empty() { format!("tensor_{index}") } else { given.to_owned() };
    if !names.insert(name.clone()) {
        name = format!("{name}_{index}");
        names.insert(name.clone());
    }
    let of = format!("tensor `{name}`");
    let number = table.i8(1, "type", 0)?;
    let element = element_type(number);
    let (fixed, open) = (table.i32s(0, "shape")?, table.i32s(7, "shape_signature")?);
    let dims = if open.len() == fixed.len() { &open } else { &fixed };
    let shape: Vec<Option<usize>> = dims
        .iter()
        .map(|&extent| match extent {
            -1 => Ok(None),
            extent => usize::try_from(extent)
                .map(Some)
                .map_err(|_| contradiction(&of, &format!("it has the extent {extent}"))),
        })
        .collect::<Result<_, _>>()?;
    let quantization = match table.table(4, "QuantizationParameters")? {
        Some(table) => quantization(&table, &of, shape.len())?,
        None => None,
    };
    let buffer = usize::try_from(table.u32(2, "buffer", 0)?).unwrap_or(usize::MAX);
    let Some(buffer) = buffers.get(buffer) else {
        return Err(contradiction(&of, &format!("it has buffer {buffer} of {}", buffers.len())));
    };
    let bytes = buffer.bytes(0, "data")?.filter(|bytes| !bytes.is_empty());
    let count = shape.iter().try_fold(1_usize, |n, extent| extent.and_then(|e| n.checked_mul(e)));
    let data = match bytes {
        None => None,
        Some(bytes) => {
            let Some(count) = count else {
                return Err(contradiction(&of, "it is a constant of open size"));
            };
            let stored = match table.table(6, "SparsityParameters")? {
                None => elements(bytes, number, count),
                Some(sparsity) => {
                    let extents: Vec<usize> = shape.iter().flatten().copied().collect();
                    let sparsity = Sparsity::read(&sparsity, &extents)?;
                    sparsity.and_then(|sparsity| whole(bytes, number, count, &sparsity))
                }
            };
            let elements = stored.ok_or_else(|| {
                let found = bytes.len();
                contradiction(
                    &of,
                    &format!("{found} bytes do not hold {count} elements of {element}"),
                )
            })?;
            Some(elements)
        }
    };
    Ok(Tensor { name, shape, element, quantization, data })
}

/// Elements at their places, the others zero.
fn scatter<T: Copy + Default>(stored: &[T], places: &[usize], count: usize) -> Vec<T> {
    let mut all = vec![T::default(); count];
    stored.iter().zip(places).for_each(|(&x, &place)| all[place] = x);
    all
}

/// All elements of a tensor of which some are stored; the others are zero.
fn whole(bytes: &[u8], number: i8, count: usize, sparsity: &Sparsity) -> Option<TensorData> {
    /// How many elements one that is stored may stand for: a small file must not fill the memory.
    const MOST: usize = 1 << 10;
    // An element takes half a byte at least.
    let places = sparsity.places(2 * bytes.len())?;
    if count > places.len().checked_mul(MOST)? {
        return None;
    }
    Some(match elements(bytes, number, places.len())? {
        TensorData::F32(stored) => TensorData::F32(scatter(&stored, &places, count)),
        TensorData::I64(stored) => TensorData::I64(scatter(&stored, &places, count)),
    })
}

fn quantization(table: &Table, of: &str, rank: usize) -> Result<Option<Quantization>, TfliteError> {
    let scale = table.f32s(2, "scale")?;
    if scale.is_empty() {
        return Ok(None);
    }
    let mut zero_point = table.i64s(3, "zero_point")?;
    if zero_point.is_empty() {
        zero_point = vec![0; scale.len()];
    }
    let axis = usize::try_from(table.i32(6, "quantized_dimension", 0)?).unwrap_or(usize::MAX);
    if zero_point.len() != scale.len() || scale.len() > 1 && axis >= rank {
        return Err(contradiction(of, "its scales, zero points and axis do not fit"));
    }
    if let Some(scale) = scale.iter().find(|scale| !scale.is_finite() || **scale <= 0.0) {
        return Err(contradiction(of, &format!("it has the scale {scale}")));
    }
    Ok(Some(Quantization { scale, zero_point, axis }))
}

/// The type of elements by its number in the schema.
fn element_type(number: i8) -> ElementType {
    match number {
        0 => ElementType::F32,
        1 => ElementType::F16,
        2 => ElementType::I32,
        3 => ElementType::U8,
        4 => ElementType::I64,
        6 => ElementType::Bool,
        7 => ElementType::I16,
        9 => ElementType::I8,
        10 => ElementType::F64,
        12 => ElementType::U64,
        15 => ElementType::U32,
        16 => ElementType::U16,
        17 => ElementType::I4,
        18 => ElementType::Bf16,
        _ => ElementType::Other(0),
    }
}

/// Elements of a type by its number; `None` where the bytes do not hold them.
fn elements(bytes: &[u8], number: i8, count: usize) -> Option<TensorData> {
    fn all<const N: usize, T>(
        bytes: &[u8],
        count: usize,
        convert: impl Fn([u8; N]) -> T,
    ) -> Option<Vec<T>> {
        let (chunks, rest) = bytes.as_chunks::<N>();
        let fits = rest.is_empty() && chunks.len() == count;
        fits.then(|| chunks.iter().map(|chunk| convert(*chunk)).collect())
    }
    let floats = TensorData::F32;
    let ints = TensorData::I64;
    match element_type(number) {
        ElementType::F32 => all(bytes, count, f32::from_le_bytes).map(floats),
        ElementType::F16 => all(bytes, count, |b| f16_to_f32(u16::from_le_bytes(b))).map(floats),
        ElementType::Bf16 => all(bytes, count, |b| bf16_to_f32(u16::from_le_bytes(b))).map(floats),
        ElementType::F64 => all(bytes, count, |b| f64_to_f32(f64::from_le_bytes(b))).map(floats),
        ElementType::I8 => all(bytes, count, |b| i64::from(i8::from_le_bytes(b))).map(ints),
        ElementType::U8 | ElementType::Bool => {
            all(bytes, count, |b| i64::from(u8::from_le_bytes(b))).map(ints)
        }
        ElementType::I16 => all(bytes, count, |b| i64::from(i16::from_le_bytes(b))).map(ints),
        ElementType::U16 => all(bytes, count, |b| i64::from(u16::from_le_bytes(b))).map(ints),
        ElementType::I32 => all(bytes, count, |b| i64::from(i32::from_le_bytes(b))).map(ints),
        ElementType::U32 => all(bytes, count, |b| i64::from(u32::from_le_bytes(b))).map(ints),
        ElementType::I64 => all(bytes, count, i64::from_le_bytes).map(ints),
        ElementType::I4 if bytes.len() == count.div_ceil(2) => {
            // Two to a byte, the first in the lower half.
            let nibble = |i: usize| {
                let byte = bytes[i / 2];
                let low = if i.is_multiple_of(2) { byte << 4 } else { byte & 0xf0 };
                i64::from(low.cast_signed() >> 4)
            };
            Some(ints((0..count).map(nibble).collect()))
        }
        _ => None,
    }
}
