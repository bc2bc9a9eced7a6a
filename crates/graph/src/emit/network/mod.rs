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
    graph::NodeId,
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
    let mut inputs = Vec::with_capacity(fixed.inputs.len());
    for (id, node) in fixed.nodes.iter().enumerate() {
        if fixed.inputs.contains(&id) {
            inputs.push((network.input(node)?, node.shape));
        } else {
            network.add(node)?;
        }
    }
    let outputs = network.outputs();
    let Network { file, notes, .. } = network;
    let batch = match dialect {
        Dialect::Standard => Dim::Named("batch".to_owned()),
        Dialect::Qonnx => Dim::Known(1),
    };
    let pixels: Vec<ElementType> = inputs.iter().map(|((_, element), _)| *element).collect();
    let input = |((name, element), shape): ((String, ElementType), Shape)| {
        let mut dims = vec![batch.clone()];
        dims.extend([shape.c, shape.h, shape.w].map(Dim::Known));
        port(&name, element, dims)
    };
    let inputs = inputs.into_iter().map(input);
    let model = inputs.fold(file.finish(&fixed.name), ModelBuilder::input_value);
    let output = |(name, elements): (String, usize)| {
        port(&name, ElementType::F32, vec![batch.clone(), Dim::Known(elements)])
    };
    let model = outputs.into_iter().map(output).fold(model, ModelBuilder::output_value);
    let bytes = describe(model, fixed, &pixels, &notes).encode();
    Ok(OnnxFile { bytes, inexact: notes.inexact })
}

/// What the file says of itself.
fn describe(
    model: ModelBuilder,
    fixed: &FixedGraph,
    pixels: &[ElementType],
    notes: &Notes,
) -> ModelBuilder {
    let name = |element: &ElementType| match element {
        ElementType::U8 => "uint8",
        _ => "float32",
    };
    let pixels = pixels.iter().map(name).collect::<Vec<_>>().join(" and ");
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
    let results = match fixed.outputs[..] {
        [_] => "one real value per class, float32 [n, classes]",
        _ => "each one real value per element, float32 [n, elements], in the order [h, w, c]",
    };
    model
        .metadata("fixedwise.input", &format!("raw pixels, {pixels} [n, c, h, w]"))
        .metadata("fixedwise.output", results)
        .metadata("fixedwise.rounding", rounding)
        .metadata("fixedwise.formats", &formats.to_string())
        .metadata("fixedwise.inexact_sums", &inexact)
}

impl Network<'_> {
    /// An input; gives its name and element type in the file.
    fn input(&mut self, node: &FixedNode) -> Result<(String, ElementType), EmitError> {
        check_step(&node.name, node.format.frac.into())?;
        let name = self.file.name(&node.name);
        self.file.image.get_or_insert_with(|| name.clone());
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

    /// The results, each as `[n, elements]`; gives their names and elements. The only one is named `output`,
    /// several have the names of the model's file.
    fn outputs(&mut self) -> Vec<(String, usize)> {
        let fixed = self.fixed;
        let [_] = fixed.outputs[..] else {
            let outputs = fixed.outputs.iter();
            return outputs.map(|output| self.output(output.node, &output.name, true)).collect();
        };
        vec![self.output(fixed.output(), "output", false)]
    }

    fn output(&mut self, node: NodeId, wanted: &str, is_shared: bool) -> (String, usize) {
        let value = self.values[node].clone();
        let Shape { h, w, .. } = value.shape;
        let (elements, mut name) = (value.shape.len(), value.name);
        if !value.is_vector {
            if h * w > 1 {
                let order = vec![("perm", vec![0_i64, 2, 3, 1].into())];
                name = self.file.node("Transpose", &format!("{wanted}_order"), &[&name], order);
            }
            name = self.file.reshape(&format!("{wanted}_vector"), &name, &[elements]);
        } else if is_shared {
            // Another result may be the same value.
            name = self.file.node("Identity", &format!("{wanted}_vector"), &[&name], vec![]);
        }
        (self.file.rename(&name, wanted), elements)
    }
}
