//! From an ONNX file to a graph.

pub(crate) mod attributes;
pub(crate) mod reader;

use super::{
    axes::{Axis, channels_first, extent, shape_of},
    builder::Value,
};
use crate::{
    error::ImportError,
    graph::Graph,
    ops::{self, Input},
};
use fixedwise_codec::onnx::{self, ElementType};
use reader::{Reader, node_error};

/// The graph of an ONNX model with one input and one output.
///
/// # Errors
/// [`ImportError`] naming the node for whatever is not supported.
pub fn from_onnx(model: &onnx::Model, name: &str) -> Result<Graph, ImportError> {
    let file = &model.graph;
    let [input] = file.inputs.as_slice() else {
        let names: Vec<&str> = file.inputs.iter().map(|i| i.name.as_str()).collect();
        return Err(ImportError::Interface(format!(
            "the model has {} inputs ({}); one image is supported",
            names.len(),
            names.join(", ")
        )));
    };
    let [output] = file.outputs.as_slice() else {
        return Err(ImportError::Interface(format!(
            "the model has {} outputs; one is supported",
            file.outputs.len()
        )));
    };
    let mut reader = Reader::new(model.opset, &file.initializers);
    read_input(&mut reader, file, input)?;
    for node in &file.nodes {
        let Some((_, read)) = ops::ONNX.iter().find(|(op_type, _)| *op_type == node.op_type) else {
            return Err(ImportError::UnknownOperator {
                node: node.name.clone(),
                op_type: node.op_type.clone(),
                supported: ops::ONNX.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
            });
        };
        if node.outputs.iter().skip(1).any(|name| !name.is_empty()) {
            let more = node.outputs[1..].join("`, `");
            if file.nodes.iter().any(|n| n.inputs.iter().any(|i| node.outputs[1..].contains(i)))
                || node.outputs[1..].contains(&output.name)
            {
                return Err(node_error(
                    node,
                    &format!("only its first output is supported, not `{more}`"),
                ));
            }
        }
        read(&mut reader, node)?;
    }
    let Some(result) = reader.computed(&output.name).cloned() else {
        return Err(ImportError::Interface(format!(
            "the model's output `{}` is not computed from its input",
            output.name
        )));
    };
    // The result is given in the file's order of axes, read as channels first.
    let result = match channels_first(result.axes.len()) {
        Some(axes) if result.axes != axes => {
            let shape = reader.shape(&result);
            let extents: Vec<usize> = result.axes.iter().map(|&axis| extent(shape, axis)).collect();
            ops::reshaped(
                &mut reader.builder,
                &format!("{}_layout", output.name),
                &result,
                axes,
                &extents,
            )?
        }
        _ => result,
    };
    reader.builder.finish(name, &result)
}

fn read_input(
    reader: &mut Reader,
    file: &onnx::Graph,
    input: &onnx::ValueInfo,
) -> Result<(), ImportError> {
    let refuse = |problem: String| {
        Err(ImportError::Interface(format!("the model's input `{}` {problem}", input.name)))
    };
    let element = input.element_type;
    if !matches!(
        element,
        ElementType::F32 | ElementType::F64 | ElementType::F16 | ElementType::Bf16
    ) {
        return refuse(format!(
            "contains {element:?} elements; export the model for float images and declare the \
             preprocessing with `--preprocess`"
        ));
    }
    let Some(mut axes) = channels_first(input.dims.len()).filter(|axes| axes.len() > 1) else {
        return refuse(format!(
            "has {} axes; supported are [batch, c], [batch, c, w] and [batch, c, h, w]",
            input.dims.len()
        ));
    };
    let mut extents = vec![1];
    for (i, dim) in input.dims.iter().enumerate().skip(1) {
        match dim {
            onnx::Dim::Known(0) => return refuse(format!("has size 0 on axis {i}")),
            onnx::Dim::Known(extent) => extents.push(*extent),
            onnx::Dim::Named(name) => {
                return refuse(format!(
                    "has the dynamic size `{name}` on axis {i}; only the batch (axis 0) may be \
                     dynamic: export the model with a fixed image size"
                ));
            }
            onnx::Dim::Unknown => {
                return refuse(format!(
                    "has no size on axis {i}; export the model with a fixed image size"
                ));
            }
        }
    }
    if axes.len() == 4 && transposed_to_channels_first(file, &input.name) {
        axes = vec![Axis::Batch, Axis::Row, Axis::Column, Axis::Channel];
    }
    let shape = shape_of(&axes, &extents);
    if extents.iter().try_fold(1_usize, |n, &e| n.checked_mul(e)).is_none_or(|n| n > 1 << 28) {
        return refuse("has more than 2^28 elements".to_owned());
    }
    let node = reader.builder.push(&input.name, Input { shape }, vec![])?;
    reader.set_image(&input.name, Value { node, axes });
    Ok(())
}

/// Whether every path from the model's input leads, through element-wise nodes, to a transpose
/// from channels last to channels first.
fn transposed_to_channels_first(file: &onnx::Graph, input: &str) -> bool {
    let mut names = vec![input.to_owned()];
    let mut found = false;
    while let Some(name) = names.pop() {
        for node in file.nodes.iter().filter(|node| node.inputs.contains(&name)) {
            match node.op_type.as_str() {
                "Transpose" => {
                    let permutation = node.attributes.get("perm");
                    if !matches!(permutation, Some(onnx::Attribute::Ints(p)) if p == &[0, 3, 1, 2])
                    {
                        return false;
                    }
                    found = true;
                }
                "Identity" | "Add" | "Sub" | "Mul" | "Div" | "Dropout" => {
                    names.extend(node.outputs.iter().take(1).cloned());
                }
                _ => return false,
            }
        }
    }
    found
}
