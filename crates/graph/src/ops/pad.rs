use super::Affine;
use crate::{
    backward::{Backward, BackwardStep, each_image},
    emit::{
        c::node::{CNode, CStep},
        hls::types::{HlsNode, HlsTypes},
        network::node::{NetworkNode, NetworkValue},
        npz::node::NpzNode,
        tflite::node::{TfliteNode, TfliteValue},
    },
    error::{EmitError, ImportError, LowerError},
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Flow, Place, step},
    import::{
        axes::{Axis, channels_first},
        builder::Value,
        keras::layer::{Layer, read_pair},
        onnx::attributes::Attributes,
        onnx::constant::Elements,
        onnx::indices::{padded, pads as pads_of},
        onnx::reader::{Reader, node_error},
        view::View,
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::Kernels;
use serde_json::json;
use std::ops::Range;

/// Constant rows and columns around an image. What other modes and axes pad is an
/// [`IndexMap`](super::IndexMap).
///
/// Fixed point: the constant is rounded to the input's format, which stays; a zero pad joins the
/// convolution that follows, and one with the least number a maximum pool.
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

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Pad {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        let (input, output, begin) = (context.inputs[0], context.output, self.begin);
        each_image(context, move |image| {
            let Some(to) = &mut image.to[0] else { return };
            let run = input.w * input.c;
            for (row, to) in to.chunks_exact_mut(run).enumerate() {
                let start = ((row + begin[0]) * output.w + begin[1]) * output.c;
                to.iter_mut().zip(&image.gradient[start..]).for_each(|(to, g)| *to += g);
            }
        })
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

    fn flow(&self, _: &[Shape], _: Shape) -> Flow {
        Flow::Window
    }

    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let (x, y) = (node.inputs[0].shape, node.output.shape);
        let (types, rows) = (node.types(), node.rows());
        node.once(&format!("pad_{types}"), include_str!("../emit/c/text/pad.c"), &[("S", &types)]);
        let calls = if node.flows { y.h } else { 1 };
        node.runs(&format!("pad_{types}"), &[calls, y.h, y.len(), x.len()]);
        let [top, left] = [self.begin[0], self.begin[1] * x.c];
        let (run, orun) = (x.w * x.c, y.w * y.c);
        let call = format!(
            "$P_pad_{types}($X0, $Y, {}, {run}, {rows}, {orun}, {top}, {left}, {});",
            x.h, self.value
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

    fn emit_tflite(&self, node: &mut TfliteNode) -> Result<TfliteValue, EmitError> {
        let x = node.taken(0);
        let around = (self.value != 0).then_some(self.value + x.zero_point);
        Ok(node.pad(node.name, x, self.begin, node.shape, around))
    }

    fn emit_hls(&self, node: &HlsNode) -> Result<HlsTypes, EmitError> {
        Ok(HlsTypes::of_input(node))
    }
}

/// Source: ONNX `Pad`, opset 21.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let mode = attributes.string("mode", "constant")?;
    let Some(pads) = reader.ints_of(node, &mut attributes, "pads", 1)? else {
        return Err(node_error(node, "its pads are missing"));
    };
    let attribute = attributes.optional_float("value")?;
    attributes.finish()?;
    let constant = if let Some(value) = attribute {
        value
    } else if Reader::has_input(node, 2) {
        match &reader.constant(node, 2)?.elements {
            // Below all numbers: what a maximum leaves out.
            Elements::Floats(x) if x[..] == [f32::NEG_INFINITY] => f32::MIN,
            _ => match reader.float_constant(node, 2)?.1 {
                [x] => *x,
                _ => return Err(node_error(node, "its constant must be one number")),
            },
        }
    } else {
        0.0
    };
    let axes = if Reader::has_input(node, 3) { Some(reader.int_constant(node, 3)?) } else { None };
    let wrong = |problem: String| node_error(node, &problem);
    let mut view = reader.view(node, 0)?;
    let mut pads = pads_of(&pads, axes.as_deref(), view.axes.len()).map_err(wrong)?;
    view.name = Some(node.name.clone());
    let padded = |view: &View, axis: usize, pads: [i64; 2]| {
        let taken = padded(&mode, pads, view.extents()[axis].of_image)?;
        view.taken(axis, &taken)
    };
    for (axis, own) in pads.iter_mut().enumerate() {
        // What a constant puts around comes after what is left out, all else at once.
        let now = if mode == "constant" { own.map(|pad| pad.min(0)) } else { *own };
        view = padded(&view, axis, now).map_err(wrong)?;
        *own = own.map(|pad| if mode == "constant" { pad.max(0) } else { 0 });
    }
    if pads.iter().all(|own| *own == [0, 0]) {
        return reader.set_view(node, view);
    }
    let is_spatial = |axes: &[Axis]| {
        axes.iter()
            .zip(&pads)
            .all(|(axis, own)| matches!(axis, Axis::Row | Axis::Column) || *own == [0, 0])
    };
    let labels = view.labels(reader.builder.shape(view.node));
    let labels = labels.or_else(|| channels_first(view.axes.len()));
    if constant == 0.0 && !labels.is_some_and(|labels| is_spatial(&labels)) {
        for (axis, own) in pads.iter().enumerate() {
            view = padded(&view, axis, *own).map_err(wrong)?;
        }
        return reader.set_view(node, view);
    }
    let value = reader.value_of(node, &view)?;
    let mut op = Pad { begin: [0, 0], end: [0, 0], value: constant };
    let mut channels = None;
    for (i, (axis, own)) in value.axes.iter().zip(&pads).enumerate() {
        let [begin, end] = own.map(|pad| usize::try_from(pad).unwrap_or(0));
        if begin.max(end) > 1 << 16 {
            return Err(node_error(node, "pads by more than 65536"));
        }
        match axis {
            Axis::Row => (op.begin[0], op.end[0]) = (begin, end),
            Axis::Column => (op.begin[1], op.end[1]) = (begin, end),
            Axis::Batch | Axis::Channel if begin == 0 && end == 0 => {}
            Axis::Batch => return Err(node_error(node, "pads the batch axis")),
            Axis::Channel => channels = Some((i, *own)),
        }
    }
    let Some((axis, own)) = channels else { return reader.push_like(node, op, &value) };
    // Channels of the constant: zeros, to which it is added.
    let is_pad = op.begin != [0, 0] || op.end != [0, 0];
    let pixels = if is_pad {
        let name = format!("{}_pixels", node.name);
        Value { node: reader.builder.push(&name, op, vec![value.node])?, axes: value.axes }
    } else {
        value
    };
    let view = View::of(&pixels, reader.shape(&pixels));
    let mut view = padded(&view, axis, own).map_err(wrong)?;
    view.name = Some(format!("{}_channels", node.name));
    let value = reader.arranged(node, &view, pixels.axes)?;
    let n = reader.shape(&value).c;
    let [begin, end] = own.map(|pad| usize::try_from(pad).unwrap_or(0));
    let is_constant = |c: usize| c < begin || c >= n - end;
    let shift = |c: usize| if is_constant(c) { f64::from(constant) } else { 0.0 };
    let op = Affine { scale: vec![1.0; n], shift: (0..n).map(shift).collect() };
    reader.push_like(node, op, &value)
}

/// Source: Keras `ZeroPadding2D`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.image()?;
    let [rows, columns] = layer.sides("padding")?.unwrap_or([[1, 1], [1, 1]]);
    let op = Pad { begin: [rows[0], columns[0]], end: [rows[1], columns[1]], value: 0.0 };
    layer.push_like(op, &value)
}

/// Source: Keras `ZeroPadding1D`.
pub(super) fn from_keras_1d(layer: &mut Layer) -> Result<Value, ImportError> {
    layer.channels_last()?;
    let value = layer.value()?;
    if value.axes.len() != 3 {
        return Err(layer.error("its input must be a signal: steps and channels"));
    }
    let option = layer.take("padding").cloned().unwrap_or_else(|| 1.into());
    let Some([begin, end]) = read_pair(&option, 0) else {
        return Err(layer.refuse("padding", &option, "it must be [first, last]"));
    };
    layer.push_like(Pad { begin: [0, begin], end: [0, end], value: 0.0 }, &value)
}
