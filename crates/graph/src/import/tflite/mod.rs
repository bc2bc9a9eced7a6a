//! From a TensorFlow Lite model to a graph: its operators are written as nodes of ONNX, with the channels moved to where
//! ONNX has them, and read as those. Transposes cost nothing, since an import follows axes by name.
//!
//! Quantized files are read as the real network that their integers stand for: weights and biases are what they round
//! to, and what is rounded between operators is left to the plan.

mod arrays;
mod dilation;
mod elements;
mod layers;
mod rounded;
mod translation;

use super::{interface::Interface, onnx::from_channels_last};
use crate::{error::ImportError, graph::Graph};
use fixedwise_codec::{
    onnx::TensorData,
    tflite::{self, Tensor},
};
use translation::{Operator, Translation, reals};

/// The graph of a TensorFlow Lite model.
///
/// # Errors
/// [`ImportError`] naming every operator that stands in the way, or a shape that does not fit the file.
pub fn from_tflite(
    model: &tflite::Model,
    name: &str,
    interface: &Interface,
) -> Result<Graph, ImportError> {
    let weights = rounded::weights(model);
    let model = &dilation::joined(dequantized(model.clone()));
    let mut translation = Translation::new(model);
    let mut errors = Vec::new();
    for operator in &model.operators {
        let operator = Operator::new(model, operator);
        if let Err(error) = translate(&mut translation, &operator) {
            errors.push(error);
        }
    }
    if let Some(error) = ImportError::all(errors, vec![]) {
        return Err(error);
    }
    let rounded = rounded::rounded(model, &weights);
    from_channels_last(&translation.finish(), name, interface, &rounded)
}

/// The model with the real values of constants in place of operators that dequantize them, and constants without those
/// that write their zeros out, which the reader has done.
fn dequantized(mut model: tflite::Model) -> tflite::Model {
    let (operators, mut left) = (std::mem::take(&mut model.operators), Vec::new());
    for operator in operators {
        if let ("DENSIFY", &[Some(from)], &[to]) =
            (operator.name.as_str(), &operator.inputs[..], &operator.outputs[..])
            && model.tensors[from].shape == model.tensors[to].shape
            && model.tensors[from].data.is_some()
        {
            let Tensor { data, quantization, element, .. } = model.tensors[from].clone();
            let to = &mut model.tensors[to];
            (to.data, to.quantization, to.element) = (data, quantization, element);
            continue;
        }
        let real = match (operator.name.as_str(), &operator.inputs[..], &operator.outputs[..]) {
            ("DEQUANTIZE", &[Some(from)], &[to]) => {
                let tensor = &model.tensors[from];
                // A result of other extents is left to the operators that take it.
                let fits = tensor.shape == model.tensors[to].shape;
                let data = tensor.data.as_ref().filter(|_| fits);
                data.map(|data| (to, reals(tensor, data)))
            }
            _ => None,
        };
        match real {
            Some((to, real)) => model.tensors[to].data = Some(TensorData::F32(real)),
            None => left.push(operator),
        }
    }
    model.operators = left;
    model
}

/// Writes one operator as nodes. One that is not known becomes a node of its name, which the import refuses with all
/// others.
fn translate(to: &mut Translation, operator: &Operator) -> Result<(), ImportError> {
    let families = [layers::translate, elements::translate, arrays::translate];
    for family in families {
        if !operator.is_custom() && family(to, operator)? {
            return Ok(());
        }
    }
    to.unknown(operator);
    Ok(())
}
