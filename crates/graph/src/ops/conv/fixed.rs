//! Convolution in integers.

use crate::{
    emit::{
        c::{
            conv::{Added, ConvLayer, emit_conv},
            node::{CNode, CStep},
        },
        hls::types::{HlsNode, HlsTypes, clamp_note, exact_type, format_type, rounding_mode},
        network::{
            file::{int, real},
            node::{NetworkNode, NetworkValue},
            rounding::{Form, form},
            windows::window_attributes,
        },
        npz::node::{NpzNode, json_format, json_requantization, json_window},
        tflite::{
            linear::Linear,
            node::{TfliteNode, TfliteValue, element as tflite_element},
        },
    },
    error::EmitError,
    fixed_operator::{Constant, FixedOperator, FixedStep, Flow, Place, Unclamped, step},
    lower::{
        context::Residual,
        requantization::{Requantization, element},
    },
    shape::Shape,
    window::Window,
};
use fixedwise_fixed::{
    Format, Range, Rounding, align, bits_for,
    convert::{exp2, f64_to_i64, saturating_i8, saturating_i16},
    shift_round,
};
use fixedwise_kernels::{Accumulate, BorderBias, ConvInt, ConvKind, Kernels};
use serde_json::{Value, json};
use std::ops;

/// Convolution of integers; a dense layer is one over a single pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedConv {
    /// Kernel, stride, dilation, padding (with the integer zero).
    pub window: Window,
    /// Groups of channels.
    pub groups: usize,
    /// Output channels.
    pub channels: usize,
    /// `[output channel, row, column, input channel of the group]`.
    pub weights: Vec<i16>,
    /// By how many bits the binary point of each output channel's weights, and of its sums, lies right
    /// of the format's; empty where none does.
    pub coarser: Vec<u8>,
    /// At the accumulator's scale, `[class, output channel]`.
    pub bias: BorderBias,
    /// Format of the input.
    pub input: Format,
    /// Format of the weights: that of the plan, or a finer one with zeros at the end of the integers, so that no value
    /// that is added to the sums is finer than they are.
    pub weights_format: Format,
    /// Format of the bias in the plan; without one it is at the accumulator's scale.
    pub bias_format: Option<Format>,
    /// What is added to the sums: the second value it takes.
    pub residual: Option<Residual>,
    /// Width of the sums.
    pub accumulate: Accumulate,
    /// Bits the worst sum needs, the rounding's half included.
    pub accumulator_bits: u8,
    /// From the accumulator of a channel with the format's binary point to the output.
    pub requantization: Requantization,
}

impl FixedConv {
    /// By how many bits a channel's binary point lies right of the format's.
    pub fn coarser(&self, channel: usize) -> u8 {
        self.coarser.get(channel).copied().unwrap_or(0)
    }

    /// The bias at the scale of a channel with the format's binary point, `[class, output channel]`.
    pub fn aligned_bias(&self) -> Vec<i64> {
        let values = self.bias.values.iter().enumerate();
        values.map(|(i, &b)| align(b, self.coarser(i % self.channels).into())).collect()
    }

    /// Fractional bits of its sums, where a channel has the format's binary point.
    pub fn sum_frac(&self) -> i32 {
        i32::from(self.weights_format.frac) + i32::from(self.input.frac)
    }

    /// Bits that the worst sum needs at that scale.
    pub fn aligned_accumulator_bits(&self) -> u8 {
        self.accumulator_bits + self.coarsest()
    }

    /// The format that holds the weights of all output channels.
    pub fn aligned_format(&self) -> Format {
        let (format, coarsest) = (self.weights_format, self.coarsest());
        match format.range {
            Range::Bipolar if coarsest > 0 => Format::signed(2 + coarsest, format.frac),
            _ => Format { bits: format.bits + coarsest, ..format },
        }
    }

    /// Bits of a stored weight. One stored bit is a sign: a format of one bit that holds zero takes two.
    fn storable_bits(&self) -> u8 {
        let format = self.weights_format;
        if format.is_bipolar() { 1 } else { format.bits.max(2) }
    }

    /// The most bits of [`FixedConv::coarser`].
    pub(crate) fn coarsest(&self) -> u8 {
        self.coarser.iter().copied().max().unwrap_or(0)
    }

    /// From the accumulator of a channel to the output.
    pub fn requantization(&self, channel: usize) -> Requantization {
        self.requantization.coarser(self.coarser(channel))
    }

    /// What of its input an output sees.
    pub fn kind(&self, input: Shape, output: Shape) -> ConvKind {
        self.window.conv(self.groups, input, output).kind()
    }
}

impl FixedOperator for FixedConv {
    fn prepare(&self, inputs: &[Shape], output: Shape, kernels: &'static Kernels) -> FixedStep {
        let conv = ConvInt::new(
            kernels,
            self.window.conv(self.groups, inputs[0], output),
            element(self.input),
            &self.weights,
            &self.bias,
            self.accumulate,
            self.requantization.epilogue(),
            &self.coarser,
            self.residual.map(|residual| fixedwise_kernels::Residual {
                element: element(residual.format),
                max: u32::try_from(residual.format.max_magnitude()).unwrap_or(u32::MAX),
                left: residual.left,
            }),
        );
        step(move |inputs, y, scratch| {
            conv.run(inputs[0], inputs.get(1).copied(), y, scratch);
        })
    }

    fn takes_several(&self, inputs: &[Shape], output: Shape) -> bool {
        self.kind(inputs[0], output) == ConvKind::Dense
    }

    fn unclamped(&self) -> Option<Unclamped> {
        /// Results whose halves still have room beyond their bounds.
        const NARROW: i64 = 1 << 12;
        let mut wide = self.clone();
        let coarsest = i32::from(self.coarsest());
        let requantization = &mut wide.requantization;
        let [min, max] = [requantization.min, requantization.max];
        let is_narrow = -NARROW <= min && max <= NARROW;
        let is_of_halves = requantization.rounding == Rounding::TiesUp
            && requantization.shift > coarsest
            && is_narrow;
        if is_of_halves {
            requantization.shift -= 1;
            requantization.rounding = Rounding::Floor;
        }
        requantization.format = Format::full(16, requantization.format.frac);
        (requantization.min, requantization.max) = (i16::MIN.into(), i16::MAX.into());
        Some(Unclamped { op: wide.into(), bounds: [min, max].map(saturating_i16), is_of_halves })
    }

    fn accumulator_bits(&self) -> u8 {
        self.accumulator_bits
    }

    fn name(&self) -> &'static str {
        "conv"
    }

    fn place(&self) -> Place {
        // Whatever order a kernel goes in, it reads what it adds to an output before it writes that one.
        if self.residual.is_some() { Place::OverAlike(1) } else { Place::Apart }
    }

    fn rows(&self, rows: ops::Range<usize>, inputs: &[Shape], _: Shape) -> Vec<ops::Range<usize>> {
        let main = self.window.rows(inputs[0].h, rows.clone());
        std::iter::once(main).chain(self.residual.map(|_| rows)).collect()
    }

    fn flow(&self, _: &[Shape], _: Shape) -> Flow {
        Flow::Window
    }

    fn constants(&self) -> Vec<Constant> {
        let most = self.bias.values.iter().map(|bias| bias.unsigned_abs()).max();
        let biases = Constant::Biases {
            count: self.bias.values.len(),
            bits: bits_for(most.unwrap_or(0)),
            planned_bits: self.bias_format.map(|format| format.bits),
        };
        let (count, bits) = (self.weights.len(), self.storable_bits());
        let points = Constant::Points { count: self.coarser.len() };
        vec![Constant::Weights { count, bits }, biases, points]
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let drops = self.residual.is_some_and(|residual| {
            residual.left < i32::from(self.coarser.iter().copied().max().unwrap_or(0))
        });
        if self.accumulate != Accumulate::I32 || drops {
            return Err(EmitError::Accumulator { node: node.name.clone() });
        }
        let (name, x, y) = (node.name.clone(), node.inputs[0], node.output);
        let layer = ConvLayer {
            name: &name,
            window: &self.window,
            groups: self.groups,
            channels: self.channels,
            weights: &self.weights,
            weight_bits: node.options.stored_weight_bits(self.storable_bits()),
            coarser: &self.coarser,
            bias: &self.bias,
            accumulator_bits: self.accumulator_bits,
            added: self.residual.map(|residual| Added::new(residual, node.inputs[1].storage)),
            requantization: &self.requantization,
            input: x.shape,
            output: y.shape,
            x_max: self.input.max(),
            x: x.storage,
            y: y.storage,
            flows: node.flows,
            weight_code: node.weight_code,
        };
        let (weights, bias) = (Some(self.weights_format), self.bias_format);
        Ok(CStep { weights, bias, ..emit_conv(&layer, node)? })
    }

    fn emit_npz(&self, node: &mut NpzNode) -> Result<Value, EmitError> {
        let [kh, kw] = self.window.kernel;
        let inputs = self.weights.len() / (self.channels * kh * kw);
        let weights: Vec<i64> = self.weights.iter().map(|&w| i64::from(w)).collect();
        let classes = self.bias.values.len() / self.channels;
        let class = |classes: &[u16]| classes.iter().map(|&c| i64::from(c)).collect::<Vec<_>>();
        let (rows, columns) = (class(&self.bias.row_class), class(&self.bias.column_class));
        Ok(json!({
            "window": json_window(&self.window),
            "groups": self.groups,
            "weights": node.array("weights", &[self.channels, kh, kw, inputs], &weights),
            "weights_format": json_format(self.weights_format),
            "coarser": self.coarser,
            "bias": node.array("bias", &[classes, self.channels], &self.bias.values),
            "bias_frac": self.sum_frac(),
            "bias_format": self.bias_format.map(json_format),
            "row_class": node.array("row_class", &[node.shape.h], &rows),
            "column_class": node.array("column_class", &[node.shape.w], &columns),
            "n_column_classes": self.bias.n_column_classes,
            "residual_shift": self.residual.map(|residual| residual.left),
            "requantization": json_requantization(&self.requantization),
        }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let frac = self.sum_frac();
        node.check_step(self.weights_format.frac.into())?;
        node.check_step(frac)?;
        let input = node.inputs[0].shape;
        let is_dense = self.kind(input, node.shape) == ConvKind::Dense;
        let x = if is_dense { node.vector(0) } else { node.image(0) };
        // Signed, so the magnitude has one bit less; the rounding's half is in.
        let bound = 1_u64 << self.aligned_accumulator_bits().saturating_sub(1).min(62);
        node.sums_to(bound);
        let weights = self.network_weights(node, is_dense);
        let requantization = &self.requantization;
        node.rounds(requantization.rounding);
        // A rounding that wants other than half to even rides on the bias.
        let halves = match form(node.file.dialect, requantization, frac, bound) {
            Form::Offset(halves) if requantization.leaky.is_none() => halves,
            _ => 0,
        };
        let is_uniform = self.bias.values.len() == self.channels;
        let name = node.name;
        // A bias inside a convolution is rounded to 32-bit integers by some runtimes, half a place is
        // not one.
        let inside = is_uniform && !is_dense && (halves == 0 || node.is_qonnx());
        let bias = self.network_bias(node, halves, if is_dense { 1 } else { 3 }, inside);
        let mut sum = if is_dense {
            node.file.node("MatMul", name, &[&x.name, &weights], vec![])
        } else {
            let mut attributes = window_attributes(&self.window, input, node.shape);
            attributes.push(("group", int(self.groups).into()));
            let mut inputs = vec![x.name.as_str(), &weights];
            if inside {
                inputs.push(&bias);
            }
            node.file.node("Conv", name, &inputs, attributes)
        };
        if !inside {
            sum = node.file.node("Add", &format!("{name}_biased"), &[&sum, &bias], vec![]);
        }
        if self.residual.is_some() {
            let added = if is_dense { node.vector(1) } else { node.image(1) };
            sum = node.file.node("Add", &format!("{name}_added"), &[&sum, &added.name], vec![]);
        }
        let name = if halves == 0 {
            node.file.requantize(name, sum, frac, bound, requantization)
        } else {
            node.file.clamp(name, &sum, requantization)
        };
        Ok(node.value(name, is_dense))
    }

    fn emit_tflite(&self, node: &mut TfliteNode) -> Result<TfliteValue, EmitError> {
        let to = &self.requantization;
        if self.accumulate != Accumulate::I32 {
            return Err(EmitError::Accumulator { node: node.name.to_owned() });
        }
        if to.leaky.is_some() {
            return Err(node.refuse(
                "the kernels of TensorFlow Lite round its sums before a LeakyReLU, which the plan rounds once; use a \
                 ReLU in the model, or export another form",
            ));
        }
        let Some(residual) = self.residual else {
            let x = node.taken(0);
            return node.linear(x, &self.tflite_linear(0, to));
        };
        // The operators have no sum inside a layer: what the layer adds is rounded by itself, in the range that moves
        // the sum.
        let added = residual.format;
        let wide = node.computes_with() == tflite_element(Format::full(16, 0));
        let steps = if wide { i64::from(i16::MAX) } else { 255 };
        let low = to.format.dequantize(to.min) - added.dequantize(added.max());
        let high = to.format.dequantize(to.max) - added.dequantize(added.min());
        let integers = |frac: i32| {
            let ends = [(low * exp2(frac)).floor(), (high * exp2(frac)).ceil()];
            ends.map(f64_to_i64)
        };
        let fits = |frac: &i32| {
            let [min, max] = integers(*frac);
            if wide { min >= -steps && max <= steps } else { max - min <= steps }
        };
        let finest = i32::from(to.format.frac) + to.shift;
        let Some(frac) = (-100..=finest.min(100)).rev().find(fits) else {
            return Err(node.refuse("the values that it adds have steps too far apart"));
        };
        let [min, max] = integers(frac);
        let format = Format::full(if wide { 16 } else { 8 }, saturating_i8(frac.into()));
        let shift = to.shift + i32::from(to.format.frac) - frac;
        let part = Requantization { shift, min, max, format, ..to.clone() };
        let zeros = self.zeros_of_weights();
        let linear = self.tflite_linear(zeros, &part);
        let x = node.taken(0);
        let sum = node.linear_sum(&format!("{}_part", node.name), x, &linear, node.shape)?;
        node.rounds_otherwise();
        let added = node.taken(1);
        Ok(node.computed("ADD", &[sum.tensor, added.tensor], &[], to))
    }

    fn emit_hls(&self, node: &HlsNode) -> Result<HlsTypes, EmitError> {
        let sum = exact_type(self.aligned_accumulator_bits().max(1), self.sum_frac());
        let largest = self.aligned_bias().iter().map(|b| b.unsigned_abs()).max().unwrap_or(0);
        let kinds = vec![
            ("weight", format_type(self.aligned_format(), "AP_RND_CONV")),
            ("bias", exact_type(bits_for(largest), self.sum_frac())),
            ("accum", sum.clone()),
            node.result(rounding_mode(&self.requantization)),
        ];
        let mut note = clamp_note(&self.requantization);
        if !self.coarser.is_empty() {
            note.push_str(&format!(
                " Each output channel has its own binary point: its weights have {} bits, followed \
                 by zeros.",
                self.weights_format.bits
            ));
        }
        // A vector's bias, or one by position, has a node of its own in QONNX.
        let is_apart = self.bias.values.len() != self.channels
            || self.kind(node.inputs[0].0, node.shape) == ConvKind::Dense;
        Ok(HlsTypes {
            note: note.trim().to_owned(),
            kinds,
            sums: sum,
            added_in: is_apart
                .then_some("_biased")
                .into_iter()
                .chain(self.residual.map(|_| "_added"))
                .collect(),
            joins: Vec::new(),
        })
    }
}

impl FixedConv {
    /// How many bits at the end of all weights are zeros, where they have more than 8 bits.
    fn zeros_of_weights(&self) -> u32 {
        if self.weights.iter().all(|w| (-128..=127).contains(w)) {
            return 0;
        }
        self.weights.iter().map(|w| w.trailing_zeros()).min().unwrap_or(0)
    }

    /// The layer in TensorFlow Lite without so many zeros at the end of its weights.
    fn tflite_linear<'a>(&'a self, zeros: u32, to: &'a Requantization) -> Linear<'a> {
        let bits = i32::try_from(zeros).unwrap_or(0);
        let shift = |channel| to.shift - i32::from(self.coarser(channel)) - bits;
        let bias = self.bias.values.iter();
        Linear {
            window: &self.window,
            groups: self.groups,
            weights: self.weights.iter().map(|&w| i64::from(w >> zeros)).collect(),
            bias: bias.map(|&b| shift_round(b, bits, Rounding::TiesUp)).collect(),
            classes: (self.bias.values.len() > self.channels).then_some(&self.bias),
            factors: (0..self.channels).map(|channel| (1, shift(channel))).collect(),
            to,
        }
    }

    /// `[o, i, h, w]`, or `[i, o]` of a dense layer.
    fn network_weights(&self, node: &mut NetworkNode, is_dense: bool) -> String {
        let [kh, kw] = self.window.kernel;
        let outputs = self.channels;
        let inputs = self.weights.len() / (outputs * kh * kw);
        let at = |o: usize, tap: usize, i: usize| {
            i64::from(self.weights[(o * kh * kw + tap) * inputs + i])
        };
        let mut stored = Vec::with_capacity(self.weights.len());
        let dims = if is_dense {
            (0..inputs).for_each(|i| stored.extend((0..outputs).map(|o| at(o, 0, i))));
            vec![inputs, outputs]
        } else {
            for o in 0..outputs {
                for i in 0..inputs {
                    stored.extend((0..kh * kw).map(|tap| at(o, tap, i)));
                }
            }
            vec![outputs, inputs, kh, kw]
        };
        let name = format!("{}_weights", node.name);
        let points = (usize::from(is_dense), self.coarser.as_slice());
        node.file.constant(&name, &dims, stored, self.weights_format, points)
    }

    /// The bias and so many halves of the sum's last place: one a channel, or one a channel and
    /// position, with `axes` axes after the batch where it is added by itself.
    fn network_bias(
        &self,
        node: &mut NetworkNode,
        halves: i64,
        axes: usize,
        inside: bool,
    ) -> String {
        let (values, n) = (self.aligned_bias(), self.channels);
        let Shape { h, w, .. } = node.shape;
        let (stored, dims) = if values.len() == n {
            let dims = if inside { vec![n] } else { [&[1, n, 1, 1][..=axes]].concat() };
            (values, dims)
        } else {
            let mut map = Vec::with_capacity(n * h * w);
            for channel in 0..n {
                for i in 0..h * w {
                    map.push(values[self.bias.class(i / w, i % w) * n + channel]);
                }
            }
            (map, vec![1, n, h, w])
        };
        // At half of the last place where the rounding needs it.
        let (stored, frac) = if halves == 0 {
            (stored, self.sum_frac())
        } else {
            (stored.iter().map(|b| 2 * b + halves).collect(), self.sum_frac() + 1)
        };
        let name = format!("{}_bias", node.name);
        let real = stored.iter().map(|&b| real(b, frac)).collect();
        let float = node.file.floats(&name, &dims, real);
        if !node.is_qonnx() {
            return float;
        }
        let largest = stored.iter().map(|b| b.unsigned_abs()).max().unwrap_or(0);
        let bits = bits_for(largest).clamp(2, 62);
        let frac = i8::try_from(frac).expect("steps were checked");
        node.file.quant(&format!("{name}_quant"), &float, Format::full(bits, frac), false)
    }
}
