//! Dilated convolutions, which converters write as three operators: rows and columns are dealt out to images of a batch
//! (`SPACE_TO_BATCH_ND`), convolved without dilation, and put together again (`BATCH_TO_SPACE_ND`).

use fixedwise_codec::{
    onnx::TensorData,
    tflite::{Model, Operator},
};

/// What padding is called that an operator does not have in a file: `[top, left, bottom, right]`.
pub(super) const PADS: &str = "pads";

/// The model with each such three operators as one convolution.
pub(super) fn joined(mut model: Model) -> Model {
    for first in 0..model.operators.len() {
        let Some((layer, last, operator)) = dilated(&model, first) else { continue };
        model.operators[layer] = operator;
        // What they computed is computed by none now.
        for gone in [first, last] {
            model.operators[gone].outputs.clear();
        }
    }
    model.operators.retain(|operator| !operator.outputs.is_empty());
    model
}

/// The convolution that an operator and the two behind it are, and the positions of these.
fn dilated(model: &Model, first: usize) -> Option<(usize, usize, Operator)> {
    let apart = model.operators.get(first).filter(|op| op.name == "SPACE_TO_BATCH_ND")?;
    let layer = only_user(model, apart)?;
    let convolution = &model.operators[layer];
    let is_convolution = matches!(convolution.name.as_str(), "CONV_2D" | "DEPTHWISE_CONV_2D");
    let option = |name: &str| convolution.options.int(name);
    let is_plain = ["stride_h", "stride_w", "dilation_h", "dilation_w", "padding"]
        .iter()
        .all(|name| option(name) == 1);
    let last = only_user(model, convolution)?;
    let together = &model.operators[last];
    if !is_convolution || !is_plain || together.name != "BATCH_TO_SPACE_ND" {
        return None;
    }
    let (&[h, w], &[top, bottom, left, right]) = (ints(model, apart, 1)?, ints(model, apart, 2)?)
    else {
        return None;
    };
    let &[cut_top, cut_bottom, cut_left, cut_right] = ints(model, together, 2)? else {
        return None;
    };
    if ints(model, together, 1)? != [h, w] || h < 1 || w < 1 {
        return None;
    }
    let pads: Option<Vec<i64>> =
        [(top, cut_top), (left, cut_left), (bottom, cut_bottom), (right, cut_right)]
            .iter()
            .map(|(pad, cut)| pad.checked_sub(*cut).filter(|pad| *pad >= 0))
            .collect();
    let mut joined = convolution.clone();
    joined.inputs[0] = *apart.inputs.first()?;
    joined.outputs.clone_from(&together.outputs);
    joined.options.ints.extend([("dilation_h", h), ("dilation_w", w)]);
    joined.options.lists.insert(PADS, pads?);
    Some((layer, last, joined))
}

/// The only operator that takes the one result of another, as its first input.
fn only_user(model: &Model, operator: &Operator) -> Option<usize> {
    let &[output] = operator.outputs.as_slice() else { return None };
    let takes = |operator: &Operator| operator.inputs.contains(&Some(output));
    let mut users = (0..model.operators.len()).filter(|&i| takes(&model.operators[i]));
    let user = users.next()?;
    let is_first = model.operators[user].inputs.first() == Some(&Some(output));
    (users.next().is_none() && is_first && !model.outputs.contains(&output)).then_some(user)
}

/// An input that is a constant of integers.
fn ints<'a>(model: &'a Model, operator: &Operator, position: usize) -> Option<&'a [i64]> {
    let index = operator.inputs.get(position).copied().flatten()?;
    match &model.tensors[index].data {
        Some(TensorData::I64(data)) => Some(data),
        _ => None,
    }
}
