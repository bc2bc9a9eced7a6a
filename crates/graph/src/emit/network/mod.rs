//! The integer network as an ONNX graph that computes it in floating point: every value is a multiple
//! of its format's step, and no sum is rounded as long as it stays below `2^24` multiples.
//!
//! Axis order is `[n, c, h, w]`, vectors are `[n, c]`.

pub(crate) mod file;
pub(crate) mod node;
pub(crate) mod rounding;
pub(crate) mod windows;

pub(crate) use file::Dialect;
pub use node::{NetworkNode, NetworkValue};

use crate::{
    error::EmitError,
    fixed_graph::{FixedGraph, FixedNode},
    shape::Shape,
};
use file::{File, port};
use fixedwise_codec::onnx::{Dim, ElementType, ModelBuilder};
use fixedwise_fixed::{Format, Rounding};
use node::{Notes, check_step};

/// An ONNX file.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxFile {
    /// The file.
    pub bytes: Vec<u8>,
    /// Nodes whose sums may exceed `2^24` and are then rounded by 32-bit floats; elsewhere every
    /// result is that of the integers.
    pub inexact: Vec<String>,
}

/// The ONNX graph under construction.
struct Network<'a> {
    fixed: &'a FixedGraph,
    file: File,
    values: Vec<NetworkValue>,
    notes: Notes,
}

/// The network in a dialect of ONNX.
pub(super) fn emit(fixed: &FixedGraph, dialect: Dialect) -> Result<OnnxFile, EmitError> {
    let (file, notes) = (File::new(dialect), Notes::default());
    let mut network = Network { fixed, file, values: Vec::new(), notes };
    let input = network.input()?;
    for node in &fixed.nodes[1..] {
        network.add(node)?;
    }
    let output = network.output();
    let Network { file, notes, .. } = network;
    let batch = match dialect {
        Dialect::Standard => Dim::Named("batch".to_owned()),
        Dialect::Qonnx => Dim::Known(1),
    };
    let shape = fixed.nodes[0].shape;
    let mut dims = vec![batch.clone()];
    dims.extend([shape.c, shape.h, shape.w].map(Dim::Known));
    let classes = Dim::Known(fixed.nodes[fixed.output].shape.len());
    let model = file
        .finish(&fixed.name)
        .input_value(port(&input.0, input.1, dims))
        .output_value(port(&output, ElementType::F32, vec![batch, classes]));
    let bytes = describe(model, fixed, input.1, &notes).encode();
    Ok(OnnxFile { bytes, inexact: notes.inexact })
}

/// What the file says of itself.
fn describe(
    model: ModelBuilder,
    fixed: &FixedGraph,
    input: ElementType,
    notes: &Notes,
) -> ModelBuilder {
    let pixels = if input == ElementType::U8 { "uint8" } else { "float32" };
    let formats = fixed
        .nodes
        .iter()
        .map(|node| (node.name.clone(), serde_json::Value::from(node.format.to_string())));
    let formats = serde_json::Value::Object(formats.collect());
    let rounding = match notes.rounding {
        Some(Rounding::TiesEven) => "ties-even",
        Some(Rounding::Floor) => "floor",
        _ => "ties-up",
    };
    let inexact = &notes.inexact;
    let inexact = if inexact.is_empty() { "none".to_owned() } else { inexact.join(", ") };
    model
        .metadata("fixedwise.input", &format!("raw pixels, {pixels} [n, c, h, w]"))
        .metadata("fixedwise.output", "one real value per class, float32 [n, classes]")
        .metadata("fixedwise.rounding", rounding)
        .metadata("fixedwise.formats", &formats.to_string())
        .metadata("fixedwise.inexact_sums", &inexact)
}

impl Network<'_> {
    /// The image; gives its name and element type in the file.
    fn input(&mut self) -> Result<(String, ElementType), EmitError> {
        let node = &self.fixed.nodes[0];
        check_step(&node.name, node.format.frac.into())?;
        let name = self.file.name(&node.name);
        let bytes = Format::unsigned(8, 0);
        let element = match self.file.dialect {
            Dialect::Standard if node.format == bytes => ElementType::U8,
            _ => ElementType::F32,
        };
        let value = if element == ElementType::U8 {
            self.file.dequantize(&format!("{name}_dequantize"), &name, 0)
        } else {
            self.file.quantize(
                &name,
                &name,
                node.format,
                node.format.min(),
                node.format.max(),
                false,
            )
        };
        self.values.push(NetworkValue {
            node: node.name.clone(),
            name: value,
            is_vector: false,
            shape: node.shape,
            format: node.format,
        });
        Ok((name, element))
    }

    /// Adds a node of the integer network and its value.
    fn add(&mut self, node: &FixedNode) -> Result<(), EmitError> {
        check_step(&node.name, node.format.frac.into())?;
        let value = node.op.emit_network(&mut NetworkNode {
            name: &node.name,
            inputs: node.inputs.iter().map(|&id| self.values[id].clone()).collect(),
            shape: node.shape,
            format: node.format,
            file: &mut self.file,
            notes: &mut self.notes,
        })?;
        self.values.push(value);
        Ok(())
    }

    /// The result as `[n, classes]`; gives its name.
    fn output(&mut self) -> String {
        let value = self.values[self.fixed.output].clone();
        let Shape { h, w, .. } = value.shape;
        let mut name = value.name;
        if !value.is_vector {
            if h * w > 1 {
                let order = vec![("perm", vec![0_i64, 2, 3, 1].into())];
                name = self.file.node("Transpose", "output_order", &[&name], order);
            }
            name = self.file.reshape("output_vector", &name, &[value.shape.len()]);
        }
        self.file.rename(&name, "output")
    }
}
