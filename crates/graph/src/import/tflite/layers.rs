//! Layers and pools: operators with windows or weights.

use super::{
    dilation::PADS,
    translation::{Operator, Translation},
};
use crate::error::ImportError;
use fixedwise_codec::onnx::Attribute;
use fixedwise_fixed::convert::count_to_u64;

/// Writes the operator where it is one of these.
pub(super) fn translate(to: &mut Translation, operator: &Operator) -> Result<bool, ImportError> {
    match operator.kind() {
        "CONV_2D" => convolution(to, operator)?,
        "DEPTHWISE_CONV_2D" => depthwise(to, operator)?,
        "TRANSPOSE_CONV" => transposed(to, operator)?,
        "FULLY_CONNECTED" => dense(to, operator)?,
        "BATCH_MATMUL" => matmul(to, operator)?,
        "AVERAGE_POOL_2D" => pool(to, operator, "AveragePool")?,
        "MAX_POOL_2D" => pool(to, operator, "MaxPool")?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn int(x: usize) -> i64 {
    i64::try_from(x).unwrap_or(i64::MAX)
}

/// Elements of `[a, b, c, d]` with the axes in another order.
fn transpose(data: &[f32], dims: [usize; 4], order: [usize; 4]) -> Vec<f32> {
    let strides = [dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1];
    let [a, b, c, d] = order.map(|axis| dims[axis]);
    let [sa, sb, sc, sd] = order.map(|axis| strides[axis]);
    let mut moved = Vec::with_capacity(data.len());
    for i in 0..a {
        for j in 0..b {
            for k in 0..c {
                moved.extend((0..d).map(|l| data[i * sa + j * sb + k * sc + l * sd]));
            }
        }
    }
    moved
}

/// Strides, dilation and padding, as ONNX has them.
fn window(operator: &Operator) -> Result<Vec<(&'static str, Attribute)>, ImportError> {
    let pair = |h: &str, w: &str| vec![operator.int(h), operator.int(w)];
    let strides = pair("stride_h", "stride_w");
    if strides.iter().any(|&stride| stride < 1) {
        return Err(operator.error("its strides must be at least 1"));
    }
    let padding = match (operator.list(PADS), operator.int("padding")) {
        (Some(pads), _) => ("pads", pads.to_vec().into()),
        (None, 0) => ("auto_pad", "SAME_UPPER".into()),
        (None, 1) => ("pads", vec![0; 4].into()),
        (None, other) => {
            return Err(operator.error(&format!("its padding {other} is not supported")));
        }
    };
    let mut attributes = vec![("strides", strides.into()), padding];
    let dilations = pair("dilation_h", "dilation_w");
    if dilations != [0, 0] && dilations != [1, 1] {
        attributes.push(("dilations", dilations.into()));
    }
    Ok(attributes)
}

/// A weight tensor with four axes, and its elements.
fn weights(operator: &Operator, position: usize) -> Result<([usize; 4], Vec<f32>), ImportError> {
    let (_, data) = operator.reals(position)?;
    Ok((operator.extents::<4>(position)?, data))
}

/// The name of the bias; an empty one where it is left out.
fn bias(operator: &Operator, position: usize) -> Result<String, ImportError> {
    if !operator.has_input(position) {
        return Ok(String::new());
    }
    operator.reals(position)?;
    Ok(Translation::input(operator, position))
}

/// Image `[n, h, w, i]`, weights `[o, kh, kw, i / groups]`, bias `[o]`.
fn convolution(to: &mut Translation, operator: &Operator) -> Result<(), ImportError> {
    operator.must_be_image(0)?;
    let (dims, data) = weights(operator, 1)?;
    let [o, kh, kw, i] = dims;
    let channels = operator.tensor(0)?.shape[3];
    let groups = match channels {
        Some(channels) if i > 0 && channels % i == 0 => channels / i,
        _ => return Err(operator.error("its weights do not fit the channels of its input")),
    };
    let mut attributes = window(operator)?;
    attributes.push(("kernel_shape", vec![int(kh), int(kw)].into()));
    attributes.push(("group", int(groups).into()));
    let kernel = to.floats(&[o, i, kh, kw], transpose(&data, dims, [0, 3, 1, 2]));
    finish(to, operator, ("Conv", 0), &kernel, &bias(operator, 2)?, attributes)
}

/// Image `[n, h, w, c]`, weights `[1, kh, kw, c * multiplier]`.
fn depthwise(to: &mut Translation, operator: &Operator) -> Result<(), ImportError> {
    operator.must_be_image(0)?;
    let (dims, data) = weights(operator, 1)?;
    let [one, kh, kw, o] = dims;
    let Some(channels) = operator.tensor(0)?.shape[3].filter(|&c| one == 1 && c > 0 && o % c == 0)
    else {
        return Err(operator.error("its weights do not fit the channels of its input"));
    };
    let mut attributes = window(operator)?;
    attributes.push(("kernel_shape", vec![int(kh), int(kw)].into()));
    attributes.push(("group", int(channels).into()));
    let kernel = to.floats(&[o, 1, kh, kw], transpose(&data, dims, [3, 0, 1, 2]));
    finish(to, operator, ("Conv", 0), &kernel, &bias(operator, 2)?, attributes)
}

/// An operator of ONNX on the image at that input, moved to where ONNX has the channels and back.
fn finish(
    to: &mut Translation,
    operator: &Operator,
    (op_type, image): (&str, usize),
    kernel: &str,
    bias: &str,
    attributes: Vec<(&str, Attribute)>,
) -> Result<(), ImportError> {
    let x = to.channels_first(operator, &Translation::input(operator, image));
    let inputs: &[&str] = if bias.is_empty() { &[&x, kernel] } else { &[&x, kernel, bias] };
    let y = to.node(operator, op_type, inputs, attributes);
    to.result_of_image(operator, &y)
}

/// Extents of the result, weights `[o, kh, kw, i]`, image `[n, h, w, i]`, bias `[o]`.
fn transposed(to: &mut Translation, operator: &Operator) -> Result<(), ImportError> {
    operator.must_be_image(2)?;
    let (dims, data) = weights(operator, 1)?;
    let [o, kh, kw, i] = dims;
    // Its first input may compute the same from a batch of any size.
    let (result, image) = (&operator.output(0)?.shape, &operator.tensor(2)?.shape);
    let (&[_, Some(oh), Some(ow), _], &[_, Some(h), Some(w), _]) =
        (result.as_slice(), image.as_slice())
    else {
        return Err(operator.error("the size of its result must be known"));
    };
    let strides = [operator.int("stride_h"), operator.int("stride_w")];
    let same = operator.int("padding") == 0;
    let (mut begin, mut end) = (Vec::new(), Vec::new());
    for ((size, wanted), (kernel, stride)) in
        [(h, int(oh)), (w, int(ow))].into_iter().zip([kh, kw].into_iter().zip(strides))
    {
        // What the windows cover, less what is wanted, is cut off; less after it where it is odd.
        let whole = (int(size) - 1)
            .checked_mul(stride)
            .and_then(|covered| covered.checked_add(int(kernel)))
            .filter(|_| stride > 0 && wanted > 0)
            .ok_or_else(|| operator.error("its strides and sizes must be at least 1"))?;
        let cut = whole - wanted;
        let first = if same { cut.max(0) / 2 } else { 0 };
        begin.push(first);
        end.push(cut - first);
    }
    // More than the windows cover is added behind.
    let extra: Vec<i64> = end.iter().map(|&end| (-end).max(0)).collect();
    let end = end.iter().map(|&end| end.max(0));
    let attributes = vec![
        ("kernel_shape", vec![int(kh), int(kw)].into()),
        ("strides", strides.to_vec().into()),
        ("pads", begin.iter().copied().chain(end).collect::<Vec<i64>>().into()),
        ("output_padding", extra.into()),
    ];
    let kernel = to.floats(&[i, o, kh, kw], transpose(&data, dims, [3, 0, 1, 2]));
    finish(to, operator, ("ConvTranspose", 2), &kernel, &bias(operator, 3)?, attributes)
}

/// A value of any number of axes, weights `[o, i]`, bias `[o]`.
fn dense(to: &mut Translation, operator: &Operator) -> Result<(), ImportError> {
    if operator.int("weights_format") != 0 {
        return Err(operator.error("its weights are shuffled, which is not supported"));
    }
    let (_, data) = operator.reals(1)?;
    let [o, i] = operator.extents::<2>(1)?;
    let bias = bias(operator, 2)?;
    let mut x = Translation::input(operator, 0);
    if operator.int("keep_num_dims") != 0 && operator.rank(0)? > 2 {
        let matrix: Vec<f32> = (0..i * o).map(|at| data[at % o * i + at / o]).collect();
        let matrix = to.floats(&[i, o], matrix);
        let mut y = to.node(operator, "MatMul", &[&x, &matrix], vec![]);
        if !bias.is_empty() {
            y = to.node(operator, "Add", &[&y, &bias], vec![]);
        }
        return to.result(operator, &y);
    }
    let rank = operator.rank(0)?;
    if rank != 2 || operator.tensor(0)?.shape[1] != Some(i) {
        let shape = to.ints(&[-1, int(i)]);
        x = to.node(operator, "Reshape", &[&x, &shape], vec![]);
    }
    let matrix = to.floats(&[o, i], data);
    let inputs: &[&str] = if bias.is_empty() { &[&x, &matrix] } else { &[&x, &matrix, &bias] };
    let y = to.node(operator, "Gemm", inputs, vec![("transB", 1_i64.into())]);
    to.result(operator, &y)
}

/// Two computed values, or one and a constant.
fn matmul(to: &mut Translation, operator: &Operator) -> Result<(), ImportError> {
    let mut inputs = [Translation::input(operator, 0), Translation::input(operator, 1)];
    for (position, option) in ["adj_x", "adj_y"].into_iter().enumerate() {
        if operator.int(option) != 0 {
            let mut perm: Vec<i64> = (0..operator.rank(position)?).map(int).collect();
            let last = perm.len().saturating_sub(2);
            perm[last..].reverse();
            let name = inputs[position].clone();
            inputs[position] =
                to.node(operator, "Transpose", &[&name], vec![("perm", perm.into())]);
        }
    }
    let y = to.node(operator, "MatMul", &[&inputs[0], &inputs[1]], vec![]);
    to.result(operator, &y)
}

fn pool(to: &mut Translation, operator: &Operator, op_type: &str) -> Result<(), ImportError> {
    operator.must_be_image(0)?;
    let kernel = vec![operator.int("filter_h"), operator.int("filter_w")];
    if kernel.iter().any(|&extent| extent < 1 || extent.unsigned_abs() > count_to_u64(1 << 20)) {
        return Err(operator.error("its window must have at least 1 row and column"));
    }
    let mut attributes = window(operator)?;
    attributes.push(("kernel_shape", kernel.into()));
    let x = to.channels_first(operator, &Translation::input(operator, 0));
    let y = to.node(operator, op_type, &[&x], attributes);
    to.result_of_image(operator, &y)
}
