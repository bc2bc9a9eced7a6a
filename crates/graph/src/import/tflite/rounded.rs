//! What a file's integers tell of roundings before: of weights, and the ranges of values.

use crate::{
    import::onnx::{
        Rounded,
        constant::{range, rounded_bits},
    },
    rounded_before::{RoundedValue, RoundedWeights},
};
use fixedwise_codec::tflite::{Model, Tensor};
use fixedwise_fixed::convert::{f64_to_f32, i64_to_f64};

/// How the weights of each tensor were rounded, by its position; also where an operator dequantizes them.
pub(super) fn weights(model: &Model) -> Vec<Option<RoundedWeights>> {
    let mut rounded: Vec<Option<RoundedWeights>> = model.tensors.iter().map(of_tensor).collect();
    for operator in model.operators.iter().filter(|operator| operator.name == "DEQUANTIZE") {
        if let (&[Some(from)], &[to]) = (&operator.inputs[..], &operator.outputs[..]) {
            rounded[to] = rounded[from];
        }
    }
    rounded
}

/// How the weights of a tensor were rounded, where it holds such.
fn of_tensor(tensor: &Tensor) -> Option<RoundedWeights> {
    let quantization = tensor.quantization.as_ref().filter(|_| tensor.data.is_some())?;
    let bits = rounded_bits(tensor.element).filter(|_| tensor.shape.len() > 1)?;
    Some(RoundedWeights { bits, by_channel: quantization.scale.len() > 1 })
}

/// What was rounded of a model whose tensors of weights were rounded so.
pub(super) fn rounded(model: &Model, weights: &[Option<RoundedWeights>]) -> Rounded {
    let mut rounded = Rounded::default();
    let name = |index: usize| model.tensors[index].name.clone();
    for operator in &model.operators {
        let Some(&result) = operator.outputs.first() else { continue };
        let of_inputs = operator.inputs.iter().flatten().filter_map(|&input| weights[input]);
        rounded.weights.extend(of_inputs.map(|weights| (name(result), weights)));
    }
    let computed = model.operators.iter().flat_map(|operator| &operator.outputs);
    for &index in model.inputs.iter().chain(computed) {
        if let Some(value) = of_value(&model.tensors[index]) {
            rounded.values.push((name(index), value));
        }
    }
    rounded
}

/// The integers of a value that is computed.
fn of_value(tensor: &Tensor) -> Option<RoundedValue> {
    let quantization = tensor.quantization.as_ref().filter(|_| tensor.data.is_none())?;
    let bits = rounded_bits(tensor.element)?;
    let (&[scale], &[zero]) = (&quantization.scale[..], &quantization.zero_point[..]) else {
        return None;
    };
    let (least, most) = range(tensor.element);
    let real = |x: i64| f64_to_f32(f64::from(scale) * i64_to_f64(x.saturating_sub(zero)));
    Some(RoundedValue { bits, range: [real(least), real(most)] })
}
