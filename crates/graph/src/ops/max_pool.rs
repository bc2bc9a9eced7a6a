use super::{Window, average_pool::window_elements, conv};
use crate::{
    backward::{Backward, BackwardStep, each_image},
    emit::{
        c::node::{CNode, CStep},
        hls::types::{HlsNode, HlsTypes},
        network::{
            node::{NetworkNode, NetworkValue},
            windows::{pad_end, window_attributes},
        },
        npz::node::{NpzNode, json_window},
        tflite::node::{TfliteNode, TfliteValue, element},
    },
    error::{EmitError, ImportError, LowerError},
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Flow, Place, step},
    import::{
        builder::Value, keras::layer::Layer, onnx::attributes::Attributes, onnx::reader::Reader,
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    scale_shift::ScaleShift,
    shape::Shape,
};
use fixedwise_codec::onnx::{self, ElementType};
use fixedwise_kernels::{Integers, IntegersMut, Kernels, PoolGeometry, max_pool};
use serde_json::json;
use std::ops::Range;

/// Maximum of a sliding window, per channel; padding is ignored.
///
/// In the channels of `minimum` it is the smallest: the negative scale of a batch normalization
/// was moved past the pool.
///
/// Fixed point: the same on integers; the format stays.
///
/// Source: ONNX `MaxPool`, opset 12.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// Kernel, stride, dilation, padding.
    pub window: Window,
    /// Channels that take the minimum; empty for none.
    pub minimum: Vec<bool>,
}

impl Operator for MaxPool {
    fn name(&self) -> &'static str {
        "MaxPool"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [x] = inputs else { return Err("takes one value".to_owned()) };
        if !self.minimum.is_empty() && self.minimum.len() != x.c {
            return Err(format!("is for {} channels", self.minimum.len()));
        }
        if (0..2).any(|axis| {
            let reach = self.window.dilation[axis] * (self.window.kernel[axis] - 1) + 1;
            self.window.pad_begin[axis] >= reach || self.window.pad_end[axis] >= reach
        }) {
            return Err("its padding is as large as its window".to_owned());
        }
        let [h, w] = self.window.output(x.h, x.w)?;
        let dims = [x.h, x.w];
        for (axis, positions) in [h, w].into_iter().enumerate() {
            if (0..positions).any(|p| self.window.taps(axis, dims[axis], p).is_empty()) {
                return Err("a window contains only padding".to_owned());
            }
        }
        Ok(Shape::new(h, w, x.c))
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        let pool = geometry(&self.window, context.inputs[0], context.output);
        let (minimum, activation) = (self.minimum.clone(), context.activation);
        Box::new(move |inputs, y, _| {
            max_pool(kernels, &pool, &minimum, inputs[0], y);
            if activation != crate::Activation::None {
                activation.apply_all(y);
            }
        })
    }

    fn lower(&self, _: &LowerContext) -> Result<FixedOp, LowerError> {
        Ok(FixedMaxPool { window: self.window.clone(), minimum: self.minimum.clone() }.into())
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Moved
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], output: Shape) -> Factor {
        Factor::carried(output)
    }

    fn without_channels(&self, _: &[&[bool]], own: &[bool], _: &[Shape]) -> Option<Op> {
        let minimum = kept(&self.minimum, own);
        Some(Self { window: self.window.clone(), minimum }.into())
    }

    fn unscaled(&self, before: &[Option<&ScaleShift>], _: &[Shape], _: Shape) -> Option<Op> {
        let minimum = flipped(&self.minimum, before[0]?);
        Some(Self { window: self.window.clone(), minimum }.into())
    }

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for MaxPool {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        let (input, output) = (context.inputs[0], context.output);
        let (window, minimum) = (self.window.clone(), self.minimum.clone());
        let sign: Vec<f32> = (0..input.c)
            .map(|c| if minimum.get(c).copied().unwrap_or(false) { -1.0 } else { 1.0 })
            .collect();
        each_image(context, move |image| {
            let (x, Some(to)) = (image.inputs[0], &mut image.to[0]) else { return };
            let mut best = vec![0.0_f32; input.c];
            let mut places = vec![0; input.c];
            for (position, gradient) in image.gradient.chunks_exact(output.c).enumerate() {
                best.fill(f32::NEG_INFINITY);
                let (row, column) = (position / output.w, position % output.w);
                window_elements(&window, input, row, column, |start| {
                    for c in 0..input.c {
                        let value = sign[c] * x[start + c];
                        // The first of the largest.
                        if value > best[c] {
                            (best[c], places[c]) = (value, start + c);
                        }
                    }
                });
                for (&place, g) in places.iter().zip(gradient) {
                    to[place] += g;
                }
            }
        })
    }
}

/// Of the channels' numbers, those of each pixel side by side, the ones that stay.
pub(super) fn kept<T: Copy>(numbers: &[T], dropped: &[bool]) -> Vec<T> {
    numbers
        .iter()
        .zip(dropped.iter().cycle())
        .filter(|(_, gone)| !**gone)
        .map(|(x, _)| *x)
        .collect()
}

/// Which channels take the minimum once the scale comes after the pool.
pub(super) fn flipped(minimum: &[bool], before: &ScaleShift) -> Vec<bool> {
    let flipped: Vec<bool> = before
        .scale
        .iter()
        .enumerate()
        .map(|(c, &scale)| (scale < 0.0) != minimum.get(c).copied().unwrap_or(false))
        .collect();
    if flipped.contains(&true) { flipped } else { Vec::new() }
}

/// The kernels' form of a window over `input`.
pub(super) fn geometry(window: &Window, input: Shape, output: Shape) -> PoolGeometry {
    PoolGeometry {
        input: input.dims(),
        output: [output.h, output.w],
        kernel: window.kernel,
        stride: window.stride,
        dilation: window.dilation,
        pad: window.pad_begin,
    }
}

/// Where a pool's value may lie: over its input where no element lies under two windows.
pub(super) fn tiled(window: &Window) -> Place {
    if window.is_tiling() { Place::Over(&[0]) } else { Place::Apart }
}

/// Largest (or smallest) integers under a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedMaxPool {
    /// Kernel, stride, dilation, padding (ignored).
    pub window: Window,
    /// Channels that take the minimum; empty for none.
    pub minimum: Vec<bool>,
}

impl FixedOperator for FixedMaxPool {
    fn prepare(&self, inputs: &[Shape], output: Shape, kernels: &'static Kernels) -> FixedStep {
        let pool = geometry(&self.window, inputs[0], output);
        let minimum = self.minimum.clone();
        step(move |inputs, y, _| match (inputs[0], y) {
            (Integers::U8(x), IntegersMut::U8(y)) => max_pool(kernels, &pool, &minimum, x, y),
            (Integers::I8(x), IntegersMut::I8(y)) => max_pool(kernels, &pool, &minimum, x, y),
            (Integers::I16(x), IntegersMut::I16(y)) => max_pool(kernels, &pool, &minimum, x, y),
            _ => unreachable!("a max-pool keeps its input's format, so its elements too"),
        })
    }

    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn place(&self) -> Place {
        tiled(&self.window)
    }

    fn rows(&self, rows: Range<usize>, inputs: &[Shape], _: Shape) -> Vec<Range<usize>> {
        vec![self.window.rows(inputs[0].h, rows)]
    }

    fn flow(&self, inputs: &[Shape], output: Shape) -> Flow {
        let is_fold = self.window.is_whole(inputs[0], output);
        if is_fold { Flow::Fold { sum_bytes: 0 } } else { Flow::Window }
    }

    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let rows = node.rows();
        let mut types = format!("{}_maximum", node.types());
        let (mut minimum, mut parameter) = (String::new(), "");
        let mut better = "value > best";
        if !self.minimum.is_empty() {
            types = format!("{}_each", node.types());
            parameter = ", const uint8_t *minimum";
            better = "(minimum[c] ? value < best : value > best)";
            let name = format!("{}_minimum", node.name);
            node.source.array("uint8_t", &name, self.minimum.iter().map(|&m| i64::from(m)));
            minimum = format!(", {name}");
        }
        let values = [("S", types.as_str()), ("MINIMUM", parameter), ("BETTER", better)];
        let work = &types;
        if node.is_fold() {
            let text = include_str!("../emit/c/text/max_fold.c");
            node.once(&format!("max_fold_{types}"), text, &values);
            node.runs_fold(&format!("maxfold_{work}"));
            let (w, c) = (node.inputs[0].shape.w, node.inputs[0].shape.c);
            let call = format!("$P_max_fold_{types}($X0, $Y, {w}, {c}, {rows}{minimum});");
            return Ok(CStep::call("max-pool", call));
        }
        let window = node.window(&self.window)?;
        let text = include_str!("../emit/c/text/max_pool.c");
        node.once(&format!("max_pool_{types}"), text, &values);
        node.runs_pool(&format!("maxpool_{work}"), &self.window);
        let call = format!("$P_max_pool_{types}($X0, $Y, {window}, {rows}{minimum});");
        Ok(CStep::call("max-pool", call))
    }

    fn emit_npz(&self, _: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        Ok(json!({ "window": json_window(&self.window), "minimum": self.minimum }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let x = node.image(0);
        let name = node.name;
        // The smallest is the largest with the sign turned, twice.
        let signs = self.minimum.contains(&true).then(|| {
            let signs = self.minimum.iter().map(|&m| if m { -1.0 } else { 1.0 }).collect();
            node.file.floats(&format!("{name}_signs"), &[1, node.shape.c, 1, 1], signs)
        });
        let mut value = x.name;
        if let Some(signs) = &signs {
            value = node.file.node("Mul", &format!("{name}_turned"), &[&value, signs], vec![]);
        }
        let mut window = self.window.clone();
        (window.pad_end, window.ceil) = (pad_end(&self.window, x.shape, node.shape), false);
        let mut shape = x.shape;
        let pads = [0, 1].map(|axis| window.pad_begin[axis].max(window.pad_end[axis]));
        if (0..2).any(|axis| pads[axis] >= window.kernel[axis]) {
            // Runtimes pool over less padding than that: what never wins is put around instead.
            let [h, w] = [0, 1].map(|axis| window.pad_begin[axis] + window.pad_end[axis]);
            shape = Shape::new(shape.h + h, shape.w + w, shape.c);
            let lowest = -x.format.dequantize(x.format.max_magnitude());
            let (begin, end) = (window.pad_begin, window.pad_end);
            value = node.pad(&format!("{name}_padded"), &value, begin, end, lowest);
            (window.pad_begin, window.pad_end) = ([0, 0], [0, 0]);
        }
        let attributes = window_attributes(&window, shape, node.shape);
        let mut value = node.file.node("MaxPool", name, &[&value], attributes);
        if let Some(signs) = &signs {
            value = node.file.node("Mul", &format!("{name}_signed"), &[&value, signs], vec![]);
        }
        Ok(node.value(value, false))
    }

    fn emit_tflite(&self, node: &mut TfliteNode) -> Result<TfliteValue, EmitError> {
        if self.window.dilation != [1, 1] {
            return Err(node.refuse(
                "its window has gaps between the elements (`dilations`), which pools of TensorFlow Lite do not have; \
                 use a convolution with a stride, or a pool without gaps",
            ));
        }
        if self.minimum.contains(&true) {
            return Err(node.refuse(
                "it takes the minimum in some channels, since a normalization with a negative scale is folded \
                 through it; normalize before the activation, or behind the pool",
            ));
        }
        let x = node.taken(0);
        let lowest = if x.element == ElementType::I8 { i8::MIN.into() } else { i16::MIN.into() };
        let (x, padding) = node.padded(x, &self.window, node.shape, Some(lowest));
        let [filter_h, filter_w] = self.window.kernel;
        // With one position any stride will do.
        let positions = [node.shape.h, node.shape.w];
        let stride =
            [0, 1].map(|axis| if positions[axis] == 1 { 1 } else { self.window.stride[axis] });
        let options = [
            ("padding", padding),
            ("stride_h", stride[0]),
            ("stride_w", stride[1]),
            ("filter_h", filter_h),
            ("filter_w", filter_w),
        ];
        let to = node.value(node.name, TfliteValue { shape: node.shape, ..x });
        node.file.operator("MAX_POOL_2D", &[x.tensor], to.tensor, &options);
        Ok(node.stored_as(to, element(node.format)))
    }

    fn emit_hls(&self, node: &HlsNode) -> Result<HlsTypes, EmitError> {
        Ok(HlsTypes::of_input(node))
    }
}

/// Source: ONNX `MaxPool`, opset 12.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let value = reader.image(node, 0)?;
    let image = reader.shape(&value);
    let mut attributes = Attributes::new(node);
    let mut window = conv::import_window(&mut attributes, image, value.axes.len() - 2, None)?;
    window.ceil = attributes.int("ceil_mode", 0)? != 0;
    attributes.int_must_be("storage_order", 0, "only row-major order is supported")?;
    attributes.finish()?;
    reader.push_like(node, MaxPool { window, minimum: vec![] }, &value)
}

/// Source: Keras `MaxPooling2D`, `MaxPooling1D`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.image()?;
    let window = layer.window("pool_size", None, layer.shape(&value))?;
    layer.push_like(MaxPool { window, minimum: vec![] }, &value)
}
