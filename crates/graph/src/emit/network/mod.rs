//! The integer network as an ONNX graph that computes it in floating point: every value is a multiple
//! of its format's step, and no sum is rounded as long as it stays below `2^24` multiples.
//!
//! Axis order is `[n, c, h, w]`, vectors are `[n, c]`.

mod file;
mod ops;
mod rounding;

pub(super) use file::Dialect;
use file::{Attributes, File, port, real};
pub(super) use ops::joins;

use crate::{
    emit::operation::Operation,
    error::EmitError,
    fixed_graph::{FixedGraph, FixedNode},
    graph::NodeId,
    shape::Shape,
};
use fixedwise_codec::onnx::{Dim, ElementType, ModelBuilder};
use fixedwise_fixed::{Format, Rounding};

/// An ONNX file.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxFile {
    /// The file.
    pub bytes: Vec<u8>,
    /// Nodes whose sums may exceed `2^24` and are then rounded by 32-bit floats; elsewhere every
    /// result is that of the integers.
    pub inexact: Vec<String>,
}

/// Steps that 32-bit floats have with room for every sum: `2^-100` to `2^100`.
const MAX_FRAC: i32 = 100;

/// A value of the ONNX graph.
#[derive(Clone, Debug)]
struct Value {
    name: String,
    /// `[n, c]` instead of `[n, c, h, w]`.
    is_vector: bool,
    shape: Shape,
}

/// The ONNX graph under construction.
struct Network<'a> {
    fixed: &'a FixedGraph,
    file: File,
    values: Vec<Value>,
    inexact: Vec<String>,
}

/// The network in a dialect of ONNX.
pub(super) fn emit(fixed: &FixedGraph, dialect: Dialect) -> Result<OnnxFile, EmitError> {
    for node in &fixed.nodes {
        check_steps(node)?;
    }
    let mut network =
        Network { fixed, file: File::new(dialect), values: Vec::new(), inexact: Vec::new() };
    let input = network.input();
    for id in 1..fixed.nodes.len() {
        let value = network.node(id);
        network.values.push(value);
    }
    let output = network.output();
    let Network { file, inexact, .. } = network;
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
    let bytes = describe(model, fixed, input.1, &inexact).encode();
    Ok(OnnxFile { bytes, inexact })
}

/// Refuses steps beyond 32-bit floats.
fn check_steps(node: &FixedNode) -> Result<(), EmitError> {
    let sum = match Operation::of(&node.op) {
        Operation::Conv(op) => i32::from(op.weights_format.frac) + i32::from(op.input.frac),
        _ => 0,
    };
    let weights = match Operation::of(&node.op) {
        Operation::Conv(op) => i32::from(op.weights_format.frac),
        _ => 0,
    };
    match [i32::from(node.format.frac), weights, sum].into_iter().find(|f| f.abs() > MAX_FRAC) {
        Some(frac) => Err(EmitError::Step { node: node.name.clone(), frac, max: MAX_FRAC }),
        None => Ok(()),
    }
}

/// What the file says of itself.
fn describe(
    model: ModelBuilder,
    fixed: &FixedGraph,
    input: ElementType,
    inexact: &[String],
) -> ModelBuilder {
    let pixels = if input == ElementType::U8 { "uint8" } else { "float32" };
    let formats = fixed
        .nodes
        .iter()
        .map(|node| (node.name.clone(), serde_json::Value::from(node.format.to_string())));
    let formats = serde_json::Value::Object(formats.collect());
    let rounding = fixed.nodes.iter().find_map(|node| match Operation::of(&node.op) {
        Operation::Conv(op) => Some(op.requantization.rounding),
        _ => None,
    });
    let rounding = match rounding {
        Some(Rounding::TiesEven) => "ties-even",
        Some(Rounding::Floor) => "floor",
        _ => "ties-up",
    };
    let inexact = if inexact.is_empty() { "none".to_owned() } else { inexact.join(", ") };
    model
        .metadata("fixedwise.input", &format!("raw pixels, {pixels} [n, c, h, w]"))
        .metadata("fixedwise.output", "one real value for each class, float32 [n, classes]")
        .metadata("fixedwise.rounding", rounding)
        .metadata("fixedwise.formats", &formats.to_string())
        .metadata("fixedwise.inexact_sums", &inexact)
}

impl Network<'_> {
    /// The image; gives its name and element type in the file.
    fn input(&mut self) -> (String, ElementType) {
        let node = &self.fixed.nodes[0];
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
        self.values.push(Value { name: value, is_vector: false, shape: node.shape });
        (name, element)
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
            name = self.reshape("output_vector", &name, &[value.shape.len()]);
        }
        self.file.rename(&name, "output")
    }

    /// The batch stays, the rest becomes `dims`.
    fn reshape(&mut self, name: &str, value: &str, dims: &[usize]) -> String {
        let dims = std::iter::once(0).chain(dims.iter().map(|&d| int(d))).collect();
        let dims = self.file.indices(&format!("{name}_shape"), dims);
        self.file.node("Reshape", name, &[value, &dims], vec![])
    }

    /// The `[n, c, h, w]` form of an input.
    fn image(&mut self, id: NodeId) -> Value {
        let value = self.values[id].clone();
        if !value.is_vector {
            return value;
        }
        let name = format!("{}_image", self.fixed.nodes[id].name);
        let name = self.reshape(&name, &value.name, &[value.shape.c, 1, 1]);
        Value { name, is_vector: false, shape: value.shape }
    }

    /// The `[n, c]` form of an input of one pixel.
    fn vector(&mut self, id: NodeId) -> Value {
        let value = self.values[id].clone();
        if value.is_vector {
            return value;
        }
        let name = format!("{}_vector", self.fixed.nodes[id].name);
        let name = self.reshape(&name, &value.name, &[value.shape.c]);
        Value { name, is_vector: true, shape: value.shape }
    }

    /// The forms of all inputs: vectors where all are.
    fn alike(&mut self, inputs: &[NodeId]) -> Vec<Value> {
        if inputs.iter().all(|&id| self.values[id].is_vector) {
            inputs.iter().map(|&id| self.vector(id)).collect()
        } else {
            inputs.iter().map(|&id| self.image(id)).collect()
        }
    }

    /// Notes a node whose sums 32-bit floats may round.
    fn note(&mut self, node: &FixedNode, bound: u64) {
        if bound > rounding::F32_EXACT {
            self.inexact.push(node.name.clone());
        }
    }
}

/// An extent or an index; those of values in memory fit.
fn int(x: usize) -> i64 {
    i64::try_from(x).unwrap_or(i64::MAX)
}
