//! From a model to bytes.

use super::{
    Model, Operator, Quantization, Tensor,
    builder::Fields,
    operators::{self, Kind, Options},
    read::VERSION,
};
use crate::onnx::{ElementType, TensorData};
use std::collections::BTreeMap;

/// The bytes of `model`, which [`parse_model`](super::parse_model) reads back; nothing is checked.
///
/// # Panics
/// Where an operator is none of the schema, an element type is none that is written, or the file exceeds 2 GiB.
pub fn encode_model(model: &Model) -> Vec<u8> {
    // The first buffer is empty: it is that of all values that are computed.
    let mut buffers = vec![Fields::default()];
    let mut tensors = Vec::with_capacity(model.tensors.len());
    for tensor in &model.tensors {
        let buffer = match &tensor.data {
            None => 0,
            Some(data) => {
                buffers.push(Fields::default().data(0, stored(data, tensor.element)));
                buffers.len() - 1
            }
        };
        tensors.push(self::tensor(tensor, buffer));
    }
    let mut codes: BTreeMap<(i32, i32), usize> = BTreeMap::new();
    let kinds: Vec<(i32, i32)> = model.operators.iter().map(|op| kind(op, model)).collect();
    for kind in &kinds {
        let next = codes.len();
        codes.entry(*kind).or_insert(next);
    }
    let mut in_order: Vec<_> = codes.iter().map(|(&kind, &index)| (index, kind)).collect();
    in_order.sort_unstable();
    let code = |&(_, (number, version)): &(usize, (i32, i32))| {
        // Old programs read the first field alone.
        let byte = u8::try_from(number.min(127)).unwrap_or(0);
        Fields::default().byte(0, byte).int(2, version).int(3, number)
    };
    let operator = |(operator, kind): (&Operator, &(i32, i32))| {
        let inputs = operator.inputs.iter().map(|input| input.map_or(-1, index));
        let fields = Fields::default()
            .int(0, index(codes[kind]))
            .ints(1, inputs)
            .ints(2, operator.outputs.iter().copied().map(index));
        match operators::union_type(&operator.name) {
            None => fields,
            Some(number) => {
                fields.byte(3, number).table(4, options(&operator.name, &operator.options))
            }
        }
    };
    let graph = Fields::default()
        .tables(0, tensors)
        .ints(1, model.inputs.iter().copied().map(index))
        .ints(2, model.outputs.iter().copied().map(index))
        .tables(3, model.operators.iter().zip(&kinds).map(operator).collect());
    // Fields lie in the file in this order: it says at its beginning what wrote it.
    Fields::default()
        .int(0, VERSION.cast_signed())
        .text(3, &model.description)
        .tables(1, in_order.iter().map(code).collect())
        .tables(2, vec![graph])
        .tables(4, buffers)
        .file(*b"TFL3")
}

fn index(i: usize) -> i32 {
    i32::try_from(i).expect("a file has fewer parts")
}

/// An operator's number, and the version of it that knows the types it takes.
fn kind(operator: &Operator, model: &Model) -> (i32, i32) {
    let number = operators::number(&operator.name).expect("an operator of the schema");
    let types = operator.inputs.iter().flatten().map(|&input| model.tensors[input].element);
    let version = operators::version(&operator.name, &types.collect::<Vec<_>>());
    (number, version)
}

fn tensor(tensor: &Tensor, buffer: usize) -> Fields {
    let extent = |extent: &Option<usize>| extent.map_or(-1, index);
    let fields = Fields::default()
        .ints(0, tensor.shape.iter().map(|e| extent(e).max(1)))
        .byte(1, type_number(tensor.element))
        .int(2, index(buffer))
        .text(3, &tensor.name);
    let fields = if tensor.shape.contains(&None) {
        fields.ints(7, tensor.shape.iter().map(extent))
    } else {
        fields
    };
    match &tensor.quantization {
        None => fields,
        Some(Quantization { scale, zero_point, axis }) => {
            let parameters = Fields::default().floats(2, scale).longs(3, zero_point);
            fields.table(4, parameters.int(6, index(*axis)))
        }
    }
}

fn options(operator: &str, options: &Options) -> Fields {
    let mut fields = Fields::default();
    for (slot, name, kind) in operators::fields(operator) {
        let int = i32::try_from(options.int(name)).expect("options are small");
        fields = match kind {
            Kind::Byte | Kind::Flag => fields.byte(*slot, int.to_le_bytes()[0]),
            Kind::Int(_) => fields.int(*slot, int),
            Kind::Float => fields.float(*slot, options.float(name)),
            Kind::List => match options.lists.get(name) {
                None => fields,
                Some(list) => {
                    let list = list.iter().map(|&x| i32::try_from(x).expect("options are small"));
                    fields.ints(*slot, list)
                }
            },
        };
    }
    fields
}

/// The number of an element type in the schema.
fn type_number(element: ElementType) -> u8 {
    match element {
        ElementType::F32 => 0,
        ElementType::I32 => 2,
        ElementType::U8 => 3,
        ElementType::I64 => 4,
        ElementType::I16 => 7,
        ElementType::I8 => 9,
        ElementType::I4 => 17,
        other => panic!("elements of {other} are not written"),
    }
}

/// Elements as the file has them.
fn stored(data: &TensorData, element: ElementType) -> Vec<u8> {
    let ints = match data {
        TensorData::F32(all) => return all.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::I64(all) => all,
    };
    let size = match element {
        ElementType::I4 => {
            // Two to a byte, the first in the lower half.
            let low = |x: i64| x.to_le_bytes()[0] & 15;
            let pair = |pair: &[i64]| low(pair[0]) | pair.get(1).map_or(0, |&x| low(x) << 4);
            return ints.chunks(2).map(pair).collect();
        }
        ElementType::I8 | ElementType::U8 => 1,
        ElementType::I16 => 2,
        ElementType::I32 => 4,
        _ => 8,
    };
    ints.iter().flat_map(|x| x.to_le_bytes().into_iter().take(size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tflite::parse_model;

    #[test]
    fn what_is_written_is_read_back() {
        let tensor = |name: &str, element, shape: &[Option<usize>]| Tensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            element,
            quantization: None,
            data: None,
        };
        let steps = |scale: &[f32], zero_point: i64, axis| {
            let zero_point = vec![zero_point; scale.len()];
            Some(Quantization { scale: scale.to_vec(), zero_point, axis })
        };
        let constant = |data: &[i64]| Some(TensorData::I64(data.to_vec()));
        let x = Tensor {
            quantization: steps(&[0.5], -128, 0),
            ..tensor("x", ElementType::I8, &[None, Some(2), Some(3), Some(1)])
        };
        let weights = Tensor {
            quantization: steps(&[0.25, 0.125], 0, 0),
            data: constant(&[-8, 7, 1, -1, 0, 3]),
            ..tensor("weights", ElementType::I4, &[Some(2), Some(1), Some(3), Some(1)])
        };
        let bias = Tensor {
            data: constant(&[-70_000, 5]),
            ..tensor("bias", ElementType::I32, &[Some(2)])
        };
        let long =
            Tensor { data: constant(&[1 << 40]), ..tensor("long", ElementType::I64, &[Some(1)]) };
        let table = Tensor {
            data: Some(TensorData::F32(vec![0.5, -1.0])),
            ..tensor("table", ElementType::F32, &[Some(2)])
        };
        let wide = Tensor { data: constant(&[-300]), ..tensor("wide", ElementType::I16, &[]) };
        let y = tensor("y", ElementType::I8, &[Some(1), Some(2), Some(1), Some(2)]);
        let z = tensor("z", ElementType::I8, &[Some(4)]);
        let mut conv = Options::default();
        for (name, value) in [("padding", 1), ("stride_w", 3), ("stride_h", 1)] {
            conv.ints.insert(name, value);
        }
        for (name, value) in [("fused_activation", 1), ("dilation_w", 1), ("dilation_h", 2)] {
            conv.ints.insert(name, value);
        }
        let mut reshape = Options::default();
        reshape.lists.insert("new_shape", vec![4]);
        let operator = |name: &str, inputs: &[Option<usize>], output, options| Operator {
            name: name.to_owned(),
            is_custom: false,
            inputs: inputs.to_vec(),
            outputs: vec![output],
            options,
        };
        let softmax =
            Options { floats: [("beta", 1.5)].into_iter().collect(), ..Options::default() };
        let model = Model {
            description: "made by hand".to_owned(),
            tensors: vec![x, weights, bias, y, z, long, table, wide],
            inputs: vec![0],
            outputs: vec![4, 3],
            operators: vec![
                operator("CONV_2D", &[Some(0), Some(1), Some(2)], 3, conv),
                operator("RESHAPE", &[Some(3), None], 4, reshape),
                operator("PAD", &[Some(4)], 4, Options::default()),
                operator("RELU", &[Some(4)], 4, Options::default()),
                operator("SOFTMAX", &[Some(4)], 4, softmax),
            ],
        };
        let bytes = encode_model(&model);
        assert_eq!(parse_model(&bytes).unwrap(), model);
        assert_eq!(bytes, encode_model(&model));
    }
}
