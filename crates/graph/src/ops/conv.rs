use super::{Context, FixedOp, FixedOperator, FixedStep, FloatStep, Operator, Window};
use crate::{
    error::{ImportError, LowerError},
    graph::{Activation, Shape},
    import::{Attributes, Import, node_error},
    lower::{LowerContext, Requantization},
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_kernels::{
    Accumulate, Activation as FloatActivation, Bias, BorderBias, ConvF32, ConvGeometry, ConvInt,
    FloatBias, Kernels,
};

/// `y[o] = b[o] + sum w[o, i, j, c] * x[.., c]` over a sliding window, zero padded; groups of
/// channels apart, depthwise included.
///
/// Fixed point: exact sums at `F_w + F_x`, then one rounding shift and saturation. Where a channel
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
    /// Input channels.
    pub fn input_channels(&self) -> usize {
        self.group_channels() * self.groups
    }

    /// Input channels of one group.
    pub fn group_channels(&self) -> usize {
        let [kh, kw] = self.window.kernel;
        self.weights.len() / (self.channels * kh * kw)
    }

    fn geometry(&self, input: Shape, output: Shape) -> ConvGeometry {
        ConvGeometry {
            input: input.dims(),
            output: output.dims(),
            kernel: self.window.kernel,
            stride: self.window.stride,
            dilation: self.window.dilation,
            pad: self.window.pad_begin,
            groups: self.groups,
        }
    }

    /// The bias at every position: which class of positions it belongs to, and each class' bias in
    /// full precision, `[class, output channel]`.
    pub fn border_bias(&self, input: Shape, output: Shape) -> Bias<f64> {
        let bias: Vec<f64> = self.bias.iter().map(|&b| f64::from(b)).collect();
        if self.tap_bias.is_empty() {
            return Bias::uniform(bias, output.h, output.w);
        }
        let (rows, row_class) = classes(&self.window, 0, input.h, output.h);
        let (columns, column_class) = classes(&self.window, 1, input.w, output.w);
        let [kh, kw] = self.window.kernel;
        let mut values = Vec::with_capacity(rows.len() * columns.len() * self.channels);
        for row in &rows {
            for column in &columns {
                for (channel, b) in bias.iter().enumerate() {
                    let taps = &self.tap_bias[channel * kh * kw..][..kh * kw];
                    let inside = row.clone().flat_map(|i| taps[i * kw..][column.clone()].iter());
                    values.push(b + inside.map(|&t| f64::from(t)).sum::<f64>());
                }
            }
        }
        Bias { row_class, column_class, n_column_classes: columns.len(), values }
    }
}

/// The distinct ranges of taps along one axis, and the index of each position's.
fn classes(
    window: &Window,
    axis: usize,
    size: usize,
    positions: usize,
) -> (Vec<std::ops::Range<usize>>, Vec<u16>) {
    let mut distinct: Vec<std::ops::Range<usize>> = Vec::new();
    let class = (0..positions)
        .map(|position| {
            let taps = window.taps(axis, size, position);
            let index = distinct.iter().position(|d| *d == taps).unwrap_or_else(|| {
                distinct.push(taps);
                distinct.len() - 1
            });
            u16::try_from(index).expect("no more classes than taps squared, and kernels are small")
        })
        .collect();
    (distinct, class)
}

impl Operator for Conv {
    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [x] = inputs else { return Err("takes one value".to_owned()) };
        if x.c != self.input_channels() {
            return Err(format!(
                "its weights are for {} channels, not {}",
                self.input_channels(),
                x.c
            ));
        }
        let [h, w] = self.window.output(x.h, x.w)?;
        Ok(Shape::new(h, w, self.channels))
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        let (input, output) = (context.inputs[0], context.output);
        let border = self.border_bias(input, output);
        let bias = FloatBias {
            row_class: border.row_class,
            column_class: border.column_class,
            n_column_classes: border.n_column_classes,
            values: border.values.into_iter().map(f64_to_f32).collect(),
        };
        let conv = ConvF32::new(kernels, self.geometry(input, output), &self.weights, bias);
        let activation = float_activation(context.activation);
        Box::new(move |inputs, y, scratch| conv.run(inputs[0], y, activation, scratch))
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        let (weights_format, weights) = context.weights(&self.weights)?;
        let border = self.border_bias(context.inputs[0], context.shape);
        let scale = i32::from(weights_format.frac) + i32::from(context.formats[0].frac);
        let requantization = context.requantization(scale)?;
        let bias = BorderBias {
            row_class: border.row_class,
            column_class: border.column_class,
            n_column_classes: border.n_column_classes,
            values: context.bias(&border.values, scale)?,
        };
        let (accumulate, accumulator_bits) =
            context.prove(&weights, self.channels, &bias.values, &requantization)?;
        Ok(FixedConv {
            window: self.window.clone(),
            groups: self.groups,
            channels: self.channels,
            weights,
            bias,
            input: context.formats[0],
            accumulate,
            accumulator_bits,
            requantization,
        }
        .into())
    }

    fn weights(&self) -> Option<&[f32]> {
        Some(&self.weights)
    }

    fn bias(&self) -> Option<&[f32]> {
        Some(&self.bias)
    }

    fn takes_activation(&self) -> bool {
        true
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
    /// At the accumulator's scale, `[class, output channel]`.
    pub bias: BorderBias,
    /// Format of the input.
    pub input: fixedwise_fixed::Format,
    /// Width of the sums.
    pub accumulate: Accumulate,
    /// Bits the worst sum needs, the rounding's half included.
    pub accumulator_bits: u8,
    /// From the accumulator to the output.
    pub requantization: Requantization,
}

impl FixedOperator for FixedConv {
    fn prepare(&self, inputs: &[Shape], output: Shape, kernels: &'static Kernels) -> FixedStep {
        let geometry = ConvGeometry {
            input: inputs[0].dims(),
            output: output.dims(),
            kernel: self.window.kernel,
            stride: self.window.stride,
            dilation: self.window.dilation,
            pad: self.window.pad_begin,
            groups: self.groups,
        };
        let conv = ConvInt::new(
            kernels,
            geometry,
            crate::lower::element(self.input),
            &self.weights,
            &self.bias,
            self.accumulate,
            self.requantization.epilogue(),
        );
        Box::new(move |inputs, y, scratch| conv.run(inputs[0], y, scratch))
    }

    fn accumulator_bits(&self) -> u8 {
        self.accumulator_bits
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
            for axis in 2 - axes..2 {
                let reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
                let positions = extents[axis].div_ceil(window.stride[axis]);
                let needed =
                    ((positions - 1) * window.stride[axis] + reach).saturating_sub(extents[axis]);
                let (less, more) = (needed / 2, needed - needed / 2);
                (window.pad_begin[axis], window.pad_end[axis]) =
                    if auto == "SAME_UPPER" { (less, more) } else { (more, less) };
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
pub(super) fn import(import: &mut Import, node: &onnx::Node) -> Result<(), ImportError> {
    let value = import.image(node, 0)?;
    let image = import.shape(&value);
    let axes = value.axes.len() - 2;
    let (dims, data) = import.float_constant(node, 1)?;
    if dims.len() != axes + 2 || dims.contains(&0) {
        return Err(node_error(node, &format!("weights of extents {dims:?} do not fit its input")));
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
    let bias = if Import::has_input(node, 2) {
        import.float_vector(node, 2, channels)?
    } else {
        vec![0.0; channels]
    };
    let op = Conv { window, groups, channels, weights, bias, tap_bias: vec![] };
    import.push_like(node, op, &value)
}
