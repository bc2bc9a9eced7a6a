mod fixed;

pub use fixed::FixedConv;

use super::{Window, max_pool::kept};
use crate::{
    backward::{Backward, BackwardStep, prepare_layer},
    error::{ImportError, LowerError},
    fixed_operator::FixedOp,
    import::{
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    parameters::{Parameters, ParametersMut},
    scale_shift::ScaleShift,
    shape::{Activation, Shape},
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_kernels::{
    Activation as FloatActivation, BorderBias, ConvF32, ConvKind, FloatBias, Kernels,
};

/// `y[o] = b[o] + sum w[o, i, j, c] * x[.., c]` over a sliding window, zero padded; grouped and depthwise included.
/// A second value is added to the sums, before the activation.
///
/// Fixed point: exact sums at `F_w + F_x`, to which the second value is aligned, then one rounding shift and saturation. Where a channel
/// shift was folded through zero padding the bias depends on which taps lie inside the image.
///
/// Source: ONNX `Conv`, opset 11.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Kernel, stride, dilation, padding.
    pub window: Window,
    /// Groups of channels.
    pub groups: usize,
    /// Output channels.
    pub channels: usize,
    /// `[output channel, row, column, input channel of the group]`.
    pub weights: Vec<f32>,
    /// One an output channel.
    pub bias: Vec<f32>,
    /// What each tap that lies inside the image adds to the bias, `[output channel, row, column]`;
    /// empty for nothing.
    pub tap_bias: Vec<f32>,
}

impl Conv {
    fn view(&self) -> Parameters<'_> {
        Parameters {
            window: self.window.clone(),
            groups: self.groups,
            channels: self.channels,
            weights: &self.weights,
            bias: &self.bias,
            tap_bias: &self.tap_bias,
        }
    }

    /// Where each channel is made of one alone: without some of them.
    fn without_alone(&self, taps: usize, own: &[bool]) -> Self {
        let filters = |numbers: &[f32]| {
            let kept = numbers.chunks_exact(taps).zip(own).filter(|(_, gone)| !**gone);
            kept.flat_map(|(taps, _)| taps.to_vec()).collect()
        };
        let bias = kept(&self.bias, own);
        Self {
            window: self.window.clone(),
            groups: bias.len(),
            channels: bias.len(),
            weights: filters(&self.weights),
            tap_bias: filters(&self.tap_bias),
            bias,
        }
    }
}

impl Operator for Conv {
    fn name(&self) -> &'static str {
        "Conv"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [x, added @ ..] = inputs else { return Err("takes one value".to_owned()) };
        let channels = self.view().input_channels();
        if x.c != channels {
            return Err(format!("its weights are for {channels} channels, not {}", x.c));
        }
        let [h, w] = self.window.output(x.h, x.w)?;
        let shape = Shape::new(h, w, self.channels);
        check_added(added, shape)?;
        Ok(shape)
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        let (input, output) = (context.inputs[0], context.output);
        let border = self.view().border_bias(input, output);
        let bias = FloatBias {
            row_class: border.row_class,
            column_class: border.column_class,
            n_column_classes: border.n_column_classes,
            values: border.values.into_iter().map(f64_to_f32).collect(),
        };
        let conv = ConvF32::new(
            kernels,
            self.window.conv(self.groups, input, output),
            &self.weights,
            bias,
        );
        if context.inputs.len() > 1 {
            let activation = context.activation;
            return Box::new(move |inputs, y, scratch| {
                conv.run(inputs[0], y, FloatActivation::None, scratch);
                y.iter_mut().zip(inputs[1]).for_each(|(y, added)| *y += added);
                activation.apply_all(y);
            });
        }
        let activation = float_activation(context.activation);
        Box::new(move |inputs, y, scratch| conv.run(inputs[0], y, activation, scratch))
    }

    fn takes_several(&self, inputs: &[Shape], output: Shape) -> bool {
        self.window.conv(self.groups, inputs[0], output).kind() == ConvKind::Dense
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        let weights = context.layer_weights(&self.weights, self.channels)?;
        let border = self.view().border_bias(context.inputs[0], context.shape);
        let scale = i32::from(weights.format.frac) + i32::from(context.formats[0].frac);
        let requantization = context.requantization(scale)?;
        for &bits in &weights.coarser {
            context.check_shift(requantization.coarser(bits).shift)?;
        }
        let bias = BorderBias {
            row_class: border.row_class,
            column_class: border.column_class,
            n_column_classes: border.n_column_classes,
            values: context.bias(&border.values, scale, &weights.coarser)?,
        };
        let (accumulate, accumulator_bits) = context.prove(
            context.formats[0],
            &weights,
            self.channels,
            &bias.values,
            &requantization,
        )?;
        Ok(FixedConv {
            window: self.window.clone(),
            groups: self.groups,
            channels: self.channels,
            weights: weights.integers,
            coarser: weights.coarser,
            bias,
            input: context.formats[0],
            weights_format: weights.format,
            bias_format: context.bias_format(),
            residual: weights.residual,
            accumulate,
            accumulator_bits,
            requantization,
        }
        .into())
    }

    fn takes_activation(&self) -> bool {
        true
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Own
    }

    fn is_nonnegative(&self, _: bool) -> bool {
        false
    }

    fn takes_residual(&self) -> bool {
        true
    }

    fn edge(&self, input: usize) -> Edge {
        edge(input)
    }

    fn factor(&self, input: usize, _: &[Shape], _: Shape) -> Factor {
        factor(input)
    }

    fn without_channels(&self, dropped: &[&[bool]], own: &[bool], _: &[Shape]) -> Option<Op> {
        let taps = self.window.kernel.iter().product::<usize>();
        if self.groups != 1 {
            // One channel of each, which goes with its own.
            let is_alone = self.view().is_depthwise();
            return (is_alone && dropped[0] == own).then(|| self.without_alone(taps, own).into());
        }
        let of_tap = |tap: &[f32]| kept(tap, dropped[0]);
        let weights = self.weights.chunks_exact(dropped[0].len());
        let weights: Vec<Vec<f32>> = weights.map(of_tap).collect();
        let filters = weights.chunks_exact(taps).zip(own).filter(|(_, gone)| !**gone);
        let tap_bias = self.tap_bias.chunks_exact(taps).zip(own).filter(|(_, gone)| !**gone);
        let bias = kept(&self.bias, own);
        Some(
            Self {
                window: self.window.clone(),
                groups: 1,
                channels: bias.len(),
                weights: filters.flat_map(|(filter, _)| filter.concat()).collect(),
                tap_bias: tap_bias.flat_map(|(taps, _)| taps.to_vec()).collect(),
                bias,
            }
            .into(),
        )
    }

    fn unscaled(
        &self,
        before: &[Option<&ScaleShift>],
        inputs: &[Shape],
        output: Shape,
    ) -> Option<Op> {
        let before = before[0]?;
        let mut conv = self.clone();
        let [kh, kw] = conv.window.kernel;
        let (taps, group_channels) = (kh * kw, self.view().group_channels());
        let group_outputs = self.view().group_outputs();
        let covers = |axis: usize, size: usize, positions: usize| {
            (0..positions).all(|p| self.window.taps(axis, size, p) == (0..self.window.kernel[axis]))
        };
        let input = inputs[0];
        let inside = covers(0, input.h, output.h) && covers(1, input.w, output.w);
        let mut tap_bias = vec![0.0; conv.channels * taps];
        for (row, (weights, tap)) in
            conv.weights.chunks_exact_mut(group_channels).zip(&mut tap_bias).enumerate()
        {
            let first = row / taps / group_outputs * group_channels;
            *tap = before.absorb(first..first + group_channels, weights, 0.0);
        }
        if inside {
            for (b, taps) in conv.bias.iter_mut().zip(tap_bias.chunks_exact(taps)) {
                let sum = taps.iter().map(|&t| f64::from(t)).sum::<f64>();
                *b = f64_to_f32(f64::from(*b) + sum);
            }
        } else if tap_bias.iter().any(|&t| t != 0.0) {
            if conv.tap_bias.is_empty() {
                conv.tap_bias = tap_bias;
            } else {
                conv.tap_bias.iter_mut().zip(&tap_bias).for_each(|(a, b)| *a += b);
            }
        }
        Some(conv.into())
    }

    fn parameters(&self) -> Option<Parameters<'_>> {
        Some(self.view())
    }

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }

    fn parameters_mut(&mut self) -> Option<ParametersMut<'_>> {
        Some(ParametersMut {
            weights: &mut self.weights,
            bias: &mut self.bias,
            tap_bias: &mut self.tap_bias,
        })
    }
}

/// Refuses more values than one of these extents to add to the sums of a layer.
pub(super) fn check_added(added: &[Shape], shape: Shape) -> Result<(), String> {
    match added {
        [] => Ok(()),
        [added] if *added == shape => Ok(()),
        [added] => Err(format!("what is added to its sums is {added}, not {shape}")),
        _ => Err("takes one value, and one more that is added to its sums".to_owned()),
    }
}

/// What the values that a layer takes are to it: its weights multiply the first, the second is added to its sums.
pub(super) fn edge(input: usize) -> Edge {
    if input == 0 { Edge::Main } else { Edge::Residual }
}

/// What becomes of factors of the values that a layer takes.
pub(super) fn factor(input: usize) -> Factor {
    if input == 0 { Factor::Absorbed } else { Factor::Refused }
}

impl Backward for Conv {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        prepare_layer(&self.view(), context)
    }
}

/// The kernels' form of an activation.
pub(super) fn float_activation(activation: Activation) -> FloatActivation {
    match activation {
        Activation::None => FloatActivation::None,
        Activation::Relu => FloatActivation::Clamp { min: 0.0, max: f32::INFINITY },
        Activation::Clip { min, max } => FloatActivation::Clamp { min, max },
        Activation::LeakyRelu { alpha } => FloatActivation::Leaky(alpha),
    }
}

/// Reads `auto_pad` and `pads` for a window over an input of `extents`.
pub(super) fn import_padding(
    attributes: &mut Attributes,
    window: &mut Window,
    axes: usize,
    extents: [usize; 2],
) -> Result<(), ImportError> {
    let auto = attributes.string("auto_pad", "NOTSET")?;
    let pads = attributes.extents("pads", 2 * axes, 0)?;
    match auto.as_str() {
        "NOTSET" => {
            if let Some(pads) = pads {
                let first = 2 - axes;
                window.pad_begin[first..].copy_from_slice(&pads[..axes]);
                window.pad_end[first..].copy_from_slice(&pads[axes..]);
            }
        }
        "VALID" => {}
        "SAME_UPPER" | "SAME_LOWER" => {
            window.pad_same(extents);
            if auto == "SAME_LOWER" {
                std::mem::swap(&mut window.pad_begin, &mut window.pad_end);
            }
        }
        _ => {
            return Err(attributes.refuse("auto_pad", &auto, "re-export with explicit `pads`"));
        }
    }
    Ok(())
}

/// Reads `kernel_shape`, `strides`, `dilations`, `auto_pad` and `pads` over an image.
pub(super) fn import_window(
    attributes: &mut Attributes,
    image: Shape,
    axes: usize,
    kernel: Option<&[usize]>,
) -> Result<Window, ImportError> {
    let mut window = Window::pixel();
    let declared = attributes.extents("kernel_shape", axes, 1)?;
    let kernel = match (declared, kernel) {
        (Some(declared), Some(actual)) if declared != actual => {
            let help = format!("the weights have {actual:?}");
            return Err(attributes.refuse("kernel_shape", &format!("{declared:?}"), &help));
        }
        (Some(declared), _) => declared,
        (None, Some(actual)) => actual.to_vec(),
        (None, None) => return Err(attributes.refuse("kernel_shape", "absent", "it is required")),
    };
    let stride = attributes.extents("strides", axes, 1)?.unwrap_or_else(|| vec![1; axes]);
    let dilation = attributes.extents("dilations", axes, 1)?.unwrap_or_else(|| vec![1; axes]);
    let first = 2 - axes;
    window.kernel[first..].copy_from_slice(&kernel);
    window.stride[first..].copy_from_slice(&stride);
    window.dilation[first..].copy_from_slice(&dilation);
    import_padding(attributes, &mut window, axes, [image.h, image.w])?;
    Ok(window)
}

/// Source: ONNX `Conv`, opset 11.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let value = reader.image(node, 0)?;
    let image = reader.shape(&value);
    let axes = value.axes.len() - 2;
    let (dims, data) = reader.float_constant(node, 1)?;
    if dims.len() != axes + 2 || dims.contains(&0) {
        return Err(node_error(node, &format!("weights with shape {dims:?} do not fit its input")));
    }
    let [channels, group_channels] = [dims[0], dims[1]];
    let mut attributes = Attributes::new(node);
    let window = import_window(&mut attributes, image, axes, Some(&dims[2..]))?;
    let groups = attributes.int("group", 1)?;
    let groups = usize::try_from(groups).ok().filter(|&g| g > 0 && channels % g == 0);
    attributes.finish()?;
    let Some(groups) = groups else {
        return Err(node_error(node, &format!("`group` does not divide its {channels} channels")));
    };
    if group_channels * groups != image.c {
        return Err(node_error(
            node,
            &format!(
                "its weights are for {} channels, its input has {}",
                group_channels * groups,
                image.c
            ),
        ));
    }
    // From [o, i, h, w] to [o, h, w, i].
    let taps = window.kernel[0] * window.kernel[1];
    let mut weights = Vec::with_capacity(data.len());
    for filter in data.chunks_exact(group_channels * taps) {
        for tap in 0..taps {
            weights.extend((0..group_channels).map(|i| filter[i * taps + tap]));
        }
    }
    let bias = if Reader::has_input(node, 2) {
        reader.float_vector(node, 2, channels)?
    } else {
        vec![0.0; channels]
    };
    let op = Conv { window, groups, channels, weights, bias, tap_bias: vec![] };
    reader.push_like(node, op, &value)
}

/// What the convolutions of Keras share: strides, padding, dilation, and the kernel's extents.
fn keras_window(layer: &mut Layer) -> Result<(Value, Window), ImportError> {
    let value = layer.image()?;
    let window = layer.window("kernel_size", Some([1, 1]), layer.shape(&value))?;
    Ok((value, window))
}

/// A depthwise kernel `[kh, kw, channel, multiple]` as `[channel * multiple, kh, kw]`.
fn depthwise(
    layer: &mut Layer,
    window: &Window,
    channels: usize,
) -> Result<(Vec<f32>, usize), ImportError> {
    let multiple = layer.count("depth_multiplier")?.unwrap_or(1);
    let names = ["depthwise_kernel", "kernel"];
    let extents = [&layer.kernel_extents(window)[..], &[channels, multiple]].concat();
    let kernel = layer.weight_named(&names, &extents)?;
    Ok((last_axis_first(kernel, channels * multiple), channels * multiple))
}

/// `[taps, n]` as `[n, taps]`.
pub(super) fn last_axis_first(kernel: &[f32], n: usize) -> Vec<f32> {
    (0..n).flat_map(|o| kernel.iter().skip(o).step_by(n).copied()).collect()
}

/// Source: Keras `Conv2D`, `Conv1D`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let (value, window) = keras_window(layer)?;
    let Some(channels) = layer.count("filters")? else {
        return Err(layer.error("its option `filters` is missing"));
    };
    let groups = layer.count("groups")?.unwrap_or(1);
    let input = layer.shape(&value).c;
    if !input.is_multiple_of(groups) || !channels.is_multiple_of(groups) {
        return Err(layer.error(&format!(
            "its option `groups` = {groups} does not divide {input} input and {channels} output \
             channels"
        )));
    }
    let extents = [&layer.kernel_extents(&window)[..], &[input / groups, channels]].concat();
    let kernel = layer.weight("kernel", &extents)?;
    let weights = last_axis_first(kernel, channels);
    let bias = layer.bias(channels)?;
    let op = Conv { window, groups, channels, weights, bias, tap_bias: vec![] };
    let value = layer.push_like(op, &value)?;
    layer.activation(value)
}

/// Source: Keras `DepthwiseConv2D`, `DepthwiseConv1D`.
pub(super) fn from_keras_depthwise(layer: &mut Layer) -> Result<Value, ImportError> {
    // What an older Keras writes of the layer it derives this one from.
    layer.must_be("groups", &1.into(), "the channels are the groups")?;
    layer.ignore(&["filters"]);
    let (value, window) = keras_window(layer)?;
    let groups = layer.shape(&value).c;
    let (weights, channels) = depthwise(layer, &window, groups)?;
    let bias = layer.bias(channels)?;
    let op = Conv { window, groups, channels, weights, bias, tap_bias: vec![] };
    let value = layer.push_like(op, &value)?;
    layer.activation(value)
}

/// Source: Keras `SeparableConv2D`, `SeparableConv1D`: a depthwise convolution, then a 1x1 convolution.
pub(super) fn from_keras_separable(layer: &mut Layer) -> Result<Value, ImportError> {
    layer.must_be("groups", &1.into(), "the channels are the groups")?;
    let (value, window) = keras_window(layer)?;
    let groups = layer.shape(&value).c;
    let (weights, between) = depthwise(layer, &window, groups)?;
    let bias = vec![0.0; between];
    let op = Conv { window, groups, channels: between, weights, bias, tap_bias: vec![] };
    let name = format!("{}_depthwise", layer.name());
    let node = layer.builder.push(&name, op, vec![value.node])?;
    let Some(channels) = layer.count("filters")? else {
        return Err(layer.error("its option `filters` is missing"));
    };
    let window = Window::pixel();
    let extents = [&layer.kernel_extents(&window)[..], &[between, channels]].concat();
    let kernel = layer.weight("pointwise_kernel", &extents)?;
    let weights = last_axis_first(kernel, channels);
    let bias = layer.bias(channels)?;
    let op = Conv { window, groups: 1, channels, weights, bias, tap_bias: vec![] };
    let value = layer.push_like(op, &Value { node, axes: value.axes })?;
    layer.activation(value)
}
