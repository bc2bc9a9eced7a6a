use super::{
    Window, conv,
    max_pool::{geometry, tiled},
};
use crate::{
    backward::{Backward, BackwardStep, each_image},
    emit::{
        c::node::{CNode, CStep},
        hls::types::{HlsNode, HlsTypes, clamp_note, exact_type, rounding_mode},
        network::{
            file::{int, real},
            node::{NetworkNode, NetworkValue, magnitude},
            rounding::F32_EXACT,
            windows::{pool_attributes, window_attributes},
        },
        npz::node::{NpzNode, json_requantization, json_window},
        tflite::{
            linear::Linear,
            node::{TfliteNode, TfliteValue},
        },
    },
    error::{EmitError, ImportError, LowerError},
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Flow, Place, step},
    import::{
        builder::Value, keras::layer::Layer, onnx::attributes::Attributes, onnx::reader::Reader,
    },
    lower::{context::LowerContext, requantization::Requantization},
    operator::{Context, Derivation, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    scale_shift::ScaleShift,
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::{count_to_f64, count_to_u64, exp2, f64_to_f32, f64_to_i64};
use fixedwise_kernels::{AverageInt, Kernels};
use serde_json::json;
use std::ops::Range;

/// Mean of a sliding window, per channel.
///
/// Fixed point: the exact sum times the reciprocal of the window's `n` elements, with two significant bits more than
/// the output (a power of two shifts alone), one rounding shift, saturation.
///
/// Source: ONNX `AveragePool`, opset 19.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AveragePool {
    /// Kernel, stride, dilation, padding.
    pub window: Window,
    /// Whether padded elements count, as zeros.
    pub include_pad: bool,
}

impl AveragePool {
    /// How many elements the window at each position of one axis divides by.
    fn counts(&self, axis: usize, size: usize, positions: usize) -> Vec<usize> {
        let window = &self.window;
        (0..positions)
            .map(|position| {
                if self.include_pad {
                    // Padding counts, what lies beyond it does not.
                    let end = size + window.pad_begin[axis] + window.pad_end[axis];
                    let room = end.saturating_sub(position * window.stride[axis]);
                    room.div_ceil(window.dilation[axis]).min(window.kernel[axis])
                } else {
                    window.taps(axis, size, position).len()
                }
            })
            .collect()
    }
}

impl Operator for AveragePool {
    fn name(&self) -> &'static str {
        "AveragePool"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [x] = inputs else { return Err("takes one value".to_owned()) };
        let [h, w] = self.window.output(x.h, x.w)?;
        if self.counts(0, x.h, h).contains(&0) || self.counts(1, x.w, w).contains(&0) {
            return Err("a window contains only padding".to_owned());
        }
        Ok(Shape::new(h, w, x.c))
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let (input, output) = (context.inputs[0], context.output);
        let rows = self.counts(0, input.h, output.h);
        let columns = self.counts(1, input.w, output.w);
        let (window, activation) = (self.window.clone(), context.activation);
        Box::new(move |inputs, y, _| {
            let mut sum = vec![0.0; input.c];
            for (position, y) in y.chunks_exact_mut(output.c).enumerate() {
                let (row, column) = (position / output.w, position % output.w);
                sum.fill(0.0_f64);
                window_elements(&window, input, row, column, |start| {
                    for (s, &x) in sum.iter_mut().zip(&inputs[0][start..]) {
                        *s += f64::from(x);
                    }
                });
                let n = count_to_f64(rows[row] * columns[column]);
                for (y, s) in y.iter_mut().zip(&sum) {
                    *y = activation.apply(f64_to_f32(s / n));
                }
            }
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        let (input, output) = (context.inputs[0], context.shape);
        let rows = self.counts(0, input.h, output.h);
        let columns = self.counts(1, input.w, output.w);
        let power_of_two = (rows[0] * columns[0]).is_power_of_two()
            && rows.iter().all(|r| *r == rows[0])
            && columns.iter().all(|c| *c == columns[0]);
        let frac = i32::from(context.formats[0].frac);
        let counts = || rows.iter().flat_map(|r| columns.iter().map(move |c| count_to_f64(r * c)));
        let (requantization, reciprocals, reciprocal_frac) = if power_of_two {
            let shift = (rows[0] * columns[0]).trailing_zeros();
            let shift = i32::try_from(shift).expect("a shift of usize is small");
            (context.requantization(frac + shift)?, vec![1; rows.len() * columns.len()], 0)
        } else {
            let (requantization, frac) =
                context.product_requantization(frac, counts().map(|n| 1.0 / n))?;
            let reciprocal = |n: f64| f64_to_i64((exp2(frac) / n).round_ties_even());
            (requantization, counts().map(reciprocal).collect(), frac)
        };
        let taps = self.window.kernel[0] * self.window.kernel[1];
        let bound =
            count_to_u64(taps).saturating_mul(context.formats[0].max_magnitude().unsigned_abs());
        let accumulator_bits = context.prove_bound(bound)?;
        Ok(FixedAveragePool {
            window: self.window.clone(),
            reciprocals,
            reciprocal_frac,
            accumulator_bits,
            requantization,
        }
        .into())
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::OwnOr(Derivation::Same)
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

    fn without_channels(&self, _: &[&[bool]], _: &[bool], _: &[Shape]) -> Option<Op> {
        Some(self.clone().into())
    }

    fn unscaled(&self, _: &[Option<&ScaleShift>], _: &[Shape], _: Shape) -> Option<Op> {
        // A padded zero does not become the shift.
        let counts_zeros = self.include_pad && self.window.is_padded();
        (!counts_zeros).then(|| self.clone().into())
    }

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for AveragePool {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        let (input, output) = (context.inputs[0], context.output);
        let rows = self.counts(0, input.h, output.h);
        let columns = self.counts(1, input.w, output.w);
        let window = self.window.clone();
        each_image(context, move |image| {
            let Some(to) = &mut image.to[0] else { return };
            for (position, gradient) in image.gradient.chunks_exact(output.c).enumerate() {
                let (row, column) = (position / output.w, position % output.w);
                let part = f64_to_f32(count_to_f64(rows[row] * columns[column]).recip());
                window_elements(&window, input, row, column, |start| {
                    for (to, g) in to[start..].iter_mut().zip(gradient) {
                        *to += part * g;
                    }
                });
            }
        })
    }
}

/// Calls `visit` with the index of the first channel of each input pixel under the window.
pub(super) fn window_elements(
    window: &Window,
    input: Shape,
    row: usize,
    column: usize,
    mut visit: impl FnMut(usize),
) {
    for i in window.taps(0, input.h, row) {
        let y = row * window.stride[0] + i * window.dilation[0] - window.pad_begin[0];
        for j in window.taps(1, input.w, column) {
            let x = column * window.stride[1] + j * window.dilation[1] - window.pad_begin[1];
            visit((y * input.w + x) * input.c);
        }
    }
}

/// Mean of integers under a window.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedAveragePool {
    /// Kernel, stride, dilation, padding.
    pub window: Window,
    /// What each position's sum is multiplied by, `[row, column]`.
    pub reciprocals: Vec<i64>,
    /// Fractional bits of the reciprocals; 0 where the area is a power of two.
    pub reciprocal_frac: i32,
    /// Bits the sum needs.
    pub accumulator_bits: u8,
    /// From the product to the output.
    pub requantization: Requantization,
}

impl FixedOperator for FixedAveragePool {
    fn prepare(&self, inputs: &[Shape], output: Shape, kernels: &'static Kernels) -> FixedStep {
        let pool = AverageInt::new(
            geometry(&self.window, inputs[0], output),
            self.reciprocals.clone(),
            self.requantization.epilogue(),
        );
        step(move |inputs, y, scratch| pool.run(kernels, inputs[0], y, scratch))
    }

    fn accumulator_bits(&self) -> u8 {
        self.accumulator_bits
    }

    fn name(&self) -> &'static str {
        "average_pool"
    }

    fn place(&self) -> Place {
        tiled(&self.window)
    }

    fn rows(&self, rows: Range<usize>, inputs: &[Shape], _: Shape) -> Vec<Range<usize>> {
        vec![self.window.rows(inputs[0].h, rows)]
    }

    fn flow(&self, inputs: &[Shape], output: Shape) -> Flow {
        let is_fold = self.window.is_whole(inputs[0], output);
        if is_fold { Flow::Fold { sum_bytes: 4 * output.c } } else { Flow::Window }
    }

    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let rows = node.rows();
        let first = self.reciprocals[0];
        let is_uniform = self.reciprocals.iter().all(|&r| r == first);
        let (kind, result) = if self.reciprocal_frac == 0 {
            let requantize = node.requantize(&self.requantization);
            ("shift", format!("{}_{requantize}(sum, to)", node.prefix()))
        } else {
            node.requantize_wide(&self.requantization);
            let (kind, index) =
                if is_uniform { ("reciprocal", "0") } else { ("reciprocals", "oy * g->ow + ox") };
            let product = format!("(int64_t)sum * reciprocals[{index}]");
            (kind, format!("{}_requantize_wide({product}, to->shift, to)", node.prefix()))
        };
        let types = format!("{}_{kind}", node.types());
        let (reciprocals, parameter) = if self.reciprocal_frac == 0 {
            (String::new(), "")
        } else {
            let name = format!("{}_reciprocals", node.name);
            let n = if is_uniform { 1 } else { self.reciprocals.len() };
            node.source.array("int32_t", &name, self.reciprocals[..n].iter().copied());
            (format!("{name}, "), "const int32_t *reciprocals, ")
        };
        let work = format!("{types}_requantize");
        let values = [("S", types.as_str()), ("RESULT", &result), ("RECIPROCALS", parameter)];
        let to = node.requantization("to", &self.requantization);
        if node.is_fold() {
            let text = include_str!("../emit/c/text/average_fold.c");
            node.once(&format!("average_fold_{types}"), text, &values);
            node.runs_fold(&format!("averagefold_{work}"));
            let Shape { h, w, c } = node.inputs[0].shape;
            let call = format!(
                "$P_average_fold_{types}($X0, $Y, $SUMS, {h}, {w}, {c}, {rows}, {reciprocals}{to});"
            );
            return Ok(CStep::call("average pool", call));
        }
        let window = node.window(&self.window)?;
        let text = include_str!("../emit/c/text/average_pool.c");
        node.once(&format!("average_pool_{types}"), text, &values);
        node.runs_pool(&format!("averagepool_{work}"), &self.window);
        let call =
            format!("$P_average_pool_{types}($X0, $Y, {window}, {rows}, {reciprocals}{to});");
        Ok(CStep::call("average pool", call))
    }

    fn emit_npz(&self, node: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        let extents = [node.shape.h, node.shape.w];
        Ok(json!({
            "window": json_window(&self.window),
            "reciprocals": node.array("reciprocals", &extents, &self.reciprocals),
            "reciprocal_frac": self.reciprocal_frac,
            "requantization": json_requantization(&self.requantization),
        }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let x = node.image(0);
        let (name, requantization) = (node.name, &self.requantization);
        let [kh, kw] = self.window.kernel;
        let largest = magnitude(x.format).saturating_mul(count_to_u64(kh * kw));
        node.sums_to(largest);
        if self.reciprocal_frac == 0 {
            let shift = requantization.shift - i32::from(x.format.frac)
                + i32::from(requantization.format.frac);
            let is_plain = !self.window.is_padded()
                && !self.window.ceil
                && self.window.dilation == [1, 1]
                && exp2(shift).to_bits() == count_to_f64(kh * kw).to_bits();
            let mean = if is_plain {
                let attributes = pool_attributes(&self.window, x.shape, node.shape);
                node.file.node("AveragePool", name, &[&x.name], attributes)
            } else {
                self.network_sum(node, &x, real(1, shift))
            };
            let bound = largest.saturating_add(requantization.half());
            let frac = i32::from(x.format.frac) + shift;
            let name = node.file.requantize(name, mean, frac, bound, requantization);
            return Ok(node.value(name, false));
        }
        // The sum times the reciprocal; in 64 bits where 32 are not exact.
        let reciprocal_frac = self.reciprocal_frac;
        let most = self.reciprocals.iter().map(|r| r.unsigned_abs()).max().unwrap_or(1);
        let bound = largest.saturating_mul(most).saturating_add(requantization.half());
        let frac = i32::from(x.format.frac) + reciprocal_frac;
        let exact = bound <= F32_EXACT;
        // Not in the taps of the sum: runtimes take such a convolution between conversions for one on integers, whatever
        // their widths.
        let mut sum = self.network_sum(node, &x, 1.0);
        let factors = self.reciprocals.iter().map(|&r| real(r, reciprocal_frac)).collect();
        let dims = [1, 1, node.shape.h, node.shape.w];
        let mut factors = node.file.floats(&format!("{name}_reciprocals"), &dims, factors);
        if !exact {
            sum = node.file.wide(name, &sum);
            factors = node.file.wide(&format!("{name}_reciprocals"), &factors);
        }
        let mean = node.file.node("Mul", &format!("{name}_mean"), &[&sum, &factors], vec![]);
        let name = if exact {
            node.file.requantize(name, mean, frac, bound, requantization)
        } else {
            node.file.round(name, &mean, frac, true, true, requantization)
        };
        Ok(node.value(name, false))
    }

    fn emit_tflite(&self, node: &mut TfliteNode) -> Result<TfliteValue, EmitError> {
        let reciprocal = self.reciprocals[0];
        if self.reciprocals.iter().any(|&r| r != reciprocal) {
            return Err(node.refuse(
                "its windows at the border have fewer elements, of which the plan takes the exact mean; TensorFlow \
                 Lite has one factor for all windows: count the padding (`count_include_pad`), or pool without it",
            ));
        }
        let c = node.shape.c;
        let [kh, kw] = self.window.kernel;
        let x = node.taken(0);
        // A sum of each channel, as exact as that of any layer; the operator for means rounds negative halves down.
        let linear = Linear {
            window: &self.window,
            groups: c,
            weights: vec![1; c * kh * kw],
            bias: vec![0; c],
            classes: None,
            factors: vec![(reciprocal, self.requantization.shift); c],
            to: &self.requantization,
        };
        node.linear(x, &linear)
    }

    fn emit_hls(&self, node: &HlsNode) -> Result<HlsTypes, EmitError> {
        let sum = exact_type(self.accumulator_bits.max(1), node.inputs[0].1.frac.into());
        let mut note = clamp_note(&self.requantization);
        if self.reciprocal_frac > 0 {
            let frac = self.reciprocal_frac;
            note.push_str(&format!(" The sum is multiplied by round(2^{frac} / n) * 2^-{frac}."));
        }
        let kinds = vec![("accum", sum), node.result(rounding_mode(&self.requantization))];
        Ok(HlsTypes { note, kinds, ..HlsTypes::default() })
    }
}

impl FixedAveragePool {
    /// The sum under a window, times a factor, in ONNX nodes: a convolution of each channel by itself.
    fn network_sum(&self, node: &mut NetworkNode, x: &NetworkValue, factor: f32) -> String {
        let [kh, kw] = self.window.kernel;
        let c = node.shape.c;
        let taps = vec![factor; c * kh * kw];
        let taps = node.file.floats(&format!("{}_taps", node.name), &[c, 1, kh, kw], taps);
        let mut attributes = window_attributes(&self.window, x.shape, node.shape);
        attributes.push(("group", int(c).into()));
        node.file.node("Conv", node.name, &[&x.name, &taps], attributes)
    }
}

/// Source: ONNX `AveragePool`, opset 19.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let value = reader.image(node, 0)?;
    let image = reader.shape(&value);
    let mut attributes = Attributes::new(node);
    let mut window = conv::import_window(&mut attributes, image, value.axes.len() - 2, None)?;
    window.ceil = attributes.int("ceil_mode", 0)? != 0;
    let include_pad = attributes.int("count_include_pad", 0)? != 0;
    attributes.finish()?;
    reader.push_like(node, AveragePool { window, include_pad }, &value)
}

/// Source: Keras `AveragePooling1D`, `AveragePooling2D`; padding does not count.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.image()?;
    let window = layer.window("pool_size", None, layer.shape(&value))?;
    layer.push_like(AveragePool { window, include_pad: false }, &value)
}
