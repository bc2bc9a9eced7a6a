use crate::{
    emit::{
        c::node::{CNode, CStep},
        hls::types::{HlsNode, HlsTypes},
        network::node::{NetworkNode, NetworkValue},
        npz::node::NpzNode,
    },
    error::{EmitError, ImportError, LowerError},
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Place, step},
    import::{
        axes::{Axis, axis_index},
        builder::Value,
        keras::layer::{Layer, read_pair},
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::Kernels;
use serde_json::json;
use std::ops::Range;

/// Constant rows and columns around an image.
///
/// Fixed point: the constant is rounded to the input's format, which stays; a zero pad joins the
/// convolution that follows.
///
/// Source: ONNX `Pad`, opset 13, mode `constant`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// Before the first row and column.
    pub begin: [usize; 2],
    /// After the last row and column.
    pub end: [usize; 2],
    /// What is put there.
    pub value: f32,
}

impl Operator for Pad {
    fn name(&self) -> &'static str {
        "Pad"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [x] = inputs else { return Err("takes one value".to_owned()) };
        let extent = |size: usize, axis: usize| size + self.begin[axis] + self.end[axis];
        Ok(Shape::new(extent(x.h, 0), extent(x.w, 1), x.c))
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let (input, output) = (context.inputs[0], context.output);
        let (op, activation) = (self.clone(), context.activation);
        Box::new(move |inputs, y, _| {
            y.fill(op.value);
            let run = input.w * input.c;
            for (row, x) in inputs[0].chunks_exact(run).enumerate() {
                let start = ((row + op.begin[0]) * output.w + op.begin[1]) * output.c;
                y[start..start + run].copy_from_slice(x);
            }
            activation.apply_all(y);
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        let value = context.formats[0].quantize(f64::from(self.value));
        Ok(FixedPad { begin: self.begin, value }.into())
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Input
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs && self.value >= 0.0
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], _: Shape) -> Factor {
        Factor::Refused
    }
}

/// Integers around an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedPad {
    /// Before the first row and column.
    pub begin: [usize; 2],
    /// What is put around, in the format of the value.
    pub value: i64,
}

impl FixedOperator for FixedPad {
    fn prepare(&self, inputs: &[Shape], output: Shape, _: &'static Kernels) -> FixedStep {
        let (op, input) = (self.clone(), inputs[0]);
        step(move |inputs, mut y, _| {
            for i in 0..y.len() {
                y.set(i, op.value);
            }
            let run = input.w * input.c;
            for i in 0..inputs[0].len() {
                let (row, at) = (i / run, i % run);
                let start = ((row + op.begin[0]) * output.w + op.begin[1]) * output.c;
                y.set(start + at, inputs[0].get(i));
            }
        })
    }

    fn name(&self) -> &'static str {
        "pad"
    }

    fn place(&self) -> Place {
        Place::Apart
    }

    fn rows(&self, rows: Range<usize>, inputs: &[Shape], _: Shape) -> Vec<Range<usize>> {
        let inside = |row: usize| row.saturating_sub(self.begin[0]).min(inputs[0].h);
        let rows = inside(rows.start)..inside(rows.end);
        vec![rows]
    }

    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let (x, y) = (node.inputs[0].shape, node.output.shape);
        let types = node.types();
        node.once(&format!("pad_{types}"), include_str!("../emit/c/text/pad.c"), &[("S", &types)]);
        let [top, left] = [self.begin[0], self.begin[1] * x.c];
        let (run, orun) = (x.w * x.c, y.w * y.c);
        let call = format!(
            "$P_pad_{types}($X0, $Y, {}, {run}, {}, {orun}, {top}, {left}, {});",
            x.h, y.h, self.value
        );
        Ok(CStep::call("pad", call))
    }

    fn emit_npz(&self, _: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        Ok(json!({ "begin": self.begin, "value": self.value }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let x = node.image(0);
        let [rows, columns] = [node.shape.h - x.shape.h, node.shape.w - x.shape.w];
        let end = [rows - self.begin[0], columns - self.begin[1]];
        let value = node.format.dequantize(self.value);
        let name = node.pad(node.name, &x.name, self.begin, end, value);
        Ok(node.value(name, false))
    }

    fn emit_hls(&self, node: &HlsNode) -> Result<HlsTypes, EmitError> {
        Ok(HlsTypes::of_input(node))
    }
}

/// Source: ONNX `Pad`, opset 13.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let mode = attributes.string("mode", "constant")?;
    if mode != "constant" {
        return Err(attributes.refuse("mode", &mode, "only `constant` is supported"));
    }
    let value = reader.value(node, 0)?;
    let Some(pads) = reader.ints_of(node, &mut attributes, "pads", 1)? else {
        return Err(node_error(node, "its pads are missing"));
    };
    let attribute = attributes.optional_float("value")?;
    attributes.finish()?;
    let constant = if let Some(value) = attribute {
        value
    } else if Reader::has_input(node, 2) {
        match reader.float_constant(node, 2)?.1 {
            [x] => *x,
            _ => return Err(node_error(node, "its constant must be one number")),
        }
    } else {
        0.0
    };
    let axes: Vec<Axis> = if Reader::has_input(node, 3) {
        let listed = reader.int_constant(node, 3)?;
        let axes: Option<Vec<Axis>> = listed
            .iter()
            .map(|&a| axis_index(a, value.axes.len()).map(|a| value.axes[a]))
            .collect();
        axes.ok_or_else(|| node_error(node, "`axes` names an axis its input does not have"))?
    } else {
        value.axes.clone()
    };
    if pads.len() != 2 * axes.len() {
        return Err(node_error(node, &format!("{} pads for {} axes", pads.len(), axes.len())));
    }
    let mut op = Pad { begin: [0, 0], end: [0, 0], value: constant };
    for (i, axis) in axes.iter().enumerate() {
        let pair = [pads[i], pads[axes.len() + i]].map(usize::try_from);
        let [Ok(begin), Ok(end)] = pair else {
            return Err(node_error(node, "negative pads (cropping) are not supported"));
        };
        match axis {
            Axis::Row => (op.begin[0], op.end[0]) = (begin, end),
            Axis::Column => (op.begin[1], op.end[1]) = (begin, end),
            Axis::Batch | Axis::Channel if begin == 0 && end == 0 => {}
            Axis::Batch | Axis::Channel => {
                return Err(node_error(node, "only rows and columns can be padded"));
            }
        }
    }
    if op.begin.iter().chain(&op.end).any(|&p| p > 1 << 16) {
        return Err(node_error(node, "pads by more than 65536"));
    }
    reader.push_like(node, op, &value)
}

/// Source: Keras `ZeroPadding2D`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.image()?;
    let mut op = Pad { begin: [1, 1], end: [1, 1], value: 0.0 };
    if let Some(padding) = layer.take("padding") {
        // One extent for all sides, one for each axis, or `[[top, bottom], [left, right]]`.
        let sides = match padding.as_array().map(Vec::as_slice) {
            Some([rows, columns]) => read_pair(rows, 0).zip(read_pair(columns, 0)),
            Some(_) => None,
            None => read_pair(padding, 0).map(|sides| (sides, sides)),
        };
        let Some((rows, columns)) = sides else {
            let help = "it must be [[top, bottom], [left, right]]";
            return Err(layer.refuse("padding", padding, help));
        };
        op.begin = [rows[0], columns[0]];
        op.end = [rows[1], columns[1]];
    }
    layer.push_like(op, &value)
}
