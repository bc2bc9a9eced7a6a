//! TensorFlow Lite: integers of 8 and 16 bits with scales that are powers of two.
//!
//! A value `q` of a format is stored as `q + z` with the zero point `z = 127 - max`, where `max` is the largest integer
//! that the value may have: so it saturates with the type, whatever its width. The file takes and gives integers, `[1, h, w,
//! c]`. `docs/export.md` says where kernels round otherwise than the plan.

pub(crate) mod file;
pub(crate) mod linear;
pub(crate) mod node;
pub(crate) mod rounding;

pub use node::{TfliteNode, TfliteValue};
pub use rounding::{TfliteKernels, TfliteOptions};

use crate::{emit::c::fold_reshapes, error::EmitError, fixed_graph::FixedGraph};
use file::File;
use fixedwise_codec::tflite::encode_model;
use node::check_step;

/// A file of TensorFlow Lite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TfliteFile {
    /// The file.
    pub bytes: Vec<u8>,
    /// Nodes that the kernels may round otherwise than the plan; elsewhere every result is that of the integers.
    pub rounded: Vec<String>,
}

/// The network as a file of TensorFlow Lite.
///
/// # Errors
/// [`EmitError`] naming every node that has no form in it.
pub fn emit(fixed: &FixedGraph, options: TfliteOptions) -> Result<TfliteFile, EmitError> {
    let fixed = &fold_reshapes(fixed);
    let (mut file, mut rounded, mut errors) = (File::new(), Vec::new(), Vec::new());
    let mut values: Vec<TfliteValue> = Vec::with_capacity(fixed.nodes.len());
    for node in &fixed.nodes {
        check_step(&node.name, node.format.frac.into())?;
        let inputs = node.inputs.iter().map(|&id| values[id]).collect();
        let mut of_node = TfliteNode {
            name: &node.name,
            inputs,
            shape: node.shape,
            format: node.format,
            options,
            file: &mut file,
            rounded: &mut rounded,
        };
        values.push(match node.op.emit_tflite(&mut of_node) {
            Ok(value) => value,
            Err(error) => {
                errors.push(error);
                // So that the nodes behind it say what stands in their way.
                of_node.input()
            }
        });
    }
    if let Some(error) = EmitError::all("tflite", errors) {
        return Err(error);
    }
    let mut outputs: Vec<usize> = Vec::with_capacity(fixed.outputs.len());
    for (i, output) in fixed.outputs.iter().enumerate() {
        let earlier = fixed.outputs[..i].iter().position(|other| other.node == output.node);
        outputs.push(match earlier {
            Some(earlier) => outputs[earlier],
            None => file.output(values[output.node].tensor, &output.name),
        });
    }
    let inputs = fixed.inputs.iter().map(|&id| values[id].tensor).collect();
    Ok(TfliteFile { bytes: encode_model(&file.finish(inputs, outputs)), rounded })
}
