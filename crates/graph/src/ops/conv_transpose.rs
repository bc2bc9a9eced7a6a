//! Transposed convolution: a convolution whose output channels are the pixels of a block, and a map that puts
//! them there.
//!
//! Along an axis of stride `s`, every `s`-th output sees the same taps of the kernel: a convolution of stride 1
//! with `s` times the output channels computes them all. Where the kernel is no multiple of the stride, some of
//! its taps are zeros. With stride and dilation, zeros are put between the inputs instead.

use super::{Conv, IndexMap, Window};
use crate::{
    error::ImportError,
    graph::NodeId,
    import::{
        builder::{Builder, Value},
        keras::layer::{Layer, read_extent},
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
    },
    shape::Shape,
};
use fixedwise_codec::onnx;

/// One axis of a transposed convolution.
#[derive(Clone, Copy, Debug)]
struct Along {
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// Positions before the first one of the result that are left out.
    crop: usize,
    /// Extent of the result.
    output: usize,
}

/// One axis of the convolution that computes the same.
#[derive(Clone, Copy, Debug)]
struct Phases {
    /// Outputs of a block.
    count: usize,
    taps: usize,
    dilation: usize,
    pad_begin: usize,
    pad_end: usize,
    /// The position of the block that the first result of the convolution is.
    first: usize,
}

impl Along {
    /// Extent of the kernel with its gaps.
    fn reach(kernel: usize, dilation: usize) -> usize {
        (kernel - 1) * dilation + 1
    }

    fn phases(self, input: usize) -> Phases {
        let count = self.stride;
        let taps = self.kernel.div_ceil(count);
        let reach = (taps - 1) * self.dilation;
        let (first, last) = (self.crop / count, (self.crop + self.output - 1) / count);
        let pad_begin = reach.saturating_sub(first);
        let pad_end = (last + 1).saturating_sub(input);
        let first = reach - pad_begin;
        Phases { count, taps, dilation: self.dilation, pad_begin, pad_end, first }
    }

    /// Where each element of the result lies: of which block, and which one in it.
    fn places(self, phases: &Phases) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (crop, count, first) = (self.crop, phases.count, phases.first);
        (crop..crop + self.output).map(move |at| (at / count - first, at % count))
    }
}

/// A transposed convolution of a value, as nodes.
struct Transposed<'a> {
    along: [Along; 2],
    groups: usize,
    /// `[input channel, output channel of the group, row, column]`, as a function.
    weight: &'a dyn Fn(usize, usize, usize, usize) -> f32,
    bias: Vec<f32>,
}

impl Transposed<'_> {
    fn push(self, builder: &mut Builder, name: &str, x: NodeId) -> Result<NodeId, ImportError> {
        let (along, x) = self.spread(builder, name, x)?;
        let input = builder.shape(x);
        let phases = [along[0].phases(input.h), along[1].phases(input.w)];
        let [sy, sx] = phases.map(|axis| axis.count);
        let [ky, kx] = phases.map(|axis| axis.taps);
        let (own_in, own_out) = (input.c / self.groups, self.bias.len() / self.groups);
        let block = sy * sx * own_out;
        let mut weights = Vec::with_capacity(self.groups * block * ky * kx * own_in);
        let mut bias = Vec::with_capacity(self.groups * block);
        // The tap of the kernel that a tap of the convolution is, in the order of the input.
        let tap = |axis: usize, phase: usize, tap: usize| {
            let at = phase + phases[axis].count * (phases[axis].taps - 1 - tap);
            (at < along[axis].kernel).then_some(at)
        };
        for group in 0..self.groups {
            for (row, column) in (0..sy).flat_map(|row| (0..sx).map(move |column| (row, column))) {
                for o in 0..own_out {
                    bias.push(self.bias[group * own_out + o]);
                    for (i, j) in (0..ky).flat_map(|i| (0..kx).map(move |j| (i, j))) {
                        let at = tap(0, row, i).zip(tap(1, column, j));
                        weights.extend((0..own_in).map(|c| {
                            at.map_or(0.0, |(i, j)| (self.weight)(group * own_in + c, o, i, j))
                        }));
                    }
                }
            }
        }
        let window = Window {
            kernel: [ky, kx],
            stride: [1, 1],
            dilation: phases.map(|axis| axis.dilation),
            pad_begin: phases.map(|axis| axis.pad_begin),
            pad_end: phases.map(|axis| axis.pad_end),
            ceil: false,
        };
        let channels = self.groups * block;
        let conv = Conv { window, groups: self.groups, channels, weights, bias, tap_bias: vec![] };
        let node = builder.push(name, conv, vec![x])?;
        let shape = builder.shape(node);
        let rows = along[0].places(&phases[0]);
        let columns = along[1].places(&phases[1]);
        let map = IndexMap {
            rows: rows
                .map(|(at, phase)| Some(at * shape.w * shape.c + phase * sx * own_out))
                .collect(),
            columns: columns.map(|(at, phase)| Some(at * shape.c + phase * own_out)).collect(),
            channels: (0..self.bias.len())
                .map(|c| Some(c / own_out * block + c % own_out))
                .collect(),
        };
        if map.is_identity(shape) {
            return Ok(node);
        }
        builder.push(&format!("{name}_pixels"), map, vec![node])
    }

    /// The axes without dilation beside a stride: of a value with zeros between its elements.
    fn spread(
        &self,
        builder: &mut Builder,
        name: &str,
        x: NodeId,
    ) -> Result<([Along; 2], NodeId), ImportError> {
        let Shape { h, w, c } = builder.shape(x);
        let mut along = self.along;
        let mut places = |axis: usize, extent: usize, step: usize| -> Vec<Option<usize>> {
            let own = &mut along[axis];
            if own.dilation == 1 || own.stride == 1 {
                return (0..extent).map(|i| Some(i * step)).collect();
            }
            let stride = std::mem::replace(&mut own.stride, 1);
            let place = |i: usize| i.is_multiple_of(stride).then_some(i / stride * step);
            (0..=(extent - 1) * stride).map(place).collect()
        };
        let map = IndexMap {
            rows: places(0, h, w * c),
            columns: places(1, w, c),
            channels: (0..c).map(Some).collect(),
        };
        if map.is_identity(builder.shape(x)) {
            return Ok((along, x));
        }
        let node = builder.push(&format!("{name}_spread"), map, vec![x])?;
        Ok((along, node))
    }
}

/// More rows, columns or padding than any image has.
const MAX: usize = 1 << 16;

/// Source: ONNX `ConvTranspose`, opset 11.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let value = reader.image(node, 0)?;
    let image = reader.shape(&value);
    let axes = value.axes.len() - 2;
    let (dims, data) = reader.float_constant(node, 1)?;
    let (dims, data) = (dims.to_vec(), data.to_vec());
    if dims.len() != axes + 2 || dims.contains(&0) || dims[0] != image.c {
        let problem = format!("weights with shape {dims:?} do not fit its {} channels", image.c);
        return Err(node_error(node, &problem));
    }
    let own_out = dims[1];
    let kernel = [if axes == 2 { dims[2] } else { 1 }, dims[axes + 1]];
    let mut attributes = Attributes::new(node);
    let groups = attributes.int("group", 1)?;
    let mut list = |name: &str, count: usize, least: usize| attributes.extents(name, count, least);
    let declared = list("kernel_shape", axes, 1)?;
    let strides = list("strides", axes, 1)?;
    let dilations = list("dilations", axes, 1)?;
    let more = list("output_padding", axes, 0)?;
    let wanted = list("output_shape", axes, 1)?;
    let pads = list("pads", 2 * axes, 0)?;
    let auto = attributes.string("auto_pad", "NOTSET")?;
    if !matches!(auto.as_str(), "NOTSET" | "VALID" | "SAME_UPPER" | "SAME_LOWER") {
        return Err(attributes.refuse("auto_pad", &auto, "re-export with explicit `pads`"));
    }
    if let Some(declared) = declared.filter(|declared| *declared != dims[2..]) {
        let help = format!("the weights have {:?}", &dims[2..]);
        return Err(attributes.refuse("kernel_shape", &format!("{declared:?}"), &help));
    }
    attributes.finish()?;
    let groups = usize::try_from(groups).ok().filter(|&g| g > 0 && image.c.is_multiple_of(g));
    let Some(groups) = groups else {
        return Err(node_error(node, &format!("`group` does not divide its {} channels", image.c)));
    };
    let channels = own_out * groups;
    let bias = if Reader::has_input(node, 2) {
        reader.float_vector(node, 2, channels)?
    } else {
        vec![0.0; channels]
    };
    let mut along = Vec::with_capacity(2);
    for (axis, input) in [image.h, image.w].into_iter().enumerate() {
        let of = |list: &Option<Vec<usize>>, default: usize| {
            let at = (axis + axes).checked_sub(2);
            list.as_ref().zip(at).map_or(default, |(list, at)| list[at])
        };
        let (stride, dilation) = (of(&strides, 1), of(&dilations, 1));
        let full = (input - 1).saturating_mul(stride)
            + Along::reach(kernel[axis], dilation)
            + of(&more, 0);
        let is_same = auto.starts_with("SAME");
        let wanted = (wanted.is_some() || is_same).then(|| of(&wanted, input * stride));
        let (crop, output) = if let Some(output) = wanted {
            let total = full.saturating_sub(output);
            let fewer = total / 2;
            (if auto == "SAME_UPPER" { fewer } else { total - fewer }, output)
        } else {
            let pads = pads.as_ref().filter(|_| auto == "NOTSET");
            let at = (axis + axes).checked_sub(2);
            let [begin, end] =
                pads.zip(at).map_or([0, 0], |(pads, at)| [pads[at], pads[axes + at]]);
            (begin, full.saturating_sub(begin + end))
        };
        if output == 0 || output > MAX || crop > MAX {
            let problem = format!("its result would have {output} rows or columns");
            return Err(node_error(node, &problem));
        }
        along.push(Along { kernel: kernel[axis], stride, dilation, crop, output });
    }
    let [kh, kw] = kernel;
    let weight =
        |i: usize, o: usize, y: usize, x: usize| data[((i * own_out + o) * kh + y) * kw + x];
    let along = [along[0], along[1]];
    let transposed = Transposed { along, groups, weight: &weight, bias };
    let result = transposed.push(&mut reader.builder, &node.name, value.node)?;
    reader.set_value(node, &Value { node: result, axes: value.axes })
}

/// An option with one extent for each of `n` axes, or one for all; those that are missing come first.
fn spatial(
    layer: &mut Layer,
    option: &str,
    n: usize,
    least: usize,
) -> Result<Option<[usize; 2]>, ImportError> {
    let Some(value) = layer.take(option) else { return Ok(None) };
    let one = |value: &serde_json::Value| read_extent(value, least);
    let read = match value.as_array().map(Vec::as_slice) {
        Some([x]) if n == 1 => one(x).map(|x| [least.max(1), x]),
        Some([y, x]) if n == 2 => one(y).zip(one(x)).map(|(y, x)| [y, x]),
        Some(_) => None,
        None => one(value).map(|x| [if n == 1 { least.max(1) } else { x }, x]),
    };
    let help = || format!("it must be {n} integers of at least {least}");
    read.map(Some).ok_or_else(|| layer.refuse(option, value, &help()))
}

fn from_keras(layer: &mut Layer, n: usize) -> Result<Value, ImportError> {
    layer.channels_last()?;
    let value = layer.value()?;
    if value.axes.len() != n + 2 {
        return Err(layer.error(&format!("its input must have {n} axes and channels")));
    }
    let image = layer.shape(&value);
    let Some(channels) = layer.count("filters")? else {
        return Err(layer.error("its option `filters` is missing"));
    };
    let Some(kernel) = spatial(layer, "kernel_size", n, 1)? else {
        return Err(layer.error("its option `kernel_size` is missing"));
    };
    layer.must_be("groups", &1.into(), "Keras has no groups here")?;
    let stride = spatial(layer, "strides", n, 1)?.unwrap_or([1, 1]);
    let dilation = spatial(layer, "dilation_rate", n, 1)?.unwrap_or([1, 1]);
    let more = spatial(layer, "output_padding", n, 0)?;
    let padding = layer.take("padding");
    let is_same = match padding.map_or(Some("valid"), serde_json::Value::as_str) {
        Some("same") => true,
        Some("valid") => false,
        _ => {
            let padding = padding.cloned().unwrap_or_default();
            return Err(layer.refuse("padding", &padding, "supported are `valid` and `same`"));
        }
    };
    let along = |axis: usize, input: usize| {
        let (stride, dilation) = (stride[axis], dilation[axis]);
        let is_there = axis + n >= 2;
        let reach = Along::reach(kernel[axis], dilation);
        let full = (input - 1) * stride + reach;
        let output = match more.filter(|_| is_there) {
            Some(more) if is_same => (full + more[axis]).checked_sub(reach / 2 * 2)?,
            Some(more) => full + more[axis],
            None if is_same => input * stride,
            None => input * stride + reach.saturating_sub(stride),
        };
        let crop = if is_same { full.saturating_sub(output) / 2 } else { 0 };
        let along = Along { kernel: kernel[axis], stride, dilation, crop, output };
        (1..=MAX).contains(&output).then_some(along)
    };
    let Some(along) = along(0, image.h).zip(along(1, image.w)) else {
        return Err(layer.error("its result would have no rows or columns"));
    };
    let [kh, kw] = kernel;
    let shape = [kh, kw, channels, image.c];
    let data = layer.weight("kernel", &shape[2 - n..])?;
    let bias = layer.bias(channels)?;
    let weight =
        |i: usize, o: usize, y: usize, x: usize| data[((y * kw + x) * channels + o) * image.c + i];
    let transposed = Transposed { along: [along.0, along.1], groups: 1, weight: &weight, bias };
    let name = layer.name();
    let node = transposed.push(layer.builder, name, value.node)?;
    layer.activation(Value { node, axes: value.axes })
}

/// Source: Keras `Conv2DTranspose`.
pub(super) fn from_keras_2d(layer: &mut Layer) -> Result<Value, ImportError> {
    from_keras(layer, 2)
}

/// Source: Keras `Conv1DTranspose`.
pub(super) fn from_keras_1d(layer: &mut Layer) -> Result<Value, ImportError> {
    from_keras(layer, 1)
}
