//! The weights of a Keras file in the network that an ONNX file describes.

use crate::{
    error::ImportError,
    graph::Graph,
    import::{interface::Interface, onnx::from_onnx_with},
    ops::{Gemm, Reshape},
};
use fixedwise_codec::{
    keras,
    onnx::{self, Attribute, Tensor},
};
use std::collections::BTreeMap;

/// The graph of an ONNX model with the weights that Keras saved in the place of those of the nodes
/// of the same names.
///
/// # Errors
/// [`ImportError`] naming the node or the layer where one has no partner, or where names or extents
/// differ.
pub fn from_onnx_with_weights(
    mut model: onnx::Model,
    weights: &BTreeMap<String, Vec<keras::Tensor>>,
    name: &str,
    interface: &Interface,
) -> Result<Graph, ImportError> {
    replace_weights(&mut model, weights)?;
    let graph = from_onnx_with(&model, name, interface)?;
    // Keras flattens an image channels last: a dense layer that follows a flattening in another
    // order would take its weights in the wrong order.
    for (_, layer) in graph.layers().filter(|(_, node)| node.op.is::<Gemm>()) {
        let mut id = layer.main_input();
        while let [before] = graph.nodes[id].inputs[..] {
            let node = &graph.nodes[id];
            if node.op.is_layer() {
                break;
            }
            let moves = |reshape: &Reshape| !reshape.is_identity();
            if node.op.get().is_some_and(moves) {
                return Err(ImportError::Node {
                    node: layer.name.clone(),
                    op_type: layer.op.name().to_owned(),
                    problem: format!(
                        "uses the output of `{}`, which flattens channels first, but Keras \
                         flattens channels last; give the architecture as the JSON that Keras \
                         writes",
                        node.name
                    ),
                });
            }
            id = before;
        }
    }
    Ok(graph)
}

fn replace_weights(
    model: &mut onnx::Model,
    weights: &BTreeMap<String, Vec<keras::Tensor>>,
) -> Result<(), ImportError> {
    let mut constants: BTreeMap<String, Tensor> =
        std::mem::take(&mut model.graph.initializers).into_iter().collect();
    let mut unused: Vec<&str> = weights.keys().map(String::as_str).collect();
    let mut written: Vec<String> = Vec::new();
    for node in &model.graph.nodes {
        let names: &[&str] = match node.op_type.as_str() {
            "Conv" | "Gemm" => &["kernel", "bias"],
            "MatMul" => &["kernel"],
            "BatchNormalization" => &["gamma", "beta", "moving_mean", "moving_variance"],
            _ => continue,
        };
        let error = |problem: String| ImportError::Node {
            node: node.name.clone(),
            op_type: node.op_type.clone(),
            problem,
        };
        let Some(tensors) = weights.get(&node.name) else {
            return Err(error("the weights file has no layer with this name".to_owned()));
        };
        unused.retain(|name| *name != node.name);
        let given = node.inputs.iter().skip(1).filter(|name| !name.is_empty()).count();
        if given != tensors.len() || given > names.len() {
            return Err(error(format!(
                "uses {given} weights, the layer in the weights file has {}",
                tensors.len()
            )));
        }
        for ((name, tensor), input) in names.iter().zip(tensors).zip(&node.inputs[1..]) {
            let found = tensor.name.as_deref().unwrap_or(name);
            if found != *name && !(*name == "kernel" && found == "depthwise_kernel") {
                return Err(error(format!("`{}` is not its `{name}`", tensor.path)));
            }
            let Some(constant) = constants.get_mut(input) else {
                return Err(error(format!("its weights `{input}` are not stored as constants")));
            };
            if written.contains(input) {
                return Err(error(format!("shares its weights `{input}` with another node")));
            }
            let tensor = in_onnx_order(node, tensor, &constant.dims).ok_or_else(|| {
                error(format!(
                    "`{}` has shape {:?}, which does not fit the shape {:?} of `{input}`",
                    tensor.path, tensor.shape, constant.dims
                ))
            })?;
            *constant = tensor;
            written.push(input.clone());
        }
    }
    model.graph.initializers = constants.into_iter().collect();
    match unused.first() {
        None => Ok(()),
        Some(layer) => Err(ImportError::Interface(format!(
            "the weights file has weights of `{layer}`, which is not a node of the architecture"
        ))),
    }
}

/// A Keras weight with the axes of the ONNX node's, where it has those extents.
fn in_onnx_order(node: &onnx::Node, tensor: &keras::Tensor, dims: &[usize]) -> Option<Tensor> {
    let transposed = matches!(node.attributes.get("transB"), Some(Attribute::Int(1)));
    // For each axis of the result, the axis of the Keras weight.
    let axes: &[usize] = match (node.op_type.as_str(), tensor.shape.len()) {
        // From [h, w, i, o]; from [h, w, c, 1] where every channel is a group of its own.
        ("Conv", 4) if tensor.shape[3] == 1 && dims.first() != Some(&1) => &[2, 3, 0, 1],
        ("Conv", 4) => &[3, 2, 0, 1],
        ("Gemm", 2) if transposed => &[1, 0],
        (_, 2) => &[0, 1],
        (_, 1) => &[0],
        _ => return None,
    };
    if dims.len() != axes.len() || (0..dims.len()).any(|i| dims[i] != tensor.shape[axes[i]]) {
        return None;
    }
    let mut strides = vec![1; axes.len()];
    for axis in (0..axes.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * tensor.shape[axis + 1];
    }
    let data = (0..tensor.data.len()).map(|index| {
        let mut rest = index;
        let mut source = 0;
        for axis in (0..dims.len()).rev() {
            source += rest % dims[axis] * strides[axes[axis]];
            rest /= dims[axis];
        }
        tensor.data[source]
    });
    Some(Tensor::floats(dims, data.collect()))
}
