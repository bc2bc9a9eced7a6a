use super::{Affine, relu::one};
use crate::{
    backward::{Backward, BackwardStep, each_image},
    error::{ImportError, LowerError},
    fixed_operator::FixedOp,
    import::{
        axes::{Axis, axis_index, channels_first},
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
        view::{Extent, Target},
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::{count_to_f64, f64_to_f32};
use fixedwise_kernels::Kernels;

mod fixed;

pub use fixed::FixedLayerNormalization;

/// `y = (x - mean) / sqrt(variance + epsilon)` over the channels; not centered, `y = x / sqrt(mean of x² + epsilon)`.
///
/// Fixed point: the exact sums of the channels and of their squares, an exact integer root, and one reciprocal for all
/// channels. A scale and a shift of each channel behind it are folded into what follows.
///
/// Source: ONNX `LayerNormalization`, opset 17; `InstanceNormalization`, opset 6; `GroupNormalization`, opset 21;
/// `RMSNormalization`, opset 23.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNormalization {
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether the mean is subtracted.
    pub is_centered: bool,
}

impl Operator for LayerNormalization {
    fn name(&self) -> &'static str {
        "LayerNormalization"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        one(inputs)
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let (op, channels) = (self.clone(), context.output.c);
        let activation = context.activation;
        Box::new(move |inputs, y, _| {
            for (y, x) in y.chunks_exact_mut(channels).zip(inputs[0].chunks_exact(channels)) {
                let [mean, scale] = op.mean_and_scale(x);
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = activation.apply(f64_to_f32((f64::from(x) - mean) * scale));
                }
            }
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        fixed::lower(context, self.epsilon, self.is_centered)
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Own
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs && !self.is_centered
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

impl LayerNormalization {
    /// What is subtracted from the channels of a pixel, and what the rest is multiplied with.
    fn mean_and_scale(&self, x: &[f32]) -> [f64; 2] {
        let (n, all) = (count_to_f64(x.len()), || x.iter().map(|&x| f64::from(x)));
        let mean = if self.is_centered { all().sum::<f64>() / n } else { 0.0 };
        let variance = all().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        [mean, (variance + self.epsilon).sqrt().recip()]
    }
}

impl Backward for LayerNormalization {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        let (op, channels) = (self.clone(), context.output.c);
        let n = count_to_f64(channels);
        each_image(context, move |image| {
            let (x, Some(to)) = (image.inputs[0], &mut image.to[0]) else { return };
            let pixels = x.chunks_exact(channels).zip(image.gradient.chunks_exact(channels));
            for ((x, g), to) in pixels.zip(to.chunks_exact_mut(channels)) {
                let all = || x.iter().map(|&x| f64::from(x));
                let [mean, scale] = op.mean_and_scale(x);
                let gradients = || g.iter().map(|&g| f64::from(g));
                let sum = if op.is_centered { gradients().sum::<f64>() / n } else { 0.0 };
                let along = all().zip(gradients()).map(|(x, g)| (x - mean) * scale * g);
                let along = along.sum::<f64>() / n;
                for ((to, x), g) in to.iter_mut().zip(all()).zip(gradients()) {
                    *to += f64_to_f32(scale * (g - sum - (x - mean) * scale * along));
                }
            }
        })
    }
}

/// What is multiplied and added behind a normalization.
struct Behind {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Behind {
    fn is_nothing(&self) -> bool {
        self.scale.iter().all(|&x| (x - 1.0).abs() == 0.0) && self.shift.iter().all(|&x| x == 0.0)
    }

    /// Of the inputs of a node, one number for all of `n` channels, for each, or for each of so many groups.
    fn of(
        reader: &Reader,
        node: &onnx::Node,
        n: usize,
        groups: usize,
    ) -> Result<Self, ImportError> {
        let numbers = |position: usize, default: f32| -> Result<Vec<f32>, ImportError> {
            if !Reader::has_input(node, position) {
                return Ok(vec![default; n]);
            }
            let (dims, data) = reader.float_constant(node, position)?;
            if ![1, groups, n].contains(&data.len()) {
                return Err(node_error(
                    node,
                    &format!("its input {position} has shape {dims:?}; {n} elements are required"),
                ));
            }
            Ok(data.iter().flat_map(|&x| std::iter::repeat_n(x, n / data.len())).collect())
        };
        Ok(Self { scale: numbers(1, 1.0)?, shift: numbers(2, 0.0)? })
    }

    fn affine(&self) -> Affine {
        let wide = |numbers: &[f32]| numbers.iter().map(|&x| f64::from(x)).collect();
        Affine { scale: wide(&self.scale), shift: wide(&self.shift) }
    }
}

/// The name of the normalization alone.
fn own_name(node: &onnx::Node, behind: &Behind) -> String {
    if behind.is_nothing() { node.name.clone() } else { format!("{}_normalized", node.name) }
}

/// Source: ONNX `LayerNormalization`, opset 17.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    import_last_axes(reader, node, true)
}

/// Source: ONNX `RMSNormalization`, opset 23.
pub(super) fn import_root_mean_square(
    reader: &mut Reader,
    node: &onnx::Node,
) -> Result<(), ImportError> {
    import_last_axes(reader, node, false)
}

/// Over all axes from one on, with a scale and a shift for each element of them.
fn import_last_axes(
    reader: &mut Reader,
    node: &onnx::Node,
    is_centered: bool,
) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let epsilon = f64::from(attributes.float("epsilon", 1e-5)?);
    let axis = attributes.int("axis", -1)?;
    attributes.int("stash_type", 1)?;
    attributes.finish()?;
    let view = reader.view(node, 0)?;
    let extents = view.extents();
    let rank = extents.len();
    let Some(first) = axis_index(axis, rank) else {
        return Err(node_error(node, &format!("has axis {axis} for a value of {rank} axes")));
    };
    let n = extents[first..].iter().map(|extent| extent.of_image).product();
    let behind = Behind::of(reader, node, n, 1)?;
    let name = own_name(node, &behind);
    let op = LayerNormalization { epsilon, is_centered };
    // Where the last axis is the channels already, nothing moves.
    if first + 1 == rank && rank <= 4 && !view.mixes_batch() {
        let value = reader.value_of(node, &view)?;
        if value.axes[first] == Axis::Channel {
            let mut id = reader.builder.push(&name, op, vec![value.node])?;
            if !behind.is_nothing() {
                id = reader.builder.push(&node.name, behind.affine(), vec![id])?;
            }
            return reader.set_value(node, &Value { node: id, ..value });
        }
    }
    let names = [Axis::Column, Axis::Channel];
    let value = reader.grouped(node, &view, &[first, rank - first], &names)?;
    let mut id = reader.builder.push(&name, op, vec![value.node])?;
    if !behind.is_nothing() {
        id = reader.builder.push(&node.name, behind.affine(), vec![id])?;
    }
    let view = reader.ungrouped(node, &Value { node: id, ..value }, &extents)?;
    reader.set_view(node, view)
}

/// Source: ONNX `InstanceNormalization`, opset 6.
pub(super) fn import_instance(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let epsilon = f64::from(attributes.float("epsilon", 1e-5)?);
    attributes.finish()?;
    let channels = reader.view(node, 0)?.extents().get(1).map_or(1, |extent| extent.of_image);
    import_groups(reader, node, epsilon, channels)
}

/// Source: ONNX `GroupNormalization`, opset 21 (and 18, with a scale and a shift for each group).
pub(super) fn import_group(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let epsilon = f64::from(attributes.float("epsilon", 1e-5)?);
    let groups = attributes.int("num_groups", 1)?;
    attributes.int("stash_type", 1)?;
    attributes.finish()?;
    import_groups(reader, node, epsilon, usize::try_from(groups).unwrap_or(0))
}

/// Over all elements of so many groups of channels, the second axis.
fn import_groups(
    reader: &mut Reader,
    node: &onnx::Node,
    epsilon: f64,
    groups: usize,
) -> Result<(), ImportError> {
    let view = reader.view(node, 0)?;
    let extents = view.extents();
    let rank = extents.len();
    let channels = extents.get(1).map_or(0, |extent| extent.of_image);
    if rank < 3 || groups == 0 || !channels.is_multiple_of(groups) {
        return Err(node_error(
            node,
            &format!(
                "cannot divide a value of {rank} axes and {channels} channels into {groups} groups"
            ),
        ));
    }
    let behind = Behind::of(reader, node, channels, groups)?;
    let known = |n: usize| Extent { of_image: n, has_batch: false };
    let split = [&[extents[0], known(groups), known(channels / groups)], &extents[2..]].concat();
    let targets: Vec<Target> = split.iter().map(|extent| extent.kept()).collect();
    let parts = reader.reshaped(node, &view, &targets)?;
    let names = [Axis::Column, Axis::Channel];
    let value = reader.grouped(node, &parts, &[2, split.len() - 2], &names)?;
    let op = LayerNormalization { epsilon, is_centered: true };
    let id = reader.builder.push(&own_name(node, &behind), op, vec![value.node])?;
    let view = reader.ungrouped(node, &Value { node: id, ..value }, &extents)?;
    if behind.is_nothing() {
        return reader.set_view(node, view);
    }
    let Some(axes) = channels_first(rank) else {
        return Err(node_error(node, &format!("its input has {rank} axes; 3 and 4 are supported")));
    };
    let value = reader.arranged(node, &view, axes)?;
    reader.push_like(node, behind.affine(), &value)
}

/// Source: Keras `LayerNormalization`, over the last axis.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    layer.last_axis("axis", value.axes.len())?;
    let channels = layer.shape(&value).c;
    let epsilon = layer.number("epsilon")?.unwrap_or(1e-3);
    let is_centered = !layer.flag("rms_scaling", false)?;
    let (has_gamma, has_beta) = (layer.flag("scale", true)?, layer.flag("center", true)?);
    let (mut scale, mut shift) = (vec![1.0; channels], vec![0.0; channels]);
    if has_gamma || !is_centered {
        scale = layer.weight("gamma", &[channels])?.to_vec();
    }
    if has_beta && is_centered {
        shift = layer.weight("beta", &[channels])?.to_vec();
    }
    let behind = Behind { scale, shift };
    let op = LayerNormalization { epsilon, is_centered };
    if behind.is_nothing() {
        return layer.push_like(op, &value);
    }
    let name = format!("{}_normalized", layer.name());
    let node = layer.builder.push(&name, op, vec![value.node])?;
    layer.push_like(behind.affine(), &Value { node, ..value })
}
