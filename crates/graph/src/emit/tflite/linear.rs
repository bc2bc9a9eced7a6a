//! Sums of products with constants: convolutions, dense layers, and all that is written as one.

use super::{
    file::steps,
    node::{TfliteNode, TfliteValue, dims, element, zero_point},
    rounding::{self, Form, Sum, TfliteKernels},
};
use crate::{
    emit::network::windows::pad_end, error::EmitError, lower::requantization::Requantization,
    shape::Shape, window::Window,
};
use fixedwise_codec::{onnx::ElementType, tflite::Quantization};
use fixedwise_fixed::convert::{exp2, f64_to_f32};
use fixedwise_kernels::BorderBias;
use std::ops::Range;

/// The operator's own padding.
const SAME: usize = 0;
const VALID: usize = 1;

/// A layer: sums of products of its input with constants.
#[derive(Debug)]
pub(crate) struct Linear<'a> {
    pub(crate) window: &'a Window,
    pub(crate) groups: usize,
    /// `[output channel, row, column, input channel of the group]`.
    pub(crate) weights: Vec<i64>,
    /// One for each class of positions and output channel.
    pub(crate) bias: Vec<i64>,
    /// Which class each position is of, where there is more than one.
    pub(crate) classes: Option<&'a BorderBias>,
    /// What the sum of each output channel is multiplied by: a mantissa and a right shift.
    pub(crate) factors: Vec<(i64, i32)>,
    /// From the product on: its own shift does not count.
    pub(crate) to: &'a Requantization,
}

/// What the convolutions of a layer share.
struct Layer {
    weights: usize,
    /// One for each class of positions and channel, as they are stored.
    biases: Vec<i64>,
    bias_scale: Vec<f32>,
    is_depthwise: bool,
}

/// Steps of constants by channel, which lie along that axis.
fn per_channel(scale: Vec<f32>, axis: usize) -> Quantization {
    Quantization { zero_point: vec![0; scale.len()], scale, axis }
}

/// Positions one after the other that are of one class.
fn runs(classes: &[u16]) -> Vec<Range<usize>> {
    let mut start = 0;
    let run = |run: &[u16]| {
        let range = start..start + run.len();
        start = range.end;
        range
    };
    classes.chunk_by(|a, b| a == b).map(run).collect()
}

impl TfliteNode<'_> {
    /// A layer of an input, clamped.
    ///
    /// # Errors
    /// Where its weights or sums have too many bits.
    pub(crate) fn linear(
        &mut self,
        x: TfliteValue,
        linear: &Linear,
    ) -> Result<TfliteValue, EmitError> {
        let value = self.linear_sum(self.name, x, linear, self.shape)?;
        Ok(self.clamped(value, linear.to.min, linear.to.max, element(linear.to.format)))
    }

    /// The same without its clamps, of these extents.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn linear_sum(
        &mut self,
        name: &str,
        x: TfliteValue,
        linear: &Linear,
        output: Shape,
    ) -> Result<TfliteValue, EmitError> {
        let channels = linear.factors.len();
        let is_depthwise = linear.groups > 1 && linear.groups == x.shape.c;
        let forms = self.forms(&x, linear)?;
        let [kh, kw] = linear.window.kernel;
        let filter = linear.weights.len() / channels;
        let stored = linear.weights.iter().enumerate();
        let mut stored: Vec<i64> = stored.map(|(i, w)| w * forms[i / filter].factor).collect();
        let (extents, axis) = if is_depthwise {
            let by_channel = |i: usize| stored[i % channels * filter + i / channels];
            stored = (0..stored.len()).map(by_channel).collect();
            ([1, kh, kw, channels], 3)
        } else {
            ([channels, kh, kw, filter / (kh * kw)], 0)
        };
        // The kernels multiply by the product of both scales and divide by the output's.
        let x_frac = i32::from(x.format.frac);
        let to_filter = exp2(x_frac - i32::from(linear.to.format.frac));
        let scale = |form: &Form| f64_to_f32(f64::from(form.scale) * to_filter);
        let scale: Vec<f32> = forms.iter().map(scale).collect();
        let bias_scale: Vec<f32> =
            scale.iter().map(|scale| scale * f64_to_f32(exp2(-x_frac))).collect();
        let element = if self.is_int4(linear) { ElementType::I4 } else { ElementType::I8 };
        let weights = format!("{name}_weights");
        let weights =
            self.file.constant(&weights, &extents, element, stored, per_channel(scale, axis));
        let biases = linear.bias.iter().zip(forms.iter().cycle());
        let biases = biases.map(|(bias, form)| bias * form.factor + form.offset).collect();
        let layer = Layer { weights, biases, bias_scale, is_depthwise };
        Ok(match linear.classes {
            None => {
                let (x, padding) = self.padded(x, linear.window, output, None);
                self.convolution(name, x, linear, &layer, (0, padding), output)
            }
            Some(classes) => self.by_class(name, x, linear, &layer, classes, output),
        })
    }

    /// The convolution of one class of positions.
    fn convolution(
        &mut self,
        name: &str,
        x: TfliteValue,
        linear: &Linear,
        layer: &Layer,
        (class, padding): (usize, usize),
        output: Shape,
    ) -> TfliteValue {
        let channels = linear.factors.len();
        let element =
            if x.element == ElementType::I16 { ElementType::I64 } else { ElementType::I32 };
        let biases = layer.biases[class * channels..][..channels].to_vec();
        let steps = per_channel(layer.bias_scale.clone(), 0);
        let biases =
            self.file.constant(&format!("{name}_bias"), &[channels], element, biases, steps);
        let [stride_h, stride_w] = linear.window.stride;
        let [dilation_h, dilation_w] = linear.window.dilation;
        let mut options = vec![
            ("padding", padding),
            ("stride_h", stride_h),
            ("stride_w", stride_w),
            ("dilation_h", dilation_h),
            ("dilation_w", dilation_w),
        ];
        let mut operator = "CONV_2D";
        if layer.is_depthwise {
            options.push(("depth_multiplier", channels / linear.groups));
            operator = "DEPTHWISE_CONV_2D";
        }
        let inputs = [x.tensor, layer.weights, biases];
        self.sum(operator, name, &inputs, &options, linear.to, output)
    }

    /// A layer whose bias depends on the position: a convolution for each rectangle of positions of one class, side by
    /// side. All have the same weights.
    fn by_class(
        &mut self,
        name: &str,
        x: TfliteValue,
        linear: &Linear,
        layer: &Layer,
        classes: &BorderBias,
        output: Shape,
    ) -> TfliteValue {
        let window = linear.window;
        let (begin, end) = (window.pad_begin, pad_end(window, x.shape, output));
        let [h, w] = [x.shape.h + begin[0] + end[0], x.shape.w + begin[1] + end[1]];
        let x = self.pad(&format!("{name}_padded"), x, begin, Shape::new(h, w, x.shape.c), None);
        let (rows, columns) = (runs(&classes.row_class), runs(&classes.column_class));
        // Where the windows of positions begin and end in the input.
        let seen = |axis: usize, positions: &Range<usize>| {
            let reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
            let start = positions.start * window.stride[axis];
            start..(positions.end - 1) * window.stride[axis] + reach
        };
        let mut all = Vec::with_capacity(rows.len());
        for (i, of_rows) in rows.iter().enumerate() {
            let mut row = Vec::with_capacity(columns.len());
            for (j, of_columns) in columns.iter().enumerate() {
                let name = format!("{name}_{i}_{j}");
                let part = self.part(&name, &x, [seen(0, of_rows), seen(1, of_columns)]);
                let class = classes.class(of_rows.start, of_columns.start);
                let shape = Shape::new(of_rows.len(), of_columns.len(), output.c);
                row.push(self.convolution(&name, part, linear, layer, (class, VALID), shape));
            }
            let shape = Shape::new(of_rows.len(), output.w, output.c);
            all.push(self.joined(&format!("{name}_{i}"), &row, 2, shape));
        }
        self.joined(name, &all, 1, output)
    }

    /// Some rows and columns of a value.
    fn part(
        &mut self,
        name: &str,
        x: &TfliteValue,
        [rows, columns]: [Range<usize>; 2],
    ) -> TfliteValue {
        let shape = Shape::new(rows.len(), columns.len(), x.shape.c);
        if shape == x.shape {
            return *x;
        }
        let begin = self.file.extents(&format!("{name}_begin"), &[0, rows.start, columns.start, 0]);
        let size = self.file.extents(&format!("{name}_size"), &[1, shape.h, shape.w, shape.c]);
        let part = self.value(&format!("{name}_part"), TfliteValue { shape, ..*x });
        self.file.operator("SLICE", &[x.tensor, begin, size], part.tensor, &[]);
        part
    }

    /// Elements of a value by their places, or zeros, with other extents.
    pub(crate) fn gathered(&mut self, x: &TfliteValue, sources: &[Option<usize>]) -> TfliteValue {
        let (name, n) = (self.name, x.shape.len());
        let mut flat = self.reshaped(&format!("{name}_flat"), x, Shape::new(1, n, 1));
        if sources.contains(&None) {
            let shape = Shape::new(1, n + 1, 1);
            flat = self.pad(&format!("{name}_zero"), flat, [0, 0], shape, None);
        }
        let places = sources.iter().map(|source| i64::try_from(source.unwrap_or(n)));
        let places = places.map(|place| place.unwrap_or(i64::MAX)).collect();
        let count = sources.len();
        let places = self.file.numbers(&format!("{name}_places"), &[count], places);
        let shape = Shape::new(1, count, 1);
        let taken = self.value(&format!("{name}_taken"), TfliteValue { shape, ..*x });
        self.file.operator("GATHER", &[flat.tensor, places], taken.tensor, &[("axis", 2)]);
        self.reshaped(name, &taken, self.shape)
    }

    /// A function of each element by the integers that it has for those of the input, from the least on.
    pub(crate) fn looked_up(&mut self, x: &TfliteValue, values: &[i64]) -> TfliteValue {
        let (name, dims) = (self.name, dims(x.shape));
        let whole = self.file.indices(&format!("{name}_whole"), &dims);
        self.file.operator("CAST", &[x.tensor], whole, &[]);
        let first = vec![-(x.zero_point + x.format.min())];
        let first = self.file.numbers(&format!("{name}_first"), &[1], first);
        let index = self.file.indices(&format!("{name}_index"), &dims);
        self.file.operator("ADD", &[whole, first], index, &[]);
        let format = self.format;
        let element = element(format);
        let zero_point = zero_point(element, format.max());
        let stored = values.iter().map(|q| q + zero_point).collect();
        let steps = steps(format.frac.into(), zero_point);
        let table = format!("{name}_table");
        let table = self.file.constant(&table, &[values.len()], element, stored, steps);
        let to = TfliteValue { tensor: 0, shape: self.shape, format, element, zero_point };
        let to = self.value(name, to);
        self.file.operator("GATHER", &[table, index], to.tensor, &[("axis", 0)]);
        to
    }

    /// Values with equal steps and zero points side by side along an axis of the file.
    pub(crate) fn joined(
        &mut self,
        name: &str,
        values: &[TfliteValue],
        axis: usize,
        shape: Shape,
    ) -> TfliteValue {
        if let [value] = values {
            return *value;
        }
        let to = self.value(name, TfliteValue { shape, ..values[0] });
        let inputs: Vec<usize> = values.iter().map(|value| value.tensor).collect();
        self.file.operator("CONCATENATION", &inputs, to.tensor, &[("axis", axis)]);
        to
    }

    /// Whether a layer's weights are stored in 4 bits: the kernels of depthwise layers do not take them.
    fn is_int4(&self, linear: &Linear) -> bool {
        self.options.int4
            && linear.groups == 1
            && linear.weights.iter().all(|w| (-8..=7).contains(w))
    }

    /// How each channel is written.
    fn forms(&mut self, x: &TfliteValue, linear: &Linear) -> Result<Vec<Form>, EmitError> {
        let (least, most) = (linear.weights.iter().min(), linear.weights.iter().max());
        if least.is_some_and(|&w| w < -128) || most.is_some_and(|&w| w > 127) {
            return Err(self.refuse(
                "its weights have more than 8 bits, which TensorFlow Lite does not store; give them 8 bits or \
                 fewer in the plan and `refit` it",
            ));
        }
        let wide = x.element == ElementType::I16;
        let is_int4 = self.is_int4(linear);
        // XNNPACK leaves weights of 4 bits to the other kernels.
        let kernels = if is_int4 { TfliteKernels::Reference } else { self.options.kernels };
        let (least_input, largest_input) = (x.format.min(), x.format.max());
        let largest = x.format.max_magnitude().unsigned_abs();
        let channels = linear.factors.len();
        let filter = linear.weights.len() / channels;
        let sum = |(channel, weights): (usize, &[i64])| {
            let factor = linear.factors[channel];
            let biases = || linear.bias.iter().skip(channel).step_by(channels).copied();
            let (least_bias, most_bias) =
                (biases().min().unwrap_or(0), biases().max().unwrap_or(0));
            let bias = least_bias.unsigned_abs().max(most_bias.unsigned_abs());
            let least = |w: &i64| (w * least_input).min(w * largest_input);
            let most = |w: &i64| (w * least_input).max(w * largest_input);
            let total: u64 = weights.iter().map(|w| w.unsigned_abs()).sum();
            Sum {
                mantissa: factor.0,
                shift: factor.1,
                bound: total.saturating_mul(largest).saturating_add(bias),
                low: least_bias + weights.iter().map(least).sum::<i64>(),
                high: most_bias + weights.iter().map(most).sum::<i64>(),
                weight: weights.iter().map(|w| w.unsigned_abs()).max().unwrap_or(0),
            }
        };
        let filters = linear.weights.chunks_exact(filter);
        let mut forms = Vec::with_capacity(channels);
        for sum in filters.enumerate().map(sum) {
            let form = if wide {
                Some(rounding::wide(sum, linear.to))
            } else {
                rounding::narrow(sum, linear.to, kernels, is_int4)
            };
            let Some(form) = form else {
                return Err(self.refuse(format!(
                    "its sums are shifted to the left by {} bits, which exceeds the 32 bits of the kernels; give its \
                     results fewer fractional bits in the plan",
                    -sum.shift
                )));
            };
            self.check_step(sum.shift + i32::from(x.format.frac))?;
            if form.is_rounded_otherwise {
                self.rounds_otherwise();
            }
            forms.push(form);
        }
        Ok(forms)
    }

    /// A value by another binary point and other bounds: a depthwise layer of one pixel, or nothing where it is
    /// the same.
    ///
    /// # Errors
    /// Where its shift is out of reach.
    pub(crate) fn rescaled(
        &mut self,
        x: TfliteValue,
        to: &Requantization,
        name: &str,
    ) -> Result<TfliteValue, EmitError> {
        let zero_point = zero_point(x.element, to.max);
        let keeps = to.shift == 0 && to.min <= x.format.min() && x.format.max() <= to.max;
        if keeps && x.zero_point == zero_point {
            return Ok(TfliteValue { format: to.format, ..x });
        }
        if keeps {
            let value = self.converted(name, &x, x.element, zero_point);
            return Ok(TfliteValue { format: to.format, ..value });
        }
        let (c, shape, element) = (x.shape.c, x.shape, x.element);
        let linear = Linear {
            window: &Window::pixel(),
            groups: c,
            weights: vec![1; c],
            bias: vec![0; c],
            classes: None,
            factors: vec![(1, to.shift); c],
            to,
        };
        let value = self.linear_sum(name, x, &linear, shape)?;
        Ok(self.clamped(value, to.min, to.max, element))
    }

    /// The input of a window with the padding that the operator does not make itself, and the operator's own; `stored` is
    /// what is put around, by default zero.
    pub(crate) fn padded(
        &mut self,
        x: TfliteValue,
        window: &Window,
        output: Shape,
        stored: Option<i64>,
    ) -> (TfliteValue, usize) {
        let (begin, end) = (window.pad_begin, pad_end(window, x.shape, output));
        if begin == [0, 0] && end == [0, 0] {
            return (x, VALID);
        }
        let (size, positions) = ([x.shape.h, x.shape.w], [output.h, output.w]);
        let is_same = (0..2).all(|axis| {
            let total = begin[axis] + end[axis];
            positions[axis] == size[axis].div_ceil(window.stride[axis]) && begin[axis] == total / 2
        });
        if is_same {
            return (x, SAME);
        }
        let shape =
            Shape::new(x.shape.h + begin[0] + end[0], x.shape.w + begin[1] + end[1], x.shape.c);
        let name = format!("{}_padded", self.name);
        (self.pad(&name, x, begin, shape, stored), VALID)
    }

    /// What is put around a value of `shape` begins before its first row and column.
    pub(crate) fn pad(
        &mut self,
        name: &str,
        x: TfliteValue,
        begin: [usize; 2],
        shape: Shape,
        stored: Option<i64>,
    ) -> TfliteValue {
        let end = [shape.h - x.shape.h - begin[0], shape.w - x.shape.w - begin[1]];
        let pads = [0, 0, begin[0], end[0], begin[1], end[1], 0, 0];
        let pads = pads.map(|pad| i64::try_from(pad).unwrap_or(i64::MAX)).to_vec();
        let pads = self.file.numbers(&format!("{name}_pads"), &[4, 2], pads);
        let padded = self.value(name, TfliteValue { shape, ..x });
        match stored {
            None => self.file.operator("PAD", &[x.tensor, pads], padded.tensor, &[]),
            Some(stored) => {
                let steps = steps(x.format.frac.into(), x.zero_point);
                let around = format!("{name}_around");
                let around = self.file.constant(&around, &[1], x.element, vec![stored], steps);
                self.file.operator("PADV2", &[x.tensor, pads, around], padded.tensor, &[]);
            }
        }
        padded
    }
}
